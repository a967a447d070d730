//! The writer and the reader held against each other, and files that were changed. `tests/forge/encryption.rs` holds both against
//! age itself.

use std::iter::once;

use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519 as AGREEMENT, agree};
use proptest::prelude::*;
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use super::*;

fn random(octets: &mut [u8]) -> Result<(), ring::error::Unspecified> {
    SystemRandom::new().fill(octets)
}

/// Leaves it to aws-lc.
fn one_by_one(_: usize, _: &[[u8; POINT]], _: &mut [[u8; POINT]], _: &mut [[u8; POINT]]) -> bool {
    false
}

fn identity() -> Identity {
    let mut secret = Zeroizing::new([0; POINT]);
    random(&mut *secret).unwrap();
    Identity::new(secret)
}

fn encrypt(recipients: &[&Identity], plain: &[u8]) -> Vec<u8> {
    let recipients: Vec<_> = recipients.iter().map(|own| own.recipient().clone()).collect();
    let encryption = Encryption::new(&recipients);
    let mut writer = encryption.writer();
    writer.prepare(1, random, one_by_one).unwrap();
    let mut out = Vec::new();
    writer.append(0, plain, &mut out);
    assert_eq!(out.len(), encryption.encrypted_len(plain.len()));
    out
}

fn opened(file: &[u8], identity: &Identity) -> Result<Vec<u8>, DecryptError> {
    let identities = Identities::parse(&identity.to_text()).unwrap();
    decrypt(file, &identities).map(|plain| plain.to_vec())
}

/// Lengths around those where a chunk ends.
fn lengths() -> impl Iterator<Item = usize> {
    [0, 1, 2, 3_000]
        .into_iter()
        .chain([CHUNK, 2 * CHUNK].into_iter().flat_map(|n| n - 1..=n + 1))
}

fn plain(len: usize) -> Vec<u8> {
    (0..=250).cycle().take(len).collect()
}

#[test]
fn reads_what_it_writes_where_chunks_end() {
    let (one, two, other) = (identity(), identity(), identity());
    for len in lengths() {
        let plain = plain(len);
        let file = encrypt(&[&one, &two], &plain);
        assert_eq!(opened(&file, &one).unwrap(), plain);
        assert_eq!(opened(&file, &two).unwrap(), plain);
        assert_eq!(opened(&file, &other), Err(DecryptError::SomebodyElse));
    }
}

#[test]
fn every_file_has_a_key_of_its_own_and_every_share_an_ephemeral_secret() {
    let (one, two) = (identity(), identity());
    let recipients = [one.recipient().clone(), two.recipient().clone()];
    let encryption = Encryption::new(&recipients);
    let mut writer = encryption.writer();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..3 {
        writer.prepare(50, random, one_by_one).unwrap();
        for number in 0..50 {
            let mut file = Vec::new();
            writer.append(number, b"the same", &mut file);
            let text = String::from_utf8_lossy(&file).into_owned();
            for line in text.lines().filter(|line| line.starts_with("-> ")) {
                assert!(seen.insert(line.to_owned()), "{line}");
            }
            let payload = &file[file.len() - NONCE - TAG - 8..];
            assert!(seen.insert(format!("{payload:?}")));
        }
    }
    assert_eq!(seen.len(), 3 * 50 * 3);
}

#[test]
#[should_panic(expected = "used once")]
fn no_file_is_written_twice_with_one_key() {
    let one = identity();
    let encryption = Encryption::new(&[one.recipient().clone()]);
    let mut writer = encryption.writer();
    writer.prepare(1, random, one_by_one).unwrap();
    let mut out = Vec::new();
    writer.append(0, b"first", &mut out);
    writer.append(0, b"second", &mut out);
}

/// RFC 7748, 6.1: whoever wrote such a point would read what is for nobody else.
#[test]
#[should_panic(expected = "low order")]
fn nothing_is_encrypted_by_a_shared_secret_of_zeros() {
    let encryption = Encryption::new(&[Recipient::of([0; POINT])]);
    let _ = encryption.writer().prepare(1, random, one_by_one);
}

#[test]
fn what_was_agreed_on_elsewhere_is_taken_for_the_recipient_whose_it_is() {
    let (one, two) = (identity(), identity());
    let recipients = [one.recipient().clone(), two.recipient().clone()];
    let encryption = Encryption::new(&recipients);
    let mut writer = encryption.writer();
    let mut asked = Vec::new();
    writer
        .prepare(9, random, |number, secrets, ephemerals, shared| {
            asked.push(number);
            let point = UnparsedPublicKey::new(&AGREEMENT, encryption.points().nth(number).unwrap());
            for (i, secret) in secrets.iter().enumerate() {
                let secret = PrivateKey::from_private_key(&AGREEMENT, secret).unwrap();
                ephemerals[i].copy_from_slice(secret.compute_public_key().unwrap().as_ref());
                let copied = agree(&secret, point, (), |octets| {
                    shared[i].copy_from_slice(octets);
                    Ok(())
                });
                copied.unwrap();
            }
            true
        })
        .unwrap();
    assert_eq!(asked, [0, 1]);
    for number in (0..9).rev() {
        let mut file = Vec::new();
        writer.append(number, b"the same", &mut file);
        for identity in [&one, &two] {
            assert_eq!(opened(&file, identity).unwrap(), b"the same", "{number}");
        }
    }
}

#[test]
fn every_octet_counts() {
    let (one, two) = (identity(), identity());
    let file = encrypt(&[&one, &two], &plain(200));
    for at in 0..file.len() {
        for bit in [0x01, 0x20, 0x80] {
            let mut changed = file.clone();
            changed[at] ^= bit;
            assert!(opened(&changed, &one).is_err(), "octet {at}");
        }
        assert!(opened(&file[..at], &one).is_err(), "cut at {at}");
    }
    let mut longer = file.clone();
    longer.push(0);
    assert_eq!(opened(&longer, &one), Err(DecryptError::Payload));
}

#[test]
fn says_what_was_done_to_a_file() {
    let (one, two) = (identity(), identity());
    let file = encrypt(&[&one, &two], &plain(100_000));
    let stanza = 3 + 6 + 1 + 43 + 1 + 43 + 1;
    let start = VERSION_LINE.len();
    // A stanza taken away: whoever is still named can tell.
    let mut without = file.clone();
    without.drain(start + stanza..start + 2 * stanza);
    assert_eq!(opened(&without, &one), Err(DecryptError::Changed));
    assert_eq!(opened(&without, &two), Err(DecryptError::SomebodyElse));
    // Chunks that change places, or are left out.
    let payload = file.len() - (100_000 + 2 * TAG);
    let chunk = CHUNK + TAG;
    assert_eq!(opened(&file[..payload + chunk], &one), Err(DecryptError::Payload));
    let swapped = [
        &file[..payload],
        &file[payload + chunk..],
        &file[payload..payload + chunk],
    ]
    .concat();
    assert_eq!(opened(&swapped, &one), Err(DecryptError::Payload));
    assert_eq!(opened(b"PK", &one), Err(DecryptError::NotEncrypted));
    assert_eq!(
        opened(b"-----BEGIN AGE ENCRYPTED FILE-----\n", &one),
        Err(DecryptError::Armored)
    );
    // The header of one file before the payload of another.
    let other = encrypt(&[&one, &two], &plain(100_000));
    let mixed = [&file[..payload], &other[payload..]].concat();
    assert_eq!(opened(&mixed, &one), Err(DecryptError::Payload));
}

#[test]
fn what_the_specification_does_not_allow_is_refused() {
    let one = identity();
    let file = encrypt(&[&one], b"x");
    let text = String::from_utf8_lossy(&file[..file.len() - NONCE - 1 - TAG]).into_owned();
    let payload = &file[text.len()..];
    let lines: Vec<&str> = text.lines().collect();
    let [version, stanza, body, footer] = lines[..] else {
        panic!("a header has four lines: {text}")
    };
    let refused = |lines: &[&str]| {
        let header = format!("{}\n", lines.join("\n"));
        opened(&[header.as_bytes(), payload].concat(), &one).unwrap_err()
    };
    // The last character of 32 octets has two bits that say nothing, and are zeros.
    let mut loose = body.to_owned();
    let last = loose.pop().unwrap();
    loose.push(char::from(u8::try_from(last).unwrap() + 1));
    let zeros = "A".repeat(43);
    let low_order = format!("-> X25519 {zeros}");
    let scrypt = "-> scrypt AAAAAAAAAAAAAAAAAAAAAA 10";
    let padded = format!("{body}=");
    for lines in [
        vec![version, stanza, &loose, footer],
        vec![version, stanza, &padded, footer],
        vec![version, stanza, body, scrypt, &zeros, footer],
        vec![version, &low_order, body, footer],
        vec![version, "-> X25519", body, footer],
        vec![version, stanza, "", footer],
        vec![version, stanza, body, "", footer],
        vec![version, footer],
        vec![version, stanza, body, "---"],
    ] {
        let error = refused(&lines);
        assert!(matches!(error, DecryptError::Header(_)), "{lines:?}: {error}");
    }
    assert_eq!(opened(&[text.as_bytes(), payload].concat(), &one).unwrap(), b"x");
    // A stanza of a kind that nobody here knows is passed over, and is authenticated like the others.
    let other = refused(&[version, "-> other a b", "", stanza, body, footer]);
    assert_eq!(other, DecryptError::Changed);
    // No last chunk is empty but the only one.
    let key = kdf::payload_key(&[7; FILE_KEY], &[7; NONCE]);
    let mut whole = Vec::new();
    payload::append(&key, &plain(CHUNK), &mut whole);
    assert!(payload::open(&key, &whole).is_some());
    let first = payload::sealed(&key, &plain(CHUNK), (0, false));
    let second = payload::sealed(&key, &[], (1, true));
    assert!(payload::open(&key, &[first, second].concat()).is_none());
    assert!(payload::open(&key, &payload::sealed(&key, &[], (0, true))).is_some());
    assert!(payload::open(&key, &[]).is_none());
}

#[test]
fn a_recipient_with_whom_no_secret_can_be_shared_is_refused() {
    // RFC 7748, 6.1, and Curve25519's paper: the points of order 1, 2, 4 and 8, and those that are written otherwise.
    for hex in [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    ] {
        let point = data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap();
        let text = Recipient::of(point.try_into().unwrap()).to_string();
        let error = Recipient::parse(&text).unwrap_err();
        assert!(
            error.to_string().contains("everybody could read"),
            "{hex}: {error}"
        );
    }
}

#[test]
fn tells_what_is_no_recipient_and_no_identity() {
    let own = identity();
    let (public, secret) = (own.recipient().to_string(), own.to_text());
    let recipient = |text: &str| read_recipients(text).unwrap_err().to_string();
    for (text, what) in [
        ("", "names no recipient"),
        ("# line 7\n", "names no recipient"),
        (secret.as_str(), "line 1 is an identity, the secret half"),
        (
            "# a\nssh-ed25519 AAAA x",
            "line 2 is no recipient: its SSH key is damaged",
        ),
        (
            "ssh-dss AAAA x",
            "an SSH key of kind ssh-dss, which age does not encrypt to",
        ),
        (
            "-----BEGIN OPENSSH PRIVATE KEY-----",
            "is an identity, the secret half",
        ),
        (
            "age1yubikey1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3u",
            "its checksum is wrong",
        ),
        (&public[..50], "its checksum is wrong"),
        (&public.to_ascii_uppercase(), "capitals"),
        ("line7.pub", "does not begin with age1"),
    ] {
        assert!(recipient(text).contains(what), "{text}: {}", recipient(text));
    }
    assert_eq!(
        recipient(&format!("{public}\n").repeat(65)),
        "has more than 64 recipients"
    );
    assert_eq!(
        read_recipients(&format!("# a\n\n{public}\r\n")).unwrap(),
        [own.recipient().clone()]
    );
    let identity = |text: &str| Identities::parse(text).unwrap_err().to_string();
    for (text, what) in [
        ("# only\n", "holds no identity"),
        (public.as_str(), "line 1 is a recipient, the public half"),
        ("age-encryption.org/v1\n-> scrypt", "encrypted with a passphrase"),
        (
            "-----BEGIN OPENSSH PRIVATE KEY-----",
            "an SSH key, which this certforge was built without",
        ),
        ("ssh-ed25519 AAAA x", "the public half of an SSH key"),
        ("AGE-PLUGIN-YUBIKEY-1QQPQY", "damaged"),
        (&secret[..70], "damaged"),
    ] {
        assert!(identity(text).contains(what), "{text}: {}", identity(text));
        assert!(!identity(text).contains(&secret[16..]), "no secret in a message");
    }
    assert!(!format!("{own:?}").contains(&secret[16..]));
}

proptest! {
    #[test]
    fn reads_what_it_writes(len in 0_usize..5_000, others in 0_usize..4) {
        let own = identity();
        let others: Vec<_> = (0..others).map(|_| identity()).collect();
        let all: Vec<_> = others.iter().chain(once(&own)).collect();
        let plain = plain(len);
        prop_assert_eq!(opened(&encrypt(&all, &plain), &own).unwrap(), plain);
    }

    #[test]
    fn no_octets_make_the_reader_panic(octets in prop::collection::vec(any::<u8>(), 0..400), at in 0_usize..400) {
        let own = identity();
        let mut file = encrypt(&[&own], b"x");
        let at = at.min(file.len());
        file.splice(at.., octets);
        let _ = opened(&file, &own);
    }
}
