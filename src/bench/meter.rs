//! The meter: lets several tasks take turns on some threads, and tells their rates.
//!
//! Round by round, each task has all the threads to itself for a short while. So whatever disturbs this machine
//! disturbs all of them, and their rates can be held against each other.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use rayon::{ThreadPool, ThreadPoolBuilder};
use serde::{Deserialize, Serialize};

use super::{Bench, BenchError, Quantity};

/// Rounds of a measure.
pub(super) const ROUNDS: usize = 5;

/// How much longer is measured what takes as long as chance has it.
const LONGER_FOR_CHANCE: u32 = 4;

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

/// How a round went.
#[derive(Debug, Clone, Copy)]
pub(super) struct Round {
    pub made: u64,
    /// The rates of its threads together.
    pub per_second: f64,
    /// The times of its threads together; each works until it has ended what it had begun when the time was up.
    pub thread_seconds: f64,
}

impl Rate {
    /// Of at least one round.
    pub(super) fn of(rounds: &[Round]) -> Self {
        let mut rates: Vec<f64> = rounds.iter().map(|round| round.per_second).collect();
        rates.sort_unstable_by(f64::total_cmp);
        let middle = rates.len() / 2;
        let median = match rates.len().is_multiple_of(2) {
            true => f64::midpoint(rates[middle - 1], rates[middle]),
            false => rates[middle],
        };
        Self {
            per_second: median,
            lowest_per_second: rates[0],
            highest_per_second: rates[rates.len() - 1],
            rounds: rounds.len(),
            made: rounds.iter().map(|round| round.made).sum(),
        }
    }

    /// The same, where all that was made counts by all the time that it took, of all threads and all rounds. A mean of
    /// their rates would be too high: a thread that is lucky has ended early.
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    fn of_chance(rounds: &[Round], threads: usize) -> Self {
        let by_time = |made: u64, thread_seconds: f64| threads as f64 * made as f64 / thread_seconds;
        let fair: Vec<Round> = rounds
            .iter()
            .map(|round| Round {
                per_second: by_time(round.made, round.thread_seconds),
                ..*round
            })
            .collect();
        let rate = Self::of(&fair);
        let thread_seconds = rounds.iter().map(|round| round.thread_seconds).sum();
        Self {
            per_second: by_time(rate.made, thread_seconds),
            ..rate
        }
    }
}

/// Does some of a task's work, in buffers of its own, and tells how much.
pub(super) type Turn<'a> = Box<dyn FnMut() -> Result<u64, BenchError> + Send + 'a>;

/// Something that is done again and again.
pub(super) struct Task<'a> {
    pub quantity: Quantity,
    /// Makes what one thread works with.
    pub begin: Box<dyn Fn() -> Result<Turn<'a>, BenchError> + 'a>,
    /// Whether a turn takes as long as chance has it.
    pub is_chance: bool,
}

impl<'a> Task<'a> {
    pub fn new(quantity: Quantity, begin: impl Fn() -> Result<Turn<'a>, BenchError> + 'a) -> Self {
        Self {
            quantity,
            begin: Box::new(begin),
            is_chance: false,
        }
    }
}

/// Measures tasks on so many threads, in turns.
pub(super) fn rates(
    bench: Bench<'_>,
    threads: usize,
    tasks: &[Task<'_>],
) -> Result<Vec<(Quantity, Rate)>, BenchError> {
    let pool = ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|i| format!("bench-{i}"))
        .build()
        .map_err(|source| BenchError::Threads { source })?;
    let mut works = Vec::with_capacity(tasks.len());
    for task in tasks {
        let turns: Result<Vec<_>, BenchError> =
            (0..threads).map(|_| (task.begin)().map(Mutex::new)).collect();
        let mut time = bench.options.time() / u32::try_from(ROUNDS).expect("they are few");
        if task.is_chance {
            time *= LONGER_FOR_CHANCE;
        }
        works.push((turns?, time, Vec::with_capacity(ROUNDS)));
    }
    for _ in 0..ROUNDS {
        for (turns, time, rounds) in &mut works {
            rounds.push(round(bench, &pool, turns, *time)?);
        }
    }
    let rate = |(task, (_, _, rounds)): (&Task<'_>, (_, _, Vec<Round>))| {
        let rate = match task.is_chance {
            true => Rate::of_chance(&rounds, threads),
            false => Rate::of(&rounds),
        };
        (task.quantity, rate)
    };
    Ok(tasks.iter().zip(works).map(rate).collect())
}

/// Lets every thread work until the time is up, or somebody wants no more, and end what it has begun.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn round(
    bench: Bench<'_>,
    pool: &ThreadPool,
    turns: &[Mutex<Turn<'_>>],
    time: Duration,
) -> Result<Round, BenchError> {
    let results = pool.broadcast(|context| -> Result<(u64, f64), BenchError> {
        let mut turn = turns[context.index()].lock().expect("no holder panics");
        let mut made = 0;
        let started = Instant::now();
        loop {
            bench.go_on()?;
            made += turn()?;
            let elapsed = started.elapsed();
            if elapsed >= time {
                return Ok((made, elapsed.as_secs_f64()));
            }
        }
    });
    let mut round = Round {
        made: 0,
        per_second: 0.0,
        thread_seconds: 0.0,
    };
    for result in results {
        let (made, seconds) = result?;
        round.made += made;
        round.per_second += made as f64 / seconds;
        round.thread_seconds += seconds;
    }
    Ok(round)
}

#[cfg(test)]
mod tests {
    use super::super::{Options, Scratch};
    use super::*;
    use crate::forge::Cancel;

    /// Each of one thread.
    fn rounds(rates: &[f64]) -> Vec<Round> {
        let round = |rate: &f64| Round {
            made: 10,
            per_second: *rate,
            thread_seconds: 10.0 / *rate,
        };
        rates.iter().map(round).collect()
    }

    #[test]
    fn a_rate_is_the_median_of_its_rounds() {
        for (rates, median) in [
            (&[7.0][..], 7.0),
            (&[9.0, 1.0], 5.0),
            (&[3.0, 100.0, 2.0], 3.0),
            (&[4.0, 1.0, 3.0, 2.0], 2.5),
        ] {
            let rate = Rate::of(&rounds(rates));
            assert!((rate.per_second - median).abs() < 1e-9, "{rates:?}");
            assert_eq!((rate.rounds, rate.made), (rates.len(), 10 * rates.len() as u64));
            assert!(rate.lowest_per_second <= median && median <= rate.highest_per_second);
        }
    }

    #[test]
    fn of_what_chance_decides_all_counts_by_all_the_time() {
        // Ten in 1 s and ten in 5 s.
        let rate = Rate::of_chance(&rounds(&[10.0, 2.0]), 1);
        assert!((rate.per_second - 20.0 / 6.0).abs() < 1e-9);
        // Two threads made one each: one of them in 1 s, the other in 4 s.
        let round = Round {
            made: 2,
            per_second: 1.25,
            thread_seconds: 5.0,
        };
        let rate = Rate::of_chance(&[round], 2);
        for per_second in [rate.per_second, rate.lowest_per_second, rate.highest_per_second] {
            assert!((per_second - 0.8).abs() < 1e-9, "{rate:?}");
        }
    }

    #[test]
    fn no_thread_begins_anything_once_somebody_wants_no_more() {
        let place = tempfile::tempdir().unwrap();
        let options = Options {
            time: Some(Duration::from_hours(1)),
            ..Options::default()
        };
        let cancel = Cancel::new();
        let bench = Bench {
            options: &options,
            scratch: &Scratch::new(place.path()).unwrap(),
            observe: &|_| {},
            cancel: &cancel,
        };
        let task = Task::new(Quantity::Sha256, || {
            let mut is_first = true;
            Ok(Box::new(move || {
                assert!(std::mem::take(&mut is_first), "one turn, then no other");
                bench.cancel.cancel();
                Ok(1)
            }))
        });
        let rates = rates(bench, 2, &[task]);
        assert!(matches!(rates, Err(BenchError::Interrupted)), "{rates:?}");
    }
}
