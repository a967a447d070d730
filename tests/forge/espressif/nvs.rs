//! NVS against esp_idf_nvs_partition_gen, and read by another's driver, esp-nvs.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;

use certforge::bundle::format::nvs as images;
use data_encoding::{BASE64, HEXLOWER};
use esp_nvs::mem_flash::MemFlash;
use esp_nvs::{Get, Key, Nvs};

use images::{Keys, Kind, Plan, PlanError, Read, Slot, Value, Writer};
use serde_json::json;

use super::tools::{Tools, assert_same, drawn, random, text};
use crate::support::Workplace;

const CASES: usize = 500;
const PAGE: usize = 4096;

fn name(random: &mut fastrand::Rng, taken: &mut Vec<String>) -> String {
    loop {
        let name: String = (0..random.usize(1..=15))
            .map(|_| random.char('!'..='~'))
            .collect();
        if !taken.contains(&name) && !name.starts_with('#') {
            taken.push(name.clone());
            return name;
        }
    }
}

/// Lengths where pages end are what may go wrong.
fn len(random: &mut fastrand::Rng, most: usize) -> usize {
    let len = match random.u8(..4) {
        0 => random.usize(..64),
        1 => random.usize(..600),
        2 => (random.usize(..130) * 32 + random.usize(..3)).saturating_sub(1),
        _ => random.usize(..most),
    };
    len.min(most)
}

fn value(random: &mut fastrand::Rng) -> (Kind, Value<'static>) {
    match random.u8(..12) {
        0 => (Kind::U8, Value::U8(random.u8(..))),
        1 => (Kind::I8, Value::I8(random.i8(..))),
        2 => (Kind::U16, Value::U16(random.u16(..))),
        3 => (Kind::I16, Value::I16(random.i16(..))),
        4 => (Kind::U32, Value::U32(random.u32(..))),
        5 => (Kind::I32, Value::I32(random.i32(..))),
        6 => (Kind::U64, Value::U64(random.u64(..))),
        7 => (Kind::I64, Value::I64(random.i64(..))),
        8 | 9 => {
            let len = len(random, 3990);
            let text: String = (0..len).map(|_| random.char('\u{1}'..='\u{7f}')).collect();
            (Kind::String, Value::String(Cow::Owned(text)))
        }
        _ => {
            let mut octets = vec![0; len(random, 13_000)];
            random.fill(&mut octets);
            let kind = [Kind::Hex, Kind::Base64, Kind::Binary][random.usize(..3)];
            (kind, Value::Blob(Cow::Owned(octets)))
        }
    }
}

struct Case {
    plan: Plan,
    values: Vec<Value<'static>>,
    keys: Option<Keys>,
}

fn case(random: &mut fastrand::Rng) -> Case {
    let mut taken = Vec::new();
    let namespaces: Vec<_> = (0..random.usize(1..5))
        .map(|_| name(random, &mut taken))
        .collect();
    let most = [3, 20, 150][random.usize(..3)];
    let (mut slots, mut values) = (Vec::new(), Vec::new());
    for _ in 0..random.usize(1..=most) {
        let (kind, value) = value(random);
        let octets = match &value {
            Value::String(text) => text.len(),
            Value::Blob(octets) => octets.len(),
            _ => 8,
        };
        slots.push(Slot {
            namespace: namespaces[random.usize(..namespaces.len())].clone(),
            key: name(random, &mut taken),
            kind,
            most: octets,
        });
        values.push(value);
    }
    let keys = random.bool().then(|| Keys::new(&drawn(random)).unwrap());
    // From too small to far too large.
    let octets: usize = slots.iter().map(|slot| slot.most + 96).sum();
    let pages = (octets.div_ceil(PAGE) + random.usize(..5))
        .saturating_sub(1)
        .max(1);
    Case {
        plan: Plan {
            size: pages * PAGE,
            slots,
            is_encrypted: keys.is_some(),
        },
        values,
        keys,
    }
}

impl Case {
    fn question(&self) -> serde_json::Value {
        let entries = self.plan.slots.iter().zip(&self.values).map(|(slot, value)| {
            let name = Kind::ALL.iter().find(|(_, kind)| *kind == slot.kind).unwrap().0;
            let value = match (slot.kind, value) {
                (Kind::Hex, Value::Blob(octets)) => HEXLOWER.encode(octets),
                (_, Value::Blob(octets)) => BASE64.encode(octets),
                (_, value) => written(value),
            };
            json!({"namespace": slot.namespace, "key": slot.key, "type": name, "value": value})
        });
        json!({
            "ask": "nvs",
            "size": self.plan.size,
            "keys": self.keys.as_ref().map(|keys| text(keys.octets())),
            "entries": entries.collect::<Vec<_>>(),
        })
    }

    fn image(&self) -> Result<Vec<u8>, PlanError> {
        self.plan.fits()?;
        let writer = Writer::new(self.plan.clone())?;
        let mut image = Vec::with_capacity(writer.room());
        let place = image.as_ptr();
        writer
            .append(&self.values, self.keys.as_ref(), &mut image)
            .unwrap();
        assert_eq!(image.as_ptr(), place, "the buffer did not move");
        Ok(image)
    }

    fn read(&self) -> Vec<Read> {
        let slots = self.plan.slots.iter().zip(&self.values);
        let read = slots.map(|(slot, value)| Read {
            namespace: slot.namespace.clone(),
            key: slot.key.clone(),
            value: value.clone(),
        });
        read.collect()
    }
}

/// A number or a string as a CSV has it.
fn written(value: &Value<'_>) -> String {
    match value {
        Value::U8(number) => number.to_string(),
        Value::I8(number) => number.to_string(),
        Value::U16(number) => number.to_string(),
        Value::I16(number) => number.to_string(),
        Value::U32(number) => number.to_string(),
        Value::I32(number) => number.to_string(),
        Value::U64(number) => number.to_string(),
        Value::I64(number) => number.to_string(),
        Value::String(text) => text.to_string(),
        Value::Blob(_) => panic!("a blob is no text"),
    }
}

#[test]
fn images_are_those_of_the_generator() {
    let mut random = random();
    let mut tools = Tools::start();
    let mut seen = BTreeMap::new();
    let mut same = 0;
    while same < CASES {
        let case = case(&mut random);
        let question = case.question();
        let answer = tools.ask(&question);
        match case.image() {
            Ok(ours) => {
                assert!(
                    answer["image"].is_string(),
                    "the generator says {answer}: {question}"
                );
                assert_same(&ours, &super::tools::octets(&answer["image"]), &question);
                assert_eq!(
                    images::read(&ours, case.keys.as_ref()),
                    Ok(case.read()),
                    "{question}"
                );
                same += 1;
                *seen.entry(("made", case.keys.is_some())).or_insert(0) += 1;
            }
            Err(PlanError::Full { .. }) => {
                assert_eq!(answer["error"], "InsufficientSizeError", "{question}");
                *seen.entry(("full", case.keys.is_some())).or_insert(0) += 1;
            }
            Err(PlanError::LongString { .. }) => {
                // One that begins a page too long for it may also be one too many.
                let error = answer["error"].as_str();
                assert!(
                    matches!(error, Some("PageFullError" | "InsufficientSizeError")),
                    "{answer}: {question}"
                );
                *seen.entry(("string", case.keys.is_some())).or_insert(0) += 1;
            }
            Err(error) => panic!("{error}: {question}"),
        }
    }
    println!("(what, encrypted): {seen:?}");
    for kind in ["made", "full"]
        .into_iter()
        .flat_map(|what| [(what, false), (what, true)])
    {
        assert!(seen[&kind] >= 10, "{kind:?} came up");
    }
}

/// A partition of 1 MiB with one blob.
fn blob(octets: usize, keys: Option<Keys>) -> Case {
    let fill = (0_u8..251).cycle().take(octets).collect::<Vec<_>>();
    let slot = Slot {
        namespace: "factory".to_owned(),
        key: "model".to_owned(),
        kind: Kind::Binary,
        most: octets,
    };
    Case {
        plan: Plan {
            size: 1 << 20,
            slots: vec![slot],
            is_encrypted: keys.is_some(),
        },
        values: vec![Value::Blob(Cow::Owned(fill))],
        keys,
    }
}

/// A device's own software writes 127 chunks of a blob at most, each on a page of its own; the first lies behind its namespace's entry.
const LONGEST_BLOB: usize = (125 - 1) * 32 + 126 * 125 * 32;

#[test]
fn the_longest_blobs_are_those_of_the_generator_and_longer_ones_are_refused() {
    let mut random = random();
    let mut tools = Tools::start();
    for octets in [
        LONGEST_BLOB - 4000,
        LONGEST_BLOB - 32,
        LONGEST_BLOB - 1,
        LONGEST_BLOB,
    ] {
        for keys in [None, Some(Keys::new(&drawn(&mut random)).unwrap())] {
            let case = blob(octets, keys);
            let ours = case.image().unwrap();
            let theirs = tools.image(&case.question());
            assert_same(&ours, &theirs, &format!("a blob of {octets} octets"));
            assert_eq!(images::read(&ours, case.keys.as_ref()), Ok(case.read()));
            if case.keys.is_none() {
                let mut nvs = Nvs::new(0, ours.len(), MemFlash::from_bytes(ours)).unwrap();
                assert_eq!(found(&mut nvs, &case.plan.slots[0]), case.values[0]);
            }
        }
    }
    // The generator goes on, up to 255 chunks, with numbers that a device has for the blob's next version.
    for octets in [LONGEST_BLOB + 1, LONGEST_BLOB + 100_000] {
        let case = blob(octets, None);
        let error = case.image().unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("the blob of \"model\" may have {octets} octets, which are more than 127 pages hold")
        );
        assert!(tools.ask(&case.question())["image"].is_string());
    }
}

#[test]
fn check_finds_a_blob_that_is_too_long_before_anything_is_made() {
    // A line of a manifest is not so long, so that the value is in it eight times.
    const TIMES: usize = 8;
    let place = Workplace::new();
    let profile = "name = 'esp32'
[[bundle.files]]
name = 'key.pem'
content = 'private-key'
[[bundle.files]]
name = 'cert.pem'
content = 'certificate'
[[bundle.files]]
name = 'nvs.bin'
format = 'nvs'
size = '0x100000'
entries = [{ namespace = 'factory', key = 'model', type = 'binary', value = 'VALUE' }]
";
    let profile = profile.replace("VALUE", &"{model}".repeat(TIMES));
    fs::write(place.join("profile.toml"), profile).unwrap();
    let arguments = ["devices.csv", "--no-endpoint", "--profile", "profile.toml"];
    for (characters, fits) in [(LONGEST_BLOB / TIMES, true), (LONGEST_BLOB / TIMES + 1, false)] {
        let manifest = format!("serial_number,model\nSN0,x\nSN1,{}\n", "m".repeat(characters));
        let octets = TIMES * characters;
        fs::write(place.join("devices.csv"), manifest).unwrap();
        let check = [&["check"][..], &arguments].concat();
        if fits {
            place.succeed(&check);
            continue;
        }
        for command in ["check", "run"] {
            let told = place.fail(&[&[command][..], &arguments].concat(), 4);
            let expected = format!(
                "certforge: error: the profile's bundles cannot be made: nvs.bin: the blob of \"model\" may have {octets} \
                 octets, which are more than 127 pages hold\n\
                 certforge: hint: give the file a larger partition, or shorter values\n"
            );
            assert!(told.ends_with(&expected), "{told}");
        }
        assert!(!place.join("out").exists(), "nothing was made");
    }
}

#[test]
fn images_are_those_of_the_command_with_a_csv() {
    let mut random = random();
    let mut tools = Tools::start();
    let csv = "key,type,encoding,value\n\
               factory,namespace,,\n\
               serial_no,data,string,SN000042\n\
               revision,data,u16,7\n\
               secret,data,hex2bin,00ff10\n\
               calibration,data,base64,AAECAw==\n\
               wifi,namespace,,\n\
               channel,data,i8,-11\n";
    let slot = |namespace: &str, key: &str, kind, most| Slot {
        namespace: namespace.to_owned(),
        key: key.to_owned(),
        kind,
        most,
    };
    let slots = vec![
        slot("factory", "serial_no", Kind::String, 20),
        slot("factory", "revision", Kind::U16, 0),
        slot("factory", "secret", Kind::Hex, 10),
        slot("factory", "calibration", Kind::Base64, 10),
        slot("wifi", "channel", Kind::I8, 0),
    ];
    let texts = ["SN000042", "7", "00ff10", "AAECAw==", "-11"];
    let values = slots
        .iter()
        .zip(texts)
        .map(|(slot, text)| slot.kind.read(text).unwrap());
    let values: Vec<_> = values.collect();
    for (size, is_encrypted) in [(0x6000, false), (0x6000, true), (0x1000, false), (0x2000, true)] {
        let keys = is_encrypted.then(|| Keys::new(&drawn(&mut random)).unwrap());
        let slots = slots.clone();
        let writer = Writer::new(Plan {
            size,
            slots,
            is_encrypted,
        })
        .unwrap();
        let mut ours = Vec::new();
        writer.append(&values, keys.as_ref(), &mut ours).unwrap();
        let keys = keys.map(|keys| text(keys.octets()));
        let question = json!({"ask": "nvs-csv", "csv": csv, "size": size, "keys": keys});
        assert_same(&ours, &tools.image(&question), &question);
    }
}

#[test]
fn the_generator_decrypts_images() {
    let mut random = random();
    let mut tools = Tools::start();
    let mut decrypted = 0;
    while decrypted < 50 {
        let mut case = case(&mut random);
        let Some(keys) = case.keys.clone() else { continue };
        let Ok(image) = case.image() else { continue };
        let question = json!({"ask": "nvs-decrypt", "image": text(&image), "keys": text(keys.octets())});
        let theirs = tools.image(&question);
        case.keys = None;
        case.plan.is_encrypted = false;
        assert_same(&case.image().unwrap(), &theirs, &question);
        decrypted += 1;
    }
}

#[test]
fn partitions_with_keys_are_those_of_the_generator() {
    let mut random = random();
    let mut tools = Tools::start();
    for is_drawn in [true, false] {
        let octets: [u8; 64] = drawn(&mut random);
        let hmac_key = drawn(&mut random);
        let keys = match is_drawn {
            true => Keys::new(&octets).unwrap(),
            false => Keys::from_hmac_key(&hmac_key),
        };
        let mut ours = Vec::new();
        images::append_keys(&keys, &mut ours);
        let question = json!({
            "ask": "nvs-keys",
            "keys": is_drawn.then(|| text(&octets)),
            "hmac_key": (!is_drawn).then(|| text(&hmac_key)),
        });
        assert_same(&ours, &tools.image(&question), &question);
        assert_eq!(images::read_keys(&ours).unwrap().octets(), keys.octets());
    }
}

/// What esp-nvs finds under a key, as the type that it has.
fn found(nvs: &mut Nvs<MemFlash>, slot: &Slot) -> Value<'static> {
    fn get<T>(nvs: &mut Nvs<MemFlash>, slot: &Slot) -> T
    where
        Nvs<MemFlash>: Get<T>,
    {
        let [namespace, key] = [&slot.namespace, &slot.key].map(|name| Key::from_str(name));
        let found = nvs.get(&namespace, &key);
        found.unwrap_or_else(|error| panic!("{slot:?}: {error:?}"))
    }
    match slot.kind {
        Kind::U8 => Value::U8(get(nvs, slot)),
        Kind::I8 => Value::I8(get(nvs, slot)),
        Kind::U16 => Value::U16(get(nvs, slot)),
        Kind::I16 => Value::I16(get(nvs, slot)),
        Kind::U32 => Value::U32(get(nvs, slot)),
        Kind::I32 => Value::I32(get(nvs, slot)),
        Kind::U64 => Value::U64(get(nvs, slot)),
        Kind::I64 => Value::I64(get(nvs, slot)),
        Kind::String => Value::String(Cow::Owned(get(nvs, slot))),
        Kind::Hex | Kind::Base64 | Kind::Binary => Value::Blob(Cow::Owned(get(nvs, slot))),
    }
}

#[test]
fn anothers_driver_reads_images_as_a_device_does() {
    let mut random = random();
    let mut read = 0;
    while read < 100 {
        let mut case = case(&mut random);
        case.keys = None;
        case.plan.is_encrypted = false;
        let Ok(image) = case.image() else { continue };
        let pages = image.len();
        let mut nvs = Nvs::new(0, pages, MemFlash::from_bytes(image)).unwrap();
        for (slot, value) in case.plan.slots.iter().zip(&case.values) {
            assert_eq!(found(&mut nvs, slot), *value, "{slot:?}");
        }
        assert_eq!(nvs.keys().count(), case.plan.slots.len(), "and nothing else");
        read += 1;
    }
}
