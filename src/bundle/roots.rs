//! Root certificates that profiles can name: the Amazon root CAs, by which a device knows AWS IoT Core, and the older one that
//! Amazon has of Starfield.
//!
//! They come from Mozilla's list and are picked by the SHA-256 of their DER, as Amazon Trust Services
//! publishes it, not by name. Any other root is a file of the user's own.

use std::collections::HashMap;
use std::sync::LazyLock;

use data_encoding::HEXLOWER;

use crate::digest::sha256;

/// A root certificate that is known by name.
#[derive(Debug, PartialEq, Eq)]
pub struct Root {
    /// In profiles.
    pub name: &'static str,
    fingerprint: &'static str,
}

pub(super) static ROOTS: [Root; 5] = [
    Root {
        name: "amazon-root-ca-1",
        fingerprint: "8ecde6884f3d87b1125ba31ac3fcb13d7016de7f57cc904fe1cb97c6ae98196e",
    },
    Root {
        name: "amazon-root-ca-2",
        fingerprint: "1ba5b2aa8c65401a82960118f80bec4f62304d83cec4713a19c39c011ea46db4",
    },
    Root {
        name: "amazon-root-ca-3",
        fingerprint: "18ce6cfe7bf14e60b2e347b8dfe868cb31d02ebb3ada271569f50343b46db3a4",
    },
    Root {
        name: "amazon-root-ca-4",
        fingerprint: "e35d28419ed02025cfa69038cd623962458da5c695fbdea3c22b0bfb25897092",
    },
    Root {
        name: "starfield-root-g2",
        fingerprint: "568d6905a2c88708a4b3025190edcfedb1974a606a13c6e5290fcb2ae63edab5",
    },
];

impl Root {
    /// The root that profiles call so.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        ROOTS.iter().find(|root| root.name == name)
    }

    /// # Panics
    ///
    /// Never: a test finds every root.
    #[must_use]
    pub fn der(&self) -> &'static [u8] {
        static FOUND: LazyLock<HashMap<String, &'static [u8]>> = LazyLock::new(|| {
            let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().map(AsRef::as_ref);
            roots.map(|der| (HEXLOWER.encode(&sha256(der)), der)).collect()
        });
        FOUND
            .get(self.fingerprint)
            .expect("the list has every root that is named here")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;
    use x509_parser::prelude::{FromDer, X509Certificate};

    #[test]
    fn the_roots_are_amazons_and_live_as_long_as_documented() {
        for (root, name, not_after) in [
            (
                "amazon-root-ca-1",
                "Amazon Root CA 1",
                datetime!(2038-01-17 0:00 UTC),
            ),
            (
                "amazon-root-ca-2",
                "Amazon Root CA 2",
                datetime!(2040-05-26 0:00 UTC),
            ),
            (
                "amazon-root-ca-3",
                "Amazon Root CA 3",
                datetime!(2040-05-26 0:00 UTC),
            ),
            (
                "amazon-root-ca-4",
                "Amazon Root CA 4",
                datetime!(2040-05-26 0:00 UTC),
            ),
            (
                "starfield-root-g2",
                "Starfield Services Root Certificate Authority - G2",
                datetime!(2037-12-31 23:59:59 UTC),
            ),
        ] {
            let der = Root::named(root).unwrap().der();
            let (_, certificate) = X509Certificate::from_der(der).unwrap();
            let common_name = certificate.subject().iter_common_name().next().unwrap();
            assert_eq!(common_name.as_str().unwrap(), name);
            assert_eq!(certificate.validity().not_after.to_datetime(), not_after);
        }
        assert!(Root::named("issuer").is_none());
    }
}
