//! `certforge run`.

use std::fmt;
use std::path::{Path, PathBuf};

use certforge::batch::Layout;
use certforge::bundle::Content;
use certforge::engine::{Choice, Random};
use certforge::forge::{self, Event, ForgeError, Job, Shard, Summary};
use certforge::issuer::{CaCertificate, Issuer};
use certforge::ledger::{Ledger, LedgerName, LedgerNameError};
use certforge::manifest::{Manifest, Oddity};
use certforge::profile::{self, Ends, Host, KeyType, Profile, rfc3339};
use certforge::shell::quoted;
use certforge::store::{Place, Store, StoreError};
use clap::Args;
use serde::Serialize;
use time::{Duration, OffsetDateTime};

use super::issuer::{DEFAULT_FOLDER, IssuerArgs};
use super::progress::Bar;
use super::report::{Ended, Outcome, tell_aside, warn};
use super::shard::{self, Taken};
use super::text::{Lines, count, devices, whole};
use super::{Failure, clock, exit, interrupt, ledger, log, patience, place, run_metrics, span};

#[derive(Debug, Args)]
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
    /// How long certificates hold at least, or there is a warning [default: as the profile says, else 2y]
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    min_validity: Option<Duration>,
    /// auto, lanes, aws-lc or ring. lanes is for P-256, on processors with AVX-512 IFMA
    #[arg(long, value_name = "ENGINE", default_value = "auto")]
    engine: String,
    /// Threads that work [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Name of the batch [default: the manifest's name and the start of its SHA-256]
    #[arg(long, value_name = "NAME")]
    pub(super) batch: Option<String>,
    /// Ledger: what was issued, so that nothing is issued twice
    #[arg(long, value_name = "FILE", default_value = ledger::DEFAULT_FILE)]
    ledger: PathBuf,
    /// How long to wait for a ledger's server that goes away while it is in use
    #[arg(long, value_name = "SPAN", value_parser = patience::parse, default_value = "10min")]
    ledger_wait: std::time::Duration,
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
    valid_until: Option<Ends>,
    error: Option<Failure>,
    #[serde(skip)]
    issuer_key: KeyType,
    #[serde(skip)]
    next: String,
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
        let engines = Choice::parse(&self.engine);
        let profile = self.profile()?;
        engines.for_keys(profile.key_type())?;
        let manifest = Manifest::open(place::file(&self.manifest), profile.id_column())?;
        let ledger_path = self.ledger()?;
        let cancel =
            interrupt::cancel("finishing the chunks in flight; Ctrl-C again stops at once and loses nothing");
        let name: LedgerName = ledger_path
            .to_string_lossy()
            .parse()
            .map_err(|error: LedgerNameError| {
                Failure::usage(
                    &format!("--ledger: {error}"),
                    "name a file, or postgres://user@host/database",
                )
            })?;
        let patience = patience::of(self.ledger_wait, self.lease, cancel);
        let mut ledger = certforge::ledger::open_patiently(&name, new_ledger_id()?, patience)?;
        let issuer = self.issuer(&manifest, &profile, &*ledger, &engines, now)?;
        self.refuse_without_endpoint(&profile, issuer.certificate())?;
        // Of a lab CA nobody has devices that must not get a second identity.
        let is_news = ledger.is_new()? && !issuer.certificate().is_lab();
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
                    warn_of_examples(&profile, issuer.certificate());
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
        let summary = forge::run(&job, &mut *ledger, &open_store, &observe, cancel);
        drop(bar);
        if let (Some(path), Ok(summary)) = (&self.metrics, &summary) {
            run_metrics::write(path, Some(summary), profile.name(), OffsetDateTime::now_utc())?;
        }
        Ok(self.ended(summary?, &to, &profile, &issuer, ledger_name))
    }

    /// The profile, with the endpoint that is given, or that it names itself, or that is noted with the CA.
    pub(super) fn profile(&self) -> Result<Profile, Failure> {
        let given = self.endpoint.as_deref().filter(|_| !self.no_endpoint);
        let profile = Profile::load(&self.profile, given)?;
        if profile.endpoint().host.is_some() || self.no_endpoint {
            return Ok(profile);
        }
        Ok(match self.issuer.endpoint()? {
            Some(host) => profile.with_noted_host(&host)?,
            None => profile,
        })
    }

    /// A batch without an endpoint cannot be given one: its devices would need new identities.
    fn refuse_without_endpoint(&self, profile: &Profile, issuer: &CaCertificate) -> Result<(), Failure> {
        match lacks_endpoint(profile, issuer) && !self.no_endpoint {
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

    /// Shards that share a folder do not share a ledger: where a folder is named, each has its own in there.
    pub(super) fn ledger(&self) -> Result<PathBuf, Failure> {
        let Some(shard) = self.shard()? else {
            return Ok(self.ledger.clone());
        };
        let own = format!("certforge-{}-of-{}.db", shard.number(), shard.of());
        Ok(match self.ledger == Path::new(ledger::DEFAULT_FILE) {
            true => PathBuf::from(own),
            false if self.ledger.is_dir() => self.ledger.join(own),
            false => self.ledger.clone(),
        })
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
        ledger: &dyn Ledger,
        engines: &Choice,
        now: OffsetDateTime,
    ) -> Result<Issuer, Failure> {
        let default = Path::new(DEFAULT_FOLDER);
        if !self.issuer.is_named()
            && forge::make_lab_ca(default, (manifest, profile), self.shard()?, ledger, now)?
        {
            tell_aside(format_args!(
                "certforge: there was no CA: made a LAB CA in ./{DEFAULT_FOLDER}"
            ));
            tell_aside(
                "certforge: its key is not encrypted; it is for trying things out, not for devices that ship",
            );
        }
        Ok(self.issuer.load_for(engines, now)?)
    }

    fn ended(
        &self,
        summary: Summary,
        to: &Place,
        profile: &Profile,
        issuer: &Issuer,
        ledger: String,
    ) -> Ended {
        let place = to.batch(&summary.batch).to_string();
        let next = self.next_command(&summary, &place, &ledger);
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
            layout: self.layout,
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
            valid_until: summary.valid_until,
            error: failure.clone(),
            issuer_key: issuer.key_type(),
            next,
        };
        Ended::done(made).code(code).failed(failure)
    }

    fn next_command(&self, summary: &Summary, place: &str, ledger: &str) -> String {
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
        let ledger = match self.ledger.as_path() == Path::new(ledger::DEFAULT_FILE) {
            true => String::new(),
            false => format!(" --ledger {}", quoted(ledger)),
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
            None => {
                "none: these bundles name no endpoint; give --endpoint HOST or the profile's [endpoint] host"
                    .to_owned()
            }
            Some(host) if Host::of(host) == Host::Other => format!(
                "{host}, none of AWS's own names: as a custom domain it needs a certificate under the roots in the bundles"
            ),
            Some(host) => host.clone(),
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

pub fn new_ledger_id() -> Result<[u8; 16], Failure> {
    Ok(Random.octets()?)
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
    !issuer.is_lab() && profile.endpoint().host.is_none() && profile.recipe().holds(&Content::Endpoint)
}

fn warn_of_examples(profile: &Profile, issuer: &CaCertificate) {
    if !issuer.is_lab()
        && let Some(text) = examples(profile)
    {
        warn(text);
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
