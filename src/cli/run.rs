//! `certforge run`.

use std::fmt;
use std::path::{Path, PathBuf};

use certforge::batch::{Layout, MAX_CHUNK_ROWS};
use certforge::bundle::encryption::{Recipient, is_ssh};
use certforge::engine::Choice;
use certforge::forge::{
    self, Allowed, Asked, Cancel, Care, Event, Findings, ForgeError, Job, Known, Neighbours, Shard, Standing,
    Summary, Wanted, delivered,
};
use certforge::issuer::{CERTIFICATE_FILE, CaCertificate, Issuer};
use certforge::ledger::{self, CaFolder, KeepMark, Ledger, LedgerError, LedgerName, PassedOver, Patience};
use certforge::manifest::{Manifest, Oddity};
use certforge::profile::{self, Binding, Ends, KeyType, Profile, rfc3339};
use certforge::shell::quoted;
use certforge::store::{Place, Store, StoreError};
use clap::Args;
use serde::Serialize;
use time::{Duration, OffsetDateTime};

use super::issuer::{DEFAULT_FOLDER, IssuerArgs};
use super::ledger_args::{Found, LedgerArgs};
use super::progress::Bar;
use super::report::{Ended, Outcome, tell_aside, warn};
use super::retire::{refuse_unregistered, retire};
use super::shard::{self, Taken};
use super::text::{self, Lines, count, devices, whole};
use super::{Failure, clock, exit, interrupt, log, patience, place, run_metrics, span};

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct Run {
    /// CSV file with a header line and a row for each device; - is standard input
    pub(super) manifest: PathBuf,
    /// Built-in profile or TOML file: what certificates and bundles look like
    #[arg(long, value_name = "NAME|FILE", default_value = profile::DEFAULT)]
    pub(super) profile: String,
    #[command(flatten)]
    pub(super) issuer: IssuerArgs,
    /// Folder or bucket in which the batch gets its folder, such as s3://factory-eu/batches
    #[arg(long, value_name = "DIR|S3-URL", default_value = place::DEFAULT)]
    to: String,
    /// objects: a file for each bundle; packs: a file for each chunk of bundles
    #[arg(long, value_name = "LAYOUT", default_value_t = Layout::Objects)]
    layout: Layout,
    /// Host that devices connect to, in place of the profile's, or of the one that `jitp register` noted: <id>-ats.iot.<region>.amazonaws.com
    #[arg(long, value_name = "HOST")]
    endpoint: Option<String>,
    /// Make bundles that name no endpoint, of a CA that is no lab CA
    #[arg(long, conflicts_with = "endpoint")]
    no_endpoint: bool,
    /// Who can read the bundles, which are encrypted to each in the age format, in place of the profile's [delivery]: age1…, or a
    /// file with one a line; may be given again
    #[arg(long = "recipient", value_name = "age1…|FILE")]
    pub(super) recipients: Vec<String>,
    /// How long certificates hold at least, or there is a warning [default: as the profile says, else 2y]
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    min_validity: Option<Duration>,
    /// auto, lanes, rsa, rsa-portable, aws-lc or ring. lanes is for P-256 and rsa for RSA keys, on processors with AVX-512
    /// IFMA; rsa-portable is for RSA keys on any
    #[arg(long, value_name = "ENGINE", default_value = "auto")]
    engine: String,
    /// Threads that work [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Name of the batch [default: the manifest's name and the start of its SHA-256]
    #[arg(long, value_name = "NAME")]
    pub(super) batch: Option<String>,
    #[command(flatten)]
    pub(super) ledger: LedgerArgs,
    /// Use another ledger than the one that the CA's folder remembers, or an older copy; devices that it does not know can get
    /// a second identity
    #[arg(long)]
    pub(super) new_ledger: bool,
    /// How long to wait for a ledger's server that goes away while it is in use; when it is given, also for one that is not there
    /// at the start [default: 10min]
    #[arg(long, value_name = "SPAN", value_parser = patience::parse)]
    ledger_wait: Option<std::time::Duration>,
    /// How long other hosts leave the chunks alone of a host that is not heard of
    #[arg(long, value_name = "SPAN", value_parser = patience::parse_lease, default_value = "60s")]
    lease: std::time::Duration,
    /// Give devices that were issued before a second identity, in a batch with a name of its own
    #[arg(long)]
    pub(super) reissue: bool,
    /// Make one of N shards of the batch, from 1/N to N/N, each with a ledger of its own; `certforge seal` ends it. auto, or
    /// auto/N: that of this task of an array of Slurm, AWS Batch or Kubernetes
    #[arg(long, value_name = "I/N|auto")]
    shard: Option<shard::Wanted>,
    /// Destroy the key of a CA for one batch when the batch is sealed, as `ca retire` does
    #[arg(long, conflicts_with_all = ["ca_certificate", "shard"])]
    retire_ca: bool,
    /// Go on though the batch lies elsewhere than when it was begun: it was moved, and is no copy
    #[arg(long)]
    moved: bool,
    /// Rows of a chunk, the unit of work and of a pack [default: 1024; 32 for RSA keys]
    #[arg(long, value_name = "N")]
    chunk_rows: Option<usize>,
    /// File for how the run ended, for the textfile collector of Prometheus' node exporter
    #[arg(long, value_name = "FILE.prom")]
    metrics: Option<PathBuf>,
    /// Print a JSON document
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    reach: place::Reach,
    #[command(flatten)]
    upload: place::Upload,
}

/// What a run has made.
#[derive(Serialize)]
#[expect(
    clippy::struct_excessive_bools,
    clippy::struct_field_names,
    reason = "each is a field of the document"
)]
struct Made {
    batch: String,
    devices: u64,
    made: u64,
    skipped: u64,
    failed: u64,
    /// Devices that other hosts released meanwhile.
    elsewhere: u64,
    interrupted: bool,
    sealed: bool,
    seconds: f64,
    devices_per_second: u64,
    location: String,
    layout: Layout,
    reissue: bool,
    ledger: String,
    shard: Option<String>,
    shard_from: Option<String>,
    profile: String,
    issuer: String,
    lab_ca: bool,
    key_type: KeyType,
    key_engine: &'static str,
    signature_engine: &'static str,
    endpoint: Option<String>,
    /// Short ids of those who can read the bundles; of nobody: they are not encrypted.
    recipients: Vec<String>,
    valid_until: Option<Ends>,
    error: Option<Failure>,
    #[serde(skip)]
    issuer_key: KeyType,
    #[serde(skip)]
    without_endpoint: String,
    #[serde(skip)]
    next: String,
}

/// What Ctrl-C does while devices are made.
const IN_GOOD_ORDER: &str = "finishing the chunks in flight; Ctrl-C again stops at once and loses nothing";

/// How a server is waited for, and what ends that.
struct Waiting {
    patience: Patience,
    cancel: &'static Cancel,
}

impl Run {
    pub fn run(&self) -> Outcome {
        let Some(path) = &self.metrics else {
            return self.make();
        };
        run_metrics::check(path)?;
        let outcome = self.make();
        if outcome.is_err() {
            run_metrics::write(path, None, &self.profile, OffsetDateTime::now_utc())?;
        }
        outcome
    }

    fn make(&self) -> Outcome {
        let to = self.to()?;
        self.tell_shard()?;
        let now = clock::now()?;
        if self.retire_ca {
            refuse_unregistered(self.issuer.folder(), false).map_err(|failure| match failure.exit_code() {
                exit::USAGE => failure.with_hint(
                    "register it first, `certforge jitp register --ca DIR`; or run without --retire-ca, then `certforge ca retire --unregistered`",
                ),
                _ => failure,
            })?;
        }
        let engines = Choice::parse(&self.engine);
        let profile = self.profile()?;
        engines.for_keys(profile.key_type())?;
        let manifest = Manifest::open(place::file(&self.manifest), profile.id_column())?;
        let found = self.ledger()?;
        let waiting = self.waiting(&found.name);
        self.make_lab_ca((&manifest, &profile), (&found, waiting.as_ref()), now)?;
        let issuer = self.issuer.load_for(&engines, now)?;
        self.refuse_without_endpoint(&profile, issuer.certificate())?;
        let main = self.refuse_issued_by_the_cas(&manifest, &profile, issuer.certificate())?;
        let (mut ledger, cancel) = self.open_ledger(&found, waiting)?;
        let is_news = is_news(&found, &*ledger, issuer.certificate())?;
        let ledger_id = ledger.id().to_owned();
        let ledger_name = ledger.location().to_owned();
        let job = Job {
            manifest: &manifest,
            profile: &profile,
            issuer: &issuer,
            engines,
            layout: self.layout,
            batch: self.batch.as_deref(),
            chunk_rows: self.chunk_rows,
            shard: self.shard()?,
            reissue: self.reissue,
            min_validity: self.min_validity(&profile),
            jobs: self.jobs(),
            now,
        };
        let open_store = |batch: &str| -> Result<Store, StoreError> {
            self.upload
                .open(&to.batch(batch), &self.reach, batch, profile.name(), &ledger_id)
        };
        let bar = Bar::default();
        let observe = |event| {
            match &event {
                Event::Begun { .. } => {
                    if is_news {
                        warn_of_new_ledger(&ledger_name);
                    }
                    tell_if_forgotten(&found, &to, issuer.certificate());
                    warn_of_examples(&profile, issuer.certificate());
                    warn_of_ssh(&profile);
                }
                Event::ShortLived { until, wanted } => warn(short_lived(*until, *wanted)),
                Event::KeptWithoutHost { noted } => warn_of_host(noted),
                Event::Odd { first, others } => {
                    warn_of_oddities(&manifest.path().display().to_string(), first, *others);
                }
                Event::Waiting { chunks, hosts } => tell_waiting(*chunks, hosts),
                Event::Released { .. } => {}
            }
            bar.show(&event);
        };
        let passed_over = passed_over(&found)?;
        let care = Care {
            mark: found.keeper().map(|folder| folder as &dyn KeepMark),
            neighbours: Some(Neighbours {
                known_too: &main,
                allowed: match self.new_ledger {
                    true => Allowed::All,
                    false => Allowed::These(&passed_over),
                },
            }),
            moved: self.moved,
        };
        let summary = forge::run(&job, (&mut *ledger, &care), &open_store, &observe, cancel);
        drop(bar);
        if let (Some(path), Ok(summary)) = (&self.metrics, &summary) {
            run_metrics::write(path, Some(summary), profile.name(), OffsetDateTime::now_utc())?;
        }
        let summary = summary?;
        let is_retired = self.retire_ca && summary.sealed && summary.failure.is_none();
        drop(ledger);
        let ended = self.ended(summary, &to, &profile, &issuer, &found);
        if is_retired {
            drop(issuer);
            retire(self.issuer.folder(), &self.ledger, now)?;
            return Ok(ended.warning(
                "its CA is retired: the key was destroyed, and signs neither devices nor revocation lists",
            ));
        }
        Ok(ended)
    }

    /// The profile, with the endpoint that is given, or that it names itself, or that is noted with the CA.
    pub(super) fn profile(&self) -> Result<Profile, Failure> {
        let given = self.endpoint.as_deref().filter(|_| !self.no_endpoint);
        let profile = Profile::load(&self.profile, given)?;
        let profile = match self.recipients.is_empty() {
            true => profile,
            false => profile.with_recipients(&profile::recipients(&self.recipients)?)?,
        };
        if profile.endpoint().host.is_some() || self.no_endpoint {
            return Ok(profile);
        }
        Ok(match self.issuer.endpoint()? {
            Some(host) => profile.with_noted_host(&host)?,
            None => profile,
        })
    }

    /// A batch without an endpoint would have to be made anew (`bundle repack`) before its devices find anything.
    fn refuse_without_endpoint(&self, profile: &Profile, issuer: &CaCertificate) -> Result<(), Failure> {
        match self.is_without_endpoint(profile, issuer) {
            false => Ok(()),
            true => Err(Failure::usage(
                &format!(
                    "bundles of profile {} name an endpoint, and none is known: their devices would not know where to connect",
                    profile.name()
                ),
                ENDPOINT_HINT,
            )),
        }
    }

    /// Whether nobody has named an endpoint, nor said that there is to be none.
    pub(super) fn is_without_endpoint(&self, profile: &Profile, issuer: &CaCertificate) -> bool {
        lacks_endpoint(profile, issuer) && !self.no_endpoint
    }

    /// How much of a manifest without a fault is made, by the ledger; or what a run would say to it.
    pub(super) fn standing(
        &self,
        (manifest, profile, issuer): (&Manifest, &Profile, &CaCertificate),
        (ledger, findings): (&dyn Ledger, &Findings),
    ) -> Result<Standing, Failure> {
        let to = self.to()?;
        let wanted = Wanted {
            manifest,
            profile,
            issuer,
            layout: self.layout,
            batch: self.batch.as_deref(),
            chunk_rows: self.chunk_rows,
            shard: self.shard()?,
            reissue: self.reissue,
        };
        let locate = |batch: &str| (!self.moved).then(|| to.batch(batch).location());
        let open_store = |batch: &str| self.reach.open_quick(&to.batch(batch));
        let standing = wanted.standing((ledger, findings), &locate, &open_store);
        if standing.is_err() {
            // It is what a run says first.
            self.refuse_without_endpoint(profile, issuer)?;
        }
        Ok(standing?)
    }

    pub(super) fn min_validity(&self, profile: &Profile) -> Duration {
        self.min_validity.unwrap_or_else(|| profile.min_validity())
    }

    /// Where the batch goes to.
    pub(super) fn to(&self) -> Result<Place, Failure> {
        place::parse(&self.to, &self.reach, Some(&self.upload))
    }

    /// The shard that is asked for, and what said which.
    fn taken(&self) -> Result<Option<Taken>, Failure> {
        self.shard.map(shard::Wanted::take).transpose()
    }

    pub(super) fn shard(&self) -> Result<Option<Shard>, Failure> {
        Ok(self.taken()?.map(|taken| taken.shard))
    }

    /// Says which shard was taken that nobody has given.
    fn tell_shard(&self) -> Result<(), Failure> {
        if let Some(Taken {
            shard,
            from: Some(from),
        }) = self.taken()?
            && !log::is_quiet()
        {
            tell_aside(format_args!("certforge: shard {shard}: {from}"));
        }
        Ok(())
    }

    /// The ledger of the CA, or of the shard.
    pub(super) fn ledger(&self) -> Result<Found, Failure> {
        self.ledger.find(self.issuer.whose(self.shard()?))
    }

    /// A server is waited for, and Ctrl-C ends the wait.
    fn waiting(&self, name: &LedgerName) -> Option<Waiting> {
        let cancel = match name {
            LedgerName::File(_) => return None,
            LedgerName::Server(_) => interrupt::cancel(IN_GOOD_ORDER),
        };
        let patience = patience::of(self.ledger_wait, self.lease, cancel);
        Some(Waiting { patience, cancel })
    }

    /// Opens the ledger. From here on Ctrl-C ends the work in good order; while another run is waited for, it ends the wait.
    fn open_ledger(
        &self,
        found: &Found,
        waiting: Option<Waiting>,
    ) -> Result<(Box<dyn Ledger>, &'static Cancel), Failure> {
        Ok(match waiting {
            None => (
                found.open(self.new_ledger, &Patience::default())?,
                interrupt::cancel(IN_GOOD_ORDER),
            ),
            Some(Waiting { patience, cancel }) => (found.open(self.new_ledger, &patience)?, cancel),
        })
    }

    /// A shard has a ledger of its own, which knows of no other batch: what the CA's ledger has issued it issues to nobody else.
    /// Gives back what that knows.
    pub(super) fn refuse_issued_by_the_cas(
        &self,
        manifest: &Manifest,
        profile: &Profile,
        issuer: &CaCertificate,
    ) -> Result<Known, Failure> {
        if self.shard.is_none() {
            return Ok(Known::default());
        }
        let cas = LedgerArgs::default().find(self.issuer.whose(None))?.name;
        if cas == self.ledger()?.name {
            return Ok(Known::default());
        }
        let ledger = match ledger::open_read_only(cas) {
            Err(LedgerError::Missing { .. }) => return Ok(Known::default()),
            other => other?,
        };
        if !self.reissue {
            let binding = Binding::new(profile, manifest.header(), manifest.path())?;
            let asked = Asked {
                ledger: &*ledger,
                issuer,
                batch: self.batch.as_deref(),
            };
            forge::refuse_issued_by(manifest, &binding, MAX_CHUNK_ROWS, asked)?;
        }
        Ok(Known::to(&*ledger, issuer)?)
    }

    fn jobs(&self) -> usize {
        match self.jobs {
            Some(jobs) => jobs.into(),
            None => std::thread::available_parallelism().map_or(1, usize::from),
        }
    }

    /// Makes a lab CA when no CA is named and there is none.
    fn make_lab_ca(
        &self,
        made_of: (&Manifest, &Profile),
        (found, waiting): (&Found, Option<&Waiting>),
        now: OffsetDateTime,
    ) -> Result<(), Failure> {
        let default = Path::new(DEFAULT_FOLDER);
        if self.issuer.is_named() || default.symlink_metadata().is_ok() {
            return Ok(());
        }
        let patience = waiting
            .as_ref()
            .map_or_else(Patience::default, |waiting| waiting.patience.clone());
        let is_new = match ledger::read_patiently(&found.name, patience) {
            Err(LedgerError::Missing { .. }) => true,
            other => other?.is_new()?,
        };
        let made = forge::make_lab_ca(default, made_of, self.shard()?, is_new, now);
        // Another first run was faster.
        let is_there = made.is_err() && default.join(CERTIFICATE_FILE).exists();
        if !is_there && made? {
            tell_aside(format_args!(
                "certforge: there was no CA: made a LAB CA in ./{DEFAULT_FOLDER}"
            ));
            tell_aside(
                "certforge: its key is not encrypted; it is for trying things out, not for devices that ship",
            );
        }
        Ok(())
    }

    fn ended(
        &self,
        summary: Summary,
        to: &Place,
        profile: &Profile,
        issuer: &Issuer,
        found: &Found,
    ) -> Ended {
        let place = to.batch(&summary.batch).to_string();
        let ledger = found.name.to_string();
        let next = self.next_command(&summary, &place, found);
        let without_endpoint = self.without_endpoint(&summary, &place, profile);
        let failure = summary.failure.map(Failure::from);
        let code = if summary.interrupted { exit::INTERRUPTED } else { 0 };
        let seconds = summary.elapsed.as_secs_f64();
        // It was taken before there was anything to make.
        let shard = self.taken().ok().flatten();
        let made = Made {
            batch: summary.batch,
            devices: summary.devices,
            made: summary.made,
            skipped: summary.skipped,
            failed: summary.failed,
            elsewhere: summary.elsewhere,
            interrupted: summary.interrupted,
            sealed: summary.sealed,
            seconds,
            devices_per_second: per_second(summary.made, seconds),
            location: place,
            layout: delivered(self.layout, profile),
            reissue: self.reissue,
            ledger,
            shard: shard.as_ref().map(|taken| taken.shard.to_string()),
            shard_from: shard.and_then(|taken| taken.from),
            profile: profile.name().to_owned(),
            issuer: issuer.certificate().subject_text().to_owned(),
            lab_ca: issuer.certificate().is_lab(),
            key_type: profile.key_type(),
            key_engine: summary.key_engine,
            signature_engine: summary.sign_engine,
            endpoint: summary.host,
            recipients: profile.recipients().iter().map(Recipient::short_id).collect(),
            valid_until: summary.valid_until,
            error: failure.clone(),
            issuer_key: issuer.key_type(),
            without_endpoint,
            next,
        };
        Ended::done(made).code(code).failed(failure)
    }

    /// What is told where bundles name no endpoint. A batch of which anything is made goes on without.
    fn without_endpoint(&self, summary: &Summary, place: &str, profile: &Profile) -> String {
        if !profile.names_host() {
            return "none: no file of these bundles names one".to_owned();
        }
        if summary.made + summary.skipped + summary.elsewhere == 0 {
            return "none; give --endpoint HOST, or the profile's [endpoint] host".to_owned();
        }
        let when = if summary.sealed {
            ""
        } else {
            "once the batch is complete, "
        };
        let (place, reach) = (quoted(place), self.reach.to_arguments());
        let ca = match self.issuer.is_named() {
            true => format!(" {}", self.issuer.options()),
            false => String::new(),
        };
        format!(
            "none; {when}`certforge bundle repack {place}{reach}{ca} --endpoint HOST` makes bundles that name one"
        )
    }

    fn next_command(&self, summary: &Summary, place: &str, found: &Found) -> String {
        if let Some(ForgeError::Store(StoreError::Conflict { .. })) = &summary.failure {
            return "find out first what the error says".to_owned();
        }
        if summary.made + summary.skipped + summary.elsewhere < summary.devices {
            let how = if summary.interrupted { "interrupted: " } else { "" };
            return format!("{how}run the same command again; it goes on where it stopped");
        }
        let (place, reach) = (quoted(place), self.reach.to_arguments());
        if self.shard.is_some() {
            return format!("when every shard is made: certforge seal {place}{reach} --ca CA");
        }
        let usual = LedgerArgs::default().usual();
        let ledger = match usual.is_ok_and(|usual| usual == found.name) {
            true => String::new(),
            false => format!(" --ledger {}", quoted(&found.name.to_string())),
        };
        format!("certforge verify {place}{reach}{ledger}")
    }
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Lines::default();
        lines.line("batch", &self.batch);
        if let Some(shard) = &self.shard {
            lines.line("shard", shard);
        }
        let done = self.made + self.skipped + self.elsewhere;
        if self.made == 0 && done == self.devices {
            lines.line("made", format!("nothing: {} made before", devices(self.devices)));
        } else {
            let (made, rate) = (devices(self.made), count(self.devices_per_second));
            lines
                .line("made", format!("{made} in {:.2} s, {rate}/s", self.seconds))
                .line("skipped", format!("{} made before", count(self.skipped)));
        }
        if self.elsewhere > 0 {
            lines.line(
                "elsewhere",
                format!("{} made by other hosts", count(self.elsewhere)),
            );
        }
        lines.line("failed", count(self.failed));
        if done != self.devices {
            lines.line("left", count(self.devices.saturating_sub(done + self.failed)));
        }
        if self.reissue {
            lines.line(
                "reissue",
                "yes: devices that were issued before have another identity now",
            );
        }
        lines.line("bundles", format!("{} ({})", self.location, self.layout));
        if !self.recipients.is_empty() {
            lines.line("encrypted", format!("to {}", self.recipients.join(", ")));
        }
        if self.sealed {
            lines.line("seal", "seal.json: complete, signed by the issuer");
        }
        let lab = if self.lab_ca {
            ", a LAB CA, not for production"
        } else {
            ""
        };
        let (issuer, key, engine) = (&self.issuer, self.issuer_key, self.signature_engine);
        let endpoint = match &self.endpoint {
            None => self.without_endpoint.clone(),
            Some(host) => text::endpoint(host),
        };
        lines
            .line("ledger", &self.ledger)
            .line("keys", format!("{} by engine {}", self.key_type, self.key_engine))
            .line("issuer", format!("{issuer} ({key} by engine {engine}){lab}"))
            .line("endpoint", endpoint);
        if let Some(ends) = self.valid_until {
            lines.line("valid until", ends.to_string());
        }
        lines.line("next", &self.next);
        lines.fmt(f)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn per_second(made: u64, seconds: f64) -> u64 {
    whole(made as f64 / seconds.max(1e-9))
}

/// Whether a ledger is new of which nobody can tell whether it is the CA's first. Of a lab CA nobody has devices that must not
/// get a second identity.
fn is_news(found: &Found, ledger: &dyn Ledger, issuer: &CaCertificate) -> Result<bool, Failure> {
    if issuer.is_lab() || !ledger.is_new()? {
        return Ok(false);
    }
    let folder = found.folder.as_ref();
    Ok(!folder.map_or(Ok(false), CaFolder::never_had_one)?)
}

/// What has no folder to be remembered in is seen by the batches alone.
fn tell_if_forgotten(found: &Found, to: &Place, issuer: &CaCertificate) {
    if found.keeper().is_none() && !issuer.is_lab() {
        tell_aside(format_args!(
            "certforge: nothing can be noted with this CA: ledger {} is held against the batches in {to} alone",
            found.name
        ));
    }
}

/// What the ledger may be without, since it was said so before.
fn passed_over(found: &Found) -> Result<PassedOver, Failure> {
    let mark = found.folder.as_ref().map(CaFolder::mark).transpose()?.flatten();
    Ok(mark.map(|mark| mark.passed_over).unwrap_or_default())
}

/// Without the ledger that its CA was used with, every device gets a second identity.
fn warn_of_new_ledger(ledger: &str) {
    warn(format_args!(
        "ledger {ledger} is new and knows of no device; if this CA has issued devices before, \
         their ledger must be named with --ledger, or they get a second identity"
    ));
}

pub(super) const ENDPOINT_HINT: &str = "give the host that `aws iot describe-endpoint --endpoint-type iot:Data-ATS` prints with --endpoint, or as [endpoint] host of the profile; `certforge jitp register` notes it with the CA; --no-endpoint makes bundles without one";

/// Certificates that end before a product does.
pub(super) fn short_lived(until: OffsetDateTime, wanted: Duration) -> String {
    format!(
        "these certificates are valid until {}, which is less than {}: devices cannot connect after that; make a CA that is valid for longer, or change [validity] of the profile",
        rfc3339(until),
        span::text(wanted)
    )
}

/// An example's names would be in every certificate.
pub(super) fn examples(profile: &Profile) -> Option<String> {
    let examples: Vec<&str> = profile.examples().collect();
    (!examples.is_empty()).then(|| {
        format!(
            "profile {name} is an example: every certificate would say {}; make it your own: certforge profile show {name} > my-product.toml",
            examples.join(", "),
            name = profile.name()
        )
    })
}

/// Whether a CA that is no lab CA would sign for bundles whose endpoint has no host.
pub(super) fn lacks_endpoint(profile: &Profile, issuer: &CaCertificate) -> bool {
    !issuer.is_lab() && profile.endpoint().host.is_none() && profile.names_host()
}

fn warn_of_examples(profile: &Profile, issuer: &CaCertificate) {
    if !issuer.is_lab()
        && let Some(text) = examples(profile)
    {
        warn(text);
    }
}

/// Stations need more than this program has.
fn warn_of_ssh(profile: &Profile) {
    let is_of_ssh = |recipient: &Recipient| is_ssh(&recipient.to_string());
    if !cfg!(feature = "age") && profile.recipients().iter().any(is_of_ssh) {
        warn(
            "these bundles are for keys of SSH, which this program writes for and does not read: stations need a certforge with the feature age, as the package has it",
        );
    }
}

fn warn_of_oddities(manifest: &str, first: &Oddity, others: usize) {
    let more = match others {
        0 => String::new(),
        others => format!("; and {others} more"),
    };
    warn(format_args!(
        "{manifest}: {first}{more}; `certforge check` lists what is odd"
    ));
}

fn tell_waiting(chunks: u64, hosts: &[String]) {
    let chunks = match chunks {
        1 => "1 chunk".to_owned(),
        chunks => format!("{} chunks", count(chunks)),
    };
    tell_aside(format_args!(
        "certforge: waiting for {chunks} that {} has in hand",
        hosts.join(", ")
    ));
}

fn warn_of_host(noted: &str) {
    warn(format_args!(
        "this batch was begun without an endpoint and goes on without; {noted}, which is noted with the CA since, is for new batches"
    ));
}
