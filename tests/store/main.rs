//! Stores: what each promises, which failures a batch lives through, and servers of S3 that are not ours.

#[cfg(feature = "s3")]
#[path = "../support/account.rs"]
mod account;
#[cfg(feature = "s3")]
#[path = "../support/fault_proxy.rs"]
mod fault_proxy;
#[cfg(feature = "s3")]
#[path = "../support/identity.rs"]
mod identity;
#[cfg(feature = "s3")]
#[path = "../support/real_server.rs"]
mod real_server;
#[cfg(feature = "s3")]
#[path = "../support/s3_server.rs"]
mod s3_server;
#[path = "../support/store_contract.rs"]
mod store_contract;
#[cfg(feature = "s3")]
#[path = "../support/mod.rs"]
mod support;

#[cfg(feature = "s3")]
mod bucket_policies;
#[cfg(feature = "s3")]
mod encrypted;
mod failures;
#[cfg(feature = "s3")]
mod faults;
mod generations;
#[cfg(feature = "s3")]
mod s3;
#[cfg(feature = "s3")]
mod servers;
