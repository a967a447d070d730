//! `certforge jitp withdraw`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;

use certforge::aws::{Cloud, Revocation, Revoked};
use certforge::jitp::{Issued, IssuedError};
use certforge::ledger::Ledger;
use certforge::profile::rfc3339;
use certforge::store::{Place, Store, WithdrawnRecord, put_withdrawn};
use clap::Args;
use data_encoding::HEXLOWER;
use indicatif::ProgressBar;
use serde_json::json;
use time::OffsetDateTime;

use super::super::run::{self, DEFAULT_LEDGER};
use super::super::text::{Report, count, devices};
use super::super::{Failure, Outcome, exit, place, print, print_json, progress};
use super::reach::{AwsReach, consent};

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
        let cloud = self.reach.open()?;
        let before = ledger.withdrawal(&batch)?;
        let done = before.as_ref().map_or(0, |before| before.revoked);
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
        let withdrawal = ledger.withdraw(&batch, &self.reason, now)?;
        put_withdrawn(
            &*store,
            &WithdrawnRecord {
                batch: name.clone(),
                withdrawn_at: rfc3339(withdrawal.at),
                reason: withdrawal.reason.clone(),
            },
        )?;
        // 2. AWS IoT takes no new device of the CA.
        let is_registered = match self.keep_auto_registration {
            true => None,
            false => Some(cloud.stop_registration(&issued.issuer().id())?),
        };
        // 3. Those that it has, and those that may come, are revoked.
        let tally = self.revoke(&cloud, &issued, &mut ledger, &batch, withdrawal.revoked)?;
        self.report(&issued, is_registered, &tally);
        Ok(match tally.failed {
            0 => ExitCode::SUCCESS,
            _ => exit::AWS.into(),
        })
    }

    /// A ledger that is not there is not made.
    fn ledger(&self) -> Result<PathBuf, Failure> {
        Ledger::open_read_only(&self.ledger)?;
        Ok(self.ledger.clone())
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
        batch: &certforge::ledger::Batch,
        done: u64,
    ) -> Result<Tally, Failure> {
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
        for chunk in done / record.chunk_rows..record.chunks() {
            let certificates = match issued.certificates(chunk) {
                // What was never released is in no station's hands, and no run begins with it any more.
                Err(IssuedError::Incomplete { .. }) => {
                    tally.unreleased += record.rows_of(chunk);
                    row = chunk * record.chunk_rows + record.rows_of(chunk);
                    bar.lock().expect("no holder panics").set_position(row);
                    continue;
                }
                other => other?,
            };
            let skipped = usize::try_from(row - chunk * record.chunk_rows).unwrap_or(usize::MAX);
            let mut rest = certificates.into_iter().skip(skipped).peekable();
            while rest.peek().is_some() {
                let some: Vec<_> = rest.by_ref().take(AT_A_TIME).collect();
                let ids: Vec<String> = some.iter().map(|one| one.entry.device_id.clone()).collect();
                row += some.len() as u64;
                let outcomes = revocation.revoke(some, &|| {
                    bar.lock().expect("no holder panics").inc(1);
                });
                for (id, outcome) in ids.into_iter().zip(outcomes) {
                    match outcome {
                        Ok(Revoked::Updated) => tally.updated += 1,
                        Ok(Revoked::Registered) => tally.registered += 1,
                        Err(error) => {
                            tally.failed += 1;
                            tally
                                .first_failure
                                .get_or_insert_with(|| format!("device {id}: {error}"));
                        }
                    }
                }
                if tally.failed == 0 && tally.unreleased == 0 {
                    ledger.set_revoked(batch, row)?;
                    tally.revoked = row;
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
            }));
        } else {
            let mut report = Report::default();
            report
                .line("batch", format!("{}, withdrawn", issued.record().batch))
                .line(
                    "auto-registration",
                    match is_registered {
                        None => "left as it is",
                        Some(true) => "off; `certforge jitp register --update` turns it on again",
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
            print(&report.to_string());
        }
        if let Some(failure) = &tally.first_failure {
            let failed = count(tally.failed);
            Failure::aws(
                format!("{failed} certificates are not revoked; {failure}"),
                "run the same command again: it goes on with these",
            )
            .report_to_people();
        }
    }
}
