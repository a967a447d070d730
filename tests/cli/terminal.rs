//! Standard output and standard error that cannot be written to, and files that may not grow.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::support::Workplace;

#[test]
fn a_full_standard_error_keeps_nothing_from_being_done() {
    let place = Workplace::new();
    place.manifest(4);
    let full = || {
        OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .expect("/dev/full")
    };
    for (arguments, code) in [
        (&["check", "missing.csv"][..], 3),
        (&["check", "--no-such-option"], 2),
        // The lab CA is announced there.
        (&["run", "devices.csv", "--no-endpoint", "--batch", "b"], 0),
        (&["verify", "out/b"], 0),
    ] {
        let status = place
            .command(arguments)
            .stderr(full())
            .stdout(Stdio::null())
            .status();
        assert_eq!(
            status.expect("the binary runs").code(),
            Some(code),
            "{arguments:?}"
        );
    }
    // What standard output lacks is a failure, even when nobody can be told.
    let mut both = place.command(&["verify", "out/b"]);
    let status = both.stderr(full()).stdout(full()).status();
    assert_eq!(status.expect("the binary runs").code(), Some(6));
}

#[test]
fn a_reader_that_has_seen_enough_ends_an_export_quietly() {
    let place = Workplace::new();
    place.manifest(2000);
    place.succeed(&[
        "run",
        "devices.csv",
        "--no-endpoint",
        "--batch",
        "b",
        "--layout",
        "packs",
        "--chunk-rows",
        "100",
    ]);
    for arguments in [
        &["ledger", "export"][..],
        &["ledger", "export", "--json"],
        &["ledger", "export", "out/b", "--issuer", "ca"],
        &["ledger", "expiring", "--within", "7000y"],
        &["ledger", "expiring", "--within", "7000y", "--json"],
        &["help", "run"],
        &["doctor", "--offline"],
    ] {
        let mut command = place.command(arguments);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let mut line = String::new();
        let mut lines = BufReader::with_capacity(64, child.stdout.take().expect("a pipe"));
        lines.read_line(&mut line).expect("a line");
        drop(lines);
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
    }
}

#[test]
fn a_limit_on_the_size_of_files_is_an_error_like_others() {
    let place = Workplace::new();
    place.manifest(2000);
    place.succeed(&["ca", "new", "--no-passphrase"]);
    let limited = |blocks: u32, more: &str| {
        let certforge = env!("CARGO_BIN_EXE_certforge");
        let script =
            format!("ulimit -f {blocks}; exec '{certforge}' run devices.csv --no-endpoint --batch b {more}");
        let output = Command::new("sh")
            .args(["-c", &script])
            .current_dir(place.path())
            .output();
        let output = output.expect("sh runs");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), stderr)
    };
    let (code, stderr) = limited(20, "--ledger small.db");
    assert_eq!(code, Some(7), "{stderr}");
    assert!(stderr.contains("certforge: hint: "), "{stderr}");
    let (code, stderr) = limited(4000, "--layout packs");
    assert_eq!(code, Some(6), "{stderr}");
    assert!(stderr.contains("ulimit -f unlimited"), "{stderr}");
    place.succeed(&[
        "run",
        "devices.csv",
        "--no-endpoint",
        "--batch",
        "b",
        "--layout",
        "packs",
    ]);
}

/// A person at a terminal who mistypes the passphrase is asked again, twice.
#[test]
fn a_passphrase_may_be_mistyped_twice() {
    use std::io::Write;
    let place = Workplace::new();
    fs::write(place.join("right"), "correct horse\n").expect("it is written");
    let own = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(place.join("right"), own).expect("it is one's own");
    place.succeed(&["ca", "new", "--passphrase-file", "right"]);
    place.manifest(1);
    let at_a_terminal = |typed: &str| {
        let run = format!(
            "{} run devices.csv --no-endpoint --ca ca",
            place.command(&[]).get_program().display()
        );
        let mut script = std::process::Command::new("script")
            .args(["-qec", &run, "/dev/null"])
            .current_dir(place.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script of util-linux");
        let mut stdin = script.stdin.take().expect("a pipe");
        stdin.write_all(typed.as_bytes()).expect("it is typed");
        let output = script.wait_with_output().expect("it ends");
        drop(stdin);
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    };
    let (code, told) = at_a_terminal("wrong\nwrong\nwrong\n");
    assert_eq!(code, Some(5), "{told}");
    assert_eq!(
        told.matches("that is not the passphrase; try again").count(),
        2,
        "{told}"
    );
    let (code, told) = at_a_terminal("wrong\nwrong\ncorrect horse\n");
    assert_eq!(code, Some(0), "{told}");
}
