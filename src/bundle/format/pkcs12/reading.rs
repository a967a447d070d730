//! A PKCS#12 file, opened: as this forge writes it, with one key and its certificates.

use std::num::NonZeroU32;

use zeroize::Zeroizing;

use super::super::asn1::{INTEGER, OCTET_STRING, SEQUENCE, only, take};
use super::locking::{Encryption, Password, count};
use super::{
    BMP_STRING, CERTIFICATE_BAG, CONTEXT_0, DATA, ENCRYPTED_DATA, FRIENDLY_NAME, KEY_BAG, SET, Secret, X509,
};

/// What a file holds.
pub(super) struct Opened {
    /// PKCS#8.
    pub private_key: Secret,
    /// DER, in the order of the file.
    pub certificates: Vec<Vec<u8>>,
    /// The key's.
    pub friendly_name: String,
}

/// Opens a file; `None` when it is another, was changed, or has another password.
pub(super) fn open(
    octets: &[u8],
    (encryption, iterations): (Encryption, NonZeroU32),
    password: &Password,
) -> Option<Opened> {
    let (version, rest) = take(INTEGER, only(SEQUENCE, octets)?)?;
    (version == [3]).then_some(())?;
    let (info, rest) = take(SEQUENCE, rest)?;
    let mac = only(SEQUENCE, rest)?;
    let content = data(info)?;
    encryption.is_mac((mac, iterations), content, password)?;
    let (certificates, rest) = take(SEQUENCE, only(SEQUENCE, content)?)?;
    let key = data(only(SEQUENCE, rest)?)?;
    let (private_key, friendly_name) = key_of(key, (encryption, iterations), password)?;
    Some(Opened {
        private_key,
        certificates: certificates_of(certificates, (encryption, iterations), password)?,
        friendly_name,
    })
}

/// The iterations of its MAC; `None`: it is no such file.
pub(super) fn iterations(octets: &[u8]) -> Option<NonZeroU32> {
    let (version, rest) = take(INTEGER, only(SEQUENCE, octets)?)?;
    (version == [3]).then_some(())?;
    let (info, rest) = take(SEQUENCE, rest)?;
    data(info)?;
    let (_digest, rest) = take(SEQUENCE, only(SEQUENCE, rest)?)?;
    let (_salt, rest) = take(OCTET_STRING, rest)?;
    count(only(INTEGER, rest)?)
}

/// What a ContentInfo has as data.
fn data(info: &[u8]) -> Option<&[u8]> {
    only(OCTET_STRING, only(CONTEXT_0, info.strip_prefix(DATA)?)?)
}

fn key_of(
    bags: &[u8],
    (encryption, iterations): (Encryption, NonZeroU32),
    password: &Password,
) -> Option<(Secret, String)> {
    let bag = only(SEQUENCE, only(SEQUENCE, bags)?)?.strip_prefix(KEY_BAG)?;
    let (key, attributes) = take(CONTEXT_0, bag)?;
    let (algorithm, encrypted) = take(SEQUENCE, only(SEQUENCE, key)?)?;
    let key = encryption.unlock((algorithm, iterations), only(OCTET_STRING, encrypted)?, password)?;
    Some((key, friendly_name(only(SET, attributes)?)?))
}

/// The friendly name among attributes; empty when there is none.
fn friendly_name(attributes: &[u8]) -> Option<String> {
    let mut rest = attributes;
    while !rest.is_empty() {
        let (attribute, after) = take(SEQUENCE, rest)?;
        rest = after;
        let Some(values) = attribute.strip_prefix(FRIENDLY_NAME) else {
            continue;
        };
        let (units, []) = only(BMP_STRING, only(SET, values)?)?.as_chunks::<2>() else {
            return None;
        };
        let units: Vec<u16> = units.iter().map(|unit| u16::from_be_bytes(*unit)).collect();
        return String::from_utf16(&units).ok();
    }
    Some(String::new())
}

fn certificates_of(
    info: &[u8],
    (encryption, iterations): (Encryption, NonZeroU32),
    password: &Password,
) -> Option<Vec<Vec<u8>>> {
    let data = only(SEQUENCE, only(CONTEXT_0, info.strip_prefix(ENCRYPTED_DATA)?)?)?;
    let (_, content) = take(INTEGER, data)?;
    let (algorithm, encrypted) = take(SEQUENCE, only(SEQUENCE, content)?.strip_prefix(DATA)?)?;
    let bags: Zeroizing<_> = encryption.unlock((algorithm, iterations), only(0x80, encrypted)?, password)?;
    let mut rest = only(SEQUENCE, &bags)?;
    let mut certificates = Vec::new();
    while !rest.is_empty() {
        let (bag, after) = take(SEQUENCE, rest)?;
        rest = after;
        let (certificate, _) = take(CONTEXT_0, bag.strip_prefix(CERTIFICATE_BAG)?)?;
        let certificate = only(SEQUENCE, certificate)?.strip_prefix(X509)?;
        certificates.push(only(OCTET_STRING, only(CONTEXT_0, certificate)?)?.to_vec());
    }
    Some(certificates)
}
