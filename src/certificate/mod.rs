//! Certificates: stamped, linted, signed, in that order, for a slice of devices at a time.
//!
//! Pure: time is in the stamp, randomness comes through the engine.

mod algorithm;
mod der;
mod lint;
mod serial;
mod stamp;

pub use lint::{Expected, LintError, distinct_keys, fields as lint_fields, full as lint_full};
pub use serial::{CertificateSerial, SerialPrefix};
pub use stamp::{Fields, Stamp, encode_san, encode_subject};

use crate::engine::SignatureAlgorithm;

/// Appends a Certificate (RFC 5280, 4.1) of a TBSCertificate and its signature.
pub fn assemble(tbs: &[u8], algorithm: SignatureAlgorithm, signature: &[u8], out: &mut Vec<u8>) {
    let algorithm = algorithm::signature(algorithm);
    let bits = 1 + signature.len();
    der::header(
        der::SEQUENCE,
        tbs.len() + algorithm.len() + der::element_len(bits),
        out,
    );
    out.extend_from_slice(tbs);
    out.extend_from_slice(algorithm);
    der::header(der::BIT_STRING, bits, out);
    out.push(0);
    out.extend_from_slice(signature);
}
