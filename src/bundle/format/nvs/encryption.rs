//! Encryption of NVS: each entry by itself, with AES-256 in XTS mode (IEEE Std 1619), its number being the octet at which
//! it lies in the partition. Headers and bits stay plain. ESP-IDF Programming Guide, "NVS Encryption".

use std::fmt;

use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use aes::{Aes256, Block};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use zeroize::Zeroizing;

use super::PAGE;
use super::page::{ENTRIES, ENTRY, sum};

/// What the two keys are made from when they are made from one (`nvs_flash_generate_keys_v2`): each eight times.
const FOR_DATA: [u8; 4] = [0x5A, 0x5A, 0xBE, 0xAE];
const FOR_TWEAKS: [u8; 4] = [0xA5, 0xA5, 0xDE, 0xCE];

const BLOCK: usize = 16;

/// The two keys of XTS, 32 octets each: for data, then for tweaks.
#[derive(Clone)]
pub struct Keys(Zeroizing<[u8; 64]>);

/// Why octets are no keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    #[error("both halves of an XTS key are the same")]
    SameHalves,
    #[error("the partition with the keys is damaged")]
    Damaged,
}

impl Keys {
    /// # Errors
    ///
    /// When both halves are the same, which XTS forbids.
    pub fn new(octets: &[u8; 64]) -> Result<Self, KeysError> {
        match octets[..32] == octets[32..] {
            true => Err(KeysError::SameHalves),
            false => Ok(Self(Zeroizing::new(*octets))),
        }
    }

    /// The keys that a device makes from an HMAC key in its eFuses (purpose `HMAC_UP`), so that none lie in its flash; the
    /// generator's `--key_protect_hmac`.
    #[must_use]
    pub fn from_hmac_key(hmac_key: &[u8; 32]) -> Self {
        let key = hmac::Key::new(HMAC_SHA256, hmac_key);
        let mut octets = Zeroizing::new([0; 64]);
        for (half, seed) in octets.chunks_mut(32).zip([FOR_DATA, FOR_TWEAKS]) {
            half.copy_from_slice(hmac::sign(&key, &seed.repeat(8)).as_ref());
        }
        Self(octets)
    }

    /// As Espressif's tools take them (`--inputkey`).
    #[must_use]
    pub fn octets(&self) -> &[u8; 64] {
        &self.0
    }

    pub(super) fn cipher(&self) -> Cipher {
        let [data, tweaks] = [&self.0[..32], &self.0[32..]];
        Cipher {
            data: Aes256::new_from_slice(data).expect("a half is 32 octets"),
            tweaks: Aes256::new_from_slice(tweaks).expect("a half is 32 octets"),
        }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(elided)")
    }
}

/// Appends an image of the partition `nvs_keys`: the keys, their CRC-32, and 0xFF up to a page.
pub fn append_keys(keys: &Keys, out: &mut Vec<u8>) {
    let start = out.len();
    out.reserve(PAGE);
    out.extend_from_slice(keys.octets());
    out.extend_from_slice(&sum(&[keys.octets()]));
    out.resize(start + PAGE, 0xFF);
}

/// Reads such an image.
///
/// # Errors
///
/// When it is damaged, or its keys are none.
pub fn read_keys(octets: &[u8]) -> Result<Keys, KeysError> {
    let (keys, rest) = octets.split_first_chunk::<64>().ok_or(KeysError::Damaged)?;
    let filled = rest.strip_prefix(&sum(&[keys])).ok_or(KeysError::Damaged)?;
    match octets.len() == PAGE && filled.iter().all(|octet| *octet == 0xFF) {
        true => Keys::new(keys),
        false => Err(KeysError::Damaged),
    }
}

/// The keys, made ready.
pub(super) struct Cipher {
    data: Aes256,
    tweaks: Aes256,
}

/// Multiplied by x in GF(2^128), little-endian (IEEE Std 1619, 5.2).
fn doubled(tweak: u128) -> u128 {
    tweak << 1 ^ (0x87 * (tweak >> 127))
}

impl Cipher {
    /// Encrypts entries that lie one after the other from this octet of the partition on; at most a page of them.
    pub fn encrypt(&self, offset: usize, entries: &mut [u8]) {
        self.whiten(offset, entries, |blocks| self.data.encrypt_blocks(blocks));
    }

    /// Decrypts an entry.
    pub fn decrypt(&self, offset: usize, entry: &mut [u8]) {
        self.whiten(offset, entry, |blocks| self.data.decrypt_blocks(blocks));
    }

    fn whiten(&self, offset: usize, entries: &mut [u8], cipher: impl Fn(&mut [Block])) {
        let mut tweaks = [Block::default(); ENTRIES];
        let tweaks = &mut tweaks[..entries.len() / ENTRY];
        for (tweak, at) in tweaks.iter_mut().zip((offset..).step_by(ENTRY)) {
            tweak[..8].copy_from_slice(&(at as u64).to_le_bytes());
        }
        self.tweaks.encrypt_blocks(tweaks);
        let xor = |entries: &mut [u8]| {
            for (entry, tweak) in entries.chunks_exact_mut(ENTRY).zip(&*tweaks) {
                let first = u128::from_le_bytes((*tweak).into());
                for (block, tweak) in entry.chunks_exact_mut(BLOCK).zip([first, doubled(first)]) {
                    let block: &mut [u8; BLOCK] = block.try_into().expect("blocks are of one size");
                    *block = (u128::from_le_bytes(*block) ^ tweak).to_le_bytes();
                }
            }
        };
        xor(entries);
        let (blocks, rest) = Block::slice_as_chunks_mut(entries);
        debug_assert!(rest.is_empty(), "an entry is two blocks");
        cipher(blocks);
        xor(entries);
    }
}
