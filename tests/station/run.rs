//! Stations that work by themselves: what their scripts get, do and leave behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use crate::line::Line;
use crate::support::tool;
use serde_json::Value;

#[test]
fn one_process_at_a_time_is_a_station() {
    let line = Line::new("objects", 4);
    line.script("echo ready; cat > /dev/null");
    let mut running = line
        .station("st1", &["run", "--exec", "./flash.sh", "--out", "dev-st1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut ready = String::new();
    let mut lines = std::io::BufReader::new(running.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut lines, &mut ready).unwrap();
    assert_eq!(ready, "ready\n");
    assert_eq!(
        line.fail("st1", &["claim", "--next", "--out", "dev"], 9),
        "certforge: error: station st1 is in use by another certforge on this machine, or by a script that it left running\n\
         certforge: hint: wait until it has ended; stations that work at the same time have names of their own"
    );
    running.kill().unwrap();
    drop(running.stdin.take());
    running.wait().unwrap();
}

#[test]
fn a_script_gets_its_device_and_its_exit_code_counts() {
    let line = Line::new("packs", 9);
    // Every third device fails.
    line.script(
        "echo \"$CERTFORGE_STATION $CERTFORGE_DEVICE_ID $(ls \"$CERTFORGE_BUNDLE_DIR\" | wc -l) $1\" >> log\n\
         [ $(( $(wc -l < log) % 3 )) != 0 ] || exit 7",
    );
    let run = ["run", "--exec", "./flash.sh", "--out", "dev", "--", "-v"];
    let output = line.output("st1", &run);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.ends_with("6 devices flashed, 3 failed; nothing is left to claim\n"),
        "{text}"
    );
    assert_eq!(text.matches(": FAILED: exit code 7\n").count(), 3, "{text}");
    let log = fs::read_to_string(line.0.join("log")).unwrap();
    assert!(
        log.lines()
            .all(|entry| entry.starts_with("st1 SN00000") && entry.ends_with(" 6 -v"))
    );
    assert!(!line.0.join("dev").exists());
    // A failed one may be tried again, by name.
    let failed = log.lines().nth(2).unwrap().split(' ').nth(1).unwrap();
    line.claim("st1", failed);
    line.succeed("st1", &["done", failed]);
    let status: Value = serde_json::from_str(&line.succeed("st1", &["status", "--json"])).unwrap();
    assert_eq!((&status["flashed"], &status["failed"]), (&7.into(), &2.into()));
    let failed_records = fs::read_dir(line.path("failed"))
        .unwrap()
        .flat_map(|chunk| fs::read_dir(chunk.unwrap().path()).unwrap());
    assert_eq!(failed_records.count(), 3, "each failure is recorded");
}

#[test]
fn a_script_gets_no_secrets_of_the_station() {
    let line = Line::new("packs", 4);
    line.script("env > \"env-$CERTFORGE_DEVICE_ID\"; env > env");
    let run = |more: &[&str]| {
        let arguments = ["run", "--exec", "./flash.sh", "--out", "dev", "--limit", "1"];
        let mut command = line.station("st1", &[&arguments[..], more].concat());
        command
            .env("CERTFORGE_CA_PASSPHRASE", "secret")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .env("AWS_SESSION_TOKEN", "secret")
            .env("FLASH_PORT", "/dev/ttyUSB0")
            .env("LC_TIME", "C")
            .env("XDG_RUNTIME_DIR", "/run/user/1");
        command.output().unwrap()
    };
    let names = || {
        let text = fs::read_to_string(line.0.join("env")).unwrap();
        assert!(!text.contains("secret"), "{text}");
        let names: Vec<String> = text
            .lines()
            .map(|line| line.split('=').next().unwrap().to_owned())
            .collect();
        names
    };
    assert!(run(&[]).status.success());
    let plain = names();
    for name in [
        "PATH",
        "HOME",
        "LC_TIME",
        "XDG_RUNTIME_DIR",
        "CERTFORGE_DEVICE_ID",
        "CERTFORGE_STATION",
        "CERTFORGE_BUNDLE_DIR",
    ] {
        assert!(plain.contains(&name.to_owned()), "{name} is not in {plain:?}");
    }
    for name in ["FLASH_PORT", "CERTFORGE_BATCH", "CERTFORGE_MEMORY"] {
        assert!(!plain.contains(&name.to_owned()), "{name} is in {plain:?}");
    }
    assert!(
        run(&["--env", "FLASH_PORT", "--env", "CERTFORGE_BATCH"])
            .status
            .success()
    );
    let more = names();
    assert!(
        more.contains(&"FLASH_PORT".to_owned()) && more.contains(&"CERTFORGE_BATCH".to_owned()),
        "{more:?}"
    );
    // One that is not there costs no claim.
    let output = run(&["--env", "FLASH_PROT"]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(
        stderr.contains("error: --env FLASH_PROT: there is no such variable"),
        "{stderr}"
    );
}

#[test]
fn a_broken_station_stops_before_it_goes_through_the_batch() {
    let line = Line::new("packs", 9);
    line.script("kill -TERM $$");
    let run = ["run", "--exec", "./flash.sh", "--out", "dev", "--stop-after", "2"];
    let output = line.output("st1", &run);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains(": FAILED: killed by signal 15\n"), "{text}");
    assert!(
        text.ends_with("0 devices flashed, 2 failed; STOPPED: 2 failures one after the other; put the station right first\n"),
        "{text}"
    );
    let status: Value = serde_json::from_str(&line.succeed("st1", &["status", "--json"])).unwrap();
    assert_eq!((&status["left"], &status["failed"]), (&7.into(), &2.into()));
}

#[test]
fn ctrl_c_reports_no_failure_and_the_device_comes_first_the_next_time() {
    use rustix::process::{Pid, Signal, kill_process};
    let line = Line::new("packs", 9);
    line.script("echo \"$CERTFORGE_DEVICE_ID $PPID\"; exec sleep 60");
    let mut running = line
        .station("st1", &["run", "--exec", "./flash.sh", "--out", "dev"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    let mut lines = std::io::BufReader::new(running.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut lines, &mut first).unwrap();
    let device = first.split(' ').next().unwrap().to_owned();
    // A terminal sends it to the station and to the script.
    let station = Pid::from_child(&running);
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", running.id())).unwrap();
    let script = Pid::from_raw(children.trim().parse().unwrap()).unwrap();
    kill_process(station, Signal::INT).unwrap();
    // The station has taken notice before its script ends.
    let mut notice = String::new();
    let mut errors = std::io::BufReader::new(running.stderr.take().unwrap());
    while !notice.contains("ending with the device in hand") {
        assert_ne!(std::io::BufRead::read_line(&mut errors, &mut notice).unwrap(), 0);
    }
    kill_process(script, Signal::INT).unwrap();
    assert_eq!(running.wait().unwrap().code(), Some(130));
    assert!(!line.0.join("dev").exists(), "the key is wiped");
    assert!(!line.path("failed").exists());
    line.script("echo $CERTFORGE_DEVICE_ID >> log");
    line.succeed("st1", &["run", "--exec", "./flash.sh", "--out", "dev"]);
    let log = fs::read_to_string(line.0.join("log")).unwrap();
    assert_eq!(log.lines().next(), Some(device.as_str()));
    assert_eq!(log.lines().count(), 9);
}

#[test]
fn what_a_script_makes_of_a_bundle_is_wiped_with_it() {
    let line = Line::new("packs", 3);
    line.script("mkdir \"$CERTFORGE_BUNDLE_DIR/made\"; cp \"$CERTFORGE_BUNDLE_DIR\"/*.key \"$CERTFORGE_BUNDLE_DIR/made/nvs.bin\"");
    line.succeed("st1", &["run", "--exec", "./flash.sh", "--out", "dev"]);
    assert!(!line.0.join("dev").exists());
}

#[test]
fn a_script_that_cannot_be_started_leaves_no_key_behind() {
    let line = Line::new("packs", 3);
    let path = line.0.join("flash.sh");
    fs::write(&path, "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let run = ["run", "--exec", "./flash.sh", "--out", "dev"];
    assert_eq!(
        line.fail("st1", &run, 2),
        "certforge: error: the script ./flash.sh cannot be run: No such file or directory (os error 2)\n\
         certforge: hint: name an executable file with --exec, such as ./flash.sh"
    );
    assert!(!line.0.join("dev").exists());
    assert_eq!(
        line.fail("st1", &["run", "--exec", "no-such-script", "--out", "dev"], 2),
        "certforge: error: --exec no-such-script is not on the PATH\n\
         certforge: hint: name a file with its folder, such as ./flash.sh"
    );
    // The device is still in hand, and is the one that is flashed first.
    line.script("exit 0");
    let text = line.succeed("st1", &run);
    assert!(
        text.starts_with("SN00000")
            && text.contains(": begun again; the device in the fixture must be the same one\n"),
        "{text}"
    );
    assert!(
        text.ends_with("3 devices flashed, 0 failed; nothing is left to claim\n"),
        "{text}"
    );
}

#[test]
fn a_script_that_hangs_is_killed_in_time() {
    let line = Line::new("packs", 1);
    line.script("sleep 600 & sleep 601");
    let run = ["run", "--exec", "./flash.sh", "--out", "dev", "--timeout", "1"];
    let output = line.output("st1", &run);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.starts_with("SN000000: FAILED: timed out after 1 s\n"),
        "{text}"
    );
    // What it started is gone with it: nothing holds the station, or writes into a device.
    line.succeed("st1", &["send"]);
}

/// What a script leaves running could read the next bundle, whatever group or session it is in, and however the script
/// ended.
#[test]
fn nothing_that_a_script_started_outlives_it_when_there_is_a_timeout() {
    for (end, result) in [
        ("exit 0", "2 devices flashed, 0"),
        ("sleep 600", "1 device flashed, 1"),
    ] {
        let line = Line::new("packs", 2);
        line.script(&format!(
            "if mkdir first 2> none; then\n\
             setsid sh -c 'setsid sleep 600 & echo $! >> left; echo $$ >> left; exec sleep 601' &\n\
             while [ \"$(wc -l < left)\" != 2 ]; do sleep 0.01; done 2> none\n{end}\nfi\n\
             while read -r pid; do kill -0 \"$pid\" && echo \"$pid\" >> alive; done < left\nexit 0"
        ));
        let run = ["run", "--exec", "./flash.sh", "--out", "dev", "--timeout", "2"];
        let output = line.output("st1", &run);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains(result), "{text}");
        assert!(!line.0.join("alive").exists(), "{text}");
    }
    // A script may leave its own group, so that there is none to be killed.
    let line = Line::new("packs", 1);
    line.script("exec perl -e 'setpgrp(0, getpgrp(getppid())); sleep 600'");
    let run = ["run", "--exec", "./flash.sh", "--out", "dev", "--timeout", "1"];
    let output = line.output("st1", &run);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.starts_with("SN000000: FAILED: timed out after 1 s\n"),
        "{text}"
    );
}

/// A station that was killed leaves its script running: as long as that may still write into a device, the
/// station does not begin with the same identity on another.
#[test]
fn a_station_waits_for_the_script_of_one_that_was_killed() {
    let line = Line::new("packs", 4);
    assert!(tool("mkfifo", &["go"], line.0.path()).status.success());
    line.script("echo \"$CERTFORGE_DEVICE_ID\"; read -r _ < go; echo end");
    let mut running = line
        .station("st1", &["run", "--exec", "./flash.sh", "--out", "dev"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufReader::new(running.stdout.take().unwrap());
    let mut read = || {
        let mut text = String::new();
        std::io::BufRead::read_line(&mut lines, &mut text).unwrap();
        text.trim_end().to_owned()
    };
    let device = read();
    running.kill().unwrap();
    running.wait().unwrap();
    let next = ["claim", "--next", "--out", "elsewhere", "--json"];
    let told = line.fail("st1", &next, 9);
    assert!(told.contains("or by a script that it left running"), "{told}");
    fs::write(line.0.join("go"), "\n").unwrap();
    assert_eq!(read(), "end");
    // The pipe ends when the script has, and its lock with it.
    assert_eq!(read(), "");
    let claimed: Value = serde_json::from_str(&line.succeed("st1", &next)).unwrap();
    assert_eq!(
        (claimed["device_id"].as_str().unwrap(), &claimed["resumed"]),
        (device.as_str(), &true.into())
    );
    assert!(!line.0.join("dev").exists(), "what it had unpacked is wiped");
}
