//! An account of AWS IoT on MiniStack, and a workplace whose CA may be registered there.

#![allow(
    dead_code,
    clippy::allow_attributes,
    clippy::unwrap_used,
    reason = "each test crate uses a part of it, and one that cannot go on has failed"
)]

use std::fmt::Write as _;
use std::fs;
use std::ops::Range;
use std::process::{Command, Output, Stdio};

use certforge::batch::{IndexRow, parse_index};
use certforge::digest::sha256;
use certforge::pem;
use data_encoding::HEXLOWER;

use crate::cloud::Cloud;
use crate::real_server::Server;
use crate::support::Workplace;

pub struct Account {
    pub place: Workplace,
    pub server: Server,
    pub cloud: Cloud,
}

impl Account {
    /// An account that knows nothing, and a workplace with a CA.
    pub fn new() -> Self {
        let place = Workplace::new();
        place.succeed(&["ca", "new", "--no-passphrase"]);
        let server = Server::ministack();
        Self {
            cloud: Cloud::new(&server.url, "AKIATEST", "us-east-1"),
            place,
            server,
        }
    }

    /// A command of `jitp` in this account.
    pub fn jitp(&self, arguments: &[&str]) -> Command {
        self.jitp_at(&self.server.url, arguments)
    }

    /// The same, by another way to the server.
    pub fn jitp_at(&self, url: &str, arguments: &[&str]) -> Command {
        let mut command = self.place.command(&["jitp"]);
        command
            .args(arguments)
            .args(["--endpoint-url", url])
            .env("AWS_ACCESS_KEY_ID", "AKIATEST")
            .env("AWS_SECRET_ACCESS_KEY", "secret of the test")
            .env("AWS_REGION", "us-east-1")
            .stdin(Stdio::null());
        command
    }

    #[track_caller]
    pub fn succeed(&self, arguments: &[&str]) -> String {
        ended(&self.jitp(arguments).output().unwrap(), 0).0
    }

    /// The errors of a command that must end with this code.
    #[track_caller]
    pub fn fail(&self, arguments: &[&str], code: i32) -> String {
        ended(&self.jitp(arguments).output().unwrap(), code).1
    }

    /// Makes a batch of devices SN000000 and on; `more`: further options.
    pub fn make(&self, batch: &str, devices: Range<usize>, more: &[&str]) {
        self.manifest(batch, devices);
        let manifest = format!("{batch}.csv");
        let run = ["run", &manifest, "--no-endpoint", "--ca", "ca", "--batch", batch];
        self.place.succeed(&[&run[..], more].concat());
    }

    pub fn manifest(&self, batch: &str, devices: Range<usize>) {
        let mut text = "serial_number\n".to_owned();
        for device in devices {
            writeln!(text, "SN{device:06}").unwrap();
        }
        fs::write(self.place.join(&format!("{batch}.csv")), text).unwrap();
    }

    /// The index of a batch under `out`.
    pub fn index(&self, batch: &str) -> Vec<IndexRow> {
        let folder = self.place.join("out").join(batch).join("index");
        let mut files: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().path())
            .collect();
        files.sort();
        let rows = files
            .iter()
            .flat_map(|file| parse_index(&fs::read(file).unwrap()).unwrap());
        rows.collect()
    }

    /// The certificate ids of a batch under `out`, in manifest order.
    pub fn ids(&self, batch: &str) -> Vec<String> {
        let rows = self.index(batch).into_iter();
        rows.map(|row| HEXLOWER.encode(&row.entry.certificate_id))
            .collect()
    }

    /// The CA, as a PEM and by its id.
    pub fn ca(&self) -> (String, String) {
        let text = fs::read_to_string(self.place.join("ca/certificate.pem")).unwrap();
        let id = HEXLOWER.encode(&sha256(&pem::blocks(&text).unwrap()[0].der));
        (text, id)
    }

    /// Whether AWS IoT registers devices of the CA by themselves.
    pub fn auto_registration(&self) -> String {
        let said = self.cloud.ca(&self.ca().1).expect("it is registered");
        let status = said["certificateDescription"]["autoRegistrationStatus"].as_str();
        status.expect("a status").to_owned()
    }

    /// What AWS IoT knows of a certificate.
    pub fn status(&self, certificate_id: &str) -> Option<String> {
        self.cloud.status(certificate_id)
    }
}

/// The output and the errors of a command that must have ended with this code.
#[track_caller]
pub fn ended(output: &Output, code: i32) -> (String, String) {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{text}\n{errors}");
    (text, errors)
}
