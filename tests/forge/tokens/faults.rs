//! A token that fails in the middle of a batch: what is released is right, and the same command makes the rest.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::told;
use crate::softhsm::{MODULE, SoftHsm, uri_by};
use crate::support::{Workplace, tool};

const ROWS: usize = 600;

/// The module that fails on purpose, compiled once.
fn proxy() -> &'static Path {
    static BUILT: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = BUILT.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("proxy.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/proxy_module.c");
        let arguments = [
            "-shared",
            "-fPIC",
            "-I/usr/include/p11-kit-1",
            "-o",
            path.to_str().unwrap(),
            source,
            "-ldl",
        ];
        let output = tool("cc", &arguments, folder.path());
        assert!(output.status.success(), "{}", told(&output));
        (folder, path)
    });
    path
}

/// A workplace with a CA whose key is in a token, behind the module that fails.
fn workplace(rows: usize) -> (Workplace, SoftHsm) {
    let (place, hsm) = (Workplace::new(), SoftHsm::new());
    place.manifest(rows);
    let output = with(
        &place,
        &hsm,
        &["ca", "new", "--key", &uri_by("line-7", proxy())],
        &[],
    )
    .output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", told(&output));
    (place, hsm)
}

/// certforge, with faults.
fn with(
    place: &Workplace,
    hsm: &SoftHsm,
    arguments: &[&str],
    faults: &[(&str, &str)],
) -> std::process::Command {
    let mut command = place.command(arguments);
    hsm.with(&mut command)
        .env("PROXY_MODULE", MODULE)
        .env("PROXY_LOG", place.join("calls"))
        .envs(faults.iter().copied());
    command
}

const RUN: [&str; 5] = ["run", "devices.csv", "--no-endpoint", "--chunk-rows", "100"];

/// Whether the batch is complete, and everything in it is right.
fn is_whole(place: &Workplace) {
    place.succeed(&["verify", place.only_batch().to_str().unwrap()]);
}

/// Makes what is missing, without faults.
fn resume(place: &Workplace, hsm: &SoftHsm) {
    let output = with(place, hsm, &RUN, &[]).output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
    is_whole(place);
}

fn lines(place: &Workplace, word: &str) -> usize {
    let text = fs::read_to_string(place.join("calls")).unwrap_or_default();
    text.lines().filter(|line| *line == word).count()
}

/// Waits for an event, and not for ever.
fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_mins(1);
    while !is_so() {
        assert!(Instant::now() < end, "{what} does not happen");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Begins a run that takes its time, and waits for the first of its chunks.
fn begun(place: &Workplace, hsm: &SoftHsm) -> Child {
    let mut command = with(place, hsm, &RUN, &[("PROXY_DELAY", "10000")]);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for("a chunk", || {
        let index = place.find_batch().map(|batch| batch.join("index"));
        index.is_some_and(|index| fs::read_dir(index).is_ok_and(|mut entries| entries.next().is_some()))
    });
    child
}

#[test]
fn each_call_that_fails_once_is_made_again() {
    let (place, hsm) = workplace(ROWS);
    for (i, (function, call)) in [
        ("C_Sign", "120"),
        ("C_SignInit", "250"),
        ("C_OpenSession", "3"),
        ("C_GetSessionInfo", "3"),
        ("C_CloseSession", "1"),
        ("C_FindObjectsFinal", "1"),
    ]
    .into_iter()
    .enumerate()
    {
        // CKR_DEVICE_REMOVED, CKR_SESSION_HANDLE_INVALID, CKR_USER_NOT_LOGGED_IN, CKR_OBJECT_HANDLE_INVALID, CKR_GENERAL_ERROR.
        for code in ["32", "b3", "101", "82", "5"] {
            let out = format!("out-{i}-{code}");
            let fault = format!("{function}:{call}:{code}");
            let arguments = [&RUN[..], &["--to", &out, "--batch", &out, "--reissue"]].concat();
            let output = with(&place, &hsm, &arguments, &[("PROXY_FAIL", &fault)])
                .output()
                .unwrap();
            if !output.status.success() {
                // At the start nothing is made yet, and what fails is said.
                assert_eq!(output.status.code(), Some(5), "{fault}\n{}", told(&output));
                assert!(told(&output).contains(function), "{fault}\n{}", told(&output));
                continue;
            }
            place.succeed(&["verify", &format!("{out}/{out}")]);
        }
    }
}

#[test]
fn a_token_that_is_gone_for_good_fails_the_run_which_is_resumed() {
    let (place, hsm) = workplace(ROWS);
    for fault in ["C_Sign:250+:32", "C_SignInit:250+:b3"] {
        let output = with(&place, &hsm, &RUN, &[("PROXY_FAIL", fault)])
            .output()
            .unwrap();
        assert!(!output.status.success());
        assert!(told(&output).contains("CKR_"), "{}", told(&output));
    }
    resume(&place, &hsm);
}

#[test]
fn sessions_that_somebody_closes_are_opened_again() {
    let (place, hsm) = workplace(ROWS);
    let output = with(&place, &hsm, &RUN, &[("PROXY_CLOSE", "120")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", told(&output));
    is_whole(&place);
    assert!(lines(&place, "login") >= 3, "it has logged in again");
}

#[test]
fn a_wrong_signature_is_seen_by_nobody() {
    let (place, hsm) = workplace(ROWS);
    let output = with(&place, &hsm, &RUN, &[("PROXY_WRONG", "120+")])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = told(&output);
    assert!(said.contains("gave a signature that is not its key's"), "{said}");
    resume(&place, &hsm);
    // Once only: it is asked again.
    let again = [&RUN[..], &["--to", "twice", "--batch", "twice", "--reissue"]].concat();
    let output = with(&place, &hsm, &again, &[("PROXY_WRONG", "120")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", told(&output));
    place.succeed(&["verify", "twice/twice"]);
}

#[test]
fn a_token_with_few_sessions_gets_no_more() {
    let (place, hsm) = workplace(ROWS);
    let output = with(&place, &hsm, &RUN, &[("PROXY_MAX_SESSIONS", "2")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", told(&output));
    is_whole(&place);
}

#[test]
fn a_token_that_comes_back_signs_on() {
    let (place, hsm) = workplace(ROWS);
    let mut child = begun(&place, &hsm);
    let before = lines(&place, "initialize");
    let away = hsm.tokens().with_extension("away");
    fs::rename(hsm.tokens(), &away).unwrap();
    wait_for("a look at what is there", || {
        lines(&place, "initialize") > before || child.try_wait().unwrap().is_some()
    });
    fs::rename(&away, hsm.tokens()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
    is_whole(&place);
}

#[test]
fn a_token_that_stays_away_fails_the_run_which_is_resumed() {
    let (place, hsm) = workplace(ROWS);
    let child = begun(&place, &hsm);
    let away = hsm.tokens().with_extension("away");
    fs::rename(hsm.tokens(), &away).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success());
    assert!(told(&output).contains("cannot be reached"), "{}", told(&output));
    fs::rename(&away, hsm.tokens()).unwrap();
    resume(&place, &hsm);
}

#[test]
fn a_run_that_is_killed_is_resumed() {
    let (place, hsm) = workplace(ROWS);
    let mut child = begun(&place, &hsm);
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    resume(&place, &hsm);
}

#[test]
fn a_wrong_pin_is_tried_once() {
    let (place, hsm) = workplace(ROWS);
    let before = lines(&place, "login");
    let mut command = with(&place, &hsm, &RUN, &[]);
    let output = command.env("CERTFORGE_PIN", "4321").output().unwrap();
    assert_eq!(output.status.code(), Some(5));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "certforge: error: token forge refuses the PIN\n\
         certforge: hint: it was tried once and will not be again: tokens lock after a few wrong ones\n"
    );
    assert_eq!(lines(&place, "login"), before + 1);
}

#[test]
fn a_pin_that_becomes_wrong_in_mid_run_is_tried_once() {
    let (place, hsm) = workplace(ROWS);
    let before = lines(&place, "login");
    // Login is lost with the 120th signature, and the token refuses the PIN from then on: CKR_PIN_INCORRECT.
    let faults = [("PROXY_CLOSE", "120"), ("PROXY_FAIL", "C_Login:2+:a0")];
    let output = with(&place, &hsm, &RUN, &faults).output().unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", told(&output));
    assert!(
        told(&output).contains("token forge refuses the PIN"),
        "{}",
        told(&output)
    );
    assert_eq!(lines(&place, "login"), before + 2);
    resume(&place, &hsm);
}

#[test]
fn a_token_that_has_locked_its_pin_says_so() {
    let (place, hsm) = workplace(1);
    // CKR_PIN_LOCKED; SoftHSM itself never locks.
    let output = with(&place, &hsm, &RUN, &[("PROXY_FAIL", "C_Login:1:a4")])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(5));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "certforge: error: token forge has locked its PIN\n\
         certforge: hint: whoever has the security officer's PIN can set a new one: `pkcs11-tool --init-pin --login --login-type so`\n"
    );
}

#[test]
fn a_key_that_is_deleted_in_mid_run_is_not_waited_for() {
    let (place, hsm) = workplace(ROWS);
    let child = begun(&place, &hsm);
    hsm.tool(&["--delete-object", "--type", "privkey", "--label", "line-7"]);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", told(&output));
    assert!(
        told(&output).contains("there is no private key line-7 in token forge"),
        "{}",
        told(&output)
    );
}
