//! `certforge rehearse BATCH`: every device of a sample connects for the first time, and once more.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use certforge::bundle::Recipe;
use certforge::bundle::encryption::Identities;
use certforge::issuer::{CaCertificate, CaRequest, create};
use certforge::profile::{Attribute, KeyType, NotAfter, Profile, ProfileError};
use certforge::rehearsal::{
    self, KeyKind, Manner, Sample, SampledBatch, Sends, Topic, Trust, Version, allow_connections, roots,
};
use clap::{Args, ValueEnum};
use time::OffsetDateTime;

use super::endpoint::EndpointArgs;
use super::report::{Findings, Rehearsal, title};
use super::values::{client_id, sample, topic};
use crate::cli::failure::Failure;
use crate::cli::identity::IdentityArgs;
use crate::cli::passwords::PasswordArgs;
use crate::cli::report::{Ended, Outcome, Printer, warn};
use crate::cli::{exit, interrupt, progress};

/// Of each step of a connection; the endpoint is on this machine.
const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
#[command(next_help_heading = "Devices of the batch")]
pub struct DeviceArgs {
    /// How many devices, spread evenly over the batch: a number, or all
    #[arg(long, value_name = "N|all", default_value = "200", value_parser = sample, conflicts_with = "serve")]
    sample: Sample,
    /// Devices that connect at once
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=20_000), conflicts_with = "serve")]
    connections: u32,
    /// Attempts of each device, the first one included
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=20), conflicts_with = "serve")]
    attempts: u32,
    /// Version of MQTT
    #[arg(long, value_enum, default_value_t = MqttVersion::V3, conflicts_with = "serve")]
    mqtt: MqttVersion,
    /// Topic of each device's message, with {device_id}, {thing_name} and {client_id} [default: JITP/test, or if the
    /// policies do not allow it, the first that they do]
    #[arg(long, value_name = "TOPIC", value_parser = topic, conflicts_with = "serve")]
    topic: Option<String>,
    /// Topic filter that the firmware subscribes to, with the same placeholders: a device comes up only if each is granted;
    /// may be given again
    #[arg(long, value_name = "FILTER", value_parser = topic, conflicts_with = "serve")]
    subscribe: Vec<String>,
    #[command(flatten)]
    identity: IdentityArgs,
    #[command(flatten)]
    passwords: PasswordArgs,
    /// Devices connect and publish nothing
    #[arg(long, conflicts_with_all = ["serve", "topic"])]
    no_publish: bool,
    /// Client id, with {device_id} and {thing_name} [default: what endpoint.json in the bundle says]
    #[arg(long, value_name = "ID", value_parser = client_id, conflicts_with = "serve")]
    client_id: Option<String>,
    /// Devices send their certificate alone, without the CA's
    #[arg(long, conflicts_with = "serve")]
    leaf_only: bool,
    /// Register another CA in place of the batch's
    #[arg(long, conflicts_with_all = ["serve", "ca", "state"])]
    wrong_ca: bool,
    /// Print a line for each device
    #[arg(long, conflicts_with_all = ["serve", "json"])]
    table: bool,
}

/// A version of MQTT, as users name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MqttVersion {
    #[value(name = "3.1.1")]
    V3,
    #[value(name = "5")]
    V5,
}

impl MqttVersion {
    pub fn version(self) -> Version {
        match self {
            Self::V3 => Version::MQTT3,
            Self::V5 => Version::MQTT5,
        }
    }
}

pub fn run(batch: &str, endpoint: &EndpointArgs, args: &DeviceArgs, printer: Printer) -> Outcome {
    let open = endpoint.open_batch(batch)?.newest()?;
    let issued = open.vouched()?;
    let profile = Profile::from_config(&issued.record().profile)?;
    let profile = profile.with_passwords(&args.passwords.read()?)?;
    profile.endpoint().refuse_unfit().map_err(ProfileError::from)?;
    let identities = args.identity.read_for(profile.recipients())?;
    let authorities = match endpoint.authorities()? {
        _ if args.wrong_ca => vec![another_ca()?],
        named if named.is_empty() => vec![issued.issuer().clone()],
        named => named,
    };
    let allowance = allow_connections(args.connections);
    if allowance.connections < args.connections {
        warn(format!(
            "{} connections at once, not {}: this user may open {} files (ulimit -n)",
            allowance.connections, args.connections, allowance.files
        ));
    }
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let region = profile.endpoint().region.as_deref();
    // Policies may ask for the name by which devices call the endpoint.
    let host = profile.endpoint().host.as_deref();
    // The page and the report tell what happens.
    // Its own devices know both kinds of key, and this one is quicker.
    let kinds = [KeyKind::Ecdsa];
    let ready = endpoint.prepare(authorities, host, region, &kinds, anywhere, Box::new(|_| {}))?;
    let rows = issued.record().rows;
    let size = args.sample.size(rows);
    if host.is_none() {
        warn("the profile of this batch names no endpoint: devices come up here, and would not find AWS IoT");
    }
    interrupt::cancel("");
    printer.tell(title(
        size,
        rows,
        endpoint.is_jitr(),
        ready.listening.http.as_ref(),
    ));
    let trust = Trust {
        host: ready.host,
        roots: roots(&ready.roots).map_err(|error| {
            let hint = "give a certificate with the root above it with --server-cert";
            Failure::usage(&error.to_string(), hint)
        })?,
    };
    let bar = Mutex::new(progress::bar(size, 0));
    let begun = Instant::now();
    let before = ready.endpoint.account.counts()?;
    let rehearsed = rehearsal::rehearse(
        &SampledBatch {
            store: open.store(),
            issued: &issued,
            sample: args.sample,
        },
        &ready.endpoint,
        ready.listening,
        trust,
        args.manner(
            allowance.connections as usize,
            profile.recipe().clone(),
            identities,
        ),
        &|_| bar.lock().expect("no holder panics").inc(1),
        interrupt::is_cancelled,
    )?;
    bar.lock().expect("no holder panics").finish_and_clear();
    let mut prerequisites = ready.prerequisites;
    prerequisites.extend(endpoint.taken_for_granted(&ready.endpoint.account)?);
    prerequisites.sort();
    prerequisites.dedup();
    let rehearsal = Rehearsal::new(Findings {
        batch: issued.record().batch.clone(),
        rows,
        size,
        home: ready.home,
        before,
        after: ready.endpoint.account.counts()?,
        prerequisites,
        elapsed: begun.elapsed(),
        rehearsed,
        table: args.table,
    });
    let code = match () {
        () if rehearsal.interrupted => exit::INTERRUPTED,
        () if !rehearsal.is_good() => exit::SOME_FAILED,
        () => 0,
    };
    let ended = Ended::with(rehearsal).code(code);
    Ok(match args.leaf_only {
        true => ended.warning(LEAF_ALONE),
        false => ended,
    })
}

/// What a rehearsal cannot know.
const LEAF_ALONE: &str = "devices sent their certificate alone (--leaf-only), and AWS's guide has a device send its issuer's too at its first connection: see one device come up at AWS before you rely on this";

impl DeviceArgs {
    fn manner(&self, connections: usize, recipe: Recipe, identities: Option<Identities>) -> Manner {
        Manner {
            recipe,
            identities: identities.map(Arc::new),
            connections,
            attempts: self.attempts,
            version: self.mqtt.version(),
            sends: Sends::new(self.leaf_only),
            topic: match &self.topic {
                _ if self.no_publish => Topic::None,
                Some(topic) => Topic::Template(topic.clone()),
                None => Topic::Allowed,
            },
            subscribe: self.subscribe.clone(),
            client_id: self.client_id.clone(),
            timeout: TIMEOUT,
        }
    }
}

/// A CA that has signed nothing.
fn another_ca() -> Result<CaCertificate, Failure> {
    let request = CaRequest {
        subject: vec![(Attribute::CommonName, "Another CA".to_owned())],
        key_type: KeyType::P256,
        not_after: NotAfter::Issuer,
        path_len: None,
    };
    let made = create(&request, None, OffsetDateTime::now_utc())?;
    Ok(made.certificate().clone())
}
