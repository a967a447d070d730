//! What locks a PKCS#12 file: PBES2 (RFC 8018) or the schemes of PKCS#12 itself (RFC 7292, appendices B and C), and the MAC.

use std::num::NonZeroU32;

use aws_lc_rs::cipher::{
    AES_256, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey, PaddedBlockEncryptingKey,
    UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::{digest, hmac, pbkdf2};
use des::TdesEde3;
use des::cipher::{Block, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::super::asn1::{INTEGER, OCTET_STRING, SEQUENCE, take, value};
use super::Secret;

/// Octets of a salt and of an IV.
const SALT: usize = 16;
const IV: usize = 16;

/// Random octets of a file: two salts with their IVs, and the MAC's salt.
pub(super) const RANDOM: usize = 2 * (SALT + IV) + SALT;

const PBES2: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0d";
const PBKDF2: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0c";
/// hmacWithSHA256 and NULL, as an AlgorithmIdentifier.
const HMAC_SHA256: &[u8] = b"\x30\x0c\x06\x08\x2a\x86\x48\x86\xf7\x0d\x02\x09\x05\x00";
const AES_256_CBC: &[u8] = b"\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x2a";
/// pbeWithSHAAnd3-KeyTripleDES-CBC.
const TRIPLE_DES: &[u8] = b"\x06\x0a\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x01\x03";
const SHA256: &[u8] = b"\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00";
const SHA1: &[u8] = b"\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00";

/// How a file is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub(super) enum Encryption {
    /// AES-256-CBC under PBKDF2 with HMAC-SHA-256, and a MAC with SHA-256.
    #[default]
    #[serde(rename = "aes-256")]
    Aes256,
    /// Triple DES under the derivation of PKCS#12 with SHA-1, and a MAC with SHA-1.
    #[serde(rename = "3des")]
    TripleDes,
}

/// A password in its two encodings.
pub(super) struct Password {
    utf8: Secret,
    /// UTF-16, with the NUL that ends it (RFC 7292, B.1).
    utf16: Secret,
}

impl Password {
    pub fn new(text: &str) -> Self {
        // Neither moves.
        let mut utf8 = Zeroizing::new(Vec::with_capacity(text.len()));
        utf8.extend_from_slice(text.as_bytes());
        let mut utf16 = Zeroizing::new(Vec::with_capacity(2 * text.len() + 2));
        for unit in text.encode_utf16().chain([0]) {
            utf16.extend_from_slice(&unit.to_be_bytes());
        }
        Self { utf8, utf16 }
    }
}

/// The random octets of certificates, key and MAC.
pub(super) fn shares(random: &[u8]) -> [&[u8]; 3] {
    let (certificates, rest) = random.split_at(SALT + IV);
    let (key, mac) = rest.split_at(SALT + IV);
    [certificates, key, mac]
}

impl Encryption {
    /// The algorithm with its parameters, and what is encrypted by it.
    pub fn lock(
        self,
        plain: &[u8],
        password: &Password,
        iterations: NonZeroU32,
        random: &[u8],
    ) -> (Vec<u8>, Vec<u8>) {
        // With room for the padding it never moves, and when it is encrypted nothing of it is left.
        let mut octets = Vec::with_capacity(plain.len() + IV);
        octets.extend_from_slice(plain);
        let (salt, iv) = random.split_at(SALT);
        match self {
            Self::Aes256 => {
                let iv: &[u8; IV] = iv.try_into().expect("an IV is as long");
                let context = EncryptionContext::Iv128(FixedLength::from(*iv));
                let key = aes_key(password, salt, iterations);
                let key = PaddedBlockEncryptingKey::cbc_pkcs7(key).expect("the key is as long as it must be");
                key.less_safe_encrypt(&mut octets, context)
                    .expect("AES does not fail");
                let count = value(INTEGER, &[&integer(iterations)]);
                let salt = value(OCTET_STRING, &[salt]);
                let derivation = value(SEQUENCE, &[&salt, &count, HMAC_SHA256]);
                let derivation = value(SEQUENCE, &[PBKDF2, &derivation]);
                let cipher = value(SEQUENCE, &[AES_256_CBC, &value(OCTET_STRING, &[iv])]);
                let parameters = value(SEQUENCE, &[&derivation, &cipher]);
                (value(SEQUENCE, &[PBES2, &parameters]), octets)
            }
            Self::TripleDes => {
                let salt = &salt[..8];
                triple_des_encrypt(password, salt, iterations, &mut octets);
                let count = value(INTEGER, &[&integer(iterations)]);
                let parameters = value(SEQUENCE, &[&value(OCTET_STRING, &[salt]), &count]);
                (value(SEQUENCE, &[TRIPLE_DES, &parameters]), octets)
            }
        }
    }

    /// What was locked with an algorithm, which is one of this encryption.
    /// What a file says of iterations is held against those that it must have: it must not decide how long a reader computes.
    pub fn unlock(
        self,
        (algorithm, wanted): (&[u8], NonZeroU32),
        encrypted: &[u8],
        password: &Password,
    ) -> Option<Secret> {
        // It never moves.
        let mut octets = Zeroizing::new(Vec::with_capacity(encrypted.len()));
        octets.extend_from_slice(encrypted);
        match self {
            Self::Aes256 => {
                let parameters = algorithm.strip_prefix(PBES2)?;
                let (parameters, _) = take(SEQUENCE, parameters)?;
                let (derivation, cipher) = take(SEQUENCE, parameters)?;
                let (derivation, _) = take(SEQUENCE, derivation.strip_prefix(PBKDF2)?)?;
                let (salt, iterations, prf) = salt_and_count(derivation, wanted)?;
                let (cipher, _) = take(SEQUENCE, cipher)?;
                let (iv, _) = take(OCTET_STRING, cipher.strip_prefix(AES_256_CBC)?)?;
                (prf == HMAC_SHA256).then_some(())?;
                let iv: &[u8; IV] = iv.try_into().ok()?;
                let context = DecryptionContext::Iv128(FixedLength::from(*iv));
                let key = PaddedBlockDecryptingKey::cbc_pkcs7(aes_key(password, salt, iterations)).ok()?;
                let len = key.decrypt(&mut octets, context).ok()?.len();
                octets.truncate(len);
            }
            Self::TripleDes => {
                let (parameters, _) = take(SEQUENCE, algorithm.strip_prefix(TRIPLE_DES)?)?;
                let (salt, iterations, _) = salt_and_count(parameters, wanted)?;
                triple_des_decrypt(password, salt, iterations, &mut octets)?;
            }
        }
        Some(octets)
    }

    fn digest(self) -> (&'static digest::Algorithm, hmac::Algorithm, &'static [u8]) {
        match self {
            Self::Aes256 => (&digest::SHA256, hmac::HMAC_SHA256, SHA256),
            Self::TripleDes => (
                &digest::SHA1_FOR_LEGACY_USE_ONLY,
                hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
                SHA1,
            ),
        }
    }

    fn mac_key(self, password: &Password, salt: &[u8], iterations: NonZeroU32) -> hmac::Key {
        let (digest, algorithm, _) = self.digest();
        let mut key = Zeroizing::new(vec![0; digest.output_len()]);
        derive(digest, Purpose::Mac, password, (salt, iterations), &mut key);
        hmac::Key::new(algorithm, &key)
    }

    /// MacData over the whole content.
    pub fn mac(self, content: &[u8], password: &Password, iterations: NonZeroU32, salt: &[u8]) -> Vec<u8> {
        let (_, _, identifier) = self.digest();
        let tag = hmac::sign(&self.mac_key(password, salt, iterations), content);
        let digest = value(SEQUENCE, &[identifier, &value(OCTET_STRING, &[tag.as_ref()])]);
        let count = value(INTEGER, &[&integer(iterations)]);
        value(SEQUENCE, &[&digest, &value(OCTET_STRING, &[salt]), &count])
    }

    /// Whether MacData is that of the content.
    pub fn is_mac(
        self,
        (mac, wanted): (&[u8], NonZeroU32),
        content: &[u8],
        password: &Password,
    ) -> Option<()> {
        let (_, _, identifier) = self.digest();
        let (digest, rest) = take(SEQUENCE, mac)?;
        let (tag, _) = take(OCTET_STRING, digest.strip_prefix(identifier)?)?;
        let (salt, iterations, _) = salt_and_count(rest, wanted)?;
        hmac::verify(&self.mac_key(password, salt, iterations), content, tag).ok()
    }
}

fn aes_key(password: &Password, salt: &[u8], iterations: NonZeroU32) -> UnboundCipherKey {
    let mut key = Zeroizing::new([0; 32]);
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        iterations,
        salt,
        &password.utf8,
        &mut *key,
    );
    UnboundCipherKey::new(&AES_256, &*key).expect("the key is as long as it must be")
}

/// The octets of an INTEGER.
fn integer(number: NonZeroU32) -> Vec<u8> {
    let octets = number.get().to_be_bytes();
    let skipped = octets.iter().take_while(|octet| **octet == 0).count();
    let mut out = Vec::new();
    if octets[skipped] >= 0x80 {
        out.push(0);
    }
    out.extend_from_slice(&octets[skipped..]);
    out
}

fn salt_and_count(octets: &[u8], wanted: NonZeroU32) -> Option<(&[u8], NonZeroU32, &[u8])> {
    let (salt, rest) = take(OCTET_STRING, octets)?;
    let (octets, rest) = take(INTEGER, rest)?;
    let count = count(octets).filter(|count| *count == wanted)?;
    Some((salt, count, rest))
}

/// A count, in the octets of an INTEGER.
pub(super) fn count(octets: &[u8]) -> Option<NonZeroU32> {
    (1..=4).contains(&octets.len()).then_some(())?;
    NonZeroU32::new(
        octets
            .iter()
            .fold(0, |count, octet| count << 8 | u32::from(*octet)),
    )
}

/// What octets are derived for (RFC 7292, B.3).
#[derive(Clone, Copy)]
enum Purpose {
    Key = 1,
    Iv = 2,
    Mac = 3,
}

/// RFC 7292, B.2.
fn derive(
    algorithm: &'static digest::Algorithm,
    purpose: Purpose,
    password: &Password,
    (salt, iterations): (&[u8], NonZeroU32),
    out: &mut [u8],
) {
    let block = algorithm.block_len();
    let repeated = |octets: &[u8]| octets.len().div_ceil(block) * block;
    let (of_salt, of_password) = (repeated(salt), repeated(&password.utf16));
    let mut input = Zeroizing::new(Vec::with_capacity(of_salt + of_password));
    input.extend(salt.iter().cycle().take(of_salt));
    input.extend(password.utf16.iter().cycle().take(of_password));
    for out in out.chunks_mut(algorithm.output_len()) {
        let mut context = digest::Context::new(algorithm);
        context.update(&vec![purpose as u8; block]);
        context.update(&input);
        let mut made = context.finish();
        for _ in 1..iterations.get() {
            made = digest::digest(algorithm, made.as_ref());
        }
        out.copy_from_slice(&made.as_ref()[..out.len()]);
        for part in input.chunks_exact_mut(block) {
            // I + B + 1, modulo 2 to the power of the block.
            let mut carry = 1;
            let added = made.as_ref().iter().cycle().take(block);
            let added: Vec<u8> = added.copied().collect();
            for (octet, added) in part.iter_mut().zip(added).rev() {
                let sum = u16::from(*octet) + u16::from(added) + carry;
                [_, *octet] = sum.to_be_bytes();
                carry = sum >> 8;
            }
        }
    }
}

fn triple_des(password: &Password, salt: &[u8], iterations: NonZeroU32) -> (TdesEde3, [u8; 8]) {
    let sha1 = &digest::SHA1_FOR_LEGACY_USE_ONLY;
    let (mut key, mut iv) = (Zeroizing::new([0; 24]), [0; 8]);
    derive(sha1, Purpose::Key, password, (salt, iterations), &mut *key);
    derive(sha1, Purpose::Iv, password, (salt, iterations), &mut iv);
    (TdesEde3::new((&*key).into()), iv)
}

fn triple_des_encrypt(password: &Password, salt: &[u8], iterations: NonZeroU32, octets: &mut Vec<u8>) {
    let (cipher, mut chained) = triple_des(password, salt, iterations);
    let padding = 8 - octets.len() % 8;
    octets.resize(octets.len() + padding, u8::try_from(padding).unwrap_or_default());
    for block in octets.as_chunks_mut::<8>().0 {
        for (octet, before) in block.iter_mut().zip(chained) {
            *octet ^= before;
        }
        let mut encrypted = Block::<TdesEde3>::from(*block);
        cipher.encrypt_block(&mut encrypted);
        *block = encrypted.into();
        chained = *block;
    }
}

fn triple_des_decrypt(
    password: &Password,
    salt: &[u8],
    iterations: NonZeroU32,
    octets: &mut Vec<u8>,
) -> Option<()> {
    let (cipher, mut chained) = triple_des(password, salt, iterations);
    let (blocks, []) = octets.as_chunks_mut::<8>() else {
        return None;
    };
    for block in blocks {
        let encrypted = *block;
        let mut plain = Block::<TdesEde3>::from(*block);
        cipher.decrypt_block(&mut plain);
        *block = plain.into();
        for (octet, before) in block.iter_mut().zip(chained) {
            *octet ^= before;
        }
        chained = encrypted;
    }
    let padding = usize::from(*octets.last()?);
    let is_padding = (1..=8).contains(&padding) && octets.ends_with(&vec![octets[octets.len() - 1]; padding]);
    is_padding.then(|| octets.truncate(octets.len() - padding))
}
