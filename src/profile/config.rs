//! What a profile file says, before anything is checked. It travels no further than [`super::Profile`].

use serde::{Deserialize, Serialize};

use super::KeyType;
use super::content::Contents;
use crate::bundle::Compression;
use crate::bundle::format::{Format, Settings};

/// The TOML file. Unknown fields are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileConfig {
    /// Name of the profile, for reports: `[a-z0-9-]`.
    pub name: String,
    /// One line for people. Default: empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(default)]
    pub manifest: ManifestConfig,
    #[serde(default)]
    pub key: KeyConfig,
    /// Subject attributes in DN order, each `NAME=template`, with the names C, O, OU, dnQualifier,
    /// ST, CN, serialNumber. Default: `["CN={serial_number}"]`, with the id column's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Vec<String>>,
    /// Policies read the subject (`iot:Certificate.Subject.…`): a value with one of `* $ + ? #`, which AWS IoT fills in
    /// nowhere, is refused, and not only told of. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub policies_read_subject: bool,
    #[serde(default)]
    pub validity: ValidityConfig,
    /// Subject alternative names. Default: none.
    #[serde(default)]
    pub san: SanConfig,
    #[serde(default)]
    pub bundle: BundleConfig,
    /// What `endpoint.json` says. Default: no endpoint.
    #[serde(default)]
    pub endpoint: EndpointConfig,
    /// To whom bundles go. Default: to whoever may read the store.
    #[serde(default, skip_serializing_if = "DeliveryConfig::is_empty")]
    pub delivery: DeliveryConfig,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_field_names,
    reason = "fields of the file, which may say more than ids one day"
)]
pub struct ManifestConfig {
    /// Column that holds device ids. Default: `serial_number`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_column: Option<String>,
    /// Regular expression that the whole of every id matches, such as `L7-[0-9]{6}`. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_pattern: Option<String>,
    /// Characters that every id has. Default: 1 to 128.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_length: Option<usize>,
    /// `upper` or `lower`: the case of every letter of an id. Default: either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_case: Option<IdCase>,
}

/// The case of the letters of ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IdCase {
    Upper,
    Lower,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyConfig {
    /// P-256, P-384, P-521, RSA-2048, RSA-3072 or RSA-4096. Default: P-256.
    #[serde(default, rename = "type")]
    pub key_type: KeyType,
}

/// Exactly one of `days`, `until` and `none`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidityConfig {
    /// Days from the moment of making.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<u32>,
    /// A moment, as `2049-12-31T23:59:59Z`, or `issuer`: as long as the issuer. Default: `issuer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// `true`: no expiry date (RFC 5280, 4.1.2.5). The issuer must have none either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub none: Option<bool>,
    /// Days that certificates hold at least, or `run` warns. Default: 730, two years.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_days: Option<u32>,
    /// Minutes that notBefore lies in the past. Default: 60.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backdate_minutes: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SanConfig {
    /// DNS names, as templates. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<String>,
    /// URIs, as templates. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uri: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleConfig {
    /// Files of a bundle, in order. Default: the six files that AWS names: key, certificate, chain, two roots, endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<FileConfig>>,
    /// zip, or none: a bundle is its one file itself, as it is. Default: zip.
    #[serde(default, skip_serializing_if = "Archive::is_zip")]
    pub archive: Archive,
}

/// What the files of a bundle lie in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Archive {
    #[default]
    Zip,
    None,
}

impl Archive {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
    fn is_zip(&self) -> bool {
        *self == Self::Zip
    }
}

/// A field that is none of these is a setting of the format, which refuses those that it does not know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileConfig {
    /// Name inside the bundle: `[A-Za-z0-9._-]`, at most 64 characters.
    pub name: String,
    /// private-key, certificate, chain, issuer, amazon-root-ca-1 to -4, starfield-root-g2, endpoint, pkcs12-password and the like; or `{ file = "PATH" }`, a file of
    /// your own, as it is, relative to the profile's folder, with `sha256 = "HEX"` if it must be that one; or, in
    /// PEM, a list of these but for endpoint and files. Default: what the format has by itself, if it has.
    #[serde(default, skip_serializing_if = "Contents::is_empty")]
    pub content: Contents,
    /// A format by its name; which contents it takes, the format says. Default: pem; json for `endpoint`, and raw for a
    /// file of your own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<&'static dyn Format>,
    /// stored or deflated. Default: deflated for what is the same in every bundle, stored for the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,
    /// The file is in no bundle: it lies once in the batch, in `shared.zip`, for it is the same for all devices, as
    /// issuer, roots and files of your own are. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shared: bool,
    /// What the format knows besides. Default: as the format has it.
    #[serde(flatten)]
    pub settings: Settings,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeliveryConfig {
    /// Those who can read the bundles, which are encrypted to each of them in the age format: `age1…`, or a file with one a
    /// line, relative to the profile's folder. Default: none; bundles are not encrypted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<String>,
}

impl DeliveryConfig {
    fn is_empty(&self) -> bool {
        self.recipients.is_empty()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointConfig {
    /// Host name of the iot:Data-ATS endpoint. Default: none; bundles then name no endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Default: 8883.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// AWS Region. Default: the one in the host name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// MQTT client id, as a template. Default: the thing name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Thing name, as a template. Default: the device id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thing_name: Option<String>,
}
