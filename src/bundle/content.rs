//! What the files of a bundle hold, as profiles name it.

use std::fmt;
use std::sync::{Arc, LazyLock};

use data_encoding::HEXLOWER;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::drawn::Drawn;
use super::roots::{ROOTS, Root};
use crate::digest::sha256;

/// What a file of a bundle holds, or a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// The device's private key, PKCS#8.
    PrivateKey,
    /// The device's certificate alone.
    Certificate,
    /// The device's certificate, then the issuer's.
    Chain,
    /// The issuer's certificate.
    Issuer,
    /// A root certificate that is known by name.
    Root(&'static Root),
    /// Host, port, client id, thing name and Region.
    Endpoint,
    /// A file of the user's own, as it is.
    File(UserFile),
    /// A secret that is drawn for the device, and that another file is locked with.
    Drawn(Drawn),
}

impl Content {
    pub(super) fn named() -> impl Iterator<Item = Self> {
        [Self::PrivateKey, Self::Certificate, Self::Chain, Self::Issuer]
            .into_iter()
            .chain(ROOTS.iter().map(Self::Root))
            .chain([Self::Endpoint])
            .chain(Drawn::ALL.map(Self::Drawn))
    }

    /// What a profile calls it; of a user's file, the path.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::PrivateKey => "private-key",
            Self::Certificate => "certificate",
            Self::Chain => "chain",
            Self::Issuer => "issuer",
            Self::Root(root) => root.name,
            Self::Endpoint => "endpoint",
            Self::File(file) => &file.path,
            Self::Drawn(drawn) => drawn.name(),
        }
    }

    /// Whether it is the same for every device of a batch.
    #[must_use]
    pub fn is_constant(&self) -> bool {
        matches!(self, Self::Issuer | Self::Root(_) | Self::File(_))
    }

    /// Whether it is for its owner alone.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        matches!(self, Self::PrivateKey | Self::Drawn(_))
    }
}

static NAMES: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let plain = ["private-key", "certificate", "chain", "issuer"];
    let roots = ROOTS.iter().map(|root| root.name);
    let drawn = Drawn::ALL.map(Drawn::name);
    plain
        .into_iter()
        .chain(roots)
        .chain(["endpoint"])
        .chain(drawn)
        .collect()
});

/// A file of the user's own. Its octets are known where its profile was read from a file; a batch's record has
/// their digest alone, by which two are the same.
#[derive(Clone)]
pub struct UserFile {
    /// As the profile has it, relative to the profile's own folder.
    path: String,
    sha256: Option<[u8; 32]>,
    octets: Option<Arc<[u8]>>,
}

/// Another file than the profile asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("has the SHA-256 {found}, and the profile asks for {wanted}")]
pub struct OtherFile {
    found: String,
    wanted: String,
}

impl UserFile {
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// `None`: nobody has read the file yet.
    #[must_use]
    pub fn sha256(&self) -> Option<&[u8; 32]> {
        self.sha256.as_ref()
    }

    /// Whether its octets are known, and not its digest alone.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.octets.is_some()
    }

    pub(super) fn octets(&self) -> Option<&[u8]> {
        self.octets.as_deref()
    }

    /// Takes what the file was found to hold.
    ///
    /// # Errors
    ///
    /// When the profile asks for a file with another digest.
    pub fn fill(&mut self, octets: &[u8]) -> Result<(), OtherFile> {
        let found = sha256(octets);
        if let Some(wanted) = self.sha256.filter(|wanted| *wanted != found) {
            let [found, wanted] = [found, wanted].map(|digest| HEXLOWER.encode(&digest));
            return Err(OtherFile { found, wanted });
        }
        self.sha256 = Some(found);
        self.octets = Some(octets.into());
        Ok(())
    }
}

impl PartialEq for UserFile {
    fn eq(&self, other: &Self) -> bool {
        (&self.path, self.sha256) == (&other.path, other.sha256)
    }
}

impl Eq for UserFile {}

impl fmt::Debug for UserFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserFile({})", self.path)
    }
}

/// A user's file, as it is written in profiles and in the records of batches.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenFile {
    file: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::File(UserFile { path, sha256, .. }) => {
                let sha256 = sha256.map(|digest| HEXLOWER.encode(&digest));
                let file = path.clone();
                WrittenFile { file, sha256 }.serialize(serializer)
            }
            named => serializer.serialize_str(named.name()),
        }
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;

        impl<'de> Visitor<'de> for Written {
            type Value = Content;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a content, or { file = \"…\" }")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Content, E> {
                let found = Content::named().find(|content| content.name() == name);
                found.ok_or_else(|| E::unknown_variant(name, &NAMES))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Content, A::Error> {
                let WrittenFile { file, sha256 } = WrittenFile::deserialize(MapAccessDeserializer::new(map))?;
                let digest = |text: String| {
                    let octets = HEXLOWER.decode(text.as_bytes()).ok();
                    let digest = octets.and_then(|octets| octets.try_into().ok());
                    digest.ok_or_else(|| A::Error::custom("sha256 is not 64 of 0-9 a-f"))
                };
                Ok(Content::File(UserFile {
                    path: file,
                    sha256: sha256.map(digest).transpose()?,
                    octets: None,
                }))
            }
        }

        deserializer.deserialize_any(Written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_content_is_written_as_it_is_read() {
        let named: Vec<_> = Content::named().collect();
        assert_eq!(named.iter().map(Content::name).collect::<Vec<_>>(), **NAMES);
        for content in named {
            let json = serde_json::to_string(&content).unwrap();
            assert_eq!(json, format!("{:?}", content.name()));
            assert_eq!(serde_json::from_str::<Content>(&json).unwrap(), content);
        }
    }

    #[test]
    fn a_users_file_is_recorded_with_its_digest_and_without_its_octets() {
        let mut content: Content = serde_json::from_str(r#"{"file":"roots.pem"}"#).unwrap();
        let Content::File(file) = &mut content else {
            panic!("it is a file")
        };
        file.fill(b"abc").unwrap();
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let json = serde_json::to_string(&content).unwrap();
        assert_eq!(json, format!(r#"{{"file":"roots.pem","sha256":"{digest}"}}"#));
        let Content::File(mut recorded) = serde_json::from_str(&json).unwrap() else {
            panic!("it is a file")
        };
        assert_eq!(recorded.octets(), None);
        assert_eq!(
            Content::File(recorded.clone()),
            content,
            "a batch goes on with it"
        );
        assert!(recorded.fill(b"abd").unwrap_err().to_string().ends_with(digest));
        recorded.fill(b"abc").unwrap();
        assert_eq!(Content::File(recorded), content);
    }
}
