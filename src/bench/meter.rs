//! The meter: lets several tasks take turns on some threads, and tells their rates.
//!
//! Round by round, each task has all the threads to itself for a short while. So whatever disturbs this machine
//! disturbs all of them, and their rates can be held against each other.

use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use rayon::{ThreadPool, ThreadPoolBuilder};
use serde::{Deserialize, Serialize};

use super::{BenchError, Quantity, pin};
use crate::forge::Cancel;

/// Rounds of a measure.
const ROUNDS: u32 = 5;

/// How much longer is measured what takes as long as chance has it.
const LONGER_FOR_CHANCE: u32 = 4;

/// What is as long as it is has no further round after this many times the time of a measure.
const TIMES_FOR_WHOLE: u32 = 4;

/// How often something was done in a second.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// The median of the rounds. Of RSA keys, which take as long as chance has it: all keys by all the time, of all
    /// threads.
    pub per_second: f64,
    /// Of the slowest round.
    pub lowest_per_second: f64,
    /// Of the fastest.
    pub highest_per_second: f64,
    pub rounds: usize,
    /// How much was done in all rounds together.
    pub made: u64,
}

/// Some of a task's work: how much was done, and how long that took.
#[derive(Debug, Clone, Copy)]
pub struct Lap {
    pub made: u64,
    pub time: Duration,
}

impl Lap {
    /// Times work that tells how much it is.
    ///
    /// # Errors
    ///
    /// The work's own.
    pub fn of<E>(work: impl FnOnce() -> Result<u64, E>) -> Result<Self, E> {
        let started = Instant::now();
        work().map(|made| Self {
            made,
            time: started.elapsed(),
        })
    }
}

impl Rate {
    /// Of rounds, at least one, each with a lap of every thread.
    #[must_use]
    pub fn of(rounds: &[Vec<Lap>]) -> Self {
        Self::by(|laps| laps.iter().map(|lap| by_time(&[*lap])).sum(), rounds)
    }

    /// The same, where all that was made counts by all the time that it took, of all threads and all rounds. A mean of
    /// their rates would be too high: a thread that is lucky has ended early.
    fn of_chance(rounds: &[Vec<Lap>]) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "threads are few")]
        let threads = rounds[0].len() as f64;
        Self {
            per_second: threads * by_time(&rounds.concat()),
            ..Self::by(|laps| threads * by_time(laps), rounds)
        }
    }

    fn by(rate: impl Fn(&[Lap]) -> f64, rounds: &[Vec<Lap>]) -> Self {
        let mut rates: Vec<f64> = rounds.iter().map(|laps| rate(laps)).collect();
        rates.sort_unstable_by(f64::total_cmp);
        let last = rates.len() - 1;
        Self {
            per_second: f64::midpoint(rates[last / 2], rates[rates.len() / 2]),
            lowest_per_second: rates[0],
            highest_per_second: rates[last],
            rounds: rounds.len(),
            made: rounds.iter().flatten().map(|lap| lap.made).sum(),
        }
    }
}

/// What was made in a second of one thread.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn by_time(laps: &[Lap]) -> f64 {
    let made: u64 = laps.iter().map(|lap| lap.made).sum();
    let time: Duration = laps.iter().map(|lap| lap.time).sum();
    made as f64 / time.as_secs_f64().max(1e-9)
}

/// Does some of a task's work, in buffers of its own.
pub type Turn<'a> = Box<dyn FnMut() -> Result<Lap, BenchError> + Send + 'a>;

/// How long a turn takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// Always the same.
    Steady,
    /// As chance has it.
    Chance,
    /// As long as it is: a turn is a round, and has threads of its own.
    Whole,
}

/// Something that is done again and again.
pub struct Task<'a> {
    pub quantity: Quantity,
    pub(super) pace: Pace,
    /// Octets of what a turn makes, where that is told.
    pub(super) octets: Option<&'a AtomicU64>,
    begin: Box<dyn Fn() -> Result<Turn<'a>, BenchError> + 'a>,
}

impl<'a> Task<'a> {
    pub(super) fn new(
        quantity: Quantity,
        pace: Pace,
        begin: impl Fn() -> Result<Turn<'a>, BenchError> + 'a,
    ) -> Self {
        Self {
            quantity,
            pace,
            octets: None,
            begin: Box::new(begin),
        }
    }

    /// Makes what one thread works with.
    ///
    /// # Errors
    ///
    /// When that fails, or what is made with it first is not sound.
    pub fn begin(&self) -> Result<Turn<'a>, BenchError> {
        (self.begin)()
    }
}

/// Measures tasks on so many threads, in turns.
pub(super) fn rates(
    tasks: &[Task<'_>],
    threads: usize,
    time: Duration,
    cancel: &Cancel,
) -> Result<Vec<Rate>, BenchError> {
    let is_whole = tasks.iter().any(|task| task.pace == Pace::Whole);
    let mut pool = ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|i| format!("bench-{i}"));
    if is_whole && threads == 1 {
        pool = pool.start_handler(|_| pin::to_one_processor());
    }
    let pool = pool.build().map_err(|source| BenchError::Threads { source })?;
    let mut works = Vec::with_capacity(tasks.len());
    for task in tasks {
        let turns = if is_whole { 1 } else { threads };
        let turns: Result<Vec<_>, _> = (0..turns).map(|_| task.begin().map(Mutex::new)).collect();
        works.push((task.pace, turns?, Vec::new()));
    }
    for _ in 0..ROUNDS {
        let mut longest = Duration::ZERO;
        for (pace, turns, rounds) in &mut works {
            rounds.push(round(&pool, *pace, turns, time / ROUNDS, cancel)?);
            longest = longest.max(rounds.iter().flatten().map(|lap| lap.time).sum());
        }
        if is_whole && longest >= TIMES_FOR_WHOLE * time {
            break;
        }
    }
    let rate = |(pace, _, rounds): &(_, _, Vec<_>)| match pace {
        Pace::Chance => Rate::of_chance(rounds),
        Pace::Steady | Pace::Whole => Rate::of(rounds),
    };
    Ok(works.iter().map(rate).collect())
}

/// Lets every thread work until the time is up, or somebody wants no more, and end what it has begun.
fn round(
    pool: &ThreadPool,
    pace: Pace,
    turns: &[Mutex<Turn<'_>>],
    time: Duration,
    cancel: &Cancel,
) -> Result<Vec<Lap>, BenchError> {
    let work = |thread: usize, time: Duration| -> Result<Lap, BenchError> {
        let mut turn = turns[thread].lock().expect("no holder panics");
        let mut all = Lap {
            made: 0,
            time: Duration::ZERO,
        };
        loop {
            if cancel.is_cancelled() {
                return Err(BenchError::Interrupted);
            }
            let lap = turn()?;
            all.made += lap.made;
            all.time += lap.time;
            if all.time >= time {
                return Ok(all);
            }
        }
    };
    let laps = match pace {
        Pace::Steady => pool.broadcast(|thread| work(thread.index(), time)),
        Pace::Chance => pool.broadcast(|thread| work(thread.index(), LONGER_FOR_CHANCE * time)),
        Pace::Whole => vec![pool.install(|| work(0, Duration::ZERO))],
    };
    laps.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lap(made: u64, seconds: u64) -> Lap {
        let time = Duration::from_secs(seconds);
        Lap { made, time }
    }

    #[test]
    fn a_rate_is_the_median_of_its_rounds() {
        for (rates, median) in [
            (&[7][..], 7.0),
            (&[9, 1], 5.0),
            (&[3, 100, 2], 3.0),
            (&[4, 1, 3, 2], 2.5),
        ] {
            let rounds: Vec<Vec<Lap>> = rates.iter().map(|rate| vec![lap(*rate, 1)]).collect();
            let rate = Rate::of(&rounds);
            assert!((rate.per_second - median).abs() < 1e-9, "{rates:?}");
            assert_eq!((rate.rounds, rate.made), (rates.len(), rates.iter().sum()));
            assert!(rate.lowest_per_second <= median && median <= rate.highest_per_second);
        }
    }

    #[test]
    fn of_what_chance_decides_all_counts_by_all_the_time() {
        let rate = Rate::of_chance(&[vec![lap(10, 1)], vec![lap(10, 5)]]);
        assert!((rate.per_second - 20.0 / 6.0).abs() < 1e-9);
        // Two threads made one each: one of them in 1 s, the other in 4 s.
        let rate = Rate::of_chance(&[vec![lap(1, 1), lap(1, 4)]]);
        for per_second in [rate.per_second, rate.lowest_per_second, rate.highest_per_second] {
            assert!((per_second - 0.8).abs() < 1e-9, "{rate:?}");
        }
    }

    #[test]
    fn no_thread_begins_anything_once_somebody_wants_no_more() {
        let cancel = Cancel::new();
        let task = Task::new(Quantity::Sha256, Pace::Steady, || {
            let mut is_first = true;
            let cancel = &cancel;
            Ok(Box::new(move || {
                assert!(std::mem::take(&mut is_first), "one turn, then no other");
                cancel.cancel();
                Lap::of(|| Ok(1))
            }))
        });
        let rates = rates(&[task], 2, Duration::from_hours(1), &cancel);
        assert!(matches!(rates, Err(BenchError::Interrupted)), "{rates:?}");
    }
}
