//! `certforge verify`.

use std::fmt;
use std::path::{Path, PathBuf};

use certforge::batch::BatchRecord;
use certforge::ledger::{self, Ledger, LedgerError};
use certforge::printable;
use certforge::store::{Store, read_record};
use certforge::verify::{self, Job, Report};
use clap::Args;
use serde::Serialize;
use time::OffsetDateTime;

use super::identity::IdentityArgs;
use super::issuer::trust;
use super::ledger_args::LedgerArgs;
use super::passwords::PasswordArgs;
use super::progress::Bar;
use super::report::{Ended, Outcome};
use super::text::{count, devices};
use super::{Failure, exit, place};

#[derive(Debug, Args)]
pub struct Verify {
    /// Batch, such as out/line-7-3f2a9c01 or s3://factory-eu/batches/line-7-3f2a9c01
    batch: String,
    #[command(flatten)]
    ledger: LedgerArgs,
    /// Verify without a ledger, as on a machine that has only the bundles
    #[arg(long, conflicts_with = "ledger")]
    no_ledger: bool,
    /// CA that must have made the batch: its certificate, its folder, or the SHA-256 of the certificate
    #[arg(
        long,
        env = "CERTFORGE_ISSUER",
        hide_env_values = true,
        value_name = "FILE|DIR|SHA-256"
    )]
    issuer: Option<String>,
    /// Manifest that the batch was made from [default: the one that the ledger names, if it is still there]
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Judge every certificate and key by itself, with webpki and aws-lc; otherwise some of each chunk are, and the rest many at
    /// a time
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    identity: IdentityArgs,
    #[command(flatten)]
    passwords: PasswordArgs,
    /// Threads that work [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: place::Reach,
}

/// What a batch was found to be.
#[derive(Serialize)]
struct Verified(Report);

impl Verify {
    pub fn run(&self) -> Outcome {
        if let Some(jobs) = self.jobs {
            rayon::ThreadPoolBuilder::new()
                .num_threads(jobs.into())
                .build_global()
                .map_err(|error| Failure::usage(&error.to_string(), "use fewer --jobs"))?;
        }
        let store = {
            let batch = place::of_batch(&self.batch, &|| self.ledger.usual())?;
            self.reach.open(&place::parse(&batch, &self.reach, None)?)?
        };
        // That it is no batch is said before anything of a ledger.
        let record = read_record(&store).map_err(verify::VerifyError::from)?.record;
        let ledger = self.open_ledger(&store, &record)?;
        let issuer = self.issuer.as_deref().map(trust).transpose()?;
        let identities = self.identity.read()?;
        let passwords = self.passwords.read()?;
        let job = Job {
            store: &store,
            ledger: ledger.as_deref(),
            issuer: issuer.as_ref(),
            manifest: self.manifest.as_deref(),
            now: OffsetDateTime::now_utc(),
            identities: identities.as_ref(),
            passwords: &passwords,
            strict: self.strict,
        };
        let bar = Bar::default();
        let report = verify::verify(&job, &|record| bar.begin(record.rows, 0), &|n| bar.advance(n));
        drop(bar);
        let report = report?;
        let (hint, code) = (
            report.hint(),
            if report.is_good() { 0 } else { exit::SOME_FAILED },
        );
        let unknown = (!report.issuer_known).then(|| {
            format!(
                "nothing here says whose CA made this batch, certificate {}: name yours with --issuer",
                report.issuer_id
            )
        });
        let ended = Ended::done(Verified(report)).code(code);
        let ended = unknown.into_iter().fold(ended, Ended::warning);
        Ok(hint.into_iter().fold(ended, Ended::hint))
    }
}

impl Verify {
    /// The ledger that was named; or the usual one, which a batch in shards need not have here.
    fn open_ledger(&self, store: &Store, record: &BatchRecord) -> Result<Option<Box<dyn Ledger>>, Failure> {
        if self.no_ledger {
            return Ok(None);
        }
        let is_named = self.ledger.is_named();
        let opened = match ledger::open_read_only(self.ledger.usual()?) {
            // The CA that is named vouches for the batch as well.
            Err(LedgerError::Missing { .. }) if !is_named && self.issuer.is_some() => {
                return Ok(None);
            }
            other => other,
        };
        let may_be_elsewhere = || {
            if is_named || record.shards.is_none() {
                return false;
            }
            let knows = |name: &str| {
                matches!(
                    opened.as_ref().map(|ledger| ledger.find_batch(name)),
                    Ok(Ok(Some(_)))
                )
            };
            let here = store.location();
            !knows(&record.batch) && !knows(place::name_of(&here))
        };
        match may_be_elsewhere() {
            true => Ok(None),
            false => Ok(Some(opened.map_err(verify::VerifyError::from)?)),
        }
    }
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(report) = self;
        for fault in &report.faults {
            writeln!(f, "{}", printable::line(&fault.to_string()))?;
        }
        let batch = printable::line(&report.batch);
        if let Some(record) = &report.withdrawn {
            writeln!(
                f,
                "batch {batch}: WITHDRAWN {}",
                printable::line(&record.to_string())
            )?;
        }
        let all = devices(report.devices);
        if report.is_good() {
            write!(f, "batch {batch}: {all} verified")?;
            if report.burned > 0 {
                let burned = count(report.burned);
                write!(
                    f,
                    ", {burned} of them removed after they were flashed or scrapped"
                )?;
            }
            if report.in_earlier_generations > 0 {
                let earlier = count(report.in_earlier_generations);
                write!(
                    f,
                    ", {earlier} of them claimed at stations, with their earlier bundle"
                )?;
            }
            if report.generation > 0 {
                write!(f, ", generation {}", report.generation)?;
            }
            f.write_str(if report.sealed { ", sealed" } else { ", not sealed" })?;
        } else {
            let faults = count(report.faults.len() as u64);
            let noun = if report.faults.len() == 1 {
                "fault"
            } else {
                "faults"
            };
            write!(
                f,
                "batch {batch}: {faults} {noun}; {} of {all} are good",
                count(report.good)
            )?;
        }
        writeln!(f, ", against {}", printable::line(&against(report)))?;
        let earlier: u64 = report.unread_earlier.iter().map(|earlier| earlier.bundles).sum();
        if report.unread > earlier {
            let (unread, recipients) = (count(report.unread - earlier), report.recipients.join(", "));
            writeln!(
                f,
                "batch {batch}: {unread} bundles are encrypted, for {recipients}, and were NOT READ: their digests, the index, \
                 the seal, certificates and chains are right; --identity verifies what they hold"
            )?;
        }
        for earlier in &report.unread_earlier {
            let (unread, recipients) = (count(earlier.bundles), earlier.recipients.join(", "));
            writeln!(
                f,
                "batch {batch}: {unread} bundles of generation {} are encrypted, for {recipients}, and were NOT READ: their digests are \
                 those that were sealed; an identity of one of these, in the same file as that for --identity, verifies what they \
                 hold",
                earlier.generation
            )?;
        }
        if report.not_opened > 0 {
            writeln!(
                f,
                "batch {batch}: {} bundles have a file that was NOT OPENED, for want of its password: that it holds the device's key \
                 was not seen; --manifest opens it, or --pkcs12-password-file where the profile has the password in a file",
                count(report.not_opened)
            )?;
        }
        // Of a batch that is not whole, nobody asks how long it lasts.
        let is_whole = report.faults.iter().all(|fault| fault.is_of_time);
        match report.valid_until.filter(|_| is_whole) {
            Some(ends) => writeln!(f, "batch {batch}: valid until {ends}"),
            None => Ok(()),
        }
    }
}

/// What the batch was held against.
fn against(report: &Report) -> String {
    let ledger = match report.shards {
        Some(_) if !report.ledger_is_whole => "the ledger of a shard",
        _ => "the ledger",
    };
    match (&report.manifest, report.ledger) {
        (Some(manifest), true) => format!("manifest {} and {ledger}", path(manifest)),
        (Some(manifest), false) => format!("manifest {}", path(manifest)),
        (None, true) if report.manifest_changed => format!("{ledger}; the manifest has changed since"),
        (None, true) => format!("{ledger}; the manifest is not at hand, --manifest names it"),
        (None, false) => "the index alone; --ledger and --manifest prove more".to_owned(),
    }
}

/// A path as short as it can be said from here.
fn path(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}
