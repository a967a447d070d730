//! Eight lanes at a time: the arithmetic on words of AVX-512 with IFMA.

#![expect(
    unsafe_code,
    reason = "one call into code that needs the processor's help, after detection"
)]

use std::cell::RefCell;

#[path = "../comb.rs"]
mod comb;
#[path = "../field.rs"]
mod field;
#[path = "../limit.rs"]
mod limit;
#[path = "../order.rs"]
mod order;
#[path = "../signature.rs"]
mod signature;
mod word;

pub use self::comb::BLINDS;
pub use self::limit::{IFMA_A_KEY, IFMA_A_ROUND, IFMA_A_SIGNATURE};
use self::signature::Bench;
pub use self::signature::{BATCH, GROUP, Job};
pub use self::word::{SECRET_BITS, is_here};

thread_local! {
    /// What a thread's jobs are done with.
    static BENCH: RefCell<Option<Bench>> = const { RefCell::new(None) };
}

/// Does a job. False when it has no result, see [`Bench::run`].
///
/// # Panics
///
/// When the processor is another.
pub fn run(job: Job<'_>) -> bool {
    assert!(is_here(), "the processor has what eight lanes need");
    // SAFETY: the processor has every feature that the function needs.
    BENCH.with_borrow_mut(|bench| unsafe { run_here(bench, job) })
}

features! {
fn run_here(bench: &mut Option<Bench>, job: Job<'_>) -> bool {
    match bench {
        Some(bench) => bench.run(job),
        None => bench.insert(Bench::new()).run(job),
    }
}
}
