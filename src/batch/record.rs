//! `batch.json`: what a batch is, beside its bundles.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::encrypted::{self, EncryptedError};
use super::shared::{self, SharedError};
use super::{BATCH_OBJECT, Layout, Shape};
use crate::issuer::{CaCertificate, IssuerError};
use crate::pem;
use crate::profile::{Profile, ProfileConfig, ProfileError};

/// Written before the first bundle; it does not change once a chunk is released.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchRecord {
    pub batch: String,
    /// Digests are SHA-256 in hexadecimal.
    pub manifest_sha256: String,
    pub rows: u64,
    pub chunk_rows: u64,
    pub layout: Layout,
    /// The profile, as far as it differs from the defaults.
    pub profile: ProfileConfig,
    pub profile_sha256: String,
    /// SHA-256 of the issuer's certificate: what AWS IoT calls caCertificateId.
    pub issuer_id: String,
    /// PEM.
    pub issuer_certificate: String,
    /// Id of the ledger that accounts for the batch; empty when each shard has its own.
    pub ledger: String,
    /// In how many shards it is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shards: Option<u32>,
    /// SHA-256 of `shared.zip`; `None`: bundles have all that a device gets. In the store it is part of the profile's
    /// description.
    #[serde(skip)]
    pub shared_sha256: Option<String>,
}

/// Why octets are no record of a batch.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("{object} cannot be read")]
    Json {
        /// As a person finds it: a path or a URL.
        object: String,
        source: serde_json::Error,
    },
    #[error("{object} has impossible numbers of rows")]
    Numbers { object: String },
    #[error("{object} {what}")]
    Shared { object: String, what: SharedError },
    #[error("{object} {what}")]
    Encrypted { object: String, what: EncryptedError },
    #[error("{object} has no valid profile")]
    Profile { object: String, source: ProfileError },
    #[error("{object} has no usable issuer certificate")]
    Issuer { object: String, source: IssuerError },
}

impl RecordError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        if let Self::Shared {
            what: SharedError::Format { .. },
            ..
        }
        | Self::Encrypted {
            what: EncryptedError::Format { .. },
            ..
        } = self
        {
            return "use the certforge that made it, or a newer one".to_owned();
        }
        format!("{BATCH_OBJECT} was changed or damaged; put it back as it was written")
    }
}

/// A record that was read back, with what its texts mean. That it is the record of *this* batch, only a seal,
/// a ledger or a manifest can tell.
#[derive(Debug, Clone)]
pub struct ReadRecord {
    pub record: BatchRecord,
    pub profile: Profile,
    pub issuer: CaCertificate,
}

impl BatchRecord {
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        super::to_json(&encrypted::folded(shared::folded(self)))
    }

    #[must_use]
    pub fn shape(&self) -> Shape {
        Shape {
            rows: self.rows,
            chunk_rows: self.chunk_rows,
        }
    }

    /// Reads the record of the batch at a location.
    ///
    /// # Errors
    ///
    /// When the octets are not such as a forge writes.
    pub fn read(octets: &[u8], location: &str) -> Result<ReadRecord, RecordError> {
        let object = || format!("{location}/{BATCH_OBJECT}");
        let record: Self = serde_json::from_slice(octets).map_err(|source| RecordError::Json {
            object: object(),
            source,
        })?;
        let malformed = |what| RecordError::Shared {
            object: object(),
            what,
        };
        let record = encrypted::unfold(record).map_err(|what| RecordError::Encrypted {
            object: object(),
            what,
        })?;
        let record = shared::unfold(record).map_err(malformed)?;
        if !record.shape().is_sound() {
            return Err(RecordError::Numbers { object: object() });
        }
        let profile = Profile::from_config(&record.profile).map_err(|source| RecordError::Profile {
            object: object(),
            source,
        })?;
        if profile.recipe().shared().is_empty() == record.shared_sha256.is_some() {
            return Err(malformed(SharedError::Malformed));
        }
        let blocks = pem::blocks(&record.issuer_certificate).unwrap_or_default();
        let der = blocks.first().map(|block| block.der.to_vec()).unwrap_or_default();
        let issuer =
            CaCertificate::from_der(&der, Path::new(BATCH_OBJECT)).map_err(|source| RecordError::Issuer {
                object: object(),
                source,
            })?;
        Ok(ReadRecord {
            record,
            profile,
            issuer,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::Root;
    use crate::bundle::encryption::Identity;
    use data_encoding::HEXLOWER;
    use serde_json::Value;
    use zeroize::Zeroizing;

    /// A record whose issuer is Amazon's.
    fn record(profile: &str) -> BatchRecord {
        let profile = Profile::load(profile, Some("a.example")).unwrap();
        BatchRecord {
            batch: "b".to_owned(),
            manifest_sha256: "00".repeat(32),
            rows: 3,
            chunk_rows: 1,
            layout: Layout::Packs,
            profile: profile.config().clone(),
            profile_sha256: HEXLOWER.encode(&profile.digest()),
            issuer_id: "11".repeat(32),
            issuer_certificate: pem::encode(pem::CERTIFICATE, Root::named("amazon-root-ca-3").unwrap().der()),
            ledger: "l".to_owned(),
            shards: None,
            shared_sha256: (!profile.recipe().shared().is_empty()).then(|| "22".repeat(32)),
        }
    }

    fn json(record: &BatchRecord) -> Value {
        serde_json::from_slice(&record.to_json()).unwrap()
    }

    fn read(json: &Value) -> Result<ReadRecord, RecordError> {
        BatchRecord::read(&serde_json::to_vec(json).unwrap(), "out/b")
    }

    #[test]
    fn a_record_with_shared_files_has_no_field_that_one_without_has_not() {
        let (plain, shared) = (record("aws-iot-p256"), record("aws-iot-p256-shared"));
        let names = |json: &Value| -> Vec<String> { json.as_object().unwrap().keys().cloned().collect() };
        let (plain, in_store) = (json(&plain), json(&shared));
        assert_eq!(names(&plain), names(&in_store));
        // Certforges of before shared files know these fields of a file, and a description.
        let files = in_store["profile"]["bundle"]["files"].as_array().unwrap();
        for file in files {
            assert_eq!(names(file), ["name", "content"], "{file}");
        }
        let own: Vec<_> = files.iter().map(|file| &file["name"]).collect();
        assert_eq!(own, ["private.pem.key", "certificate.pem.crt"]);
        assert_eq!(plain["profile"].get("description"), None);
        // The profile that they see is the one whose digest they see.
        let mut seen: ProfileConfig = serde_json::from_value(in_store["profile"].clone()).unwrap();
        seen.description.clear();
        let seen = Profile::from_config(&seen).unwrap();
        assert_eq!(in_store["profile_sha256"], HEXLOWER.encode(&seen.digest()));
        assert_eq!(read(&in_store).unwrap().record, shared);
        assert_eq!(read(&plain).unwrap().record.shared_sha256, None);
    }

    /// The same, of bundles that are encrypted.
    fn encrypted(profile: &str) -> BatchRecord {
        let recipients = [1, 2].map(|octet| {
            let identity = Identity::new(Zeroizing::new([octet; 32]));
            identity.recipient().clone()
        });
        let plain = record(profile);
        let profile = Profile::from_config(&plain.profile).unwrap();
        let profile = profile.with_recipients(&recipients).unwrap();
        BatchRecord {
            layout: plain.layout.encrypted(),
            profile: profile.config().clone(),
            profile_sha256: HEXLOWER.encode(&profile.digest()),
            ..plain
        }
    }

    #[test]
    fn a_record_of_encrypted_bundles_has_no_field_that_one_of_others_has_not() {
        for profile in ["aws-iot-p256", "aws-iot-p256-shared"] {
            let (plain, secret) = (record(profile), encrypted(profile));
            let (mut without, in_store) = (json(&plain), json(&secret));
            assert_eq!(read(&in_store).unwrap().record, secret);
            assert_eq!(read(&without).unwrap().record, plain);
            // But for the description it is the record of bundles that are not encrypted.
            let description = in_store["profile"]["description"].clone();
            assert!(
                description
                    .as_str()
                    .unwrap()
                    .starts_with("{\"certforge_encrypted\":1,")
            );
            let mut in_store = in_store;
            for json in [&mut without, &mut in_store] {
                json["profile"].as_object_mut().unwrap().remove("description");
            }
            assert_eq!(in_store, without, "{profile}");
        }
    }

    #[test]
    fn a_record_that_does_not_say_well_for_whom_it_is_encrypted_is_refused() {
        let good = json(&encrypted("aws-iot-p256"));
        let description = good["profile"]["description"].as_str().unwrap();
        let refused = |from: &str, to: &str| {
            let mut json = good.clone();
            let changed = description.replacen(from, to, 1);
            assert_ne!(changed, description, "{from}");
            json["profile"]["description"] = changed.into();
            let error = read(&json).unwrap_err();
            (error.to_string(), error.hint())
        };
        let (error, hint) = refused("encrypted\":1", "encrypted\":2");
        assert_eq!(
            error,
            "out/b/batch.json has encrypted bundles of format 2, this certforge reads 1"
        );
        assert_eq!(hint, "use the certforge that made it, or a newer one");
        let (error, _) = refused("\"recipients\":", "\"readers\":");
        assert_eq!(
            error,
            "out/b/batch.json does not say for whom its bundles are encrypted"
        );
        let (error, _) = refused("[\"age1", "[\"age2");
        assert_eq!(error, "out/b/batch.json has no valid profile");
        // What is encrypted says so in one place only.
        let mut json = good.clone();
        json["layout"] = "packs-age".into();
        assert!(read(&json).is_err());
        let mut json = good.clone();
        json["profile"]["delivery"] = serde_json::json!({ "recipients": [] });
        assert!(read(&json).is_ok());
        // And another digest than the profile's is not put right.
        let mut json = good;
        json["profile_sha256"] = "33".repeat(32).into();
        assert_eq!(read(&json).unwrap().record.profile_sha256, "33".repeat(32));
    }

    #[test]
    fn a_record_that_does_not_say_well_what_is_shared_is_refused() {
        let good = json(&record("aws-iot-p256-shared"));
        let description = good["profile"]["description"].as_str().unwrap();
        let refused = |from: &str, to: &str| {
            let mut json = good.clone();
            let changed = description.replacen(from, to, 1);
            assert_ne!(changed, description, "{from}");
            json["profile"]["description"] = changed.into();
            read(&json).err().map(|error| (error.to_string(), error.hint()))
        };
        let (error, hint) = refused("shared\":1", "shared\":2").unwrap();
        assert_eq!(
            error,
            "out/b/batch.json has shared files of format 2, this certforge reads 1"
        );
        assert_eq!(hint, "use the certforge that made it, or a newer one");
        for (from, to) in [
            ("\"shared\":true", "\"shared\":false"),
            ("\"sha256\":", "\"sha512\":"),
            ("\"files\":[", "\"files\":[],\"other\":["),
        ] {
            let (error, _) = refused(from, to).unwrap();
            assert_eq!(error, "out/b/batch.json does not say what shared files it has");
        }
        // What says that a file is shared says where it lies.
        let mut json = good.clone();
        json["profile"]["bundle"]["files"][1]["shared"] = true.into();
        assert!(read(&json).is_err());
        // And another digest than the profile's is not put right.
        let mut json = good;
        json["profile_sha256"] = "33".repeat(32).into();
        assert_eq!(read(&json).unwrap().record.profile_sha256, "33".repeat(32));
    }
}
