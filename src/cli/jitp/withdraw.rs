//! `certforge jitp withdraw`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use certforge::aws::{Cloud, Tally, WithdrawError, Withdrawing};
use certforge::forge;
use certforge::jitp::Issued;
use certforge::ledger::{self, Batch, Ledger, LedgerError};
use certforge::profile::rfc3339;
use certforge::store::{Place, Store};
use clap::Args;
use data_encoding::HEXLOWER;
use serde_json::json;
use time::{Duration, OffsetDateTime};

use super::super::run::{self, DEFAULT_LEDGER};
use super::super::text::{Report, count, devices};
use super::super::{Failure, Outcome, exit, place, print, print_json, progress};
use super::reach::{AwsReach, consent};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

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

impl Withdraw {
    pub fn run(&self) -> Outcome {
        if self.reason.trim().is_empty() || self.reason.chars().any(char::is_control) {
            return Err(Failure::usage(
                "--reason is blank, or has line breaks or other control characters",
                "say in one line why; stations show it",
            ));
        }
        let now = OffsetDateTime::now_utc();
        let mut ledger = ledger::open(&self.ledger()?, run::new_ledger_id()?)?;
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
            return self.stop_stations(&mut *ledger, &batch, &*store, now);
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
        let done = ledger.revoked(&batch, &cloud.caller().place())?;
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
        forge::withdraw(&*store, &mut *ledger, &batch, &self.reason, now)?;
        // 2. AWS IoT takes no new device of the CA.
        if !self.keep_auto_registration {
            cloud.stop_registration(&issued.issuer().id())?;
        }
        // 3. Those that it has, and those that may come, are revoked.
        handle_interrupts();
        let bar = progress::bar(issued.record().rows, done);
        let withdrawing = Withdrawing {
            cloud: &cloud,
            batch: &batch,
            issued: &issued,
            rate: self.rate,
        };
        let tally = withdrawing.revoke(&mut *ledger, &INTERRUPTED, &|rows| bar.inc(rows));
        bar.finish_and_clear();
        let tally = tally?;
        let interrupted = INTERRUPTED.load(Ordering::Relaxed);
        self.report(&issued, &tally, interrupted);
        Ok(match (interrupted, tally.failed) {
            (true, _) => exit::INTERRUPTED.into(),
            (false, 0) => ExitCode::SUCCESS,
            (false, _) => exit::AWS.into(),
        })
    }

    fn stop_stations(
        &self,
        ledger: &mut dyn Ledger,
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
            forge::withdraw(store, ledger, batch, &self.reason, now)?;
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
        match ledger::open_read_only(&self.ledger) {
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

    fn report(&self, issued: &Issued<'_>, tally: &Tally, interrupted: bool) {
        if self.json {
            print_json(&json!({
                "batch": issued.record().batch,
                "done": tally.failed == 0 && !interrupted,
                "auto_registration_stopped": !self.keep_auto_registration,
                "revoked": tally.updated + tally.registered,
                "of_these_unknown_before": tally.registered,
                "failed": tally.failed,
                "unreleased": tally.unreleased,
                "first_failure": tally.first_failure,
                "interrupted": interrupted,
            }));
        } else {
            let mut report = Report::default();
            report
                .line("batch", format!("{}, withdrawn", issued.record().batch))
                .line("stations", last_claims())
                .line(
                    "auto-registration",
                    match self.keep_auto_registration {
                        true => "left as it is",
                        false => "off; `certforge jitp register --template FILE --update` turns it on again",
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
            if interrupted {
                let of = count(issued.record().rows);
                let said = format!(
                    "{} of {of} certificates are revoked; run the same command again",
                    count(tally.mark)
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

impl From<WithdrawError> for Failure {
    fn from(error: WithdrawError) -> Self {
        match error {
            WithdrawError::Ledger(error) => error.into(),
            WithdrawError::Issued(error) => error.into(),
        }
    }
}
