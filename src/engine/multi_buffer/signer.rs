//! Signatures with one issuer's key.

use aws_lc_rs::digest::{SHA256, SHA384, digest};
use zeroize::Zeroizing;

use super::curve::{Curve, GROUP, MAX_OCTETS, Number};
use super::foreign::CryptoMb;
use super::group::sign;
use super::{Turn, draw, encode, failed};
use crate::engine::{EngineError, KeySigner, verifies};

/// Nonces are drawn for each group anew.
pub struct MultiBufferSigner {
    library: &'static CryptoMb,
    curve: Curve,
    /// In a place of its own, so that a signer that moves leaves no copy behind.
    key: Box<Zeroizing<Number>>,
    public_key: Vec<u8>,
    turn: Turn,
}

impl MultiBufferSigner {
    pub fn new(library: &'static CryptoMb, curve: Curve, scalar: &[u8], public_key: &[u8]) -> Self {
        let mut key = Box::new(Zeroizing::new(Number::default()));
        key.read(scalar);
        Self {
            library,
            curve,
            key,
            public_key: public_key.to_vec(),
            turn: Turn::new(),
        }
    }

    /// A message's digest, modulo the order.
    fn digest(&self, message: &[u8]) -> Number {
        let hash = match self.curve {
            Curve::P256 => &SHA256,
            Curve::P384 => &SHA384,
        };
        self.curve.reduce(digest(hash, message).as_ref())
    }

    /// Signs [`GROUP`] digests at most.
    fn sign_digests(&self, digests: &[Number], signatures: &mut [Vec<u8>]) -> Result<(), EngineError> {
        // In a lane that is not needed the nonce stays 1, and with it nothing is signed.
        let mut nonces = Zeroizing::new([Number::ONE; GROUP]);
        draw(self.curve, &mut nonces[..digests.len()])?;
        let (mut r, mut s) = ([Number::default(); GROUP], [Number::default(); GROUP]);
        sign(
            self.library,
            self.curve,
            &self.key,
            digests,
            &nonces,
            &mut r,
            &mut s,
        )?;
        let n = self.curve.octets();
        let (mut r_octets, mut s_octets) = ([0; MAX_OCTETS], [0; MAX_OCTETS]);
        for (signature, (r, s)) in signatures.iter_mut().zip(r.iter().zip(&s)) {
            r.write(&mut r_octets[..n]);
            s.write(&mut s_octets[..n]);
            encode::signature(&r_octets[..n], &s_octets[..n], signature);
        }
        Ok(())
    }

    /// Signs [`GROUP`] messages at most, and holds one of the signatures against aws-lc.
    fn sign_group(&self, messages: &[&[u8]], signatures: &mut [Vec<u8>]) -> Result<(), EngineError> {
        let mut digests = [Number::default(); GROUP];
        let digests = &mut digests[..messages.len()];
        for (digest, message) in digests.iter_mut().zip(messages) {
            *digest = self.digest(message);
        }
        self.sign_digests(digests, signatures)?;
        let i = self.turn.next(messages.len());
        match verifies(
            self.curve.key_type(),
            &self.public_key,
            messages[i],
            &signatures[i],
        ) {
            true => Ok(()),
            false => Err(failed("make signatures that another library accepts")),
        }
    }
}

impl KeySigner for MultiBufferSigner {
    fn sign(&self, messages: &[&[u8]], signatures: &mut [Vec<u8>]) -> Result<(), EngineError> {
        let signed = messages
            .chunks(GROUP)
            .zip(signatures.chunks_mut(GROUP))
            .try_for_each(|(messages, signatures)| self.sign_group(messages, signatures));
        if signed.is_err() {
            signatures.iter_mut().for_each(Vec::clear);
        }
        signed
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::digest::Digest;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, UnparsedPublicKey};

    use super::super::for_tests;
    use super::*;
    use crate::engine::multi_buffer::foreign::{LANES, Octets};
    use crate::engine::{AwsLc, DeviceKey, Engine, KeyMaker, MultiBuffer, PrivateKey, SigningKey};

    fn key(curve: Curve) -> SigningKey {
        let mut keys = [DeviceKey::default()];
        AwsLc.make_keys(curve.key_type(), &mut keys).unwrap();
        let private = PrivateKey::from_pkcs8(keys[0].pkcs8()).unwrap();
        private.prove(keys[0].public_key()).unwrap()
    }

    fn signer(library: &'static CryptoMb, curve: Curve) -> MultiBufferSigner {
        match key(curve).secret() {
            crate::engine::key::Secret::Ec { scalar, public_key } => {
                MultiBufferSigner::new(library, curve, scalar, public_key)
            }
            crate::engine::key::Secret::Rsa { .. } => unreachable!("it is an EC key"),
        }
    }

    fn accepts(signer: &MultiBufferSigner, digest: &[u8], signature: &[u8]) -> bool {
        let (verifies, hash) = match signer.curve {
            Curve::P256 => (&ECDSA_P256_SHA256_ASN1, &SHA256),
            Curve::P384 => (&ECDSA_P384_SHA384_ASN1, &SHA384),
        };
        let digest = Digest::import_less_safe(digest, hash).unwrap();
        UnparsedPublicKey::new(verifies, &signer.public_key)
            .verify_digest(&digest, signature)
            .is_ok()
    }

    #[test]
    fn digests_at_the_edges_are_signed_in_every_lane() {
        let Some(library) = for_tests() else { return };
        for curve in [Curve::P256, Curve::P384] {
            let n = curve.octets();
            let octets = |number: &Number| {
                let mut octets = vec![0; n];
                number.write(&mut octets);
                octets
            };
            let mut above = *curve.order();
            above.0[0] += 1;
            let mut leading_zeros = vec![0xa5; n];
            leading_zeros[..5].fill(0);
            let digests = [
                octets(&Number::ONE),
                octets(&curve.order().minus(&Number::ONE)),
                octets(&above),
                vec![0xff; n],
                leading_zeros,
                [&[0x80][..], &vec![0; n - 1]].concat(),
                [&vec![0; n - 1][..], &[0x80]].concat(),
            ];
            let signer = signer(library, curve);
            for turn in 0..LANES {
                for digest in &digests {
                    let mut group = vec![signer.digest(b"a neighbour"); LANES];
                    group[turn] = curve.reduce(digest);
                    let mut signatures = vec![Vec::new(); LANES];
                    signer.sign_digests(&group, &mut signatures).unwrap();
                    assert!(accepts(&signer, digest, &signatures[turn]), "{digest:02x?}");
                    assert!(!accepts(&signer, digest, &signatures[(turn + 1) % LANES]));
                }
            }
        }
    }

    #[test]
    fn what_is_no_scalar_signs_nothing() {
        let Some(library) = for_tests() else { return };
        for curve in [Curve::P256, Curve::P384] {
            let digests = [signer(library, curve).digest(b"message"); GROUP];
            for bad in [Number::default(), *curve.order()] {
                for lane in 0..GROUP {
                    let mut nonces = [Number::ONE; GROUP];
                    nonces[lane] = bad;
                    let (mut r, mut s) = ([Number::default(); GROUP], [Number::default(); GROUP]);
                    assert!(sign(library, curve, &Number::ONE, &digests, &nonces, &mut r, &mut s).is_err());
                    assert!(s == [Number::default(); GROUP], "nothing came out");
                }
            }
        }
    }

    #[test]
    fn a_nonce_and_a_key_give_the_signature_that_they_must() {
        let Some(library) = for_tests() else { return };
        for curve in [Curve::P256, Curve::P384] {
            let last = curve.order().minus(&Number::ONE);
            let scalars = [
                Number::ONE,
                Number([2, 0, 0, 0, 0, 0, 0, 0]),
                last,
                last.minus(&Number::ONE),
            ];
            for key in scalars {
                for (i, nonce) in scalars.into_iter().enumerate() {
                    // A lane of its own for each, beside neighbours.
                    let mut nonces = [last; GROUP];
                    nonces[7 * i] = nonce;
                    let digests = [curve.reduce(&[0xa5; 32]); GROUP];
                    let (mut r, mut s) = ([Number::default(); GROUP], [Number::default(); GROUP]);
                    sign(library, curve, &key, &digests, &nonces, &mut r, &mut s).unwrap();
                    // The library's own signature is the same.
                    let octets = |number: &Number| {
                        let mut octets = Octets([0; 64]);
                        number.write(&mut octets.0[..curve.octets()]);
                        octets.0
                    };
                    let digest = [Octets(octets(&digests[0])); LANES];
                    let (mut their_r, mut their_s) = ([Octets([0; 64]); LANES], [Octets([0; 64]); LANES]);
                    library
                        .sign(curve, &digest, &[nonce; LANES], &key, &mut their_r, &mut their_s)
                        .unwrap();
                    assert_eq!(octets(&r[7 * i]), their_r[0].0);
                    assert_eq!(octets(&s[7 * i]), their_s[0].0);
                }
            }
        }
    }

    #[test]
    fn batches_of_every_size_are_signed() {
        if for_tests().is_none() {
            return;
        }
        for curve in [Curve::P256, Curve::P384] {
            let key = key(curve);
            let signer = MultiBuffer.signer(&key).unwrap();
            for size in (0..=17).chain([63, 64, 65, 130]) {
                let messages: Vec<Vec<u8>> = (0..size).map(|i| vec![7; i]).collect();
                let messages: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
                // What is in a slot before does not matter.
                let mut signatures = vec![vec![9; 200]; size];
                signer.sign(&messages, &mut signatures).unwrap();
                for (message, signature) in messages.iter().zip(&signatures) {
                    assert!(key.verifies(message, signature), "{size} signatures");
                }
            }
        }
    }

    #[test]
    fn a_signature_that_another_library_refuses_leaves_none() {
        let Some(library) = for_tests() else { return };
        let mut signer = signer(library, Curve::P256);
        signer.public_key = key(Curve::P256).public_key().to_vec();
        let mut signatures = vec![Vec::new(); 3];
        let signed = signer.sign(&[b"one", b"two", b"three"], &mut signatures);
        assert!(matches!(signed, Err(EngineError::Failed { .. })));
        assert!(signatures.iter().all(Vec::is_empty));
    }
}
