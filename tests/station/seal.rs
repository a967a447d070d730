//! What a station believes of a batch: its seal, and nothing that does not follow from it.

use std::fs;

use crate::line::Line;
use crate::support::{Workplace, tool};
use serde_json::Value;

#[test]
fn a_batch_that_was_tampered_with_cannot_be_flashed() {
    let refused = |layout: &str, tamper: &dyn Fn(&Line), code, told: &str| {
        let line = Line::new(layout, 9);
        tamper(&line);
        let error = line.refusal("st1", "SN000000", code);
        assert_eq!(error.lines().next().unwrap(), format!("certforge: error: {told}"));
        assert!(!line.0.join("dev-st1").exists(), "nothing is unpacked");
    };
    let bundle = |device: &str| {
        let layout: certforge::batch::Layout = "objects".parse().unwrap();
        layout.object(0, &certforge::manifest::DeviceId::parse(device).unwrap())
    };
    let swap = |line: &Line| {
        fs::copy(line.path(&bundle("SN000001")), line.path(&bundle("SN000000"))).unwrap();
    };
    let object = bundle("SN000000");
    let told = format!("device SN000000: {object} is refused: SHA-256 is not that of the index");
    let line = Line::new("objects", 9);
    swap(&line);
    let error = line.refusal("st1", "SN000000", 6);
    assert!(error.contains(&told), "{error}");
    assert!(error.contains("hint: flash nothing of this batch until you know who changed it"));
    assert!(!line.0.join("dev-st1").exists(), "nothing is unpacked");

    let remove = |line: &Line| fs::remove_file(line.path(&bundle("SN000000"))).unwrap();
    let line = Line::new("objects", 9);
    remove(&line);
    let error = line.refusal("st1", "SN000000", 6);
    let missing = format!("certforge: error: device SN000000: {object} is refused: it is missing\n");
    assert!(error.starts_with(&missing), "{error}");

    let index = "index/000000.csv is not what the seal says: it was changed after the batch was sealed";
    let change_index = |line: &Line| {
        let text = fs::read_to_string(line.path("index/000000.csv")).unwrap();
        fs::write(
            line.path("index/000000.csv"),
            text.replace("SN000003", "SN000009"),
        )
        .unwrap();
    };
    refused("packs", &change_index, 6, index);
    let lookup = "lookup/000000.csv is not what the seal says: it was changed after the batch was sealed";
    let change_lookup = |line: &Line| {
        let text = fs::read_to_string(line.path("lookup/000000.csv")).unwrap();
        fs::write(line.path("lookup/000000.csv"), text.replace(",1\n", ",0\n")).unwrap();
    };
    refused("packs", &change_lookup, 6, lookup);
    let record = "batch.json is not what the seal says: it was changed after the batch was sealed";
    let change_record = |line: &Line| {
        let text = fs::read_to_string(line.path("batch.json")).unwrap();
        fs::write(line.path("batch.json"), text.replace("\"b\"", "\"c\"")).unwrap();
    };
    refused("packs", &change_record, 6, record);

    let truncate = |line: &Line| {
        let pack = fs::read(line.path("packs/000000.zip")).unwrap();
        fs::write(line.path("packs/000000.zip"), &pack[..1000]).unwrap();
    };
    let line = Line::new("packs", 9);
    truncate(&line);
    let error = line.refusal("st1", "SN000000", 6);
    assert!(
        error.starts_with(
            "certforge: error: device SN000000: packs/000000.zip is refused: SHA-256 is not that of the index"
        ),
        "{error}"
    );

    let unsealed = |line: &Line| fs::remove_file(line.path("seal.json")).unwrap();
    refused("packs", &unsealed, 6, "out/b is not sealed: it has no seal.json");
    let half_seal = |line: &Line| {
        let text = fs::read_to_string(line.path("seal.json")).unwrap();
        fs::write(line.path("seal.json"), &text[..text.len() / 2]).unwrap();
    };
    let line = Line::new("packs", 9);
    half_seal(&line);
    let error = line.refusal("st1", "SN000000", 6);
    assert!(
        error.starts_with("certforge: error: seal.json is no seal: "),
        "{error}"
    );
}

#[test]
fn a_seal_of_another_issuer_is_refused() {
    let line = Line::new("packs", 9);
    // Somebody makes the whole batch anew with a CA of the same name, and seals it.
    line.0.succeed(&[
        "ca",
        "new",
        "--no-passphrase",
        "--to",
        "other",
        "--common-name",
        "other",
    ]);
    fs::remove_dir_all(line.0.join("out")).unwrap();
    line.0.succeed(&[
        "run",
        "devices.csv",
        "--no-endpoint",
        "--ca",
        "other",
        "--batch",
        "b",
        "--ledger",
        "other.db",
    ]);
    let shown = |folder: &str| -> String {
        let text = line.0.succeed(&["ca", "show", folder, "--json"]);
        let shown: Value = serde_json::from_str(&text).unwrap();
        shown["ca_certificate_id"].as_str().unwrap().to_owned()
    };
    let (own, other) = (shown("ca"), shown("other"));
    assert_eq!(
        line.refusal("st1", "SN000000", 5),
        format!(
            "certforge: error: the batch was sealed by another issuer: certificate {other}, not {own}\n\
             certforge: hint: name the CA certificate that this batch was made with, or ask whoever made the batch"
        )
    );
    // Trusted by its id, it is flashed; and whoever trusts the first one's id still refuses it.
    let claim = |issuer: &str| {
        let out = ["claim", "--next", "--out", "dev", "--issuer", issuer];
        line.output("st1", &out)
    };
    assert_eq!(claim(&own).status.code(), Some(5));
    assert_eq!(claim(&other.to_uppercase()).status.code(), Some(0));

    // A seal that names the right issuer and that another one has signed.
    let text = fs::read_to_string(line.path("seal.json")).unwrap();
    fs::write(line.path("seal.json"), text.replace(&other, &own)).unwrap();
    let error = line.refusal("st2", "SN000000", 5);
    assert!(
        error.starts_with("certforge: error: the signature of seal.json is not that of issuer CN="),
        "{error}"
    );
}

#[test]
fn openssl_verifies_the_signature_of_a_seal() {
    for key in ["P-256", "P-384", "RSA-2048"] {
        let place = Workplace::new();
        place.manifest(3);
        place.succeed(&["ca", "new", "--no-passphrase", "--key", key]);
        place.succeed(&[
            "run",
            "devices.csv",
            "--no-endpoint",
            "--ca",
            "ca",
            "--batch",
            "b",
        ]);
        let text = fs::read_to_string(place.join("out/b/seal.json")).unwrap();
        let (statement, rest) = text
            .strip_prefix("{\"seal\":")
            .unwrap()
            .split_once(",\"signature\":")
            .unwrap();
        let signature: Value = serde_json::from_str(rest.trim_end().strip_suffix('}').unwrap()).unwrap();
        let value = data_encoding::BASE64
            .decode(signature["value"].as_str().unwrap().as_bytes())
            .unwrap();
        fs::write(place.join("statement"), statement).unwrap();
        fs::write(place.join("signature"), value).unwrap();
        let public_key = tool(
            "openssl",
            &["x509", "-in", "ca/certificate.pem", "-noout", "-pubkey"],
            place.path(),
        );
        fs::write(place.join("public.pem"), public_key.stdout).unwrap();
        let digest = if key == "P-384" { "-sha384" } else { "-sha256" };
        let verify = [
            "dgst",
            digest,
            "-verify",
            "public.pem",
            "-signature",
            "signature",
            "statement",
        ];
        let verified = tool("openssl", &verify, place.path());
        assert!(
            verified.status.success(),
            "{key}: {}",
            String::from_utf8_lossy(&verified.stdout)
        );
    }
}

#[test]
fn seals_what_is_complete_and_nothing_else() {
    let line = Line::new("packs", 9);
    let first = line.0.succeed(&["seal", "out/b", "--json"]);
    let first: Value = serde_json::from_str(&first).unwrap();
    assert_eq!(first["sealed_before"], true);
    // The same is stated when it is sealed by what the ledger says.
    line.0.unseal("b");
    let second: Value = serde_json::from_str(&line.0.succeed(&["seal", "out/b", "--json"])).unwrap();
    assert_eq!(second["sealed_before"], false);
    assert_eq!(first["merkle_root"], second["merkle_root"]);
    line.claim("st1", "SN000000");

    let sealed = |code| line.0.fail(&["seal", "out/b"], code);
    let index = line.path("index/000001.csv");
    let rows = fs::read_to_string(&index).unwrap();
    let lines: Vec<&str> = rows.lines().collect();
    let swapped = [lines[0], lines[2], lines[1], lines[3], lines[4], ""].join("\n");
    fs::write(&index, swapped).unwrap();
    assert_eq!(
        sealed(6),
        "certforge: error: index/000001.csv is not what the seal says: it was changed after the batch was sealed\n\
         certforge: hint: flash nothing of this batch until you know who changed it; `certforge verify` tells more\n"
    );
    assert!(
        line.0
            .fail(&["verify", "out/b"], 1)
            .contains("put back what is missing or changed")
    );
    // A seal that is there is not touched by one who seals something else.
    fs::write(&index, &rows).unwrap();
    line.succeed("st1", &["done", "SN000000"]);
    line.claim("st1", "SN000001");
    line.0.unseal("b");
    fs::copy(line.path("index/000000.csv"), &index).unwrap();
    let error = sealed(6);
    assert!(
        error.starts_with("certforge: error: index/000001.csv is not what the ledger released: "),
        "{error}"
    );
    let shorter: Vec<&str> = rows.lines().take(3).collect();
    fs::write(&index, shorter.join("\n")).unwrap();
    assert_eq!(
        sealed(6),
        "certforge: error: index/000001.csv is not what the ledger released: it was changed since\n\
         certforge: hint: flash nothing of this batch until you know who changed it; `certforge verify` tells more\n"
    );
    fs::remove_file(&index).unwrap();
    assert_eq!(
        sealed(6),
        "certforge: error: batch b is not complete: 1 of 3 chunks are missing, the first is 1\n\
         certforge: hint: run the command that began it again, for every shard; then seal it\n"
    );
    line.0.succeed(&["ca", "new", "--no-passphrase", "--to", "other"]);
    let other = line.0.fail(&["seal", "out/b", "--ca", "other"], 5);
    assert!(other.contains("/out/b was not made by CN="), "{other}");
}

#[test]
fn a_device_of_two_chunks_is_sealed_by_nobody() {
    let line = Line::new("objects", 8);
    line.0.unseal("b");
    fs::copy(line.path("index/000000.csv"), line.path("index/000001.csv")).unwrap();
    assert_eq!(
        line.0.fail(&["seal", "out/b"], 6),
        "certforge: error: index/000001.csv is not what the ledger released: it was changed since\n\
         certforge: hint: flash nothing of this batch until you know who changed it; `certforge verify` tells more\n"
    );
}

#[test]
fn a_copy_of_a_batch_gives_no_device_out_once_more() {
    let line = Line::new("packs", 4);
    fs::create_dir(line.0.join("copy")).unwrap();
    let copied = tool("cp", &["-a", "out/b", "copy"], line.0.path());
    assert!(copied.status.success());
    let claim = [
        "claim", "--device", "SN000000", "--out", "dev", "--batch", "copy/b",
    ];
    assert_eq!(
        line.fail("st1", &claim, 6),
        "certforge: error: copy/b is not where this batch was sealed, which is out/b\n\
         certforge: hint: a copy would give each device out once more: name the place where it was sealed; --moved says that it was moved, or is reached by another path, and is no copy"
    );
    line.succeed("st1", &[&claim[..], &["--moved"]].concat());
}

#[test]
fn a_batch_that_was_made_anew_at_the_same_place_is_read_anew() {
    for layout in ["objects", "packs"] {
        let line = Line::new(layout, 4);
        line.claim("st1", "SN000000");
        line.succeed("st1", &["done", "SN000000"]);
        fs::remove_dir_all(line.0.join("out")).unwrap();
        for name in ["ca/ledger.db", "ca/ledger.db-lock", "ca/ledger.json"] {
            fs::remove_file(line.0.join(name)).unwrap();
        }
        line.make("b", "out", layout);
        line.claim("st1", "SN000001");
        line.succeed("st1", &["done", "SN000001"]);
        line.script("exit 0");
        line.succeed("st1", &["run", "--exec", "./flash.sh", "--out", "dev"]);
        let status: Value = serde_json::from_str(&line.succeed("st1", &["status", "--json"])).unwrap();
        assert_eq!(status["flashed"], 4);
    }
}

#[test]
fn a_certificate_that_is_not_valid_now_is_refused_and_the_clock_is_named() {
    use certforge::issuer::{CaFiles, read_public};
    use certforge::station::{Options, Station, StationError, Trust};
    let line = Line::new("packs", 4);
    for (clock, fault) in [
        (
            (|| time::macros::datetime!(2099-01-01 0:00 UTC)) as fn() -> time::OffsetDateTime,
            "the certificate expired on 20",
        ),
        (
            || time::macros::datetime!(1971-01-01 0:00 UTC),
            "the certificate is valid from 20",
        ),
    ] {
        let (certificate, _) = read_public(&CaFiles::in_folder(&line.0.join("ca"))).unwrap();
        let options = Options {
            name: "st1".to_owned(),
            issuer: Trust::Certificate(Box::new(certificate)),
            moved: false,
            memory: line.0.join("memory").join(fault.len().to_string()),
            lease: time::Duration::HOUR,
            identities: None,
            clock,
        };
        let mut station = Station::open(line.store(), options).unwrap();
        let mut claimed = station.claim_next().unwrap();
        let error = station.fetch(&mut claimed, &line.0.join("dev")).unwrap_err();
        let StationError::Bundle { faults, .. } = &error else {
            panic!("{error}");
        };
        assert!(faults.contains(fault), "{faults}");
        assert_eq!(
            error.hint().unwrap(),
            "check this machine's clock, then the certificate's validity"
        );
        assert!(!line.0.join("dev").exists());
    }
}

#[test]
fn tells_a_batch_that_is_not_sealed_from_what_is_no_batch() {
    let line = Line::new("objects", 4);
    assert_eq!(
        line.fail("st1", &["send", "--batch", "out"], 6),
        "certforge: error: out is no batch: it has no batch.json\n\
         certforge: hint: name a batch, such as s3://factory-eu/batches/line-7-3f2a9c01"
    );
}
