//! One bundle, opened as a station would, and held against its index row and the issuer.

use std::collections::HashMap;

use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use time::OffsetDateTime;
use webpki::{EndEntityCert, KeyUsage};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::filled::Filled;
use crate::batch::IndexEntry;
use crate::bundle::encryption::{DecryptError, Encryption, is_encrypted};
use crate::bundle::format::{Beside, Unread, Value};
use crate::bundle::{self, Content, EndpointFile, Member, OpenError, Opened, Shared};
use crate::digest::sha256;
use crate::engine::{Judge, PrivateKey};
use crate::issuer::{CaCertificate, key_identifier};
use crate::manifest::Row;
use crate::profile::{Attribute, Binding, Profile, rfc3339};

/// What every bundle of a batch is held against.
pub(crate) struct Standard<'a> {
    pub(super) profile: &'a Profile,
    /// The profile's templates, bound to the manifest's columns, when the manifest is at hand.
    pub(super) binding: Option<Binding>,
    pub(super) issuer: &'a CaCertificate,
    anchor: TrustAnchor<'a>,
    pub(super) shared: Shared,
    /// What files hold that are the same for every device, by their names.
    constants: HashMap<&'a str, Vec<u8>>,
    now: UnixTime,
    /// Of the issuer's signatures, many at a time.
    pub(super) judge: Judge,
}

/// What was found of a bundle that opens.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// One line for each fault.
    pub faults: Vec<String>,
    /// That the certificate is not valid now, which is no sign that anything was changed.
    pub untimely: Option<String>,
    /// The identifier of the device's public key.
    pub key: Option<[u8; 20]>,
    /// The certificate, DER.
    pub certificate: Vec<u8>,
    /// Whether a file was not opened, for want of its password.
    pub is_locked: bool,
}

impl Findings {
    pub(super) fn is_good(&self) -> bool {
        self.faults.is_empty() && self.untimely.is_none()
    }

    /// Whether it is in a file that nobody has opened.
    pub(super) fn lacks_certificate(&self) -> bool {
        self.is_locked && self.certificate.is_empty()
    }

    fn ensure(&mut self, holds: bool, fault: &str) {
        if !holds {
            self.faults.push(fault.to_owned());
        }
    }
}

fn date(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).map_or_else(|_| format!("second {seconds}"), rfc3339)
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
        let shared = profile.shared(issuer.der());
        let members = profile.recipe().members();
        let constants = members
            .iter()
            .filter_map(|member| Some((member.name(), shared.constant(member)?)))
            .collect();
        let seconds = u64::try_from(now.unix_timestamp()).ok()?;
        Some(Self {
            profile,
            binding,
            issuer,
            anchor: webpki::anchor_from_trusted_cert(issuer_der).ok()?,
            constants,
            shared,
            now: UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds)),
            judge: Judge::new(issuer.key_type(), issuer.public_key()),
        })
    }

    /// Octets that a bundle has at most, as it lies in the store.
    pub(super) fn most_octets(&self) -> usize {
        let most = bundle::most_octets(self.profile.recipe());
        match self.profile.recipients() {
            [] => most,
            recipients => Encryption::new(recipients).encrypted_len(most),
        }
    }

    /// Finds everything that is wrong with a bundle, which comes as it lies in the store, and in the clear. `row` is the
    /// device's, when the manifest is at hand.
    pub(super) fn inspect(
        &self,
        (octets, plain): (&[u8], &[u8]),
        entry: &IndexEntry,
        row: Option<&Row>,
    ) -> Findings {
        let mut faults = other_digest(octets, entry);
        let mut findings = match bundle::examine(plain, self.profile.recipe(), entry.device_id.as_str()) {
            Ok(files) => self.judge(&files, entry, row),
            Err(error) => {
                faults.push(error.to_string());
                Findings::default()
            }
        };
        findings.faults.splice(..0, faults);
        findings
    }

    /// Judges the certificate that lies beside the bundles, of a device whose own nobody has read.
    pub(super) fn judge_listed(
        &self,
        listed: Option<&[u8]>,
        entry: &IndexEntry,
        row: Option<&Row>,
        findings: &mut Findings,
    ) {
        findings.certificate = listed.unwrap_or_default().to_vec();
        match listed {
            Some(_) => self.identity(None, entry, row, findings),
            None => findings
                .faults
                .push("its certificate is not among those of its chunk".to_owned()),
        }
    }

    /// Finds what is wrong with an encrypted bundle that nobody can read here, and with its certificate, which lies beside the
    /// bundles too.
    pub(super) fn inspect_unread(
        &self,
        octets: &[u8],
        certificate: Option<&[u8]>,
        entry: &IndexEntry,
        row: Option<&Row>,
    ) -> Findings {
        let mut findings = Findings {
            faults: other_digest(octets, entry),
            ..Findings::default()
        };
        findings.ensure(is_encrypted(octets), "it is not encrypted in the age format");
        self.judge_listed(certificate, entry, row, &mut findings);
        findings
    }

    /// Finds everything that is wrong with the files of a bundle.
    pub(crate) fn judge(&self, files: &[Opened<'_>], entry: &IndexEntry, row: Option<&Row>) -> Findings {
        let mut findings = Findings::default();
        let recipe = self.profile.recipe();
        let mut filled = Filled::of(files, self.binding.as_ref().zip(row));
        // Of every file that holds the private key: one, as a rule.
        let mut private_keys = Vec::new();
        for Opened { member, octets, .. } in files {
            let name = member.name();
            if let Some(constant) = self.constants.get(name) {
                let fault = format!("{name} is not the certificate it is named for");
                findings.ensure(**constant == **octets, &fault);
                continue;
            }
            match member.read(octets, &filled.beside(recipe, member)) {
                Ok(values) => {
                    for (content, value) in member.contents().iter().zip(values) {
                        match value {
                            Value::PrivateKey(der) => {
                                private_keys.push(PrivateKey::from_pkcs8(&der).ok());
                                filled.keep_key(der);
                            }
                            value => self.value(member, content, value, row, &mut findings),
                        }
                    }
                }
                Err(Unread::Damaged) => {
                    if member.holds(&Content::PrivateKey) {
                        private_keys.push(None);
                    }
                    findings.faults.extend(damaged(member));
                }
                Err(Unread::NoWayBack) => {}
                Err(Unread::Locked) => findings.is_locked = true,
            }
        }
        let made = (recipe, &self.shared);
        let faults = filled.compare(files, made, (entry, &findings.certificate));
        findings.faults.extend(faults);
        if findings.is_locked && private_keys.is_empty() {
            // Where the certificate is locked away too, no more than the one beside the bundles is known.
            if !findings.certificate.is_empty() {
                self.identity(None, entry, row, &mut findings);
            }
            return findings;
        }
        self.identity(Some(private_keys), entry, row, &mut findings);
        findings
    }

    /// Holds a content of a file against what it must be.
    fn value(
        &self,
        member: &Member,
        content: &Content,
        value: Value,
        row: Option<&Row>,
        findings: &mut Findings,
    ) {
        let name = member.name();
        match (content, value) {
            (Content::Certificate | Content::Chain, Value::Certificates(certificates)) => {
                self.certificate(name, content, certificates, findings);
            }
            (Content::Issuer, Value::Certificates(certificates)) => {
                let fault = format!("{name} does not hold the issuer");
                findings.ensure(certificates == [self.issuer.der()], &fault);
            }
            (Content::Root(root), Value::Certificates(certificates)) => {
                let fault = format!("{name} does not hold {}", root.name);
                findings.ensure(certificates == [root.der()], &fault);
            }
            (Content::Endpoint, Value::Endpoint(endpoint)) => {
                findings.ensure(self.is_endpoint(&endpoint, row), &not_endpoint(name));
            }
            (Content::Drawn(_), Value::Drawn(_)) => {}
            (Content::File(file), Value::File(octets)) => {
                let fault = format!("{name} is not the file {} that the profile names", file.path());
                findings.ensure(file.sha256() == Some(&sha256(&octets)), &fault);
            }
            _ => findings.faults.extend(damaged(member)),
        }
    }

    /// Takes the device's certificate from a file, and holds several copies against each other.
    fn certificate(
        &self,
        name: &str,
        content: &Content,
        mut certificates: Vec<Vec<u8>>,
        findings: &mut Findings,
    ) {
        if *content == Content::Chain {
            let fault = format!("{name} does not end with the issuer");
            findings.ensure(certificates.pop().as_deref() == Some(self.issuer.der()), &fault);
        }
        let Some(certificate) = certificates.pop() else {
            return;
        };
        if findings.certificate.is_empty() {
            findings.certificate = certificate;
        } else {
            let fault = format!("{name} holds another certificate than the files before it");
            findings.ensure(findings.certificate == certificate, &fault);
        }
    }

    fn is_endpoint(&self, found: &EndpointFile<'_>, row: Option<&Row>) -> bool {
        let endpoint = self.profile.endpoint();
        let names = self.binding.as_ref().zip(row).is_none_or(|(binding, row)| {
            found.thing_name == binding.thing_name(row) && found.client_id == binding.client_id(row)
        });
        names
            && found.host.as_deref() == endpoint.host.as_deref()
            && found.port == endpoint.port
            && found.region.as_deref() == endpoint.region.as_deref()
    }

    /// Whether a file of the endpoint is what profile and row give.
    pub(super) fn is_endpoint_file(&self, member: &Member, octets: &[u8], row: Option<&Row>) -> bool {
        let values = member.read(octets, &Beside::default()).unwrap_or_default();
        matches!(values.as_slice(), [Value::Endpoint(found)] if self.is_endpoint(found, row))
    }

    /// Judges the certificate, and whether it is that of these keys, unless nobody has seen them.
    fn identity(
        &self,
        private_keys: Option<Vec<Option<PrivateKey>>>,
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
        if let Some(private_keys) = private_keys {
            let private_keys: Option<Vec<_>> = private_keys.into_iter().collect();
            match private_keys.filter(|keys| !keys.is_empty()) {
                None => findings.faults.push("the private key does not parse".to_owned()),
                Some(keys) => findings.ensure(
                    keys.into_iter().all(|key| key.prove(public_key).is_some()),
                    "the private key does not match the certificate",
                ),
            }
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
        match self.verify_chain(&der) {
            Ok(()) => {}
            Err(webpki::Error::CertExpired { not_after, .. }) => {
                findings.untimely = Some(format!("the certificate expired on {}", date(not_after)));
            }
            Err(webpki::Error::CertNotValidYet { not_before, .. }) => {
                findings.untimely = Some(format!("the certificate is valid from {} on", date(not_before)));
            }
            Err(error) => findings
                .faults
                .push(format!("the chain does not verify: {error}")),
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

/// What there is to say of a bundle that cannot be decrypted.
pub(super) fn refuse(octets: &[u8], error: &DecryptError, entry: &IndexEntry) -> Findings {
    let mut faults = other_digest(octets, entry);
    faults.push(error.to_string());
    Findings {
        faults,
        ..Findings::default()
    }
}

/// That octets are not those of the index, if they are not.
fn other_digest(octets: &[u8], entry: &IndexEntry) -> Vec<String> {
    match sha256(octets) == entry.sha256 {
        true => Vec::new(),
        false => vec![OpenError::OtherDigest.to_string()],
    }
}

/// The identifier of the public key that a certificate has.
pub(super) fn public_key_id(der: &[u8]) -> Option<[u8; 20]> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Some(key_identifier(
        certificate.public_key().subject_public_key.data.as_ref(),
    ))
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

fn not_endpoint(name: &str) -> String {
    format!("{name} is not what the profile and the row give")
}

/// What there is to say of a file that does not hold its contents.
fn damaged(member: &Member) -> Option<String> {
    let name = member.name();
    match member.contents() {
        // It is missed where it is held against the certificate.
        [Content::PrivateKey] => None,
        [Content::Endpoint] => Some(not_endpoint(name)),
        [Content::Certificate] => Some(format!("{name} does not hold one certificate of the device")),
        contents => {
            let contents: Vec<_> = contents.iter().map(Content::name).collect();
            let format = member.format().name();
            let contents = contents.join(", ");
            Some(format!(
                "{name} is not what the profile says: {contents}, in {format}"
            ))
        }
    }
}
