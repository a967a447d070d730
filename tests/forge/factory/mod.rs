//! One ledger for many hosts: PostgreSQL, as it runs in factories. A host is a process here.

mod apart;
mod encrypted;
mod hosts;
mod moves;
mod overlap;
mod refusals;
mod storm;
mod terms;

use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::ledger_contract::{
    Home, NOW, committed, identity, issuer, keeps_any_history, prefix, remembers_every_act,
};
use crate::postgres::Postgres;
use crate::support::Workplace;
use certforge::ledger::{self, BatchIdentity, Ledger, LedgerError, LedgerName};

/// A ledger in a database of its own.
struct InDatabase(LedgerName);

impl Home for InDatabase {
    fn open(&self) -> Result<Box<dyn Ledger>, LedgerError> {
        ledger::open(&self.0, [9; 16])
    }

    fn open_read_only(&self) -> Result<Box<dyn Ledger>, LedgerError> {
        ledger::open_read_only(&self.0)
    }
}

#[test]
fn a_database_keeps_any_history() {
    let server = Postgres::start();
    let home = || -> Box<dyn Home> {
        let home = InDatabase(server.database().parse().unwrap());
        home.open().unwrap();
        Box::new(home)
    };
    keeps_any_history(home, 6);
}

#[test]
fn a_database_remembers_every_act() {
    let server = Postgres::start();
    remembers_every_act(&InDatabase(server.database().parse().unwrap()));
}

/// Nothing was committed when it went to sleep, so the batch may begin anew.
#[test]
fn a_host_that_slept_commits_nothing_to_a_batch_that_began_anew() {
    let server = Postgres::start();
    let name: LedgerName = server.database().parse().unwrap();
    let issuer = issuer("Test CA");
    let (mut sleeper, mut other) = (
        ledger::open(&name, [9; 16]).unwrap(),
        ledger::open(&name, [9; 16]).unwrap(),
    );
    let batch = sleeper.begin_batch(&identity("b", &issuer), NOW).unwrap();
    let reserved = sleeper.reserve(&batch, &[(0, prefix(1))], NOW).unwrap()[0];
    let anew = BatchIdentity {
        chunk_rows: 4,
        ..identity("b", &issuer)
    };
    other.begin_batch(&anew, NOW).unwrap();
    let late = sleeper.commit(&batch, &[committed(&batch, reserved, 0)], &[]);
    assert!(matches!(late, Err(LedgerError::BegunAnew { .. })), "{late:?}");
    assert!(other.committed(&other.batch("b").unwrap()).unwrap().is_empty());
}

/// A factory: one CA, one manifest, one database, one store.
struct Factory {
    place: Workplace,
    ledger: String,
}

impl Factory {
    fn new(server: &Postgres, rows: usize) -> Self {
        let place = Workplace::new();
        place.manifest(rows);
        place.succeed(&["ca", "new", "--no-passphrase", "--to", "ca"]);
        Self {
            ledger: server.database(),
            place,
        }
    }

    /// A host's command, the same on each.
    fn run(&self) -> Command {
        self.run_and_wait("2min")
    }

    /// The same, which waits for so long for a server that is away.
    fn run_and_wait(&self, wait: &str) -> Command {
        let mut command = self.place.command(&[
            "run",
            "devices.csv",
            "--ca",
            "ca",
            "--no-endpoint",
            "--layout",
            "packs",
            "--chunk-rows",
            "32",
            "--jobs",
            "1",
            "--lease",
            "2s",
            "--ledger-wait",
            wait,
            "--json",
            "--ledger",
            &self.ledger,
        ]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn start(&self) -> Child {
        self.run().spawn().unwrap()
    }

    /// What Python says of the batch.
    fn judge(&self, server: &Postgres) {
        self.judge_at(&self.place.only_batch(), &self.ledger, server);
    }

    /// The same, of a batch that lies elsewhere, and of a ledger that is reached by another way.
    fn judge_at(&self, batch: &Path, ledger: &str, server: &Postgres) {
        let python = std::env::var("CERTFORGE_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let judge = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/forge/factory/judge.py");
        let output = Command::new(python)
            .arg(judge)
            .arg(batch)
            .arg(self.place.join("devices.csv"))
            .arg(ledger)
            .arg(crate::postgres::program("psql"))
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(server.ask(ledger, "SELECT sealed FROM certforge.batch"), "t");
    }
}

/// What a host says in the end.
struct Said {
    code: Option<i32>,
    document: serde_json::Value,
    aside: String,
}

impl Said {
    fn of(host: Child) -> Self {
        let output = host.wait_with_output().unwrap();
        Self {
            code: output.status.code(),
            document: serde_json::from_slice(&output.stdout).unwrap_or_default(),
            aside: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn number(&self, field: &str) -> u64 {
        self.document[field]
            .as_u64()
            .unwrap_or_else(|| panic!("{field} of {}: {}", self.document, self.aside))
    }
}

fn signal(host: &Child, signal: rustix::process::Signal) {
    let process = rustix::process::Pid::from_child(host);
    rustix::process::kill_process(process, signal).unwrap();
}

/// Waits until something holds, which others bring about.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + std::time::Duration::from_mins(2);
    while !holds() {
        assert!(std::time::Instant::now() < end, "never: {what}");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}
