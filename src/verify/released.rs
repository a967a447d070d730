//! What is released of a batch, as its place alone shows it.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{VerifyError, read_record};
use crate::batch::{BatchRecord, IndexEntry, Layout, WithdrawnRecord, chunk_of, index_object, parse_index};
use crate::store::{Store, StoreError, read_withdrawn};

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
    /// That it must never come up.
    pub withdrawn: Option<WithdrawnRecord>,
}

/// How far the batch in this place is.
///
/// # Errors
///
/// When there is none, or it cannot be read.
pub fn progress(store: &dyn Store) -> Result<Progress, VerifyError> {
    let record = read_record(store)?;
    let chunks = released_chunks(store)?;
    Ok(Progress {
        released: chunks.iter().map(|chunk| record.rows_of(*chunk)).sum(),
        location: store.location(),
        layout: record.layout,
        devices: record.rows,
        issuer_id: record.issuer_id,
        withdrawn: read_withdrawn(store)?,
        batch: record.batch,
    })
}

/// Gives what the indexes say, a chunk at a time and in order, for as long as it is wanted.
///
/// # Errors
///
/// When there is no batch, or an index of it cannot be read.
pub fn released(
    store: &dyn Store,
    give: &mut dyn FnMut(&BatchRecord, u64, &[IndexEntry]) -> bool,
) -> Result<(), VerifyError> {
    let record = read_record(store)?;
    for chunk in released_chunks(store)? {
        let index = index_object(chunk);
        let rows = parse_index(&store.read(&index, None)?).map_err(|source| {
            let object = format!("{}/{index}", store.location());
            VerifyError::Index { object, source }
        })?;
        let entries: Vec<IndexEntry> = rows.into_iter().map(|row| row.entry).collect();
        if !give(&record, chunk, &entries) {
            break;
        }
    }
    Ok(())
}

fn released_chunks(store: &dyn Store) -> Result<BTreeSet<u64>, StoreError> {
    let mut chunks = BTreeSet::new();
    store.list("index/", &mut |listed| chunks.extend(chunk_of(&listed.name)))?;
    Ok(chunks)
}
