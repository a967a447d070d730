//! A provisioning template, and what it makes of a device.
#![cfg_attr(fuzzing, no_main)]

use std::sync::LazyLock;

use certforge::jitp::{Facts, Policies, Template};
use certforge::profile::Profile;

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| run(octets));

static PROFILE: LazyLock<Profile> =
    LazyLock::new(|| Profile::load("aws-iot-subject", None).expect("built in"));
static FACTS: LazyLock<Facts<'static>> = LazyLock::new(|| {
    let ders = certforge::pem::certificates(include_bytes!("../data/device.pem"));
    Facts::of_certificate(&ders[0]).expect("a certificate")
});

pub fn run(octets: &[u8]) {
    let Ok(text) = std::str::from_utf8(octets) else {
        return;
    };
    let reading = Template::read_for(text, Some(&PROFILE), None);
    // What the profile lacks is an error of the two, and not of the template.
    assert!(reading.template.is_some() || reading.findings.iter().any(certforge::jitp::Finding::is_error));
    let Some(template) = Template::read(text).template else {
        return;
    };
    assert!(Template::read(&template.body()).template.is_some());
    let _ = (template.prerequisites(), template.policy_resources());
    let _ = template.provision(&Facts::default());
    let _ = template
        .provision(&FACTS)
        .map(|made| Policies::read([("made", &*format!("{made:?}"))]));
}
