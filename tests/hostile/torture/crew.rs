//! A crew: processes that work at the same time. Each may be killed, or put to sleep until the others have ended, at a
//! moment that the seed draws.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

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

/// Runs a crew to its end. Outputs go to files in `folder`, so that nobody waits for a reader.
pub fn run(tasks: Vec<Task>, folder: &std::path::Path) -> Vec<Ended> {
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
            // This is the random moment itself, not a wait for something.
            std::thread::sleep(moment.saturating_sub(start.elapsed()));
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
    for i in awake {
        crew[i].child.wait().unwrap();
    }
    for i in asleep {
        crew[i].signal(Signal::CONT);
        crew[i].child.wait().unwrap();
    }
    crew.into_iter().map(Running::end).collect()
}

impl Running {
    /// To one that has ended and was not waited for, too.
    fn signal(&self, signal: Signal) {
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
