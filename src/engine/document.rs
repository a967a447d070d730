//! PKCS#8 documents of EC keys (RFC 5958 with RFC 5915), filled in place.
//!
//! They are, to the octet, what ring and aws-lc write: the private key with its public key, without
//! parameters of its own.

use crate::profile::KeyType;

/// What the documents of a curve share.
#[derive(Debug)]
pub(super) struct Document {
    /// PrivateKeyInfo with id-ecPublicKey and the curve, ECPrivateKey of version 1, up to the scalar.
    head: &'static [u8],
    /// Between the scalar and the coordinates: publicKey, tag 1, an uncompressed point.
    middle: [u8; 6],
    /// Octets of a scalar and of a coordinate.
    octets: usize,
}

const P256: Document = Document {
    head: b"\x30\x81\x87\x02\x01\x00\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\
        \x04\x6d\x30\x6b\x02\x01\x01\x04\x20",
    middle: *b"\xa1\x44\x03\x42\x00\x04",
    octets: 32,
};

const P384: Document = Document {
    head: b"\x30\x81\xb6\x02\x01\x00\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22\x04\x81\
        \x9e\x30\x81\x9b\x02\x01\x01\x04\x30",
    middle: *b"\xa1\x64\x03\x62\x00\x04",
    octets: 48,
};

impl Document {
    /// The documents of these keys, where an engine may write them without its library's help.
    pub(super) fn of(key_type: KeyType) -> Option<&'static Self> {
        match key_type {
            KeyType::P256 => Some(&P256),
            KeyType::P384 => Some(&P384),
            _ => None,
        }
    }

    /// Octets of a document.
    pub(super) fn len(&self) -> usize {
        self.head.len() + self.middle.len() + 3 * self.octets
    }

    /// Octets of an uncompressed point (SEC 1, 2.3.3), which is what a document ends with.
    pub(super) fn point_len(&self) -> usize {
        1 + 2 * self.octets
    }

    /// Writes a document into a place of its length. `fill` gets the places of the private key and of both
    /// coordinates, which lie one behind the other; the most significant octet comes first in each.
    pub(super) fn write(&self, place: &mut [u8], fill: impl FnOnce(&mut [u8], &mut [u8])) {
        let (head, rest) = place.split_at_mut(self.head.len());
        let (private, rest) = rest.split_at_mut(self.octets);
        let (middle, coordinates) = rest.split_at_mut(self.middle.len());
        head.copy_from_slice(self.head);
        middle.copy_from_slice(&self.middle);
        fill(private, coordinates);
    }
}

impl Document {
    /// The private key of a document, its most significant octet first.
    pub(super) fn private<'a>(&self, document: &'a [u8]) -> &'a [u8] {
        &document[self.head.len()..][..self.octets]
    }
}

/// The scalar and the uncompressed point of a P-256 key, PKCS#8, if it is written as [`Document`] has it.
pub(crate) fn scalar_and_point(pkcs8: &[u8]) -> Option<(&[u8; 32], &[u8; 65])> {
    let (scalar, rest) = pkcs8.strip_prefix(P256.head)?.split_first_chunk()?;
    // The middle ends with the first octet of the point.
    let (before, _) = rest.split_at_checked(P256.middle.len() - 1)?;
    let point = rest[before.len()..].try_into().ok()?;
    rest.starts_with(&P256.middle).then_some((scalar, point))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{AwsLc, DeviceKey, KeyMaker, Ring};
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair,
    };

    #[test]
    fn documents_are_what_ring_and_aws_lc_write() {
        for key_type in [KeyType::P256, KeyType::P384] {
            let document = Document::of(key_type).unwrap();
            let algorithm = match key_type {
                KeyType::P256 => &ECDSA_P256_SHA256_ASN1_SIGNING,
                _ => &ECDSA_P384_SHA384_ASN1_SIGNING,
            };
            let aws_lc = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).unwrap();
            let mut ring = [DeviceKey::default()];
            Ring.make_keys(key_type, &mut ring).unwrap();
            let mut own = [DeviceKey::default()];
            AwsLc.make_keys(key_type, &mut own).unwrap();
            for theirs in [aws_lc.as_ref(), ring[0].pkcs8(), own[0].pkcs8()] {
                let private = document.head.len()..document.head.len() + document.octets;
                let mut ours = vec![0; document.len()];
                document.write(&mut ours, |place, coordinates| {
                    place.copy_from_slice(&theirs[private.clone()]);
                    coordinates.copy_from_slice(&theirs[theirs.len() - 2 * document.octets..]);
                });
                assert!(ours == theirs, "{key_type}");
            }
        }
    }
}
