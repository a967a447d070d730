//! Bundles in S3, against servers that are independent of each other and of ours: SeaweedFS, which checks
//! signatures, and MiniStack, which keeps encryption and tags.

#![cfg(feature = "s3")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/s3_contract.rs"]
mod s3_contract;
mod support;

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Region};
use certforge::store::{Credentials, S3Options, S3Store};
use support::Workplace;
use tokio::runtime::Runtime;

const BUCKET: &str = "factory";

/// A server that ends with the test.
struct Server {
    process: Child,
    url: String,
    folder: tempfile::TempDir,
}

impl Server {
    /// Starts a program that `tests/all` installs with pip, and waits until it answers on its port.
    fn start(name: &str, port: u16, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let python = std::env::var("CERTFORGE_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let program = PathBuf::from(python).with_file_name(name);
        let folder = tempfile::tempdir().unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let process = Command::new(&program)
            .args(arguments)
            .envs(environment.iter().copied())
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
            folder,
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

    fn credentials() -> Credentials {
        Credentials::new("AKIATEST", "secret of the test", None, None, "test")
    }

    fn options(&self) -> S3Options {
        S3Options {
            credentials: Some(Self::credentials()),
            endpoint_url: Some(self.url.clone()),
            region: Some("us-east-1".to_owned()),
            attempts: Some(3),
            ledger: Some("the test's".to_owned()),
            ..S3Options::default()
        }
    }

    fn client(&self) -> Client {
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
    fn command(&self, workplace: &Workplace, arguments: &[&str]) -> Command {
        let mut command = workplace.command(arguments);
        command
            .args(["--endpoint-url", &self.url])
            .env("AWS_ACCESS_KEY_ID", "AKIATEST")
            .env("AWS_SECRET_ACCESS_KEY", "secret of the test")
            .env("AWS_REGION", "us-east-1");
        command
    }

    fn succeed(&self, workplace: &Workplace, arguments: &[&str]) -> String {
        let output = self.command(workplace, arguments).output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Batches in both layouts are made, resumed and verified.
    fn takes_batches(&self) {
        let open = |prefix: &str| S3Store::open(BUCKET, prefix, &self.options()).unwrap();
        s3_contract::holds(&open);
        s3_contract::of_many_that_create_one_object_one_does(&open);
        for layout in ["objects", "packs"] {
            let workplace = factory(1200);
            let to = format!("s3://{BUCKET}/{layout}");
            let run = [
                "run",
                "devices.csv",
                "--to",
                &to,
                "--batch",
                "b-1",
                "--layout",
                layout,
            ];
            self.succeed(&workplace, &run);
            assert!(
                self.succeed(&workplace, &run)
                    .contains("nothing: 1,200 devices made before")
            );
            let verified = self.succeed(&workplace, &["verify", &format!("{to}/b-1")]);
            assert!(verified.contains("1,200 devices verified"), "{verified}");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn factory(rows: usize) -> Workplace {
    let workplace = Workplace::new();
    workplace.manifest(rows);
    workplace.succeed(&["ca", "new", "--no-passphrase"]);
    workplace
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

#[test]
fn seaweedfs_takes_batches_and_refuses_wrong_signatures() {
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
    let server = Server::start("weed", port, &arguments, &account);
    server.takes_batches();

    let workplace = factory(10);
    let run = ["run", "devices.csv", "--to", "s3://factory/c"];
    let output = server
        .command(&workplace, &run)
        .env("AWS_SECRET_ACCESS_KEY", "wrong")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(6), "{stderr}");
    assert!(stderr.contains("403 SignatureDoesNotMatch"), "{stderr}");

    let run = ["run", "devices.csv", "--to", "s3://no-such-bucket/c"];
    let output = server.command(&workplace, &run).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(6), "{stderr}");
    assert!(
        stderr.contains("error: store: there is no bucket no-such-bucket"),
        "{stderr}"
    );
}

#[test]
fn ministack_takes_batches_and_keeps_encryption_tags_and_storage_class() {
    let (port, mqtt_port) = (free_port(), free_port());
    let (port_text, mqtt_port) = (port.to_string(), mqtt_port.to_string());
    let environment = [
        ("BIND_HOST", "127.0.0.1"),
        ("GATEWAY_PORT", port_text.as_str()),
        ("IOT_MTLS_PORT", mqtt_port.as_str()),
    ];
    let server = Server::start("ministack", port, &[], &environment);
    server.takes_batches();

    for layout in ["objects", "packs"] {
        let workplace = factory(10);
        let key = "arn:aws:kms:us-east-1:000000000000:key/11111111-2222-3333-4444-555555555555";
        server.succeed(
            &workplace,
            &[
                "run",
                "devices.csv",
                "--to",
                "s3://factory/kms",
                "--batch",
                layout,
                "--layout",
                layout,
                "--sse",
                "aws:kms",
                "--sse-kms-key-id",
                key,
                "--storage-class",
                "STANDARD_IA",
                "--tags",
                "--expire-after",
                "30",
            ],
        );
        let runtime = Runtime::new().unwrap();
        let client = server.client();
        let prefix = format!("kms/{layout}/");
        let listed = runtime
            .block_on(client.list_objects_v2().bucket(BUCKET).prefix(&prefix).send())
            .unwrap();
        assert!(listed.contents().len() >= 4);
        for object in listed.contents() {
            let name = object.key().unwrap();
            let head = client.head_object().bucket(BUCKET).key(name).send();
            let head = runtime.block_on(head).unwrap();
            assert_eq!(
                head.server_side_encryption().unwrap().as_str(),
                "aws:kms",
                "{name}"
            );
            assert_eq!(head.ssekms_key_id(), Some(key), "{name}");
            assert_eq!(head.storage_class().unwrap().as_str(), "STANDARD_IA", "{name}");
            let tags = client.get_object_tagging().bucket(BUCKET).key(name).send();
            let tags = runtime.block_on(tags).unwrap();
            let tags: Vec<_> = tags
                .tag_set()
                .iter()
                .map(|tag| (tag.key(), tag.value()))
                .collect();
            let expected = [
                ("certforge-batch", layout),
                ("certforge-profile", "aws-iot-p256"),
                ("certforge-expire-after", "30"),
            ];
            assert_eq!(tags, expected, "{name}");
        }
    }
}
