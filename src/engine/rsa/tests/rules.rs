//! Keys against the rules of FIPS 186-5, A.1, and against chance: what they are made of, and how it is spread.

#![expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]

use std::collections::HashSet;

use aws_lc_rs::signature::KeyPair as _;
use num_bigint::BigUint;
use num_integer::Integer;
use pkcs8::der::asn1::UintRef;
use pkcs8::der::{Decode, Reader, SliceReader};
use rayon::prelude::*;

use super::super::natural::E;
use super::super::search::is_coprime_to_e;
use super::super::small::Small;
use super::super::{document, make};
use super::*;
use crate::engine::{AwsLc, DeviceKey, KeyMaker};
use crate::profile::KeyType;

/// n, e, d, p, q, dP, dQ, qInv, as another parser reads them.
fn numbers(key: &DeviceKey) -> [BigUint; 8] {
    let info = pkcs8::PrivateKeyInfoRef::from_der(key.pkcs8()).unwrap();
    let mut reader = SliceReader::new(info.private_key.as_bytes()).unwrap();
    let numbers = reader.sequence(|sequence| -> pkcs8::der::Result<_> {
        assert_eq!(u8::decode(sequence)?, 0);
        let mut numbers = [BigUint::ZERO; 8];
        for number in &mut numbers {
            *number = BigUint::from_bytes_be(UintRef::decode(sequence)?.as_bytes());
        }
        Ok(numbers)
    });
    reader.finish().unwrap();
    numbers.unwrap()
}

/// Every rule, one by one.
fn obeys(key: &DeviceKey, bits: u64) {
    let [n, e, d, p, q, at_p, at_q, coefficient] = numbers(key);
    let one = BigUint::from(1u8);
    assert_eq!((n.bits(), e.clone()), (2 * bits, BigUint::from(E)));
    assert_eq!(n, &p * &q);
    for prime in [&p, &q] {
        // √2 2^(bits-1) <= p < 2^bits, and gcd(p-1, e) = 1.
        assert!(prime.bits() == bits && prime * prime >= one.clone() << (2 * bits - 1));
        assert_eq!((prime - &one).gcd(&e), one);
    }
    assert!(&p - &q > one.clone() << (bits - 100), "and so p is the larger");
    let lcm = (&p - &one).lcm(&(&q - &one));
    assert_eq!(&e * &d % &lcm, one);
    assert!(d > one.clone() << bits && d < lcm);
    assert_eq!(at_p, &d % (&p - &one));
    assert_eq!(at_q, &d % (&q - &one));
    assert_eq!(&coefficient * &q % &p, one);
    assert!(coefficient < p);
    // The same to the octet, as another parser finds it.
    let pair = aws_lc_rs::rsa::KeyPair::from_pkcs8(key.pkcs8()).unwrap();
    assert_eq!(pair.public_key().as_ref(), key.public_key());
}

#[test]
fn keys_obey_the_standard_whatever_the_words() {
    for words in all_words() {
        let many = if words == Words::Eight { 12 } else { 1 };
        let mut keys = vec![DeviceKey::default(); many];
        make::<20, 40>(&mut keys, 1024, words, &mut system).unwrap();
        for key in &keys {
            obeys(key, 1024);
        }
    }
    for engine in engines() {
        for (key_type, bits) in [(KeyType::Rsa3072, 1536), (KeyType::Rsa4096, 2048)] {
            let mut keys = vec![DeviceKey::default(); if engine.at_a_time(key_type) > 1 { 3 } else { 1 }];
            engine.make_keys(key_type, &mut keys).unwrap();
            for key in &keys {
                obeys(key, bits);
            }
        }
    }
}

#[test]
fn documents_are_what_aws_lc_writes() {
    let mut keys = [DeviceKey::default()];
    AwsLc.make_keys(KeyType::Rsa2048, &mut keys).unwrap();
    let words = numbers(&keys[0]).map(|number| number.to_u64_digits());
    let numbers = words.each_ref().map(Vec::as_slice);
    assert!(&document::private_key(numbers)[..] == keys[0].pkcs8());
    assert!(document::public_key([numbers[0], numbers[1]]) == keys[0].public_key());
}

/// Integers of every length are in as few octets as say that they are not negative.
#[test]
fn documents_hold_integers_of_every_length() {
    for bits in 0..200u32 {
        let number = BigUint::from(1u8) << bits;
        for number in [number.clone(), &number - 1u8] {
            // Words that are zero change nothing.
            let mut words = number.to_u64_digits();
            words.push(0);
            let octets = document::public_key([&words, &[E]]);
            let mut reader = SliceReader::new(&octets).unwrap();
            let read = reader.sequence(|sequence| -> pkcs8::der::Result<_> {
                let read = BigUint::from_bytes_be(UintRef::decode(sequence)?.as_bytes());
                UintRef::decode(sequence)?;
                Ok(read)
            });
            assert_eq!(read.unwrap(), number);
        }
    }
}

/// One in 65,537 candidates is refused: those that e divides less 1.
#[test]
fn a_prime_of_which_e_divides_the_number_before_is_none() {
    let mut fill = seeded(fastrand::u64(..));
    let mut stream = Stream::new(&mut fill);
    for _ in 0..20 {
        let number: BigUint = big(&stream.candidate::<20>(1024).unwrap());
        let refused = &number - &number % E + 1u8;
        assert!(!is_coprime_to_e(&super::number::<20>(&refused)));
        for other in [&refused - 1u8, &refused + 1u8, &refused + E - 2u8] {
            assert!(is_coprime_to_e(&super::number::<20>(&other)));
        }
    }
}

/// A source that is stuck gives no key, and ends.
#[test]
fn tries_are_capped() {
    for words in all_words() {
        for octet in [0, 0xff] {
            let mut keys = vec![DeviceKey::default()];
            let mut fill = |octets: &mut [u8]| {
                octets.fill(octet);
                Ok(())
            };
            assert!(
                make::<20, 40>(&mut keys, 1024, words, &mut fill).is_err(),
                "{words:?}: {octet:02x}"
            );
        }
        let mut fill = |_: &mut [u8]| Err(EngineError::Random);
        assert!(matches!(
            make::<20, 40>(&mut [DeviceKey::default()], 1024, words, &mut fill),
            Err(EngineError::Random)
        ));
    }
}

/// What is drawn is in range and spread evenly, and as many of it are kept, and are primes, as number theory has it.
#[test]
fn candidates_are_accepted_at_the_rates_of_number_theory() {
    const CANDIDATES: usize = 1 << 16;
    let words = all_words().next().expect("some work everywhere");
    let small = Small::primes();
    let mut fill = seeded(fastrand::u64(..));
    let mut stream = Stream::new(&mut fill);
    let numbers: Vec<Number<20>> = (0..CANDIDATES).map(|_| stream.candidate(1024).unwrap()).collect();
    let least = num_bigint::BigUint::from(1u8) << 2047;
    let mut ones = [0u32; 1024];
    for number in &numbers {
        let number = big(number);
        assert!(number.bits() == 1024 && number.pow(2) >= least);
        for (bit, ones) in (0..).zip(&mut ones) {
            *ones += u32::from(number.bit(bit));
        }
    }
    assert_eq!(
        [ones[0], ones[1023]],
        [u32::try_from(CANDIDATES).unwrap(); 2],
        "odd, and of full length"
    );
    // Six standard deviations of 128 around a half; the highest bits follow from the range.
    for ones in &ones[1..1000] {
        assert!(ones.abs_diff(1 << 15) < 6 * 128, "{ones}");
    }
    let mut left = numbers;
    for stage in &small.stages {
        left = divided_by(words, &small.groups[stage.clone()], &left);
    }
    // Mertens: 2 e^-γ / ln 2^16 = 0.10125 of all; 77 is a standard deviation.
    assert!(
        left.len().abs_diff(6636) < 6 * 77,
        "{} of {CANDIDATES}",
        left.len()
    );
}

/// Keys, many: no prime comes twice, residues and bits are spread evenly, and none is one of those that are easily
/// factored. `CERTFORGE_TEST_RSA` says how many, `CERTFORGE_TEST_RSA_ENGINE` by which engine.
#[test]
fn primes_are_spread_as_chance_has_it() {
    // The fastest here, or the one that is named.
    let named = std::env::var("CERTFORGE_TEST_RSA_ENGINE");
    let engine = engines()
        .find(|engine| named.as_ref().map_or(true, |name| name == engine.name()))
        .expect("there is such an engine");
    let count: usize =
        std::env::var("CERTFORGE_TEST_RSA").map_or(48, |count| count.parse().expect("it is a number"));
    let mut keys = vec![DeviceKey::default(); count];
    keys.par_chunks_mut(16)
        .for_each(|keys| engine.make_keys(KeyType::Rsa2048, keys).unwrap());
    let mut primes: Vec<BigUint> = Vec::with_capacity(2 * count);
    for key in &keys {
        let [n, _, _, p, q, ..] = numbers(key);
        assert!(!has_fingerprint_of_roca(&n), "{n:x}");
        assert!(!is_found_by_fermat(&n), "{n:x}");
        primes.extend([p, q]);
    }
    let distinct: HashSet<&BigUint> = primes.iter().collect();
    assert_eq!(distinct.len(), primes.len(), "no prime comes twice");
    let mut worst = (0.0f64, 0);
    for modulus in [3u32, 5, 7, 8, 11, 13, 17, 19, 64, 251] {
        let classes: Vec<u32> = (0..modulus).filter(|class| class.gcd(&modulus) == 1).collect();
        let mut counts = vec![0u32; modulus as usize];
        for prime in &primes {
            counts[u32::try_from(prime % modulus).unwrap() as usize] += 1;
        }
        let expected = primes.len() as f64 / classes.len() as f64;
        let square: f64 = classes
            .iter()
            .map(|class| (f64::from(counts[*class as usize]) - expected).powi(2) / expected)
            .sum();
        // So many standard deviations beyond its mean (Wilson and Hilferty).
        let free = (classes.len() - 1) as f64;
        let deviation = ((square / free).cbrt() - (1.0 - 2.0 / (9.0 * free))) / (2.0 / (9.0 * free)).sqrt();
        eprintln!(
            "{} primes modulo {modulus}: chi-square {square:.1} of {free} degrees, {deviation:+.2} standard deviations",
            primes.len()
        );
        if deviation.abs() > worst.0.abs() {
            worst = (deviation, modulus);
        }
        assert!(
            counts
                .iter()
                .zip(0..)
                .all(|(count, class)| *count == 0 || classes.contains(&class))
        );
    }
    assert!(worst.0.abs() < 5.0, "{worst:?}");
    // Bits 1 to 999: the highest follow from the range.
    let (mut square, deviation) = (0.0, (primes.len() as f64).sqrt() / 2.0);
    for bit in 1..1000 {
        let ones = primes.iter().filter(|prime| prime.bit(bit)).count() as f64;
        let off = (ones - primes.len() as f64 / 2.0) / deviation;
        assert!(off.abs() < 6.0, "bit {bit}: {off:+.2} standard deviations");
        square += off * off;
    }
    let off = (square - 999.0) / (2.0f64 * 999.0).sqrt();
    eprintln!(
        "{} primes, bits 1 to 999: chi-square {square:.1} of 999 degrees, {off:+.2} standard deviations",
        primes.len()
    );
    assert!(off.abs() < 6.0);
}

/// Whether n is a power of 65537 modulo each of these primes, as those of Infineon's library are (ROCA, CVE-2017-15361).
/// Chance does that for one modulus in 2^27.
fn has_fingerprint_of_roca(n: &BigUint) -> bool {
    [
        11u32, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157,
    ]
    .iter()
    .all(|prime| {
        let rest = u32::try_from(n % prime).unwrap();
        std::iter::successors(Some(1), |power| Some(power * 65_537 % prime))
            .take(*prime as usize)
            .any(|power| power == rest)
    })
}

/// Whether n is the product of two numbers that are near each other, by a hundred steps of Fermat's.
fn is_found_by_fermat(n: &BigUint) -> bool {
    let mut a = n.sqrt() + 1u8;
    (0..100).any(|_| {
        let rest = &a * &a - n;
        a += 1u8;
        rest.sqrt().pow(2) == rest
    })
}

#[test]
fn moduli_that_are_easily_factored_are_seen() {
    let p = BigUint::from(1u8) << 200u32;
    assert!(is_found_by_fermat(&((&p + 235u32) * (&p + 261u32))));
    assert!(!is_found_by_fermat(&((&p + 235u32) * (&p * 3u32 / 2u32 + 1u32))));
    assert!(has_fingerprint_of_roca(&BigUint::from(65_537u32).pow(77)));
    assert!(!has_fingerprint_of_roca(&big(&of_hex::<40>(primes::GROUP_2))));
}
