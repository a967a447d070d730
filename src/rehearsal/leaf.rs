//! The certificate that a device presents, judged as AWS IoT Core judges it: its direct signer is registered and
//! active, and it is within its validity. What else the device sends beside it does not matter.

use std::time::Duration;

use data_encoding::HEXLOWER;
use rustls_pki_types::{CertificateDer, UnixTime};
use time::OffsetDateTime;
use tokio_rustls::rustls::CertificateError;
use webpki::{EndEntityCert, KeyUsage};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;

use super::account::Authority;
use crate::digest::sha256;
use crate::profile::rfc3339;

/// A certificate that may connect, as far as TLS is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    pub der: Vec<u8>,
    /// The certificate id.
    pub id: String,
    /// The id of the CA that signed it.
    pub authority: String,
    /// Its subject's CN, or else the whole subject.
    pub name: String,
}

/// Why a certificate may not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error("what the device presents is no X.509 certificate")]
    NotCertificate,
    #[error("the certificate's signer {issuer:?} is not registered; registered: {}", .known.join(", "))]
    UnknownSigner { issuer: String, known: Vec<String> },
    #[error("the certificate was signed by another CA that calls itself {issuer:?} as well")]
    OtherKey { issuer: String },
    #[error("the certificate's signer {issuer:?} is registered, and INACTIVE")]
    SignerInactive { issuer: String },
    #[error("the certificate's signer {issuer:?} has expired at {}", rfc3339(*.not_after))]
    SignerExpired {
        issuer: String,
        not_after: OffsetDateTime,
    },
    #[error(
        "the certificate is not valid before {}, and by the endpoint's clock it is {}",
        rfc3339(*.not_before),
        rfc3339(*.now)
    )]
    NotYetValid {
        not_before: OffsetDateTime,
        now: OffsetDateTime,
    },
    #[error("the certificate has expired at {}, and by the endpoint's clock it is {}", rfc3339(*.not_after), rfc3339(*.now))]
    Expired {
        not_after: OffsetDateTime,
        now: OffsetDateTime,
    },
    #[error("the certificate cannot be that of a device: {0}")]
    Other(String),
}

/// The certificate id of what a device presents, fit or not, and what its subject calls the device.
pub(super) fn identify(der: &[u8]) -> (String, String) {
    let name = match X509Certificate::from_der(der) {
        Ok((_, certificate)) => name(&certificate),
        Err(_) => String::new(),
    };
    (HEXLOWER.encode(&sha256(der)), name)
}

fn name(certificate: &X509Certificate<'_>) -> String {
    let common_name = certificate.subject().iter_common_name().next();
    common_name
        .and_then(|name| name.as_str().ok())
        .map_or_else(|| certificate.subject().to_string(), str::to_owned)
}

/// Judges a certificate by the CAs that are registered.
///
/// # Errors
///
/// Why AWS IoT Core would not take it.
pub fn judge(der: &[u8], authorities: &[Authority], now: OffsetDateTime) -> Result<Leaf, Unfit> {
    let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| Unfit::NotCertificate)?;
    if !rest.is_empty() {
        return Err(Unfit::NotCertificate);
    }
    let issuer = certificate.issuer().to_string();
    let namesakes: Vec<_> = authorities
        .iter()
        .filter(|authority| authority.certificate.subject() == certificate.issuer().as_raw())
        .collect();
    if namesakes.is_empty() {
        let known = authorities.iter();
        return Err(Unfit::UnknownSigner {
            issuer,
            known: known
                .map(|authority| format!("{:?}", authority.certificate.subject_text()))
                .collect(),
        });
    }
    let mut refusal = Unfit::OtherKey {
        issuer: issuer.clone(),
    };
    for authority in namesakes {
        match has_signed(authority, der, &certificate) {
            Ok(()) => {}
            Err(
                webpki::Error::UnknownIssuer
                | webpki::Error::InvalidSignatureForPublicKey
                | webpki::Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_),
            ) => continue,
            Err(error) => {
                refusal = Unfit::Other(error.to_string());
                continue;
            }
        }
        if let Some(bits) = weak_rsa(&certificate) {
            let text = format!("its key is RSA of {bits} bits, and AWS IoT takes 2048 at least");
            return Err(Unfit::Other(text));
        }
        let period = authority.certificate.period();
        let validity = certificate.validity();
        let (not_before, not_after) = (
            validity.not_before.to_datetime(),
            validity.not_after.to_datetime(),
        );
        return match () {
            () if !authority.is_active => Err(Unfit::SignerInactive { issuer }),
            () if now > period.not_after => Err(Unfit::SignerExpired {
                issuer,
                not_after: period.not_after,
            }),
            () if now < not_before => Err(Unfit::NotYetValid { not_before, now }),
            () if now > not_after => Err(Unfit::Expired { not_after, now }),
            () => Ok(Leaf {
                id: HEXLOWER.encode(&sha256(der)),
                der: der.to_vec(),
                authority: authority.id.clone(),
                name: name(&certificate),
            }),
        };
    }
    Err(refusal)
}

/// The bits of an RSA key of which there are too few (<https://docs.aws.amazon.com/iot/latest/developerguide/x509-client-certs.html>).
fn weak_rsa(certificate: &X509Certificate<'_>) -> Option<usize> {
    match certificate.public_key().parsed() {
        Ok(PublicKey::RSA(key)) => Some(key.key_size()).filter(|bits| *bits < 2048),
        _ => None,
    }
}

/// Whether a CA has signed a certificate that a client may have, at a moment when it is valid.
fn has_signed(
    authority: &Authority,
    der: &[u8],
    certificate: &X509Certificate<'_>,
) -> Result<(), webpki::Error> {
    let anchor_der = CertificateDer::from(authority.certificate.der());
    let anchor = webpki::anchor_from_trusted_cert(&anchor_der)?;
    let der = CertificateDer::from(der);
    // Whether it is valid now is said in other words.
    let moment = u64::try_from(certificate.validity().not_before.timestamp()).unwrap_or(0);
    EndEntityCert::try_from(&der)?.verify_for_usage(
        webpki::ALL_VERIFICATION_ALGS,
        &[anchor],
        &[],
        UnixTime::since_unix_epoch(Duration::from_secs(moment)),
        KeyUsage::client_auth(),
        None,
        None,
    )?;
    Ok(())
}

impl Unfit {
    /// What TLS says of it to the device.
    pub(super) fn certificate_error(&self) -> CertificateError {
        match self {
            Self::NotCertificate => CertificateError::BadEncoding,
            Self::UnknownSigner { .. } | Self::OtherKey { .. } => CertificateError::UnknownIssuer,
            Self::SignerInactive { .. } | Self::Other(_) => CertificateError::ApplicationVerificationFailure,
            Self::SignerExpired { .. } | Self::Expired { .. } => CertificateError::Expired,
            Self::NotYetValid { .. } => CertificateError::NotValidYet,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rcgen::{
        BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    };
    use time::Duration;
    use time::macros::datetime;

    use super::*;
    use crate::issuer::CaCertificate;

    const NOON: OffsetDateTime = datetime!(2026-06-01 12:00 UTC);

    /// A CA that is valid for ten days around noon.
    struct Ca {
        authority: Authority,
        issuer: Issuer<'static, KeyPair>,
    }

    fn ca(name: &str, is_active: bool) -> Ca {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = NOON - Duration::days(5);
        params.not_after = NOON + Duration::days(5);
        let certificate = params.self_signed(&key).expect("a certificate");
        let certificate = CaCertificate::from_der(certificate.der(), Path::new("ca.pem")).expect("a CA");
        Ca {
            authority: Authority {
                id: HEXLOWER.encode(&certificate.id()),
                certificate,
                is_active,
            },
            issuer: Issuer::new(params, key),
        }
    }

    /// A device's certificate that is valid for two days around noon.
    fn device(ca: &Ca, usage: Option<ExtendedKeyUsagePurpose>) -> Vec<u8> {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "SN1");
        params.not_before = NOON - Duration::days(1);
        params.not_after = NOON + Duration::days(1);
        params.extended_key_usages.extend(usage);
        let certificate = params.signed_by(&key, &ca.issuer).expect("a certificate");
        certificate.der().to_vec()
    }

    #[test]
    fn takes_what_a_registered_and_active_ca_has_signed() {
        let known = ca("Factory", true);
        for usage in [None, Some(ExtendedKeyUsagePurpose::ClientAuth)] {
            let der = device(&known, usage);
            let leaf = judge(
                &der,
                &[ca("Other", true).authority, known.authority.clone()],
                NOON,
            );
            let leaf = leaf.expect("it is fit");
            assert_eq!(
                (leaf.name.as_str(), leaf.authority),
                ("SN1", known.authority.id.clone())
            );
            assert_eq!(leaf.id, identify(&der).0);
        }
    }

    #[test]
    fn says_why_a_certificate_is_not_fit() {
        let known = ca("Factory", true);
        let namesake = ca("Factory", true);
        let inactive = Authority {
            is_active: false,
            ..known.authority.clone()
        };
        let der = device(&known, None);
        let active = std::slice::from_ref(&known.authority);
        let server = device(&known, Some(ExtendedKeyUsagePurpose::ServerAuth));
        let cases: [(&[u8], &[Authority], i64, &str); 9] = [
            (b"no certificate", active, 0, "no X.509 certificate"),
            (&[&der[..], b"x"].concat(), active, 0, "no X.509 certificate"),
            (&der, &[], 0, "signer \"CN=Factory\" is not registered"),
            (
                &der,
                &[ca("Other", true).authority],
                0,
                "not registered; registered: \"CN=Other\"",
            ),
            (
                &der,
                std::slice::from_ref(&namesake.authority),
                0,
                "another CA that calls itself",
            ),
            (&der, &[inactive], 0, "is registered, and INACTIVE"),
            (&der, active, -25, "not valid before 2026-05-31T12:00:00Z"),
            (&der, active, 25, "has expired at 2026-06-02T12:00:00Z"),
            (&server, active, 0, "cannot be that of a device"),
        ];
        for (der, authorities, hours, expected) in cases {
            let unfit = judge(der, authorities, NOON + Duration::hours(hours));
            let text = unfit.expect_err(expected).to_string();
            assert!(text.contains(expected), "{text}");
        }
        let unfit = judge(&der, active, NOON + Duration::days(6));
        let text = unfit.expect_err("the CA has expired").to_string();
        assert!(text.contains("signer \"CN=Factory\" has expired"), "{text}");
    }

    #[test]
    fn of_two_cas_of_one_name_the_one_that_signed_counts() {
        let (one, two) = (ca("Factory", true), ca("Factory", true));
        let authorities = [one.authority.clone(), two.authority.clone()];
        for ca in [&one, &two] {
            let leaf = judge(&device(ca, None), &authorities, NOON).expect("it is fit");
            assert_eq!(leaf.authority, ca.authority.id);
        }
    }
}
