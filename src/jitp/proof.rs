//! Proof of possession: a certificate by which a CA shows AWS IoT that its key is at hand.
//!
//! Its subject is a registration code that AWS IoT gave; nothing else is in it, and it is used once.

use std::borrow::Cow;

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use time::{Duration, OffsetDateTime};

use crate::certificate::{Expected, Fields, LintError, Linted, SerialPrefix, Stamp, encode_subject};
use crate::digest::sha256;
use crate::engine::{Choice, DeviceKey, EngineError, Random};
use crate::issuer::{Issuer, key_identifier};
use crate::manifest::Reason;
use crate::pem;
use crate::profile::{Attribute, KeyType, NotAfter, Validity, ValidityError};
use crate::signer::SignerError;

/// How long a proof is good for.
const DAYS: u16 = 30;

/// A proof that was not made.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    #[error("registration code {code:?} {reason}")]
    Code { code: String, reason: Reason },
    #[error("the verification certificate cannot be valid")]
    Validity(#[from] ValidityError),
    #[error("the verification certificate is not as it must be")]
    Lint(#[from] LintError),
    #[error("the CA's signature does not verify")]
    Signature,
    #[error("the certificate signing request cannot be made")]
    Request(#[from] rcgen::Error),
    #[error("the CA key cannot be used")]
    Engine(#[from] EngineError),
    #[error("the CA key cannot be used")]
    Signer(#[from] SignerError),
}

impl ProofError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Code { .. } => {
                Some("`aws iot get-registration-code` prints it: 64 hexadecimal digits".to_owned())
            }
            _ => None,
        }
    }
}

/// The key, the request and the certificate of a proof.
#[derive(Debug)]
pub struct Proof {
    key: DeviceKey,
    request: String,
    certificate: Vec<u8>,
}

/// Makes a proof: a new P-256 key, and a certificate for it with the code as its common name.
///
/// # Errors
///
/// When the code cannot be a common name, or the CA cannot sign.
pub fn prove(issuer: &Issuer, code: &str, now: OffsetDateTime) -> Result<Proof, ProofError> {
    let refused = |reason| ProofError::Code {
        code: code.to_owned(),
        reason,
    };
    Attribute::CommonName.check(code).map_err(refused)?;
    let key_type = KeyType::P256;
    let mut keys = [DeviceKey::default()];
    Choice::Auto.for_keys(key_type)?.make_keys(key_type, &mut keys)?;
    let [key] = keys;

    // Never beyond the CA's own end.
    let around = issuer.certificate().period();
    let wanted = Validity {
        backdate: Duration::HOUR,
        not_after: NotAfter::Issuer,
    };
    let mut period = wanted.period(now, around)?;
    let end = now + Duration::days(DAYS.into());
    // Certificates count in whole seconds.
    let end = end.replace_nanosecond(0).expect("0 is a nanosecond");
    period.not_after = period.not_after.min(end);

    let stamp = Stamp::new(issuer.certificate(), key_type, issuer.algorithm(), period);
    let (mut scratch, mut subject) = (Vec::new(), Vec::new());
    let name = std::iter::once((Attribute::CommonName, Cow::Borrowed(code)));
    encode_subject(name, &mut scratch, &mut subject);
    let serial = SerialPrefix::draw(Random)?.serial(Random.octets()?);
    let fields = Fields {
        serial: &serial,
        subject: &subject,
        san: &[],
        public_key: key.public_key(),
        key_id: &key_identifier(key.public_key()),
    };
    let expected = Expected {
        issuer: issuer.certificate(),
        key_type,
        signature: issuer.algorithm(),
        period,
        has_san: false,
    };
    let mut linted = Linted::default();
    linted.stamp(&stamp, &fields).lint_in_full(&expected)?;
    let signed = linted.sign(issuer)?;
    if !signed.sample_verifies(issuer.certificate()) {
        return Err(ProofError::Signature);
    }
    let mut certificate = Vec::new();
    signed.append_certificate(0, &mut certificate);
    Ok(Proof {
        request: request(&key, code)?,
        key,
        certificate,
    })
}

fn request(key: &DeviceKey, code: &str) -> Result<String, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, code);
    let key = KeyPair::try_from(key.pkcs8())?;
    params.serialize_request(&key)?.pem()
}

impl Proof {
    /// The private key, PKCS#8 DER; nobody needs it after the certificate is made.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        self.key.pkcs8()
    }

    /// The certificate signing request (PKCS#10), PEM.
    #[must_use]
    pub fn request(&self) -> &str {
        &self.request
    }

    /// SHA-256 of the verification certificate.
    #[must_use]
    pub fn id(&self) -> [u8; 32] {
        sha256(&self.certificate)
    }

    /// The verification certificate, PEM.
    #[must_use]
    pub fn certificate(&self) -> String {
        pem::encode(pem::CERTIFICATE, &self.certificate)
    }
}
