//! One bundle, opened as a station would, and held against its index row and the issuer.

use std::collections::HashMap;
use std::io::{Cursor, Read};

use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use time::OffsetDateTime;
use webpki::{EndEntityCert, KeyUsage};
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use crate::batch::IndexEntry;
use crate::bundle::{EndpointFile, constant_content};
use crate::digest::sha256;
use crate::engine::PrivateKey;
use crate::issuer::{CaCertificate, key_identifier};
use crate::manifest::Row;
use crate::pem;
use crate::profile::recipe::{BundleFile, Content, Format};
use crate::profile::{Attribute, Binding, Profile};

/// What every bundle of a batch is held against.
pub(crate) struct Standard<'a> {
    profile: &'a Profile,
    /// The profile's templates, bound to the manifest's columns, when the manifest is at hand.
    binding: Option<Binding>,
    issuer: &'a CaCertificate,
    anchor: TrustAnchor<'a>,
    constants: HashMap<&'a str, Vec<u8>>,
    now: UnixTime,
}

/// What was found of a bundle that opens.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// One line for each fault.
    pub faults: Vec<String>,
    /// The identifier of the device's public key.
    pub key: Option<[u8; 20]>,
    /// The certificate, DER.
    pub certificate: Vec<u8>,
}

impl Findings {
    fn ensure(&mut self, holds: bool, fault: &str) {
        if !holds {
            self.faults.push(fault.to_owned());
        }
    }
}

impl<'a> Standard<'a> {
    /// `issuer_der` must outlive the standard and be the DER of `issuer`. `None` when it cannot be a
    /// trust anchor.
    pub(crate) fn new(
        profile: &'a Profile,
        binding: Option<Binding>,
        issuer: &'a CaCertificate,
        issuer_der: &'a CertificateDer<'a>,
        now: OffsetDateTime,
    ) -> Option<Self> {
        let constants = profile
            .recipe()
            .files()
            .iter()
            .filter_map(|file| Some((file.name.as_str(), constant_content(file, issuer)?)))
            .collect();
        let seconds = u64::try_from(now.unix_timestamp()).ok()?;
        Some(Self {
            profile,
            binding,
            issuer,
            anchor: webpki::anchor_from_trusted_cert(issuer_der).ok()?,
            constants,
            now: UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds)),
        })
    }

    /// Finds everything that is wrong with a bundle. `row` is the device's, when the manifest is at hand.
    pub(crate) fn inspect(&self, octets: &[u8], entry: &IndexEntry, row: Option<&Row>) -> Findings {
        let mut findings = Findings::default();
        findings.ensure(sha256(octets) == entry.sha256, "SHA-256 is not that of the index");
        let members = match members(octets) {
            Ok(members) => members,
            Err(fault) => {
                findings.faults.push(fault);
                return findings;
            }
        };
        let names: Vec<_> = members.iter().map(|(name, _)| name.as_str()).collect();
        let files = self.profile.recipe().files();
        let expected: Vec<_> = files.iter().map(|file| file.name.as_str()).collect();
        let find = |file: &BundleFile| members.iter().find(|(name, _)| *name == file.name);
        let found: Option<Vec<_>> = files.iter().map(find).collect();
        let Some(found) = found.filter(|found| found.len() == members.len()) else {
            findings.faults.push(format!(
                "holds {} where the profile has {}",
                names.join(", "),
                expected.join(", ")
            ));
            return findings;
        };
        let mut private_key = None;
        for (file, (name, content)) in files.iter().zip(found) {
            match file.content {
                Content::PrivateKey => private_key = read_private_key(file, content),
                Content::Certificate | Content::Chain => self.certificate(file, content, &mut findings),
                Content::Endpoint => {
                    let fault = format!("{name} is not what the profile and the row give");
                    findings.ensure(self.is_endpoint(content, row), &fault);
                }
                _ => {
                    let constant = self.constants.get(name.as_str());
                    findings.ensure(
                        constant == Some(content),
                        &format!("{name} is not the certificate it is named for"),
                    );
                }
            }
        }
        self.identity(private_key, entry, row, &mut findings);
        findings
    }

    /// Takes the device's certificate from a file, and holds several copies against each other.
    fn certificate(&self, file: &BundleFile, content: &[u8], findings: &mut Findings) {
        let mut certificates = match file.format {
            Format::Der => vec![content.to_vec()],
            Format::Pem => pem::certificates(content),
        };
        if file.content == Content::Chain {
            let issuer = if certificates.len() > 1 {
                certificates.pop()
            } else {
                None
            };
            let fault = format!("{} does not end with the issuer", file.name);
            findings.ensure(issuer.as_deref() == Some(self.issuer.der()), &fault);
        }
        let [certificate] = certificates.as_slice() else {
            findings.faults.push(format!(
                "{} does not hold one certificate of the device",
                file.name
            ));
            return;
        };
        if findings.certificate.is_empty() {
            findings.certificate.clone_from(certificate);
        } else {
            let fault = format!("{} holds another certificate than the files before it", file.name);
            findings.ensure(findings.certificate == *certificate, &fault);
        }
    }

    fn is_endpoint(&self, content: &[u8], row: Option<&Row>) -> bool {
        let Ok(found) = serde_json::from_slice::<EndpointFile<'_>>(content) else {
            return false;
        };
        let endpoint = self.profile.endpoint();
        let names = self.binding.as_ref().zip(row).is_none_or(|(binding, row)| {
            found.thing_name == binding.thing_name(row) && found.client_id == binding.client_id(row)
        });
        names
            && found.host.as_deref() == endpoint.host.as_deref()
            && found.port == endpoint.port
            && found.region.as_deref() == endpoint.region.as_deref()
    }

    fn identity(
        &self,
        private_key: Option<PrivateKey>,
        entry: &IndexEntry,
        row: Option<&Row>,
        findings: &mut Findings,
    ) {
        let der = findings.certificate.clone();
        let Ok((_, certificate)) = X509Certificate::from_der(&der) else {
            findings.faults.push("the certificate does not parse".to_owned());
            return;
        };
        let public_key = certificate.public_key().subject_public_key.data.as_ref();
        findings.key = Some(key_identifier(public_key));
        match private_key {
            None => findings.faults.push("the private key does not parse".to_owned()),
            Some(key) => findings.ensure(
                key.prove(public_key).is_some(),
                "the private key does not match the certificate",
            ),
        }
        if let Some((binding, row)) = self.binding.as_ref().zip(row) {
            let names = subject_names(&certificate);
            let expected: Option<Vec<_>> = binding
                .subject(row)
                .map(|(attribute, value)| Some((attribute, value.into_owned())))
                .collect();
            findings.ensure(names == expected, "the subject is not the row's");
        }
        findings.ensure(
            sha256(&der) == entry.certificate_id,
            "certificate id is not that of the index",
        );
        findings.ensure(
            certificate.raw_serial() == entry.certificate_serial.octets(),
            "certificate serial is not that of the index",
        );
        findings.ensure(
            certificate.validity().not_after.timestamp() == entry.not_after,
            "notAfter is not that of the index",
        );
        if let Err(error) = self.verify_chain(&der) {
            findings
                .faults
                .push(format!("the chain does not verify: {error}"));
        }
    }

    fn verify_chain(&self, der: &[u8]) -> Result<(), webpki::Error> {
        let der = CertificateDer::from(der);
        let certificate = EndEntityCert::try_from(&der)?;
        let anchors = std::slice::from_ref(&self.anchor);
        certificate.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            anchors,
            &[],
            self.now,
            KeyUsage::client_auth(),
            None,
            None,
        )?;
        Ok(())
    }
}

/// The subject as attributes and values, in DN order; `None` when it has an attribute that no profile
/// knows.
fn subject_names(certificate: &X509Certificate<'_>) -> Option<Vec<(Attribute, String)>> {
    let attribute = |oid: &str| {
        let arc = oid.strip_prefix("2.5.4.")?.parse::<u8>().ok()?;
        Attribute::ALL
            .into_iter()
            .find(|attribute| attribute.arc() == arc)
    };
    certificate
        .subject()
        .iter_attributes()
        .map(|found| {
            Some((
                attribute(&found.attr_type().to_id_string())?,
                found.as_str().ok()?.to_owned(),
            ))
        })
        .collect()
}

pub(crate) type Members = Vec<(String, Zeroizing<Vec<u8>>)>;

/// The members of a ZIP, read whole, so that their sums are checked.
pub(crate) fn members(octets: &[u8]) -> Result<Members, String> {
    let fault = |error: &dyn std::fmt::Display| format!("the zip is damaged: {error}");
    let mut archive = zip::ZipArchive::new(Cursor::new(octets)).map_err(|error| fault(&error))?;
    let mut members = Vec::with_capacity(archive.len());
    for i in 0..archive.len() {
        let mut member = archive.by_index(i).map_err(|error| fault(&error))?;
        let name = member.name().map_err(|error| fault(&error))?.into_owned();
        let mut content = Zeroizing::new(Vec::with_capacity(4096));
        member
            .read_to_end(&mut content)
            .map_err(|error| fault(&format!("{name}: {error}")))?;
        members.push((name, content));
    }
    Ok(members)
}

fn read_private_key(file: &BundleFile, content: &[u8]) -> Option<PrivateKey> {
    match file.format {
        Format::Der => PrivateKey::from_pkcs8(content).ok(),
        Format::Pem => {
            let blocks = pem::blocks(std::str::from_utf8(content).ok()?).ok()?;
            let [block] = blocks.as_slice() else { return None };
            (block.label == pem::PRIVATE_KEY).then(|| PrivateKey::from_pkcs8(&block.der).ok())?
        }
    }
}
