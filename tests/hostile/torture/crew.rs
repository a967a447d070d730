//! A crew: processes that work at the same time, each of which may be killed at a moment that the seed draws.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A process that is to run.
pub struct Task {
    /// What it is, for whoever reads what failed.
    pub name: String,
    pub command: Command,
    /// When it is killed, from the start of the crew; `None`: it may end by itself.
    pub killed_after: Option<Duration>,
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
    killed_after: Option<Duration>,
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
            killed_after: task.killed_after,
            outputs,
        }
    };
    let mut crew: Vec<_> = tasks.into_iter().enumerate().map(begin).collect();
    let mut order: Vec<_> = (0..crew.len()).collect();
    order.sort_by_key(|i| crew[*i].killed_after.unwrap_or(Duration::MAX));
    for i in order {
        if let Some(moment) = crew[i].killed_after {
            // This is the random moment itself, not a wait for something.
            std::thread::sleep(moment.saturating_sub(start.elapsed()));
            crew[i].child.kill().unwrap();
        }
        crew[i].child.wait().unwrap();
    }
    crew.into_iter().map(Running::end).collect()
}

impl Running {
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
