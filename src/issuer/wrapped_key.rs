//! The key of a CA on disk, encrypted so that only a token opens it.
//!
//! AES-256-GCM with a secret that the token has wrapped; what is authenticated with it is the certificate. A wrong key in the
//! token, another certificate or a changed octet is noticed, not used.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::key_file::refuse_exposed_folder;
use super::{AskSecret, IssuerError, Secret};
use crate::bounded;
use crate::digest::sha256;
use crate::engine::{PrivateKey, Random};
use crate::exposure;
use crate::signer::{self, KeyUri, SECRET, Wrapping};

/// The file, in the folder of its CA.
pub const WRAPPED_KEY_FILE: &str = "key.wrapped";

/// What the file says. Octets are in Base64.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    /// The key that opens the secret.
    opened_by: String,
    how: Wrapping,
    /// Whether that key was made for this one, and ends with it.
    made_for_it: bool,
    secret: String,
    nonce: String,
    key: String,
}

/// Writes a new key, PKCS#8, such that the key at `uri` opens it.
pub(super) fn write(
    path: &Path,
    (pkcs8, certificate): (&[u8], &[u8]),
    uri: &KeyUri,
    ask: AskSecret<'_>,
) -> Result<(), IssuerError> {
    let secret = Zeroizing::new(Random.octets::<SECRET>()?);
    let nonce = Random.octets::<12>()?;
    let mut sealed = Zeroizing::new(pkcs8.to_vec());
    key(&*secret)
        .seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            about(certificate),
            &mut *sealed,
        )
        .expect("a key is shorter than any limit");
    let wrapped = signer::wrap(uri, &secret, &mut |token| ask(Secret::Pin(token)))?;
    let document = Document {
        version: 1,
        opened_by: wrapped.uri.to_string(),
        how: wrapped.how,
        made_for_it: wrapped.is_made,
        secret: BASE64.encode(&wrapped.octets),
        nonce: BASE64.encode(&nonce),
        key: BASE64.encode(&sealed),
    };
    let text = serde_json::to_string_pretty(&document).expect("it has nothing that JSON has not");
    let written = || -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        writeln!(file, "{text}")?;
        file.sync_all()
    };
    written().map_err(|source| IssuerError::Write {
        path: path.to_owned(),
        source,
    })
}

/// Reads the key, which the token opens.
pub(super) fn read(path: &Path, certificate: &[u8], ask: AskSecret<'_>) -> Result<PrivateKey, IssuerError> {
    let not_whole = || IssuerError::WrappedKey {
        path: path.to_owned(),
    };
    let (document, uri) = document(path)?;
    let decoded = |text: &str| BASE64.decode(text.as_bytes()).map_err(|_| not_whole());
    let (wrapped, nonce) = (decoded(&document.secret)?, decoded(&document.nonce)?);
    let mut sealed = Zeroizing::new(decoded(&document.key)?);
    let nonce = Nonce::try_assume_unique_for_key(&nonce).map_err(|_| not_whole())?;
    let secret = signer::unwrap(&uri, document.how, &wrapped, &mut |token| ask(Secret::Pin(token)))?;
    let other = || IssuerError::WrappedByOther {
        path: path.to_owned(),
        uri: document.opened_by.clone(),
    };
    let secret = secret.filter(|secret| secret.len() == SECRET).ok_or_else(other)?;
    let opened = key(&secret).open_in_place(nonce, about(certificate), &mut sealed);
    let opened = opened.map_err(|_| other())?;
    PrivateKey::from_pkcs8(opened).map_err(|source| IssuerError::Key {
        path: path.to_owned(),
        source,
    })
}

/// Destroys the key in the token that was made for this one, if one was.
pub(super) fn destroy(path: &Path, ask: AskSecret<'_>) -> Result<(), IssuerError> {
    let (document, uri) = document(path)?;
    if document.made_for_it {
        signer::destroy_wrapping(&uri, &mut |token| ask(Secret::Pin(token)))?;
    }
    Ok(())
}

fn document(path: &Path) -> Result<(Document, KeyUri), IssuerError> {
    let read_error = |source| IssuerError::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(read_error)?;
    if let Some(exposure) = exposure::of_secret(&file.metadata().map_err(read_error)?) {
        return Err(IssuerError::Exposed {
            path: path.to_owned(),
            exposure,
        });
    }
    refuse_exposed_folder(path)?;
    let text = bounded::read_file_text(file).map_err(read_error)?;
    let document: Option<Document> = serde_json::from_str(&text).ok();
    let document = document.filter(|document| document.version == 1);
    let document = document.ok_or_else(|| IssuerError::WrappedKey {
        path: path.to_owned(),
    })?;
    let uri = document.opened_by.parse().map_err(|source| IssuerError::KeyUri {
        path: path.to_owned(),
        source,
    })?;
    Ok((document, uri))
}

fn key(secret: &[u8]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, secret).expect("it has 32 octets"))
}

/// What is authenticated with the key: whose it is.
fn about(certificate: &[u8]) -> Aad<Vec<u8>> {
    Aad::from([&b"certforge wrapped key 1\0"[..], &sha256(certificate)].concat())
}
