//! Flashing stations and a bucket: what a claim costs, networks that go away, versions that must go.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use crate::fault_proxy::{Fault, FaultProxy};
use crate::real_server::Server;
use crate::s3_server;
use crate::s3_server::{S3Server, url};
use crate::support::Workplace;
use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use certforge::batch::claim::State;
use certforge::issuer::{CaFiles, read_public};
use certforge::station::{Options, Reported, Station, Trust};
use certforge::store::{Store, StoreOptions};
use tokio::runtime::Runtime;

/// A sealed batch `s3://factory/b` of some devices in chunks of 64.
pub struct Line {
    pub workplace: Workplace,
    pub server: S3Server,
}

impl Line {
    pub fn new(layout: &str, devices: usize) -> Self {
        Self::with_chunks(layout, devices, "64")
    }

    fn with_chunks(layout: &str, devices: usize, chunk_rows: &str) -> Self {
        let workplace = Workplace::new();
        workplace.manifest(devices);
        workplace.succeed(&["ca", "new", "--no-passphrase"]);
        let server = S3Server::start();
        let line = Self { workplace, server };
        let run = [
            "run",
            "devices.csv",
            "--no-endpoint",
            "--ca",
            "ca",
            "--to",
            "s3://factory",
            "--batch",
            "b",
            "--layout",
            layout,
            "--chunk-rows",
            chunk_rows,
        ];
        let output = line.command(line.server.address, &run).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        line
    }

    /// A command that reaches the server at an address.
    pub fn command(&self, address: SocketAddr, arguments: &[&str]) -> Command {
        let mut command = self.workplace.command(arguments);
        command.args(["--endpoint-url", &url(address)]);
        s3_server::account(&mut command, self.workplace.path());
        command
            .env("CERTFORGE_BATCH", "s3://factory/b")
            .env("CERTFORGE_STATION", "st1");
        command
    }

    pub fn output(&self, address: SocketAddr, arguments: &[&str]) -> Output {
        let arguments = [&["station"], arguments].concat();
        self.command(address, &arguments).output().unwrap()
    }

    #[track_caller]
    pub fn succeed(&self, address: SocketAddr, arguments: &[&str]) -> String {
        let output = self.output(address, arguments);
        assert!(output.status.success(), "{}", stderr(&output));
        stderr(&output)
    }

    pub fn store(&self) -> Store {
        self.server.store("b")
    }
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_claim_and_its_bundle_take_five_requests_at_most() {
    for layout in ["objects", "packs"] {
        let line = Line::new(layout, 200);
        // Nothing fails: it only counts.
        let proxy = FaultProxy::start(line.server.address, 0, 1);
        proxy.heal();
        let claim = ["claim", "--device", "SN000000", "--out", "dev"];
        line.succeed(proxy.address, &claim);
        line.succeed(proxy.address, &["done", "SN000000"]);
        let requests = |arguments: &[&str]| -> Vec<String> {
            let before = proxy.heads().len();
            line.succeed(proxy.address, arguments);
            let heads = proxy.heads();
            let first_line = |head: &String| head.lines().next().unwrap().to_owned();
            heads[before..].iter().map(first_line).collect()
        };
        // Of another chunk, so that its index is not known yet; of the lookup there is but one part. That the
        // batch is not withdrawn was asked a moment ago.
        let named = requests(&["claim", "--device", "SN000100", "--out", "dev"]);
        assert_eq!(
            named.len(),
            4,
            "newer generation, index, claim, bundle: {named:#?}"
        );
        line.succeed(proxy.address, &["done", "SN000100"]);
        for _ in 0..12 {
            let next = requests(&["claim", "--next", "--out", "dev", "--json"]);
            assert!(
                next.len() <= 5,
                "newer generation, listing, claim, bundle, and perhaps an index: {next:#?}"
            );
            let held = fs::read_dir(line.workplace.join(".local/state/certforge")).unwrap();
            let memory = held.into_iter().next().unwrap().unwrap().path();
            let held = fs::read_dir(memory.join("station-st1/held")).unwrap();
            let device = held.into_iter().next().unwrap().unwrap().path();
            let device = device.file_stem().unwrap().to_str().unwrap().to_owned();
            let done = requests(&["done", &device]);
            assert_eq!(done.len(), 3, "claim read and replaced, record: {done:#?}");
        }
    }
}

#[test]
fn reports_wait_for_a_network_that_is_away_and_are_sent_later() {
    const AWAY: &[Fault] = &[Fault::Drop];
    let line = Line::new("objects", 10);
    let there = line.server.address;
    let away = FaultProxy::start_with(there, 0, 1, AWAY);
    line.succeed(there, &["claim", "--device", "SN000000", "--out", "dev"]);
    line.succeed(there, &["claim", "--device", "SN000001", "--out", "dev1"]);

    // What it never had, the station does not report on later.
    let stranger = line.output(away.address, &["done", "SN000002"]);
    assert_eq!(stranger.status.code(), Some(6), "{}", stderr(&stranger));
    // That its bundle is to be burned may be said later.
    let told = line.succeed(away.address, &["done", "SN000000"]);
    assert!(
        told.contains("certforge: warning: REPORTS THAT ARE NOT SENT YET: 1; they are sent with the next command, or by `certforge station send`\n"),
        "{told}"
    );
    assert!(told.contains("no success in "), "{told}");
    assert!(
        !line.workplace.join("dev").exists(),
        "its key is wiped all the same"
    );
    assert!(!line.store().exists("flashed/000000/SN000000.json").unwrap());
    // What waits is not contradicted, but may be said again.
    let contradiction = line.output(away.address, &["failed", "SN000000"]);
    assert!(
        stderr(&contradiction).starts_with(
            "certforge: error: device SN000000 is flashed, and cannot be reported failed any more\n"
        ),
        "{}",
        stderr(&contradiction)
    );
    let scrap = line.output(away.address, &["scrap", "SN000000", "--reason", "x"]);
    assert!(
        stderr(&scrap).starts_with("certforge: error: device SN000000 was flashed by st1 at "),
        "{}",
        stderr(&scrap)
    );
    line.succeed(away.address, &["done", "SN000000", "--burn"]);
    let told = line.succeed(away.address, &["failed", "SN000001", "--reason", "no contact"]);
    assert!(told.contains("REPORTS THAT ARE NOT SENT YET: 2;"), "{told}");
    // What was reported is not flashed once more, though nobody else knows of it yet.
    let claim = ["claim", "--device", "SN000000", "--out", "dev"];
    assert_eq!(line.output(away.address, &claim).status.code(), Some(6));
    assert_eq!(line.output(away.address, &["send"]).status.code(), Some(6));

    away.heal();
    line.succeed(away.address, &["send"]);
    let store = line.store();
    assert!(store.exists("flashed/000000/SN000000.json").unwrap());
    assert!(store.exists("failed/000000/SN000001/1.json").unwrap());
    assert!(!store.exists("bundles/de/SN000000.zip").unwrap(), "it was burned");
    assert!(store.exists("bundles/d1/SN000001.zip").unwrap());
    assert_eq!(line.output(there, &claim).status.code(), Some(9));
}

/// A report that was taken in part is sent once more, and comes to the same.
#[test]
fn lost_answers_to_claims_and_reports_change_nothing() {
    const LOST: &[Fault] = &[Fault::LostAnswer, Fault::HalfAnswer];
    let line = Line::new("objects", 10);
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let proxy = FaultProxy::start_with(line.server.address, seed, 3, LOST);
    for i in 0..10 {
        let device = format!("SN{i:06}");
        let claim = ["claim", "--device", &device, "--out", "dev"];
        while !line.output(proxy.address, &claim).status.success() {}
        line.succeed(proxy.address, &["done", &device, "--burn"]);
    }
    proxy.heal();
    line.succeed(proxy.address, &["send"]);
    assert!(proxy.count() > 10, "{} faults", proxy.count());
    let status = line.output(proxy.address, &["status", "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["flashed"], 10);
    let store = line.store();
    let count = |folder: &str| {
        let mut count = 0;
        store.list(folder, &mut |_| count += 1).unwrap();
        count
    };
    assert_eq!(
        (count("claims/"), count("flashed/"), count("bundles/")),
        (10, 10, 0)
    );
}

#[test]
fn a_station_that_works_by_itself_waits_until_the_network_is_back() {
    const AWAY: &[Fault] = &[Fault::Drop];
    let line = Line::new("packs", 5);
    let script = line.workplace.join("flash.sh");
    fs::write(&script, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let proxy = FaultProxy::start_with(line.server.address, 0, 1, AWAY);
    // The seal is known already; nothing else is.
    line.succeed(line.server.address, &["claim", "--next", "--out", "dev"]);
    let run = ["station", "run", "--exec", "./flash.sh", "--out", "dev"];
    let running = line
        .command(proxy.address, &run)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    for _ in 0..6 {
        proxy.injected.recv().unwrap();
    }
    proxy.heal();
    let output = running.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.ends_with("5 devices flashed, 0 failed; nothing is left to claim\n"),
        "{text}"
    );
}

#[test]
fn no_version_of_a_burned_bundle_is_left() {
    let server = Server::seaweedfs();
    let runtime = Runtime::new().unwrap();
    let client = server.client();
    let versioning = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled);
    let put = client.put_bucket_versioning().bucket("factory");
    let put = put.versioning_configuration(versioning.build());
    runtime.block_on(put.send()).unwrap();
    for layout in ["objects", "packs"] {
        let workplace = Workplace::new();
        workplace.manifest(8);
        workplace.succeed(&["ca", "new", "--no-passphrase"]);
        let to = format!("s3://factory/{layout}");
        let run = [
            "run",
            "devices.csv",
            "--no-endpoint",
            "--to",
            &to,
            "--batch",
            "b",
            "--layout",
            layout,
        ];
        server.succeed(
            &workplace,
            &[&run[..], &["--chunk-rows", "4", "--ca", "ca"]].concat(),
        );
        let batch = format!("{to}/b");
        let station = ["--station", "st1", "--batch", &batch];
        for device in ["SN000000", "SN000001", "SN000002", "SN000003", "SN000004"] {
            let claim = ["station", "claim", "--out", "dev", "--device", device];
            server.succeed(&workplace, &[&claim[..], &station].concat());
            server.succeed(&workplace, &[&["station", "done", device], &station[..]].concat());
        }
        server.succeed(&workplace, &["station", "burn", "--batch", &batch]);
        server.succeed(&workplace, &["verify", &batch]);
        let folder = if layout == "objects" { "bundles" } else { "packs" };
        let list = client.list_object_versions().bucket("factory");
        let list = list.prefix(format!("{layout}/b/{folder}/"));
        let versions = runtime.block_on(list.send()).unwrap();
        // Three devices of the second chunk are left: as objects, or in a pack with one version.
        let left = if layout == "objects" { 3 } else { 1 };
        assert_eq!(versions.versions().len(), left, "{layout}: {versions:?}");
        assert!(versions.delete_markers().is_empty());
        for version in versions.versions() {
            let get = client.get_object().bucket("factory").key(version.key().unwrap());
            let body = runtime.block_on(get.send()).unwrap().body;
            let octets = runtime.block_on(body.collect()).unwrap().to_vec();
            let begin = b"-----BEGIN PRIVATE KEY-----";
            let keys = octets
                .windows(begin.len())
                .filter(|window| window == begin)
                .count();
            assert_eq!(keys, 3 / left, "{layout}");
        }
    }
}

/// Whoever rewrites a pack has other settings than the run that stored it.
#[test]
fn no_version_of_a_bundle_that_was_made_anew_is_left() {
    let server = Server::seaweedfs();
    let runtime = Runtime::new().unwrap();
    let client = server.client();
    let versioning = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled);
    let put = client.put_bucket_versioning().bucket("factory");
    let put = put.versioning_configuration(versioning.build());
    runtime.block_on(put.send()).unwrap();
    for layout in ["objects", "packs"] {
        let workplace = Workplace::new();
        workplace.manifest(8);
        workplace.succeed(&["ca", "new", "--no-passphrase"]);
        let identity = workplace.succeed(&["station", "identity", "new", "--to", "st2.key"]);
        let to = format!("s3://factory/anew-{layout}");
        let run = "run devices.csv --no-endpoint --ca ca --batch b --chunk-rows 4";
        let run: Vec<&str> = run.split(' ').chain(["--to", &to, "--layout", layout]).collect();
        server.succeed(&workplace, &run);
        let batch = format!("{to}/b");
        let station = ["--station", "st1", "--batch", &batch];
        let claim = ["station", "claim", "--out", "dev", "--device", "SN000005"];
        server.succeed(&workplace, &[&claim[..], &station].concat());
        let rewrap = [
            "bundle",
            "rewrap",
            &batch,
            "--ca",
            "ca",
            "--recipient",
            identity.trim_end(),
        ];
        server.succeed(&workplace, &rewrap);
        let versions = |folder: &str| {
            let list = client.list_object_versions().bucket("factory");
            let list = list.prefix(format!("anew-{layout}/b/{folder}"));
            let versions = runtime.block_on(list.send()).unwrap();
            assert!(versions.delete_markers().is_empty(), "{versions:?}");
            versions.versions().len()
        };
        // What is left of the old ones is the device that a station has: an object, or a pack with one version.
        let (folder, new) = if layout == "objects" {
            ("bundles/", 7)
        } else {
            ("packs/", 2)
        };
        assert_eq!(versions(folder), 1, "{layout}");
        // Beside them its seal, its record, two indexes and a part of the lookup.
        assert_eq!(versions("generations/1/"), new + 5, "{layout}");
        server.succeed(&workplace, &["verify", &batch, "--identity", "st2.key"]);
        server.succeed(
            &workplace,
            &[&["station", "done", "SN000005"], &station[..]].concat(),
        );
        server.succeed(&workplace, &["station", "burn", "--batch", &batch]);
        assert_eq!(versions(folder), 0, "{layout}");
        let mine = ["--station", "st2", "--batch", &batch, "--identity", "st2.key"];
        let claim = ["station", "claim", "--out", "dev2", "--device", "SN000006"];
        server.succeed(&workplace, &[&claim[..], &mine].concat());
        server.succeed(&workplace, &["verify", &batch, "--identity", "st2.key"]);
    }
}

#[test]
fn a_pack_that_is_burned_keeps_its_encryption_its_tags_and_its_class() {
    let server = Server::ministack();
    let workplace = Workplace::new();
    workplace.manifest(4);
    workplace.succeed(&["ca", "new", "--no-passphrase"]);
    let key = "arn:aws:kms:us-east-1:000000000000:key/11111111-2222-3333-4444-555555555555";
    let run = [
        "run",
        "devices.csv",
        "--no-endpoint",
        "--ca",
        "ca",
        "--to",
        "s3://factory",
        "--batch",
        "b",
    ];
    let how = ["--layout", "packs", "--sse", "aws:kms", "--sse-kms-key-id", key];
    let more = ["--storage-class", "STANDARD_IA", "--tags", "--expire-after", "30"];
    server.succeed(&workplace, &[&run[..], &how, &more].concat());
    let batch = ["--batch", "s3://factory/b"];
    let station = ["--station", "st1"];
    let claim = ["station", "claim", "--out", "dev", "--device", "SN000001"];
    server.succeed(&workplace, &[&claim[..], &batch, &station].concat());
    server.succeed(
        &workplace,
        &[&["station", "done", "SN000001"][..], &batch, &station].concat(),
    );
    let burned = server.succeed(&workplace, &[&["station", "burn"][..], &batch].concat());
    assert!(burned.contains("removed: 1; packs rewritten: 1"), "{burned}");
    let runtime = Runtime::new().unwrap();
    let client = server.client();
    let pack = "b/packs/000000.zip";
    let head = client.head_object().bucket("factory").key(pack);
    let head = runtime.block_on(head.send()).unwrap();
    assert_eq!(head.server_side_encryption().unwrap().as_str(), "aws:kms");
    assert_eq!(head.ssekms_key_id(), Some(key));
    assert_eq!(head.storage_class().unwrap().as_str(), "STANDARD_IA");
    assert!(head.metadata().unwrap().contains_key("certforge-ledger"));
    let tags = client.get_object_tagging().bucket("factory").key(pack);
    let tags = runtime.block_on(tags.send()).unwrap();
    let tags: Vec<_> = tags.tag_set().iter().map(aws_sdk_s3::types::Tag::key).collect();
    assert_eq!(
        tags,
        ["certforge-batch", "certforge-profile", "certforge-expire-after"]
    );
    server.succeed(&workplace, &["verify", "s3://factory/b"]);
}

#[test]
fn a_hundred_stations_that_want_the_next_device_hardly_ever_collide() {
    const STATIONS: usize = 100;
    const EACH: usize = 10;
    // The server of the test's own process looks and then writes, so that two may win a race.
    let server = Server::ministack();
    let workplace = Workplace::new();
    workplace.manifest(20_000);
    workplace.succeed(&["ca", "new", "--no-passphrase"]);
    let run = [
        "run",
        "devices.csv",
        "--no-endpoint",
        "--to",
        "s3://factory",
        "--batch",
        "b",
        "--layout",
        "packs",
    ];
    server.succeed(&workplace, &[&run[..], &["--chunk-rows", "200"]].concat());
    let proxy = FaultProxy::start(server.address(), 0, 1);
    proxy.heal();
    let work = |i: usize| {
        let (certificate, _) = read_public(&CaFiles::in_folder(&workplace.join("ca"))).unwrap();
        let options = Options {
            name: format!("st{i}"),
            issuer: Trust::Certificate(Box::new(certificate)),
            moved: false,
            memory: workplace.join("memory").join(i.to_string()),
            lease: time::Duration::HOUR,
            identities: None,
            clock: time::OffsetDateTime::now_utc,
        };
        let options_of_store = StoreOptions {
            endpoint_url: Some(format!("http://{}", proxy.address)),
            ..server.options()
        };
        let store = Server::store("b", &options_of_store);
        let mut station = Station::open(store, options).unwrap();
        for _ in 0..EACH {
            let claimed = station.claim_next().unwrap();
            let device_id = claimed.claim.device_id;
            station.report(Reported::new(&device_id, State::Flashed)).unwrap();
        }
    };
    std::thread::scope(|scope| {
        for i in 0..STATIONS {
            let work = &work;
            scope.spawn(move || work(i));
        }
    });
    let is_first_claim = |head: &String| {
        head.starts_with("PUT /factory/b/claims/") && head.to_lowercase().contains("if-none-match: *")
    };
    let claims = proxy.heads().iter().filter(|head| is_first_claim(head)).count();
    let collisions = claims - STATIONS * EACH;
    println!("{collisions} collisions of {claims} claims");
    assert!(
        collisions * 20 < claims,
        "{collisions} collisions of {claims} claims"
    );
}
