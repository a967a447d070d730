//! The memory of a process, as whoever may read all of it sees it.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use nix::sys::ptrace::{self, Event, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, geteuid};
use num_bigint::BigUint;

use super::{Needle, PASSPHRASE, found, needles, place_with_ca, scalar};
use crate::support::Workplace;

/// What of the needles is in a process, by where.
fn in_memory(process: Pid, needles: &[Needle]) -> Vec<(String, &str)> {
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let memory = File::open(format!("/proc/{process}/mem")).unwrap();
    let mut all = Vec::new();
    for line in maps.lines() {
        let mut fields = line.split_whitespace();
        let (range, rights) = (fields.next().unwrap(), fields.next().unwrap());
        let name = fields.nth(3).unwrap_or("anonymous");
        // The kernel's own, which cannot be read, or only by who runs it.
        if !rights.starts_with("rw") || name.starts_with("[v") {
            continue;
        }
        let (from, to) = range.split_once('-').unwrap();
        let number = |text| u64::from_str_radix(text, 16).unwrap();
        let (from, to) = (number(from), number(to));
        let mut octets = vec![0; usize::try_from(to - from).unwrap()];
        if memory.read_exact_at(&mut octets, from).is_ok() {
            all.extend(
                found(&octets, needles)
                    .into_iter()
                    .map(|what| (line.to_owned(), what)),
            );
        }
    }
    all
}

/// A process that is seen at each thread that it starts, and when it ends, with all its memory.
struct Watched {
    child: Child,
    process: Pid,
}

impl Watched {
    fn start(place: &Workplace, arguments: &[&str]) -> Result<Self, nix::Error> {
        let own = place.command(arguments);
        let child = Command::new("sh")
            .args(["-c", "kill -STOP $$; exec \"$0\" \"$@\""])
            .arg(own.get_program())
            .args(own.get_args())
            .current_dir(place.path())
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let process = Pid::from_raw(child.id().cast_signed());
        let watched = Self { child, process };
        waitpid(process, Some(WaitPidFlag::WUNTRACED))?;
        ptrace::seize(
            process,
            Options::PTRACE_O_TRACECLONE | Options::PTRACE_O_TRACEEXIT | Options::PTRACE_O_EXITKILL,
        )?;
        kill(process, Signal::SIGCONT)?;
        Ok(watched)
    }

    /// Lets it run until its first thread is about to end (`true`) or to start another; `None`: it is no more.
    fn next(&self) -> Result<Option<bool>, nix::Error> {
        // Any of its threads, which are a group of their own: other tests have children too.
        let all = Pid::from_raw(-self.process.as_raw());
        loop {
            let status = waitpid(all, Some(WaitPidFlag::__WALL))?;
            match status {
                WaitStatus::PtraceEvent(thread, _, event) if thread == self.process => {
                    if event == Event::PTRACE_EVENT_EXIT as i32 {
                        return Ok(Some(true));
                    }
                    if event == Event::PTRACE_EVENT_CLONE as i32 {
                        return Ok(Some(false));
                    }
                    ptrace::cont(thread, None)?;
                }
                // A thread that ends goes on ending.
                WaitStatus::PtraceEvent(thread, ..) => ptrace::cont(thread, None)?,
                WaitStatus::Stopped(thread, signal) => {
                    let signal =
                        Some(signal).filter(|signal| !matches!(signal, Signal::SIGSTOP | Signal::SIGTRAP));
                    ptrace::cont(thread, signal)?;
                }
                WaitStatus::Exited(thread, _) | WaitStatus::Signaled(thread, ..)
                    if thread == self.process =>
                {
                    return Ok(None);
                }
                _ => {}
            }
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        // Nothing kills what is stopped while it ends.
        let _ = ptrace::cont(self.process, None);
        // Its first thread is gone when all others are.
        let all = Pid::from_raw(-self.process.as_raw());
        while let Ok(status) = waitpid(all, Some(WaitPidFlag::__WALL)) {
            match status {
                WaitStatus::Exited(thread, _) | WaitStatus::Signaled(thread, ..)
                    if thread == self.process =>
                {
                    break;
                }
                WaitStatus::PtraceEvent(thread, ..) | WaitStatus::Stopped(thread, _) => {
                    let _ = ptrace::cont(thread, None);
                }
                _ => {}
            }
        }
    }
}

/// A private number of P-256 as programs have it in memory.
fn number(scalar: &[u8; 32]) -> Vec<Needle> {
    let mut all = needles("the CA's key", scalar);
    let number = BigUint::from_bytes_be(scalar);
    let order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let order = BigUint::parse_bytes(order.as_bytes(), 16).unwrap();
    let mut add = |what: &str, octets: Vec<u8>| {
        all.push(Needle {
            what: what.to_owned(),
            octets,
        });
    };
    let times = |bits: u32| -> BigUint { (&number << bits) % &order };
    for bits in [256, 260] {
        let mut octets = times(bits).to_bytes_le();
        octets.resize(32, 0);
        add(&format!("the CA's key times 2^{bits}"), octets);
    }
    let mask = BigUint::from((1_u64 << 52) - 1);
    for (what, number) in [
        ("the CA's key", number.clone()),
        ("the CA's key times 2^260", times(260)),
    ] {
        let limbs: Vec<[u8; 8]> = (0..5)
            .map(|i| {
                u64::try_from((&number >> (52_u32 * i)) & &mask)
                    .unwrap()
                    .to_le_bytes()
            })
            .collect();
        add(&format!("{what} in limbs of 52 bits"), limbs.concat());
        add(&format!("{what} in eight lanes"), [limbs[0]; 8].concat());
    }
    all
}

#[test]
fn a_key_that_was_retired_is_nowhere_in_memory() {
    for engine in ["auto", "aws-lc"] {
        let place = place_with_ca(600);
        let needles = number(&scalar(&place, "pumps/key.pem", PASSPHRASE));
        // Nobody will register it, which is said beforehand where it is retired by itself.
        let shown = place.succeed(&["ca", "show", "pumps", "--json"]);
        let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
        let record = serde_json::json!({ "registrations": [{
            "ca_certificate_id": shown["ca_certificate_id"],
            "account": "123456789012",
            "region": "eu-central-1",
            "mode": "SNI_ONLY",
            "begun_at": "2026-01-01T00:00:00Z",
            "registered_at": "2026-01-01T00:00:01Z",
        }]});
        fs::write(place.join("pumps/registration.json"), record.to_string()).unwrap();
        let run = [
            "run",
            "devices.csv",
            "--ca",
            "pumps",
            "--no-endpoint",
            "--retire-ca",
            "--chunk-rows",
            "100",
            "--passphrase-file",
            "passphrase",
            "--engine",
            engine,
        ];
        let watched = match Watched::start(&place, &run) {
            Ok(watched) => watched,
            Err(error) => {
                eprintln!("LEFT OUT: no process can be watched here: {error}");
                return;
            }
        };
        let mut while_it_signs = Vec::new();
        loop {
            let is_at_end = watched
                .next()
                .unwrap()
                .expect("its end is seen before it is gone");
            let found = in_memory(watched.process, &needles);
            if is_at_end {
                assert!(found.is_empty(), "engine {engine}: {found:#?}");
                break;
            }
            while_it_signs.extend(found);
            ptrace::cont(watched.process, None).unwrap();
        }
        assert!(
            !while_it_signs.is_empty(),
            "what is looked for is there while it is used"
        );
        assert!(!place.join("pumps/key.pem").exists(), "it was retired");
    }
}

/// Of a run that is stopped in the middle: what may be written to a swap, and who may read its memory.
#[test]
fn memory_is_locked_where_that_is_allowed_and_is_nobody_elses() {
    let place = place_with_ca(600);
    let run = [
        "run",
        "devices.csv",
        "--ca",
        "pumps",
        "--no-endpoint",
        "--passphrase-file",
        "passphrase",
    ];
    let watched = match Watched::start(&place, &run) {
        Ok(watched) => watched,
        Err(error) => {
            eprintln!("LEFT OUT: no process can be watched here: {error}");
            return;
        }
    };
    let needles = number(&scalar(&place, "pumps/key.pem", PASSPHRASE));
    while in_memory(watched.process, &needles).is_empty() {
        assert_eq!(
            watched.next().unwrap(),
            Some(false),
            "it has a key before it ends"
        );
        if in_memory(watched.process, &needles).is_empty() {
            ptrace::cont(watched.process, None).unwrap();
        }
    }
    // Whoever is not root owns nothing of a process that may not be dumped; and no core is written of it.
    let owner = fs::metadata(format!("/proc/{}/mem", watched.process))
        .unwrap()
        .uid();
    assert_eq!(owner, 0);
    let limits = fs::read_to_string(format!("/proc/{}/limits", watched.process)).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    assert_eq!(
        core.split_whitespace().filter(|word| *word == "0").count(),
        2,
        "{core}"
    );
    let status = fs::read_to_string(format!("/proc/{}/status", watched.process)).unwrap();
    let kilobytes = |name: &str| -> u64 {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let capabilities = status.lines().find(|line| line.starts_with("CapEff:")).unwrap();
    let capabilities = capabilities.split_whitespace().nth(1).unwrap();
    let may_lock = u64::from_str_radix(capabilities, 16).unwrap() >> 14 & 1 == 1;
    if !may_lock {
        eprintln!(
            "LEFT OUT: whoever runs this may not lock all memory (uid {})",
            geteuid()
        );
        return;
    }
    let (locked, all) = (kilobytes("VmLck:"), kilobytes("VmSize:"));
    // The kernel's own pages are not counted.
    assert!(locked > 0 && all - locked < 1024, "{status}");
}
