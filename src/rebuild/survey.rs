//! The survey: which batches are the issuer's, in which order they were begun, and which ledger they name.

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::HEXLOWER;
use time::OffsetDateTime;

use super::certificate::Standard;
use super::faults::Faults;
use super::{Elsewhere, Job, LeftOut, RebuildError};
use crate::batch::{
    BATCH_OBJECT, BatchRecord, ChunkCertificates, ReadRecord, ShardLedger, certificates_object,
    shard_ledger_object,
};
use crate::causes::in_one_line;
use crate::engine::Random;
use crate::issuer::CaCertificate;
use crate::profile::Profile;
use crate::seal::Trust;
use crate::store::{Place, ReadError, Store, StoreError, read_record, released_chunks};

/// A batch of the issuer.
pub(super) struct Found {
    pub place: Place,
    pub record: BatchRecord,
    pub profile: Profile,
    pub issuer: CaCertificate,
    pub manifest_sha256: [u8; 32],
    pub profile_sha256: [u8; 32],
    pub released: BTreeSet<u64>,
    /// The beginning of its first certificate's validity.
    pub begun: Option<OffsetDateTime>,
    /// Ids of the ledgers that account for it.
    ledgers: BTreeSet<String>,
}

impl Found {
    fn is_complete(&self) -> bool {
        self.released.len() as u64 == self.record.shape().chunks()
    }
}

pub(super) struct Survey {
    /// As they were begun; those without a certificate last.
    pub batches: Vec<Found>,
    pub left_out: Vec<LeftOut>,
    pub elsewhere: Vec<Elsewhere>,
    /// Id of the ledger.
    pub id: [u8; 16],
}

/// A batch as its record has it.
struct Recorded {
    place: Place,
    store: Store,
    name: String,
    read: ReadRecord,
}

pub(super) fn survey(job: &Job<'_>, faults: &mut Faults) -> Result<Survey, RebuildError> {
    let mut found = Vec::new();
    for place in job.places {
        let store = (job.open)(place)?;
        let location = store.location();
        let name = location.rsplit('/').next().unwrap_or_default().to_owned();
        match read_record(&store) {
            Ok(read) => found.push((place.clone(), name, read)),
            Err(ReadError::Record(error)) => faults.of(&name, BATCH_OBJECT, in_one_line(&error)),
            Err(error) => return Err(error.into()),
        }
    }
    let issuer = issuer(job.issuer, found.iter().map(|(.., read)| &read.issuer))?;
    let (mut batches, mut left_out) = (Vec::new(), Vec::new());
    for (place, name, read) in found {
        let store = (job.open)(&place)?;
        let batch = Recorded {
            place,
            store,
            name,
            read,
        };
        // A CA certificate that is renewed for the same key is the same issuer.
        match batch.read.issuer.public_key() == issuer.public_key() {
            true => batches.extend(own(batch, faults)?),
            false => left_out.push(others(batch, &issuer, faults)?),
        }
    }
    if batches.is_empty() && faults.is_empty() {
        return Err(RebuildError::OtherIssuer {
            issuer: HEXLOWER.encode(&job.issuer.id()),
        });
    }
    for name in job.reissues {
        if !batches.iter().any(|batch| batch.record.batch == *name) {
            return Err(RebuildError::NoSuchReissue { name: name.clone() });
        }
    }
    batches.sort_by(|a, b| {
        let of = |found: &Found| (found.begun.is_none(), found.begun, found.record.batch.clone());
        of(a).cmp(&of(b))
    });
    let (id, elsewhere) = id(job, &batches)?;
    Ok(Survey {
        batches,
        left_out,
        elsewhere,
        id,
    })
}

/// The certificate of the issuer; of one that is known by its id, as a batch has it.
fn issuer<'a>(
    trust: &Trust,
    mut found: impl Iterator<Item = &'a CaCertificate>,
) -> Result<CaCertificate, RebuildError> {
    match trust {
        Trust::Certificate(certificate) => Ok((**certificate).clone()),
        Trust::Id(id) => {
            let own = found.find(|certificate| certificate.id() == *id);
            own.cloned().ok_or_else(|| RebuildError::OtherIssuer {
                issuer: HEXLOWER.encode(id),
            })
        }
    }
}

/// A batch of the issuer, if its record agrees with itself.
fn own(batch: Recorded, faults: &mut Faults) -> Result<Option<Found>, RebuildError> {
    let Recorded {
        place,
        store,
        name,
        read,
    } = batch;
    let ReadRecord {
        record,
        profile,
        issuer,
    } = read;
    let mut is_sound = true;
    let mut ensure = |holds: bool, what: String| {
        if !holds {
            is_sound = false;
            faults.of(&name, BATCH_OBJECT, what);
        }
    };
    let digest = |text: &str| HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok();
    let manifest_sha256: Option<[u8; 32]> = digest(&record.manifest_sha256);
    ensure(record.batch == name, format!("is of batch {}", record.batch));
    ensure(
        record.issuer_id == HEXLOWER.encode(&issuer.id()),
        "names another CA than its certificate is of".to_owned(),
    );
    ensure(
        record.profile_sha256 == HEXLOWER.encode(&profile.digest()),
        "names another profile than it has".to_owned(),
    );
    ensure(
        manifest_sha256.is_some(),
        "does not name its manifest by a SHA-256".to_owned(),
    );
    let ledgers = ledgers(&store, &record, &mut ensure)?;
    let (Some(manifest_sha256), true) = (manifest_sha256, is_sound) else {
        return Ok(None);
    };
    let released = released_chunks(&store)?;
    let first = first_certificate(&store, &released)?;
    let standard = Standard::new(&profile, &issuer);
    Ok(Some(Found {
        begun: first.and_then(|der| standard.begins(&der)),
        profile_sha256: profile.digest(),
        place,
        record,
        profile,
        issuer,
        manifest_sha256,
        released,
        ledgers,
    }))
}

/// The ids of the ledgers that account for a batch.
fn ledgers(
    store: &Store,
    record: &BatchRecord,
    ensure: &mut dyn FnMut(bool, String),
) -> Result<BTreeSet<String>, RebuildError> {
    let mut ids = BTreeSet::new();
    match record.shards {
        None => _ = ids.insert(record.ledger.clone()),
        Some(shards) => {
            for shard in 1..=shards {
                match store.read(&shard_ledger_object(shard), None) {
                    Ok(octets) => match ShardLedger::read(&octets, shard) {
                        Ok(own) => _ = ids.insert(own.ledger),
                        Err(error) => ensure(false, error.to_string()),
                    },
                    Err(StoreError::NotFound { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }
    for id in &ids {
        let names_one = octets(id).is_some();
        ensure(names_one, format!("names a ledger by {id:?}, which is no id"));
    }
    Ok(ids)
}

fn octets(id: &str) -> Option<[u8; 16]> {
    HEXLOWER.decode(id.as_bytes()).ok()?.try_into().ok()
}

/// The first certificate of the first released chunk.
fn first_certificate(store: &Store, released: &BTreeSet<u64>) -> Result<Option<Vec<u8>>, RebuildError> {
    let Some(chunk) = released.first() else {
        return Ok(None);
    };
    match store.read(&certificates_object(*chunk), None) {
        Ok(octets) => Ok(ChunkCertificates::read(&octets).found().first().cloned()),
        // That is said where the chunk is read.
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) if error.is_of_one_object() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A batch of another CA, unless it only says so.
fn others(batch: Recorded, issuer: &CaCertificate, faults: &mut Faults) -> Result<LeftOut, RebuildError> {
    let released = released_chunks(&batch.store)?;
    let first = first_certificate(&batch.store, &released)?;
    let standard = Standard::new(&batch.read.profile, issuer);
    if first.is_some_and(|der| standard.begins(&der).is_some()) {
        let what = "names another CA, and the certificates are signed by this one";
        faults.of(&batch.name, BATCH_OBJECT, what);
    }
    Ok(LeftOut {
        batch: batch.name,
        issuer_id: HEXLOWER.encode(&batch.read.issuer.id()),
    })
}

/// The id of the ledger, and the batches that name another. It is the one that is asked for; else the one that most batches
/// name which are not complete, and of those that are, most.
fn id(job: &Job<'_>, batches: &[Found]) -> Result<([u8; 16], Vec<Elsewhere>), RebuildError> {
    let mut named: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for batch in batches {
        for ledger in &batch.ledgers {
            let (unfinished, all) = named.entry(ledger).or_default();
            *unfinished += u64::from(!batch.is_complete());
            *all += 1;
        }
    }
    let most = named.iter().max_by_key(|(_, counts)| **counts).map(|(id, _)| *id);
    let chosen = match job.id {
        Some(id) if !named.contains_key(id) => {
            return Err(RebuildError::NotNamed {
                id: id.to_owned(),
                named: named.keys().copied().collect::<Vec<_>>().join(", "),
            });
        }
        chosen => chosen.or(most),
    };
    let Some((chosen, id)) = chosen.and_then(|chosen| Some((chosen, octets(chosen)?))) else {
        return Ok((Random.octets()?, Vec::new()));
    };
    let others = batches.iter().flat_map(|batch| {
        let others = batch.ledgers.iter().filter(|ledger| *ledger != chosen);
        others.map(|ledger| Elsewhere {
            batch: batch.record.batch.clone(),
            ledger: ledger.clone(),
        })
    });
    Ok((id, others.collect()))
}
