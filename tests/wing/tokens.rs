//! CAs of a token through the AWS wing: the proof of possession is a signature of the token, or of a CA for one batch that the
//! token has signed; batches of both come up in a rehearsal; and a key is not destroyed while AWS IoT may still ask for it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::process::Output;

use serde_json::Value;

use crate::endpoint::write_narrow_template;
use crate::fault_proxy::{Fault, FaultProxy};
use crate::iot::Account;
use crate::softhsm::{SoftHsm, uri};
use crate::support::tool;

/// An account that knows nothing, and a token.
struct Desk {
    account: Account,
    hsm: SoftHsm,
}

const HINT_DONE: &str = "done: devices of this CA may connect\n";

impl Desk {
    fn new() -> Self {
        let account = Account::new();
        account.place.manifest(12);
        write_narrow_template(&account.place);
        let hsm = SoftHsm::new();
        Self { account, hsm }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.account.place.command(arguments);
        self.hsm.with(&mut command).output().unwrap()
    }

    #[track_caller]
    fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}\n{}", told(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn fail(&self, arguments: &[&str], code: i32) -> String {
        let output = self.run(arguments);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}\n{}",
            told(&output)
        );
        String::from_utf8(output.stderr).unwrap()
    }

    /// `jitp register` of the CA in a folder, by a way to the server.
    fn register_at(&self, url: &str, folder: &str, more: &[&str]) -> Output {
        let register = ["register", "--template", "template.json", "--yes", "--ca", folder];
        let mut command = self.account.jitp_at(url, &[&register[..], more].concat());
        self.hsm.with(&mut command).output().unwrap()
    }

    fn register(&self, folder: &str, more: &[&str]) -> String {
        let output = self.register_at(&self.account.server.url, folder, more);
        assert!(output.status.success(), "{}", told(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// A CA for one batch of a new root in the token.
    fn for_batch(&self, key_type: &str, folder: &str) {
        let root = format!("root-{folder}");
        let key = uri(&root);
        self.succeed(&["ca", "new", "--key", &key, "--key-type", key_type, "--to", &root]);
        self.succeed(&[
            "ca",
            "new",
            "--parent",
            &root,
            "--for-batch",
            "--days",
            "9000",
            "--to",
            folder,
        ]);
    }

    fn described(&self, folder: &str) -> Option<Value> {
        let shown: Value = serde_json::from_str(&self.succeed(&["ca", "show", folder, "--json"])).unwrap();
        let id = shown["ca_certificate_id"].as_str().unwrap();
        self.account.cloud.ca(id)
    }

    /// What the folder remembers of its one registration.
    fn record(&self, folder: &str) -> Value {
        let path = self.account.place.join(folder).join("registration.json");
        let record: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        assert_eq!(record["registrations"].as_array().unwrap().len(), 1, "{record:#}");
        record["registrations"][0].clone()
    }

    fn history(&self, folder: &str) -> Vec<Value> {
        let ledger = format!("{folder}/ledger.db");
        let history = self.succeed(&["ledger", "history", "--ledger", &ledger, "--json"]);
        let history: Value = serde_json::from_str(&history).unwrap();
        history["entries"].as_array().unwrap().clone()
    }
}

fn told(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Makes a batch, rehearses it whole, and gives what is told of the rehearsal.
fn comes_up(desk: &Desk, folder: &str) {
    let run = ["run", "devices.csv", "--ca", folder, "--batch", folder];
    let made = desk.succeed(&run);
    assert!(made.contains("-ats.iot.us-east-1."), "{made}");
    let batch = format!("out/{folder}");
    // Whoever rehearses needs no token.
    let place = &desk.account.place;
    for more in [&[][..], &["--leaf-only"]] {
        let rehearse = [
            "rehearse",
            &batch,
            "--issuer",
            folder,
            "--template",
            "template.json",
            "--sample",
            "all",
        ];
        let text = place.succeed(&[&rehearse[..], more].concat());
        assert!(text.ends_with("all 12 would come up\n"), "{text}");
    }
}

#[test]
fn a_cas_proof_is_signed_by_its_token_and_its_devices_come_up() {
    let desk = Desk::new();
    for (key_type, folder) in [("P-256", "p256"), ("P-384", "p384"), ("RSA-2048", "rsa")] {
        let key = uri(folder);
        desk.succeed(&["ca", "new", "--key", &key, "--key-type", key_type, "--to", folder]);
        // The token holds the key, so without its PIN nothing is proven, and nothing is registered.
        let mut command = desk
            .account
            .jitp(&["register", "--template", "template.json", "--yes"]);
        command
            .args(["--ca", folder])
            .env("SOFTHSM2_CONF", desk.hsm.conf());
        let refused = command.output().unwrap();
        assert_eq!(refused.status.code(), Some(5), "{}", told(&refused));
        assert!(desk.described(folder).is_none());
        assert!(!desk.account.place.join(folder).join("registration.json").exists());

        let text = desk.register(folder, &[]);
        assert!(text.ends_with(HINT_DONE), "{text}");
        let described = desk.described(folder).unwrap();
        let ca = &described["certificateDescription"];
        assert_eq!(ca["certificateMode"], "DEFAULT");
        assert_eq!(ca["status"], "ACTIVE");
        comes_up(&desk, folder);
    }
}

#[test]
fn a_batch_of_a_ca_that_the_token_signed_comes_up_and_the_ca_is_retired() {
    let desk = Desk::new();
    desk.for_batch("P-256", "pumps");
    let refused = desk.fail(&["ca", "retire", "pumps"], 2);
    assert!(
        refused.contains("pumps was not registered with AWS IoT from here"),
        "{refused}"
    );
    let text = desk.register("pumps", &[]);
    assert!(text.ends_with(HINT_DONE), "{text}");
    assert!(desk.described("pumps").is_some());
    let record = desk.record("pumps");
    assert_eq!(record["mode"], "DEFAULT");
    assert_eq!(record["region"], "us-east-1");
    let proof = record["proof"].as_str().unwrap().to_owned();
    assert!(record["registered_at"].is_string(), "{record:#}");
    let entry = &desk.history("pumps")[0];
    assert_eq!(entry["act"], "ca-registered");
    let what = entry["what"].as_str().unwrap();
    let account = record["account"].as_str().unwrap();
    let id = record["ca_certificate_id"].as_str().unwrap();
    assert_eq!(
        what,
        format!(
            "certificate {id}: account {account}, us-east-1, mode DEFAULT, proven by certificate {proof}"
        )
    );
    // What was there stays as it was told.
    let again = desk.register("pumps", &[]);
    assert!(again.contains("nothing to do: everything is there"), "{again}");
    assert_eq!(desk.record("pumps"), record);
    assert_eq!(desk.history("pumps").len(), 1);

    comes_up(&desk, "pumps");
    let output = desk.run(&["ca", "retire", "pumps"]);
    assert!(output.status.success(), "{}", told(&output));
    assert!(
        told(&output).contains("revocation lists of this CA end with its key"),
        "{}",
        told(&output)
    );
    assert!(!desk.account.place.join("pumps/key.wrapped").exists());
    let acts: Vec<_> = desk
        .history("pumps")
        .iter()
        .map(|entry| entry["act"].clone())
        .collect();
    assert_eq!(
        acts,
        [
            "ca-registered",
            "ca-new",
            "batch-begun",
            "batch-sealed",
            "ca-retired"
        ]
    );
    desk.fail(&["ca", "crl", "--ca", "pumps"], 5);
    // Its devices are not touched by that.
    let rehearse = [
        "rehearse",
        "out/pumps",
        "--issuer",
        "pumps",
        "--template",
        "template.json",
        "--sample",
        "all",
    ];
    desk.account.place.succeed(&rehearse);
}

/// A registration that is stopped before AWS IoT has taken the proof needs the key once more.
#[test]
fn a_key_is_kept_until_its_registration_is_proven() {
    let desk = Desk::new();
    desk.for_batch("P-256", "pumps");
    let proxy = FaultProxy::start_for(
        "POST /cacertificate",
        desk.account.server.address(),
        0,
        1,
        &[Fault::Unauthorized],
    );
    let url = format!("http://{}", proxy.address);
    let refused = desk.register_at(&url, "pumps", &[]);
    assert_eq!(refused.status.code(), Some(8), "{}", told(&refused));
    assert!(proxy.count() > 0 && desk.described("pumps").is_none());
    let record = desk.record("pumps");
    assert_eq!(
        (&record["mode"], &record["registered_at"]),
        (&"DEFAULT".into(), &Value::Null)
    );
    for command in [
        &["ca", "retire", "pumps"][..],
        &[
            "run",
            "devices.csv",
            "--ca",
            "pumps",
            "--no-endpoint",
            "--retire-ca",
        ],
    ] {
        let refused = desk.fail(command, 2);
        let begun = record["begun_at"].as_str().unwrap();
        let account = record["account"].as_str().unwrap();
        assert!(
            refused.starts_with(&format!(
                "certforge: error: the registration of pumps in account {account}, us-east-1, mode DEFAULT, was begun at {begun} and is not proven: that takes a signature of its key\n"
            )),
            "{refused}"
        );
        assert!(desk.account.place.join("pumps/key.wrapped").exists());
    }
    assert!(
        !desk.account.place.join("out").exists(),
        "it is said before anything is made"
    );
    proxy.heal();
    let done = desk.register_at(&url, "pumps", &[]);
    assert!(done.status.success(), "{}", told(&done));
    assert!(desk.record("pumps")["registered_at"].is_string());
    desk.succeed(&["run", "devices.csv", "--ca", "pumps", "--retire-ca"]);
    assert!(!desk.account.place.join("pumps/key.wrapped").exists());
}

#[test]
fn a_ca_that_accounts_share_is_retired_without_a_proof() {
    let desk = Desk::new();
    desk.for_batch("P-256", "pumps");
    desk.register("pumps", &["--mode", "sni-only"]);
    let record = desk.record("pumps");
    assert_eq!(
        (&record["mode"], &record["proof"]),
        (&"SNI_ONLY".into(), &Value::Null)
    );
    desk.succeed(&["ca", "retire", "pumps"]);
    assert!(!desk.account.place.join("pumps/key.wrapped").exists());
}

/// A registration that was made by other means, or by an older certforge: its mode is found out by asking AWS IoT.
#[test]
fn a_ca_that_was_registered_by_others_is_asked_for_before_its_key_goes() {
    let desk = Desk::new();
    desk.for_batch("P-256", "pumps");
    desk.register("pumps", &[]);
    let path = desk.account.place.join("pumps/registration.json");
    fs::remove_file(&path).unwrap();
    let told = desk.fail(&["ca", "retire", "pumps"], 2);
    assert!(
        told.contains("pumps has an endpoint, and nothing tells in which mode it was registered"),
        "{told}"
    );
    desk.register("pumps", &[]);
    let record = desk.record("pumps");
    // No proof was asked for, since AWS IoT had taken one.
    assert_eq!(
        (&record["mode"], &record["proof"]),
        (&"DEFAULT".into(), &Value::Null)
    );
    // The record of another CA says nothing of this one.
    desk.for_batch("P-256", "valves");
    fs::copy(&path, desk.account.place.join("valves/registration.json")).unwrap();
    let told = desk.fail(&["ca", "retire", "valves"], 2);
    assert!(told.contains("valves was not registered"), "{told}");
    fs::write(desk.account.place.join("valves/registration.json"), "{}").unwrap();
    let told = desk.fail(&["ca", "retire", "valves"], 5);
    assert!(
        told.contains("valves/registration.json does not say where this CA was registered")
            && told.contains("remove it, and `certforge jitp register` writes it anew"),
        "{told}"
    );
    desk.succeed(&["ca", "retire", "pumps"]);
    desk.succeed(&["ca", "retire", "valves", "--unregistered"]);
}

/// The proof of possession by itself, as openssl sees it.
#[test]
fn openssl_accepts_a_proof_that_a_token_has_signed() {
    let desk = Desk::new();
    let place = &desk.account.place;
    let code = "0123456789abcdef".repeat(4);
    for (key_type, folder) in [("P-256", "p256"), ("P-384", "p384"), ("RSA-2048", "rsa")] {
        desk.for_batch(key_type, folder);
        for ca in [format!("root-{folder}"), folder.to_owned()] {
            let proof = format!("proof-{ca}");
            desk.succeed(&[
                "jitp",
                "proof",
                "--ca",
                &ca,
                "--registration-code",
                &code,
                "--to",
                &proof,
            ]);
            let trusted = format!("{ca}/certificate.pem");
            let verified = tool(
                "openssl",
                &[
                    "verify",
                    "-x509_strict",
                    "-partial_chain",
                    "-trusted",
                    &trusted,
                    &format!("{proof}/verification.pem"),
                ],
                place.path(),
            );
            assert!(verified.status.success(), "{ca}: {}", told(&verified));
        }
    }
}
