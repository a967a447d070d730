//! Leases: rows of tables `lease` and `run`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::system::uname;
use rustix::time::{ClockId, clock_gettime};
use time::OffsetDateTime;

use super::connect::Server;
use super::read::{number, prefix, signed, text};
use super::session::Session;
use super::statements::{Reading, Writing};
use super::{Failure, chunk, identity, write_in};
use crate::certificate::SerialPrefix;
use crate::ledger::{
    Batch, DeviceIds, HostState, HostStatus, Lease, LedgerError, Patience, Progress, Reservation, Share,
};
use crate::manifest::DeviceId;
use crate::profile::rfc3339;

/// So much shorter does a host take its own lease to be: what it has just sent still arrives.
const MARGIN: Duration = Duration::from_secs(5);

/// This process has one run of a batch at a time: what it commits is counted as its own.
pub(super) struct Shared {
    session: Mutex<Session>,
    batch: Batch,
    run: i64,
    lease: Duration,
    term: Mutex<Term>,
    has_left: AtomicBool,
}

/// Leases that were taken since they last ran out.
#[derive(Debug, Clone, Copy)]
struct Term {
    number: u64,
    /// Until when they hold, by the clock that goes on while the machine sleeps.
    until: Duration,
}

/// In which term something was written, and when it was asked for.
#[derive(Debug, Clone, Copy)]
struct Told {
    asked: Duration,
    term: u64,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shared({}, run {})", self.batch.name, self.run)
    }
}

/// Since the machine was started, its sleep among it.
fn clock() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    Duration::new(
        now.tv_sec.unsigned_abs(),
        now.tv_nsec.unsigned_abs().try_into().unwrap_or(0),
    )
}

/// Milliseconds, as the database adds them to its own time.
fn milliseconds(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}

pub(super) fn join(server: Server, patience: Patience, batch: &Batch) -> Result<Shared, LedgerError> {
    let (asked, lease) = (clock(), patience.lease);
    let mut session = Session::open(server, patience)?;
    let host = uname().nodename().to_string_lossy().into_owned();
    let process = i64::from(std::process::id());
    let run = write_in(&mut session, |transaction, is_again| {
        // The answer may be lost, and the run there.
        if is_again
            && let Some(row) = transaction.query_opt(
                "SELECT max(run) FROM run WHERE batch = $1 AND host = $2 AND process = $3 AND ended_at IS NULL HAVING count(*) > 0",
                &[&batch.key, &host, &process],
            )?
        {
            return Ok(row.try_get(0)?);
        }
        let row = transaction.query_one(
            "INSERT INTO run (batch, host, process, version, begun_at, seen_at) \
             VALUES ($1, $2, $3, $4, clock_timestamp(), clock_timestamp()) RETURNING run",
            &[&batch.key, &host, &process, &env!("CARGO_PKG_VERSION")],
        )?;
        Ok(row.try_get(0)?)
    })?;
    Ok(Shared {
        session: Mutex::new(session),
        batch: batch.clone(),
        run,
        lease,
        term: Mutex::new(Term {
            number: 0,
            until: end(asked, lease),
        }),
        has_left: AtomicBool::new(false),
    })
}

/// When a lease ends for its host that was asked for at a time.
fn end(asked: Duration, lease: Duration) -> Duration {
    (asked + lease).saturating_sub(MARGIN.min(lease / 4))
}

impl Shared {
    fn write<T>(
        &self,
        write: impl FnMut(&mut Writing<'_, '_>, bool) -> Result<T, Failure>,
    ) -> Result<T, LedgerError> {
        write_in(&mut self.session.lock().expect("no holder panics"), write)
    }

    /// Writes in the term that holds now. One that has run out unseen ends first, with all that was taken in it. Nobody else
    /// ends or begins a term until it is written: what is taken is taken in the term that is told.
    fn in_term<T>(
        &self,
        mut write: impl FnMut(&mut Writing<'_, '_>, bool, u64) -> Result<T, Failure>,
    ) -> Result<(T, Told), LedgerError> {
        let mut session = self.session.lock().expect("no holder panics");
        let mut told = Told {
            asked: clock(),
            term: self.term.lock().expect("no holder panics").number,
        };
        if told.asked >= self.term.lock().expect("no holder panics").until {
            write_in(&mut session, |transaction, _| give_back(transaction, self.run))?;
            told.term += 1;
            *self.term.lock().expect("no holder panics") = Term {
                number: told.term,
                until: end(told.asked, self.lease),
            };
        }
        let written = write_in(&mut session, |transaction, is_again| {
            write(transaction, is_again, told.term)
        })?;
        Ok((written, told))
    }

    fn take(
        &self,
        transaction: &mut Writing<'_, '_>,
        chunks: &[u64],
        (prefixes, term): (&[SerialPrefix], u64),
        device_ids: DeviceIds<'_>,
    ) -> Result<Vec<Lease>, Failure> {
        let now = OffsetDateTime::now_utc();
        let mut leases = Vec::with_capacity(chunks.len());
        let mut claims = Vec::new();
        for (&chunk, &prefix) in chunks.iter().zip(prefixes) {
            let Some(ids) = device_ids(chunk) else {
                break;
            };
            claims.push((chunk, ids));
            let reservation = chunk::reserve_one(transaction, &self.batch, (chunk, prefix), now)?;
            self.enter(transaction, reservation)?;
            leases.push(Lease {
                earlier: earlier(transaction, &self.batch, reservation)?,
                reservation,
                term,
            });
        }
        let claims: Vec<(u64, Vec<&str>)> = claims
            .iter()
            .map(|(chunk, ids)| (*chunk, ids.iter().map(DeviceId::as_str).collect()))
            .collect();
        identity::claim(transaction, &self.batch, &claims)?;
        Ok(leases)
    }

    /// What was leased with these prefixes.
    fn taken(
        &self,
        transaction: &mut Writing<'_, '_>,
        prefixes: &[SerialPrefix],
        term: u64,
    ) -> Result<Vec<Lease>, Failure> {
        let mut leases = Vec::new();
        for &prefix in prefixes {
            let row = transaction.query_opt(
                "SELECT chunk, attempt FROM reservation WHERE batch = $1 AND serial_prefix = $2",
                &[&self.batch.key, &&prefix.octets()[..]],
            )?;
            if let Some(row) = row {
                let reservation = Reservation {
                    chunk: number(&row, 0)?,
                    attempt: chunk::attempt(number(&row, 1)?)?,
                    prefix,
                };
                leases.push(Lease {
                    earlier: earlier(transaction, &self.batch, reservation)?,
                    reservation,
                    term,
                });
            }
        }
        Ok(leases)
    }

    fn enter(&self, transaction: &mut Writing<'_, '_>, reservation: Reservation) -> Result<(), Failure> {
        transaction.execute(
            "INSERT INTO lease VALUES ($1, $2, $3, $4, clock_timestamp() + $5 * interval '1 ms', clock_timestamp(), TRUE) \
             ON CONFLICT (batch, chunk) DO UPDATE SET attempt = excluded.attempt, run = excluded.run, \
             until = excluded.until, since = excluded.since, claimed = TRUE",
            &[
                &self.batch.key,
                &signed(reservation.chunk),
                &i64::from(reservation.attempt),
                &self.run,
                &milliseconds(self.lease),
            ],
        )?;
        Ok(())
    }
}

/// The attempts at a chunk before this one, and those of which a rebuilt ledger knows no chunk: they may have been at any.
fn earlier(
    transaction: &mut Writing<'_, '_>,
    batch: &Batch,
    of: Reservation,
) -> Result<Vec<SerialPrefix>, Failure> {
    let rows = transaction.query(
        "SELECT serial_prefix FROM reservation WHERE batch = $1 AND (chunk = $2 AND attempt < $3 OR chunk = $4) \
         ORDER BY chunk, attempt",
        &[
            &batch.key,
            &signed(of.chunk),
            &i64::from(of.attempt),
            &signed(batch.shape().unknown_chunk()),
        ],
    )?;
    rows.iter().map(|row| prefix(row, 0)).collect()
}

/// Chunks that nobody has: such as somebody had and lost, and such as nobody ever had.
fn free(transaction: &mut Writing<'_, '_>, batch: &Batch, most: usize) -> Result<Vec<u64>, Failure> {
    let row = transaction.query_one(
        "SELECT next_chunk FROM batch WHERE batch = $1 FOR UPDATE",
        &[&batch.key],
    )?;
    let next = number(&row, 0)?;
    let rows = transaction.query(
        "SELECT l.chunk FROM lease l WHERE l.batch = $1 AND l.until <= clock_timestamp() AND l.chunk < $3 AND NOT EXISTS \
         (SELECT 1 FROM committed c WHERE c.batch = l.batch AND c.chunk = l.chunk) ORDER BY l.chunk LIMIT $2",
        &[&batch.key, &signed(most as u64), &signed(next)],
    )?;
    let mut chunks: Vec<u64> = rows.iter().map(|row| number(row, 0)).collect::<Result<_, _>>()?;
    let end = batch.shape().chunks();
    let mut after = next;
    // What was entered without a lease, by a copy or a rebuild, is passed over.
    while chunks.len() < most && after < end {
        let last = (after + (most - chunks.len()) as u64).min(end);
        let there: BTreeSet<u64> = transaction
            .query(
                "SELECT chunk FROM committed WHERE batch = $1 AND chunk >= $2 AND chunk < $3 UNION \
                 SELECT chunk FROM lease WHERE batch = $1 AND chunk >= $2 AND chunk < $3 AND until > clock_timestamp()",
                &[&batch.key, &signed(after), &signed(last)],
            )?
            .iter()
            .map(|row| number(row, 0))
            .collect::<Result<_, _>>()?;
        chunks.extend((after..last).filter(|chunk| !there.contains(chunk)));
        after = last;
    }
    if chunks.is_empty() {
        // Such as a server that failed over has forgotten that it had lent them.
        let rows = transaction.query(
            "SELECT g FROM generate_series(0, $2::bigint - 1) g WHERE NOT EXISTS (SELECT 1 FROM committed c WHERE c.batch = $1 \
             AND c.chunk = g) AND NOT EXISTS (SELECT 1 FROM lease l WHERE l.batch = $1 AND l.chunk = g) LIMIT $3",
            &[&batch.key, &signed(end), &signed(most as u64)],
        )?;
        chunks = rows.iter().map(|row| number(row, 0)).collect::<Result<_, _>>()?;
    }
    transaction.execute(
        "UPDATE batch SET next_chunk = $2 WHERE batch = $1",
        &[&batch.key, &signed(after)],
    )?;
    Ok(chunks)
}

impl Share for Shared {
    fn lease(&self, prefixes: &[SerialPrefix], device_ids: DeviceIds<'_>) -> Result<Vec<Lease>, LedgerError> {
        let (leases, _) = self.in_term(|transaction, is_again, term| {
            chunk::lock(transaction, &self.batch)?;
            if is_again {
                // The answer may be lost, and what it told still so.
                let taken = self.taken(transaction, prefixes, term)?;
                if !taken.is_empty() {
                    return Ok(taken);
                }
            }
            let chunks = free(transaction, &self.batch, prefixes.len())?;
            self.take(transaction, &chunks, (prefixes, term), device_ids)
        })?;
        Ok(leases)
    }

    fn take_unreleased(&self) -> Result<(Vec<u64>, u64), LedgerError> {
        let (chunks, told) = self.in_term(|transaction, _, _| {
            chunk::lock(transaction, &self.batch)?;
            let rows = transaction.query(
                "SELECT c.chunk, c.attempt FROM committed c LEFT JOIN lease l ON l.batch = c.batch AND l.chunk = c.chunk \
                 WHERE c.batch = $1 AND NOT c.released AND (l.chunk IS NULL OR l.until <= clock_timestamp() OR l.run = $2) \
                 ORDER BY c.chunk FOR UPDATE OF c",
                &[&self.batch.key, &self.run],
            )?;
            let mut chunks = Vec::with_capacity(rows.len());
            for row in &rows {
                transaction.execute(
                    "INSERT INTO lease VALUES ($1, $2, $3, $4, clock_timestamp() + $5 * interval '1 ms', clock_timestamp(), TRUE) \
                     ON CONFLICT (batch, chunk) DO UPDATE SET run = excluded.run, until = excluded.until, since = excluded.since",
                    &[
                        &self.batch.key,
                        &row.try_get::<_, i64>(0)?,
                        &row.try_get::<_, i64>(1)?,
                        &self.run,
                        &milliseconds(self.lease),
                    ],
                )?;
                chunks.push(number(row, 0)?);
            }
            Ok(chunks)
        })?;
        Ok((chunks, told.term))
    }

    fn renew(&self) -> Result<(), LedgerError> {
        let ((), told) = self.in_term(|transaction, _, _| {
            transaction.execute(
                "UPDATE lease SET until = clock_timestamp() + $2 * interval '1 ms' WHERE run = $1 AND until > '-infinity'",
                &[&self.run, &milliseconds(self.lease)],
            )?;
            transaction.execute(
                "UPDATE batch SET sealing_until = clock_timestamp() + $3 * interval '1 ms' WHERE batch = $1 AND sealing = $2",
                &[&self.batch.key, &self.run, &milliseconds(self.lease)],
            )?;
            transaction.execute("UPDATE run SET seen_at = clock_timestamp() WHERE run = $1", &[&self.run])?;
            Ok(())
        })?;
        let mut term = self.term.lock().expect("no holder panics");
        // An answer that took longer than the leases hold comes too late.
        if term.number == told.term && clock() < term.until {
            term.until = end(told.asked, self.lease);
        }
        Ok(())
    }

    fn is_held(&self, term: u64) -> bool {
        let now = *self.term.lock().expect("no holder panics");
        now.number == term && clock() < now.until
    }

    fn has(&self, reservation: Reservation) -> Result<bool, LedgerError> {
        self.write(|transaction, _| {
            let row = transaction.query_one(
                "SELECT EXISTS (SELECT 1 FROM lease WHERE batch = $1 AND chunk = $2 AND attempt = $3 AND run = $4)",
                &[
                    &self.batch.key,
                    &signed(reservation.chunk),
                    &i64::from(reservation.attempt),
                    &self.run,
                ],
            )?;
            Ok(row.try_get(0)?)
        })
    }

    fn renewal(&self) -> Duration {
        self.lease / 5
    }

    fn progress(&self) -> Result<Progress, LedgerError> {
        self.write(|transaction, _| {
            let row = transaction.query_one(
                "SELECT (SELECT count(*) FROM committed c WHERE c.batch = b.batch AND c.released), sealed \
                 FROM batch b WHERE batch = $1",
                &[&self.batch.key],
            )?;
            let hosts = transaction.query(
                "SELECT DISTINCT r.host FROM lease l JOIN run r USING (run) \
                 WHERE l.batch = $1 AND l.run <> $2 AND l.until > clock_timestamp() ORDER BY r.host",
                &[&self.batch.key, &self.run],
            )?;
            Ok(Progress {
                unreleased: self.batch.shape().chunks().saturating_sub(number(&row, 0)?),
                hosts: hosts.iter().map(|row| text(row, 0)).collect::<Result<_, _>>()?,
                sealed: row.try_get(1)?,
            })
        })
    }

    fn take_seal(&self) -> Result<bool, LedgerError> {
        self.write(|transaction, _| {
            let taken = transaction.execute(
                "UPDATE batch SET sealing = $2, sealing_until = clock_timestamp() + $3 * interval '1 ms' \
                 WHERE batch = $1 AND NOT sealed AND (sealing IS NULL OR sealing = $2 OR sealing_until <= clock_timestamp())",
                &[&self.batch.key, &self.run, &milliseconds(self.lease)],
            )?;
            Ok(taken > 0)
        })
    }

    fn sealed(&self) -> Result<(), LedgerError> {
        self.write(|transaction, _| {
            transaction.execute(
                "UPDATE batch SET sealed = TRUE, sealing = NULL WHERE batch = $1",
                &[&self.batch.key],
            )?;
            Ok(())
        })
    }

    fn leave(&self) -> Result<(), LedgerError> {
        if self.has_left.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        self.write(|transaction, _| {
            give_back(transaction, self.run)?;
            transaction.execute("UPDATE batch SET sealing = NULL WHERE sealing = $1", &[&self.run])?;
            transaction.execute(
                "UPDATE run SET ended_at = clock_timestamp(), seen_at = clock_timestamp() WHERE run = $1",
                &[&self.run],
            )?;
            Ok(())
        })
    }
}

/// Lets others take what a run has in hand.
fn give_back(transaction: &mut Writing<'_, '_>, run: i64) -> Result<(), Failure> {
    transaction.execute("UPDATE lease SET until = '-infinity' WHERE run = $1", &[&run])?;
    Ok(())
}

/// Counts devices that a run has committed, of this chunk and others; whose it was its lease tells.
pub(super) fn count(
    transaction: &mut Writing<'_, '_>,
    batch: &Batch,
    (chunk, devices): (u64, u64),
) -> Result<(), Failure> {
    transaction.execute(
        "UPDATE run SET made = made + $3, seen_at = clock_timestamp() \
         WHERE run = (SELECT run FROM lease WHERE batch = $1 AND chunk = $2)",
        &[&batch.key, &signed(chunk), &signed(devices)],
    )?;
    Ok(())
}

/// The hosts that are at work on each batch, and those that were while it is not sealed.
pub(super) fn hosts(
    client: &mut Reading<'_>,
    name: Option<&str>,
) -> Result<BTreeMap<String, Vec<HostStatus>>, Failure> {
    let rows = client.query(
        "SELECT b.name, r.host, r.process, r.version, r.begun_at, r.seen_at, r.ended_at IS NOT NULL, \
           coalesce(l.chunks, 0), l.since, coalesce(l.until <= clock_timestamp(), FALSE), r.made, \
           extract(epoch FROM r.seen_at - r.begun_at)::float8 \
         FROM run r JOIN batch b USING (batch) LEFT JOIN LATERAL (SELECT count(*) AS chunks, min(since) AS since, \
           max(until) AS until FROM lease WHERE lease.run = r.run AND until > '-infinity') l ON TRUE \
         WHERE (b.name = $1 OR $1 IS NULL) AND NOT b.sealed ORDER BY b.batch, r.run",
        &[&name],
    )?;
    let mut hosts: BTreeMap<String, Vec<HostStatus>> = BTreeMap::new();
    for row in &rows {
        hosts.entry(text(row, 0)?).or_default().push(host(row)?);
    }
    Ok(hosts)
}

fn host(row: &postgres::Row) -> Result<HostStatus, Failure> {
    let made = number(row, 10)?;
    let since: Option<OffsetDateTime> = row.try_get(8)?;
    let (is_ended, is_lost): (bool, bool) = (row.try_get(6)?, row.try_get(9)?);
    Ok(HostStatus {
        host: text(row, 1)?,
        process: number(row, 2)?,
        version: text(row, 3)?,
        begun_at: rfc3339(row.try_get(4)?),
        seen_at: rfc3339(row.try_get(5)?),
        state: match (is_ended, is_lost) {
            (true, _) => HostState::Ended,
            (_, true) => HostState::Lost,
            _ => HostState::AtWork,
        },
        chunks: number(row, 7)?,
        chunks_since: since.map(rfc3339),
        made,
        devices_per_second: rate(made, row.try_get(11)?),
    })
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate for people"
)]
fn rate(made: u64, seconds: f64) -> u64 {
    (made as f64 / seconds.max(0.001)).round() as u64
}
