//! The reader: an image taken apart again, or refused.

use zeroize::Zeroizing;

use super::super::asn1::{INTEGER, SEQUENCE, only, take};
use super::ds::DsParameters;
use super::entry::{self, Kind};
use super::unread::Unread;
use super::{EC_KEY, RSA_KEY};
use crate::digest::sha256;
use crate::pem;

/// What an image holds.
pub struct Image {
    /// DER, the device's own first.
    pub certificates: Vec<Vec<u8>>,
    /// DER. Empty: the image has no CA.
    pub ca: Vec<Vec<u8>>,
    pub key: Contents,
    /// Whether it has, and keeps, a SHA-256 of itself.
    pub has_digest: bool,
    /// Octets up to the end of the last entry.
    pub end: usize,
}

/// What an image holds to sign with.
pub enum Contents {
    /// SEC1 DER.
    Ec(Zeroizing<Vec<u8>>),
    /// PKCS#1 DER.
    Rsa(Zeroizing<Vec<u8>>),
    Ds(DsParameters),
}

/// Reads an image: the octets of a file, or of the whole partition, whose rest is erased flash (0xFF).
///
/// # Errors
///
/// When anything of it is damaged or not as [`super::Writer`] writes it.
pub fn read(octets: &[u8]) -> Result<Image, Unread> {
    let image = read_beginning(octets)?;
    let rest = &octets[image.end..];
    match rest.iter().position(|octet| *octet != 0xFF) {
        None => Ok(image),
        Some(offset) => Err(Unread::Rest {
            offset: image.end + offset,
        }),
    }
}

/// The same, whatever comes after the last entry: of flash that was written over a longer image.
///
/// # Errors
///
/// As of [`read()`].
pub fn read_beginning(octets: &[u8]) -> Result<Image, Unread> {
    let mut found = Found::default();
    let mut end = 0;
    let mut has_digest = false;
    while !has_digest {
        let Some(entry) = entry::read(octets, end)? else {
            break;
        };
        let place = match entry.kind {
            Kind::Ca => &mut found.ca,
            Kind::Certificate => &mut found.certificate,
            Kind::PrivateKey => &mut found.private_key,
            Kind::DsData => &mut found.ds_data,
            Kind::DsContext => &mut found.ds_context,
            Kind::Integrity => {
                if entry.data != sha256(&octets[..end]) {
                    return Err(Unread::Digest { offset: end });
                }
                has_digest = true;
                &mut found.integrity
            }
        };
        if place.replace(entry.data).is_some() {
            return Err(Unread::Twice {
                offset: end,
                kind: entry.kind as u8,
            });
        }
        end = entry.end;
    }
    if end == 0 {
        return Err(Unread::NotAnImage);
    }
    Ok(Image {
        certificates: found.certificates()?,
        ca: found
            .ca
            .map_or(Ok(Vec::new()), |data| certificates(Kind::Ca, data))?,
        key: found.key()?,
        has_digest,
        end,
    })
}

/// The data of each entry.
#[derive(Default)]
struct Found<'a> {
    ca: Option<&'a [u8]>,
    certificate: Option<&'a [u8]>,
    private_key: Option<&'a [u8]>,
    ds_data: Option<&'a [u8]>,
    ds_context: Option<&'a [u8]>,
    integrity: Option<&'a [u8]>,
}

impl Found<'_> {
    fn certificates(&self) -> Result<Vec<Vec<u8>>, Unread> {
        let data = self.certificate.ok_or(Unread::Missing("device certificate"))?;
        certificates(Kind::Certificate, data)
    }

    fn key(&self) -> Result<Contents, Unread> {
        match (self.private_key, self.ds_data, self.ds_context) {
            (Some(data), None, None) => key(data).ok_or(content(Kind::PrivateKey)),
            (None, Some(data), Some(context)) => {
                let parameters = DsParameters::read(data, context);
                parameters.map(Contents::Ds).ok_or(content(Kind::DsData))
            }
            (None, None, None) => Err(Unread::Missing("private key")),
            (None, Some(_), None) => Err(Unread::Missing("DS context")),
            (None, None, Some(_)) => Err(Unread::Missing("DS data")),
            (Some(_), ..) => Err(content(Kind::PrivateKey)),
        }
    }
}

fn content(kind: Kind) -> Unread {
    Unread::Content { kind: kind as u8 }
}

/// The PEM that data is, without the NUL at its end.
fn text(data: &[u8]) -> Option<&str> {
    data.strip_suffix(b"\0")
        .and_then(|text| std::str::from_utf8(text).ok())
}

fn certificates(kind: Kind, data: &[u8]) -> Result<Vec<Vec<u8>>, Unread> {
    let damaged = content(kind);
    if only(SEQUENCE, data).is_some() {
        return Ok(vec![data.to_vec()]);
    }
    let text = text(data).ok_or(damaged)?;
    let written = pem::written_certificates(text.as_bytes()).filter(|found| !found.is_empty());
    let ders = written.ok_or(damaged)?.into_iter().map(|(_, der)| der);
    Ok(ders.collect())
}

fn key(data: &[u8]) -> Option<Contents> {
    if let Some(fields) = only(SEQUENCE, data) {
        let der = || Zeroizing::new(data.to_vec());
        // Versions: of SEC1 1 (RFC 5915), of PKCS#1 with two primes 0 (RFC 8017, A.1.2).
        return match take(INTEGER, fields)?.0 {
            [1] => Some(Contents::Ec(der())),
            [0] => Some(Contents::Rsa(der())),
            _ => None,
        };
    }
    let blocks = pem::blocks(text(data)?).ok()?;
    let [block] = blocks.as_slice() else {
        return None;
    };
    // Whatever else a reader of PEM lets pass.
    let mut again = Zeroizing::new(Vec::with_capacity(data.len()));
    if pem::len(&block.label, block.der.len()) + 1 != data.len() {
        return None;
    }
    pem::append(&block.label, &block.der, &mut again);
    again.push(0);
    (again.as_slice() == data).then_some(())?;
    match block.label.as_str() {
        EC_KEY => Some(Contents::Ec(block.der.clone())),
        RSA_KEY => Some(Contents::Rsa(block.der.clone())),
        _ => None,
    }
}
