//! How far a batch is, as its place alone shows it.

use serde::Serialize;

use super::VerifyError;
use crate::batch::{Layout, WithdrawnRecord};
use crate::profile::Ends;
use crate::store::{Store, read_index, read_record, read_withdrawn, released_chunks};

/// How far a batch is.
#[derive(Debug, Clone, Serialize)]
pub struct Progress {
    pub batch: String,
    pub location: String,
    pub layout: Layout,
    /// SHA-256 of the issuer's certificate.
    pub issuer_id: String,
    pub devices: u64,
    pub released: u64,
    /// When the certificates end of the first chunk that is released, and of the last one.
    pub valid_until: Option<Ends>,
    /// That it must never come up.
    pub withdrawn: Option<WithdrawnRecord>,
}

/// How far the batch in this place is.
///
/// # Errors
///
/// When there is none, or it cannot be read.
pub fn progress(store: &Store) -> Result<Progress, VerifyError> {
    let record = read_record(store)?.record;
    let released = released_chunks(store)?;
    let shape = record.shape();
    let mut valid_until = None;
    for chunk in released.first().into_iter().chain(released.last()) {
        // What is wrong with an index, `verify` tells.
        for entry in read_index(store, &record, *chunk).unwrap_or_default() {
            valid_until = Ends::both(valid_until, Ends::at(entry.not_after));
        }
    }
    Ok(Progress {
        released: released.into_iter().map(|chunk| shape.rows_of(chunk)).sum(),
        valid_until,
        location: store.location(),
        layout: record.layout,
        devices: record.rows,
        issuer_id: record.issuer_id,
        withdrawn: read_withdrawn(store)?,
        batch: record.batch,
    })
}
