//! A profile: TOML, templates and recipes; one that is taken is what its own record says.
#![cfg_attr(fuzzing, no_main)]

use std::path::Path;

use certforge::bundle::{Bundler, Member};
use certforge::manifest::Header;
use certforge::profile::{Binding, Profile};

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| run(octets));

pub fn run(octets: &[u8]) {
    let Ok(text) = std::str::from_utf8(octets) else {
        return;
    };
    let Ok(profile) = Profile::parse(text, "fuzz", None) else {
        return;
    };
    let again = Profile::from_config(profile.config()).expect("it was taken before");
    assert_eq!(again.digest(), profile.digest());
    let columns = ["serial_number", "site", "country"].map(str::to_owned);
    let _ = Binding::new(&profile, &Header::new(columns.to_vec()), Path::new("fuzz"));
    if let Ok(bundler) = Bundler::new(profile.recipe(), profile.shared(b"issuer")) {
        let texts = profile.recipe().members().iter().flat_map(Member::texts);
        let longest: Vec<usize> = texts.map(|text| text.most).collect();
        assert!(bundler.room(200, 800, &longest) > 1000);
    }
    let _ = profile.with_noted_host("EXAMPLE-ats.iot.eu-central-1.amazonaws.com");
}
