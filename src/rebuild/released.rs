//! What is released of a batch, and what must have been: an index that is gone is no reason to make its devices again.

use std::collections::BTreeSet;

use super::RebuildError;
use super::faults::Faults;
use super::survey::Found;
use crate::batch::{CLAIMS, FLASHED, SCRAPPED, device_of, index_object};
use crate::store::{Listed, Store};

/// Sees that what is released is what the batch can have, and that nothing is missing of which there are traces. Gives the
/// chunks that are not released.
pub(super) fn check(
    store: &Store,
    batch: &Found,
    is_sealed: bool,
    faults: &mut Faults,
) -> Result<BTreeSet<u64>, RebuildError> {
    let name = &batch.record.batch;
    let chunks = batch.record.shape().chunks();
    for chunk in batch.released.range(chunks..) {
        faults.of(name, &index_object(*chunk), "the batch has no such chunk");
    }
    let open: BTreeSet<u64> = (0..chunks)
        .filter(|chunk| !batch.released.contains(chunk))
        .collect();
    let traced = match is_sealed {
        true => open.clone(),
        false => traced(store, &open)?,
    };
    let by = if is_sealed {
        "the seal says"
    } else {
        "what stations did says"
    };
    for chunk in traced {
        let what = format!("it is missing, and {by} that the chunk was released: put it back");
        faults.of(name, &index_object(chunk), what);
    }
    Ok(open)
}

/// The chunks of which a station has had a device.
fn traced(store: &Store, open: &BTreeSet<u64>) -> Result<BTreeSet<u64>, RebuildError> {
    let mut traced = BTreeSet::new();
    if open.is_empty() {
        return Ok(traced);
    }
    for folder in [CLAIMS, FLASHED, SCRAPPED] {
        store.list(folder, &mut |Listed { name, .. }| {
            let chunk = device_of(&name, folder).map(|(chunk, _)| chunk);
            traced.extend(chunk.filter(|chunk| open.contains(chunk)));
        })?;
    }
    Ok(traced)
}
