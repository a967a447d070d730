//! Documents of RSA keys: RSAPublicKey and RSAPrivateKey (RFC 8017, A.1), the latter in PKCS#8 (RFC 5958, version 1), to the
//! octet as aws-lc writes them.

use zeroize::Zeroizing;

/// AlgorithmIdentifier of rsaEncryption (RFC 8017, A.1), whose parameters are NULL.
const RSA_ENCRYPTION: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
const VERSION_0: &[u8] = b"\x02\x01\x00";
const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;

/// RSAPublicKey of a modulus and an exponent.
pub fn public_key(numbers: [&[u64]; 2]) -> Vec<u8> {
    sequence_of(&numbers, &[]).to_vec()
}

/// PrivateKeyInfo of an RSAPrivateKey: n, e, d, p, q, d mod (p-1), d mod (q-1), 1/q mod p.
pub fn private_key(numbers: [&[u64]; 8]) -> Zeroizing<Vec<u8>> {
    let inner = sequence_of(&numbers, VERSION_0);
    let string_len = 1 + len_len(inner.len()) + inner.len();
    let len = VERSION_0.len() + RSA_ENCRYPTION.len() + string_len;
    // Exactly as long as it gets: a buffer that grows leaves a copy behind.
    let mut out = Zeroizing::new(Vec::with_capacity(1 + len_len(len) + len));
    head(SEQUENCE, len, &mut out);
    out.extend_from_slice(VERSION_0);
    out.extend_from_slice(RSA_ENCRYPTION);
    head(OCTET_STRING, inner.len(), &mut out);
    out.extend_from_slice(&inner);
    out
}

/// A sequence of what it begins with, and of integers.
fn sequence_of(numbers: &[&[u64]], first: &[u8]) -> Zeroizing<Vec<u8>> {
    let lens = numbers.iter().map(|number| octets_of(number));
    let len = first.len() + lens.map(|len| 1 + len_len(len) + len).sum::<usize>();
    let mut out = Zeroizing::new(Vec::with_capacity(1 + len_len(len) + len));
    head(SEQUENCE, len, &mut out);
    out.extend_from_slice(first);
    for number in numbers {
        let len = octets_of(number);
        head(INTEGER, len, &mut out);
        for i in (0..len).rev() {
            // One octet may lie above the number: it says that the number is not negative.
            let word = number.get(i / 8).copied().unwrap_or(0);
            out.push(word.to_le_bytes()[i % 8]);
        }
    }
    out
}

/// Octets of an integer, as few as say that it is not negative (X.690, 8.3.2). All that is seen of a number is how long
/// it is, which its document shows too.
fn octets_of(number: &[u64]) -> usize {
    let zeros = number.iter().rev().take_while(|word| **word == 0).count();
    let words = &number[..number.len() - zeros];
    let bits = words
        .last()
        .map_or(0, |last| 64 * words.len() - last.leading_zeros() as usize);
    bits / 8 + 1
}

/// Octets of a length (X.690, 8.1.3).
fn len_len(len: usize) -> usize {
    match len {
        0..0x80 => 1,
        0x80..0x100 => 2,
        _ => 3,
    }
}

fn head(tag: u8, len: usize, out: &mut Vec<u8>) {
    let [.., high, low] = len.to_be_bytes();
    match len_len(len) {
        1 => out.extend_from_slice(&[tag, low]),
        2 => out.extend_from_slice(&[tag, 0x81, low]),
        _ => out.extend_from_slice(&[tag, 0x82, high, low]),
    }
}
