//! PKCS#12 (RFC 7292): a device's key and certificates in one file that a password opens.
//!
//! It is laid out as OpenSSL 3 lays it out: the certificates encrypted, then the key, each with the certificate's SHA-1 as its
//! local key id; and sealed with a MAC. The encryption is AES-256-CBC under PBKDF2 with HMAC-SHA-256 (PBES2, RFC 8018), or, when
//! asked for by name, the triple DES of old, for programs that know nothing else.

mod locking;
mod reading;

use std::borrow::Cow;
use std::num::NonZeroU32;
use std::sync::Arc;

use serde::Deserialize;
use zeroize::Zeroizing;

use super::asn1::{INTEGER, OCTET_STRING, SEQUENCE, put, value};
use super::{Beside, Format, Misfit, SecretFile, Settings, Sizes, Source, Text, Unread, Value};
use crate::bundle::{Content, Drawn};
use locking::{Encryption, Password};

/// As OpenSSL has it.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(2048).unwrap();

/// More would keep a device or a reader busy for minutes.
const MOST_ITERATIONS: u32 = 10_000_000;

/// Of a file that others may have made: a second or so.
const MOST_ITERATIONS_OF_OTHERS: u32 = 1_000_000;

/// The setting that has it.
const PASSWORD: &str = "password";

/// Octets of a password, and of a friendly name.
const MOST_PASSWORD: usize = 256;
const MOST_NAME: usize = 512;

const CONTEXT_0: u8 = 0xa0;
const SET: u8 = 0x31;
const BMP_STRING: u8 = 0x1e;

/// pkcs-7 data and encryptedData (RFC 2315).
const DATA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01";
const ENCRYPTED_DATA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x06";

/// pkcs8ShroudedKeyBag and certBag (RFC 7292, appendix D), and x509Certificate.
const KEY_BAG: &[u8] = b"\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x0a\x01\x02";
const CERTIFICATE_BAG: &[u8] = b"\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x0a\x01\x03";
const X509: &[u8] = b"\x06\x0a\x2a\x86\x48\x86\xf7\x0d\x01\x09\x16\x01";

/// friendlyName and localKeyId (RFC 2985, 5.5).
const FRIENDLY_NAME: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x14";
const LOCAL_KEY_ID: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x15";

/// What a profile says of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// A template, or a file. Default: one that is drawn for each device, which another file delivers.
    password: Option<WrittenPassword>,
    #[serde(default)]
    encryption: Encryption,
    iterations: Option<u32>,
    /// A template. Default: the thing name.
    friendly_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "password is a text with {columns}, or { file = \"PATH\" }"
)]
enum WrittenPassword {
    Template(String),
    File(SecretFile),
}

/// Where a password comes from.
enum Whence {
    /// It is drawn for each device.
    Drawn,
    /// A template that each device fills.
    Row(String),
    /// A file of the user's own, the same for all devices.
    File {
        path: String,
        /// `None`: nobody has read it.
        text: Option<Zeroizing<String>>,
    },
}

pub(super) struct Pkcs12 {
    password: Whence,
    encryption: Encryption,
    iterations: NonZeroU32,
    friendly_name: String,
}

impl Pkcs12 {
    /// As it is without settings.
    pub const DEFAULT: Self = Self {
        password: Whence::Drawn,
        encryption: Encryption::Aes256,
        iterations: ITERATIONS,
        friendly_name: String::new(),
    };

    fn password<'a>(&self, texts: Option<&'a [Cow<'a, str>]>, drawn: Option<&'a [u8]>) -> Option<Password> {
        Some(Password::new(match &self.password {
            Whence::Row(_) => texts?.get(1)?,
            Whence::Drawn => std::str::from_utf8(drawn?).ok()?,
            Whence::File { text, .. } => text.as_ref()?,
        }))
    }

    /// Appends all bags of certificates, in the order of the contents.
    fn certificates(contents: &[Content], source: &Source<'_>, attributes: &[u8], out: &mut Vec<u8>) {
        let own = source.credential.certificate;
        let issuer = &source.shared.issuer[..];
        for content in contents {
            let ders: &[&[u8]] = match content {
                Content::Certificate => &[own],
                Content::Chain => &[own, issuer],
                Content::Issuer => &[issuer],
                Content::Root(root) => &[root.der()],
                _ => &[],
            };
            for der in ders {
                let attributes = if *der == own { attributes } else { &[] };
                let certificate = value(OCTET_STRING, &[der]);
                let certificate = value(SEQUENCE, &[X509, &value(CONTEXT_0, &[&certificate])]);
                let bag = value(CONTEXT_0, &[&certificate]);
                put(SEQUENCE, &[CERTIFICATE_BAG, &bag, attributes], out);
            }
        }
    }

    /// The attributes by which the key's bag and the certificate's belong together.
    fn attributes(certificate: &[u8], friendly_name: &str) -> Vec<u8> {
        let id = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, certificate);
        let id = value(SET, &[&value(OCTET_STRING, &[id.as_ref()])]);
        let id = value(SEQUENCE, &[LOCAL_KEY_ID, &id]);
        let name: Vec<u8> = friendly_name.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let name = value(SET, &[&value(BMP_STRING, &[&name])]);
        let name = value(SEQUENCE, &[FRIENDLY_NAME, &name]);
        match friendly_name.is_empty() {
            true => value(SET, &[&id]),
            false => value(SET, &[&id, &name]),
        }
    }
}

impl Format for Pkcs12 {
    fn name(&self) -> &'static str {
        "pkcs12"
    }

    fn with(&self, settings: &Settings) -> Result<Option<Arc<dyn Format>>, String> {
        let written: Written = settings.read()?;
        let iterations = match written.iterations {
            None => ITERATIONS,
            Some(wanted) => NonZeroU32::new(wanted)
                .filter(|wanted| wanted.get() <= MOST_ITERATIONS)
                .ok_or_else(|| format!("iterations are 1 to {MOST_ITERATIONS}, not {wanted}"))?,
        };
        let password = match written.password {
            None => Whence::Drawn,
            Some(WrittenPassword::Template(text)) if text.is_empty() => {
                return Err(
                    "the password is empty; leave it out, and one is drawn for each device".to_owned(),
                );
            }
            Some(WrittenPassword::Template(text)) => Whence::Row(text),
            Some(WrittenPassword::File(SecretFile { path, check: None })) => {
                return Err(format!(
                    "nobody has read the file {path}; load the profile from its own file"
                ));
            }
            Some(WrittenPassword::File(SecretFile { path, .. })) => Whence::File {
                path,
                text: settings.secret(PASSWORD).cloned(),
            },
        };
        Ok(Some(Arc::new(Self {
            password,
            encryption: written.encryption,
            iterations,
            friendly_name: written
                .friendly_name
                .unwrap_or_else(|| "{endpoint.thing_name}".to_owned()),
        })))
    }

    fn secret_files(&self) -> &'static [&'static str] {
        &[PASSWORD]
    }

    fn judge_secret(&self, secret: &str) -> Result<(), &'static str> {
        match secret.len() > MOST_PASSWORD {
            true => Err("the password has more than 256 octets"),
            false => judge(secret),
        }
    }

    fn unread_secret(&self) -> Option<&str> {
        match &self.password {
            Whence::File { path, text: None } => Some(path),
            _ => None,
        }
    }

    fn default_contents(&self) -> Vec<Content> {
        vec![Content::PrivateKey, Content::Chain]
    }

    fn check(&self, contents: &[Content]) -> Result<(), String> {
        super::refuse_formless(contents)?;
        let has_certificate = contents.contains(&Content::Certificate) || contents.contains(&Content::Chain);
        match contents {
            [Content::PrivateKey, ..] if has_certificate => Ok(()),
            _ => Err("a PKCS#12 file holds the private-key first, and then certificate or chain".to_owned()),
        }
    }

    fn texts(&self) -> Vec<Text> {
        let mut texts = vec![Text {
            field: "friendly_name".to_owned(),
            template: self.friendly_name.clone(),
            most: MOST_NAME,
        }];
        if let Whence::Row(template) = &self.password {
            texts.push(Text {
                field: PASSWORD.to_owned(),
                template: template.clone(),
                most: MOST_PASSWORD,
            });
        }
        texts
    }

    fn judge(&self, texts: &[Cow<'_, str>]) -> Result<(), Misfit> {
        let (Whence::Row(_), Some(password)) = (&self.password, texts.get(1)) else {
            return Ok(());
        };
        judge(password).map_err(|reason| Misfit {
            text: 1,
            reason: reason.to_owned(),
        })
    }

    fn draws(&self) -> &[Drawn] {
        match &self.password {
            Whence::Drawn => &[Drawn::Pkcs12Password],
            Whence::Row(_) | Whence::File { .. } => &[],
        }
    }

    fn random_octets(&self) -> usize {
        locking::RANDOM
    }

    fn room(&self, contents: &[Content], sizes: &Sizes<'_>) -> usize {
        /// Of each bag, of what is around them all, and of encryption and MAC.
        const AROUND: usize = 256;
        let octets: usize = contents.iter().map(|content| sizes.of(content)).sum();
        // A chain is two bags, and names stand in two of them, two octets a character.
        let bags = 2 * contents.len() + 4;
        octets + bags * AROUND + 4 * sizes.texts.first().copied().unwrap_or(MOST_NAME)
    }

    fn makes(&self, _: &[Content], _: &Source<'_>) -> bool {
        self.unread_secret().is_none()
    }

    fn append(&self, contents: &[Content], source: &Source<'_>, out: &mut Vec<u8>) {
        let password = self
            .password(Some(source.texts), source.secrets.of(Drawn::Pkcs12Password))
            .unwrap_or_else(|| Password::new(""));
        let [for_certificates, for_key, for_mac] = locking::shares(source.random);
        let friendly_name = source.texts.first().map_or("", |text| text);
        let attributes = Self::attributes(source.credential.certificate, friendly_name);

        let mut bags = Vec::new();
        Self::certificates(contents, source, &attributes, &mut bags);
        let bags = value(SEQUENCE, &[&bags]);
        let (algorithm, encrypted) =
            self.encryption
                .lock(&bags, &password, self.iterations, for_certificates);
        // [0] IMPLICIT OCTET STRING, in EncryptedContentInfo in EncryptedData.
        let content = value(SEQUENCE, &[DATA, &algorithm, &value(0x80, &[&encrypted])]);
        let content = value(SEQUENCE, &[&value(INTEGER, &[&[0]]), &content]);
        let certificates = value(SEQUENCE, &[ENCRYPTED_DATA, &value(CONTEXT_0, &[&content])]);

        let key = source.credential.private_key;
        let (algorithm, encrypted) = self.encryption.lock(key, &password, self.iterations, for_key);
        let key = value(SEQUENCE, &[&algorithm, &value(OCTET_STRING, &[&encrypted])]);
        let key = value(SEQUENCE, &[KEY_BAG, &value(CONTEXT_0, &[&key]), &attributes]);
        let key = value(OCTET_STRING, &[&value(SEQUENCE, &[&key])]);
        let key = value(SEQUENCE, &[DATA, &value(CONTEXT_0, &[&key])]);

        let safe = value(SEQUENCE, &[&certificates, &key]);
        let mac = self.encryption.mac(&safe, &password, self.iterations, for_mac);
        let safe = value(CONTEXT_0, &[&value(OCTET_STRING, &[&safe])]);
        let safe = value(SEQUENCE, &[DATA, &safe]);
        put(SEQUENCE, &[&value(INTEGER, &[&[3]]), &safe, &mac], out);
    }

    fn read(&self, contents: &[Content], octets: &[u8], beside: &Beside<'_>) -> Result<Vec<Value>, Unread> {
        let drawn = beside.secrets.of(Drawn::Pkcs12Password);
        let Some(password) = self.password(beside.texts, drawn) else {
            return Err(match self.password {
                Whence::Row(_) | Whence::File { .. } => Unread::Locked,
                // The file that delivers it is missing, or holds none.
                Whence::Drawn => Unread::Damaged,
            });
        };
        let opened =
            reading::open(octets, (self.encryption, self.iterations), &password).ok_or(Unread::Damaged)?;
        let is_named =
            |texts: &[Cow<'_, str>]| texts.first().is_none_or(|name| *name == opened.friendly_name);
        if !beside.texts.is_none_or(is_named) {
            return Err(Unread::Damaged);
        }
        let mut certificates = opened.certificates.into_iter();
        let mut values = Vec::with_capacity(contents.len());
        let mut key = Some(opened.private_key);
        for content in contents {
            values.push(match content {
                Content::PrivateKey => Value::PrivateKey(key.take().ok_or(Unread::Damaged)?),
                content => {
                    let count = if *content == Content::Chain { 2 } else { 1 };
                    let ders: Vec<_> = certificates.by_ref().take(count).collect();
                    if ders.len() < count {
                        return Err(Unread::Damaged);
                    }
                    Value::Certificates(ders)
                }
            });
        }
        match certificates.next() {
            None => Ok(values),
            Some(_) => Err(Unread::Damaged),
        }
    }
}

/// Whether octets are a PKCS#12 file.
pub(super) fn is_one(octets: &[u8]) -> bool {
    reading::iterations(octets).is_some()
}

/// Key and certificates of a file whose recipe is not at hand; `None`: it does not open with this password, is laid out as others do
/// it, or would keep its reader busy.
pub(super) fn open(octets: &[u8], password: &str) -> Option<Vec<Value>> {
    let iterations = reading::iterations(octets)?;
    (iterations.get() <= MOST_ITERATIONS_OF_OTHERS).then_some(())?;
    let password = Password::new(password);
    let mut kinds = [Encryption::Aes256, Encryption::TripleDes].into_iter();
    let opened = kinds.find_map(|encryption| reading::open(octets, (encryption, iterations), &password))?;
    Some(vec![
        Value::PrivateKey(opened.private_key),
        Value::Certificates(opened.certificates),
    ])
}

/// Judges a password.
fn judge(password: &str) -> Result<(), &'static str> {
    if password.is_empty() {
        Err("the password is empty")
    } else if !password.bytes().all(|octet| (b' '..=b'~').contains(&octet)) {
        Err("the password has more than ASCII, which programs encode in several ways")
    } else {
        Ok(())
    }
}

/// A password, and a private key: what is zeroized when it is dropped.
type Secret = Zeroizing<Vec<u8>>;
