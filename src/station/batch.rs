//! A sealed batch, as a station reads it: nothing is believed that does not follow from the seal.
//!
//! What was read once is kept on disk, and held against the seal each time it is used.

use std::sync::{Arc, Mutex, OnceLock};

use data_encoding::HEXLOWER;
use rustls_pki_types::CertificateDer;
use time::OffsetDateTime;

use super::StationError;
use super::cache::Cache;
use crate::batch::{
    BATCH_OBJECT, BatchRecord, Device, IndexEntry, Layout, NotRead, SEAL_OBJECT, SHARED_OBJECT, Shape,
    index_object, lookup_object,
};
use crate::bundle::encryption::{Identities, decrypt, short_ids};
use crate::bundle::{self, Files, OpenError, Opened, judge_shared, open_shared};
use crate::digest::sha256;
use crate::issuer::CaCertificate;
use crate::manifest::DeviceId;
use crate::profile::{Profile, rfc3339};
use crate::seal::{Seal, SealError, Trust};
use crate::store::{Store, StoreError};
use crate::verify::Standard;

/// A batch whose seal was verified.
#[derive(Debug)]
pub struct SealedBatch {
    trust: Trust,
    moved: bool,
    /// Whether the seal came from the cache, so that the store may have another by now.
    is_remembered: bool,
    seal: Seal,
    record: BatchRecord,
    profile: Profile,
    issuer: CaCertificate,
    /// The index that was read last: a station stays with a chunk for long.
    last: Mutex<Option<(u64, Rows)>>,
    /// The files that all devices share, once they were read.
    shared: OnceLock<Files>,
}

/// The rows of an index.
pub(super) type Rows = Arc<Vec<IndexEntry>>;

impl SealedBatch {
    /// Opens a batch, if it was sealed by the issuer that is trusted, at the place where it is; `moved`: or
    /// anywhere.
    pub(super) fn open(
        store: &Store,
        cache: &Cache,
        trust: Trust,
        moved: bool,
    ) -> Result<Self, StationError> {
        let location = store.location();
        let issuer = match &trust {
            Trust::Certificate(certificate) => (**certificate).clone(),
            Trust::Id(id) => recall(store, cache, BATCH_OBJECT, |octets| shown_issuer(octets, *id))?.0,
        };
        let opened = recall(store, cache, SEAL_OBJECT, |octets| Seal::open(octets, &issuer));
        let (seal, is_remembered) = match opened {
            Err(StationError::Store(StoreError::NotFound { .. })) => {
                return Err(match store.exists(BATCH_OBJECT)? {
                    true => StationError::NotSealed { location },
                    false => StationError::NoBatch { location },
                });
            }
            other => other?,
        };
        // Claims are made at one place: a copy of a batch would have claims of its own, and give each device
        // out once more.
        if !moved && location != seal.statement().location {
            return Err(StationError::Moved {
                location,
                sealed: seal.statement().location.clone(),
            });
        }
        let (read, _) = recall(store, cache, BATCH_OBJECT, |octets| seal.record(octets))?;
        Ok(Self {
            trust,
            moved,
            is_remembered,
            seal,
            record: read.record,
            profile: read.profile,
            issuer,
            last: Mutex::default(),
            shared: OnceLock::new(),
        })
    }

    /// Reads the seal anew if it came from the cache. Returns whether it is another one: the batch was made
    /// anew since.
    pub(super) fn reopen(&mut self, store: &Store, cache: &Cache) -> Result<bool, StationError> {
        if !self.is_remembered {
            return Ok(false);
        }
        cache.forget(SEAL_OBJECT);
        cache.forget(BATCH_OBJECT);
        let before = self.seal.clone();
        *self = Self::open(store, cache, self.trust.clone(), self.moved)?;
        Ok(self.seal != before)
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
        &self.record.batch
    }

    /// What no other batch has, not even one of the same name.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.seal.statement().batch_sha256
    }

    #[must_use]
    pub fn devices(&self) -> u64 {
        self.seal.statement().devices
    }

    #[must_use]
    pub fn layout(&self) -> Layout {
        self.record.layout
    }

    #[must_use]
    pub fn shape(&self) -> Shape {
        self.record.shape()
    }

    /// The devices of a chunk, in row order.
    pub(super) fn index(&self, store: &Store, cache: &Cache, chunk: u64) -> Result<Rows, StationError> {
        if let Some(rows) = self.last(|last| last == chunk) {
            return Ok(rows.1);
        }
        let name = index_object(chunk);
        let (rows, _) = recall(store, cache, &name, |octets| self.seal.index(chunk, octets))?;
        let rows = Rows::new(rows);
        *self.last.lock().expect("no holder panics") = Some((chunk, rows.clone()));
        Ok(rows)
    }

    /// The index that was read last, if it is of the right chunk.
    fn last(&self, is_right: impl Fn(u64) -> bool) -> Option<(u64, Rows)> {
        let last = self.last.lock().expect("no holder panics");
        last.clone().filter(|(chunk, _)| is_right(*chunk))
    }

    /// A device by its id.
    pub(super) fn find(
        &self,
        store: &Store,
        cache: &Cache,
        device_id: &DeviceId,
    ) -> Result<Device, StationError> {
        let find = |chunk, rows: &Rows| {
            let entry = rows.iter().find(|entry| entry.device_id == *device_id)?;
            let entry = entry.clone();
            Some(Device { chunk, entry })
        };
        let last = self.last(|_| true);
        if let Some(device) = last.and_then(|(chunk, rows)| find(chunk, &rows)) {
            return Ok(device);
        }
        let part = self.seal.part_of(device_id);
        let (candidates, _) = recall(store, cache, &lookup_object(part), |octets| {
            self.seal.candidates(part, octets, device_id)
        })?;
        for chunk in candidates.0 {
            if let Some(device) = find(chunk, &self.index(store, cache, chunk)?) {
                return Ok(device);
            }
        }
        Err(StationError::UnknownDevice {
            device_id: device_id.to_string(),
            batch: self.record.batch.clone(),
        })
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
        let shared = self.shared(store, cache, &device.entry.device_id)?;
        let entry = &device.entry;
        // A name comes from the device id, never from what an index says.
        let object = self.record.layout.object(device.chunk, &entry.device_id);
        let range = match self.record.layout.is_packed() {
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
        let read = || match store.read(&object, Some(range.clone())) {
            Err(StoreError::NotFound { .. }) => Err(refused(vec!["it is missing".to_owned()])),
            other => Ok(other?),
        };
        let recipe = self.profile.recipe();
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
        if let Some(identities) = self.identities(identities)? {
            octets = decrypt(&octets, identities).map_err(|error| refused(vec![error.to_string()]))?;
        }
        let opened = bundle::examine(&octets, recipe);
        let files = opened.map_err(|error| refused(vec![error.to_string()]))?;
        let issuer_der = CertificateDer::from(self.issuer.der());
        let standard = Standard::new(&self.profile, None, &self.issuer, &issuer_der, now)
            .ok_or_else(|| refused(vec!["the issuer cannot be a trust anchor".to_owned()]))?;
        let findings = standard.judge(&files, entry, None);
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

    /// What reads the bundles of the batch: `None` when they are not encrypted.
    ///
    /// # Errors
    ///
    /// When they are, and no identity is given, or that of none for whom they are.
    pub(super) fn identities<'a>(
        &self,
        given: Option<&'a Identities>,
    ) -> Result<Option<&'a Identities>, StationError> {
        if !self.layout().is_encrypted() {
            return Ok(None);
        }
        let (batch, recipients) = (self.name().to_owned(), self.profile.recipients());
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

    /// The files that all devices share, which are read once. `device_id`: who is to get them.
    fn shared(&self, store: &Store, cache: &Cache, device_id: &DeviceId) -> Result<&Files, StationError> {
        if let Some(shared) = self.shared.get() {
            return Ok(shared);
        }
        let recipe = self.profile.recipe();
        if recipe.shared().is_empty() {
            return Ok(self.shared.get_or_init(Files::new));
        }
        let refused = |faults: String| StationError::Bundle {
            device_id: device_id.clone(),
            object: SHARED_OBJECT.to_owned(),
            faults,
            is_of_time: false,
        };
        let read = recall(store, cache, SHARED_OBJECT, |octets| {
            self.seal.check_shared(octets)?;
            Ok(octets.to_vec())
        });
        let (octets, _) = match read {
            Err(StationError::Store(StoreError::NotFound { .. })) => {
                return Err(refused("it is missing".to_owned()));
            }
            other => other?,
        };
        let faults = judge_shared(&octets, recipe, &self.profile.shared(self.issuer.der()));
        if !faults.is_empty() {
            return Err(refused(faults.join("; ")));
        }
        let opened = open_shared(&octets, &sha256(&octets), recipe);
        let opened = opened.map_err(|error| refused(error.to_string()))?;
        Ok(self
            .shared
            .get_or_init(|| opened.into_iter().map(Opened::into_named).collect()))
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

/// Reads an object from the cache, or from the store when the cache does not have it as it must be. Tells
/// whether it was the cache.
fn recall<T>(
    store: &Store,
    cache: &Cache,
    name: &str,
    parse: impl Fn(&[u8]) -> Result<T, SealError>,
) -> Result<(T, bool), StationError> {
    if let Some(octets) = cache.recall(name)
        && let Ok(parsed) = parse(&octets)
    {
        return Ok((parsed, true));
    }
    let octets = store.read(name, None)?;
    let parsed = parse(&octets)?;
    cache.keep(name, &octets);
    Ok((parsed, false))
}
