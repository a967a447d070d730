//! What the integration tests share: the real binary, in a folder of its own.

#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "each test crate uses a part of it, and one may use it all"
)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder in which certforge runs as a user would run it.
pub struct Workplace {
    folder: tempfile::TempDir,
}

impl Workplace {
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a scratch folder"),
        }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The command, with its arguments, not yet run.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_certforge"));
        command
            .args(arguments)
            .current_dir(self.path())
            // What stations remember stays in the workplace.
            .env("HOME", self.path())
            .env_remove("XDG_CONFIG_HOME");
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CERTFORGE_") {
                command.env_remove(name);
            }
        }
        command
    }

    /// Runs the command and gives its output, whatever it is.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the binary runs")
    }

    /// Runs the command, which must succeed, and gives its standard output.
    pub fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(
            output.status.success(),
            "certforge {arguments:?} ended with {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("output is UTF-8")
    }

    /// Runs the command, which must end with this exit code, and gives its standard error.
    pub fn fail(&self, arguments: &[&str], exit_code: i32) -> String {
        let output = self.run(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(
            output.status.code(),
            Some(exit_code),
            "certforge {arguments:?}\n{stderr}"
        );
        stderr
    }

    /// Writes a manifest `devices.csv` with so many rows: ids `SN000000` and on.
    pub fn manifest(&self, rows: usize) -> PathBuf {
        let mut text = String::from("serial_number,site,country,production_order,hardware_revision\n");
        for row in 0..rows {
            writeln!(text, "SN{row:06},Lyon,FR,PO-{},rev {}", row / 100, row % 3).expect("text grows");
        }
        let path = self.join("devices.csv");
        std::fs::write(&path, text).expect("the manifest is written");
        path
    }

    /// Takes the seal from a batch under `out`, as if it had not been complete yet.
    pub fn unseal(&self, batch: &str) {
        let batch = self.join("out").join(batch);
        std::fs::remove_file(batch.join("seal.json")).expect("a seal");
        std::fs::remove_dir_all(batch.join("lookup")).expect("a lookup");
    }

    /// The folder of the only batch under `out`, if there is one.
    pub fn find_batch(&self) -> Option<PathBuf> {
        let mut batches = std::fs::read_dir(self.join("out")).ok()?;
        let batch = batches.next()?.expect("it can be read").path();
        assert!(batches.next().is_none(), "there is one batch");
        Some(batch)
    }

    /// The folder of the only batch under `out`.
    pub fn only_batch(&self) -> PathBuf {
        self.find_batch().expect("there is a batch")
    }
}

/// The options of a run, of a CA for production, that may name an endpoint and need not.
pub fn perhaps_no_endpoint<'a>(options: &[&'a str]) -> Vec<&'a str> {
    let named = options.contains(&"--endpoint");
    let none = (!named).then_some("--no-endpoint");
    options.iter().copied().chain(none).collect()
}

/// Runs a tool that the tests need; `tests/all` installs it.
pub fn tool(name: &str, arguments: &[&str], folder: &Path) -> Output {
    Command::new(name)
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap_or_else(|error| panic!("{name} does not run: {error}; `tests/all` installs it"))
}
