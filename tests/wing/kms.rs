//! CAs whose key is in AWS KMS, by way of MiniStack, whose signatures are real.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::process::{Command, Output};

use crate::fault_proxy::{Fault, FaultProxy};
use crate::real_server::Server;
use crate::support::{Workplace, tool};

struct Kms {
    place: Workplace,
    server: Server,
}

impl Kms {
    fn new() -> Self {
        let place = Workplace::new();
        place.manifest(40);
        Self {
            place,
            server: Server::ministack(),
        }
    }

    /// What boto3 does, and says.
    fn boto(&self, code: &str) -> String {
        let python = std::env::var("CERTFORGE_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let code = format!(
            "import boto3\nkms = boto3.client('kms', endpoint_url='{}', region_name='us-east-1', aws_access_key_id='A', aws_secret_access_key='S')\n{code}",
            self.server.url
        );
        let output = tool(&python, &["-c", &code], self.place.path());
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Makes a key with an alias.
    fn key(&self, alias: &str, spec: &str, usage: &str) -> String {
        self.boto(&format!(
            "key = kms.create_key(KeySpec='{spec}', KeyUsage='{usage}')['KeyMetadata']\nkms.create_alias(AliasName='alias/{alias}', TargetKeyId=key['KeyId'])\nprint(key['Arn'])"
        ))
    }

    fn command(&self, url: &str, arguments: &[&str]) -> Command {
        let mut command = self.place.command(arguments);
        command
            .env("AWS_ENDPOINT_URL", url)
            .env("AWS_ACCESS_KEY_ID", "AKIATEST")
            .env("AWS_SECRET_ACCESS_KEY", "secret of the test")
            .env("AWS_REGION", "us-east-1");
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(&self.server.url, arguments).output().unwrap()
    }

    fn succeed(&self, arguments: &[&str]) {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}\n{}", said(&output));
    }

    fn refusal(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(5), "{arguments:?}\n{}", said(&output));
        said(&output)
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn devices_are_signed_by_kms() {
    let kms = Kms::new();
    for (alias, spec) in [("forge-p256", "ECC_NIST_P256"), ("forge-rsa", "RSA_2048")] {
        let arn = kms.key(alias, spec, "SIGN_VERIFY");
        let uri = format!("awskms:///alias/{alias}");
        kms.succeed(&["ca", "new", "--key", &uri, "--to", alias]);
        let named = std::fs::read_to_string(kms.place.join(alias).join("key.uri")).unwrap();
        assert_eq!(named, format!("awskms:///{arn}\n"));
        // Where the alias points later makes no difference.
        let other = kms.key(&format!("{alias}-2"), spec, "SIGN_VERIFY");
        kms.boto(&format!(
            "kms.update_alias(AliasName='alias/{alias}', TargetKeyId='{other}')"
        ));
        kms.succeed(&[
            "run",
            "devices.csv",
            "--ca",
            alias,
            "--no-endpoint",
            "--to",
            alias,
            "--batch",
            "b",
        ]);
        let batch = format!("{alias}/b");
        kms.place
            .succeed(&["verify", &batch, "--ledger", &format!("{alias}/ledger.db")]);
        let certificate = format!("{alias}/certificate.pem");
        let output = tool(
            "openssl",
            &["verify", "-x509_strict", "-CAfile", &certificate, &certificate],
            kms.place.path(),
        );
        assert!(output.status.success(), "{}", said(&output));
        let said = kms.refusal(&[
            "ca",
            "adopt",
            "--certificate",
            &certificate,
            "--key",
            &uri,
            "--to",
            "adopted",
        ]);
        assert!(said.contains("is not the key of "), "{said}");
    }
}

#[test]
fn what_is_throttled_is_asked_for_again() {
    let kms = Kms::new();
    kms.key("forge", "ECC_NIST_P256", "SIGN_VERIFY");
    kms.succeed(&["ca", "new", "--key", "awskms:///alias/forge"]);
    let seed = 17;
    println!("seed {seed}");
    let proxy = FaultProxy::start_with(
        kms.server.address(),
        seed,
        4,
        &[Fault::Throttled, Fault::Drop, Fault::LostAnswer],
    );
    let url = format!("http://{}", proxy.address);
    let output = kms
        .command(&url, &["run", "devices.csv", "--no-endpoint"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(proxy.count() > 0);
    kms.place
        .succeed(&["verify", kms.place.only_batch().to_str().unwrap()]);
}

/// Each request that certforge makes, held against botocore's model of the service: MiniStack takes what KMS would refuse.
#[test]
fn requests_are_as_botocore_models_them() {
    let kms = Kms::new();
    let (sign, wrap) = (
        ("ECC_NIST_P256", "SIGN_VERIFY"),
        ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT"),
    );
    for (alias, (spec, usage)) in [
        ("p256", sign),
        ("p384", ("ECC_NIST_P384", "SIGN_VERIFY")),
        ("rsa", ("RSA_2048", "SIGN_VERIFY")),
        ("wrap", wrap),
    ] {
        kms.key(alias, spec, usage);
    }
    let proxy = FaultProxy::start(kms.server.address(), 0, 1);
    proxy.heal();
    let url = format!("http://{}", proxy.address);
    let through = |arguments: &[&str]| kms.command(&url, arguments).output().unwrap();
    let run = |ca: &str| {
        through(&[
            "run",
            "devices.csv",
            "--ca",
            ca,
            "--no-endpoint",
            "--batch",
            ca,
            "--to",
            ca,
        ])
    };
    for alias in ["p256", "p384", "rsa"] {
        let made = through(&[
            "ca",
            "new",
            "--key",
            &format!("awskms:///alias/{alias}"),
            "--to",
            alias,
        ]);
        // P-384 is not in every version of the server; what it was asked counts.
        if made.status.success() {
            let made = run(alias);
            assert!(made.status.success(), "{}", said(&made));
        } else {
            assert_eq!(alias, "p384", "{}", said(&made));
        }
    }
    let new = [
        "ca",
        "new",
        "--parent",
        "p256",
        "--for-batch",
        "--wrap-key",
        "awskms:///alias/wrap",
    ];
    let made = through(&[&new[..], &["--to", "pumps"]].concat());
    assert!(made.status.success(), "{}", said(&made));
    let made = run("pumps");
    assert!(made.status.success(), "{}", said(&made));
    let asked: Vec<_> = proxy
        .asked()
        .into_iter()
        .map(|(head, body)| serde_json::json!([head, String::from_utf8(body).unwrap()]))
        .collect();
    std::fs::write(
        kms.place.join("asked.json"),
        serde_json::Value::from(asked).to_string(),
    )
    .unwrap();
    let python = std::env::var("CERTFORGE_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wing/aws_judge.py");
    let judged = tool(&python, &[script, "asked.json"], kms.place.path());
    assert!(judged.status.success(), "{}", said(&judged));
    let counted: serde_json::Value = serde_json::from_slice(&judged.stdout).unwrap();
    for operation in ["Decrypt", "Encrypt", "GetPublicKey", "Sign"] {
        assert!(
            counted[operation].as_u64().is_some_and(|count| count > 0),
            "{counted:#}"
        );
    }
    assert_eq!(counted.as_object().unwrap().len(), 4, "{counted:#}");
    // The judge finds what is wrong.
    for wrong in [
        r#"{"KeyId":"alias/p256","Message":"AAAA","SigningAlgorithm":"ECDSA_SHA_257"}"#,
        r#"{"KeyId":"alias/p256","Message":"AAAA"}"#,
        r#"{"KeyId":"alias/p256","Message":"A A","SigningAlgorithm":"ECDSA_SHA_256"}"#,
        r#"{"KeyId":"","Message":"AAAA","SigningAlgorithm":"ECDSA_SHA_256"}"#,
        r#"{"KeyID":"alias/p256","KeyId":"x","Message":"AAAA","SigningAlgorithm":"ECDSA_SHA_256"}"#,
    ] {
        let head = "POST / HTTP/1.1\r\ncontent-type: application/x-amz-json-1.1\r\nx-amz-target: TrentService.Sign\r\n\
            authorization: AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1/kms/aws4_request, SignedHeaders=host, \
            Signature=0000000000000000000000000000000000000000000000000000000000000000\r\n\r\n";
        let asked = serde_json::json!([[head, wrong]]);
        std::fs::write(kms.place.join("asked.json"), asked.to_string()).unwrap();
        let judged = tool(&python, &[script, "asked.json"], kms.place.path());
        assert_eq!(judged.status.code(), Some(1), "{wrong}: {}", said(&judged));
    }
}

#[test]
fn a_key_that_is_none_of_ours_is_said() {
    let kms = Kms::new();
    assert_eq!(
        kms.refusal(&["ca", "new", "--key", "awskms:///alias/nobody"]),
        "certforge: error: there is no key alias/nobody in AWS KMS, or not in this account and Region\n\
         certforge: hint: check its name, the Region (?region=…) and the account; `aws kms create-key --key-usage SIGN_VERIFY --key-spec ECC_NIST_P256` makes one, `aws kms create-alias` names it\n"
    );
    kms.key("rsa", "RSA_2048", "ENCRYPT_DECRYPT");
    let said_of = kms.refusal(&["ca", "new", "--key", "awskms:///alias/rsa"]);
    assert!(
        said_of.contains("it is not for signatures (SIGN_VERIFY)"),
        "{said_of}"
    );
    kms.key("forge", "ECC_NIST_P256", "SIGN_VERIFY");
    let proxy = FaultProxy::start_with(kms.server.address(), 0, 1, &[Fault::Unauthorized]);
    let url = format!("http://{}", proxy.address);
    let output = kms
        .command(&url, &["ca", "new", "--key", "awskms:///alias/forge"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(5));
    let said = said(&output);
    assert!(
        said.starts_with("certforge: error: AWS KMS does not let this identity use alias/forge: "),
        "{said}"
    );
    assert!(
        said.contains("the identity needs kms:GetPublicKey on the key"),
        "{said}"
    );
}

/// The root's key and the one that opens the batch CA's are in KMS: nothing on disk signs by itself.
#[test]
fn a_ca_for_a_batch_is_opened_by_a_symmetric_key_in_kms() {
    let kms = Kms::new();
    kms.key("root", "ECC_NIST_P256", "SIGN_VERIFY");
    let arn = kms.key("wrap", "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT");
    kms.succeed(&["ca", "new", "--key", "awskms:///alias/root", "--to", "root"]);
    kms.succeed(&[
        "ca",
        "new",
        "--parent",
        "root",
        "--for-batch",
        "--wrap-key",
        "awskms:///alias/wrap",
        "--to",
        "pumps",
    ]);
    let path = kms.place.join("pumps/key.wrapped");
    let whole = std::fs::read_to_string(&path).unwrap();
    assert!(whole.contains(&arn), "{whole}");
    let run = [
        "run",
        "devices.csv",
        "--ca",
        "pumps",
        "--no-endpoint",
        "--batch",
        "b",
    ];
    kms.succeed(&run);
    kms.place
        .succeed(&["verify", "out/b", "--ledger", "pumps/ledger.db"]);
    let document: serde_json::Value = serde_json::from_str(&whole).unwrap();
    let secret = document["secret"].as_str().unwrap();
    // Its end is what is encrypted, or its tag.
    let (head, end) = secret.split_at(secret.len() - 12);
    let end: String = end
        .chars()
        .map(|c| {
            if c == 'A' {
                'B'
            } else if c == '=' {
                '='
            } else {
                'A'
            }
        })
        .collect();
    let changed = format!("{head}{end}");
    // KMS refuses what another key has wrapped; this server does not look at it, but a secret that is not the one opens nothing.
    std::fs::write(&path, whole.replace(secret, &changed)).unwrap();
    let again = [&run[..6], &["c", "--reissue"]].concat();
    let said = kms.refusal(&again);
    assert!(said.contains("key.wrapped"), "{said}");
    std::fs::write(&path, &whole).unwrap();
    kms.succeed(&["ca", "retire", "pumps", "--unregistered"]);
    assert!(!path.exists());
    kms.refusal(&again);
}
