//! A rehearsal's endpoint that serves, and batches for it.

#![allow(
    dead_code,
    clippy::allow_attributes,
    clippy::unwrap_used,
    reason = "each test crate uses a part of it, and one that cannot go on has failed"
)]

use std::fs;
use std::io::BufReader;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Workplace, tool};

/// An event comes within this time, or never.
const PATIENCE: Duration = Duration::from_secs(30);

/// A CA `Factory 1`, a batch `b` in layout objects, the usual template, and a profile of two days.
pub fn factory(rows: usize, options: &[&str]) -> Workplace {
    let place = Workplace::new();
    place.manifest(rows);
    fs::write(
        place.join("short.toml"),
        "name = \"short\"\nvalidity = { days = 2 }\n",
    )
    .unwrap();
    place.succeed(&["ca", "new", "--no-passphrase", "--common-name", "Factory 1"]);
    let run = ["run", "devices.csv", "--batch", "b", "--layout", "objects"];
    place.succeed(&[&run[..], options].concat());
    let text = place.succeed(&["jitp", "template", "new"]);
    fs::write(place.join("template.json"), text).unwrap();
    place
}

/// A policy of statements: effect, action, resource.
pub fn policy(statements: &[(&str, &str, &str)]) -> Value {
    let statements: Vec<Value> = statements
        .iter()
        .map(|(effect, action, resource)| json!({ "Effect": effect, "Action": action, "Resource": resource }))
        .collect();
    json!({ "Version": "2012-10-17", "Statement": statements })
}

/// Gives `template.json` another policy.
pub fn template(place: &Workplace, policy: &Value) {
    let path = place.join("template.json");
    let mut document: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    document["Resources"]["policy"]["Properties"] = json!({ "PolicyDocument": policy.to_string() });
    fs::write(path, document.to_string()).unwrap();
}

/// The bundle of a device of batch `b`.
pub fn bundle(place: &Workplace, id: &str) -> PathBuf {
    let folders = fs::read_dir(place.join("out/b/bundles")).unwrap();
    let mut paths = folders.map(|folder| folder.unwrap().path().join(format!("{id}.zip")));
    paths.find(|path| path.exists()).unwrap()
}

/// Unpacks the bundle of a device into a folder of its name.
pub fn unpack(place: &Workplace, id: &str) -> PathBuf {
    let folder = place.join(id);
    fs::create_dir(&folder).unwrap();
    let bundle = bundle(place, id);
    let output = tool("unzip", &["-q", bundle.to_str().unwrap()], &folder);
    assert!(output.status.success(), "{output:?}");
    folder
}

/// `certforge rehearse --serve`, until it is dropped.
pub struct Serving {
    process: Child,
    pub address: SocketAddr,
    events: Receiver<Value>,
}

impl Serving {
    pub fn start(place: &Workplace, options: &[&str]) -> Self {
        let common = ["rehearse", "--serve", "--address", "127.0.0.1:0", "--json"];
        let mut process = place
            .command(&[&common, options].concat())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, events) = channel();
        let mut documents =
            serde_json::Deserializer::from_reader(BufReader::new(process.stdout.take().unwrap()))
                .into_iter::<Value>();
        let first = documents.next().expect("it tells where it listens").unwrap();
        std::thread::spawn(move || {
            for event in documents.map_while(Result::ok) {
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
        Self {
            process,
            address: first["address"].as_str().unwrap().parse().unwrap(),
            events,
        }
    }

    /// The next event of a kind, of a device by its certificate's name; those before it are passed over.
    #[track_caller]
    pub fn await_event(&mut self, kind: &str, name: &str) -> Value {
        self.await_such(
            |event| event["kind"] == kind && event["name"] == name,
            &format!("{kind} of {name}"),
        )
    }

    /// What the next event of a kind says.
    #[track_caller]
    pub fn await_kind(&mut self, kind: &str) -> String {
        let event = self.await_such(|event| event["kind"] == kind, kind);
        event["text"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    fn await_such(&mut self, is_meant: impl Fn(&Value) -> bool, what: &str) -> Value {
        let give_up = Instant::now() + PATIENCE;
        loop {
            match self
                .events
                .recv_timeout(give_up.saturating_duration_since(Instant::now()))
            {
                Ok(event) if is_meant(&event) => return event,
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("no event {what} came")
                }
            }
        }
    }

    /// `certforge connect`, as a device.
    pub fn run_connect(&self, place: &Workplace, bundle: &Path, options: &[&str]) -> Output {
        let port = self.address.port().to_string();
        let common = [
            "connect",
            bundle.to_str().unwrap(),
            "--host",
            "localhost",
            "--port",
            &port,
        ];
        let trust = ["--cafile", "rehearsal-root.pem"];
        place.run(&[&common[..], &trust, options].concat())
    }

    #[track_caller]
    pub fn connect(&self, place: &Workplace, bundle: &Path, options: &[&str]) -> String {
        let output = self.run_connect(place, bundle, options);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    pub fn connect_fails(&self, place: &Workplace, bundle: &Path, options: &[&str]) -> String {
        let output = self.run_connect(place, bundle, options);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// Ends it as Ctrl-C does.
    pub fn stop(&mut self) -> ExitStatus {
        let process = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(process, rustix::process::Signal::INT).unwrap();
        self.process.wait().unwrap()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
