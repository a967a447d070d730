//! One lane: the same arithmetic on the words of any processor. It judges signatures some four times as fast as aws-lc;
//! keys and signatures it makes more slowly, so it makes none.

use std::cell::RefCell;

macro_rules! features {
    ($($item:item)*) => { $($item)* };
}

#[path = "../comb.rs"]
mod comb;
#[path = "../field.rs"]
mod field;
#[path = "../limit.rs"]
#[cfg_attr(
    target_arch = "x86_64",
    expect(dead_code, reason = "the limit is that of eight lanes")
)]
mod limit;
#[path = "../order.rs"]
mod order;
#[path = "../signature.rs"]
#[cfg_attr(
    target_arch = "x86_64",
    expect(
        dead_code,
        reason = "it only judges; the tests have it make keys and signatures too"
    )
)]
mod signature;
mod word;

#[cfg(any(test, not(target_arch = "x86_64")))]
pub use self::comb::BLINDS;
#[cfg(not(target_arch = "x86_64"))]
pub use self::limit::{IFMA_A_KEY, IFMA_A_ROUND, IFMA_A_SIGNATURE};
#[cfg(not(target_arch = "x86_64"))]
pub use self::signature::BATCH;
use self::signature::Bench;
pub use self::signature::{GROUP, Job};
#[cfg(any(test, not(target_arch = "x86_64")))]
pub use self::word::SECRET_BITS;

thread_local! {
    static BENCH: RefCell<Option<Bench>> = const { RefCell::new(None) };
}

/// Does a job. False when it has no result, see [`Bench::run`].
pub fn run(job: Job<'_>) -> bool {
    BENCH.with_borrow_mut(|bench| bench.get_or_insert_with(Bench::new).run(job))
}
