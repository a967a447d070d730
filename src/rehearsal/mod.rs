//! The rehearsal: an endpoint on this machine that treats a device's first connection as AWS IoT Core does, and the
//! devices of a batch that connect to it.
//!
//! ```text
//! batch ─► sample ─► Device ─► attempt ──TLS, MQTT──► Endpoint ─► judge ─► Provisioner ─► Rights ─► session
//!                                 │                       │                    │
//!                              reports                  events              Account
//! ```
//!
//! A certificate that is not known is registered, its template is run, and the connection ends; the next one is
//! admitted, as far as its policies let it. Why a device is refused is told as an event, and in the device's report.
//! The same [`attempt`] connects to the real endpoint.

mod account;
mod admission;
mod broker;
mod client;
mod clock;
mod content;
mod device;
mod endpoint;
mod event;
mod fault;
mod fleet;
#[doc(hidden)]
pub mod fuzzing;
mod known;
mod leaf;
mod limit;
mod link;
mod listen;
mod packet;
mod page;
mod provisioner;
mod rights;
mod run;
mod sample;
mod server;
mod session;
mod tls;
mod topic;

pub use account::{
    Account, AccountError, Authority, CertificateStatus, Counts, Listing, Made, NamedPolicy, NamedThing,
    Refusals, Registered,
};
pub use client::{Attempt, ConnectError, Done, Greeting, Step, Target, attempt, roots};
pub use clock::Clock;
pub use device::{Device, DeviceError, Sends};
pub use endpoint::{Endpoint, EndpointError, EndpointOptions, Listener};
pub use event::{Event, EventKind};
pub use fleet::{AttemptReport, DeviceReport, Manner, Stage, Topic};
pub use limit::{Allowance, allow_connections};
pub use packet::Version;
pub use provisioner::{Activation, Provisioning, Settled, decide};
pub use run::{Listening, Rehearsed, RunError, SampledBatch, Told, Trust, connect, rehearse, serve};
pub use sample::{LeftOut, Sample, Skipped};
pub use server::{KeyKind, ServerIdentity, ServerIdentityError};
pub use tls::{Port, SecurityPolicy};

/// Where devices publish when nobody says where, and their policies allow it.
pub const DEFAULT_TOPIC: &str = "JITP/test";
