//! `verify` judges most bundles by holding them against one that was judged in full. Whatever is done to a batch, it must
//! find the same with and without that.

use std::fs;
use std::ops::Range;
use std::path::PathBuf;

use certforge::batch::{BatchRecord, IndexEntry, Layout, parse_index, write_index};
use certforge::bundle::{Bundler, Credential};
use certforge::engine::{AwsLc, DeviceKey, Engine, KeyMaker, KeySigner, PrivateKey};
use certforge::pem;
use certforge::profile::{KeyType, Passwords};
use certforge::store::Store;
use certforge::verify::{Job, Report, verify};
use ring::digest::{SHA256, digest};
use time::OffsetDateTime;

use crate::support::Workplace;

/// Devices of the batch, in one chunk.
const ROWS: usize = 24;

/// One that is no sample.
const ROW: usize = 13;

/// Those of a good batch that are judged in full: the first, and one at a place that moves.
const SAMPLED: u64 = 2;

/// A workplace with a batch `b` of one chunk, without its seal.
fn workplace(layout: &str, more: &[&str]) -> Workplace {
    let place = Workplace::new();
    place.manifest(ROWS);
    let mut arguments = vec![
        "run",
        "devices.csv",
        "--no-endpoint",
        "--batch",
        "b",
        "--layout",
        layout,
    ];
    arguments.extend(["--chunk-rows", "24"]);
    arguments.extend(more);
    place.succeed(&arguments);
    place.unseal("b");
    place
}

fn object(place: &Workplace, name: &str) -> PathBuf {
    place.join("out/b").join(name)
}

fn report(place: &Workplace, strict: bool) -> Report {
    let store = Store::in_folder(place.join("out/b"));
    let manifest = place.join("devices.csv");
    let job = Job {
        store: &store,
        ledger: None,
        issuer: None,
        manifest: Some(&manifest),
        now: OffsetDateTime::now_utc(),
        identities: None,
        passwords: &Passwords::default(),
        strict,
    };
    verify(&job, &|_| {}, &|_| {}).expect("the batch is read")
}

/// What is found of a batch, which is the same both ways. Returns how many were judged in full too.
fn found(place: &Workplace, what: &str) -> (Vec<String>, u64, u64) {
    let [quick, strict] = [false, true].map(|strict| report(place, strict));
    assert_eq!(quick.faults, strict.faults, "{what}");
    assert_eq!(quick.good, strict.good, "{what}");
    assert!(quick.judged_in_full <= strict.judged_in_full, "{what}");
    let faults = quick.faults.iter().map(ToString::to_string).collect();
    (faults, quick.good, quick.judged_in_full)
}

/// A batch in objects whose bundles can be made anew.
struct Remade {
    place: Workplace,
    bundler: Bundler,
    entries: Vec<IndexEntry>,
    certificates: Vec<Vec<u8>>,
}

/// What a device has.
#[derive(Clone)]
struct Own {
    private_key: Vec<u8>,
    certificate: Vec<u8>,
}

impl Remade {
    fn new(more: &[&str]) -> Self {
        let place = workplace("objects", more);
        let record = fs::read(object(&place, "batch.json")).expect("a record");
        let read = BatchRecord::read(&record, "out/b").expect("it is read");
        let bundler =
            Bundler::new(read.profile.recipe(), read.profile.shared(read.issuer.der())).expect("a bundler");
        let index = fs::read(object(&place, "index/000000.csv")).expect("an index");
        let rows = parse_index(&index).expect("it is read");
        let pem = fs::read(object(&place, "certificates/000000.pem")).expect("certificates");
        Self {
            place,
            bundler,
            entries: rows.into_iter().map(|row| row.entry).collect(),
            certificates: pem::certificates(&pem),
        }
    }

    fn bundle_path(&self, i: usize) -> PathBuf {
        object(
            &self.place,
            &Layout::Objects.object(0, &self.entries[i].device_id),
        )
    }

    fn own(&self, i: usize) -> Own {
        let bundle = fs::read(self.bundle_path(i)).expect("a bundle");
        let text = String::from_utf8_lossy(&bundle).into_owned();
        let start = text.find("-----BEGIN PRIVATE KEY").expect("a key");
        let end = text[start..].find("-----END PRIVATE KEY-----").expect("its end") + start;
        let block = format!("{}-----END PRIVATE KEY-----\n", &text[start..end]);
        Own {
            private_key: pem::blocks(&block).expect("PEM")[0].der.to_vec(),
            certificate: self.certificates[i].clone(),
        }
    }

    /// Puts something else in a device's place, so that digests, index and certificates agree with it.
    fn put(&mut self, i: usize, own: &Own) {
        let id = self.entries[i].device_id.clone();
        let credential = Credential {
            private_key: &own.private_key,
            certificate: &own.certificate,
            thing_name: id.as_str(),
            client_id: id.as_str(),
            device_id: id.as_str(),
            texts: &[],
        };
        let mut bundle = Vec::new();
        self.bundler.writer().append(&credential, &mut bundle);
        fs::write(self.bundle_path(i), &bundle).expect("the bundle is overwritten");
        let sha256 = |octets: &[u8]| -> [u8; 32] {
            let digest = digest(&SHA256, octets);
            digest.as_ref().try_into().expect("32 octets")
        };
        let entry = &mut self.entries[i];
        entry.sha256 = sha256(&bundle);
        entry.length = bundle.len() as u64;
        entry.certificate_id = sha256(&own.certificate);
        self.certificates[i].clone_from(&own.certificate);
        let pem: String = self
            .certificates
            .iter()
            .map(|der| pem::encode(pem::CERTIFICATE, der))
            .collect();
        fs::write(object(&self.place, "certificates/000000.pem"), pem).expect("certificates are overwritten");
        self.write_index();
    }

    fn write_index(&self) {
        let index = write_index(Layout::Objects, 0, &self.entries);
        fs::write(object(&self.place, "index/000000.csv"), index).expect("the index is overwritten");
    }
}

/// Where the TBSCertificate is in a certificate whose lengths are written as most are.
fn tbs(certificate: &[u8]) -> Range<usize> {
    assert_eq!(
        (certificate[..2].to_vec(), certificate[4..6].to_vec()),
        (vec![0x30, 0x82], vec![0x30, 0x82])
    );
    4..8 + usize::from(u16::from_be_bytes([certificate[6], certificate[7]]))
}

fn signer(pkcs8: &[u8], public_key: &[u8]) -> Box<dyn KeySigner> {
    let private = PrivateKey::from_pkcs8(pkcs8).expect("a key");
    let pair = private.prove(public_key).expect("a pair");
    AwsLc.signer(&pair).expect("a signer")
}

/// The certificate with another TBSCertificate of the same length, signed by a key.
fn signed(certificate: &[u8], other: &[u8], signer: &dyn KeySigner) -> Vec<u8> {
    let mut signatures = [Vec::new()];
    signer.sign(&[other], &mut signatures).expect("it signs");
    let bits = [
        &[0x03, u8::try_from(signatures[0].len() + 1).expect("short"), 0],
        &signatures[0][..],
    ]
    .concat();
    // ecdsa-with-SHA256.
    let algorithm = b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02";
    assert_eq!(&certificate[tbs(certificate).end..][..12], algorithm);
    let body = [other, algorithm, &bits].concat();
    let len = u16::try_from(body.len()).expect("short").to_be_bytes();
    [&[0x30, 0x82, len[0], len[1]], &body[..]].concat()
}

/// The CA's key.
fn ca(place: &Workplace) -> Box<dyn KeySigner> {
    let text = fs::read_to_string(place.join("ca/key.pem")).expect("a key");
    let pkcs8 = pem::blocks(&text).expect("PEM")[0].der.to_vec();
    let certificate = fs::read(place.join("ca/certificate.pem")).expect("a certificate");
    let der = &pem::certificates(&certificate)[0];
    // Its point follows the name of the curve, and two octets of the BIT STRING's header, and one of its own.
    let curve = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
    let at = der
        .windows(curve.len())
        .position(|window| window == curve)
        .expect("P-256")
        + curve.len()
        + 3;
    signer(&pkcs8, &der[at..at + 65])
}

fn position(octets: &[u8], part: &[u8]) -> usize {
    let found = octets.windows(part.len()).position(|window| window == part);
    found.expect("it is there")
}

/// Changes a part of a certificate, signs it again with the CA's key, and puts it in its place.
fn resign(batch: &mut Remade, good: &Own, change: impl FnOnce(&mut Vec<u8>)) -> (Vec<String>, u64, u64) {
    let mut other = good.certificate[tbs(&good.certificate)].to_vec();
    change(&mut other);
    let certificate = signed(&good.certificate, &other, &*ca(&batch.place));
    batch.put(
        ROW,
        &Own {
            certificate,
            ..good.clone()
        },
    );
    found(&batch.place, "signed anew")
}

#[test]
fn most_bundles_are_held_against_one_that_is_judged_in_full() {
    for layout in ["objects", "packs"] {
        let place = workplace(layout, &[]);
        assert_eq!(found(&place, layout), (vec![], ROWS as u64, SAMPLED));
        assert_eq!(report(&place, true).judged_in_full, ROWS as u64);
    }
    let place = workplace("packs", &[]);
    let count = |arguments: &[&str]| {
        let document: serde_json::Value =
            serde_json::from_str(&place.succeed(arguments)).expect("a document");
        document["judged_in_full"].as_u64()
    };
    assert_eq!(count(&["verify", "out/b", "--json"]), Some(SAMPLED));
    assert_eq!(
        count(&["verify", "out/b", "--json", "--strict"]),
        Some(ROWS as u64)
    );
}

#[test]
fn so_are_those_of_other_keys_files_and_names() {
    let profile = |name: &str, text: &str, place: &Workplace| {
        fs::write(place.join(name), text).expect("a profile");
    };
    let more = [
        (
            "P-384",
            "subject = ['CN={serial_number}']\n[key]\ntype = 'P-384'\n",
        ),
        (
            "RSA",
            "subject = ['CN={serial_number}']\n[key]\ntype = 'RSA-2048'\n",
        ),
        (
            "names",
            "subject = ['O=Łódź', 'CN={serial_number}', 'serialNumber={production_order}']\n\
             [san]\ndns = ['{serial_number|lower}.example.org']\nuri = ['urn:x:{serial_number}']\n",
        ),
        (
            "files",
            "subject = ['CN={serial_number}']\n[bundle]\nfiles = [\n\
             { name = 'all.pem', content = ['private-key', 'certificate', 'issuer', 'amazon-root-ca-3'] },\n\
             { name = 'key.der', content = 'private-key', format = 'der' },\n\
             { name = 'cert.der', content = 'certificate', format = 'der' },\n\
             { name = 'chain.pem', content = 'chain', compression = 'deflated' },\n\
             { name = 'endpoint.json', content = 'endpoint', compression = 'deflated' },\n\
             { name = 'roots.pem', content = { file = 'roots.txt' } },\n]\n",
        ),
    ];
    for (name, text) in more {
        let place = Workplace::new();
        place.manifest(ROWS);
        fs::write(place.join("roots.txt"), "of the user's own\n").expect("a file");
        profile("p.toml", &format!("name = 'p'\n{text}"), &place);
        place.succeed(&[
            "run",
            "devices.csv",
            "--profile",
            "p.toml",
            "--no-endpoint",
            "--batch",
            "b",
            "--layout",
            "packs",
            "--chunk-rows",
            "24",
        ]);
        assert_eq!(found(&place, name), (vec![], ROWS as u64, SAMPLED), "{name}");
    }
}

type Change = Box<dyn FnOnce(&mut Vec<u8>)>;

#[test]
fn a_certificate_that_the_ca_signed_with_other_fields_is_judged_in_full() {
    let mut batch = Remade::new(&[]);
    let good = batch.own(ROW);
    batch.put(ROW, &good);
    assert_eq!(found(&batch.place, "made anew"), (vec![], ROWS as u64, SAMPLED));
    let flip = |part: &'static [u8], octet: usize, value: u8| {
        move |other: &mut Vec<u8>| {
            let at = position(other, part) + octet;
            other[at] ^= value;
        }
    };
    let changes: [(Change, &str); 6] = [
        // extKeyUsage: serverAuth for clientAuth.
        (
            Box::new(flip(b"\x2b\x06\x01\x05\x05\x07\x03\x02", 7, 3)),
            "the chain does not verify: ",
        ),
        // Of basicConstraints, critical, the OID: an extension that nobody knows.
        (
            Box::new(flip(b"\x06\x03\x55\x1d\x13\x01\x01\xff", 4, 0x70)),
            "the chain does not verify: ",
        ),
        // The subject is another device's, in the list of attributes behind the issuer.
        (
            Box::new(|other: &mut Vec<u8>| {
                let at = position(other, b"SN000013");
                other[at + 7] = b'4';
            }),
            "the subject is not the row's",
        ),
        // The serial is another.
        (
            Box::new(flip(b"\xa0\x03\x02\x01\x02\x02\x10", 10, 0xff)),
            "certificate serial is not that of the index",
        ),
        // notAfter is earlier by a second, or by some.
        (
            Box::new(|other: &mut Vec<u8>| {
                // notBefore is a UTCTime.
                let is_time = |octets: &[u8]| octets.starts_with(b"\x17\x0d") && octets[14] == b'Z';
                let at = other.windows(15).position(is_time).expect("a time") + 15;
                let last = at + usize::from(other[at + 1]);
                other[last] = if other[last] == b'0' { b'1' } else { b'0' };
            }),
            "notAfter is not that of the index",
        ),
        // The issuer is another.
        (
            Box::new(|other: &mut Vec<u8>| {
                let at = position(other, b"\x06\x03\x55\x04") + 7;
                other[at] ^= 1;
            }),
            "the chain does not verify: UnknownIssuer",
        ),
    ];
    for (change, expected) in changes {
        let (faults, good, in_full) = resign(&mut batch, &good, change);
        assert_eq!(
            (good, in_full),
            (ROWS as u64 - 1, SAMPLED + 1),
            "{expected}: {faults:?}"
        );
        assert!(
            faults.iter().any(|fault| fault.contains(expected)),
            "{expected}: {faults:?}"
        );
    }
}

#[test]
fn any_octet_of_a_certificate_that_the_ca_signed_anew_is_judged_alike_both_ways() {
    let mut batch = Remade::new(&[]);
    let good = batch.own(ROW);
    let len = tbs(&good.certificate).len();
    let mut refused = 0;
    // The steps have no factor in common with the bits of an octet, so all bits are met.
    for at in (0..len).step_by(3) {
        let (_, good, _) = resign(&mut batch, &good, |other| other[at] ^= 1u8 << (at % 8));
        refused += u32::from(good < ROWS as u64);
    }
    assert!(refused > 50, "{refused}");
}

#[test]
fn a_signature_that_is_another_keys_or_was_changed_is_found_between_good_ones() {
    let mut batch = Remade::new(&[]);
    let good = batch.own(ROW);
    let mut keys = [DeviceKey::default()];
    AwsLc.make_keys(KeyType::P256, &mut keys).expect("a key");
    let other = signer(keys[0].pkcs8(), keys[0].public_key());
    let other = signed(
        &good.certificate,
        &good.certificate[tbs(&good.certificate)],
        &*other,
    );
    let mut changed = good.certificate.clone();
    *changed.last_mut().expect("a signature") ^= 1;
    for certificate in [other, changed] {
        batch.put(
            ROW,
            &Own {
                certificate,
                ..good.clone()
            },
        );
        let (faults, good, in_full) = found(&batch.place, "another signature");
        let id = &batch.entries[ROW].device_id;
        let object = Layout::Objects.object(0, id);
        assert_eq!(
            faults,
            [format!(
                "device {id}, {object}: the chain does not verify: InvalidSignatureForPublicKey"
            )]
        );
        assert_eq!((good, in_full), (ROWS as u64 - 1, SAMPLED + 1));
    }
}

#[test]
fn a_key_that_is_not_the_certificates_is_found_between_good_ones() {
    let mut batch = Remade::new(&[]);
    let (good, other) = (batch.own(ROW), batch.own(ROW + 1));
    // Another's; and its scalar alone, beside the point that the certificate has.
    let mut half = good.private_key.clone();
    half[36..68].copy_from_slice(&other.private_key[36..68]);
    for private_key in [other.private_key, half] {
        batch.put(
            ROW,
            &Own {
                private_key,
                ..good.clone()
            },
        );
        let (faults, good, in_full) = found(&batch.place, "another key");
        let id = &batch.entries[ROW].device_id;
        let object = Layout::Objects.object(0, id);
        assert_eq!(
            faults,
            [format!(
                "device {id}, {object}: the private key does not match the certificate"
            )]
        );
        assert_eq!((good, in_full), (ROWS as u64 - 1, SAMPLED + 1));
    }
}

#[test]
fn any_flipped_bit_of_a_bundle_is_judged_alike_both_ways_even_if_the_index_has_its_digest() {
    let mut batch = Remade::new(&[]);
    let bundle = fs::read(batch.bundle_path(ROW)).expect("a bundle");
    let mut refused = 0;
    for at in (0..bundle.len()).step_by(17) {
        let mut changed = bundle.clone();
        changed[at] ^= 1u8 << (at % 8);
        fs::write(batch.bundle_path(ROW), &changed).expect("the bundle is overwritten");
        let sha256 = digest(&SHA256, &changed);
        batch.entries[ROW].sha256 = sha256.as_ref().try_into().expect("32 octets");
        batch.write_index();
        let (_, good, in_full) = found(&batch.place, &format!("bit {} of octet {at}", at % 8));
        assert_eq!(in_full, SAMPLED + 1, "octet {at} is not alike");
        refused += u32::from(good < ROWS as u64);
    }
    assert!(refused > 200, "{refused}");
}

#[test]
fn any_flipped_bit_of_a_pack_of_an_index_or_of_certificates_is_found_alike_both_ways() {
    let place = workplace("packs", &[]);
    for (name, step) in [
        ("packs/000000.zip", 797),
        ("index/000000.csv", 61),
        ("certificates/000000.pem", 127),
    ] {
        let good = fs::read(object(&place, name)).expect("an object");
        for at in (0..good.len()).step_by(step) {
            let mut changed = good.clone();
            changed[at] ^= 1u8 << (at % 8);
            fs::write(object(&place, name), changed).expect("it is overwritten");
            found(&place, &format!("bit {} of octet {at} of {name}", at % 8));
        }
        fs::write(object(&place, name), good).expect("it is put back");
    }
    assert_eq!(found(&place, "put back"), (vec![], ROWS as u64, SAMPLED));
}
