//! Signatures with one issuer's key.

use aws_lc_rs::digest::{SHA256, SHA384, digest};
use zeroize::Zeroizing;

use super::curve::{Curve, GROUP, Number};
use super::encode;
use super::foreign::{CryptoMb, LANES, Octets};
use super::{Turn, draw, failed};
use crate::engine::{EngineError, SignatureAlgorithm, Signer, verifies};

/// Nonces are drawn for each group anew, and every lane has one, also those that are not needed.
pub struct MultiBufferSigner {
    library: &'static CryptoMb,
    curve: Curve,
    /// In a place of its own, so that a signer that moves leaves no copy behind.
    key: Box<Zeroizing<Number>>,
    public_key: Vec<u8>,
    turn: Turn,
}

const EMPTY: Octets = Octets([0; 64]);

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
    fn digest(&self, message: &[u8]) -> Octets {
        let hash = match self.curve {
            Curve::P256 => &SHA256,
            Curve::P384 => &SHA384,
        };
        self.reduced(digest(hash, message).as_ref())
    }

    fn reduced(&self, digest: &[u8]) -> Octets {
        let mut reduced = EMPTY;
        self.curve
            .reduce(digest)
            .write(&mut reduced.0[..self.curve.octets()]);
        reduced
    }

    /// Signs [`GROUP`] digests at most.
    ///
    /// A digest that is 0 modulo the order is refused by the library: nobody can make such a message.
    fn sign_digests(&self, digests: &[Octets], signatures: &mut [Vec<u8>]) -> Result<(), EngineError> {
        let n = self.curve.octets();
        let mut nonces = Zeroizing::new([Number::default(); GROUP]);
        // A nonce that somebody knows gives the private key away, be its signature thrown away or not.
        draw(self.curve, &mut nonces[..digests.len().next_multiple_of(LANES)])?;
        let (nonces, _) = nonces.as_chunks::<LANES>();
        let (mut r, mut s) = ([EMPTY; LANES], [EMPTY; LANES]);
        let blocks = digests.chunks(LANES).zip(signatures.chunks_mut(LANES));
        for ((digests, signatures), nonces) in blocks.zip(nonces) {
            // The lanes that are not needed sign the first digest once more.
            let mut of_lanes = [digests[0]; LANES];
            of_lanes[..digests.len()].copy_from_slice(digests);
            self.library
                .sign(self.curve, &of_lanes, nonces, &self.key, &mut r, &mut s)
                .map_err(|_| failed("sign"))?;
            for (signature, (r, s)) in signatures.iter_mut().zip(r.iter().zip(&s)) {
                encode::signature(&r.0[..n], &s.0[..n], signature);
            }
        }
        Ok(())
    }

    /// Signs [`GROUP`] messages at most, and holds one of the signatures against aws-lc.
    fn sign_group(&self, messages: &[&[u8]], signatures: &mut [Vec<u8>]) -> Result<(), EngineError> {
        let mut digests = [EMPTY; GROUP];
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

impl Signer for MultiBufferSigner {
    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::for_key(self.curve.key_type())
    }

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
    use crate::engine::{AwsLc, DeviceKey, Engine, MultiBuffer, PrivateKey, SigningKey};

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
                    group[turn] = signer.reduced(digest);
                    let mut signatures = vec![Vec::new(); LANES];
                    signer.sign_digests(&group, &mut signatures).unwrap();
                    assert!(accepts(&signer, digest, &signatures[turn]), "{digest:02x?}");
                    assert!(!accepts(&signer, digest, &signatures[(turn + 1) % LANES]));
                }
            }
        }
    }

    #[test]
    fn a_digest_that_is_zero_is_refused_in_every_lane() {
        let Some(library) = for_tests() else { return };
        for curve in [Curve::P256, Curve::P384] {
            let signer = signer(library, curve);
            let mut order = vec![0; curve.octets()];
            curve.order().write(&mut order);
            for digest in [vec![0; curve.octets()], order] {
                for lane in 0..LANES {
                    let mut group = vec![signer.digest(b"a neighbour"); LANES];
                    group[lane] = signer.reduced(&digest);
                    let mut signatures = vec![Vec::new(); LANES];
                    assert!(signer.sign_digests(&group, &mut signatures).is_err());
                }
            }
        }
    }

    #[test]
    fn what_is_no_scalar_signs_nothing() {
        use crate::engine::multi_buffer::foreign::Fault;
        let Some(library) = for_tests() else { return };
        for curve in [Curve::P256, Curve::P384] {
            let digests = [signer(library, curve).digest(b"message"); LANES];
            let (mut r, mut s) = ([EMPTY; LANES], [EMPTY; LANES]);
            for bad in [Number::default(), *curve.order()] {
                for lane in 0..LANES {
                    let mut nonces = [Number::ONE; LANES];
                    nonces[lane] = bad;
                    let signed = library.sign(curve, &digests, &nonces, &Number::ONE, &mut r, &mut s);
                    assert_eq!(signed, Err(Fault::Scalar { lane }));
                }
                let nonces = [Number::ONE; LANES];
                let signed = library.sign(curve, &digests, &nonces, &bad, &mut r, &mut s);
                assert_eq!(signed, Err(Fault::Scalar { lane: 0 }));
            }
            assert!(
                r.iter().chain(&s).all(|half| half.0 == [0; 64]),
                "nothing came out"
            );
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
