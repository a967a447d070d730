//! The halves of a key in a token: what they are, and new ones.

use cryptoki::error::Error;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType as Kind, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use super::encoding;
use super::token::Token;
use crate::engine::Random;
use crate::profile::KeyType;
use crate::signer::access::AccessError;
use crate::signer::{PublicKey, SignerError};

/// The type of a private key that may sign.
pub(super) fn key_type(token: &Token, session: &Session, key: ObjectHandle) -> Result<KeyType, AccessError> {
    let unfit = |reason: &str| AccessError::Unfit {
        place: token.place().to_owned(),
        reason: reason.to_owned(),
    };
    let read = |wanted: &[AttributeType]| {
        let found = session.get_attributes(key, wanted);
        found.map_err(|error| AccessError::from(token.fault(error)))
    };
    let mut kind = None;
    for attribute in read(&[
        AttributeType::KeyType,
        AttributeType::Sign,
        AttributeType::AlwaysAuthenticate,
    ])? {
        match attribute {
            Attribute::KeyType(found) => kind = Some(found),
            Attribute::Sign(false) => return Err(unfit("it may not sign (CKA_SIGN)")),
            Attribute::AlwaysAuthenticate(true) => {
                return Err(unfit(
                    "it wants the PIN for each signature (CKA_ALWAYS_AUTHENTICATE)",
                ));
            }
            _ => {}
        }
    }
    let found =
        match kind {
            Some(Kind::EC) => read(&[AttributeType::EcParams])?
                .into_iter()
                .find_map(|attribute| match attribute {
                    Attribute::EcParams(parameters) => encoding::curve(&parameters),
                    _ => None,
                }),
            Some(Kind::RSA) => read(&[AttributeType::Modulus])?
                .into_iter()
                .find_map(|attribute| match attribute {
                    Attribute::Modulus(modulus) => encoding::rsa(&modulus),
                    _ => None,
                }),
            _ => return Err(unfit("it is neither EC nor RSA")),
        };
    found.ok_or_else(|| match kind {
        Some(Kind::EC) => unfit("it is on another curve"),
        _ => unfit("RSA of another length"),
    })
}

/// The public half of the key, which the token must have beside it.
pub(super) fn public_key(token: &Token, session: &Session) -> Result<PublicKey, AccessError> {
    let private = token.find_key(session)?;
    let key_type = key_type(token, session, private)?;
    let fault = |error| AccessError::from(token.fault(error));
    let there = session
        .find_objects(&token.template(ObjectClass::PUBLIC_KEY))
        .map_err(fault)?;
    // A private key of RSA has both numbers of its public half.
    let holder = match (there.first(), key_type.is_rsa()) {
        (Some(public), _) => *public,
        (None, true) => private,
        (None, false) => {
            return Err(AccessError::Unfit {
                place: token.place().to_owned(),
                reason: "its public half is not in the token".to_owned(),
            });
        }
    };
    let octets = half(session, holder, key_type).map_err(fault)?;
    octets
        .map(|octets| PublicKey { key_type, octets })
        .ok_or_else(|| AccessError::Unfit {
            place: token.place().to_owned(),
            reason: "its public half cannot be read".to_owned(),
        })
}

fn half(session: &Session, holder: ObjectHandle, key_type: KeyType) -> Result<Option<Vec<u8>>, Error> {
    let wanted = match key_type.is_rsa() {
        true => &[AttributeType::Modulus, AttributeType::PublicExponent][..],
        false => &[AttributeType::EcPoint],
    };
    let found = session.get_attributes(holder, wanted)?;
    Ok(match &found[..] {
        [Attribute::Modulus(modulus), Attribute::PublicExponent(exponent)] => {
            Some(encoding::rsa_public_key(modulus, exponent))
        }
        [Attribute::EcPoint(value)] => encoding::point(key_type, value),
        _ => None,
    })
}

/// Makes a key in the token, which never leaves it, and gives its id. No other may have its name.
pub(super) fn generate(token: &Token, session: &Session, key_type: KeyType) -> Result<Vec<u8>, SignerError> {
    let fault = |error| AccessError::from(token.fault(error));
    let there = session
        .find_objects(&token.template(ObjectClass::PRIVATE_KEY))
        .map_err(fault)?;
    if !there.is_empty() {
        return Err(AccessError::Exists {
            token: token.uri().token(),
            key: token.uri().key(),
        }
        .into());
    }
    let id = match &token.uri().id {
        Some(id) => id.clone(),
        None => Random.octets::<16>()?.to_vec(),
    };
    let (mechanism, of_kind) = match (encoding::parameters(key_type), encoding::bits(key_type)) {
        (Some(parameters), _) => (Mechanism::EccKeyPairGen, vec![Attribute::EcParams(parameters)]),
        (None, Some(bits)) => (
            Mechanism::RsaPkcsKeyPairGen,
            vec![
                Attribute::ModulusBits(bits.into()),
                Attribute::PublicExponent(vec![1, 0, 1]),
            ],
        ),
        (None, None) => {
            return Err(AccessError::Unfit {
                place: token.place().to_owned(),
                reason: format!("{key_type} keys are not made in tokens"),
            }
            .into());
        }
    };
    let mut both = vec![Attribute::Token(true), Attribute::Id(id.clone())];
    both.extend(
        token
            .uri()
            .object
            .iter()
            .map(|label| Attribute::Label(label.clone().into())),
    );
    let mut public = both.clone();
    public.extend([Attribute::Private(false), Attribute::Verify(true)]);
    public.extend(of_kind);
    let mut private = both;
    private.extend([
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
    ]);
    session
        .generate_key_pair(&mechanism, &public, &private)
        .map_err(fault)?;
    Ok(id)
}

/// Destroys both halves of a key.
pub(super) fn destroy(token: &Token, session: &Session) -> Result<(), AccessError> {
    for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
        let fault = |error| AccessError::from(token.fault(error));
        for object in session.find_objects(&token.template(class)).map_err(fault)? {
            session.destroy_object(object).map_err(fault)?;
        }
    }
    Ok(())
}
