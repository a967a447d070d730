//! A sealed batch, opened to be made anew: its generations, and what the newest is like.

use super::GenerationError;
use crate::batch::{BATCH_OBJECT, BatchRecord, IndexEntry, ReadRecord, SEAL_OBJECT, index_object};
use crate::bundle::encryption::{Identities, short_ids};
use crate::issuer::CaCertificate;
use crate::profile::{Passwords, Profile};
use crate::seal::Generation;
use crate::store::{Store, StoreError, is_location, read_record};

/// A batch whose newest generation is known.
#[derive(Debug)]
pub struct Newest {
    batch: Store,
    issuer: CaCertificate,
    record: BatchRecord,
    profile: Profile,
    /// All that there are; the newest last.
    generations: Vec<Generation>,
}

impl Newest {
    /// Opens the batch that an issuer has sealed; `moved`: it is no copy, though it is reached by another path than when it
    /// was sealed.
    ///
    /// # Errors
    ///
    /// When it is not sealed, is another issuer's, or lies elsewhere.
    pub fn open(batch: Store, issuer: &CaCertificate, moved: bool) -> Result<Self, GenerationError> {
        batch.refuse_exposed()?;
        let location = batch.location();
        let octets = match batch.read(SEAL_OBJECT, None) {
            Err(StoreError::NotFound { .. }) => {
                // It is no batch at all, or not sealed.
                read_record(&batch)?;
                return Err(GenerationError::NotSealed { location });
            }
            other => other?,
        };
        let first = Generation::first(&octets, issuer)?;
        let generations = read_on(&batch, first, issuer)?;
        let newest = generations.last().expect("the first is among them");
        let sealed = &newest.seal.statement().location;
        if !is_location(sealed, &location) && !moved {
            return Err(GenerationError::Moved {
                sealed: sealed.clone(),
                location,
            });
        }
        let record = sight(&batch, newest).read(BATCH_OBJECT, None)?;
        let ReadRecord {
            record,
            profile,
            issuer,
        } = newest.seal.record(&record)?;
        Ok(Self {
            batch,
            issuer,
            record,
            profile,
            generations,
        })
    }

    /// The same, with a seal that was just put behind the newest.
    pub(super) fn with(&self, seal: &[u8]) -> Result<Self, GenerationError> {
        let next = self.generation().next(seal, &self.issuer)?;
        let record = sight(&self.batch, &next).read(BATCH_OBJECT, None)?;
        let read = next.seal.record(&record)?;
        let mut generations = self.generations.clone();
        generations.push(next);
        Ok(Self {
            batch: self.batch.clone(),
            issuer: self.issuer.clone(),
            record: read.record,
            profile: read.profile,
            generations,
        })
    }

    /// Takes the passwords of files, by which its bundles are opened.
    ///
    /// # Errors
    ///
    /// When none of them asks for one.
    pub fn unlock(&mut self, passwords: &Passwords) -> Result<(), GenerationError> {
        self.profile = self.profile.with_passwords(passwords)?;
        Ok(())
    }

    /// The store, as the batch has it.
    #[must_use]
    pub fn batch(&self) -> &Store {
        &self.batch
    }

    /// What the newest generation is.
    #[must_use]
    pub fn record(&self) -> &BatchRecord {
        &self.record
    }

    /// What its bundles are like.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    #[must_use]
    pub fn issuer(&self) -> &CaCertificate {
        &self.issuer
    }

    pub(super) fn generation(&self) -> &Generation {
        self.generations.last().expect("the first is among them")
    }

    /// Those before the newest, each with the store as it has it.
    pub(super) fn before(&self) -> impl Iterator<Item = (&Generation, Store)> {
        let before = &self.generations[..self.generations.len() - 1];
        before
            .iter()
            .map(|generation| (generation, sight(&self.batch, generation)))
    }

    /// Of the newest generation: 0 of the bundles that were made with the batch.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.generation().number()
    }

    /// The store as the newest generation has it.
    #[must_use]
    pub fn sight(&self) -> Store {
        sight(&self.batch, self.generation())
    }

    /// The devices of a chunk, in row order, as the newest generation has them.
    pub(super) fn rows(&self, store: &Store, chunk: u64) -> Result<Vec<IndexEntry>, GenerationError> {
        let index = store.read(&index_object(chunk), None)?;
        Ok(self.generation().seal.index(chunk, &index)?)
    }

    /// Whether the newest generation is what this profile makes.
    pub(super) fn is_as(&self, profile: &Profile) -> bool {
        self.generation().folder.is_some() && self.profile.digest() == profile.digest()
    }

    /// Sees that the bundles can be read.
    pub(super) fn check_identities(&self, given: Option<&Identities>) -> Result<(), GenerationError> {
        if !self.record.layout.is_encrypted() {
            return Ok(());
        }
        let recipients = self.profile.recipients();
        match given {
            None => Err(GenerationError::NoIdentity {
                recipients: short_ids(recipients),
            }),
            Some(own) if !own.are_among(recipients) => Err(GenerationError::SomebodyElse {
                recipients: short_ids(recipients),
                own: own.short_ids(),
            }),
            Some(_) => Ok(()),
        }
    }
}

/// The store as a generation has it.
fn sight(batch: &Store, generation: &Generation) -> Store {
    batch.seen_as(generation.folder.as_ref())
}

/// All generations of a batch, of which the first was read.
fn read_on(
    batch: &Store,
    first: Generation,
    issuer: &CaCertificate,
) -> Result<Vec<Generation>, GenerationError> {
    let mut generations = vec![first];
    while let Some(last) = generations.last() {
        match batch.read(&last.next_object(), None) {
            Ok(octets) => generations.push(last.next(&octets, issuer)?),
            Err(StoreError::NotFound { .. }) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(generations)
}
