//! Servers that are programs of their own; `tests/all` installs them with pip.

#![allow(
    dead_code,
    clippy::allow_attributes,
    clippy::unwrap_used,
    reason = "each test crate uses a part of it, and one that cannot go on has failed"
)]

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Region};
use certforge::store::{self, Credentials, Place, Store, StoreOptions};
use tokio::runtime::Runtime;

use crate::support::Workplace;

pub const BUCKET: &str = "factory";

/// `SeaweedFS` takes some ports that are always the same, so one runs at a time.
static SEAWEEDFS: Mutex<()> = Mutex::new(());

/// A server that ends with the test.
pub struct Server {
    process: Child,
    pub url: String,
    /// Where `MiniStack` takes devices, with TLS.
    pub mqtt_port: u16,
    folder: tempfile::TempDir,
    /// Let go when the server has ended.
    turn: Option<MutexGuard<'static, ()>>,
}

impl Server {
    /// `SeaweedFS`, which checks signatures. Waits until no other test has one.
    pub fn seaweedfs() -> Self {
        let turn = SEAWEEDFS.lock().unwrap_or_else(PoisonError::into_inner);
        let port = free_port();
        let s3_port = format!("-s3.port={port}");
        let arguments = [
            "mini",
            "-dir=.",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            &s3_port,
            "-s3.autoCreateBucket=false",
            "-webdav=false",
            "-admin.ui=false",
            "-master.telemetry=false",
        ];
        let account = [
            ("AWS_ACCESS_KEY_ID", "AKIATEST"),
            ("AWS_SECRET_ACCESS_KEY", "secret of the test"),
        ];
        let mut server = Self::start("weed", port, &arguments, &account);
        server.turn = Some(turn);
        server
    }

    /// `MiniStack`, which keeps encryption and tags, and is AWS IoT, IAM and Lambda too.
    pub fn ministack() -> Self {
        let (port, mqtt_port) = (free_port(), free_port());
        let (port_text, mqtt_port_text) = (port.to_string(), mqtt_port.to_string());
        let environment = [
            ("BIND_HOST", "127.0.0.1"),
            ("GATEWAY_PORT", port_text.as_str()),
            ("IOT_MTLS_PORT", mqtt_port_text.as_str()),
            ("PYTHONDONTWRITEBYTECODE", "1"),
            // What an old Python needs.
            (
                "PYTHONPATH",
                concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/python"),
            ),
        ];
        let mut server = Self::start("ministack", port, &[], &environment);
        server.mqtt_port = mqtt_port;
        server
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        let address = self.url.trim_start_matches("http://");
        address.parse().expect("it is an address")
    }

    /// Starts a program that `tests/all` installs with pip, and waits until it answers on its port.
    fn start(name: &str, port: u16, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let python = std::env::var("CERTFORGE_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let program = PathBuf::from(python).with_file_name(name);
        let folder = tempfile::tempdir().unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let process = Command::new(&program)
            .args(arguments)
            .envs(environment.iter().copied())
            // What it leaves behind goes with the test.
            .env("TMPDIR", folder.path())
            .current_dir(folder.path())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "{} does not run: {error}; `tests/all` installs it",
                    program.display()
                )
            });
        let mut server = Self {
            process,
            url: format!("http://127.0.0.1:{port}"),
            mqtt_port: 0,
            folder,
            turn: None,
        };
        server.make_bucket(port);
        server
    }

    fn make_bucket(&mut self, port: u16) {
        let runtime = Runtime::new().unwrap();
        let client = self.client();
        let give_up = Instant::now() + Duration::from_mins(1);
        loop {
            // No event tells that it listens, so it is asked.
            let is_up = TcpStream::connect(("127.0.0.1", port)).is_ok();
            if is_up
                && runtime
                    .block_on(client.create_bucket().bucket(BUCKET).send())
                    .is_ok()
            {
                return;
            }
            let ended = self.process.try_wait().unwrap();
            if ended.is_some() || Instant::now() > give_up {
                let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                panic!("the server does not start ({ended:?}):\n{log}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn credentials() -> Credentials {
        Credentials::new("AKIATEST", "secret of the test", None, None, "test")
    }

    /// Opens a batch in the bucket.
    pub fn store(prefix: &str, options: &StoreOptions) -> Store {
        let place = Place::S3 {
            bucket: BUCKET.to_owned(),
            prefix: prefix.to_owned(),
        };
        store::open(&place, options).unwrap()
    }

    pub fn options(&self) -> StoreOptions {
        StoreOptions {
            credentials: Some(Self::credentials()),
            endpoint_url: Some(self.url.clone()),
            region: Some("us-east-1".to_owned()),
            attempts: Some(3),
            ledger: Some("the test's".to_owned()),
            ..StoreOptions::default()
        }
    }

    pub fn client(&self) -> Client {
        let http = aws_smithy_http_client::Builder::new().build_http();
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(http)
            .credentials_provider(Self::credentials())
            .endpoint_url(&self.url)
            .region(Region::from_static("us-east-1"))
            .force_path_style(true)
            .build();
        Client::from_conf(config)
    }

    /// A command with the server's address and credentials.
    pub fn command(&self, workplace: &Workplace, arguments: &[&str]) -> Command {
        let mut command = workplace.command(arguments);
        command
            .args(["--endpoint-url", &self.url])
            .env("AWS_ACCESS_KEY_ID", "AKIATEST")
            .env("AWS_SECRET_ACCESS_KEY", "secret of the test")
            .env("AWS_REGION", "us-east-1");
        command
    }

    pub fn succeed(&self, workplace: &Workplace, arguments: &[&str]) -> String {
        let output = self.command(workplace, arguments).output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}
