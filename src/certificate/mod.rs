//! Certificates: stamped, linted, signed, in that order, for a slice of devices at a time.
//!
//! Pure but for the signer, which may be far away: time is in the stamp, randomness is drawn before.

mod algorithm;
mod der;
mod lint;
mod linted;
mod serial;
mod stamp;

pub use lint::{Expected, LintError};
pub use linted::{Linted, Signed, Stamped};
pub use serial::{CertificateSerial, SerialPrefix};
pub use stamp::{Fields, Stamp, encode_san, encode_subject};
