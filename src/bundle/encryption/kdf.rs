//! HKDF with SHA-256 (RFC 5869), of which age takes one block each time; and the key of a stanza. For a reader one after the
//! other by aws-lc, for the writer of many files side by side.

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hmac::{self, HMAC_SHA256, Key};
use zeroize::Zeroizing;

use super::{FILE_KEY, NONCE, POINT, TAG, WRAPPED_KEY};
use crate::digest::sha256_many;
use crate::wiped::WipedVec;

/// A key of 32 octets.
pub(super) type Derived = Zeroizing<[u8; 32]>;

/// 32 octets, derived from key material.
pub(super) fn derive(material: &[u8], salt: &[u8], info: &[u8]) -> Derived {
    let extracted = hmac::sign(&Key::new(HMAC_SHA256, salt), material);
    let mut expand = hmac::Context::with_key(&Key::new(HMAC_SHA256, extracted.as_ref()));
    expand.update(info);
    expand.update(&[1]);
    octets(&expand.sign())
}

fn octets(tag: &hmac::Tag) -> Derived {
    let mut octets = Zeroizing::new([0; 32]);
    octets.copy_from_slice(tag.as_ref());
    octets
}

/// Octets of a block of SHA-256.
const BLOCK: usize = 64;
/// Octets of what an HMAC hashes last.
const OUTER: usize = BLOCK + 32;

/// Keys of 32 octets, or HMACs.
pub(super) type Many = WipedVec<[u8; 32]>;

/// HMACs with SHA-256 (RFC 2104) of many messages, each with a key of its own, which are hashed side by side.
pub(super) struct Hmacs {
    /// A block each.
    keys: WipedVec<u8>,
    /// A key's block before each message.
    messages: WipedVec<u8>,
    ends: Vec<usize>,
}

impl Hmacs {
    /// For so many messages of so many octets together, which are not moved then.
    pub(super) fn with_room(messages: usize, octets: usize) -> Self {
        Self {
            keys: WipedVec::with_capacity(messages * BLOCK),
            messages: WipedVec::with_capacity(messages * BLOCK + octets),
            ends: Vec::with_capacity(messages),
        }
    }

    /// Adds a message in parts. Its key has a block at most.
    pub(super) fn push(&mut self, key: &[u8], parts: &[&[u8]]) {
        debug_assert!(key.len() <= BLOCK, "a longer one would be hashed first");
        let start = self.keys.len();
        self.keys.extend_from_slice(key);
        self.keys.resize(start + BLOCK, 0);
        let padded = &self.keys[start..];
        self.messages.extend(padded.iter().map(|octet| octet ^ 0x36));
        for part in parts {
            self.messages.extend_from_slice(part);
        }
        self.ends.push(self.messages.len());
    }

    /// The HMAC of each.
    pub(super) fn finish(self) -> Many {
        let starts = std::iter::once(&0).chain(&self.ends);
        let inner: Vec<&[u8]> = starts
            .zip(&self.ends)
            .map(|(start, end)| &self.messages[*start..*end])
            .collect();
        let mut macs = Many::with_capacity(inner.len());
        macs.resize(inner.len(), [0; 32]);
        sha256_many(&inner, &mut macs);
        let mut outer = WipedVec::with_capacity(inner.len() * OUTER);
        for (key, mac) in self.keys.chunks(BLOCK).zip(macs.iter()) {
            outer.extend(key.iter().map(|octet| octet ^ 0x5c));
            outer.extend_from_slice(mac);
        }
        let outer: Vec<&[u8]> = outer.chunks(OUTER).collect();
        sha256_many(&outer, &mut macs);
        macs
    }
}

/// What [`derive()`] derives, of many pairs of key material and salt.
pub(super) fn derive_many<'a, const N: usize>(
    pairs: impl ExactSizeIterator<Item = (&'a [u8; N], &'a [u8])>,
    info: &[u8],
) -> Many {
    let count = pairs.len();
    let mut extract = Hmacs::with_room(count, count * N);
    for (material, salt) in pairs {
        extract.push(salt, &[material]);
    }
    let mut expand = Hmacs::with_room(count, count * (info.len() + 1));
    for key in extract.finish().iter() {
        expand.push(key, &[info, &[1]]);
    }
    expand.finish()
}

/// What keys are derived for that are of a whole file.
pub(super) const HEADER_INFO: &[u8] = b"header";
pub(super) const PAYLOAD_INFO: &[u8] = b"payload";

/// The key of a header's HMAC.
fn header_key(file_key: &[u8; FILE_KEY]) -> Key {
    Key::new(HMAC_SHA256, &*derive(file_key, &[], HEADER_INFO))
}

/// Whether it is the HMAC of a header, compared in constant time.
pub(super) fn is_header_mac(file_key: &[u8; FILE_KEY], header: &[u8], mac: &[u8]) -> bool {
    hmac::verify(&header_key(file_key), header, mac).is_ok()
}

/// What seals and opens the chunks of a payload.
pub(super) fn payload_key(file_key: &[u8; FILE_KEY], nonce: &[u8; NONCE]) -> LessSafeKey {
    cipher(&derive(file_key, nonce, PAYLOAD_INFO))
}

/// What keys are derived for that wrap file keys for X25519 recipients.
pub(super) const X25519_INFO: &[u8] = b"age-encryption.org/v1/X25519";

/// What the key that wraps a file key is derived with, beside what was agreed on.
pub(super) fn salt(ephemeral: &[u8; POINT], recipient: &[u8; POINT]) -> [u8; 2 * POINT] {
    let mut salt = [0; 2 * POINT];
    salt[..POINT].copy_from_slice(ephemeral);
    salt[POINT..].copy_from_slice(recipient);
    salt
}

/// Of the points that a recipient and an ephemeral key have in common.
pub(super) struct Agreed<'a> {
    pub ephemeral: &'a [u8; POINT],
    pub recipient: &'a [u8; POINT],
    pub shared: &'a [u8; POINT],
    /// What the key is derived for.
    pub info: &'static [u8],
}

impl Agreed<'_> {
    /// The key that wraps a file key for the recipient.
    fn key(&self) -> LessSafeKey {
        cipher(&derive(
            self.shared,
            &salt(self.ephemeral, self.recipient),
            self.info,
        ))
    }

    /// Unwraps a file key; `None` when it is not wrapped for this recipient.
    pub(super) fn unwrap(&self, wrapped: &[u8; WRAPPED_KEY]) -> Option<Zeroizing<[u8; FILE_KEY]>> {
        let mut octets = Zeroizing::new(*wrapped);
        let nonce = Nonce::assume_unique_for_key([0; 12]);
        let opened = self.key().open_in_place(nonce, Aad::empty(), &mut *octets).ok()?;
        let mut file_key = Zeroizing::new([0; FILE_KEY]);
        file_key.copy_from_slice(opened);
        Some(file_key)
    }
}

/// Wraps a file key with a key that is derived for it. The nonce is zero, for the key is used once.
pub(super) fn wrap(key: &[u8; 32], file_key: &[u8; FILE_KEY]) -> [u8; WRAPPED_KEY] {
    let mut wrapped = [0; WRAPPED_KEY];
    wrapped[..FILE_KEY].copy_from_slice(file_key);
    let (text, tag) = wrapped.split_at_mut(FILE_KEY);
    let nonce = Nonce::assume_unique_for_key([0; 12]);
    let sealed = cipher(key).seal_in_place_separate_tag(nonce, Aad::empty(), text);
    tag.copy_from_slice(sealed.expect("so few octets can be sealed").as_ref());
    wrapped
}

/// What seals and opens with a key that is derived for it.
pub(super) fn cipher(key: &[u8; 32]) -> LessSafeKey {
    let key = UnboundKey::new(&CHACHA20_POLY1305, key).expect("it has the 32 octets of a key");
    debug_assert_eq!(key.algorithm().tag_len(), TAG);
    LessSafeKey::new(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231 is aws-lc's business: what is made side by side is what aws-lc makes one by one.
    #[test]
    fn what_is_derived_side_by_side_is_what_is_derived_one_by_one() {
        for count in [0, 1, 2, 3, 4, 7, 64] {
            let octets: Vec<[u8; 96]> = (0..count).map(|i| [i; 96]).collect();
            for salt in [0, 16, 64] {
                let pairs = octets
                    .iter()
                    .map(|own| (own.first_chunk::<32>().unwrap(), &own[96 - salt..]));
                let many = derive_many(pairs.clone(), b"age-encryption.org/v1/X25519");
                assert_eq!(many.len(), usize::from(count));
                for (made, (material, salt)) in many.iter().zip(pairs) {
                    assert_eq!(*made, *derive(material, salt, b"age-encryption.org/v1/X25519"));
                }
            }
        }
        let mut hmacs = Hmacs::with_room(70, 70 * 300);
        for len in 0..70 {
            hmacs.push(&[7; 32], &[&vec![9; 4 * len], b"---"]);
        }
        for (len, mac) in hmacs.finish().iter().enumerate() {
            let text = [&vec![9; 4 * len], &b"---"[..]].concat();
            assert!(
                hmac::verify(&Key::new(HMAC_SHA256, &[7; 32]), &text, mac).is_ok(),
                "{len}"
            );
        }
    }
}
