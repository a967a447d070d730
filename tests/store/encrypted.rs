//! Encrypted bundles in a bucket, of a run that is killed again and again: what is released is whole, and is opened by those
//! for whom it is.

use std::fs;
use std::io::Cursor;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::runtime::Runtime;

use crate::identity::{age, identity};
use crate::real_server::{BUCKET, Server};
use crate::support::Workplace;

const ROWS: usize = 1200;
const CHUNK: usize = 50;

/// Whether an object is there.
fn is_there(server: &Server, runtime: &Runtime, key: &str) -> bool {
    let client = server.client();
    let asked = client.head_object().bucket(BUCKET).key(key);
    runtime.block_on(asked.send()).is_ok()
}

/// Waits until an object is there, or the process has ended.
fn until_there(server: &Server, runtime: &Runtime, key: &str, process: &mut Child) -> bool {
    let give_up = Instant::now() + Duration::from_mins(2);
    while Instant::now() < give_up {
        if process.try_wait().unwrap().is_some() {
            return false;
        }
        if is_there(server, runtime, key) {
            return true;
        }
    }
    panic!("{key} does not come to be");
}

#[test]
fn a_killed_run_leaves_nothing_in_a_bucket_that_its_stations_cannot_read() {
    let (server, runtime) = (Server::seaweedfs(), Runtime::new().unwrap());
    for layout in ["objects", "packs"] {
        let place = Workplace::new();
        place.manifest(ROWS);
        place.succeed(&["ca", "new", "--no-passphrase"]);
        let recipients = ["st1", "st2"].map(|name| identity(&place, name));
        let to = format!("s3://{BUCKET}/{layout}");
        let chunk = CHUNK.to_string();
        let run = [
            "run",
            "devices.csv",
            "--no-endpoint",
            "--ca",
            "ca",
            "--batch",
            "b",
            "--to",
            &to,
            "--layout",
            layout,
            "--chunk-rows",
            &chunk,
            "--jobs",
            "1",
            "--recipient",
            &recipients[0],
            "--recipient",
            &recipients[1],
        ];
        let mut kills = 0;
        for released in [0, 3, 9] {
            let mut process = server
                .command(&place, &run)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let index = format!("{layout}/b/index/{released:06}.csv");
            if until_there(&server, &runtime, &index, &mut process) {
                process.kill().unwrap();
                kills += 1;
            }
            process.wait().unwrap();
        }
        assert!(kills > 0, "none was killed in time");
        let told = server.succeed(&place, &run);
        println!("{layout}, after {kills} kills: {told}");
        let batch = format!("{to}/b");
        for name in ["st1.key", "st2.key"] {
            let verify = [
                "verify",
                &batch,
                "--json",
                "--identity",
                name,
                "--ledger",
                "ca/ledger.db",
            ];
            let verified: Value = serde_json::from_str(&server.succeed(&place, &verify)).unwrap();
            assert_eq!(
                (&verified["good"], &verified["unread"], &verified["sealed"]),
                (&ROWS.into(), &0.into(), &true.into()),
                "{verified:#}"
            );
        }
        let exported = place.succeed(&["ledger", "export"]);
        assert_eq!(exported.lines().count(), ROWS + 1, "each device once");
        // A hundred of them by age itself, as they lie in the bucket.
        let mut rows = csv::Reader::from_reader(exported.as_bytes());
        let names = rows.headers().unwrap().clone();
        let column = |name: &str| names.iter().position(|own| own == name).unwrap();
        let (object, device) = (column("object"), column("device_id"));
        let rows: Vec<_> = rows.records().map(Result::unwrap).collect();
        for (i, row) in rows.iter().step_by(ROWS / 100).enumerate() {
            let octets = bundle(
                &server,
                &runtime,
                &format!("{layout}/b/{}", &row[object]),
                &row[device],
            );
            let name = ["st1.key", "st2.key"][i % 2];
            let zip = age(place.path(), &["-d", "-i", name], &octets).unwrap();
            let mut zip = zip::ZipArchive::new(Cursor::new(zip)).unwrap();
            let key = std::io::read_to_string(zip.by_name("private.pem.key").unwrap()).unwrap();
            assert!(key.starts_with("-----BEGIN PRIVATE KEY-----"));
        }
        fs::remove_file(place.join("st1.key")).unwrap();
    }
}

/// The encrypted bundle of a device: an object, or a member of a pack.
fn bundle(server: &Server, runtime: &Runtime, key: &str, device: &str) -> Vec<u8> {
    let client = server.client();
    let asked = client.get_object().bucket(BUCKET).key(key);
    let octets = runtime.block_on(async {
        let body = asked.send().await.unwrap().body;
        body.collect().await.unwrap().to_vec()
    });
    if !key.contains("/packs/") {
        return octets;
    }
    let mut pack = zip::ZipArchive::new(Cursor::new(octets)).unwrap();
    let mut member = pack.by_name(&format!("{device}.zip.age")).unwrap();
    let mut octets = Vec::new();
    std::io::copy(&mut member, &mut octets).unwrap();
    octets
}
