//! The Amazon root CAs, by which a device knows AWS IoT Core.
//!
//! They come from Mozilla's list and are picked by the SHA-256 of their DER, as Amazon Trust Services
//! publishes it, not by name.

use data_encoding::HEXLOWER;

use crate::digest::sha256;
use crate::profile::recipe::Content;

const FINGERPRINTS: [(Content, &str); 4] = [
    (
        Content::AmazonRootCa1,
        "8ecde6884f3d87b1125ba31ac3fcb13d7016de7f57cc904fe1cb97c6ae98196e",
    ),
    (
        Content::AmazonRootCa2,
        "1ba5b2aa8c65401a82960118f80bec4f62304d83cec4713a19c39c011ea46db4",
    ),
    (
        Content::AmazonRootCa3,
        "18ce6cfe7bf14e60b2e347b8dfe868cb31d02ebb3ada271569f50343b46db3a4",
    ),
    (
        Content::AmazonRootCa4,
        "e35d28419ed02025cfa69038cd623962458da5c695fbdea3c22b0bfb25897092",
    ),
];

/// The DER of an Amazon root CA; `None` when the content is no such root.
#[must_use]
pub fn amazon_root(content: Content) -> Option<&'static [u8]> {
    let (_, fingerprint) = FINGERPRINTS.iter().find(|(root, _)| *root == content)?;
    webpki_root_certs::TLS_SERVER_ROOT_CERTS
        .iter()
        .map(AsRef::as_ref)
        .find(|der| HEXLOWER.encode(&sha256(der)) == *fingerprint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;
    use x509_parser::prelude::{FromDer, X509Certificate};

    #[test]
    fn the_roots_are_amazons_and_live_as_long_as_documented() {
        for (content, name, not_after) in [
            (
                Content::AmazonRootCa1,
                "Amazon Root CA 1",
                datetime!(2038-01-17 0:00 UTC),
            ),
            (
                Content::AmazonRootCa2,
                "Amazon Root CA 2",
                datetime!(2040-05-26 0:00 UTC),
            ),
            (
                Content::AmazonRootCa3,
                "Amazon Root CA 3",
                datetime!(2040-05-26 0:00 UTC),
            ),
            (
                Content::AmazonRootCa4,
                "Amazon Root CA 4",
                datetime!(2040-05-26 0:00 UTC),
            ),
        ] {
            let der = amazon_root(content).unwrap();
            let (_, certificate) = X509Certificate::from_der(der).unwrap();
            let common_name = certificate.subject().iter_common_name().next().unwrap();
            assert_eq!(common_name.as_str().unwrap(), name);
            assert_eq!(certificate.validity().not_after.to_datetime(), not_after);
        }
        assert!(amazon_root(Content::Issuer).is_none());
    }
}
