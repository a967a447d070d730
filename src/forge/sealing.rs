//! Sealing: states, signed by the issuer, that every chunk of a batch is released. What it states comes from the run
//! that made a chunk, from the ledger, or from what a shard signed: never from what lies in the store alone.
//!
//! The lookups are put first and the seal last, so a batch that is sealed has all that its seal names.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use rayon::prelude::*;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::{Event, ForgeError, Job, Observe, OpenLedger, Shard, agreement, shared, withdrawn};
use crate::batch::{
    BATCH_OBJECT, BatchRecord, Lookups, ReadRecord, SEAL_OBJECT, index_object, lookup_object, write_index,
};
use crate::digest::sha256;
use crate::issuer::{CaCertificate, Issuer};
use crate::ledger::{Batch, Ledger};
use crate::seal::{Builder, ChunkDigest, OfShard, Seal, SealError, ShardSeal, Statement, sign};
use crate::store::{Store, StoreError, is_location};

/// Objects that are read at a time.
const READ_AT_A_TIME: usize = 64;

type Octets = Zeroizing<Vec<u8>>;

/// Lookups that are put at a time.
const LOOKUPS_AT_A_TIME: usize = 64;

/// A batch that is sealed.
#[derive(Debug, Clone)]
pub struct Sealed {
    pub statement: Statement,
    /// Whether it was sealed before.
    pub before: bool,
}

impl Sealed {
    /// A batch whose seal holds already, and whose lookups are those that were sealed.
    fn before(store: &Store, seal: &Seal) -> Result<Self, ForgeError> {
        let statement = seal.statement().clone();
        each_group(
            store,
            0..statement.lookups.len() as u64,
            lookup_object,
            |lookups| {
                for (part, lookup) in lookups {
                    seal.check_lookup(*part, lookup)?;
                }
                Ok(())
            },
        )?;
        Ok(Self {
            statement,
            before: true,
        })
    }
}

/// Seals a batch that is made: one in shards, each with a ledger of its own, by what each shard has signed for; one
/// that was made as a whole by what its ledger says. What merely lies in the store is not believed. `moved`: it is no copy,
/// though it is reached by another path than when it was made.
///
/// # Errors
///
/// When it is not complete, is withdrawn, is another issuer's, was changed since, or has a seal that says otherwise.
pub fn seal(
    store: &Store,
    issuer: &Issuer,
    (open_ledger, moved): (OpenLedger<'_>, bool),
    now: OffsetDateTime,
    observe: Observe<'_>,
) -> Result<Sealed, ForgeError> {
    let location = store.location();
    store.refuse_exposed()?;
    let octets = store.read(BATCH_OBJECT, None)?;
    let Ok(read) = BatchRecord::read(&octets, &location) else {
        return Err(ForgeError::ForeignBatch { location });
    };
    let record = &read.record;
    let batch_sha256 = sha256(&octets);
    let certificate = issuer.certificate();
    if record.issuer_id != HEXLOWER.encode(&certificate.id()) || read.issuer != *certificate {
        return Err(ForgeError::OtherIssuer {
            location,
            issuer: certificate.subject_text().to_owned(),
        });
    }
    withdrawn::refuse_withdrawn(store, &record.batch)?;
    observe(Event::Begun {
        batch: record.batch.clone(),
        devices: record.rows,
        skipped: 0,
    });
    let missing = agreement::missing_chunks(store, record)?;
    if let Some((first, chunks)) = missing {
        return Err(ForgeError::Unfinished {
            batch: record.batch.clone(),
            first,
            missing: chunks,
            of: record.shape().chunks(),
        });
    }
    shared::check(store, &read)?;
    let chunks = || 0..record.shape().chunks();
    let released = |indexes: &[(u64, Octets)]| {
        let rows = indexes.iter().map(|(chunk, _)| record.shape().rows_of(*chunk));
        let devices = rows.sum();
        observe(Event::Released { devices });
    };
    if let Some(seal) = existing(store, certificate)? {
        seal.record(&octets)?;
        each_group(store, chunks(), index_object, |indexes| {
            for (chunk, index) in indexes {
                seal.check_index(*chunk, index)?;
            }
            released(indexes);
            Ok(())
        })?;
        return Sealed::before(store, &seal);
    }
    let mut builder = Builder::new(record.rows);
    let Some(shards) = record.shards else {
        let ledger = open_ledger()?;
        withdrawn::refuse_in_ledger(&*ledger, &record.batch)?;
        let batch = ledger.find_batch(&record.batch)?;
        let batch = batch.filter(|batch| is_record_of(&read, batch, ledger.id()));
        let batch = batch.ok_or(ForgeError::ForeignBatch {
            location: location.clone(),
        })?;
        if !is_location(&batch.location, &location) && !moved {
            return Err(ForgeError::SealElsewhere {
                location,
                made: batch.location,
            });
        }
        made_in_all(store, &*ledger, &batch, chunks(), &mut builder)?;
        return finish(store, record, batch_sha256, issuer, now, builder);
    };
    let shards = shard_seals(store, certificate, record, shards, batch_sha256)?;
    let elsewhere = shards
        .iter()
        .find(|(_, seal)| !is_location(seal.location(), &location));
    if let Some((_, seal)) = elsewhere.filter(|_| !moved) {
        return Err(ForgeError::SealElsewhere {
            made: seal.location().to_owned(),
            location,
        });
    }
    each_group(store, chunks(), index_object, |indexes| {
        let digest = |(chunk, index): &(u64, Octets)| {
            let of = shards.iter().find(|(shard, _)| shard.has(*chunk));
            let (_, signed) = of.expect("every chunk is of one shard");
            signed.check_index(*chunk, index)?;
            ChunkDigest::of(*chunk, index, record)
        };
        let digests: Result<Vec<_>, SealError> = indexes.par_iter().map(digest).collect();
        digests?.into_iter().for_each(|digest| builder.add(digest));
        released(indexes);
        Ok(())
    })?;
    finish(store, record, batch_sha256, issuer, now, builder)
}

/// What each shard that has chunks signed for, all of them.
fn shard_seals(
    store: &Store,
    issuer: &CaCertificate,
    record: &BatchRecord,
    shards: u32,
    batch_sha256: [u8; 32],
) -> Result<Vec<(Shard, ShardSeal)>, ForgeError> {
    let location = || store.location();
    let mut sealed = Vec::new();
    for shard in Shard::all(shards) {
        let chunks = shard.chunks(record.shape()).count() as u64;
        if chunks == 0 {
            break;
        }
        let of = of_shard(record, batch_sha256, shard);
        match store.read(&of.object(), None) {
            Ok(octets) => {
                let seal = ShardSeal::open(&octets, &of, issuer)?;
                if seal.chunks() != chunks {
                    return Err(ForgeError::UnsealedShard {
                        location: location(),
                        shard,
                    });
                }
                sealed.push((shard, seal));
            }
            Err(StoreError::NotFound { .. }) => {
                return Err(ForgeError::UnsealedShard {
                    location: location(),
                    shard,
                });
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(sealed)
}

/// Whether the record in a store says of a batch what its ledger does.
fn is_record_of(read: &ReadRecord, batch: &Batch, ledger: &str) -> bool {
    let record = &read.record;
    record.ledger == ledger
        && (record.layout, record.shape()) == (batch.layout, batch.shape())
        && record.manifest_sha256 == HEXLOWER.encode(&batch.manifest_sha256)
        && record.profile_sha256 == HEXLOWER.encode(&batch.profile_sha256)
        && read.profile.digest() == batch.profile_sha256
        && record.issuer_id == HEXLOWER.encode(&sha256(&batch.issuer_certificate))
}

fn of_shard(record: &BatchRecord, batch_sha256: [u8; 32], shard: Shard) -> OfShard<'_> {
    OfShard {
        batch: &record.batch,
        batch_sha256,
        shard: shard.number(),
        shards: shard.of(),
        layout: record.layout,
        has_shared: record.shared_sha256.is_some(),
    }
}

/// Shows numbered objects, in groups of which each is read at once.
fn each_group(
    store: &Store,
    numbers: impl IntoIterator<Item = u64>,
    name: fn(u64) -> String,
    mut visit: impl FnMut(&[(u64, Octets)]) -> Result<(), ForgeError>,
) -> Result<(), ForgeError> {
    let mut numbers = numbers.into_iter();
    loop {
        let some: Vec<u64> = numbers.by_ref().take(READ_AT_A_TIME).collect();
        if some.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = some.iter().copied().map(name).collect();
        let read: Result<Vec<_>, StoreError> = store.read_all(&names).into_iter().collect();
        let group: Vec<_> = some.into_iter().zip(read?).collect();
        visit(&group)?;
    }
}

/// What was just made, and what the ledger has of the chunks that were made before: those are seen to lie in the store
/// as they were released.
fn made_in_all(
    store: &Store,
    ledger: &dyn Ledger,
    batch: &Batch,
    chunks: impl Iterator<Item = u64>,
    made: &mut Builder,
) -> Result<(), ForgeError> {
    let before: Vec<u64> = chunks.filter(|chunk| !made.has(*chunk)).collect();
    let committed: BTreeMap<u64, bool> = ledger.committed(batch)?.into_iter().collect();
    let mut missing = before.iter().filter(|chunk| committed.get(chunk) != Some(&true));
    if let Some(first) = missing.next() {
        return Err(ForgeError::Unfinished {
            batch: batch.name.clone(),
            first: *first,
            missing: 1 + missing.count() as u64,
            of: batch.shape().chunks(),
        });
    }
    each_group(store, before, index_object, |indexes| {
        for (chunk, found) in indexes {
            let entries = ledger.entries(batch, *chunk)?;
            let index = write_index(batch.layout, *chunk, &entries);
            if *index != ***found {
                return Err(SealError::NotReleased {
                    object: index_object(*chunk),
                    by: "the ledger".to_owned(),
                }
                .into());
            }
            made.add(ChunkDigest::written(*chunk, &index, &entries));
        }
        Ok(())
    })
}

/// Seals a batch that its ledger knows to be complete.
pub(super) fn seal_made(
    store: &Store,
    ledger: &dyn Ledger,
    batch: &Batch,
    record: &BatchRecord,
    job: &Job<'_>,
    mut made: Builder,
) -> Result<Sealed, ForgeError> {
    // It may have been withdrawn while it was made.
    withdrawn::refuse_withdrawn(store, &record.batch)?;
    let batch_sha256 = agreement::record_digest(store, record)?;
    made_in_all(store, ledger, batch, 0..record.shape().chunks(), &mut made)?;
    finish(store, record, batch_sha256, job.issuer, job.now, made)
}

/// Signs for what a shard released, all of it: [`seal`] believes nothing else.
pub(super) fn seal_shard(
    store: &Store,
    ledger: &dyn Ledger,
    batch: &Batch,
    record: &BatchRecord,
    (job, shard): (&Job<'_>, Shard),
    mut made: Builder,
) -> Result<(), ForgeError> {
    withdrawn::refuse_withdrawn(store, &record.batch)?;
    let (issuer, chunks) = (job.issuer, || shard.chunks(record.shape()));
    let batch_sha256 = agreement::record_digest(store, record)?;
    made_in_all(store, ledger, batch, chunks(), &mut made)?;
    let of = of_shard(record, batch_sha256, shard);
    let statement = ShardSeal::new(
        &of,
        (ledger.id(), &store.location()),
        issuer.certificate(),
        made.indexes(),
    );
    if store.create(&of.object(), &statement.sign(issuer)?)? {
        return Ok(());
    }
    // It was sealed before, which it may be in other words of the same meaning only.
    let octets = store.read(&of.object(), None)?;
    match ShardSeal::open(&octets, &of, issuer.certificate())?.states_the_same(&statement) {
        true => Ok(()),
        false => Err(ForgeError::OtherSeal {
            location: store.location(),
        }),
    }
}

fn finish(
    store: &Store,
    record: &BatchRecord,
    batch_sha256: [u8; 32],
    issuer: &Issuer,
    now: OffsetDateTime,
    builder: Builder,
) -> Result<Sealed, ForgeError> {
    let (statement, lookups) = builder.finish(record, batch_sha256, &store.location(), now)?;
    let found = || match existing(store, issuer.certificate())? {
        Some(seal) if seal.statement().states_the_same(&statement) => Sealed::before(store, &seal).map(Some),
        Some(_) => Err(ForgeError::OtherSeal {
            location: store.location(),
        }),
        None => Ok(None),
    };
    if let Some(before) = found()? {
        return Ok(before);
    }
    put_lookups(store, &lookups)?;
    let octets = sign(&statement, issuer)?;
    // A signature that is not sound goes no further.
    Seal::open(&octets, issuer.certificate())?;
    if store.create(SEAL_OBJECT, &octets)? {
        return Ok(Sealed {
            statement,
            before: false,
        });
    }
    // Somebody else was faster.
    found()?.ok_or_else(|| ForgeError::OtherSeal {
        location: store.location(),
    })
}

/// The seal in the store, if there is one.
fn existing(store: &Store, issuer: &CaCertificate) -> Result<Option<Seal>, ForgeError> {
    match store.read(SEAL_OBJECT, None) {
        Ok(octets) => Ok(Some(Seal::open(&octets, issuer)?.of(None)?)),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The same lookups may be there already, from one who began to seal; others may not.
pub(crate) fn put_lookups(store: &Store, lookups: &Lookups) -> Result<(), StoreError> {
    let parts = lookups.parts();
    for first in (0..parts).step_by(LOOKUPS_AT_A_TIME) {
        let some = first..(first + LOOKUPS_AT_A_TIME as u64).min(parts);
        let objects: Vec<_> = some
            .into_par_iter()
            .map(|part| (lookup_object(part), lookups.part(part).into_bytes()))
            .collect();
        store.publish(&objects).into_iter().collect::<Result<(), _>>()?;
    }
    Ok(())
}
