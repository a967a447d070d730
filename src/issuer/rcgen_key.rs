//! A key as rcgen takes it, wherever it is.

use std::cell::RefCell;

use super::IssuerError;
use crate::profile::KeyType;
use crate::signer::{self, Signer, SignerError};

/// Lets rcgen sign with a key, wherever it is.
pub(super) struct RcgenKey<'a> {
    key_type: KeyType,
    public_key: &'a [u8],
    signer: &'a dyn Signer,
    /// What the signer said, for which rcgen has no place.
    failure: RefCell<Option<SignerError>>,
}

impl<'a> RcgenKey<'a> {
    pub(super) fn new(key_type: KeyType, public_key: &'a [u8], signer: &'a dyn Signer) -> Self {
        Self {
            key_type,
            public_key,
            signer,
            failure: RefCell::new(None),
        }
    }

    /// What rcgen has signed with this key, or why it has not.
    pub(super) fn signed<T>(&self, result: Result<T, rcgen::Error>) -> Result<T, IssuerError> {
        result.map_err(|source| match self.failure.take() {
            Some(error) => error.into(),
            None => IssuerError::Create { source },
        })
    }
}

impl rcgen::PublicKeyData for RcgenKey<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.public_key
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        match self.key_type {
            KeyType::P256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            KeyType::P384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            KeyType::P521 => &rcgen::PKCS_ECDSA_P521_SHA512,
            KeyType::Rsa2048 | KeyType::Rsa3072 | KeyType::Rsa4096 => &rcgen::PKCS_RSA_SHA256,
        }
    }
}

impl rcgen::SigningKey for RcgenKey<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let mut signature = [Vec::new()];
        signer::ask(self.signer, &[message], &mut signature).map_err(|error| {
            self.failure.replace(Some(error));
            rcgen::Error::RemoteKeyError
        })?;
        let [signature] = signature;
        Ok(signature)
    }
}
