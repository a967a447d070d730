//! First connections with encrypted bundles, which whoever rehearses can read by an identity.

use std::fs;

use crate::devices::bundle;
use crate::endpoint::{Endpoint, write_narrow_template};
use crate::identity::{age, identity};
use crate::support::Workplace;

/// A batch `b` of encrypted bundles for `bench.key`.
fn factory(layout: &str) -> Workplace {
    let place = Workplace::new();
    place.manifest(30);
    place.succeed(&["ca", "new", "--no-passphrase"]);
    let recipient = identity(&place, "bench");
    let run = [
        "run",
        "devices.csv",
        "--no-endpoint",
        "--ca",
        "ca",
        "--batch",
        "b",
        "--layout",
        layout,
    ];
    place.succeed(&[&run[..], &["--chunk-rows", "20", "--recipient", &recipient]].concat());
    write_narrow_template(&place);
    place
}

#[test]
fn a_batch_of_encrypted_bundles_is_rehearsed_by_who_can_read_them() {
    for layout in ["objects", "packs"] {
        let place = factory(layout);
        let rehearse = [
            "rehearse",
            "out/b",
            "--template",
            "template.json",
            "--sample",
            "all",
        ];
        let text = place.succeed(&[&rehearse[..], &["--identity", "bench.key"]].concat());
        assert!(text.ends_with("all 30 would come up\n"), "{text}");
        let told = place.fail(&rehearse, 9);
        assert!(told.contains("the bundles are encrypted, for age1"), "{told}");
        identity(&place, "other");
        let told = place.fail(&[&rehearse[..], &["--identity", "other.key"]].concat(), 9);
        assert!(told.contains("and this identity is age1"), "{told}");
    }
}

#[test]
fn a_device_connects_with_an_encrypted_bundle_by_who_can_read_it() {
    let place = factory("objects");
    let endpoint = Endpoint::serve(&place, &[]);
    let file = bundle(&place, "b", "SN000007");
    let file = file.to_str().unwrap();
    let at = [
        "--host",
        "localhost",
        "--port",
        &endpoint.port,
        "--cafile",
        "rehearsal-root.pem",
    ];
    let connect = [&["connect", file][..], &at].concat();
    place.succeed(&[&connect[..], &["--identity", "bench.key"]].concat());
    let told = place.fail(&connect, 2);
    assert!(told.contains("it is encrypted, in the age format"), "{told}");
    assert!(
        told.contains("give an identity by which it can be read with --identity"),
        "{told}"
    );
    identity(&place, "other");
    let told = place.fail(&[&connect[..], &["--identity", "other.key"]].concat(), 2);
    assert!(told.contains("it is encrypted for somebody else"), "{told}");
    // What age has opened is a bundle like any other.
    let plain = age(place.path(), &["-d", "-i", "bench.key"], &fs::read(file).unwrap()).unwrap();
    fs::write(place.join("bundle.zip"), plain).unwrap();
    let connect = [&["connect", "bundle.zip"][..], &connect[2..]].concat();
    place.succeed(&connect);
    // And a pack says what it is.
    let place = factory("packs");
    let told = place.fail(&["connect", "out/b/packs/000000.zip"], 2);
    assert!(
        told.contains("this is a pack, with the bundles of 20 devices"),
        "{told}"
    );
}
