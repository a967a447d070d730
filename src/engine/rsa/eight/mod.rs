//! Eight lanes at a time: the arithmetic on words of AVX-512 with IFMA.

#![expect(
    unsafe_code,
    reason = "two calls into code that needs the processor's help, after detection"
)]

#[path = "../tiles.rs"]
mod columns;
#[path = "../division.rs"]
mod division;
#[path = "../job.rs"]
mod job;
#[path = "../modulus.rs"]
mod modulus;
#[path = "../power.rs"]
mod power;
#[path = "../prime.rs"]
mod prime;
mod word;

pub use self::job::{Job, TILE};
pub use self::word::{LANES, is_here};
use super::number::Number;

/// Does a job.
///
/// # Panics
///
/// When the processor is another.
pub fn run<const N: usize>(job: Job<'_, N>) {
    assert!(is_here(), "the processor has what eight lanes need");
    // SAFETY: the processor has every feature that the function needs.
    unsafe { job::run_job(job) }
}

/// Whether numbers are powers of others to e.
///
/// # Panics
///
/// When the processor is another.
pub fn verify<const M: usize>(items: [&[Number<M>]; 3], passed: &mut [bool]) {
    assert!(is_here(), "the processor has what eight lanes need");
    // SAFETY: the processor has every feature that the function needs.
    unsafe { job::verify_all(items, passed) }
}
