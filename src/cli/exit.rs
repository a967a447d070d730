//! Exit codes: part of the interface, the same since the first release.

pub const SOME_FAILED: u8 = 1;
pub const USAGE: u8 = 2;
pub const MANIFEST: u8 = 3;
pub const PROFILE: u8 = 4;
pub const ISSUER: u8 = 5;
pub const STORE: u8 = 6;
pub const LEDGER: u8 = 7;
/// AWS refused, or would refuse, or holds something else than what was asked for.
pub const AWS: u8 = 8;
/// A station cannot have the device, or cannot report on it.
pub const STATION: u8 = 9;
pub const INTERRUPTED: u8 = 130;
