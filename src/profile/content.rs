//! What the files of a bundle hold, and in which form.

use serde::{Deserialize, Serialize};

/// What a bundle file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// The device's private key, PKCS#8.
    PrivateKey,
    /// The device's certificate alone.
    Certificate,
    /// The device's certificate, then the issuer's.
    Chain,
    /// The issuer's certificate.
    Issuer,
    #[serde(rename = "amazon-root-ca-1")]
    AmazonRootCa1,
    #[serde(rename = "amazon-root-ca-2")]
    AmazonRootCa2,
    #[serde(rename = "amazon-root-ca-3")]
    AmazonRootCa3,
    #[serde(rename = "amazon-root-ca-4")]
    AmazonRootCa4,
    /// Host, port, client id, thing name and Region, as JSON.
    Endpoint,
}

impl Content {
    /// Whether every bundle of a batch holds the same octets here.
    #[must_use]
    pub fn is_constant(self) -> bool {
        matches!(
            self,
            Self::Issuer
                | Self::AmazonRootCa1
                | Self::AmazonRootCa2
                | Self::AmazonRootCa3
                | Self::AmazonRootCa4
        )
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    Pem,
    Der,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    Stored,
    Deflated,
}
