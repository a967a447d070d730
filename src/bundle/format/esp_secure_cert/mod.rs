//! The partition `esp_secure_cert`, in which Espressif's devices keep their key and certificates: an image of it, as
//! `configure_esp_secure_cert.py` (esp-secure-cert-tool 2.6.1) makes it, octet for octet.
//!
//! An image is a row of entries (TLV): the device's certificate, the CA's, the private key or what the DS peripheral signs
//! with in place of it, and a SHA-256 of all before it. The layout is that of Espressif's component `esp_secure_cert_mgr`
//! (`esp_secure_cert_tlv_config.h`). [`Writer`] makes images, [`read()`] takes them apart and reads nothing that is damaged.
//! Pure: no disk, clock or randomness; what is of chance is given as octets.

mod ds;
mod entry;
mod format;
mod reader;
mod rsa;
mod unread;
mod writer;

pub use ds::{Chip, Ds, DsChance, DsError, DsParameters, DsPrivate};
pub use reader::{Contents, Image, read, read_beginning};
pub use unread::Unread;
pub use writer::{Bounds, Certificate, Device, DeviceError, Key, Layout, Plan, PlanError, Text, Writer};

pub(super) use format::{EspSecureCert, values};

/// Octets of the partition (`PARTITION_SIZE` of the tool; `esp_secure_cert, 0x3F, , 0xD000, 0x2000` in its partition table).
pub const PARTITION: usize = 0x2000;

/// Octets of an IV.
const IV: usize = 16;

/// Labels of keys, which are as they were before PKCS#8.
const EC_KEY: &str = "EC PRIVATE KEY";
const RSA_KEY: &str = "RSA PRIVATE KEY";

#[cfg(test)]
mod tests;
