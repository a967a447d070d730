//! The batches at a place: it is one itself, or has some in it.

use std::path::Path;

use super::{Place, StoreError, StoreOptions, open};
use crate::batch::BATCH_OBJECT;

/// Every batch at a place, in the order of their names: that one itself if it is a batch, else those in it.
///
/// # Errors
///
/// When it cannot be listed.
pub fn batches(place: &Place, options: &StoreOptions) -> Result<Vec<Place>, StoreError> {
    if is_batch(place, options)? {
        return Ok(vec![place.clone()]);
    }
    let mut names = open(place, options)?.folders()?;
    if let Place::Folder(folder) = place {
        names.retain(|name| !is_alias(folder, name));
    }
    let mut batches = Vec::new();
    for name in names {
        let batch = place.batch(&name);
        if is_batch(&batch, options)? {
            batches.push(batch);
        }
    }
    Ok(batches)
}

fn is_batch(place: &Place, options: &StoreOptions) -> Result<bool, StoreError> {
    open(place, options)?.exists(BATCH_OBJECT)
}

/// Whether a name is a link to something that has another name there.
fn is_alias(folder: &Path, name: &str) -> bool {
    let path = folder.join(name);
    let target = path.canonicalize().ok();
    let within = target.as_deref().and_then(Path::parent).map(Path::to_owned);
    path.is_symlink() && within == folder.canonicalize().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_place_is_a_batch_or_has_some() {
        let folder = tempfile::tempdir().unwrap();
        for batch in ["valves", "pumps", ".hidden"] {
            fs::create_dir(folder.path().join(batch)).unwrap();
            fs::write(folder.path().join(batch).join(BATCH_OBJECT), "{}").unwrap();
        }
        fs::create_dir(folder.path().join("notes")).unwrap();
        fs::write(folder.path().join("readme"), "").unwrap();
        std::os::unix::fs::symlink(folder.path().join("pumps"), folder.path().join("link")).unwrap();
        let of = |name: &str| Place::Folder(folder.path().join(name));
        let found = |name: &str| batches(&of(name), &StoreOptions::default());
        assert_eq!(found("").unwrap(), [of("pumps"), of("valves")]);
        assert_eq!(found("pumps").unwrap(), [of("pumps")]);
        assert!(found("notes").unwrap().is_empty());
        assert!(found("away").unwrap().is_empty());
    }
}
