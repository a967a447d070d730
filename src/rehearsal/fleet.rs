//! The fleet: the devices of a batch, which all connect for the first time, come again, and publish.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::sleep;
use tokio_rustls::rustls::RootCertStore;

use super::account::{AccountError, CertificateStatus};
use super::client::{Attempt, ConnectError, Greeting, Step, Target, attempt};
use super::device::{Device, DeviceError, Sends};
use super::endpoint::Endpoint;
use super::packet::Version;
use super::sample::{Chosen, SharedFiles};
use crate::bundle::encryption::Identities;
use crate::bundle::{OpenError, Recipe};
use crate::causes::in_one_line;

/// The first pause before a device comes again; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// And none is longer than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// How devices behave.
#[derive(Debug, Clone)]
pub struct Manner {
    /// By which their bundles were made.
    pub recipe: Recipe,
    /// By which their bundles are read, if they are encrypted.
    pub identities: Option<Arc<Identities>>,
    /// At once.
    pub connections: usize,
    /// Of each device, the first one included.
    pub attempts: u32,
    pub version: Version,
    pub sends: Sends,
    pub topic: Topic,
    /// Topic filters that its firmware needs, with the same placeholders.
    pub subscribe: Vec<String>,
    /// With `{device_id}`, `{serial_number}` and `{thing_name}`; `None`: what the bundle says, or else the certificate's CN.
    pub client_id: Option<String>,
    /// Of each step of a connection.
    pub timeout: Duration,
}

/// Where a device publishes once it is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topic {
    /// Nowhere.
    None,
    /// To one that its policies allow.
    Allowed,
    /// With `{device_id}`, `{serial_number}`, `{thing_name}` and `{client_id}`.
    Template(String),
}

/// What happened to one device.
#[derive(Debug, Clone, Serialize)]
pub struct DeviceReport {
    pub device_id: String,
    pub would_come_up: bool,
    /// Why not, as the endpoint says it, or else the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the device itself saw of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_saw: Option<String>,
    pub client_id: String,
    pub certificate_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thing_name: Option<String>,
    pub policies: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<CertificateStatus>,
    /// It was ACTIVE before, as the state has it, so that no template ran.
    pub known_before: bool,
    /// To which it subscribed, or was to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subscriptions: Vec<String>,
    /// Where it published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    pub attempts: Vec<AttemptReport>,
    #[serde(skip)]
    pub stage: Stage,
}

/// How far a device came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Stage {
    /// It was never registered.
    #[default]
    Refused,
    /// It was registered and nothing was made for it.
    Registered,
    /// It was registered and provisioned, and then disconnected.
    Provisioned,
    Connected,
    Subscribed,
    Published,
}

/// One attempt at a connection.
#[derive(Debug, Clone, Serialize)]
pub struct AttemptReport {
    pub milliseconds: f64,
    /// The last step that was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reached: Option<Step>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Where the fleet connects.
#[derive(Clone)]
pub struct Destination {
    pub endpoint: Arc<Endpoint>,
    pub address: SocketAddr,
    pub host: String,
    pub roots: Arc<RootCertStore>,
    /// Whether somebody wants the run to end.
    pub is_cancelled: fn() -> bool,
    /// What devices have beside their bundles.
    pub shared: Arc<SharedFiles>,
}

/// Lets every device that comes out of `devices` connect, and gives a report of each, in no order.
pub async fn connect_all(
    destination: Destination,
    manner: Manner,
    mut devices: mpsc::Receiver<Chosen>,
    reports: mpsc::Sender<DeviceReport>,
) {
    let permits = Arc::new(Semaphore::new(manner.connections));
    let manner = Arc::new(manner);
    while let Some(chosen) = devices.recv().await {
        let permit = permits.clone().acquire_owned().await;
        let permit = permit.expect("nobody closes it");
        let (destination, manner, reports) = (destination.clone(), manner.clone(), reports.clone());
        tokio::spawn(async move {
            let report = rehearse(&destination, &manner, chosen).await;
            drop(permit);
            // Nobody may want to know any more.
            let _ = reports.send(report).await;
        });
    }
}

/// What one device does.
async fn rehearse(destination: &Destination, manner: &Manner, chosen: Chosen) -> DeviceReport {
    let mut report = DeviceReport {
        device_id: chosen.entry.device_id.to_string(),
        would_come_up: false,
        reason: None,
        device_saw: None,
        client_id: String::new(),
        certificate_id: data_encoding::HEXLOWER.encode(&chosen.entry.certificate_id),
        thing_name: None,
        policies: 0,
        status: None,
        known_before: false,
        subscriptions: Vec::new(),
        topic: None,
        attempts: Vec::new(),
        stage: Stage::Refused,
    };
    let device = match open(&chosen, manner, &destination.shared) {
        Ok(device) => device,
        Err(text) => {
            report.reason = Some(text);
            return report;
        }
    };
    report.certificate_id.clone_from(&device.certificate_id);
    report.client_id = client_id(manner, &device, &report.device_id);
    if let Err(error) = look(destination, &mut report) {
        report.reason = Some(in_one_line(&error));
        return report;
    }
    report.known_before = report.status == Some(CertificateStatus::Active);
    let mut pause = FIRST_PAUSE;
    for n in 0..manner.attempts {
        if n > 0 {
            sleep(jittered(pause)).await;
            pause = LONGEST_PAUSE.min(pause * 2);
            if (destination.is_cancelled)() {
                report.reason = Some("interrupted before its next attempt".to_owned());
                return report;
            }
        }
        let begun = Instant::now();
        let topic = topic(destination, manner, &device, &report);
        report.topic = topic;
        let fill = |template: &String| fill(template, &report);
        report.subscriptions = manner.subscribe.iter().map(fill).collect();
        let result = try_once(destination, manner, &device, &report).await;
        report.attempts.push(AttemptReport {
            milliseconds: begun.elapsed().as_secs_f64() * 1e3,
            reached: result.done.last().map(|done| done.step),
            error: result.error.as_ref().map(ToString::to_string),
        });
        if let Err(error) = look(destination, &mut report) {
            report.reason = Some(in_one_line(&error));
            return report;
        }
        if result.done.iter().any(|done| done.step == Step::Connect) {
            report.stage = Stage::Connected;
        }
        let is_subscribed = result.done.iter().any(|done| done.step == Step::Subscribe);
        let refused = result.error.as_ref().map(ConnectError::step);
        if is_subscribed && refused != Some(Step::Subscribe) {
            report.stage = Stage::Subscribed;
        }
        let Some(error) = result.error else {
            if report.topic.is_some() {
                report.stage = Stage::Published;
            }
            report.would_come_up = true;
            report.reason = None;
            report.device_saw = None;
            return report;
        };
        report.device_saw = Some(error.to_string());
        if let Some(reason) = destination
            .endpoint
            .refusal_after(&report.certificate_id, &error)
            .await
        {
            report.reason = Some(reason);
            return report;
        }
        if error.is_final() {
            report.reason = Some(error.to_string());
            return report;
        }
        // Whatever a network does passes; what a device is dropped for without a refusal is its first connection.
        report.reason = Some(unexplained(&error, report.status));
    }
    report
}

fn open(chosen: &Chosen, manner: &Manner, shared: &SharedFiles) -> Result<Device, String> {
    let shared = shared.as_ref().map_err(Clone::clone)?;
    let octets = match &chosen.bundle {
        Ok(octets) => octets,
        Err(error) => return Err(in_one_line(error)),
    };
    let beside = (shared, manner.identities.as_deref());
    Device::of_batch(octets, &chosen.entry, &manner.recipe, beside).map_err(|error| match error {
        DeviceError::Zip(OpenError::OtherDigest) => {
            "the bundle is not the one that the index names; `certforge verify` says more".to_owned()
        }
        error => error.to_string(),
    })
}

/// Why a device that was not refused is not up.
fn unexplained(error: &ConnectError, status: Option<CertificateStatus>) -> String {
    match status {
        Some(CertificateStatus::PendingActivation) => {
            "the certificate is PENDING_ACTIVATION until it is activated (JITR)".to_owned()
        }
        Some(CertificateStatus::Active) if error.is_dropped() => {
            "it was provisioned and disconnected, and had no attempt left to come again".to_owned()
        }
        _ => error.to_string(),
    }
}

/// Reads what has been made for the device.
fn look(destination: &Destination, report: &mut DeviceReport) -> Result<(), AccountError> {
    let account = &destination.endpoint.account;
    let Some(found) = account.certificate(&report.certificate_id)? else {
        return Ok(());
    };
    report.status = Some(found.status);
    report.stage = match found.status {
        CertificateStatus::Active | CertificateStatus::Inactive => Stage::Provisioned,
        CertificateStatus::PendingActivation | CertificateStatus::Revoked => Stage::Registered,
    };
    let things = account.things_of(&report.certificate_id)?;
    report.thing_name = things.into_iter().next().map(|thing| thing.thing_name);
    report.policies = account.policies_of(&report.certificate_id)?.len();
    Ok(())
}

fn client_id(manner: &Manner, device: &Device, device_id: &str) -> String {
    match &manner.client_id {
        Some(template) => {
            let endpoint = device.endpoint.as_ref();
            let thing = endpoint.map_or(device_id, |endpoint| &endpoint.thing_name);
            template
                .replace("{device_id}", device_id)
                .replace("{serial_number}", device_id)
                .replace("{thing_name}", thing)
        }
        None => device.client_id().unwrap_or_else(|| device_id.to_owned()),
    }
}

/// The topic of a device's message: as it was asked for, or one that the policies allow.
fn topic(
    destination: &Destination,
    manner: &Manner,
    device: &Device,
    report: &DeviceReport,
) -> Option<String> {
    if let Topic::Template(template) = &manner.topic {
        return Some(fill(template, report));
    }
    if manner.topic == Topic::None {
        return None;
    }
    let allowed = destination.endpoint.a_topic(
        &device.certificate,
        &report.certificate_id,
        &report.client_id,
        &destination.host,
    );
    Some(allowed.unwrap_or_else(|| super::DEFAULT_TOPIC.to_owned()))
}

/// A topic or a topic filter with what the device is called. `{serial_number}` is the manifest's name of the device id.
fn fill(template: &str, report: &DeviceReport) -> String {
    let thing = report.thing_name.as_deref().unwrap_or(&report.client_id);
    template
        .replace("{device_id}", &report.device_id)
        .replace("{serial_number}", &report.device_id)
        .replace("{thing_name}", thing)
        .replace("{client_id}", &report.client_id)
}

async fn try_once(
    destination: &Destination,
    manner: &Manner,
    device: &Device,
    report: &DeviceReport,
) -> Attempt {
    let greeting = Greeting {
        version: manner.version,
        client_id: report.client_id.clone(),
        subscribe: report.subscriptions.clone(),
        topic: report.topic.clone(),
        payload: Bytes::from_static(b"{\"state\":\"rehearsed\"}"),
        sends: manner.sends,
        timeout: manner.timeout,
        alpn: false,
    };
    let target = Target {
        host: destination.host.clone(),
        port: destination.address.port(),
        address: Some(destination.address),
    };
    attempt(device, destination.roots.clone(), &target, &greeting).await
}

/// Between half of a pause and all of it, so that devices do not come all at once.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(0.5 + fastrand::f64() / 2.0)
}
