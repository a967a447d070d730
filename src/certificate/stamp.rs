//! The stamp: a profile and an issuer compiled into DER once, so that a certificate costs a few
//! copies.
//!
//! What is the same for every device of a batch is encoded by [`Stamp::new`]; [`Stamp::tbs`] puts in
//! the serial, the subject, the key and the alternative names. Invariant, held by a property test:
//! the octets are those that rcgen makes from the same fields.

use std::borrow::Cow;

use time::OffsetDateTime;

use super::der::{self, BIT_STRING, INTEGER, OCTET_STRING, PRINTABLE_STRING, SEQUENCE, SET, UTF8_STRING};
use super::{CertificateSerial, algorithm};
use crate::engine::SignatureAlgorithm;
use crate::issuer::{CaCertificate, key_identifier};
use crate::profile::{Attribute, KeyType, Period, San};

/// Everything of a TBSCertificate (RFC 5280, 4.1.2) that a batch's certificates share.
#[derive(Debug, Clone)]
pub struct Stamp {
    /// version, and tag and length of serialNumber.
    head: Vec<u8>,
    /// signature, issuer, validity.
    middle: Vec<u8>,
    /// The algorithm of subjectPublicKeyInfo.
    key_algorithm: &'static [u8],
    /// Extensions before and after subjectAltName, and after subjectKeyIdentifier.
    authority: Vec<u8>,
    usage: Vec<u8>,
    constraints: Vec<u8>,
}

/// What differs from device to device.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a> {
    pub serial: &'a CertificateSerial,
    /// A DER Name, as [`encode_subject`] makes it.
    pub subject: &'a [u8],
    /// DER GeneralNames, as [`encode_san`] makes them; empty for none.
    pub san: &'a [u8],
    /// As in [`crate::engine::DeviceKey::public_key`].
    pub public_key: &'a [u8],
}

const KEY_IDENTIFIER_LEN: usize = 20;

/// Octets before the key identifier in its extension: SEQUENCE, OID 2.5.29.14, two OCTET STRINGs.
const SUBJECT_KEY_IDENTIFIER: [u8; 11] = [
    SEQUENCE,
    0x1d,
    0x06,
    0x03,
    0x55,
    0x1d,
    0x0e,
    OCTET_STRING,
    0x16,
    OCTET_STRING,
    0x14,
];

impl Stamp {
    #[must_use]
    pub fn new(
        issuer: &CaCertificate,
        key_type: KeyType,
        signature: SignatureAlgorithm,
        period: Period,
    ) -> Self {
        let mut middle = algorithm::signature(signature).to_vec();
        middle.extend_from_slice(issuer.subject());
        let mut validity = Vec::new();
        time(period.not_before, &mut validity);
        time(period.not_after, &mut validity);
        der::element(SEQUENCE, &validity, &mut middle);
        Self {
            // [0] EXPLICIT Version v3(2), then INTEGER of 16 octets.
            head: vec![0xa0, 0x03, INTEGER, 0x01, 0x02, INTEGER, 0x10],
            middle,
            key_algorithm: algorithm::public_key(key_type),
            authority: authority_key_identifier(issuer.key_identifier()),
            usage: usage(),
            constraints: constraints(),
        }
    }

    /// Appends the TBSCertificate of one device.
    pub fn tbs(&self, fields: &Fields<'_>, out: &mut Vec<u8>) {
        let bits = 1 + fields.public_key.len();
        let key = self.key_algorithm.len() + der::element_len(bits);
        let san = if fields.san.is_empty() {
            0
        } else {
            san_extension_len(fields.san)
        };
        let extensions = self.authority.len()
            + san
            + self.usage.len()
            + SUBJECT_KEY_IDENTIFIER.len()
            + KEY_IDENTIFIER_LEN
            + self.constraints.len();
        let body = self.head.len()
            + fields.serial.octets().len()
            + self.middle.len()
            + fields.subject.len()
            + der::element_len(key)
            + der::element_len(der::element_len(extensions));

        der::header(SEQUENCE, body, out);
        out.extend_from_slice(&self.head);
        out.extend_from_slice(fields.serial.octets());
        out.extend_from_slice(&self.middle);
        out.extend_from_slice(fields.subject);
        der::header(SEQUENCE, key, out);
        out.extend_from_slice(self.key_algorithm);
        der::header(BIT_STRING, bits, out);
        out.push(0);
        out.extend_from_slice(fields.public_key);
        der::header(0xa3, der::element_len(extensions), out);
        der::header(SEQUENCE, extensions, out);
        out.extend_from_slice(&self.authority);
        if !fields.san.is_empty() {
            san_extension(fields.san, out);
        }
        out.extend_from_slice(&self.usage);
        out.extend_from_slice(&SUBJECT_KEY_IDENTIFIER);
        out.extend_from_slice(&key_identifier(fields.public_key));
        out.extend_from_slice(&self.constraints);
    }
}

/// Appends the Name with these attributes, each a relative name of its own, in their order.
pub fn encode_subject<'a>(
    attributes: impl Iterator<Item = (Attribute, Cow<'a, str>)>,
    scratch: &mut Vec<u8>,
    out: &mut Vec<u8>,
) {
    scratch.clear();
    for (attribute, value) in attributes {
        let tag = if attribute.is_printable_string() {
            PRINTABLE_STRING
        } else {
            UTF8_STRING
        };
        let pair = 5 + der::element_len(value.len());
        der::header(SET, der::element_len(pair), scratch);
        der::header(SEQUENCE, pair, scratch);
        scratch.extend_from_slice(&[0x06, 0x03, 0x55, 0x04, attribute.arc()]);
        der::element(tag, value.as_bytes(), scratch);
    }
    der::element(SEQUENCE, scratch, out);
}

/// Appends GeneralNames (RFC 5280, 4.2.1.6); nothing when there are none.
pub fn encode_san<'a>(
    names: impl Iterator<Item = (San, Cow<'a, str>)>,
    scratch: &mut Vec<u8>,
    out: &mut Vec<u8>,
) {
    scratch.clear();
    for (kind, value) in names {
        let tag = match kind {
            San::Dns => 0x82,
            San::Uri => 0x86,
        };
        der::element(tag, value.as_bytes(), scratch);
    }
    if !scratch.is_empty() {
        der::element(SEQUENCE, scratch, out);
    }
}

fn san_extension_len(names: &[u8]) -> usize {
    der::element_len(5 + der::element_len(names.len()))
}

/// subjectAltName, 2.5.29.17, not critical: the subject is never empty.
fn san_extension(names: &[u8], out: &mut Vec<u8>) {
    der::header(SEQUENCE, 5 + der::element_len(names.len()), out);
    out.extend_from_slice(&[0x06, 0x03, 0x55, 0x1d, 0x11]);
    der::element(OCTET_STRING, names, out);
}

/// An extension under id-ce, 2.5.29.
fn extension(arc: u8, critical: bool, value: &[u8]) -> Vec<u8> {
    let mut content = vec![0x06, 0x03, 0x55, 0x1d, arc];
    if critical {
        content.extend_from_slice(&[0x01, 0x01, 0xff]);
    }
    der::element(OCTET_STRING, value, &mut content);
    let mut extension = Vec::new();
    der::element(SEQUENCE, &content, &mut extension);
    extension
}

/// authorityKeyIdentifier with keyIdentifier [0] alone (RFC 5280, 4.2.1.1).
fn authority_key_identifier(id: &[u8]) -> Vec<u8> {
    let (mut inner, mut value) = (Vec::new(), Vec::new());
    der::element(0x80, id, &mut inner);
    der::element(SEQUENCE, &inner, &mut value);
    extension(35, false, &value)
}

/// keyUsage digitalSignature, critical; extKeyUsage id-kp-clientAuth, 1.3.6.1.5.5.7.3.2.
fn usage() -> Vec<u8> {
    let mut usage = extension(15, true, &[BIT_STRING, 0x02, 0x07, 0x80]);
    let client_auth = [
        SEQUENCE, 0x0a, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02,
    ];
    usage.extend(extension(37, false, &client_auth));
    usage
}

/// basicConstraints, critical, empty: cA is FALSE by default.
fn constraints() -> Vec<u8> {
    extension(19, true, &[SEQUENCE, 0x00])
}

/// UTCTime through 2049, GeneralizedTime from 2050 on (RFC 5280, 4.1.2.5).
fn time(moment: OffsetDateTime, out: &mut Vec<u8>) {
    let moment = moment.to_offset(time::UtcOffset::UTC);
    let (year, month, day) = (moment.year(), u8::from(moment.month()), moment.day());
    let (hour, minute, second) = moment.to_hms();
    let rest = format!("{month:02}{day:02}{hour:02}{minute:02}{second:02}Z");
    if (1950..2050).contains(&year) {
        der::element(der::UTC_TIME, format!("{:02}{rest}", year % 100).as_bytes(), out);
    } else {
        der::element(der::GENERALIZED_TIME, format!("{year:04}{rest}").as_bytes(), out);
    }
}
