//! Judges: signatures of one key, and key pairs, many at a time.
//!
//! What is said to be right is right by the rules of aws-lc, whatever made it: DER as X.509 carries it, scalars
//! within the order of the curve.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1, ECDSA_P521_SHA512_ASN1,
    EcdsaKeyPair, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, VerificationAlgorithm,
};

use super::SignatureAlgorithm;
use super::lanes::{Verifier, WORTHWHILE, public_keys};
use crate::digest::sha256_many;
use crate::profile::KeyType;

/// Judges signatures of one issuer's key, many at a time.
#[derive(Debug)]
pub struct Judge {
    /// `None`: the octets are no key of its type, and nothing is its signature.
    key: Option<ParsedPublicKey>,
    /// Judges many signatures of a P-256 key together.
    lanes: Option<Verifier>,
}

impl Judge {
    /// The judge of a public key, as [`super::DeviceKey::public_key`] has it.
    #[must_use]
    pub fn new(key_type: KeyType, public_key: &[u8]) -> Self {
        let algorithm: &'static dyn VerificationAlgorithm = match SignatureAlgorithm::for_key(key_type) {
            SignatureAlgorithm::EcdsaSha256 => &ECDSA_P256_SHA256_ASN1,
            SignatureAlgorithm::EcdsaSha384 => &ECDSA_P384_SHA384_ASN1,
            SignatureAlgorithm::EcdsaSha512 => &ECDSA_P521_SHA512_ASN1,
            SignatureAlgorithm::RsaSha256 => &RSA_PKCS1_2048_8192_SHA256,
        };
        Self {
            key: ParsedPublicKey::new(algorithm, public_key).ok(),
            lanes: match key_type {
                KeyType::P256 => Verifier::new(public_key),
                _ => None,
            },
        }
    }

    /// `valid[i]` becomes whether `signatures[i]`, as X.509 carries it, over `messages[i]` is the key's. The slices
    /// have one length.
    ///
    /// # Panics
    ///
    /// When they have not.
    pub fn verify(&self, messages: &[&[u8]], signatures: &[&[u8]], valid: &mut [bool]) {
        assert!(messages.len() == signatures.len() && messages.len() == valid.len());
        if messages.len() >= WORTHWHILE
            && let Some(lanes) = &self.lanes
        {
            let mut digests = vec![[0; 32]; messages.len()];
            sha256_many(messages, &mut digests);
            if lanes.verify(&digests, signatures, valid) {
                return;
            }
        }
        for ((message, signature), valid) in messages.iter().zip(signatures).zip(valid) {
            let key = self.key.as_ref();
            *valid = key.is_some_and(|key| key.verify_sig(message, signature).is_ok());
        }
    }
}

/// `matches[i]` becomes whether the P-256 scalar `scalars[i]`, big endian, makes `points[i]`, uncompressed (SEC 1,
/// 2.3.3). The slices have one length.
///
/// # Panics
///
/// When they have not.
pub fn scalars_match(scalars: &[[u8; 32]], points: &[[u8; 65]], matches: &mut [bool]) {
    assert!(scalars.len() == points.len() && scalars.len() == matches.len());
    if scalars.len() >= WORTHWHILE
        && let Some(made) = public_keys(scalars)
    {
        for ((made, point), matches) in made.iter().zip(points).zip(matches) {
            *matches = made == point;
        }
        return;
    }
    for ((scalar, point), matches) in scalars.iter().zip(points).zip(matches) {
        // Compares the public key with the one that the scalar gives.
        let pair =
            EcdsaKeyPair::from_private_key_and_public_key(&ECDSA_P256_SHA256_ASN1_SIGNING, scalar, point);
        *matches = pair.is_ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{AwsLc, DeviceKey, Engine, KeyMaker, KeySigner, PrivateKey};

    fn keys<const N: usize>(key_type: KeyType) -> [DeviceKey; N] {
        let mut keys = std::array::from_fn(|_| DeviceKey::default());
        AwsLc.make_keys(key_type, &mut keys).unwrap();
        keys
    }

    fn signer(key: &DeviceKey) -> Box<dyn KeySigner> {
        let private = PrivateKey::from_pkcs8(key.pkcs8()).unwrap();
        AwsLc.signer(&private.prove(key.public_key()).unwrap()).unwrap()
    }

    #[test]
    fn a_signature_is_the_keys_over_the_message_and_no_other() {
        for key_type in [KeyType::P256, KeyType::P384, KeyType::P521, KeyType::Rsa2048] {
            let [key, other] = keys(key_type);
            let messages: Vec<Vec<u8>> = (0..20).map(|i| vec![i; 300]).collect();
            let messages: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
            let mut signatures = vec![Vec::new(); messages.len()];
            signer(&key).sign(&messages, &mut signatures).unwrap();
            let mut of_other = vec![Vec::new(); messages.len()];
            signer(&other).sign(&messages, &mut of_other).unwrap();
            signatures[3] = of_other.swap_remove(3);
            signatures.swap(7, 8);
            *signatures[11].last_mut().unwrap() ^= 1;
            signatures[13].push(0);
            signatures[14].clear();
            let signatures: Vec<&[u8]> = signatures.iter().map(Vec::as_slice).collect();
            let mut valid = [false; 20];
            Judge::new(key_type, key.public_key()).verify(&messages, &signatures, &mut valid);
            for (i, valid) in valid.into_iter().enumerate() {
                assert_eq!(valid, ![3, 7, 8, 11, 13, 14].contains(&i), "{key_type}, {i}");
            }
            let mut valid = [true; 20];
            Judge::new(key_type, b"no key").verify(&messages, &signatures, &mut valid);
            assert_eq!(valid, [false; 20]);
        }
    }

    /// So many that they are judged together, where faults stand beside what is right.
    #[test]
    fn many_are_judged_as_one_by_one() {
        let [key, other] = keys(KeyType::P256);
        let messages: Vec<Vec<u8>> = (0..700u32).map(|i| i.to_be_bytes().repeat(80)).collect();
        let messages: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
        let mut signatures = vec![Vec::new(); messages.len()];
        signer(&key).sign(&messages, &mut signatures).unwrap();
        let mut of_other = vec![Vec::new(); messages.len()];
        signer(&other).sign(&messages, &mut of_other).unwrap();
        for i in (0..messages.len()).step_by(7) {
            match i % 4 {
                0 => signatures[i] = of_other[i].clone(),
                1 => signatures.swap(i, i + 1),
                2 => *signatures[i].last_mut().unwrap() ^= 1,
                _ => signatures[i].clear(),
            }
        }
        let signatures: Vec<&[u8]> = signatures.iter().map(Vec::as_slice).collect();
        let judge = Judge::new(KeyType::P256, key.public_key());
        let mut together = vec![false; messages.len()];
        judge.verify(&messages, &signatures, &mut together);
        for (i, together) in together.iter().enumerate() {
            let mut alone = [false];
            judge.verify(&messages[i..=i], &signatures[i..=i], &mut alone);
            assert_eq!(*together, alone[0], "{i}");
        }
        assert!(together.contains(&true) && together.contains(&false));
    }

    #[test]
    fn many_scalars_are_matched_as_one_by_one() {
        let keys: [_; 300] = keys(KeyType::P256);
        let mut scalars: Vec<[u8; 32]> = keys
            .iter()
            .map(|key| key.pkcs8()[36..68].try_into().unwrap())
            .collect();
        let points: Vec<[u8; 65]> = keys
            .iter()
            .map(|key| key.public_key().try_into().unwrap())
            .collect();
        scalars.swap(3, 290);
        scalars[40][31] ^= 1;
        for bad in [None, Some([0; 32]), Some([0xff; 32])] {
            if let Some(bad) = bad {
                scalars[100] = bad;
            }
            let mut matches = [true; 300];
            scalars_match(&scalars, &points, &mut matches);
            for (i, matches) in matches.into_iter().enumerate() {
                let is_wrong = [3, 290, 40].contains(&i) || bad.is_some() && i == 100;
                assert_eq!(matches, !is_wrong, "{i}");
            }
        }
    }

    #[test]
    fn signatures_out_of_range_or_not_in_der_are_nobodys() {
        let [key] = keys(KeyType::P256);
        let mut signatures = [Vec::new()];
        signer(&key).sign(&[b"message"], &mut signatures).unwrap();
        let [signature] = signatures;
        let order = b"\x02\x21\x00\xff\xff\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xbc\xe6\xfa\xad\xa7\x17\x9e\x84\xf3\xb9\xca\xc2\xfc\x63\x25\x51";
        let sequence = |parts: &[&[u8]]| {
            let body = parts.concat();
            [&[0x30, u8::try_from(body.len()).unwrap()], &body[..]].concat()
        };
        let r = &signature[2..4 + usize::from(signature[3])];
        let s = &signature[2 + r.len()..];
        // The length in two octets, where one is enough.
        let long = [&[0x30, 0x81], &signature[1..]].concat();
        let cases = [
            (sequence(&[r, s]), true),
            (sequence(&[b"\x02\x01\x00", s]), false),
            (sequence(&[r, b"\x02\x01\x00"]), false),
            (sequence(&[order, s]), false),
            (sequence(&[r, order]), false),
            (sequence(&[r, s, b"\x05\x00"]), false),
            (long, false),
        ];
        for (signature, expected) in cases {
            let mut valid = [!expected];
            Judge::new(KeyType::P256, key.public_key()).verify(&[b"message"], &[&signature], &mut valid);
            assert_eq!(valid, [expected], "{signature:02x?}");
        }
    }

    #[test]
    fn a_scalar_makes_its_own_point_and_no_other() {
        let keys: [_; 20] = keys(KeyType::P256);
        let mut scalars: Vec<[u8; 32]> = keys
            .iter()
            .map(|key| key.pkcs8()[36..68].try_into().unwrap())
            .collect();
        let mut points: Vec<[u8; 65]> = keys
            .iter()
            .map(|key| key.public_key().try_into().unwrap())
            .collect();
        points.swap(3, 4);
        points[6][64] ^= 1;
        points[7][0] = 2;
        scalars[9] = [0; 32];
        scalars[10] = [0xff; 32];
        let mut matches = [false; 20];
        scalars_match(&scalars, &points, &mut matches);
        for (i, matches) in matches.into_iter().enumerate() {
            assert_eq!(matches, ![3, 4, 6, 7, 9, 10].contains(&i), "{i}");
        }
    }
}
