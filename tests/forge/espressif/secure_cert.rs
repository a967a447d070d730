//! `esp_secure_cert` against esp-secure-cert-tool.

use std::collections::BTreeMap;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::KeySize;
use certforge::bundle::format::esp_secure_cert as images;
use images::{Bounds, Certificate, Chip, Contents, Device, Ds, DsChance, Key, Layout, Plan, Text, Writer};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};

use super::tools::{Tools, assert_same, drawn, octets, random, text};

const CASES: usize = 500;

/// A private key, as PKCS#8 and as it was before.
struct Pair {
    pkcs8: Vec<u8>,
    traditional: Vec<u8>,
    rsa_bits: Option<usize>,
}

impl Pair {
    fn key(&self) -> Key<'_> {
        match self.rsa_bits {
            Some(_) => Key::Rsa(&self.traditional),
            None => Key::Ec(&self.traditional),
        }
    }
}

fn pairs(tools: &mut Tools) -> Vec<Pair> {
    let mut made = Vec::new();
    for _ in 0..10 {
        for curve in [&ECDSA_P256_SHA256_ASN1_SIGNING, &ECDSA_P384_SHA384_ASN1_SIGNING] {
            let pkcs8 = EcdsaKeyPair::generate_pkcs8(curve, &SystemRandom::new()).unwrap();
            made.push((pkcs8.as_ref().to_vec(), None));
        }
    }
    let sizes = [
        (KeySize::Rsa2048, 2048, 4),
        (KeySize::Rsa3072, 3072, 1),
        (KeySize::Rsa4096, 4096, 1),
    ];
    for (size, bits, count) in sizes {
        for _ in 0..count {
            let pair = aws_lc_rs::rsa::KeyPair::generate(size).unwrap();
            made.push((pair.as_der().unwrap().as_ref().to_vec(), Some(bits)));
        }
    }
    let ders: Vec<_> = made.iter().map(|(pkcs8, _)| text(pkcs8)).collect();
    let answer = tools.ask(&json!({"ask": "keys", "keys": ders}));
    let traditional = answer["keys"].as_array().unwrap().iter().map(octets);
    let pairs = made.into_iter().zip(traditional);
    pairs
        .map(|((pkcs8, rsa_bits), traditional)| Pair {
            pkcs8,
            traditional,
            rsa_bits,
        })
        .collect()
}

/// Certificates of many lengths.
fn certificates(random: &mut fastrand::Rng) -> Vec<Vec<u8>> {
    let key = rcgen::KeyPair::generate().unwrap();
    let made = (0..64).map(|_| {
        let mut parameters = rcgen::CertificateParams::default();
        for kind in [rcgen::DnType::CommonName, rcgen::DnType::OrganizationName] {
            let name: String = (0..random.usize(1..64)).map(|_| random.alphanumeric()).collect();
            parameters.distinguished_name.push(kind, name);
        }
        parameters.self_signed(&key).unwrap().der().to_vec()
    });
    made.collect()
}

struct Case {
    plan: Plan,
    ca: Vec<Vec<u8>>,
    key: usize,
    certificates: Vec<Vec<u8>>,
    hmac_key: [u8; 32],
    iv: [u8; 16],
}

fn case(random: &mut fastrand::Rng, pairs: &[Pair], pool: &[Vec<u8>]) -> Case {
    let key = random.usize(..pairs.len());
    let text = if random.u8(..4) == 0 { Text::Der } else { Text::Pem };
    let longest = if text == Text::Pem && random.bool() { 3 } else { 1 };
    let mut some = |least: usize| -> Vec<Vec<u8>> {
        let count = random.usize(least..=longest);
        (0..count)
            .map(|_| pool[random.usize(..pool.len())].clone())
            .collect()
    };
    let (certificates, ca) = (some(1), some(0));
    let bits = pairs[key].rsa_bits.unwrap_or(usize::MAX);
    let chips: Vec<_> = Chip::ALL
        .into_iter()
        .filter(|(_, chip)| chip.longest_key() >= bits)
        .collect();
    let ds = (!chips.is_empty() && random.bool()).then(|| Ds {
        chip: chips[random.usize(..chips.len())].1,
        efuse_key: random.u8(..6),
    });
    let (_, layout) = Layout::ALL[random.usize(..3)];
    Case {
        plan: Plan { layout, text, ds },
        ca,
        key,
        certificates,
        hmac_key: drawn(random),
        iv: drawn(random),
    }
}

fn name_of<T: Copy + PartialEq>(all: &[(&'static str, T)], value: T) -> &'static str {
    all.iter().find(|(_, each)| *each == value).unwrap().0
}

impl Case {
    fn question(&self, pair: &Pair) -> Value {
        let ders = |ders: &[Vec<u8>]| ders.iter().map(|der| text(der)).collect::<Vec<_>>();
        let ds = self.plan.ds.map(|ds| {
            json!({
                "chip": name_of(&Chip::ALL, ds.chip),
                "efuse_key": ds.efuse_key,
                "hmac_key": text(&self.hmac_key),
                "iv": text(&self.iv),
            })
        });
        json!({
            "ask": "secure-cert",
            "pem": self.plan.text == Text::Pem,
            "layout": name_of(&Layout::ALL, self.plan.layout),
            "key": text(&pair.pkcs8),
            "certificates": ders(&self.certificates),
            "ca": ders(&self.ca),
            "ds": ds,
        })
    }

    /// Our image; `None` when the plan says that it is too long.
    fn image(&self, pair: &Pair) -> Option<Vec<u8>> {
        let chance = DsChance {
            hmac_key: &self.hmac_key,
            iv: &self.iv,
        };
        // Whether somebody has them as PEM already makes no difference.
        let pem = |der: &Vec<u8>| certforge::pem::encode("CERTIFICATE", der).into_bytes();
        let pems: Vec<_> = self.certificates.iter().map(pem).collect();
        let mut certificates: Vec<Certificate<'_>> = Vec::new();
        for (der, pem) in self.certificates.iter().zip(&pems) {
            let pem = Some(pem.as_slice());
            certificates.push(Certificate { der, pem });
        }
        let ca: Vec<Certificate<'_>> = self.ca.iter().map(|der| der.as_slice().into()).collect();
        let device = Device {
            key: pair.key(),
            certificates: &certificates,
            ca: &ca,
            chance: self.plan.ds.map(|_| chance),
        };
        let lens = |certificates: &[Certificate<'_>]| {
            let len = |certificate: &Certificate<'_>| certificate.der.len();
            certificates.iter().map(len).collect::<Vec<_>>()
        };
        let bounds = Bounds {
            key: pair.traditional.len(),
            certificates: &lens(&certificates),
            ca: &lens(&ca),
        };
        let writer = Writer::new(self.plan).ok()?;
        let room = writer.room(&bounds);
        let mut image = Vec::with_capacity(room.unwrap_or(0));
        let place = image.as_ptr();
        let written = writer.append(&device, &mut image);
        assert_eq!(written.is_ok(), room.is_ok(), "the plan says what comes");
        let room = room.ok()?;
        assert_eq!(image.as_ptr(), place, "the buffer did not move");
        assert!(image.len() <= room);
        Some(image)
    }

    /// Our reader gives back what went in.
    fn assert_read(&self, pair: &Pair, octets: &[u8]) {
        let image = images::read(octets).unwrap();
        assert_eq!(image.certificates, self.certificates);
        assert_eq!(image.ca, self.ca);
        assert_eq!(image.has_digest, self.plan.layout == Layout::Current);
        match (image.key, self.plan.ds) {
            (Contents::Ec(der), None) => {
                assert_eq!((pair.rsa_bits, &*der), (None, &pair.traditional));
            }
            (Contents::Rsa(der), None) => {
                assert!(pair.rsa_bits.is_some());
                assert_eq!(*der, pair.traditional);
            }
            (Contents::Ds(parameters), Some(ds)) => {
                assert_eq!(Some(parameters.bits), pair.rsa_bits);
                assert_eq!((parameters.efuse_key, parameters.iv), (ds.efuse_key, self.iv));
                let private = parameters.open(&self.hmac_key).expect("the HMAC key opens it");
                for number in [&private.modulus, &*private.exponent] {
                    let mut found = pair.traditional.windows(number.len());
                    assert!(found.any(|window| window == number), "it is the key's");
                }
                assert_eq!(*private.pkcs1().expect("it is a whole key"), pair.traditional);
                assert!(parameters.open(&[7; 32]).is_none(), "another HMAC key does not");
            }
            _ => panic!("the key lies there as the plan says"),
        }
    }
}

#[test]
fn images_are_those_of_the_tool() {
    let mut random = random();
    let mut tools = Tools::start();
    let pairs = pairs(&mut tools);
    let pool = certificates(&mut random);
    let mut seen = BTreeMap::new();
    let (mut same, mut too_long) = (0, 0);
    while same < CASES {
        let case = case(&mut random, &pairs, &pool);
        let pair = &pairs[case.key];
        let Some(ours) = case.image(pair) else {
            too_long += 1;
            continue;
        };
        let question = case.question(pair);
        let theirs = tools.image(&question);
        assert_same(&ours, &theirs, &question);
        case.assert_read(pair, &ours);
        *seen.entry((pair.rsa_bits, case.plan.ds.is_some())).or_insert(0) += 1;
        same += 1;
    }
    println!("{same} images are the tool's, {too_long} were too long: (RSA bits, DS) {seen:?}");
    for kind in [(None, false), (Some(2048), false), (Some(2048), true)] {
        assert!(seen[&kind] >= 20, "{kind:?} came up");
    }
}

#[test]
fn the_tool_parses_images_back() {
    let mut random = random();
    let mut tools = Tools::start();
    let pairs = pairs(&mut tools);
    let pool = certificates(&mut random);
    let mut parsed = 0;
    while parsed < 100 {
        let case = case(&mut random, &pairs, &pool);
        let pair = &pairs[case.key];
        let Some(image) = case.image(pair) else { continue };
        let answer = tools.ask(&json!({"ask": "parse-secure-cert", "image": text(&image)}));
        let files = answer["files"].as_object().unwrap();
        assert_eq!(answer["valid"], answer["entries"], "every CRC is valid");
        let is_pem = case.plan.text == Text::Pem;
        let file = |stem: &str| {
            let name = format!("{stem}.{}", if is_pem { "pem" } else { "der" });
            files.get(&name).map(octets)
        };
        let ders = |octets: Vec<u8>| {
            if !is_pem {
                return vec![octets];
            }
            let pem = std::str::from_utf8(&octets).unwrap();
            let blocks = certforge::pem::blocks(pem).unwrap();
            blocks.iter().map(|block| block.der.to_vec()).collect()
        };
        assert_eq!(file("devcert_1_0").map(ders).unwrap(), case.certificates);
        assert_eq!(file("cacert_0_0").map(ders).unwrap_or_default(), case.ca);
        match case.plan.ds {
            None => {
                let answer = tools.ask(&json!({"ask": "keys", "keys": [text(&pair.pkcs8)]}));
                let key = octets(&answer["keys"][0]);
                // What it writes of a PEM of SEC1 is a PKCS#8; of the others it copies.
                let found = file("privkey_2_0").map(ders).unwrap();
                if !(is_pem && pair.rsa_bits.is_none()) {
                    assert_eq!(found, [key]);
                }
            }
            Some(_) => {
                assert!(files.contains_key("ds_data_3_0.bin") && files.contains_key("ds_context_4_0.bin"));
            }
        }
        parsed += 1;
    }
}
