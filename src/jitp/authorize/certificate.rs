//! Certificate names: what policy variables are filled with from a device's certificate.
//!
//! <https://docs.aws.amazon.com/iot/latest/developerguide/cert-policy-variables.html> names the variables,
//! <https://docs.aws.amazon.com/iot/latest/developerguide/use-policy-variables.html> shows the form of each.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use data_encoding::HEXLOWER;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::X509Name;

use super::super::parameter::NotCertificate;
use crate::digest::sha256;

/// Attributes of subject and issuer: AWS's name, the short one (RFC 4514), and the last arc under id-at,
/// 2.5.4 (RFC 5280, Appendix A.1).
const ATTRIBUTES: [(&str, &str, u8); 13] = [
    ("DistinguishedNameQualifier", "dnqualifier", 46),
    ("Country", "c", 6),
    ("Organization", "o", 10),
    ("OrganizationalUnit", "ou", 11),
    ("State", "st", 8),
    ("CommonName", "cn", 3),
    ("SerialNumber", "serialnumber", 5),
    ("Title", "title", 12),
    ("Surname", "sn", 4),
    ("GivenName", "givenname", 42),
    ("Initials", "initials", 43),
    ("Pseudonym", "pseudonym", 65),
    ("GenerationQualifier", "generationqualifier", 44),
];

const ALTERNATIVE_NAMES: [&str; 5] = [
    "AlternativeName.RFC822Name",
    "AlternativeName.DNSName",
    "AlternativeName.DirectoryName",
    "AlternativeName.UniformResourceIdentifier",
    "AlternativeName.IPAddress",
];

/// Most values of one name; AWS IoT ignores what comes after.
const MAX_VALUES: usize = 5;

/// Names and numbers of a certificate, parsed once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CertificateNames {
    id: String,
    serial: String,
    /// By what follows `iot:Certificate.`, such as `Subject.CommonName`; in the certificate's order.
    values: BTreeMap<String, Vec<String>>,
}

impl CertificateNames {
    /// Those of a certificate.
    ///
    /// # Errors
    ///
    /// When the octets are no certificate.
    pub fn of_certificate(der: &[u8]) -> Result<Self, NotCertificate> {
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| NotCertificate)?;
        if !rest.is_empty() {
            return Err(NotCertificate);
        }
        let mut names = Self {
            id: HEXLOWER.encode(&sha256(der)),
            serial: certificate.serial.to_string(),
            values: BTreeMap::new(),
        };
        names.add_attributes("Subject", certificate.subject());
        names.add_attributes("Issuer", certificate.issuer());
        for extension in certificate.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::SubjectAlternativeName(found) => {
                    names.add_alternative("Subject", &found.general_names);
                }
                ParsedExtension::IssuerAlternativeName(found) => {
                    names.add_alternative("Issuer", &found.general_names);
                }
                _ => {}
            }
        }
        Ok(names)
    }

    /// The certificate id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The certificate serial, in decimal.
    pub(super) fn serial(&self) -> &str {
        &self.serial
    }

    /// The values of a name such as `Subject.CommonName`; empty when the certificate has none.
    pub(super) fn values(&self, name: &str) -> &[String] {
        self.values.get(name).map_or(&[], Vec::as_slice)
    }

    /// All names, such as `Subject.CommonName`.
    pub(super) fn known() -> impl Iterator<Item = String> {
        let names = || ATTRIBUTES.iter().map(|(name, ..)| *name).chain(ALTERNATIVE_NAMES);
        ["Subject", "Issuer"]
            .into_iter()
            .flat_map(move |whose| names().map(move |name| format!("{whose}.{name}")))
    }

    /// Whether AWS IoT documents a variable of that name.
    pub(super) fn is_name(name: &str) -> bool {
        let of = |whose: &str| name.strip_prefix(whose)?.strip_prefix('.');
        of("Subject").or_else(|| of("Issuer")).is_some_and(|name| {
            ATTRIBUTES.iter().any(|(known, ..)| *known == name) || ALTERNATIVE_NAMES.contains(&name)
        })
    }

    fn add_attributes(&mut self, whose: &str, name: &X509Name<'_>) {
        for (attribute, _, value) in attributes(name) {
            self.add(format!("{whose}.{attribute}"), value);
        }
    }

    fn add_alternative(&mut self, whose: &str, names: &[GeneralName<'_>]) {
        for name in names {
            let (kind, value) = match name {
                GeneralName::RFC822Name(value) => ("RFC822Name", (*value).to_owned()),
                GeneralName::DNSName(value) => ("DNSName", (*value).to_owned()),
                GeneralName::URI(value) => ("UniformResourceIdentifier", (*value).to_owned()),
                GeneralName::DirectoryName(value) => ("DirectoryName", directory_name(value)),
                GeneralName::IPAddress(octets) => match address(octets) {
                    Some(value) => ("IPAddress", value),
                    None => continue,
                },
                _ => continue,
            };
            self.add(format!("{whose}.AlternativeName.{kind}"), value);
        }
    }

    fn add(&mut self, name: String, value: String) {
        let values = self.values.entry(name).or_default();
        if values.len() < MAX_VALUES {
            values.push(value);
        }
    }
}

/// AWS's name, the short name and the value of each attribute that AWS IoT reads.
fn attributes(name: &X509Name<'_>) -> Vec<(&'static str, &'static str, String)> {
    let known = name.iter_attributes().filter_map(|attribute| {
        // id-at is 2.5.4, in DER 55 04.
        let [0x55, 0x04, arc] = attribute.attr_type().as_bytes() else {
            return None;
        };
        let (name, short, _) = ATTRIBUTES.iter().find(|(.., known)| known == arc)?;
        Some((*name, *short, escaped(attribute.as_str().ok()?)))
    });
    known.collect()
}

/// A value with a backslash before each character that has a meaning in a name (RFC 4514), as AWS IoT has it.
/// One with a `+`, which has a meaning too, is not filled in at all.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for c in value.chars() {
        if r#",\"=<>;"#.contains(c) {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

/// A name as AWS IoT shows it, the most specific attribute first: `cn=LightBulbCert,o=IoT,c=US`.
fn directory_name(name: &X509Name<'_>) -> String {
    let parts = attributes(name).into_iter().rev();
    let parts: Vec<String> = parts
        .map(|(_, short, value)| format!("{short}={value}"))
        .collect();
    parts.join(",")
}

fn address(octets: &[u8]) -> Option<String> {
    if let Ok(octets) = <[u8; 4]>::try_from(octets) {
        return Some(Ipv4Addr::from(octets).to_string());
    }
    let octets = <[u8; 16]>::try_from(octets).ok()?;
    Some(Ipv6Addr::from(octets).to_string())
}

#[cfg(test)]
pub(super) mod tests {
    use rcgen::{CertificateParams, CustomExtension, DnType, DnValue, KeyPair, SanType, SerialNumber};

    use super::*;

    /// A certificate that signs itself, so that its issuer has the names of its subject.
    pub fn certificate(subject: &[(u64, &str)], san: Vec<SanType>) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.serial_number = Some(SerialNumber::from_slice(&[
            0x92, 0x12, 0x85, 0xcb, 0xb7, 0xa5, 0xe0, 0x86,
        ]));
        params.subject_alt_names = san;
        // issuerAltName, 2.5.29.18: a dNSName and a directoryName.
        let attribute = |arc, value: &str| {
            let attribute = [tlv(0x06, &[0x55, 0x04, arc]), tlv(0x0c, value.as_bytes())].concat();
            tlv(0x31, &tlv(0x30, &attribute))
        };
        let name = [attribute(6, "US"), attribute(10, "IoT"), attribute(3, "CA")].concat();
        let names = [tlv(0x82, b"issuer.com"), tlv(0xa4, &tlv(0x30, &name))].concat();
        params.custom_extensions = vec![CustomExtension::from_oid_content(
            &[2, 5, 29, 18],
            tlv(0x30, &names),
        )];
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (arc, value) in subject {
            let kind = DnType::CustomDnType(vec![2, 5, 4, *arc]);
            params
                .distinguished_name
                .push(kind, DnValue::Utf8String((*value).to_owned()));
        }
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
        [&[tag, u8::try_from(content.len()).unwrap()], content].concat()
    }

    #[test]
    fn reads_what_aws_documents() {
        let subject: Vec<(u64, &str)> = ATTRIBUTES
            .iter()
            .map(|(name, _, arc)| (u64::from(*arc), *name))
            .collect();
        let der = certificate(
            &subject,
            vec![
                SanType::DnsName("example.com".try_into().unwrap()),
                SanType::DnsName("example.org".try_into().unwrap()),
                SanType::IpAddress("1.2.3.4".parse().unwrap()),
                SanType::IpAddress("2001:db8::1".parse().unwrap()),
                SanType::URI("urn:x".try_into().unwrap()),
                SanType::Rfc822Name("device1@example.com".try_into().unwrap()),
            ],
        );
        let names = CertificateNames::of_certificate(&der).unwrap();
        for (name, expected) in [
            (
                "Subject.AlternativeName.DNSName",
                &["example.com", "example.org"][..],
            ),
            ("Subject.AlternativeName.IPAddress", &["1.2.3.4", "2001:db8::1"]),
            ("Subject.AlternativeName.UniformResourceIdentifier", &["urn:x"]),
            ("Subject.AlternativeName.RFC822Name", &["device1@example.com"]),
            ("Subject.AlternativeName.DirectoryName", &[]),
            ("Issuer.AlternativeName.DNSName", &["issuer.com"]),
            ("Issuer.AlternativeName.DirectoryName", &["cn=CA,o=IoT,c=US"]),
            ("Issuer.AlternativeName.IPAddress", &[]),
        ] {
            assert_eq!(names.values(name), expected, "{name}");
            assert!(CertificateNames::is_name(name), "{name}");
        }
        for (attribute, ..) in ATTRIBUTES {
            for whose in ["Subject", "Issuer"] {
                let name = format!("{whose}.{attribute}");
                assert_eq!(names.values(&name), [attribute], "{name}");
                assert!(CertificateNames::is_name(&name), "{name}");
            }
        }
        assert_eq!(names.serial(), "10525622389124227206");
        assert_eq!(names.id(), HEXLOWER.encode(&sha256(&der)));
        assert!(!CertificateNames::is_name("Subject.Locality"));
        assert!(!CertificateNames::is_name("SubjectCommonName"));
        assert!(CertificateNames::of_certificate(b"no certificate").is_err());
    }

    #[test]
    fn ignores_what_comes_after_the_fifth_value() {
        let names = ["a", "b", "c", "d", "e", "f"];
        let san = names.map(|name| SanType::DnsName(name.try_into().unwrap()));
        let names = CertificateNames::of_certificate(&certificate(&[], san.to_vec())).unwrap();
        assert_eq!(
            names.values("Subject.AlternativeName.DNSName"),
            ["a", "b", "c", "d", "e"]
        );
    }

    #[test]
    fn escapes_what_has_a_meaning_in_a_name() {
        let der = certificate(&[(3, r#"a, "b"; c=<d>\"#)], Vec::new());
        let names = CertificateNames::of_certificate(&der).unwrap();
        assert_eq!(names.values("Subject.CommonName"), [r#"a\, \"b\"\; c\=\<d\>\\"#]);
    }
}
