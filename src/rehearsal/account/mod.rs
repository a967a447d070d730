//! The account: what AWS IoT Core would keep, which is CAs, certificates with their status, things, policies, and
//! what happened of late.
//!
//! It is an SQLite database, in memory or in a file. Every decision on a certificate reads it anew, so that another
//! process may change it meanwhile; policies are read when a device connects, CAs when the endpoint starts. No private
//! key is ever in it.

mod list;
mod provision;
mod schema;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use data_encoding::HEXLOWER;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use serde::Serialize;

use super::event::Event;
use crate::issuer::{CaCertificate, IssuerError};
use crate::jitp::ThingMade;

pub use list::{Counts, Listing, NamedPolicy, NamedThing, Refusals};
pub use provision::Made;
use schema::{Recognized, VERSION, set_up};

/// How many events are kept, about, and how many refusals besides.
const EVENTS: i64 = 10_000;

/// The status of a certificate, as AWS IoT Core calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CertificateStatus {
    Active,
    Inactive,
    PendingActivation,
    Revoked,
}

impl CertificateStatus {
    pub const ALL: [Self; 4] = [
        Self::Active,
        Self::Inactive,
        Self::PendingActivation,
        Self::Revoked,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Inactive => "INACTIVE",
            Self::PendingActivation => "PENDING_ACTIVATION",
            Self::Revoked => "REVOKED",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// A certificate that is registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Registered {
    pub certificate_id: String,
    pub ca_certificate_id: String,
    /// Its subject's CN, or what else names it.
    pub name: String,
    pub status: CertificateStatus,
    /// Why it is still pending.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Seconds since 1970.
    pub registered_at: i64,
}

/// A CA that is registered.
#[derive(Debug, Clone)]
pub struct Authority {
    pub id: String,
    pub certificate: CaCertificate,
    pub is_active: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    #[error("state {path}")]
    Sqlite { path: String, source: rusqlite::Error },
    #[error("{path} is no state of a rehearsal")]
    NotState { path: String },
    #[error("state {path} is of another version of certforge ({found}, this is {VERSION})")]
    Version { path: String, found: i64 },
    #[error("state {path} does not exist")]
    Missing { path: PathBuf },
    #[error("a CA in the state cannot be read")]
    Authority(#[source] IssuerError),
}

impl AccountError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Sqlite { .. } => {
                "name a file in a folder that can be written to, and see that its disk is not full".to_owned()
            }
            Self::NotState { .. } => {
                "name a file that `certforge rehearse --state` made, or a new one".to_owned()
            }
            Self::Version { .. } => {
                "name a new file; a rehearsal keeps nothing that cannot be made again".to_owned()
            }
            Self::Missing { .. } => {
                "name the file that a rehearsal runs with: `certforge rehearse --serve --state FILE`"
                    .to_owned()
            }
            Self::Authority(_) => "name a new file".to_owned(),
        })
    }
}

/// An account of AWS IoT Core in one Region.
pub struct Account {
    path: String,
    connection: Mutex<Connection>,
}

impl Account {
    /// One that is gone with the process.
    ///
    /// # Errors
    ///
    /// When there is no memory for it.
    pub fn in_memory() -> Result<Self, AccountError> {
        let path = "in memory".to_owned();
        match Connection::open_in_memory() {
            Ok(connection) => Self::prepare(path, connection),
            Err(source) => Err(AccountError::Sqlite { path, source }),
        }
    }

    /// One in a file, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// When it cannot be opened, or is something else.
    pub fn open(path: &Path) -> Result<Self, AccountError> {
        Self::open_with(path, OpenFlags::default())
    }

    /// One in a file that is there.
    ///
    /// # Errors
    ///
    /// When it is not there, cannot be opened, or is something else.
    pub fn open_existing(path: &Path) -> Result<Self, AccountError> {
        if !path.exists() {
            return Err(AccountError::Missing {
                path: path.to_owned(),
            });
        }
        Self::open_with(path, OpenFlags::default() & !OpenFlags::SQLITE_OPEN_CREATE)
    }

    fn open_with(path: &Path, flags: OpenFlags) -> Result<Self, AccountError> {
        let name = path.display().to_string();
        match Connection::open_with_flags(path, flags) {
            Ok(connection) => Self::prepare(name, connection),
            Err(source) => Err(AccountError::Sqlite { path: name, source }),
        }
    }

    fn prepare(path: String, mut connection: Connection) -> Result<Self, AccountError> {
        match set_up(&mut connection) {
            Ok(Recognized::State) => Ok(Self {
                path,
                connection: Mutex::new(connection),
            }),
            Ok(Recognized::Stranger) => Err(AccountError::NotState { path }),
            Ok(Recognized::Version(found)) => Err(AccountError::Version { path, found }),
            Err(rusqlite::Error::SqliteFailure(error, _))
                if error.code == rusqlite::ErrorCode::NotADatabase =>
            {
                Err(AccountError::NotState { path })
            }
            Err(source) => Err(AccountError::Sqlite { path, source }),
        }
    }

    /// Runs statements, and says in which file they failed.
    fn with<T>(
        &self,
        work: impl FnOnce(&mut MutexGuard<'_, Connection>) -> rusqlite::Result<T>,
    ) -> Result<T, AccountError> {
        let mut connection = self.connection.lock().expect("no holder panics");
        work(&mut connection).map_err(|source| AccountError::Sqlite {
            path: self.path.clone(),
            source,
        })
    }

    /// Registers a CA, or sets the status of one that is registered.
    ///
    /// # Errors
    ///
    /// When the state cannot be written.
    pub fn register_authority(
        &self,
        certificate: &CaCertificate,
        is_active: bool,
    ) -> Result<(), AccountError> {
        let status = if is_active {
            CertificateStatus::Active
        } else {
            CertificateStatus::Inactive
        };
        self.with(|connection| {
            connection.execute(
                "INSERT INTO authority VALUES (?1, ?2, ?3) ON CONFLICT (id) DO UPDATE SET status = ?3",
                params![
                    HEXLOWER.encode(&certificate.id()),
                    certificate.der(),
                    status.as_str()
                ],
            )
        })?;
        Ok(())
    }

    /// The CAs that are registered.
    pub(in crate::rehearsal) fn authorities(&self) -> Result<Vec<Authority>, AccountError> {
        let rows: Vec<(String, Vec<u8>, String)> = self.with(|connection| {
            let mut select = connection.prepare_cached("SELECT id, certificate, status FROM authority")?;
            let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            rows.collect()
        })?;
        rows.into_iter()
            .map(|(id, der, status)| {
                let certificate =
                    CaCertificate::from_der(&der, Path::new(&self.path)).map_err(AccountError::Authority)?;
                Ok(Authority {
                    id,
                    certificate,
                    is_active: status == CertificateStatus::Active.as_str(),
                })
            })
            .collect()
    }

    /// A certificate that is registered.
    pub(in crate::rehearsal) fn certificate(&self, id: &str) -> Result<Option<Registered>, AccountError> {
        self.with(|connection| {
            let mut select = connection.prepare_cached(
                "SELECT id, authority, name, status, reason, registered_at FROM certificate WHERE id = ?1",
            )?;
            select.query_row([id], registered).optional()
        })
    }

    /// The certificate itself, DER.
    pub(in crate::rehearsal) fn certificate_der(&self, id: &str) -> Result<Option<Vec<u8>>, AccountError> {
        self.with(|connection| {
            let mut select = connection.prepare_cached("SELECT der FROM certificate WHERE id = ?1")?;
            select.query_row([id], |row| row.get(0)).optional()
        })
    }

    /// Registers a certificate as PENDING_ACTIVATION. Returns whether it is new.
    pub(in crate::rehearsal) fn register(
        &self,
        id: &str,
        authority: &str,
        der: &[u8],
        name: &str,
        now: i64,
    ) -> Result<bool, AccountError> {
        let added = self.with(|connection| {
            let mut insert = connection.prepare_cached(
                "INSERT INTO certificate VALUES (?1, ?2, ?3, ?4, 'PENDING_ACTIVATION', NULL, ?5) ON CONFLICT DO NOTHING",
            )?;
            insert.execute(params![id, authority, der, name, now])
        })?;
        Ok(added > 0)
    }

    /// Sets the status of a certificate. Returns whether it is registered.
    ///
    /// # Errors
    ///
    /// When the state cannot be written.
    pub fn set_status(&self, id: &str, status: CertificateStatus) -> Result<bool, AccountError> {
        let changed = self.with(|connection| {
            let mut update = connection
                .prepare_cached("UPDATE certificate SET status = ?2, reason = NULL WHERE id = ?1")?;
            update.execute(params![id, status.as_str()])
        })?;
        Ok(changed > 0)
    }

    /// Says why a certificate stays pending.
    pub(in crate::rehearsal) fn stays_pending(&self, id: &str, reason: &str) -> Result<(), AccountError> {
        self.with(|connection| {
            let mut update = connection.prepare_cached("UPDATE certificate SET reason = ?2 WHERE id = ?1")?;
            update.execute([id, reason])
        })?;
        Ok(())
    }

    /// Makes a policy, or gives one another document.
    ///
    /// # Errors
    ///
    /// When the state cannot be written.
    pub fn put_policy(&self, name: &str, document: &str) -> Result<(), AccountError> {
        self.with(|connection| {
            connection.execute(
                "INSERT INTO policy VALUES (?1, ?2) ON CONFLICT DO UPDATE SET document = ?2",
                [name, document],
            )
        })?;
        Ok(())
    }

    /// The policies that are attached to a certificate, by name.
    pub(in crate::rehearsal) fn policies_of(
        &self,
        certificate: &str,
    ) -> Result<Vec<(String, String)>, AccountError> {
        self.with(|connection| {
            let mut select = connection.prepare_cached(
                "SELECT name, document FROM policy JOIN principal_policy ON policy = name WHERE certificate = ?1
                 ORDER BY name",
            )?;
            let rows = select.query_map([certificate], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        })
    }

    /// The things that are attached to a certificate, by name.
    pub(in crate::rehearsal) fn things_of(&self, certificate: &str) -> Result<Vec<ThingMade>, AccountError> {
        let documents: Vec<String> = self.with(|connection| {
            let mut select = connection.prepare_cached(
                "SELECT document FROM thing JOIN thing_principal ON thing = name WHERE certificate = ?1 ORDER BY name",
            )?;
            let rows = select.query_map([certificate], |row| row.get(0))?;
            rows.collect()
        })?;
        let things = documents.iter().map(|document| serde_json::from_str(document));
        let things = things.collect::<Result<_, _>>();
        things.map_err(|error| AccountError::Sqlite {
            path: self.path.clone(),
            source: damaged(error.into()),
        })
    }

    /// A setting that was kept.
    pub(in crate::rehearsal) fn setting(&self, name: &str) -> Result<Option<String>, AccountError> {
        self.with(|connection| {
            let mut select = connection.prepare_cached("SELECT value FROM setting WHERE name = ?1")?;
            select.query_row([name], |row| row.get(0)).optional()
        })
    }

    /// Keeps a setting; `None`: no more.
    pub(in crate::rehearsal) fn keep_setting(
        &self,
        name: &str,
        value: Option<&str>,
    ) -> Result<(), AccountError> {
        self.with(|connection| match value {
            Some(value) => connection.execute(
                "INSERT INTO setting VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = ?2",
                [name, value],
            ),
            None => connection.execute("DELETE FROM setting WHERE name = ?1", [name]),
        })?;
        Ok(())
    }

    /// Keeps an event.
    pub(in crate::rehearsal) fn record(&self, event: &Event) -> Result<(), AccountError> {
        self.with(|connection| {
            let mut insert = connection.prepare_cached(
                "INSERT INTO event (at, kind, peer, client_id, certificate, name, text)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?;
            let id = insert.insert(params![
                event.at,
                event.kind.as_str(),
                event.peer,
                event.client_id,
                event.certificate_id,
                event.name,
                event.text
            ])?;
            if id % 1_000 == 0 {
                // Of devices that come up there are many events; refusals are what people look for.
                connection
                    .prepare_cached("DELETE FROM event WHERE id < ?1 AND kind <> 'refused'")?
                    .execute([id - EVENTS])?;
                connection
                    .prepare_cached(
                        "DELETE FROM event WHERE kind = 'refused' AND id <=
                         (SELECT id FROM event WHERE kind = 'refused' ORDER BY id DESC LIMIT 1 OFFSET ?1)",
                    )?
                    .execute([EVENTS])?;
            }
            Ok(())
        })
    }
}

fn registered(row: &rusqlite::Row<'_>) -> rusqlite::Result<Registered> {
    let status: String = row.get(3)?;
    Ok(Registered {
        certificate_id: row.get(0)?,
        ca_certificate_id: row.get(1)?,
        name: row.get(2)?,
        status: status_of(&status)?,
        reason: row.get(4)?,
        registered_at: row.get(5)?,
    })
}

fn status_of(text: &str) -> rusqlite::Result<CertificateStatus> {
    CertificateStatus::parse(text)
        .ok_or_else(|| damaged(format!("no certificate has status {text:?}").into()))
}

/// What is in the state was not written by this version of certforge.
fn damaged(error: Box<dyn std::error::Error + Send + Sync>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, error)
}
