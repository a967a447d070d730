//! The recipe of a bundle: its files, each with what it holds and in which format.
//!
//! A recipe can be made: names are unique and can be no path, each format holds what is asked of it, and there
//! are a private key and its certificate.

use std::borrow::Cow;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::content::Content;
use super::drawn::Drawn;
use super::format::{self, Beside, Form, Format, Settings, Sizes, Source, Text, Unread, Value};

/// Files of a bundle, at most. Keeps packs of the largest chunk below 4 GiB.
const MAX_MEMBERS: usize = 64;

/// Contents of a file, at most.
const MAX_CONTENTS: usize = 16;

/// Octets that the files of the user's own have in a bundle, all together; every device stores them anew.
pub const MAX_USER_FILES: usize = 64 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    Stored,
    Deflated,
}

/// What stands for the id of a device in the name of a file.
const DEVICE_ID: &str = "{device_id}";

/// A file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    name: String,
    contents: Vec<Content>,
    format: Form,
    compression: Compression,
    is_shared: bool,
}

/// Why there cannot be such a bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecipeError {
    #[error(
        "{name:?} cannot name a file in a bundle; use 1 to 64 of A-Z a-z 0-9 . _ - and no . first or last"
    )]
    Name { name: String },
    #[error("two files are named {name}")]
    NameTwice { name: String },
    #[error(
        "the files {first} and {second} have one name where case does not count, as in Windows and on SD cards"
    )]
    NameTwiceButForCase { first: String, second: String },
    #[error("{name}: Windows keeps this name for a device, whatever follows its first dot")]
    DeviceName { name: String },
    #[error("{name}: has {count} contents, 1 to {MAX_CONTENTS} are allowed")]
    Contents { name: String, count: usize },
    #[error("{name}: {content} appears twice")]
    ContentTwice { name: String, content: String },
    #[error("{name}: {reason}")]
    Format { name: String, reason: String },
    #[error("{name}: content is missing, and its format needs one")]
    NoContent { name: String },
    #[error("{name}: locks each device's file with a {drawn}, and no file has this content")]
    NotDelivered { name: String, drawn: &'static str },
    #[error("{name}: there is no {drawn}: no file is locked with one")]
    NotDrawn { name: String, drawn: &'static str },
    #[error("{name}: a private key does not compress; leave it stored")]
    Deflated { name: String },
    #[error(
        "{name}: {content} differs from device to device, so shared = true cannot be; issuer, roots and files of your own can be shared"
    )]
    NotForAll { name: String, content: String },
    #[error("{name}: a shared file lies once in the batch, as it is; leave its compression out")]
    SharedCompression { name: String },
    #[error(
        "a bundle without an archive is one file, and there are {count}; shared = true takes out what all devices have"
    )]
    SeveralFiles { count: usize },
    #[error("{name}: a bundle without an archive is its file as it is; leave its compression out")]
    DeflatedFile { name: String },
    #[error("there are {count} files, {MAX_MEMBERS} are allowed")]
    Members { count: usize },
    #[error("{name}: nobody has read the file {file}; load the profile from its own file")]
    Unread { name: String, file: String },
    #[error("your own files have {octets} octets together, {MAX_USER_FILES} are allowed in a bundle")]
    TooLarge { octets: usize },
}

impl Member {
    /// A file. By default it has the format that its content has, and is deflated if it is the same for all
    /// devices.
    ///
    /// # Errors
    ///
    /// When there cannot be such a file.
    pub fn new(
        name: &str,
        contents: &[Content],
        format: Option<&'static dyn Format>,
        compression: Option<Compression>,
    ) -> Result<Self, RecipeError> {
        Self::with_settings(name, contents, (format, &Settings::default()), compression)
    }

    /// A file whose format has settings. Without contents it has those that its format has by itself.
    ///
    /// # Errors
    ///
    /// When there cannot be such a file.
    pub fn with_settings(
        name: &str,
        contents: &[Content],
        (format, settings): (Option<&'static dyn Format>, &Settings),
        compression: Option<Compression>,
    ) -> Result<Self, RecipeError> {
        let name = name.to_owned();
        let literal = name.replace(DEVICE_ID, "x");
        if !is_name(&literal) {
            return Err(RecipeError::Name { name });
        }
        if is_device_name(&literal) {
            return Err(RecipeError::DeviceName { name });
        }
        let format = format.unwrap_or_else(|| format::default_of(contents));
        let format = match Form::new(format, settings) {
            Ok(format) => format,
            Err(reason) => return Err(RecipeError::Format { name, reason }),
        };
        let by_itself = format.default_contents();
        let contents = match contents {
            [] if by_itself.is_empty() && format.texts().is_empty() => {
                return Err(RecipeError::NoContent { name });
            }
            [] => &by_itself,
            contents => contents,
        };
        let count = contents.len();
        if count > MAX_CONTENTS {
            return Err(RecipeError::Contents { name, count });
        }
        if let Some(i) = (1..count).find(|i| contents[..*i].contains(&contents[*i])) {
            let content = contents[i].name().to_owned();
            return Err(RecipeError::ContentTwice { name, content });
        }
        if let Err(reason) = format.check(contents) {
            return Err(RecipeError::Format { name, reason });
        }
        let has_key = contents.iter().any(Content::is_secret);
        if has_key && compression == Some(Compression::Deflated) {
            return Err(RecipeError::Deflated { name });
        }
        let by_default = match format.is_constant(contents) && !has_key {
            true => Compression::Deflated,
            false => Compression::Stored,
        };
        Ok(Self {
            name,
            contents: contents.to_vec(),
            format,
            compression: compression.unwrap_or(by_default),
            is_shared: false,
        })
    }

    /// A file that is the same for all devices, and lies once in the batch: stored, so that its octets do not hang on
    /// a zlib.
    ///
    /// # Errors
    ///
    /// When there cannot be such a file, or it differs from device to device.
    pub fn shared(
        name: &str,
        contents: &[Content],
        format: Option<&'static dyn Format>,
        compression: Option<Compression>,
    ) -> Result<Self, RecipeError> {
        Self::shared_with_settings(name, contents, (format, &Settings::default()), compression)
    }

    /// Such a file whose format has settings.
    ///
    /// # Errors
    ///
    /// When there cannot be such a file, or it differs from device to device.
    pub fn shared_with_settings(
        name: &str,
        contents: &[Content],
        form: (Option<&'static dyn Format>, &Settings),
        compression: Option<Compression>,
    ) -> Result<Self, RecipeError> {
        let own = Self::with_settings(name, contents, form, compression)?;
        if own.is_named_by_device() {
            return Err(RecipeError::Name { name: own.name });
        }
        if !own.is_constant() {
            let of_device = own.contents.iter().find(|content| !content.is_constant());
            let content =
                of_device.map_or_else(|| format!("{:?}", own.format.name()), |own| own.name().to_owned());
            return Err(RecipeError::NotForAll {
                name: own.name,
                content,
            });
        }
        match compression {
            Some(_) => Err(RecipeError::SharedCompression { name: own.name }),
            None => Ok(Self {
                compression: Compression::Stored,
                is_shared: true,
                ..own
            }),
        }
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether each device's file has a name of its own.
    #[must_use]
    pub fn is_named_by_device(&self) -> bool {
        self.name.contains(DEVICE_ID)
    }

    /// What the file of a device is called.
    #[must_use]
    pub fn name_for(&self, device_id: &str) -> Cow<'_, str> {
        match self.is_named_by_device() {
            false => Cow::Borrowed(&self.name),
            true => Cow::Owned(self.name.replace(DEVICE_ID, device_id)),
        }
    }

    /// What it holds, in order.
    #[must_use]
    pub fn contents(&self) -> &[Content] {
        &self.contents
    }

    #[must_use]
    pub fn format(&self) -> &dyn Format {
        &*self.format
    }

    /// The format with its settings.
    #[must_use]
    pub fn form(&self) -> &Form {
        &self.format
    }

    /// The texts that each device fills.
    #[must_use]
    pub fn texts(&self) -> Vec<Text> {
        self.format.texts()
    }

    /// Whether it holds what is for its owner alone.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        self.contents.iter().any(Content::is_secret)
    }

    pub(super) fn compression(&self) -> Compression {
        self.compression
    }

    #[must_use]
    pub fn holds(&self, content: &Content) -> bool {
        self.contents.contains(content)
    }

    /// Whether it is the same for all devices of a batch. A private key never is.
    #[must_use]
    pub fn is_constant(&self) -> bool {
        self.format.is_constant(&self.contents) && !self.is_secret() && !self.is_named_by_device()
    }

    /// Private keys are for their owner; the rest is public.
    pub(super) fn mode(&self) -> u32 {
        match self.is_secret() {
            true => 0o600,
            false => 0o644,
        }
    }

    /// Octets that it has at most.
    pub(super) fn room(&self, sizes: &Sizes<'_>) -> usize {
        self.format.room(&self.contents, sizes)
    }

    /// Judges whether it holds whatever a device gives within such bounds.
    pub(super) fn fits(&self, sizes: &Sizes<'_>) -> Result<(), RecipeError> {
        let fits = self.format.fits(&self.contents, sizes);
        fits.map_err(|reason| RecipeError::Format {
            name: self.name.clone(),
            reason,
        })
    }

    /// Octets that it has at most, whoever made it.
    pub(super) fn most(&self) -> usize {
        let texts: Vec<usize> = self.texts().iter().map(|text| text.most).collect();
        self.room(&Sizes {
            texts: &texts,
            ..Sizes::LARGEST
        })
    }

    pub(super) fn append(&self, source: &Source<'_>, out: &mut Vec<u8>) {
        self.format.append(&self.contents, source, out);
    }

    /// Appends it without what its format ends with.
    pub(super) fn append_beginning(&self, source: &Source<'_>, out: &mut Vec<u8>) {
        self.format.append_beginning(&self.contents, source, out);
    }

    /// Takes it apart: a value for each of its contents.
    ///
    /// # Errors
    ///
    /// When it does not hold them, or the format gives nothing back.
    pub fn read(&self, octets: &[u8], beside: &Beside<'_>) -> Result<Vec<Value>, Unread> {
        self.format.read(&self.contents, octets, beside)
    }

    fn files(&self) -> impl Iterator<Item = &super::UserFile> {
        self.contents.iter().filter_map(|content| match content {
            Content::File(file) => Some(file),
            _ => None,
        })
    }
}

pub(super) fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && !name.starts_with('.')
        && !name.ends_with('.')
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// <https://learn.microsoft.com/en-us/windows/win32/fileio/naming-a-file>
fn is_device_name(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().to_ascii_uppercase();
    let is_port = ["COM", "LPT"].iter().any(|port| {
        let number = stem.strip_prefix(port);
        number.is_some_and(|number| number.len() == 1 && number.bytes().all(|b| b.is_ascii_digit()))
    });
    is_port || ["CON", "PRN", "AUX", "NUL"].contains(&stem.as_str())
}

/// The files of a bundle, and those that lie once in the batch because all devices have the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    members: Vec<Member>,
    shared: Vec<Member>,
    is_file: bool,
}

impl Recipe {
    /// The recipe of these files.
    ///
    /// # Errors
    ///
    /// When nobody can make such a bundle, or no device can use it.
    pub fn new(members: Vec<Member>) -> Result<Self, RecipeError> {
        for (i, member) in members.iter().enumerate() {
            if members[..i].iter().any(|other| other.name == member.name) {
                let name = member.name.clone();
                return Err(RecipeError::NameTwice { name });
            }
            let is_alike = |other: &&Member| other.name.eq_ignore_ascii_case(&member.name);
            if let Some(other) = members[..i].iter().find(is_alike) {
                return Err(RecipeError::NameTwiceButForCase {
                    first: other.name.clone(),
                    second: member.name.clone(),
                });
            }
            if let Some(file) = member.files().find(|file| file.sha256().is_none()) {
                return Err(member.unread(file.path()));
            }
        }
        if members.len() > MAX_MEMBERS {
            return Err(RecipeError::Members { count: members.len() });
        }
        let files = members.iter().flat_map(Member::files);
        let octets = files.filter_map(|file| file.octets()).map(<[u8]>::len).sum();
        if octets > MAX_USER_FILES {
            return Err(RecipeError::TooLarge { octets });
        }
        check_drawn(&members)?;
        let (shared, members) = members.into_iter().partition(|member| member.is_shared);
        Ok(Self {
            members,
            shared,
            is_file: false,
        })
    }

    /// The same, of bundles that are their one file itself, and no ZIP.
    ///
    /// # Errors
    ///
    /// When they have several files, or it would have to be deflated.
    pub fn without_archive(self) -> Result<Self, RecipeError> {
        match self.members.as_slice() {
            [one] if one.compression == Compression::Stored => Ok(Self {
                is_file: true,
                ..self
            }),
            [one] => Err(RecipeError::DeflatedFile {
                name: one.name.clone(),
            }),
            members => Err(RecipeError::SeveralFiles { count: members.len() }),
        }
    }

    /// Whether a bundle is its one file itself, and no ZIP.
    #[must_use]
    pub fn is_file(&self) -> bool {
        self.is_file
    }

    /// The files of the bundle, in the profile's order. In the bundle those that are the same for every device
    /// come first.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The files that no bundle has and every device gets, in the profile's order; as a rule there are none.
    #[must_use]
    pub fn shared(&self) -> &[Member] {
        &self.shared
    }

    /// The files that a device gets: its bundle's, and the shared ones.
    pub fn all(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().chain(&self.shared)
    }

    /// Which texts of a device are a file's: those of all files of a bundle stand one behind the other.
    #[must_use]
    pub fn texts_of(&self, name: &str) -> Range<usize> {
        let before = self.members.iter().take_while(|member| member.name != name);
        let start = before.map(|member| member.texts().len()).sum();
        let own = self.members.iter().find(|member| member.name == name);
        start..start + own.map_or(0, |member| member.texts().len())
    }

    /// The first file of a device that cannot be called what its name becomes, and that.
    #[must_use]
    pub fn misnamed(&self, device_id: &str) -> Option<(&Member, String)> {
        let named = self.members.iter().filter(|member| member.is_named_by_device());
        for member in named {
            let name = member.name_for(device_id);
            let is_others = |other: &Member| {
                other.name != member.name && other.name_for(device_id).eq_ignore_ascii_case(&name)
            };
            if !is_name(&name) || is_device_name(&name) || self.all().any(is_others) {
                return Some((member, name.into_owned()));
            }
        }
        None
    }

    /// The secrets that are drawn for each device.
    pub(super) fn drawn(&self) -> Vec<Drawn> {
        let is_drawn = |drawn: &Drawn| self.holds(&Content::Drawn(*drawn));
        Drawn::ALL.into_iter().filter(is_drawn).collect()
    }

    /// Whether one of the files has this content.
    #[must_use]
    pub fn holds(&self, content: &Content) -> bool {
        self.all().any(|member| member.holds(content))
    }

    /// Sees that every file of the user's own was read, so that bundles can be made.
    pub(super) fn check_files(&self) -> Result<(), RecipeError> {
        for member in self.all() {
            if let Some(file) = member.files().find(|file| file.octets().is_none()) {
                return Err(member.unread(file.path()));
            }
            if let Some(path) = member.format.unread_secret() {
                return Err(member.unread(path));
            }
        }
        Ok(())
    }
}

/// Sees that each secret that a file is locked with is delivered, and none that locks nothing.
fn check_drawn(members: &[Member]) -> Result<(), RecipeError> {
    for drawn in Drawn::ALL {
        let delivers = |member: &&Member| member.holds(&Content::Drawn(drawn));
        let locked = members
            .iter()
            .find(|member| member.format.draws().contains(&drawn));
        match (locked, members.iter().find(delivers)) {
            (Some(locked), None) => {
                return Err(RecipeError::NotDelivered {
                    name: locked.name.clone(),
                    drawn: drawn.name(),
                });
            }
            (None, Some(delivers)) => {
                return Err(RecipeError::NotDrawn {
                    name: delivers.name.clone(),
                    drawn: drawn.name(),
                });
            }
            _ => {}
        }
    }
    Ok(())
}

impl Member {
    fn unread(&self, path: &str) -> RecipeError {
        RecipeError::Unread {
            name: self.name.clone(),
            file: path.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_the_same_for_all_devices_is_deflated_by_default() {
        let member = |json: &str| {
            let contents: Vec<Content> = serde_json::from_str(json).unwrap();
            Member::new("file", &contents, None, None).unwrap()
        };
        for (json, is_constant) in [
            (r#"["issuer", "amazon-root-ca-1"]"#, true),
            (r#"[{"file": "roots.pem"}]"#, true),
            (r#"["issuer", "certificate"]"#, false),
            (r#"["endpoint"]"#, false),
            (r#"["amazon-root-ca-1", "private-key"]"#, false),
        ] {
            let member = member(json);
            assert_eq!(member.is_constant(), is_constant, "{json}");
            assert_eq!(
                member.compression() == Compression::Deflated,
                is_constant,
                "{json}"
            );
        }
        assert_eq!(member(r#"["issuer", "private-key"]"#).mode(), 0o600);
    }
}
