//! `certforge jitp withdraw`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use certforge::aws::{Cloud, Condemned, Revocation, Revoked};
use certforge::jitp::{Issued, IssuedError};
use certforge::ledger::{Batch, Ledger, LedgerError, Withdrawal};
use certforge::pem;
use certforge::profile::rfc3339;
use certforge::store::{Place, Store, WithdrawnRecord, put_withdrawn};
use clap::Args;
use data_encoding::HEXLOWER;
use indicatif::ProgressBar;
use serde_json::json;
use time::{Duration, OffsetDateTime};

use super::super::run::{self, DEFAULT_LEDGER};
use super::super::text::{Report, count, devices};
use super::super::{Failure, Outcome, exit, place, print, print_json, progress};
use super::reach::{AwsReach, consent};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Certificates after which the ledger notes how far it is.
const AT_A_TIME: usize = 200;

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct Withdraw {
    /// Batch: its name in the ledger, its folder or its s3:// URL
    #[arg(long, value_name = "NAME|DIR|S3-URL")]
    batch: String,
    /// Ledger that the batch was made with
    #[arg(long, value_name = "FILE", default_value = DEFAULT_LEDGER)]
    ledger: PathBuf,
    /// Why; stations show it
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Certificates a second, at most; AWS allows 10 unless the account has more
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    /// Leave the CA's auto-registration on, for other batches of the same CA; revoked certificates stay refused
    #[arg(long)]
    keep_auto_registration: bool,
    /// Stop the stations only, and ask AWS nothing; withdraw it whole when AWS can be reached
    #[arg(long, conflicts_with = "keep_auto_registration")]
    stations_only: bool,
    /// The batch was moved since it was made; it is no copy
    #[arg(long)]
    moved: bool,
    /// Print the plan; change nothing
    #[arg(long)]
    dry_run: bool,
    /// Do it without asking
    #[arg(long)]
    yes: bool,
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    reach: AwsReach,
}

/// What became of the certificates, in this run.
#[derive(Debug, Default)]
struct Tally {
    updated: u64,
    registered: u64,
    failed: u64,
    /// Those of chunks that are not released.
    unreleased: u64,
    /// From the first on, in manifest order, over all runs.
    revoked: u64,
    first_failure: Option<String>,
}

impl Withdraw {
    pub fn run(&self) -> Outcome {
        if self.reason.trim().is_empty() || self.reason.chars().any(char::is_control) {
            return Err(Failure::usage(
                "--reason is blank, or has line breaks or other control characters",
                "say in one line why; stations show it",
            ));
        }
        let now = OffsetDateTime::now_utc();
        let mut ledger = Ledger::open(&self.ledger()?, run::new_ledger_id()?)?;
        let name = self.batch_name();
        let batch = ledger.batch(&name)?;
        let store = self.open_store(if place::is_place(&self.batch) {
            &self.batch
        } else {
            &batch.location
        })?;
        let issued = Issued::open(&*store)?;
        if issued.record().batch != name || issued.issuer().der() != batch.issuer_certificate {
            return Err(Failure::usage(
                &format!("{} is not batch {name} of the ledger", store.location()),
                "name the ledger that the batch was made with, with --ledger",
            ));
        }
        if store.location() != batch.location && !self.moved {
            return Err(Failure::usage(
                &format!(
                    "batch {name} was made at {}, and {} may be a copy of it",
                    batch.location,
                    store.location()
                ),
                "name it by its name in the ledger; --moved says that it was moved, and is no copy",
            ));
        }
        if self.stations_only {
            return self.stop_stations(&mut ledger, &batch, &*store, now);
        }
        let cloud = self.reach.open().map_err(|error| {
            let hint = error.hint().unwrap_or_default();
            Failure::from(error).with_hint(&format!("{hint}; --stations-only stops the stations meanwhile"))
        })?;
        let is_known = cloud.ca(&issued.issuer().id())?.is_some();
        if !is_known {
            let caller = cloud.caller();
            return Err(Failure::aws(
                format!(
                    "the CA is not registered in account {}, {}",
                    caller.account, caller.region
                ),
                "name the Region with --region; when it is registered nowhere, --stations-only is all there is to do",
            ));
        }
        let account = format!("{} {}", cloud.caller().account, cloud.caller().region);
        let done = ledger.revoked(&batch, &account)?;
        let others: Vec<String> = ledger
            .batches_of(issued.issuer())?
            .into_iter()
            .filter(|other| *other != name)
            .collect();
        self.describe(&cloud, &issued, done, &others);
        if self.dry_run {
            return Ok(ExitCode::SUCCESS);
        }
        let caller = cloud.caller();
        let question = format!("Withdraw it in account {}, {}?", caller.account, caller.region);
        if !consent(self.yes, &question)? {
            return Err(Failure::usage("nothing was changed", "answer y, or say --yes"));
        }

        // 1. No station gives out a device of it any more.
        self.mark(&mut ledger, &batch, &*store, now)?;
        // 2. AWS IoT takes no new device of the CA.
        let is_registered = match self.keep_auto_registration {
            true => None,
            false => Some(cloud.stop_registration(&issued.issuer().id())?),
        };
        // 3. Those that it has, and those that may come, are revoked.
        handle_interrupts();
        let tally = self.revoke(&cloud, &issued, &mut ledger, &batch, &account)?;
        self.report(&issued, is_registered, &tally);
        Ok(match (INTERRUPTED.load(Ordering::Relaxed), tally.failed) {
            (true, _) => exit::INTERRUPTED.into(),
            (false, 0) => ExitCode::SUCCESS,
            (false, _) => exit::AWS.into(),
        })
    }

    /// Marks the batch withdrawn, for the ledger and for stations.
    fn mark(
        &self,
        ledger: &mut Ledger,
        batch: &Batch,
        store: &dyn Store,
        now: OffsetDateTime,
    ) -> Result<Withdrawal, Failure> {
        let withdrawal = ledger.withdraw(batch, &self.reason, now)?;
        let record = WithdrawnRecord {
            batch: batch.name.clone(),
            withdrawn_at: rfc3339(withdrawal.at),
            reason: withdrawal.reason.clone(),
        };
        put_withdrawn(store, &record)?;
        Ok(withdrawal)
    }

    fn stop_stations(
        &self,
        ledger: &mut Ledger,
        batch: &Batch,
        store: &dyn Store,
        now: OffsetDateTime,
    ) -> Outcome {
        let name = &batch.name;
        if !self.dry_run {
            if !consent(
                self.yes,
                &format!("Let no station claim a device of {name} any more?"),
            )? {
                return Err(Failure::usage("nothing was changed", "answer y, or say --yes"));
            }
            self.mark(ledger, batch, store, now)?;
        }
        if self.json {
            print_json(&json!({ "batch": name, "done": !self.dry_run, "stations_only": true }));
            return Ok(ExitCode::SUCCESS);
        }
        let mut report = Report::default();
        match self.dry_run {
            true => report.line(
                "to do",
                format!("let no station claim a device of {name} any more"),
            ),
            false => report
                .line("batch", format!("{name}, withdrawn"))
                .line("stations", last_claims())
                .line(
                    "AWS",
                    "not asked: its certificates are as they were; withdraw it without --stations-only",
                ),
        };
        print(&report.to_string());
        Ok(ExitCode::SUCCESS)
    }

    /// A ledger that is not there is not made.
    fn ledger(&self) -> Result<PathBuf, Failure> {
        match Ledger::open_read_only(&self.ledger) {
            Ok(_) => Ok(self.ledger.clone()),
            Err(error @ LedgerError::Missing { .. }) => Err(Failure::from(error)
                .with_hint("go to the folder where the batch was made, or name its ledger with --ledger")),
            Err(error) => Err(error.into()),
        }
    }

    /// A batch is named as its folder is.
    fn batch_name(&self) -> String {
        let text = self.batch.trim_end_matches('/');
        text.rsplit('/').next().unwrap_or(text).to_owned()
    }

    fn open_store(&self, text: &str) -> Result<Box<dyn Store>, Failure> {
        let nothing = place::Reach::new(None, None);
        let is_bucket = matches!(place::parse(text, &nothing, None)?, Place::S3 { .. });
        let reach = match is_bucket {
            true => place::Reach::new(self.reach.endpoint_url.clone(), self.reach.region.clone()),
            false => nothing,
        };
        Ok(reach.open(&place::parse(text, &reach, None)?)?)
    }

    fn describe(&self, cloud: &Cloud, issued: &Issued<'_>, done: u64, others: &[String]) {
        if self.json && !self.dry_run {
            return;
        }
        let caller = cloud.caller();
        let record = issued.record();
        let left = record.rows.saturating_sub(done);
        if self.json {
            return print_json(&json!({
                "batch": record.batch,
                "account": caller.account,
                "region": caller.region,
                "ca_certificate_id": HEXLOWER.encode(&issued.issuer().id()),
                "certificates": record.rows,
                "revoked_before": done,
                "stops_auto_registration": !self.keep_auto_registration,
                "other_batches_of_the_ca": others,
                "done": false,
            }));
        }
        let mut report = Report::default();
        report
            .line("account", format!("{}, {}", caller.account, caller.region))
            .line("batch", format!("{}, {}", record.batch, devices(record.rows)))
            .line("CA", issued.issuer().subject_text());
        if !self.keep_auto_registration {
            report.line("to do", "stop the CA's auto-registration");
            if !others.is_empty() {
                report.line(
                    "warning",
                    format!(
                        "new devices of {} are refused as well, until it is on again; --keep-auto-registration leaves it on",
                        others.join(", ")
                    ),
                );
            }
        }
        let seconds = left.div_ceil(self.rate.into());
        report
            .line(
                "to do",
                "mark it withdrawn, so that no station claims a device of it",
            )
            .line(
                "to do",
                format!(
                    "revoke {} certificates, some {} s at {} a second",
                    count(left),
                    count(seconds),
                    self.rate
                ),
            );
        if done > 0 {
            report.line("before", format!("{} certificates are revoked", count(done)));
        }
        print(&report.to_string());
    }

    /// Goes on behind those that the ledger knows as revoked. One that fails keeps the mark where it is, so that
    /// the next run tries it again, and so does a chunk that is not released: another shard may be at it still.
    fn revoke(
        &self,
        cloud: &Cloud,
        issued: &Issued<'_>,
        ledger: &mut Ledger,
        batch: &Batch,
        place: &str,
    ) -> Result<Tally, Failure> {
        let done = ledger.revoked(batch, place)?;
        let record = issued.record();
        let bar: Mutex<ProgressBar> = Mutex::new(progress::bar(record.rows, done));
        let revocation = Revocation {
            cloud,
            ca: issued.issuer(),
            rate: self.rate,
        };
        let mut tally = Tally {
            revoked: done,
            ..Tally::default()
        };
        let mut row = done;
        'chunks: for chunk in done / record.chunk_rows..record.chunks() {
            let Some(certificates) = certificates(issued, ledger, batch, chunk)? else {
                // What was never released is in no station's hands, and no run begins with it any more.
                tally.unreleased += record.rows_of(chunk);
                row = chunk * record.chunk_rows + record.rows_of(chunk);
                bar.lock().expect("no holder panics").set_position(row);
                continue;
            };
            let skipped = usize::try_from(row - chunk * record.chunk_rows).unwrap_or(usize::MAX);
            let mut rest = certificates.into_iter().skip(skipped).peekable();
            while rest.peek().is_some() {
                let some: Vec<_> = rest.by_ref().take(AT_A_TIME).collect();
                let (ids, some): (Vec<String>, Vec<Condemned>) = some.into_iter().unzip();
                let outcomes = revocation.revoke(some, &INTERRUPTED, &|| {
                    bar.lock().expect("no holder panics").inc(1);
                });
                // Fewer when somebody stopped it.
                row += outcomes.len() as u64;
                let mut is_hopeless = false;
                for (id, outcome) in ids.into_iter().zip(outcomes) {
                    match outcome {
                        Ok(Revoked::Updated) => tally.updated += 1,
                        Ok(Revoked::Registered) => tally.registered += 1,
                        Err(error) => {
                            is_hopeless |= error.is_general();
                            tally.failed += 1;
                            tally
                                .first_failure
                                .get_or_insert_with(|| format!("device {id}: {error}"));
                        }
                    }
                }
                if tally.failed == 0 && tally.unreleased == 0 {
                    ledger.set_revoked(batch, place, row)?;
                    tally.revoked = row;
                }
                if is_hopeless || INTERRUPTED.load(Ordering::Relaxed) {
                    break 'chunks;
                }
            }
        }
        bar.into_inner().expect("no holder panics").finish_and_clear();
        Ok(tally)
    }

    fn report(&self, issued: &Issued<'_>, is_registered: Option<bool>, tally: &Tally) {
        if self.json {
            print_json(&json!({
                "batch": issued.record().batch,
                "done": tally.failed == 0,
                "auto_registration_stopped": is_registered == Some(true),
                "revoked": tally.updated + tally.registered,
                "of_these_unknown_before": tally.registered,
                "failed": tally.failed,
                "unreleased": tally.unreleased,
                "first_failure": tally.first_failure,
                "interrupted": INTERRUPTED.load(Ordering::Relaxed),
            }));
        } else {
            let mut report = Report::default();
            report
                .line("batch", format!("{}, withdrawn", issued.record().batch))
                .line("stations", last_claims())
                .line(
                    "auto-registration",
                    match is_registered {
                        None => "left as it is",
                        Some(true) => {
                            "off; `certforge jitp register --template FILE --update` turns it on again"
                        }
                        Some(false) => "the CA is not registered here",
                    },
                )
                .line(
                    "revoked",
                    format!(
                        "{}, {} of which had not connected yet",
                        count(tally.updated + tally.registered),
                        count(tally.registered)
                    ),
                );
            if tally.unreleased > 0 {
                report.line(
                    "not made",
                    format!(
                        "{}; when a run was still making them, withdraw the batch once more after its end",
                        devices(tally.unreleased)
                    ),
                );
            }
            if INTERRUPTED.load(Ordering::Relaxed) {
                let of = count(issued.record().rows);
                let said = format!(
                    "{} of {of} certificates are revoked; run the same command again",
                    count(tally.revoked)
                );
                report.line("interrupted", said);
            }
            print(&report.to_string());
        }
        if let Some(failure) = &tally.first_failure {
            let failed = count(tally.failed);
            Failure::aws(
                format!("certificates that are not revoked: {failed} at least; {failure}"),
                "run the same command again, in the same account and Region: it goes on with these",
            )
            .report_to_people();
        }
    }
}

/// The certificates of a chunk, each with its device, as the ledger has them; as the index has them when
/// another shard's ledger accounts for the chunk. `None`: the chunk was never released.
fn certificates(
    issued: &Issued<'_>,
    ledger: &Ledger,
    batch: &Batch,
    chunk: u64,
) -> Result<Option<Vec<(String, Condemned)>>, Failure> {
    let mut entries = ledger.entries(batch, chunk)?;
    if entries.is_empty() {
        entries = match issued.entries(chunk) {
            Err(IssuedError::Incomplete { .. }) => return Ok(None),
            other => other?,
        };
    }
    let mut found = issued.found(chunk);
    let condemned = entries.into_iter().map(|entry| {
        let der = found.remove(&entry.certificate_id);
        let condemned = Condemned {
            certificate_id: entry.certificate_id,
            certificate: der.map(|der| pem::encode(pem::CERTIFICATE, &der)),
        };
        (entry.device_id, condemned)
    });
    Ok(Some(condemned.collect()))
}

/// Stations ask for withdrawals once a minute.
fn last_claims() -> String {
    let last = OffsetDateTime::now_utc() + Duration::MINUTE;
    format!("claims may still be made until {}, and none later", rfc3339(last))
}

/// Ctrl-C ends the revocation in good order; a second one ends the process, and loses nothing either.
fn handle_interrupts() {
    let handler = || {
        if INTERRUPTED.swap(true, Ordering::Relaxed) {
            std::process::exit(exit::INTERRUPTED.into());
        }
    };
    ctrlc::set_handler(handler).expect("no other handler is set");
}
