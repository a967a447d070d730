//! The command line, held to what it printed before: one golden for each command and each error.
//!
//! What needs only files that git keeps is in `tests/cmd/*.trycmd`; what needs CAs from elsewhere, file
//! modes or damaged batches is in the modules. `TRYCMD=overwrite cargo test --test cli` rewrites the
//! goldens; read what it wrote, and put `[..]` back where a value differs from run to run.

mod support;

mod cmd {
    mod issuer_errors;
    mod ledger_errors;
    mod resume;
    mod verify_faults;
}

/// Every command of the goldens has this one passphrase, so that none of them waits for an answer.
const PASSPHRASE: &str = "the passphrase of the goldens";

#[test]
fn prints_what_it_printed_before() {
    trycmd::TestCases::new()
        .env("CERTFORGE_CA_PASSPHRASE", PASSPHRASE)
        .env("COLUMNS", "100")
        .insert_var("[VERSION]", env!("CARGO_PKG_VERSION"))
        .expect("the name of the variable is one")
        .case("tests/cmd/*.trycmd");
}
