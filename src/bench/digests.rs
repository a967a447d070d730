//! SHA-256: half of what a bundle costs, once its key and its certificate are there.

use super::meter::{Task, rates};
use super::{Bench, BenchError, Measure, Quantity};
use crate::digest::sha256;

/// Octets of a digest's input: about a bundle.
const INPUT: usize = 4096;

/// Inputs of one turn.
const AT_A_TIME: usize = 64;

pub(super) fn measure(bench: Bench<'_>, threads: usize) -> Result<Vec<Measure>, BenchError> {
    let task = Task::new(Quantity::Sha256, || {
        let mut input = vec![7; INPUT];
        Ok(Box::new(move || {
            for _ in 0..AT_A_TIME {
                // Each goes on from the one before, so none can be left out.
                let digest = sha256(&input);
                input[..digest.len()].copy_from_slice(&digest);
            }
            Ok((INPUT * AT_A_TIME) as u64)
        }))
    });
    let rates = rates(bench, threads, &[task])?;
    let measure = |(quantity, rate)| Measure::new(quantity, threads, rate);
    Ok(rates.into_iter().map(measure).collect())
}
