//! One lane that shows what is claimed of limbs: it stops where a limb overflows, or where one that a product takes is
//! not within its 52 bits.

#![expect(
    clippy::redundant_closure,
    clippy::reversed_empty_ranges,
    reason = "it is written for words of eight lanes"
)]

macro_rules! features {
    ($($item:item)*) => { $($item)* };
}

#[path = "../comb.rs"]
mod comb;
#[path = "../edwards.rs"]
pub mod edwards;
#[path = "../field.rs"]
pub mod field;
mod word;

pub use self::comb::{Work, make, multiply_all};
