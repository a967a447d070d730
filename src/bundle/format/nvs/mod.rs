//! Partitions of the non-volatile storage (NVS) of Espressif's devices, in which their software looks up values by namespace
//! and key: images of format version 2, as `esp_idf_nvs_partition_gen` 0.3.0 makes them from a CSV, octet for octet, plain
//! or encrypted.
//!
//! A partition is pages of 4096 octets: a header, two bits for each of 126 entries, the entries of 32 octets. ESP-IDF
//! Programming Guide, "Non-Volatile Storage Library", Internals; "NVS Encryption". [`Writer`] makes images, [`read()`]
//! takes them apart and reads nothing that is damaged. Pure: no disk, clock or randomness; keys are given as octets.
//!
//! Where the generator does what a device cannot want, this does not: values of a namespace that is named again
//! later belong to it (the generator puts them into the namespace it named last), and what it writes beside the keys
//! `sta.ssid`, `sta.pswd`, `ap.ssid`, `ap.passwd` and `ap.authmode`, which no entry asked for, is refused rather than guessed.

mod contents;
mod encryption;
mod format;
mod item;
mod layout;
mod page;
mod plan;
mod reader;
mod value;
mod writer;

pub use encryption::{Keys, KeysError, append_keys, read_keys};
pub use plan::{Plan, PlanError, Slot};
pub use reader::{Read, Unread, extent, opens, read};
pub use value::{Kind, Value, ValueError};
pub use writer::{WriteError, Writer};

pub(super) use format::{Nvs, NvsKeys};

/// Octets of a page, and of the partition with the keys.
pub const PAGE: usize = 4096;

#[cfg(test)]
mod tests;
