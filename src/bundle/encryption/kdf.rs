//! HKDF with SHA-256 (RFC 5869), of which age takes one block each time; and the key of a stanza.

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hmac::{self, HMAC_SHA256, Key};
use zeroize::Zeroizing;

use super::{FILE_KEY, MAC, NONCE, POINT, TAG, WRAPPED_KEY};

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

/// The key of a header's HMAC.
fn header_key(file_key: &[u8; FILE_KEY]) -> Key {
    Key::new(HMAC_SHA256, &*derive(file_key, &[], b"header"))
}

/// The HMAC of a header, which ends in `---`.
pub(super) fn header_mac(file_key: &[u8; FILE_KEY], header: &[u8]) -> [u8; MAC] {
    *octets(&hmac::sign(&header_key(file_key), header))
}

/// Whether it is the HMAC of a header, compared in constant time.
pub(super) fn is_header_mac(file_key: &[u8; FILE_KEY], header: &[u8], mac: &[u8]) -> bool {
    hmac::verify(&header_key(file_key), header, mac).is_ok()
}

/// What seals and opens the chunks of a payload.
pub(super) fn payload_key(file_key: &[u8; FILE_KEY], nonce: &[u8; NONCE]) -> LessSafeKey {
    cipher(&derive(file_key, nonce, b"payload"))
}

/// What keys are derived for that wrap file keys for X25519 recipients.
pub(super) const X25519_INFO: &[u8] = b"age-encryption.org/v1/X25519";

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
        let mut salt = [0; 2 * POINT];
        salt[..POINT].copy_from_slice(self.ephemeral);
        salt[POINT..].copy_from_slice(self.recipient);
        cipher(&derive(self.shared, &salt, self.info))
    }

    /// Wraps a file key. The nonce is zero, for the key is used once.
    pub(super) fn wrap(&self, file_key: &[u8; FILE_KEY]) -> [u8; WRAPPED_KEY] {
        let mut wrapped = [0; WRAPPED_KEY];
        wrapped[..FILE_KEY].copy_from_slice(file_key);
        let (key, tag) = wrapped.split_at_mut(FILE_KEY);
        let sealed =
            self.key()
                .seal_in_place_separate_tag(Nonce::assume_unique_for_key([0; 12]), Aad::empty(), key);
        tag.copy_from_slice(sealed.expect("so few octets can be sealed").as_ref());
        wrapped
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

fn cipher(key: &Derived) -> LessSafeKey {
    let key = UnboundKey::new(&CHACHA20_POLY1305, &**key).expect("it has the 32 octets of a key");
    debug_assert_eq!(key.algorithm().tag_len(), TAG);
    LessSafeKey::new(key)
}
