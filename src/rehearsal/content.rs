//! What a file of a bundle holds, found by what it is.

use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use crate::bundle::EndpointFile;
use crate::bundle::format::{Value, traditional_to_pkcs8};
use crate::pem;

/// What a file of a bundle holds, or a part of it.
pub(super) enum Content {
    Endpoint(EndpointFile<'static>),
    Key {
        der: Zeroizing<Vec<u8>>,
        is_pem: bool,
    },
    /// One or more, each signed by the next.
    Certificates {
        ders: Vec<Vec<u8>>,
        is_pem: bool,
    },
}

impl Content {
    /// The same, that no file holds as it is.
    pub(super) fn of_no_file(self) -> Self {
        match self {
            Self::Key { der, .. } => Self::Key { der, is_pem: false },
            Self::Certificates { ders, .. } => Self::Certificates { ders, is_pem: false },
            endpoint @ Self::Endpoint(_) => endpoint,
        }
    }

    pub(super) fn of(value: Value) -> Option<Self> {
        Some(match value {
            Value::PrivateKey(der) => Self::Key { der, is_pem: false },
            Value::Certificates(ders) => Self::Certificates { ders, is_pem: false },
            Value::Endpoint(endpoint) => Self::Endpoint(endpoint),
            Value::File(_) | Value::Drawn(_) => return None,
        })
    }
}

/// What a file holds that is PEM, DER or JSON.
pub(super) fn read(content: Zeroizing<Vec<u8>>) -> Vec<Content> {
    if let Ok(endpoint) = serde_json::from_slice(&content) {
        return vec![Content::Endpoint(endpoint)];
    }
    if X509Certificate::from_der(&content).is_ok() {
        return vec![Content::Certificates {
            ders: vec![content.to_vec()],
            is_pem: false,
        }];
    }
    let text = std::str::from_utf8(&content).ok();
    let Some(blocks) = text.and_then(|text| pem::blocks(text).ok()) else {
        // Of all that certforge puts into a bundle, only a private key in DER is left.
        return vec![Content::Key {
            der: content,
            is_pem: false,
        }];
    };
    let (certificates, others): (Vec<_>, Vec<_>) = blocks
        .into_iter()
        .partition(|block| block.label == pem::CERTIFICATE);
    let key = others.into_iter().filter_map(|block| {
        let der = match block.label.as_str() {
            pem::PRIVATE_KEY => Some(block.der),
            label => traditional_to_pkcs8(label, &block.der),
        };
        Some(Content::Key {
            der: der?,
            is_pem: true,
        })
    });
    let ders = certificates.iter().map(|block| block.der.to_vec()).collect();
    let chains = chains(ders).into_iter();
    let chains = chains.map(|ders| Content::Certificates { ders, is_pem: true });
    key.chain(chains).collect()
}

/// The certificates of a file, which may hold several chains: a new one begins where a certificate is not its
/// predecessor's issuer. The same certificate again belongs to the chain that goes on from it.
fn chains(ders: Vec<Vec<u8>>) -> Vec<Vec<Vec<u8>>> {
    let mut chains: Vec<Vec<Vec<u8>>> = Vec::new();
    for der in ders {
        match chains.last_mut() {
            Some(chain) if chain.last() == Some(&der) => {}
            Some(chain) if chain.last().is_some_and(|last| is_issued_by(last, &der)) => chain.push(der),
            _ => chains.push(vec![der]),
        }
    }
    chains
}

pub(super) fn is_issued_by(der: &[u8], issuer: &[u8]) -> bool {
    let [own, issuer] = [der, issuer].map(X509Certificate::from_der);
    own.is_ok_and(|(_, own)| {
        issuer.is_ok_and(|(_, issuer)| own.issuer().as_raw() == issuer.subject().as_raw())
    })
}
