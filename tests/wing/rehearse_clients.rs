//! Other people's MQTT clients at `certforge rehearse --serve`, with nothing but bundles of a real batch: Debian's
//! `mosquitto_pub` and `mosquitto_sub`, Eclipse Paho for Python, and AWS's own IoT Device SDK.
//!
//! What the clients see is compared with what the endpoint tells.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use crate::devices;
use crate::endpoint::{Endpoint, FIRST, write_narrow_template, write_wide_template};
use crate::support::{Workplace, tool};
use serde_json::Value;
use time::OffsetDateTime;

const WIDE: fn(&Workplace) = write_wide_template;
const NARROW: fn(&Workplace) = write_narrow_template;

/// An endpoint, and devices of a batch that it does not know yet, each in a folder of its name.
struct Site {
    place: Workplace,
    endpoint: Endpoint,
}

impl Site {
    fn new(ids: &[&str], write_template: fn(&Workplace), options: &[&str]) -> Self {
        let place = Workplace::new();
        place.succeed(&["ca", "new", "--no-passphrase"]);
        write_template(&place);
        devices::make_batch(&place, ids, &[]);
        for id in ids {
            devices::unpack(&place, &devices::bundle(&place, "b", id), id);
        }
        let endpoint = Endpoint::serve(&place, options);
        Self { place, endpoint }
    }

    /// One of mosquitto's clients as a device; later options stand above earlier ones.
    fn client(&self, program: &str, id: &str, options: &[&str]) -> Command {
        let mut command = Command::new("stdbuf");
        // It says line by line what it does.
        command
            .args(["-oL", program, "-d", "-h", "localhost", "-p", &self.endpoint.port])
            .args(["--cafile", "rehearsal-root.pem", "-i", id, "-q", "1"])
            .args(["--cert", &format!("{id}/chain.pem.crt")])
            .args(["--key", &format!("{id}/private.pem.key")])
            .args(options)
            .current_dir(self.place.path());
        command
    }

    fn publish(&self, id: &str, options: &[&str]) -> Output {
        let message = ["-t", "news/1", "-m", "first light"];
        let options = [&message[..], options].concat();
        self.client("mosquitto_pub", id, &options)
            .output()
            .unwrap_or_else(|error| {
                panic!(
                    "mosquitto_pub does not run: {error}; `tests/all` installs the package mosquitto-clients"
                )
            })
    }

    /// Connects for the first time, which ends before CONNACK.
    #[track_caller]
    fn is_dropped(&mut self, id: &str, options: &[&str]) {
        let output = self.publish(id, options);
        assert!(
            !output.status.success() && !text(&output).contains("CONNACK"),
            "{output:?}"
        );
        self.endpoint.tells(id, &FIRST);
    }

    /// Publishes, which is acknowledged.
    #[track_caller]
    fn is_accepted(&mut self, id: &str, options: &[&str]) {
        let output = self.publish(id, options);
        let said = text(&output);
        assert!(
            output.status.success()
                && said.contains("received CONNACK (0)")
                && said.contains("received PUBACK"),
            "{output:?}"
        );
        let ended = self
            .endpoint
            .tells(id, &["connected", "published", "disconnected"]);
        assert_eq!(ended, "DISCONNECT");
    }

    /// Has a device subscribe, and waits until the endpoint knows of it.
    #[track_caller]
    fn subscribe(&mut self, id: &str, topic: &str, options: &[&str]) -> Subscriber {
        // What does not come is not waited for much longer than that.
        let options = [&["-t", topic, "-W", "120"][..], options].concat();
        let mut process = self
            .client("mosquitto_sub", id, &options)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let told = self.endpoint.tells(id, &["connected", "subscribed"]);
        assert_eq!(told, topic);
        Subscriber {
            process,
            lines,
            said: String::new(),
        }
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// `mosquitto_sub`, until it is dropped.
struct Subscriber {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    said: String,
}

impl Subscriber {
    /// Waits for a line with this text.
    #[track_caller]
    fn says(&mut self, wanted: &str) -> String {
        for line in self.lines.by_ref().map_while(Result::ok) {
            if line.contains(wanted) {
                return line;
            }
            self.said.push_str(&line);
            self.said.push('\n');
        }
        panic!("it never says {wanted:?}, but\n{}", self.said);
    }

    /// Ends as a device does whose power is cut.
    fn vanish(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const VERSIONS: [&str; 2] = ["mqttv311", "mqttv5"];

#[test]
fn mosquitto_comes_up_with_each_version_of_mqtt_and_tls_and_each_certificate_file() {
    let ids = ["A-1", "A-2", "A-3", "A-4", "A-5", "A-6", "A-7", "A-8"];
    let mut site = Site::new(&ids, WIDE, &[]);
    let mut fresh = ids.into_iter();
    for version in VERSIONS {
        for tls in ["tlsv1.2", "tlsv1.3"] {
            for file in ["certificate.pem.crt", "chain.pem.crt"] {
                let id = fresh.next().unwrap();
                let certificate = format!("{id}/{file}");
                let options = ["-V", version, "--tls-version", tls, "--cert", &certificate];
                site.is_dropped(id, &options);
                site.is_accepted(id, &options);
                let output = site.publish(id, &[&options[..], &["-q", "0"]].concat());
                assert!(output.status.success(), "{output:?}");
                site.endpoint
                    .tells(id, &["connected", "published", "disconnected"]);
            }
        }
    }
}

#[test]
fn messages_travel_between_devices_of_both_versions() {
    let mut site = Site::new(&["A-1", "A-2"], WIDE, &[]);
    for id in ["A-1", "A-2"] {
        site.is_dropped(id, &[]);
    }
    for (from, to) in [("mqttv311", "mqttv5"), ("mqttv5", "mqttv311")] {
        let mut subscriber = site.subscribe("A-1", "news/+", &["-V", to, "-C", "2", "-F", "%t %q %p"]);
        site.is_accepted("A-2", &["-V", from]);
        subscriber.says("news/1 1 first light");
        let output = site.publish("A-2", &["-V", from, "-q", "0"]);
        assert!(output.status.success(), "{output:?}");
        subscriber.says("news/1 0 first light");
        site.endpoint
            .tells("A-2", &["connected", "published", "disconnected"]);
        // Two were enough, and it says goodbye.
        assert!(subscriber.process.wait().unwrap().success());
        assert_eq!(site.endpoint.tells("A-1", &["disconnected"]), "DISCONNECT");
    }
}

#[test]
fn a_message_that_is_to_be_retained_is_taken() {
    let mut site = Site::new(&["A-1", "A-2"], WIDE, &[]);
    for id in ["A-1", "A-2"] {
        site.is_dropped(id, &[]);
    }
    for version in VERSIONS {
        let mut subscriber = site.subscribe("A-1", "news/#", &["-V", version, "-F", "%t %p"]);
        let will = ["--will-topic", "news/will", "--will-retain"];
        site.is_accepted("A-2", &[&["-V", version, "-r"][..], &will].concat());
        subscriber.says("news/1 first light");
        drop(subscriber);
        site.endpoint.tells("A-1", &["disconnected"]);
    }
}

#[test]
fn pings_keep_a_connection_up() {
    let mut site = Site::new(&["A-1"], WIDE, &[]);
    site.is_dropped("A-1", &[]);
    // The shortest that mosquitto has.
    let mut subscriber = site.subscribe("A-1", "news", &["-k", "5"]);
    subscriber.says("sending PINGREQ");
    subscriber.says("received PINGRESP");
}

#[test]
fn the_will_of_a_device_that_vanishes_is_delivered_and_that_of_one_that_leaves_is_not() {
    let mut site = Site::new(&["A-1", "A-2", "A-3"], WIDE, &[]);
    for id in ["A-1", "A-2", "A-3"] {
        site.is_dropped(id, &[]);
    }
    for version in VERSIONS {
        let mut witness = site.subscribe("A-1", "lost/#", &["-F", "%t %p"]);
        let will = |id| {
            [
                "-V",
                version,
                "--will-topic",
                "lost/will",
                "--will-qos",
                "1",
                "--will-payload",
                id,
            ]
        };
        site.is_accepted("A-2", &will("A-2"));
        site.subscribe("A-3", "news", &will("A-3")).vanish();
        site.endpoint.tells("A-3", &["disconnected"]);
        assert_eq!(witness.says("lost/will "), "lost/will A-3");
        drop(witness);
        site.endpoint.tells("A-1", &["disconnected"]);
    }
}

/// What openssl says of a certificate, in the way of AWS IoT's ids.
fn certificate_id(site: &Site, path: &str) -> String {
    let fingerprint = ["x509", "-noout", "-fingerprint", "-sha256", "-in", path];
    let output = tool("openssl", &fingerprint, site.place.path());
    let text = text(&output);
    let (_, hex) = text.trim().split_once('=').unwrap();
    hex.replace(':', "").to_lowercase()
}

#[test]
fn a_subscriber_hears_of_each_certificate_that_is_registered() {
    let mut site = Site::new(&["A-1", "A-2"], WIDE, &[]);
    site.is_dropped("A-1", &[]);
    let authority = certificate_id(&site, "ca/certificate.pem");
    let topic = format!("$aws/events/certificates/registered/{authority}");
    let mut subscriber = site.subscribe("A-1", &topic, &["-F", "heard %t %p"]);
    let before = OffsetDateTime::now_utc().unix_timestamp();
    site.is_dropped("A-2", &[]);
    // What is known already is not registered again.
    site.is_accepted("A-2", &[]);
    let after = OffsetDateTime::now_utc().unix_timestamp();
    let heard = subscriber.says("heard ");
    let (heard_topic, payload) = heard["heard ".len()..].split_once(' ').unwrap();
    assert_eq!(heard_topic, topic);
    let event: Value = serde_json::from_str(payload).unwrap();
    let mut fields: Vec<&str> = event.as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    let expected = [
        "awsAccountId",
        "caCertificateId",
        "certificateId",
        "certificateRegistrationTimestamp",
        "certificateStatus",
        "timestamp",
    ];
    assert_eq!(fields, expected);
    assert_eq!(
        event["certificateId"],
        certificate_id(&site, "A-2/certificate.pem.crt")
    );
    assert_eq!(event["caCertificateId"], authority);
    assert_eq!(event["certificateStatus"], "PENDING_ACTIVATION");
    assert_eq!(event["awsAccountId"], "123456789012");
    let at = event["timestamp"].as_i64().unwrap();
    assert!(
        (before * 1_000..=(after + 1) * 1_000).contains(&at),
        "{before} {event} {after}"
    );
    assert_eq!(event["certificateRegistrationTimestamp"], at.to_string());
}

#[test]
fn a_message_that_the_policy_does_not_allow_ends_the_connection() {
    let mut site = Site::new(&["A-1"], NARROW, &[]);
    site.is_dropped("A-1", &[]);
    for version in VERSIONS {
        site.is_accepted("A-1", &["-V", version, "-t", "A-1/state"]);
        let output = site.publish("A-1", &["-V", version, "-t", "A-2/state"]);
        let said = text(&output);
        assert!(
            !output.status.success() && said.contains("CONNACK (0)") && !said.contains("PUBACK"),
            "{output:?}"
        );
        // MQTT 5, 3.14.2.1: 135 is 0x87, not authorized; MQTT 3.1.1 has no word for it.
        assert_eq!(
            said.contains("Received DISCONNECT (135)"),
            version == "mqttv5",
            "{said}"
        );
        let why = site.endpoint.tells("A-1", &["connected", "refused"]);
        assert!(why.starts_with("PUBLISH: ") && why.contains("A-2/state"), "{why}");
    }
}

#[test]
fn a_subscription_that_the_policy_does_not_allow_is_refused_and_the_others_are_granted() {
    let mut site = Site::new(&["A-1"], NARROW, &[]);
    site.is_dropped("A-1", &[]);
    // MQTT 3.1.1, 3.9.3: 128 is failure; MQTT 5, 3.9.3: 135 is not authorized.
    for (version, code) in VERSIONS.into_iter().zip([128, 135]) {
        let options = ["-V", version, "-t", "A-2/#", "-t", "A-1/#"];
        let mut process = site
            .client("mosquitto_sub", "A-1", &options)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut subscriber = Subscriber {
            lines: BufReader::new(process.stdout.take().unwrap()).lines(),
            process,
            said: String::new(),
        };
        let granted = subscriber.says("Subscribed (mid: 1): ");
        assert_eq!(granted, format!("Subscribed (mid: 1): {code}, 1"));
        let why = site.endpoint.tells("A-1", &["connected", "refused"]);
        assert!(why.starts_with("SUBSCRIBE: ") && why.contains("A-2/#"), "{why}");
        assert_eq!(site.endpoint.tells("A-1", &["subscribed"]), "A-1/#");
        drop(subscriber);
        site.endpoint.tells("A-1", &["disconnected"]);
    }
}

#[test]
fn a_client_id_that_connects_again_takes_the_place_of_the_older_connection() {
    for version in VERSIONS {
        let mut site = Site::new(&["A-1", "A-2"], WIDE, &[]);
        for id in ["A-1", "A-2"] {
            site.is_dropped(id, &[]);
        }
        let mut older = site.subscribe("A-1", "news/#", &["-V", version]);
        older.says("received CONNACK (0)");
        // Another certificate, the same client id.
        site.is_accepted("A-2", &["-V", version, "-i", "A-1"]);
        let why = site.endpoint.tells("A-1", &["dropped"]);
        assert_eq!(why, "another connection took the client id");
        if version == "mqttv5" {
            // MQTT 5, 3.14.2.1: 142 is 0x8E, session taken over.
            older.says("Received DISCONNECT (142)");
        } else {
            // It connects again by itself.
            older.says("received CONNACK (0)");
        }
    }
}

#[test]
fn the_port_that_stands_for_443_takes_devices_with_alpn_alone() {
    let mut site = Site::new(&["A-1"], WIDE, &["--alpn-address", "127.0.0.1:0"]);
    let port = site.endpoint.alpn_port.clone().unwrap();
    for tls in ["tlsv1.2", "tlsv1.3"] {
        for alpn in [&[][..], &["--tls-alpn", "mqtt"]] {
            let options = ["-p", &port, "--tls-version", tls];
            let output = site.publish("A-1", &[&options[..], alpn].concat());
            assert!(
                !output.status.success() && !text(&output).contains("CONNACK"),
                "{output:?}"
            );
            let why = site.endpoint.tells("A-1", &["refused"]);
            assert_eq!(
                why,
                "TLS: the device sent no ALPN x-amzn-mqtt-ca, which port 443 of AWS IoT asks for"
            );
        }
    }
    let options = ["-p", &port, "--tls-alpn", "x-amzn-mqtt-ca"];
    site.is_dropped("A-1", &options);
    site.is_accepted("A-1", &options);
}

#[test]
fn an_endpoint_for_sni_only_takes_devices_that_name_it() {
    let mut site = Site::new(&["A-1"], WIDE, &["--sni-only"]);
    for tls in ["tlsv1.2", "tlsv1.3"] {
        let output = site.publish("A-1", &["-h", "127.0.0.1", "--tls-version", tls]);
        assert!(
            !output.status.success() && !text(&output).contains("CONNACK"),
            "{output:?}"
        );
        let why = site.endpoint.tells("A-1", &["refused"]);
        assert!(
            why.starts_with("TLS: the device sent no server name (SNI)"),
            "{why}"
        );
    }
    site.is_dropped("A-1", &[]);
    site.is_accepted("A-1", &[]);
}

#[test]
fn an_endpoint_without_sni_only_takes_devices_that_name_no_server() {
    let mut site = Site::new(&["A-1"], WIDE, &[]);
    site.is_dropped("A-1", &["-h", "127.0.0.1"]);
    site.is_accepted("A-1", &["-h", "127.0.0.1"]);
}

/// A script of `tests/wing/rehearse`, with the endpoint and two devices.
fn script(site: &Site, name: &str, scenario: &str, how: &[&str]) -> Command {
    let python = std::env::var("CERTFORGE_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let mut command = Command::new(python);
    command
        .arg(
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("tests/wing/rehearse")
                .join(name),
        )
        .args([scenario, ".", &site.endpoint.port])
        .args(how)
        .args(["A-1", "A-2"])
        .current_dir(site.place.path());
    command
}

#[track_caller]
fn passes(mut command: Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}\n{}{}",
        text(&output),
        String::from_utf8_lossy(&output.stderr)
    );
}

const PAHO: [[&str; 3]; 4] = [
    ["3.1.1", "1.2", "certificate.pem.crt"],
    ["3.1.1", "1.3", "chain.pem.crt"],
    ["5", "1.2", "chain.pem.crt"],
    ["5", "1.3", "certificate.pem.crt"],
];

#[test]
fn paho_does_all_that_a_policy_allows() {
    for how in PAHO {
        let mut site = Site::new(&["A-1", "A-2"], WIDE, &[]);
        passes(script(&site, "with_paho.py", "traffic", &how));
        let endpoint = &mut site.endpoint;
        endpoint.tells("A-1", &FIRST);
        let version = endpoint.tells("A-1", &["connected"]);
        assert_eq!(version, format!("MQTT {}, thing A-1", how[0]));
        endpoint.tells("A-1", &["subscribed", "subscribed"]);
        assert_eq!(endpoint.tells("A-1", &["disconnected"]), "DISCONNECT");
        endpoint.tells("A-2", &FIRST);
        endpoint.tells("A-2", &["connected", "published", "published", "published"]);
        assert_eq!(endpoint.tells("A-2", &["disconnected"]), "DISCONNECT");
        let ended = endpoint.tells("A-2", &["connected", "disconnected"]);
        assert_ne!(ended, "DISCONNECT");
        // Which of the two is told first is nobody's concern.
        let mut kinds: Vec<String> = (0..3).map(|_| endpoint.next("A-2")["kind"].to_string()).collect();
        kinds.sort();
        assert_eq!(kinds, [r#""connected""#, r#""connected""#, r#""dropped""#]);
        assert_eq!(endpoint.tells("A-2", &["disconnected"]), "DISCONNECT");
    }
}

#[test]
fn paho_learns_what_a_policy_does_not_allow() {
    for how in PAHO {
        let mut site = Site::new(&["A-1", "A-2"], NARROW, &[]);
        passes(script(&site, "with_paho.py", "refused", &how));
        is_refused_twice(&mut site.endpoint);
    }
}

/// What the endpoint tells of a device that asks for more than the narrow policy allows.
#[track_caller]
fn is_refused_twice(endpoint: &mut Endpoint) {
    endpoint.tells("A-1", &FIRST);
    endpoint.tells("A-1", &["connected", "subscribed"]);
    let why = endpoint.tells("A-1", &["refused"]);
    assert!(why.starts_with("SUBSCRIBE: ") && why.contains("news/#"), "{why}");
    endpoint.tells("A-1", &["published"]);
    let why = endpoint.tells("A-1", &["refused"]);
    assert!(why.starts_with("PUBLISH: ") && why.contains("news/1"), "{why}");
}

const AWS: [[&str; 2]; 4] = [
    ["3.1.1", "certificate.pem.crt"],
    ["3.1.1", "chain.pem.crt"],
    ["5", "certificate.pem.crt"],
    ["5", "chain.pem.crt"],
];

#[test]
fn the_sdk_of_aws_does_all_that_a_policy_allows() {
    for how in AWS {
        let mut site = Site::new(&["A-1", "A-2"], WIDE, &[]);
        passes(script(&site, "with_awsiot.py", "traffic", &how));
        let endpoint = &mut site.endpoint;
        endpoint.tells("A-1", &FIRST);
        let version = endpoint.tells("A-1", &["connected"]);
        assert_eq!(version, format!("MQTT {}, thing A-1", how[0]));
        endpoint.tells("A-1", &["subscribed", "subscribed", "published"]);
        assert_eq!(endpoint.tells("A-1", &["disconnected"]), "DISCONNECT");
        endpoint.tells("A-2", &FIRST);
        endpoint.tells(
            "A-2",
            &["connected", "published", "published", "published", "published"],
        );
        assert_eq!(endpoint.tells("A-2", &["disconnected"]), "DISCONNECT");

        // Killed, it leaves its will to a client of another maker.
        let mut witness = site.subscribe("A-2", "lost", &[]);
        let mut staying = script(&site, "with_awsiot.py", "stays", &how)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(staying.stdout.take().unwrap())
            .read_line(&mut said)
            .unwrap();
        assert_eq!(said, "up\n");
        staying.kill().unwrap();
        staying.wait().unwrap();
        witness.says("it vanished");
    }
}

#[test]
fn the_sdk_of_aws_learns_what_a_policy_does_not_allow() {
    for how in AWS {
        let mut site = Site::new(&["A-1", "A-2"], NARROW, &[]);
        passes(script(&site, "with_awsiot.py", "refused", &how));
        is_refused_twice(&mut site.endpoint);
    }
}
