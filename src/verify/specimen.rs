//! The specimen of a chunk: a bundle that was judged in full, and that others are held against.
//!
//! A bundle is alike when its archive fits the specimen's mold, its certificate the specimen's pattern, and its
//! other files say what they must of its row. Then nothing is left but what a [`super::group::Group`] computes. One that
//! is not alike is judged in full as the specimen was: nothing is called wrong here, and what is called alike is what
//! would have been found good.

use std::borrow::Cow;

use zeroize::Zeroizing;

use super::bundle::Standard;
use super::group::{Candidate, Group, Pair};
use super::pattern::{Parts, Pattern};
use crate::batch::IndexEntry;
use crate::bundle::{Content, EndpointFile, Member, Mold, Octets};
use crate::engine::{PrivateKey, scalar_and_point};
use crate::manifest::Row;
use crate::pem;

/// A certificate as the object of a chunk has it.
#[derive(Clone, Copy)]
pub(super) struct Listed<'a> {
    /// A block with its line ends.
    pub pem: &'a [u8],
    pub der: &'a [u8],
}

pub(super) struct Specimen<'a> {
    standard: &'a Standard<'a>,
    mold: Mold,
    /// What each file holds that is every device's own, in the order of the archive.
    files: Vec<Vec<Piece<'a>>>,
    pattern: Pattern,
}

/// A part of a file that is every device's own.
enum Piece<'a> {
    /// PKCS#8.
    PrivateKeyPem,
    PrivateKeyDer,
    CertificatePem,
    CertificateDer,
    /// The same for every device.
    Same(Vec<u8>),
    Endpoint(&'a Member),
}

/// Memory for one bundle after the other.
#[derive(Default)]
pub(super) struct Scratch<'b> {
    contents: Vec<Octets<'b>>,
    /// PKCS#8, of each file that holds the key.
    keys: Keys,
    text: Vec<u8>,
}

/// A private key, as often as it was found.
struct Keys {
    first: Zeroizing<Vec<u8>>,
    again: Zeroizing<Vec<u8>>,
}

/// Octets of a private key, at most: RSA-4096 has 2,400.
const MOST_KEY: usize = 4096;

impl Default for Keys {
    fn default() -> Self {
        // They never move.
        let [first, again] = [(); 2].map(|()| Zeroizing::new(Vec::with_capacity(MOST_KEY)));
        Self { first, again }
    }
}

impl Keys {
    /// Takes a key that was found, of no more than so many octets; `fill` gets that many, and says how many it has
    /// filled.
    fn take(&mut self, most: usize, fill: impl FnOnce(&mut [u8]) -> Option<usize>) -> Option<()> {
        let is_first = self.first.is_empty();
        let place = if is_first {
            &mut self.first
        } else {
            &mut self.again
        };
        if most > MOST_KEY {
            return None;
        }
        place.resize(most, 0);
        let filled = fill(place)?;
        place.truncate(filled);
        (is_first || self.first == self.again).then_some(())
    }
}

impl<'a> Specimen<'a> {
    /// Of a bundle that was judged in full, of which nothing is wrong. `None` when others cannot be held against it.
    pub(super) fn of(
        standard: &'a Standard<'a>,
        octets: &[u8],
        certificate: &[u8],
        entry: &IndexEntry,
    ) -> Option<Self> {
        let members = standard.profile.recipe().members();
        let find = |name: &str| members.iter().find(|member| member.name() == name);
        let mold = Mold::of(octets, |name| find(name).is_some_and(Member::is_constant))?;
        let files = mold.own().map(|name| pieces(find(name)?, standard));
        let files = files.collect::<Option<_>>()?;
        let pattern = Pattern::of(certificate, entry, standard.issuer.key_type())?;
        Some(Self {
            standard,
            mold,
            files,
            pattern,
        })
    }

    /// Holds a bundle against the specimen. It is a candidate of the group when it is alike, as far as nothing need
    /// be computed. It comes as it lies in the store, and in the clear. `row` is the device's, when the manifest is at hand.
    pub(super) fn compare<'b>(
        &self,
        (number, bundle, octets): (usize, &'b [u8], &'b [u8]),
        listed: Listed<'b>,
        entry: &'b IndexEntry,
        row: Option<&Row>,
        (scratch, group): (&mut Scratch<'b>, &mut Group<'b>),
    ) -> Option<()> {
        let names = self.standard.binding.as_ref().zip(row);
        let parts = Parts::of(listed.der)?;
        let mut key_id = None;
        if !self.pattern.fits(&parts, entry, names, &mut key_id)
            || !self.mold.fits(octets, &mut scratch.contents)
        {
            return None;
        }
        let Scratch { contents, keys, text } = scratch;
        keys.first.clear();
        for (pieces, content) in self.files.iter().zip(contents.iter()) {
            let mut rest: &[u8] = content;
            for piece in pieces {
                rest = self.piece(piece, rest, listed, row, (keys, text))?;
            }
            if !rest.is_empty() {
                return None;
            }
        }
        let pair = self.pair(&keys.first, parts.public_key)?;
        let candidate = Candidate {
            number,
            bundle,
            certificate: listed.der,
            entry,
            parts,
            key_id,
        };
        group.add(candidate, &pair);
        Some(())
    }

    /// Takes a piece from the beginning of a file. Returns what follows it.
    fn piece<'c>(
        &self,
        piece: &Piece<'_>,
        octets: &'c [u8],
        listed: Listed<'_>,
        row: Option<&Row>,
        (keys, text): (&mut Keys, &mut Vec<u8>),
    ) -> Option<&'c [u8]> {
        match piece {
            Piece::CertificatePem => octets.strip_prefix(listed.pem),
            Piece::CertificateDer => octets.strip_prefix(listed.der),
            Piece::Same(same) => octets.strip_prefix(same.as_slice()),
            Piece::PrivateKeyPem => {
                let (block, rest) = private_key_block(octets)?;
                let decode = |out: &mut [u8]| Some(pem_rfc7468::decode(block, out).ok()?.1.len());
                keys.take(block.len(), decode)?;
                Some(rest)
            }
            Piece::PrivateKeyDer => {
                keys.take(octets.len(), |out| {
                    out.copy_from_slice(octets);
                    Some(octets.len())
                })?;
                Some(&[])
            }
            Piece::Endpoint(member) => {
                let is_it = self.is_written_endpoint(octets, row, text)
                    || self.standard.is_endpoint_file(member, octets, row);
                is_it.then_some(&[])
            }
        }
    }

    /// Whether an endpoint's file is as it is written; it may be written otherwise and say the same.
    fn is_written_endpoint(&self, octets: &[u8], row: Option<&Row>, text: &mut Vec<u8>) -> bool {
        let Some((binding, row)) = self.standard.binding.as_ref().zip(row) else {
            return false;
        };
        let endpoint = self.standard.profile.endpoint();
        let expected = EndpointFile {
            host: endpoint.host.as_deref().map(Cow::Borrowed),
            port: endpoint.port,
            client_id: binding.client_id(row),
            thing_name: binding.thing_name(row),
            region: endpoint.region.as_deref().map(Cow::Borrowed),
        };
        text.clear();
        let is_written = serde_json::to_writer_pretty(&mut *text, &expected).is_ok();
        is_written && octets.strip_suffix(b"\n") == Some(text)
    }

    /// What is known of a private key; `None` when it is not such as it should be, or is another's.
    fn pair<'k>(&self, pkcs8: &'k [u8], public_key: &[u8]) -> Option<Pair<'k>> {
        if !self.pattern.is_p256() {
            let key = PrivateKey::from_pkcs8(pkcs8).ok()?;
            return key.prove(public_key).map(|_| Pair::Proven);
        }
        let (scalar, point) = scalar_and_point(pkcs8)?;
        (point == public_key).then_some(Pair::ToProve(scalar, point))
    }
}

/// What a file must hold; `None` when only its format can tell.
fn pieces<'a>(member: &'a Member, standard: &Standard<'_>) -> Option<Vec<Piece<'a>>> {
    let pem = |der: &[u8]| Piece::Same(pem::encode(pem::CERTIFICATE, der).into_bytes());
    let mut pieces = Vec::new();
    for content in member.contents() {
        match (member.format().name(), content) {
            ("pem", Content::PrivateKey) => pieces.push(Piece::PrivateKeyPem),
            ("pem", Content::Certificate) => pieces.push(Piece::CertificatePem),
            ("pem", Content::Chain) => {
                pieces.extend([Piece::CertificatePem, pem(standard.issuer.der())]);
            }
            ("pem", Content::Issuer) => pieces.push(pem(standard.issuer.der())),
            ("pem", Content::Root(root)) => pieces.push(pem(root.der())),
            ("der", Content::PrivateKey) => pieces.push(Piece::PrivateKeyDer),
            ("der", Content::Certificate) => pieces.push(Piece::CertificateDer),
            ("json", Content::Endpoint) if member.texts().is_empty() => pieces.push(Piece::Endpoint(member)),
            _ => return None,
        }
    }
    Some(pieces)
}

/// A private key's PEM block at the beginning, without its last line end, and what follows that.
fn private_key_block(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    const BEGIN: &[u8] = b"-----BEGIN PRIVATE KEY-----\n";
    const LAST: &[u8] = b"\n-----END PRIVATE KEY-----\n";
    let body = octets.strip_prefix(BEGIN)?;
    // Base64 has no hyphen.
    let end = BEGIN.len() + memchr::memchr(b'-', body)?;
    let rest = octets[end - 1..].strip_prefix(LAST)?;
    Some((&octets[..end + LAST.len() - 2], rest))
}
