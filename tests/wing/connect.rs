//! `certforge connect`: one device at a real MQTT broker, at the rehearsal's endpoint, and at servers that are neither;
//! each way in which it can fail has its own words.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::broker;
use crate::broker::{Broker, free_port, puback};
use crate::devices;
use crate::endpoint::{Endpoint, FIRST, write_narrow_template};
use crate::support::{Workplace, tool};
use serde_json::Value;

const AT_AWS: &str = "is this AWS's ATS endpoint, and this machine's clock right? for an endpoint of your own give its \
                      root with --cafile";
const AT_BROKER: [&str; 4] = ["--host", "127.0.0.1", "--cafile", "broker/root.pem"];
const AT_ENDPOINT: [&str; 4] = ["--host", "localhost", "--cafile", "rehearsal-root.pem"];

/// A factory that has made the device A-1.
struct Site {
    place: Workplace,
    /// The bundle.
    bundle: String,
}

impl Site {
    /// `options`: of the run that made the bundle.
    fn new(options: &[&str]) -> Self {
        let place = Workplace::new();
        place.succeed(&["ca", "new", "--no-passphrase"]);
        devices::make_batch(&place, &["A-1"], options);
        let bundle = devices::bundle(&place, "b", "A-1");
        Self {
            bundle: bundle.to_str().unwrap().to_owned(),
            place,
        }
    }

    fn endpoint(&self) -> Endpoint {
        write_narrow_template(&self.place);
        Endpoint::serve(&self.place, &[])
    }

    fn broker(&self, further: &str) -> Broker {
        Broker::start_with(&self.place, &self.place.join("ca/certificate.pem"), further)
    }

    #[track_caller]
    fn succeeds(&self, options: &[&[&str]]) -> String {
        self.place
            .succeed(&[&["connect", &self.bundle], &options.concat()[..]].concat())
    }

    /// What it says of a failure.
    #[track_caller]
    fn fails(&self, exit_code: i32, options: &[&[&str]]) -> String {
        let arguments = [&["connect", &self.bundle], &options.concat()[..]].concat();
        self.place.fail(&arguments, exit_code)
    }
}

/// What is told, with `0 ms` for each step.
fn without_times(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| match line.split_once(" ms  ") {
        Some((step, detail)) => {
            let name = step.split_whitespace().next().unwrap();
            format!("  {name} 0 ms  {detail}")
        }
        None => line.to_owned(),
    });
    lines.collect()
}

#[track_caller]
fn is_told(told: &str, error: &str, hint: &str) {
    let expected = format!("certforge: error: {error}\ncertforge: hint: {hint}\n");
    assert_eq!(told, expected);
}

#[test]
fn a_first_connection_is_told_step_by_step() {
    let site = Site::new(&["--endpoint", "localhost"]);
    let mut endpoint = site.endpoint();
    // The bundle knows host and client id.
    let told = site.succeeds(&[&["--port", &endpoint.port, "--cafile", "rehearsal-root.pem"]]);
    let first = endpoint.next("A-1");
    let id = first["certificateId"].as_str().unwrap();
    let port = &endpoint.port;
    let tls = "TLS 1.3, TLS_AES_256_GCM_SHA384, server name localhost";
    let expected = [
        format!("A-1, certificate {id}, to localhost:{port}"),
        "  DNS 0 ms  localhost is 127.0.0.1".to_owned(),
        format!("  TCP 0 ms  127.0.0.1:{port}"),
        format!("  TLS 0 ms  {tls}"),
        "  dropped before CONNACK, which AWS IoT does at a device's first connection; again in 2 s"
            .to_owned(),
        "  DNS 0 ms  localhost is 127.0.0.1".to_owned(),
        format!("  TCP 0 ms  127.0.0.1:{port}"),
        format!("  TLS 0 ms  {tls}"),
        "  CONNECT 0 ms  CONNACK, client id A-1".to_owned(),
        "  PUBLISH 0 ms  PUBACK, topic A-1/test".to_owned(),
        "the device comes up".to_owned(),
    ];
    assert_eq!(without_times(&told), expected);
    assert_eq!(first["kind"], FIRST[0]);
    endpoint.tells("A-1", &FIRST[1..]);
    let version = endpoint.tells("A-1", &["connected"]);
    assert_eq!(version, "MQTT 3.1.1, thing A-1");
    let published = endpoint.tells("A-1", &["published"]);
    assert_eq!(published, "A-1/test, 11 octets, QoS 1");
    assert_eq!(endpoint.tells("A-1", &["disconnected"]), "DISCONNECT");
}

#[test]
fn a_first_connection_is_told_as_json() {
    let site = Site::new(&[]);
    let mut endpoint = site.endpoint();
    let told = site.succeeds(&[
        &AT_ENDPOINT,
        &["--port", &endpoint.port, "--mqtt", "5", "--json", "--no-publish"],
    ]);
    let told: Value = serde_json::from_str(&told).unwrap();
    let first = endpoint.next("A-1");
    assert_eq!(told["client_id"], "A-1");
    assert_eq!(told["certificate_id"], first["certificateId"]);
    assert_eq!(told["host"], "localhost");
    assert_eq!(told["port"].to_string(), endpoint.port);
    assert_eq!(told["comes_up"], true);
    let attempts = told["attempts"].as_array().unwrap();
    let names = |attempt: &Value| -> Vec<String> {
        let steps = attempt["steps"].as_array().unwrap().iter();
        steps
            .map(|step| {
                assert!(step["milliseconds"].as_f64().unwrap() >= 0.0, "{step}");
                assert!(!step["detail"].as_str().unwrap().is_empty(), "{step}");
                step["step"].as_str().unwrap().to_owned()
            })
            .collect()
    };
    assert_eq!(attempts.len(), 2);
    assert_eq!(names(&attempts[0]), ["dns", "tcp", "tls"]);
    assert_eq!(attempts[0]["failed_at"], "connect");
    assert_eq!(
        attempts[0]["error"],
        "the server closed the connection before CONNACK"
    );
    assert_eq!(names(&attempts[1]), ["dns", "tcp", "tls", "connect"]);
    assert_eq!(attempts[1]["failed_at"], Value::Null);
    assert_eq!(attempts[1]["error"], Value::Null);
    endpoint.tells("A-1", &FIRST[1..]);
    let version = endpoint.tells("A-1", &["connected"]);
    assert_eq!(version, "MQTT 5, thing A-1");
    assert_eq!(endpoint.tells("A-1", &["disconnected"]), "DISCONNECT");
}

#[test]
fn a_real_broker_takes_the_device() {
    let site = Site::new(&[]);
    let broker = site.broker("");
    let topic = ["--topic", "devices/A-1/state", "--port", &broker.port];
    for version in ["3.1.1", "5"] {
        for sends in [&[][..], &["--leaf-only"]] {
            let told = site.succeeds(&[&AT_BROKER, &topic, &["--mqtt", version], sends]);
            let told = without_times(&told);
            assert_eq!(told[1], "  DNS 0 ms  127.0.0.1 is 127.0.0.1");
            assert_eq!(told[4], "  CONNECT 0 ms  CONNACK, client id A-1");
            let nobody = match version {
                "5" => "; nobody has subscribed to it",
                _ => "",
            };
            assert_eq!(
                told[5],
                format!("  PUBLISH 0 ms  PUBACK, topic devices/A-1/state{nobody}")
            );
            assert_eq!(told[6..], ["the device comes up"]);
        }
    }
    broker.wait_for("Received DISCONNECT from A-1", 4);
    let log = broker.stop();
    for protocol in ["p2", "p5"] {
        let greeting = format!("as A-1 ({protocol}, c1, k60, u'A-1')");
        assert_eq!(log.matches(&greeting).count(), 2, "{log}");
    }
    assert_eq!(log.matches("Received DISCONNECT from A-1").count(), 4, "{log}");
}

#[test]
fn the_commands_for_mosquitto_do_the_same() {
    let site = Site::new(&[]);
    let mut endpoint = site.endpoint();
    for (i, options) in [
        &["--mqtt", "3.1.1"][..],
        &["--mqtt", "5"],
        &["--leaf-only"],
        &["--message", "it's $HOME; \"light\"", "--topic", "A-1/it's here"],
    ]
    .into_iter()
    .enumerate()
    {
        let printed = site.succeeds(&[
            &AT_ENDPOINT,
            &["--port", &endpoint.port, "--print-mosquitto"],
            options,
        ]);
        if i == 0 {
            assert!(!site.place.join("A-1").exists(), "it only prints");
            let output = tool("sh", &["-ec", &printed], site.place.path());
            assert!(!output.status.success(), "{output:?}");
            endpoint.tells("A-1", &FIRST);
        }
        let output = tool("sh", &["-ec", &printed], site.place.path());
        assert!(
            output.status.success() && puback_or_plain(&output),
            "{printed}\n{output:?}"
        );
        let published = {
            endpoint.tells("A-1", &["connected"]);
            endpoint.tells("A-1", &["published"])
        };
        let expected = match i {
            3 => "A-1/it's here, 19 octets, QoS 1",
            _ => "A-1/test, 11 octets, QoS 1",
        };
        assert_eq!(published, expected);
        endpoint.tells("A-1", &["disconnected"]);
    }
    let key = site.place.join("A-1/private.pem.key");
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(key).unwrap().permissions());
    assert_eq!(mode & 0o077, 0, "{mode:o}");
    // The same from a folder, whatever it is called, and by way of the port that stands for 443.
    drop(endpoint);
    let mut endpoint = Endpoint::serve(&site.place, &["--alpn-address", "127.0.0.1:0"]);
    let here = site.place.path();
    devices::unpack(&site.place, Path::new(&site.bundle), "it's $HOME");
    fs::rename(site.place.join("it's $HOME"), site.place.join("-it's $HOME")).unwrap();
    fs::copy(&site.bundle, here.join("a bundle.zip")).unwrap();
    let port = endpoint.alpn_port.clone().unwrap();
    let come_up_with = |bundle: &[&str]| {
        let options = ["--port", &port, "--alpn", "--print-mosquitto"];
        let printed = site
            .place
            .succeed(&[&["connect"], &AT_ENDPOINT[..], &options, bundle].concat());
        for attempt in 0..2 {
            let output = tool("sh", &["-ec", &printed], here);
            let is_up = output.status.success() && puback_or_plain(&output);
            assert!(is_up || attempt == 0, "{printed}\n{output:?}");
        }
        printed
    };
    let printed = come_up_with(&["--", "-it's $HOME"]);
    assert!(!printed.contains("unzip"), "{printed}");
    let printed = come_up_with(&["a bundle.zip"]);
    assert!(printed.contains("unzip -o 'a bundle.zip' -d A-1\n"), "{printed}");
    endpoint.tells("A-1", &FIRST);
    let printed = site.succeeds(&[&AT_ENDPOINT, &["--port", "443", "--print-mosquitto"]]);
    assert!(
        printed.contains(" -p 443 --tls-alpn x-amzn-mqtt-ca --cafile "),
        "{printed}"
    );
}

/// Whether `mosquitto_pub -d` saw its message acknowledged.
fn puback_or_plain(output: &std::process::Output) -> bool {
    puback(output).is_some_and(|code| code < 0x80)
}

#[test]
fn a_subscription_of_the_firmware_is_made_and_one_that_is_refused_is_told() {
    let site = Site::new(&[]);
    let mut endpoint = site.endpoint();
    let port = ["--port", &endpoint.port.clone()];
    let wanted: Vec<String> = (0..9).map(|n| format!("{{client_id}}/{n}/#")).collect();
    let wanted: Vec<&str> = wanted.iter().flat_map(|filter| ["--subscribe", filter]).collect();
    let told = without_times(&site.succeeds(&[&AT_ENDPOINT, &port, &wanted]));
    // As many in one packet as AWS IoT takes.
    let last: Vec<String> = (0..8).map(|n| format!("A-1/{n}/#")).collect();
    assert!(
        told.contains(&format!("  SUBSCRIBE 0 ms  SUBACK, {}", last.join(", "))),
        "{told:?}"
    );
    assert!(
        told.contains(&"  SUBSCRIBE 0 ms  SUBACK, A-1/8/#".to_owned()),
        "{told:?}"
    );
    endpoint.tells("A-1", &FIRST);
    for (version, code) in [("3.1.1", "0x80"), ("5", "0x87")] {
        let other = [
            "--subscribe",
            "{thing_name}/in",
            "--subscribe",
            "A-2/#",
            "--mqtt",
            version,
        ];
        is_told(
            &site.fails(1, &[&AT_ENDPOINT, &port, &other]),
            &format!("the server refuses the subscription to A-2/# with code {code}"),
            "the policy does not allow iot:Subscribe to this filter, which goes by topicfilter/ and not by topic/; \
             `certforge rehearse --subscribe FILTER` with the same template says why",
        );
    }
}

#[test]
fn a_host_that_nobody_knows_is_told() {
    let site = Site::new(&[]);
    let told = site.fails(1, &[&["--host", "nowhere.invalid"]]);
    let (error, hint) = told.split_once('\n').unwrap();
    // The rest is the system's.
    assert!(
        error.starts_with("certforge: error: DNS: nowhere.invalid is not found: "),
        "{error}"
    );
    assert_eq!(
        hint,
        "certforge: hint: is this the account's endpoint? `aws iot describe-endpoint --endpoint-type iot:Data-ATS` \
         says; and is there a network?\n"
    );
}

#[test]
fn a_port_where_nobody_listens_is_told() {
    let site = Site::new(&[]);
    let port = free_port().to_string();
    let to = ["--host", "127.0.0.1", "--port", &port];
    let error = format!("TCP: 127.0.0.1:{port} cannot be reached: Connection refused (os error 111)");
    is_told(
        &site.fails(1, &[&to]),
        &error,
        "does a firewall let the port out? AWS IoT takes devices on 8883 and 443",
    );
    // For machines the document says the same, and the exit code.
    let output = site
        .place
        .run(&[&["connect", &site.bundle, "--json"], &to[..]].concat());
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        format!(
            "certforge: error: {error}\ncertforge: hint: does a firewall let the port out? AWS IoT takes devices on 8883 and 443\n"
        )
    );
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["comes_up"], false);
    assert_eq!(told["attempts"][0]["failed_at"], "tcp");
    assert_eq!(told["attempts"][0]["error"], error);
    assert_eq!(told["attempts"][0]["steps"][0]["step"], "dns");
}

#[test]
fn a_server_that_the_device_does_not_trust_is_told() {
    let site = Site::new(&[]);
    let endpoint = site.endpoint();
    let to = ["--host", "localhost", "--port", &endpoint.port];
    let error =
        "TLS: the server's certificate is not accepted: none of the roots that the device has leads to it";
    // The bundle has Amazon's roots.
    is_told(&site.fails(1, &[&to]), error, AT_AWS);
    is_told(
        &site.fails(1, &[&to, &["--cafile", "ca/certificate.pem"]]),
        error,
        AT_AWS,
    );
}

#[test]
fn a_server_of_another_name_is_told() {
    let site = Site::new(&[]);
    let server = NoMqtt::start(&site, "silent", "DNS:elsewhere");
    let told = site.fails(1, &[&AT_BROKER, &["--port", &server.port]]);
    is_told(
        &told,
        "TLS: the server's certificate is not accepted: it is for another name than that of the host",
        AT_AWS,
    );
}

#[test]
fn a_ca_that_the_server_does_not_know_is_told() {
    let site = Site::new(&[]);
    let place = &site.place;
    place.succeed(&["ca", "new", "--no-passphrase", "--to", "other"]);
    let error = "TLS: the server refuses the device's certificate with alert unknown_ca (48): it does not know the CA; is it \
                 registered there?";
    let hint =
        "`certforge jitp status` shows whether the CA is registered and active in that account and Region";
    let broker = Broker::start(place, &place.join("other/certificate.pem"));
    is_told(
        &site.fails(1, &[&AT_BROKER, &["--port", &broker.port]]),
        error,
        hint,
    );
    write_narrow_template(place);
    fs::rename(place.join("ca"), place.join("own")).unwrap();
    fs::rename(place.join("other"), place.join("ca")).unwrap();
    let mut endpoint = Endpoint::serve(place, &[]);
    is_told(
        &site.fails(1, &[&AT_ENDPOINT, &["--port", &endpoint.port]]),
        error,
        hint,
    );
    let why = endpoint.tells("A-1", &["refused"]);
    assert!(why.starts_with("TLS: "), "{why}");
}

#[test]
fn a_device_that_is_dropped_at_every_attempt_is_told() {
    let site = Site::new(&[]);
    let mut endpoint = site.endpoint();
    let port = endpoint.port.clone();
    let to = ["--port", &port, "--client-id", "B-2"];
    let error = "the server closed the connection before CONNACK";
    is_told(
        &site.fails(1, &[&AT_ENDPOINT, &to, &["--attempts", "1"]]),
        error,
        "the first connection of a device is dropped; allow more with --attempts",
    );
    // The policy lets the thing's name connect, and no other.
    is_told(
        &site.fails(1, &[&AT_ENDPOINT, &to, &["--attempts", "2"]]),
        error,
        "dropped 2 times: the certificate stays PENDING_ACTIVATION because its template fails, or is INACTIVE or \
         REVOKED, or its policy does not let client id connect; `certforge rehearse` with the same template says which",
    );
    endpoint.tells("A-1", &FIRST);
    let why = endpoint.tells("A-1", &["refused", "refused"]);
    assert!(why.contains("B-2"), "{why}");
}

const NOT_ADMITTED: &str =
    "does the policy allow iot:Connect for this client id? `certforge rehearse` with the same template says";

#[test]
fn a_client_id_that_may_not_connect_is_told() {
    let site = Site::new(&[]);
    let mut endpoint = site.endpoint();
    let to = ["--port", &endpoint.port, "--client-id", "B-2", "--mqtt", "5"];
    let told = site.fails(1, &[&AT_ENDPOINT, &to]);
    endpoint.tells("A-1", &FIRST);
    let why = endpoint.tells("A-1", &["refused"]);
    let error = format!("CONNACK: the server refuses the connection with code 0x87: {why}");
    is_told(&told, &error, NOT_ADMITTED);
}

#[test]
fn a_broker_that_refuses_the_client_id_is_told() {
    let site = Site::new(&[]);
    let broker = site.broker("clientid_prefixes B\n");
    for (version, reason) in [
        ("3.1.1", "Connection Refused, not authorized"),
        ("5", "not authorized"),
    ] {
        is_told(
            &site.fails(1, &[&AT_BROKER, &["--port", &broker.port, "--mqtt", version]]),
            &format!("CONNACK: the server refuses the connection with code 0x87: {reason}"),
            NOT_ADMITTED,
        );
    }
}

const NOT_PUBLISHED: &str = "the policy does not allow iot:Publish to this topic, so the server disconnects; name one \
                             that it allows with --topic";

#[test]
fn a_topic_that_may_not_be_published_to_is_told() {
    let site = Site::new(&[]);
    let mut endpoint = site.endpoint();
    let port = endpoint.port.clone();
    let to = ["--port", &port];
    site.succeeds(&[&AT_ENDPOINT, &to]);
    endpoint.tells("A-1", &FIRST);
    endpoint.tells("A-1", &["connected", "published", "disconnected"]);
    is_told(
        &site.fails(1, &[&AT_ENDPOINT, &to, &["--topic", "B-2/test"]]),
        "the server closed the connection after PUBLISH to B-2/test, before PUBACK",
        NOT_PUBLISHED,
    );
    endpoint.tells("A-1", &["connected", "refused"]);
    let told = site.fails(1, &[&AT_ENDPOINT, &to, &["--topic", "B-2/test", "--mqtt", "5"]]);
    let why = endpoint.tells("A-1", &["connected", "refused"]);
    is_told(
        &told,
        &format!("the server refuses the message to B-2/test with code 0x87: {why}"),
        NOT_PUBLISHED,
    );
}

#[test]
fn a_broker_that_refuses_the_topic_is_told() {
    let site = Site::new(&[]);
    let broker = site.broker("");
    is_told(
        &site.fails(
            1,
            &[
                &AT_BROKER,
                &["--port", &broker.port, "--topic", "B-2/test", "--mqtt", "5"],
            ],
        ),
        "the server refuses the message to B-2/test with code 0x87: no reason given",
        NOT_PUBLISHED,
    );
}

/// A TLS server of `tests/wing/connect`, until it is dropped.
struct NoMqtt {
    process: Child,
    port: String,
}

impl NoMqtt {
    /// With a certificate for these names.
    fn start(site: &Site, kind: &str, names: &str) -> Self {
        let folder = site.place.join("broker");
        fs::create_dir(&folder).unwrap();
        broker::make_server_certificate(&folder, names);
        let python = std::env::var("CERTFORGE_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let script: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wing/connect/no_mqtt.py");
        let mut process = Command::new(python)
            .arg(script)
            .args([kind, "broker/server.pem", "broker/server.key"])
            .current_dir(site.place.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut port)
            .unwrap();
        Self {
            process,
            port: port.trim().to_owned(),
        }
    }
}

impl Drop for NoMqtt {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_server_that_speaks_http_over_tls_is_told() {
    let site = Site::new(&[]);
    let server = NoMqtt::start(&site, "http", "IP:127.0.0.1");
    is_told(
        &site.fails(1, &[&AT_BROKER, &["--port", &server.port]]),
        "MQTT: this is no MQTT, it begins with \"HTTP/1.1 400 Bad\"",
        "does an MQTT broker listen there?",
    );
}

const SLOW: &str = "is the endpoint right and the network up? allow more time with --timeout";

#[test]
fn a_server_that_speaks_tls_and_says_nothing_more_is_told() {
    let site = Site::new(&[]);
    let server = NoMqtt::start(&site, "silent", "IP:127.0.0.1");
    is_told(
        &site.fails(1, &[&AT_BROKER, &["--port", &server.port, "--timeout", "1"]]),
        "no answer within 1 s to CONNECT",
        SLOW,
    );
}

#[test]
fn a_server_that_accepts_and_says_nothing_is_told() {
    let site = Site::new(&[]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    is_told(
        &site.fails(1, &[&["--host", "127.0.0.1", "--port", &port, "--timeout", "1"]]),
        "no answer within 1 s to the TLS handshake",
        SLOW,
    );
}

#[test]
fn a_server_without_tls_is_told() {
    let site = Site::new(&[]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"220 mail.example.com ESMTP\r\n").unwrap();
        // Until the client goes.
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    is_told(
        &site.fails(1, &[&["--host", "127.0.0.1", "--port", &port]]),
        "TLS: what the server sends is no TLS",
        "does a TLS endpoint of MQTT listen there?",
    );
    server.join().unwrap();
}

#[test]
fn a_device_comes_up_with_whatever_its_bundle_holds() {
    let endpoint = ["--endpoint", "a.example"];
    for profile in ["gateway-pkcs12", "esp32-secure-cert", "esp32-nvs", "modem-sec1"] {
        let site = Site::new(&[&endpoint[..], &["--profile", profile]].concat());
        let mut endpoint = site.endpoint();
        let port = endpoint.port.clone();
        let to = ["--port", &port];
        site.succeeds(&[&AT_ENDPOINT, &to, &["--client-id", "A-1", "--topic", "A-1/test"]]);
        endpoint.tells("A-1", &FIRST);
        endpoint.tells("A-1", &["connected", "published", "disconnected"]);
        // The same from a folder.
        devices::unpack(&site.place, Path::new(&site.bundle), "A-1");
        site.place.succeed(
            &[
                &["connect", "A-1", "--client-id", "A-1", "--topic", "A-1/test"],
                &AT_ENDPOINT[..],
                &to,
            ]
            .concat(),
        );
        endpoint.tells("A-1", &["connected", "published", "disconnected"]);
        if profile == "gateway-pkcs12" {
            opens_with_its_password_alone(&site, &to);
        }
    }
}

/// The PKCS#12 file of a gateway by itself.
fn opens_with_its_password_alone(site: &Site, to: &[&str]) {
    let place = &site.place;
    let path = place.join("A-1/device.p12.password");
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let connect = [&["connect", "A-1/device.p12"], &AT_ENDPOINT[..], to].concat();
    let with = ["--pkcs12-password-file", "A-1/device.p12.password"];
    let greeting = ["--client-id", "A-1", "--topic", "A-1/test"];
    place.succeed(&[&connect[..], &with, &greeting].concat());
    is_told(
        &place.fail(&connect, 2),
        "bundle A-1/device.p12: the file opens with none of the passwords and keys beside it",
        "give the folder in which its password or keys lie beside it, or the password with --pkcs12-password-file",
    );
}

#[test]
fn a_key_that_hardware_alone_can_use_is_told() {
    let profile = "name = \"ds\"
        [key]
        type = \"RSA-2048\"
        [[bundle.files]]
        name = \"esp_secure_cert.bin\"
        format = \"esp-secure-cert\"
        ds = { chip = \"esp32s3\", efuse_key = 1 }
        [[bundle.files]]
        name = \"hmac_key.bin\"
        content = \"hmac-key\"
        ";
    let place = Workplace::new();
    place.succeed(&["ca", "new", "--no-passphrase"]);
    fs::write(place.join("ds.toml"), profile).unwrap();
    devices::make_batch(&place, &["A-1"], &["--profile", "ds.toml"]);
    let bundle = devices::bundle(&place, "b", "A-1");
    let bundle = bundle.to_str().unwrap();
    is_told(
        &place.fail(&["connect", bundle, "--host", "127.0.0.1"], 2),
        &format!(
            "bundle {bundle}: esp_secure_cert.bin holds the key as the DS peripheral of its chip needs it, and nothing else can use it"
        ),
        "such a device connects by itself alone; `certforge rehearse --serve` is an endpoint for it",
    );
}

#[test]
fn a_bundle_that_names_no_endpoint_is_told() {
    let site = Site::new(&[]);
    is_told(
        &site.fails(2, &[]),
        &format!("bundle {} names no endpoint", site.bundle),
        "name it with --host, such as a1b2c3-ats.iot.eu-west-1.amazonaws.com",
    );
}

#[test]
fn what_is_no_bundle_is_told() {
    let site = Site::new(&[]);
    let place = &site.place;
    let to = ["--host", "127.0.0.1"];
    let connect = |bundle: &str| place.fail(&[&["connect", bundle], &to[..]].concat(), 2);
    let hint = "give the ZIP of one device, as certforge made it";
    is_told(
        &connect("devices.csv"),
        "bundle devices.csv: the zip is damaged: invalid Zip archive: Could not find EOCD",
        hint,
    );
    let python = "import zipfile; zipfile.ZipFile('some.zip', 'w').write('devices.csv')";
    let output = tool("python3", &["-c", python], place.path());
    assert!(output.status.success(), "{output:?}");
    is_told(
        &connect("some.zip"),
        "bundle some.zip: the bundle has no private key in PEM, DER, PKCS#12, esp_secure_cert or NVS",
        "of a C header or a file of your own the key is not read: give a bundle that has it in PEM too",
    );
    place.succeed(&[
        "run",
        "devices.csv",
        "--no-endpoint",
        "--batch",
        "p",
        "--layout",
        "packs",
        "--reissue",
    ]);
    let error = connect("out/p/packs/000000.zip");
    assert!(
        error.contains("this is a pack, with the bundles of") && error.contains("station claim --out DIR"),
        "{error}"
    );
    is_told(
        &connect("none.zip"),
        "bundle none.zip cannot be read: No such file or directory (os error 2)",
        "give the ZIP of one device, or its folder; `certforge station claim` takes one out of a batch",
    );
    is_told(
        &site.fails(2, &[&to, &["--cafile", "devices.csv"]]),
        "TLS: the root certificates are of no use",
        "give root certificates, PEM, with --cafile",
    );
}
