//! certforge makes a private key, a CA-signed certificate and a bundle for every device of a manifest,
//! on all cores, each exactly once.
//!
//! ```text
//! manifest.csv ─► Manifest ─► chunks ─► reserve ─► keys ─► certificates ─► bundles ─► store ─► commit ─► release ─► seal
//!                                          │                                                     │         │
//!                                          └─────────────────────── ledger ──────────────────────┴─────────┘
//! ```
//!
//! [`forge::run`] is the only place that knows all stages. A stage is either pure (keys,
//! certificates, bundles: no disk, clock, network or terminal; only a [`signer`] may be far away) or it does input and
//! output (manifest, store, ledger), never both. The modules stand below in the order of the flow; each knows
//! only those before it; [`bundle`] comes early, because a profile says which files a bundle has. Nothing is asynchronous but what speaks to a network: S3, within [`store`], the AWS wing, and
//! the page of `display`. What the forge has sealed, a [`station`] claims, bundle by bundle; whoever else
//! does something with a batch's certificates has it [`vouched`] for, by its ledger or by what its issuer has signed. Beside the flow stands
//! [`mod@bench`], which measures its stages one by one, and the whole.
//!
//! The AWS wing is `jitp`, which says beforehand what AWS IoT makes of a device, `aws`, which registers the CA for it, and
//! `rehearsal`, which lets devices try it out. It is one cargo feature, `aws`, and nothing else knows of it.
//!
//! # Words
//!
//! | word | meaning |
//! | --- | --- |
//! | manifest | the CSV file; one row per device |
//! | device id | the manifest's serial number of a device |
//! | certificate serial | the X.509 serialNumber field, never the device id |
//! | certificate id | SHA-256 of the certificate's DER: what AWS IoT calls certificateId |
//! | profile | a TOML file: what a certificate and a bundle of this product look like |
//! | issuer | a CA certificate and the signer proven to match it |
//! | signer | makes signatures with one issuer's key, many at a time, wherever that key lives |
//! | engine | makes device keys, and signatures with keys in memory, many at a time |
//! | credential | one device's private key, certificate and chain |
//! | bundle | the files one device needs, packaged |
//! | member | one file of a bundle: contents (key, certificate, chain, a file of the user's, ..) in a format (PEM, DER, ..) |
//! | chunk | a run of consecutive manifest rows: the unit of work, of a ledger transaction and of a pack |
//! | batch | one manifest, made with one profile by one issuer |
//! | store | where bundles go |
//! | pack | one stored ZIP that holds a chunk's bundles |
//! | ledger | the database of what was reserved, issued and stored: an SQLite file |
//! | seal | the signed statement that a batch is complete, with the digest of everything in it |
//! | station | a flashing station: it claims a bundle, flashes a device with it, and reports |
//! | template | what AWS IoT creates for a device that connects for the first time (JITP) |
//! | rehearsal | a local endpoint that treats a device's first connection as AWS IoT Core does |
//! | claim | the object that makes a device one station's own, and says what became of it |
//!
//! # Exactly once
//!
//! A chunk is *reserved* in the ledger, with the prefix of its certificate serials, before anything of
//! it is signed. It is *committed* after the store holds its bundles durably. It is *released* when
//! its index is in place, which is written last and atomically. Whatever a crash leaves behind
//! unlisted is not released, and the next run replaces it.

#![warn(clippy::unwrap_used)]

pub mod bundle;

pub mod manifest;
pub mod profile;

pub mod engine;

pub mod signer;

pub mod issuer;

pub mod certificate;

pub mod batch;

pub mod plugin;

pub mod store;

pub mod seal;

pub mod ledger;

pub mod vouched;

pub mod rebuild;

pub mod forge;

pub mod bench;

pub mod doctor;

pub mod verify;

pub mod generation;

pub mod station;

#[cfg(feature = "display")]
pub mod display;

#[cfg(feature = "aws")]
pub mod jitp;

#[cfg(feature = "aws")]
pub mod aws;

#[cfg(feature = "aws")]
pub mod rehearsal;

pub mod bounded;
pub mod causes;
pub mod digest;
pub mod exposure;
pub mod flash;
pub mod metrics;
pub mod pem;
pub mod printable;
#[cfg(feature = "sdk")]
pub mod sdk;
pub mod shell;
pub mod whole;
mod wiped;
