//! The endpoint: what AWS IoT Core is for one account in one Region, who is connected to it, and what it tells of what
//! happens.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::account::{Account, AccountError};
use super::broker::{Broker, Message};
use super::client::ConnectError;
use super::clock::Clock;
use super::event::{Event, EventKind, Who};
use super::leaf::Leaf;
use super::packet::QoS;
use super::provisioner::{Provisioner, Provisioning, Standing};
use super::rights::{Origin, Rights};
use super::server::{ServerIdentity, ServerIdentityError};
use super::tls::{SecurityPolicy, Tls};
use crate::causes::in_one_line;
use crate::jitp::{Greeting, Home};

/// How much later than its device the endpoint may tell of a handshake that failed.
const LATE: Duration = Duration::from_secs(2);

/// What an endpoint is.
pub struct EndpointOptions {
    pub provisioning: Provisioning,
    pub home: Home,
    pub identity: ServerIdentity,
    /// Which versions and suites of TLS it takes.
    pub policy: SecurityPolicy,
    /// Refuse devices that send no server name (SNI), as AWS IoT does where the CA is registered as SNI_ONLY.
    pub sni_only: bool,
    pub clock: Clock,
}

/// An endpoint that cannot be.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error(transparent)]
    Identity(#[from] ServerIdentityError),
}

impl EndpointError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Account(error) => error.hint(),
            Self::Identity(error) => error.hint(),
        }
    }
}

/// Hears of everything that happens.
pub type Listener = Box<dyn Fn(&Event) + Send + Sync>;

/// An endpoint that behaves as AWS IoT Core does for one account in one Region.
pub struct Endpoint {
    pub account: Arc<Account>,
    pub broker: Broker,
    pub(super) home: Home,
    provisioner: Provisioner,
    pub(super) tls: Tls,
    pub(super) sni_only: bool,
    clock: Clock,
    listener: Listener,
    /// Why each certificate was last refused, by certificate id.
    refusals: Mutex<HashMap<String, String>>,
    /// Wakes whoever waits for a refusal.
    told: Notify,
    client_ids: AtomicU64,
    /// Events since the endpoint is up, by kind.
    events: [AtomicU64; EventKind::ALL.len()],
}

impl Endpoint {
    /// # Errors
    ///
    /// When the CAs cannot be read from the state, or TLS has no use for the endpoint's certificates.
    pub fn new(
        account: Arc<Account>,
        options: EndpointOptions,
        listener: Listener,
    ) -> Result<Self, EndpointError> {
        let authorities = account.authorities()?;
        Ok(Self {
            tls: Tls::new(&options.identity, authorities, options.clock, options.policy)?,
            provisioner: Provisioner::new(account.clone(), options.provisioning),
            account,
            broker: Broker::default(),
            home: options.home,
            sni_only: options.sni_only,
            clock: options.clock,
            listener,
            refusals: Mutex::default(),
            told: Notify::new(),
            client_ids: AtomicU64::default(),
            events: Default::default(),
        })
    }

    pub(super) fn admit(&self, leaf: &Leaf) -> Result<Standing, AccountError> {
        self.provisioner.admit(leaf, Clock::milliseconds() / 1_000)
    }

    /// Publishes that a certificate was registered, as AWS IoT does.
    /// <https://docs.aws.amazon.com/iot/latest/developerguide/auto-register-device-cert.html>
    pub(super) fn announce(&self, leaf: &Leaf) {
        let now = self.clock.now().unix_timestamp() * 1_000;
        let event = json!({
            "certificateId": leaf.id,
            "caCertificateId": leaf.authority,
            "timestamp": now,
            "certificateStatus": "PENDING_ACTIVATION",
            "awsAccountId": self.home.account,
            "certificateRegistrationTimestamp": now.to_string(),
        });
        self.broker.publish(&Message {
            topic: format!("$aws/events/certificates/registered/{}", leaf.authority),
            payload: Bytes::from(event.to_string()),
            qos: QoS::AtLeastOnce,
        });
    }

    /// A client id for a device that has none.
    pub(super) fn new_client_id(&self) -> String {
        format!("unnamed-{}", self.client_ids.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Why a certificate was last refused, if it was; asked by a device that saw this error.
    pub(super) async fn refusal_after(&self, certificate_id: &str, error: &ConnectError) -> Option<String> {
        let refusal = || {
            let refusals = self.refusals.lock().expect("no holder panics");
            refusals.get(certificate_id).cloned()
        };
        let deadline = Instant::now() + LATE;
        loop {
            let told = self.told.notified();
            let found = refusal();
            // A device hears a TLS alert before the endpoint has told of it.
            if found.is_some() || !error.is_refused() {
                return found;
            }
            if timeout_at(deadline, told).await.is_err() {
                return refusal();
            }
        }
    }

    /// A topic that the policies of a certificate let its device publish to.
    pub(super) fn a_topic(
        &self,
        der: &[u8],
        certificate_id: &str,
        client_id: &str,
        host: &str,
    ) -> Option<String> {
        let leaf = Leaf {
            der: der.to_vec(),
            id: certificate_id.to_owned(),
            authority: String::new(),
            name: String::new(),
        };
        let origin = Origin {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            server_name: Some(host.to_owned()),
            greeting: Greeting::default(),
        };
        let rights = Rights::read(&self.account, &leaf, client_id, &origin, &self.home);
        rights.ok()?.ok()?.a_topic()
    }

    /// How often something of a kind happened since the endpoint is up.
    pub(super) fn events_of(&self, kind: EventKind) -> u64 {
        self.events[kind as usize].load(Ordering::Relaxed)
    }

    pub(super) fn tell(&self, who: &Who, kind: EventKind, text: String) {
        if let (EventKind::Refused, Some(id)) = (kind, &who.certificate_id) {
            let mut refusals = self.refusals.lock().expect("no holder panics");
            refusals.insert(id.clone(), text.clone());
        }
        self.events[kind as usize].fetch_add(1, Ordering::Relaxed);
        let mut event = Event {
            at: Clock::milliseconds(),
            kind,
            peer: who.peer.to_string(),
            client_id: who.client_id.clone(),
            certificate_id: who.certificate_id.clone(),
            name: who.name.clone(),
            text,
        };
        if let Err(error) = self.account.record(&event) {
            // Whoever listens hears it still, and why nobody will read it later.
            event.text = format!("{} ({})", event.text, in_one_line(&error));
        }
        (self.listener)(&event);
        if kind == EventKind::Refused {
            self.told.notify_waiters();
        }
    }
}
