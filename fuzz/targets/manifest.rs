//! A manifest: its header, its rows, and what a profile with templates makes of them, read twice.
#![cfg_attr(fuzzing, no_main)]

use std::sync::LazyLock;

use certforge::manifest::{DEFAULT_ID_COLUMN, Manifest};
use certforge::profile::{Binding, Profile};

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| run(octets));

static PROFILE: LazyLock<Profile> = LazyLock::new(|| Profile::load("aws-iot-subject", None).unwrap());

pub fn run(octets: &[u8]) {
    let file = tempfile::NamedTempFile::new_in("/dev/shm").unwrap();
    std::fs::write(file.path(), octets).unwrap();
    let Ok(manifest) = Manifest::open(file.path(), DEFAULT_ID_COLUMN) else {
        return;
    };
    let binding = Binding::new(&PROFILE, manifest.header(), file.path()).ok();
    let (mut blocks, mut reread) = (manifest.blocks(3).unwrap(), manifest.reread().unwrap());
    while let Some(block) = blocks.next_block().unwrap() {
        let (rows, problems) = manifest.parse(&block);
        assert!(rows.len() <= block.rows() && rows.len() + problems.len() >= block.rows());
        let unproven = reread.block(&block.bookmark()).expect("it is there as before");
        let again = manifest.parse_again(&unproven).expect("it is as before");
        assert_eq!((again.0.len(), &again.1), (rows.len(), &problems));
        assert!(problems.iter().all(|problem| !problem.to_string().is_empty()));
        for (row, binding) in rows.iter().zip(binding.iter().cycle()) {
            assert!(!binding.problems(row).is_empty() || binding.subject(row).count() > 0);
        }
    }
    let sha256 = blocks.finish();
    let mut again = manifest.blocks(2).unwrap();
    while !again.next_blocks(4).unwrap().is_empty() {}
    manifest.prove(again, &sha256).expect("it is as before");
}
