//! Generations: the bundles of a batch made anew around the same keys and certificates, for other recipients or with
//! other files.
//!
//! ```text
//!   newest sealed generation ─► claims ─► open ─► bundle anew ─► store ─► read back ─► seal ─► shred what was before
//! ```
//!
//! No device gets a second identity: claims count for all generations, and what a station has in hand, or has flashed or
//! scrapped, stays out of the new one. One that failed is in nobody's hands: it is made anew as all others, and its claim says
//! on who had it. A station that takes it up again meanwhile has it by that claim, as one that nobody had before. Whoever makes a generation has a folder of his own, so two never meet; the one
//! whose seal is in place first has made it. Until then the generation before holds, and from then on the new one,
//! wherever somebody is stopped: the keys of the one before go when the new one was read back and sealed.

mod chunk;
mod claims;
mod error;
mod opened;
mod own_files;
mod shred;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use data_encoding::HEXLOWER;
use rayon::prelude::*;
use time::OffsetDateTime;

pub use error::GenerationError;
pub use opened::Newest;

use crate::batch::{
    BATCH_OBJECT, BatchRecord, CLAIMS, GenerationFolder, SEAL_OBJECT, SHARED_OBJECT, device_of,
};
use crate::bundle::encryption::Identities;
use crate::bundle::shared_archive;
use crate::digest::sha256;
use crate::engine::Random;
use crate::forge::{Cancel, Event, Observe, delivered, put_lookups};
use crate::issuer::Issuer;
use crate::manifest::DeviceId;
use crate::profile::Profile;
use crate::seal::{Builder, OfGeneration, sign};
use crate::store::{Store, read_withdrawn};
use chunk::Making;
use shred::LeftOut;

/// What shall be made.
pub struct Remake<'a> {
    /// What bundles are to be like. Of what certificates say it has nothing new.
    pub profile: &'a Profile,
    /// The issuer of the batch or, once that is retired, the CA above it.
    pub signer: &'a Issuer,
    /// By which the bundles are read, if they are encrypted.
    pub identities: Option<&'a Identities>,
    pub now: OffsetDateTime,
}

/// A generation that is in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remade {
    /// Counted from 1.
    pub generation: u32,
    pub devices: u64,
    /// Devices whose bundle stays where it was, since a station has them.
    pub left: u64,
    /// Devices whose bundle stays where it was since a station had them, and which have failed since.
    pub failed: u64,
    /// Devices that were flashed or scrapped before: no generation has a bundle of them any more.
    pub ended: u64,
    /// Whether it was there before, and only what it replaces was removed.
    pub before: bool,
    /// SHA-256 of its seal.
    pub seal_sha256: [u8; 32],
}

/// An attempt that is abandoned unless it comes so far that it may be sealed.
struct Attempted<'a> {
    newest: &'a Newest,
    folder: &'a GenerationFolder,
    is_over: bool,
}

impl Drop for Attempted<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.newest.abandon(self.folder);
        }
    }
}

/// Devices by their chunk.
type ByChunk = BTreeMap<u64, BTreeSet<DeviceId>>;

impl Newest {
    /// Makes a generation behind the newest, and removes the keys of those before. One that is as it shall be already is
    /// not made again.
    ///
    /// # Errors
    ///
    /// When a bundle cannot be read, or is not as it was sealed; when something cannot be written; when somebody else was
    /// faster. Then the generation before holds.
    pub fn remake(
        &self,
        job: &Remake<'_>,
        observe: Observe<'_>,
        cancel: &Cancel,
    ) -> Result<Remade, GenerationError> {
        // What was sealed holds, whoever asks: what is left of before goes.
        if self.is_as(job.profile) {
            let out = shred::all_before(self)?;
            shred::ended(self, &self.claimed()?)?;
            return Ok(self.remade(&out, true));
        }
        self.refuse_unfit(job)?;
        let claimed = self.claimed()?;
        let number = self.generation().number() + 1;
        let mut attempt = [0; 8];
        Random.fill(&mut attempt)?;
        let folder = GenerationFolder::new(number, &HEXLOWER.encode(&attempt)).expect("it is hexadecimal");
        let store = self.batch().of_generation(&folder);
        let mut attempt = Attempted {
            newest: self,
            folder: &folder,
            is_over: false,
        };
        let made = self.make(job, (&store, &folder), &claimed, observe, cancel);
        // Whoever is faster removes what others have begun, and what it was made of.
        let seal = match made {
            Err(error) if error.is_of_store() && self.is_overtaken() => return Err(self.faster(&folder)),
            made => made?,
        };
        // From here on it may be sealed.
        attempt.is_over = true;
        self.seal((&store, &folder), &seal)?;
        let newest = self.with(&seal)?;
        let out = shred::all_before(&newest)?;
        // What became of devices meanwhile.
        shred::ended(&newest, &newest.claimed()?)?;
        Ok(newest.remade(&out, false))
    }

    fn remade(&self, out: &LeftOut, before: bool) -> Remade {
        Remade {
            generation: self.generation().number(),
            devices: self.record().rows - out.held - out.failed - out.ended,
            left: out.held,
            failed: out.failed,
            ended: out.ended,
            before,
            seal_sha256: self.generation().sha256,
        }
    }

    /// Makes the bundles and reads them back. Returns the seal to be.
    fn make(
        &self,
        job: &Remake<'_>,
        (store, folder): (&Store, &GenerationFolder),
        claimed: &ByChunk,
        observe: Observe<'_>,
        cancel: &Cancel,
    ) -> Result<Vec<u8>, GenerationError> {
        // 1. What it is.
        let profile = own_files::filled(self, job.profile, job.identities)?;
        let issuer = self.issuer();
        let shared = shared_archive(profile.recipe(), &profile.shared(issuer.der()))?;
        let layout = delivered(self.record().layout, &profile);
        let record = BatchRecord {
            layout,
            profile: profile.config().clone(),
            profile_sha256: HEXLOWER.encode(&profile.digest()),
            shared_sha256: shared.as_deref().map(|octets| HEXLOWER.encode(&sha256(octets))),
            ..self.record().clone()
        };
        let json = record.to_json();
        let mut objects = vec![(BATCH_OBJECT.to_owned(), json.clone())];
        objects.extend(shared.map(|octets| (SHARED_OBJECT.to_owned(), octets)));
        store.publish(&objects).into_iter().collect::<Result<(), _>>()?;

        // 2. Make, chunk by chunk, on all cores.
        let making = Making::new(self, (&profile, &record), (store, folder), job)?;
        observe(Event::Begun {
            batch: record.batch.clone(),
            devices: record.rows,
            skipped: 0,
        });
        let none = BTreeSet::new();
        let made = Mutex::new(Builder::new(record.rows));
        let chunks = 0..record.shape().chunks();
        let each = |chunk: u64| -> Result<(), GenerationError> {
            if cancel.is_cancelled() {
                return Err(GenerationError::Interrupted);
            }
            let digest = making.make(chunk, claimed.get(&chunk).unwrap_or(&none))?;
            made.lock().expect("no holder panics").add(digest);
            observe(Event::Released {
                devices: record.shape().rows_of(chunk),
            });
            Ok(())
        };
        chunks.into_par_iter().try_for_each(each)?;
        let builder = made.into_inner().expect("no holder panics");

        // 3. Sign for it, unless it was withdrawn meanwhile.
        self.refuse_withdrawn()?;
        let location = self.batch().location();
        let (statement, lookups) = builder.finish(&record, sha256(&json), &location, job.now)?;
        put_lookups(store, &lookups)?;
        let signer = job.signer.certificate();
        let statement = statement.of_generation(Some(OfGeneration {
            number: folder.number(),
            attempt: folder.attempt().to_owned(),
            predecessor_sha256: HEXLOWER.encode(&self.generation().sha256),
            signed_by: (signer != issuer).then(|| signer.to_pem()),
        }));
        let seal = sign(&statement, job.signer)?;
        // A signature that is not sound goes no further.
        self.generation().next(&seal, issuer)?;
        Ok(seal)
    }

    /// Puts the seal in place, with which the generation holds. Nothing of it is removed from then on: an answer that was
    /// lost may have been that it is there.
    fn seal(&self, (store, folder): (&Store, &GenerationFolder), seal: &[u8]) -> Result<(), GenerationError> {
        let is_there = match store.create(SEAL_OBJECT, seal) {
            Err(error) => match store.read(SEAL_OBJECT, None) {
                Ok(found) => *found == seal,
                Err(_) => return Err(error.into()),
            },
            Ok(is_there) => is_there,
        };
        if is_there {
            return Ok(());
        }
        self.abandon(folder);
        Err(self.faster(folder))
    }

    /// Whether somebody else's generation stands behind this one.
    fn is_overtaken(&self) -> bool {
        self.batch().read(&self.generation().next_object(), None).is_ok()
    }

    fn faster(&self, folder: &GenerationFolder) -> GenerationError {
        GenerationError::Faster {
            location: self.batch().location(),
            generation: folder.number(),
        }
    }

    /// Removes what an attempt has made that nobody will go on with: it holds keys.
    fn abandon(&self, folder: &GenerationFolder) {
        if let Err(error) = shred::attempt(self.batch(), folder) {
            tracing::warn!(%error, %folder, "what was made is left behind, with keys in it");
        }
    }

    /// Sees that what shall be made can be made of what there is.
    fn refuse_unfit(&self, job: &Remake<'_>) -> Result<(), GenerationError> {
        self.refuse_withdrawn()?;
        let signer = job.signer.certificate();
        let issuer = self.issuer();
        if signer != issuer && !issuer.is_issued_by(signer) {
            return Err(GenerationError::OtherSigner {
                signer: signer.subject_text().to_owned(),
                issuer: issuer.subject_text().to_owned(),
            });
        }
        if !self.profile().certifies_as(job.profile) {
            return Err(GenerationError::OtherCertificates {
                profile: job.profile.name().to_owned(),
            });
        }
        self.check_identities(job.identities)
    }

    fn refuse_withdrawn(&self) -> Result<(), GenerationError> {
        match read_withdrawn(self.batch())? {
            None => Ok(()),
            Some(record) => Err(GenerationError::Withdrawn {
                batch: self.record().batch.clone(),
                at: record.withdrawn_at,
            }),
        }
    }

    /// The devices that have a claim.
    fn claimed(&self) -> Result<ByChunk, GenerationError> {
        let mut claimed = ByChunk::new();
        self.batch().list(CLAIMS, &mut |listed| {
            if let Some((chunk, device_id)) = device_of(&listed.name, CLAIMS) {
                claimed.entry(chunk).or_default().insert(device_id);
            }
        })?;
        Ok(claimed)
    }
}
