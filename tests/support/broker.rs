//! A real MQTT broker, mosquitto, that asks devices for certificates; `tests/all` installs it.

#![allow(
    dead_code,
    clippy::allow_attributes,
    clippy::unwrap_used,
    reason = "each test crate uses a part of it, and one that cannot go on has failed"
)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::support::{Workplace, tool};

/// What mosquitto says once its listeners are open.
const READY: &str = "running";

/// A broker that ends with the test.
pub struct Broker {
    process: Child,
    pub port: String,
    /// What the broker has said, and who reads it, to its end.
    log: Arc<(Mutex<String>, Condvar)>,
    reader: Option<JoinHandle<()>>,
}

impl Broker {
    /// Starts a broker in `broker`, which trusts devices of this CA, and waits until it listens.
    pub fn start(workplace: &Workplace, ca: &Path) -> Self {
        Self::start_with(workplace, ca, "")
    }

    /// As `start`, with further lines of configuration.
    pub fn start_with(workplace: &Workplace, ca: &Path, further: &str) -> Self {
        let folder = workplace.join("broker");
        fs::create_dir(&folder).unwrap();
        make_server_certificate(&folder, "IP:127.0.0.1");
        fs::write(folder.join("acl"), "pattern write devices/%u/state\n").unwrap();
        // A port that is free now may be taken a moment later.
        (0..5)
            .find_map(|_| Self::try_start(&folder, ca, further))
            .unwrap_or_else(|| panic!("mosquitto does not start in {}", folder.display()))
    }

    fn try_start(folder: &Path, ca: &Path, further: &str) -> Option<Self> {
        let port = free_port();
        let user = tool("id", &["-un"], folder).stdout;
        let config = format!(
            "user {user}\nlog_dest stderr\nlog_type all\n\
             listener {port} 127.0.0.1\ncafile {ca}\ncertfile {folder}/server.pem\nkeyfile {folder}/server.key\n\
             require_certificate true\nuse_identity_as_username true\nallow_anonymous false\nacl_file {folder}/acl\n\
             {further}",
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
        let log = Arc::new((Mutex::new(log), Condvar::new()));
        let said = Arc::clone(&log);
        let reader = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let mut log = said.0.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
                drop(log);
                said.1.notify_all();
            }
        });
        Some(Self {
            process,
            port: port.to_string(),
            log,
            reader: Some(reader),
        })
    }

    /// Has a device publish a message under a name, with this certificate file of its bundle.
    pub fn publish(&self, device: &Path, certificate: &str, name: &str, options: &[&str]) -> Output {
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

    pub fn accepts(&self, device: &Path, certificate: &str, options: &[&str]) {
        let name = device.file_name().unwrap().to_str().unwrap();
        let output = self.publish(device, certificate, name, options);
        // MQTT 5.0, 2.4: codes from 0x80 are failures. 0x10 says that nobody has subscribed.
        assert!(
            output.status.success() && puback(&output).is_some_and(|code| code < 0x80),
            "{name} with {certificate}: {output:?}"
        );
    }

    pub fn refuses(&self, device: &Path, certificate: &str, options: &[&str]) {
        let name = device.file_name().unwrap().to_str().unwrap();
        let output = self.publish(device, certificate, name, options);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            !output.status.success() && !text.contains("CONNACK"),
            "{name} with {certificate}: {output:?}"
        );
    }

    /// Waits until the broker has said something so often.
    pub fn wait_for(&self, text: &str, times: usize) {
        let log = self.log.0.lock().unwrap();
        let is_missing = |log: &mut String| log.matches(text).count() < times;
        let (log, waited) = self
            .log
            .1
            .wait_timeout_while(log, Duration::from_mins(1), is_missing)
            .unwrap();
        assert!(!waited.timed_out(), "{text:?} is not said {times} times: {log}");
    }

    /// Ends the broker and gives what it said.
    pub fn stop(mut self) -> String {
        self.process.kill().unwrap();
        self.reader.take().expect("it is taken once").join().unwrap();
        self.log.0.lock().unwrap().clone()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The reason code of the PUBACK that `mosquitto_pub -d` saw.
pub fn puback(output: &Output) -> Option<u8> {
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

pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

pub fn openssl(arguments: &[&str], folder: &Path) {
    let output = tool("openssl", arguments, folder);
    assert!(output.status.success(), "openssl {arguments:?}: {output:?}");
}

/// Makes `server.pem`, `server.key` and the `root.pem` above them, which devices trust here as they
/// trust Amazon's in the field. `names`: of the server, such as `IP:127.0.0.1`.
pub fn make_server_certificate(folder: &Path, names: &str) {
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let root = ["req", "-x509", "-days", "1", "-subj", "/CN=Root of the broker"];
    let files = ["-keyout", "root.key", "-out", "root.pem"];
    openssl(&[&root[..], &key, &files].concat(), folder);
    let request = ["req", "-new", "-subj", "/CN=broker"];
    let files = ["-keyout", "server.key", "-out", "server.csr"];
    openssl(&[&request[..], &key, &files].concat(), folder);
    fs::write(folder.join("extensions"), format!("subjectAltName={names}\n")).unwrap();
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
