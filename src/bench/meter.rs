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
    /// The median of the rounds. Of RSA keys, which take as long as chance has it: all keys by all the time.
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
    pub per_second: f64,
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

    /// The same, where all that was made counts by all the time that it took.
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    fn of_chance(rounds: &[Round]) -> Self {
        let seconds: f64 = rounds
            .iter()
            .map(|round| round.made as f64 / round.per_second)
            .sum();
        let rate = Self::of(rounds);
        Self {
            per_second: rate.made as f64 / seconds,
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
            bench.go_on()?;
            rounds.push(round(&pool, turns, *time)?);
        }
    }
    let rate = |(task, (_, _, rounds)): (&Task<'_>, (_, _, Vec<Round>))| {
        let rate = match task.is_chance {
            true => Rate::of_chance(&rounds),
            false => Rate::of(&rounds),
        };
        (task.quantity, rate)
    };
    Ok(tasks.iter().zip(works).map(rate).collect())
}

/// Lets every thread work until the time is up, and end what it has begun.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn round(pool: &ThreadPool, turns: &[Mutex<Turn<'_>>], time: Duration) -> Result<Round, BenchError> {
    let results = pool.broadcast(|context| -> Result<(u64, f64), BenchError> {
        let mut turn = turns[context.index()].lock().expect("no holder panics");
        let mut made = 0;
        let started = Instant::now();
        loop {
            made += turn()?;
            let elapsed = started.elapsed();
            if elapsed >= time {
                return Ok((made, made as f64 / elapsed.as_secs_f64()));
            }
        }
    });
    let mut round = Round {
        made: 0,
        per_second: 0.0,
    };
    for result in results {
        let (made, per_second) = result?;
        round.made += made;
        round.per_second += per_second;
    }
    Ok(round)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(rates: &[f64]) -> Vec<Round> {
        let round = |rate: &f64| Round {
            made: 10,
            per_second: *rate,
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
        let rate = Rate::of_chance(&rounds(&[10.0, 2.0]));
        assert!((rate.per_second - 20.0 / 6.0).abs() < 1e-9);
    }
}
