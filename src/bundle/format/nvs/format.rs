//! `nvs`: such an image as a file of a bundle, whose values are texts that each device fills, or keys and certificates; and
//! `nvs-keys`: the partition with the keys that it is encrypted with.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;
use zeroize::Zeroizing;

use super::contents;
use super::encryption::{Keys, append_keys, read_keys};
use super::layout::LONGEST_TEXT;
use super::plan::{Plan, Slot};
use super::reader;
use super::value::{Kind, Value};
use super::writer::Writer;
use crate::bundle::format::{Beside, Format, Misfit, Settings, Sizes, Source, Text, Unread, Value as Found};
use crate::bundle::{Content, Drawn};

/// Octets of the text of a number, and of a blob.
const MOST_NUMBER: usize = 32;
const MOST_BLOB: usize = 512 * 1024;

/// What a profile says of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// Octets of the partition: a number, or `"0x6000"`.
    size: Option<Number>,
    /// `nvs-keys`, or `nvs-hmac-key` of which a device makes the keys. Default: none; it lies there in the clear.
    encryption: Option<Encryption>,
    /// The values, in their order.
    #[serde(default)]
    entries: Vec<WrittenEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenEntry {
    namespace: String,
    key: String,
    /// As in the generator's CSV: u8 to i64, string, hex2bin, base64, binary.
    r#type: Kind,
    /// A template.
    value: Option<Number>,
    /// In place of a value: a key or certificates, PEM as a string, DER as binary.
    content: Option<Content>,
}

/// A number as such, or a text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Number(serde_json::Number),
    Text(String),
}

impl Number {
    fn text(self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text,
        }
    }

    fn octets(self) -> Result<usize, String> {
        let text = self.text();
        let octets = match text.strip_prefix("0x") {
            Some(digits) => usize::from_str_radix(digits, 16),
            None => text.parse(),
        };
        octets.map_err(|_| format!("size is {text:?}, and not a number of octets, such as 0x6000"))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Encryption {
    NvsKeys,
    NvsHmacKey,
}

impl Encryption {
    fn drawn(self) -> &'static [Drawn; 1] {
        match self {
            Self::NvsKeys => &[Drawn::NvsKeys],
            Self::NvsHmacKey => &[Drawn::NvsHmacKey],
        }
    }

    /// `None`: the secret is not one.
    fn keys(self, secret: Option<&[u8]>) -> Option<Keys> {
        match self {
            Self::NvsKeys => Keys::new(secret?.try_into().ok()?).ok(),
            Self::NvsHmacKey => Some(Keys::from_hmac_key(secret?.try_into().ok()?)),
        }
    }
}

/// What an entry is filled with.
enum Filling {
    Text(String),
    Content(Content),
}

pub(in crate::bundle::format) struct Nvs {
    /// `None`: without its settings, which it must have.
    set: Option<Set>,
}

struct Set {
    writer: Writer,
    encryption: Option<Encryption>,
    fillings: Vec<Filling>,
}

impl Nvs {
    /// Without its settings, which it must have.
    pub const UNSET: Self = Self { set: None };

    fn set(&self) -> impl Iterator<Item = (&Slot, &Filling)> {
        self.set
            .iter()
            .flat_map(|set| set.writer.plan().slots.iter().zip(&set.fillings))
    }

    fn texts(&self) -> impl Iterator<Item = (&Slot, &String)> {
        self.set().filter_map(|(slot, filling)| match filling {
            Filling::Text(template) => Some((slot, template)),
            Filling::Content(_) => None,
        })
    }
}

impl Set {
    fn new(written: Written) -> Result<Self, String> {
        let size = written
            .size
            .ok_or("an nvs file needs the size of its partition: size = \"0x6000\"")?;
        let (mut slots, mut fillings) = (Vec::new(), Vec::new());
        for entry in written.entries {
            let (key, kind) = (entry.key, entry.r#type);
            let filling = match (entry.value, entry.content) {
                (Some(value), None) => Filling::Text(value.text()),
                (None, Some(content)) => Filling::Content(content),
                _ => {
                    return Err(format!(
                        "the entry {key:?} has a value or a content, and not both"
                    ));
                }
            };
            if let Filling::Content(content) = &filling {
                contents::check(content, kind).map_err(|reason| format!("the entry {key:?}: {reason}"))?;
            }
            slots.push(Slot {
                namespace: entry.namespace,
                key,
                kind,
                most: usize::MAX,
            });
            fillings.push(filling);
        }
        let plan = Plan {
            size: size.octets()?,
            slots,
            is_encrypted: written.encryption.is_some(),
        };
        Ok(Self {
            writer: Writer::new(plan).map_err(|error| error.to_string())?,
            encryption: written.encryption,
            fillings,
        })
    }

    /// Judges whether values fit, given octets of each content and text.
    fn fits(
        &self,
        len: impl Fn(&Content) -> usize,
        mut texts: impl Iterator<Item = usize>,
    ) -> Result<(), String> {
        let mut plan = self.writer.plan().clone();
        for (slot, filling) in plan.slots.iter_mut().zip(&self.fillings) {
            slot.most = match filling {
                Filling::Text(_) => slot.kind.most_octets(texts.next().unwrap_or_default()),
                Filling::Content(content) if slot.kind == Kind::String => contents::pem_len(content, &len),
                Filling::Content(content) => len(content),
            };
        }
        plan.fits().map_err(|error| error.to_string())
    }
}

impl Nvs {
    /// Appends an image; `None` when these values do not fit, or nobody has drawn the keys.
    fn try_append(&self, source: &Source<'_>, out: &mut Vec<u8>) -> Option<()> {
        let Some(set) = &self.set else { return Some(()) };
        let pems: Vec<_> = self
            .set()
            .map(|(slot, filling)| match filling {
                Filling::Content(content) if slot.kind == Kind::String => contents::pem_of(content, source),
                _ => Zeroizing::default(),
            })
            .collect();
        let mut texts = source.texts.iter();
        let values = self.set().zip(&pems).map(|((slot, filling), pem)| {
            Some(match filling {
                Filling::Text(_) => {
                    let text = texts.next().map_or("", |text| text);
                    return slot.kind.read(text).ok();
                }
                Filling::Content(_) if slot.kind == Kind::String => {
                    Value::String(Cow::Borrowed(pem.as_str()))
                }
                Filling::Content(content) => Value::Blob(Cow::Borrowed(contents::ders(content, source)[0])),
            })
        });
        let values: Vec<_> = values.collect::<Option<_>>()?;
        let secret = self.draws().first().and_then(|drawn| source.secrets.of(*drawn));
        let keys = set.encryption.and_then(|encryption| encryption.keys(secret));
        set.writer.append(&values, keys.as_ref(), out).ok()
    }
}

impl Format for Nvs {
    fn name(&self) -> &'static str {
        "nvs"
    }

    fn is_partition(&self) -> bool {
        true
    }

    fn with(&self, settings: &Settings) -> Result<Option<Arc<dyn Format>>, String> {
        let set = Set::new(settings.read()?)?;
        // What a template has by itself is the least that it becomes.
        let least = |filling: &Filling| match filling {
            Filling::Text(template) if !template.contains(['{', '}']) => Some(template.len()),
            Filling::Text(_) => Some(0),
            Filling::Content(_) => None,
        };
        set.fits(|_| 1, set.fillings.iter().filter_map(least))?;
        Ok(Some(Arc::new(Self { set: Some(set) })))
    }

    fn default_contents(&self) -> Vec<Content> {
        let contents = self.set().filter_map(|(_, filling)| match filling {
            Filling::Content(content) => Some(content.clone()),
            Filling::Text(_) => None,
        });
        contents.collect()
    }

    fn check(&self, contents: &[Content]) -> Result<(), String> {
        match contents == self.default_contents() {
            true => Ok(()),
            false => Err("its entries say what an nvs file holds; leave its content out".to_owned()),
        }
    }

    fn texts(&self) -> Vec<Text> {
        let text = |(slot, template): (&Slot, &String)| Text {
            field: format!("entries.{}", slot.key),
            template: template.clone(),
            most: match slot.kind {
                Kind::String => LONGEST_TEXT - 1,
                Kind::Hex | Kind::Base64 | Kind::Binary => MOST_BLOB,
                _ => MOST_NUMBER,
            },
        };
        self.texts().map(text).collect()
    }

    fn judge(&self, texts: &[Cow<'_, str>]) -> Result<(), Misfit> {
        for ((text, (slot, _)), number) in texts.iter().zip(self.texts()).zip(0..) {
            let misfit = |reason: String| Misfit { text: number, reason };
            let value = slot.kind.read(text).map_err(|error| misfit(error.to_string()))?;
            if matches!(value, Value::String(text) if text.contains('\0')) {
                return Err(misfit("it has an octet 0, which would end it".to_owned()));
            }
        }
        Ok(())
    }

    fn fits(&self, _: &[Content], sizes: &Sizes<'_>) -> Result<(), String> {
        let fits = |set: &Set| set.fits(|content| sizes.of(content), sizes.texts.iter().copied());
        self.set.as_ref().map_or(Ok(()), fits)
    }

    fn draws(&self) -> &[Drawn] {
        let encryption = self.set.as_ref().and_then(|set| set.encryption);
        encryption.map_or(&[], |encryption| encryption.drawn())
    }

    fn room(&self, _: &[Content], _: &Sizes<'_>) -> usize {
        self.set.as_ref().map_or(0, |set| set.writer.room())
    }

    fn makes(&self, contents: &[Content], source: &Source<'_>) -> bool {
        let mut out = Zeroizing::new(Vec::with_capacity(self.room(contents, &Sizes::LARGEST)));
        self.try_append(source, &mut out).is_some()
    }

    fn append(&self, _: &[Content], source: &Source<'_>, out: &mut Vec<u8>) {
        self.try_append(source, out)
            .expect("the rows were judged to fit, and keys were drawn");
    }

    fn read(&self, contents: &[Content], octets: &[u8], beside: &Beside<'_>) -> Result<Vec<Found>, Unread> {
        let set = self.set.as_ref().ok_or(Unread::Damaged)?;
        let secret = self.draws().first().and_then(|drawn| beside.secrets.of(*drawn));
        let keys = match set.encryption {
            Some(encryption) => Some(encryption.keys(secret).ok_or(Unread::Damaged)?),
            None => None,
        };
        let read = reader::read(octets, keys.as_ref()).map_err(|_| Unread::Damaged)?;
        let mut texts = beside.texts.map(|texts| texts.iter());
        let mut values = Vec::with_capacity(contents.len());
        let mut again = Vec::with_capacity(read.len());
        for ((slot, filling), read) in self.set().zip(&read) {
            let is_its = (&slot.namespace, &slot.key) == (&read.namespace, &read.key);
            let is_told = match (filling, &mut texts) {
                (Filling::Text(_), Some(texts)) => {
                    let text = texts.next().ok_or(Unread::Damaged)?;
                    slot.kind.read(text).as_ref() == Ok(&read.value)
                }
                _ => true,
            };
            if !is_its || !is_told {
                return Err(Unread::Damaged);
            }
            if let Filling::Content(content) = filling {
                values.push(contents::found(content, &read.value).ok_or(Unread::Damaged)?);
            }
            again.push(read.value.borrowed());
        }
        // All that it holds is known now, and must come out as it is.
        let mut image = Zeroizing::new(Vec::with_capacity(set.writer.room()));
        let written = set.writer.append(&again, keys.as_ref(), &mut image);
        match written.is_ok() && *image == octets {
            true => Ok(values),
            false => Err(Unread::Damaged),
        }
    }
}

/// The partition `nvs_keys`.
pub(in crate::bundle::format) struct NvsKeys;

impl Format for NvsKeys {
    fn name(&self) -> &'static str {
        "nvs-keys"
    }

    fn is_partition(&self) -> bool {
        true
    }

    fn default_contents(&self) -> Vec<Content> {
        vec![Content::Drawn(Drawn::NvsKeys)]
    }

    fn check(&self, contents: &[Content]) -> Result<(), String> {
        match contents {
            [Content::Drawn(Drawn::NvsKeys)] => Ok(()),
            _ => Err("an nvs-keys file holds the nvs-keys and nothing else".to_owned()),
        }
    }

    fn room(&self, _: &[Content], _: &Sizes<'_>) -> usize {
        super::PAGE
    }

    fn append(&self, _: &[Content], source: &Source<'_>, out: &mut Vec<u8>) {
        let keys = Encryption::NvsKeys.keys(source.secrets.of(Drawn::NvsKeys));
        append_keys(&keys.expect("keys were drawn, whose halves differ"), out);
    }

    fn read(&self, _: &[Content], octets: &[u8], _: &Beside<'_>) -> Result<Vec<Found>, Unread> {
        let keys = read_keys(octets).map_err(|_| Unread::Damaged)?;
        Ok(vec![Found::Drawn(Zeroizing::new(keys.octets().to_vec()))])
    }
}
