//! RSA keys as numbers: taken out of PKCS#1 (RFC 8017, A.1.2), and made whole again from the two that the DS peripheral has.

use num_bigint::BigUint;
use zeroize::Zeroizing;

use super::super::asn1::{INTEGER, SEQUENCE, put, take};

/// The public exponent of every RSA key that is made here, and of nearly all others.
const PUBLIC_EXPONENT: u32 = 65_537;

/// Numbers of a key, big-endian and without leading zeros.
pub(super) struct Numbers<'a> {
    pub modulus: &'a [u8],
    pub exponent: &'a [u8],
    /// Of the modulus.
    pub bits: usize,
}

impl<'a> Numbers<'a> {
    /// `None`: it is no such key.
    pub fn read(pkcs1: &'a [u8]) -> Option<Self> {
        let (fields, _) = take(SEQUENCE, pkcs1)?;
        let (_version, rest) = take(INTEGER, fields)?;
        let (modulus, rest) = take(INTEGER, rest)?;
        let (_public, rest) = take(INTEGER, rest)?;
        let (exponent, _) = take(INTEGER, rest)?;
        let (modulus, exponent) = (trimmed(modulus), trimmed(exponent));
        let is_odd = modulus.last()? % 2 == 1;
        (is_odd && exponent.len() <= modulus.len()).then_some(())?;
        let bits = modulus.len() * 8 - modulus[0].leading_zeros() as usize;
        Some(Self {
            modulus,
            exponent,
            bits,
        })
    }
}

/// A number without leading zeros.
pub(super) fn trimmed(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|octet| **octet == 0).count();
    &number[zeros..]
}

/// The PKCS#1 of a key with the public exponent 65537, given its other numbers. `None`: they are no such key's.
pub(super) fn pkcs1(modulus: &[u8], exponent: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let one = BigUint::from(1_u8);
    let (n, d) = (BigUint::from_bytes_be(modulus), BigUint::from_bytes_be(exponent));
    let [p, q] = primes(&n, &d)?;
    let numbers = [
        BigUint::ZERO,
        n,
        BigUint::from(PUBLIC_EXPONENT),
        d.clone(),
        p.clone(),
        q.clone(),
        &d % (&p - &one),
        &d % (&q - &one),
        q.modinv(&p)?,
    ];
    // The numbers are 4 1/2 times as long as the modulus, and each has at most five octets more.
    let room = 5 * modulus.len() + 64;
    let mut fields = Zeroizing::new(Vec::with_capacity(room));
    for number in numbers {
        let octets = Zeroizing::new(number.to_bytes_be());
        let zero: &[u8] = if octets[0] & 0x80 == 0 { &[] } else { &[0] };
        put(INTEGER, &[zero, &octets], &mut fields);
    }
    let mut out = Zeroizing::new(Vec::with_capacity(room + 4));
    put(SEQUENCE, &[&fields], &mut out);
    Some(out)
}

/// The primes, the larger first. e d - 1 is m/g times (p-1)(q-1), where g divides both p-1 and q-1, and m is less than e; and
/// (p-1)(q-1) is so near to the modulus that m/g is among the first convergents of (e d - 1)/n.
fn primes(n: &BigUint, d: &BigUint) -> Option<[BigUint; 2]> {
    let one = BigUint::from(1_u8);
    if *n <= one || *d <= one {
        return None;
    }
    let multiple = d * PUBLIC_EXPONENT - &one;
    let (mut above, mut below) = (multiple.clone(), n.clone());
    let [mut m, mut g] = [one.clone(), BigUint::ZERO];
    let [mut m_before, mut g_before] = [BigUint::ZERO, one.clone()];
    while below != BigUint::ZERO {
        let whole = &above / &below;
        (above, below) = (below.clone(), above % below);
        (m_before, m) = (m.clone(), &whole * m + m_before);
        (g_before, g) = (g.clone(), whole * g + g_before);
        if m.bits() > 17 {
            return None;
        }
        if let Some(primes) = primes_of(n, &(&multiple * &g), &m) {
            return Some(primes);
        }
    }
    None
}

/// The primes of n, if (p-1)(q-1) is this quotient.
fn primes_of(n: &BigUint, multiple: &BigUint, m: &BigUint) -> Option<[BigUint; 2]> {
    if *m == BigUint::ZERO || multiple % m != BigUint::ZERO {
        return None;
    }
    let totient = multiple / m;
    let beyond = n + 1_u8;
    let sum = (totient < beyond).then(|| beyond - totient)?;
    let (square, least) = (&sum * &sum, n << 2);
    let difference = (square >= least).then(|| (square - least).sqrt())?;
    let q = (difference <= sum).then(|| (&sum - difference) >> 1)?;
    let p = sum - &q;
    (&p * &q == *n && q > BigUint::from(1_u8)).then_some([p, q])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_whole_from_what_the_peripheral_has() {
        for _ in 0..8 {
            let key = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
            let pkcs8 =
                aws_lc_rs::encoding::AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&key).unwrap();
            let (info, _) = take(SEQUENCE, pkcs8.as_ref()).unwrap();
            let (_, rest) = take(INTEGER, info).unwrap();
            let (_, rest) = take(SEQUENCE, rest).unwrap();
            let (whole, _) = take(4, rest).unwrap();
            let numbers = Numbers::read(whole).unwrap();
            let again = pkcs1(numbers.modulus, numbers.exponent).unwrap();
            assert_eq!(again.as_slice(), whole);
            let mut other = numbers.exponent.to_vec();
            *other.last_mut().unwrap() ^= 2;
            assert!(
                pkcs1(numbers.modulus, &other).is_none(),
                "the exponent is another's"
            );
        }
    }

    /// p - 1 and q - 1 have 2 * 3^4 * 1009 in common; the exponent is one for their product, or for its least multiple.
    #[test]
    fn a_key_is_made_whole_whatever_its_primes_have_in_common() {
        let one = BigUint::from(1_u8);
        let common = BigUint::from(2_u32 * 81 * 1009);
        let mut found = (1_u32 << 20..)
            .map(|k| (&common << 100) * k + &one)
            .filter(is_prime);
        let [p, q] = [found.next().unwrap(), found.next().unwrap()];
        let (n, totient) = (&p * &q, (&p - &one) * (&q - &one));
        for least in [totient.clone(), totient / common] {
            let d = BigUint::from(PUBLIC_EXPONENT).modinv(&least).unwrap();
            let mut primes = primes(&n, &d).unwrap();
            primes.sort();
            assert_eq!(primes, [p.clone(), q.clone()]);
        }
    }

    /// Probably, which is enough for the proof above.
    fn is_prime(number: &BigUint) -> bool {
        let one = BigUint::from(1_u8);
        let fermat = |base: u8| BigUint::from(base).modpow(&(number - &one), number) == one;
        [2, 3, 5, 7].into_iter().all(fermat)
    }

    #[test]
    fn what_is_no_key_is_told() {
        assert!(Numbers::read(b"").is_none());
        assert!(Numbers::read(b"\x30\x03\x02\x01\x00").is_none());
        for (n, d) in [
            (0, 0),
            (1, 5),
            (15, 0),
            (15, 1),
            (21, 5),
            (u64::MAX, u64::MAX),
            (4, 9),
        ] {
            assert!(pkcs1(&n.to_be_bytes(), &d.to_be_bytes()).is_none(), "{n} {d}");
        }
    }
}
