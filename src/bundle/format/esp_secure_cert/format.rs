//! `esp-secure-cert`: such an image as a file of a bundle.

use std::sync::Arc;

use serde::Deserialize;
use zeroize::Zeroizing;

use super::ds::{Ds, DsChance};
use super::reader::{self, Contents, Image};
use super::writer::{Bounds, Certificate, Device, Key, Layout, Plan, Text, Writer};
use crate::bundle::format::{
    Beside, Ending, Format, Settings, Sizes, Source, Unread, Value, refuse_formless, traditional,
};
use crate::bundle::{Content, Drawn};

const JUDGED: &str = "the profile's keys are for the image, and it was judged to fit";

/// What a profile says of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// `current`, `without-digest` or `whole-partition`. Default: current.
    #[serde(default)]
    layout: Layout,
    /// `pem` or `der`. Default: pem.
    #[serde(default)]
    encoding: Text,
    /// The chip, and the eFuse key block of its HMAC key: `{ chip = "esp32s3", efuse_key = 1 }`. Default: none; the private
    /// key lies in the image.
    ds: Option<Ds>,
}

pub(in crate::bundle::format) struct EspSecureCert {
    writer: Writer,
}

impl EspSecureCert {
    /// As it is without settings.
    pub const DEFAULT: Self = Self {
        writer: Writer::DEFAULT,
    };

    fn plan(&self) -> Plan {
        self.writer.plan()
    }

    /// The image again of what was read of it, which must come out as it is. `None`: the key is not one.
    fn again(
        &self,
        image: &Image,
        key: &Key<'_>,
        chance: Option<DsChance<'_>>,
    ) -> Option<Zeroizing<Vec<u8>>> {
        let (own, ca) = (ders(&image.certificates), ders(&image.ca));
        let device = Device {
            key: *key,
            certificates: &own,
            ca: &ca,
            chance,
        };
        // It never moves.
        let mut again = Zeroizing::new(Vec::with_capacity(super::PARTITION));
        self.writer.append(&device, &mut again).ok()?;
        Some(again)
    }

    /// The key of an image as PKCS#8, if all that makes the image comes out as it is.
    fn key(&self, octets: &[u8], image: &Image, beside: &Beside<'_>) -> Option<Zeroizing<Vec<u8>>> {
        let (pkcs1, again) = match (&image.key, self.plan().ds) {
            (Contents::Ec(der), None) => {
                let again = self.again(image, &Key::Ec(der), None)?;
                return (*again == octets).then(|| traditional::to_pkcs8(der, false))?;
            }
            (Contents::Rsa(der), None) => (der.clone(), self.again(image, &Key::Rsa(der), None)?),
            (Contents::Ds(parameters), Some(_)) => {
                let hmac_key = beside.secrets.of(Drawn::HmacKey)?.try_into().ok()?;
                let pkcs1 = parameters.open(hmac_key)?.pkcs1()?;
                let chance = DsChance {
                    hmac_key,
                    iv: &parameters.iv,
                };
                let again = self.again(image, &Key::Rsa(&pkcs1), Some(chance))?;
                (pkcs1, again)
            }
            _ => return None,
        };
        (*again == octets).then(|| traditional::to_pkcs8(&pkcs1, true))?
    }
}

/// Key, certificates and CA of an image whose recipe is not at hand; `None`: its key is for a DS peripheral, or is none.
pub(in crate::bundle::format) fn values(image: Image) -> Option<Vec<Value>> {
    let key = match &image.key {
        Contents::Ec(der) => traditional::to_pkcs8(der, false)?,
        Contents::Rsa(der) => traditional::to_pkcs8(der, true)?,
        Contents::Ds(_) => return None,
    };
    let certificates = [image.certificates, image.ca].into_iter();
    let certificates = certificates.filter(|list| !list.is_empty());
    Some(
        std::iter::once(Value::PrivateKey(key))
            .chain(certificates.map(Value::Certificates))
            .collect(),
    )
}

fn ders(certificates: &[Vec<u8>]) -> Vec<Certificate<'_>> {
    certificates.iter().map(|der| der.as_slice().into()).collect()
}

/// Appends the certificates of a content.
fn append_certificates<'a>(content: &Content, source: &Source<'a>, out: &mut Vec<Certificate<'a>>) {
    let own = Certificate {
        der: source.credential.certificate,
        pem: Some(source.certificate_pem),
    };
    let issuer = Certificate {
        der: &source.shared.issuer,
        pem: Some(source.issuer_pem),
    };
    match content {
        Content::Certificate => out.push(own),
        Content::Chain => out.extend([own, issuer]),
        Content::Issuer => out.push(issuer),
        Content::Root(root) => out.push(root.der().into()),
        _ => {}
    }
}

/// How many certificates a content has.
fn count(content: &Content) -> usize {
    if *content == Content::Chain { 2 } else { 1 }
}

impl EspSecureCert {
    /// Hands on what an image says of a device; `None` when it is not for such a key.
    fn with_device<T>(
        &self,
        contents: &[Content],
        source: &Source<'_>,
        append: impl FnOnce(&Device<'_>) -> Option<T>,
    ) -> Option<T> {
        let pkcs8 = source.credential.private_key;
        let mut key = Zeroizing::new(Vec::with_capacity(pkcs8.len() + traditional::ADDED));
        let is_rsa = traditional::from_pkcs8(pkcs8, true, &mut key).is_some();
        if !is_rsa {
            traditional::from_pkcs8(pkcs8, false, &mut key)?;
        }
        let mut certificates = Vec::with_capacity(2 * contents.len());
        let [_, own, ca @ ..] = contents else {
            return None;
        };
        append_certificates(own, source, &mut certificates);
        let count = certificates.len();
        for content in ca {
            append_certificates(content, source, &mut certificates);
        }
        let (own, ca) = certificates.split_at(count);
        let chance = self.plan().ds.and_then(|_| {
            let hmac_key = source.secrets.of(Drawn::HmacKey)?.try_into().ok()?;
            let iv = source.random.try_into().ok()?;
            Some(DsChance { hmac_key, iv })
        });
        let device = Device {
            key: if is_rsa { Key::Rsa(&key) } else { Key::Ec(&key) },
            certificates: own,
            ca,
            chance,
        };
        append(&device)
    }
}

impl Format for EspSecureCert {
    fn name(&self) -> &'static str {
        "esp-secure-cert"
    }

    fn is_partition(&self) -> bool {
        true
    }

    fn with(&self, settings: &Settings) -> Result<Option<Arc<dyn Format>>, String> {
        let Written { layout, encoding, ds } = settings.read()?;
        let text = encoding;
        let writer = Writer::new(Plan { layout, text, ds }).map_err(|error| error.to_string())?;
        Ok(Some(Arc::new(Self { writer })))
    }

    fn default_contents(&self) -> Vec<Content> {
        vec![Content::PrivateKey, Content::Certificate, Content::Issuer]
    }

    fn check(&self, contents: &[Content]) -> Result<(), String> {
        refuse_formless(contents)?;
        let [
            Content::PrivateKey,
            own @ (Content::Certificate | Content::Chain),
            ca @ ..,
        ] = contents
        else {
            return Err(
                "an esp_secure_cert image holds the private-key first, then certificate or chain, then issuer and roots, \
                 as its CA"
                    .to_owned(),
            );
        };
        if let Some(content) = ca.iter().find(|content| !content.is_constant()) {
            return Err(format!(
                "{} cannot be the CA of an esp_secure_cert image",
                content.name()
            ));
        }
        match self.plan().text == Text::Der && (*own == Content::Chain || ca.len() > 1) {
            true => Err("certificates as DER stand alone; leave the encoding as pem".to_owned()),
            false => Ok(()),
        }
    }

    fn fits(&self, contents: &[Content], sizes: &Sizes<'_>) -> Result<(), String> {
        let lens = |content: &Content| match content {
            Content::Chain => vec![sizes.certificate, sizes.issuer],
            content => vec![sizes.of(content)],
        };
        let [_, own, ca @ ..] = contents else {
            return Ok(());
        };
        let bounds = Bounds {
            key: sizes.private_key + traditional::ADDED,
            certificates: &lens(own),
            ca: &ca.iter().flat_map(lens).collect::<Vec<_>>(),
        };
        self.writer
            .room(&bounds)
            .map(|_| ())
            .map_err(|error| error.to_string())
    }

    fn draws(&self) -> &[Drawn] {
        match self.plan().ds {
            Some(_) => &[Drawn::HmacKey],
            None => &[],
        }
    }

    fn random_octets(&self) -> usize {
        if self.plan().ds.is_some() { super::IV } else { 0 }
    }

    fn is_for_rsa(&self) -> Option<bool> {
        self.plan().ds.map(|_| true)
    }

    fn most_rsa_bits(&self) -> Option<usize> {
        self.plan().ds.map(|ds| ds.chip.longest_key())
    }

    fn room(&self, _: &[Content], _: &Sizes<'_>) -> usize {
        super::PARTITION
    }

    fn makes(&self, contents: &[Content], source: &Source<'_>) -> bool {
        let mut out = Zeroizing::new(Vec::with_capacity(self.room(contents, &Sizes::LARGEST)));
        self.with_device(contents, source, |device| {
            self.writer.append(device, &mut out).ok()
        })
        .is_some()
    }

    fn append(&self, contents: &[Content], source: &Source<'_>, out: &mut Vec<u8>) {
        self.with_device(contents, source, |device| self.writer.append(device, out).ok())
            .expect(JUDGED);
    }

    fn ending(&self) -> Option<Ending> {
        self.writer.ending()
    }

    fn append_beginning(&self, contents: &[Content], source: &Source<'_>, out: &mut Vec<u8>) {
        let append = |device: &Device<'_>| self.writer.append_beginning(device, out).ok();
        self.with_device(contents, source, append).expect(JUDGED);
    }

    fn read(&self, contents: &[Content], octets: &[u8], beside: &Beside<'_>) -> Result<Vec<Value>, Unread> {
        let image = reader::read(octets).map_err(|_| Unread::Damaged)?;
        let mut key = Some(self.key(octets, &image, beside).ok_or(Unread::Damaged)?);
        let (mut own, mut ca) = (image.certificates.into_iter(), image.ca.into_iter());
        let mut values = Vec::with_capacity(contents.len());
        for content in contents {
            let certificates = match content {
                Content::PrivateKey => {
                    values.push(Value::PrivateKey(key.take().ok_or(Unread::Damaged)?));
                    continue;
                }
                Content::Certificate | Content::Chain => own.by_ref().take(count(content)),
                ca_content => ca.by_ref().take(count(ca_content)),
            };
            let certificates: Vec<_> = certificates.collect();
            if certificates.len() < count(content) {
                return Err(Unread::Damaged);
            }
            values.push(Value::Certificates(certificates));
        }
        match (own.next(), ca.next()) {
            (None, None) => Ok(values),
            _ => Err(Unread::Damaged),
        }
    }
}
