//! Sealing: states, signed by the issuer, that every chunk of a batch is released.
//!
//! The lookups are put first and the seal last, so a batch that is sealed has all that its seal names.

use data_encoding::HEXLOWER;
use rayon::prelude::*;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::{Event, ForgeError, Job, Observe, agreement, withdrawn};
use crate::batch::{
    BATCH_OBJECT, BatchRecord, Lookups, SEAL_OBJECT, index_object, lookup_object, write_index,
};
use crate::digest::sha256;
use crate::issuer::{CaCertificate, Issuer};
use crate::ledger::{Batch, Ledger};
use crate::seal::{Builder, ChunkDigest, Seal, Statement, sign};
use crate::store::{Existing, Store, StoreError};

/// Chunks whose indexes are digested at a time.
const CHUNKS_AT_A_TIME: usize = 64;

/// Lookups that are put at a time.
const LOOKUPS_AT_A_TIME: usize = 64;

/// A batch that is sealed.
#[derive(Debug, Clone)]
pub struct Sealed {
    pub statement: Statement,
    /// Whether it was sealed before.
    pub before: bool,
}

/// Seals a batch by its indexes in the store, whoever made them: each shard of a batch may have been made
/// with a ledger of its own.
///
/// # Errors
///
/// When it is not complete, is withdrawn, is another issuer's, or has a seal that says otherwise.
pub fn seal(
    store: &Store,
    issuer: &Issuer,
    now: OffsetDateTime,
    observe: Observe<'_>,
) -> Result<Sealed, ForgeError> {
    let location = store.location();
    store.refuse_exposed()?;
    let octets = store.read(BATCH_OBJECT, None)?;
    let record = match BatchRecord::read(&octets, &location) {
        Ok(read) => read.record,
        Err(_) => return Err(ForgeError::ForeignBatch { location }),
    };
    let shape = record.shape();
    if record.issuer_id != HEXLOWER.encode(&issuer.certificate().id()) {
        return Err(ForgeError::OtherIssuer {
            location,
            issuer: issuer.certificate().subject_text().to_owned(),
        });
    }
    withdrawn::refuse_withdrawn(store, &record.batch)?;
    observe(Event::Begun {
        batch: record.batch.clone(),
        devices: record.rows,
        skipped: 0,
    });
    let missing = agreement::missing_chunks(store, &record)?;
    if let Some((first, chunks)) = missing {
        return Err(ForgeError::Unfinished {
            batch: record.batch,
            first,
            missing: chunks,
            of: shape.chunks(),
        });
    }
    let mut builder = Builder::new(record.rows);
    for first in (0..shape.chunks()).step_by(CHUNKS_AT_A_TIME) {
        let chunks = first..(first + CHUNKS_AT_A_TIME as u64).min(shape.chunks());
        let names: Vec<String> = chunks.clone().map(index_object).collect();
        let read: Result<Vec<_>, StoreError> = store.read_all(&names).into_iter().collect();
        observe(Event::Released {
            devices: chunks.clone().map(|chunk| shape.rows_of(chunk)).sum(),
        });
        let indexes: Vec<_> = chunks.zip(read?).collect();
        let digest = |(chunk, index): &(u64, Zeroizing<Vec<u8>>)| ChunkDigest::of(*chunk, index, &record);
        let digests: Vec<_> = indexes.par_iter().map(digest).collect::<Result<_, _>>()?;
        for digest in digests {
            builder.add(digest);
        }
    }
    finish(store, &record, sha256(&octets), issuer, now, builder)
}

/// Seals a batch that its ledger knows to be complete: by what was just made, and by what the ledger has of the
/// chunks that were made before.
pub(super) fn seal_made(
    store: &Store,
    ledger: &dyn Ledger,
    batch: &Batch,
    record: &BatchRecord,
    job: &Job<'_>,
    mut made: Builder,
) -> Result<Sealed, ForgeError> {
    // It may have been withdrawn while it was made.
    withdrawn::refuse_withdrawn(store, &record.batch)?;
    let issuer = job.issuer;
    let octets = store.read(BATCH_OBJECT, None)?;
    let batch_sha256 = sha256(&octets);
    // What was sealed does not change, so it is not read once more.
    if let Some(statement) = existing(store, issuer.certificate())?
        && statement.batch_sha256 == HEXLOWER.encode(&batch_sha256)
    {
        return Ok(Sealed {
            statement,
            before: true,
        });
    }
    for chunk in 0..record.shape().chunks() {
        if !made.has(chunk) {
            let entries = ledger.entries(batch, chunk)?;
            let index = write_index(batch.layout, chunk, &entries);
            made.add(ChunkDigest::written(chunk, &index, &entries));
        }
    }
    finish(store, record, batch_sha256, issuer, job.now, made)
}

fn finish(
    store: &Store,
    record: &BatchRecord,
    batch_sha256: [u8; 32],
    issuer: &Issuer,
    now: OffsetDateTime,
    builder: Builder,
) -> Result<Sealed, ForgeError> {
    let (statement, lookups) = builder.finish(record, batch_sha256, &store.location(), now)?;
    let compare = |found: Statement| match found.states_the_same(&statement) {
        true => Ok(Sealed {
            statement: found,
            before: true,
        }),
        false => Err(ForgeError::OtherSeal {
            location: store.location(),
        }),
    };
    if let Some(found) = existing(store, issuer.certificate())? {
        return compare(found);
    }
    put_lookups(store, &lookups)?;
    let octets = sign(&statement, issuer)?;
    // A signature that is not sound goes no further.
    Seal::open(&octets, issuer.certificate())?;
    if store.create(SEAL_OBJECT, &octets)? {
        return Ok(Sealed {
            statement,
            before: false,
        });
    }
    // Somebody else was faster.
    match existing(store, issuer.certificate())? {
        Some(found) => compare(found),
        None => Err(ForgeError::OtherSeal {
            location: store.location(),
        }),
    }
}

/// What the seal in the store states, if there is one.
fn existing(store: &Store, issuer: &CaCertificate) -> Result<Option<Statement>, ForgeError> {
    match store.read(SEAL_OBJECT, None) {
        Ok(octets) => Ok(Some(Seal::open(&octets, issuer)?.statement().clone())),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The same lookups may be there already, from one who began to seal; others may not.
fn put_lookups(store: &Store, lookups: &Lookups) -> Result<(), StoreError> {
    let parts = lookups.parts();
    for first in (0..parts).step_by(LOOKUPS_AT_A_TIME) {
        let some = first..(first + LOOKUPS_AT_A_TIME as u64).min(parts);
        let objects: Vec<_> = some
            .into_par_iter()
            .map(|part| (lookup_object(part), lookups.part(part).into_bytes()))
            .collect();
        store
            .publish(&objects, Existing::Refuse)
            .into_iter()
            .collect::<Result<(), _>>()?;
    }
    Ok(())
}
