//! Variables of the environment that certforge reads, and the files of AWS's settings.

use std::path::{Path, PathBuf};

use super::Check;
use crate::exposure;

/// What may be told of a variable.
#[derive(Clone, Copy)]
enum Tell {
    Value,
    /// Without user and password.
    Url,
    /// That it is set.
    Presence,
}

const VARIABLES: [(&str, Tell); 52] = [
    ("CERTFORGE_BATCH", Tell::Url),
    ("CERTFORGE_CA", Tell::Value),
    ("CERTFORGE_CA_PASSPHRASE", Tell::Presence),
    ("CERTFORGE_CONFIG", Tell::Value),
    ("CERTFORGE_ENDPOINT", Tell::Value),
    ("CERTFORGE_ENDPOINT_URL", Tell::Url),
    ("CERTFORGE_ENGINE", Tell::Value),
    ("CERTFORGE_IDENTITY_PASSPHRASE", Tell::Presence),
    ("CERTFORGE_ISSUER", Tell::Value),
    ("CERTFORGE_JOBS", Tell::Value),
    ("CERTFORGE_LAYOUT", Tell::Value),
    ("CERTFORGE_LEDGER", Tell::Value),
    ("CERTFORGE_MEMORY", Tell::Value),
    ("CERTFORGE_MIN_VALIDITY", Tell::Value),
    ("CERTFORGE_PASSPHRASE_FILE", Tell::Value),
    ("CERTFORGE_PIN", Tell::Presence),
    ("CERTFORGE_PKCS11_MODULE", Tell::Value),
    ("CERTFORGE_PROFILE", Tell::Value),
    ("CERTFORGE_REGION", Tell::Value),
    ("CERTFORGE_STATION", Tell::Value),
    ("CERTFORGE_TO", Tell::Url),
    ("RUST_LOG", Tell::Value),
    ("AWS_ACCESS_KEY_ID", Tell::Presence),
    ("AWS_SECRET_ACCESS_KEY", Tell::Presence),
    ("AWS_SESSION_TOKEN", Tell::Presence),
    ("AWS_PROFILE", Tell::Value),
    ("AWS_REGION", Tell::Value),
    ("AWS_DEFAULT_REGION", Tell::Value),
    ("AWS_CONFIG_FILE", Tell::Value),
    ("AWS_SHARED_CREDENTIALS_FILE", Tell::Value),
    ("AWS_LOGIN_CACHE_DIRECTORY", Tell::Value),
    ("AWS_CA_BUNDLE", Tell::Value),
    ("AWS_ENDPOINT_URL", Tell::Url),
    ("AWS_ENDPOINT_URL_S3", Tell::Url),
    ("AWS_ENDPOINT_URL_IOT", Tell::Url),
    ("AWS_ENDPOINT_URL_IAM", Tell::Url),
    ("AWS_ENDPOINT_URL_STS", Tell::Url),
    ("AWS_MAX_ATTEMPTS", Tell::Value),
    ("AWS_ROLE_ARN", Tell::Value),
    ("AWS_WEB_IDENTITY_TOKEN_FILE", Tell::Value),
    ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", Tell::Presence),
    ("AWS_CONTAINER_CREDENTIALS_FULL_URI", Tell::Presence),
    ("AWS_CONTAINER_AUTHORIZATION_TOKEN", Tell::Presence),
    ("AWS_EC2_METADATA_DISABLED", Tell::Value),
    ("HTTPS_PROXY", Tell::Url),
    ("HTTP_PROXY", Tell::Url),
    ("ALL_PROXY", Tell::Url),
    ("NO_PROXY", Tell::Value),
    ("HOME", Tell::Value),
    ("XDG_STATE_HOME", Tell::Value),
    ("NO_COLOR", Tell::Value),
    ("LANG", Tell::Value),
];

pub(super) fn checks() -> Vec<Check> {
    let mut checks: Vec<Check> = VARIABLES
        .into_iter()
        .filter_map(|(name, tell)| variable(name, tell))
        .collect();
    if checks.is_empty() {
        checks.push(Check::ok(
            "environment",
            "variables",
            "none is set that certforge reads",
        ));
    }
    checks.extend(files());
    checks
}

/// A variable that is set, in capitals or not: proxies are named both ways.
fn variable(name: &str, tell: Tell) -> Option<Check> {
    let lower = name.to_ascii_lowercase();
    let names = match name.ends_with("_PROXY") {
        true => vec![name, lower.as_str()],
        false => vec![name],
    };
    let (name, value) = names
        .into_iter()
        .find_map(|name| Some((name, std::env::var_os(name)?)))?;
    let said = match (value.to_str(), tell) {
        (_, Tell::Presence) => "set".to_owned(),
        (None, _) => "set, and not UTF-8".to_owned(),
        (Some(value), Tell::Value) => value.to_owned(),
        (Some(value), Tell::Url) => without_user(value),
    };
    let check = Check::ok("environment", name, said);
    Some(match value.is_empty() {
        true => Check {
            said: "set, and empty".to_owned(),
            ..check
        },
        false => check,
    })
}

/// A URL without what stands before the `@` of its host.
pub(super) fn without_user(url: &str) -> String {
    let (scheme, rest) = url
        .split_once("://")
        .map_or(("", url), |(scheme, rest)| (scheme, rest));
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    // What follows may be a secret as well, as of a URL that is signed.
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let user = if host.len() == authority.len() { "" } else { "***@" };
    match scheme {
        "" => format!("{user}{host}{path}"),
        scheme => format!("{scheme}://{user}{host}{path}"),
    }
}

/// The files of AWS's settings: what is in the second is secret.
fn files() -> Vec<Check> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let place = |variable: &str, usual: &str| {
        let named = std::env::var_os(variable).filter(|value| !value.is_empty());
        named
            .map(PathBuf::from)
            .or_else(|| Some(home.as_ref()?.join(usual)))
    };
    let config = place("AWS_CONFIG_FILE", ".aws/config").map(|path| file(&path, false));
    let credentials = place("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials").map(|path| file(&path, true));
    let own = PathBuf::from("certforge.toml");
    let own = own.exists().then(|| file(&own, false));
    own.into_iter().chain(config).chain(credentials).collect()
}

fn file(path: &Path, is_secret: bool) -> Check {
    let what = path.display().to_string();
    let metadata = match path.metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Check::ok("settings", what, "not there");
        }
        Err(error) => {
            return Check::ok("settings", what, format!("cannot be looked at: {error}"))
                .warn("check the path and who may use it");
        }
    };
    let exposure = match is_secret {
        true => exposure::of_secret(&metadata),
        false => exposure::of_file(&metadata),
    };
    match exposure {
        None => Check::ok("settings", what, "there"),
        Some(exposure) => {
            Check::ok("settings", what, format!("there, and {exposure}")).warn(exposure.hint(path))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_told_without_what_may_be_secret() {
        for (url, told) in [
            ("http://proxy:3128", "http://proxy:3128"),
            ("http://jane:s3cret@proxy:3128/", "http://***@proxy:3128/"),
            ("jane:s3cret@proxy", "***@proxy"),
            ("https://x/y?X-Amz-Signature=s3cret", "https://x/y"),
            ("https://a:b@c:s3cret@host/#s3cret", "https://***@host/"),
            ("./out/b", "./out/b"),
        ] {
            assert_eq!(without_user(url), told);
        }
    }
}
