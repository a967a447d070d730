//! Eight lanes at a time: the arithmetic on words of AVX-512 with IFMA.

#![expect(
    unsafe_code,
    reason = "calls into code that needs the processor's help, after detection"
)]

use std::cell::RefCell;

#[path = "../comb.rs"]
mod comb;
#[path = "../edwards.rs"]
mod edwards;
#[path = "../field.rs"]
mod field;
mod word;

pub use self::comb::{GROUP, Made, Read};
use self::comb::{Work, make, multiply_all};
pub use self::word::{LANES, is_here};

thread_local! {
    /// What a thread's jobs are done with.
    static WORK: RefCell<Option<Work>> = const { RefCell::new(None) };
}

/// Makes the comb of a point. `None` when it is on the twist, or of small order.
///
/// # Panics
///
/// When the processor is another.
pub fn comb(u: &[u8; 32]) -> Option<Made> {
    assert!(is_here(), "the processor has what eight lanes need");
    // SAFETY: the processor has every feature that the function needs.
    unsafe { make(u) }
}

/// Multiplies [`GROUP`] secrets at most by the points of two combs, see [`comb::multiply_all`]. Nothing that was worked
/// with is left.
///
/// # Panics
///
/// When the processor is another.
pub fn multiply(
    combs: [Read<'_>; 2],
    secrets: &[[u8; 32]],
    results: [&mut [[u8; 32]]; 2],
    sums: &mut [[u8; 32]; 2],
) -> bool {
    assert!(is_here(), "the processor has what eight lanes need");
    // SAFETY: the processor has every feature that the function needs.
    WORK.with_borrow_mut(|work| unsafe { multiply_here(work, combs, secrets, results, sums) })
}

features! {
fn multiply_here(work: &mut Option<Work>, combs: [Read<'_>; 2], secrets: &[[u8; 32]], results: [&mut [[u8; 32]]; 2], sums: &mut [[u8; 32]; 2]) -> bool {
    let work = match work {
        Some(work) => work,
        None => work.insert(Work::new()),
    };
    let is_done = multiply_all(work, combs, secrets, results, sums);
    work.wipe();
    is_done
}
}
