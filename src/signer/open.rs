//! From the URI of a key to what signs with it.
#![cfg_attr(
    not(feature = "pkcs11"),
    expect(unused_variables, reason = "a build without tokens refuses what means one")
)]

#[cfg(any(feature = "pkcs11", feature = "kms"))]
use std::sync::Arc;

#[cfg(any(feature = "pkcs11", feature = "kms"))]
use super::checked::Checked;
use super::uri::KeyUri;
use super::{AccessError, AskPin, PublicKey, Signer, SignerError};
use crate::profile::KeyType;

/// A key that was made elsewhere.
pub struct New {
    pub signer: Box<dyn Signer>,
    pub public: PublicKey,
    /// What means it and no other.
    pub uri: KeyUri,
    /// Destroys it; for when nothing comes of it.
    pub undo: Box<dyn FnOnce() -> Result<(), AccessError>>,
}

/// Opens a key, of which it is known what it must be: it is not yet proven that it is.
///
/// # Errors
///
/// When it cannot be reached, or is of another type.
pub fn open_for(
    uri: &KeyUri,
    key_type: KeyType,
    public_key: &[u8],
    ask: AskPin<'_>,
) -> Result<Box<dyn Signer>, SignerError> {
    match uri {
        #[cfg(feature = "pkcs11")]
        KeyUri::Pkcs11(uri) => {
            let signer = super::pkcs11::InToken::open_for(uri, key_type, ask)?;
            Ok(Box::new(Checked::new(Arc::new(signer), key_type, public_key)))
        }
        #[cfg(not(feature = "pkcs11"))]
        KeyUri::Pkcs11(_) => Err(absent(uri).into()),
        #[cfg(feature = "kms")]
        KeyUri::Kms(uri) => {
            let (signer, found, _) = super::kms::InKms::open(uri)?;
            if found.key_type != key_type {
                return Err(AccessError::OtherType {
                    place: signer.place().to_owned(),
                    found: found.key_type.to_string(),
                    wanted: key_type.to_string(),
                }
                .into());
            }
            Ok(Box::new(Checked::new(Arc::new(signer), key_type, public_key)))
        }
        #[cfg(not(feature = "kms"))]
        KeyUri::Kms(_) => Err(absent(uri).into()),
    }
}

/// Opens a key, and asks what it is.
///
/// # Errors
///
/// When it cannot be reached, or used.
pub fn open(uri: &KeyUri, ask: AskPin<'_>) -> Result<(Box<dyn Signer>, PublicKey), SignerError> {
    match uri {
        #[cfg(feature = "pkcs11")]
        KeyUri::Pkcs11(uri) => {
            let (signer, public) = super::pkcs11::InToken::open(uri, ask)?;
            let checked = Checked::new(Arc::new(signer), public.key_type, &public.octets);
            Ok((Box::new(checked), public))
        }
        #[cfg(not(feature = "pkcs11"))]
        KeyUri::Pkcs11(_) => Err(absent(uri).into()),
        #[cfg(feature = "kms")]
        KeyUri::Kms(uri) => {
            let (signer, public, _) = super::kms::InKms::open(uri)?;
            let checked = Checked::new(Arc::new(signer), public.key_type, &public.octets);
            Ok((Box::new(checked), public))
        }
        #[cfg(not(feature = "kms"))]
        KeyUri::Kms(_) => Err(absent(uri).into()),
    }
}

/// Makes a key where the URI says; in KMS, whoever runs the account makes it, and it is taken as it is.
///
/// # Errors
///
/// When there is one already, or none can be made there.
pub fn new(uri: &KeyUri, key_type: KeyType, ask: AskPin<'_>) -> Result<New, SignerError> {
    match uri {
        #[cfg(feature = "pkcs11")]
        KeyUri::Pkcs11(uri) => {
            let (signer, public, uri) = super::pkcs11::InToken::make(uri, key_type, ask)?;
            let signer = Arc::new(signer);
            let made = Arc::clone(&signer);
            Ok(New {
                signer: Box::new(Checked::new(signer, public.key_type, &public.octets)),
                public,
                uri: KeyUri::Pkcs11(uri),
                undo: Box::new(move || made.destroy()),
            })
        }
        #[cfg(not(feature = "pkcs11"))]
        KeyUri::Pkcs11(_) => Err(absent(uri).into()),
        #[cfg(feature = "kms")]
        KeyUri::Kms(uri) => {
            let (signer, public, uri) = super::kms::InKms::open(uri)?;
            Ok(New {
                signer: Box::new(Checked::new(Arc::new(signer), public.key_type, &public.octets)),
                public,
                uri: KeyUri::Kms(uri),
                undo: Box::new(|| Ok(())),
            })
        }
        #[cfg(not(feature = "kms"))]
        KeyUri::Kms(_) => Err(absent(uri).into()),
    }
}

pub(super) fn absent(uri: &KeyUri) -> AccessError {
    let (what, feature) = match uri {
        KeyUri::Pkcs11(_) => ("PKCS#11", "pkcs11"),
        KeyUri::Kms(_) => ("AWS KMS", "kms"),
    };
    AccessError::Absent { what, feature }
}
