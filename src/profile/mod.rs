//! The profile: what the certificates and bundles of a product look like.
//!
//! [`ProfileConfig`] is what the TOML file says; [`Profile`] is what has been checked, and the only
//! one that travels further. [`Binding`] is a profile that knows where in a manifest's rows its
//! columns are.

mod binding;
mod config;
mod content;
mod delivery;
mod endpoint;
mod function;
mod host;
mod id_rules;
mod key_type;
mod naming;
mod own_files;
mod passwords;
mod recipe;
mod secret_file;
mod subject;
mod template;
mod texts;
mod validity;

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

pub use binding::{Binding, San};
pub use config::{FileConfig, ProfileConfig};
pub use delivery::{recipient_files, recipients};
pub use endpoint::Endpoint;
pub use host::{Host, Unfit};
pub(crate) use id_rules::IdRules;
pub use key_type::KeyType;
pub use passwords::Passwords;
pub use secret_file::SecretFault;
pub use subject::{Attribute, policy_character};
pub use template::{BoundTemplate, Template, TemplateError};
use texts::FileTexts;
pub use validity::{Ends, NO_EXPIRY, NotAfter, Period, Validity, ValidityError, no_expiry, rfc3339};

use crate::bounded;
use crate::bundle::encryption::{Recipient, RecipientError};
use crate::bundle::{Content, Recipe, RecipeError, Shared};
use crate::digest::sha256;
use crate::manifest::DEFAULT_ID_COLUMN;

/// The profiles that are compiled in, by name.
pub const BUILT_IN: [(&str, &str); 10] = [
    ("aws-iot-p256", include_str!("../../profiles/aws-iot-p256.toml")),
    (
        "aws-iot-p256-shared",
        include_str!("../../profiles/aws-iot-p256-shared.toml"),
    ),
    ("aws-iot-p384", include_str!("../../profiles/aws-iot-p384.toml")),
    (
        "aws-iot-rsa2048",
        include_str!("../../profiles/aws-iot-rsa2048.toml"),
    ),
    (
        "aws-iot-subject",
        include_str!("../../profiles/aws-iot-subject.toml"),
    ),
    ("esp32-nvs", include_str!("../../profiles/esp32-nvs.toml")),
    (
        "esp32-secure-cert",
        include_str!("../../profiles/esp32-secure-cert.toml"),
    ),
    (
        "freertos-header",
        include_str!("../../profiles/freertos-header.toml"),
    ),
    (
        "gateway-pkcs12",
        include_str!("../../profiles/gateway-pkcs12.toml"),
    ),
    ("modem-sec1", include_str!("../../profiles/modem-sec1.toml")),
];

/// Entries that a subject, or a kind of alternative name, may have. Keeps certificates short.
const MAX_NAMES: usize = 16;

/// The profile that is used when the user names none.
pub const DEFAULT: &str = "aws-iot-p256";

/// What can be wrong with a profile.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    #[error("profile {path} cannot be read")]
    Read { path: PathBuf, source: io::Error },
    #[error("there is no built-in profile {name} and no such file")]
    Unknown { name: String },
    #[error("profile {name}{}: {message}", line.map(|line| format!(", line {line}")).unwrap_or_default())]
    Syntax {
        name: String,
        line: Option<usize>,
        message: String,
    },
    #[error("profile {path}")]
    Invalid {
        path: PathBuf,
        source: Box<ProfileError>,
    },
    #[error("--endpoint: {reason}")]
    Host { reason: String },
    #[error("endpoint {0}")]
    Unfit(#[from] Unfit),
    #[error("field bundle.files: {name}: {file} cannot be read")]
    File {
        name: String,
        file: String,
        source: io::Error,
    },
    #[error("field bundle.files: {named}")]
    Secret {
        /// The bundle's file and the one with its secret, as the profile has them.
        named: String,
        /// Where that is.
        path: PathBuf,
        #[source]
        source: SecretFault,
    },
    #[error("password {path}")]
    Password {
        path: PathBuf,
        #[source]
        source: SecretFault,
    },
    #[error("password {path} is not that of a file of these bundles")]
    OtherPassword { path: PathBuf, files: String },
    #[error("field bundle.files: {0}")]
    Shared(RecipeError),
    #[error("recipient {named}")]
    Recipient {
        /// As it was given.
        named: String,
        #[source]
        source: Box<RecipientError>,
    },
    #[error("recipients {named} cannot be read")]
    Recipients { named: String, source: io::Error },
    #[error("field {field}: {reason}")]
    Field { field: String, reason: String },
    #[error("field {field}")]
    Template { field: String, source: TemplateError },
}

impl ProfileError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Read { .. } | Self::Unknown { .. } => {
                let names: Vec<_> = BUILT_IN.iter().map(|(name, _)| *name).collect();
                format!("give the path of a TOML file, or one of {}", names.join(", "))
            }
            Self::Host { .. } => {
                "give the host alone, such as EXAMPLE-ats.iot.eu-central-1.amazonaws.com".to_owned()
            }
            Self::File { .. } => {
                "name a file that is there, by its path from the profile's own folder".to_owned()
            }
            Self::Secret { path, source, .. } | Self::Password { path, source } => source.hint(path),
            Self::OtherPassword { files, .. } if files.is_empty() => {
                "leave it out: no file of these bundles opens with a password from a file".to_owned()
            }
            Self::OtherPassword { files, .. } => {
                format!("give the file that the profile named when they were made, for {files}")
            }
            Self::Unfit(unfit) => unfit.hint(),
            Self::Shared(_) => {
                "`certforge profile show aws-iot-p256-shared` prints one that shares what can be shared"
                    .to_owned()
            }
            Self::Invalid { source, .. } => return source.hint(),
            Self::Recipient { source, .. } => source.hint(),
            Self::Recipients { .. } => {
                "give a file of recipients, one age1… a line, or a recipient itself; in a profile, by its path from the profile's own folder"
                    .to_owned()
            }
            _ => "`certforge profile show aws-iot-subject` prints one with every field that most need"
                .to_owned(),
        })
    }
}

/// A checked profile.
#[derive(Debug, Clone)]
pub struct Profile {
    name: String,
    description: String,
    id_column: String,
    id_rules: IdRules,
    key_type: KeyType,
    subject: Vec<(Attribute, Template)>,
    policies_read_subject: bool,
    san_dns: Vec<Template>,
    san_uri: Vec<Template>,
    validity: Validity,
    recipe: Recipe,
    endpoint: Endpoint,
    texts: Vec<FileTexts<Template>>,
    recipients: Vec<Recipient>,
    /// The files that these were read from, relative to the profile's folder.
    recipient_files: Vec<String>,
    digest: [u8; 32],
    config: ProfileConfig,
    before_note: Option<Box<Profile>>,
}

impl Profile {
    /// The built-in profile of that name, or the one in that file.
    ///
    /// `endpoint_host` takes the place of the profile's own `[endpoint] host`.
    ///
    /// # Errors
    ///
    /// When there is none, or it is not a valid profile.
    pub fn load(name_or_path: &str, endpoint_host: Option<&str>) -> Result<Self, ProfileError> {
        if let Some((name, text)) = BUILT_IN.iter().find(|(name, _)| *name == name_or_path) {
            return Self::parse(text, name, endpoint_host);
        }
        let path = Path::new(name_or_path);
        let text = bounded::read_text(path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => ProfileError::Unknown {
                name: name_or_path.to_owned(),
            },
            _ => ProfileError::Read {
                path: path.to_owned(),
                source,
            },
        })?;
        Self::read(&text, name_or_path, endpoint_host, path.parent()).map_err(|error| match error {
            error @ (ProfileError::Syntax { .. } | ProfileError::Host { .. } | ProfileError::Unfit(_)) => {
                error
            }
            error => ProfileError::Invalid {
                path: path.to_owned(),
                source: Box::new(error),
            },
        })
    }

    /// Reads the text of a profile; `name` is what messages call it. It is in no folder, so it can name no files.
    ///
    /// # Errors
    ///
    /// When it is not a valid profile.
    pub fn parse(text: &str, name: &str, endpoint_host: Option<&str>) -> Result<Self, ProfileError> {
        Self::read(text, name, endpoint_host, None)
    }

    fn read(
        text: &str,
        name: &str,
        endpoint_host: Option<&str>,
        folder: Option<&Path>,
    ) -> Result<Self, ProfileError> {
        let mut config: ProfileConfig = toml::from_str(text).map_err(|error| ProfileError::Syntax {
            name: name.to_owned(),
            line: error
                .span()
                .map(|span| 1 + text[..span.start].matches('\n').count()),
            message: error.message().trim().replace('\n', " "),
        })?;
        own_files::read_files(&mut config.bundle, folder)?;
        let files = recipient_files(&config.delivery.recipients).map(str::to_owned);
        let recipient_files: Vec<String> = files.collect();
        delivery::read_files(&mut config.delivery, folder)?;
        let profile = match endpoint_host {
            None => Self::from_config(&config)?,
            Some(host) => {
                config.endpoint.host = Some(host.to_owned());
                Self::from_config(&config).map_err(given_host)?
            }
        };
        profile.endpoint.refuse_unfit()?;
        Ok(Self {
            recipient_files,
            ..profile
        })
    }

    /// The profile that is recorded so. Of files of the user's own it knows the digests, which is what holds a bundle
    /// against it takes; to make bundles takes a profile that was loaded.
    ///
    /// # Errors
    ///
    /// The first field whose value cannot be used.
    pub fn from_config(config: &ProfileConfig) -> Result<Self, ProfileError> {
        let is_name = !config.name.is_empty()
            && config.name.len() <= 64
            && config
                .name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !is_name {
            return Err(ProfileError::Field {
                field: "name".to_owned(),
                reason: format!("{:?} is not 1 to 64 of a-z 0-9 -", config.name),
            });
        }
        let id_column = config.manifest.id_column.as_deref().unwrap_or(DEFAULT_ID_COLUMN);
        let default_subject = vec![format!("CN={{{id_column}}}")];
        let templates = |field: &str, texts: &[String]| -> Result<Vec<_>, ProfileError> {
            if texts.len() > MAX_NAMES {
                return Err(ProfileError::Field {
                    field: field.to_owned(),
                    reason: format!("has more than {MAX_NAMES} entries"),
                });
            }
            texts.iter().map(|text| template(field, text)).collect()
        };
        let recipe = recipe::read(&config.bundle)?;
        if !recipe.holds(&Content::PrivateKey) {
            return Err(recipe::invalid(&"no file has the content private-key"));
        }
        if !recipe.holds(&Content::Certificate) && !recipe.holds(&Content::Chain) {
            return Err(recipe::invalid(&"no file has the content certificate or chain"));
        }
        recipe::check_keys(&recipe, config.key.key_type)?;
        let mut config = config.clone();
        let description = std::mem::take(&mut config.description);
        config.bundle = recipe::in_order(config.bundle);
        let recipients = delivery::read(&config.delivery)?;
        config.delivery.recipients = delivery::written(recipients.clone())?;
        let mut settings = serde_json::to_value(&config).expect("a profile has only text keys");
        prune(&mut settings);
        let settings = settings.to_string();
        let endpoint = Endpoint::from_config(&config.endpoint, id_column)?;
        Ok(Self {
            name: config.name.clone(),
            description,
            id_column: id_column.to_owned(),
            id_rules: IdRules::from_config(&config.manifest)?,
            key_type: config.key.key_type,
            subject: subject::read(
                config.subject.as_ref().unwrap_or(&default_subject),
                config.policies_read_subject,
            )?,
            policies_read_subject: config.policies_read_subject,
            san_dns: templates("san.dns", &config.san.dns)?,
            san_uri: templates("san.uri", &config.san.uri)?,
            validity: validity::read(&config.validity)?,
            texts: texts::read(&recipe, &endpoint, id_column)?,
            recipe,
            endpoint,
            recipients,
            recipient_files: Vec::new(),
            digest: sha256(settings.as_bytes()),
            config,
            before_note: None,
        })
    }

    /// The same with the host that is noted with its issuer, when it names none itself.
    ///
    /// # Errors
    ///
    /// When that is no host.
    pub fn with_noted_host(self, host: &str) -> Result<Self, ProfileError> {
        let mut config = self.config.clone();
        config.endpoint.host = Some(host.to_owned());
        let noted = Self::from_config(&config).map_err(given_host)?;
        noted.endpoint.refuse_unfit()?;
        Ok(Self {
            before_note: Some(Box::new(self)),
            ..noted
        })
    }

    /// The same for these recipients, in place of its own.
    ///
    /// # Errors
    ///
    /// When there are too many.
    pub fn with_recipients(self, recipients: &[Recipient]) -> Result<Self, ProfileError> {
        let mut config = self.config.clone();
        config.delivery.recipients = delivery::written(recipients.to_vec())?;
        Ok(Self {
            description: self.description,
            ..Self::from_config(&config)?
        })
    }

    /// The same for another host.
    ///
    /// # Errors
    ///
    /// When that is no host, or none at which devices would come up.
    pub fn with_host(self, host: &str) -> Result<Self, ProfileError> {
        let mut config = self.config.clone();
        config.endpoint.host = Some(host.to_owned());
        let changed = Self::from_config(&config).map_err(given_host)?;
        changed.endpoint.refuse_unfit()?;
        Ok(Self {
            description: self.description,
            ..changed
        })
    }

    /// The same with the octets of the user's own files, which are given by their names in a bundle.
    ///
    /// # Errors
    ///
    /// When one is not the file that the profile asks for.
    pub fn with_files(&self, find: &dyn Fn(&str) -> Option<Vec<u8>>) -> Result<Self, ProfileError> {
        let mut config = self.config.clone();
        for file in config.bundle.files.iter_mut().flatten() {
            let name = &file.name;
            for content in &mut file.content.0 {
                if let Content::File(own) = content
                    && let Some(octets) = find(name)
                {
                    own.fill(&octets)
                        .map_err(|error| recipe::invalid(&format!("{name}: {} {error}", own.path())))?;
                }
            }
        }
        Ok(Self {
            description: self.description.clone(),
            ..Self::from_config(&config)?
        })
    }

    /// Whether another profile has the same to say of ids, keys and certificates.
    #[must_use]
    pub fn certifies_as(&self, other: &Self) -> bool {
        fn certificates(profile: &Profile) -> impl PartialEq + '_ {
            let names = (&profile.subject, &profile.san_dns, &profile.san_uri);
            (&profile.id_column, profile.key_type, names, profile.validity)
        }
        certificates(self) == certificates(other)
    }

    /// What the profile was before its host was noted: batches that were begun then go on with that.
    #[must_use]
    pub fn before_note(&self) -> Option<&Self> {
        self.before_note.as_deref()
    }

    /// What the profile says, without its description.
    #[must_use]
    pub fn config(&self) -> &ProfileConfig {
        &self.config
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The line for people that the profile has of itself.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The manifest column that holds device ids.
    #[must_use]
    pub fn id_column(&self) -> &str {
        &self.id_column
    }

    #[must_use]
    pub fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// The attributes of the subject, in DN order.
    pub fn attributes(&self) -> impl Iterator<Item = Attribute> {
        self.subject.iter().map(|(attribute, _)| *attribute)
    }

    /// The subject in DN order, each value with one text for what each column gives, and as it is written.
    pub fn subject_filled(&self, with: &str) -> impl Iterator<Item = (Attribute, String, String)> {
        let filled = move |(attribute, template): &(Attribute, Template)| {
            (*attribute, template.filled(Some(with)), template.filled(None))
        };
        self.subject.iter().map(filled)
    }

    #[must_use]
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// How long certificates hold at least; those that hold for less are worth a word.
    #[must_use]
    pub fn min_validity(&self) -> time::Duration {
        let days = self.config.validity.min_days.unwrap_or(validity::MIN_DAYS);
        time::Duration::days(i64::from(days))
    }

    /// DNS names and URIs of subjectAltName, as the profile writes them.
    pub fn alternative_names(&self) -> impl Iterator<Item = &str> {
        let names = self.config.san.dns.iter().chain(&self.config.san.uri);
        names.map(String::as_str)
    }

    /// What of subject and alternative names is the same for every device and is an example's, not a maker's own.
    pub fn examples(&self) -> impl Iterator<Item = &str> {
        let subject = self.config.subject.iter().flatten();
        let is_example = |text: &&str| text.to_ascii_lowercase().contains("example");
        let subject = subject.map(String::as_str);
        subject.chain(self.alternative_names()).filter(is_example)
    }

    #[must_use]
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// What a device gives for the texts of all files, of which nothing is known but its id.
    ///
    /// # Errors
    ///
    /// The first text that takes other columns.
    pub fn texts_of_one(&self, device_id: &str) -> Result<Vec<Cow<'static, str>>, String> {
        let texts = self.texts.iter().flat_map(|file| &file.texts);
        let of_one = |text: &texts::FileText<Template>| {
            let found = text.template.of_one(&self.id_column, device_id);
            found.map(Cow::Owned).ok_or_else(|| text.field.clone())
        };
        texts.map(of_one).collect()
    }

    /// Judges what a device gives for the texts of all files, in their order.
    ///
    /// # Errors
    ///
    /// Why no file can be made of the first that does not fit, and which.
    pub fn judge_texts(&self, texts: &[Cow<'_, str>]) -> Result<(), String> {
        let mut texts = texts;
        for file in &self.texts {
            let own;
            (own, texts) = texts.split_at(file.texts.len().min(texts.len()));
            for (text, known) in own.iter().zip(&file.texts) {
                if text.len() > known.most {
                    let (field, found, most) = (&known.field, text.len(), known.most);
                    return Err(format!("{field} has {found} octets, and may have {most}"));
                }
            }
            file.form.judge(own).map_err(|misfit| {
                let field = file.texts.get(misfit.text).map_or("", |text| text.field.as_str());
                format!("{field}: {}", misfit.reason)
            })?;
        }
        Ok(())
    }

    /// Whether a file of the bundles names the endpoint's host.
    #[must_use]
    pub fn names_host(&self) -> bool {
        self.recipe.holds(&Content::Endpoint) || self.texts.iter().any(|file| file.names_host)
    }

    /// Those who can read the bundles; nobody: they are not encrypted.
    #[must_use]
    pub fn recipients(&self) -> &[Recipient] {
        &self.recipients
    }

    /// The files of recipients that the profile named when it was loaded, by their paths from its folder.
    #[must_use]
    pub fn recipient_files(&self) -> &[String] {
        &self.recipient_files
    }

    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// What the bundles of a batch by this issuer, DER, say of every device.
    #[must_use]
    pub fn shared(&self, issuer: &[u8]) -> Shared {
        Shared {
            issuer: issuer.to_vec(),
            host: self.endpoint.host.clone(),
            port: self.endpoint.port,
            region: self.endpoint.region.clone(),
        }
    }

    /// SHA-256 over every setting of the profile: two profiles that agree in it make the same things.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }
}

/// What is wrong with a host is not the profile's own when it was given.
fn given_host(error: ProfileError) -> ProfileError {
    match error {
        ProfileError::Field { field, reason } if field == endpoint::HOST_FIELD => {
            ProfileError::Host { reason }
        }
        error => error,
    }
}

/// Takes out what a profile leaves unsaid, so that fields of later versions do not change the digest.
fn prune(value: &mut serde_json::Value) {
    let Some(object) = value.as_object_mut() else {
        return;
    };
    object.values_mut().for_each(prune);
    object.retain(|_, value| match value {
        serde_json::Value::Null => false,
        serde_json::Value::Array(items) => !items.is_empty(),
        serde_json::Value::Object(fields) => !fields.is_empty(),
        _ => true,
    });
}

fn template(field: &str, text: &str) -> Result<Template, ProfileError> {
    Template::parse(text).map_err(|source| ProfileError::Template {
        field: field.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::Duration;

    fn error(text: &str) -> String {
        let error = Profile::parse(text, "test", None).unwrap_err();
        match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        }
    }

    #[test]
    fn every_built_in_profile_is_valid_and_named_as_it_is_called() {
        for (name, text) in BUILT_IN {
            let profile = Profile::parse(text, name, None).unwrap();
            assert_eq!(profile.name(), name);
        }
        assert_eq!(Profile::load(DEFAULT, None).unwrap().key_type(), KeyType::P256);
    }

    #[test]
    fn the_shortest_profile_has_the_documented_defaults() {
        let profile = Profile::parse("name = \"x\"", "x", None).unwrap();
        assert_eq!(profile.key_type(), KeyType::P256);
        assert_eq!(profile.id_column(), "serial_number");
        assert_eq!(profile.validity().not_after, NotAfter::Issuer);
        assert_eq!(profile.validity().backdate, Duration::HOUR);
        assert_eq!(profile.recipe().members().len(), 6);
        assert_eq!(profile.endpoint().port, 8883);
    }

    #[test]
    fn the_digest_follows_the_settings_not_the_comments() {
        let digest = |text: &str, host| Profile::parse(text, "x", host).unwrap().digest();
        let plain = digest("name = \"x\"", None);
        assert_eq!(plain, digest("# hello\nname = 'x'\n", None));
        assert_ne!(plain, digest("name = \"x\"\n[key]\ntype = \"P-384\"", None));
        assert_ne!(plain, digest("name = \"x\"", Some("a.example")));
    }

    #[test]
    fn an_example_is_known_for_one() {
        let examples = |name: &str| Profile::load(name, None).unwrap().examples().count();
        assert_eq!(examples("aws-iot-subject"), 3);
        assert_eq!(examples(DEFAULT), 0);
    }

    #[test]
    fn a_noted_host_makes_what_a_given_one_makes() {
        let profile = |host| Profile::parse("name = \"x\"", "x", host).unwrap();
        let (plain, given) = (profile(None), profile(Some("a.example")));
        let noted = plain.clone().with_noted_host("a.example").unwrap();
        assert_eq!(noted.digest(), given.digest());
        assert_eq!(noted.before_note().unwrap().digest(), plain.digest());
        let error = plain.with_noted_host("https://x").unwrap_err();
        assert!(matches!(error, ProfileError::Host { .. }), "{error}");
    }

    #[test]
    fn names_the_field_that_is_wrong() {
        for (text, message) in [
            ("nam = 'x'", "line 1: unknown field `nam`"),
            ("name = 'X'", "field name"),
            (
                "name = 'x'\n[key]\ntype = 'P-255'",
                "line 3: unknown variant `P-255`",
            ),
            ("name = 'x'\nsubject = ['CN']", "is not NAME=value"),
            ("name = 'x'\nsubject = ['L=x']", "\"L\" is none of C, O, OU"),
            (
                "name = 'x'\nsubject = ['CN={a', 'O=b']",
                "subject.CN: a place opened",
            ),
            ("name = 'x'\nsubject = ['CN=a', 'CN=b']", "CN appears twice"),
            (
                "name = 'x'\nsubject = ['C=Germany']",
                "is not a two-letter country code",
            ),
            (
                "name = 'x'\nsubject = ['O=Fabrik \u{202e}x', 'CN={serial_number}']",
                "contains U+202E, which cannot be seen",
            ),
            (
                "name = 'x'\nsubject = ['CN={serial_number}\u{2067}x']",
                "contains U+2067, which cannot be seen",
            ),
            (
                "name = 'x'\n[bundle]\nfiles = [{name='K', content='private-key'}, {name='k', content='chain'}]",
                "the files K and k have one name",
            ),
            (
                "name = 'x'\n[bundle]\nfiles = [{name='nul.pem', content='private-key'}]",
                "nul.pem: Windows keeps this name",
            ),
            (
                "name = 'x'\n[bundle]\nfiles = [{name='key.', content='private-key'}]",
                "no . first or last",
            ),
            ("name = 'x'\nsubject = []", "needs a subject"),
            ("name = 'x'\n[validity]\ndays = 0", "at least 1"),
            ("name = 'x'\n[validity]\ndays = 1\nnone = true", "exactly one of"),
            (
                "name = 'x'\n[validity]\nuntil = 'soon'",
                "neither issuer nor a moment",
            ),
            ("name = 'x'\n[endpoint]\nhost = 'https://x'", "is no host name"),
            ("name = 'x'\n[bundle]\nfiles = []", "private-key"),
            (
                "name = 'x'\n[bundle]\nfiles = [{name='../a', content='private-key'}]",
                "cannot name a file",
            ),
            (
                "name = 'x'\n[bundle]\nfiles = [{name='a', content='private-key'}, {name='a', content='chain'}]",
                "two files are named a",
            ),
            (
                "name = 'x'\n[bundle]\nfiles = [{name='a', content='chain', format='der'}]",
                "no DER form",
            ),
        ] {
            let error = error(text);
            assert!(error.contains(message), "{text}\n  gives {error}");
        }
    }
}
