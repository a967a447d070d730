//! Certificate revocation lists: which certificates of an issuer are not to be believed any more, signed by it.
//!
//! A list is whole: it names all that are revoked, under a number that only grows (RFC 5280 5.2.3). rcgen encodes, the
//! issuer's signer signs.

use std::path::Path;

use rcgen::{
    CertificateRevocationListParams, KeyIdMethod, RevocationReason, RevokedCertParams, SerialNumber,
};
use time::OffsetDateTime;
use x509_parser::prelude::{CertificateRevocationList, FromDer, ParsedExtension};

use super::rcgen_key::RcgenKey;
use super::{CaCertificate, Issuer, IssuerError};
use crate::pem;

/// The list in the folder of a CA.
pub const CRL_FILE: &str = "crl.pem";

/// The label of a list in PEM (RFC 7468, 6).
const LABEL: &str = "X509 CRL";

/// Why a certificate is revoked (RFC 5280 5.3.1), as far as it may be told of a device's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RevocationCode {
    Unspecified = 0,
    KeyCompromise = 1,
    AffiliationChanged = 3,
    Superseded = 4,
    CessationOfOperation = 5,
    PrivilegeWithdrawn = 9,
}

impl RevocationCode {
    pub const ALL: [Self; 6] = [
        Self::Unspecified,
        Self::KeyCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
        Self::PrivilegeWithdrawn,
    ];

    /// The number that stands for it in a list.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    #[must_use]
    pub fn of(number: i64) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|code| i64::from(code.number()) == number)
    }

    /// Its name, as options and documents have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "key-compromise",
            Self::AffiliationChanged => "affiliation-changed",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessation-of-operation",
            Self::PrivilegeWithdrawn => "privilege-withdrawn",
        }
    }

    /// What is not specified is not said (RFC 5280 5.3.1).
    fn reason(self) -> Option<RevocationReason> {
        match self {
            Self::Unspecified => None,
            Self::KeyCompromise => Some(RevocationReason::KeyCompromise),
            Self::AffiliationChanged => Some(RevocationReason::AffiliationChanged),
            Self::Superseded => Some(RevocationReason::Superseded),
            Self::CessationOfOperation => Some(RevocationReason::CessationOfOperation),
            Self::PrivilegeWithdrawn => Some(RevocationReason::PrivilegeWithdrawn),
        }
    }
}

/// A certificate that a list names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokedCertificate {
    /// The certificate serial.
    pub serial: [u8; 16],
    pub at: OffsetDateTime,
    pub code: RevocationCode,
}

/// What a list shall be.
#[derive(Debug)]
pub struct CrlRequest<'a> {
    /// Higher than that of every list before.
    pub number: u64,
    pub this_update: OffsetDateTime,
    /// When the next list will be there at the latest.
    pub next_update: OffsetDateTime,
    pub revoked: &'a [RevokedCertificate],
}

/// A list that the issuer has signed.
#[derive(Debug)]
pub struct Crl {
    der: Vec<u8>,
}

impl Crl {
    /// # Errors
    ///
    /// When the CA may not sign lists, or cannot.
    pub fn make(issuer: &Issuer, request: &CrlRequest<'_>) -> Result<Self, IssuerError> {
        let whole = |at: OffsetDateTime| at.replace_nanosecond(0).unwrap_or(at);
        let revoked = request.revoked.iter().map(|revoked| RevokedCertParams {
            serial_number: SerialNumber::from_slice(&revoked.serial),
            revocation_time: whole(revoked.at),
            reason_code: revoked.code.reason(),
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: whole(request.this_update),
            next_update: whole(request.next_update),
            crl_number: SerialNumber::from(request.number),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::PreSpecified(issuer.certificate.key_identifier().to_vec()),
        };
        let der = issuer.certificate.der().into();
        let key = RcgenKey::new(
            issuer.key_type(),
            issuer.certificate.public_key(),
            &*issuer.signer,
        );
        let signing = rcgen::Issuer::from_ca_cert_der(&der, &key).map_err(|_| IssuerError::ParentName)?;
        let list = key.signed(params.signed_by(&signing))?;
        let made = Self {
            der: list.der().to_vec(),
        };
        // rcgen writes the CA's name anew, as it reads it.
        match made.fault(&issuer.certificate) {
            None => Ok(made),
            Some(_) => Err(IssuerError::ParentName),
        }
    }

    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    #[must_use]
    pub fn to_pem(&self) -> String {
        pem::encode(LABEL, &self.der)
    }

    /// The number of the list in a file, PEM or DER; nothing, when there is no file. A list may be large, as a ledger is.
    ///
    /// # Errors
    ///
    /// When it is something else, or the list of another CA.
    pub fn number_in(path: &Path, issuer: &CaCertificate) -> Result<Option<u64>, IssuerError> {
        let not = |reason| IssuerError::NotCrl {
            path: path.to_owned(),
            reason,
        };
        match path.symlink_metadata() {
            Err(_) => return Ok(None),
            Ok(found) if !found.is_file() => return Err(not("it is no file")),
            Ok(_) => {}
        }
        let octets = std::fs::read(path).map_err(|source| IssuerError::Read {
            path: path.to_owned(),
            source,
        })?;
        let text = std::str::from_utf8(&octets).ok();
        let der = match text.and_then(|text| pem::blocks(text).ok()).as_deref() {
            Some([block]) if block.label == LABEL => block.der.to_vec(),
            _ => octets,
        };
        let list = Self { der };
        if let Some(reason) = list.fault(issuer) {
            return Err(not(reason));
        }
        list.number().map(Some).ok_or_else(|| not("it has no number"))
    }

    fn number(&self) -> Option<u64> {
        let (_, list) = CertificateRevocationList::from_der(&self.der).ok()?;
        list.extensions()
            .iter()
            .find_map(|extension| match extension.parsed_extension() {
                ParsedExtension::CRLNumber(number) => u64::try_from(number).ok(),
                _ => None,
            })
    }

    /// What keeps it from being a list of this issuer.
    fn fault(&self, issuer: &CaCertificate) -> Option<&'static str> {
        let Ok((rest, list)) = CertificateRevocationList::from_der(&self.der) else {
            return Some("it cannot be read");
        };
        if !rest.is_empty() {
            return Some("something follows it");
        }
        if list.tbs_cert_list.issuer.as_raw() != issuer.subject() {
            return Some("it is of another CA");
        }
        let is_signed = issuer.has_signed(list.tbs_cert_list.as_ref(), &list.signature_value.data);
        (!is_signed).then_some("the CA has not signed it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Choice;
    use crate::issuer::{CaFiles, CaRequest, Secret, create};
    use crate::profile::{Attribute, KeyType, NotAfter};
    use time::Duration;

    const NOON: OffsetDateTime = time::macros::datetime!(2026-11-24 12:00 UTC);

    fn issuer(key_type: KeyType, folder: &Path) -> Issuer {
        let request = CaRequest {
            subject: vec![
                (Attribute::Organization, "Lampen & S\u{f6}hne".to_owned()),
                (Attribute::CommonName, "factory".to_owned()),
            ],
            key_type,
            not_after: NotAfter::Days(30),
            path_len: None,
        };
        create(&request, None, NOON).unwrap().write(folder, None).unwrap();
        let none = &mut |_: Secret<'_>| Err(std::io::Error::other("it has none"));
        Issuer::load(&CaFiles::in_folder(folder), &Choice::Auto, NOON, none).unwrap()
    }

    #[test]
    fn names_what_is_revoked_with_number_time_and_reason() {
        for key_type in [KeyType::P256, KeyType::P384, KeyType::P521, KeyType::Rsa2048] {
            let folder = tempfile::tempdir().unwrap();
            let issuer = self::issuer(key_type, &folder.path().join("ca"));
            let revoked: Vec<RevokedCertificate> = (1..)
                .zip(RevocationCode::ALL)
                .map(|(n, code)| RevokedCertificate {
                    serial: [n; 16],
                    at: NOON - Duration::days(i64::from(n)),
                    code,
                })
                .collect();
            let request = CrlRequest {
                number: 300,
                this_update: NOON,
                next_update: NOON + Duration::days(7),
                revoked: &revoked,
            };
            let crl = Crl::make(&issuer, &request).unwrap();
            let (_, list) = CertificateRevocationList::from_der(crl.der()).unwrap();
            assert_eq!(list.last_update().timestamp(), NOON.unix_timestamp());
            let next = list.next_update().unwrap().timestamp();
            assert_eq!(next, (NOON + Duration::days(7)).unix_timestamp());
            let found: Vec<_> = list
                .iter_revoked_certificates()
                .map(|one| {
                    let code = one.reason_code().map_or(0, |(_, code)| code.0);
                    (one.raw_serial().to_vec(), one.revocation_date.timestamp(), code)
                })
                .collect();
            let wanted: Vec<_> = revoked
                .iter()
                .map(|one| (one.serial.to_vec(), one.at.unix_timestamp(), one.code.number()))
                .collect();
            assert_eq!(found, wanted);

            let path = folder.path().join("crl");
            assert_eq!(Crl::number_in(&path, issuer.certificate()).unwrap(), None);
            for text in [crl.to_pem().into_bytes(), crl.der().to_vec()] {
                std::fs::write(&path, text).unwrap();
                assert_eq!(Crl::number_in(&path, issuer.certificate()).unwrap(), Some(300));
            }
            let other = self::issuer(KeyType::P256, &folder.path().join("other"));
            for (text, reason) in [
                (crl.der().to_vec(), "the CA has not signed it"),
                (b"no list".to_vec(), "it cannot be read"),
                ([crl.der(), b"more"].concat(), "something follows it"),
            ] {
                std::fs::write(&path, text).unwrap();
                let error = Crl::number_in(&path, other.certificate()).unwrap_err();
                assert!(error.to_string().ends_with(reason), "{error}");
            }
        }
    }
}
