//! The ledger by itself: rows committed in a second, as many in a transaction as a forge commits at most.
//!
//! There is one writer, so there is no figure for more threads. Reserving chunks is not timed: a forge does it once.

use std::time::{Duration, Instant};

use super::fixture::throw_away_issuer;
use super::meter::{ROUNDS, Rate, Round};
use super::{Bench, BenchError, Measure, Quantity};
use crate::batch::{IndexEntry, Layout};
use crate::certificate::SerialPrefix;
use crate::digest::sha256;
use crate::engine::{Choice, EngineError, Random};
use crate::ledger::{self, BatchIdentity, Committed, Reservation};
use crate::manifest::DeviceId;
use crate::profile::KeyType;

/// Chunks of a transaction.
const GROUP: u64 = 32;

/// More rounds than are needed. The batch is said to have the chunks of all of them.
const MOST_ROUNDS: u64 = 4096;

pub(super) fn measure(bench: Bench<'_>) -> Result<Vec<Measure>, BenchError> {
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
        rows: MOST_ROUNDS * GROUP * chunk_rows,
        chunk_rows,
        reissue: false,
    };
    let batch = ledger.begin_batch(&identity, now)?;
    let mut rounds = Vec::new();
    // A forge has released the chunks of one transaction before the next, which records that as well.
    let mut released: Vec<u64> = Vec::new();
    let mut spent = Duration::ZERO;
    for round in 0..MOST_ROUNDS {
        bench.go_on()?;
        let chunks: Result<Vec<_>, EngineError> = (round * GROUP..(round + 1) * GROUP)
            .map(|chunk| Ok((chunk, SerialPrefix::draw(Random)?)))
            .collect();
        let reservations = ledger.reserve(&batch, &chunks?, now)?;
        let chunks: Vec<Committed> = reservations
            .into_iter()
            .map(|reservation| committed(reservation, chunk_rows))
            .collect();
        let started = Instant::now();
        ledger.commit(&batch, &chunks, &released)?;
        let elapsed = started.elapsed();
        released = chunks.iter().map(|chunk| chunk.reservation.chunk).collect();
        spent += elapsed;
        rounds.push(round_of(GROUP * chunk_rows, elapsed));
        if rounds.len() >= ROUNDS && spent >= bench.options.time() {
            break;
        }
    }
    Ok(vec![Measure::new(Quantity::LedgerRows, 1, Rate::of(&rounds))])
}

/// A round that one thread timed.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(super) fn round_of(made: u64, elapsed: Duration) -> Round {
    let thread_seconds = elapsed.as_secs_f64().max(1e-9);
    Round {
        made,
        per_second: made as f64 / thread_seconds,
        thread_seconds,
    }
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
