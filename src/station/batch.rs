//! A sealed batch, as a station reads it: nothing is believed that does not follow from the seal.
//!
//! What was read once is kept on disk, and held against the seal each time it is used.

use data_encoding::HEXLOWER;
use rustls_pki_types::CertificateDer;
use time::OffsetDateTime;

use super::StationError;
use super::bundles::{Bundles, Rows, Sight};
use super::cache::Cache;
use crate::batch::{BATCH_OBJECT, BatchRecord, Device, IndexEntry, Layout, NotRead, SEAL_OBJECT, Shape};
use crate::bundle::encryption::{Identities, decrypt, short_ids};
use crate::bundle::{self, Files, Member, OpenError, Opened};
use crate::digest::sha256;
use crate::issuer::CaCertificate;
use crate::manifest::DeviceId;
use crate::profile::rfc3339;
use crate::seal::{Generation, SealError, Trust};
use crate::store::{Store, StoreError, is_location};
use crate::verify::Standard;

/// A batch whose seal was verified, with those of its generations.
#[derive(Debug)]
pub struct SealedBatch {
    trust: Trust,
    moved: bool,
    /// Whether a seal came from the cache, so that the store may have another by now.
    is_remembered: bool,
    issuer: CaCertificate,
    /// What the newest generation is, as far as the store has said.
    newest: Bundles,
    /// Those before it, the newest of them last: they have the bundles of devices that were claimed when the next was made.
    before: Vec<Bundles>,
}

impl SealedBatch {
    /// Opens a batch, if it was sealed by the issuer that is trusted, at the place where it is; `moved`: or
    /// anywhere. `asks`: the store is asked for a newer generation than those that are remembered, as before every claim.
    pub(super) fn open(
        store: &Store,
        cache: &Cache,
        trust: Trust,
        moved: bool,
        asks: bool,
    ) -> Result<Self, StationError> {
        let location = store.location();
        let whole = Sight::new(store, cache, None);
        let issuer = match &trust {
            Trust::Certificate(certificate) => (**certificate).clone(),
            Trust::Id(id) => whole.recall(BATCH_OBJECT, |octets| shown_issuer(octets, *id))?.0,
        };
        let opened = whole.recall(SEAL_OBJECT, |octets| Generation::first(octets, &issuer));
        let (first, mut is_remembered) = match opened {
            Err(StationError::Store(StoreError::NotFound { .. })) => {
                return Err(match store.exists(BATCH_OBJECT)? {
                    true => StationError::NotSealed { location },
                    false => StationError::NoBatch { location },
                });
            }
            other => other?,
        };
        let mut generations = vec![first];
        while let Some(last) = generations.last() {
            let object = last.next_object();
            if is_remembered && !asks && cache.recall(&object).is_none() {
                break;
            }
            let next = match whole.recall(&object, |octets| last.next(octets, &issuer)) {
                Err(StationError::Store(StoreError::NotFound { .. })) => break,
                // Whoever may not look there, or cannot for now, goes on with what is known: where there is a newer one, what
                // it replaces is gone.
                Err(error) if is_denied(&error) || (is_remembered && error.is_passing()) => {
                    tracing::info!(%error, object, "whether there is a newer generation is not known");
                    break;
                }
                other => other?,
            };
            is_remembered |= next.1;
            generations.push(next.0);
        }
        // Claims are made at one place: a copy of a batch would have claims of its own, and give each device
        // out once more.
        let elsewhere = generations
            .iter()
            .map(|generation| &generation.seal.statement().location)
            .find(|sealed| !is_location(sealed, &location));
        if let Some(sealed) = elsewhere.filter(|_| !moved) {
            return Err(StationError::Moved {
                location,
                sealed: sealed.clone(),
            });
        }
        let open = |generation| Bundles::open((store, cache), generation);
        let mut all: Vec<Bundles> = generations.into_iter().map(open).collect::<Result<_, _>>()?;
        Ok(Self {
            trust,
            moved,
            is_remembered,
            issuer,
            newest: all.pop().expect("the batch's own is among them"),
            before: all,
        })
    }

    /// Reads the seal anew if it came from the cache, or if there is a newer generation. Returns whether it is another one:
    /// the batch was made anew since.
    pub(super) fn reopen(&mut self, store: &Store, cache: &Cache) -> Result<bool, StationError> {
        if !self.is_remembered && !self.has_newer(store)? {
            return Ok(false);
        }
        cache.forget(SEAL_OBJECT);
        cache.forget(BATCH_OBJECT);
        let before = self.newest.seal().clone();
        *self = self.again(store, cache)?;
        Ok(*self.newest.seal() != before)
    }

    /// Opens it once more, with the generations that there are by now.
    pub(super) fn again(&self, store: &Store, cache: &Cache) -> Result<Self, StationError> {
        Self::open(store, cache, self.trust.clone(), self.moved, true)
    }

    /// Whether there is a generation that is newer than those that were read; where nobody may look there, none.
    pub(super) fn has_newer(&self, store: &Store) -> Result<bool, StationError> {
        let found = store.exists(&self.newest.generation.next_object());
        match found.map_err(StationError::from) {
            Err(error) if is_denied(&error) => Ok(false),
            other => other,
        }
    }

    /// The id of a device as somebody gives it.
    ///
    /// # Errors
    ///
    /// When no device of any batch is called so.
    pub fn device_id(&self, text: &str) -> Result<DeviceId, StationError> {
        DeviceId::parse(text).map_err(|_| StationError::UnknownDevice {
            device_id: text.to_owned(),
            batch: self.name().to_owned(),
        })
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.newest.record.batch
    }

    /// What no other batch has, not even one of the same name.
    #[must_use]
    pub fn digest(&self) -> &str {
        let first = self.before.first().unwrap_or(&self.newest);
        &first.seal().statement().batch_sha256
    }

    #[must_use]
    pub fn devices(&self) -> u64 {
        self.newest.seal().statement().devices
    }

    #[must_use]
    pub fn layout(&self) -> Layout {
        self.newest.record.layout
    }

    /// Counted from 0: the batch's own bundles.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.newest.generation.number()
    }

    #[must_use]
    pub fn shape(&self) -> Shape {
        self.newest.record.shape()
    }

    /// The devices of a chunk, in row order.
    pub(super) fn index(&self, store: &Store, cache: &Cache, chunk: u64) -> Result<Rows, StationError> {
        self.newest.index(store, cache, chunk)
    }

    /// Each generation, the newest first: the store as it has it, and its layout.
    pub(super) fn generations<'a>(
        &'a self,
        store: &'a Store,
        cache: &'a Cache,
    ) -> impl Iterator<Item = (Sight<'a>, Layout)> {
        self.all()
            .map(move |bundles| (bundles.sight(store, cache), bundles.record.layout))
    }

    /// The bundles of each generation, the newest first.
    pub(super) fn all(&self) -> impl Iterator<Item = &Bundles> {
        std::iter::once(&self.newest).chain(self.before.iter().rev())
    }

    /// The rows of a chunk as a generation has them, counted from the newest.
    pub(super) fn index_of(
        &self,
        back: usize,
        store: &Store,
        cache: &Cache,
        chunk: u64,
    ) -> Result<Rows, StationError> {
        match back {
            0 => self.newest.index(store, cache, chunk),
            _ => self.before[self.before.len() - back].index(store, cache, chunk),
        }
    }

    /// A device by its id.
    pub(super) fn find(
        &self,
        store: &Store,
        cache: &Cache,
        device_id: &DeviceId,
    ) -> Result<Device, StationError> {
        let found = self.newest.find(store, cache, device_id)?;
        found.ok_or_else(|| StationError::UnknownDevice {
            device_id: device_id.to_string(),
            batch: self.name().to_owned(),
        })
    }

    /// The generation that has the bundle of a device, and the device as that has it. One that was claimed when a generation
    /// was made stayed in the one before.
    fn holder(
        &self,
        store: &Store,
        cache: &Cache,
        device: &Device,
    ) -> Result<(&Bundles, IndexEntry), StationError> {
        for bundles in self.all() {
            let rows = bundles.index(store, cache, device.chunk)?;
            let found = rows.iter().find(|row| row.device_id == device.entry.device_id);
            if let Some(row) = found.filter(|row| row.length > 0) {
                return Ok((bundles, row.clone()));
            }
        }
        Err(StationError::UnknownDevice {
            device_id: device.entry.device_id.to_string(),
            batch: self.name().to_owned(),
        })
    }

    /// Names and formats of a device's files that are partitions of its flash.
    pub(super) fn images(
        &self,
        store: &Store,
        cache: &Cache,
        device: &Device,
    ) -> Result<Vec<(String, &'static str)>, StationError> {
        let (bundles, entry) = self.holder(store, cache, device)?;
        let members = bundles.profile.recipe().members().iter();
        let images = members.filter(|member| member.format().is_partition());
        let named = |member: &Member| {
            (
                member.name_for(entry.device_id.as_str()).into_owned(),
                member.format().name(),
            )
        };
        Ok(images.map(named).collect())
    }

    /// The files of a device, its bundle's and those that all devices share, once everything about them is seen to be
    /// right: digests, members, that the key matches the certificate, the chain, and that it is valid `now`.
    pub(super) fn fetch(
        &self,
        (store, cache): (&Store, &Cache),
        device: &Device,
        identities: Option<&Identities>,
        now: OffsetDateTime,
    ) -> Result<Files, StationError> {
        let (bundles, entry) = self.holder(store, cache, device)?;
        let identities = self.identities_of(bundles, identities)?;
        let sight = bundles.sight(store, cache);
        let shared = bundles.shared(&sight, &self.issuer, &entry.device_id)?;
        // A name comes from the device id, never from what an index says.
        let object = bundles.record.layout.object(device.chunk, &entry.device_id);
        let range = match bundles.record.layout.is_packed() {
            // One octet more tells that it is another.
            false => 0..entry.length.saturating_add(1),
            true => entry.offset..entry.offset.saturating_add(entry.length),
        };
        let refused = |faults: Vec<String>| StationError::Bundle {
            device_id: entry.device_id.clone(),
            object: object.clone(),
            faults: faults.join("; "),
            is_of_time: false,
        };
        let read = || match sight.store.read(&object, Some(range.clone())) {
            Err(StoreError::NotFound { .. }) => Err(refused(vec!["it is missing".to_owned()])),
            other => Ok(other?),
        };
        let recipe = bundles.profile.recipe();
        let mut octets = read()?;
        if sha256(&octets) != entry.sha256 {
            // It may have been replaced while it was read.
            octets = read()?;
        }
        if octets.iter().all(|octet| *octet == 0) {
            return Err(refused(vec!["it was removed from its pack".to_owned()]));
        }
        if sha256(&octets) != entry.sha256 {
            return Err(refused(vec![OpenError::OtherDigest.to_string()]));
        }
        if let Some(identities) = identities {
            octets = decrypt(&octets, identities).map_err(|error| refused(vec![error.to_string()]))?;
        }
        let opened = bundle::examine(&octets, recipe, entry.device_id.as_str());
        let files = opened.map_err(|error| refused(vec![error.to_string()]))?;
        let issuer_der = CertificateDer::from(self.issuer.der());
        let standard = Standard::new(&bundles.profile, None, &self.issuer, &issuer_der, now)
            .ok_or_else(|| refused(vec!["the issuer cannot be a trust anchor".to_owned()]))?;
        let findings = standard.judge(&files, &entry, None);
        match (findings.faults.is_empty(), findings.untimely) {
            (true, None) => {
                let own = files.into_iter().map(Opened::into_named);
                Ok(own.chain(shared.iter().cloned()).collect())
            }
            (true, Some(untimely)) => Err(StationError::Bundle {
                device_id: entry.device_id.clone(),
                object: object.clone(),
                faults: format!("{untimely}, and this machine's clock says {}", rfc3339(now)),
                is_of_time: true,
            }),
            (false, _) => Err(refused(findings.faults)),
        }
    }

    /// Sees that a device can be read once it is claimed.
    ///
    /// # Errors
    ///
    /// When its bundle is encrypted, and no identity is given, or that of none for whom it is.
    pub(super) fn check_identities(
        &self,
        (store, cache): (&Store, &Cache),
        device: Option<&Device>,
        given: Option<&Identities>,
    ) -> Result<(), StationError> {
        let bundles = match device {
            None => &self.newest,
            Some(device) => self.holder(store, cache, device)?.0,
        };
        self.identities_of(bundles, given).map(drop)
    }

    /// What reads the bundles of a generation: `None` when they are not encrypted.
    pub(super) fn identities_of<'a>(
        &self,
        bundles: &Bundles,
        given: Option<&'a Identities>,
    ) -> Result<Option<&'a Identities>, StationError> {
        if !bundles.record.layout.is_encrypted() {
            return Ok(None);
        }
        let (batch, recipients) = (self.name().to_owned(), bundles.profile.recipients());
        match given {
            None => Err(StationError::NoIdentity {
                batch,
                recipients: short_ids(recipients),
            }),
            Some(own) if !own.are_among(recipients) => Err(StationError::SomebodyElse {
                batch,
                recipients: short_ids(recipients),
                own: own.short_ids(),
            }),
            own => Ok(own),
        }
    }
}

/// Whether the station may not look there.
fn is_denied(error: &StationError) -> bool {
    match error {
        StationError::Store(StoreError::Refused { code, .. }) => code == "AccessDenied",
        StationError::Store(StoreError::Io { source, .. }) => {
            source.kind() == std::io::ErrorKind::PermissionDenied
        }
        _ => false,
    }
}

/// The issuer's certificate that a batch shows, if it is the one with this id.
fn shown_issuer(record: &[u8], id: [u8; 32]) -> Result<CaCertificate, SealError> {
    let read = BatchRecord::read(record, "").map_err(|_| NotRead {
        object: BATCH_OBJECT.to_owned(),
        what: "batch record",
    })?;
    let certificate = read.issuer;
    match certificate.id() == id {
        true => Ok(certificate),
        false => Err(SealError::OtherIssuer {
            found: HEXLOWER.encode(&certificate.id()),
            wanted: HEXLOWER.encode(&id),
        }),
    }
}
