use data_encoding::HEXLOWER;
use proptest::collection::vec;
use proptest::prelude::*;
use zeroize::Zeroizing;

use super::entry::{self, Kind};
use super::*;
use crate::digest::sha256;

const HMAC_KEY: [u8; 32] = [3; 32];
const IV: [u8; 16] = [4; 16];

fn sequence(content: &[u8]) -> Vec<u8> {
    let len = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[0x30, 0x82], &len[..], content].concat()
}

fn certificate(len: usize) -> Vec<u8> {
    sequence(&vec![5; len])
}

fn integer(octets: &[u8]) -> Vec<u8> {
    let len = u16::try_from(octets.len() + 1).unwrap().to_be_bytes();
    [&[0x02, 0x82], &len[..], &[0], octets].concat()
}

/// In the shape of a key.
fn ec_key() -> Vec<u8> {
    sequence(&[&[2, 1, 1, 4, 32][..], &[6; 32]].concat())
}

/// Modulus and exponent of a key, and the key; it is none that signs.
fn rsa_key(bits: usize) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let mut modulus: Vec<u8> = (0..=255)
        .cycle()
        .map(|octet| octet ^ 0xA5)
        .take(bits / 8)
        .collect();
    modulus[0] |= 0x80;
    *modulus.last_mut().unwrap() |= 1;
    let exponent: Vec<u8> = (1..=255).cycle().take(bits / 8 - 3).collect();
    let numbers = [
        &[2, 1, 0][..],
        &integer(&modulus),
        &[2, 3, 1, 0, 1],
        &integer(&exponent),
    ];
    let key = sequence(&numbers.concat());
    (modulus, exponent, key)
}

fn plan(layout: Layout, text: Text, ds: Option<Ds>) -> Plan {
    Plan { layout, text, ds }
}

fn ds(chip: Chip) -> Ds {
    Ds { chip, efuse_key: 1 }
}

fn image(plan: Plan, key: Key<'_>) -> Vec<u8> {
    let chance = DsChance {
        hmac_key: &HMAC_KEY,
        iv: &IV,
    };
    let chance = plan.ds.map(|_| chance);
    let (own, ca) = (certificate(500), certificate(400));
    let device = Device {
        key,
        certificates: &[own[..].into()],
        ca: &[ca[..].into()],
        chance,
    };
    let mut out = Vec::new();
    Writer::new(plan).unwrap().append(&device, &mut out).unwrap();
    out
}

/// One of each layout, text and kind of key.
fn images() -> Vec<(Plan, Vec<u8>)> {
    let (ec, (_, _, rsa)) = (ec_key(), rsa_key(2048));
    let mut images = Vec::new();
    for (_, layout) in Layout::ALL {
        for text in [Text::Pem, Text::Der] {
            for (ds, key) in [
                (None, Key::Ec(&ec)),
                (None, Key::Rsa(&rsa)),
                (Some(ds(Chip::Esp32S3)), Key::Rsa(&rsa)),
            ] {
                let plan = plan(layout, text, ds);
                images.push((plan, image(plan, key)));
            }
        }
    }
    images
}

/// What esp-secure-cert-tool 2.6.1 made of the same (`TlvPartitionBuilder.add_tlv_entry`).
#[test]
fn entries_are_those_of_the_tool() {
    let mut out = Vec::new();
    entry::append(Kind::Certificate, &mut out, |out| {
        out.extend_from_slice(b"certificate");
    });
    assert_eq!(
        HEXLOWER.encode(&out),
        "11ba5eba0000000001000b0063657274696669636174650000000000110630ea"
    );
}

#[test]
fn what_went_in_comes_out() {
    for (plan, octets) in images() {
        let image = read(&octets).unwrap();
        assert_eq!(image.certificates, [certificate(500)]);
        assert_eq!(image.ca, [certificate(400)]);
        assert_eq!(image.has_digest, plan.layout == Layout::Current);
        match image.key {
            Contents::Ec(der) => assert_eq!(*der, ec_key()),
            Contents::Rsa(der) => assert_eq!(*der, rsa_key(2048).2),
            Contents::Ds(parameters) => assert_eq!((parameters.bits, parameters.efuse_key), (2048, 1)),
        }
        if plan.layout == Layout::WholePartition {
            assert_eq!(octets.len(), PARTITION);
        } else {
            assert_eq!(image.end, octets.len());
        }
    }
}

#[test]
fn an_image_is_read_out_of_flash() {
    for (plan, mut octets) in images() {
        let end = read(&octets).unwrap().end;
        octets.resize(PARTITION, 0xFF);
        assert_eq!(read(&octets).unwrap().end, end);
        octets[PARTITION - 1] = 0;
        let offset = PARTITION - 1;
        assert_eq!(read(&octets).err(), Some(Unread::Rest { offset }), "{plan:?}");
        assert_eq!(read_beginning(&octets).unwrap().end, end);
    }
}

#[test]
fn keys_for_the_ds_peripheral_open_with_their_hmac_key() {
    for (bits, chip) in [
        (2048, Chip::Esp32C3),
        (3072, Chip::Esp32H2),
        (4096, Chip::Esp32S2),
        (2048, Chip::Esp32P4),
    ] {
        let (modulus, exponent, key) = rsa_key(bits);
        let octets = image(plan(Layout::Current, Text::Der, Some(ds(chip))), Key::Rsa(&key));
        let Contents::Ds(parameters) = read(&octets).unwrap().key else {
            panic!("it is for the peripheral")
        };
        assert_eq!((parameters.bits, parameters.iv), (bits, IV));
        let private = parameters.open(&HMAC_KEY).unwrap();
        assert_eq!(
            (private.modulus, private.exponent),
            (modulus, Zeroizing::new(exponent))
        );
        assert!(parameters.open(&[0; 32]).is_none());
        for at in [0, 100, parameters.ciphertext.len() - 1] {
            let mut damaged = parameters.clone();
            damaged.ciphertext[at] ^= 1;
            assert!(damaged.open(&HMAC_KEY).is_none(), "octet {at}");
        }
        let other = DsParameters {
            bits: if bits == 2048 { 3072 } else { 2048 },
            ..parameters
        };
        assert!(other.open(&HMAC_KEY).is_none(), "its length is another");
    }
}

#[test]
fn refuses_plans_before_there_is_a_device() {
    let new = |plan| Writer::new(plan).err().unwrap().to_string();
    let efuse_key = Some(Ds {
        chip: Chip::Esp32C3,
        efuse_key: 6,
    });
    assert_eq!(
        new(plan(Layout::Current, Text::Pem, efuse_key)),
        "eFuse key block 6 is not one of 0 to 5"
    );
    let room = |plan, certificates: &[usize]| {
        let bounds = Bounds {
            key: 1200,
            certificates,
            ca: &[404],
        };
        Writer::new(plan).unwrap().room(&bounds)
    };
    let der = |ds| plan(Layout::Current, Text::Der, ds);
    let error = PlanError::ChainAsDer {
        what: "the device's certificate",
        count: 2,
    };
    assert_eq!(room(der(None), &[500, 500]), Err(error));
    let error = PlanError::TooLong { octets: 8208 };
    assert_eq!(room(der(None), &[6481]), Err(error));
    assert_eq!(room(der(None), &[6480]), Ok(8192));
    assert_eq!(
        room(plan(Layout::WholePartition, Text::Pem, None), &[500]),
        Ok(PARTITION)
    );
}

#[test]
fn refuses_devices_that_were_not_planned_for() {
    let (ec, (_, _, rsa)) = (ec_key(), rsa_key(4096));
    let certificate = certificate(500);
    let certificates: &[Certificate<'_>] = &[certificate[..].into()];
    let chance = Some(DsChance {
        hmac_key: &HMAC_KEY,
        iv: &IV,
    });
    let (c3, none) = (Some(ds(Chip::Esp32C3)), None);
    for (ds, key, chance, error) in [
        (none, Key::Ec(&ec), chance, DeviceError::Chance),
        (c3, Key::Rsa(&rsa), None, DeviceError::Chance),
        (c3, Key::Ec(&ec), chance, DsError::NotRsa.into()),
        (c3, Key::Rsa(&ec), chance, DsError::NotRsa.into()),
        (c3, Key::Rsa(&rsa), chance, DsError::Bits { bits: 4096 }.into()),
    ] {
        let writer = Writer::new(plan(Layout::Current, Text::Pem, ds)).unwrap();
        let device = Device {
            key,
            certificates,
            ca: &[],
            chance,
        };
        let mut out = vec![1];
        assert_eq!(writer.append(&device, &mut out), Err(error));
        assert_eq!(out, [1], "nothing was appended");
    }
}

#[test]
fn an_entry_that_does_not_belong_is_refused() {
    let (_, octets) = images().swap_remove(2);
    let data = |kind, data: &[u8]| {
        let mut out = Vec::new();
        entry::append(kind, &mut out, |out| out.extend_from_slice(data));
        out
    };
    let without_digest = &octets[..octets.len() - entry::len(32)];
    let twice = [without_digest, &data(Kind::Ca, b"x")].concat();
    let offset = without_digest.len();
    assert_eq!(read(&twice).err(), Some(Unread::Twice { offset, kind: 0 }));
    let both = [without_digest, &data(Kind::PrivateKey, b"x")].concat();
    assert_eq!(read(&both).err(), Some(Unread::Content { kind: 2 }));
    let other = [without_digest, &data(Kind::Integrity, &sha256(b"x"))].concat();
    assert_eq!(read(&other).err(), Some(Unread::Digest { offset }));
    let mut user_data = data(Kind::Ca, b"x");
    user_data[8] = 51;
    let sum = crc32fast::Hasher::new_with_initial(u32::MAX);
    let mut sum = sum;
    sum.update(&user_data[..28]);
    user_data[28..].copy_from_slice(&sum.finalize().to_le_bytes());
    let strange = Unread::Strange { offset: 0, kind: 51 };
    assert_eq!(read(&user_data).err(), Some(strange));
    let alone = data(Kind::Ca, &certificate(10));
    assert_eq!(read(&alone).err(), Some(Unread::Missing("device certificate")));
    assert_eq!(read(b"").err(), Some(Unread::NotAnImage));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_changed_image_is_refused(which in 0..18_usize, at: prop::sample::Index, bit in 0..8_u32) {
        let (plan, mut octets) = images().swap_remove(which);
        let at = at.index(octets.len());
        octets[at] ^= 1 << bit;
        prop_assert!(read(&octets).is_err(), "octet {}, bit {} of {:?}", at, bit, plan.layout);
    }

    #[test]
    fn a_cut_image_is_refused(which in 0..18_usize, len: prop::sample::Index) {
        let (_, octets) = images().swap_remove(which);
        let end = read(&octets).unwrap().end;
        let cut = &octets[..len.index(end)];
        // What is cut where its digest begins is an image without one.
        let is_without = read(&octets).unwrap().has_digest && cut.len() == end - entry::len(32);
        prop_assert_eq!(read(cut).is_ok(), is_without);
    }

    #[test]
    fn whatever_is_read_does_no_harm(entries in vec((0..5_u8, vec(any::<u8>(), 0..1700)), 0..6), rest in vec(any::<u8>(), 0..40)) {
        let mut octets = Vec::new();
        for (kind, data) in entries {
            let kind = [Kind::Ca, Kind::Certificate, Kind::PrivateKey, Kind::DsData, Kind::DsContext][usize::from(kind)];
            entry::append(kind, &mut octets, |out| out.extend_from_slice(&data));
        }
        octets.extend_from_slice(&rest);
        let _ = read_beginning(&octets);
        let _ = read(&rest);
    }

    #[test]
    fn whatever_the_peripherals_parameters_are_does_no_harm(ciphertext in vec(any::<u8>(), 0..1700), bits in 0..5000_usize) {
        let parameters = DsParameters { iv: IV, ciphertext, bits, efuse_key: 0 };
        prop_assert!(parameters.open(&HMAC_KEY).is_none());
    }
}
