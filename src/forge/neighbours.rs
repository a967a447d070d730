//! The batches that lie beside the one that is made: what this issuer has released there must be in the ledger. Where it is
//! not, the ledger is another, or an older copy, and would issue the same devices a second time.
//!
//! It costs one listing of names, and more only for batches that the ledger does not know to be complete. What lies there
//! is never a reason to accept a ledger, only to refuse it.

use std::collections::BTreeSet;
use std::path::Path;

use data_encoding::HEXLOWER;

use super::{ForgeError, OpenStore};
use crate::batch::{BATCH_OBJECT, BUNDLE_FOLDERS, INDEXES, Outline, chunk_of, most_octets};
use crate::issuer::CaCertificate;
use crate::ledger::{Ledger, LedgerError, PassedOver};
use crate::store::{Store, StoreError, is_location};

/// Records that are read at a time.
const READ_AT_A_TIME: usize = 64;

/// What is known of the batches that lie beside one.
#[derive(Debug, Clone, Copy)]
pub struct Neighbours<'a> {
    /// What is known in the ledger of the CA is known, for the ledger of a shard.
    pub known_too: &'a Known,
    /// What the ledger may be without.
    pub allowed: Allowed<'a>,
}

/// What a ledger may be without.
#[derive(Debug, Clone, Copy)]
pub enum Allowed<'a> {
    /// These batches, and of each no more chunks than that.
    These(&'a PassedOver),
    /// Whatever is found: it is a new one, on purpose.
    All,
}

/// What another ledger knows: the digest of a batch's manifest, its name, and the chunks that are committed.
#[derive(Debug, Clone, Default)]
pub struct Known(Vec<(String, [u8; 32], BTreeSet<u64>)>);

impl Known {
    /// What a ledger has of an issuer.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn to(ledger: &dyn Ledger, issuer: &CaCertificate) -> Result<Self, LedgerError> {
        let names = ledger.batches_of(issuer)?;
        let known = names.into_iter().map(|name| {
            let batch = ledger.batch(&name)?;
            let committed = ledger.committed(&batch)?.into_iter().map(|(chunk, _)| chunk);
            Ok((name, batch.manifest_sha256, committed.collect()))
        });
        Ok(Self(known.collect::<Result<_, LedgerError>>()?))
    }

    fn has(&self, outline: &Outline, chunk: u64) -> bool {
        self.0.iter().any(|(name, manifest_sha256, committed)| {
            *name == outline.batch
                && HEXLOWER.encode(manifest_sha256) == outline.manifest_sha256
                && committed.contains(&chunk)
        })
    }
}

/// A batch that lies beside the one that is to be made.
struct Neighbour<'a> {
    folder: &'a str,
    outline: Outline,
    /// It is reached by itself: a link leads to it.
    store: Option<Store>,
}

impl Neighbour<'_> {
    /// The store that its objects are in, and what their names begin with there.
    fn at<'a>(&'a self, place: &'a Store) -> (&'a Store, String) {
        match &self.store {
            Some(store) => (store, String::new()),
            None => (place, format!("{}/", self.folder)),
        }
    }
}

/// Refuses a ledger that does not know what lies beside the batch that is to be made.
pub(super) fn hold(
    neighbours: &Neighbours<'_>,
    (ledger, store): (&dyn Ledger, &Store),
    (issuer, own): (&CaCertificate, &str),
    open_store: OpenStore<'_>,
) -> Result<PassedOver, ForgeError> {
    let Some(place) = &store.around() else {
        return Ok(PassedOver::new());
    };
    let location = place.location();
    let mut names = place.folders()?;
    // What the ledger knows to be complete, there where it is, needs no look.
    let complete: BTreeSet<String> = ledger
        .status(None)?
        .into_iter()
        .filter(|status| status.released + status.committed == status.devices)
        .filter(|status| is_location(&status.location, &format!("{location}/{}", status.batch)))
        .map(|status| status.batch)
        .collect();
    names.retain(|name| name != own && !complete.contains(name));
    tracing::debug!(
        place = location,
        complete = complete.len(),
        others = names.len(),
        "batches beside this one"
    );
    let mut passed_over = PassedOver::new();
    for some in names.chunks(READ_AT_A_TIME) {
        for neighbour in read(place, some, open_store)? {
            let outline = &neighbour.outline;
            if outline.batch == own || !is_of(outline, issuer) {
                continue;
            }
            let unknown = unknown(neighbours, (ledger, place), &neighbour)?;
            let is_allowed = match neighbours.allowed {
                Allowed::All => true,
                Allowed::These(these) => these.get(&outline.batch).is_some_and(|most| unknown <= *most),
            };
            let is_forgotten = unknown == 0 && is_forgotten((ledger, place), &neighbour)?;
            if unknown == 0 && !is_forgotten {
                continue;
            }
            if is_allowed {
                passed_over.insert(outline.batch.clone(), unknown);
                continue;
            }
            let (ledger, batch) = (
                ledger.location().to_owned(),
                format!("{location}/{}", neighbour.folder),
            );
            return Err(match is_forgotten {
                true => ForgeError::ForgottenBatch { ledger, batch },
                false => ForgeError::UnknownBatch {
                    ledger,
                    batch,
                    chunks: unknown,
                    in_shards: outline.shards.is_some(),
                },
            });
        }
    }
    Ok(passed_over)
}

/// The batches in these folders.
fn read<'a>(
    place: &Store,
    folders: &'a [String],
    open_store: OpenStore<'_>,
) -> Result<Vec<Neighbour<'a>>, StoreError> {
    let names: Vec<String> = folders
        .iter()
        .map(|folder| format!("{folder}/{BATCH_OBJECT}"))
        .collect();
    let most = most_octets(BATCH_OBJECT);
    let mut found = Vec::new();
    for (folder, octets) in folders.iter().zip(place.read_starts(&names, most)) {
        let (octets, store) = match octets {
            Ok(octets) => (octets, None),
            Err(StoreError::NotFound { .. }) => continue,
            Err(error) if error.is_of_one_object() => {
                let store = open_store(folder)?;
                match store.read_starts(&[BATCH_OBJECT.to_owned()], most).remove(0) {
                    Ok(octets) => (octets, Some(store)),
                    // It is somebody else's, and no batch that could be read back.
                    Err(error) if error.is_of_one_object() => continue,
                    Err(error) => return Err(error),
                }
            }
            Err(error) => return Err(error),
        };
        found.extend(Outline::read(&octets).map(|outline| Neighbour {
            folder,
            outline,
            store,
        }));
    }
    Ok(found)
}

fn is_of(outline: &Outline, issuer: &CaCertificate) -> bool {
    let read = CaCertificate::from_der(&outline.issuer, Path::new(BATCH_OBJECT));
    read.is_ok_and(|certificate| certificate.public_key() == issuer.public_key())
}

/// How many chunks of a batch are released and known to no ledger that was asked.
fn unknown(
    neighbours: &Neighbours<'_>,
    (ledger, place): (&dyn Ledger, &Store),
    neighbour: &Neighbour<'_>,
) -> Result<u64, ForgeError> {
    let outline = &neighbour.outline;
    let (store, before) = neighbour.at(place);
    let mut released = Vec::new();
    store.list(&format!("{before}{INDEXES}"), &mut |listed| {
        released.extend(listed.name.strip_prefix(&before).and_then(chunk_of));
    })?;
    if released.is_empty() {
        return Ok(0);
    }
    // The ledger is asked after the store: another host may have released something meanwhile, which it commits first.
    let committed: BTreeSet<u64> = match ledger.find_batch(&outline.batch)? {
        Some(batch) if HEXLOWER.encode(&batch.manifest_sha256) == outline.manifest_sha256 => {
            let committed = ledger.committed(&batch)?;
            committed.into_iter().map(|(chunk, _)| chunk).collect()
        }
        _ => BTreeSet::new(),
    };
    let is_unknown = |chunk: &u64| !committed.contains(chunk) && !neighbours.known_too.has(outline, *chunk);
    Ok(released.into_iter().filter(is_unknown).count() as u64)
}

/// Whether a batch that says that it was begun under this ledger is unknown to it, and has bundles. They are not released, but
/// were signed: an older copy of the ledger would issue these devices once more. One that has none was ended before anything was
/// reserved for it.
fn is_forgotten(
    (ledger, place): (&dyn Ledger, &Store),
    neighbour: &Neighbour<'_>,
) -> Result<bool, ForgeError> {
    let outline = &neighbour.outline;
    if outline.ledger != ledger.id() || ledger.find_batch(&outline.batch)?.is_some() {
        return Ok(false);
    }
    let (store, before) = neighbour.at(place);
    let mut has_bundles = false;
    for folder in BUNDLE_FOLDERS {
        store.list(&format!("{before}{folder}"), &mut |_| has_bundles = true)?;
    }
    // Another host may have begun it meanwhile, which the ledger knows before the store has a bundle.
    Ok(has_bundles && ledger.find_batch(&outline.batch)?.is_none())
}
