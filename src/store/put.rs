//! Writes: what each may replace, and what counts as done.

use zeroize::Zeroizing;

use super::transport::{
    Body, FEW, Found, How, Lot, Manner, Move, Object, Outcome, Putting, RELEASE, Release, Replaced, Version,
    When,
};
use super::{Store, StoreError};

/// Times that a write looks at what is in its way. Twice is enough unless others write there too.
const LOOKS: u32 = 5;

/// An attempt at a chunk. What earlier attempts left behind is replaced, and nothing else: what somebody
/// else put there stays, and the call fails with [`StoreError::Conflict`].
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// A name that no other attempt has, whoever made it.
    pub name: &'a str,
    pub earlier: &'a [String],
}

/// What a write may replace.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Overwrites {
    Nothing,
    /// What these attempts left behind.
    OfAttempts(Vec<String>),
    /// The version that its condition names, and no other.
    Known,
}

/// What comes of a put that has ended.
enum Next {
    /// Whether the object is there now.
    Known(Result<bool, StoreError>),
    /// It is tried once more, under this condition.
    Again(When, Option<Body>),
}

impl Overwrites {
    /// A put that was refused looks at what is in its way. Its own content is no obstacle: an answer that was
    /// lost looks exactly so. What it may replace it replaces, if that stays as it is.
    fn judge(&self, ended: Result<Outcome, StoreError>) -> Next {
        let (found, body) = match ended {
            Ok(Outcome::Stored) => return Next::Known(Ok(true)),
            Ok(Outcome::Refused { found, body }) => (found, body),
            Err(error) => return Next::Known(Err(error)),
        };
        match found {
            Some(found) if found.is_same => Next::Known(Ok(true)),
            Some(found) if self.allows(&found) => {
                Next::Again(When::Is(found.version, Replaced::Forgotten), body)
            }
            // What was in the way is gone.
            None if *self != Self::Known => Next::Again(When::Absent, body),
            _ => Next::Known(Ok(false)),
        }
    }

    fn allows(&self, found: &Found) -> bool {
        match self {
            Self::Nothing | Self::Known => false,
            Self::OfAttempts(attempts) => found
                .attempt
                .as_ref()
                .is_some_and(|attempt| attempts.contains(attempt)),
        }
    }
}

/// What of a chunk does not lie in its place yet, and what is to go when it does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Aside {
    moves: Vec<Move>,
    stale: Vec<String>,
    attempt: String,
    earlier: Vec<String>,
}

/// Stands for the objects of one [`Store::put`] until they are flushed.
pub struct Ticket {
    lot: Lot,
    attempt: String,
    overwrites: Overwrites,
    aside: Aside,
    /// What was under way when the put returned. Bodies are the transport's.
    under_way: Vec<(Object<'static>, Putting)>,
}

impl Store {
    /// Takes the objects of a chunk. They may not be written yet when this returns, and not durable:
    /// [`Store::flush`] tells. It may wait until there is room for them.
    ///
    /// # Errors
    ///
    /// When one could not be written; what is then there under the names of the chunk is undefined.
    pub fn put(&self, objects: &[Object<'_>], attempt: Attempt<'_>) -> Result<Ticket, StoreError> {
        let names: Vec<&str> = objects.iter().map(|object| object.name.as_str()).collect();
        let aside = self.aside(&names, attempt);
        let renamed: Vec<Object<'_>>;
        let (objects, overwrites) = match (attempt.earlier, aside.moves.as_slice()) {
            ([], _) => (objects, Overwrites::Nothing),
            (earlier, []) => (objects, Overwrites::OfAttempts(earlier.to_vec())),
            // It replaces nothing until its chunk is released.
            (_, moves) => {
                let objects = objects.iter().zip(moves).map(|(object, to)| Object {
                    name: to.aside.clone(),
                    ..object.clone()
                });
                renamed = objects.collect();
                (renamed.as_slice(), Overwrites::Nothing)
            }
        };
        let how = bulk(attempt.name);
        let mut under_way = Vec::new();
        for (object, putting) in objects.iter().zip(self.transport.put(objects, &how)) {
            match putting {
                Putting::Ended(Ok(Outcome::Stored)) => {}
                Putting::Ended(outcome) => {
                    let object = std::slice::from_ref(object);
                    let putting = vec![Putting::Ended(outcome)];
                    self.all_there(object, self.see_through(object, putting, &how, &overwrites))?;
                }
                putting @ Putting::UnderWay(_) => {
                    let of_transport = Object {
                        name: object.name.clone(),
                        body: &[],
                        sha256: object.sha256,
                    };
                    under_way.push((of_transport, putting));
                }
            }
        }
        Ok(Ticket {
            lot: match objects.len() {
                0..=FEW => Lot::Few(objects.iter().map(|object| object.name.clone()).collect()),
                _ => Lot::Many,
            },
            attempt: attempt.name.to_owned(),
            overwrites,
            aside,
            under_way,
        })
    }

    /// What an attempt at a chunk has put aside, of objects with these names.
    #[must_use]
    pub fn aside(&self, names: &[&str], attempt: Attempt<'_>) -> Aside {
        if self.transport.tells_writers() || attempt.earlier.is_empty() {
            return Aside {
                attempt: attempt.name.to_owned(),
                ..Aside::default()
            };
        }
        let to = |name: &str| Move {
            aside: aside_name(name, attempt.name),
            name: name.to_owned(),
        };
        // The first of all put nothing aside.
        let before = attempt.earlier[1..].iter();
        Aside {
            moves: names.iter().copied().map(to).collect(),
            stale: before
                .flat_map(|earlier| names.iter().map(|name| aside_name(name, earlier)))
                .collect(),
            attempt: attempt.name.to_owned(),
            earlier: attempt.earlier.to_vec(),
        }
    }

    /// The octets of what was put aside, or of what lies in its place already.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when there is neither.
    #[must_use]
    pub fn read_aside(&self, names: &[String], aside: &Aside) -> Vec<Result<Zeroizing<Vec<u8>>, StoreError>> {
        if aside.moves.is_empty() {
            return self.read_all(names);
        }
        let is_of = |name: &String| aside.moves.iter().find(|to| to.name == *name);
        let read = |name| match is_of(name).map(|to| self.read(&to.aside, None)) {
            None | Some(Err(StoreError::NotFound { .. })) => self.read(name, None),
            Some(other) => other,
        };
        names.iter().map(read).collect()
    }

    /// Makes durable what was put with these tickets. Tells of each ticket, in their order, whether all
    /// its objects are durable, and what of them is to take its place when they are released.
    #[must_use]
    pub fn flush(&self, tickets: Vec<Ticket>) -> Vec<Result<Aside, StoreError>> {
        let mut lots = Vec::with_capacity(tickets.len());
        let mut results = Vec::with_capacity(tickets.len());
        for ticket in tickets {
            let how = bulk(&ticket.attempt);
            let (objects, puttings): (Vec<_>, Vec<_>) = ticket.under_way.into_iter().unzip();
            let seen = self.see_through(&objects, puttings, &how, &ticket.overwrites);
            let result = self.all_there(&objects, seen).map(|()| ticket.aside);
            if result.is_ok() {
                lots.push(ticket.lot);
            }
            results.push(result);
        }
        let mut synced = self.transport.sync(&lots).into_iter();
        for result in results.iter_mut().filter(|result| result.is_ok()) {
            if let Err(error) = synced.next().expect("each lot has its answer") {
                *result = Err(error);
            }
        }
        results
    }

    /// Releases chunks whose objects are durable, each with the name and the content of its index: what was put
    /// aside takes its place, then the index is put, unless another is there. Tells of each, in their order, whether
    /// it is released now.
    #[must_use]
    pub fn release(&self, chunks: &[(String, Vec<u8>, Aside)]) -> Vec<Result<(), StoreError>> {
        let releases = chunks.iter().map(|(name, index, aside)| Release {
            index: object(name, index),
            moves: &aside.moves,
            stale: &aside.stale,
            attempt: &aside.attempt,
            earlier: &aside.earlier,
        });
        let releases: Vec<Release<'_>> = releases.collect();
        let indexes: Vec<Object<'_>> = releases.iter().map(|release| release.index.clone()).collect();
        let puttings = self.transport.release(&releases);
        let seen = self.see_through(&indexes, puttings, &RELEASE, &Overwrites::Nothing);
        seen.into_iter()
            .zip(&indexes)
            .map(|(is_there, index)| self.there(&index.name, is_there?))
            .collect()
    }

    /// Puts an object in place that must not be there yet, atomically and durably. Returns whether it is
    /// there now; `false` when there is one with other content, which is left as it is.
    ///
    /// # Errors
    ///
    /// When it may or may not be in place.
    pub fn create(&self, name: &str, body: &[u8]) -> Result<bool, StoreError> {
        self.put_one("create", name, body, When::Absent, &Overwrites::Nothing)
    }

    /// Puts objects in place that must not be there yet with other content, atomically, each whole or not at all, and
    /// durable when it returns. Tells of each object, in their order, whether it is in place.
    #[must_use]
    pub fn publish(&self, objects: &[(String, Vec<u8>)]) -> Vec<Result<(), StoreError>> {
        let objects = objects.iter().map(|(name, body)| object(name, body));
        let objects: Vec<Object<'_>> = objects.collect();
        let puttings = self.transport.put(&objects, &RELEASE);
        let seen = self.see_through(&objects, puttings, &RELEASE, &Overwrites::Nothing);
        seen.into_iter()
            .zip(&objects)
            .map(|(is_there, object)| self.there(&object.name, is_there?))
            .collect()
    }

    /// Replaces an object, atomically and durably, if it still is this version. Returns whether the new
    /// content is there now; `false` when something else is, which is left as it is.
    ///
    /// # Errors
    ///
    /// When it may or may not be in place.
    pub fn replace(
        &self,
        name: &str,
        body: &[u8],
        version: &Version,
        replaced: Replaced,
    ) -> Result<bool, StoreError> {
        let when = When::Is(version.clone(), replaced);
        let is_there = self.put_one("replace", name, body, when, &Overwrites::Known)?;
        if is_there && replaced == Replaced::Shredded {
            self.purge(name)?;
        }
        Ok(is_there)
    }

    fn put_one(
        &self,
        operation: &'static str,
        name: &str,
        body: &[u8],
        when: When,
        overwrites: &Overwrites,
    ) -> Result<bool, StoreError> {
        let how = How {
            operation,
            manner: Manner::Atomic,
            when,
            attempt: None,
        };
        let objects = [object(name, body)];
        let puttings = self.transport.put(&objects, &how);
        self.see_through(&objects, puttings, &how, overwrites).remove(0)
    }

    /// Sees puts through to their end, and those that are to be tried once more, at once. Tells of each object
    /// whether it is there now.
    fn see_through(
        &self,
        objects: &[Object<'_>],
        puttings: Vec<Putting>,
        how: &How<'_>,
        overwrites: &Overwrites,
    ) -> Vec<Result<bool, StoreError>> {
        let mut results: Vec<Result<bool, StoreError>> = puttings.iter().map(|_| Ok(false)).collect();
        let mut open: Vec<(usize, Putting)> = puttings.into_iter().enumerate().collect();
        for look in 1..=LOOKS {
            let mut again = Vec::new();
            for (i, putting) in open {
                let of = &objects[i];
                match overwrites.judge(putting.end()) {
                    Next::Known(result) => results[i] = result,
                    Next::Again(..) if look == LOOKS => results[i] = Err(self.conflict(&of.name)),
                    Next::Again(when, body) => {
                        let body = body.as_ref().map_or(of.body, |body| (*body.0).as_ref());
                        let object = Object { body, ..of.clone() };
                        let how = How { when, ..how.clone() };
                        again.push((i, self.transport.put(&[object], &how).remove(0)));
                    }
                }
            }
            open = again;
        }
        results
    }

    fn all_there(
        &self,
        objects: &[Object<'_>],
        seen: Vec<Result<bool, StoreError>>,
    ) -> Result<(), StoreError> {
        let mut seen = seen.into_iter().zip(objects);
        seen.try_for_each(|(is_there, object)| self.there(&object.name, is_there?))
    }

    fn there(&self, name: &str, is_there: bool) -> Result<(), StoreError> {
        match is_there {
            true => Ok(()),
            false => Err(self.conflict(name)),
        }
    }

    /// Another object is in the way of this one.
    fn conflict(&self, name: &str) -> StoreError {
        StoreError::Conflict {
            object: self.transport.locate(name),
        }
    }
}

fn bulk(attempt: &str) -> How<'_> {
    How {
        operation: "write",
        manner: Manner::Bulk,
        when: When::Absent,
        attempt: Some(attempt),
    }
}

/// Where an attempt puts an object aside: it begins with a dot, so it is no object.
fn aside_name(name: &str, attempt: &str) -> String {
    let (folder, file) = name
        .rsplit_once('/')
        .map_or(("", name), |(folder, file)| (folder, file));
    let gap = if folder.is_empty() { "" } else { "/" };
    format!("{folder}{gap}.{file}.{attempt}.tmp")
}

fn object<'a>(name: &str, body: &'a [u8]) -> Object<'a> {
    Object {
        name: name.to_owned(),
        body,
        sha256: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::{Fault, Memory};

    fn put(store: &Store, name: &str, body: &[u8], attempt: Attempt<'_>) -> Result<(), StoreError> {
        let ticket = store.put(&[object(name, body)], attempt)?;
        store.flush(vec![ticket]).remove(0).map(drop)
    }

    fn is_conflict<T>(result: &Result<T, StoreError>) -> bool {
        matches!(result, Err(StoreError::Conflict { .. }))
    }

    #[test]
    fn an_attempt_replaces_what_those_before_it_left_and_nothing_else() {
        let store = Memory::default().store();
        let earlier = ["1".to_owned(), "2".to_owned()];
        let (first, third, other) = (("1", &earlier[..0]), ("3", &earlier[..]), ("4", &earlier[..1]));
        for (i, ((name, earlier), body, holds)) in [
            (first, "one", true),
            (first, "one", true),
            (first, "two", false),
            (third, "three", true),
            (other, "four", false),
            (other, "three", true),
        ]
        .into_iter()
        .enumerate()
        {
            let attempt = Attempt { name, earlier };
            let result = put(&store, "packs/000000.zip", body.as_bytes(), attempt);
            assert_eq!(result.is_ok(), holds, "{i}: {result:?}");
            assert_eq!(is_conflict(&result), !holds, "{i}: {result:?}");
        }
        assert_eq!(**store.read("packs/000000.zip", None).unwrap(), *b"three");
    }

    #[test]
    fn one_ticket_fails_and_the_others_do_not() {
        let memory = Memory::default();
        let store = memory.store();
        memory.fail(|call| (call.name == "b").then_some(Fault::Torn));
        let attempt = Attempt {
            name: "1",
            earlier: &[],
        };
        let tickets = ["a", "b", "c"].map(|name| store.put(&[object(name, b"key")], attempt).unwrap());
        let flushed = store.flush(tickets.into());
        assert!(matches!(flushed[..], [Ok(_), Err(StoreError::Io { .. }), Ok(_)]));
    }

    #[test]
    fn what_is_published_replaces_nothing() {
        let store = Memory::default().store();
        let publish = |body: &[u8]| {
            let record = [("seal.json".to_owned(), body.to_vec())];
            store.publish(&record).remove(0)
        };
        publish(b"first").unwrap();
        assert!(is_conflict(&publish(b"second")));
        publish(b"first").expect("it is what was to be there");
        assert_eq!(**store.read("seal.json", None).unwrap(), *b"first");
    }

    #[test]
    fn of_a_version_that_is_shredded_nothing_is_left_or_it_is_said() {
        let memory = Memory::default();
        let store = memory.store();
        assert!(store.create("packs/0.zip", b"keys").unwrap());
        let version = || store.read_version("packs/0.zip", None).unwrap().1;
        let replace = |body: &[u8], replaced| store.replace("packs/0.zip", body, &version(), replaced);
        assert!(replace(b"0001", Replaced::Forgotten).unwrap());
        assert_eq!(memory.versions("packs/0.zip"), 2);
        assert!(replace(b"0002", Replaced::Shredded).unwrap());
        assert_eq!(memory.versions("packs/0.zip"), 1);
        memory.fail(|call| (call.operation == "purge").then_some(Fault::Torn));
        assert!(replace(b"0003", Replaced::Shredded).is_err());
        memory.restart();
        store.purge("packs/0.zip").unwrap();
        assert_eq!(memory.versions("packs/0.zip"), 1);
        assert_eq!(**store.read("packs/0.zip", None).unwrap(), *b"0003");
    }
}
