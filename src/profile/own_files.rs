//! Files of the user's own, which are read with the profile that names them, once.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::ProfileError;
use super::config::{BundleConfig, FileConfig};
use super::recipe::invalid;
use super::secret_file::{self, SecretFault};
use crate::bundle::format::{Format, SecretFile};
use crate::bundle::{Content, MAX_USER_FILES};

/// Reads the files of the user's own that a profile names; `folder` is the profile's. What is recorded of a batch
/// names them too, and is never read so: nothing but a profile of the user's opens a file.
pub(super) fn read_files(bundle: &mut BundleConfig, folder: Option<&Path>) -> Result<(), ProfileError> {
    for config in bundle.files.iter_mut().flatten() {
        read_texts(config, folder)?;
        read_secrets(config, folder)?;
        for content in &mut config.content.0 {
            let Content::File(file) = content else { continue };
            // Recipes say that nobody has read it.
            let Some(folder) = folder else { continue };
            let octets = read(&folder.join(file.path())).map_err(|source| ProfileError::File {
                name: config.name.clone(),
                file: file.path().to_owned(),
                source,
            })?;
            let place = format!("{}: {}", config.name, file.path());
            if octets.len() > MAX_USER_FILES {
                let limit = "octets that your own files may have in a bundle";
                return Err(invalid(&format!(
                    "{place} has more than the {MAX_USER_FILES} {limit}"
                )));
            }
            file.fill(&octets)
                .map_err(|error| invalid(&format!("{place} {error}")))?;
        }
    }
    Ok(())
}

/// Puts in place of a setting that names a text file what that holds, which is part of the profile from then on.
fn read_texts(config: &mut FileConfig, folder: Option<&Path>) -> Result<(), ProfileError> {
    for setting in config.format.map_or(&[][..], <dyn Format>::text_files) {
        let Some(path) = config.settings.file(setting).map(str::to_owned) else {
            continue;
        };
        let place = format!("{}: {path}", config.name);
        let Some(folder) = folder else {
            return Err(invalid(&format!(
                "{place}: nobody has read the file; load the profile from its own file"
            )));
        };
        let octets = read(&folder.join(&path)).map_err(|source| ProfileError::File {
            name: config.name.clone(),
            file: path.clone(),
            source,
        })?;
        let text = String::from_utf8(octets)
            .ok()
            .filter(|text| text.len() <= MAX_USER_FILES);
        let text =
            text.ok_or_else(|| invalid(&format!("{place} is no text of at most {MAX_USER_FILES} octets")))?;
        config.settings.set(setting, text);
    }
    Ok(())
}

/// Reads the files with secrets that settings name, which no one else may read. The first line is the secret.
fn read_secrets(config: &mut FileConfig, folder: Option<&Path>) -> Result<(), ProfileError> {
    let (Some(format), Some(folder)) = (config.format, folder) else {
        return Ok(());
    };
    for setting in format.secret_files() {
        let Some(SecretFile { path, .. }) = config.settings.secret_file(setting) else {
            continue;
        };
        let place = folder.join(&path);
        let read = secret_file::read(&place).and_then(|secret| {
            format.judge_secret(&secret).map_err(SecretFault::Useless)?;
            match config.settings.fill(setting, &secret) {
                true => Ok(()),
                false => Err(SecretFault::Another),
            }
        });
        read.map_err(|source| ProfileError::Secret {
            named: format!("{}: {path}", config.name),
            path: place,
            source,
        })?;
    }
    Ok(())
}

/// A file, or one octet more than is allowed of it.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    file.take(MAX_USER_FILES as u64 + 1).read_to_end(&mut octets)?;
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use crate::bundle::MAX_USER_FILES;
    use crate::profile::Profile;

    #[test]
    fn files_are_found_beside_the_profile_and_bounded_all_together() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("profile.toml");
        let text = "name = 'x'
            [bundle]
            files = [
                { name = 'identity.pem', content = ['private-key', 'certificate'] },
                { name = 'a', content = { file = 'a.bin' } },
                { name = 'b', content = { file = 'b.bin' } },
            ]";
        std::fs::write(&path, text).unwrap();
        std::fs::write(folder.path().join("a.bin"), vec![1; MAX_USER_FILES]).unwrap();
        let load = |b: &[u8]| {
            std::fs::write(folder.path().join("b.bin"), b).unwrap();
            Profile::load(path.to_str().unwrap(), None)
        };
        let profile = load(b"").unwrap();
        assert_ne!(profile.digest(), {
            std::fs::write(folder.path().join("a.bin"), "others").unwrap();
            load(b"").unwrap().digest()
        });
        let recorded = serde_json::to_string(profile.config()).unwrap();
        let recorded = Profile::from_config(&serde_json::from_str(&recorded).unwrap()).unwrap();
        assert_eq!(recorded.digest(), profile.digest());

        std::fs::write(folder.path().join("a.bin"), vec![1; MAX_USER_FILES]).unwrap();
        let error = std::error::Error::source(&load(b"b").unwrap_err())
            .unwrap()
            .to_string();
        assert!(
            error.contains("your own files have 65537 octets together"),
            "{error}"
        );
        let error = Profile::parse(text, "x", None).unwrap_err().to_string();
        assert!(error.contains("a: nobody has read the file a.bin"), "{error}");
    }
}
