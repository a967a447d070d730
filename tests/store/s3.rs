//! Bundles in S3, against a real server in this process: what a store promises, and what a user sees.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::{Command, Output};

use crate::fault_proxy;
use crate::s3_server::{self, ACCESS_KEY, S3Server, SECRET_KEY, account, no_account, options, url};
use crate::store_contract;
use crate::support::Workplace;
use certforge::store::{Encryption, StoreError, StoreOptions};

/// A workplace with a CA, a manifest and a server.
struct Line {
    workplace: Workplace,
    server: S3Server,
}

impl Line {
    fn new(rows: usize) -> Self {
        let workplace = Workplace::new();
        workplace.manifest(rows);
        workplace.succeed(&["ca", "new", "--no-passphrase"]);
        Self {
            workplace,
            server: S3Server::start(),
        }
    }

    /// A command with `--endpoint-url` and credentials.
    fn command(&self, arguments: &[&str]) -> Command {
        self.command_at(self.server.address, arguments)
    }

    /// A command that reaches the server at another address.
    fn command_at(&self, address: SocketAddr, arguments: &[&str]) -> Command {
        let mut command = self.workplace.command(arguments);
        command.args(["--endpoint-url", &url(address)]);
        account(&mut command, self.workplace.path());
        command
    }

    fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the binary runs")
    }

    fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("output is UTF-8")
    }

    fn run(&self, layout: &str) -> String {
        self.succeed(&[
            "run",
            "devices.csv",
            "--no-endpoint",
            "--to",
            "s3://factory/batches",
            "--layout",
            layout,
            "--chunk-rows",
            "64",
        ])
    }

    /// URL of the only batch.
    fn batch(&self) -> String {
        self.batch_under("batches")
    }

    fn batch_under(&self, prefix: &str) -> String {
        let folder = self.server.only_batch(prefix);
        let name = folder
            .file_name()
            .expect("it has a name")
            .to_string_lossy()
            .into_owned();
        format!("s3://factory/{prefix}/{name}")
    }
}

/// Takes the seal from a batch, as if it had not been complete yet.
fn unseal(batch: &std::path::Path) {
    std::fs::remove_file(batch.join("seal.json")).unwrap();
    std::fs::remove_dir_all(batch.join("lookup")).unwrap();
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_batch_is_made_verified_and_found_complete_in_both_layouts() {
    for layout in ["objects", "packs"] {
        let line = Line::new(150);
        let summary = line.run(layout);
        assert!(summary.contains("150 devices in"), "{summary}");
        assert!(
            summary.contains(&format!("bundles      {} ({layout})", line.batch())),
            "{summary}"
        );
        let next = format!("certforge verify {} --endpoint-url", line.batch());
        assert!(
            summary.contains(&next),
            "the next command works as it is: {summary}"
        );
        let again = line.run(layout);
        assert!(again.contains("nothing: 150 devices made before"), "{again}");
        let verified = line.succeed(&["verify", &line.batch()]);
        assert!(
            verified.contains("150 devices verified, sealed, against manifest devices.csv and the ledger"),
            "{verified}"
        );
        let alone = line.succeed(&["verify", &line.batch(), "--no-ledger"]);
        assert!(alone.contains("150 devices verified"), "{alone}");
        let status = line.workplace.succeed(&["status"]);
        assert!(status.contains(&line.batch()), "{status}");
        let export = line.workplace.succeed(&["ledger", "export"]);
        assert_eq!(export.lines().count(), 151);
        // What the store itself says needs no ledger.
        let of_store = line.succeed(&["ledger", "export", &line.batch()]);
        assert_eq!(of_store, export);
        let status = line.succeed(&["status", &line.batch()]);
        assert!(status.contains("complete: 150 devices released"), "{status}");
    }
}

#[test]
fn nothing_touches_the_local_disk_but_the_ledger() {
    let line = Line::new(20);
    line.run("objects");
    let names: BTreeSet<String> = std::fs::read_dir(line.workplace.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    let expected = ["ca", "devices.csv"].map(str::to_owned);
    assert_eq!(names, BTreeSet::from(expected));
}

#[test]
fn verify_names_what_was_changed_in_the_bucket() {
    let line = Line::new(70);
    line.run("objects");
    let folder = line.server.only_batch("batches");
    let index = std::fs::read_to_string(folder.join("index/000000.csv")).unwrap();
    let objects: Vec<&str> = index
        .lines()
        .skip(1)
        .map(|row| row.split(',').nth(4).unwrap())
        .collect();
    std::fs::remove_file(folder.join(objects[3])).unwrap();
    let mut bundle = std::fs::read(folder.join(objects[7])).unwrap();
    bundle[100] ^= 1;
    std::fs::write(folder.join(objects[7]), bundle).unwrap();
    std::fs::create_dir_all(folder.join("bundles/00")).unwrap();
    std::fs::write(folder.join("bundles/00/STRANGER.zip"), b"x").unwrap();
    let output = line.output(&["verify", &line.batch()]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("device SN000003, ") && text.contains("the bundle is missing"),
        "{text}"
    );
    assert!(text.contains("device SN000007, "), "{text}");
    assert!(text.contains("STRANGER.zip: no index accounts for it"), "{text}");
}

#[test]
fn the_server_is_held_to_what_a_store_promises() {
    let server = S3Server::start();
    let open = |prefix: &str| server.store(prefix);
    store_contract::holds(&open);
    store_contract::tells_writers(&open);
    store_contract::of_many_that_create_one_object_one_does(&open);
}

#[test]
fn a_server_that_ignores_encryption_is_found_out() {
    let server = S3Server::start();
    let options = StoreOptions {
        encryption: Some(Encryption {
            algorithm: "aws:kms".to_owned(),
            kms_key_id: None,
        }),
        ..options(server.address)
    };
    let store = s3_server::open("b", &options);
    let result = store.create("batch.json", b"record");
    assert!(matches!(result, Err(StoreError::Encryption { .. })), "{result:?}");
}

#[test]
fn every_put_is_conditional_and_carries_the_ledgers_digest() {
    let line = Line::new(30);
    let proxy = fault_proxy::FaultProxy::start(line.server.address, 1, usize::MAX);
    let mut command = line.command_at(
        proxy.address,
        &[
            "run",
            "devices.csv",
            "--no-endpoint",
            "--to",
            "s3://factory/batches",
        ],
    );
    assert!(command.output().unwrap().status.success());
    let export = line.workplace.succeed(&["ledger", "export"]);
    let mut digests = 0;
    for head in proxy.heads().iter().filter(|head| head.starts_with("PUT ")) {
        let header = |name: &str| {
            let line = head.lines().find_map(|line| line.strip_prefix(name))?;
            line.strip_prefix(": ")
        };
        assert_eq!(header("if-none-match"), Some("*"), "{head}");
        let checksum = header("x-amz-checksum-sha256").expect("a checksum");
        let checksum = data_encoding::BASE64.decode(checksum.as_bytes()).unwrap();
        let checksum = data_encoding::HEXLOWER.encode(&checksum);
        assert_eq!(header("x-amz-content-sha256"), Some(checksum.as_str()), "{head}");
        let device = export
            .lines()
            .find(|row| head.contains(row.split(',').nth(4).unwrap()));
        if let Some(row) = device.filter(|_| head.contains("/bundles/")) {
            assert!(row.contains(&checksum), "{row}");
            digests += 1;
        }
    }
    assert_eq!(digests, 30);

    let encrypted = [
        "run",
        "devices.csv",
        "--no-endpoint",
        "--to",
        "s3://factory/kms",
        "--ledger",
        "2.db",
        "--new-ledger",
        "--sse",
        "aws:kms",
    ];
    let mut command = line.command_at(proxy.address, &encrypted);
    let output = command.output().unwrap();
    assert!(
        stderr(&output).contains("was stored with encryption none, not aws:kms"),
        "{}",
        stderr(&output)
    );
    let heads = proxy.heads();
    let head = heads
        .iter()
        .find(|head| head.starts_with("PUT /factory/kms"))
        .unwrap();
    assert!(head.contains("x-amz-server-side-encryption: aws:kms"), "{head}");
    assert!(
        head.contains("x-amz-server-side-encryption-bucket-key-enabled: true"),
        "{head}"
    );
}

#[test]
fn what_an_earlier_attempt_left_behind_is_replaced() {
    let line = Line::new(200);
    let arguments = [
        "run",
        "devices.csv",
        "--no-endpoint",
        "--to",
        "s3://factory/batches",
        "--chunk-rows",
        "50",
        "--jobs",
        "2",
    ];
    line.succeed(&arguments);
    // As if the run had been killed before it committed chunks 1 and 3: their objects are there, unlisted.
    let folder = line.server.only_batch("batches");
    let name = folder.file_name().unwrap().to_string_lossy().into_owned();
    let ledger = rusqlite::Connection::open(line.workplace.join("ca/ledger.db")).unwrap();
    unseal(&folder);
    for chunk in [1, 3] {
        std::fs::remove_file(folder.join(format!("index/{chunk:06}.csv"))).unwrap();
        ledger
            .execute("DELETE FROM device WHERE row / 50 = ?1", [chunk])
            .unwrap();
        ledger
            .execute("DELETE FROM committed WHERE chunk = ?1", [chunk])
            .unwrap();
    }
    drop(ledger);
    let before = std::fs::read(folder.join("certificates/000001.pem")).unwrap();
    let summary = line.succeed(&arguments);
    assert!(summary.contains("made         100 devices"), "{summary}");
    assert_ne!(
        before,
        std::fs::read(folder.join("certificates/000001.pem")).unwrap()
    );
    let verified = line.succeed(&["verify", &format!("s3://factory/batches/{name}")]);
    assert!(verified.contains("200 devices verified"), "{verified}");
}

#[test]
fn two_copies_of_a_ledger_do_not_replace_each_others_bundles() {
    let line = Line::new(200);
    let run = |ledger: &str| {
        let arguments = [
            "run",
            "devices.csv",
            "--no-endpoint",
            "--to",
            "s3://factory/batches",
            "--chunk-rows",
            "50",
            "--ledger",
            ledger,
            // Its CA remembers which of them is ahead.
            "--new-ledger",
        ];
        line.output(&arguments)
    };
    assert!(run("a.db").status.success());
    let folder = line.server.only_batch("batches");
    let certificates = folder.join("certificates/000001.pem");
    // As if the run had been killed before it committed chunk 1, and the ledger copied then.
    let unlist = || {
        unseal(&folder);
        std::fs::remove_file(folder.join("index/000001.csv")).unwrap();
    };
    unlist();
    let ledger = rusqlite::Connection::open(line.workplace.join("a.db")).unwrap();
    ledger
        .execute("DELETE FROM device WHERE row / 50 = 1", [])
        .unwrap();
    ledger
        .execute("DELETE FROM committed WHERE chunk = 1", [])
        .unwrap();
    ledger
        .execute("VACUUM INTO ?1", [line.workplace.join("b.db").to_str().unwrap()])
        .unwrap();
    drop(ledger);
    assert!(
        run("a.db").status.success(),
        "it replaces what the first attempt left behind"
    );
    let of_a = std::fs::read(&certificates).unwrap();
    // As if the copy were a moment ahead of the index.
    unlist();
    let output = run("b.db");
    assert_eq!(output.status.code(), Some(6), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("is there already, with other content")
            && stderr(&output).contains("another copy of this ledger is in use"),
        "{}",
        stderr(&output)
    );
    assert_eq!(std::fs::read(&certificates).unwrap(), of_a);
}

#[test]
fn a_strangers_object_is_a_conflict_and_stays() {
    let line = Line::new(10);
    let folder = line.server.file("batches/b-1/packs");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("000000.zip"), b"a stranger's").unwrap();
    let run = [
        "run",
        "devices.csv",
        "--no-endpoint",
        "--to",
        "s3://factory/batches",
        "--batch",
        "b-1",
        "--layout",
        "packs",
    ];
    // A second attempt may replace what the first left behind, and nothing else.
    for _ in 0..2 {
        let output = line.output(&run);
        assert_eq!(output.status.code(), Some(6), "{}", stderr(&output));
        assert!(
            stderr(&output).contains(
                "error: store: s3://factory/batches/b-1/packs/000000.zip is there already, with other content"
            ),
            "{}",
            stderr(&output)
        );
        assert_eq!(std::fs::read(folder.join("000000.zip")).unwrap(), b"a stranger's");
    }
}

#[test]
fn a_server_that_cannot_be_reached_is_said_plainly_and_costs_nothing() {
    let workplace = Workplace::new();
    workplace.manifest(10);
    workplace.succeed(&["ca", "new", "--no-passphrase"]);
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap();
    let mut command = workplace.command(&[
        "run",
        "devices.csv",
        "--no-endpoint",
        "--to",
        "s3://factory/b",
        "--endpoint-url",
        &url(port),
    ]);
    account(&mut command, workplace.path());
    let output = command.output().unwrap();
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(6), "{text}");
    assert!(
        text.contains("error: store: cannot read s3://factory/b/devices-"),
        "{text}"
    );
    assert!(
        text.contains("no success in 4 attempts at http://") && text.contains("onnection refused"),
        "{text}"
    );
    assert!(
        text.contains(
            "hint: check the server, --endpoint-url and the network, then run the same command again"
        ),
        "{text}"
    );
    let status = workplace.succeed(&["status"]);
    assert!(status.contains("has no batches"), "{status}");
}

#[test]
fn missing_accounts_regions_and_wrong_secrets_are_said_plainly() {
    let line = Line::new(10);
    let run = ["run", "devices.csv", "--no-endpoint", "--to", "s3://factory/b"];
    let mut command = line.workplace.command(&run);
    no_account(&mut command, line.workplace.path());
    let output = command.env("AWS_REGION", "eu-west-1").output().unwrap();
    assert_eq!(output.status.code(), Some(6));
    let text = stderr(&output);
    assert!(
        text.contains("error: store: there are no AWS credentials"),
        "{text}"
    );
    assert!(
        text.contains("hint: set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION"),
        "{text}"
    );

    let mut command = line.workplace.command(&run);
    account(&mut command, line.workplace.path());
    let output = command.env_remove("AWS_REGION").output().unwrap();
    assert_eq!(output.status.code(), Some(6));
    assert!(
        stderr(&output).contains("error: store: no AWS Region is set"),
        "{}",
        stderr(&output)
    );

    let output = line
        .command(&run)
        .env("AWS_SECRET_ACCESS_KEY", "wrong")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(6));
    let text = stderr(&output);
    assert!(text.contains("403 SignatureDoesNotMatch"), "{text}");
    assert!(
        text.contains("hint: the secret is not that of the access key"),
        "{text}"
    );
}

#[test]
fn settings_that_cannot_be_are_said_plainly() {
    let line = Line::new(10);
    let run = ["run", "devices.csv", "--no-endpoint", "--to", "s3://factory/b"];
    let bundle = line.workplace.join("bundle.pem");
    for content in [
        "no certificates",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        std::fs::write(&bundle, content).unwrap();
        let output = line.command(&run).env("AWS_CA_BUNDLE", &bundle).output().unwrap();
        assert_eq!(output.status.code(), Some(6), "{}", stderr(&output));
        assert!(
            stderr(&output).contains("is no PEM file of certificates"),
            "{}",
            stderr(&output)
        );
    }
    let missing = line.workplace.join("missing.pem");
    let output = line.command(&run).env("AWS_CA_BUNDLE", missing).output().unwrap();
    assert!(
        stderr(&output).contains("cannot read AWS_CA_BUNDLE"),
        "{}",
        stderr(&output)
    );
    for attempts in ["0", "many"] {
        let output = line
            .command(&run)
            .env("AWS_MAX_ATTEMPTS", attempts)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(6), "{}", stderr(&output));
        assert!(
            stderr(&output).contains("is no number of attempts"),
            "{}",
            stderr(&output)
        );
    }
    // Good for the AWS CLI, and of no meaning here.
    let output = line
        .command(&run)
        .env("AWS_RETRY_MODE", "legacy")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn the_profile_and_the_environment_name_the_server_too() {
    let line = Line::new(10);
    let server = url(line.server.address);
    let run = ["run", "devices.csv", "--no-endpoint", "--to", "s3://factory/b"];
    let mut command = line.workplace.command(&run);
    account(&mut command, line.workplace.path());
    let output = command.env("AWS_ENDPOINT_URL_S3", &server).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));

    let config = format!(
        "[profile line]\nregion = eu-west-1\nendpoint_url = {server}\nmax_attempts = 2\n\
         aws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n"
    );
    let file = line.workplace.join("aws-config");
    std::fs::write(&file, config).unwrap();
    let mut command = line.workplace.command(&["verify", &line.batch_under("b")]);
    no_account(&mut command, line.workplace.path());
    let command = command.env("AWS_CONFIG_FILE", &file).env("AWS_PROFILE", "line");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn a_batch_that_is_not_there_is_said_plainly() {
    let line = Line::new(10);
    let output = line.output(&["verify", "s3://factory/b/none", "--no-ledger"]);
    assert_eq!(output.status.code(), Some(6));
    assert!(
        stderr(&output).contains("error: s3://factory/b/none is no batch: it has no batch.json"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_server_that_is_always_busy_fails_the_batch_and_a_second_run_finishes_it() {
    let line = Line::new(300);
    // Every second request fails; with two attempts, about a quarter of the uploads have no success.
    let proxy = fault_proxy::FaultProxy::start(line.server.address, 3, 2);
    let run = [
        "run",
        "devices.csv",
        "--no-endpoint",
        "--to",
        "s3://factory/batches",
        "--layout",
        "packs",
        "--chunk-rows",
        "10",
    ];
    let mut command = line.command_at(proxy.address, &run);
    command.arg("--json");
    let mut made = 0;
    for _ in 0..20 {
        let output = command.env("AWS_MAX_ATTEMPTS", "2").output().unwrap();
        if output.stdout.is_empty() || !stderr(&output).contains("error: store:") {
            continue;
        }
        assert_eq!(output.status.code(), Some(6), "{}", stderr(&output));
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        if report["made"].as_u64().is_some_and(|some| some > 0) && report["failed"].as_u64() > Some(0) {
            made = report["made"].as_u64().unwrap();
            break;
        }
    }
    assert!(made > 0, "the batch went on where it could");
    proxy.heal();
    let summary = line.succeed(&run);
    assert!(!summary.contains("left "), "{summary}");
    let verified = line.succeed(&["verify", &line.batch()]);
    assert!(verified.contains("300 devices verified"), "{verified}");
}

/// Runs a command and prints the most memory that it had, in KiB.
const MEASURE: &str = "\
import resource, subprocess, sys
status = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(status)
";

#[test]
fn memory_stays_flat_however_slow_the_server_is() {
    const ROWS: usize = 100_000;
    let line = Line::new(ROWS);
    // Every answer is a while in coming, so that bundles are made much faster than they are taken.
    let proxy = fault_proxy::FaultProxy::start_with(line.server.address, 1, 1, &[fault_proxy::Fault::Slow]);
    let python = std::env::var("CERTFORGE_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let mut command = Command::new(python);
    command
        .args(["-c", MEASURE, env!("CARGO_BIN_EXE_certforge")])
        .args([
            "run",
            "devices.csv",
            "--no-endpoint",
            "--to",
            "s3://factory/batches",
            "--layout",
            "packs",
        ])
        .args(["--uploads", "4", "--endpoint-url", &url(proxy.address)])
        .current_dir(line.workplace.path());
    account(&mut command, line.workplace.path());
    let output = command.output().expect("Python runs");
    assert!(output.status.success(), "{}", stderr(&output));
    let kib: usize = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap();
    println!("{ROWS} devices: {} MB at most", kib / 1000);
    assert!(kib < 250_000, "{kib} KiB");
}

/// Answers every request so, whatever it asks.
fn liar(answer: fn(&mut std::net::TcpStream)) -> std::net::SocketAddr {
    use std::io::{BufRead, BufReader};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut lines = BufReader::new(socket.unwrap());
            let mut head = String::new();
            while lines.read_line(&mut head).is_ok_and(|octets| octets > 2) {
                head.clear();
            }
            answer(lines.get_mut());
        }
    });
    address
}

fn say(socket: &mut std::net::TcpStream, length: u64, body: &[u8]) {
    use std::io::Write;
    let head =
        format!("HTTP/1.1 200 OK\r\nETag: \"x\"\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    let _ = socket
        .write_all(head.as_bytes())
        .and_then(|()| socket.write_all(body));
}

/// What a server says of an object's length, and of the pages of a listing, is believed as far as it sends it.
#[test]
fn a_server_that_lies_costs_no_memory_and_no_time_without_end() {
    let read = |answer| {
        let store = s3_server::open("b", &options(liar(answer)));
        store.read("claims/000000/A.json", None)
    };
    let lied = read(|socket| say(socket, 1 << 62, b"{}"));
    assert!(matches!(lied, Err(StoreError::Unanswered { .. })), "{lied:?}");
    // It does not know ranges, or does as if it did not.
    let whole = read(|socket| say(socket, 64 << 20, &vec![b'a'; 64 << 20]));
    assert!(
        matches!(whole, Err(StoreError::TooLarge { .. })),
        "{:?}",
        whole.map(|octets| octets.len())
    );
    let endless = liar(|socket| {
        let page = "<ListBucketResult><IsTruncated>true</IsTruncated>\
                    <NextContinuationToken>more</NextContinuationToken></ListBucketResult>";
        say(socket, page.len() as u64, page.as_bytes());
    });
    let listed = s3_server::open("b", &options(endless)).list("", &mut |_| ());
    let error = listed.expect_err("it has no end").to_string();
    assert!(error.contains("without end"), "{error}");
}
