//! A chunk made anew: its bundles are read, proven, and written around the same keys and certificates.

use std::collections::BTreeSet;

use rustls_pki_types::CertificateDer;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::claims::{Fate, fates};
use super::{GenerationError, Newest, Remake};
use crate::batch::{
    BatchRecord, GenerationFolder, IndexEntry, index_object, pack_object, pack_octets, write_index,
};
use crate::bundle::encryption::{Identities, decrypt};
use crate::bundle::format::{Beside, EndpointFile, Unread, Value};
use crate::bundle::{self, Archive, Bundler, Credential, Delivered, Files, Opened, remove_members};
use crate::digest::sha256;
use crate::engine::Random;
use crate::forge::encrypting::{Encrypting, Shares};
use crate::manifest::DeviceId;
use crate::profile::{Profile, Template};
use crate::seal::ChunkDigest;
use crate::store::{Attempt, Object, Store, StoreError};
use crate::verify::Standard;

type Octets = Zeroizing<Vec<u8>>;

/// Bundles that are encrypted at a time.
const BLOCK: usize = 256;

/// What a file of a pack has beside its contents: its header, and its line in the list of files.
const ROOM_IN_A_PACK: usize = 512;

/// What the chunks of a generation share.
pub(super) struct Making<'a> {
    newest: &'a Newest,
    /// The store as the newest generation has it, and as the one to be made.
    from: Store,
    to: &'a Store,
    folder: &'a GenerationFolder,
    profile: &'a Profile,
    record: &'a BatchRecord,
    identities: Option<&'a Identities>,
    now: OffsetDateTime,
    /// What makes other files than there are; `None`: they stay as they are.
    bundler: Option<Bundler>,
    shares: Option<Shares>,
    issuer: CertificateDer<'static>,
}

/// What is found in a bundle.
struct Found {
    private_key: Octets,
    certificate: Vec<u8>,
    endpoint: Option<EndpointFile<'static>>,
}

impl<'a> Making<'a> {
    pub(super) fn new(
        newest: &'a Newest,
        (profile, record): (&'a Profile, &'a BatchRecord),
        (to, folder): (&'a Store, &'a GenerationFolder),
        job: &Remake<'a>,
    ) -> Result<Self, GenerationError> {
        let issuer = newest.issuer().der();
        let (old, new) = (newest.profile().config(), profile.config());
        let bundler = match (&old.bundle, &old.endpoint) == (&new.bundle, &new.endpoint) {
            true => None,
            false => Some(Bundler::new(profile.recipe(), profile.shared(issuer))?),
        };
        Ok(Self {
            newest,
            from: newest.sight(),
            to,
            folder,
            profile,
            record,
            identities: job.identities,
            now: job.now,
            bundler,
            shares: Shares::new(profile.recipients())?,
            issuer: CertificateDer::from(issuer.to_vec()),
        })
    }

    /// Makes a chunk, but for the devices of it that a station has, or has flashed or scrapped. `claimed`: those that have a
    /// claim. Returns what a seal says of it.
    pub(super) fn make(
        &self,
        chunk: u64,
        claimed: &BTreeSet<DeviceId>,
    ) -> Result<ChunkDigest, GenerationError> {
        let rows = self.newest.rows(&self.from, chunk)?;
        let claimed: Vec<&DeviceId> = claimed.iter().collect();
        let mut taken = fates(self.newest.batch(), chunk, &claimed)?;
        taken.retain(|(_, fate)| *fate != Fate::Free);
        let taken: BTreeSet<&DeviceId> = taken.into_iter().map(|(device_id, _)| device_id).collect();
        let stays = |row: &IndexEntry| row.length == 0 || taken.contains(&row.device_id);
        let wanted: Vec<Option<&IndexEntry>> = rows.iter().map(|row| (!stays(row)).then_some(row)).collect();
        let read = read(&self.from, self.newest.record(), chunk, &rows, &wanted)?;
        let standard = Standard::new(
            self.newest.profile(),
            None,
            self.newest.issuer(),
            &self.issuer,
            self.now,
        );
        let mut bundles = Vec::with_capacity(rows.len());
        for (row, octets) in rows.iter().zip(read) {
            bundles.push(match octets {
                None => None,
                // It was claimed, and perhaps burned, since its claim was read.
                Some(octets) if is_gone(&octets) && self.is_taken(chunk, row)? => None,
                Some(octets) => {
                    let plain = prove(row, octets, (self.newest, chunk), self.identities)?;
                    Some(self.anew(chunk, row, plain, standard.as_ref())?)
                }
            });
        }
        let (body, ranges) = self.body(&rows, &mut bundles)?;
        let entries: Vec<IndexEntry> = rows
            .iter()
            .zip(&ranges)
            .map(|(row, range)| IndexEntry {
                offset: match self.record.layout.is_packed() {
                    true => range.start as u64,
                    false => 0,
                },
                length: range.len() as u64,
                sha256: sha256(&body[range.clone()]),
                ..row.clone()
            })
            .collect();
        let is_empty = entries.iter().all(|entry| entry.length == 0);
        let mut objects = Vec::new();
        match self.record.layout.is_packed() {
            true if is_empty => {}
            true => objects.push((pack_object(chunk), &body[..])),
            false => {
                let of_devices = entries.iter().zip(&ranges).filter(|(entry, _)| entry.length > 0);
                objects.extend(of_devices.map(|(entry, range)| {
                    let object = self.record.layout.object(chunk, &entry.device_id);
                    (object, &body[range.clone()])
                }));
            }
        }
        self.put(&objects)?;
        let index = write_index(self.record.layout, chunk, &entries);
        let digest = ChunkDigest::of(chunk, &index, self.record)?;
        self.to
            .publish(&[(index_object(chunk), index)])
            .into_iter()
            .collect::<Result<(), _>>()?;
        Ok(digest)
    }

    /// Puts the objects of a chunk, and reads them back: the keys in them will be nowhere else.
    fn put(&self, objects: &[(String, &[u8])]) -> Result<(), GenerationError> {
        let attempt = Attempt {
            name: self.folder.attempt(),
            earlier: &[],
        };
        let put: Vec<Object<'_>> = objects
            .iter()
            .map(|(name, body)| Object {
                name: name.clone(),
                body,
                sha256: Some(sha256(body)),
            })
            .collect();
        let ticket = self.to.put(&put, attempt)?;
        for flushed in self.to.flush(vec![ticket]) {
            flushed?;
        }
        for some in objects.chunks(BLOCK) {
            let names: Vec<String> = some.iter().map(|(name, _)| name.clone()).collect();
            for ((name, body), found) in some.iter().zip(self.to.read_all(&names)) {
                if found?[..] != **body {
                    return Err(GenerationError::ReadBack {
                        object: self.folder.object(name),
                    });
                }
            }
        }
        Ok(())
    }

    fn is_taken(&self, chunk: u64, row: &IndexEntry) -> Result<bool, GenerationError> {
        let found = fates(self.newest.batch(), chunk, &[&row.device_id])?;
        Ok(found.iter().any(|(_, fate)| *fate != Fate::Free))
    }

    /// The bundle of a device as it shall be, in the clear.
    fn anew(
        &self,
        chunk: u64,
        row: &IndexEntry,
        plain: Octets,
        standard: Option<&Standard<'_>>,
    ) -> Result<Octets, GenerationError> {
        let Some(bundler) = &self.bundler else {
            return Ok(plain);
        };
        let refused = |what: String| self.refused(chunk, row, what);
        let found = open(&plain, row, self.newest.profile(), standard).map_err(refused)?;
        let [thing_name, client_id] = self.names(row, found.endpoint.as_ref())?;
        let texts = self.profile.texts_of_one(row.device_id.as_str());
        let texts = texts.map_err(|field| GenerationError::NoText {
            device_id: row.device_id.clone(),
            field,
        })?;
        let longest: Vec<usize> = texts.iter().map(|text| text.len()).collect();
        let unfit = |what: String| GenerationError::Unfit {
            device_id: row.device_id.clone(),
            what,
        };
        self.profile.judge_texts(&texts).map_err(unfit)?;
        if let Some((member, name)) = self.profile.recipe().misnamed(row.device_id.as_str()) {
            return Err(unfit(format!("{} would be called {name:?}", member.name())));
        }
        bundler.fits(found.private_key.len(), found.certificate.len(), &longest)?;
        let credential = Credential {
            private_key: &found.private_key,
            certificate: &found.certificate,
            thing_name: &thing_name,
            client_id: &client_id,
            device_id: row.device_id.as_str(),
            texts: &texts,
        };
        // Enough, so that what holds a private key never moves and leaves a copy behind.
        let room = bundler.room(
            credential.private_key.len(),
            credential.certificate.len(),
            &longest,
        );
        let mut bundle = Zeroizing::new(Vec::with_capacity(room));
        let mut writer = bundler.writer();
        writer.draw(1, |octets| Random.fill(octets))?;
        writer.append(&credential, &mut bundle);
        Ok(bundle)
    }

    fn refused(&self, chunk: u64, row: &IndexEntry, what: String) -> GenerationError {
        refused((self.newest, chunk), row, what)
    }

    /// What the device is called: as its bundle has it or, if the profile asks for something else, by its id.
    fn names(
        &self,
        row: &IndexEntry,
        found: Option<&EndpointFile<'_>>,
    ) -> Result<[String; 2], GenerationError> {
        let (old, new) = (self.newest.profile().endpoint(), self.profile.endpoint());
        let name = |what, is_same: bool, found: Option<&str>, template: &Template| {
            let column = self.profile.id_column();
            let found = found.filter(|_| is_same).map(str::to_owned);
            found
                .or_else(|| template.of_one(column, row.device_id.as_str()))
                .ok_or_else(|| GenerationError::NoName {
                    device_id: row.device_id.clone(),
                    what,
                })
        };
        Ok([
            name(
                "thing name",
                old.thing_name == new.thing_name,
                found.map(|found| &*found.thing_name),
                &new.thing_name,
            )?,
            name(
                "client id",
                old.client_id == new.client_id,
                found.map(|found| &*found.client_id),
                &new.client_id,
            )?,
        ])
    }

    /// The bundles, one after the other or as a pack, and where each is. Those that are not made anew are in a pack as they
    /// would be if they had been removed.
    fn body(
        &self,
        rows: &[IndexEntry],
        bundles: &mut [Option<Octets>],
    ) -> Result<(Octets, Vec<std::ops::Range<usize>>), GenerationError> {
        if let Some(shares) = &self.shares {
            encrypt(shares, bundles)?;
        }
        let room = bundles
            .iter()
            .map(|bundle| bundle.as_ref().map_or(0, |bundle| bundle.len()) + ROOM_IN_A_PACK);
        let mut body = Zeroizing::new(Vec::with_capacity(room.sum::<usize>() + ROOM_IN_A_PACK));
        let mut ranges = Vec::with_capacity(rows.len());
        let layout = self.record.layout;
        if !layout.is_packed() {
            for bundle in bundles {
                let start = body.len();
                body.extend_from_slice(bundle.as_deref().map_or(&[], |bundle| &bundle[..]));
                ranges.push(start..body.len());
            }
            return Ok((body, ranges));
        }
        let mut directory = Vec::new();
        let mut pack = Archive::begin(&mut body, &mut directory);
        let mut left = BTreeSet::new();
        for (row, bundle) in rows.iter().zip(bundles) {
            let member = layout.member(&row.device_id);
            let octets = bundle.as_deref().map_or(&[][..], |bundle| &bundle[..]);
            ranges.push(pack.stored(&member, 0o600, |out| out.extend_from_slice(octets)));
            if bundle.is_none() {
                left.insert(member);
            }
        }
        pack.finish();
        if !left.is_empty() {
            remove_members(&mut body, |name| left.contains(name)).expect("it was written just now");
        }
        Ok((body, ranges))
    }
}

/// Encrypts bundles, each in its place.
fn encrypt(shares: &Shares, bundles: &mut [Option<Octets>]) -> Result<(), GenerationError> {
    let mut encrypting = Encrypting::new(shares);
    let mut present: Vec<&mut Octets> = bundles.iter_mut().flatten().collect();
    for block in present.chunks_mut(BLOCK) {
        let room = block.iter().map(|bundle| bundle.len()).max().unwrap_or(0);
        encrypting.prepare(block.len(), room)?;
        for (number, bundle) in block.iter_mut().enumerate() {
            let mut out = Vec::with_capacity(shares.encryption.encrypted_len(bundle.len()));
            encrypting.append(number, &mut out, |plain| plain.extend_from_slice(bundle));
            **bundle = Zeroizing::new(out);
        }
    }
    Ok(())
}

/// The files of some device's bundle, by their names.
pub(super) fn first_files(
    newest: &Newest,
    store: &Store,
    identities: Option<&Identities>,
) -> Result<Files, GenerationError> {
    for chunk in 0..newest.record().shape().chunks() {
        let rows = newest.rows(store, chunk)?;
        for row in rows.iter().filter(|row| row.length > 0) {
            let wanted: Vec<Option<&IndexEntry>> = rows
                .iter()
                .map(|other| (other.device_id == row.device_id).then_some(other))
                .collect();
            let read = read(store, newest.record(), chunk, &rows, &wanted)?;
            // A bundle that is gone was its device's alone.
            let Some(octets) = read.into_iter().flatten().find(|octets| !is_gone(octets)) else {
                continue;
            };
            let plain = prove(row, octets, (newest, chunk), identities)?;
            let opened = bundle::examine(&plain, newest.profile().recipe(), row.device_id.as_str());
            let opened = opened.map_err(|error| refused((newest, chunk), row, error.to_string()))?;
            let named = |file: Opened<'_>| (file.member.name().to_owned(), file.octets);
            return Ok(opened.into_iter().map(named).collect());
        }
    }
    Ok(Files::new())
}

/// The octets of the bundles that are wanted of a chunk, as they lie in the store; empty where there is none.
fn read(
    store: &Store,
    record: &BatchRecord,
    chunk: u64,
    rows: &[IndexEntry],
    wanted: &[Option<&IndexEntry>],
) -> Result<Vec<Option<Octets>>, GenerationError> {
    let there = |octets: Result<Octets, StoreError>| match octets {
        Err(StoreError::NotFound { .. }) => Ok(Octets::default()),
        other => other,
    };
    if wanted.iter().all(Option::is_none) {
        return Ok(wanted.iter().map(|_| None).collect());
    }
    if record.layout.is_packed() {
        let most = pack_octets(rows.iter());
        let pack = there(store.read(&pack_object(chunk), Some(0..most + 1)))?;
        let slice = |row: &IndexEntry| {
            let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
            let range = at(row.offset)..at(row.offset.saturating_add(row.length));
            Zeroizing::new(pack.get(range).unwrap_or_default().to_vec())
        };
        return Ok(wanted.iter().map(|row| row.map(slice)).collect());
    }
    let name = |row: &&IndexEntry| record.layout.object(chunk, &row.device_id);
    let names: Vec<String> = wanted.iter().flatten().map(name).collect();
    let most = rows.iter().map(|row| row.length).max().unwrap_or(0);
    let mut read = store.read_starts(&names, most.saturating_add(1)).into_iter();
    let next = |row: Option<&IndexEntry>| {
        let octets = row.map(|_| there(read.next().expect("each name has its answer")));
        octets.transpose()
    };
    Ok(wanted.iter().copied().map(next).collect::<Result<_, _>>()?)
}

/// Whether a bundle was removed: its object is not there, or its place in a pack holds zeros.
fn is_gone(octets: &[u8]) -> bool {
    octets.iter().all(|octet| *octet == 0)
}

/// A bundle in the clear, once it is seen to be the one that was sealed.
fn prove(
    row: &IndexEntry,
    octets: Octets,
    of: (&Newest, u64),
    identities: Option<&Identities>,
) -> Result<Octets, GenerationError> {
    let refused = |what: String| refused(of, row, what);
    if is_gone(&octets) {
        return Err(refused("it is missing, and no station has the device".to_owned()));
    }
    if sha256(&octets) != row.sha256 {
        return Err(refused(bundle::OpenError::OtherDigest.to_string()));
    }
    match identities.filter(|_| of.0.record().layout.is_encrypted()) {
        None => Ok(octets),
        Some(identities) => decrypt(&octets, identities).map_err(|error| refused(error.to_string())),
    }
}

fn refused((newest, chunk): (&Newest, u64), row: &IndexEntry, what: String) -> GenerationError {
    GenerationError::Bundle {
        device_id: row.device_id.clone(),
        object: newest.record().layout.object(chunk, &row.device_id),
        what,
    }
}

/// Key, certificate and endpoint of a bundle, once all of it is seen to be right.
fn open(
    plain: &[u8],
    row: &IndexEntry,
    profile: &Profile,
    standard: Option<&Standard<'_>>,
) -> Result<Found, String> {
    let standard = standard.ok_or("the issuer cannot be a trust anchor")?;
    let files = bundle::examine(plain, profile.recipe(), row.device_id.as_str())
        .map_err(|error| error.to_string())?;
    // That it is not valid now is nobody's fault, and stays as it is.
    let findings = standard.judge(&files, row, None);
    if !findings.faults.is_empty() {
        return Err(findings.faults.join("; "));
    }
    let (mut private_key, mut endpoint, mut locked) = (None, None, None);
    let delivered = Delivered::by(&files);
    let texts = profile.texts_of_one(row.device_id.as_str()).ok();
    for Opened { member, octets, .. } in &files {
        let own = profile.recipe().texts_of(member.name());
        let beside = Beside {
            texts: texts.as_ref().map(|texts| &texts[own]),
            secrets: delivered.secrets(),
        };
        let values = match member.read(octets, &beside) {
            Err(Unread::Locked) => {
                locked = Some(member.name());
                continue;
            }
            values => values.unwrap_or_default(),
        };
        for value in values {
            match value {
                Value::PrivateKey(der) => private_key = Some(der),
                Value::Endpoint(found) => endpoint = Some(found),
                Value::Certificates(_) | Value::File(_) | Value::Drawn(_) => {}
            }
        }
    }
    Ok(Found {
        private_key: private_key.ok_or_else(|| match locked {
            None => "no file of it gives its key back".to_owned(),
            Some(name) => format!(
                "{name} was not opened, for want of its password, and no other file gives its key back"
            ),
        })?,
        certificate: findings.certificate,
        endpoint,
    })
}
