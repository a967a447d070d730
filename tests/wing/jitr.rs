//! Just-In-Time Registration with an allow list: the function that certforge packages runs in MiniStack's Lambda,
//! called by MiniStack's rule, and devices connect with mosquitto's client and nothing but their bundles.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fmt::Write as _;
use std::fs;
use std::io::{Cursor, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::iot::Account;
use crate::support::{Workplace, tool};
use certforge::digest::sha256;
use certforge::pem;
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use zip::ZipArchive;

const FUNCTION: &str = "certforge-jitr";
const POLICY: &str = "devices";

fn python() -> Command {
    Command::new(std::env::var("CERTFORGE_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned()))
}

/// Runs a script of `tests/wing/jitr`, which must succeed; what it prints.
fn function(account: &Account, verb: &str, arguments: &[&str]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wing/jitr/function.py");
    let output = python()
        .arg(script)
        .args([verb, &account.server.url, FUNCTION])
        .args(arguments)
        .current_dir(account.place.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

fn invoke(account: &Account, certificate_id: &str) -> Value {
    serde_json::from_str(&function(account, "invoke", &[certificate_id])).unwrap()
}

/// An account with the CA, the rule and the function, whose package activates batch `b` of three devices; and
/// a batch `c` of the same CA that it does not know.
fn account() -> Account {
    let account = Account::new();
    account.make("b", 0..3, &[]);
    account.make("c", 3..5, &[]);
    account.place.succeed(&["jitp", "jitr-lambda", "--batch", "b"]);
    let arn = function(&account, "create", &["jitr-lambda.zip", POLICY]);
    let register = ["register", "--flow", "jitr", "--lambda-arn", &arn, "--yes"];
    let done = account.succeed(&register);
    assert!(
        done.contains("aws lambda add-permission ")
            && done
                .ends_with("done: devices of this CA may connect once the function lets the rule call it\n"),
        "{done}"
    );
    let again = account.succeed(&register);
    assert!(again.contains("nothing to do: everything is there"), "{again}");
    fs::write(account.place.join("broker.pem"), broker_ca(&account)).unwrap();
    account
}

/// The CA of the broker's certificate, which devices trust here as they trust Amazon's in the field.
fn broker_ca(account: &Account) -> String {
    let mut stream = TcpStream::connect(account.server.address()).unwrap();
    stream
        .write_all(b"GET /_ministack/iot/ca.pem HTTP/1.0\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(body.starts_with("-----BEGIN CERTIFICATE-----"), "{answer}");
    body.to_owned()
}

/// A device of a batch.
struct Device {
    name: String,
    certificate_id: String,
    folder: PathBuf,
}

/// Unpacks the bundle of a device.
fn device(account: &Account, batch: &str, row: usize) -> Device {
    let row = account.index(batch).swap_remove(row);
    let name = row.entry.device_id.to_string();
    let bundle = account.place.join("out").join(batch).join(row.object);
    let folder = account.place.join(&name);
    fs::create_dir(&folder).unwrap();
    let output = tool("unzip", &["-q", bundle.to_str().unwrap()], &folder);
    assert!(output.status.success(), "{output:?}");
    Device {
        name,
        certificate_id: HEXLOWER.encode(&row.entry.certificate_id),
        folder,
    }
}

impl Device {
    /// Connects and publishes, once.
    fn publish(&self, account: &Account) -> Output {
        let topic = format!("devices/{}/state", self.name);
        let port = account.server.mqtt_port.to_string();
        let connect = ["-h", "localhost", "-p", &port, "-i", &self.name];
        let tls = [
            "--cafile",
            "../broker.pem",
            "--cert",
            "chain.pem.crt",
            "--key",
            "private.pem.key",
        ];
        let message = ["-d", "-q", "1", "-t", &topic, "-m", "first light"];
        tool(
            "mosquitto_pub",
            &[&connect[..], &tls, &message].concat(),
            &self.folder,
        )
    }

    #[track_caller]
    fn is_accepted(&self, account: &Account) {
        let output = self.publish(account);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success()
                && text.contains("received CONNACK (0)")
                && text.contains("received PUBACK"),
            "{output:?}"
        );
    }

    /// AWS IoT does not know it yet: the connection ends without an answer.
    #[track_caller]
    fn is_dropped(&self, account: &Account) {
        let output = self.publish(account);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            !output.status.success() && text.contains("sending CONNECT") && !text.contains("CONNACK"),
            "{output:?}"
        );
    }

    /// AWS IoT knows it and does not want it. MQTT 3.1.1, 3.2.2.3: 5 is not authorized.
    #[track_caller]
    fn is_refused(&self, account: &Account) {
        let output = self.publish(account);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            !output.status.success() && text.contains("received CONNACK (5)"),
            "{output:?}"
        );
    }

    /// Waits until the function has decided on it.
    #[track_caller]
    fn becomes(&self, account: &Account, wanted: &str) {
        let give_up = Instant::now() + Duration::from_mins(1);
        loop {
            // Nobody tells that the function has run, so IoT is asked.
            let status = account.status(&self.certificate_id);
            if status.as_deref() == Some(wanted) {
                return;
            }
            assert!(Instant::now() < give_up, "{} is {status:?}", self.name);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The certificates of the thing with its name; `None`: there is no such thing.
    fn thing(&self, account: &Account) -> Option<Vec<String>> {
        let target = format!("/things/{}/principals", self.name);
        let listed = account.cloud.iot("GET", &target, &Value::Null).ok()?;
        Some(texts(&listed["principals"]))
    }

    fn arn(&self) -> String {
        format!("arn:aws:iot:us-east-1:000000000000:cert/{}", self.certificate_id)
    }

    fn policies(&self, account: &Account) -> Vec<String> {
        let arn = self.arn().replace(':', "%3A").replace('/', "%2F");
        let target = format!("/attached-policies/{arn}");
        let listed = account.cloud.iot("POST", &target, &Value::Null).unwrap();
        let policies = listed["policies"].as_array().into_iter().flatten();
        texts(&policies.map(|policy| policy["policyName"].clone()).collect())
    }
}

fn texts(list: &Value) -> Vec<String> {
    let list = list.as_array().into_iter().flatten();
    list.map(|text| text.as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_device_of_the_batch_is_dropped_once_and_then_comes_up_with_thing_and_policy() {
    let account = account();
    for row in 0..2 {
        let device = device(&account, "b", row);
        assert_eq!(
            account.status(&device.certificate_id),
            None,
            "nothing is made beforehand"
        );
        device.is_dropped(&account);
        device.becomes(&account, "ACTIVE");
        device.is_accepted(&account);
        assert_eq!(device.thing(&account), Some(vec![device.arn()]));
        assert_eq!(device.policies(&account), [POLICY]);
        // AWS may call a function twice for one event.
        let said = invoke(&account, &device.certificate_id);
        let expected = json!({
            "certificateId": device.certificate_id, "status": "ACTIVE", "thingName": device.name,
        });
        assert_eq!(said, expected);
        device.is_accepted(&account);
    }
}

#[test]
fn a_device_of_the_same_ca_that_is_not_of_the_batch_never_comes_up() {
    let account = account();
    let stranger = device(&account, "c", 0);
    stranger.is_dropped(&account);
    stranger.becomes(&account, "INACTIVE");
    stranger.is_refused(&account);
    assert_eq!(stranger.thing(&account), None);
    assert!(stranger.policies(&account).is_empty());
    let said = invoke(&account, &stranger.certificate_id);
    assert_eq!(said["status"], "INACTIVE");
    stranger.is_refused(&account);

    // With the package of its own batch it does.
    let package = [
        "jitp",
        "jitr-lambda",
        "--batch",
        "c",
        "--to",
        "c.zip",
        "--no-things",
    ];
    account.place.succeed(&package);
    function(&account, "update", &["c.zip"]);
    let said = invoke(&account, &stranger.certificate_id);
    assert_eq!(
        (&said["status"], &said["thingName"]),
        (&json!("ACTIVE"), &Value::Null)
    );
    stranger.is_accepted(&account);
    assert_eq!(stranger.thing(&account), None, "no things were asked for");
    assert_eq!(stranger.policies(&account), [POLICY]);
}

#[test]
fn a_certificate_that_was_revoked_stays_so() {
    let account = account();
    let device = device(&account, "b", 2);
    let pem = fs::read_to_string(device.folder.join("certificate.pem.crt")).unwrap();
    account.cloud.register(&pem, &account.ca().0, "REVOKED");
    let said = invoke(&account, &device.certificate_id);
    let expected = json!({ "certificateId": device.certificate_id, "status": "REVOKED" });
    assert_eq!(said, expected);
    assert_eq!(account.status(&device.certificate_id), Some("REVOKED".to_owned()));
    device.is_refused(&account);
    assert_eq!(device.thing(&account), None);
}

/// A workplace with a batch `b` of forty devices in chunks of seven.
fn packaged(more: &[&str]) -> (Workplace, Vec<u8>) {
    let place = Workplace::new();
    place.manifest(40);
    place.succeed(&["ca", "new", "--no-passphrase"]);
    let run = [
        "run",
        "devices.csv",
        "--no-endpoint",
        "--ca",
        "ca",
        "--batch",
        "b",
        "--chunk-rows",
        "7",
    ];
    place.succeed(&run);
    place.succeed(&[&["jitp", "jitr-lambda", "--batch", "out/b"][..], more].concat());
    let package = fs::read(place.join("jitr-lambda.zip")).unwrap();
    (place, package)
}

/// Devices by certificate id, in its order.
fn by_id(place: &Workplace) -> Vec<([u8; 32], String)> {
    let ledger = certforge::ledger::open_read_only(&place.join("ca/ledger.db")).unwrap();
    let batch = ledger.batch("b").unwrap();
    let chunks = ledger.committed(&batch).unwrap();
    let entries = chunks
        .into_iter()
        .flat_map(|(chunk, _)| ledger.entries(&batch, chunk).unwrap());
    let mut devices: Vec<_> = entries
        .map(|entry| (entry.certificate_id, entry.device_id.to_string()))
        .collect();
    devices.sort();
    devices
}

fn member(package: &[u8], name: &str) -> Vec<u8> {
    let mut archive = ZipArchive::new(Cursor::new(package)).unwrap();
    let mut member = archive.by_name(name).unwrap();
    // Lambda runs as somebody else.
    assert_eq!(member.unix_mode().unwrap() & 0o777, 0o644, "{name}");
    let mut content = Vec::new();
    member.read_to_end(&mut content).unwrap();
    content
}

#[test]
fn the_package_has_every_device_in_the_order_of_its_certificate_id() {
    let (place, package) = packaged(&[]);
    let devices = by_id(&place);
    assert_eq!(devices.len(), 40);
    let ids: Vec<u8> = devices.iter().flat_map(|(id, _)| *id).collect();
    assert_eq!(member(&package, "ids.bin"), ids);
    let mut names = String::new();
    let mut offsets = Vec::new();
    for (_, name) in &devices {
        offsets.extend_from_slice(&u32::try_from(names.len()).unwrap().to_le_bytes());
        writeln!(names, "{name}").unwrap();
    }
    assert_eq!(member(&package, "things.txt"), names.as_bytes());
    assert_eq!(member(&package, "things.idx"), offsets);
    let about: Value = serde_json::from_slice(&member(&package, "about.json")).unwrap();
    let ca = fs::read_to_string(place.join("ca/certificate.pem")).unwrap();
    let ca = HEXLOWER.encode(&sha256(&pem::blocks(&ca).unwrap()[0].der));
    let expected = json!({ "batches": ["b"], "caCertificateId": ca, "certificates": 40, "things": true });
    assert_eq!(about, expected);
}

#[test]
fn the_function_finds_each_of_its_devices_and_no_other() {
    let (place, _) = packaged(&[]);
    let unzip = ["-q", "jitr-lambda.zip", "-d", "function"];
    assert!(tool("unzip", &unzip, place.path()).status.success());
    let devices = by_id(&place);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wing/jitr/names.py");
    let mut child = python()
        .arg(script)
        .arg(place.join("function"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut expected = Vec::new();
    for (id, name) in &devices {
        // Its neighbour, and one after and before all.
        let mut next = *id;
        next[31] ^= 1;
        for (id, name) in [
            (id, name.as_str()),
            (&next, "-"),
            (&[0; 32], "-"),
            (&[255; 32], "-"),
        ] {
            writeln!(stdin, "{}", HEXLOWER.encode(id)).unwrap();
            expected.push(name.to_owned());
        }
    }
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let found: Vec<_> = str::from_utf8(&output.stdout).unwrap().lines().collect();
    assert_eq!(found, expected);
}

#[test]
fn two_packages_of_a_batch_are_the_same_to_the_octet_and_none_is_written_over() {
    let (place, package) = packaged(&[]);
    let told = place.succeed(&["jitp", "jitr-lambda", "--batch", "b", "--to", "two.zip", "--json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    let expected = json!({
        "package": "two.zip",
        "handler": "activate.handler",
        "certificates": 40,
        "things": true,
        "octets": package.len(),
    });
    assert_eq!(told, expected);
    assert_eq!(fs::read(place.join("two.zip")).unwrap(), package);
    fs::write(place.join("two.zip"), "mine").unwrap();
    let error = place.fail(&["jitp", "jitr-lambda", "--batch", "b", "--to", "two.zip"], 2);
    assert!(error.contains("nothing is written over"), "{error}");
    assert_eq!(fs::read(place.join("two.zip")).unwrap(), b"mine");
}

#[test]
fn a_package_without_things_has_no_names() {
    let (place, package) = packaged(&["--no-things"]);
    let archive = ZipArchive::new(Cursor::new(&package)).unwrap();
    let mut names: Vec<_> = archive.file_names().map(Result::unwrap).collect();
    names.sort_unstable();
    assert_eq!(names, ["about.json", "activate.py", "ids.bin"]);
    let about: Value = serde_json::from_slice(&member(&package, "about.json")).unwrap();
    assert_eq!(about["things"], false);
    let ids: Vec<u8> = by_id(&place).iter().flat_map(|(id, _)| *id).collect();
    assert_eq!(member(&package, "ids.bin"), ids);
}

#[test]
fn things_that_are_named_after_another_column_are_not_made() {
    let (place, _) = packaged(&[]);
    let profile = "name = \"other\"\nendpoint.thing_name = \"lamp-{production_order}-{serial_number}\"\n";
    fs::write(place.join("other.toml"), profile).unwrap();
    place.succeed(&[
        "run",
        "devices.csv",
        "--no-endpoint",
        "--ca",
        "ca",
        "--batch",
        "c",
        "--profile",
        "other.toml",
        "--reissue",
    ]);
    let package = ["jitp", "jitr-lambda", "--batch", "c", "--to", "c.zip"];
    let error = place.fail(&package, 2);
    assert_eq!(
        error,
        "certforge: error: profile other names things otherwise than by the device id, and the index has no other name\n\
         certforge: hint: say --no-things, and make the things elsewhere\n"
    );
    assert!(!place.join("c.zip").exists());
    place.succeed(&[&package[..], &["--no-things"]].concat());
}

#[test]
fn a_package_has_all_batches_of_one_ca() {
    let place = Workplace::new();
    place.succeed(&["ca", "new", "--no-passphrase"]);
    place.succeed(&["ca", "new", "--no-passphrase", "--to", "other"]);
    for (batch, first, ca) in [("b", 0, "ca"), ("c", 3, "ca"), ("d", 6, "other")] {
        let mut text = "serial_number\n".to_owned();
        for device in first..first + 3 {
            writeln!(text, "SN{device:06}").unwrap();
        }
        let manifest = format!("{batch}.csv");
        fs::write(place.join(&manifest), text).unwrap();
        place.succeed(&["run", &manifest, "--no-endpoint", "--batch", batch, "--ca", ca]);
    }
    let told = place.succeed(&["jitp", "jitr-lambda", "--batch", "b", "--batch", "out/c"]);
    assert!(told.contains("activates  6 devices"), "{told}");
    let package = fs::read(place.join("jitr-lambda.zip")).unwrap();
    assert_eq!(member(&package, "ids.bin").len(), 6 * 32);
    let error = place.fail(
        &[
            "jitp",
            "jitr-lambda",
            "--to",
            "x.zip",
            "--batch",
            "b",
            "--batch",
            "d",
        ],
        5,
    );
    assert!(error.contains("out/d is of another CA: certificate"), "{error}");
}
