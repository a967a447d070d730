//! `certforge rehearse --serve`, up for devices, and what it tells of them.

#![allow(
    dead_code,
    clippy::allow_attributes,
    clippy::unwrap_used,
    reason = "each test crate uses a part of it, and one that cannot go on has failed"
)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::Workplace;

/// For what is not to be waited for at all, on a machine that is busy.
const PATIENCE: Duration = Duration::from_mins(1);

/// What the endpoint tells of a device that comes for the first time.
pub const FIRST: [&str; 3] = ["registered", "provisioned", "dropped"];

/// An endpoint that ends with the test.
pub struct Endpoint {
    process: Child,
    /// What it said when it listened.
    pub listening: Value,
    pub port: String,
    /// For ALPN, if it was asked for.
    pub alpn_port: Option<String>,
    events: Receiver<Value>,
    /// Those that nobody has asked for yet, in their order.
    told: Vec<Value>,
}

/// Writes `template.json`, as certforge drafts it: devices may use topics that begin with their name.
pub fn write_narrow_template(workplace: &Workplace) {
    let text = workplace.succeed(&["jitp", "template", "new"]);
    fs::write(workplace.join("template.json"), text).unwrap();
}

/// Writes `template.json` with a policy that allows everything.
pub fn write_wide_template(workplace: &Workplace) {
    write_template(workplace, &policy(&[("Allow", "iot:*", "*")]));
}

/// Writes `template.json` with this policy.
pub fn write_template(workplace: &Workplace, policy: &Value) {
    let text = workplace.succeed(&["jitp", "template", "new"]);
    let mut template: Value = serde_json::from_str(&text).unwrap();
    template["Resources"]["policy"]["Properties"] = json!({ "PolicyDocument": policy.to_string() });
    fs::write(workplace.join("template.json"), template.to_string()).unwrap();
}

/// A policy of statements: effect, action, resource.
pub fn policy(statements: &[(&str, &str, &str)]) -> Value {
    let statements: Vec<Value> = statements
        .iter()
        .map(|(effect, action, resource)| json!({ "Effect": effect, "Action": action, "Resource": resource }))
        .collect();
    json!({ "Version": "2012-10-17", "Statement": statements })
}

impl Endpoint {
    /// With the CA in `ca` and the template `template.json`; returns when it listens.
    pub fn serve(workplace: &Workplace, options: &[&str]) -> Self {
        let serve = ["rehearse", "--serve", "--ca", "ca", "--template", "template.json"];
        let how = ["--address", "127.0.0.1:0", "--json"];
        let mut process = workplace
            .command(&[&serve[..], &how, options].concat())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok);
        let mut text = String::new();
        for line in lines.by_ref() {
            text.push_str(&line);
            if line == "}" {
                break;
            }
        }
        let listening: Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: the endpoint says {text:?}"));
        let port = |name: &str| {
            let (_, port) = listening[name].as_str()?.rsplit_once(':')?;
            Some(port.to_owned())
        };
        let (tell, events) = channel();
        std::thread::spawn(move || {
            lines
                .map(|line| serde_json::from_str(&line).unwrap())
                .all(|event| tell.send(event).is_ok())
        });
        Self {
            process,
            port: port("address").unwrap(),
            alpn_port: port("alpn_address"),
            listening,
            events,
            told: Vec::new(),
        }
    }

    /// The next event of a device, by the name in its certificate.
    #[track_caller]
    pub fn next(&mut self, device: &str) -> Value {
        self.next_such(device, |event| event["name"] == device)
    }

    /// The next event of a device, or a refusal of whomever.
    #[track_caller]
    pub fn next_of_or_refused(&mut self, device: &str) -> Value {
        self.next_such(device, |event| {
            event["name"] == device || event["kind"] == "refused"
        })
    }

    /// What the next event of a kind says, of any device.
    #[track_caller]
    pub fn next_of(&mut self, kind: &str) -> String {
        let event = self.next_such(kind, |event| event["kind"] == kind);
        event["text"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    fn next_such(&mut self, what: &str, is_meant: impl Fn(&Value) -> bool) -> Value {
        if let Some(i) = self.told.iter().position(&is_meant) {
            return self.told.remove(i);
        }
        loop {
            let event = self.events.recv_timeout(PATIENCE).unwrap_or_else(|error| {
                panic!(
                    "nothing of {what}: {error}; what was told besides: {:#?}",
                    self.told
                )
            });
            if is_meant(&event) {
                return event;
            }
            self.told.push(event);
        }
    }

    /// Asserts of which kinds the next events of a device are, and gives the text of the last.
    #[track_caller]
    pub fn tells(&mut self, device: &str, kinds: &[&str]) -> String {
        let mut text = String::new();
        for (i, kind) in kinds.iter().enumerate() {
            let event = self.next(device);
            assert_eq!(event["kind"], *kind, "event {i} of {device}: {event:#}");
            event["text"].as_str().unwrap().clone_into(&mut text);
        }
        text
    }

    /// `certforge connect`, as a device.
    pub fn run_connect(&self, workplace: &Workplace, bundle: &Path, options: &[&str]) -> Output {
        let common = ["connect", bundle.to_str().unwrap(), "--host", "localhost"];
        let trust = ["--port", &self.port, "--cafile", "rehearsal-root.pem"];
        workplace.run(&[&common[..], &trust, options].concat())
    }

    /// Ends it as Ctrl-C does.
    pub fn stop(&mut self) -> ExitStatus {
        let process = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(process, rustix::process::Signal::INT).unwrap();
        self.process.wait().unwrap()
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
