//! The ledger by itself: rows committed in a second, as many in a transaction as a forge commits at most.
//!
//! There is one writer, so there is no figure for more threads. Reserving chunks is not timed: a forge does it once.

use super::fixture::throw_away_issuer;
use super::meter::{Lap, Pace, Task};
use super::{Bench, BenchError, Quantity};
use crate::batch::{IndexEntry, Layout};
use crate::certificate::SerialPrefix;
use crate::digest::sha256;
use crate::engine::{Choice, EngineError, Random};
use crate::ledger::{self, BatchIdentity, Committed, Reservation};
use crate::manifest::DeviceId;
use crate::profile::KeyType;

/// Chunks of a transaction.
const GROUP: u64 = 32;

pub(super) fn task(bench: Bench<'_>) -> Task<'_> {
    Task::new(Quantity::LedgerRows, Pace::Steady, move || {
        let scratch = bench.scratch.folder()?;
        let now = time::OffsetDateTime::now_utc();
        let issuer = throw_away_issuer(&scratch.path().join("ca"), KeyType::P256, &Choice::Auto, now)?;
        let chunk_rows = KeyType::P256.chunk_rows() as u64;
        let mut ledger = ledger::open(&scratch.path().join("ledger.db"), [0; 16])?;
        let identity = BatchIdentity {
            name: "bench",
            location: "nowhere",
            issuer: issuer.certificate(),
            manifest: "none",
            manifest_sha256: [0; 32],
            profile: "bench",
            profile_sha256: [0; 32],
            layout: Layout::Packs,
            // More than are ever committed.
            rows: 1 << 40,
            chunk_rows,
            reissue: false,
        };
        let batch = ledger.begin_batch(&identity, now)?;
        let mut next = 0;
        // A forge has released the chunks of one transaction before the next, which records that as well.
        let mut released: Vec<u64> = Vec::new();
        Ok(Box::new(move || {
            // The ledger lies in it.
            let _ = &scratch;
            let chunks: Result<Vec<_>, EngineError> = (next..next + GROUP)
                .map(|chunk| Ok((chunk, SerialPrefix::draw(Random)?)))
                .collect();
            next += GROUP;
            let reservations = ledger.reserve(&batch, &chunks?, now)?.into_iter();
            let chunks: Vec<Committed> = reservations
                .map(|reservation| committed(reservation, chunk_rows))
                .collect();
            let lap = Lap::of(|| {
                ledger.commit(&batch, &chunks, &released)?;
                Ok::<_, BenchError>(GROUP * chunk_rows)
            });
            released = chunks.iter().map(|chunk| chunk.reservation.chunk).collect();
            lap
        }))
    })
}

/// A chunk with what a forge would record of it.
fn committed(reservation: Reservation, rows: u64) -> Committed {
    let entry = |row: u64| {
        let device_id = format!("SN{:09}", reservation.chunk * rows + row);
        let digest = sha256(device_id.as_bytes());
        let device_id = DeviceId::parse(&device_id).expect("digits and letters");
        IndexEntry {
            certificate_id: digest,
            certificate_serial: reservation.prefix.serial(row.to_be_bytes()),
            not_after: 4_102_444_799,
            offset: row * 4096,
            length: 4000,
            sha256: digest,
            device_id,
        }
    };
    Committed {
        reservation,
        entries: (0..rows).map(entry).collect(),
    }
}
