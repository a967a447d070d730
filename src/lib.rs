//! certforge.
pub mod manifest;
pub mod profile;
pub mod engine;
pub mod issuer;
pub mod certificate;
pub mod bundle;
pub mod pem;
pub mod store;
pub mod ledger;
pub mod forge;
pub mod verify;
