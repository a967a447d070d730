//! Keys as they were before PKCS#8: `EC PRIVATE KEY` (SEC1, RFC 5915) and `RSA PRIVATE KEY` (PKCS#1, RFC 8017, A.1.2), for
//! devices that know nothing else.
//!
//! An EC key names its curve, as openssl writes it.

use zeroize::Zeroizing;

use super::asn1::{INTEGER, OCTET_STRING, SEQUENCE, put, take};
use super::{Beside, Format, Sizes, Source, Unread, Value};
use crate::bundle::Content;
use crate::pem;

pub(super) struct Traditional {
    pub name: &'static str,
    pub is_rsa: bool,
    pub is_pem: bool,
}

/// Octets that a key has at most more than its PKCS#8 has: it lacks the PKCS#8 around it, and names the curve in place of it.
pub(super) const ADDED: usize = 32;

/// The version of a PKCS#8 without a public key (RFC 5958, 2).
const VERSION: &[u8] = b"\x02\x01\x00";

/// The algorithm of RSA keys in PKCS#8: rsaEncryption and NULL (RFC 8017, A.1).
const RSA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";

/// id-ecPublicKey (RFC 5480, 2.1.1).
const EC: &[u8] = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01";

const PARAMETERS: u8 = 0xa0;

impl Traditional {
    fn label(&self) -> &'static str {
        if self.is_rsa {
            "RSA PRIVATE KEY"
        } else {
            "EC PRIVATE KEY"
        }
    }
}

impl Format for Traditional {
    fn name(&self) -> &'static str {
        self.name
    }

    fn check(&self, contents: &[Content]) -> Result<(), String> {
        match contents {
            [Content::PrivateKey] => Ok(()),
            _ => Err(format!(
                "a {} file holds the private-key and nothing else",
                self.name
            )),
        }
    }

    fn is_for_rsa(&self) -> Option<bool> {
        Some(self.is_rsa)
    }

    fn room(&self, _: &[Content], sizes: &Sizes<'_>) -> usize {
        let octets = sizes.private_key + ADDED;
        if self.is_pem {
            pem::len(self.label(), octets)
        } else {
            octets
        }
    }

    fn append(&self, _: &[Content], source: &Source<'_>, out: &mut Vec<u8>) {
        let pkcs8 = source.credential.private_key;
        let mut key = Zeroizing::new(Vec::with_capacity(pkcs8.len() + ADDED));
        from_pkcs8(pkcs8, self.is_rsa, &mut key)
            .expect("the profile's keys are of the kind that its formats hold");
        match self.is_pem {
            true => pem::append(self.label(), &key, out),
            false => out.extend_from_slice(&key),
        }
    }

    fn read(&self, _: &[Content], octets: &[u8], _: &Beside<'_>) -> Result<Vec<Value>, Unread> {
        let read = |der: &[u8]| {
            let key = to_pkcs8(der, self.is_rsa).ok_or(Unread::Damaged)?;
            Ok(vec![Value::PrivateKey(key)])
        };
        if !self.is_pem {
            return read(octets);
        }
        let text = std::str::from_utf8(octets).map_err(|_| Unread::Damaged)?;
        match pem::blocks(text).map_err(|_| Unread::Damaged)?.as_slice() {
            [block] if block.label == self.label() => read(&block.der),
            _ => Err(Unread::Damaged),
        }
    }
}

/// An EC key taken apart: its version and secret, the name of its curve, and its public key, as values with their tags.
struct Ec<'a> {
    secret: &'a [u8],
    curve: Option<&'a [u8]>,
    public: &'a [u8],
}

impl<'a> Ec<'a> {
    fn read(key: &'a [u8]) -> Option<Self> {
        let (fields, _) = take(SEQUENCE, key)?;
        let (_, rest) = take(INTEGER, fields)?;
        let (_, rest) = take(OCTET_STRING, rest)?;
        let secret = &fields[..fields.len() - rest.len()];
        let (curve, public) = match take(PARAMETERS, rest) {
            Some((curve, public)) => (Some(curve), public),
            None => (None, rest),
        };
        Some(Self {
            secret,
            curve,
            public,
        })
    }
}

/// Appends the key that a PKCS#8 holds, which has the room for it; nothing, and `None`, when it holds none of this kind.
pub(super) fn from_pkcs8(pkcs8: &[u8], is_rsa: bool, out: &mut Vec<u8>) -> Option<()> {
    let (info, _) = take(SEQUENCE, pkcs8)?;
    let (_, rest) = take(INTEGER, info)?;
    let (algorithm, rest) = take(SEQUENCE, rest)?;
    let (key, _) = take(OCTET_STRING, rest)?;
    if is_rsa {
        (algorithm == RSA).then_some(())?;
        take(SEQUENCE, key)?;
        out.extend_from_slice(key);
        return Some(());
    }
    let curve = algorithm.strip_prefix(EC)?;
    let ec = Ec::read(key)?;
    let len = u8::try_from(curve.len()).ok().filter(|len| *len < 16)?;
    put(SEQUENCE, &[ec.secret, &[PARAMETERS, len], curve, ec.public], out);
    Some(())
}

/// The key of such a block of PEM as PKCS#8; `None`: the label is no traditional key's, or it is none.
#[must_use]
pub fn traditional_to_pkcs8(label: &str, der: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    match label {
        "EC PRIVATE KEY" => to_pkcs8(der, false),
        "RSA PRIVATE KEY" => to_pkcs8(der, true),
        _ => None,
    }
}

/// The key again as PKCS#8, which says the curve once, as the forge's keys do.
pub(super) fn to_pkcs8(der: &[u8], is_rsa: bool) -> Option<Zeroizing<Vec<u8>>> {
    (der.len() <= Sizes::LARGEST.private_key + ADDED).then_some(())?;
    let (_, after) = take(SEQUENCE, der)?;
    after.is_empty().then_some(())?;
    let mut algorithm = Vec::new();
    // Buffers with keys never move: each has room for its values and four octets of tag and length for each.
    let mut ec_key = Zeroizing::new(Vec::with_capacity(der.len() + 4));
    let key: &[u8] = if is_rsa {
        put(SEQUENCE, &[RSA], &mut algorithm);
        der
    } else {
        let ec = Ec::read(der)?;
        put(SEQUENCE, &[EC, ec.curve?], &mut algorithm);
        put(SEQUENCE, &[ec.secret, ec.public], &mut ec_key);
        &ec_key
    };
    let mut value = Zeroizing::new(Vec::with_capacity(key.len() + 4));
    put(OCTET_STRING, &[key], &mut value);
    let mut out = Zeroizing::new(Vec::with_capacity(
        VERSION.len() + algorithm.len() + value.len() + 4,
    ));
    put(SEQUENCE, &[VERSION, &algorithm, &value], &mut out);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::rand::SystemRandom;
    use ring::signature::{self, EcdsaKeyPair, EcdsaSigningAlgorithm};

    const CURVES: [(&EcdsaSigningAlgorithm, &[u8]); 2] = [
        (
            &signature::ECDSA_P256_SHA256_ASN1_SIGNING,
            b"\xa0\x0a\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07",
        ),
        (
            &signature::ECDSA_P384_SHA384_ASN1_SIGNING,
            b"\xa0\x07\x06\x05\x2b\x81\x04\x00\x22",
        ),
    ];

    fn converted(pkcs8: &[u8], is_rsa: bool) -> Option<Vec<u8>> {
        let mut key = Vec::with_capacity(pkcs8.len() + ADDED);
        let place = key.as_ptr();
        from_pkcs8(pkcs8, is_rsa, &mut key)?;
        assert_eq!(key.as_ptr(), place, "the buffer did not move");
        Some(key)
    }

    #[test]
    fn ec_keys_name_their_curve_and_come_back_octet_for_octet() {
        for (algorithm, parameters) in CURVES {
            let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).unwrap();
            let key = converted(pkcs8.as_ref(), false).unwrap();
            assert!(key.windows(parameters.len()).any(|window| window == parameters));
            assert_eq!(to_pkcs8(&key, false).unwrap().as_slice(), pkcs8.as_ref());
            assert!(converted(pkcs8.as_ref(), true).is_none(), "it is no RSA key");
        }
    }

    #[test]
    fn rsa_keys_come_back_octet_for_octet() {
        for len in [1, 0x7f, 0x80, 0xff, 0x100, 2400] {
            let mut key = Vec::new();
            put(SEQUENCE, &[&vec![7; len]], &mut key);
            let pkcs8 = to_pkcs8(&key, true).unwrap();
            assert_eq!(converted(&pkcs8, true).unwrap(), key);
            assert!(converted(&pkcs8, false).is_none(), "it is no EC key");
        }
    }

    #[test]
    fn what_is_cut_or_has_more_is_no_key() {
        let (algorithm, _) = CURVES[0];
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).unwrap();
        let key = converted(pkcs8.as_ref(), false).unwrap();
        for len in 0..key.len() {
            assert!(to_pkcs8(&key[..len], false).is_none(), "{len} octets");
        }
        for len in 0..pkcs8.as_ref().len() {
            assert!(converted(&pkcs8.as_ref()[..len], false).is_none(), "{len} octets");
        }
        assert!(to_pkcs8(&[&key[..], b"\0"].concat(), false).is_none());
        assert!(
            to_pkcs8(b"\x30\x80\x00\x00", true).is_none(),
            "DER says each length"
        );
    }
}
