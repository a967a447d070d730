//! One lane that shows what is claimed of limbs: it stops where a limb overflows, or where one that a product takes is
//! not within its 52 bits.

use std::cell::RefCell;

macro_rules! features {
    ($($item:item)*) => { $($item)* };
}

#[path = "../comb.rs"]
mod comb;
#[path = "../field.rs"]
pub mod field;
#[path = "../limit.rs"]
#[expect(dead_code, reason = "the limit is that of eight lanes")]
mod limit;
#[path = "../order.rs"]
pub mod order;
#[path = "../signature.rs"]
#[expect(dead_code, reason = "the limit is that of eight lanes")]
mod signature;
pub mod word;

pub use self::comb::BLINDS;
use self::signature::Bench;
pub use self::signature::{GROUP, Job};
pub use self::word::SECRET_BITS;

thread_local! {
    static BENCH: RefCell<Option<Bench>> = const { RefCell::new(None) };
}

/// Does a job. False when it has no result, see [`Bench::run`].
pub fn run(job: Job<'_>) -> bool {
    BENCH.with_borrow_mut(|bench| bench.get_or_insert_with(Bench::new).run(job))
}
