//! What is worked on: a throw-away CA, a generated manifest, a profile.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use time::OffsetDateTime;

use super::BenchError;
use crate::batch::Layout;
use crate::engine::Choice;
use crate::forge::{self, Cancel, Care, Job, Summary};
use crate::issuer::{CaFiles, CaRequest, Issuer, Secret, create};
use crate::ledger;
use crate::manifest::{DEFAULT_ID_COLUMN, Manifest, Row};
use crate::profile::{Attribute, DEFAULT, KeyType, NotAfter, Profile};
use crate::store::Store;

/// The inputs of a batch, whose CA has a key of the same type as the devices. Default profile, or one with keys of
/// another type.
#[derive(Debug)]
pub struct Fixture {
    pub issuer: Issuer,
    pub manifest: Manifest,
    pub profile: Profile,
    engines: Choice,
    now: OffsetDateTime,
}

impl Fixture {
    /// Makes them in a folder that exists and has none yet: `devices.csv`, and a CA in `ca` whose key is not encrypted.
    /// Engines of the choice make the keys and sign.
    ///
    /// # Errors
    ///
    /// When they cannot be made or written.
    pub fn new(folder: &Path, key_type: KeyType, rows: u64, engines: Choice) -> Result<Self, BenchError> {
        let now = OffsetDateTime::now_utc();
        let path = folder.join("devices.csv");
        write_manifest(&path, rows).map_err(|source| BenchError::Write {
            path: path.clone(),
            source,
        })?;
        Ok(Self {
            issuer: throw_away_issuer(&folder.join("ca"), key_type, &engines, now)?,
            manifest: Manifest::open(&path, DEFAULT_ID_COLUMN)?,
            profile: profile(key_type)?,
            engines,
            now,
        })
    }

    /// The job that makes them all.
    #[must_use]
    pub fn job(&self, layout: Layout, jobs: usize) -> Job<'_> {
        Job {
            manifest: &self.manifest,
            profile: &self.profile,
            issuer: &self.issuer,
            engines: self.engines.clone(),
            layout,
            batch: None,
            chunk_rows: None,
            shard: None,
            reissue: false,
            min_validity: time::Duration::ZERO,
            jobs,
            now: self.now,
        }
    }

    /// The first so many rows, or all.
    pub(super) fn first_rows(&self, rows: usize) -> Result<Vec<Row>, BenchError> {
        let block = self.manifest.blocks(rows)?.next_block()?;
        Ok(block.map_or_else(Vec::new, |block| self.manifest.parse(&block).0))
    }
}

/// Makes the whole batch of a job, with a ledger of its own, and seals it, unless somebody wants no more.
pub(super) fn make(
    job: &Job<'_>,
    path: &Path,
    store: &dyn Fn() -> Store,
    observe: forge::Observe<'_>,
    cancel: &Cancel,
) -> Result<Summary, BenchError> {
    let mut ledger = ledger::open(path, [0; 16])?;
    let mut summary = forge::run(
        job,
        (&mut *ledger, &Care::default()),
        &|_| Ok(store()),
        observe,
        cancel,
    )?;
    match summary.failure.take() {
        Some(failure) => Err(failure.into()),
        None if cancel.is_cancelled() => Err(BenchError::Interrupted),
        None => {
            assert!(
                summary.sealed && summary.made == summary.devices,
                "a run that nothing stopped is whole"
            );
            Ok(summary)
        }
    }
}

/// Makes a CA in a folder, which must not be there yet, with a key that is not encrypted.
pub(super) fn throw_away_issuer(
    folder: &Path,
    key_type: KeyType,
    engines: &Choice,
    now: OffsetDateTime,
) -> Result<Issuer, BenchError> {
    let request = CaRequest {
        subject: vec![(Attribute::CommonName, "certforge bench CA".to_owned())],
        key_type,
        not_after: NotAfter::Days(30),
        path_len: Some(0),
    };
    create(&request, None, now)?.write(folder, None)?;
    let mut ask = |_: Secret<'_>| unreachable!("the key is not encrypted");
    Ok(Issuer::load(&CaFiles::in_folder(folder), engines, now, &mut ask)?)
}

fn profile(key_type: KeyType) -> Result<Profile, BenchError> {
    if key_type == KeyType::P256 {
        return Ok(Profile::load(DEFAULT, None)?);
    }
    let text = format!("name = \"bench\"\n[key]\ntype = \"{key_type}\"\n[validity]\nuntil = \"issuer\"\n");
    Ok(Profile::parse(&text, "bench", None)?)
}

/// Writes a manifest, its owner's alone: ids `SN000000000` and on, and two more columns.
fn write_manifest(path: &Path, rows: u64) -> io::Result<()> {
    let mut new = OpenOptions::new();
    let file = new.write(true).create_new(true).mode(0o600).open(path)?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    writeln!(out, "{DEFAULT_ID_COLUMN},site,country")?;
    for row in 0..rows {
        writeln!(out, "SN{row:09},line-7,DE")?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_profile_for_every_key_type() {
        for key_type in KeyType::ALL {
            assert_eq!(profile(key_type).unwrap().key_type(), key_type);
        }
    }

    #[test]
    fn a_manifest_has_as_many_rows_as_were_asked_for() {
        let place = tempfile::tempdir().unwrap();
        let fixture = Fixture::new(place.path(), KeyType::P256, 3, Choice::Auto).unwrap();
        assert_eq!(fixture.first_rows(2).unwrap().len(), 2);
        let rows = fixture.first_rows(100).unwrap();
        assert_eq!(rows.len(), 3);
        assert_eq!(rows[2].device_id.as_str(), "SN000000002");
    }
}
