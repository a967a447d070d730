//! A secret that only a token can open: by an AES key in it (RFC 3394), or by an RSA key (OAEP), in whichever form the token
//! has.
//!
//! The token keeps its key; what it opens is handed out as the value of an object that ends with the session.

use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType as Kind, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use zeroize::Zeroizing;

use super::token::Token;
use crate::engine::Random;
use crate::signer::uri::{KeyUri, Pkcs11Uri};
use crate::signer::{AccessError, AskPin, SECRET, SignerError, Wrapped, Wrapping};

/// Has a secret wrapped by a key, which is made when it is not there.
pub(in crate::signer) fn wrap(
    uri: &Pkcs11Uri,
    secret: &[u8; SECRET],
    ask: AskPin<'_>,
) -> Result<Wrapped, SignerError> {
    let token = Token::find(uri, ask)?;
    in_session(&token, |session| {
        let public = find(&token, session, ObjectClass::PUBLIC_KEY)?;
        if find(&token, session, ObjectClass::PRIVATE_KEY)?.is_some()
            && let Some(public) = public
        {
            return oaep_wrap(&token, session, public, secret).map(|(how, octets)| Wrapped {
                uri: KeyUri::Pkcs11(uri.clone()),
                how,
                octets,
                is_made: false,
            });
        }
        let (key, uri, is_made) = if let Some(key) = find(&token, session, ObjectClass::SECRET_KEY)? {
            (key, uri.clone(), false)
        } else {
            let (key, id) = make(&token, session)?;
            let uri = Pkcs11Uri {
                id: Some(id),
                ..uri.clone()
            };
            (key, uri, true)
        };
        let object = session
            .create_object(&template(Some(secret)))
            .map_err(|error| token.fault(error).access)?;
        let octets = session.wrap_key(&Mechanism::AesKeyWrap, key, object);
        let _ = session.destroy_object(object);
        Ok(Wrapped {
            uri: KeyUri::Pkcs11(uri),
            how: Wrapping::AesKeyWrap,
            octets: octets.map_err(|error| token.fault(error).access)?,
            is_made,
        })
    })
}

/// Has the token open what it has wrapped; `None`: its key is another one.
pub(in crate::signer) fn unwrap(
    uri: &Pkcs11Uri,
    how: Wrapping,
    wrapped: &[u8],
    ask: AskPin<'_>,
) -> Result<Option<Zeroizing<Vec<u8>>>, SignerError> {
    let token = Token::find(uri, ask)?;
    in_session(&token, |session| {
        let opened = match oaep(how) {
            None => {
                let key = must(&token, session, ObjectClass::SECRET_KEY)?;
                let object = session.unwrap_key(&Mechanism::AesKeyWrap, key, wrapped, &template(None));
                object.and_then(|object| {
                    let value = session.get_attributes(object, &[AttributeType::Value]);
                    let _ = session.destroy_object(object);
                    Ok(match value?.pop() {
                        Some(Attribute::Value(value)) => value,
                        _ => Vec::new(),
                    })
                })
            }
            Some(mechanism) => {
                let key = must(&token, session, ObjectClass::PRIVATE_KEY)?;
                session.decrypt(&mechanism, key, wrapped)
            }
        };
        match opened {
            Ok(secret) => Ok(Some(Zeroizing::new(secret))),
            Err(error) if is_refusal(&error) => Ok(None),
            Err(error) => Err(token.fault(error).access.into()),
        }
    })
}

/// Destroys a key that was made to wrap. What is not there any more is destroyed.
pub(in crate::signer) fn destroy(uri: &Pkcs11Uri, ask: AskPin<'_>) -> Result<(), SignerError> {
    let token = Token::find(uri, ask)?;
    in_session(&token, |session| {
        if let Some(key) = find(&token, session, ObjectClass::SECRET_KEY)? {
            session
                .destroy_object(key)
                .map_err(|error| token.fault(error).access)?;
        }
        Ok(())
    })
}

fn in_session<T>(
    token: &Token,
    work: impl FnOnce(&Session) -> Result<T, SignerError>,
) -> Result<T, SignerError> {
    let within = token.module.within();
    let session = token.session(&within, true).map_err(AccessError::from)?;
    let result = work(&session);
    let _ = session.close();
    result
}

fn find(token: &Token, session: &Session, class: ObjectClass) -> Result<Option<ObjectHandle>, AccessError> {
    let found = session.find_objects(&token.template(class));
    let found = found.map_err(|error| token.fault(error).access)?;
    match found[..] {
        [] => Ok(None),
        [key] => Ok(Some(key)),
        _ => Err(AccessError::ManyKeys {
            token: token.uri().token(),
            wanted: token.uri().key(),
            count: found.len(),
        }),
    }
}

fn must(token: &Token, session: &Session, class: ObjectClass) -> Result<ObjectHandle, AccessError> {
    find(token, session, class)?.ok_or_else(|| AccessError::NoKey {
        token: token.uri().token(),
        wanted: token.uri().key(),
        there: Vec::new(),
    })
}

/// An AES key that never leaves the token, and its id.
fn make(token: &Token, session: &Session) -> Result<(ObjectHandle, Vec<u8>), SignerError> {
    let id = match &token.uri().id {
        Some(id) => id.clone(),
        None => Random.octets::<16>()?.to_vec(),
    };
    let mut template = vec![
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Wrap(true),
        Attribute::Unwrap(true),
        Attribute::ValueLen(32.into()),
        Attribute::Id(id.clone()),
    ];
    template.extend(
        token
            .uri()
            .object
            .iter()
            .map(|label| Attribute::Label(label.clone().into())),
    );
    let key = session
        .generate_key(&Mechanism::AesKeyGen, &template)
        .map_err(|error| token.fault(error).access)?;
    Ok((key, id))
}

/// An object that ends with the session, and whose value may be read.
fn template(value: Option<&[u8]>) -> Vec<Attribute> {
    let mut template = vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(Kind::GENERIC_SECRET),
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
    ];
    template.extend(value.map(|value| Attribute::Value(value.to_vec())));
    template
}

fn oaep(how: Wrapping) -> Option<Mechanism<'static>> {
    let (hash, mask) = match how {
        Wrapping::OaepSha256 => (MechanismType::SHA256, PkcsMgfType::MGF1_SHA256),
        Wrapping::OaepSha1 => (MechanismType::SHA1, PkcsMgfType::MGF1_SHA1),
        Wrapping::AesKeyWrap | Wrapping::Kms => return None,
    };
    Some(Mechanism::RsaPkcsOaep(PkcsOaepParams::new(
        hash,
        mask,
        PkcsOaepSource::empty(),
    )))
}

/// By SHA-256 where the token has that, else by SHA-1, which nothing is known against here.
fn oaep_wrap(
    token: &Token,
    session: &Session,
    public: ObjectHandle,
    secret: &[u8],
) -> Result<(Wrapping, Vec<u8>), SignerError> {
    let mut last = None;
    for how in [Wrapping::OaepSha256, Wrapping::OaepSha1] {
        match oaep(how).map(|mechanism| session.encrypt(&mechanism, public, secret)) {
            Some(Ok(octets)) => return Ok((how, octets)),
            Some(Err(error)) => last = Some(error),
            None => {}
        }
    }
    let error = last.unwrap_or(Error::NotSupported);
    Err(token.fault(error).access.into())
}

/// Whether a token says that it is not its key that has wrapped this.
fn is_refusal(error: &Error) -> bool {
    matches!(
        error,
        Error::Pkcs11(
            RvError::WrappedKeyInvalid
                | RvError::WrappedKeyLenRange
                | RvError::EncryptedDataInvalid
                | RvError::EncryptedDataLenRange
                | RvError::GeneralError
                | RvError::FunctionFailed,
            _
        )
    )
}
