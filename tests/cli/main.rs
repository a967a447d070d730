//! The command line, as a user meets it: goldens, files that are not as they should be, and `bench`.

#[path = "../support/mod.rs"]
mod support;

mod bench;
mod book;
mod check;
mod doctor;
mod documents;
mod goldens;
mod history;
mod hostile;
mod identity_errors;
mod issuer_errors;
mod jobs;
mod ledger_errors;
mod ledger_of_ca;
mod manual;
mod own_files;
mod resume;
mod revocation;
mod terminal;
mod traps;
mod verify_faults;
mod verify_quickly;
