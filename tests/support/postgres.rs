//! A PostgreSQL server of the test's own; `tests/all` installs it.

#![allow(
    dead_code,
    clippy::allow_attributes,
    clippy::unwrap_used,
    reason = "each test crate uses a part of it, and one that cannot go on has failed"
)]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

/// A server that ends with the test.
pub struct Postgres {
    folder: TempDir,
    port: u16,
    databases: AtomicU32,
}

impl Postgres {
    /// Makes a cluster and starts it. Everybody on this machine may come in without a password.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Self {
            port: TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap()
                .port(),
            databases: AtomicU32::new(0),
            folder,
        };
        let data = server.folder.path();
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(data));
        }
        let cluster = server.cluster();
        run(server
            .as_owner("initdb")
            .args(["-A", "trust", "--no-sync", "-U", "postgres", "-D"])
            .arg(cluster));
        server.go_on();
        server
    }

    /// Starts it once more.
    pub fn go_on(&self) {
        let options = format!(
            "-k {} -p {} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=200 -c shared_buffers=64MB",
            self.folder.path().display(),
            self.port
        );
        run(self
            .as_owner("pg_ctl")
            .args(["-w", "-s", "-o", &options, "-l"])
            .arg(self.folder.path().join("log"))
            .arg("-D")
            .arg(self.cluster())
            .arg("start"));
    }

    /// As if the power went.
    pub fn crash(&self) {
        run(&mut self.stop());
    }

    /// Speaks TLS from here on, as whom the certificate names.
    pub fn use_certificate(&self, certificate: &Path, key: &Path) {
        for (from, to) in [(certificate, "server.crt"), (key, "server.key")] {
            let to = self.cluster().join(to);
            std::fs::copy(from, &to).unwrap();
            if is_root() {
                run(Command::new("chown").arg("postgres").arg(&to));
            }
            run(Command::new("chmod").arg("600").arg(&to));
        }
        self.sql("postgres", "ALTER SYSTEM SET ssl = on");
        self.crash();
        self.go_on();
    }

    fn stop(&self) -> Command {
        let mut stop = self.as_owner("pg_ctl");
        stop.args(["-w", "-s", "-m", "immediate", "-D"])
            .arg(self.cluster())
            .arg("stop");
        stop
    }

    fn cluster(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The URL of a database that is made for the caller.
    pub fn database(&self) -> String {
        let name = format!("d{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.url(&name)
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where the cluster's files are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What a statement gives, as text, fields apart by `|`.
    pub fn sql(&self, database: &str, statement: &str) -> String {
        let mut psql = Command::new(program("psql"));
        let output = run(psql.args([
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-d",
            &self.url(database),
            "-c",
            statement,
        ]));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// The same, of a database that is named by its URL.
    pub fn ask(&self, url: &str, statement: &str) -> String {
        self.sql(url.rsplit('/').next().unwrap(), statement)
    }

    /// A program of the server's, as the user who owns the cluster: the server does not run as root.
    fn as_owner(&self, name: &str) -> Command {
        let program = program(name);
        let mut command = match is_root() {
            true => {
                let mut command = Command::new("runuser");
                command.args(["-u", "postgres", "--"]).arg(program);
                command
            }
            false => Command::new(program),
        };
        command.current_dir(self.folder.path());
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = self.stop().output();
        if is_root() {
            // What another owns the test's folder cannot always remove itself.
            let _ = Command::new("rm").arg("-rf").arg(self.cluster()).output();
        }
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The newest that is installed.
pub fn program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql");
    let mut found: Vec<PathBuf> = versions
        .into_iter()
        .flatten()
        .map(|version| version.unwrap().path().join("bin").join(name))
        .filter(|program| program.exists())
        .collect();
    found.sort();
    found.pop().unwrap_or_else(|| PathBuf::from(name))
}

fn run(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?} does not run: {error}; `tests/all` installs PostgreSQL"));
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}
