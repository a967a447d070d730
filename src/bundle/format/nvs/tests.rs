use std::borrow::Cow;

use data_encoding::HEXLOWER;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::digest::sha256;

fn keys() -> Keys {
    let mut octets = [0; 64];
    for (octet, number) in octets.iter_mut().zip(0..) {
        *octet = number;
    }
    Keys::new(&octets).unwrap()
}

fn slot(namespace: &str, key: &str, kind: Kind, most: usize) -> Slot {
    Slot {
        namespace: namespace.to_owned(),
        key: key.to_owned(),
        kind,
        most,
    }
}

fn plan(size: usize, slots: Vec<Slot>) -> Plan {
    Plan {
        size,
        slots,
        is_encrypted: false,
    }
}

fn image(plan: Plan, values: &[Value<'_>]) -> Vec<u8> {
    let keys = plan.is_encrypted.then(keys);
    let mut out = Vec::new();
    let writer = Writer::new(plan).unwrap();
    writer.append(values, keys.as_ref(), &mut out).unwrap();
    out
}

/// One of each type, and a blob that goes on over a page's end.
fn some() -> (Vec<Slot>, Vec<Value<'static>>) {
    let values = vec![
        Value::U8(200),
        Value::I8(-100),
        Value::U16(60_000),
        Value::I16(-30_000),
        Value::U32(4_000_000_000),
        Value::I32(-2_000_000_000),
        Value::U64(u64::MAX),
        Value::I64(i64::MIN),
        Value::String(Cow::Borrowed("SN000042")),
        Value::Blob(Cow::Owned((0..=255).cycle().take(5000).collect())),
    ];
    let kinds = [
        Kind::U8,
        Kind::I8,
        Kind::U16,
        Kind::I16,
        Kind::U32,
        Kind::I32,
        Kind::U64,
        Kind::I64,
        Kind::String,
        Kind::Hex,
    ];
    let slots = kinds.into_iter().zip(0..).map(|(kind, number)| {
        let namespace = if number < 5 { "factory" } else { "calibration" };
        slot(namespace, &format!("key {number}"), kind, 5000.min(number * 1000))
    });
    let mut slots: Vec<_> = slots.collect();
    slots[8].most = 30;
    slots[9].most = 5000;
    (slots, values)
}

/// Digests of what esp_idf_nvs_partition_gen 0.3.0 made of the same values, before this was written.
#[test]
fn images_are_those_of_the_generator() {
    let plain = "5bcf8420e50964eca1e17befb1226272aac8045f77ad88acef6612a1d6695a9c";
    let encrypted = "8c1ad057cf11927b15d62f32e66ba5f8f6f63fbc96d2ab3352d5966a71eacfc2";
    for (is_encrypted, digest) in [(false, plain), (true, encrypted)] {
        let (slots, values) = some();
        let plan = Plan {
            is_encrypted,
            ..plan(0x4000, slots)
        };
        assert_eq!(HEXLOWER.encode(&sha256(&image(plan, &values))), digest);
    }
}

/// IEEE Std 1619-2007, B, vector 10: its first two blocks.
#[test]
fn xts_is_that_of_the_standard() {
    let keys = "2718281828459045235360287471352662497757247093699959574966967627\
                3141592653589793238462643383279502884197169399375105820974944592";
    let keys = HEXLOWER.decode(keys.as_bytes()).unwrap();
    let cipher = Keys::new(&keys.try_into().unwrap()).unwrap().cipher();
    let plain: Vec<u8> = (0..32).collect();
    let mut octets = plain.clone();
    cipher.encrypt(0xFF, &mut octets);
    let wanted = "1c3b3a102f770386e4836c99e370cf9bea00803f5e482357a4ae12d414a3e63b";
    assert_eq!(HEXLOWER.encode(&octets), wanted);
    cipher.decrypt(0xFF, &mut octets);
    assert_eq!(octets, plain);
}

#[test]
fn values_are_read_as_the_generator_reads_them() {
    let blob = |octets: &'static [u8]| Ok(Value::Blob(Cow::Borrowed(octets)));
    for (kind, text, value) in [
        (Kind::U8, "255", Ok(Value::U8(255))),
        (Kind::U8, "256", Err(ValueError::Number)),
        (Kind::I8, "-128", Ok(Value::I8(-128))),
        (Kind::I8, "128", Err(ValueError::Number)),
        (Kind::U16, "65536", Err(ValueError::Number)),
        (Kind::I16, "-32768", Ok(Value::I16(i16::MIN))),
        (Kind::U32, "-1", Err(ValueError::Number)),
        (Kind::I32, "", Err(ValueError::Number)),
        (Kind::U64, "18446744073709551615", Ok(Value::U64(u64::MAX))),
        (Kind::I64, "9223372036854775808", Err(ValueError::Number)),
        (Kind::String, "", Ok(Value::String(Cow::Borrowed("")))),
        (Kind::Hex, "00fF", blob(b"\x00\xff")),
        (Kind::Hex, "00f", Err(ValueError::Hex)),
        (Kind::Base64, "AAH/", blob(b"\x00\x01\xff")),
        (Kind::Base64, "AAH", Err(ValueError::Base64)),
        (Kind::Binary, "as it is", blob(b"as it is")),
    ] {
        assert_eq!(kind.read(text), value, "{kind:?} {text:?}");
    }
}

#[test]
fn refuses_plans_before_there_is_a_device() {
    let number = |namespace: &str, key: &str| slot(namespace, key, Kind::U8, 0);
    let full = |most| plan(0x3000, vec![slot("a", "b", Kind::Hex, most)]);
    for (plan, error) in [
        (plan(0, vec![]), "a partition of 0 octets is not"),
        (plan(5000, vec![]), "a partition of 5000 octets is not"),
        (plan(0x3000, vec![number("", "a")]), "\"\" is not 1 to 15"),
        (
            plan(0x3000, vec![number("a", "sixteen letters.")]),
            "is not 1 to 15",
        ),
        (plan(0x3000, vec![number("a", "schlüssel")]), "is not 1 to 15"),
        (
            plan(0x3000, vec![number("a", "b"), number("a", "b")]),
            "is there twice",
        ),
        (
            plan(0x3000, vec![number("a", "sta.ssid")]),
            "values of its own for Wi-Fi",
        ),
        (
            plan(
                0x8000,
                (0..255)
                    .map(|number| self::slot(&format!("{number}"), "a", Kind::U8, 0))
                    .collect(),
            ),
            "there are 255 namespaces",
        ),
        (
            plan(0x3000, vec![slot("a", "b", Kind::String, 3968)]),
            "may have 3968 octets, and 3967 fit",
        ),
        (
            plan(0x10_0000, vec![slot("a", "b", Kind::Hex, 509_000)]),
            "more than 127 pages hold",
        ),
        // Two pages are for values: 2 * 126 entries, less the namespace, two headers and the index.
        (full(248 * 32 + 1), "is full before \"b\""),
        // Numbers from one page on: the third page is none.
        (
            plan(
                0x2000,
                (0..252)
                    .map(|number| self::slot("a", &format!("{number}"), Kind::U8, 0))
                    .collect(),
            ),
            "is full before \"251\"",
        ),
    ] {
        let found = plan.judge().and_then(|()| plan.fits()).unwrap_err().to_string();
        assert!(found.contains(error), "{found}");
    }
    for good in [
        full(248 * 32),
        plan(0x3000, vec![slot("a", "b", Kind::String, 3967)]),
        plan(0x3000, vec![number("a", "b"), number("b", "b"), number("a", "c")]),
        plan(0x10_0000, vec![slot("a", "b", Kind::Hex, 500_000)]),
    ] {
        good.judge().unwrap();
        good.fits().unwrap();
    }
}

#[test]
fn refuses_values_that_were_not_planned_for() {
    let slots = vec![slot("a", "b", Kind::String, 3), slot("a", "c", Kind::U8, 0)];
    let writer = Writer::new(plan(0x3000, slots)).unwrap();
    let text = |text| Value::String(Cow::Borrowed(text));
    let number = Value::U8(1);
    let count = WriteError::Count { found: 1, wanted: 2 };
    let long = WriteError::Long {
        slot: 0,
        octets: 4,
        most: 3,
    };
    for (values, error) in [
        (vec![number.clone()], count),
        (vec![text("abc"), Value::I8(1)], WriteError::Kind { slot: 1 }),
        (vec![text("abcd"), number.clone()], long),
        (vec![text("a\0"), number.clone()], WriteError::Nul { slot: 0 }),
    ] {
        let mut out = vec![1];
        assert_eq!(writer.append(&values, None, &mut out), Err(error));
        assert_eq!(out, [1], "nothing was appended");
    }
    let mut out = Vec::new();
    let values = [text("abc"), number];
    assert_eq!(
        writer.append(&values, Some(&keys()), &mut out),
        Err(WriteError::Keys)
    );
    writer.append(&values, None, &mut out).unwrap();
}

/// A plan may say nothing of lengths; then the writer tells what does not fit.
#[test]
fn refuses_values_that_do_not_fit() {
    let [text, blob] = [Kind::String, Kind::Binary].map(|kind| slot("a", "b", kind, usize::MAX));
    for (size, slot, value) in [
        (0x3000, &text, Value::String(Cow::Owned("x".repeat(3968)))),
        (0x3000, &blob, Value::Blob(Cow::Owned(vec![7; 248 * 32 + 1]))),
        (0x10_0000, &blob, Value::Blob(Cow::Owned(vec![7; 509_000]))),
    ] {
        let writer = Writer::new(plan(size, vec![slot.clone()])).unwrap();
        let mut out = vec![1];
        let found = writer.append(&[value], None, &mut out);
        assert_eq!(found, Err(WriteError::Full { slot: 0 }));
        assert_eq!(out, [1], "nothing was appended");
    }
}

#[test]
fn values_of_a_namespace_that_is_named_again_belong_to_it() {
    let slots = ["a", "b", "a"].into_iter().zip(["x", "x", "y"]);
    let slots = slots
        .map(|(namespace, key)| slot(namespace, key, Kind::U8, 0))
        .collect();
    let octets = image(plan(0x3000, slots), &[1, 2, 3].map(Value::U8));
    let found = read(&octets, None).unwrap();
    let found: Vec<_> = found.iter().map(|read| (&*read.namespace, &*read.key)).collect();
    assert_eq!(found, [("a", "x"), ("b", "x"), ("a", "y")]);
}

#[test]
fn keys_come_back_from_their_partition_and_damaged_ones_do_not() {
    let mut octets = Vec::new();
    append_keys(&keys(), &mut octets);
    assert_eq!(octets.len(), PAGE);
    assert_eq!(read_keys(&octets).unwrap().octets(), keys().octets());
    for at in 0..octets.len() {
        let mut damaged = octets.clone();
        damaged[at] ^= 1;
        assert_eq!(read_keys(&damaged).err(), Some(KeysError::Damaged), "octet {at}");
    }
    assert_eq!(read_keys(&octets[..100]).err(), Some(KeysError::Damaged));
    assert_eq!(Keys::new(&[1; 64]).err(), Some(KeysError::SameHalves));
}

#[test]
fn an_encrypted_image_is_read_with_its_keys_alone() {
    let (slots, values) = some();
    let plan = Plan {
        is_encrypted: true,
        ..plan(0x4000, slots)
    };
    let octets = image(plan, &values);
    let found = read(&octets, Some(&keys())).unwrap();
    assert!(found.iter().map(|read| &read.value).eq(&values));
    let others = Keys::from_hmac_key(&[1; 32]);
    for keys in [None, Some(&others)] {
        assert_eq!(read(&octets, keys), Err(Unread::Entry { offset: 64 }));
    }
}

fn any_value() -> impl Strategy<Value = (Kind, usize, Value<'static>)> {
    let number = any::<u32>().prop_map(|number| (Kind::U32, 0, Value::U32(number)));
    let text = (0_usize..3968, any::<prop::sample::Index>()).prop_map(|(most, len)| {
        let text = "a".repeat(len.index(most + 1));
        (Kind::String, most, Value::String(Cow::Owned(text)))
    });
    let blob = (0_usize..9000, any::<prop::sample::Index>()).prop_map(|(most, len)| {
        let octets = vec![7; len.index(most + 1)];
        (Kind::Binary, most, Value::Blob(Cow::Owned(octets)))
    });
    prop_oneof![number, text, blob]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// The plan knows the longest values only: what is shorter always fits, as the writer expects.
    #[test]
    fn what_is_shorter_than_planned_fits(values in vec(any_value(), 1..30), is_encrypted: bool) {
        let slots: Vec<_> = values.iter().zip(0..).map(|((kind, most, _), number)| {
            slot(["a", "b"][number % 2], &number.to_string(), *kind, *most)
        }).collect();
        let sizes = (1..200).map(|pages| pages * PAGE);
        let mut plans = sizes.map(|size| Plan { size, slots: slots.clone(), is_encrypted });
        let plan = plans.find(|plan| plan.judge().is_ok() && plan.fits().is_ok()).expect("it fits somewhere");
        let values: Vec<_> = values.into_iter().map(|(_, _, value)| value).collect();
        let octets = image(plan, &values);
        let keys = is_encrypted.then(keys);
        let found = read(&octets, keys.as_ref()).unwrap();
        prop_assert!(found.iter().map(|read| &read.value).eq(&values));
        prop_assert!(found.iter().zip(&slots).all(|(read, slot)| read.key == slot.key && read.namespace == slot.namespace));
    }

    #[test]
    fn an_image_that_was_changed_is_another_or_none(at: prop::sample::Index, bit in 0..8_u32, is_encrypted: bool) {
        let (slots, values) = some();
        let mut octets = image(Plan { is_encrypted, ..plan(0x4000, slots) }, &values);
        let keys = is_encrypted.then(keys);
        let whole = read(&octets, keys.as_ref());
        let at = at.index(octets.len());
        // A page in use and one that is full are read alike.
        let is_alike = at % PAGE == 0 && bit == 1 && octets[at] != 0xFF;
        octets[at] ^= 1 << bit;
        prop_assert_eq!(read(&octets, keys.as_ref()) == whole, is_alike, "octet {}, bit {}", at, bit);
    }

    #[test]
    fn whatever_is_read_does_no_harm(octets in vec(any::<u8>(), 0..300), pages in 1_usize..4, at: prop::sample::Index) {
        let (slots, values) = some();
        let mut image = image(plan(0x4000, slots), &values);
        let _ = read(&octets, None);
        let at = at.index(image.len() - octets.len());
        image[at..at + octets.len()].copy_from_slice(&octets);
        let _ = read(&image[..pages * PAGE], None);
        let _ = read(&image, Some(&keys()));
        let _ = read_keys(&octets);
    }

    /// Entries whose sums are right and whose words are anything.
    #[test]
    fn whatever_entries_say_does_no_harm(
        entries in vec((0..3_u8, prop::sample::select(vec![1, 0x21, 0x42, 0x48, 0x41, 9]), 0..5_u8, any::<u8>(), any::<[u8; 8]>()), 1..126),
    ) {
        let mut octets = vec![0xFF; PAGE];
        page::begin(&mut octets, 0, page::State::Active, entries.len());
        for (place, (namespace, kind, span, chunk, data)) in octets[64..].chunks_mut(32).zip(&entries) {
            item::Item { namespace: *namespace, kind: *kind, span: *span, chunk: *chunk, key: "k", data: *data }.write(place);
        }
        let _ = read(&octets, None);
    }
}
