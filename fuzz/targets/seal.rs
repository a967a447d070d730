//! What an issuer signs: the seal of a batch, and of a shard. Nothing is taken for it that the issuer has not signed, and what it
//! has signed vouches for octets that have its digests alone.
#![cfg_attr(fuzzing, no_main)]

use std::path::Path;
use std::sync::LazyLock;

use certforge::batch::Layout;
use certforge::digest::sha256;
use certforge::issuer::CaCertificate;
use certforge::manifest::DeviceId;
use certforge::pem;
use certforge::seal::{OfShard, Seal, ShardSeal};
use data_encoding::{BASE64, HEXLOWER};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use serde_json::Value;

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| run(octets));

static ISSUER: LazyLock<CaCertificate> = LazyLock::new(|| {
    let ders = pem::certificates(include_bytes!("../data/ca.pem"));
    CaCertificate::from_der(&ders[0], Path::new("ca.pem")).expect("a CA")
});
static KEY: LazyLock<EcdsaKeyPair> = LazyLock::new(|| {
    let key = pem::blocks(include_str!("../data/ca.key.pem"))
        .expect("a key")
        .remove(0);
    let pkcs8 = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &key.der, &SystemRandom::new());
    pkcs8.expect("a key")
});
/// A statement that this issuer has signed.
const SIGNED: &[u8] = include_bytes!("../data/seal.json");

pub fn run(octets: &[u8]) {
    let was_signed = Seal::open(SIGNED, &ISSUER).expect("it is signed");
    if let Ok(seal) = Seal::open(octets, &ISSUER) {
        assert_eq!(seal, was_signed);
    }
    if let Ok(seal) = Seal::open(&signed(octets), &ISSUER) {
        let statement = seal.statement();
        assert_eq!(statement.shape().chunks(), statement.indexes.len() as u64);
        vouches(&seal, octets);
    }
    let mut statement: Value = serde_json::from_slice(SIGNED).expect("JSON");
    let statement = &mut statement["seal"];
    let digest = Value::from(HEXLOWER.encode(&sha256(octets)));
    for field in ["batch_sha256", "indexes", "lookups"] {
        statement[field] = match field {
            "batch_sha256" => digest.clone(),
            _ => vec![digest.clone()].into(),
        };
    }
    let seal = Seal::open(&signed(statement.to_string().as_bytes()), &ISSUER).expect("it is signed");
    assert!(seal.check_index(0, octets).is_ok());
    vouches(&seal, octets);
    let of = OfShard {
        batch: "p",
        batch_sha256: [0; 32],
        shard: 1,
        shards: 2,
        layout: Layout::Packs,
        has_shared: false,
    };
    for envelope in [octets, &signed(octets)] {
        if let Ok(shard) = ShardSeal::open(envelope, &of, &ISSUER) {
            assert!(shard.check_index(1, octets).is_err() && shard.states_the_same(&shard));
            assert!(
                shard.check_index(0, octets).is_err(),
                "it has no digest of itself"
            );
        }
    }
}

/// Octets as a statement, with the issuer's signature.
fn signed(statement: &[u8]) -> Vec<u8> {
    let signature = KEY.sign(&SystemRandom::new(), statement).expect("it signs");
    let signature = BASE64.encode(signature.as_ref());
    let end = format!(",\"signature\":{{\"algorithm\":\"ecdsa-with-SHA256\",\"value\":\"{signature}\"}}}}");
    [b"{\"seal\":", statement, end.as_bytes()].concat()
}

fn vouches(seal: &Seal, octets: &[u8]) {
    let device_id = DeviceId::parse("SN000001").expect("an id");
    let is_of_it = seal.check_index(0, octets).is_ok();
    let index = seal.index(0, octets);
    assert!(is_of_it || index.is_err());
    assert_eq!(HEXLOWER.encode(&seal.batch_digest()).len(), 64);
    let part = seal.part_of(&device_id);
    assert!(part < seal.statement().lookups.len() as u64);
    let candidates = seal.candidates(part, octets, &device_id);
    assert!(candidates.is_err() || seal.check_lookup(part, octets).is_ok());
    let record = seal.record(octets);
    let shape = |read: &certforge::batch::ReadRecord| read.record.shape();
    assert!(
        record.is_ok_and(|read| shape(&read) == seal.statement().shape()) || seal.record(octets).is_err()
    );
}
