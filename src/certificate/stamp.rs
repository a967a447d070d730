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
use crate::issuer::CaCertificate;
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
    /// The identifier of this very key, by `issuer::key_identifier`.
    pub key_id: &'a [u8; KEY_IDENTIFIER_LEN],
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

/// The value of keyUsage: digitalSignature, bit 0, alone.
pub(super) const DIGITAL_SIGNATURE: [u8; 4] = [BIT_STRING, 0x02, 0x07, 0x80];

/// The value of extKeyUsage: id-kp-clientAuth, 1.3.6.1.5.5.7.3.2, alone.
pub(super) const CLIENT_AUTH: [u8; 12] = [
    SEQUENCE, 0x0a, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02,
];

/// The value of basicConstraints: empty, since cA is FALSE by default.
pub(super) const END_ENTITY: [u8; 2] = [SEQUENCE, 0x00];

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
    pub(super) fn tbs(&self, fields: &Fields<'_>, out: &mut Vec<u8>) {
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
        out.extend_from_slice(fields.key_id);
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

/// authorityKeyIdentifier with keyIdentifier, tag 0, alone (RFC 5280, 4.2.1.1).
fn authority_key_identifier(id: &[u8]) -> Vec<u8> {
    let (mut inner, mut value) = (Vec::new(), Vec::new());
    der::element(0x80, id, &mut inner);
    der::element(SEQUENCE, &inner, &mut value);
    extension(35, false, &value)
}

/// keyUsage, critical, and extKeyUsage.
fn usage() -> Vec<u8> {
    let mut usage = extension(15, true, &DIGITAL_SIGNATURE);
    usage.extend(extension(37, false, &CLIENT_AUTH));
    usage
}

/// basicConstraints, critical.
fn constraints() -> Vec<u8> {
    extension(19, true, &END_ENTITY)
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;
    use rcgen::{
        CertificateParams, DistinguishedName, DnType, DnValue, ExtendedKeyUsagePurpose, IsCa, KeyIdMethod,
        KeyUsagePurpose, PublicKeyData, SanType, SerialNumber, SigningKey,
    };

    use super::*;
    use crate::certificate::lint::{fields as lint_fields, full as lint_full};
    use crate::certificate::{Expected, LintError};
    use crate::engine::{AwsLc, DeviceKey, KeyMaker};
    use crate::issuer::key_identifier;
    use crate::profile::no_expiry;

    /// An rcgen key that holds no private half: only the TBSCertificate is looked at.
    struct Public<'a>(&'a [u8], KeyType);

    impl PublicKeyData for Public<'_> {
        fn der_bytes(&self) -> &[u8] {
            self.0
        }

        fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
            match self.1 {
                KeyType::P256 => &rcgen::PKCS_ECDSA_P256_SHA256,
                KeyType::P384 => &rcgen::PKCS_ECDSA_P384_SHA384,
                KeyType::P521 => &rcgen::PKCS_ECDSA_P521_SHA512,
                _ => &rcgen::PKCS_RSA_SHA256,
            }
        }
    }

    impl SigningKey for Public<'_> {
        fn sign(&self, _: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
            Ok(vec![0; 8])
        }
    }

    fn device_key(key_type: KeyType) -> DeviceKey {
        let mut keys = [DeviceKey::default()];
        AwsLc.make_keys(key_type, &mut keys).unwrap();
        let [key] = keys;
        key
    }

    fn ca(key_type: KeyType, name: &str) -> (CaCertificate, DeviceKey) {
        let key = device_key(key_type);
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.not_after = no_expiry();
        params.key_identifier_method = KeyIdMethod::PreSpecified(key_identifier(key.public_key()).to_vec());
        let certificate = params.self_signed(&Public(key.public_key(), key_type)).unwrap();
        (
            CaCertificate::from_der(certificate.der(), Path::new("ca")).unwrap(),
            key,
        )
    }

    #[derive(Debug, Clone)]
    struct Case {
        subject: Vec<(Attribute, String)>,
        san: Vec<(San, String)>,
        serial: [u8; 16],
        period: Period,
    }

    fn value(attribute: Attribute) -> BoxedStrategy<String> {
        match attribute {
            Attribute::Country => "[A-Z]{2}".boxed(),
            Attribute::DnQualifier | Attribute::SerialNumber => "[A-Za-z0-9 '(),./:=-]{1,64}".boxed(),
            _ => "[a-zA-Z0-9 äöüßŁódź東京&/=,\"-]{1,64}".boxed(),
        }
    }

    fn case() -> impl Strategy<Value = Case> {
        let subject = prop::sample::subsequence(Attribute::ALL.to_vec(), 1..=7)
            .prop_shuffle()
            .prop_flat_map(|attributes| {
                attributes
                    .into_iter()
                    .map(|attribute| value(attribute).prop_map(move |value| (attribute, value)))
                    .collect::<Vec<_>>()
            });
        let kind = prop_oneof![Just(San::Dns), Just(San::Uri)];
        let san = prop::collection::vec((kind, "[a-z0-9.:/-]{1,200}"), 0..4);
        // From 1951 to 9999, so that both kinds of time appear.
        let moment = -599_616_000i64..crate::profile::NO_EXPIRY;
        (subject, san, any::<[u8; 15]>(), 1u8..0x80, moment.clone(), moment).prop_map(
            |(subject, san, tail, first, a, b)| {
                let mut serial = [first; 16];
                serial[1..].copy_from_slice(&tail);
                let at = |seconds| OffsetDateTime::from_unix_timestamp(seconds).unwrap();
                Case {
                    subject,
                    san,
                    serial,
                    period: Period {
                        not_before: at(a.min(b)),
                        not_after: at(a.max(b)),
                    },
                }
            },
        )
    }

    /// The TBSCertificate that rcgen makes of the case.
    fn oracle(case: &Case, issuer: &CaCertificate, issuer_key: &Public<'_>, key: &Public<'_>) -> Vec<u8> {
        let mut name = DistinguishedName::new();
        for (attribute, value) in &case.subject {
            let value = match attribute.is_printable_string() {
                true => DnValue::PrintableString(value.as_str().try_into().unwrap()),
                false => DnValue::Utf8String(value.clone()),
            };
            name.push(DnType::from_oid(&[2, 5, 4, attribute.arc().into()]), value);
        }
        let mut params = CertificateParams::default();
        params.distinguished_name = name;
        params.not_before = case.period.not_before;
        params.not_after = case.period.not_after;
        params.serial_number = Some(SerialNumber::from_slice(&case.serial));
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        params.key_identifier_method = KeyIdMethod::PreSpecified(key_identifier(key.0).to_vec());
        params.subject_alt_names = case
            .san
            .iter()
            .map(|(kind, value)| match kind {
                San::Dns => SanType::DnsName(value.as_str().try_into().unwrap()),
                San::Uri => SanType::URI(value.as_str().try_into().unwrap()),
            })
            .collect();
        let der = issuer.der().into();
        let issuer = rcgen::Issuer::from_ca_cert_der(&der, issuer_key).unwrap();
        let certificate = params.signed_by(key, &issuer).unwrap();
        let (_, body, _) = der::split(certificate.der()).unwrap();
        let (_, _, after) = der::split(body).unwrap();
        body[..body.len() - after.len()].to_vec()
    }

    fn stamped<'a>(
        case: &'a Case,
        subject: &'a mut Vec<u8>,
        san: &'a mut Vec<u8>,
        key: &'a DeviceKey,
        key_id: &'a [u8; KEY_IDENTIFIER_LEN],
        serial: &'a CertificateSerial,
    ) -> Fields<'a> {
        let mut scratch = Vec::new();
        let subject_values = case
            .subject
            .iter()
            .map(|(attribute, value)| (*attribute, Cow::from(value)));
        encode_subject(subject_values, &mut scratch, subject);
        encode_san(
            case.san.iter().map(|(kind, value)| (*kind, Cow::from(value))),
            &mut scratch,
            san,
        );
        Fields {
            serial,
            subject,
            san,
            public_key: key.public_key(),
            key_id,
        }
    }

    #[test]
    fn every_stamp_is_what_rcgen_makes_to_the_octet() {
        for key_type in KeyType::ALL {
            let key = device_key(key_type);
            let key_id = key_identifier(key.public_key());
            for issuer_type in [KeyType::P256, KeyType::P384, KeyType::P521, KeyType::Rsa2048] {
                let (issuer, issuer_key) = ca(issuer_type, "Test CA Zürich");
                let issuer_public = Public(issuer_key.public_key(), issuer_type);
                let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(40));
                let result = runner.run(&case(), |case| {
                    let serial = CertificateSerial::from(case.serial);
                    let (mut subject, mut san, mut tbs) = (Vec::new(), Vec::new(), Vec::new());
                    let fields = stamped(&case, &mut subject, &mut san, &key, &key_id, &serial);
                    let algorithm = SignatureAlgorithm::for_key(issuer_type);
                    Stamp::new(&issuer, key_type, algorithm, case.period).tbs(&fields, &mut tbs);
                    let public = Public(key.public_key(), key_type);
                    prop_assert_eq!(&tbs, &oracle(&case, &issuer, &issuer_public, &public));
                    prop_assert_eq!(lint_fields(&tbs, &fields), Ok(()));
                    let expected = Expected {
                        issuer: &issuer,
                        key_type,
                        signature: algorithm,
                        period: case.period,
                        has_san: !case.san.is_empty(),
                    };
                    let inside = case.period.not_before >= issuer.period().not_before;
                    prop_assert_eq!(lint_full(&tbs, &fields, &expected).is_ok(), inside);
                    Ok(())
                });
                result.unwrap_or_else(|error| panic!("{key_type} by {issuer_type}: {error}"));
            }
        }
    }

    /// Every octet of a certificate matters: a lint that overlooks one would let it be signed wrong.
    #[test]
    fn the_lint_finds_every_octet_that_is_wrong() {
        let key = device_key(KeyType::P256);
        let key_id = key_identifier(key.public_key());
        let (issuer, _) = ca(KeyType::P256, "Test CA");
        let at = |seconds| OffsetDateTime::from_unix_timestamp(seconds).unwrap();
        let case = Case {
            subject: vec![
                (Attribute::Country, "DE".to_owned()),
                (Attribute::CommonName, "SN1".to_owned()),
            ],
            san: vec![(San::Dns, "sn1.example".to_owned())],
            serial: [7; 16],
            period: Period {
                not_before: at(1_700_000_000),
                not_after: at(1_900_000_000),
            },
        };
        let serial = CertificateSerial::from(case.serial);
        let (mut subject, mut san, mut tbs) = (Vec::new(), Vec::new(), Vec::new());
        let fields = stamped(&case, &mut subject, &mut san, &key, &key_id, &serial);
        let algorithm = SignatureAlgorithm::EcdsaSha256;
        let stamp = Stamp::new(&issuer, KeyType::P256, algorithm, case.period);
        stamp.tbs(&fields, &mut tbs);
        let expected = Expected {
            issuer: &issuer,
            key_type: KeyType::P256,
            signature: SignatureAlgorithm::EcdsaSha256,
            period: case.period,
            has_san: true,
        };
        assert_eq!(lint_full(&tbs, &fields, &expected), Ok(()));
        for i in 0..tbs.len() {
            let mut wrong = tbs.clone();
            wrong[i] ^= 1;
            let found: Result<(), LintError> = lint_full(&wrong, &fields, &expected);
            assert!(found.is_err(), "octet {i} of {}", tbs.len());
        }

        // A stamp that was given the identifier of another key cannot vouch for it.
        let mixed = Fields {
            key_id: &[7; KEY_IDENTIFIER_LEN],
            ..fields
        };
        tbs.clear();
        stamp.tbs(&mixed, &mut tbs);
        assert_eq!(
            lint_fields(&tbs, &mixed),
            Err(LintError("SKI is not that of the key"))
        );
    }
}
