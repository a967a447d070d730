//! One lane: the same arithmetic on the words of any processor.

macro_rules! features {
    ($($item:item)*) => { $($item)* };
}

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

pub use self::job::{Job, TILE, run_job as run, verify_all as verify};
pub use self::prime::TAIL;
pub use self::word::LANES;
