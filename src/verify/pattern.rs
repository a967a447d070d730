//! The pattern of a chunk's certificates: one that was judged in full, and what others may have of their own.
//!
//! A certificate fits when each octet is that of the one judged in full, but for its serial, its subject, its key,
//! its signature, and what subjectKeyIdentifier and subjectAltName say; and those are well formed, and what row and
//! index say. So whatever was found of that one's issuer, period, usage and constraints holds for it too. Who fits
//! is right but for what has to be computed: digest, key and signature. Who does not is not wrong yet.

use std::borrow::Cow;

use rustls_pki_types::{AlgorithmIdentifier, alg_id};

use super::der::{
    self, INTEGER, OCTET_STRING, OID, PRINTABLE_STRING, SEQUENCE, SET, UTF8_STRING, next, only, only_bits,
};
use crate::batch::IndexEntry;
use crate::engine::SignatureAlgorithm;
use crate::issuer::key_identifier;
use crate::manifest::Row;
use crate::profile::{Attribute, Binding, KeyType, San};

/// A certificate, taken apart (RFC 5280, 4.1).
#[derive(Clone, Copy)]
pub(super) struct Parts<'a> {
    /// What is signed.
    pub tbs: &'a [u8],
    pub signature: &'a [u8],
    /// What the BIT STRING of its subjectPublicKeyInfo holds.
    pub public_key: &'a [u8],
    version: &'a [u8],
    serial: &'a [u8],
    /// signature, issuer, validity.
    middle: &'a [u8],
    subject: &'a [u8],
    key_algorithm: &'a [u8],
    extensions: &'a [u8],
    algorithm: &'a [u8],
}

impl<'a> Parts<'a> {
    /// `None` when it has other parts than device certificates have.
    pub(super) fn of(certificate: &'a [u8]) -> Option<Self> {
        let (tbs, rest) = next(SEQUENCE, only(SEQUENCE, certificate)?)?;
        let (algorithm, signature) = next(SEQUENCE, rest)?;
        // [0] EXPLICIT Version.
        let (version, rest) = next(0xa0, tbs.content)?;
        let (serial, rest) = next(INTEGER, rest)?;
        let from_middle = rest;
        let (_, rest) = next(SEQUENCE, rest)?;
        let (_, rest) = next(SEQUENCE, rest)?;
        let (_, rest) = next(SEQUENCE, rest)?;
        let middle = &from_middle[..from_middle.len() - rest.len()];
        let (subject, rest) = next(SEQUENCE, rest)?;
        let (key, rest) = next(SEQUENCE, rest)?;
        let (key_algorithm, bits) = next(SEQUENCE, key.content)?;
        // [3] EXPLICIT Extensions.
        let extensions = only(SEQUENCE, only(0xa3, rest)?)?;
        Some(Self {
            tbs: tbs.whole,
            signature: only_bits(signature)?,
            public_key: only_bits(bits)?,
            version: version.whole,
            serial: serial.content,
            middle,
            subject: subject.content,
            key_algorithm: key_algorithm.content,
            extensions,
            algorithm: algorithm.content,
        })
    }
}

/// What the certificates of a chunk have in common.
pub(super) struct Pattern {
    version: Vec<u8>,
    middle: Vec<u8>,
    key_algorithm: Vec<u8>,
    algorithm: Vec<u8>,
    extensions: Vec<Extension>,
    /// Seconds since 1970.
    not_after: i64,
}

#[derive(PartialEq, Eq)]
enum Extension {
    Same(Vec<u8>),
    SubjectKeyIdentifier,
    SubjectAltName,
}

/// Octets before the key identifier in its extension: SEQUENCE, OID 2.5.29.14, two OCTET STRINGs.
const SUBJECT_KEY_IDENTIFIER: [u8; 11] = [
    SEQUENCE,
    0x1d,
    OID,
    0x03,
    0x55,
    0x1d,
    0x0e,
    OCTET_STRING,
    0x16,
    OCTET_STRING,
    0x14,
];

/// The OID of subjectAltName, 2.5.29.17.
const SUBJECT_ALT_NAME: [u8; 5] = [OID, 0x03, 0x55, 0x1d, 0x11];

impl Extension {
    /// That of a certificate whose key has this identifier.
    fn of(whole: &[u8], key_id: &[u8; 20]) -> Self {
        if key_identifier_in(whole) == Some(key_id) {
            Self::SubjectKeyIdentifier
        } else if names_in(whole).is_some() {
            Self::SubjectAltName
        } else {
            Self::Same(whole.to_vec())
        }
    }
}

impl Pattern {
    /// Of a certificate that was judged in full, and is its entry's. `None` when none can be told by it.
    pub(super) fn of(certificate: &[u8], entry: &IndexEntry, issuer: KeyType) -> Option<Self> {
        let parts = Parts::of(certificate)?;
        let algorithm: AlgorithmIdentifier = match SignatureAlgorithm::for_key(issuer) {
            SignatureAlgorithm::EcdsaSha256 => alg_id::ECDSA_SHA256,
            SignatureAlgorithm::EcdsaSha384 => alg_id::ECDSA_SHA384,
            SignatureAlgorithm::EcdsaSha512 => alg_id::ECDSA_SHA512,
            SignatureAlgorithm::RsaSha256 => alg_id::RSA_PKCS1_SHA256,
        };
        // Signatures are judged by this algorithm, so it is what they must say.
        if parts.algorithm != algorithm.as_ref() {
            return None;
        }
        let key_id = key_identifier(parts.public_key);
        let mut extensions = Vec::new();
        let mut rest = parts.extensions;
        while !rest.is_empty() {
            let (extension, after) = next(SEQUENCE, rest)?;
            extensions.push(Extension::of(extension.whole, &key_id));
            rest = after;
        }
        Some(Self {
            version: parts.version.to_vec(),
            middle: parts.middle.to_vec(),
            key_algorithm: parts.key_algorithm.to_vec(),
            algorithm: parts.algorithm.to_vec(),
            extensions,
            not_after: entry.not_after,
        })
    }

    /// Whether the certificates' keys are P-256.
    pub(super) fn is_p256(&self) -> bool {
        self.key_algorithm == alg_id::ECDSA_P256.as_ref()
    }

    /// Whether a certificate fits, as far as nothing need be computed. `key_id`: what it says is its key's identifier,
    /// if it says so.
    pub(super) fn fits<'a>(
        &self,
        parts: &Parts<'a>,
        entry: &IndexEntry,
        names: Option<(&Binding, &Row)>,
        key_id: &mut Option<&'a [u8; 20]>,
    ) -> bool {
        let serial = entry.certificate_serial.octets();
        parts.version == self.version
            && parts.middle == self.middle
            && parts.key_algorithm == self.key_algorithm
            && parts.algorithm == self.algorithm
            && entry.not_after == self.not_after
            && parts.serial == serial
            // Positive, and no longer than it must be.
            && (0x01..0x80).contains(&serial[0])
            && is_subject(parts.subject, names.map(|(binding, row)| binding.subject(row)))
            && self.extensions_fit(parts.extensions, names, key_id)
    }

    fn extensions_fit<'a>(
        &self,
        extensions: &'a [u8],
        names: Option<(&Binding, &Row)>,
        key_id: &mut Option<&'a [u8; 20]>,
    ) -> bool {
        let mut rest = extensions;
        for expected in &self.extensions {
            let Some((extension, after)) = next(SEQUENCE, rest) else {
                return false;
            };
            rest = after;
            let fits = match expected {
                Extension::Same(octets) => extension.whole == octets,
                Extension::SubjectKeyIdentifier => {
                    *key_id = key_identifier_in(extension.whole);
                    key_id.is_some()
                }
                Extension::SubjectAltName => names_in(extension.whole)
                    .is_some_and(|found| are_names(found, names.map(|(binding, row)| binding.san(row)))),
            };
            if !fits {
                return false;
            }
        }
        rest.is_empty()
    }
}

/// The identifier in a subjectKeyIdentifier that is not critical.
fn key_identifier_in(extension: &[u8]) -> Option<&[u8; 20]> {
    extension.strip_prefix(&SUBJECT_KEY_IDENTIFIER)?.try_into().ok()
}

/// The GeneralNames in a subjectAltName that is not critical.
fn names_in(extension: &[u8]) -> Option<&[u8]> {
    let value = only(SEQUENCE, extension)?.strip_prefix(&SUBJECT_ALT_NAME)?;
    only(SEQUENCE, only(OCTET_STRING, value)?)
}

/// Whether a Name is well formed, each attribute a relative name of its own, and is the row's, where that is known.
fn is_subject<'n>(
    subject: &[u8],
    mut expected: Option<impl Iterator<Item = (Attribute, Cow<'n, str>)>>,
) -> bool {
    let mut rest = subject;
    while !rest.is_empty() {
        let Some((arc, value, after)) = attribute(rest) else {
            return false;
        };
        rest = after;
        if let Some(expected) = &mut expected {
            let is_it = |(attribute, text): (Attribute, Cow<'_, str>)| {
                attribute.arc() == arc && text.as_bytes() == value.as_bytes()
            };
            if !expected.next().is_some_and(is_it) {
                return false;
            }
        }
    }
    expected.is_none_or(|mut expected| expected.next().is_none())
}

/// The first attribute of a Name, under id-at, 2.5.4; its value, and what follows.
fn attribute(name: &[u8]) -> Option<(u8, &str, &[u8])> {
    let (relative, rest) = next(SET, name)?;
    let (kind, value) = next(OID, only(SEQUENCE, relative.content)?)?;
    let &[0x55, 0x04, arc] = kind.content else {
        return None;
    };
    let (value, after) = der::split(value)?;
    let text = std::str::from_utf8(value.content).ok()?;
    let is_text = match value.tag {
        UTF8_STRING => true,
        PRINTABLE_STRING => text.bytes().all(is_printable),
        _ => false,
    };
    (is_text && after.is_empty()).then_some((arc, text, rest))
}

/// Whether a PrintableString may have it (X.680, 41.4).
fn is_printable(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&octet)
}

/// Whether GeneralNames are DNS names and URIs, and are the row's, where that is known.
fn are_names<'n>(names: &[u8], mut expected: Option<impl Iterator<Item = (San, Cow<'n, str>)>>) -> bool {
    let mut rest = names;
    while !rest.is_empty() {
        let Some((name, after)) = der::split(rest) else {
            return false;
        };
        rest = after;
        let kind = match name.tag {
            0x82 => San::Dns,
            0x86 => San::Uri,
            _ => return false,
        };
        if !name.content.is_ascii() {
            return false;
        }
        if let Some(expected) = &mut expected
            && expected
                .next()
                .is_none_or(|(wanted, text)| wanted != kind || text.as_bytes() != name.content)
        {
            return false;
        }
    }
    !names.is_empty() && expected.is_none_or(|mut expected| expected.next().is_none())
}
