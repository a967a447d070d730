//! Stores: where a batch's objects go.
//!
//! A [`Store`] holds one batch: named objects under one folder. What it promises is written here, once:
//! whose objects a write may replace, what counts as done, and what becomes of keys that were replaced. How
//! octets travel is the affair of its [`Transport`]: a folder, a bucket in S3, or memory for tests.
//!
//! To add a store: one file (or folder) with a type that implements [`Transport`], a [`Place`] by which a user
//! names it, and its line in [`open`]. What speaks to a network finds attempts and throttle in `request`.

mod batches;
mod bucket_policy;
mod dir;
mod error;
mod generation;
pub mod memory;
mod options;
mod place;
mod put;
mod reading;
#[cfg(feature = "s3")]
mod request;
#[cfg(feature = "s3")]
mod s3;
mod transport;
mod withdrawal;

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::batch::{GenerationFolder, most_octets};

pub use batches::batches;
pub use bucket_policy::{Bucket, EXPIRY_TAG, Lifecycle, MAX_MANAGED_POLICY, Policy, role_partition};
pub use dir::Dir;
pub use error::StoreError;
#[cfg(feature = "s3")]
pub use options::Credentials;
pub use options::{ATTEMPT_TIMEOUT, DEFAULT_UPLOADS, Encryption, StoreOptions};
pub use place::{Place, PlaceError, is_location};
pub use put::{Aside, Attempt, Ticket};
pub use reading::{ReadError, read_index, read_record, released_chunks};
pub use transport::{
    ALIGNMENT, Body, FEW, Found, Got, How, Listed, Lot, Manner, Move, Object, Outcome, Putting, Release,
    Replaced, Transport, Version, When,
};
pub use withdrawal::{put_withdrawn, read_withdrawn};

/// Opens the batch at a place. Nothing is asked of it yet.
///
/// # Errors
///
/// When it cannot be reached with these options.
pub fn open(place: &Place, options: &StoreOptions) -> Result<Store, StoreError> {
    match place {
        Place::Folder(folder) => Ok(match options.ledger {
            Some(_) => Store::in_folder(folder.clone()),
            None => Store::over(Dir::found(folder.clone())),
        }),
        #[cfg(feature = "s3")]
        Place::S3 { bucket, prefix } => Ok(Store::over(s3::S3::open(bucket, prefix, options)?)),
        #[cfg(not(feature = "s3"))]
        Place::S3 { .. } => Err(StoreError::NotBuilt {
            place: place.clone(),
            feature: "s3",
        }),
    }
}

/// Holds the objects of one batch. Names are relative to the batch, with `/` between their parts.
#[derive(Clone)]
pub struct Store {
    transport: Arc<dyn Transport>,
    /// Which generation of the batch it shows; `None`: the batch itself.
    generation: Option<GenerationFolder>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.location())
    }
}

impl Store {
    /// A batch that a transport reaches.
    pub fn over(transport: impl Transport + 'static) -> Self {
        Self {
            transport: Arc::new(transport),
            generation: None,
        }
    }

    /// A batch in a folder, which is made when something is first written.
    #[must_use]
    pub fn in_folder(folder: PathBuf) -> Self {
        Self::over(Dir::new(folder))
    }

    /// Which generation of the batch it shows; `None`: the batch itself.
    #[must_use]
    pub fn generation(&self) -> Option<&GenerationFolder> {
        self.generation.as_ref()
    }

    /// Where the batch is, as a person finds it.
    #[must_use]
    pub fn location(&self) -> String {
        self.transport.locate("")
    }

    /// Refuses a place that others can get at, before anything in it is believed or keys go there.
    ///
    /// # Errors
    ///
    /// When it is a folder of somebody else, or open to others.
    pub fn refuse_exposed(&self) -> Result<(), StoreError> {
        self.transport.refuse_exposed()
    }

    /// The octets of an object, or of a range of it. They may hold private keys, so they are zeroized.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when there is none; [`StoreError::TooLarge`] when the whole has more octets than anything
    /// that is written under this name.
    pub fn read(&self, name: &str, range: Option<Range<u64>>) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        Ok(self.get(name, range)?.octets)
    }

    /// The octets of many objects, in their order: at once where that is faster.
    pub fn read_all(&self, names: &[String]) -> Vec<Result<Zeroizing<Vec<u8>>, StoreError>> {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let most = names.iter().map(|name| most_octets(name)).max().unwrap_or(0);
        let got = self.transport.get(&names, Some(0..most + 1)).into_iter();
        got.zip(names)
            .map(|(got, name)| Ok(self.bounded(got?, name, most_octets(name))?.octets))
            .collect()
    }

    /// The same, but of each no more than so many octets.
    pub fn read_starts(&self, names: &[String], octets: u64) -> Vec<Result<Zeroizing<Vec<u8>>, StoreError>> {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let got = self.transport.get(&names, Some(0..octets));
        got.into_iter().map(|got| Ok(got?.octets)).collect()
    }

    /// Whether there is an object.
    ///
    /// # Errors
    ///
    /// When nobody can tell.
    pub fn exists(&self, name: &str) -> Result<bool, StoreError> {
        match self.get(name, Some(0..1)) {
            Ok(_) => Ok(true),
            Err(StoreError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The octets of an object, and which version of it they are; it has no more than `most` octets, or than anything of its
    /// name when that is `None`.
    ///
    /// # Errors
    ///
    /// As [`Store::read`].
    pub fn read_version(
        &self,
        name: &str,
        most: Option<u64>,
    ) -> Result<(Zeroizing<Vec<u8>>, Version), StoreError> {
        let Got { octets, version } = self.get_up_to(name, most.unwrap_or_else(|| most_octets(name)))?;
        let version = version.unwrap_or_else(|| Version::of(&octets));
        Ok((octets, version))
    }

    /// Removes an object for good, every version of it. That it is gone already is no error.
    ///
    /// # Errors
    ///
    /// When it, or a version of it, may still be there.
    pub fn remove(&self, name: &str) -> Result<(), StoreError> {
        self.remove_all(&[name.to_owned()]).remove(0)
    }

    /// Removes many objects for good: at once where that is faster.
    #[must_use]
    pub fn remove_all(&self, names: &[String]) -> Vec<Result<(), StoreError>> {
        self.transport.delete(names)
    }

    /// Removes whatever is left of earlier versions of an object that held private keys, which one who
    /// replaced or removed it and was stopped may have left behind. What is there now stays.
    ///
    /// # Errors
    ///
    /// When something may still be left.
    pub fn purge(&self, name: &str) -> Result<(), StoreError> {
        self.transport.purge(name)
    }

    /// Whether anything is left of attempts that were stopped, which may hold keys, and which no listing shows.
    ///
    /// # Errors
    ///
    /// When that cannot be told.
    pub fn has_leftovers(&self) -> Result<bool, StoreError> {
        self.transport.has_leftovers()
    }

    /// Visits every object whose name begins with `prefix`, which is empty, ends in `/`, or is the whole
    /// name of an object.
    ///
    /// # Errors
    ///
    /// When the listing could not be completed.
    pub fn list(&self, prefix: &str, visit: &mut dyn FnMut(Listed)) -> Result<(), StoreError> {
        self.transport.list(prefix, visit)
    }

    /// The place in which this batch and others have their folders, to look at. `None`: it lies alone.
    #[must_use]
    pub fn around(&self) -> Option<Self> {
        let transport = self.transport.around()?.into();
        Some(Self {
            transport,
            generation: None,
        })
    }

    /// The names of the folders that lie side by side in a place of several batches, in order.
    ///
    /// # Errors
    ///
    /// When the listing could not be completed.
    pub fn folders(&self) -> Result<Vec<String>, StoreError> {
        self.transport.folders()
    }

    /// Which attempt wrote each of many objects, where that is told; `None` of one that is not there, too.
    #[must_use]
    pub fn writers(&self, names: &[String]) -> Vec<Result<Option<String>, StoreError>> {
        self.transport.writers(names)
    }

    /// Whether objects tell who wrote them; where they do not, what later attempts made was put aside.
    #[must_use]
    pub fn tells_writers(&self) -> bool {
        self.transport.tells_writers()
    }

    /// Visits what attempts that were stopped have put aside, which no listing shows: the object, and the attempt. Of a
    /// chunk that an attempt had begun to release, the index and the attempt.
    ///
    /// # Errors
    ///
    /// When it could not be listed.
    pub fn list_aside(&self, visit: &mut dyn FnMut(&str, &str)) -> Result<(), StoreError> {
        self.transport.list_aside(visit)
    }

    fn get(&self, name: &str, range: Option<Range<u64>>) -> Result<Got, StoreError> {
        match range {
            Some(range) => self.transport.get(&[name], Some(range)).remove(0),
            None => self.get_up_to(name, most_octets(name)),
        }
    }

    /// A whole object, which has no more than so many octets.
    fn get_up_to(&self, name: &str, most: u64) -> Result<Got, StoreError> {
        let got = self.transport.get(&[name], Some(0..most + 1)).remove(0)?;
        self.bounded(got, name, most)
    }

    fn bounded(&self, got: Got, name: &str, most: u64) -> Result<Got, StoreError> {
        match got.octets.len() as u64 <= most {
            true => Ok(got),
            false => Err(StoreError::TooLarge {
                object: self.transport.locate(name),
                most,
            }),
        }
    }
}
