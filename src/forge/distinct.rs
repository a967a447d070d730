//! No key may appear twice: not in a chunk, and not in two chunks of a run, whoever of the workers made them.
//!
//! Of each key eight octets of its identifier are kept, which takes 16 octets a device. Two keys of a hundred million agree
//! in these by chance once in four thousand runs; the chunk then fails, and the next run makes it anew.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Mutex;

use crate::certificate::LintError;

/// The keys that a run has made.
#[derive(Default)]
pub(crate) struct Keys(Mutex<HashSet<u64, BuildHasherDefault<AsItIs>>>);

impl Keys {
    /// Adds the keys of a chunk, by their identifiers.
    ///
    /// # Errors
    ///
    /// When one is there already: the engine, or the source of randomness, is broken.
    pub(crate) fn add(&self, ids: &[[u8; 20]]) -> Result<(), LintError> {
        let mut keys = self.0.lock().expect("no holder panics");
        let mut starts = ids
            .iter()
            .map(|id| u64::from_le_bytes(*id.first_chunk().expect("it is longer")));
        match starts.all(|start| keys.insert(start)) {
            true => Ok(()),
            false => Err(LintError("two devices got the same key")),
        }
    }
}

/// An identifier is a digest already, so it is its own hash.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, octets: &[u8]) {
        for octet in octets {
            self.0 = self.0 << 8 | u64::from(*octet);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use time::OffsetDateTime;

    use super::*;
    use crate::batch::Layout;
    use crate::certificate::SerialPrefix;
    use crate::engine::{AwsLc, Choice, DeviceKey, EngineError, KeyMaker, Random};
    use crate::forge::check::Longest;
    use crate::forge::{ForgeError, Job, Plan, Workshop};
    use crate::issuer::{CaFiles, CaRequest, Issuer, create};
    use crate::manifest::{DEFAULT_ID_COLUMN, Manifest};
    use crate::profile::{Attribute, KeyType, NotAfter, Profile};

    #[test]
    fn refuses_a_key_that_is_used_twice_in_a_chunk_or_in_two() {
        let keys = Keys::default();
        assert!(keys.add(&[[1; 20], [2; 20], [3; 20]]).is_ok());
        assert!(keys.add(&[[4; 20], [5; 20], [4; 20]]).is_err());
        assert!(keys.add(&[[6; 20], [2; 20]]).is_err());
        assert!(keys.add(&[[7; 20]]).is_ok());
    }

    /// Makes good keys, but for one that it has made before.
    struct Stuck;

    impl KeyMaker for Stuck {
        fn name(&self) -> &'static str {
            "stuck"
        }

        fn makes(&self, _: KeyType) -> bool {
            true
        }

        fn make_keys(&self, key_type: KeyType, keys: &mut [DeviceKey]) -> Result<(), EngineError> {
            static FIRST: OnceLock<DeviceKey> = OnceLock::new();
            AwsLc.make_keys(key_type, keys)?;
            // The specimen's key, which is thrown away, is made alone.
            if keys.len() > 1 {
                keys[1] = FIRST.get_or_init(|| keys[1].clone()).clone();
            }
            Ok(())
        }
    }

    #[test]
    fn two_workers_that_get_the_same_key_do_not_both_make_a_chunk_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let now = OffsetDateTime::now_utc();
        let request = CaRequest {
            subject: vec![(Attribute::CommonName, "factory".to_owned())],
            key_type: KeyType::P256,
            not_after: NotAfter::Days(30),
            path_len: Some(0),
        };
        let ca = folder.path().join("ca");
        create(&request, None, now).unwrap().write(&ca, None).unwrap();
        let issuer = Issuer::load(&CaFiles::in_folder(&ca), &Choice::Auto, now, &mut |_| {
            unreachable!("not encrypted")
        })
        .unwrap();
        let path = folder.path().join("devices.csv");
        std::fs::write(&path, "serial_number\nA\nB\nC\nD\n").unwrap();
        let manifest = Manifest::open(&path, DEFAULT_ID_COLUMN).unwrap();
        let profile = Profile::load("aws-iot-p256", None).unwrap();
        let mut plan = Plan::new(&Job {
            manifest: &manifest,
            profile: &profile,
            issuer: &issuer,
            engines: Choice::Auto,
            layout: Layout::Packs,
            batch: None,
            chunk_rows: None,
            shard: None,
            reissue: false,
            min_validity: time::Duration::ZERO,
            jobs: 1,
            now,
        })
        .unwrap();
        plan.key_maker = &Stuck;
        let blocks = manifest.blocks(2).unwrap().next_blocks(2).unwrap();
        let chunks: Vec<_> = blocks.iter().map(|block| manifest.parse(block).0).collect();
        plan.lint_specimen(&chunks[0][0], &Longest::default()).unwrap();
        let made: Vec<_> = chunks
            .iter()
            .map(|rows| Workshop::new(&plan).make(rows, SerialPrefix::draw(Random).unwrap()))
            .collect();
        assert!(matches!(made[..], [Ok(_), Err(ForgeError::Lint(_))]), "{made:?}");
    }
}
