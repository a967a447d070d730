//! What comes from outside, and what stops at the worst moment: inputs that nobody meant, kills, and stores that fail.

#[path = "../support/fault_proxy.rs"]
mod fault_proxy;
#[path = "../support/real_server.rs"]
mod real_server;
#[path = "../support/mod.rs"]
mod support;

mod targets;
mod torture;

/// The seed is printed; this variable repeats it.
const SEED_VARIABLE: &str = "CERTFORGE_TEST_SEED";

fn seed() -> u64 {
    let given = std::env::var(SEED_VARIABLE).ok();
    let seed = given
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| fastrand::u64(..));
    println!("{SEED_VARIABLE}={seed}");
    seed
}
