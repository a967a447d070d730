//! Flashing stations: at a batch in a folder, at one in a bucket, and many at once.

#[cfg(feature = "display")]
#[path = "../support/documents.rs"]
mod documents;
#[cfg(feature = "s3")]
#[path = "../support/fault_proxy.rs"]
mod fault_proxy;
#[path = "../support/identity.rs"]
mod identity;
#[path = "../support/line.rs"]
mod line;
#[cfg(feature = "display")]
#[path = "../support/metrics.rs"]
mod metrics;
#[cfg(feature = "s3")]
#[path = "../support/real_server.rs"]
mod real_server;
#[cfg(feature = "s3")]
#[path = "../support/s3_server.rs"]
mod s3_server;
#[path = "../support/mod.rs"]
mod support;

mod away;
mod burn;
mod claims;
mod damaged;
mod encrypted;
mod generations;
#[cfg(feature = "display")]
mod page;
#[cfg(feature = "s3")]
mod race;
mod records;
mod run;
#[cfg(feature = "s3")]
mod s3;
mod seal;
mod told;
mod ways;
mod withdrawn;
