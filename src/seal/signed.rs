//! Statements that an issuer signs: `{"seal": STATEMENT, "signature": {"algorithm", "value"}}`. The signature is over
//! the octets of STATEMENT exactly as they stand in the object.

use data_encoding::{BASE64, HEXLOWER};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::SealError;
use crate::engine::SignatureAlgorithm;
use crate::issuer::{CaCertificate, Issuer};

/// What an issuer may sign. Its first field is the number of its format, under a name that no other statement has, so
/// that nothing that was signed as one thing is ever read as another.
pub(super) trait Signable: Serialize + DeserializeOwned {
    /// Name of the first field.
    const KIND: &'static str;
    /// Raised with every change of what a statement means. Statements of formats from 1 on are read.
    const FORMAT: u32;

    /// Of the issuer's certificate, as AWS IoT writes it.
    fn issuer_id(&self) -> &str;

    /// Who has signed in the issuer's place, as far as that may be.
    fn signer(&self, _issuer: &CaCertificate) -> Option<CaCertificate> {
        None
    }

    /// Whether the numbers are such as a forge writes.
    fn is_sound(&self) -> bool;
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    #[serde(borrow)]
    seal: &'a RawValue,
    signature: Signature,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signature {
    algorithm: String,
    /// Base64.
    value: String,
}

/// Signs a statement: the content of its object.
pub(super) fn sign(statement: &impl Signable, issuer: &Issuer) -> Result<Vec<u8>, SealError> {
    let statement = serde_json::to_string(statement).expect("a statement has only text keys");
    let mut signatures = [Vec::new()];
    issuer.sign(&[statement.as_bytes()], &mut signatures)?;
    let signature = Signature {
        algorithm: issuer.algorithm().name().to_owned(),
        value: BASE64.encode(&signatures[0]),
    };
    let signature = serde_json::to_string(&signature).expect("a signature has only text keys");
    Ok(format!("{{\"seal\":{statement},\"signature\":{signature}}}\n").into_bytes())
}

/// Reads the statement in an object, and verifies it against the certificate of the issuer that is trusted.
pub(super) fn open<T: Signable>(octets: &[u8], object: &str, issuer: &CaCertificate) -> Result<T, SealError> {
    let malformed = |source| SealError::Malformed {
        object: object.to_owned(),
        source,
    };
    let envelope: Envelope<'_> = serde_json::from_slice(octets).map_err(malformed)?;
    // The format alone, so that a statement of another one is told from a damaged one.
    let format: serde_json::Map<_, _> = serde_json::from_str(envelope.seal.get()).map_err(malformed)?;
    if let Some(found) = format.get(T::KIND).and_then(serde_json::Value::as_u64)
        && !(1..=u64::from(T::FORMAT)).contains(&found)
    {
        return Err(SealError::Format {
            object: object.to_owned(),
            found,
            read: T::FORMAT,
        });
    }
    let statement: T = serde_json::from_str(envelope.seal.get()).map_err(malformed)?;
    let wanted = HEXLOWER.encode(&issuer.id());
    if statement.issuer_id() != wanted {
        return Err(SealError::OtherIssuer {
            found: statement.issuer_id().to_owned(),
            wanted,
        });
    }
    let other = statement.signer(issuer);
    let signer = other.as_ref().unwrap_or(issuer);
    let algorithm = SignatureAlgorithm::for_key(signer.key_type()).name();
    let signature = BASE64.decode(envelope.signature.value.as_bytes());
    let is_signed = envelope.signature.algorithm == algorithm
        && signature.is_ok_and(|signature| signer.has_signed(envelope.seal.get().as_bytes(), &signature));
    match is_signed && statement.is_sound() {
        true => Ok(statement),
        false => Err(SealError::Signature {
            object: object.to_owned(),
            issuer: issuer.subject_text().to_owned(),
        }),
    }
}
