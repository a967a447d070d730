//! A store that discards: it takes every object and forgets it, so that a run is as large as one likes.
//!
//! What is read back, such as the record of the batch and its seal, lies at the top of a batch; that alone is kept.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use zeroize::Zeroizing;

use crate::store::{Attempt, Existing, Listed, Object, Replaced, Store, StoreError, Ticket, Version};

/// The batch that nobody keeps. A clone is the same batch.
#[derive(Debug, Clone, Default)]
pub(super) struct DiscardStore(Arc<Batch>);

#[derive(Debug, Default)]
struct Batch {
    kept: Mutex<BTreeMap<String, Vec<u8>>>,
    next_ticket: AtomicU64,
    octets: AtomicU64,
}

impl DiscardStore {
    /// Octets that were put, created or published so far.
    pub(super) fn octets(&self) -> u64 {
        self.0.octets.load(Ordering::Relaxed)
    }

    fn count(&self, body: &[u8]) {
        self.0.octets.fetch_add(body.len() as u64, Ordering::Relaxed);
    }

    fn keep(&self, name: &str, body: &[u8]) {
        if !name.contains('/') {
            let mut kept = self.0.kept.lock().expect("no holder panics");
            kept.insert(name.to_owned(), body.to_vec());
        }
    }
}

fn not_found(name: &str) -> StoreError {
    StoreError::NotFound {
        object: name.to_owned(),
    }
}

impl Store for DiscardStore {
    fn location(&self) -> String {
        "nowhere".to_owned()
    }

    fn put(&self, objects: &[Object<'_>], _: Attempt<'_>) -> Result<Ticket, StoreError> {
        for object in objects {
            self.count(object.body);
        }
        Ok(Ticket(self.0.next_ticket.fetch_add(1, Ordering::Relaxed)))
    }

    fn create(&self, name: &str, body: &[u8]) -> Result<bool, StoreError> {
        self.count(body);
        self.keep(name, body);
        Ok(true)
    }

    fn flush(&self, tickets: Vec<Ticket>) -> Vec<Result<(), StoreError>> {
        tickets.iter().map(|_| Ok(())).collect()
    }

    fn publish(&self, objects: &[(String, Vec<u8>)], _: Existing) -> Vec<Result<(), StoreError>> {
        let publish = |(name, body): &(String, Vec<u8>)| {
            self.count(body);
            self.keep(name, body);
            Ok(())
        };
        objects.iter().map(publish).collect()
    }

    fn read(&self, name: &str, range: Option<Range<u64>>) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let kept = self.0.kept.lock().expect("no holder panics");
        let body = kept.get(name).ok_or_else(|| not_found(name))?;
        let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(body.len());
        let range = range.map_or(0..body.len(), |range| at(range.start)..at(range.end));
        Ok(Zeroizing::new(body[range].to_vec()))
    }

    /// There are no versions: nothing here is ever replaced by one who read it.
    fn read_version(&self, name: &str) -> Result<(Zeroizing<Vec<u8>>, Version), StoreError> {
        Err(not_found(name))
    }

    fn replace(&self, _: &str, _: &[u8], _: &Version, _: Replaced) -> Result<bool, StoreError> {
        Ok(false)
    }

    fn remove(&self, name: &str) -> Result<(), StoreError> {
        self.0.kept.lock().expect("no holder panics").remove(name);
        Ok(())
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

    #[test]
    fn forgets_bundles_and_keeps_what_is_read_back() {
        let store = DiscardStore::default();
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
        assert_ne!(first, second);
        assert_eq!(store.flush(vec![first, second]).len(), 2);
        assert!(store.create("batch.json", b"record").unwrap());
        let published = [
            ("index/000000.csv".to_owned(), b"index".to_vec()),
            ("seal.json".to_owned(), b"seal".to_vec()),
        ];
        assert!(
            store
                .publish(&published, Existing::Refuse)
                .iter()
                .all(Result::is_ok)
        );

        assert_eq!(&*store.read("batch.json", None).unwrap(), b"record");
        assert_eq!(&*store.read("batch.json", Some(1..3)).unwrap(), b"ec");
        assert_eq!(&*store.read("seal.json", Some(2..99)).unwrap(), b"al");
        for name in ["packs/000000.zip", "b", "index/000000.csv"] {
            assert!(matches!(store.read(name, None), Err(StoreError::NotFound { .. })));
        }
        let mut listed = Vec::new();
        store.list("", &mut |object| listed.push(object.name)).unwrap();
        assert_eq!(listed, ["batch.json", "seal.json"]);
        assert_eq!(store.clone().octets(), 5 + 5 + 6 + 5 + 4);
        store.remove("seal.json").unwrap();
        assert!(!store.exists("seal.json").unwrap());
    }
}
