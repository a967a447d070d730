//! Roles that want a code of an MFA device: the code is asked for, and the role taken with it.
//!
//! The SDK takes roles of profiles without a code, which AWS refuses (`mfa_serial` means nothing to it), so the
//! roles of such a profile are taken here, one with the credentials of the other.

use std::time::{Duration, SystemTime};

use aws_config::profile::{Profile, ProfileFileCredentialsProvider, ProfileSet};
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_smithy_runtime_api::client::http::SharedHttpClient;

use super::refusal::{hint_for, refused};
use super::source::source_profile;
use super::{AskCode, SettingsError, Source, causes};

/// Times that a person is asked, who typed something else than a code.
const TRIES: u32 = 3;

/// A role of a profile.
#[derive(Debug, PartialEq, Eq)]
struct Role<'a> {
    profile: &'a str,
    arn: &'a str,
    /// The MFA device: its ARN, or the number of one that is no app.
    serial: Option<&'a str>,
    external_id: Option<&'a str>,
    session_name: Option<&'a str>,
    seconds: Option<i32>,
}

impl<'a> Role<'a> {
    fn of(profile: &'a Profile) -> Option<Self> {
        Some(Self {
            profile: profile.name(),
            arn: profile.get("role_arn")?,
            serial: profile.get("mfa_serial"),
            external_id: profile.get("external_id"),
            session_name: profile.get("role_session_name"),
            seconds: profile
                .get("duration_seconds")
                .and_then(|seconds| seconds.trim().parse().ok()),
        })
    }
}

/// What is needed to take roles.
pub(super) struct Taking<'a> {
    pub profiles: &'a ProfileSet,
    pub source: &'a Source,
    pub http: SharedHttpClient,
    pub region: Option<Region>,
    pub ask: Option<AskCode>,
}

/// The roles of the chosen profile, the first that is taken last, and the profile below them.
fn roles(profiles: &ProfileSet) -> (Vec<Role<'_>>, &str) {
    let mut name = profiles.selected_profile();
    let mut roles = Vec::new();
    while let Some(profile) = profiles.get_profile(name)
        && let Some(next) = source_profile(profile)
        && roles.len() <= profiles.profiles().count()
    {
        // Below the first, a profile's own keys go before its role.
        if !roles.is_empty() && profile.get("aws_access_key_id").is_some() {
            break;
        }
        roles.extend(Role::of(profile));
        if next == name {
            break;
        }
        name = next;
    }
    (roles, name)
}

impl Taking<'_> {
    /// Takes the roles of the chosen profile when one of them wants a code. `None`: the SDK can do it.
    ///
    /// # Errors
    ///
    /// When nobody can be asked, or AWS refuses.
    pub(super) async fn credentials(&self) -> Result<Option<Credentials>, SettingsError> {
        let (mut roles, base) = roles(self.profiles);
        let wants_code = |role: &Role<'_>| role.serial.is_some();
        if !roles.iter().any(wants_code) {
            return Ok(None);
        }
        let mut credentials = self.base(base).await?;
        while let Some(role) = roles.pop() {
            credentials = self.take(&role, credentials).await?;
        }
        Ok(Some(credentials))
    }

    /// The credentials with which the first role is taken.
    async fn base(&self, name: &str) -> Result<Credentials, SettingsError> {
        if let Some(profile) = self.profiles.get_profile(name)
            && let Some(id) = profile.get("aws_access_key_id")
            && let Some(secret) = profile.get("aws_secret_access_key")
        {
            let token = profile.get("aws_session_token").map(str::to_owned);
            return Ok(Credentials::new(id, secret, token, None, "profile"));
        }
        let config = ProviderConfig::without_region()
            .with_region(self.region.clone())
            .with_http_client(self.http.clone());
        let provider = ProfileFileCredentialsProvider::builder()
            .configure(&config)
            .profile_name(name)
            .build();
        let found = provider.provide_credentials().await;
        found.map_err(|error| self.source.failed(&error))
    }

    async fn take(&self, role: &Role<'_>, credentials: Credentials) -> Result<Credentials, SettingsError> {
        let code = match role.serial {
            Some(serial) => Some(self.code(role, serial)?),
            None => None,
        };
        let region = self.region.clone();
        let config = aws_config::defaults(BehaviorVersion::latest())
            .http_client(self.http.clone())
            .region(region.unwrap_or(Region::from_static("us-east-1")))
            .credentials_provider(credentials);
        let config: SdkConfig = config.load().await;
        let session = format!("certforge-{}", seconds(SystemTime::now()));
        let answer = aws_sdk_sts::Client::new(&config)
            .assume_role()
            .role_arn(role.arn)
            .role_session_name(role.session_name.map_or(session, str::to_owned))
            .set_external_id(role.external_id.map(str::to_owned))
            .set_duration_seconds(role.seconds)
            .set_serial_number(role.serial.map(str::to_owned))
            .set_token_code(code)
            .send()
            .await;
        let (profile, arn) = (role.profile, role.arn);
        let refusal = |what: String, hint: Option<String>| {
            let hint = hint.unwrap_or_else(|| "check the network, then try again".to_owned());
            SettingsError::said(format!("profile {profile} cannot take role {arn}: {what}"), hint)
        };
        let answer = answer.map_err(|error| {
            let hint = refused(&error)
                .and_then(|(code, message)| hint_for(&code, &message, "sts:AssumeRole", self.source));
            refusal(causes(&error), hint)
        })?;
        let taken = answer
            .credentials
            .ok_or_else(|| refusal("the answer has no credentials".to_owned(), None))?;
        let expiry = SystemTime::try_from(taken.expiration).ok();
        Ok(Credentials::new(
            taken.access_key_id,
            taken.secret_access_key,
            Some(taken.session_token),
            expiry,
            "AssumeRole",
        ))
    }

    /// The code that the device shows now.
    fn code(&self, role: &Role<'_>, serial: &str) -> Result<String, SettingsError> {
        let export = format!(
            "get credentials where a code can be typed: eval \"$(aws configure export-credentials --profile {} --format env)\"",
            self.profiles.selected_profile()
        );
        let profile = role.profile;
        for _ in 0..TRIES {
            let Some(code) = self.ask.and_then(|ask| ask(serial)) else {
                return Err(SettingsError::said(
                    format!(
                        "profile {profile} wants a code of MFA device {serial}, and there is no terminal to ask for it at"
                    ),
                    export,
                ));
            };
            let code = code.trim();
            if code.len() == 6 && code.bytes().all(|digit| digit.is_ascii_digit()) {
                return Ok(code.to_owned());
            }
        }
        Err(SettingsError::said(
            format!("profile {profile} wants a code of MFA device {serial}, and what was typed is none"),
            "type the six digits that the device shows",
        ))
    }
}

fn seconds(now: SystemTime) -> u64 {
    now.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs()
}
