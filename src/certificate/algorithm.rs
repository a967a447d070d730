//! AlgorithmIdentifiers, DER.

use crate::engine::SignatureAlgorithm;
use crate::profile::KeyType;

/// Of a signature: ecdsa-with-SHA256/384/512 (RFC 5758, 3.2), sha256WithRSAEncryption (RFC 4055, 5).
pub(super) fn signature(algorithm: SignatureAlgorithm) -> &'static [u8] {
    match algorithm {
        SignatureAlgorithm::EcdsaSha256 => b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02",
        SignatureAlgorithm::EcdsaSha384 => b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03",
        SignatureAlgorithm::EcdsaSha512 => b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x04",
        SignatureAlgorithm::RsaSha256 => b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00",
    }
}

/// Of a public key: id-ecPublicKey with a named curve (RFC 5480, 2.1.1), rsaEncryption (RFC 3279, 2.3.1).
pub(super) fn public_key(key_type: KeyType) -> &'static [u8] {
    match key_type {
        KeyType::P256 => {
            b"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"
        }
        KeyType::P384 => b"\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22",
        KeyType::P521 => b"\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23",
        KeyType::Rsa2048 | KeyType::Rsa3072 | KeyType::Rsa4096 => {
            b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00"
        }
    }
}
