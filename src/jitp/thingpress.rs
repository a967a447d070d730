//! Thingpress, AWS's bulk importer: its "generated" input has a certificate a line, the PEM in base64.
//!
//! <https://github.com/awslabs/thingpress>. It takes the thing's name from the common name.

use data_encoding::BASE64;

use super::parameter::{Facts, Parameter};
use crate::vouched::IssuedCertificate;

/// The line of a device; `None` when its certificate has no common name, from which its thing would be named.
#[must_use]
pub fn line(certificate: &IssuedCertificate) -> Option<String> {
    let facts = Facts::of_certificate(&certificate.der).ok()?;
    facts.get(Parameter::CommonName)?;
    Some(BASE64.encode(certificate.to_pem().as_bytes()))
}
