//! Every format that has settings, in bundles of a batch: what is made fits its room, is read back, and is made again.

mod espressif;

use std::path::Path;

use crate::bundle::format::{Beside, Unread, Value};
use crate::bundle::{Bundler, Content, Credential, Secrets, examine};
use crate::digest::sha256;
use crate::manifest::{DeviceId, Header, Row};
use crate::profile::{Binding, Profile};
use proptest::prelude::*;
use ring::rand::{SecureRandom, SystemRandom};

const TEXT: &str = "[[bundle.files]]
name = '{device_id}.txt'
format = 'text'
template = '''id={device_id}
site={site|upper} {{}} {endpoint.host}:{endpoint.port} {endpoint.thing_name}
key={private-key}
{certificate}
{starfield-root-g2}'''
";

const JSON: &str = "[[bundle.files]]
name = 'config.json'
format = 'json'
fields = { id = '{device_id}', net = { host = '{endpoint.host}', port = 8883, list = ['{site}', true, []] }, key = '{private-key}', chain = '{chain}', empty = {} }
";

const HEADER: &str = "[[bundle.files]]
name = 'keys.h'
format = 'c-header'
content = ['private-key', 'chain', 'amazon-root-ca-1']
defines = { clientcredentialIOT_THING_NAME = '{endpoint.thing_name}', site = 'at {site}' }
numbers = { clientcredentialMQTT_BROKER_PORT = '{endpoint.port}' }
";

const DER_HEADER: &str = "[[bundle.files]]
name = 'keys_der.h'
format = 'c-header'
style = 'der'
guard = 'KEYS_H'
names = { issuer = 'ca' }
content = ['private-key', 'certificate', 'issuer', 'amazon-root-ca-1']
";

const PKCS12: &str = "[[bundle.files]]
name = 'device.p12'
format = 'pkcs12'
iterations = 1
[[bundle.files]]
name = 'device.p12.password'
content = 'pkcs12-password'
";

const PKCS12_OF_OLD: &str = "[[bundle.files]]
name = 'old.p12'
format = 'pkcs12'
encryption = '3des'
iterations = 3
password = 'pass {serial_number}'
friendly_name = 'Gerät {site}'
content = ['private-key', 'certificate', 'issuer', 'amazon-root-ca-1']
";

const ALL: [&str; 6] = [TEXT, JSON, HEADER, DER_HEADER, PKCS12, PKCS12_OF_OLD];

fn profile(files: &str) -> Profile {
    let text = format!("name = 'x'\n[endpoint]\nthing_name = 'pump-{{serial_number}}'\n{files}");
    Profile::parse(&text, "x", Some("a.example")).unwrap()
}

fn binding(profile: &Profile) -> Binding {
    let header = Header::new(vec!["serial_number".to_owned(), "site".to_owned()]);
    Binding::new(profile, &header, Path::new("devices.csv")).unwrap()
}

fn row(site: &str) -> Row {
    Row::new(2, DeviceId::parse("SN1").unwrap(), &["SN1", site])
}

fn random(octets: &mut [u8]) -> Result<(), ring::error::Unspecified> {
    SystemRandom::new().fill(octets)
}

/// Makes a bundle, reads each of its files, and makes again those in which chance had no part.
fn try_all(files: &str, site: &str, private_key: &[u8], certificate: &[u8]) {
    let profile = profile(files);
    let (binding, row) = (binding(&profile), row(site));
    assert_eq!(binding.problems(&row), []);
    let texts = binding.texts(&row);
    let longest: Vec<usize> = texts.iter().map(|text| text.len()).collect();
    let shared = profile.shared(&[9; 700]);
    let bundler = Bundler::new(profile.recipe(), shared.clone()).unwrap();
    let room = bundler.room(private_key.len(), certificate.len(), &longest);
    let mut out = Vec::with_capacity(room);
    let place = out.as_ptr();
    let credential = Credential {
        private_key,
        certificate,
        thing_name: "pump-SN1",
        client_id: "pump-SN1",
        device_id: "SN1",
        texts: &texts,
    };
    let mut writer = bundler.writer();
    writer.draw(1, random).unwrap();
    writer.append(&credential, &mut out);
    assert_eq!(out.as_ptr(), place, "{} octets in {room}", out.len());
    assert_eq!(sha256(&out), {
        let mut digests = [[0; 32]];
        bundler.sha256_many(&[&out], &mut digests);
        digests[0]
    });

    let opened = examine(&out, profile.recipe(), "SN1").unwrap();
    let mut drawn = Vec::new();
    for file in &opened {
        if let [Content::Drawn(secret)] = file.member.contents()
            && let Ok([Value::Drawn(octets)]) = file.member.read(&file.octets, &Beside::default()).as_deref()
        {
            drawn.push((*secret, octets.clone()));
        }
    }
    let mut secrets = Secrets::default();
    for (secret, octets) in &drawn {
        secrets.set(*secret, octets);
    }
    for file in &opened {
        let name = file.member.name();
        let own = &texts[profile.recipe().texts_of(name)];
        let beside = Beside {
            texts: Some(own),
            secrets,
        };
        let values = file.member.read(&file.octets, &beside);
        let values = values.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!(values.len(), file.member.contents().len(), "{name}");
        for (content, value) in file.member.contents().iter().zip(values) {
            match (content, value) {
                (Content::PrivateKey, Value::PrivateKey(der)) => assert_eq!(**der, *private_key, "{name}"),
                (Content::Certificate, Value::Certificates(ders)) => {
                    assert_eq!(ders, [certificate], "{name}");
                }
                (Content::Chain, Value::Certificates(ders)) => {
                    assert_eq!(ders, [certificate, &shared.issuer], "{name}");
                }
                (Content::Issuer, Value::Certificates(ders)) => {
                    assert_eq!(ders, [&shared.issuer[..]], "{name}");
                }
                (Content::Root(root), Value::Certificates(ders)) => {
                    assert_eq!(ders, [root.der()], "{name}");
                }
                (Content::Drawn(_), Value::Drawn(_)) => {}
                (content, _) => panic!("{name}: {content:?}"),
            }
        }
        let credential = Credential {
            texts: own,
            ..credential
        };
        if let Some(again) = shared.again(file.member, &credential, secrets) {
            assert_eq!(*again, *file.octets, "{name}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_made_fits_its_room_and_is_read_back(
        site in "[^{}\u{0}]{1,40}",
        private_key in prop::collection::vec(any::<u8>(), 1..300),
        certificate in prop::collection::vec(any::<u8>(), 1..900),
        only in 0..ALL.len(),
    ) {
        let needed = "[[bundle.files]]\nname = 'key.der'\ncontent = 'private-key'\nformat = 'der'\n\
            [[bundle.files]]\nname = 'certificate.der'\ncontent = 'certificate'\nformat = 'der'\n";
        try_all(&ALL.concat(), &site, &private_key, &certificate);
        try_all(&format!("{needed}{}", ALL[only]), &site, &private_key, &certificate);
    }
}

#[test]
fn a_password_of_the_row_is_asked_for() {
    let files = format!("{PKCS12_OF_OLD}{TEXT}");
    let profile = profile(&files);
    let (binding, row) = (binding(&profile), row("Köln"));
    let texts = binding.texts(&row);
    let bundler = Bundler::new(profile.recipe(), profile.shared(&[9; 70])).unwrap();
    let mut writer = bundler.writer();
    writer.draw(1, random).unwrap();
    let mut out = Vec::new();
    let credential = Credential {
        private_key: &[1; 50],
        certificate: &[2; 50],
        thing_name: "t",
        client_id: "t",
        device_id: "SN1",
        texts: &texts,
    };
    writer.append(&credential, &mut out);
    let opened = examine(&out, profile.recipe(), "SN1").unwrap();
    let file = opened
        .iter()
        .find(|file| file.member.name() == "old.p12")
        .unwrap();
    let read = |beside: &Beside<'_>, octets: &[u8]| file.member.read(octets, beside).err();
    assert_eq!(read(&Beside::default(), &file.octets), Some(Unread::Locked));
    let own = &texts[profile.recipe().texts_of("old.p12")];
    let other = [own[0].clone(), "pass SN2".into()];
    let beside = |texts| Beside {
        texts: Some(texts),
        ..Beside::default()
    };
    assert_eq!(read(&beside(&other), &file.octets), Some(Unread::Damaged));
    let renamed = ["another name".into(), own[1].clone()];
    assert_eq!(read(&beside(&renamed), &file.octets), Some(Unread::Damaged));
    assert_eq!(read(&beside(own), &file.octets), None);
    for at in 0..file.octets.len() {
        let mut changed = file.octets.to_vec();
        changed[at] ^= 0x10;
        assert_eq!(read(&beside(own), &changed), Some(Unread::Damaged), "{at}");
    }
}

#[test]
fn without_an_archive_a_bundle_is_its_file() {
    let profile = profile(&format!("[bundle]\narchive = 'none'\n{PKCS12_OF_OLD}"));
    let (binding, row) = (binding(&profile), row("Lyon"));
    let texts = binding.texts(&row);
    let longest: Vec<usize> = texts.iter().map(|text| text.len()).collect();
    let bundler = Bundler::new(profile.recipe(), profile.shared(&[9; 700])).unwrap();
    let credential = Credential {
        private_key: &[1; 138],
        certificate: &[2; 600],
        thing_name: "t",
        client_id: "t",
        device_id: "SN1",
        texts: &texts,
    };
    let mut out = Vec::with_capacity(bundler.room(138, 600, &longest));
    let place = out.as_ptr();
    let mut writer = bundler.writer();
    writer.draw(1, random).unwrap();
    writer.append(&credential, &mut out);
    assert_eq!(out.as_ptr(), place);
    let mut digests = [[0; 32]];
    bundler.sha256_many(&[&out], &mut digests);
    assert_eq!(digests, [sha256(&out)]);
    assert_eq!(bundler.crc(&out), crc32fast::hash(&out));
    let opened = examine(&out, profile.recipe(), "SN1").unwrap();
    let [file] = &opened[..] else {
        panic!("there are {}", opened.len())
    };
    assert_eq!((&*file.name, &**file.octets), ("old.p12", &*out));
    assert!(examine(&vec![0; 1 << 20], profile.recipe(), "SN1").is_err());
}

#[test]
fn files_are_named_after_their_device_if_they_can_be() {
    let files = "[[bundle.files]]
name = 'a-{device_id}.pem'
content = ['private-key', 'certificate', 'issuer']
[[bundle.files]]
name = '{device_id}'
content = 'issuer'
[[bundle.files]]
name = 'Sn2'
content = 'issuer'
";
    let profile = profile(files);
    let binding = binding(&profile);
    let told = |id: &str| {
        let row = Row::new(2, DeviceId::parse(id).unwrap(), &[id, ""]);
        let problems = binding.problems(&row);
        let told = problems.iter().map(|problem| problem.reason.to_string());
        told.collect::<Vec<_>>()
    };
    assert_eq!(told("SN1"), Vec::<String>::new());
    for (id, file, name) in [
        ("A:B", "a-{device_id}.pem", "a-A:B.pem"),
        ("sN2", "{device_id}", "sN2"),
        ("nul", "{device_id}", "nul"),
    ] {
        let text = format!("does not fit into {file}: {name} cannot name a file beside the others");
        assert_eq!(told(id), [text], "{id}");
    }
    assert_eq!(told(&"x".repeat(59)).len(), 1);
}

#[test]
fn what_does_not_fit_is_told_of_its_row() {
    let needed = "[[bundle.files]]\nname = 'key.pem'\ncontent = ['private-key', 'certificate']\n";
    for (file, site, told) in [
        (
            TEXT,
            "x-----BEGIN CERTIFICATE-----",
            "does not fit into {device_id}.txt: it begins a block of PEM",
        ),
        (
            "[[bundle.files]]\nname = 'n.h'\nformat = 'c-header'\ncontent = 'issuer'\nnumbers = { n = '{site}' }",
            "012",
            "does not fit into n.h: it is no decimal number",
        ),
        (
            "[[bundle.files]]\nname = 'd.p12'\nformat = 'pkcs12'\npassword = '{site}'",
            "",
            "does not fit into d.p12: the password is empty",
        ),
        (
            "[[bundle.files]]\nname = 'd.p12'\nformat = 'pkcs12'\npassword = '{site}'",
            &"x".repeat(257),
            "has 257 octets, 256 are allowed",
        ),
        (
            "[[bundle.files]]\nname = 'd.p12'\nformat = 'pkcs12'\npassword = '{site}'",
            "Köln",
            "does not fit into d.p12: the password has more than ASCII, which programs encode in several ways",
        ),
    ] {
        let profile = profile(&format!("{needed}{file}"));
        let problems = binding(&profile).problems(&row(site));
        let [problem] = &problems[..] else {
            panic!("{problems:?}")
        };
        assert_eq!(problem.reason.to_string(), told);
        assert!(problem.column.as_ref().unwrap().starts_with("bundle.files: "));
    }
}
