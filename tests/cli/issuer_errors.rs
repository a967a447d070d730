//! CAs that certforge did not make, and refuses: exit code 5.
//!
//! They are made here, for keys must be for their owner alone and dates must lie around today.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, GeneralSubtree,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, date_time_ymd,
};

use crate::support::{Workplace, tool};

/// A root that nothing is wrong with.
fn root(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2090, 1, 1);
    params
}

fn write_key(path: &Path, text: &str) {
    fs::write(path, text).expect("the key is written");
    set_mode(path, 0o600);
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("the mode is set");
}

/// Writes a CA folder `ca`, self-signed, and gives its key.
fn write_ca(place: &Workplace, params: &CertificateParams) -> KeyPair {
    let key = KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate");
    fs::create_dir(place.join("ca")).expect("a folder");
    fs::write(place.join("ca/certificate.pem"), certificate.pem()).expect("the certificate is written");
    write_key(&place.join("ca/key.pem"), &key.serialize_pem());
    key
}

/// A workplace with a manifest and a CA that nothing is wrong with.
fn workplace() -> Workplace {
    let place = Workplace::new();
    place.manifest(1);
    write_ca(&place, &root("Root"));
    place
}

const PASSPHRASE_HINT: &str = "certforge: hint: give it with --passphrase-file FILE (a parent's with \
                               --parent-passphrase-file), in CERTFORGE_CA_PASSPHRASE, or at the prompt\n";

/// Runs certforge, which must refuse the CA, and gives what it says.
fn refusal(place: &Workplace) -> String {
    let text = place.fail(&["run", "devices.csv", "--no-endpoint"], 5);
    assert!(!place.join("out").exists(), "nothing is made");
    text
}

fn openssl(place: &Workplace, arguments: &[&str]) {
    let output = tool("openssl", arguments, place.path());
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments:?}\n{text}");
}

#[test]
fn signs_with_a_ca_from_elsewhere() {
    let place = workplace();
    place.succeed(&["run", "devices.csv", "--no-endpoint"]);
}

#[test]
fn refuses_a_ca_outside_its_validity() {
    let mut params = root("Root");
    params.not_after = date_time_ymd(2021, 1, 1);
    let place = Workplace::new();
    place.manifest(1);
    write_ca(&place, &params);
    assert_eq!(
        refusal(&place),
        "certforge: error: ca/certificate.pem expired on 2021-01-01T00:00:00Z\n\
         certforge: hint: `certforge ca new` makes a new CA; AWS IoT must be told of it\n"
    );

    let mut params = root("Root");
    params.not_before = date_time_ymd(2080, 1, 1);
    let place = Workplace::new();
    place.manifest(1);
    write_ca(&place, &params);
    assert_eq!(
        refusal(&place),
        "certforge: error: ca/certificate.pem is not valid before 2080-01-01T00:00:00Z\n\
         certforge: hint: check this machine's clock\n"
    );
}

#[test]
fn refuses_a_certificate_that_is_no_cas() {
    for (is_ca, usage, reason) in [
        (
            IsCa::NoCa,
            KeyUsagePurpose::KeyCertSign,
            "it has no basicConstraints",
        ),
        (
            IsCa::ExplicitNoCa,
            KeyUsagePurpose::KeyCertSign,
            "basicConstraints says CA:FALSE",
        ),
        (
            IsCa::Ca(BasicConstraints::Unconstrained),
            KeyUsagePurpose::DigitalSignature,
            "keyUsage lacks keyCertSign",
        ),
    ] {
        let mut params = root("Root");
        params.is_ca = is_ca;
        params.key_usages = vec![usage];
        let place = Workplace::new();
        place.manifest(1);
        write_ca(&place, &params);
        assert_eq!(
            refusal(&place),
            format!(
                "certforge: error: ca/certificate.pem is not a CA certificate: {reason}\n\
                 certforge: hint: device certificates are signed by a CA: basicConstraints CA:TRUE and, if there is \
                 a keyUsage, keyCertSign\n"
            )
        );
    }
}

#[test]
fn refuses_a_ca_whose_devices_would_be_refused() {
    let mut nameless = root("Root");
    nameless.distinguished_name = DistinguishedName::new();
    let mut for_servers = root("Root");
    for_servers.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let mut constrained = root("Root");
    constrained.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName("example".to_owned())],
        excluded_subtrees: vec![],
    });
    for (params, reason) in [
        (nameless, "its subject is empty (RFC 5280, 4.1.2.6)"),
        (
            for_servers,
            "its extKeyUsage does not allow clientAuth, which devices need",
        ),
        (
            constrained,
            "it has nameConstraints, which device certificates are not checked against",
        ),
    ] {
        let place = Workplace::new();
        place.manifest(1);
        write_ca(&place, &params);
        let text = refusal(&place);
        let message = format!("certforge: error: ca/certificate.pem is not a CA certificate: {reason}\n");
        assert!(text.starts_with(&message), "{text}");
    }
}

#[test]
fn signs_with_a_ca_whose_extended_key_usage_allows_devices() {
    for usage in [ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::Any] {
        let mut params = root("Root");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, usage];
        let place = Workplace::new();
        place.manifest(1);
        write_ca(&place, &params);
        place.succeed(&["run", "devices.csv", "--no-endpoint"]);
    }
}

#[test]
fn refuses_a_ca_whose_key_cannot_be_used() {
    for (new_key, option, algorithm) in [
        ("rsa:1024", "rsa_keygen_pubexp:65537", "RSA of 1024 bits"),
        ("ec", "ec_paramgen_curve:secp256k1", "curve 1.3.132.0.10"),
    ] {
        let place = workplace();
        let request = "req -x509 -nodes -keyout ca/key.pem -out ca/certificate.pem -subj /CN=Root -days 30";
        let mut arguments: Vec<_> = request.split(' ').collect();
        arguments.extend(["-newkey", new_key, "-pkeyopt", option]);
        openssl(&place, &arguments);
        assert_eq!(
            refusal(&place),
            format!(
                "certforge: error: ca/certificate.pem has a key that cannot be used: {algorithm}\n\
                 certforge: hint: use P-256, P-384, P-521, or RSA of 2048, 3072 or 4096 bits\n"
            )
        );
    }
}

#[test]
fn refuses_the_key_of_another_certificate() {
    let place = workplace();
    let other = KeyPair::generate().expect("a key");
    write_key(&place.join("ca/key.pem"), &other.serialize_pem());
    assert_eq!(
        refusal(&place),
        "certforge: error: ca/key.pem is not the key of ca/certificate.pem\n\
         certforge: hint: certificate.pem and key.pem must belong together\n"
    );
}

#[test]
fn refuses_a_key_file_that_others_can_read() {
    let place = workplace();
    for mode in [0o640, 0o604, 0o644, 0o620, 0o777] {
        set_mode(&place.join("ca/key.pem"), mode);
        assert_eq!(
            refusal(&place),
            format!(
                "certforge: error: ca/key.pem can be read by others (mode {mode:04o})\n\
                 certforge: hint: chmod 600 ca/key.pem\n"
            )
        );
    }
    set_mode(&place.join("ca/key.pem"), 0o400);
    place.succeed(&["run", "devices.csv", "--no-endpoint"]);
}

#[test]
fn refuses_a_key_a_folder_and_a_passphrase_that_others_own_or_may_change() {
    use std::os::unix::fs::chown;
    let place = workplace();
    set_mode(&place.join("ca"), 0o777);
    let text = refusal(&place);
    assert!(
        text.starts_with("certforge: error: ca can be written by others (mode 0777)\n"),
        "{text}"
    );
    assert!(text.ends_with("then: chmod go-w ca\n"), "{text}");
    set_mode(&place.join("ca"), 0o700);
    if chown(place.join("ca/key.pem"), Some(1000), None).is_err() {
        eprintln!("LEFT OUT: only root can give a file away");
        return;
    }
    for owned in ["ca/key.pem", "ca"] {
        chown(place.join(owned), Some(1000), None).expect("root gives it away");
        let text = refusal(&place);
        assert!(
            text.starts_with(&format!(
                "certforge: error: {owned} belongs to another user (uid 1000)\n"
            )),
            "{text}"
        );
        assert!(text.ends_with(&format!("then: chown 0 {owned}\n")), "{text}");
        chown(place.join(owned), Some(0), None).expect("root takes it back");
    }
    fs::write(place.join("passphrase.txt"), "correct horse\n").expect("a passphrase");
    set_mode(&place.join("passphrase.txt"), 0o600);
    chown(place.join("passphrase.txt"), Some(1000), None).expect("root gives it away");
    let new = [
        "ca",
        "new",
        "--to",
        "other",
        "--passphrase-file",
        "passphrase.txt",
    ];
    let output = place.run(&new);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && text.contains("passphrase.txt belongs to another user (uid 1000)"),
        "{text}"
    );
    place.succeed(&["run", "devices.csv", "--no-endpoint"]);
}

#[test]
fn refuses_a_key_file_that_holds_no_key_it_can_use() {
    let place = workplace();
    let block = |label: &str, body: &str| format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n");
    let certificate = fs::read_to_string(place.join("ca/certificate.pem")).expect("a certificate");
    let mut cases = vec![
        (certificate, "holds no PEM PRIVATE KEY"),
        ("nothing\n".to_owned(), "holds no PEM PRIVATE KEY"),
        (block("OPENSSH PRIVATE KEY", "AAAA"), "holds no PEM PRIVATE KEY"),
        (
            block("PRIVATE KEY", "AAAA"),
            "cannot be used as a CA key: it is not a DER private key",
        ),
        (
            block("EC PRIVATE KEY", "AAAA"),
            "cannot be used as a CA key: it is not a DER private key",
        ),
        (
            block("PRIVATE KEY", "!"),
            "cannot be read as PEM: a PEM block is damaged",
        ),
        (
            "-----BEGIN PRIVATE KEY-----\nAAAA\n".to_owned(),
            "cannot be read as PEM: a PEM block is damaged",
        ),
    ];
    for (arguments, reason) in [
        (
            "genpkey -algorithm ed25519 -out new.pem",
            "cannot be used as a CA key: its algorithm 1.3.101.112 is neither RSA nor an elliptic curve key",
        ),
        (
            "genpkey -algorithm ec -pkeyopt ec_paramgen_curve:secp256k1 -out new.pem",
            "cannot be used as a CA key: its curve is none of P-256, P-384 and P-521",
        ),
    ] {
        openssl(&place, &arguments.split(' ').collect::<Vec<_>>());
        let text = fs::read_to_string(place.join("new.pem")).expect("openssl wrote a key");
        cases.push((text, reason));
    }
    for (text, reason) in cases {
        write_key(&place.join("ca/key.pem"), &text);
        let hint = match reason.contains("algorithm") || reason.contains("curve") {
            true => "use P-256, P-384, P-521, or RSA of 2048, 3072 or 4096 bits",
            false => "give PEM, as `openssl x509` and `openssl pkey` write it",
        };
        assert_eq!(
            refusal(&place),
            format!("certforge: error: ca/key.pem {reason}\ncertforge: hint: {hint}\n"),
            "{text}"
        );
    }
}

#[test]
fn refuses_keys_that_are_encrypted_in_old_ways() {
    for (arguments, message) in [
        (
            "ec -in ca/key.pem -aes256 -passout pass:x -out new.pem",
            "is encrypted in the old PEM way (Proc-Type), not as PKCS#8",
        ),
        (
            "pkcs8 -topk8 -v1 PBE-SHA1-3DES -in ca/key.pem -passout pass:x -out new.pem",
            "is encrypted in a way that is not supported",
        ),
    ] {
        let place = workplace();
        openssl(&place, &arguments.split(' ').collect::<Vec<_>>());
        fs::rename(place.join("new.pem"), place.join("ca/key.pem")).expect("the key is replaced");
        set_mode(&place.join("ca/key.pem"), 0o600);
        assert_eq!(
            refusal(&place),
            format!(
                "certforge: error: ca/key.pem {message}\n\
                 certforge: hint: `openssl pkcs8 -topk8 -v2 aes-256-cbc -in ca/key.pem -out new.pem` writes it as \
                 certforge reads it\n"
            )
        );
    }
}

#[test]
fn opens_what_its_hint_makes_of_such_a_key() {
    let place = workplace();
    let hint = "pkcs8 -topk8 -v2 aes-256-cbc -in ca/key.pem -out new.pem -passout pass:secret";
    openssl(&place, &hint.split(' ').collect::<Vec<_>>());
    fs::rename(place.join("new.pem"), place.join("ca/key.pem")).expect("the key is replaced");
    set_mode(&place.join("ca/key.pem"), 0o600);
    write_key(&place.join("passphrase.txt"), "secret\n");
    place.succeed(&[
        "run",
        "devices.csv",
        "--no-endpoint",
        "--passphrase-file",
        "passphrase.txt",
    ]);
}

#[test]
fn refuses_a_passphrase_file_that_others_can_read() {
    let place = Workplace::new();
    place.manifest(1);
    let path = place.join("passphrase.txt");
    write_key(&path, "secret\n");
    place.succeed(&["ca", "new", "--passphrase-file", "passphrase.txt"]);
    let run = [
        "run",
        "devices.csv",
        "--no-endpoint",
        "--passphrase-file",
        "passphrase.txt",
    ];
    let new = ["ca", "new", "--to", "new", "--passphrase-file", "passphrase.txt"];
    let child = [
        "ca",
        "new",
        "--to",
        "new",
        "--no-passphrase",
        "--parent",
        "ca",
        "--parent-passphrase-file",
        "passphrase.txt",
    ];
    for mode in [0o640, 0o604, 0o644, 0o620, 0o777] {
        set_mode(&path, mode);
        for (arguments, key) in [
            (&run[..], "ca/key.pem"),
            (&new, "new/key.pem"),
            (&child, "ca/key.pem"),
        ] {
            assert_eq!(
                place.fail(arguments, 5),
                format!(
                    "certforge: error: no passphrase for {key}: passphrase.txt can be read by others (mode \
                     {mode:04o}); chmod 600 it\n\
                     certforge: hint: a passphrase file must be readable by its owner alone\n"
                )
            );
        }
    }
    assert!(!place.join("out").exists() && !place.join("new").exists());
    set_mode(&path, 0o400);
    place.succeed(&run);
}

#[test]
fn refuses_a_passphrase_that_is_not_utf8() {
    use std::os::unix::ffi::OsStrExt;
    let place = Workplace::new();
    let output = place
        .command(&["ca", "new"])
        .env("CERTFORGE_CA_PASSPHRASE", std::ffi::OsStr::from_bytes(b"caf\xe9"))
        .output()
        .expect("the binary runs");
    assert_eq!(output.status.code(), Some(5));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        format!(
            "certforge: error: no passphrase for ca/key.pem: CERTFORGE_CA_PASSPHRASE is not UTF-8\n{PASSPHRASE_HINT}"
        )
    );
    assert!(!place.join("ca").exists(), "no CA without a passphrase");
}

#[test]
fn makes_a_lab_ca_only_for_a_new_ledger() {
    let place = Workplace::new();
    place.manifest(2);
    let run = [
        "run",
        "devices.csv",
        "--no-endpoint",
        "--batch",
        "b",
        "--ledger",
        "certforge.db",
    ];
    place.succeed(&run);
    fs::rename(place.join("ca"), place.join("elsewhere")).expect("the CA is moved");
    assert_eq!(
        place.fail(&run, 5),
        "certforge: error: ca/certificate.pem cannot be read: No such file or directory (os error 2)\n\
         certforge: hint: a CA is certificate.pem and key.pem in a folder, or two files; `certforge ca new` makes one\n"
    );
    assert!(!place.join("ca").exists(), "no second lab CA");
    // The same where an earlier certforge has left its ledger in the working folder.
    place.fail(&run[..5], 5);
    place.succeed(&[&run[..], &["--ca", "elsewhere"]].concat());
}

#[test]
fn asks_for_no_passphrase_where_nobody_can_answer() {
    let place = Workplace::new();
    place.manifest(1);
    let hint = PASSPHRASE_HINT;
    let without_terminal = |arguments: &[&str]| {
        let output = place
            .command(arguments)
            .stdin(std::process::Stdio::null())
            .output()
            .expect("the binary runs");
        assert_eq!(output.status.code(), Some(5));
        String::from_utf8(output.stderr).expect("messages are UTF-8")
    };
    assert_eq!(
        without_terminal(&["ca", "new"]),
        format!("certforge: error: no passphrase for ca/key.pem: there is no terminal to ask at\n{hint}")
    );
    assert!(!place.join("ca").exists(), "no CA without a passphrase");

    write_key(&place.join("passphrase.txt"), "secret\n");
    place.succeed(&["ca", "new", "--passphrase-file", "passphrase.txt"]);
    assert_eq!(
        without_terminal(&["run", "devices.csv", "--no-endpoint"]),
        format!("certforge: error: no passphrase for ca/key.pem: there is no terminal to ask at\n{hint}")
    );
}

/// Writes a CA folder `ca` with an intermediate under a root, and the root as its chain.
fn write_intermediate(place: &Workplace, root: &CertificateParams) {
    let root_key = KeyPair::generate().expect("a key");
    let root_certificate = root.self_signed(&root_key).expect("a certificate");
    let key = KeyPair::generate().expect("a key");
    let certificate = self::root("Intermediate")
        .signed_by(&key, &Issuer::from_params(root, &root_key))
        .expect("a certificate");
    fs::create_dir(place.join("ca")).expect("a folder");
    fs::write(place.join("ca/certificate.pem"), certificate.pem()).expect("the certificate is written");
    fs::write(place.join("ca/chain.pem"), root_certificate.pem()).expect("the chain is written");
    write_key(&place.join("ca/key.pem"), &key.serialize_pem());
}

#[test]
fn refuses_a_chain_that_does_not_lead_upwards() {
    let place = Workplace::new();
    place.manifest(1);
    write_intermediate(&place, &root("Root"));
    place.succeed(&["run", "devices.csv", "--no-endpoint"]);

    let impostor = root("Root")
        .self_signed(&KeyPair::generate().expect("a key"))
        .expect("a certificate");
    fs::write(place.join("ca/chain.pem"), impostor.pem()).expect("the chain is written");
    assert_eq!(
        place.fail(&["run", "devices.csv", "--no-endpoint"], 5),
        "certforge: error: ca/chain.pem: CN=Root did not sign CN=Intermediate\n\
         certforge: hint: list the certificates above the CA, nearest first, each signed by the next\n"
    );
}

#[test]
fn refuses_a_chain_that_holds_no_certificate() {
    let place = Workplace::new();
    place.manifest(1);
    write_intermediate(&place, &root("Root"));
    for text in ["", "nothing\n"] {
        fs::write(place.join("ca/chain.pem"), text).expect("the chain is written");
        assert_eq!(
            refusal(&place),
            "certforge: error: ca/chain.pem holds no PEM CERTIFICATE\n\
             certforge: hint: give PEM, as `openssl x509` and `openssl pkey` write it\n"
        );
    }
}

/// Names the files of the CA one by one, and a chain.
fn by_files(chain: &str) -> [&str; 9] {
    let [certificate, key] = ["ca/certificate.pem", "ca/key.pem"];
    [
        "run",
        "devices.csv",
        "--no-endpoint",
        "--ca-certificate",
        certificate,
        "--ca-key",
        key,
        "--ca-chain",
        chain,
    ]
}

#[test]
fn takes_the_chain_of_a_ca_that_is_named_by_its_files() {
    let place = Workplace::new();
    place.manifest(1);
    write_intermediate(&place, &root("Root"));
    fs::rename(place.join("ca/chain.pem"), place.join("above.pem")).expect("the chain is moved");
    let impostor = root("Root")
        .self_signed(&KeyPair::generate().expect("a key"))
        .expect("a certificate");
    fs::write(place.join("impostor.pem"), impostor.pem()).expect("the chain is written");
    assert_eq!(
        place.fail(&by_files("impostor.pem"), 5),
        "certforge: error: impostor.pem: CN=Root did not sign CN=Intermediate\n\
         certforge: hint: list the certificates above the CA, nearest first, each signed by the next\n"
    );
    place.succeed(&by_files("above.pem"));
    place.succeed(&["verify", &place.only_batch().to_string_lossy()]);
}

#[test]
fn refuses_a_named_chain_that_is_not_there() {
    let place = workplace();
    let text = place.fail(&by_files("nowhere.pem"), 5);
    assert!(
        text.starts_with("certforge: error: nowhere.pem cannot be read: "),
        "{text}"
    );
    assert!(!place.join("out").exists(), "nothing is made");
}

#[test]
fn refuses_an_intermediate_that_its_root_forbids_or_outlived() {
    let mut forbidding = root("Root");
    forbidding.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let place = Workplace::new();
    place.manifest(1);
    write_intermediate(&place, &forbidding);
    assert_eq!(
        refusal(&place),
        "certforge: error: pathLen 0 of CN=Root forbids an intermediate CA directly under it\n\
         certforge: hint: give the new CA a smaller --path-len, or make the ancestor with a larger one\n"
    );

    let mut expired = root("Root");
    expired.not_after = date_time_ymd(2021, 1, 1);
    let place = Workplace::new();
    place.manifest(1);
    write_intermediate(&place, &expired);
    assert_eq!(
        refusal(&place),
        "certforge: error: ca/chain.pem expired on 2021-01-01T00:00:00Z\n\
         certforge: hint: `certforge ca new` makes a new CA; AWS IoT must be told of it\n"
    );
}

#[test]
fn says_when_an_engine_does_not_take_the_key() {
    let place = workplace();
    // ring signs only with exponents of 65537 or more.
    let request = "req -x509 -nodes -keyout ca/key.pem -out ca/certificate.pem -subj /CN=Root -days 30 \
                   -newkey rsa:2048 -pkeyopt rsa_keygen_pubexp:3";
    openssl(&place, &request.split(' ').collect::<Vec<_>>());
    set_mode(&place.join("ca/key.pem"), 0o600);
    assert_eq!(
        place.fail(&["run", "devices.csv", "--no-endpoint", "--engine", "ring"], 5),
        "certforge: error: engine ring refuses the RSA-2048 key: TooSmall\n\
         certforge: hint: --engine auto may take it; `openssl pkey -check -in KEY` tells whether it is sound\n"
    );
    place.succeed(&["run", "devices.csv", "--no-endpoint", "--engine", "aws-lc"]);
}
