//! Lint: nothing is signed that has not been read back.
//!
//! A specimen of a batch is read in full by a parser that is not ours ([`full`]); every
//! certificate's stamped fields are read back from its octets ([`fields`]).

use x509_parser::certificate::TbsCertificate;
use x509_parser::prelude::{FromDer, ParsedExtension};
use x509_parser::x509::X509Version;

use super::algorithm;
use super::der::{self, BIT_STRING, INTEGER, OCTET_STRING, OID, SEQUENCE};
use super::stamp::{CLIENT_AUTH, DIGITAL_SIGNATURE, END_ENTITY, Fields};
use crate::engine::SignatureAlgorithm;
use crate::issuer::{CaCertificate, key_identifier, key_type};
use crate::profile::{KeyType, Period};

/// A certificate that must not be signed. It means a fault in certforge, not in its input.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("lint: {0}")]
pub struct LintError(pub &'static str);

/// What a batch's certificates must say.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    pub issuer: &'a CaCertificate,
    pub key_type: KeyType,
    pub signature: SignatureAlgorithm,
    pub period: Period,
    pub has_san: bool,
}

fn ensure(holds: bool, rule: &'static str) -> Result<(), LintError> {
    if holds { Ok(()) } else { Err(LintError(rule)) }
}

/// Reads a TBSCertificate with x509-parser and holds every field against what it must be.
///
/// # Errors
///
/// The first rule that is broken.
pub(super) fn full(tbs: &[u8], fields: &Fields<'_>, expected: &Expected<'_>) -> Result<(), LintError> {
    // The parser is lenient about lengths; this is not.
    self::fields(tbs, fields)?;
    let (rest, parsed) =
        TbsCertificate::from_der(tbs).map_err(|_| LintError("the certificate does not parse"))?;
    ensure(rest.is_empty(), "octets follow the certificate")?;
    ensure(parsed.version() == X509Version::V3, "the version is not 3")?;
    ensure(
        parsed.raw_serial() == fields.serial.octets(),
        "the serial is not the one drawn",
    )?;
    ensure(parsed.raw_serial()[0] < 0x80, "the serial is negative")?;
    ensure(
        field(tbs, 2) == Some(algorithm::signature(expected.signature)),
        "the signature algorithm is not the issuer's",
    )?;
    ensure(
        parsed.issuer().as_raw() == expected.issuer.subject(),
        "the issuer is not the CA's subject",
    )?;
    ensure(
        parsed.subject().as_raw() == fields.subject,
        "the subject is not the row's",
    )?;
    ensure(
        parsed.subject().iter_attributes().next().is_some(),
        "the subject is empty",
    )?;
    let (not_before, not_after) = (parsed.validity().not_before, parsed.validity().not_after);
    ensure(
        not_before.to_datetime() == expected.period.not_before,
        "notBefore is wrong",
    )?;
    ensure(
        not_after.to_datetime() == expected.period.not_after,
        "notAfter is wrong",
    )?;
    let issuer = expected.issuer.period();
    ensure(
        expected.period.not_before >= issuer.not_before,
        "the certificate is older than its issuer",
    )?;
    ensure(
        expected.period.not_after <= issuer.not_after,
        "the certificate outlives its issuer",
    )?;
    let key = field(tbs, 6).and_then(der::split).map(|(_, content, _)| content);
    ensure(
        key.is_some_and(|key| key.starts_with(algorithm::public_key(expected.key_type))),
        "the key's algorithm is not of the profile's type",
    )?;
    ensure(
        key_type(parsed.public_key()) == Ok(expected.key_type),
        "the key is not of the profile's type",
    )?;
    ensure(
        parsed.public_key().subject_public_key.data.as_ref() == fields.public_key,
        "the key is not the device's",
    )?;
    extensions(&parsed, fields, expected)
}

/// A field of a TBSCertificate with its tag and length, counted from 0.
fn field(tbs: &[u8], n: usize) -> Option<&[u8]> {
    let (_, mut rest, _) = der::split(tbs)?;
    for _ in 0..n {
        (_, _, rest) = der::split(rest)?;
    }
    let (_, _, after) = der::split(rest)?;
    Some(&rest[..rest.len() - after.len()])
}

fn extensions(
    parsed: &TbsCertificate<'_>,
    fields: &Fields<'_>,
    expected: &Expected<'_>,
) -> Result<(), LintError> {
    let mut seen = [false; 6];
    for extension in parsed.extensions() {
        let (rule, index, critical) = match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(id) => {
                let id = id.key_identifier.as_ref().map(|id| id.0);
                ensure(
                    id == Some(expected.issuer.key_identifier()),
                    "AKI is not the issuer's SKI",
                )?;
                ("AKI appears twice", 0, false)
            }
            ParsedExtension::SubjectKeyIdentifier(id) => {
                ensure(
                    id.0 == key_identifier(fields.public_key),
                    "SKI is not that of the key",
                )?;
                ("SKI appears twice", 1, false)
            }
            ParsedExtension::KeyUsage(usage) => {
                let is_alone = usage.flags == 1 && extension.value == DIGITAL_SIGNATURE;
                ensure(is_alone, "keyUsage is not digitalSignature alone")?;
                ("keyUsage appears twice", 2, true)
            }
            ParsedExtension::ExtendedKeyUsage(usage) => {
                let others = usage.any
                    || usage.server_auth
                    || usage.code_signing
                    || usage.email_protection
                    || usage.time_stamping
                    || usage.ocsp_signing
                    || !usage.other.is_empty();
                ensure(
                    usage.client_auth && !others && extension.value == CLIENT_AUTH,
                    "extKeyUsage is not clientAuth alone",
                )?;
                ("extKeyUsage appears twice", 3, false)
            }
            ParsedExtension::BasicConstraints(constraints) => {
                ensure(
                    !constraints.ca && extension.value == END_ENTITY,
                    "basicConstraints is not empty",
                )?;
                ("basicConstraints appears twice", 4, true)
            }
            ParsedExtension::SubjectAlternativeName(_) => {
                ensure(extension.value == fields.san, "subjectAltName is not the row's")?;
                ("subjectAltName appears twice", 5, false)
            }
            _ => return Err(LintError("there is an extension that no profile asks for")),
        };
        ensure(
            extension.critical == critical,
            "an extension's critical flag is wrong",
        )?;
        ensure(!seen[index], rule)?;
        seen[index] = true;
    }
    ensure(seen[..5].iter().all(|seen| *seen), "an extension is missing")?;
    ensure(
        seen[5] == expected.has_san,
        "subjectAltName is there or not against the profile",
    )
}

/// Reads the stamped fields of a TBSCertificate back from its octets.
///
/// # Errors
///
/// The first rule that is broken.
pub(super) fn fields(tbs: &[u8], fields: &Fields<'_>) -> Result<(), LintError> {
    const MALFORMED: LintError = LintError("the certificate is malformed");
    let (tag, body, rest) = der::split(tbs).ok_or(MALFORMED)?;
    ensure(tag == SEQUENCE && rest.is_empty(), "the certificate is malformed")?;
    let mut rest = body;
    let mut next = || -> Result<(u8, &[u8], &[u8]), LintError> {
        let before = rest;
        let (tag, content, after) = der::split(before).ok_or(MALFORMED)?;
        rest = after;
        Ok((tag, content, &before[..before.len() - after.len()]))
    };
    next()?; // version
    let (tag, serial, _) = next()?;
    ensure(
        tag == INTEGER && serial == fields.serial.octets(),
        "the serial is not the one drawn",
    )?;
    ensure(
        (0x01..0x80).contains(&serial[0]),
        "the serial is not positive and of full length",
    )?;
    next()?; // signature
    next()?; // issuer
    next()?; // validity
    let (_, _, subject) = next()?;
    ensure(subject == fields.subject, "the subject is not the row's")?;
    let (_, key, _) = next()?;
    ensure(holds_key(key, fields.public_key), "the key is not the device's")?;
    let (_, extensions, _) = next()?;
    ensure(rest.is_empty(), "octets follow the extensions")?;
    let (_, mut list, after) = der::split(extensions).ok_or(MALFORMED)?;
    ensure(after.is_empty(), "octets follow the extensions")?;
    // Hashed anew: what was stamped shall not vouch for itself.
    let key_id = key_identifier(fields.public_key);
    let (mut has_key_id, mut has_san) = (false, fields.san.is_empty());
    while !list.is_empty() {
        let (_, extension, after) = der::split(list).ok_or(MALFORMED)?;
        ensure(is_extension(extension), "an extension is malformed")?;
        has_key_id |= extension.ends_with(&key_id);
        has_san |= extension.ends_with(fields.san);
        list = after;
    }
    ensure(has_key_id, "SKI is not that of the key")?;
    ensure(has_san, "subjectAltName is not the row's")
}

/// Whether a SubjectPublicKeyInfo's content is an algorithm and this key, with no bits unused.
fn holds_key(content: &[u8], public_key: &[u8]) -> bool {
    let bits = || {
        let (_, _, bits) = der::split(content)?;
        let (tag, bits, rest) = der::split(bits)?;
        (tag == BIT_STRING && rest.is_empty()).then_some(bits)
    };
    bits().and_then(<[u8]>::split_first) == Some((&0, public_key))
}

/// Whether octets are the content of an Extension (RFC 5280, 4.1): an OID, TRUE or nothing, and an
/// OCTET STRING that holds one element.
fn is_extension(content: &[u8]) -> bool {
    let shape = || {
        let (oid, _, rest) = der::split(content)?;
        let rest = rest.strip_prefix(&[0x01, 0x01, 0xff]).unwrap_or(rest);
        let (octets, value, rest) = der::split(rest)?;
        let (_, _, after) = der::split(value)?;
        Some(oid == OID && octets == OCTET_STRING && rest.is_empty() && after.is_empty())
    };
    shape() == Some(true)
}
