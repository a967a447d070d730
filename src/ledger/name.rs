//! What a user names a ledger by: a file, or a database server.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Where a ledger is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LedgerName {
    /// An SQLite file.
    File(PathBuf),
    /// A database in PostgreSQL.
    Server(ServerUrl),
}

/// `postgres://user@host:port/database?…`, without a password: that comes by `PGPASSFILE` or `PGPASSWORD`, which no list of
/// processes shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUrl(String);

/// Why a text names no ledger. What stands in a URL may be a password: it is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LedgerNameError {
    #[error("a ledger is a file, or postgres://user@host/database")]
    Neither,
    #[error(
        "a password in a URL is seen by everybody who lists processes: give it in a file that PGPASSFILE names, or in PGPASSWORD"
    )]
    Password,
}

impl ServerUrl {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The URL without its options.
    fn parse(url: &str, rest: &str) -> Result<Self, LedgerNameError> {
        let (address, options) = rest.split_once('?').unwrap_or((rest, ""));
        let authority = address.split('/').next().unwrap_or_default();
        let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
        let is_password = |option: &str| option.starts_with("password=");
        match user.contains(':') || options.split('&').any(is_password) {
            true => Err(LedgerNameError::Password),
            false => Ok(Self(url.to_owned())),
        }
    }
}

impl FromStr for LedgerName {
    type Err = LedgerNameError;

    fn from_str(text: &str) -> Result<Self, LedgerNameError> {
        match text.split_once("://") {
            Some(("postgres" | "postgresql", rest)) => Ok(Self::Server(ServerUrl::parse(text, rest)?)),
            Some(_) => Err(LedgerNameError::Neither),
            None if text.is_empty() => Err(LedgerNameError::Neither),
            None => Ok(Self::File(PathBuf::from(text))),
        }
    }
}

impl fmt::Display for LedgerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Server(url) => f.write_str(&url.0),
        }
    }
}

impl From<&Path> for LedgerName {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

impl From<&PathBuf> for LedgerName {
    fn from(path: &PathBuf) -> Self {
        Self::File(path.clone())
    }
}

impl From<&Self> for LedgerName {
    fn from(name: &Self) -> Self {
        name.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_refused_and_not_repeated() {
        for given in [
            "postgres://forge:s3cret@db.factory:5433/certforge",
            "postgresql://forge:s3c@ret@db/c",
            "postgres://db/c?sslmode=verify-full&password=s3cret",
            "postgres://:s3cret@",
        ] {
            let error = given.parse::<LedgerName>().unwrap_err();
            assert_eq!(error, LedgerNameError::Password, "{given}");
            assert!(!error.to_string().contains("s3c"), "{error}");
        }
    }

    #[test]
    fn a_server_is_named_by_its_url() {
        for given in [
            "postgres://forge@db.factory/certforge",
            "postgresql://db.factory:5433/certforge?sslmode=verify-full&sslrootcert=/etc/ca:1.pem",
            "postgres://[::1]:5432/c",
            "postgres://",
        ] {
            let name: LedgerName = given.parse().unwrap();
            assert!(matches!(name, LedgerName::Server(_)), "{given}");
            assert_eq!(name.to_string(), given);
        }
    }

    #[test]
    fn what_has_no_scheme_is_a_file() {
        for file in ["certforge.db", "/var/lib/x.db", "C:x", "./postgres"] {
            assert_eq!(file.parse(), Ok(LedgerName::File(PathBuf::from(file))));
        }
        for other in ["", "mysql://u:s3cret@h/d", "https://db"] {
            assert_eq!(other.parse::<LedgerName>(), Err(LedgerNameError::Neither));
        }
    }
}
