//! A connection that is made anew when it breaks, as long as somebody waits for it.

use std::io::ErrorKind;
use std::thread;
use std::time::{Duration, Instant};

use postgres::Client;
use postgres::error::SqlState;

use super::Failure;
use super::connect::Server;
use super::statements::{Asking, Reading, Statements};
use crate::ledger::{LedgerError, Patience};

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// A pause is cut short within this time when nobody waits any more.
const GLANCE: Duration = Duration::from_millis(100);

pub(super) struct Session {
    server: Server,
    client: Option<Client>,
    statements: Statements,
    patience: Patience,
}

impl Session {
    /// Connects. A server that is not there at the start is waited for when that was asked for: it may be the wrong one.
    pub(super) fn open(server: Server, patience: Patience) -> Result<Self, LedgerError> {
        let mut session = Self {
            server,
            client: None,
            statements: Statements::default(),
            patience,
        };
        match session.server.connect() {
            Ok(client) => session.client = Some(client),
            Err(error) if begins_or_ends(&error) => session.run(|_| Ok(()))?,
            Err(error) if session.patience.from_the_start && is_absent(&error) => session.run(|_| Ok(()))?,
            Err(error) => return Err(failed(session.location(), error)),
        }
        Ok(session)
    }

    pub(super) fn location(&self) -> &str {
        self.server.location()
    }

    /// Does some work, and does it again from its beginning on a new connection when the one that it had breaks. So work
    /// has to be such that it may have been done already: an answer that was lost looks as if nothing had been done.
    pub(super) fn run<T>(
        &mut self,
        mut work: impl FnMut(&mut Reading<'_>) -> Result<T, Failure>,
    ) -> Result<T, LedgerError> {
        let began = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match self.attempt(&mut work) {
                Ok(done) => return Ok(done),
                Err(Failure::Postgres(error)) if is_passing(&error) => error,
                Err(failure) => return Err(failure.into_error(self.location())),
            };
            if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE)
                && began.elapsed() < self.patience.most
                && (self.patience.tell)(self.location(), began.elapsed())
            {
                self.end_stuck();
                continue;
            }
            // Who only had to give way to another tries again on the same connection.
            if is_gone(&error) {
                self.client = None;
            }
            tracing::info!(%error, "the ledger does not answer");
            let waited = began.elapsed();
            let goes_on = waited < self.patience.most && (self.patience.tell)(self.location(), waited);
            if !goes_on || !self.wait(pause, waited) {
                return Err(LedgerError::Away {
                    location: self.location().to_owned(),
                    seconds: waited.as_secs(),
                    source: error.into(),
                });
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Does some work that cannot be done again from its beginning: a server that goes away meanwhile is an error.
    pub(super) fn run_once<T>(
        &mut self,
        work: impl FnOnce(&mut Reading<'_>) -> Result<T, Failure>,
    ) -> Result<T, LedgerError> {
        let mut work = Some(work);
        let mut once = |client: &mut Reading<'_>| (work.take().expect("it is done once"))(client);
        self.attempt(&mut once)
            .map_err(|failure| failure.into_error(self.location()))
    }

    fn attempt<T>(
        &mut self,
        work: &mut impl FnMut(&mut Reading<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let client = match &mut self.client {
            Some(client) if !client.is_closed() => client,
            client => {
                self.statements.forget();
                client.insert(self.server.connect()?)
            }
        };
        work(&mut Asking::new(client, &mut self.statements))
    }

    /// Ends the sessions of hosts that have begun to say something in a transaction, and have not gone on for some seconds: they
    /// were stopped, and hold what others need. They find their connection gone, and begin the transaction again.
    fn end_stuck(&mut self) {
        let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'certforge' \
                   AND datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle' \
                   AND wait_event = 'ClientRead' AND greatest(state_change, query_start) < clock_timestamp() - interval '5s'";
        let ended = self.client.as_mut().map(|client| client.query_one(sql, &[]));
        if let Some(Err(error)) = ended {
            tracing::info!(%error, "sessions that are stuck were not ended");
        }
    }

    /// Whether somebody still waits when the pause is over.
    fn wait(&self, pause: Duration, waited: Duration) -> bool {
        let end = Instant::now() + pause;
        while Instant::now() < end {
            if !(self.patience.tell)(self.location(), waited) {
                return false;
            }
            thread::sleep(GLANCE.min(pause));
        }
        true
    }
}

/// Whether the connection is of no use any more.
fn is_gone(error: &postgres::Error) -> bool {
    error.code().is_none_or(|code| {
        !matches!(
            *code,
            SqlState::T_R_SERIALIZATION_FAILURE
                | SqlState::T_R_DEADLOCK_DETECTED
                | SqlState::LOCK_NOT_AVAILABLE
        )
    })
}

/// Whether what went wrong may be right in a while: the server is away, starts, ends, fails over, or had to choose.
fn is_passing(error: &postgres::Error) -> bool {
    match error.code() {
        Some(code) => {
            code.code().starts_with("08")
                || matches!(
                    *code,
                    SqlState::ADMIN_SHUTDOWN
                        | SqlState::CRASH_SHUTDOWN
                        | SqlState::CANNOT_CONNECT_NOW
                        | SqlState::TOO_MANY_CONNECTIONS
                        | SqlState::T_R_SERIALIZATION_FAILURE
                        | SqlState::T_R_DEADLOCK_DETECTED
                        | SqlState::LOCK_NOT_AVAILABLE
                        | SqlState::READ_ONLY_SQL_TRANSACTION
                        | SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT
                )
        }
        None => error.is_closed() || io_kind(error).is_some(),
    }
}

/// Whether a server said so itself.
fn begins_or_ends(error: &postgres::Error) -> bool {
    matches!(
        error.code(),
        Some(&(SqlState::CANNOT_CONNECT_NOW | SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN))
    )
}

/// Whether nobody answered, who may in a while: also one that was killed while it took the connection. A name that nobody
/// knows and a certificate that is refused stay as they are.
fn is_absent(error: &postgres::Error) -> bool {
    match (error.code(), io_kind(error)) {
        (Some(_), _) => is_passing(error),
        (None, Some(kind)) => matches!(
            kind,
            ErrorKind::ConnectionRefused
                | ErrorKind::ConnectionReset
                | ErrorKind::ConnectionAborted
                | ErrorKind::BrokenPipe
                | ErrorKind::TimedOut
                | ErrorKind::HostUnreachable
                | ErrorKind::NetworkUnreachable
                | ErrorKind::UnexpectedEof
        ),
        (None, None) => error.is_closed(),
    }
}

/// What the operating system says, if it is that.
fn io_kind(error: &postgres::Error) -> Option<ErrorKind> {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            return Some(error.kind());
        }
        source = error.source();
    }
    None
}

/// What the server or the driver says, as an error of the ledger.
pub(super) fn failed(location: &str, error: postgres::Error) -> LedgerError {
    let location = location.to_owned();
    let said = |error: &postgres::Error| {
        error
            .as_db_error()
            .map_or_else(|| error.to_string(), |error| error.message().to_owned())
    };
    match error.code() {
        Some(
            &(SqlState::INVALID_PASSWORD
            | SqlState::INVALID_AUTHORIZATION_SPECIFICATION
            | SqlState::INSUFFICIENT_PRIVILEGE
            | SqlState::INVALID_CATALOG_NAME
            | SqlState::INVALID_SCHEMA_NAME),
        ) => LedgerError::Denied {
            location,
            what: said(&error),
        },
        Some(
            &(SqlState::CANNOT_CONNECT_NOW
            | SqlState::ADMIN_SHUTDOWN
            | SqlState::CRASH_SHUTDOWN
            | SqlState::TOO_MANY_CONNECTIONS),
        ) => LedgerError::Unreachable {
            location,
            source: error.into(),
        },
        None if is_tls(&error) => LedgerError::Untrusted {
            location,
            source: error.into(),
        },
        None if io_kind(&error).is_some() || error.is_closed() || is_connect(&error) => {
            LedgerError::Unreachable {
                location,
                source: error.into(),
            }
        }
        _ => LedgerError::Database {
            location,
            source: error.into(),
        },
    }
}

fn is_connect(error: &postgres::Error) -> bool {
    error.to_string().starts_with("error connecting to server")
}

/// The driver tells what it was doing in words alone.
fn is_tls(error: &postgres::Error) -> bool {
    let mut source = Some(error as &dyn std::error::Error);
    while let Some(error) = source {
        if error.is::<rustls::Error>() || error.to_string().contains("TLS handshake") {
            return true;
        }
        source = error.source();
    }
    false
}
