//! One lane that shows what is claimed of limbs: it stops where a limb overflows, or where one that a product takes is
//! not within its 52 bits.

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
