//! Leases that run out while several threads of two hosts take, renew and give up: by its own clock a host never holds a chunk that
//! another attempt has.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::{NOW, identity, issuer, prefix};
use crate::ledger_contract::CHUNKS;
use crate::postgres::Postgres;
use certforge::ledger::{self, LedgerName, Patience, Share};
use certforge::manifest::DeviceId;

/// Leases so short that terms end between two calls, or in the midst of one. The first has ended before anybody can ask.
const LEASES: [Duration; 4] = [
    Duration::from_micros(1),
    Duration::from_millis(2),
    Duration::from_millis(6),
    Duration::from_millis(20),
];
const HOSTS: usize = 2;
const THREADS: usize = 2;
const CALLS: usize = 150;

/// Who has a chunk: the number of the attempt, the host, and the term in which it was taken.
type Holders = BTreeMap<u64, (u32, usize, u64)>;

struct Hosts {
    shares: Vec<Box<dyn Share>>,
    holders: Mutex<Holders>,
    drawn: AtomicU64,
    taken_over: AtomicU64,
}

impl Hosts {
    /// Takes a chunk, and holds it against whoever had it before or has it already again.
    fn take(&self, host: usize) {
        let share = &self.shares[host];
        let prefixes = [prefix(self.drawn.fetch_add(1, Ordering::Relaxed))];
        let mut ids = |chunk| Some(vec![format!("SN{chunk:04}").parse::<DeviceId>().unwrap()]);
        for lease in share.lease(&prefixes, &mut ids).unwrap() {
            let (chunk, attempt) = (lease.reservation.chunk, lease.reservation.attempt);
            let mut holders = self.holders.lock().unwrap();
            match holders.get(&chunk).copied() {
                Some((newer, ..)) if newer > attempt => {
                    let is_held = share.is_held(lease.term);
                    assert!(
                        !is_held,
                        "chunk {chunk}: attempt {newer} has it, host {host} holds {attempt}"
                    );
                }
                before => {
                    if let Some((older, of, term)) = before {
                        let is_held = self.shares[of].is_held(term);
                        assert!(
                            !is_held,
                            "chunk {chunk}: attempt {attempt} has it, host {of} holds {older}"
                        );
                        self.taken_over.fetch_add(1, Ordering::Relaxed);
                    }
                    holders.insert(chunk, (attempt, host, lease.term));
                }
            }
        }
    }
}

#[test]
fn what_another_has_taken_is_not_held_by_a_hosts_own_clock() {
    let server = Postgres::start();
    let issuer = issuer("Test CA");
    for lease in LEASES {
        let name: LedgerName = server.database().parse().unwrap();
        let patience = Patience {
            lease,
            most: Duration::from_mins(1),
            ..Patience::default()
        };
        let join = |_| {
            let mut ledger = ledger::open_patiently(&name, [9; 16], patience.clone()).unwrap();
            let batch = ledger.begin_batch(&identity("b", &issuer), NOW).unwrap();
            ledger.share(&batch).unwrap().unwrap()
        };
        let hosts = Hosts {
            shares: (0..HOSTS).map(join).collect(),
            holders: Mutex::default(),
            drawn: AtomicU64::new(1),
            taken_over: AtomicU64::new(0),
        };
        let are_done = AtomicBool::new(false);
        thread::scope(|scope| {
            for share in &hosts.shares {
                scope.spawn(|| {
                    while !are_done.load(Ordering::Relaxed) {
                        share.renew().unwrap();
                    }
                });
            }
            let take = |host| {
                let hosts = &hosts;
                scope.spawn(move || (0..CALLS).for_each(|_| hosts.take(host)))
            };
            let taking: Vec<_> = (0..HOSTS * THREADS).map(|thread| take(thread % HOSTS)).collect();
            // Those that renew are told before one that has failed is.
            let ended: Vec<_> = taking.into_iter().map(thread::ScopedJoinHandle::join).collect();
            are_done.store(true, Ordering::Relaxed);
            for ended in ended {
                ended.unwrap();
            }
        });
        let taken_over = hosts.taken_over.into_inner();
        println!("leases of {lease:?}: {taken_over} chunks changed hands");
        if lease == LEASES[0] {
            assert!(taken_over > CHUNKS, "leases of {lease:?} do not run out");
        }
    }
}
