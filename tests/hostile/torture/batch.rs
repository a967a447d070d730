//! One batch, made by processes that are killed and whose store fails, with rivals that have ledgers of their own.

use std::collections::HashSet;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use certforge::batch::{self, Layout};

use super::crew::{self, Ended, Fate, Task};
use super::place::{BATCH, Place};
use super::promises::Promises;
use super::{CHUNK_ROWS, ROWS, Tally};

/// How many make it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Whole,
    Shards,
}

const SHARDS: usize = 3;

/// Processes are killed within so many microseconds: more where they get nowhere.
const QUICKEST: u64 = 60_000;
const SLOWEST: u64 = 1_000_000;

/// A part of the batch, and the ledgers of two who would make it. Only one of them can, whoever came first.
struct Part {
    shard: Option<String>,
    ledgers: [String; 2],
    /// Who made it.
    maker: Option<usize>,
}

pub struct Batch {
    pub place: Place,
    pub promises: Promises,
    pub tally: Tally,
    pub random: fastrand::Rng,
    layout: Layout,
    parts: Vec<Part>,
    most_kills: usize,
    /// Microseconds within which processes are killed.
    latest: u64,
}

impl Batch {
    pub fn new(place: Place, layout: Layout, shape: Shape, random: fastrand::Rng, most_kills: usize) -> Self {
        let part = |name: &str, shard| Part {
            shard,
            ledgers: ["ledger", "rival"].map(|who| format!("{who}-{name}.db")),
            maker: None,
        };
        let parts = match shape {
            Shape::Whole => vec![part("0", None)],
            Shape::Shards => (1..=SHARDS)
                .map(|i| part(&i.to_string(), Some(format!("{i}/{SHARDS}"))))
                .collect(),
        };
        let shape = batch::Shape {
            rows: ROWS as u64,
            chunk_rows: CHUNK_ROWS as u64,
        };
        Self {
            place,
            promises: Promises::new(layout, shape),
            tally: Tally::default(),
            random,
            layout,
            parts,
            most_kills,
            latest: QUICKEST,
        }
    }

    /// Makes the batch, whole and sealed.
    pub fn make(&mut self, keys: &mut HashSet<[u8; 32]>) {
        let mut released = 0;
        while self.parts.iter().any(|part| part.maker.is_none()) && self.goes_on(2) {
            self.draw_weather();
            let mut tasks = Vec::new();
            let mut who = Vec::new();
            for part in 0..self.parts.len() {
                if self.parts[part].maker.is_none() {
                    // At the same time, now and then, one who does not know what was made.
                    let makers = if self.random.u8(..3) == 0 { 2 } else { 1 };
                    for maker in 0..makers {
                        tasks.push(self.task(part, maker));
                        who.push((part, maker));
                    }
                }
            }
            for (ended, (part, maker)) in self.run(tasks).iter().zip(who) {
                Self::judge(ended, &[0, 6, 7]);
                if ended.code == Some(0) {
                    self.is_made(part, maker);
                } else if ended.stderr.contains("ledger") {
                    self.tally.refused += 1;
                }
            }
            let now = self.hold(4);
            // On a machine that is slow just now, they need longer to get anywhere.
            self.latest = match now == released {
                true => SLOWEST.min(self.latest * 5 / 4),
                false => QUICKEST,
            };
            released = now;
        }
        self.finish();
        self.latest = QUICKEST * 5;
        assert_eq!(self.hold(1), ROWS);
        self.promises.hold_complete(&self.place, keys);
        self.tally.devices = ROWS;
        self.verify();
    }

    /// What was not made is made, when nothing fails and nobody is killed; then what was made in shards is sealed.
    fn finish(&mut self) {
        self.place.fail(false);
        for part in 0..self.parts.len() {
            let mut told = String::new();
            for maker in 0..2 {
                let ledger = self.place.workplace.join(&self.parts[part].ledgers[maker]);
                if maker == 1 && !ledger.exists() {
                    continue;
                }
                let mut task = self.task(part, maker);
                task.fate = Fate::Ends;
                let ended = self.run(vec![task]).remove(0);
                Self::judge(&ended, &[0, 6, 7]);
                if ended.code == Some(0) {
                    self.is_made(part, maker);
                }
                told.push_str(&ended.stderr);
            }
            assert!(
                self.parts[part].maker.is_some(),
                "nobody can make part {part}:\n{told}"
            );
        }
        if self.parts.len() > 1 {
            let batch = self.place.batch();
            let command = self.place.command(&["seal", &batch, "--ca", "ca"]);
            Self::succeed(command);
        }
    }

    fn is_made(&mut self, part: usize, maker: usize) {
        let before = self.parts[part].maker.replace(maker);
        assert!(
            before.is_none_or(|before| before == maker),
            "part {part} was made by two"
        );
    }

    /// Whether the store fails, for the next crew.
    pub fn draw_weather(&mut self) {
        let is_failing = self.random.u8(..3) == 0;
        self.place.fail(is_failing);
    }

    /// Whether there are kills left for this half of the batch's life.
    pub fn goes_on(&self, halves: usize) -> bool {
        self.tally.kills < self.most_kills / halves
    }

    /// Runs a crew, and counts what came over it.
    pub fn run(&mut self, tasks: Vec<Task>) -> Vec<Ended> {
        let (ended, is_blocked) = crew::run(tasks, self.place.workplace.path());
        self.tally.blocked += usize::from(is_blocked);
        self.tally.kills += ended.iter().filter(|ended| ended.code.is_none()).count();
        self.tally.faults = self.place.faults();
        ended
    }

    /// A process may end as these codes say, or be killed.
    pub fn judge(ended: &Ended, codes: &[i32]) {
        let is_good = ended.code.is_none_or(|code| codes.contains(&code));
        assert!(
            is_good,
            "{} ended with {:?}\n{}{}",
            ended.name, ended.code, ended.stdout, ended.stderr
        );
    }

    /// What holds at every moment. `sampled`: the bundles of one chunk in so many are read.
    pub fn hold(&mut self, sampled: u64) -> usize {
        let ledgers = self.parts.iter().flat_map(|part| &part.ledgers);
        let ledgers: Vec<PathBuf> = ledgers.map(|name| self.place.workplace.join(name)).collect();
        self.promises.hold(&self.place, &ledgers, sampled)
    }

    pub fn succeed(mut command: Command) -> String {
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{command:?} ended with {}\n{text}{stderr}",
            output.status
        );
        text
    }

    pub fn verify(&mut self) {
        let batch = self.place.batch();
        let mut arguments = vec!["verify", &batch, "--manifest", "devices.csv"];
        if let [part] = &self.parts[..] {
            arguments.extend(["--ledger", &part.ledgers[part.maker.unwrap()]]);
        }
        let command = self.place.command(&arguments);
        let text = Self::succeed(command);
        assert!(text.contains(&format!("{ROWS} devices verified")), "{text}");
    }

    /// What becomes of a process: where nothing fails, most are killed; where the store fails, most go on until it does.
    pub fn fate(&mut self) -> Fate {
        let moment = Duration::from_micros(self.random.u64(1_000..self.latest));
        match (self.random.u8(..12), self.place.is_failing()) {
            (0, _) => Fate::Sleeps(moment),
            (1, false) | (3.., true) => Fate::Ends,
            _ => Fate::Killed(moment),
        }
    }

    /// The run of a part once more.
    pub fn again(&mut self) -> Task {
        let part = self.random.usize(..self.parts.len());
        self.task(part, self.parts[part].maker.unwrap())
    }

    fn task(&mut self, part: usize, maker: usize) -> Task {
        Task {
            name: format!("{} {part}", ["part", "rival of part"][maker]),
            command: self.command(part, maker),
            fate: self.fate(),
        }
    }

    fn command(&mut self, part: usize, maker: usize) -> Command {
        let (to, layout, rows) = (
            self.place.to.clone(),
            self.layout.to_string(),
            CHUNK_ROWS.to_string(),
        );
        let part = &self.parts[part];
        let mut arguments = vec![
            "run",
            "devices.csv",
            "--no-endpoint",
            "--ca",
            "ca",
            "--to",
            &to,
            "--batch",
            BATCH,
        ];
        arguments.extend([
            "--layout",
            &layout,
            "--chunk-rows",
            &rows,
            "--ledger",
            &part.ledgers[maker],
            // It is the store that refuses the rival, not what its CA remembers.
            "--new-ledger",
        ]);
        if let Some(shard) = &part.shard {
            arguments.extend(["--shard", shard]);
        }
        self.place.command(&arguments)
    }
}
