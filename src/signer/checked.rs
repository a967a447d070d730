//! A signer that is not believed: every signature that it gives is verified before anybody sees it.
//!
//! A wrong signature is worth more to whoever caused it than it would be to us: one of RSA gives the key away.

use std::sync::Arc;

use super::{AccessError, Manner, Signer, SignerError};
use crate::engine::{Judge, SignatureAlgorithm};
use crate::profile::KeyType;

/// A signer, and the public half of its key.
pub(super) struct Checked {
    signer: Arc<dyn Signer>,
    judge: Judge,
}

impl Checked {
    pub(super) fn new(signer: Arc<dyn Signer>, key_type: KeyType, public_key: &[u8]) -> Self {
        Self {
            signer,
            judge: Judge::new(key_type, public_key),
        }
    }
}

impl Signer for Checked {
    fn algorithm(&self) -> SignatureAlgorithm {
        self.signer.algorithm()
    }

    fn place(&self) -> &str {
        self.signer.place()
    }

    fn engine(&self) -> &'static str {
        self.signer.engine()
    }

    fn manner(&self) -> Manner {
        self.signer.manner()
    }

    fn sign(&self, messages: &[&[u8]], signatures: &mut [Vec<u8>]) -> Result<(), SignerError> {
        self.signer.sign(messages, signatures)?;
        let given: Vec<&[u8]> = signatures.iter().map(Vec::as_slice).collect();
        let mut valid = vec![false; messages.len()];
        self.judge.verify(messages, &given, &mut valid);
        if valid.contains(&false) {
            signatures.iter_mut().for_each(Vec::clear);
            return Err(AccessError::Wrong {
                place: self.place().to_owned(),
            }
            .into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{AwsLc, Choice, DeviceKey, KeyMaker, PrivateKey};
    use crate::signer::Memory;

    fn signer(key: &DeviceKey) -> Memory {
        let key = PrivateKey::from_pkcs8(key.pkcs8())
            .unwrap()
            .prove(key.public_key())
            .unwrap();
        Memory::new(&key, "token".to_owned(), &Choice::Auto).unwrap()
    }

    #[test]
    fn a_signature_of_another_key_is_seen_by_nobody() {
        let mut keys = [DeviceKey::default(), DeviceKey::default()];
        AwsLc.make_keys(KeyType::P256, &mut keys).unwrap();
        for (count, of, is_right) in [(1, 0, true), (100, 0, true), (1, 1, false), (100, 1, false)] {
            let checked = Checked::new(Arc::new(signer(&keys[0])), KeyType::P256, keys[of].public_key());
            let mut signatures = vec![Vec::new(); count];
            let result = checked.sign(&vec![&b"message"[..]; count], &mut signatures);
            assert_eq!(result.is_ok(), is_right);
            assert_eq!(signatures.iter().all(|signature| !signature.is_empty()), is_right);
            assert!(result.is_ok() || signatures.iter().all(Vec::is_empty));
        }
    }
}
