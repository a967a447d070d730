//! Certificates of a chunk, each held against its row: whose it is, and that the issuer signed it.

use time::OffsetDateTime;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::batch::IndexEntry;
use crate::digest::sha256;
use crate::engine::Judge;
use crate::issuer::CaCertificate;
use crate::profile::{Attribute, Profile};

/// What the certificates of a batch are held against.
pub(super) struct Standard<'a> {
    pub profile: &'a Profile,
    pub issuer: &'a CaCertificate,
    judge: Judge,
}

impl<'a> Standard<'a> {
    pub(super) fn new(profile: &'a Profile, issuer: &'a CaCertificate) -> Self {
        Self {
            profile,
            issuer,
            judge: Judge::new(issuer.key_type(), issuer.public_key()),
        }
    }

    /// What is wrong with each certificate as that of its entry, if anything is. `is_stated`: the issuer has signed for the
    /// index, so that the certificates need not name their devices.
    pub(super) fn hold(
        &self,
        certificates: &[Vec<u8>],
        entries: &[IndexEntry],
        is_stated: bool,
    ) -> Vec<Option<String>> {
        let parsed: Vec<_> = certificates.iter().map(|der| parse(der)).collect();
        let signed = self.signed(&parsed);
        let of =
            |((der, entry), (certificate, is_signed)): ((&Vec<u8>, &IndexEntry), (&Option<_>, &bool))| {
                let Some(certificate) = certificate else {
                    return Some("its certificate does not parse".to_owned());
                };
                if !is_signed {
                    return Some("its certificate is not signed by the CA".to_owned());
                }
                self.differs(der, certificate, entry, is_stated)
            };
        let pairs = certificates.iter().zip(entries);
        pairs.zip(parsed.iter().zip(&signed)).map(of).collect()
    }

    /// Whether the issuer signed each.
    fn signed(&self, parsed: &[Option<X509Certificate<'_>>]) -> Vec<bool> {
        let own: Vec<_> = parsed.iter().flatten().collect();
        let messages: Vec<&[u8]> = own.iter().map(|own| own.tbs_certificate.as_ref()).collect();
        let signatures: Vec<&[u8]> = own.iter().map(|own| own.signature_value.data.as_ref()).collect();
        let mut valid = vec![false; own.len()];
        self.judge.verify(&messages, &signatures, &mut valid);
        let mut valid = valid.into_iter();
        parsed
            .iter()
            .map(|parsed| parsed.is_some() && valid.next() == Some(true))
            .collect()
    }

    fn differs(
        &self,
        der: &[u8],
        certificate: &X509Certificate<'_>,
        entry: &IndexEntry,
        is_stated: bool,
    ) -> Option<String> {
        let names = subject(certificate);
        let is_its = match self.profile.subject_names_devices() {
            true => names.is_some_and(|names| self.profile.may_be_subject(entry.device_id.as_str(), &names)),
            false => is_stated,
        };
        let facts = [
            (
                sha256(der) == entry.certificate_id,
                "its certificate has another id than the index says",
            ),
            (
                certificate.raw_serial() == entry.certificate_serial.octets(),
                "its certificate has another serial than the index says",
            ),
            (
                certificate.validity().not_after.timestamp() == entry.not_after,
                "its certificate ends at another time than the index says",
            ),
            (
                certificate.issuer().as_raw() == self.issuer.subject(),
                "its certificate names another issuer than the batch",
            ),
            (!certificate.is_ca(), "its certificate is that of a CA"),
            (is_its, "its certificate names another device, or none"),
        ];
        let wrong = facts.into_iter().find(|(holds, _)| !holds);
        wrong.map(|(_, what)| what.to_owned())
    }

    /// Whether a certificate is signed by the issuer, and when its validity begins.
    pub(super) fn begins(&self, der: &[u8]) -> Option<OffsetDateTime> {
        let parsed = parse(der);
        let is_signed = self.signed(std::slice::from_ref(&parsed))[0];
        parsed
            .filter(|_| is_signed)
            .map(|own| own.validity().not_before.to_datetime())
    }

    /// The serial of a certificate that the issuer signed.
    pub(super) fn serial(&self, der: &[u8]) -> Option<[u8; 16]> {
        let parsed = parse(der);
        let is_signed = self.signed(std::slice::from_ref(&parsed))[0];
        parsed.filter(|_| is_signed)?.raw_serial().try_into().ok()
    }
}

/// A certificate, if the octets are one and nothing else.
fn parse(der: &[u8]) -> Option<X509Certificate<'_>> {
    let (rest, certificate) = X509Certificate::from_der(der).ok()?;
    rest.is_empty().then_some(certificate)
}

/// The subject in DN order; `None` when it has what no profile gives.
fn subject<'a>(certificate: &'a X509Certificate<'_>) -> Option<Vec<(Attribute, &'a str)>> {
    let attribute = |oid: &str| {
        let arc = oid.strip_prefix("2.5.4.")?.parse::<u8>().ok()?;
        Attribute::ALL
            .into_iter()
            .find(|attribute| attribute.arc() == arc)
    };
    let named = certificate.subject().iter_attributes();
    named
        .map(|found| {
            Some((
                attribute(&found.attr_type().to_id_string())?,
                found.as_str().ok()?,
            ))
        })
        .collect()
}
