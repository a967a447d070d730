//! certforge.
pub mod bundle;
pub mod certificate;
pub mod digest;
pub mod engine;
pub mod forge;
pub mod issuer;
pub mod ledger;
pub mod manifest;
pub mod pem;
pub mod profile;
pub mod store;
pub mod verify;
