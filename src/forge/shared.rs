//! The files that all devices of a batch share: put in place once, before any bundle, by whichever run or shard is first.
//!
//! What they are follows from the profile and the issuer alone, so all make the same; and who seals a batch sees that what
//! lies there is that.

use data_encoding::HEXLOWER;

use super::{ForgeError, Job};
use crate::batch::{BatchRecord, ReadRecord, SHARED_OBJECT};
use crate::bundle::{judge_shared, shared_archive};
use crate::digest::sha256;
use crate::store::{Store, StoreError};

/// The record of a batch with the digest of its shared files, and their ZIP, if there are any.
pub(super) fn recorded(
    record: BatchRecord,
    job: &Job<'_>,
) -> Result<(BatchRecord, Option<Vec<u8>>), ForgeError> {
    let shared = job.profile.shared(job.issuer.certificate().der());
    let archive = shared_archive(job.profile.recipe(), &shared)?;
    let digest = archive.as_deref().map(|octets| HEXLOWER.encode(&sha256(octets)));
    let record = BatchRecord {
        shared_sha256: digest,
        ..record
    };
    Ok((record, archive))
}

/// Puts the shared files of a batch in place whose record is there, or finds them.
pub(super) fn put(store: &Store, shared: Option<&[u8]>) -> Result<(), ForgeError> {
    let Some(octets) = shared else { return Ok(()) };
    if store.create(SHARED_OBJECT, octets)? {
        return Ok(());
    }
    match **store.read(SHARED_OBJECT, None)? == *octets {
        true => Ok(()),
        false => Err(changed(store)),
    }
}

/// Sees that the shared files of a batch lie there, as its record, its profile and its issuer have them.
pub(super) fn check(store: &Store, read: &ReadRecord) -> Result<(), ForgeError> {
    let Some(wanted) = &read.record.shared_sha256 else {
        return Ok(());
    };
    let octets = match store.read(SHARED_OBJECT, None) {
        Err(StoreError::NotFound { .. }) => {
            return Err(ForgeError::SharedGone {
                location: store.location(),
            });
        }
        other => other?,
    };
    let shared = read.profile.shared(read.issuer.der());
    let is_it = HEXLOWER.encode(&sha256(&octets)) == *wanted;
    match is_it && judge_shared(&octets, read.profile.recipe(), &shared).is_empty() {
        true => Ok(()),
        false => Err(changed(store)),
    }
}

fn changed(store: &Store) -> ForgeError {
    ForgeError::SharedChanged {
        location: store.location(),
    }
}
