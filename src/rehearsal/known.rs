//! Files of a bundle whose recipe is not at hand: PKCS#12, `esp_secure_cert` and NVS are known by their octets, and opened by what
//! lies beside them.

use zeroize::Zeroizing;

use super::content::{Content, read as read_plain};
use crate::bundle::EndpointFile;
use crate::bundle::format::{Known, Openers, nvs};
use crate::profile::Passwords;

/// What a file may be called that delivers a password, behind the name of the one that it opens.
const PASSWORD: &str = ".password";

/// Octets of a password at most.
const MOST_PASSWORD: usize = 256;

/// Whether octets are one file of a device, and no ZIP of several.
pub(super) fn is_of_a_device(octets: &[u8]) -> bool {
    let known = Openers::default().open(octets);
    !octets.starts_with(b"PK") && !matches!(known, Known::Other | Known::NvsKeys)
}

/// What opens files of a bundle: what others of them deliver, and these passwords.
pub(super) fn openers(files: &[(String, Zeroizing<Vec<u8>>)], given: &Passwords) -> Openers {
    let mut openers = Openers::default();
    openers
        .passwords
        .extend(given.texts().map(|text| Zeroizing::new(text.to_owned())));
    for (name, octets) in files {
        if let Ok(keys) = nvs::read_keys(octets) {
            openers.nvs_keys.push(keys);
        } else if let Ok(Ok(keys)) = <&[u8; 64]>::try_from(octets.as_slice()).map(nvs::Keys::new) {
            openers.nvs_keys.push(keys);
        } else if let Ok(hmac_key) = octets.as_slice().try_into() {
            openers.nvs_keys.push(nvs::Keys::from_hmac_key(hmac_key));
        }
        if name.ends_with(PASSWORD)
            && octets.len() <= MOST_PASSWORD
            && let Ok(text) = std::str::from_utf8(octets)
        {
            openers.passwords.push(Zeroizing::new(text.to_owned()));
        }
    }
    openers
}

/// Why a file gives nothing.
pub(super) enum Shut {
    /// Nothing that is at hand opens it.
    Locked,
    /// Its key is for a DS peripheral.
    InHardware,
}

/// What a file holds.
pub(super) fn read(openers: &Openers, name: &str, octets: Zeroizing<Vec<u8>>) -> Result<Vec<Content>, Shut> {
    match openers.open(&octets) {
        Known::Values(values) => Ok(values.into_iter().filter_map(Content::of).collect()),
        Known::Nvs(values) => Ok(of_nvs(values)),
        Known::NvsKeys => Ok(Vec::new()),
        Known::Locked => Err(Shut::Locked),
        Known::InHardware => Err(Shut::InHardware),
        Known::Other if name.ends_with(PASSWORD) => Ok(Vec::new()),
        Known::Other => Ok(read_plain(octets)),
    }
}

/// Keys and certificates among values of NVS, and what the profiles that are compiled in say there of the endpoint.
fn of_nvs(values: Vec<(String, Zeroizing<Vec<u8>>)>) -> Vec<Content> {
    let text = |wanted: &str| {
        let (_, octets) = values.iter().find(|(key, _)| key == wanted)?;
        String::from_utf8(octets.to_vec()).ok()
    };
    let endpoint = || {
        Some(EndpointFile {
            host: text("host").map(Into::into),
            port: text("port")?.parse().ok()?,
            client_id: text("client_id")?.into(),
            thing_name: text("thing_name")?.into(),
            region: None,
        })
    };
    let mut contents: Vec<_> = endpoint().map(Content::Endpoint).into_iter().collect();
    let is_one = |octets: &[u8]| octets.starts_with(b"-----BEGIN ") || octets.starts_with(b"\x30");
    for (_, octets) in values {
        if is_one(&octets) {
            // What is in a value is in no file of its own.
            contents.extend(read_plain(octets).into_iter().map(Content::of_no_file));
        }
    }
    contents
}
