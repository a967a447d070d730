//! A script with all that it starts: run to its end, or killed when it takes too long.
//!
//! What a script leaves running could read the bundle of the next device. So with a timeout nothing of it outlives it,
//! whatever group or session it went to: this process adopts what loses its parent, and looks for its descendants.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, kill_process_group, waitpid};

/// What is waited for is looked at so often.
const STEP: Duration = Duration::from_millis(20);

/// What was killed is gone within so long, unless it cannot be killed.
const LONGEST_END: Duration = Duration::from_secs(5);

/// How a script ended.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    Itself(ExitStatus),
    /// It was killed after so long.
    TimedOut(Duration),
}

/// Runs a script, and with a timeout kills what it started once it has ended. Also tells what of that cannot be killed.
///
/// # Errors
///
/// When the script cannot be started, or not be waited for.
pub(super) fn run(command: &mut Command, timeout: Option<Duration>) -> io::Result<(End, Option<io::Error>)> {
    let Some(timeout) = timeout else {
        return Ok((End::Itself(command.spawn()?.wait()?), None));
    };
    #[cfg(target_os = "linux")]
    rustix::process::set_child_subreaper(Some(getpid()))?;
    let others = children()?;
    // A group of its own, so that nearly all of it can be killed at once; it is none of the terminal's then.
    let mut script = command.process_group(0).stdin(Stdio::null()).spawn()?;
    let until = Instant::now() + timeout;
    let end = loop {
        if let Some(status) = script.try_wait()? {
            break End::Itself(status);
        }
        if Instant::now() > until {
            // The group may be another's by now, or nobody's.
            let _ = kill_process_group(Pid::from_child(&script), Signal::KILL);
            if let Err(error) = script.kill() {
                return Ok((End::TimedOut(timeout), Some(error)));
            }
            script.wait()?;
            break End::TimedOut(timeout);
        }
        std::thread::sleep(STEP);
    };
    Ok((end, kill_all_but(&others).err()))
}

/// Kills all descendants of this process but these children and theirs, and waits for them.
fn kill_all_but(others: &BTreeSet<i32>) -> io::Result<()> {
    let until = Instant::now() + LONGEST_END;
    loop {
        let left = descendants(others)?;
        let Some(first) = left.first() else { return Ok(()) };
        for pid in left.iter().filter_map(|pid| Pid::from_raw(*pid)) {
            // It may have ended, and whoever is no child of this process is waited for by another until it is one.
            let _ = kill_process(pid, Signal::KILL);
            let _ = waitpid(Some(pid), WaitOptions::NOHANG);
        }
        if Instant::now() > until {
            return Err(io::Error::other(format!(
                "process {first}, which it left running, cannot be killed"
            )));
        }
        std::thread::sleep(STEP);
    }
}

/// The descendants of this process but these children and theirs.
fn descendants(others: &BTreeSet<i32>) -> io::Result<Vec<i32>> {
    let by_parent = processes()?;
    let of = |parent: i32| by_parent.get(&parent).into_iter().flatten().copied();
    let own = getpid().as_raw_nonzero().get();
    let mut found: Vec<i32> = of(own).filter(|pid| !others.contains(pid)).collect();
    let mut looked = 0;
    while let Some(parent) = found.get(looked).copied() {
        found.extend(of(parent));
        looked += 1;
    }
    Ok(found)
}

fn children() -> io::Result<BTreeSet<i32>> {
    let own = getpid().as_raw_nonzero().get();
    let children = processes()?.remove(&own).unwrap_or_default();
    Ok(children.into_iter().collect())
}

/// The processes of this machine, by their parents; none where there is no /proc.
fn processes() -> io::Result<BTreeMap<i32, Vec<i32>>> {
    let mut by_parent: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    let entries = match fs::read_dir("/proc") {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(by_parent),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
        // One that has ended meanwhile has no such file.
        let stat = pid.and_then(|_| fs::read_to_string(entry.path().join("stat")).ok());
        if let (Some(pid), Some(parent)) = (pid, stat.as_deref().and_then(parent)) {
            by_parent.entry(parent).or_default().push(pid);
        }
    }
    Ok(by_parent)
}

/// The parent in proc_pid_stat(5), whose second field is a name that may have anything in it.
fn parent(stat: &str) -> Option<i32> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_found_whatever_a_process_is_called() {
        assert_eq!(parent("7 (sh) S 12 7 7 0"), Some(12));
        assert_eq!(parent("7 (a) R 1 (b)) S 12 7 7 0"), Some(12));
        assert_eq!(parent(""), None);
    }

    #[test]
    fn a_child_is_a_descendant_unless_it_is_another() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let (all, but) = (descendants(&BTreeSet::new()), descendants(&BTreeSet::from([pid])));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(all.unwrap().contains(&pid));
        assert!(!but.unwrap().contains(&pid));
    }
}
