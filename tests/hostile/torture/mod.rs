//! Kills and failing stores, many of them, over every way to make a batch and to flash it. After each of them, and in
//! the end, what was promised holds.
//!
//! `tests/torture` runs it whole; by itself it is a twentieth of that.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod batch;
mod crew;
mod line;
mod place;
mod promises;

use std::collections::HashSet;
use std::fmt;

use certforge::batch::Layout;

use crate::real_server::Server;
use batch::{Batch, Shape};
use place::{Disk, Place};

/// How many there are at least, and the variables that say otherwise.
const KILLS: (&str, usize) = ("CERTFORGE_TORTURE_KILLS", 50);
const FAULTS: (&str, usize) = ("CERTFORGE_TORTURE_FAULTS", 50);

/// Of each batch, at most.
const KILLS_OF_ONE_BATCH: usize = 40;

/// Devices of each batch, and of each of its chunks.
const ROWS: usize = 48;
const CHUNK_ROWS: usize = 4;

/// What happened.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    pub kills: usize,
    pub faults: usize,
    pub devices: usize,
    /// Bundles that stations had unpacked, one after the other.
    pub unpacked: usize,
    /// Runs that did not get what another had.
    pub refused: usize,
    /// Crews that waited for one of them that slept.
    pub blocked: usize,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} kills, {} faults, {} devices made, {} bundles unpacked, {} rivals refused, {} crews blocked",
            self.kills, self.faults, self.devices, self.unpacked, self.refused, self.blocked
        )
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.kills += other.kills;
        self.faults += other.faults;
        self.devices += other.devices;
        self.unpacked += other.unpacked;
        self.refused += other.refused;
        self.blocked += other.blocked;
    }
}

#[test]
fn kills_and_faults_lose_nothing_and_make_nothing_twice() {
    let seed = crate::seed();
    let [kills, faults] = [KILLS, FAULTS].map(|(variable, usual)| {
        let given = std::env::var(variable).ok();
        given.map_or(usual, |given| given.parse().unwrap())
    });
    let mut random = fastrand::Rng::with_seed(seed);
    let (server, disk) = (Server::seaweedfs(), Disk::compile());
    let (mut all, mut keys) = (Tally::default(), HashSet::new());
    for round in 0.. {
        let layout = [Layout::Objects, Layout::Packs][round % 2];
        let seed = random.u64(..);
        let place = match round / 2 % 2 {
            0 => Place::folder(&disk, layout, ROWS, seed),
            _ => Place::bucket(&server, layout, ROWS, seed),
        };
        let shape = [Shape::Whole, Shape::Shards][(round / 4 + round) % 2];
        println!("batch {round}: {layout}, {}, {shape:?}", place.name());
        let most = KILLS_OF_ONE_BATCH.min(kills / 4 + 1);
        let mut batch = Batch::new(place, layout, shape, random.fork(), most);
        batch.make(&mut keys);
        batch.flash();
        println!("         {}", batch.tally);
        all += batch.tally;
        if round >= 3 && all.kills >= kills && all.faults >= faults {
            break;
        }
    }
    assert_eq!(keys.len(), all.devices, "each device has a key of its own");
    println!("in all:  {all}");
}
