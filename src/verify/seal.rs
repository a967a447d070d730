//! The seal, held against what is there.

use std::collections::BTreeSet;

use time::OffsetDateTime;

use super::{Fault, Report, VerifyError};
use crate::batch::{BATCH_OBJECT, BatchRecord, SEAL_OBJECT, lookup_object};
use crate::issuer::CaCertificate;
use crate::seal::{Builder, ChunkDigest, Seal, SealError};
use crate::store::{Store, StoreError};

/// What is wrong with an object whose digest is another.
pub(super) const CHANGED: &str = "is not what the seal says";

/// Reads the seal of a batch, if it has one. A seal that is none, or another issuer's, is a fault.
pub(super) fn read(
    store: &Store,
    issuer: &CaCertificate,
    report: &mut Report,
) -> Result<Option<Seal>, VerifyError> {
    let octets = match store.read(SEAL_OBJECT, None) {
        Err(StoreError::NotFound { .. }) => return Ok(None),
        other => other?,
    };
    report.sealed = true;
    let record = store.read(BATCH_OBJECT, None)?;
    let opened = Seal::open(&octets, issuer)
        .and_then(|seal| seal.of(store.generation()))
        .and_then(|seal| seal.record(&record).map(|_| seal));
    let fault = match opened {
        Ok(seal) => return Ok(Some(seal)),
        Err(SealError::Changed { object }) => Fault::of(&object, CHANGED.to_owned()),
        Err(error) => Fault::of(SEAL_OBJECT, error.to_string()),
    };
    report.faults.push(fault);
    Ok(None)
}

/// Builds the statement anew from what was read, and holds the seal's against it. Where a chunk was
/// missing or was not as a forge writes it, that is a fault already.
pub(super) fn check_statement(
    seal: &Seal,
    record: &BatchRecord,
    digests: Vec<ChunkDigest>,
    faults: &mut Vec<Fault>,
) {
    if digests.len() as u64 != record.shape().chunks() || !faults.is_empty() {
        return;
    }
    let mut builder = Builder::new(record.rows);
    for digest in digests {
        builder.add(digest);
    }
    // The digest of the record was held against the seal when it was opened.
    let sealed = seal.statement();
    let built = builder.finish(
        record,
        seal.batch_digest(),
        &sealed.location,
        OffsetDateTime::UNIX_EPOCH,
    );
    let is_same = built.is_ok_and(|(statement, _)| {
        let statement = statement.of_generation(sealed.generation.clone());
        statement.states_the_same(sealed)
    });
    if !is_same {
        let what = "states otherwise than the batch is";
        faults.push(Fault::of(SEAL_OBJECT, what.to_owned()));
    }
}

/// Holds the parts of the lookup of a batch that is not sealed, as far as there are any, against its indexes. Where one of
/// these is missing or damaged, that is a fault already.
pub(super) fn check_unsealed_lookups(
    store: &Store,
    record: &BatchRecord,
    digests: Vec<ChunkDigest>,
    faults: &mut Vec<Fault>,
) -> Result<(), VerifyError> {
    let mut parts = BTreeSet::new();
    store.list("lookup/", &mut |listed| {
        parts.insert(listed.name);
    })?;
    if parts.is_empty() || digests.len() as u64 != record.shape().chunks() {
        return Ok(());
    }
    let mut builder = Builder::new(record.rows);
    for digest in digests {
        builder.add(digest);
    }
    let Ok((_, lookups)) = builder.finish(record, [0; 32], "", OffsetDateTime::UNIX_EPOCH) else {
        return Ok(());
    };
    for part in (0..lookups.parts()).filter(|part| parts.contains(&lookup_object(*part))) {
        let object = lookup_object(part);
        if *store.read(&object, None)? != lookups.part(part).into_bytes() {
            faults.push(Fault::of(&object, "is not what the indexes say".to_owned()));
        }
    }
    Ok(())
}

/// Holds every part of the lookup against the seal.
pub(super) fn check_lookups(store: &Store, seal: &Seal, faults: &mut Vec<Fault>) -> Result<(), VerifyError> {
    for part in 0..seal.statement().lookups.len() as u64 {
        let object = lookup_object(part);
        match store.read(&object, None) {
            Ok(octets) if seal.check_lookup(part, &octets).is_ok() => {}
            Ok(_) => faults.push(Fault::of(&object, CHANGED.to_owned())),
            Err(StoreError::NotFound { .. }) => {
                faults.push(Fault::of(&object, "is missing, and the seal has it".to_owned()));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
