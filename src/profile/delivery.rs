//! Delivery: for whom bundles are encrypted.

use std::io;
use std::path::Path;

use super::ProfileError;
use super::config::DeliveryConfig;
use crate::bounded;
use crate::bundle::encryption::{MAX_RECIPIENTS, Recipient, RecipientError, is_ssh, read_recipients};

const FIELD: &str = "delivery.recipients";

/// Puts in place of each file of recipients those that it names; `folder` is the profile's. What is recorded of a batch names
/// recipients, and no files.
pub(super) fn read_files(delivery: &mut DeliveryConfig, folder: Option<&Path>) -> Result<(), ProfileError> {
    let mut recipients = Vec::new();
    for text in &delivery.recipients {
        recipients.extend(match folder {
            Some(folder) if is_file(text) => from_file(text, &folder.join(text)),
            _ => parse(text).map(|recipient| vec![recipient]),
        }?);
    }
    delivery.recipients = written(recipients)?;
    Ok(())
}

/// The recipients that somebody names one after the other: each by itself, or by a file of them.
///
/// # Errors
///
/// When one is no recipient and no file of recipients.
pub fn recipients(named: &[String]) -> Result<Vec<Recipient>, ProfileError> {
    let mut recipients = Vec::new();
    for text in named {
        recipients.extend(match is_file(text) {
            true => from_file(text, Path::new(text)),
            false => parse(text).map(|recipient| vec![recipient]),
        }?);
    }
    Ok(recipients)
}

/// The recipients as a record has them: each once, in one order, so that whoever names the same ones means the same batch.
pub(super) fn written(recipients: Vec<Recipient>) -> Result<Vec<String>, ProfileError> {
    let set = as_set(recipients)?;
    Ok(set.iter().map(Recipient::to_string).collect())
}

/// The recipients that a profile has, which are named by themselves.
pub(super) fn read(delivery: &DeliveryConfig) -> Result<Vec<Recipient>, ProfileError> {
    let parsed: Result<Vec<_>, _> = delivery.recipients.iter().map(|text| parse(text)).collect();
    parsed.and_then(as_set)
}

/// Each once, in one order.
fn as_set(mut recipients: Vec<Recipient>) -> Result<Vec<Recipient>, ProfileError> {
    recipients.sort();
    recipients.dedup();
    match recipients.len() <= MAX_RECIPIENTS {
        true => Ok(recipients),
        false => Err(refused(FIELD, RecipientError::TooMany)),
    }
}

/// The files among what somebody names as recipients.
pub fn recipient_files(named: &[String]) -> impl Iterator<Item = &str> {
    named.iter().map(String::as_str).filter(|text| is_file(text))
}

/// Whatever does not look like a key is a path. A key of SSH has a blank in it, and what is in base64 has slashes.
fn is_file(text: &str) -> bool {
    if is_ssh(text) && text.contains(' ') {
        return false;
    }
    let lower = text.to_ascii_lowercase();
    let looks_like_key = ["age1", "age-secret-key-", "age-plugin-", "ssh-"]
        .iter()
        .any(|start| lower.starts_with(start));
    !looks_like_key || text.contains(['/', '.'])
}

fn parse(text: &str) -> Result<Recipient, ProfileError> {
    Recipient::parse(text).map_err(|source| {
        // Whoever gives the secret half finds it in no message.
        let named = match source {
            RecipientError::Secret => "what is given",
            _ => text,
        };
        refused(named, source)
    })
}

fn from_file(named: &str, path: &Path) -> Result<Vec<Recipient>, ProfileError> {
    let text = bounded::read_text(path).map_err(|source| match source.kind() {
        io::ErrorKind::InvalidData => refused(named, RecipientError::Nobody),
        _ => ProfileError::Recipients {
            named: named.to_owned(),
            source,
        },
    })?;
    read_recipients(&text).map_err(|source| refused(named, source))
}

fn refused(named: &str, source: RecipientError) -> ProfileError {
    ProfileError::Recipient {
        named: named.to_owned(),
        source: Box::new(source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::encryption::Identity;
    use crate::profile::Profile;
    use zeroize::Zeroizing;

    fn public(octet: u8) -> String {
        Identity::new(Zeroizing::new([octet; 32])).recipient().to_string()
    }

    #[test]
    fn recipients_are_a_set_wherever_they_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("profile.toml");
        std::fs::write(
            folder.path().join("line7.pub"),
            format!("# line 7\n{}\n{}\n", public(1), public(2)),
        )
        .unwrap();
        let load = |recipients: &str| {
            std::fs::write(
                &path,
                format!("name = 'x'\n[delivery]\nrecipients = [{recipients}]"),
            )
            .unwrap();
            Profile::load(path.to_str().unwrap(), None)
        };
        let (one, two) = (public(1), public(2));
        let profile = load(&format!("'{two}', '{one}'")).unwrap();
        assert_eq!(load("'line7.pub'").unwrap().digest(), profile.digest());
        assert_eq!(
            load(&format!("'{one}', 'line7.pub'")).unwrap().digest(),
            profile.digest()
        );
        assert_ne!(load(&format!("'{one}'")).unwrap().digest(), profile.digest());
        assert_ne!(load("").unwrap().digest(), profile.digest());
        assert_eq!(profile.recipients().len(), 2);
        let given = load("").unwrap().with_recipients(profile.recipients()).unwrap();
        assert_eq!(given.digest(), profile.digest());
        let recorded = serde_json::to_string(profile.config()).unwrap();
        let recorded = Profile::from_config(&serde_json::from_str(&recorded).unwrap()).unwrap();
        assert_eq!(recorded.digest(), profile.digest());
    }

    #[test]
    fn a_secret_half_is_in_no_message() {
        let secret = Identity::new(Zeroizing::new([3; 32])).to_text();
        let error = recipients(&[secret.to_string()]).unwrap_err();
        let told = format!("{error} {}", std::error::Error::source(&error).unwrap());
        assert!(!told.contains(&secret[16..40]), "{told}");
    }
}
