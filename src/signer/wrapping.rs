//! Secrets that are opened where a key is: the way to keep something on disk that a stolen disk does not give away.
#![cfg_attr(
    not(feature = "pkcs11"),
    expect(unused_variables, reason = "a build without tokens refuses what means one")
)]

use zeroize::Zeroizing;

use super::open::absent;
use super::uri::KeyUri;
use super::wrapped::{SECRET, Wrapped, Wrapping};
use super::{AskPin, SignerError};

/// Has a secret wrapped by a key, which is made when it is not there.
///
/// # Errors
///
/// When the key cannot be reached, or does not wrap.
pub fn wrap(uri: &KeyUri, secret: &[u8; SECRET], ask: AskPin<'_>) -> Result<Wrapped, SignerError> {
    match uri {
        #[cfg(feature = "pkcs11")]
        KeyUri::Pkcs11(uri) => super::pkcs11::wrap::wrap(uri, secret, ask),
        #[cfg(not(feature = "pkcs11"))]
        KeyUri::Pkcs11(_) => Err(absent(uri).into()),
        #[cfg(feature = "kms")]
        KeyUri::Kms(uri) => super::kms::wrap(uri, secret),
        #[cfg(not(feature = "kms"))]
        KeyUri::Kms(_) => Err(absent(uri).into()),
    }
}

/// Opens what was wrapped; `None`: the key is not the one that has wrapped it.
///
/// # Errors
///
/// When the key cannot be reached.
pub fn unwrap(
    uri: &KeyUri,
    how: Wrapping,
    octets: &[u8],
    ask: AskPin<'_>,
) -> Result<Option<Zeroizing<Vec<u8>>>, SignerError> {
    match uri {
        #[cfg(feature = "pkcs11")]
        KeyUri::Pkcs11(uri) => super::pkcs11::wrap::unwrap(uri, how, octets, ask),
        #[cfg(not(feature = "pkcs11"))]
        KeyUri::Pkcs11(_) => Err(absent(uri).into()),
        #[cfg(feature = "kms")]
        KeyUri::Kms(uri) => super::kms::unwrap(uri, octets),
        #[cfg(not(feature = "kms"))]
        KeyUri::Kms(_) => Err(absent(uri).into()),
    }
}

/// Destroys a key that was made to wrap.
///
/// # Errors
///
/// When it cannot be reached, or not destroyed.
pub fn destroy_wrapping(uri: &KeyUri, ask: AskPin<'_>) -> Result<(), SignerError> {
    match uri {
        #[cfg(feature = "pkcs11")]
        KeyUri::Pkcs11(uri) => super::pkcs11::wrap::destroy(uri, ask),
        #[cfg(not(feature = "pkcs11"))]
        KeyUri::Pkcs11(_) => Err(absent(uri).into()),
        KeyUri::Kms(_) => Err(absent(uri).into()),
    }
}
