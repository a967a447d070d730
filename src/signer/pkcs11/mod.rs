//! A key in a PKCS#11 token: a smart card, a hardware security module, or `SoftHSM`.
//!
//! Digests are made here, signatures come back raw and are written as X.509 has them. A token that forgets its sessions,
//! or is gone for a while, is looked for again; a process that has sessions open is never forked.

mod encoding;
mod fault;
mod module;
mod object;
mod pin;
mod pool;
mod token;
mod tuning;
pub(super) mod wrap;

use std::num::NonZeroUsize;
use std::time::Duration;

use self::pool::Pool;
use self::token::Token;
use super::uri::Pkcs11Uri;
use super::{AccessError, AskPin, Manner, PublicKey, Remote, Signer, SignerError};
use crate::engine::SignatureAlgorithm;
use crate::profile::KeyType;

/// Messages of a request: enough that all of them are verified together, and that sessions have something to choose from.
const GROUP: NonZeroUsize = NonZeroUsize::new(256).unwrap();

/// Requests at a time. Sessions share what is in all of them.
const IN_FLIGHT: NonZeroUsize = NonZeroUsize::new(16).unwrap();

/// A token that is away is waited for: 3 seconds in all.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(200);

/// Signs with a key in a token.
#[derive(Debug)]
pub(super) struct InToken {
    pool: Pool,
    key_type: KeyType,
}

impl InToken {
    /// Finds a key, and says what it is; its public half is asked of the token.
    pub(super) fn open(uri: &Pkcs11Uri, ask: AskPin<'_>) -> Result<(Self, PublicKey), AccessError> {
        let token = Token::find(uri, ask)?;
        let public = {
            let within = token.module.within();
            let session = token.session(&within, false)?;
            let public = object::public_key(&token, &session);
            let _ = session.close();
            public?
        };
        Ok((Self::of(token, public.key_type), public))
    }

    /// Finds a key that is known to be of this type; its public half need not be in the token.
    pub(super) fn open_for(uri: &Pkcs11Uri, key_type: KeyType, ask: AskPin<'_>) -> Result<Self, AccessError> {
        let token = Token::find(uri, ask)?;
        let found = {
            let within = token.module.within();
            let open = token.open(&within)?;
            let found = object::key_type(&token, &open.session, open.key);
            let _ = open.session.close();
            found?
        };
        if found != key_type {
            return Err(AccessError::OtherType {
                place: token.place().to_owned(),
                found: found.to_string(),
                wanted: key_type.to_string(),
            });
        }
        Ok(Self::of(token, key_type))
    }

    /// Makes a key; gives the URI that means it and no other.
    pub(super) fn make(
        uri: &Pkcs11Uri,
        key_type: KeyType,
        ask: AskPin<'_>,
    ) -> Result<(Self, PublicKey, Pkcs11Uri), SignerError> {
        let mut pin = None;
        let mut ask = |token: &str| -> std::io::Result<_> {
            let given = ask(token)?;
            pin = Some(given.clone());
            Ok(given)
        };
        let token = Token::find(uri, &mut ask)?;
        let id = {
            let within = token.module.within();
            let session = token.session(&within, true).map_err(AccessError::from)?;
            let id = object::generate(&token, &session, key_type);
            let _ = session.close();
            id?
        };
        let uri = Pkcs11Uri {
            id: Some(id),
            ..uri.clone()
        };
        let mut again = |_: &str| {
            pin.clone()
                .ok_or_else(|| std::io::Error::other("it was not asked for"))
        };
        let (signer, public) = Self::open(&uri, &mut again)?;
        Ok((signer, public, uri))
    }

    /// Destroys a key that was just made.
    pub(super) fn destroy(&self) -> Result<(), AccessError> {
        let token = self.pool.token();
        let within = token.module.within();
        let session = token.session(&within, true)?;
        let destroyed = object::destroy(token, &session);
        let _ = session.close();
        destroyed
    }

    fn of(token: Token, key_type: KeyType) -> Self {
        Self {
            pool: Pool::new(token, key_type.is_rsa()),
            key_type,
        }
    }
}

impl Signer for InToken {
    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::for_key(self.key_type)
    }

    fn place(&self) -> &str {
        self.pool.token().place()
    }

    fn engine(&self) -> &'static str {
        "pkcs11"
    }

    fn manner(&self) -> Manner {
        Manner::Remote(Remote {
            in_flight: IN_FLIGHT,
            group: GROUP,
            attempts: ATTEMPTS,
            pause: PAUSE,
        })
    }

    fn sign(&self, messages: &[&[u8]], signatures: &mut [Vec<u8>]) -> Result<(), SignerError> {
        let algorithm = self.algorithm();
        let digests = messages
            .iter()
            .map(|message| encoding::to_sign(algorithm, message));
        let raw = self.pool.sign(digests.collect())?;
        for (raw, signature) in raw.iter().zip(signatures) {
            let written = encoding::signature(self.key_type, raw);
            *signature = written.ok_or_else(|| AccessError::Wrong {
                place: self.place().to_owned(),
            })?;
        }
        Ok(())
    }
}
