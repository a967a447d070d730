//! Hosts that make one batch: together, one after the other, and one that was away.

use rustix::process::Signal;

use super::{Factory, Said, signal, until};
use crate::postgres::Postgres;

const ROWS: usize = 3000;

#[test]
fn the_same_command_on_several_hosts_makes_one_batch() {
    let server = Postgres::start();
    let factory = Factory::new(&server, ROWS);
    let hosts: Vec<_> = (0..3).map(|_| factory.start()).collect();
    let said: Vec<Said> = hosts.into_iter().map(Said::of).collect();
    for said in &said {
        assert_eq!(said.code, Some(0), "{}", said.aside);
        assert_eq!(
            said.document["sealed"], true,
            "each ends when all is done: {}",
            said.document
        );
        let all = said.number("made") + said.number("skipped") + said.number("elsewhere");
        assert_eq!(all, ROWS as u64, "{}", said.document);
    }
    let made: u64 = said.iter().map(|said| said.number("made")).sum();
    assert_eq!(made, ROWS as u64, "each device by one of them");
    factory.judge(&server);
    // It was begun once, by one of them; that others joined is no act.
    let acts = "SELECT string_agg(act, ' ' ORDER BY number) FROM certforge.history";
    let acts = server.ask(&factory.ledger, acts);
    assert_eq!(acts, "ca-new batch-begun batch-sealed");
    // Whoever comes later has nothing to do, and a file in the working folder was never needed.
    let later = Said::of(factory.start());
    assert_eq!(
        (later.code, later.number("skipped")),
        (Some(0), ROWS as u64),
        "{}",
        later.aside
    );
    assert!(!factory.place.join("certforge.db").exists());
    assert!(!factory.place.join("ca/ledger.db").exists());
}

#[test]
fn what_a_dead_host_had_in_hand_is_made_by_another() {
    let server = Postgres::start();
    let factory = Factory::new(&server, ROWS);
    let mut dead = factory.start();
    until("it has chunks in hand", || leases(&server, &factory) > 0);
    dead.kill().unwrap();
    dead.wait().unwrap();
    assert!(leases(&server, &factory) > 0, "it could not give them back");
    let said = Said::of(factory.start());
    assert_eq!(said.code, Some(0), "{}", said.aside);
    factory.judge(&server);
}

#[test]
fn a_host_that_slept_past_its_lease_sends_nothing_more_and_goes_on() {
    let server = Postgres::start();
    let factory = Factory::new(&server, ROWS);
    let sleeper = factory.start();
    until("it has chunks in hand", || leases(&server, &factory) > 0);
    signal(&sleeper, Signal::STOP);
    let said = Said::of(factory.start());
    assert_eq!(said.code, Some(0), "{}", said.aside);
    let before = server.ask(&factory.ledger, "SELECT count(*) FROM certforge.reservation");
    signal(&sleeper, Signal::CONT);
    let slept = Said::of(sleeper);
    assert_eq!(slept.code, Some(0), "{} {}", slept.document, slept.aside);
    let all = slept.number("made") + slept.number("skipped") + slept.number("elsewhere");
    assert_eq!(all, ROWS as u64, "{}", slept.document);
    let after = server.ask(&factory.ledger, "SELECT count(*) FROM certforge.reservation");
    assert_eq!(before, after, "there was nothing left to take");
    factory.judge(&server);
}

#[test]
fn a_run_waits_for_a_server_that_goes_away_and_loses_nothing() {
    let server = Postgres::start();
    let factory = Factory::new(&server, ROWS);
    let host = factory.start();
    until("something is committed", || {
        count(&server, &factory, "committed") > 2
    });
    server.crash();
    std::thread::sleep(std::time::Duration::from_secs(2));
    server.go_on();
    let said = Said::of(host);
    assert_eq!(said.code, Some(0), "{}", said.aside);
    assert!(
        said.aside.contains("does not answer: waiting for it"),
        "{}",
        said.aside
    );
    factory.judge(&server);
}

#[test]
fn a_server_that_does_not_come_back_ends_the_run_with_the_way_to_go_on() {
    let server = Postgres::start();
    let factory = Factory::new(&server, ROWS);
    let host = factory.run_and_wait("1s").spawn().unwrap();
    until("something is committed", || {
        count(&server, &factory, "committed") > 2
    });
    server.crash();
    let said = Said::of(host);
    assert_eq!(said.code, Some(7), "{}", said.aside);
    assert!(
        said.aside.contains("went away, and did not come back within"),
        "{}",
        said.aside
    );
    assert!(
        said.aside.contains("run the same command again"),
        "{}",
        said.aside
    );
    server.go_on();
    let said = Said::of(factory.start());
    assert_eq!(said.code, Some(0), "{}", said.aside);
    factory.judge(&server);
}

/// A standby that takes over without the last transactions: what they reserved gives no right to commit.
#[test]
fn what_a_failover_has_lost_is_not_committed() {
    let server = Postgres::start();
    let factory = Factory::new(&server, ROWS);
    let host = factory.start();
    until("it has chunks in hand", || leases(&server, &factory) > 1);
    signal(&host, Signal::STOP);
    let lost = "UPDATE certforge.batch SET next_chunk = 0; DELETE FROM certforge.lease; DELETE FROM certforge.reservation r WHERE NOT EXISTS \
                (SELECT 1 FROM certforge.committed c WHERE c.batch = r.batch AND c.chunk = r.chunk)";
    server.ask(&factory.ledger, lost);
    signal(&host, Signal::CONT);
    let said = Said::of(host);
    // Either it was done by other attempts, or an object of a lost one lies in the way and is named.
    let is_told = said.aside.contains("packs/") || said.aside.contains("no other certforge");
    assert!(
        said.code == Some(0) || said.code == Some(6) && is_told,
        "{:?} {}",
        said.code,
        said.aside
    );
}

/// The same, of a chunk that was released: what lies there is somebody's, and stays.
#[test]
fn what_was_released_and_is_forgotten_is_not_written_over() {
    let server = Postgres::start();
    let factory = Factory::new(&server, ROWS);
    let host = factory.start();
    until("something is released", || {
        count(&server, &factory, "committed") > 2
            && server.ask(
                &factory.ledger,
                "SELECT count(*) > 0 FROM certforge.committed WHERE released",
            ) == "t"
    });
    signal(&host, Signal::STOP);
    let chunk = server.ask(
        &factory.ledger,
        "SELECT min(chunk) FROM certforge.committed WHERE released",
    );
    let number: u64 = chunk.parse().unwrap();
    let pack = factory
        .place
        .only_batch()
        .join(certforge::batch::pack_object(number));
    let before = std::fs::read(&pack).unwrap();
    let forget = format!(
        "DELETE FROM certforge.committed WHERE chunk = {chunk}; DELETE FROM certforge.lease WHERE chunk = {chunk}"
    );
    server.ask(&factory.ledger, &forget);
    signal(&host, Signal::CONT);
    let said = Said::of(host);
    assert!(matches!(said.code, Some(6 | 7)), "{:?} {}", said.code, said.aside);
    assert!(said.aside.contains("hint: "), "{}", said.aside);
    assert_eq!(std::fs::read(&pack).unwrap(), before, "it is as it was released");
    // So is whoever comes later, until the ledger is made anew.
    let later = Said::of(factory.start());
    assert_eq!(later.code, Some(6), "{}", later.aside);
    assert_eq!(std::fs::read(&pack).unwrap(), before);
}

pub(super) fn leases(server: &Postgres, factory: &Factory) -> u64 {
    count(server, factory, "lease")
}

/// Rows of a table, which may not be there yet.
fn count(server: &Postgres, factory: &Factory, table: &str) -> u64 {
    let there = server.ask(
        &factory.ledger,
        &format!("SELECT to_regclass('certforge.{table}') IS NOT NULL"),
    );
    match there.as_str() {
        "t" => server
            .ask(
                &factory.ledger,
                &format!("SELECT count(*) FROM certforge.{table}"),
            )
            .parse()
            .unwrap(),
        _ => 0,
    }
}
