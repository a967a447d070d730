//! A PKCS#11 token of the test's own, by SoftHSM; `tests/all` installs it.

#![allow(
    dead_code,
    clippy::allow_attributes,
    clippy::unwrap_used,
    reason = "each test crate uses a part of it, and one that cannot go on has failed"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

pub const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
pub const PIN: &str = "1234";

/// A store of tokens, in which is one, `forge`.
pub struct SoftHsm {
    folder: TempDir,
}

impl SoftHsm {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tokens = folder.path().join("tokens");
        fs::create_dir(&tokens).unwrap();
        let conf = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            tokens.display()
        );
        fs::write(folder.path().join("softhsm2.conf"), conf).unwrap();
        let hsm = Self { folder };
        hsm.add_token("forge");
        hsm
    }

    pub fn conf(&self) -> PathBuf {
        self.folder.path().join("softhsm2.conf")
    }

    /// The folder of all tokens.
    pub fn tokens(&self) -> PathBuf {
        self.folder.path().join("tokens")
    }

    /// Others than whoever made it may use it too.
    pub fn give_to(&self, user: &str) {
        let folder = self.folder.path();
        run(Command::new("chown").arg("-R").arg(user).arg(folder));
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).unwrap();
    }

    pub fn add_token(&self, label: &str) {
        run(Command::new("softhsm2-util")
            .env("SOFTHSM2_CONF", self.conf())
            .args([
                "--init-token",
                "--free",
                "--label",
                label,
                "--so-pin",
                "5678",
                "--pin",
                PIN,
            ]));
    }

    /// What another program does with the token.
    pub fn tool(&self, arguments: &[&str]) -> String {
        let output = run(Command::new("pkcs11-tool")
            .env("SOFTHSM2_CONF", self.conf())
            .args([
                "--module",
                MODULE,
                "--token-label",
                "forge",
                "--login",
                "--pin",
                PIN,
            ])
            .args(arguments));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// certforge with this store of tokens, and the PIN.
    pub fn with<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("SOFTHSM2_CONF", self.conf())
            .env("CERTFORGE_PIN", PIN)
    }
}

/// The URI of a key in the token.
pub fn uri(object: &str) -> String {
    uri_by(object, Path::new(MODULE))
}

/// The same, by another module.
pub fn uri_by(object: &str, module: &Path) -> String {
    format!(
        "pkcs11:token=forge;object={object}?module-path={}",
        module.display()
    )
}

fn run(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; `tests/all` installs it"));
    assert!(
        output.status.success(),
        "{command:?}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}
