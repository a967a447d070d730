//! What the DS peripheral (Digital Signature) signs with: an RSA key, encrypted with a key that a device's eFuses hold and
//! its software cannot read. ESP-IDF Programming Guide, "Digital Signature (DS)"; the ESP32-S2, -S3 and -C3 Technical
//! Reference Manuals, chapter of the same name; `calculate_rsa_ds_params` of esp-secure-cert-tool.
//!
//! The software's plaintext is `Y || M || Rb || MD || M' || L || 08*8`: the private exponent, the modulus and R² mod M,
//! little-endian and as long as the chip's longest key, a digest over them, -M⁻¹ mod 2³² and the length in words less one.
//! Its eight last octets are what the padding of PKCS#7 adds.

use aws_lc_rs::cipher::{
    AES_256, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey, PaddedBlockEncryptingKey,
    UnboundCipherKey,
};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use aws_lc_rs::iv::FixedLength;
use num_bigint::BigUint;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::rsa::{self, Numbers, trimmed};
use crate::digest::sha256;

/// A chip with a DS peripheral for RSA (`supported_targets_rsa_ds` of the tool).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Chip {
    Esp32S2,
    Esp32S3,
    Esp32C3,
    Esp32C5,
    Esp32C6,
    Esp32H2,
    Esp32P4,
    Esp32S31,
}

impl Chip {
    /// Every one, with the name that Espressif's tools have for it.
    pub const ALL: [(&'static str, Self); 8] = [
        ("esp32s2", Self::Esp32S2),
        ("esp32s3", Self::Esp32S3),
        ("esp32c3", Self::Esp32C3),
        ("esp32c5", Self::Esp32C5),
        ("esp32c6", Self::Esp32C6),
        ("esp32h2", Self::Esp32H2),
        ("esp32p4", Self::Esp32P4),
        ("esp32s31", Self::Esp32S31),
    ];

    /// Bits of the longest key that it signs with.
    #[must_use]
    pub fn longest_key(self) -> usize {
        match self {
            Self::Esp32C3 | Self::Esp32C6 | Self::Esp32H2 => 3072,
            Self::Esp32S2 | Self::Esp32S3 | Self::Esp32C5 | Self::Esp32P4 | Self::Esp32S31 => 4096,
        }
    }
}

/// How the devices of a batch use the peripheral.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ds {
    pub chip: Chip,
    /// Number of the eFuse key block that holds the HMAC key (`BLOCK_KEY0` is 0): 0 to 5.
    pub efuse_key: u8,
}

/// What is of chance, for one device.
#[derive(Clone, Copy)]
pub struct DsChance<'a> {
    /// Burned into the device's eFuses for the purpose `HMAC_DOWN_DIGITAL_SIGNATURE`; delivered beside the image.
    pub hmac_key: &'a [u8; 32],
    pub iv: &'a [u8; 16],
}

/// Why a key cannot be made ready for the peripheral.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DsError {
    #[error("the key is not an RSA key")]
    NotRsa,
    #[error("the chip does not sign with RSA keys of {bits} bits")]
    Bits { bits: usize },
}

/// The modulus and the private exponent, which is the secret one.
pub struct DsPrivate {
    /// Big-endian, as a certificate has it, without leading zeros.
    pub modulus: Vec<u8>,
    pub exponent: Zeroizing<Vec<u8>>,
}

impl DsPrivate {
    /// The whole key as PKCS#1 DER: its public exponent is 65537, as that of every key that is made here, and its larger prime
    /// comes first. `None`: it is none.
    #[must_use]
    pub fn pkcs1(&self) -> Option<Zeroizing<Vec<u8>>> {
        rsa::pkcs1(&self.modulus, &self.exponent)
    }
}

const WORD: usize = 32;
/// Octets of the digest, and of M' and L after it.
const MD: usize = 32;
const NUMBERS: usize = 8;
const PADDING: usize = 8;

/// Octets of the ciphertext for a chip with such a longest key.
const fn ciphertext_len(longest_key: usize) -> usize {
    3 * (longest_key / 8) + MD + NUMBERS + PADDING
}

/// Octets that the entry with the encrypted key holds.
pub(super) const fn data_len(chip_longest_key: usize) -> usize {
    4 + 16 + ciphertext_len(chip_longest_key)
}

/// Octets that the entry beside it holds (`esp_ds_data_ctx_t`).
pub(super) const CONTEXT: usize = 8;

/// The numbers of a key (PKCS#1 DER), if the chip signs with it.
fn numbers_of(pkcs1: &[u8], chip: Chip) -> Result<Numbers<'_>, DsError> {
    let numbers = Numbers::read(pkcs1).ok_or(DsError::NotRsa)?;
    match numbers.bits {
        2048 | 3072 | 4096 if numbers.bits <= chip.longest_key() => Ok(numbers),
        bits => Err(DsError::Bits { bits }),
    }
}

/// Appends a number little-endian, in so many octets.
fn append_reversed(number: &[u8], octets: usize, out: &mut Vec<u8>) {
    let end = out.len() + octets;
    out.extend(number.iter().rev());
    out.resize(end, 0);
}

/// -M⁻¹ mod 2³² of an odd number, whose lowest word this is: each step of Newton's doubles the bits that are right.
fn negated_inverse(lowest: u32) -> u32 {
    let step = |x: u32, _| x.wrapping_mul(2_u32.wrapping_sub(lowest.wrapping_mul(x)));
    (0..5).fold(lowest, step).wrapping_neg()
}

/// The key that encrypts, which the peripheral has from the HMAC key in the eFuses.
fn aes_key(hmac_key: &[u8; 32]) -> UnboundCipherKey {
    let tag = hmac::sign(&hmac::Key::new(HMAC_SHA256, hmac_key), &[0xFF; 32]);
    UnboundCipherKey::new(&AES_256, tag.as_ref()).expect("a tag is as long as a key")
}

/// Appends what the entry with the encrypted key holds (`esp_ds_data_t`): the length, the IV and the ciphertext.
pub(super) fn append_data(pkcs1: &[u8], chip: Chip, chance: &DsChance<'_>, out: &mut Vec<u8>) {
    let rsa = numbers_of(pkcs1, chip).expect("the key was judged before");
    let longest = chip.longest_key() / 8;
    let length = u32::try_from(rsa.bits / WORD - 1).expect("a key has fewer words");
    // Room for the digest's input, which is longer than what it leaves, so that it never moves.
    let mut plain = Zeroizing::new(Vec::with_capacity(ciphertext_len(chip.longest_key())));
    append_reversed(rsa.exponent, longest, &mut plain);
    append_reversed(rsa.modulus, longest, &mut plain);
    let squared = (BigUint::from(1_u8) << (2 * rsa.bits)) % BigUint::from_bytes_be(rsa.modulus);
    append_reversed(&squared.to_bytes_be(), longest, &mut plain);
    let numbers = numbers(rsa.modulus, length);
    let digest = digest(&plain, numbers, chance.iv);
    plain.extend_from_slice(&digest);
    plain.extend_from_slice(&numbers);
    let key = PaddedBlockEncryptingKey::cbc_pkcs7(aes_key(chance.hmac_key)).expect("the key is for AES");
    let context = EncryptionContext::Iv128(FixedLength::from(*chance.iv));
    key.less_safe_encrypt(&mut *plain, context)
        .expect("there is memory for the padding");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(chance.iv);
    out.extend_from_slice(&plain);
}

/// M' and L.
fn numbers(modulus: &[u8], length: u32) -> [u8; NUMBERS] {
    let lowest = modulus.last_chunk().expect("a modulus has over four octets");
    let inverse = negated_inverse(u32::from_be_bytes(*lowest));
    let mut numbers = [0; NUMBERS];
    numbers[..4].copy_from_slice(&inverse.to_le_bytes());
    numbers[4..].copy_from_slice(&length.to_le_bytes());
    numbers
}

/// MD: what the peripheral holds the decrypted key against.
fn digest(operands: &[u8], numbers: [u8; NUMBERS], iv: &[u8; 16]) -> [u8; MD] {
    let mut input = Zeroizing::new(Vec::with_capacity(operands.len() + NUMBERS + iv.len()));
    input.extend_from_slice(operands);
    input.extend_from_slice(&numbers);
    input.extend_from_slice(iv);
    sha256(&input)
}

/// Appends what the entry beside it holds: the eFuse key block, and the bits of the key.
pub(super) fn append_context(pkcs1: &[u8], ds: Ds, out: &mut Vec<u8>) {
    let rsa = numbers_of(pkcs1, ds.chip).expect("the key was judged before");
    let bits = u16::try_from(rsa.bits).expect("the longest has 4096");
    out.extend_from_slice(&[0, 0, 0, 0, ds.efuse_key, 0]);
    out.extend_from_slice(&bits.to_le_bytes());
}

/// Judges whether the chip signs with this key (PKCS#1 DER).
pub(super) fn judge(pkcs1: &[u8], chip: Chip) -> Result<(), DsError> {
    numbers_of(pkcs1, chip).map(|_| ())
}

/// What an image has of a key for the peripheral.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DsParameters {
    pub iv: [u8; 16],
    pub ciphertext: Vec<u8>,
    /// Bits of the key.
    pub bits: usize,
    pub efuse_key: u8,
}

impl DsParameters {
    /// Of the data of both entries; `None` when they are not such, or do not agree.
    pub(super) fn read(data: &[u8], context: &[u8]) -> Option<Self> {
        let (length, rest) = data.split_first_chunk::<4>()?;
        let (iv, ciphertext) = rest.split_first_chunk::<16>()?;
        let longest = [3072, 4096];
        let longest = longest
            .into_iter()
            .find(|longest| ciphertext.len() == ciphertext_len(*longest))?;
        let context: &[u8; CONTEXT] = context.try_into().ok()?;
        let [0, 0, 0, 0, efuse_key @ 0..=5, 0, low, high] = *context else {
            return None;
        };
        let bits = usize::from(u16::from_le_bytes([low, high]));
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let is_whole = matches!(bits, 2048 | 3072 | 4096) && bits <= longest && length == bits / WORD - 1;
        is_whole.then(|| Self {
            iv: *iv,
            ciphertext: ciphertext.to_vec(),
            bits,
            efuse_key,
        })
    }

    /// Decrypts, and judges what comes out as the peripheral does. `None`: it is another HMAC key, or not whole.
    #[must_use]
    pub fn open(&self, hmac_key: &[u8; 32]) -> Option<DsPrivate> {
        let key = PaddedBlockDecryptingKey::cbc_pkcs7(aes_key(hmac_key)).expect("the key is for AES");
        let mut octets = Zeroizing::new(self.ciphertext.clone());
        let context = DecryptionContext::Iv128(FixedLength::from(self.iv));
        let plain = &*key.decrypt(&mut octets, context).ok()?;
        (plain.len() + PADDING == self.ciphertext.len()).then_some(())?;
        let (operands, rest) = plain.split_at_checked(plain.len() - MD - NUMBERS)?;
        let (md, found) = rest.split_at(MD);
        let longest = operands.len() / 3;
        let modulus = reversed(&operands[longest..2 * longest]);
        (modulus.len() * 8 == self.bits && modulus[0] & 0x80 != 0).then_some(())?;
        let numbers = numbers(&modulus, u32::try_from(self.bits / WORD - 1).ok()?);
        let squared = (BigUint::from(1_u8) << (2 * self.bits)) % BigUint::from_bytes_be(&modulus);
        let is_whole = found == numbers
            && md == digest(operands, numbers, &self.iv)
            && reversed(&operands[2 * longest..]) == trimmed(&squared.to_bytes_be());
        is_whole.then(|| DsPrivate {
            exponent: Zeroizing::new(reversed(&operands[..longest])),
            modulus,
        })
    }
}

/// A number that lies little-endian, big-endian and without leading zeros.
fn reversed(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().rev().take_while(|octet| **octet == 0).count();
    number[..number.len() - zeros].iter().rev().copied().collect()
}
