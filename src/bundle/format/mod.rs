//! Formats: the forms that contents take in a file of a bundle.
//!
//! To add one, write a file beside these and a line in `ALL`. Profiles, the forge, `verify`, stations and
//! rehearsals ask nothing but what [`Format`] says, so nothing else has to know of it.

pub(super) mod asn1;
mod c_header;
mod der;
pub mod esp_secure_cert;
mod json;
pub mod nvs;
mod pem;
mod pkcs12;
mod raw;
mod secret_file;
mod settings;
mod text;
mod traditional;
mod unknown;

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, LazyLock};

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

pub use json::EndpointFile;
pub use settings::{SecretFile, Settings};
pub use traditional::traditional_to_pkcs8;
pub use unknown::{Known, Openers};

use super::drawn::{Drawn, Secrets};
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
    &pkcs12::Pkcs12::DEFAULT,
    &c_header::CHeader::DEFAULT,
    &esp_secure_cert::EspSecureCert::DEFAULT,
    &nvs::Nvs::UNSET,
    &nvs::NvsKeys,
    &text::Text::UNSET,
];

const fn traditional(name: &'static str, is_rsa: bool, is_pem: bool) -> traditional::Traditional {
    traditional::Traditional { name, is_rsa, is_pem }
}

/// A form that contents take in a file: by its name, and then with the settings of one file.
pub trait Format: Send + Sync {
    /// Its name in profiles.
    fn name(&self) -> &'static str;

    /// Itself with the settings of a file; `None`: it has none, and is what it is.
    ///
    /// # Errors
    ///
    /// Which setting is missing, unknown or of no use, for the author of a profile.
    fn with(&self, settings: &Settings) -> Result<Option<Arc<dyn Format>>, String> {
        settings.refuse(self.name()).map(|()| None)
    }

    /// Settings that may name a text file, which is read with the profile and recorded with the batch.
    fn text_files(&self) -> &'static [&'static str] {
        &[]
    }

    /// Settings that may name a file with a secret, which is read with the profile and never recorded.
    fn secret_files(&self) -> &'static [&'static str] {
        &[]
    }

    /// Judges what the file of such a secret holds.
    ///
    /// # Errors
    ///
    /// Why it is of no use.
    fn judge_secret(&self, _secret: &str) -> Result<(), &'static str> {
        Ok(())
    }

    /// The file with a secret that it needs, and that nobody has read.
    fn unread_secret(&self) -> Option<&str> {
        None
    }

    /// What a file holds when the profile does not say.
    fn default_contents(&self) -> Vec<Content> {
        Vec::new()
    }

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
            && self.texts().is_empty()
            && self.draws().is_empty()
            && self.random_octets() == 0
    }

    /// The texts that it puts into a file, which each device fills from its row.
    fn texts(&self) -> Vec<Text> {
        Vec::new()
    }

    /// Judges what one device gives for these texts, none of which is longer than it may be.
    ///
    /// # Errors
    ///
    /// The first of them of which no file can be made.
    fn judge(&self, _texts: &[Cow<'_, str>]) -> Result<(), Misfit> {
        Ok(())
    }

    /// The secrets by which it locks a file, each of which another file of the bundle delivers.
    fn draws(&self) -> &[Drawn] {
        &[]
    }

    /// Random octets that it needs for a file, such as salts. A file that needs none is made again octet for octet.
    fn random_octets(&self) -> usize {
        0
    }

    /// Whether it holds RSA keys, or EC keys; `None`: either.
    fn is_for_rsa(&self) -> Option<bool> {
        None
    }

    /// Bits of the longest RSA key that it holds; `None`: any.
    fn most_rsa_bits(&self) -> Option<usize> {
        None
    }

    /// Judges whether a file holds whatever a device gives, when contents and texts have at most so many octets.
    ///
    /// # Errors
    ///
    /// What may be too long, and how much.
    fn fits(&self, _contents: &[Content], _sizes: &Sizes<'_>) -> Result<(), String> {
        Ok(())
    }

    /// Whether a file is a partition of a device's flash, which is written as it is and can be read back.
    fn is_partition(&self) -> bool {
        false
    }

    /// Octets that a file has at most. Buffers with private keys never move, because this is true; and a reader
    /// inflates no more than this.
    fn room(&self, contents: &[Content], sizes: &Sizes<'_>) -> usize;

    /// Whether a file can be made of this. Of what was judged before anything was made it can; of what a bundle is found to hold,
    /// and of what a record says, perhaps not.
    fn makes(&self, _contents: &[Content], _source: &Source<'_>) -> bool {
        true
    }

    /// Appends a file. Of a constant one, nothing of the credential is used.
    fn append(&self, contents: &[Content], source: &Source<'_>, out: &mut Vec<u8>);

    /// How a file ends, where it ends with what follows from the SHA-256 of all before that: such files are made many at a time.
    fn ending(&self) -> Option<Ending> {
        None
    }

    /// Appends a file without its [`Format::ending`].
    fn append_beginning(&self, contents: &[Content], source: &Source<'_>, out: &mut Vec<u8>) {
        self.append(contents, source, out);
    }

    /// Takes a file apart: a value for each of its contents, in their order.
    ///
    /// # Errors
    ///
    /// When it does not hold them, or the format never gives back what went in.
    fn read(&self, contents: &[Content], octets: &[u8], beside: &Beside<'_>) -> Result<Vec<Value>, Unread>;
}

/// The end of a file, made of the SHA-256 of all before it.
#[derive(Clone, Copy)]
pub struct Ending {
    pub octets: usize,
    /// Fills them, which are 0.
    pub fill: fn(&[u8; 32], &mut [u8]),
}

/// A text of a format: a template with `{columns}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// The setting that has it, for messages: `template`, or `entries.serial_no`.
    pub field: String,
    pub template: String,
    /// Octets that what a device gives for it has at most.
    pub most: usize,
}

/// Why no file can be made of what a device gives for a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// The number of the text.
    pub text: usize,
    pub reason: String,
}

/// What is known of a device when one of its files is read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Beside<'a> {
    /// What its row gives for the texts of the format; `None`: the manifest is not at hand.
    pub texts: Option<&'a [Cow<'a, str>]>,
    /// What other files of the bundle deliver.
    pub secrets: Secrets<'a>,
}

/// A format with the settings of one file.
#[derive(Clone)]
pub struct Form {
    named: &'static dyn Format,
    settings: Settings,
    set: Option<Arc<dyn Format>>,
}

impl Form {
    /// # Errors
    ///
    /// Which setting is missing, unknown or of no use.
    pub fn new(named: &'static dyn Format, settings: &Settings) -> Result<Self, String> {
        Ok(Self {
            named,
            settings: settings.clone(),
            set: named.with(settings)?,
        })
    }
}

impl Deref for Form {
    type Target = dyn Format;

    fn deref(&self) -> &Self::Target {
        self.set.as_deref().unwrap_or(self.named)
    }
}

impl PartialEq for Form {
    fn eq(&self, other: &Self) -> bool {
        self.named == other.named && self.settings == other.settings
    }
}

impl Eq for Form {}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({:?})", self.named, self.settings)
    }
}

/// Octets that contents have at most, as DER, and texts.
#[derive(Debug, Clone, Copy)]
pub struct Sizes<'a> {
    pub private_key: usize,
    pub certificate: usize,
    pub issuer: usize,
    /// As JSON.
    pub endpoint: usize,
    /// Of the format's own texts, in their order.
    pub texts: &'a [usize],
}

impl Sizes<'_> {
    /// More than any key or certificate that a forge makes, for readers, who know the recipe alone.
    pub const LARGEST: Self = Self {
        private_key: 16 * 1024,
        certificate: 64 * 1024,
        issuer: 64 * 1024,
        endpoint: 64 * 1024,
        texts: &[],
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
            Content::Drawn(drawn) => drawn.octets(),
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
    /// What the device's row gives for the format's texts, in their order.
    pub texts: &'a [Cow<'a, str>],
    /// As many random octets as the format asks for.
    pub random: &'a [u8],
    /// What was drawn for the device.
    pub secrets: Secrets<'a>,
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
    /// As it is delivered.
    Drawn(Zeroizing<Vec<u8>>),
}

/// Why a file gives nothing back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unread {
    /// It does not hold its contents in its format.
    Damaged,
    /// The format has no way back; the bundle's digest alone speaks for the file. A key or a certificate that no
    /// other file holds is then a fault to `verify`, which cannot prove it.
    NoWayBack,
    /// What opens it is not at hand: a password that only the manifest has, or a file of the user's own.
    Locked,
}

/// Refuses what knows one form alone, in the words for a format that is another.
fn refuse_formless(contents: &[Content]) -> Result<(), String> {
    let is_alone = contents.len() == 1;
    for content in contents {
        let (what, form) = match content {
            Content::Endpoint => ("endpoint".to_owned(), "JSON"),
            Content::File(file) => (file.path().to_owned(), "a file of your own"),
            Content::Drawn(drawn) => (drawn.name().to_owned(), "a secret of the device"),
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
        [Content::File(_) | Content::Drawn(_)] => &raw::Raw,
        _ => &pem::Pem,
    }
}
