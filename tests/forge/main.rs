//! Batches, from the CA to the seal: made, broken off, made in shards, and judged by other people's programs.

#[path = "../support/account.rs"]
mod account;
#[path = "../support/broker.rs"]
mod broker;
#[path = "../support/devices.rs"]
mod devices;
#[path = "../support/identity.rs"]
mod identity;
mod judge;
#[path = "../support/ledger_contract.rs"]
mod ledger_contract;
#[cfg(feature = "postgres")]
#[path = "../support/postgres.rs"]
mod postgres;
#[cfg(feature = "s3")]
#[path = "../support/s3_server.rs"]
mod s3_server;
#[cfg(feature = "pkcs11")]
#[path = "../support/softhsm.rs"]
mod softhsm;
#[path = "../support/mod.rs"]
mod support;

mod constant_time;
mod copies;
mod crash;
mod encryption;
mod espressif;
#[cfg(feature = "postgres")]
mod factory;
mod firmware;
mod formats;
mod handshake;
mod interrupt;
mod issuer;
mod judges;
mod lanes;
mod ledger;
mod password_file;
mod rebuild;
mod recipients;
mod rsa;
mod secrets;
mod shards;
mod shared;
#[cfg(feature = "pkcs11")]
mod tokens;
mod traditional;
