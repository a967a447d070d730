//! Recipients that are keys of SSH, or a plugin's: read by age itself, and by what age has written for them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use certforge::batch::parse_index;

use crate::identity::{age, identity};
use crate::support::Workplace;

const DEVICES: usize = 8;

/// A CA, a manifest, the keys of SSH that lie with the tests, and the plugin on the PATH.
fn factory() -> Workplace {
    let place = Workplace::new();
    place.manifest(DEVICES);
    place.succeed(&["ca", "new", "--no-passphrase"]);
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    for entry in fs::read_dir(data.join("data/ssh")).unwrap() {
        let entry = entry.unwrap();
        let copy = place.path().join(entry.file_name());
        fs::copy(entry.path(), &copy).unwrap();
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o600)).unwrap();
    }
    fs::create_dir(place.join("bin")).unwrap();
    symlink(
        data.join("support/age-plugin-test"),
        place.join("bin/age-plugin-test"),
    )
    .unwrap();
    place
}

/// With the folder of the plugin on the PATH.
fn with_plugin<'a>(command: &'a mut Command, place: &Workplace) -> &'a mut Command {
    let path = std::env::var("PATH").unwrap();
    command.env("PATH", format!("{}:{path}", place.join("bin").display()))
}

fn run(place: &Workplace, batch: &str, layout: &str, recipients: &[&str]) -> (Option<i32>, String) {
    let mut arguments = vec!["run", "devices.csv", "--no-endpoint", "--ca", "ca", "--reissue"];
    arguments.extend(["--batch", batch, "--layout", layout, "--chunk-rows", "4"]);
    arguments.extend(recipients.iter().flat_map(|one| ["--recipient", one]));
    told(&mut place.command(&arguments), place)
}

/// What a command says, and how it ends.
fn told(command: &mut Command, place: &Workplace) -> (Option<i32>, String) {
    let output = with_plugin(command, place)
        .env("CERTFORGE_PIN", "a PIN, 90417")
        .env("AWS_SECRET_ACCESS_KEY", "a secret, 31337")
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    (
        output.status.code(),
        error + &String::from_utf8_lossy(&output.stdout),
    )
}

/// The encrypted bundles of a batch, which any age opens.
fn bundles(place: &Workplace, batch: &str) -> Vec<Vec<u8>> {
    let batch = place.join("out").join(batch);
    let mut bundles = Vec::new();
    for chunk in 0..2 {
        let index = fs::read(batch.join(format!("index/{chunk:06}.csv"))).unwrap();
        for row in parse_index(&index).unwrap() {
            let object = fs::read(batch.join(&row.object)).unwrap();
            let at = |offset| usize::try_from(offset).unwrap();
            let range = at(row.entry.offset)..at(row.entry.offset + row.entry.length);
            bundles.push(object[range].to_vec());
        }
    }
    assert_eq!(bundles.len(), DEVICES);
    bundles
}

fn public(place: &Workplace, name: &str) -> String {
    fs::read_to_string(place.join(&format!("{name}.pub"))).unwrap()
}

#[test]
fn age_opens_what_is_encrypted_for_keys_of_ssh_in_each_layout() {
    let place = factory();
    let x25519 = identity(&place, "one");
    for layout in ["objects", "packs"] {
        // By themselves, and by a file.
        let recipients = [
            x25519.as_str(),
            public(&place, "id_ed25519").trim_end(),
            "id_rsa.pub",
        ]
        .map(str::to_owned);
        let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
        let (code, said) = run(&place, layout, layout, &recipients);
        assert_eq!(code, Some(0), "{said}");
        for (i, bundle) in bundles(&place, layout).iter().enumerate() {
            let key = ["one.key", "id_ed25519", "id_rsa"][i % 3];
            let zip = age(place.path(), &["-d", "-i", key], bundle).unwrap();
            let mut zip = zip::ZipArchive::new(std::io::Cursor::new(zip)).unwrap();
            let key = std::io::read_to_string(zip.by_name("private.pem.key").unwrap()).unwrap();
            assert!(key.starts_with("-----BEGIN PRIVATE KEY-----"));
        }
        let refused = age(
            place.path(),
            &["-d", "-i", "id_ed25519_locked"],
            &bundles(&place, layout)[0],
        );
        assert!(refused.is_err());
        let record = fs::read_to_string(place.join(&format!("out/{layout}/batch.json"))).unwrap();
        for name in ["id_ed25519", "id_rsa"] {
            let key = public(&place, name);
            let key = key.rsplit_once(' ').unwrap().0;
            assert!(record.contains(key), "whose key it is says nobody: {record}");
        }
    }
    let fingerprint = Command::new("ssh-keygen")
        .args(["-l", "-f", "id_rsa.pub"])
        .current_dir(place.path())
        .output();
    let (_, said) = told(
        &mut place.command(&["verify", "out/packs", "--no-ledger"]),
        &place,
    );
    assert!(said.contains(&format!("{}, SHA256:", &x25519[..12])), "{said}");
    if let Ok(fingerprint) = fingerprint {
        let fingerprint = String::from_utf8(fingerprint.stdout).unwrap();
        let short = &fingerprint.split(' ').nth(1).unwrap()[..19];
        assert!(said.contains(short), "{short}: {said}");
    }
}

#[cfg(feature = "age")]
#[test]
fn keys_of_ssh_read_bundles_with_their_passphrase() {
    let place = factory();
    let recipients = ["id_ed25519.pub", "id_rsa.pub", "id_ed25519_locked.pub"];
    let (code, said) = run(&place, "b", "packs", &recipients);
    assert_eq!(code, Some(0), "{said}");
    fs::write(place.join("passphrase"), "correct horse\n").unwrap();
    fs::set_permissions(place.join("passphrase"), fs::Permissions::from_mode(0o600)).unwrap();
    for (key, options) in [
        ("id_ed25519", &[][..]),
        ("id_rsa", &[]),
        ("id_ed25519_locked", &["--identity-passphrase-file", "passphrase"]),
    ] {
        let arguments = [&["verify", "out/b", "--json", "--identity", key], options].concat();
        let report: serde_json::Value = serde_json::from_str(&place.succeed(&arguments)).unwrap();
        assert_eq!(
            (&report["good"], &report["unread"]),
            (&DEVICES.into(), &0.into()),
            "{report:#}"
        );
        let shown = place.succeed(&[&["station", "identity", "show", key], options].concat());
        let public = public(&place, key);
        assert_eq!(shown.trim_end(), public.rsplit_once(' ').unwrap().0);
    }
    let verify = ["verify", "out/b", "--identity", "id_ed25519_locked"];
    let error = place.fail(&verify, 2);
    assert!(
        error.contains("is an SSH key with a passphrase, and that was not told"),
        "{error}"
    );
    let mut command = place.command(&verify);
    command.env("CERTFORGE_IDENTITY_PASSPHRASE", "another");
    let (code, error) = told(&mut command, &place);
    assert_eq!(code, Some(2));
    assert!(error.contains("another passphrase than that"), "{error}");
    let mut command = place.command(&verify);
    command.env("CERTFORGE_IDENTITY_PASSPHRASE", "correct horse");
    assert_eq!(told(&mut command, &place).0, Some(0));
    for (key, what) in [
        ("id_ecdsa", "is an SSH key of kind ecdsa-sha2-nistp256"),
        ("id_rsa.pub", "is the public half of an SSH key"),
    ] {
        let error = place.fail(&["verify", "out/b", "--identity", key], 2);
        assert!(error.contains(what), "{error}");
    }
    fs::set_permissions(place.join("id_rsa"), fs::Permissions::from_mode(0o640)).unwrap();
    let error = place.fail(&["verify", "out/b", "--identity", "id_rsa"], 2);
    assert!(error.contains("can be read by others (mode 0640)"), "{error}");
}

#[cfg(feature = "age")]
#[test]
fn what_age_encrypts_to_keys_of_ssh_is_read() {
    use std::io;
    use std::sync::Arc;

    use certforge::bundle::encryption::decrypt;
    use certforge::plugin::Nobody;
    use certforge::station::identity::{Asked, read};
    use zeroize::Zeroizing;

    let place = factory();
    let keys = ["id_ed25519", "id_rsa", "id_ed25519_locked"];
    // One file for all of them, with lines that age itself draws in, and one for each alone; around the ends of chunks.
    let all: Vec<String> = keys
        .iter()
        .flat_map(|key| ["-R".to_owned(), format!("{key}.pub")])
        .collect();
    for key in keys {
        let alone = ["-R".to_owned(), format!("{key}.pub")];
        for len in [0, 1, 3_000, 64 * 1024 - 1, 64 * 1024, 64 * 1024 + 1] {
            let plain: Vec<u8> = (0..=250).cycle().take(len).collect();
            for arguments in [&all[..], &alone] {
                let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                let theirs = age(place.path(), &arguments, &plain).unwrap();
                let identities = read(
                    &place.join(key),
                    &mut Asked {
                        passphrase: &mut || io::Result::Ok(Zeroizing::new("correct horse".to_owned())),
                        voice: Arc::new(Nobody),
                    },
                )
                .unwrap();
                assert_eq!(**decrypt(&theirs, &identities).unwrap(), *plain, "{key}, {len}");
                if let Some(at) = theirs.len().checked_sub(1).filter(|_| len > 0) {
                    let mut changed = theirs;
                    changed[at] ^= 1;
                    assert!(decrypt(&changed, &identities).is_err(), "{key}, {len}");
                }
            }
        }
    }
}

#[cfg(feature = "age")]
#[test]
fn a_batch_goes_from_one_station_to_another_by_keys_of_ssh() {
    let place = factory();
    let (code, said) = run(&place, "b", "objects", &["id_ed25519.pub"]);
    assert_eq!(code, Some(0), "{said}");
    let error = place.fail(&["verify", "out/b", "--identity", "id_rsa"], 9);
    assert!(error.contains("is encrypted for SHA256:"), "{error}");
    let rewrap = [
        "bundle",
        "rewrap",
        "out/b",
        "--ca",
        "ca",
        "--identity",
        "id_ed25519",
        "--recipient",
        "id_rsa.pub",
    ];
    place.succeed(&rewrap);
    place.succeed(&["verify", "out/b", "--identity", "id_rsa"]);
    let claim = [
        "station",
        "claim",
        "--next",
        "--batch",
        "out/b",
        "--station",
        "st1",
        "--out",
        "dev",
        "--identity",
    ];
    let error = place.fail(&[&claim[..], &["id_ed25519"]].concat(), 9);
    assert!(error.contains("and this station is SHA256:"), "{error}");
    place.succeed(&[&claim[..], &["id_rsa"]].concat());
    assert!(place.join("dev/private.pem.key").exists());
}

/// The recipient and the identity of the plugin for a key that begins with this octet.
fn of_plugin(place: &Workplace, name: &str, first: u8) -> String {
    use bech32::{Bech32, Hrp};
    let mut key = [7; 32];
    key[0] = first;
    let recipient = bech32::encode_lower::<Bech32>(Hrp::parse("age1test").unwrap(), &key).unwrap();
    let identity = bech32::encode_upper::<Bech32>(Hrp::parse("age-plugin-test-").unwrap(), &key).unwrap();
    let path = place.join(&format!("{name}.key"));
    fs::write(&path, format!("# recipient: {recipient}\n{identity}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    recipient
}

#[test]
fn a_plugin_shares_file_keys_and_reads_them() {
    let place = factory();
    let recipients = [
        of_plugin(&place, "quiet", 0),
        of_plugin(&place, "chatters", 4),
        identity(&place, "one"),
    ];
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    let (code, said) = run(&place, "b", "packs", &recipients);
    assert_eq!(code, Some(0), "{said}");
    let told_environment = || fs::read_to_string(place.join("environment-of-plugin")).unwrap();
    let environment = told_environment();
    // Once to try it, and once for each chunk.
    assert_eq!(
        environment.matches("--age-plugin=recipient-v1").count(),
        3,
        "{environment}"
    );
    for key in ["quiet.key", "chatters.key", "one.key"] {
        let mut verify = place.command(&["verify", "out/b", "--json", "--identity", key]);
        let (code, said) = told(&mut verify, &place);
        assert_eq!(code, Some(0), "{said}");
        assert!(
            said.contains("\"unread\": 0") || said.contains("\"unread\":0"),
            "{said}"
        );
    }
    let environment = told_environment();
    for secret in ["90417", "31337", "CERTFORGE", "AGE-PLUGIN-TEST-1"] {
        assert!(!environment.contains(secret), "{secret}: {environment}");
    }
    // Debian's age finds the same plugin, and opens what was written.
    for bundle in bundles(&place, "b") {
        let mut age = Command::new("age");
        age.args(["-d", "-i", "quiet.key", "-o", "opened.zip", "bundle.age"])
            .current_dir(place.path())
            .env("HOME", place.path());
        fs::write(place.join("bundle.age"), &bundle).unwrap();
        let (code, said) = told(&mut age, &place);
        assert_eq!(code, Some(0), "{said}");
        assert!(fs::read(place.join("opened.zip")).unwrap().starts_with(b"PK"));
    }
}

#[test]
fn says_what_a_plugin_does_not_do() {
    let place = factory();
    let missing = "age1yubikey1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3t";
    for (recipient, exit_code, what) in [
        (
            missing.to_owned(),
            2,
            "there is no program age-plugin-yubikey on the PATH",
        ),
        (
            of_plugin(&place, "refuses", 1),
            2,
            "age-plugin-test refuses: the token is not there",
        ),
        (
            of_plugin(&place, "dies", 2),
            1,
            "age-plugin-test ended, or closed its output, before it was done",
        ),
    ] {
        let (code, said) = run(&place, "b", "packs", &[&recipient]);
        assert_eq!(code, Some(exit_code), "{said}");
        assert!(said.contains(what), "{said}");
        assert!(!place.join("out/b/index").exists(), "nothing is made");
    }
    // What its recipients are, all must be; they may be two of them.
    let labelled = [
        of_plugin(&place, "labelled", 5),
        of_plugin(&place, "labelled-too", 6),
    ];
    let one = identity(&place, "one");
    for pair in [[&labelled[0], &one], [&one, &labelled[0]]] {
        let (code, said) = run(&place, "b", "packs", &pair.map(String::as_str));
        assert_eq!(code, Some(2), "{said}");
        assert!(
            said.contains("age-plugin-test encrypts to recipients that are postquantum alone, and others are named beside them\n"),
            "{said}"
        );
        assert!(
            said.contains("hint: what one recipient promises, another beside it breaks"),
            "{said}"
        );
        assert!(!place.join("out/b/index").exists(), "nothing is made");
    }
    let (code, said) = run(&place, "l", "packs", &[&labelled[0], &labelled[1]]);
    assert_eq!(code, Some(0), "{said}");
    // More shares than there are recipients.
    let generous = of_plugin(&place, "generous", 7);
    let (code, said) = run(&place, "b", "packs", &[&generous]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("more shares than recipients"), "{said}");
    let asks = of_plugin(&place, "asks", 3);
    let (code, said) = run(&place, "b", "packs", &[&asks]);
    assert_eq!(code, Some(0), "{said}");
    // Nobody is there to type a PIN.
    let (code, said) = told(
        &mut place.command(&["verify", "out/b", "--identity", "asks.key"]),
        &place,
    );
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("without its PIN the token does nothing"), "{said}");
    let error = place.fail(&["verify", "out/b", "--identity", "asks.key"], 2);
    assert!(
        error.contains("there is no program age-plugin-test on the PATH"),
        "{error}"
    );
    let (code, said) = told(
        &mut place.command(&["station", "identity", "show", "asks.key"]),
        &place,
    );
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("is a plugin's, and only that knows its public half"),
        "{said}"
    );
    // Another's key.
    of_plugin(&place, "quiet", 0);
    let (code, said) = told(
        &mut place.command(&["verify", "out/b", "--identity", "quiet.key"]),
        &place,
    );
    assert_eq!(code, Some(1), "{said}");
}
