//! A store in memory, with faults on demand: for tests, in this crate and around it.
//!
//! It is as strict as S3: it tells who wrote an object, checks digests, and keeps every version until it is purged
//! or deleted. What is put in bulk is under way until its end is asked for, and lost by a power loss until it is
//! synced. Private keys stay in the memory of the process: nothing but a test should use it.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use zeroize::Zeroizing;

use super::transport::{
    Body, Found, Got, How, Listed, Lot, Manner, Object, Outcome, Putting, Transport, Version, When,
};
use super::{Store, StoreError};
use crate::digest::sha256;

/// What happens at a call that fails.
#[derive(Debug)]
pub enum Fault {
    /// Nothing, and this is what it says.
    Error(StoreError),
    /// What was asked, and then it says that it failed.
    Answered,
    /// Of an object that is put in bulk, half; else nothing.
    Torn,
    /// The machine stops: what was put and not synced is lost, and every call fails until [`Memory::restart`].
    PowerLoss,
}

/// A call, as whoever plans faults sees it. Each object of a call counts by itself.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The first is 1.
    pub number: usize,
    /// As in errors: `write`, `create`, `publish`, `replace`, `read`, `make durable`, `remove`, `purge`, `list`.
    pub operation: &'static str,
    pub name: &'a str,
}

/// The batch in memory. A clone is the same batch.
#[derive(Clone)]
pub struct Memory {
    batch: Arc<Mutex<Batch>>,
}

type Plan = Box<dyn FnMut(Call<'_>) -> Option<Fault> + Send>;

struct Batch {
    /// Versions of each object, the current one last.
    objects: BTreeMap<String, Vec<Kept>>,
    next_version: u64,
    calls: usize,
    plan: Plan,
    is_off: bool,
}

struct Kept {
    body: Zeroizing<Vec<u8>>,
    version: u64,
    attempt: Option<String>,
    is_durable: bool,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            batch: Arc::new(Mutex::new(Batch {
                objects: BTreeMap::new(),
                next_version: 0,
                calls: 0,
                plan: Box::new(|_| None),
                is_off: false,
            })),
        }
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memory")
    }
}

impl Memory {
    /// A store of this batch.
    #[must_use]
    pub fn store(&self) -> Store {
        Store::over(self.clone())
    }

    /// Asks `plan` at every call from now on whether it fails, and how.
    pub fn fail(&self, plan: impl FnMut(Call<'_>) -> Option<Fault> + Send + 'static) {
        self.batch().plan = Box::new(plan);
    }

    /// Goes on after a power loss, without faults.
    pub fn restart(&self) {
        let mut batch = self.batch();
        batch.plan = Box::new(|_| None);
        if std::mem::take(&mut batch.is_off) {
            batch.objects.retain(|_, versions| {
                versions.retain(|kept| kept.is_durable);
                !versions.is_empty()
            });
        }
    }

    /// How many versions of an object there are.
    #[must_use]
    pub fn versions(&self, name: &str) -> usize {
        self.batch().objects.get(name).map_or(0, Vec::len)
    }

    fn batch(&self) -> MutexGuard<'_, Batch> {
        self.batch.lock().expect("no holder panics")
    }

    /// Does a call, or fails at it. `half` does as much as happens when it is torn.
    fn call<T>(
        &self,
        operation: &'static str,
        name: &str,
        whole: impl FnOnce(&mut Batch) -> Result<T, StoreError>,
        half: impl FnOnce(&mut Batch),
    ) -> Result<T, StoreError> {
        let mut batch = self.batch();
        batch.calls += 1;
        let number = batch.calls;
        let fault = match batch.is_off {
            true => Some(Fault::PowerLoss),
            false => (batch.plan)(Call {
                number,
                operation,
                name,
            }),
        };
        match fault {
            None => return whole(&mut batch),
            Some(Fault::Error(error)) => return Err(error),
            Some(Fault::Answered) => drop(whole(&mut batch)),
            Some(Fault::Torn) => half(&mut batch),
            Some(Fault::PowerLoss) => batch.is_off = true,
        }
        Err(StoreError::Io {
            operation,
            object: self.locate(name),
            source: io::Error::other("a fault that was asked for"),
        })
    }

    fn put_one(&self, object: &Object<'_>, how: &How<'_>) -> Result<Outcome, StoreError> {
        if object.sha256.is_some_and(|digest| digest != sha256(object.body)) {
            return Err(StoreError::Refused {
                operation: how.operation,
                object: self.locate(&object.name),
                status: 400,
                code: "BadDigest".to_owned(),
                message: String::new(),
                hint: None,
            });
        }
        let put = |batch: &mut Batch, body: &[u8]| {
            batch.put(&object.name, body, how);
        };
        let whole = |batch: &mut Batch| {
            let found = batch.found(object);
            let holds = match (&how.when, &found) {
                (When::Absent, None) => true,
                (When::Is(version, _), Some(found)) => found.version == *version,
                _ => false,
            };
            if holds {
                put(batch, object.body);
                return Ok(Outcome::Stored);
            }
            let body = Zeroizing::new(object.body.to_vec());
            let body = Some(Body(Box::new(body)));
            Ok(Outcome::Refused { found, body })
        };
        let half = |batch: &mut Batch| {
            let is_there = batch.objects.contains_key(&object.name);
            if how.manner == Manner::Bulk && !is_there {
                put(batch, &object.body[..object.body.len() / 2]);
            }
        };
        self.call(how.operation, &object.name, whole, half)
    }
}

impl Batch {
    fn current(&self, name: &str) -> Option<&Kept> {
        self.objects.get(name)?.last()
    }

    fn found(&self, object: &Object<'_>) -> Option<Found> {
        let kept = self.current(&object.name)?;
        Some(Found {
            version: version(kept),
            is_same: kept.body.as_slice() == object.body,
            attempt: kept.attempt.clone(),
        })
    }

    fn put(&mut self, name: &str, body: &[u8], how: &How<'_>) {
        self.next_version += 1;
        self.objects.entry(name.to_owned()).or_default().push(Kept {
            body: Zeroizing::new(body.to_vec()),
            version: self.next_version,
            attempt: how.attempt.map(str::to_owned),
            is_durable: how.manner == Manner::Atomic,
        });
    }
}

fn version(kept: &Kept) -> Version {
    Version(kept.version.to_string())
}

impl Transport for Memory {
    fn locate(&self, name: &str) -> String {
        format!("memory:{name}")
    }

    fn tells_writers(&self) -> bool {
        true
    }

    fn get(&self, names: &[&str], range: Option<Range<u64>>) -> Vec<Result<Got, StoreError>> {
        let get = |name: &&str| {
            let whole = |batch: &mut Batch| {
                let kept = batch.current(name).ok_or_else(|| StoreError::NotFound {
                    object: self.locate(name),
                })?;
                let at =
                    |offset| usize::try_from(offset).map_or(kept.body.len(), |at| at.min(kept.body.len()));
                let range = range.clone().unwrap_or(0..u64::MAX);
                Ok(Got {
                    octets: Zeroizing::new(kept.body[at(range.start)..at(range.end)].to_vec()),
                    version: Some(version(kept)),
                })
            };
            self.call("read", name, whole, |_| {})
        };
        names.iter().map(get).collect()
    }

    fn put(&self, objects: &[Object<'_>], how: &How<'_>) -> Vec<Putting> {
        let put = |object| {
            let outcome = self.put_one(object, how);
            Putting::UnderWay(Box::new(move || outcome))
        };
        objects.iter().map(put).collect()
    }

    fn sync(&self, lots: &[Lot]) -> Vec<Result<(), StoreError>> {
        let sync = |lot: &Lot| {
            let whole = |batch: &mut Batch| {
                let is_of_lot = |name: &String| match lot {
                    Lot::Few(names) => names.contains(name),
                    Lot::Many => true,
                };
                let objects = batch.objects.iter_mut().filter(|(name, _)| is_of_lot(name));
                for kept in objects.flat_map(|(_, versions)| versions) {
                    kept.is_durable = true;
                }
                Ok(())
            };
            self.call("make durable", "", whole, |_| {})
        };
        lots.iter().map(sync).collect()
    }

    fn delete(&self, names: &[String]) -> Vec<Result<(), StoreError>> {
        let delete = |name: &String| {
            let whole = |batch: &mut Batch| {
                batch.objects.remove(name);
                Ok(())
            };
            self.call("remove", name, whole, |_| {})
        };
        names.iter().map(delete).collect()
    }

    fn purge(&self, name: &str) -> Result<(), StoreError> {
        let whole = |batch: &mut Batch| {
            if let Some(versions) = batch.objects.get_mut(name) {
                versions.drain(..versions.len() - 1);
            }
            Ok(())
        };
        self.call("purge", name, whole, |_| {})
    }

    fn writers(&self, names: &[String]) -> Vec<Result<Option<String>, StoreError>> {
        let batch = self.batch();
        let ask = |name: &String| Ok(batch.current(name).and_then(|kept| kept.attempt.clone()));
        names.iter().map(ask).collect()
    }

    fn list(&self, prefix: &str, visit: &mut dyn FnMut(Listed)) -> Result<(), StoreError> {
        let whole = |batch: &mut Batch| {
            let names: Vec<&String> = batch.objects.keys().collect();
            let found = names.into_iter().filter(|name| name.starts_with(prefix));
            let listed = |name: &String| {
                let kept = batch.current(name)?;
                Some(Listed {
                    name: name.clone(),
                    size: kept.body.len() as u64,
                    stamp: kept.version.to_string(),
                })
            };
            Ok(found.filter_map(listed).collect::<Vec<_>>())
        };
        let listed = self.call("list", prefix, whole, |_| {})?;
        // Whoever visits may ask for what was found.
        listed.into_iter().for_each(visit);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Attempt;

    #[test]
    fn a_power_loss_takes_what_was_not_synced() {
        let memory = Memory::default();
        let store = memory.store();
        let attempt = Attempt {
            name: "1",
            earlier: &[],
        };
        let put = |name: &str| {
            let object = Object {
                name: name.to_owned(),
                body: b"key",
                sha256: None,
            };
            store.put(&[object], attempt).unwrap()
        };
        assert!(store.flush(vec![put("synced")])[0].is_ok());
        put("lost");
        memory.fail(|call| (call.operation == "make durable").then_some(Fault::PowerLoss));
        assert!(store.flush(vec![put("lost too")])[0].is_err());
        assert!(store.read("synced", None).is_err(), "nothing works any more");
        memory.restart();
        let mut names = Vec::new();
        store.list("", &mut |listed| names.push(listed.name)).unwrap();
        assert_eq!(names, ["synced"]);
    }

    #[test]
    fn an_atomic_put_is_never_torn() {
        let memory = Memory::default();
        let store = memory.store();
        memory.fail(|_| Some(Fault::Torn));
        assert!(store.create("batch.json", b"record").is_err());
        memory.restart();
        assert!(!store.exists("batch.json").unwrap());
    }
}
