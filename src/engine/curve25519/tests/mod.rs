//! Held against aws-lc, and against Project Wycheproof's cases.

mod published;

use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::error::Unspecified;

use super::*;

fn public_key(secret: &[u8; 32]) -> [u8; 32] {
    let key = PrivateKey::from_private_key(&X25519, secret).unwrap();
    key.compute_public_key().unwrap().as_ref().try_into().unwrap()
}

fn shared(secret: &[u8; 32], point: &[u8; 32]) -> Option<[u8; 32]> {
    let key = PrivateKey::from_private_key(&X25519, secret).unwrap();
    let point = UnparsedPublicKey::new(&X25519, point);
    agree(&key, point, Unspecified, |shared| Ok(shared.try_into().unwrap())).ok()
}

fn random() -> [u8; 32] {
    let mut octets = [0; 32];
    aws_lc_rs::rand::fill(&mut octets).unwrap();
    octets
}

/// Random ones, and those with every window at an end.
fn secrets(count: usize) -> Vec<[u8; 32]> {
    let mut crafted = vec![[0; 32], [0xff; 32], [0x55; 32], [0xaa; 32]];
    for bit in 0..256 {
        let mut one = [0; 32];
        one[bit / 8] = 1 << (bit % 8);
        crafted.push(one);
        crafted.push(one.map(|octet| !octet));
    }
    crafted.resize_with(count.max(crafted.len()), random);
    crafted.rotate_left(count % 7);
    crafted.truncate(count);
    crafted
}

fn assert_agrees(point: &[u8; 32], secrets: &[[u8; 32]]) {
    let peer = Peer::new(point).expect("it is on the curve");
    let (mut public_keys, mut shares) = (vec![[0; 32]; secrets.len()], vec![[0; 32]; secrets.len()]);
    assert!(peer.agree(secrets, &mut public_keys, &mut shares));
    for (i, secret) in secrets.iter().enumerate() {
        assert_eq!(public_keys[i], public_key(secret), "{secret:02x?}");
        assert_eq!(
            Some(shares[i]),
            shared(secret, point),
            "{secret:02x?} {point:02x?}"
        );
    }
}

#[test]
fn agrees_with_aws_lc_on_crafted_secrets_and_batches_of_every_size() {
    if !eight::is_here() {
        return;
    }
    assert_agrees(&public_key(&random()), &secrets(700));
    for count in 0..=70 {
        assert_agrees(&public_key(&random()), &secrets(count));
    }
}

#[test]
fn takes_the_curve_and_leaves_the_twist_to_others() {
    if !eight::is_here() {
        return;
    }
    let mut on_curve = 0;
    for _ in 0..64 {
        let point = random();
        if Peer::new(&point).is_some() {
            on_curve += 1;
            assert_agrees(&point, &secrets(9));
        }
    }
    assert!((8..56).contains(&on_curve), "{on_curve} of 64");
    // 0, 1, p - 1, p, p + 1: of small order, or on the twist.
    let near_p = |last: u8| {
        let mut octets = [0xff; 32];
        octets[0] = last;
        octets[31] = 0x7f;
        octets
    };
    let mut one = [0; 32];
    one[0] = 1;
    for point in [[0; 32], one, near_p(0xec), near_p(0xed), near_p(0xee)] {
        assert!(Peer::new(&point).is_none(), "{point:02x?}");
    }
    // p + 9 and 2^255 + 9 are the base point.
    let mut high = BASE;
    high[31] |= 0x80;
    for point in [near_p(0xf6), high] {
        assert_agrees(&point, &secrets(20));
    }
}

/// RFC 7748, 6.1.
#[test]
fn zeros_are_nothing_and_all_else_is_something() {
    assert!(is_nothing(&[0; 32]));
    for bit in 0..256 {
        let mut one = [0; 32];
        one[bit / 8] = 1 << (bit % 8);
        assert!(!is_nothing(&one), "bit {bit}");
    }
}

/// RFC 7748, 5.2 and 6.1.
#[test]
fn makes_what_the_rfc_has() {
    if !eight::is_here() {
        return;
    }
    let (mut k, mut u) = (BASE, BASE);
    let mut first = None;
    for _ in 0..1000 {
        let out = match Peer::new(&u) {
            Some(peer) => {
                let (mut public_keys, mut shares) = ([[0; 32]], [[0; 32]]);
                assert!(peer.agree(&[k], &mut public_keys, &mut shares));
                shares[0]
            }
            None => shared(&k, &u).unwrap(),
        };
        (u, k) = (k, out);
        first.get_or_insert(out);
    }
    let text = |octets: [u8; 32]| octets.map(|octet| format!("{octet:02x}")).concat();
    assert_eq!(
        text(first.unwrap()),
        "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"
    );
    assert_eq!(
        text(k),
        "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"
    );
}

/// The same on words that stop where a limb overflows; and the table is the same, whichever words it is made by.
#[test]
fn no_limb_overflows() {
    let point = public_key(&random());
    let (base, peer) = (checked::make(&BASE).unwrap(), checked::make(&point).unwrap());
    if super::eight::is_here()
        && let Some(eight) = comb(&point)
    {
        let rows = |windows: &[table::Window]| windows.iter().flatten().map(|row| row.0).collect::<Vec<_>>();
        assert_eq!(rows(&eight.windows), rows(&peer.0));
        assert_eq!(eight.start, peer.1);
    }
    let secrets = secrets(40);
    let (mut public_keys, mut shares) = (vec![[0; 32]; 40], vec![[0; 32]; 40]);
    let combs = [(&base.0[..], &base.1), (&peer.0[..], &peer.1)];
    let mut sums = [[0; 32]; 2];
    let mut work = checked::Work::new();
    let results = [&mut public_keys[..], &mut shares[..]];
    assert!(checked::multiply_all(
        &mut work, combs, &secrets, results, &mut sums
    ));
    work.wipe();
    for (i, secret) in secrets.iter().enumerate() {
        assert_eq!(public_keys[i], public_key(secret));
        assert_eq!(Some(shares[i]), shared(secret, &point));
    }
    let total = Total::of(&secrets, 1);
    assert!(total.is(&sums[0], &point, &sums[1]));
    assert!(!total.is(&sums[1], &point, &sums[1]) && !total.is(&sums[0], &point, &sums[0]));
    // One secret more is another sum.
    assert!(!Total::of(&secrets[1..], 1).is(&sums[0], &point, &sums[1]));
}
