//! What the folder of a CA remembers of its registrations with AWS IoT: where, in which mode, and whether the key was proven.
//!
//! A registration in mode DEFAULT takes a signature of the CA's key, once: the verification certificate. So a key is not
//! destroyed while one is still to come, which only this record can tell.

use std::io;
use std::path::Path;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use super::{CaCertificate, IssuerError, own_text};
use crate::whole;

/// Where and how a CA was registered.
pub const REGISTRATION_FILE: &str = "registration.json";

/// Everybody may read it: these are public facts.
const MODE: u32 = 0o644;

/// How AWS IoT tells whose a device is (`certificateMode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CertificateMode {
    /// By its CA, which is registered in one account of a Region and needs a proof of possession.
    Default,
    /// By the host name that it asks for (SNI), so that several accounts may share a CA.
    SniOnly,
}

impl CertificateMode {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default => "DEFAULT",
            Self::SniOnly => "SNI_ONLY",
        }
    }
}

/// A registration of a CA in one account and Region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registered {
    /// SHA-256 of the CA's certificate, 64 hexadecimal digits.
    pub ca_certificate_id: String,
    pub account: String,
    pub region: String,
    pub mode: CertificateMode,
    /// RFC 3339.
    pub begun_at: String,
    /// SHA-256 of the verification certificate that AWS IoT took; nothing in mode SNI_ONLY, and when it had taken one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
    /// RFC 3339: AWS IoT was seen to know the CA. Nothing, while it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered_at: Option<String>,
}

impl Registered {
    /// Whether AWS IoT will ask for a signature of the CA's key.
    #[must_use]
    pub fn needs_key(&self) -> bool {
        self.mode == CertificateMode::Default && self.registered_at.is_none()
    }

    fn is_in_place_of(&self, other: &Self) -> bool {
        self.ca_certificate_id == other.ca_certificate_id
            && self.account == other.account
            && self.region == other.region
    }
}

/// All that a folder remembers.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    registrations: Vec<Registered>,
}

/// The registrations of a CA that its folder remembers.
///
/// # Errors
///
/// When the record cannot be read, others may write to it, or it is none.
pub fn read_registrations(folder: &Path, ca: &CaCertificate) -> Result<Vec<Registered>, IssuerError> {
    let id = HEXLOWER.encode(&ca.id());
    let all = read(folder)?.registrations.into_iter();
    Ok(all.filter(|known| known.ca_certificate_id == id).collect())
}

/// Remembers a registration, in the place of what was known of that account and Region.
///
/// # Errors
///
/// When the record cannot be read or written.
pub fn remember_registration(folder: &Path, registered: &Registered) -> Result<(), IssuerError> {
    let mut record = read(folder)?;
    record
        .registrations
        .retain(|known| !registered.is_in_place_of(known));
    record.registrations.push(registered.clone());
    let path = folder.join(REGISTRATION_FILE);
    let mut json = serde_json::to_vec_pretty(&record).expect("it has nothing that JSON has not");
    json.push(b'\n');
    whole::write(&path, &json, MODE).map_err(|source| IssuerError::Write { path, source })
}

fn read(folder: &Path) -> Result<Record, IssuerError> {
    let path = folder.join(REGISTRATION_FILE);
    match own_text(&path)? {
        None => Ok(Record::default()),
        Some(text) => serde_json::from_str(&text).map_err(|error| IssuerError::Registration {
            path,
            source: io::Error::from(error),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn registered(id: &str, region: &str, registered_at: Option<&str>) -> Registered {
        Registered {
            ca_certificate_id: id.to_owned(),
            account: "123456789012".to_owned(),
            region: region.to_owned(),
            mode: CertificateMode::Default,
            begun_at: "2026-01-01T00:00:00Z".to_owned(),
            proof: None,
            registered_at: registered_at.map(str::to_owned),
        }
    }

    #[test]
    fn the_last_word_on_an_account_and_region_counts() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path();
        assert!(read(folder).unwrap().registrations.is_empty());
        let at = Some("2026-01-01T00:00:01Z");
        for (id, region, at) in [
            ("aa", "eu-central-1", None),
            ("aa", "us-east-1", None),
            ("bb", "us-east-1", None),
            ("aa", "us-east-1", at),
        ] {
            remember_registration(folder, &registered(id, region, at)).unwrap();
        }
        let known = read(folder).unwrap().registrations;
        assert_eq!(
            known,
            [
                registered("aa", "eu-central-1", None),
                registered("bb", "us-east-1", None),
                registered("aa", "us-east-1", at)
            ]
        );
        let needs_key: Vec<_> = known.iter().map(Registered::needs_key).collect();
        assert_eq!(needs_key, [true, true, false]);
        let shared = Registered {
            mode: CertificateMode::SniOnly,
            ..registered("aa", "us-east-1", None)
        };
        assert!(!shared.needs_key());
    }

    #[test]
    fn what_is_no_record_or_what_others_may_write_to_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join(REGISTRATION_FILE);
        for text in [
            "",
            "{}",
            r#"{"registrations": [{"mode": "default"}]}"#,
            r#"{"registrations": [], "other": 1}"#,
        ] {
            fs::write(&path, text).unwrap();
            let refused = read(place.path()).unwrap_err();
            assert!(matches!(refused, IssuerError::Registration { .. }), "{text}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        let refused = read(place.path()).unwrap_err();
        assert!(matches!(refused, IssuerError::Exposed { .. }));
    }
}
