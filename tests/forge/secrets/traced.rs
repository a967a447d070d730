//! All that a run hands to the system, as strace tells it, and all that lies there afterwards.

use std::fs;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::process::Command;

#[cfg(feature = "pkcs11")]
use super::write_own;
use super::{Needle, PASSPHRASE, found, needles, place_with_ca, scalar, scalar_of};
use crate::identity::{age, identity};
use crate::support::Workplace;

/// Calls that hand something out: what is read in (a passphrase file) is known to whoever wrote it.
const CALLS: &str = "trace=execve,write,pwrite64,writev,pwritev,pwritev2,sendto,sendmsg,sendmmsg,open,openat,openat2,\
                     creat,rename,renameat,renameat2,mkdir,mkdirat,link,linkat,symlink,symlinkat,unlink,unlinkat,\
                     setxattr,fsetxattr,memfd_create,prctl";

/// Runs a command under strace, and gives what was handed out as the octets that it was; `None`: that is forbidden here.
fn trace(place: &Workplace, command: &Command) -> Option<Vec<u8>> {
    let log = place.join("strace.log");
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-v", "-qq", "-xx", "-s", "100000000", "-e", CALLS, "-o"])
        .arg(&log)
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(place.path())
        .env("TMPDIR", place.join("tmp"));
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => strace.env(name, value),
            None => strace.env_remove(name),
        };
    }
    let output = strace
        .output()
        .unwrap_or_else(|error| panic!("strace does not run: {error}; `tests/all` installs it"));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    if told.contains("ptrace") && told.contains("Operation not permitted") {
        eprintln!("LEFT OUT: nothing can be traced here: {told}");
        return None;
    }
    assert!(output.status.success(), "{told}");
    let text = fs::read_to_string(&log).unwrap();
    fs::remove_file(&log).unwrap();
    // The first one is ours.
    let (first, rest) = text.split_once('\n').unwrap();
    assert!(first.contains("execve("), "{first}");
    Some(octets(rest))
}

/// The strings of a trace, in which each octet is written `\x41`.
fn octets(trace: &str) -> Vec<u8> {
    let mut all = Vec::new();
    let mut rest = trace;
    while let Some(at) = rest.find("\\x") {
        // What is between two strings keeps them apart.
        if at > 0 {
            all.push(b'\n');
        }
        all.push(u8::from_str_radix(&rest[at + 2..at + 4], 16).unwrap());
        rest = &rest[at + 4..];
    }
    all
}

fn files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let entries = fs::read_dir(path).unwrap();
    entries.flat_map(|entry| files(&entry.unwrap().path())).collect()
}

/// What was handed out and what lies there, but for those files, has none of the secrets.
fn none_of(place: &Workplace, handed_out: &[u8], theirs: &[&str], needles: &[Needle]) {
    assert_eq!(found(handed_out, needles), Vec::<&str>::new(), "in a call");
    for file in files(place.path()) {
        if !theirs.iter().any(|name| file == place.join(name)) {
            let octets = fs::read(&file).unwrap();
            assert_eq!(found(&octets, needles), Vec::<&str>::new(), "{}", file.display());
        }
    }
}

/// The private numbers of the first devices, by who may read their bundles.
fn device_keys(place: &Workplace, batch: &str, identity: &str) -> Vec<Needle> {
    let mut bundles = files(&place.join(batch).join("bundles"));
    bundles.sort();
    let mut all = Vec::new();
    for bundle in bundles
        .iter()
        .filter(|file| file.extension().is_some_and(|end| end == "age"))
        .take(3)
    {
        let zip = age(place.path(), &["-d", "-i", identity], &fs::read(bundle).unwrap()).unwrap();
        let mut zip = zip::ZipArchive::new(Cursor::new(zip)).unwrap();
        let mut text = String::new();
        zip.by_name("private.pem.key")
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        let key = certforge::pem::blocks(&text).unwrap();
        all.extend(needles("a device's key", &scalar_of(&key[0].der)));
    }
    assert_eq!(all.len() % 3, 0);
    assert!(!all.is_empty());
    all
}

/// The identity in a file: its text, and the 32 octets that it stands for (Bech32).
fn identity_needles(place: &Workplace, file: &str) -> Vec<Needle> {
    let text = fs::read_to_string(place.join(file)).unwrap();
    let text = text.lines().last().unwrap().to_owned();
    let digits = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L";
    let data = text.strip_prefix("AGE-SECRET-KEY-1").unwrap();
    let (mut bits, mut held, mut octets) = (0_u32, 0, Vec::new());
    for digit in data[..data.len() - 6].chars() {
        bits = bits << 5 | u32::try_from(digits.find(digit).unwrap()).unwrap();
        held += 5;
        if held >= 8 {
            held -= 8;
            octets.push(u8::try_from(bits >> held & 0xff).unwrap());
        }
        bits &= (1 << held) - 1;
    }
    assert_eq!(octets.len(), 32);
    let mut all = needles("the identity", &octets);
    all.extend(needles("the identity's text", text.as_bytes()));
    all
}

#[test]
fn no_secret_leaves_a_run_but_in_the_bundles_of_those_who_may_read_them() {
    let place = place_with_ca(40);
    fs::create_dir(place.join("tmp")).unwrap();
    let recipient = identity(&place, "st1");
    let mut secrets = needles("the passphrase", PASSPHRASE.as_bytes());
    secrets.extend(needles(
        "the CA's key",
        &scalar(&place, "pumps/key.pem", PASSPHRASE),
    ));
    secrets.extend(identity_needles(&place, "st1.key"));
    let run = [
        "run",
        "devices.csv",
        "--ca",
        "pumps",
        "--no-endpoint",
        "--batch",
        "b",
        "--layout",
        "objects",
        "--recipient",
        &recipient,
        "--passphrase-file",
        "passphrase",
        "--log-file",
        "log",
        "--verbose",
    ];
    let Some(of_run) = trace(&place, &place.command(&run)) else {
        return;
    };
    // What is written is seen: the ledger and the index are public facts.
    assert!(super::contains(&of_run, b"SN000039"));
    let mut handed_out = of_run;
    let verify = [
        "verify",
        "out/b",
        "--ledger",
        "pumps/ledger.db",
        "--identity",
        "st1.key",
        "--strict",
    ];
    handed_out.extend(trace(&place, &place.command(&verify)).unwrap());
    // By the environment, which is not handed on.
    let mut crl = place.command(&["ca", "crl", "--ca", "pumps"]);
    crl.env("CERTFORGE_CA_PASSPHRASE", PASSPHRASE);
    handed_out.extend(trace(&place, &crl).unwrap());
    secrets.extend(device_keys(&place, "out/b", "st1.key"));
    none_of(&place, &handed_out, &["passphrase", "st1.key"], &secrets);
}

#[cfg(feature = "pkcs11")]
#[test]
fn no_pin_leaves_a_run() {
    use crate::softhsm::{MODULE, SoftHsm};
    const PIN: &str = "4711 is not the PIN";

    let (place, hsm) = (Workplace::new(), SoftHsm::new());
    place.manifest(20);
    fs::create_dir(place.join("tmp")).unwrap();
    let made = Command::new("softhsm2-util")
        .env("SOFTHSM2_CONF", hsm.conf())
        .args([
            "--init-token",
            "--free",
            "--label",
            "vault",
            "--so-pin",
            "5678",
            "--pin",
            PIN,
        ])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    write_own(&place.join("pin"), PIN);
    let pin = place.join("pin").display().to_string();
    let uri = format!("pkcs11:token=vault;object=line-7?module-path={MODULE}&pin-source={pin}");
    let mut handed_out = Vec::new();
    for (arguments, by_file) in [
        (&["ca", "new", "--key", &uri][..], true),
        (&["run", "devices.csv", "--no-endpoint", "--batch", "b"], false),
        (
            &["ca", "new", "--parent", "ca", "--for-batch", "--to", "pumps"],
            false,
        ),
        (
            &[
                "run",
                "devices.csv",
                "--ca",
                "pumps",
                "--no-endpoint",
                "--batch",
                "c",
            ],
            false,
        ),
        (&["ca", "retire", "pumps", "--unregistered"], false),
    ] {
        let mut command = place.command(arguments);
        command.env("SOFTHSM2_CONF", hsm.conf());
        if !by_file {
            command.env("CERTFORGE_PIN", PIN);
        }
        let Some(traced) = trace(&place, &command) else {
            return;
        };
        handed_out.extend(traced);
    }
    assert!(super::contains(&handed_out, b"SN000019"));
    let secrets = needles("the PIN", PIN.as_bytes());
    none_of(&place, &handed_out, &["pin"], &secrets);
    for file in files(&hsm.tokens()) {
        assert!(
            found(&fs::read(&file).unwrap(), &secrets).is_empty(),
            "{}",
            file.display()
        );
    }
}
