//! Transports: how objects get to one kind of place, and back.
//!
//! A transport does as it is told, object by object, under a condition that it holds atomically. What may be
//! replaced, what counts as done, and what is tried once more is the affair of [`Store`](super::Store).

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use data_encoding::HEXLOWER;
use zeroize::Zeroizing;

use super::StoreError;
use crate::digest::sha256;

/// Reaches the objects of one batch. Names are relative to the batch, with `/` between their parts.
pub trait Transport: Send + Sync {
    /// An object as a person finds it, a path or a URL; of an empty name, the batch.
    fn locate(&self, name: &str) -> String;

    /// Refuses a place that others can get at, if it is one that exists and can tell. It is asked before keys go there.
    ///
    /// # Errors
    ///
    /// When others can.
    fn refuse_exposed(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Whether an object tells who wrote it, as [`Found`] has it. Where it does not, an attempt that has predecessors
    /// puts its objects aside, and they take their place when its chunk is released.
    fn tells_writers(&self) -> bool;

    /// The octets of objects, or of a range of each, in their order: at once where that is faster. What
    /// lies beyond the end of an object is left out. [`StoreError::NotFound`] where there is none.
    fn get(&self, names: &[&str], range: Option<Range<u64>>) -> Vec<Result<Got, StoreError>>;

    /// Puts objects, at once where that is faster, and tells of each, in their order, how it went. Of
    /// [`Manner::Bulk`], what comes after the first that failed may be left undone, without an answer.
    /// It may wait until there is room for what is under way.
    fn put(&self, objects: &[Object<'_>], how: &How<'_>) -> Vec<Putting>;

    /// Releases chunks: what was put aside takes its place, and then the index is put, atomically and durably. Nothing
    /// of a chunk is touched whose index is there already, whoever sleeps in between. Where nothing is ever put
    /// aside, that is a put.
    fn release(&self, chunks: &[Release<'_>]) -> Vec<Putting> {
        let indexes: Vec<Object<'_>> = chunks.iter().map(|chunk| chunk.index.clone()).collect();
        self.put(&indexes, &RELEASE)
    }

    /// Makes durable what was put in bulk. Tells of each lot, in their order, whether it is.
    fn sync(&self, lots: &[Lot]) -> Vec<Result<(), StoreError>>;

    /// Removes objects for good, every version of each: at once where that is faster. That one is gone
    /// already is no error.
    fn delete(&self, names: &[String]) -> Vec<Result<(), StoreError>>;

    /// Removes for good whatever is left of earlier versions of an object; what is there now stays.
    ///
    /// # Errors
    ///
    /// When something may still be left.
    fn purge(&self, name: &str) -> Result<(), StoreError>;

    /// Whether anything is left of attempts that were stopped, which may hold keys, and which no listing shows.
    ///
    /// # Errors
    ///
    /// When that cannot be told.
    fn has_leftovers(&self) -> Result<bool, StoreError> {
        Ok(false)
    }

    /// Which attempt wrote each object, in their order, where that is told: at once where that is faster. `None` of one
    /// that is not there, too.
    fn writers(&self, names: &[String]) -> Vec<Result<Option<String>, StoreError>> {
        names.iter().map(|_| Ok(None)).collect()
    }

    /// Visits what attempts that were stopped have put aside, which no listing shows: the object, and the attempt. Of a
    /// chunk that an attempt had begun to release, the index and the attempt.
    ///
    /// # Errors
    ///
    /// When it could not be listed.
    fn list_aside(&self, _visit: &mut dyn FnMut(&str, &str)) -> Result<(), StoreError> {
        Ok(())
    }

    /// Visits every object whose name begins with `prefix`, which is empty, ends in `/`, or is the whole
    /// name of an object.
    ///
    /// # Errors
    ///
    /// When the listing could not be completed.
    fn list(&self, prefix: &str, visit: &mut dyn FnMut(Listed)) -> Result<(), StoreError>;

    /// What lies around it: the place in which this batch and others have their folders, to look at. `None`: it lies alone.
    fn around(&self) -> Option<Box<dyn Transport>> {
        None
    }

    /// The names of the folders that lie side by side in it, in order: by one listing that goes into none of them, where
    /// that can be.
    ///
    /// # Errors
    ///
    /// When the listing could not be completed.
    fn folders(&self) -> Result<Vec<String>, StoreError> {
        let mut names = BTreeSet::new();
        self.list("", &mut |listed| {
            names.extend(listed.name.split_once('/').map(|(name, _)| name.to_owned()));
        })?;
        Ok(names.into_iter().collect())
    }
}

/// An object to be put.
#[derive(Clone)]
pub struct Object<'a> {
    /// Relative to the batch, with `/` between its parts.
    pub name: String,
    pub body: &'a [u8],
    /// Of the body, when it is known already.
    pub sha256: Option<[u8; 32]>,
}

impl fmt::Debug for Object<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Object({}, {} octets elided)", self.name, self.body.len())
    }
}

/// How objects are put.
#[derive(Debug, Clone)]
pub struct How<'a> {
    /// The word for it, should it fail.
    pub operation: &'static str,
    pub manner: Manner,
    pub when: When,
    /// Whose attempt it is, which is kept with the object where the transport can.
    pub attempt: Option<&'a str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// One of many: it may be torn until its lot is synced, and under way when the call returns.
    Bulk,
    /// Whole or not at all, and durable once it is stored.
    Atomic,
}

/// The condition of a put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// There is no object of that name.
    Absent,
    /// The object there is this version.
    Is(Version, Replaced),
}

/// A chunk that is to be released.
#[derive(Debug, Clone)]
pub struct Release<'a> {
    pub index: Object<'a>,
    /// What was put aside of it.
    pub moves: &'a [Move],
    /// What attempts before that put aside, and nobody needs: it holds private keys.
    pub stale: &'a [String],
    /// The attempt, and those before it: what another is about to replace, it leaves alone.
    pub attempt: &'a str,
    pub earlier: &'a [String],
}

/// An object that was put aside under another name, and its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    pub aside: String,
    pub name: String,
}

/// How an index is put.
pub(super) const RELEASE: How<'static> = How {
    operation: "publish",
    manner: Manner::Atomic,
    when: When::Absent,
    attempt: None,
};

/// What becomes of a version that was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaced {
    /// It is nobody's concern any more: nothing secret was in it.
    Forgotten,
    /// It held private keys: a file is overwritten, and in S3 no version is left but the new one. A
    /// transport keeps it where [`Transport::purge`] finds it, and the object keeps the settings (encryption,
    /// tags) that it was stored with.
    Shredded,
}

/// A version of an object: what a replacement holds against what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version(pub(super) String);

impl Version {
    /// The version of an object whose transport has no word for versions.
    #[must_use]
    pub fn of(octets: &[u8]) -> Self {
        Self(HEXLOWER.encode(&sha256(octets)))
    }
}

/// An object that was asked for.
#[derive(Debug, Clone)]
pub struct Got {
    /// They may hold private keys.
    pub octets: Zeroizing<Vec<u8>>,
    /// `None` where it is [`Version::of`] the octets.
    pub version: Option<Version>,
}

/// A put that was begun.
pub enum Putting {
    Ended(Result<Outcome, StoreError>),
    /// The call waits for its end.
    UnderWay(Box<dyn FnOnce() -> Result<Outcome, StoreError> + Send>),
}

impl Putting {
    /// Waits for its end.
    ///
    /// # Errors
    ///
    /// When it failed: the object may or may not be in place.
    pub fn end(self) -> Result<Outcome, StoreError> {
        match self {
            Self::Ended(outcome) => outcome,
            Self::UnderWay(wait) => wait(),
        }
    }
}

/// How a put ended.
#[derive(Debug)]
pub enum Outcome {
    Stored,
    /// Its condition does not hold.
    Refused {
        /// What is in the way; `None` when there is nothing, or nothing any more.
        found: Option<Found>,
        /// The octets, from a put that was under way: its caller may have none any more.
        body: Option<Body>,
    },
}

/// Octets to be put once more.
pub struct Body(pub Box<dyn AsRef<[u8]> + Send>);

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Body(elided)")
    }
}

/// What is in the way of a put.
#[derive(Debug, Clone)]
pub struct Found {
    pub version: Version,
    /// Whether its octets are those that were to be put.
    pub is_same: bool,
    /// The attempt that wrote it, if that is told.
    pub attempt: Option<String>,
}

/// What was put in bulk together, and is not durable yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lot {
    /// At most [`FEW`] objects, by name.
    Few(Vec<String>),
    Many,
}

/// So many objects are made durable one by one rather than all at once.
pub const FEW: usize = 64;

/// A large body that begins at a multiple of this address may be written without being copied.
pub const ALIGNMENT: usize = 4096;

/// An object as a listing finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Relative to the batch, with `/` between its parts.
    pub name: String,
    /// Octets.
    pub size: u64,
    /// Another one whenever the object is replaced.
    pub stamp: String,
}
