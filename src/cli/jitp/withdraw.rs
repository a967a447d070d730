//! `certforge jitp withdraw`.

use std::fmt;

use certforge::aws::{Named, Outlook, RevocationSummary, Terms, Withdrawing};
use certforge::profile::rfc3339;
use certforge::store::{Place, Store};
use clap::Args;
use data_encoding::HEXLOWER;
use serde::Serialize;
use time::{Duration, OffsetDateTime};

use super::reach::{AwsReach, consent};
use crate::cli::failure::Failure;
use crate::cli::ledger_args::{LedgerArgs, open_existing};
use crate::cli::report::{Ended, Outcome, Printer, warn};
use crate::cli::text::{Lines, count, devices};
use crate::cli::{exit, interrupt, place, progress};

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct Withdraw {
    /// Batch: its name in the ledger, its folder or its s3:// URL
    #[arg(long, value_name = "NAME|DIR|S3-URL")]
    batch: String,
    #[command(flatten)]
    ledger: LedgerArgs,
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
    json: bool,
    #[command(flatten)]
    reach: AwsReach,
}

impl Withdraw {
    pub fn run(&self, printer: Printer) -> Outcome {
        if self.reason.trim().is_empty() || self.reason.chars().any(char::is_control) {
            return Err(Failure::usage(
                "--reason is blank, or has line breaks or other control characters",
                "say in one line why; stations show it",
            ));
        }
        let now = OffsetDateTime::now_utc();
        let mut ledger = open_existing(&self.ledger.usual()?)?;
        let batch = ledger.batch(place::name_of(&self.batch))?;
        let store = self.open_store(match place::is_place(&self.batch) {
            true => &self.batch,
            false => &batch.location,
        })?;
        let named = match place::is_place(&self.batch) {
            true => Named::Place { moved: self.moved },
            false => Named::InLedger,
        };
        let mut withdrawing = Withdrawing::open(&mut *ledger, &batch, &store, named)?;
        if self.stations_only {
            return self.stop_stations(&mut withdrawing, &batch.name, now);
        }
        let cloud = self.reach.open().map_err(|error| {
            let hint = error.hint().unwrap_or_default();
            Failure::from(error).with_hint(&format!("{hint}; --stations-only stops the stations meanwhile"))
        })?;
        let (rows, caller) = (withdrawing.rows(), cloud.caller());
        let Outlook {
            revoked_before,
            other_batches_of_the_ca,
        } = withdrawing.outlook(&cloud)?;
        let planned = Planned {
            batch: batch.name.clone(),
            account: caller.account.clone(),
            region: caller.region.clone(),
            ca_certificate_id: HEXLOWER.encode(&withdrawing.issuer().id()),
            certificates: rows,
            revoked_before,
            stops_auto_registration: !self.keep_auto_registration,
            other_batches_of_the_ca,
            done: false,
            ca: withdrawing.issuer().subject_text().to_owned(),
            rate: self.rate,
        };
        if let Some(fault) = withdrawing.store_fault() {
            warn(format!("{fault}; what is revoked is what the ledger has"));
        }
        if self.dry_run {
            return Ok(Ended::with(planned));
        }
        printer.tell(&planned);
        consent(
            self.yes,
            &format!("Withdraw it in account {}, {}?", caller.account, caller.region),
        )?;
        let bar = progress::bar(rows, revoked_before);
        let terms = Terms {
            reason: &self.reason,
            rate: self.rate,
            keep_auto_registration: self.keep_auto_registration,
            now,
        };
        let cancel = interrupt::cancel("");
        let summary = withdrawing.carry_out(&cloud, terms, &|| cancel.is_cancelled(), &|rows| bar.inc(rows));
        bar.finish_and_clear();
        Ok(self.end(&batch.name, rows, summary?, cancel.is_cancelled()))
    }

    fn stop_stations(&self, batch: &mut Withdrawing<'_>, name: &str, now: OffsetDateTime) -> Outcome {
        if !self.dry_run {
            consent(
                self.yes,
                &format!("Let no station claim a device of {name} any more?"),
            )?;
            batch.stop_stations(&self.reason, now)?;
        }
        Ok(Ended::with(StationsStopped {
            batch: name.to_owned(),
            done: !self.dry_run,
            stations_only: true,
        }))
    }

    fn open_store(&self, text: &str) -> Result<Store, Failure> {
        let nothing = place::Reach::new(None, None);
        let is_bucket = matches!(place::parse(text, &nothing, None)?, Place::S3 { .. });
        let reach = match is_bucket {
            true => place::Reach::new(self.reach.endpoint_url.clone(), self.reach.region.clone()),
            false => nothing,
        };
        Ok(reach.open(&place::parse(text, &reach, None)?)?)
    }

    fn end(&self, batch: &str, rows: u64, summary: RevocationSummary, interrupted: bool) -> Ended {
        let store_failure = summary.store_fault.as_ref().map(|fault| {
            Failure::store(
                format!(
                    "stations may claim devices of the batch still, or its store is not what it was: {fault}"
                ),
                "mend its store, then run the same command again",
            )
        });
        let failure = summary.first_failure.as_ref().map(|failure| {
            let failed = count(summary.failed);
            let failure = Failure::aws(
                format!("certificates that are not revoked: {failed} at least; {failure}"),
                "run the same command again, in the same account and Region: it goes on with these",
            );
            match interrupted {
                true => failure.under(exit::INTERRUPTED),
                false => failure,
            }
        });
        let withdrawn = Withdrawn {
            batch: batch.to_owned(),
            done: summary.failed == 0 && summary.store_fault.is_none() && !interrupted,
            auto_registration_stopped: !self.keep_auto_registration,
            revoked: summary.updated + summary.registered,
            of_these_unknown_before: summary.registered,
            failed: summary.failed,
            unreleased: summary.unreleased,
            first_failure: summary.first_failure,
            store_fault: summary.store_fault,
            interrupted,
            rows,
            mark: summary.mark,
        };
        let code = if interrupted { exit::INTERRUPTED } else { 0 };
        Ended::with(withdrawn)
            .code(code)
            .failed(failure.or(store_failure))
    }
}

/// What is to be done.
#[derive(Serialize)]
struct Planned {
    batch: String,
    account: String,
    region: String,
    ca_certificate_id: String,
    certificates: u64,
    revoked_before: u64,
    stops_auto_registration: bool,
    other_batches_of_the_ca: Vec<String>,
    done: bool,
    #[serde(skip)]
    ca: String,
    #[serde(skip)]
    rate: u32,
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = self.certificates.saturating_sub(self.revoked_before);
        let mut lines = Lines::default();
        lines
            .line("account", format!("{}, {}", self.account, self.region))
            .line("batch", format!("{}, {}", self.batch, devices(self.certificates)))
            .line("CA", &self.ca);
        if self.stops_auto_registration {
            lines.line("to do", "stop the CA's auto-registration");
            let others = &self.other_batches_of_the_ca;
            if !others.is_empty() {
                lines.line(
                    "warning",
                    format!(
                        "new devices of {} are refused as well, until it is on again; --keep-auto-registration leaves it on",
                        others.join(", ")
                    ),
                );
            }
        }
        let seconds = left.div_ceil(self.rate.into());
        lines
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
        if self.revoked_before > 0 {
            let before = count(self.revoked_before);
            lines.line("before", format!("{before} certificates are revoked"));
        }
        lines.fmt(f)
    }
}

/// What became of it, as far as stations go.
#[derive(Serialize)]
struct StationsStopped {
    batch: String,
    done: bool,
    stations_only: bool,
}

impl fmt::Display for StationsStopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Lines::default();
        let batch = &self.batch;
        match self.done {
            false => lines.line(
                "to do",
                format!("let no station claim a device of {batch} any more"),
            ),
            true => lines
                .line("batch", format!("{batch}, withdrawn"))
                .line("stations", last_claims())
                .line(
                    "AWS",
                    "not asked: its certificates are as they were; withdraw it without --stations-only",
                ),
        };
        lines.fmt(f)
    }
}

/// What became of it.
#[derive(Serialize)]
struct Withdrawn {
    batch: String,
    done: bool,
    auto_registration_stopped: bool,
    revoked: u64,
    of_these_unknown_before: u64,
    failed: u64,
    unreleased: u64,
    first_failure: Option<String>,
    store_fault: Option<String>,
    interrupted: bool,
    #[serde(skip)]
    rows: u64,
    #[serde(skip)]
    mark: u64,
}

impl fmt::Display for Withdrawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Lines::default();
        lines
            .line("batch", format!("{}, withdrawn", self.batch))
            .line("stations", last_claims())
            .line(
                "auto-registration",
                match self.auto_registration_stopped {
                    false => "left as it is",
                    true => "off; `certforge jitp register --template FILE --update` turns it on again",
                },
            )
            .line(
                "revoked",
                format!(
                    "{}, {} of which had not connected yet",
                    count(self.revoked),
                    count(self.of_these_unknown_before)
                ),
            );
        if self.unreleased > 0 {
            lines.line(
                "not made",
                format!(
                    "{}; when a run was still making them, withdraw the batch once more after its end",
                    devices(self.unreleased)
                ),
            );
        }
        if self.interrupted {
            let (mark, rows) = (count(self.mark), count(self.rows));
            lines.line(
                "interrupted",
                format!("{mark} of {rows} certificates are revoked; run the same command again"),
            );
        }
        lines.fmt(f)
    }
}

/// Stations ask for withdrawals once a minute.
fn last_claims() -> String {
    let last = OffsetDateTime::now_utc() + Duration::MINUTE;
    format!("claims may still be made until {}, and none later", rfc3339(last))
}
