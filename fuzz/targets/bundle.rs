//! A bundle: no file beyond its recipe, and none larger than that allows.
#![cfg_attr(fuzzing, no_main)]

use std::sync::LazyLock;

use certforge::bundle::{examine, open, open_unknown, placed};
use certforge::digest::sha256;
use certforge::profile::Profile;

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| run(octets));

static PROFILE: LazyLock<Profile> = LazyLock::new(|| Profile::load("aws-iot-p256", None).expect("built in"));

pub fn run(octets: &[u8]) {
    let recipe = PROFILE.recipe();
    let opened = open(octets, &sha256(octets), recipe, "SN1").ok();
    assert_eq!(opened.is_some(), examine(octets, recipe, "SN1").is_ok());
    if let Some(files) = opened {
        let total: usize = files.iter().map(|file| file.octets.len()).sum();
        assert!(files.len() == recipe.members().len() && total < 1 << 20);
    }
    let placed = placed(octets).unwrap_or_default();
    assert!(placed.iter().all(|file| file.octets.start <= file.octets.end));
    let files = open_unknown(octets).unwrap_or_default();
    let total: usize = files.iter().map(|(_, octets)| octets.len()).sum();
    assert!(files.len() <= 64 && total <= 64 << 20);
}
