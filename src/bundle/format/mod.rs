//! Formats: the forms that contents take in a file of a bundle.
//!
//! To add one, write a file beside these and a line in `ALL`. Profiles, the forge, `verify`, stations and
//! rehearsals ask nothing but what [`Format`] says, so nothing else has to know of it.

mod der;
mod json;
mod pem;
mod raw;
mod traditional;

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

pub use json::EndpointFile;

use super::{Content, Credential, Shared};

/// Every format that a profile can name.
static ALL: &[&dyn Format] = &[
    &pem::Pem,
    &der::Der,
    &json::Json,
    &raw::Raw,
    &traditional("sec1", false, true),
    &traditional("sec1-der", false, false),
    &traditional("pkcs1", true, true),
    &traditional("pkcs1-der", true, false),
];

const fn traditional(name: &'static str, is_rsa: bool, is_pem: bool) -> traditional::Traditional {
    traditional::Traditional { name, is_rsa, is_pem }
}

/// A form that contents take in a file.
pub trait Format: Sync {
    /// Its name in profiles.
    fn name(&self) -> &'static str;

    /// Judges whether one file of this format holds these contents, in this order.
    ///
    /// # Errors
    ///
    /// Why it does not, for the author of a profile.
    fn check(&self, contents: &[Content]) -> Result<(), String>;

    /// Whether the files of all devices are the same, so that one is made for a batch. A format that puts
    /// something of each device, or of chance, beside its contents says no.
    fn is_constant(&self, contents: &[Content]) -> bool {
        contents.iter().all(Content::is_constant)
    }

    /// Whether it holds RSA keys, or EC keys; `None`: either.
    fn is_for_rsa(&self) -> Option<bool> {
        None
    }

    /// Octets that a file has at most. Buffers with private keys never move, because this is true; and a reader
    /// inflates no more than this.
    fn room(&self, contents: &[Content], sizes: &Sizes) -> usize;

    /// Appends a file. Of a constant one, nothing of the credential is used.
    fn append(&self, contents: &[Content], source: &Source<'_>, out: &mut Vec<u8>);

    /// Takes a file apart: a value for each of its contents, in their order.
    ///
    /// # Errors
    ///
    /// When it does not hold them, or the format never gives back what went in.
    fn read(&self, contents: &[Content], octets: &[u8]) -> Result<Vec<Value>, Unread>;
}

/// Octets that contents have at most, as DER.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    pub private_key: usize,
    pub certificate: usize,
    pub issuer: usize,
    /// As JSON.
    pub endpoint: usize,
}

impl Sizes {
    /// More than any key or certificate that a forge makes, for readers, who know the recipe alone.
    pub const LARGEST: Self = Self {
        private_key: 16 * 1024,
        certificate: 64 * 1024,
        issuer: 64 * 1024,
        endpoint: 64 * 1024,
    };

    /// Octets of a content.
    pub(super) fn of(&self, content: &Content) -> usize {
        match content {
            Content::PrivateKey => self.private_key,
            Content::Certificate => self.certificate,
            Content::Chain => self.certificate + self.issuer,
            Content::Issuer => self.issuer,
            Content::Root(root) => root.der().len(),
            Content::Endpoint => self.endpoint,
            Content::File(file) => file.octets().map_or(super::MAX_USER_FILES, <[u8]>::len),
        }
    }
}

/// What a file is filled from.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    pub shared: &'a Shared,
    pub credential: &'a Credential<'a>,
    /// The certificates again, as PEM, which is made once for all files that want it.
    pub certificate_pem: &'a [u8],
    pub issuer_pem: &'a [u8],
}

impl Source<'_> {
    /// What the endpoint's file says.
    #[must_use]
    pub fn endpoint(&self) -> EndpointFile<'_> {
        EndpointFile {
            host: self.shared.host.as_deref().map(Cow::Borrowed),
            port: self.shared.port,
            client_id: Cow::Borrowed(self.credential.client_id),
            thing_name: Cow::Borrowed(self.credential.thing_name),
            region: self.shared.region.as_deref().map(Cow::Borrowed),
        }
    }
}

/// What a file gives back of one of its contents.
pub enum Value {
    /// PKCS#8 DER.
    PrivateKey(Zeroizing<Vec<u8>>),
    /// DER, in the content's order: two of a chain, otherwise one.
    Certificates(Vec<Vec<u8>>),
    Endpoint(EndpointFile<'static>),
    File(Vec<u8>),
}

/// Why a file gives nothing back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unread {
    /// It does not hold its contents in its format.
    Damaged,
    /// The format has no way back; the bundle's digest alone speaks for the file. A key or a certificate that no
    /// other file holds is then a fault to `verify`, which cannot prove it.
    NoWayBack,
}

/// Refuses what knows one form alone, in the words for a format that is another.
fn refuse_formless(contents: &[Content]) -> Result<(), String> {
    let is_alone = contents.len() == 1;
    for content in contents {
        let (what, form) = match content {
            Content::Endpoint => ("endpoint".to_owned(), "JSON"),
            Content::File(file) => (file.path().to_owned(), "a file of your own"),
            _ => continue,
        };
        return Err(match is_alone {
            true => format!("{what} is {form} and takes no format"),
            false => format!("{what} is {form} and stands alone in its file"),
        });
    }
    Ok(())
}

impl PartialEq for dyn Format {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for dyn Format {}

impl fmt::Debug for dyn Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for dyn Format {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for &'static dyn Format {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        static NAMES: LazyLock<Vec<&'static str>> =
            LazyLock::new(|| ALL.iter().map(|format| format.name()).collect());
        let name = String::deserialize(deserializer)?;
        let found = ALL.iter().find(|format| format.name() == name);
        found
            .copied()
            .ok_or_else(|| D::Error::unknown_variant(&name, &NAMES))
    }
}

/// The format of a file for which the profile names none.
pub(super) fn default_of(contents: &[Content]) -> &'static dyn Format {
    match contents {
        [Content::Endpoint] => &json::Json,
        [Content::File(_)] => &raw::Raw,
        _ => &pem::Pem,
    }
}
