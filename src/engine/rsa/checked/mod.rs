//! One lane that shows what is claimed of limbs: it stops where a limb overflows, or where one that a product takes is
//! not within its 52 bits.

macro_rules! features {
    ($($item:item)*) => { $($item)* };
}

#[path = "../tiles.rs"]
mod columns;
#[path = "../division.rs"]
mod division;
#[path = "../job.rs"]
mod job;
#[path = "../modulus.rs"]
pub mod modulus;
#[path = "../power.rs"]
mod power;
#[path = "../prime.rs"]
mod prime;
mod word;

pub use self::job::{Job, TILE, run_job as run, verify_all as verify};
