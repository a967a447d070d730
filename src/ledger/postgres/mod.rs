//! The ledger in PostgreSQL 13 or newer, for as many hosts as there are. Its tables are those of the file, but that a
//! device's id has a row of its own from before its certificate is signed, and a chunk's entries are one value.
//!
//! Every call is one transaction, which is done again when the connection breaks ([`session`]).

mod batch;
mod chunk;
mod connect;
mod entries;
mod facts;
mod history;
mod identity;
mod issued;
mod mark;
mod passfile;
mod read;
mod schema;
mod session;
mod share;
mod statements;
mod withdrawal;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard};

use time::OffsetDateTime;

use self::connect::Server;
use self::facts::Entering;
use self::session::Session;
use self::statements::{Reading, Writing};
use super::{
    Act, Batch, BatchIdentity, BatchStatus, Committed, Enter, Entry, Head, Issued, Ledger, LedgerError,
    Patience, Reservation, Selection, ServerUrl, Share, Telling, Withdrawal,
};
use crate::batch::IndexEntry;
use crate::certificate::SerialPrefix;
use crate::issuer::{CaCertificate, RevocationCode, RevokedCertificate};

/// An open ledger in PostgreSQL.
pub struct PostgresLedger {
    session: Mutex<Session>,
    url: ServerUrl,
    patience: Patience,
    location: String,
    id: String,
}

impl fmt::Debug for PostgresLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresLedger({})", self.location)
    }
}

/// Why a transaction was not made.
enum Failure {
    /// The contract forbids it.
    Refused(LedgerError),
    Postgres(postgres::Error),
}

impl Failure {
    fn into_error(self, location: &str) -> LedgerError {
        match self {
            Self::Refused(LedgerError::Corrupt { source, .. }) => LedgerError::Corrupt {
                location: location.to_owned(),
                source,
            },
            Self::Refused(error) => error,
            Self::Postgres(error) => session::failed(location, error),
        }
    }
}

impl From<postgres::Error> for Failure {
    fn from(error: postgres::Error) -> Self {
        Self::Postgres(error)
    }
}

impl PostgresLedger {
    /// Opens a ledger for writing, and makes it when there is none. `new_id` is the id of a new one.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached or is too old, when it refuses, or when the database has something else there.
    pub fn open(url: &ServerUrl, new_id: [u8; 16], patience: Patience) -> Result<Self, LedgerError> {
        Self::connect(url, Some(new_id), patience)
    }

    /// Opens a ledger for reading.
    ///
    /// # Errors
    ///
    /// As [`Self::open`], and when there is none.
    pub fn open_read_only(url: &ServerUrl, patience: Patience) -> Result<Self, LedgerError> {
        Self::connect(url, None, patience)
    }

    fn connect(url: &ServerUrl, new_id: Option<[u8; 16]>, patience: Patience) -> Result<Self, LedgerError> {
        let server = Server::new(url)?;
        let location = server.location().to_owned();
        let mut session = Session::open(server, patience.clone())?;
        let id = session.run(|client| schema::settle(client.client, &location, new_id))?;
        Ok(Self {
            session: Mutex::new(session),
            url: url.clone(),
            patience,
            location,
            id,
        })
    }

    fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().expect("no holder panics")
    }

    fn read<T>(
        &self,
        mut read: impl FnMut(&mut Reading<'_>) -> Result<T, Failure>,
    ) -> Result<T, LedgerError> {
        self.session().run(|client| read(client))
    }

    /// Writes in one transaction, or not at all. What is written is told whether it may have been written before.
    fn write<T>(
        &self,
        write: impl FnMut(&mut Writing<'_, '_>, bool) -> Result<T, Failure>,
    ) -> Result<T, LedgerError> {
        write_in(&mut self.session(), write)
    }
}

fn write_in<T>(
    session: &mut Session,
    mut write: impl FnMut(&mut Writing<'_, '_>, bool) -> Result<T, Failure>,
) -> Result<T, LedgerError> {
    let mut is_again = false;
    session.run(|client| {
        let before = std::mem::replace(&mut is_again, true);
        client.within(|transaction| write(transaction, before))
    })
}

impl Ledger for PostgresLedger {
    fn id(&self) -> &str {
        &self.id
    }

    fn location(&self) -> &str {
        &self.location
    }

    fn is_new(&self) -> Result<bool, LedgerError> {
        self.read(batch::any).map(|any| !any)
    }

    fn begin_batch(
        &mut self,
        identity: &BatchIdentity<'_>,
        now: OffsetDateTime,
    ) -> Result<Batch, LedgerError> {
        self.write(|transaction, _| {
            // Those that begin a batch of this name at the same time do so one after the other.
            transaction.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))",
                &[&identity.name],
            )?;
            if let Some(batch) = batch::find(transaction, identity.name)? {
                chunk::lock(transaction, &batch)?;
                match identity.check(&batch) {
                    Ok(()) => return Ok(batch),
                    Err(error)
                        if !chunk::committed(transaction, &batch)?.is_empty()
                            || batch::is_at_work(transaction, &batch)? =>
                    {
                        return Err(Failure::Refused(error));
                    }
                    Err(_) => batch::forget_claims(transaction, &batch)?,
                }
            }
            let before = batch::certificate_before(transaction, identity.issuer)?;
            batch::write(transaction, identity, now)?;
            history::append(
                transaction,
                Act::of_begun(identity, before.as_deref()),
                now,
                false,
            )?;
            batch::find(transaction, identity.name)?.ok_or_else(|| {
                Failure::Refused(LedgerError::NoBatch {
                    name: identity.name.to_owned(),
                })
            })
        })
    }

    fn record(&mut self, act: Act, now: OffsetDateTime) -> Result<Head, LedgerError> {
        self.write(|transaction, is_again| {
            let head = history::append(transaction, vec![act.clone()], now, is_again)?;
            head.ok_or_else(|| read::corrupt("history", String::new()))
        })
    }

    fn history(&self) -> Result<Vec<Entry>, LedgerError> {
        self.read(history::read)
    }

    fn find_batch(&self, name: &str) -> Result<Option<Batch>, LedgerError> {
        self.read(|client| batch::find(client, name))
    }

    /// One that a host is about to make counts as well as one of which a chunk is committed.
    fn same_batch(&self, identity: &BatchIdentity<'_>) -> Result<Option<Batch>, LedgerError> {
        self.read(|client| {
            let Some(batch) = batch::find(client, identity.name)? else {
                return Ok(None);
            };
            match identity.check(&batch) {
                Ok(()) => Ok(Some(batch)),
                Err(error)
                    if !chunk::committed(client, &batch)?.is_empty()
                        || batch::is_at_work(client, &batch)? =>
                {
                    Err(Failure::Refused(error))
                }
                Err(_) => Ok(None),
            }
        })
    }

    fn batch_of_manifest(
        &self,
        manifest_sha256: &[u8; 32],
        issuer: &CaCertificate,
        other_than: &str,
    ) -> Result<Option<String>, LedgerError> {
        self.read(|client| batch::of_manifest(client, manifest_sha256, issuer, other_than))
    }

    fn batches_of(&self, issuer: &CaCertificate) -> Result<Vec<String>, LedgerError> {
        self.read(|client| batch::of_issuer(client, issuer))
    }

    fn reservations(&self) -> Result<u64, LedgerError> {
        self.read(mark::reservations)
    }

    fn move_batch(&mut self, batch: &Batch, location: &str, manifest: &str) -> Result<(), LedgerError> {
        self.write(|transaction, _| mark::move_batch(transaction, batch, location, manifest))
    }

    fn status(&self, name: Option<&str>) -> Result<Vec<BatchStatus>, LedgerError> {
        let mut batches = self.read(|client| batch::status(client, name))?;
        let mut hosts = self.read(|client| share::hosts(client, name))?;
        for status in &mut batches {
            status.hosts = hosts.remove(&status.batch).unwrap_or_default();
        }
        match name {
            Some(name) if batches.is_empty() => Err(LedgerError::NoBatch {
                name: name.to_owned(),
            }),
            _ => Ok(batches),
        }
    }

    fn reserve(
        &mut self,
        batch: &Batch,
        chunks: &[(u64, SerialPrefix)],
        now: OffsetDateTime,
    ) -> Result<Vec<Reservation>, LedgerError> {
        self.write(|transaction, is_again| chunk::reserve(transaction, batch, chunks, now, is_again))
    }

    fn commit(&mut self, batch: &Batch, chunks: &[Committed], released: &[u64]) -> Result<(), LedgerError> {
        self.write(|transaction, is_again| {
            chunk::lock_reservations(transaction, batch)?;
            chunk::mark_released(transaction, batch, released)?;
            let mut made = None;
            for chunk in chunks {
                if chunk::commit(transaction, batch, chunk, is_again)? {
                    let (_, devices) = made.unwrap_or((0, 0));
                    made = Some((chunk.reservation.chunk, devices + chunk.entries.len() as u64));
                }
            }
            match made {
                Some(made) => share::count(transaction, batch, made),
                None => Ok(()),
            }
        })
    }

    fn mark_released(&mut self, batch: &Batch, chunks: &[u64]) -> Result<(), LedgerError> {
        self.write(|transaction, _| chunk::mark_released(transaction, batch, chunks))
    }

    fn committed(&self, batch: &Batch) -> Result<Vec<(u64, bool)>, LedgerError> {
        self.read(|client| chunk::committed(client, batch))
    }

    fn attempts(&self, batch: &Batch) -> Result<BTreeMap<u64, Vec<SerialPrefix>>, LedgerError> {
        self.read(|client| chunk::attempts(client, batch))
    }

    fn prefixes(&self) -> Result<Vec<SerialPrefix>, LedgerError> {
        self.read(chunk::prefixes)
    }

    fn entries(&self, batch: &Batch, chunk: u64) -> Result<Vec<IndexEntry>, LedgerError> {
        self.read(|client| chunk::entries_of(client, batch.key, chunk))
    }

    fn has_issued(&self, issuer: &CaCertificate, device_ids: &[&str]) -> Result<bool, LedgerError> {
        self.read(|client| identity::has_any(client, issuer, device_ids))
    }

    fn issued_in(
        &self,
        issuer: &CaCertificate,
        device_ids: &[&str],
        other_than: &str,
    ) -> Result<Vec<Option<String>>, LedgerError> {
        self.read(|client| identity::issued_in(client, issuer, device_ids, other_than))
    }

    fn withdraw(
        &mut self,
        batch: &Batch,
        reason: &str,
        now: OffsetDateTime,
    ) -> Result<Withdrawal, LedgerError> {
        self.write(|transaction, _| {
            if withdrawal::insert(transaction, batch, reason, now)? {
                history::append(transaction, vec![Act::of_withdrawn(batch, reason)], now, false)?;
            }
            withdrawal::find(transaction, batch)?
                .ok_or_else(|| read::corrupt("withdrawal", batch.name.clone()))
        })
    }

    fn withdrawal(&self, batch: &Batch) -> Result<Option<Withdrawal>, LedgerError> {
        self.read(|client| withdrawal::find(client, batch))
    }

    fn revoked(&self, batch: &Batch, place: &str) -> Result<u64, LedgerError> {
        self.read(|client| withdrawal::revoked(client, batch, place))
    }

    fn select(
        &self,
        selection: Selection<'_>,
        each: &mut dyn FnMut(Issued) -> bool,
    ) -> Result<(), LedgerError> {
        let chunks = self.read(|client| issued::chunks(client, selection))?;
        for (device, chunk) in chunks {
            // Nobody waits for what `each` does.
            for issued in self.read(|client| issued::of_chunk(client, &chunk))? {
                let is_selected = match selection {
                    Selection::Devices(_) => device.as_deref() == Some(issued.entry.device_id.as_str()),
                    Selection::Certificates(ids) => ids.contains(&issued.entry.certificate_id),
                    Selection::EndingBefore(time) => issued.entry.not_after < time,
                };
                if is_selected && !each(issued) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn revoke(
        &mut self,
        certificates: &[Issued],
        code: RevocationCode,
        reason: &str,
        now: OffsetDateTime,
    ) -> Result<(), LedgerError> {
        self.write(|transaction, is_again| {
            issued::revoke(transaction, certificates, (code, reason), now)?;
            history::append(transaction, Act::of_revoked(certificates, reason), now, is_again)?;
            Ok(())
        })
    }

    fn revoked_of(
        &self,
        issuer: &CaCertificate,
        with_superseded: bool,
    ) -> Result<Vec<RevokedCertificate>, LedgerError> {
        self.read(|client| issued::revoked_of(client, issuer, with_superseded))
    }

    fn next_crl(
        &mut self,
        issuer: &CaCertificate,
        above: u64,
        now: OffsetDateTime,
    ) -> Result<Option<u64>, LedgerError> {
        self.write(|transaction, _| issued::next_crl(transaction, issuer, above, now))
    }

    fn set_revoked(&mut self, batch: &Batch, place: &str, revoked: u64) -> Result<(), LedgerError> {
        match self.write(|transaction, _| withdrawal::set_revoked(transaction, batch, place, revoked))? {
            true => Ok(()),
            false => Err(LedgerError::NotWithdrawn {
                batch: batch.name.clone(),
            }),
        }
    }

    fn share(&self, batch: &Batch) -> Result<Option<Box<dyn Share>>, LedgerError> {
        let server = Server::new(&self.url)?;
        let shared = share::join(server, self.patience.clone(), batch)?;
        Ok(Some(Box::new(shared)))
    }

    fn facts(&self, batch: &Batch, enter: Enter<'_>) -> Result<(), LedgerError> {
        self.session()
            .run_once(|client| facts::tell(client, batch, &mut |fact| enter(fact).map_err(Failure::Refused)))
    }

    fn restore(&mut self, tell: Telling<'_>) -> Result<(), LedgerError> {
        let location = self.location.clone();
        self.session().run_once(|client| {
            client.within(|transaction| {
                let mut entering = Entering::new(transaction);
                let told = tell(&mut |fact| {
                    entering
                        .enter(fact)
                        .map_err(|failure| failure.into_error(&location))
                });
                told.map_err(Failure::Refused)
            })
        })
    }
}
