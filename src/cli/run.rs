//! `certforge run`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;

use certforge::batch::Layout;
use certforge::engine::{Choice, Engine, MultiBuffer, Ring};
use certforge::forge::{self, Event, ForgeError, Job, MAX_CHUNK_ROWS, Shard, Summary};
use certforge::issuer::Issuer;
use certforge::ledger::{Ledger, LedgerError, SETTINGS};
use certforge::manifest::Manifest;
use certforge::profile::{self, Binding, Profile};
use certforge::shell::quoted;
use certforge::store::{Place, Store, StoreError};
use clap::Args;
use indicatif::ProgressBar;
use serde_json::json;
use time::OffsetDateTime;

use super::issuer::IssuerArgs;
use super::text::{Report, count, devices, whole};
use super::{Failure, Outcome, ca, exit, interrupt, ledger, place, print, print_json, progress};

/// What commands call it that print their report themselves.

#[derive(Debug, Args)]
pub struct Run {
    /// CSV file with a header line and a row for each device
    manifest: PathBuf,
    /// Built-in profile or TOML file: what certificates and bundles look like
    #[arg(long, value_name = "NAME|FILE", default_value = profile::DEFAULT)]
    profile: String,
    #[command(flatten)]
    issuer: IssuerArgs,
    /// Folder or bucket in which the batch gets its folder, such as s3://factory-eu/batches
    #[arg(long, value_name = "DIR|S3-URL", default_value = "out")]
    to: String,
    /// objects: a file for each bundle; packs: a file for each chunk of bundles
    #[arg(long, value_name = "LAYOUT", default_value_t = Layout::Objects)]
    layout: Layout,
    /// Host that devices connect to, in place of the profile's, or of the one that `jitp register` noted: <id>-ats.iot.<region>.amazonaws.com
    #[arg(long, value_name = "HOST")]
    endpoint: Option<String>,
    /// auto, multi-buffer, aws-lc or ring. multi-buffer is Intel's crypto_mb
    #[arg(long, value_name = "ENGINE", default_value = "auto")]
    engine: String,
    /// crypto_mb, for engine multi-buffer [default: as CERTFORGE_CRYPTO_MB says, else in the Python environment or the usual folders]
    #[arg(long, value_name = "FILE|DIR")]
    crypto_mb: Option<PathBuf>,
    /// Threads that work [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Name of the batch [default: the manifest's name and the start of its SHA-256]
    #[arg(long, value_name = "NAME")]
    batch: Option<String>,
    /// Ledger: what was issued, so that nothing is issued twice
    #[arg(long, value_name = "FILE", default_value = ledger::DEFAULT_FILE)]
    ledger: PathBuf,
    /// Give devices that were issued before a second identity, in a batch with a name of its own
    #[arg(long)]
    reissue: bool,
    /// Make one of N shards of the batch, from 1/N to N/N, each with a ledger of its own; `certforge seal` ends it
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Rows of a chunk, the unit of work and of a pack [default: 1024; 32 for RSA keys]
    #[arg(long, value_name = "N")]
    chunk_rows: Option<usize>,
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    reach: place::Reach,
    #[command(flatten)]
    upload: place::Upload,
}

impl Run {
    pub fn run(&self) -> Outcome {
        let to = place::parse(&self.to, &self.reach, Some(&self.upload))?;
        let now = OffsetDateTime::now_utc();
        if let Some(path) = &self.crypto_mb {
            MultiBuffer::give_library(path.clone());
        }
        let engines = Choice::parse(&self.engine);
        let (profile, without_note) = self.profiles()?;
        engines.for_keys(profile.key_type())?;
        let manifest = Manifest::open(&self.manifest, profile.id_column())?;
        let ledger_path = self.ledger();
        let mut ledger = Ledger::open(&ledger_path, new_ledger_id()?)?;
        let issuer = self.issuer(&manifest, &profile, &ledger, now)?;
        // Of a lab CA nobody has devices that must not get a second identity.
        let is_news = ledger.is_new()? && !ca::is_lab_ca(issuer.certificate());
        let ledger_id = ledger.id().to_owned();
        let bar: Mutex<Option<ProgressBar>> = Mutex::new(None);
        let cancel =
            interrupt::cancel("finishing the chunks in flight; Ctrl-C again stops at once and loses nothing");
        let mut make = |profile: &Profile| {
            let job = Job {
                manifest: &manifest,
                profile,
                issuer: &issuer,
                engines: engines.clone(),
                layout: self.layout,
                batch: self.batch.as_deref(),
                chunk_rows: self.chunk_rows,
                shard: self.shard,
                reissue: self.reissue,
                jobs: self.jobs(),
                now,
            };
            let open_store = |batch: &str| -> Result<Box<dyn Store>, StoreError> {
                self.upload
                    .open(&to.batch(batch), &self.reach, batch, profile.name(), &ledger_id)
            };
            let observe = |event| {
                if is_news && matches!(event, Event::Begun { .. }) {
                    warn_of_new_ledger(&ledger_path);
                }
                show(&bar, &event);
            };
            forge::run(&job, &mut ledger, &open_store, &observe, cancel)
        };
        let mut used = &profile;
        let mut result = make(used);
        // A batch that was begun before the endpoint was noted goes on as it began.
        if let Some(before) = without_note.as_ref().filter(|_| has_other_settings(&result)) {
            let again = make(before);
            if !has_other_settings(&again) {
                warn_of_endpoint(&profile);
                (used, result) = (before, again);
            }
        }
        if let Some(bar) = bar.into_inner().expect("no holder panics") {
            bar.finish_and_clear();
        }
        Ok(self.report(result?, &to, used, &issuer))
    }

    /// The profile, with the endpoint that is given, or that it names itself, or that is noted with the CA; in
    /// the last case also as it is without the note.
    fn profiles(&self) -> Result<(Profile, Option<Profile>), Failure> {
        let profile = Profile::load(&self.profile, self.endpoint.as_deref())?;
        if profile.endpoint().host.is_some() {
            return Ok((profile, None));
        }
        Ok(match self.issuer.endpoint()? {
            Some(host) => (Profile::load(&self.profile, Some(&host))?, Some(profile)),
            None => (profile, None),
        })
    }

    /// Shards that share a folder do not share a ledger.
    fn ledger(&self) -> PathBuf {
        match self.shard {
            Some(shard) if self.ledger == Path::new(ledger::DEFAULT_FILE) => {
                let shard = shard.to_string().replace('/', "-of-");
                PathBuf::from(format!("certforge-{shard}.db"))
            }
            _ => self.ledger.clone(),
        }
    }

    fn jobs(&self) -> usize {
        match self.jobs {
            Some(jobs) => jobs.into(),
            None => std::thread::available_parallelism().map_or(1, usize::from),
        }
    }

    fn issuer(
        &self,
        manifest: &Manifest,
        profile: &Profile,
        ledger: &Ledger,
        now: OffsetDateTime,
    ) -> Result<Issuer, Failure> {
        let default = Path::new(ca::DEFAULT_FOLDER);
        if !self.issuer.is_named() && self.shard.is_some() {
            return Err(Failure::usage(
                "shards need a CA that all of them have",
                "make one with `certforge ca new`, and name it with --ca",
            ));
        }
        // A ledger that has batches had a CA: somebody forgot to name it.
        if !self.issuer.is_named() && default.symlink_metadata().is_err() && ledger.is_new()? {
            // A bad manifest costs no certificate, not even a lab CA's.
            let binding = Binding::new(profile, manifest.header(), manifest.path())?;
            forge::check(manifest, &binding, MAX_CHUNK_ROWS)?.accept(manifest)?;
            ca::make_lab_ca(default, now)?;
            eprintln!(
                "certforge: there was no CA: made a LAB CA in ./{}",
                ca::DEFAULT_FOLDER
            );
            eprintln!(
                "certforge: its key is not encrypted; it is for trying things out, not for devices that ship"
            );
        }
        Ok(self.issuer.load(now)?)
    }

    fn report(&self, summary: Summary, to: &Place, profile: &Profile, issuer: &Issuer) -> ExitCode {
        let place = to.batch(&summary.batch);
        let per_second = per_second(&summary);
        let summary_text = self.summary(&summary, &place, per_second, profile, issuer);
        let failure = summary.failure.map(Failure::from);
        if self.json {
            print_json(&json!({
                "batch": summary.batch,
                "devices": summary.devices,
                "made": summary.made,
                "skipped": summary.skipped,
                "failed": summary.failed,
                "interrupted": summary.interrupted,
                "sealed": summary.sealed,
                "seconds": summary.elapsed.as_secs_f64(),
                "devices_per_second": per_second,
                "location": place.to_string(),
                "layout": self.layout,
                "reissue": self.reissue,
                "ledger": self.ledger().display().to_string(),
                "shard": self.shard.map(|shard| shard.to_string()),
                "profile": profile.name(),
                "issuer": issuer.certificate().subject_text(),
                "lab_ca": ca::is_lab_ca(issuer.certificate()),
                "key_type": profile.key_type(),
                "key_engine": summary.key_engine,
                "signature_engine": summary.sign_engine,
                "endpoint": profile.endpoint().host,
                "error": failure.as_ref(),
            }));
        } else {
            print(&summary_text);
        }
        match failure {
            Some(failure) => {
                failure.tell();
                failure.exit_code().into()
            }
            None if summary.interrupted => exit::INTERRUPTED.into(),
            None => ExitCode::SUCCESS,
        }
    }

    fn summary(
        &self,
        summary: &Summary,
        place: &Place,
        per_second: u64,
        profile: &Profile,
        issuer: &Issuer,
    ) -> String {
        let mut report = Report::default();
        let seconds = summary.elapsed.as_secs_f64();
        let is_complete = summary.made + summary.skipped == summary.devices;
        report.line("batch", &summary.batch);
        if let Some(shard) = self.shard {
            report.line("shard", shard.to_string());
        }
        if summary.made == 0 && is_complete {
            report.line(
                "made",
                format!("nothing: {} made before", devices(summary.devices)),
            );
        } else {
            let rate = format!(
                "{} in {seconds:.2} s, {}/s",
                devices(summary.made),
                count(per_second)
            );
            report.line("made", rate);
            report.line("skipped", format!("{} made before", count(summary.skipped)));
        }
        report.line("failed", count(summary.failed));
        if !is_complete {
            let done = summary.made + summary.skipped + summary.failed;
            report.line("left", count(summary.devices.saturating_sub(done)));
        }
        if self.reissue {
            report.line(
                "reissue",
                "yes: devices that were issued before have another identity now",
            );
        }
        report.line("bundles", format!("{place} ({})", self.layout));
        if summary.sealed {
            report.line("seal", "seal.json: complete, signed by the issuer");
        }
        report.line("ledger", self.ledger().display().to_string());
        report.line(
            "keys",
            format!("{} by engine {}", profile.key_type(), summary.key_engine),
        );
        let lab = if ca::is_lab_ca(issuer.certificate()) {
            ", a LAB CA, not for production"
        } else {
            ""
        };
        report.line(
            "issuer",
            format!(
                "{} ({} by engine {}){lab}",
                issuer.certificate().subject_text(),
                issuer.key_type(),
                summary.sign_engine
            ),
        );
        report.line(
            "endpoint",
            match &profile.endpoint().host {
                Some(host) => host.clone(),
                None => "none: these bundles name no endpoint; give --endpoint HOST or the profile's [endpoint] host"
                    .to_owned(),
            },
        );
        report.line("next", self.next_command(summary, place, is_complete));
        report.to_string()
    }

    fn next_command(&self, summary: &Summary, place: &Place, is_complete: bool) -> String {
        if let Some(ForgeError::Store(StoreError::Conflict { .. })) = &summary.failure {
            return "find out first what the error says".to_owned();
        }
        if !is_complete {
            let how = if summary.interrupted { "interrupted: " } else { "" };
            return format!("{how}run the same command again; it goes on where it stopped");
        }
        if self.shard.is_some() {
            let place = quoted(&place.to_string());
            let reach = self.reach.to_arguments();
            return format!("when every shard is made: certforge seal {place}{reach} --ca CA");
        }
        let ledger = match self.ledger.as_path() == Path::new(ledger::DEFAULT_FILE) {
            true => String::new(),
            false => format!(" --ledger {}", quoted(&self.ledger.display().to_string())),
        };
        let place = quoted(&place.to_string());
        format!("certforge verify {place}{}{ledger}", self.reach.to_arguments())
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn per_second(summary: &Summary) -> u64 {
    whole(summary.made as f64 / summary.elapsed.as_secs_f64().max(1e-9))
}

pub fn new_ledger_id() -> Result<[u8; 16], Failure> {
    let mut id = [0; 16];
    Ring.random(&mut id)?;
    Ok(id)
}

/// Without the ledger that its CA was used with, every device gets a second identity.
fn warn_of_new_ledger(ledger: &Path) {
    eprintln!(
        "certforge: warning: ledger {} is new and knows of no device; if this CA has issued devices before, \
         their ledger must be named with --ledger, or they get a second identity",
        ledger.display()
    );
}

/// Shows how far the work is.
pub fn show(bar: &Mutex<Option<ProgressBar>>, event: &Event) {
    let mut bar = bar.lock().expect("no holder panics");
    match event {
        Event::Begun { devices, skipped, .. } => *bar = Some(progress::bar(*devices, *skipped)),
        Event::Released { devices } => {
            if let Some(bar) = &*bar {
                bar.inc(*devices);
            }
        }
    }
}

/// Whether a batch of this name was begun with another profile or endpoint.
fn has_other_settings(result: &Result<Summary, ForgeError>) -> bool {
    matches!(
        result,
        Err(ForgeError::Ledger(LedgerError::BatchDiffers { what, .. })) if *what == SETTINGS
    )
}

fn warn_of_endpoint(noted: &Profile) {
    eprintln!(
        "certforge: warning: this batch was begun without an endpoint and goes on without; {}, which is noted with the CA since, is for new batches",
        noted.endpoint().host.as_deref().unwrap_or_default()
    );
}
