//! The writer: a plan for a batch, and then an image for each device.

use serde::Deserialize;

use super::ds::{self, Ds, DsChance, DsError};
use super::entry::{self, Kind};
use super::{EC_KEY, PARTITION, RSA_KEY};
use crate::bundle::format::Ending;
use crate::digest::sha256;
use crate::pem;

/// How the entries lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// As the command of 2.6.1 writes them: DS parameters, CA, certificate, key; then a SHA-256 of all that. The image ends
    /// with its last entry.
    #[default]
    Current,
    /// The same without the SHA-256 (`EspSecureCert.generate_esp_secure_cert` without `add_tlv_integrity`).
    WithoutDigest,
    /// As the tool wrote them before (`generate_partition_no_ds` and `generate_partition_ds` of the same package):
    /// certificate, CA, key or DS parameters; then 0xFF up to the partition's end.
    WholePartition,
}

impl Layout {
    /// Every one, as a profile calls it.
    pub const ALL: [(&'static str, Self); 3] = [
        ("current", Self::Current),
        ("without-digest", Self::WithoutDigest),
        ("whole-partition", Self::WholePartition),
    ];
}

/// How keys and certificates are written: as the tool does with files of this kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Text {
    /// PEM with a NUL at its end.
    #[default]
    Pem,
    /// DER, so certificates stand alone.
    Der,
}

/// How the images of a batch are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    pub layout: Layout,
    pub text: Text,
    /// `None`: the private key lies in the image.
    pub ds: Option<Ds>,
}

/// Why no image can be made in such a way, for the author of a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("an image may have {octets} octets, and the partition esp_secure_cert has 8192")]
    TooLong { octets: usize },
    #[error("{what} as DER is one certificate, not {count}; a chain needs PEM")]
    ChainAsDer { what: &'static str, count: usize },
    #[error("eFuse key block {number} is not one of 0 to 5")]
    EfuseKey { number: u8 },
}

/// Octets that a device's values have at most.
#[derive(Debug, Clone, Copy)]
pub struct Bounds<'a> {
    /// Of the key as SEC1 or PKCS#1 DER.
    pub key: usize,
    /// Of each certificate, DER, the device's own first.
    pub certificates: &'a [usize],
    /// Of each certificate of the CA. Empty: the image has none.
    pub ca: &'a [usize],
}

/// A private key in the form that came before PKCS#8.
#[derive(Clone, Copy)]
pub enum Key<'a> {
    /// SEC1 (RFC 5915) DER that names its curve and has the public key, as openssl writes it.
    Ec(&'a [u8]),
    /// PKCS#1 (RFC 8017) DER.
    Rsa(&'a [u8]),
}

impl<'a> Key<'a> {
    fn der(self) -> &'a [u8] {
        match self {
            Self::Ec(der) | Self::Rsa(der) => der,
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Ec(_) => EC_KEY,
            Self::Rsa(_) => RSA_KEY,
        }
    }
}

/// A certificate, DER, and as a block of PEM where somebody has it as that already.
#[derive(Clone, Copy)]
pub struct Certificate<'a> {
    pub der: &'a [u8],
    pub pem: Option<&'a [u8]>,
}

impl<'a> From<&'a [u8]> for Certificate<'a> {
    fn from(der: &'a [u8]) -> Self {
        Self { der, pem: None }
    }
}

/// What an image says of one device.
#[derive(Clone, Copy)]
pub struct Device<'a> {
    pub key: Key<'a>,
    /// The device's own first, then those up its chain.
    pub certificates: &'a [Certificate<'a>],
    /// The CA's certificate, or several; the tool itself takes one. Empty: the image has none.
    pub ca: &'a [Certificate<'a>],
    /// Needed where the plan has a DS, and only there.
    pub chance: Option<DsChance<'a>>,
}

/// Why a device has no image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    #[error("the device's image does not fit")]
    Plan(#[from] PlanError),
    #[error("the device's key is not for its DS peripheral")]
    Ds(#[from] DsError),
    #[error("an HMAC key and an IV are needed with a DS peripheral, and only there")]
    Chance,
}

/// Makes the images of a batch.
#[derive(Debug)]
pub struct Writer {
    plan: Plan,
}

impl Writer {
    /// As the tool is without options, given PEM.
    pub const DEFAULT: Self = Self {
        plan: Plan {
            layout: Layout::Current,
            text: Text::Pem,
            ds: None,
        },
    };

    /// # Errors
    ///
    /// When no image at all can be made so.
    pub fn new(plan: Plan) -> Result<Self, PlanError> {
        match plan.ds {
            Some(Ds {
                efuse_key: number @ 6..,
                ..
            }) => Err(PlanError::EfuseKey { number }),
            _ => Ok(Self { plan }),
        }
    }

    #[must_use]
    pub fn plan(&self) -> Plan {
        self.plan
    }

    /// Octets that an image has at most, for devices whose values keep within bounds.
    ///
    /// # Errors
    ///
    /// When such an image may not fit into the partition.
    pub fn room(&self, bounds: &Bounds<'_>) -> Result<usize, PlanError> {
        let (own, ca) = (bounds.certificates.iter(), bounds.ca.iter());
        // Its label is the longer one.
        self.octets(RSA_KEY, bounds.key, own.copied(), ca.copied())
    }

    /// Octets of an image.
    fn octets(
        &self,
        label: &str,
        key: usize,
        own: impl ExactSizeIterator<Item = usize>,
        ca: impl ExactSizeIterator<Item = usize>,
    ) -> Result<usize, PlanError> {
        let Plan { layout, text, ds } = self.plan;
        let key = match (ds, text) {
            (Some(ds), _) => entry::len(ds::data_len(ds.chip.longest_key())) + entry::len(ds::CONTEXT),
            (None, Text::Pem) => entry::len(pem::len(label, key) + 1),
            (None, Text::Der) => entry::len(key),
        };
        let own = certificates_len(text, "the device's certificate", own)?;
        let ca = match ca.len() {
            0 => 0,
            _ => certificates_len(text, "the CA's certificate", ca)?,
        };
        let digest = match layout {
            Layout::Current => entry::INTEGRITY,
            Layout::WithoutDigest | Layout::WholePartition => 0,
        };
        match key + own + ca + digest {
            octets if octets > PARTITION => Err(PlanError::TooLong { octets }),
            _ if layout == Layout::WholePartition => Ok(PARTITION),
            octets => Ok(octets),
        }
    }

    /// Appends a device's image. The buffer does not move when it has [`Writer::room`].
    ///
    /// # Errors
    ///
    /// When the image would be longer than the partition, or the key is not for the plan's DS peripheral; then nothing was
    /// appended.
    pub fn append(&self, device: &Device<'_>, out: &mut Vec<u8>) -> Result<(), DeviceError> {
        let start = out.len();
        self.append_beginning(device, out)?;
        if let Some(ending) = self.ending() {
            let digest = sha256(&out[start..]);
            let place = out.len();
            out.resize(place + ending.octets, 0);
            (ending.fill)(&digest, &mut out[place..]);
        }
        Ok(())
    }

    /// How an image ends: with a SHA-256, if at all.
    pub(super) fn ending(&self) -> Option<Ending> {
        (self.plan.layout == Layout::Current).then_some(Ending {
            octets: entry::INTEGRITY,
            fill: entry::fill_integrity,
        })
    }

    /// Appends a device's image without its [`Writer::ending`].
    pub(super) fn append_beginning(&self, device: &Device<'_>, out: &mut Vec<u8>) -> Result<(), DeviceError> {
        let len = |certificate: &Certificate<'_>| certificate.der.len();
        let (key, own, ca) = (device.key, device.certificates.iter(), device.ca.iter());
        let octets = self.octets(key.label(), key.der().len(), own.map(len), ca.map(len))?;
        let secret = self.secret(device)?;
        let start = out.len();
        out.reserve(octets);
        if self.plan.layout == Layout::WholePartition {
            self.append_certificates(Kind::Certificate, device.certificates, out);
            self.append_certificates(Kind::Ca, device.ca, out);
            secret.append(self.plan.text, out);
            out.resize(start + PARTITION, 0xFF);
            return Ok(());
        }
        if let Secret::Ds(..) = secret {
            secret.append(self.plan.text, out);
        }
        self.append_certificates(Kind::Ca, device.ca, out);
        self.append_certificates(Kind::Certificate, device.certificates, out);
        if let Secret::Plain(_) = secret {
            secret.append(self.plan.text, out);
        }
        Ok(())
    }

    /// Appends an entry with certificates; nothing, when there are none.
    fn append_certificates(&self, kind: Kind, certificates: &[Certificate<'_>], out: &mut Vec<u8>) {
        if certificates.is_empty() {
            return;
        }
        entry::append(kind, out, |out| {
            for certificate in certificates {
                match (self.plan.text, certificate.pem) {
                    (Text::Der, _) => out.extend_from_slice(certificate.der),
                    (Text::Pem, Some(pem)) => out.extend_from_slice(pem),
                    (Text::Pem, None) => pem::append_certificate(certificate.der, out),
                }
            }
            if self.plan.text == Text::Pem {
                out.push(0);
            }
        });
    }

    fn secret<'a>(&self, device: &Device<'a>) -> Result<Secret<'a>, DeviceError> {
        match (self.plan.ds, device.key, device.chance) {
            (None, key, None) => Ok(Secret::Plain(key)),
            (Some(ds), Key::Rsa(pkcs1), Some(chance)) => {
                ds::judge(pkcs1, ds.chip)?;
                Ok(Secret::Ds(pkcs1, ds, chance))
            }
            (Some(_), Key::Ec(_), Some(_)) => Err(DsError::NotRsa.into()),
            (None, _, Some(_)) | (Some(_), _, None) => Err(DeviceError::Chance),
        }
    }
}

/// How a device's key lies in its image.
enum Secret<'a> {
    Plain(Key<'a>),
    Ds(&'a [u8], Ds, DsChance<'a>),
}

impl Secret<'_> {
    fn append(&self, text: Text, out: &mut Vec<u8>) {
        match self {
            Self::Plain(key) => entry::append(Kind::PrivateKey, out, |out| match text {
                Text::Der => out.extend_from_slice(key.der()),
                Text::Pem => {
                    pem::append(key.label(), key.der(), out);
                    out.push(0);
                }
            }),
            Self::Ds(pkcs1, ds, chance) => {
                entry::append(Kind::DsData, out, |out| {
                    ds::append_data(pkcs1, ds.chip, chance, out);
                });
                entry::append(Kind::DsContext, out, |out| ds::append_context(pkcs1, *ds, out));
            }
        }
    }
}

/// Octets of an entry with certificates, given those of each as DER.
fn certificates_len(
    text: Text,
    what: &'static str,
    ders: impl ExactSizeIterator<Item = usize>,
) -> Result<usize, PlanError> {
    match (text, ders.len()) {
        (Text::Pem, 1..) => {
            let pem: usize = ders.map(|der| pem::len(pem::CERTIFICATE, der)).sum();
            Ok(entry::len(pem + 1))
        }
        (Text::Der, 1) => Ok(entry::len(ders.sum())),
        (_, count) => Err(PlanError::ChainAsDer { what, count }),
    }
}
