//! A store that discards: it takes every object and forgets it, so that a run is as large as one likes.
//!
//! What is read back, such as the record of the batch and its seal, lies at the top of a batch; that alone is kept.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use zeroize::Zeroizing;

use crate::store::{Got, How, Listed, Lot, Manner, Object, Outcome, Putting, StoreError, Transport};

/// The batch that nobody keeps. A clone is the same batch.
#[derive(Debug, Clone, Default)]
pub(super) struct Discard(Arc<Batch>);

#[derive(Debug, Default)]
struct Batch {
    kept: Mutex<BTreeMap<String, Vec<u8>>>,
    octets: AtomicU64,
}

impl Discard {
    /// Octets that were put so far.
    pub(super) fn octets(&self) -> u64 {
        self.0.octets.load(Ordering::Relaxed)
    }
}

impl Transport for Discard {
    fn locate(&self, name: &str) -> String {
        match name {
            "" => "nowhere".to_owned(),
            name => name.to_owned(),
        }
    }

    fn tells_writers(&self) -> bool {
        false
    }

    fn get(&self, names: &[&str], range: Option<Range<u64>>) -> Vec<Result<Got, StoreError>> {
        let kept = self.0.kept.lock().expect("no holder panics");
        let get = |name: &&str| {
            let body = kept.get(*name).ok_or_else(|| StoreError::NotFound {
                object: self.locate(name),
            })?;
            let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(body.len());
            let range = range
                .clone()
                .map_or(0..body.len(), |range| at(range.start)..at(range.end));
            Ok(Got {
                octets: Zeroizing::new(body[range].to_vec()),
                version: None,
            })
        };
        names.iter().map(get).collect()
    }

    /// Whatever the condition: nothing here is ever in the way.
    fn put(&self, objects: &[Object<'_>], how: &How<'_>) -> Vec<Putting> {
        let put = |Object { name, body, .. }: &Object<'_>| {
            self.0.octets.fetch_add(body.len() as u64, Ordering::Relaxed);
            if how.manner == Manner::Atomic && !name.contains('/') {
                let mut kept = self.0.kept.lock().expect("no holder panics");
                kept.insert(name.clone(), body.to_vec());
            }
            Putting::Ended(Ok(Outcome::Stored))
        };
        objects.iter().map(put).collect()
    }

    fn sync(&self, lots: &[Lot]) -> Vec<Result<(), StoreError>> {
        lots.iter().map(|_| Ok(())).collect()
    }

    fn delete(&self, names: &[String]) -> Vec<Result<(), StoreError>> {
        let mut kept = self.0.kept.lock().expect("no holder panics");
        names.iter().map(|name| drop(kept.remove(name))).map(Ok).collect()
    }

    fn purge(&self, _: &str) -> Result<(), StoreError> {
        Ok(())
    }

    fn list(&self, prefix: &str, visit: &mut dyn FnMut(Listed)) -> Result<(), StoreError> {
        let kept = self.0.kept.lock().expect("no holder panics");
        for (name, body) in kept.iter().filter(|(name, _)| name.starts_with(prefix)) {
            visit(Listed {
                name: name.clone(),
                size: body.len() as u64,
                stamp: String::new(),
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Attempt, Store};

    #[test]
    fn forgets_bundles_and_keeps_what_is_read_back() {
        let discard = Discard::default();
        let store = Store::over(discard.clone());
        let object = |name: &str| Object {
            name: name.to_owned(),
            body: b"12345",
            sha256: None,
        };
        let attempt = Attempt {
            name: "a",
            earlier: &[],
        };
        let first = store
            .put(&[object("packs/000000.zip"), object("b")], attempt)
            .unwrap();
        let second = store.put(&[], attempt).unwrap();
        assert_eq!(store.flush(vec![first, second]).len(), 2);
        assert!(store.create("batch.json", b"record").unwrap());
        let published = [
            ("index/000000.csv".to_owned(), b"index".to_vec()),
            ("seal.json".to_owned(), b"seal".to_vec()),
        ];
        assert!(store.publish(&published).iter().all(Result::is_ok));

        assert_eq!(&*store.read("batch.json", None).unwrap(), b"record");
        assert_eq!(&*store.read("batch.json", Some(1..3)).unwrap(), b"ec");
        assert_eq!(&*store.read("seal.json", Some(2..99)).unwrap(), b"al");
        for name in ["packs/000000.zip", "b", "index/000000.csv"] {
            assert!(matches!(store.read(name, None), Err(StoreError::NotFound { .. })));
        }
        let mut listed = Vec::new();
        store.list("", &mut |object| listed.push(object.name)).unwrap();
        assert_eq!(listed, ["batch.json", "seal.json"]);
        assert_eq!(discard.octets(), 5 + 5 + 6 + 5 + 4);
        store.remove("seal.json").unwrap();
        assert!(!store.exists("seal.json").unwrap());
    }
}
