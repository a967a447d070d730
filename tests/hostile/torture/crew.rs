//! A crew: processes that work at the same time. Each may be killed, or put to sleep until the others have ended, at a
//! moment that the seed draws.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// So long the others are waited for, while one sleeps.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);

/// A process that is to run.
pub struct Task {
    /// What it is, for whoever reads what failed.
    pub name: String,
    pub command: Command,
    pub fate: Fate,
}

/// What becomes of a process, at a moment from the start of its crew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It ends by itself.
    Ends,
    Killed(Duration),
    Sleeps(Duration),
}

/// How a process ended.
pub struct Ended {
    pub name: String,
    /// `None`: it was killed.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

struct Running {
    name: String,
    child: Child,
    fate: Fate,
    outputs: [PathBuf; 2],
}

/// Runs a crew to its end, and says whether somebody waited for one that slept. Outputs go to files in `folder`, so that
/// nobody waits for a reader.
pub fn run(tasks: Vec<Task>, folder: &std::path::Path) -> (Vec<Ended>, bool) {
    let start = Instant::now();
    let begin = |(i, mut task): (usize, Task)| {
        let outputs = ["out", "err"].map(|kind| folder.join(format!("crew-{i}.{kind}")));
        let [stdout, stderr] = outputs.each_ref().map(|path| File::create(path).unwrap());
        task.command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        Running {
            name: task.name,
            child: task.command.spawn().unwrap(),
            fate: task.fate,
            outputs,
        }
    };
    let mut crew: Vec<_> = tasks.into_iter().enumerate().map(begin).collect();
    let mut order: Vec<_> = (0..crew.len()).collect();
    order.sort_by_key(|i| match crew[*i].fate {
        Fate::Ends => Duration::MAX,
        Fate::Killed(moment) | Fate::Sleeps(moment) => moment,
    });
    for i in &order {
        if let Fate::Killed(moment) | Fate::Sleeps(moment) = crew[*i].fate {
            // This is the random moment itself, not a wait for something; it is let go when nobody is left.
            while start.elapsed() < moment && crew.iter_mut().any(Running::is_alive) {
                let rest = moment.saturating_sub(start.elapsed());
                std::thread::sleep(rest.min(Duration::from_millis(5)));
            }
        }
        match crew[*i].fate {
            Fate::Ends => {}
            Fate::Killed(_) => crew[*i].child.kill().unwrap(),
            Fate::Sleeps(_) => crew[*i].signal(Signal::STOP),
        }
    }
    let (asleep, awake): (Vec<_>, Vec<_>) = order
        .into_iter()
        .partition(|i| matches!(crew[*i].fate, Fate::Sleeps(_)));
    let woken = Instant::now() + LONGEST_SLEEP;
    let mut is_blocked = false;
    for i in awake {
        // Whoever waits for one that sleeps has waited long enough.
        while !asleep.is_empty() && !is_blocked && crew[i].is_alive() {
            is_blocked = Instant::now() > woken;
            std::thread::sleep(Duration::from_millis(5));
        }
        if is_blocked {
            for i in &asleep {
                crew[*i].signal(Signal::CONT);
            }
        }
        crew[i].child.wait().unwrap();
    }
    for i in asleep {
        crew[i].signal(Signal::CONT);
        crew[i].child.wait().unwrap();
    }
    (crew.into_iter().map(Running::end).collect(), is_blocked)
}

impl Running {
    fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    fn signal(&mut self, signal: Signal) {
        if !self.is_alive() {
            return;
        }
        let id = i32::try_from(self.child.id()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    fn end(mut self) -> Ended {
        let status = self.child.wait().unwrap();
        let [stdout, stderr] = self
            .outputs
            .map(|path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned());
        assert!(
            matches!(status.signal(), None | Some(9)),
            "{} ended with {status}\n{stderr}",
            self.name
        );
        Ended {
            name: self.name,
            code: status.code(),
            stdout,
            stderr,
        }
    }
}
