//! What a store promises, whatever transport and server are behind it.

#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "each test crate uses a part of it, and one may use it all"
)]

use std::collections::BTreeSet;

use certforge::digest::sha256;
use certforge::store::{Aside, Attempt, Object, Replaced, Store, StoreError};

/// What of an earlier attempt is there already.
#[derive(Clone, Copy)]
enum Existing {
    Refuse,
    Replace,
}

/// Opens a batch under a prefix; each has its own.
pub type Open<'a> = &'a (dyn Fn(&str) -> Store + Sync);

/// What holds everywhere, but for races: s3s-fs looks and then writes.
pub fn holds(open: Open<'_>) {
    a_conditional_write_never_writes_over_anything_unasked(open);
    a_version_is_replaced_only_by_one_who_knows_it(open);
    what_is_removed_is_gone(open);
    what_is_larger_than_anything_of_its_name_is_refused(open);
    what_is_released_is_never_touched(open);
    large_objects_go_in_parts_and_come_back_whole_or_in_ranges(open);
    lists_more_than_a_page_of_objects(open);
}

/// What holds where an object tells who wrote it, and is held against its digest: not in a folder.
pub fn tells_writers(open: Open<'_>) {
    what_another_attempt_put_there_stays(open);
    a_body_that_is_not_what_its_checksum_says_is_refused(open);
}

fn object<'a>(name: &str, body: &'a [u8]) -> Object<'a> {
    Object {
        name: name.to_owned(),
        body,
        sha256: None,
    }
}

/// The first attempt at a chunk.
const FIRST: Attempt<'static> = Attempt {
    name: "1",
    earlier: &[],
};

/// Puts an object on behalf of a first attempt, or of a second one after it.
fn put(store: &Store, name: &str, body: &[u8], existing: Existing) -> Result<(), StoreError> {
    let earlier = ["1".to_owned()];
    let attempt = match existing {
        Existing::Refuse => FIRST,
        Existing::Replace => Attempt {
            name: "2",
            earlier: &earlier,
        },
    };
    let ticket = store.put(&[object(name, body)], attempt)?;
    let aside = store.flush(vec![ticket]).remove(0)?;
    match existing {
        Existing::Refuse => Ok(()),
        // It takes its place when its chunk is released.
        Existing::Replace => release(store, &format!("index/of/{name}"), aside),
    }
}

fn release(store: &Store, index: &str, aside: Aside) -> Result<(), StoreError> {
    store
        .release(&[(index.to_owned(), b"row".to_vec(), aside)])
        .remove(0)
}

pub fn a_conditional_write_never_writes_over_anything_unasked(open: Open<'_>) {
    let store = open("conditional");
    assert!(store.create("batch.json", b"first").unwrap());
    assert!(
        store.create("batch.json", b"first").unwrap(),
        "an answer that was lost looks like this"
    );
    assert!(!store.create("batch.json", b"second").unwrap());
    put(&store, "bundles/00/A.zip", b"first", Existing::Refuse).unwrap();
    put(&store, "bundles/00/A.zip", b"first", Existing::Refuse).unwrap();
    let conflict = put(&store, "bundles/00/A.zip", b"other", Existing::Refuse);
    assert!(
        matches!(conflict, Err(StoreError::Conflict { .. })),
        "{conflict:?}"
    );
    put(&store, "bundles/00/A.zip", b"other", Existing::Replace).unwrap();
    assert_eq!(**store.read("bundles/00/A.zip", None).unwrap(), *b"other");
    let index = |body: &[u8]| [("index/000000.csv".to_owned(), body.to_vec())];
    assert!(store.publish(&index(b"row"))[0].is_ok());
    assert!(store.publish(&index(b"row"))[0].is_ok());
    let conflict = store.publish(&index(b"row 2"));
    assert!(
        matches!(conflict[..], [Err(StoreError::Conflict { .. })]),
        "{conflict:?}"
    );
    assert_eq!(**store.read("index/000000.csv", None).unwrap(), *b"row");
}

/// Of many objects, those that the first attempt left behind are replaced.
pub fn what_another_attempt_put_there_stays(open: Open<'_>) {
    let store = open("attempts");
    let names: Vec<String> = (0..100).map(|i| format!("bundles/00/{i}.zip")).collect();
    let earlier = ["1".to_owned()];
    let put_all = |names: &[String], attempt: &str, earlier: &[String], body: &[u8]| {
        let objects: Vec<Object<'_>> = names.iter().map(|name| object(name, body)).collect();
        let attempt = Attempt {
            name: attempt,
            earlier,
        };
        let ticket = store.put(&objects, attempt)?;
        store.flush(vec![ticket]).remove(0).map(drop)
    };
    put_all(&names[..50], "1", &[], b"first").unwrap();
    put_all(&names, "2", &earlier, b"second").unwrap();
    let is_second = || {
        let read = store.read_all(&names);
        read.into_iter().all(|octets| **octets.unwrap() == *b"second")
    };
    assert!(is_second());
    // What is there now is of attempt 2, which is none of the attempts that this one knows of.
    let conflict = put_all(&names, "3", &earlier, b"third");
    assert!(
        matches!(conflict, Err(StoreError::Conflict { .. })),
        "{conflict:?}"
    );
    assert!(is_second());
}

/// Whoever was slow touches nothing of a chunk that somebody else has released, and keeps nobody else from it.
pub fn what_is_released_is_never_touched(open: Open<'_>) {
    let store = open("released");
    let names = ["packs/000000.zip", "certificates/000000.pem"];
    let put_all = |attempt: &str, earlier: &[String], body: &[u8]| {
        let objects = names.map(|name| object(name, body));
        let attempt = Attempt {
            name: attempt,
            earlier,
        };
        let ticket = store.put(&objects, attempt)?;
        store.flush(vec![ticket]).remove(0)
    };
    let first = put_all("1", &[], b"first").unwrap();
    // A second attempt, that knows of the first one only; and a third, that knows of both.
    let one = ["1".to_owned()];
    let both = ["1".to_owned(), "2".to_owned()];
    let slow = put_all("2", &one, b"second");
    let third = put_all("3", &both, b"third").unwrap();
    release(&store, "index/000000.csv", third).unwrap();
    for name in names {
        assert_eq!(**store.read(name, None).unwrap(), *b"third", "{name}");
    }
    // One wakes up that began before, and writes.
    let late = put_all("4", &one, b"fourth");
    for name in names {
        assert_eq!(**store.read(name, None).unwrap(), *b"third", "{name}");
    }
    let index = ("index/000000.csv".to_owned(), b"other row".to_vec());
    for aside in [Some(first), slow.ok(), late.ok()].into_iter().flatten() {
        let late = store
            .release(&[(index.0.clone(), index.1.clone(), aside)])
            .remove(0);
        assert!(matches!(late, Err(StoreError::Conflict { .. })), "{late:?}");
    }
    for name in names {
        assert_eq!(**store.read(name, None).unwrap(), *b"third", "{name}");
    }
    assert_eq!(**store.read("index/000000.csv", None).unwrap(), *b"row");
    let mut listed = Vec::new();
    store.list("", &mut |found| listed.push(found.name)).unwrap();
    assert_eq!(listed.len(), 3, "{listed:?}");
}

pub fn a_version_is_replaced_only_by_one_who_knows_it(open: Open<'_>) {
    let store = open("replace");
    assert!(store.create("claims/A.json", b"first").unwrap());
    let (octets, first) = store.read_version("claims/A.json", None).unwrap();
    assert_eq!(**octets, *b"first");
    let replace = |body: &[u8], version| store.replace("claims/A.json", body, version, Replaced::Shredded);
    assert!(replace(b"second", &first).unwrap());
    assert!(
        replace(b"second", &first).unwrap(),
        "an answer that was lost looks like this"
    );
    assert!(!replace(b"third", &first).unwrap());
    assert_eq!(**store.read("claims/A.json", None).unwrap(), *b"second");
    assert!(
        !store
            .replace("claims/B.json", b"third", &first, Replaced::Forgotten)
            .unwrap(),
        "there is nothing to replace"
    );
    assert!(!store.exists("claims/B.json").unwrap());
    assert!(store.exists("claims/A.json").unwrap());
}

pub fn what_is_larger_than_anything_of_its_name_is_refused(open: Open<'_>) {
    let store = open("larger");
    for (name, octets, is_read) in [
        ("claims/000000/A.json", 1 << 20, true),
        ("claims/000000/B.json", (1 << 20) + 1, false),
        ("batch.json", (4 << 20) + 1, false),
    ] {
        assert!(store.create(name, &vec![b'a'; octets]).unwrap());
        for read in [
            store.read(name, None),
            store.read_all(&[name.to_owned()]).remove(0),
            store.read_version(name, None).map(|(octets, _)| octets),
        ] {
            match read {
                Ok(read) => assert!(is_read && read.len() == octets, "{name}"),
                Err(StoreError::TooLarge { .. }) => assert!(!is_read, "{name}"),
                Err(other) => panic!("{name}: {other}"),
            }
        }
    }
}

pub fn what_is_removed_is_gone(open: Open<'_>) {
    let store = open("remove");
    assert!(store.create("bundles/00/A.zip", b"key").unwrap());
    assert!(store.create("bundles/00/A.zip.also", b"other").unwrap());
    store.remove("bundles/00/A.zip").unwrap();
    assert!(!store.exists("bundles/00/A.zip").unwrap());
    store
        .remove("bundles/00/A.zip")
        .expect("gone already is no error");
    assert!(store.exists("bundles/00/A.zip.also").unwrap());
}

pub fn of_many_that_create_one_object_one_does(open: Open<'_>) {
    let done: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16_u8)
            .map(|i| {
                let store = open("race");
                scope.spawn(move || usize::from(store.create("batch.json", &[i]).unwrap()))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(done, 1);
}

pub fn large_objects_go_in_parts_and_come_back_whole_or_in_ranges(open: Open<'_>) {
    let store = open("large");
    let mut body = vec![0_u8; (16 << 20) + 12_345];
    fastrand::Rng::with_seed(7).fill(&mut body);
    put(&store, "packs/000000.zip", &body, Existing::Refuse).unwrap();
    assert!(store.read("packs/000000.zip", None).unwrap().as_slice() == body);
    put(&store, "packs/000000.zip", &body, Existing::Refuse).expect("the same again is no conflict");
    for range in [0..10, 8_388_600..8_388_620, 16_789_550..16_789_561] {
        let (start, end) = (
            usize::try_from(range.start).unwrap(),
            usize::try_from(range.end).unwrap(),
        );
        assert!(store.read("packs/000000.zip", Some(range)).unwrap().as_slice() == &body[start..end]);
    }
    let beyond = body.len() as u64;
    assert!(
        store
            .read("packs/000000.zip", Some(beyond..beyond + 5))
            .unwrap()
            .is_empty()
    );
    assert!(store.read("packs/000000.zip", Some(3..3)).unwrap().is_empty());
    let other: Vec<u8> = body.iter().map(|octet| !octet).collect();
    let conflict = put(&store, "packs/000000.zip", &other, Existing::Refuse);
    assert!(
        matches!(conflict, Err(StoreError::Conflict { .. })),
        "{conflict:?}"
    );
    put(&store, "packs/000000.zip", &other, Existing::Replace).unwrap();
    assert!(store.read("packs/000000.zip", None).unwrap().as_slice() == other);
}

pub fn a_body_that_is_not_what_its_checksum_says_is_refused(open: Open<'_>) {
    let store = open("checksum");
    let body = b"what was made".as_slice();
    let wrong = Object {
        sha256: Some(sha256(b"what arrived")),
        ..object("bundles/00/A.zip", body)
    };
    let ticket = store.put(&[wrong], FIRST).unwrap();
    let refused = store.flush(vec![ticket]).remove(0);
    assert!(refused.is_err(), "the server checks what it stores");
    assert!(matches!(
        store.read("bundles/00/A.zip", None),
        Err(StoreError::NotFound { .. })
    ));
}

pub fn lists_more_than_a_page_of_objects(open: Open<'_>) {
    let store = open("list");
    let names: Vec<String> = (0..1_234)
        .map(|i| format!("bundles/{:02x}/{i}.zip", i % 256))
        .collect();
    let objects: Vec<Object<'_>> = names.iter().map(|name| object(name, name.as_bytes())).collect();
    let ticket = store.put(&objects, FIRST).unwrap();
    assert!(store.flush(vec![ticket]).iter().all(Result::is_ok));
    put(&store, "index/000000.csv", b"row", Existing::Refuse).unwrap();
    let other = open("list-other");
    put(&other, "bundles/00/stranger.zip", b"x", Existing::Refuse).unwrap();
    let mut listed = BTreeSet::new();
    let mut visit = |found: certforge::store::Listed| {
        assert_eq!(found.size, found.name.len() as u64);
        assert!(listed.insert(found.name), "each once");
    };
    store.list("bundles/", &mut visit).unwrap();
    assert_eq!(listed, names.iter().cloned().collect());
    let read = store.read_all(&names);
    assert!(
        read.iter()
            .zip(&names)
            .all(|(octets, name)| octets.as_ref().unwrap().as_slice() == name.as_bytes())
    );
    store.list("none/", &mut |_| panic!("there is nothing")).unwrap();
    let mut whole = Vec::new();
    store
        .list(&names[0], &mut |found| whole.push(found.name))
        .unwrap();
    assert_eq!(whole, names[..1], "an object by its name");
}
