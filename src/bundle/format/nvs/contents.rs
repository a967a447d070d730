//! Keys and certificates as values: as PEM in a string, as DER in a blob.

use zeroize::Zeroizing;

use super::value::{Kind, Value};
use crate::bundle::Content;
use crate::bundle::format::{self, Source};
use crate::pem;

/// Judges whether a value of this type is made of a content.
///
/// # Errors
///
/// Why it is not, for the author of a profile.
pub(super) fn check(content: &Content, kind: Kind) -> Result<(), String> {
    let name = content.name();
    match (content, kind) {
        (Content::Endpoint | Content::File(_) | Content::Drawn(_), _) => {
            Err(format!("{name} is no key or certificate"))
        }
        (Content::Chain, Kind::Binary) => {
            Err("a chain has no DER form; its type is string, which is PEM".to_owned())
        }
        (_, Kind::String | Kind::Binary) => Ok(()),
        _ => Err(format!(
            "{name} is a string, which is PEM, or binary, which is DER"
        )),
    }
}

/// The label of its blocks of PEM.
fn label(content: &Content) -> &'static str {
    match content {
        Content::PrivateKey => pem::PRIVATE_KEY,
        _ => pem::CERTIFICATE,
    }
}

/// Octets of a content as PEM, given those of its parts as DER.
pub(super) fn pem_len(content: &Content, len: impl Fn(&Content) -> usize) -> usize {
    match content {
        Content::Chain => [Content::Certificate, Content::Issuer]
            .iter()
            .map(|content| pem::len(pem::CERTIFICATE, len(content)))
            .sum(),
        content => pem::len(label(content), len(content)),
    }
}

/// A content as DER, one after the other.
pub(super) fn ders<'a>(content: &Content, source: &Source<'a>) -> [&'a [u8]; 2] {
    let (own, issuer) = (source.credential.certificate, &source.shared.issuer[..]);
    match content {
        Content::PrivateKey => [source.credential.private_key, &[]],
        Content::Certificate => [own, &[]],
        Content::Chain => [own, issuer],
        Content::Issuer => [issuer, &[]],
        Content::Root(root) => [root.der(), &[]],
        Content::Endpoint | Content::File(_) | Content::Drawn(_) => [&[], &[]],
    }
}

/// A content as PEM.
pub(super) fn pem_of(content: &Content, source: &Source<'_>) -> Zeroizing<String> {
    let ders = ders(content, source);
    let present = || ders.iter().filter(|der| !der.is_empty());
    let len = present().map(|der| pem::len(label(content), der.len())).sum();
    // It never moves.
    let mut text = Vec::with_capacity(len);
    for der in present() {
        match content {
            Content::PrivateKey => pem::append(pem::PRIVATE_KEY, der, &mut text),
            _ => pem::append_certificate(der, &mut text),
        }
    }
    Zeroizing::new(String::from_utf8(text).expect("PEM is ASCII"))
}

/// What a value is of a content.
pub(super) fn found(content: &Content, value: &Value<'_>) -> Option<format::Value> {
    let ders = match value {
        Value::Blob(der) => vec![Zeroizing::new(der.to_vec())],
        Value::String(text) => {
            let blocks = pem::blocks(text).ok()?;
            let of_content = |block: pem::Block| (block.label == label(content)).then_some(block.der);
            blocks.into_iter().map(of_content).collect::<Option<Vec<_>>>()?
        }
        _ => return None,
    };
    let count = if *content == Content::Chain { 2 } else { 1 };
    (ders.len() == count).then_some(())?;
    Some(match content {
        Content::PrivateKey => format::Value::PrivateKey(ders.into_iter().next()?),
        _ => format::Value::Certificates(ders.iter().map(|der| der.to_vec()).collect()),
    })
}
