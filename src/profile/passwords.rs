//! Passwords that are given for files of a batch, whose record has no more than checks of them.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{Profile, ProfileError, secret_file};

/// Passwords, each with the file that it is from.
#[derive(Default)]
pub struct Passwords(Vec<(PathBuf, Zeroizing<String>)>);

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Passwords({}, elided)", self.0.len())
    }
}

impl Passwords {
    /// Reads files that no one else may read.
    ///
    /// # Errors
    ///
    /// The first that others may read, or that is no text.
    pub fn read(paths: &[PathBuf]) -> Result<Self, ProfileError> {
        let one = |path: &PathBuf| match secret_file::read(path) {
            Ok(password) => Ok((path.clone(), password)),
            Err(source) => Err(ProfileError::Password {
                path: path.clone(),
                source,
            }),
        };
        paths.iter().map(one).collect::<Result<_, _>>().map(Self)
    }

    /// The passwords, whatever they are for.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(_, password)| password.as_str())
    }

    /// A profile that was recorded, with those that its files ask for; and the first of which it has no use.
    pub(super) fn fill(&self, profile: &Profile) -> Result<(Profile, Option<&Path>), ProfileError> {
        if self.0.is_empty() {
            return Ok((profile.clone(), None));
        }
        let mut config = profile.config.clone();
        let mut used = vec![false; self.0.len()];
        for file in config.bundle.files.iter_mut().flatten() {
            for setting in file.format.map_or(&[][..], |format| format.secret_files()) {
                for ((_, password), used) in self.0.iter().zip(&mut used) {
                    *used |= file.settings.fill(setting, password);
                }
            }
        }
        let filled = Profile {
            description: profile.description.clone(),
            ..Profile::from_config(&config)?
        };
        let unused = self.0.iter().zip(used).find(|(_, used)| !used);
        Ok((filled, unused.map(|((path, _), _)| path.as_path())))
    }
}

impl Profile {
    /// The same with the passwords that its files ask for.
    ///
    /// # Errors
    ///
    /// The first that none of them asks for.
    pub fn with_passwords(&self, passwords: &Passwords) -> Result<Self, ProfileError> {
        match passwords.fill(self)? {
            (filled, None) => Ok(filled),
            (_, Some(path)) => Err(ProfileError::OtherPassword {
                path: path.to_owned(),
                files: self.locked_files().join(", "),
            }),
        }
    }

    /// The same with those that its files ask for, whatever others there are.
    ///
    /// # Errors
    ///
    /// When the profile is none.
    pub fn with_its_passwords(&self, passwords: &Passwords) -> Result<Self, ProfileError> {
        passwords.fill(self).map(|(filled, _)| filled)
    }

    /// The files that open with a password from a file that nobody has read.
    #[must_use]
    pub fn locked_files(&self) -> Vec<&str> {
        let is_locked = |member: &&crate::bundle::Member| member.format().unread_secret().is_some();
        let locked = self.recipe.all().filter(is_locked);
        locked.map(crate::bundle::Member::name).collect()
    }
}
