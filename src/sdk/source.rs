//! Sources: where credentials come from, by what environment and profile say, so that who gets none is told what to do.
//!
//! Nothing here decides: the SDK's own chain takes credentials in the same order, and this tells which of its links that is.

use std::env;
use std::path::PathBuf;

use aws_config::profile::{Profile, ProfileSet};
use aws_credential_types::provider::error::CredentialsError;
use aws_runtime::env_config::file::EnvConfigFiles;
use aws_types::os_shim_internal::{Env, Fs};

use super::refusal::{hint_for, refused};
use super::{SettingsError, causes, is_network};

/// Profiles that are named in a hint, at most.
const NAMED: usize = 10;

/// Where credentials come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Whoever runs the library gave them.
    Given,
    /// `AWS_ACCESS_KEY_ID` and what goes with it.
    Environment,
    /// A profile, which may take a role with the credentials of another one, its base.
    Profile { name: String, base: String, kind: Kind },
    /// `AWS_WEB_IDENTITY_TOKEN_FILE`, as in Kubernetes.
    WebIdentity(PathBuf),
    /// Of the container: ECS, EKS.
    Container,
    /// Of the machine, if it is one of EC2.
    Machine,
}

/// What a profile has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Keys,
    Sso,
    /// Of `aws login`.
    Login,
    Process,
    WebIdentity(PathBuf),
    /// `credential_source`.
    Named(String),
}

/// The profiles of `~/.aws`, or where else the environment says.
pub(crate) async fn profiles() -> Result<ProfileSet, SettingsError> {
    let loaded = aws_config::profile::load(&Fs::real(), &Env::real(), &EnvConfigFiles::default(), None).await;
    loaded.map_err(|error| {
        SettingsError::said(
            format!("the profiles of AWS cannot be read: {}", causes(&error)),
            "correct ~/.aws/config and ~/.aws/credentials, or the files that AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE name",
        )
    })
}

/// The text of a variable that is set and not blank.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.trim().is_empty())
}

impl Source {
    /// Tells where credentials come from that nobody gave.
    ///
    /// # Errors
    ///
    /// When what is set up cannot be meant: half a pair of keys, or a profile that there is not.
    pub(crate) fn find(profiles: &ProfileSet) -> Result<Self, SettingsError> {
        match (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY")) {
            (Some(_), Some(_)) => return Ok(Self::Environment),
            (Some(_), None) => return Err(half("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")),
            (None, Some(_)) => return Err(half("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID")),
            (None, None) => {}
        }
        let name = profiles.selected_profile();
        if profiles.get_profile(name).is_none() && variable("AWS_PROFILE").is_some() {
            return Err(missing(name, profiles));
        }
        if let Some((base, kind)) = base(profiles)? {
            return Ok(Self::Profile {
                name: name.to_owned(),
                base: base.to_owned(),
                kind,
            });
        }
        if let Some(file) = variable("AWS_WEB_IDENTITY_TOKEN_FILE") {
            return Ok(Self::WebIdentity(file.into()));
        }
        let of_container = [
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        ];
        Ok(match of_container.into_iter().find_map(variable) {
            Some(_) => Self::Container,
            None => Self::Machine,
        })
    }

    /// Where that is, in words that follow "credentials".
    #[must_use]
    pub fn label(&self) -> String {
        match self {
            Self::Given => "as given".to_owned(),
            Self::Environment => "of the environment (AWS_ACCESS_KEY_ID)".to_owned(),
            Self::Profile { name, base, kind } => {
                let kind = match kind {
                    Kind::Keys => "access keys",
                    Kind::Sso => "SSO",
                    Kind::Login => "aws login",
                    Kind::Process => "credential_process",
                    Kind::WebIdentity(_) => "web_identity_token_file",
                    Kind::Named(_) => "credential_source",
                };
                match name == base {
                    true => format!("of profile {name} ({kind})"),
                    false => format!("of profile {name}, by those of profile {base} ({kind})"),
                }
            }
            Self::WebIdentity(_) => "by AWS_WEB_IDENTITY_TOKEN_FILE".to_owned(),
            Self::Container => "of the container".to_owned(),
            Self::Machine => "of this machine (instance metadata)".to_owned(),
        }
    }

    /// How they are had anew when they have expired or cannot be had.
    #[must_use]
    pub fn renewal(&self) -> String {
        match self {
            Self::Given => "give others".to_owned(),
            Self::Environment => {
                "set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, with keys that begin with ASIA, AWS_SESSION_TOKEN anew"
                    .to_owned()
            }
            Self::Profile { base, kind, .. } => match kind {
                Kind::Keys => format!("check the access key of profile {base} in ~/.aws/credentials"),
                Kind::Sso => format!("log in again: aws sso login --profile {base}"),
                Kind::Login => format!("log in again: aws login --profile {base}"),
                Kind::Process => format!(
                    "run what credential_process of profile {base} says by hand, and see what it prints"
                ),
                Kind::WebIdentity(file) => format!(
                    "see that {} is there and may be read: profile {base} names it in web_identity_token_file",
                    file.display()
                ),
                Kind::Named(source) => {
                    format!("see that credential_source {source} of profile {base} is there on this machine")
                }
            },
            Self::WebIdentity(file) => format!(
                "see that {} is there and may be read: AWS_WEB_IDENTITY_TOKEN_FILE names it, and AWS_ROLE_ARN the role",
                file.display()
            ),
            Self::Container => {
                "see that the task or the pod has a role: AWS_CONTAINER_CREDENTIALS_* name where it is asked for"
                    .to_owned()
            }
            Self::Machine => {
                "give the machine a role (instance profile), or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
                    .to_owned()
            }
        }
    }

    /// Why there are no credentials, and what to do about it.
    pub(crate) fn failed(&self, error: &CredentialsError) -> SettingsError {
        let is_nothing = matches!(error, CredentialsError::CredentialsNotLoaded(_));
        if is_nothing && *self == Self::Machine {
            let profile = variable("AWS_PROFILE").unwrap_or_else(|| "default".to_owned());
            let machine = match variable("AWS_EC2_METADATA_DISABLED") {
                Some(value) if value.eq_ignore_ascii_case("true") => {
                    "AWS_EC2_METADATA_DISABLED keeps this machine's role from being asked for"
                }
                _ => "this machine has no role (instance metadata)",
            };
            return SettingsError::NoCredentials {
                looked: format!("neither the environment nor profile {profile} has any, and {machine}"),
            };
        }
        let hint = match refused(error) {
            Some((code, _)) if code == "ForbiddenException" => Some(
                "the user who logged in is not assigned to the account and the role that the profile names (sso_account_id, sso_role_name): correct them, or ask who manages IAM Identity Center"
                    .to_owned(),
            ),
            Some((code, message)) => hint_for(&code, &message, "sts:AssumeRole", self),
            None if is_network(error) => Some(format!(
                "check the network and the proxy (HTTPS_PROXY), then try again; or {}",
                self.renewal()
            )),
            None => None,
        };
        SettingsError::said(
            format!("there are no AWS credentials {}: {}", self.label(), causes(error)),
            hint.unwrap_or_else(|| self.renewal()),
        )
    }
}

fn half(set: &str, lacks: &str) -> SettingsError {
    SettingsError::said(
        format!("{set} is set, and {lacks} is not"),
        "set both, or neither and AWS_PROFILE",
    )
}

fn missing(name: &str, profiles: &ProfileSet) -> SettingsError {
    let mut known: Vec<&str> = profiles.profiles().collect();
    known.sort_unstable();
    let more = match known.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    known.truncate(NAMED);
    let known = match known.is_empty() {
        true => "there are no profiles".to_owned(),
        false => format!("there are {}{more}", known.join(", ")),
    };
    SettingsError::said(
        format!("AWS_PROFILE {name} is no profile of ~/.aws/config or ~/.aws/credentials"),
        format!(
            "{known}; correct AWS_PROFILE, or AWS_CONFIG_FILE if the profiles are elsewhere; a section of ~/.aws/config is [profile {name}]"
        ),
    )
}

/// The profile from which the chosen one's credentials come in the end, and what it has; nothing, when it has none.
fn base(profiles: &ProfileSet) -> Result<Option<(&str, Kind)>, SettingsError> {
    let mut name = profiles.selected_profile();
    let mut seen = Vec::new();
    loop {
        let Some(profile) = profiles.get_profile(name) else {
            return match seen.last() {
                None => Ok(None),
                Some(by) => Err(SettingsError::said(
                    format!("profile {name}, which profile {by} names as its source_profile, is not there"),
                    format!("correct source_profile of profile {by} in ~/.aws/config"),
                )),
            };
        };
        let next = source_profile(profile).filter(|next| *next != name);
        let has_keys = profile.get("aws_access_key_id").is_some();
        match next {
            Some(next) if seen.is_empty() || !has_keys => {
                seen.push(name);
                if seen.contains(&next) {
                    return Err(SettingsError::said(
                        format!(
                            "profiles name one another as source_profile: {}, {next}",
                            seen.join(", ")
                        ),
                        "give one of them credentials of its own in ~/.aws/config",
                    ));
                }
                name = next;
            }
            _ => return Ok(kind(profile).map(|kind| (name, kind))),
        }
    }
}

/// The profile with whose credentials a role is taken.
pub(super) fn source_profile(profile: &Profile) -> Option<&str> {
    profile.get("role_arn")?;
    if profile.get("web_identity_token_file").is_some() {
        return None;
    }
    profile.get("source_profile")
}

/// What a profile has, in the order in which the SDK looks.
fn kind(profile: &Profile) -> Option<Kind> {
    let has = |name: &str| profile.get(name).is_some();
    if let Some(source) = profile.get("credential_source") {
        return Some(Kind::Named(source.to_owned()));
    }
    if let Some(file) = profile.get("web_identity_token_file") {
        return Some(Kind::WebIdentity(file.into()));
    }
    [
        (has("sso_session") || has("sso_start_url"), Kind::Sso),
        (has("login_session"), Kind::Login),
        (has("credential_process"), Kind::Process),
        (has("aws_access_key_id"), Kind::Keys),
    ]
    .into_iter()
    .find_map(|(is, kind)| is.then_some(kind))
}
