//! Runs: a batch that is rehearsed, an endpoint that stays up, one device that connects. Here the runtime begins and
//! ends, so that nobody else need be asynchronous.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::time::interval;
use tokio_rustls::rustls::RootCertStore;

use super::account::AccountError;
use super::client::{Attempt, ConnectError, Greeting, Target, attempt};
use super::device::Device;
use super::endpoint::Endpoint;
use super::fleet::{self, Destination, DeviceReport, Manner};
use super::page;
use super::sample::{self, Sample, Skipped};
use super::tls::Port;
use crate::display::Names;
use crate::store::Store;
use crate::vouched::{Vouched, VouchedError};

/// Devices on their way from the store to a connection, and reports on their way back.
const QUEUE: usize = 64;

/// Connections that wait to be accepted; the system may allow fewer.
const BACKLOG: i32 = 16_384;

/// How often it is seen whether somebody wants the run to end.
const LOOK: Duration = Duration::from_millis(100);

/// Between two attempts of one device: the first pause, of which each further one is twice as long, and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("threads cannot be started")]
    Runtime(#[source] io::Error),
    #[error("nobody can listen on {address}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error(transparent)]
    Batch(#[from] VouchedError),
    #[error(transparent)]
    Account(#[from] AccountError),
}

impl RunError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Batch(error) => return error.hint(),
            Self::Account(error) => return error.hint(),
            Self::Listen { .. } => {
                "choose another address and port with --address, --alpn-address or --http; port 0 takes a free one"
            }
            Self::Runtime(_) => "see how many processes and files this user may have",
        };
        Some(text.to_owned())
    }
}

/// A batch that is to be rehearsed.
pub struct SampledBatch<'a> {
    pub store: &'a Store,
    pub issued: &'a Vouched<'a>,
    pub sample: Sample,
}

/// What came of it.
#[derive(Debug)]
pub struct Rehearsed {
    /// In the order in which they were done.
    pub devices: Vec<DeviceReport>,
    /// Devices of the sample that nobody can connect as.
    pub skipped: Skipped,
    /// Somebody ended it before all were done.
    pub interrupted: bool,
}

/// Whom devices take for the endpoint.
pub struct Trust {
    /// The name in its certificate.
    pub host: String,
    pub roots: Arc<RootCertStore>,
}

/// The sockets of an endpoint, which listen already.
pub struct Listening {
    pub mqtt: StdListener,
    /// For ALPN `x-amzn-mqtt-ca`.
    pub alpn: Option<StdListener>,
    /// For the page.
    pub http: Option<StdListener>,
    /// By which the page may be called.
    pub http_names: Names,
}

impl Listening {
    /// # Errors
    ///
    /// When somebody else listens there.
    pub fn bind(address: SocketAddr) -> Result<StdListener, RunError> {
        let bound = StdListener::bind(address).and_then(|listener| {
            listener.set_nonblocking(true)?;
            // std lets 128 devices wait; whoever finds no place there comes again a second later.
            rustix::net::listen(&listener, BACKLOG)?;
            Ok(listener)
        });
        bound.map_err(|source| RunError::Listen { address, source })
    }

    /// Starts to serve; must be called within a runtime.
    fn start(self, endpoint: &Arc<Endpoint>) -> io::Result<()> {
        let mqtt = TcpListener::from_std(self.mqtt)?;
        tokio::spawn(endpoint.clone().listen(mqtt, Port::Mqtt));
        if let Some(alpn) = self.alpn {
            tokio::spawn(endpoint.clone().listen(TcpListener::from_std(alpn)?, Port::Alpn));
        }
        if let Some(http) = self.http {
            tokio::spawn(page::serve(
                TcpListener::from_std(http)?,
                self.http_names,
                endpoint.clone(),
            ));
        }
        Ok(())
    }
}

/// Rehearses a batch: every device of the sample connects to the endpoint until it is up or refused.
///
/// # Errors
///
/// When the batch cannot be read, or the machine has no threads or sockets.
pub fn rehearse(
    batch: &SampledBatch<'_>,
    endpoint: &Arc<Endpoint>,
    listening: Listening,
    trust: Trust,
    manner: Manner,
    progress: &dyn Fn(&DeviceReport),
    is_cancelled: fn() -> bool,
) -> Result<Rehearsed, RunError> {
    let runtime = runtime()?;
    let address = listening.mqtt.local_addr().map_err(RunError::Runtime)?;
    let (devices, chosen) = mpsc::channel(QUEUE);
    let (reports, mut reported) = mpsc::channel(QUEUE);
    {
        let _inside = runtime.enter();
        listening.start(endpoint).map_err(RunError::Runtime)?;
    }
    let destination = Destination {
        endpoint: endpoint.clone(),
        address,
        host: trust.host,
        roots: trust.roots,
        is_cancelled,
        shared: Arc::new(sample::shared(batch.store, batch.issued.record(), &manner.recipe)),
    };
    runtime.spawn(fleet::connect_all(destination, manner, chosen, reports));
    let mut done = Vec::new();
    let read = std::thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let mut give = |chosen| !is_cancelled() && devices.blocking_send(chosen).is_ok();
            sample::read(batch.store, batch.issued, batch.sample, &mut give)
        });
        while let Some(report) = reported.blocking_recv() {
            progress(&report);
            done.push(report);
        }
        reader.join().expect("it does not panic")
    });
    let skipped = read?;
    let shared = endpoint.account.shared_things()?;
    find_shared(&mut done, &shared);
    Ok(Rehearsed {
        devices: done,
        skipped,
        interrupted: is_cancelled(),
    })
}

/// Devices of which several are one, to the broker or by their thing, would not come up together. `things`: those of
/// more than one certificate, with how many.
fn find_shared(reports: &mut [DeviceReport], things: &HashMap<String, u64>) {
    let mut clients: HashMap<String, usize> = HashMap::new();
    for report in reports.iter() {
        *clients.entry(report.client_id.clone()).or_default() += 1;
    }
    for report in reports.iter_mut().filter(|report| report.would_come_up) {
        let thing = report.thing_name.as_ref();
        if let Some((thing, n)) = thing.and_then(|thing| Some((thing, things.get(thing)?))) {
            report.would_come_up = false;
            report.reason = Some(format!(
                "thing {thing} is attached to {n} certificates, so that as many devices are one"
            ));
        } else if let Some(n) = clients.get(&report.client_id).filter(|n| **n > 1) {
            report.would_come_up = false;
            report.reason = Some(format!(
                "client id {} is that of {n} of these devices, so that each drops the others",
                report.client_id
            ));
        }
    }
}

/// Serves until somebody wants it to end.
///
/// # Errors
///
/// When the machine has no threads or sockets.
pub fn serve(
    endpoint: &Arc<Endpoint>,
    listening: Listening,
    is_cancelled: fn() -> bool,
) -> Result<(), RunError> {
    let runtime = runtime()?;
    runtime.block_on(async {
        listening.start(endpoint).map_err(RunError::Runtime)?;
        let mut look = interval(LOOK);
        while !is_cancelled() {
            look.tick().await;
        }
        Ok(())
    })
}

/// What is told of a device that connects, as it happens.
#[derive(Debug, Clone, Copy)]
pub enum Told<'a> {
    Attempt(&'a Attempt),
    /// It was dropped before CONNACK, and comes again after this time.
    Again(Duration),
}

/// Connects as one device, to wherever it is told, and comes again when it is dropped before CONNACK, as AWS IoT drops a
/// device that it provisions. Returns the attempts, of which there is one at least and `most` at most.
///
/// # Errors
///
/// When the machine has no threads. How an attempt went is in it.
pub fn connect(
    device: &Device,
    roots: &Arc<RootCertStore>,
    target: &Target,
    greeting: &Greeting,
    most: u32,
    tell: &mut dyn FnMut(Told<'_>),
) -> Result<Vec<Attempt>, RunError> {
    let mut attempts = Vec::new();
    let mut pause = FIRST_PAUSE;
    loop {
        let runtime = runtime()?;
        let attempt = runtime.block_on(attempt(device, roots.clone(), target, greeting));
        // A question for an address that nobody answers would be waited for.
        runtime.shutdown_background();
        tell(Told::Attempt(&attempt));
        let is_dropped = attempt.error.as_ref().is_some_and(ConnectError::is_dropped);
        attempts.push(attempt);
        if !is_dropped || attempts.len() as u64 >= u64::from(most) {
            return Ok(attempts);
        }
        tell(Told::Again(pause));
        std::thread::sleep(pause);
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}

fn runtime() -> Result<Runtime, RunError> {
    let mut builder = Builder::new_multi_thread();
    builder.enable_all().build().map_err(RunError::Runtime)
}
