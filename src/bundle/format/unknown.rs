//! Files whose recipe is not at hand: formats that are known by their octets, for whoever has no more than a bundle.

use zeroize::Zeroizing;

use super::{Value, esp_secure_cert, nvs, pkcs12};

/// What opens such files: passwords, and keys of NVS.
#[derive(Default)]
pub struct Openers {
    pub passwords: Vec<Zeroizing<String>>,
    pub nvs_keys: Vec<nvs::Keys>,
}

/// What such a file is.
pub enum Known {
    /// A key and certificates.
    Values(Vec<Value>),
    /// An NVS partition, with what its keys have as their values.
    Nvs(Vec<(String, Zeroizing<Vec<u8>>)>),
    /// Keys of NVS, which are nobody's identity.
    NvsKeys,
    /// It opens with none of these passwords or keys.
    Locked,
    /// The key is one that a DS peripheral alone can use.
    InHardware,
    /// Nothing of these: PEM, DER, JSON and the like.
    Other,
}

impl Openers {
    /// What a file is.
    #[must_use]
    pub fn open(&self, octets: &[u8]) -> Known {
        if let Ok(image) = esp_secure_cert::read(octets) {
            return esp_secure_cert::values(image).map_or(Known::InHardware, Known::Values);
        }
        if nvs::read_keys(octets).is_ok() {
            return Known::NvsKeys;
        }
        if !octets.is_empty() && nvs::extent(octets) == octets.len() {
            return self.open_nvs(octets);
        }
        match pkcs12::is_one(octets) {
            true => {
                let mut passwords = self.passwords.iter();
                let opened = passwords.find_map(|password| pkcs12::open(octets, password));
                opened.map_or(Known::Locked, Known::Values)
            }
            false => Known::Other,
        }
    }

    fn open_nvs(&self, octets: &[u8]) -> Known {
        let keys = self.nvs_keys.iter().map(Some);
        let found = std::iter::once(None).chain(keys);
        let Some(found) = found.into_iter().find_map(|keys| nvs::read(octets, keys).ok()) else {
            return Known::Locked;
        };
        let values = found.iter().filter_map(|read| {
            let octets = match &read.value {
                nvs::Value::String(text) => text.as_bytes().to_vec(),
                nvs::Value::Blob(octets) => octets.to_vec(),
                nvs::Value::U16(number) => number.to_string().into_bytes(),
                _ => return None,
            };
            Some((read.key.clone(), Zeroizing::new(octets)))
        });
        Known::Nvs(values.collect())
    }
}
