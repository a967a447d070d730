//! CAs: those that certforge makes are read by openssl, those that openssl makes are signed with,
//! and a CA that is not fit to sign is refused before anything is made.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::judge::{judge_accepts, openssl};
use crate::support::{Workplace, tool};

/// The exit code for whatever is wrong with a CA.
const ISSUER: i32 = 5;
/// Where bundles are made, by `--batch first`.
const BATCH: &str = "out/first";
/// The passphrase as openssl takes it.
const PASS: &str = "pass:correct horse: battery 'stäple'";
const PASSPHRASE: &str = PASS.split_at("pass:".len()).1;
const P256: [&str; 5] = [
    "genpkey",
    "-algorithm",
    "EC",
    "-pkeyopt",
    "ec_paramgen_curve:P-256",
];
const CA_EXTENSIONS: &str = "basicConstraints=critical,CA:TRUE\n\
                             keyUsage=critical,keyCertSign,cRLSign\n\
                             subjectKeyIdentifier=hash\n";

/// Writes a file for its owner alone, as a passphrase file must be.
fn write_private(workplace: &Workplace, name: &str, text: &str) {
    let path = workplace.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

/// Runs certforge with the passphrase in the environment.
fn succeed_with_passphrase(workplace: &Workplace, arguments: &[&str]) {
    let mut command = workplace.command(arguments);
    let output = command
        .env("CERTFORGE_CA_PASSPHRASE", PASSPHRASE)
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}\n{output:?}");
}

/// certforge refuses the CA, says why, and has made nothing.
fn refuses(workplace: &Workplace, arguments: &[&str], message: &str) {
    workplace.manifest(8);
    let stderr = workplace.fail(
        &[&["run", "devices.csv", "--no-endpoint"], arguments].concat(),
        ISSUER,
    );
    assert!(
        stderr.starts_with("certforge: error: ") && stderr.contains(message),
        "{stderr}not {message}"
    );
    assert_nothing_is_made(workplace);
}

fn assert_nothing_is_made(workplace: &Workplace) {
    assert!(!workplace.join("out").exists(), "there is no out folder");
    if workplace.join("ca/ledger.db").exists() {
        let batches = workplace.succeed(&["status", "--json"]);
        assert_eq!(batches.trim(), "[]", "the ledger has no rows");
    }
}

/// Makes bundles with the CA and has openssl and the judge look at them; `chain` goes from the issuer
/// to the root.
fn judges_accept_devices(workplace: &Workplace, ca: &[&str], chain: &[&str]) {
    workplace.manifest(8);
    succeed_with_passphrase(
        workplace,
        &[&["run", "devices.csv", "--no-endpoint", "--batch", "first"], ca].concat(),
    );
    let batch = workplace.join(BATCH);
    let (issuer, root) = (chain[0], chain[chain.len() - 1]);
    let certificates = batch.join("certificates/000000.pem");
    let mut verify = vec!["verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", root];
    for untrusted in &chain[..chain.len() - 1] {
        verify.extend(["-untrusted", untrusted]);
    }
    verify.push(certificates.to_str().unwrap());
    openssl(&verify, workplace.path());
    if chain.len() <= 2 {
        judge_accepts(&batch, 8, &["--issuer", issuer, "--root", root], workplace.path());
    }
}

#[test]
fn openssl_opens_a_new_ca_with_its_passphrase() {
    let workplace = Workplace::new();
    write_private(
        &workplace,
        "passphrase",
        &format!("{PASSPHRASE}\r\nanother line\n"),
    );
    workplace.succeed(&["ca", "new", "--passphrase-file", "passphrase", "--to", "by-file"]);
    succeed_with_passphrase(
        &workplace,
        &["ca", "new", "--key", "RSA-2048", "--to", "by-variable"],
    );
    for folder in ["by-file", "by-variable"] {
        let ca = workplace.join(folder);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&ca), mode(&ca.join("key.pem"))), (0o700, 0o600));
        let pem = fs::read_to_string(ca.join("key.pem")).unwrap();
        assert!(pem.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));

        let pkey = ["pkey", "-in", "key.pem", "-passin", PASS];
        let verdict = openssl(&[&pkey[..], &["-check", "-noout"]].concat(), &ca);
        assert_eq!(verdict, "Key is valid\n");
        let of_key = openssl(&[&pkey[..], &["-pubout"]].concat(), &ca);
        let of_certificate = openssl(&["x509", "-in", "certificate.pem", "-pubkey", "-noout"], &ca);
        assert_eq!(of_key, of_certificate);
        let wrong = ["pkey", "-in", "key.pem", "-passin", "pass:wrong", "-noout"];
        assert!(!tool("openssl", &wrong, &ca).status.success());
    }
    judges_accept_devices(&workplace, &["--ca", "by-file"], &["by-file/certificate.pem"]);
}

#[test]
fn a_wrong_or_missing_passphrase_is_refused() {
    let workplace = Workplace::new();
    succeed_with_passphrase(&workplace, &["ca", "new"]);
    write_private(&workplace, "wrong", "incorrect horse\n");
    write_private(&workplace, "empty", "\n");
    let wrong = "the passphrase does not open ca/key.pem";
    for (arguments, message) in [
        (&["--passphrase-file", "wrong"][..], wrong),
        (&["--passphrase-file", "empty"], wrong),
        (&["--passphrase-file", "absent"], "no passphrase for ca/key.pem"),
        (&[], "no passphrase for ca/key.pem"),
    ] {
        refuses(&workplace, &[&["--ca", "ca"], arguments].concat(), message);
    }
    let message = workplace.fail(
        &["ca", "new", "--to", "new", "--passphrase-file", "empty"],
        ISSUER,
    );
    assert!(
        message.contains("an empty passphrase protects nothing"),
        "{message}"
    );
    let message = workplace.fail(&["ca", "new", "--to", "new"], ISSUER);
    assert!(message.contains("no passphrase for new/key.pem"), "{message}");
    assert!(!workplace.join("new").exists());
}

#[test]
fn openssl_accepts_new_roots_and_intermediates() {
    for (root_key, ca_key) in [("P-256", "P-256"), ("P-384", "RSA-2048"), ("RSA-2048", "P-521")] {
        let workplace = Workplace::new();
        let subject = ["--organization", "Zürich, Nord", "--country", "CH"];
        let root = ["ca", "new", "--to", "root", "--key", root_key];
        succeed_with_passphrase(&workplace, &[&root[..], &subject].concat());
        write_private(&workplace, "passphrase", PASSPHRASE);
        let parent = ["--parent", "root", "--parent-passphrase-file", "passphrase"];
        let ca = ["ca", "new", "--no-passphrase", "--key", ca_key];
        workplace.succeed(&[&ca[..], &parent].concat());

        let verify = ["verify", "-x509_strict", "-CAfile", "root/certificate.pem"];
        openssl(
            &[&verify[..], &["root/certificate.pem", "ca/certificate.pem"]].concat(),
            workplace.path(),
        );
        let read = |path| fs::read_to_string(workplace.join(path)).unwrap();
        assert_eq!(read("ca/chain.pem"), read("root/certificate.pem"));
        let chain = ["ca/certificate.pem", "root/certificate.pem"];
        judges_accept_devices(&workplace, &["--ca", "ca"], &chain);
    }
}

#[test]
fn openssl_accepts_devices_of_a_ca_two_below_the_root() {
    let workplace = Workplace::new();
    let new = ["ca", "new", "--no-passphrase"];
    workplace.succeed(&[&new[..], &["--to", "root"]].concat());
    let middle = ["--to", "middle", "--parent", "root", "--path-len", "1"];
    workplace.succeed(&[&new[..], &middle].concat());
    workplace.succeed(&[&new[..], &["--parent", "middle"]].concat());
    let chain = [
        "ca/certificate.pem",
        "middle/certificate.pem",
        "root/certificate.pem",
    ];
    judges_accept_devices(&workplace, &["--ca", "ca"], &chain);
}

/// Makes `theirs/key.pem` with openssl: by the command, then encrypted or recoded by the others.
fn their_key(workplace: &Workplace, commands: &[&[&str]]) {
    key_in(workplace, "theirs", commands);
}

fn key_in(workplace: &Workplace, folder: &str, commands: &[&[&str]]) {
    let folder = workplace.join(folder);
    fs::create_dir_all(&folder).unwrap();
    for (step, command) in commands.iter().enumerate() {
        let input: &[&str] = if step > 0 { &["-in", "key.pem"] } else { &[] };
        let pem = openssl(&[command, input].concat(), &folder);
        fs::write(folder.join("key.pem"), pem).unwrap();
    }
    fs::set_permissions(folder.join("key.pem"), Permissions::from_mode(0o600)).unwrap();
}

/// Makes `theirs/certificate.pem` with openssl, self-signed, with these extensions.
fn their_certificate(workplace: &Workplace, subject: &str, extensions: &str) {
    let folder = workplace.join("theirs");
    fs::write(folder.join("extensions"), extensions).unwrap();
    let request = ["req", "-new", "-utf8", "-key", "key.pem", "-subj", subject];
    let passin = ["-passin", PASS];
    openssl(
        &[&request[..], &["-out", "request.csr"], &passin].concat(),
        &folder,
    );
    let sign = ["x509", "-req", "-in", "request.csr", "-signkey", "key.pem"];
    let rest = ["-days", "3650", "-out", "certificate.pem"];
    let extensions: &[&str] = match extensions {
        "" => &[],
        _ => &["-extfile", "extensions"],
    };
    openssl(&[&sign[..], &rest, extensions, &passin].concat(), &folder);
}

/// Makes `theirs` with openssl: a CA of a P-256 key, valid between two moments (YYYYMMDDHHMMSSZ).
fn their_dated_ca(workplace: &Workplace, start: &str, end: &str) {
    their_key(workplace, &[&P256]);
    their_certificate(workplace, "/CN=Their CA", CA_EXTENSIONS);
    let folder = workplace.join("theirs");
    let config = "[ca]\ndefault_ca = ca\n[ca]\ndatabase = database\nnew_certs_dir = .\ndefault_md = sha256\n\
                  rand_serial = yes\npolicy = policy\n[policy]\ncommonName = supplied\n";
    fs::write(folder.join("config"), config).unwrap();
    fs::write(folder.join("database"), "").unwrap();
    let ca = [
        "ca",
        "-batch",
        "-config",
        "config",
        "-selfsign",
        "-keyfile",
        "key.pem",
    ];
    let files = ["-in", "request.csr", "-out", "certificate.pem", "-notext"];
    let dates = ["-startdate", start, "-enddate", end];
    openssl(
        &[&ca[..], &files, &dates, &["-extfile", "extensions"]].concat(),
        &folder,
    );
}

const BY_FOLDER: [&str; 2] = ["--ca", "theirs"];

#[test]
fn cas_of_openssl_sign_whatever_form_their_key_has() {
    const PKCS8: &str = "BEGIN PRIVATE KEY";
    const ENCRYPTED: &str = "BEGIN ENCRYPTED PRIVATE KEY";
    const PARAMETERS: &str = "BEGIN EC PARAMETERS";
    const SEC1: &str = "BEGIN EC PRIVATE KEY";
    let p384 = [
        "genpkey",
        "-algorithm",
        "EC",
        "-pkeyopt",
        "ec_paramgen_curve:P-384",
    ];
    let p521 = [
        "genpkey",
        "-algorithm",
        "EC",
        "-pkeyopt",
        "ec_paramgen_curve:P-521",
    ];
    let rsa = ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
    let ecparam = |curve| ["ecparam", "-genkey", "-name", curve];
    let bare = ["ecparam", "-genkey", "-name", "secp521r1", "-noout"];
    let compressed = [
        "ecparam",
        "-genkey",
        "-name",
        "prime256v1",
        "-noout",
        "-conv_form",
        "compressed",
    ];
    let pkcs8 = ["pkcs8", "-topk8", "-passout", PASS, "-v2"];
    let aes256 = [&pkcs8[..], &["aes-256-cbc"]].concat();
    let weak = [&pkcs8[..], &["aes-256-cbc", "-iter", "1000"]].concat();
    let scrypt = [&pkcs8[..], &["aes-256-cbc", "-scrypt"]].concat();
    let sha512 = [&pkcs8[..], &["aes-128-cbc", "-v2prf", "hmacWithSHA512"]].concat();
    let forms: [(&str, &[&[&str]]); 14] = [
        (PKCS8, &[&P256]),
        (PKCS8, &[&p384]),
        (PKCS8, &[&p521]),
        (PKCS8, &[&rsa]),
        (PARAMETERS, &[&ecparam("prime256v1")]),
        (PARAMETERS, &[&ecparam("secp384r1")]),
        (SEC1, &[&bare]),
        (SEC1, &[&compressed]),
        ("BEGIN RSA PRIVATE KEY", &[&["genrsa", "-traditional", "2048"]]),
        (ENCRYPTED, &[&P256, &aes256]),
        (ENCRYPTED, &[&rsa, &aes256]),
        (ENCRYPTED, &[&p384, &sha512]),
        (ENCRYPTED, &[&P256, &scrypt]),
        (ENCRYPTED, &[&p521, &weak]),
    ];
    for (i, (label, commands)) in forms.into_iter().enumerate() {
        let workplace = Workplace::new();
        their_key(&workplace, commands);
        let pem = fs::read_to_string(workplace.join("theirs/key.pem")).unwrap();
        assert!(pem.contains(label), "{commands:?} writes no {label}");
        their_certificate(&workplace, "/O=Their company/CN=Their CA", CA_EXTENSIONS);
        if i % 2 == 0 {
            judges_accept_devices(&workplace, &BY_FOLDER, &["theirs/certificate.pem"]);
        } else {
            let rename = |from, to| fs::rename(workplace.join(from), workplace.join(to)).unwrap();
            rename("theirs/certificate.pem", "their-ca.crt");
            rename("theirs/key.pem", "their-ca.key");
            let files = ["--ca-certificate", "their-ca.crt", "--ca-key", "their-ca.key"];
            judges_accept_devices(&workplace, &files, &["their-ca.crt"]);
        }
    }
}

#[test]
fn cas_of_openssl_sign_whatever_their_certificate_says() {
    for (subject, extensions) in [
        (
            "/C=DE/ST=Bayern/L=München/O=Müller & Söhne/CN=Gerätezertifikate",
            CA_EXTENSIONS,
        ),
        ("/O=Two values+OU=in one RDN/CN=Their CA", CA_EXTENSIONS),
        (
            "/CN=No keyUsage",
            "basicConstraints=CA:TRUE\nsubjectKeyIdentifier=hash\n",
        ),
        (
            "/CN=pathLen 0",
            "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign\n\
             subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid,issuer\n",
        ),
    ] {
        let workplace = Workplace::new();
        their_key(&workplace, &[&P256]);
        their_certificate(&workplace, subject, extensions);
        workplace.manifest(8);
        workplace.succeed(&[
            "run",
            "devices.csv",
            "--no-endpoint",
            "--batch",
            "first",
            "--ca",
            "theirs",
        ]);
        let batch = workplace.join(BATCH);
        let certificates = batch.join("certificates/000000.pem");
        openssl(
            &[
                "verify",
                "-CAfile",
                "theirs/certificate.pem",
                certificates.to_str().unwrap(),
            ],
            workplace.path(),
        );
        let name = |side, path| {
            let text = openssl(&["x509", "-in", path, "-noout", side], workplace.path());
            text.split_once('=').unwrap().1.to_owned()
        };
        assert_eq!(
            name("-issuer", certificates.to_str().unwrap()),
            name("-subject", "theirs/certificate.pem")
        );
    }
}

#[test]
fn files_with_text_and_with_crlf_are_read() {
    let workplace = Workplace::new();
    their_key(&workplace, &[&P256, &["ec", "-text"]]);
    their_certificate(&workplace, "/CN=Their CA", CA_EXTENSIONS);
    let certificate = workplace.join("theirs/certificate.pem");
    let text = openssl(
        &["x509", "-in", "theirs/certificate.pem", "-text"],
        workplace.path(),
    );
    assert!(text.starts_with("Certificate:\n    Data:"));
    fs::write(&certificate, text.replace('\n', "\r\n")).unwrap();
    let key = workplace.join("theirs/key.pem");
    let text = fs::read_to_string(&key).unwrap();
    assert!(text.starts_with("Private-Key:"));
    fs::write(&key, text.replace('\n', "\r\n")).unwrap();
    judges_accept_devices(&workplace, &BY_FOLDER, &["theirs/certificate.pem"]);
}

#[test]
fn devices_of_a_ca_without_expiry_need_not_expire() {
    let workplace = Workplace::new();
    their_dated_ca(&workplace, "20260101000000Z", "99991231235959Z");
    fs::write(
        workplace.join("profile.toml"),
        "name = \"forever\"\nvalidity.none = true\n",
    )
    .unwrap();
    let ca = [&BY_FOLDER[..], &["--profile", "profile.toml"]].concat();
    judges_accept_devices(&workplace, &ca, &["theirs/certificate.pem"]);
    let index = fs::read_to_string(workplace.join(BATCH).join("index/000000.csv")).unwrap();
    assert_eq!(index.matches("9999-12-31T23:59:59Z").count(), 8);
}

#[test]
fn a_certificate_that_is_no_ca_is_refused() {
    for (extensions, message) in [
        (
            "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,keyCertSign\n",
            "is not a CA certificate: basicConstraints says CA:FALSE",
        ),
        ("", "is not a CA certificate: it has no basicConstraints"),
        (
            "keyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash\n",
            "is not a CA certificate: it has no basicConstraints",
        ),
        (
            "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,digitalSignature,cRLSign\n",
            "is not a CA certificate: keyUsage lacks keyCertSign",
        ),
    ] {
        let workplace = Workplace::new();
        their_key(&workplace, &[&P256]);
        their_certificate(&workplace, "/CN=No CA", extensions);
        let files = ["certificate.pem", "key.pem"].map(|name| format!("theirs/{name}"));
        refuses(&workplace, &BY_FOLDER, message);
        let by_files = ["--ca-certificate", &files[0], "--ca-key", &files[1]];
        refuses(&workplace, &by_files, message);
    }
}

#[test]
fn a_ca_whose_devices_openssl_would_refuse_is_refused() {
    for (subject, extension, reason) in [
        // RFC 5280, 4.1.2.6: a CA has a name.
        ("/", "", "its subject is empty"),
        // RFC 5280, 4.2.1.12, as verifiers read it in a CA: it limits what stands below.
        (
            "/CN=For servers only",
            "extendedKeyUsage=serverAuth\n",
            "its extKeyUsage does not allow clientAuth",
        ),
        // RFC 5280, 4.2.1.10.
        (
            "/CN=Some names only",
            "nameConstraints=critical,permitted;DNS:example.com\n",
            "it has nameConstraints",
        ),
    ] {
        let workplace = Workplace::new();
        their_key(&workplace, &[&P256]);
        their_certificate(&workplace, subject, &format!("{CA_EXTENSIONS}{extension}"));
        let message = format!("theirs/certificate.pem is not a CA certificate: {reason}");
        refuses(&workplace, &BY_FOLDER, &message);
    }
}

#[test]
fn a_ca_outside_its_validity_is_refused() {
    for (start, end, message) in [
        (
            "20200101000000Z",
            "20210203040506Z",
            "theirs/certificate.pem expired on 2021-02-03T04:05:06Z",
        ),
        (
            "20900102030405Z",
            "20991231235959Z",
            "theirs/certificate.pem is not valid before 2090-01-02T03:04:05Z",
        ),
    ] {
        let workplace = Workplace::new();
        their_dated_ca(&workplace, start, end);
        refuses(&workplace, &BY_FOLDER, message);
        let child = ["ca", "new", "--no-passphrase", "--to", "ca", "--parent", "theirs"];
        let stderr = workplace.fail(&child, ISSUER);
        assert!(stderr.contains(message), "{stderr}not {message}");
        assert!(!workplace.join("ca").exists());
    }
}

#[test]
fn a_key_that_does_not_match_is_refused() {
    let p384: [&str; 5] = [
        "genpkey",
        "-algorithm",
        "EC",
        "-pkeyopt",
        "ec_paramgen_curve:P-384",
    ];
    let keys: [&[&str]; 3] = [&P256, &p384, &["genrsa", "-traditional", "2048"]];
    for key in keys {
        let workplace = Workplace::new();
        their_key(&workplace, &[&P256]);
        their_certificate(&workplace, "/CN=Their CA", CA_EXTENSIONS);
        their_key(&workplace, &[key]);
        refuses(
            &workplace,
            &BY_FOLDER,
            "theirs/key.pem is not the key of theirs/certificate.pem",
        );
    }
}

#[test]
fn keys_that_cannot_be_used_are_refused() {
    let keys: [(&[&str], &str); 3] = [
        (
            &["genpkey", "-algorithm", "ED25519"],
            "cannot be used: algorithm 1.3.101.112",
        ),
        (
            &["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"],
            "cannot be used: RSA of 1024 bits",
        ),
        (
            &["ecparam", "-name", "secp256k1", "-genkey"],
            "cannot be used: curve 1.3.132.0.10",
        ),
    ];
    for (key, message) in keys {
        let workplace = Workplace::new();
        their_key(&workplace, &[key]);
        their_certificate(&workplace, "/CN=Their CA", CA_EXTENSIONS);
        refuses(&workplace, &BY_FOLDER, message);
        // The same key beside the certificate of another.
        let ours = Workplace::new();
        ours.succeed(&["ca", "new", "--no-passphrase"]);
        fs::copy(workplace.join("theirs/key.pem"), ours.join("ca/key.pem")).unwrap();
        refuses(&ours, &["--ca", "ca"], "ca/key.pem");
    }
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let workplace = Workplace::new();
    workplace.succeed(&["ca", "new", "--no-passphrase"]);
    for mode in [0o644, 0o640, 0o604, 0o660, 0o601] {
        fs::set_permissions(workplace.join("ca/key.pem"), Permissions::from_mode(mode)).unwrap();
        let message = format!("ca/key.pem can be read by others (mode {mode:04o})");
        refuses(&workplace, &["--ca", "ca"], &message);
    }
    fs::set_permissions(workplace.join("ca/key.pem"), Permissions::from_mode(0o400)).unwrap();
    judges_accept_devices(&workplace, &["--ca", "ca"], &["ca/certificate.pem"]);
}

#[test]
fn keys_encrypted_in_ways_of_the_past_are_refused() {
    let ec: [&str; 4] = ["ec", "-aes128", "-passout", PASS];
    let rsa: [&str; 5] = ["rsa", "-aes128", "-traditional", "-passout", PASS];
    let pbes1 = ["pkcs8", "-topk8", "-v1", "PBE-SHA1-3DES", "-passout", PASS];
    let legacy = "theirs/key.pem is encrypted in the old PEM way (Proc-Type), not as PKCS#8";
    let make_rsa: &[&str] = &["genrsa", "2048"];
    let keys: [(&[&[&str]], &str); 3] = [
        (&[&P256, &ec], legacy),
        (&[make_rsa, &rsa], legacy),
        (
            &[&P256, &pbes1],
            "theirs/key.pem is encrypted in a way that is not supported",
        ),
    ];
    for (commands, message) in keys {
        let workplace = Workplace::new();
        their_key(&workplace, commands);
        their_certificate(&workplace, "/CN=Their CA", CA_EXTENSIONS);
        refuses(&workplace, &BY_FOLDER, message);
    }
}

#[test]
fn garbage_is_refused() {
    let base64 =
        |text: &str, label: &str| format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n");
    let garbage = |label| {
        [
            String::new(),
            "garbage\n".to_owned(),
            base64("AAAA", label),
            base64("no base 64", label),
            base64("", label),
            format!("-----BEGIN {label}-----\nAAAA\n"),
            "\u{0}\u{1}\u{2}".to_owned(),
        ]
    };
    let cases = [
        ("ca/key.pem", garbage("PRIVATE KEY")),
        ("ca/key.pem", garbage("EC PRIVATE KEY")),
        ("ca/key.pem", garbage("RSA PRIVATE KEY")),
        ("ca/key.pem", garbage("ENCRYPTED PRIVATE KEY")),
        ("ca/certificate.pem", garbage("CERTIFICATE")),
    ];
    for (path, garbage) in cases {
        let workplace = Workplace::new();
        workplace.succeed(&["ca", "new", "--no-passphrase"]);
        for text in garbage {
            fs::write(workplace.join(path), text).unwrap();
            refuses(&workplace, &["--ca", "ca"], path);
        }
    }
}

#[test]
fn a_chain_that_is_garbage_is_refused() {
    let workplace = Workplace::new();
    workplace.succeed(&["ca", "new", "--no-passphrase"]);
    let block = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for text in [block, &block[..40], "garbage\n"] {
        fs::write(workplace.join("ca/chain.pem"), text).unwrap();
        refuses(&workplace, &["--ca", "ca"], "ca/chain.pem");
    }
}

#[test]
fn files_that_are_absent_or_mistaken_are_refused() {
    let workplace = Workplace::new();
    workplace.succeed(&["ca", "new", "--no-passphrase"]);
    let der = [
        "x509",
        "-in",
        "ca/certificate.pem",
        "-outform",
        "DER",
        "-out",
        "ca.der",
    ];
    openssl(&der, workplace.path());
    let public = ["pkey", "-in", "ca/key.pem", "-pubout", "-out", "public.pem"];
    openssl(&public, workplace.path());
    fs::set_permissions(workplace.join("public.pem"), Permissions::from_mode(0o600)).unwrap();
    fs::create_dir(workplace.join("folder")).unwrap();
    let (certificate, key) = ("ca/certificate.pem", "ca/key.pem");
    for (certificate, key, message) in [
        ("absent.pem", key, "absent.pem cannot be read"),
        (certificate, "absent.pem", "absent.pem cannot be read"),
        ("folder", key, "folder cannot be read"),
        ("ca.der", key, "ca.der holds no PEM CERTIFICATE"),
        (key, key, "ca/key.pem holds no PEM CERTIFICATE"),
        (certificate, "public.pem", "public.pem holds no PEM PRIVATE KEY"),
    ] {
        refuses(
            &workplace,
            &["--ca-certificate", certificate, "--ca-key", key],
            message,
        );
    }
    refuses(
        &workplace,
        &["--ca", "absent"],
        "absent/certificate.pem cannot be read",
    );
}

/// Makes `ca` with openssl, signed by `theirs`, whose certificate becomes its chain.
fn intermediate(workplace: &Workplace) {
    key_in(workplace, "ca", &[&P256]);
    let folder = workplace.join("ca");
    fs::write(
        folder.join("extensions"),
        format!("{CA_EXTENSIONS}authorityKeyIdentifier=keyid\n"),
    )
    .unwrap();
    let request = ["req", "-new", "-key", "key.pem", "-subj", "/CN=Intermediate"];
    openssl(&[&request[..], &["-out", "request.csr"]].concat(), &folder);
    let sign = [
        "x509",
        "-req",
        "-in",
        "request.csr",
        "-days",
        "300",
        "-CAcreateserial",
    ];
    let parent = ["-CA", "../theirs/certificate.pem", "-CAkey", "../theirs/key.pem"];
    let rest = ["-extfile", "extensions", "-out", "certificate.pem"];
    openssl(&[&sign[..], &parent, &rest].concat(), &folder);
    fs::copy(workplace.join("theirs/certificate.pem"), folder.join("chain.pem")).unwrap();
}

#[test]
fn an_intermediate_of_openssl_signs() {
    let workplace = Workplace::new();
    their_key(&workplace, &[&["genrsa", "2048"]]);
    their_certificate(&workplace, "/CN=Their root", CA_EXTENSIONS);
    intermediate(&workplace);
    let chain = ["ca/certificate.pem", "theirs/certificate.pem"];
    judges_accept_devices(&workplace, &["--ca", "ca"], &chain);
}

#[test]
fn path_len_0_allows_no_intermediate() {
    let workplace = Workplace::new();
    workplace.succeed(&["ca", "new", "--no-passphrase", "--path-len", "0", "--to", "root"]);
    let child = [
        "ca",
        "new",
        "--no-passphrase",
        "--to",
        "child",
        "--parent",
        "root",
    ];
    let stderr = workplace.fail(&child, ISSUER);
    assert!(
        stderr.contains("pathLen 0 of CN=certforge device CA") && stderr.contains("forbids"),
        "{stderr}"
    );
    assert!(!workplace.join("child").exists());

    // openssl makes one all the same; it is refused when it is loaded, as openssl refuses its devices.
    their_key(&workplace, &[&P256]);
    let extensions = CA_EXTENSIONS.replace("CA:TRUE", "CA:TRUE,pathlen:0");
    their_certificate(&workplace, "/CN=Their root", &extensions);
    intermediate(&workplace);
    refuses(
        &workplace,
        &["--ca", "ca"],
        "pathLen 0 of CN=Their root forbids an intermediate CA directly under it",
    );
}

#[test]
fn a_chain_that_does_not_lead_to_the_issuer_is_refused() {
    let workplace = Workplace::new();
    workplace.succeed(&["ca", "new", "--no-passphrase"]);
    workplace.succeed(&["ca", "new", "--no-passphrase", "--to", "other"]);
    fs::copy(
        workplace.join("other/certificate.pem"),
        workplace.join("ca/chain.pem"),
    )
    .unwrap();
    refuses(&workplace, &["--ca", "ca"], "did not sign CN=certforge device CA");

    let workplace = Workplace::new();
    their_dated_ca(&workplace, "20200101000000Z", "20210203040506Z");
    intermediate(&workplace);
    refuses(
        &workplace,
        &["--ca", "ca"],
        "ca/chain.pem expired on 2021-02-03T04:05:06Z",
    );
}

#[test]
fn a_new_ca_that_breaks_a_rule_is_not_made() {
    let workplace = Workplace::new();
    workplace.succeed(&["ca", "new", "--no-passphrase", "--to", "root", "--days", "100"]);
    let long = "x".repeat(65);
    for (arguments, message) in [
        (
            &["--parent", "root", "--days", "101"][..],
            "its parent only until",
        ),
        (&["--common-name", &long], "subject CN="),
        (&["--common-name", ""], "subject CN="),
        (&["--country", "Germany"], "subject C="),
        (&["--parent", "absent"], "absent/certificate.pem cannot be read"),
    ] {
        let new = ["ca", "new", "--no-passphrase", "--to", "new"];
        let stderr = workplace.fail(&[&new[..], arguments].concat(), ISSUER);
        assert!(stderr.contains(message), "{stderr}not {message}");
        assert!(!workplace.join("new").exists());
    }
    let key = fs::read(workplace.join("root/key.pem")).unwrap();
    let again = workplace.fail(&["ca", "new", "--no-passphrase", "--to", "root"], ISSUER);
    assert!(again.contains("root exists already"), "{again}");
    assert_eq!(fs::read(workplace.join("root/key.pem")).unwrap(), key);
}
