//! Devices connect to a real MQTT broker, mosquitto, with nothing but what is in their bundles.
//!
//! The broker trusts the CA alone and, as AWS IoT policies do with the thing name, lets a device
//! publish only under the name in its certificate.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;

use support::{Workplace, tool};

/// What mosquitto says once its listeners are open.
const READY: &str = "running";

/// A broker that ends with the test.
struct Broker {
    process: Child,
    port: String,
    /// Reads what the broker says, to its end.
    log: Option<JoinHandle<String>>,
}

impl Broker {
    /// Starts a broker in `broker`, which trusts devices of this CA, and waits until it listens.
    fn start(workplace: &Workplace, ca: &Path) -> Self {
        let folder = workplace.join("broker");
        fs::create_dir(&folder).unwrap();
        make_server_certificate(&folder);
        fs::write(folder.join("acl"), "pattern write devices/%u/state\n").unwrap();
        // A port that is free now may be taken a moment later.
        (0..5)
            .find_map(|_| Self::try_start(&folder, ca))
            .unwrap_or_else(|| panic!("mosquitto does not start in {}", folder.display()))
    }

    fn try_start(folder: &Path, ca: &Path) -> Option<Self> {
        let port = free_port();
        let user = tool("id", &["-un"], folder).stdout;
        let config = format!(
            "user {user}\nlog_dest stderr\nlog_type all\n\
             listener {port} 127.0.0.1\ncafile {ca}\ncertfile {folder}/server.pem\nkeyfile {folder}/server.key\n\
             require_certificate true\nuse_identity_as_username true\nallow_anonymous false\nacl_file {folder}/acl\n",
            user = String::from_utf8(user).unwrap().trim(),
            ca = ca.display(),
            folder = folder.display(),
        );
        let path = folder.join("mosquitto.conf");
        fs::write(&path, config).unwrap();
        let mut process = Command::new(mosquitto())
            .arg("-c")
            .arg(&path)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("mosquitto does not run: {error}; `tests/all` installs the packages mosquitto and mosquitto-clients")
            });
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let mut log = String::new();
        let is_ready = lines.by_ref().map_while(Result::ok).any(|line| {
            log.push_str(&line);
            log.push('\n');
            line.ends_with(READY)
        });
        if !is_ready {
            let status = process.wait().unwrap();
            eprintln!("mosquitto ended with {status}\n{log}");
            return None;
        }
        // A broker that nobody listens to would stop when the pipe is full.
        let log = std::thread::spawn(move || {
            lines
                .map_while(Result::ok)
                .fold(log, |log, line| log + &line + "\n")
        });
        Some(Self {
            process,
            port: port.to_string(),
            log: Some(log),
        })
    }

    /// Has a device publish a message under a name, with this certificate file of its bundle.
    fn publish(&self, device: &Path, certificate: &str, name: &str, options: &[&str]) -> Output {
        let topic = format!("devices/{name}/state");
        let connect = ["-h", "127.0.0.1", "-p", &self.port, "-V", "mqttv5", "-i", name];
        let tls = [
            "--cafile",
            "../broker/root.pem",
            "--cert",
            certificate,
            "--key",
            "private.pem.key",
        ];
        let message = ["-d", "-q", "1", "-t", &topic, "-m", "first light"];
        let arguments = [&connect[..], &tls, &message, options].concat();
        Command::new("mosquitto_pub")
            .args(&arguments)
            .current_dir(device)
            .output()
            .unwrap_or_else(|error| {
                panic!(
                    "mosquitto_pub does not run: {error}; `tests/all` installs the package mosquitto-clients"
                )
            })
    }

    fn accepts(&self, device: &Path, certificate: &str, options: &[&str]) {
        let name = device.file_name().unwrap().to_str().unwrap();
        let output = self.publish(device, certificate, name, options);
        // MQTT 5.0, 2.4: codes from 0x80 are failures. 0x10 says that nobody has subscribed.
        assert!(
            output.status.success() && puback(&output).is_some_and(|code| code < 0x80),
            "{name} with {certificate}: {output:?}"
        );
    }

    fn refuses(&self, device: &Path, certificate: &str, options: &[&str]) {
        let name = device.file_name().unwrap().to_str().unwrap();
        let output = self.publish(device, certificate, name, options);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            !output.status.success() && !text.contains("CONNACK"),
            "{name} with {certificate}: {output:?}"
        );
    }

    /// Ends the broker and gives what it said.
    fn stop(mut self) -> String {
        self.process.kill().unwrap();
        let log = self.log.take().expect("it is taken once");
        log.join().unwrap()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The reason code of the PUBACK that `mosquitto_pub -d` saw.
fn puback(output: &Output) -> Option<u8> {
    let text = String::from_utf8_lossy(&output.stdout);
    let (_, rest) = text.split_once("received PUBACK (Mid: 1, RC:")?;
    rest.split_once(')')?.0.parse().ok()
}

/// Debian installs it where only root looks for programs.
fn mosquitto() -> PathBuf {
    let debian = PathBuf::from("/usr/sbin/mosquitto");
    if debian.exists() {
        debian
    } else {
        "mosquitto".into()
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn openssl(arguments: &[&str], folder: &Path) {
    let output = tool("openssl", arguments, folder);
    assert!(output.status.success(), "openssl {arguments:?}: {output:?}");
}

/// Makes `server.pem`, `server.key` and the `root.pem` above them, which devices trust here as they
/// trust Amazon's in the field.
fn make_server_certificate(folder: &Path) {
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let root = ["req", "-x509", "-days", "1", "-subj", "/CN=Root of the broker"];
    let files = ["-keyout", "root.key", "-out", "root.pem"];
    openssl(&[&root[..], &key, &files].concat(), folder);
    let request = ["req", "-new", "-subj", "/CN=broker"];
    let files = ["-keyout", "server.key", "-out", "server.csr"];
    openssl(&[&request[..], &key, &files].concat(), folder);
    fs::write(folder.join("extensions"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    let sign = [
        "x509",
        "-req",
        "-days",
        "1",
        "-in",
        "server.csr",
        "-out",
        "server.pem",
    ];
    let ca = ["-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial"];
    openssl(&[&sign[..], &ca, &["-extfile", "extensions"]].concat(), folder);
}

/// Makes a batch with the CA in a folder, and unpacks the bundle of one device beside `broker`.
fn device(workplace: &Workplace, ca: &str, profile: &str, id: &str) -> PathBuf {
    let batch = &format!("{ca}-{profile}");
    fs::write(workplace.join("devices.csv"), format!("serial_number\n{id}\n")).unwrap();
    let run = [
        "run",
        "devices.csv",
        "--ca",
        ca,
        "--profile",
        profile,
        "--batch",
        batch,
    ];
    workplace.succeed(&run);
    let index = fs::read_to_string(workplace.join("out").join(batch).join("index/000000.csv")).unwrap();
    let row = index.lines().nth(1).unwrap();
    let object = row.split(',').nth(4).unwrap();
    let bundle = workplace.join("out").join(batch).join(object);
    let folder = workplace.join(id);
    fs::create_dir(&folder).unwrap();
    let output = tool("unzip", &["-q", bundle.to_str().unwrap()], &folder);
    assert!(output.status.success(), "{output:?}");
    folder
}

#[test]
fn a_broker_takes_devices_of_every_key_type() {
    let workplace = Workplace::new();
    workplace.succeed(&["ca", "new", "--no-passphrase", "--key", "P-384"]);
    let broker = Broker::start(&workplace, &workplace.join("ca/certificate.pem"));
    fs::write(
        workplace.join("p521.toml"),
        "name = \"p521\"\nkey.type = \"P-521\"\n",
    )
    .unwrap();
    let profiles = ["aws-iot-p256", "aws-iot-p384", "aws-iot-rsa2048", "p521.toml"];
    for (profile, id) in profiles.into_iter().zip(["A-1", "B:2", "C_3", "4"]) {
        let device = device(&workplace, "ca", profile, id);
        for tls in ["tlsv1.2", "tlsv1.3"] {
            broker.accepts(&device, "chain.pem.crt", &["--tls-version", tls]);
            broker.accepts(&device, "certificate.pem.crt", &["--tls-version", tls]);
        }
    }
    let log = broker.stop();
    for id in ["A-1", "B:2", "C_3", "4"] {
        assert!(
            log.contains(&format!("as {id} (p5, c1, k60, u'{id}')")),
            "{id} is known by its name\n{log}"
        );
    }
}

#[test]
fn a_device_publishes_under_its_own_name_only() {
    let workplace = Workplace::new();
    workplace.succeed(&["ca", "new", "--no-passphrase"]);
    let broker = Broker::start(&workplace, &workplace.join("ca/certificate.pem"));
    let device = device(&workplace, "ca", "aws-iot-p256", "A-1");
    broker.accepts(&device, "chain.pem.crt", &[]);
    let output = broker.publish(&device, "chain.pem.crt", "A-2", &[]);
    // MQTT 5.0, 3.4.2.1: not authorized.
    assert_eq!(puback(&output), Some(0x87), "{output:?}");
}

#[test]
fn a_broker_that_trusts_the_root_takes_devices_that_send_their_chain() {
    let workplace = Workplace::new();
    workplace.succeed(&["ca", "new", "--no-passphrase", "--to", "root"]);
    workplace.succeed(&["ca", "new", "--no-passphrase", "--parent", "root"]);
    let broker = Broker::start(&workplace, &workplace.join("root/certificate.pem"));
    let device = device(&workplace, "ca", "aws-iot-p256", "A-1");
    broker.accepts(&device, "chain.pem.crt", &[]);
    broker.refuses(&device, "certificate.pem.crt", &[]);
}

#[test]
fn a_broker_refuses_devices_of_another_ca_even_of_the_same_name() {
    let workplace = Workplace::new();
    let new = ["ca", "new", "--no-passphrase", "--common-name", "Factory 1"];
    workplace.succeed(&new);
    workplace.succeed(&[&new[..], &["--to", "other"]].concat());
    let broker = Broker::start(&workplace, &workplace.join("ca/certificate.pem"));
    let own = device(&workplace, "ca", "aws-iot-p256", "A-1");
    let strange = device(&workplace, "other", "aws-iot-p256", "A-2");
    for tls in ["tlsv1.2", "tlsv1.3"] {
        broker.refuses(&strange, "chain.pem.crt", &["--tls-version", tls]);
        broker.refuses(&strange, "certificate.pem.crt", &["--tls-version", tls]);
    }
    broker.accepts(&own, "chain.pem.crt", &[]);
    let log = broker.stop();
    assert_eq!(log.matches("certificate verify failed").count(), 4, "{log}");
}
