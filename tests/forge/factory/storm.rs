//! Hosts that are killed, put to sleep and started again, under a database that is killed as well.
//!
//! `CERTFORGE_TEST_STORM=200000` makes it as large as that; `CERTFORGE_TEST_SEED` repeats one.

use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{Factory, Said, signal};
use crate::postgres::Postgres;

const TASKS: usize = 8;
const CRASHES: usize = 3;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn a_storm_over_the_factory_leaves_each_device_made_once() {
    let seed = number("CERTFORGE_TEST_SEED").unwrap_or_else(|| fastrand::u64(..));
    let rows = number("CERTFORGE_TEST_STORM").unwrap_or(20_000);
    println!("CERTFORGE_TEST_SEED={seed} CERTFORGE_TEST_STORM={rows}");
    let mut random = fastrand::Rng::with_seed(seed);
    let server = Postgres::start();
    let factory = Factory::new(&server, usize::try_from(rows).unwrap());
    let mut tasks: Vec<Child> = (0..TASKS).map(|_| factory.start()).collect();
    // One of them sleeps past its lease of two seconds.
    let sleeper = random.usize(..TASKS);
    std::thread::sleep(Duration::from_millis(random.u64(300..800)));
    signal(&tasks[sleeper], Signal::STOP);
    let mut wakes = Some(Instant::now() + Duration::from_secs(4));
    let mut kills: Vec<usize> = (0..TASKS).filter(|task| *task != sleeper).collect();
    random.shuffle(&mut kills);
    let mut crashes = CRASHES;
    while !kills.is_empty() || crashes > 0 || wakes.is_some() {
        std::thread::sleep(Duration::from_millis(random.u64(50..500)));
        if wakes.is_some_and(|at| at <= Instant::now()) {
            signal(&tasks[sleeper], Signal::CONT);
            wakes = None;
        }
        if crashes > 0 && random.usize(..4) == 0 {
            crashes -= 1;
            server.crash();
            std::thread::sleep(Duration::from_millis(random.u64(..1500)));
            server.go_on();
        } else if let Some(task) = kills.pop() {
            tasks[task].kill().unwrap();
            tasks[task].wait().unwrap();
            tasks[task] = factory.start();
        }
    }
    for task in tasks {
        let said = Said::of(task);
        assert_eq!(
            said.code,
            Some(0),
            "seed {seed}: {} {}",
            said.document,
            said.aside
        );
        let all = said.number("made") + said.number("skipped") + said.number("elsewhere");
        assert_eq!(all, rows, "seed {seed}: {}", said.document);
    }
    factory.judge(&server);
}
