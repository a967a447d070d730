//! Trust: which certificates a server may show.

use std::path::PathBuf;

use aws_smithy_http_client::tls::{TlsContext, TrustStore};
use rustls_pki_types::CertificateDer;

use super::SettingsError;
use crate::bounded;
use crate::pem;

/// As with the AWS CLI, `AWS_CA_BUNDLE` names the only certificates that are trusted.
pub(super) fn trust_store() -> Result<TlsContext, SettingsError> {
    let mut builder = TlsContext::builder();
    if let Some(path) = std::env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty()) {
        let path = PathBuf::from(path);
        let bundle = bounded::read_text(&path).map_err(|source| SettingsError::TrustFile {
            path: path.clone(),
            source,
        })?;
        if !has_anchors(&bundle) {
            return Err(SettingsError::said(
                format!("AWS_CA_BUNDLE {} is no PEM file of certificates", path.display()),
                "name a file of CA certificates, or unset it",
            ));
        }
        builder = builder.with_trust_store(TrustStore::empty().with_pem_certificate(bundle.into_bytes()));
    }
    builder.build().map_err(|error| {
        SettingsError::said(
            format!("TLS cannot be set up: {error}"),
            "check AWS_CA_BUNDLE and the certificates that this machine trusts",
        )
    })
}

/// Whether a PEM file has certificates, each of which can be an anchor of trust.
fn has_anchors(bundle: &str) -> bool {
    let is_anchor = |block: &pem::Block| {
        webpki::anchor_from_trusted_cert(&CertificateDer::from(block.der.as_slice())).is_ok()
    };
    match pem::blocks(bundle) {
        Ok(blocks) => !blocks.is_empty() && blocks.iter().all(is_anchor),
        Err(_) => false,
    }
}
