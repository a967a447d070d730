//! The command line, held to what it printed before: one golden for each command and each error.
//!
//! What needs only files that git keeps is in `tests/cmd/*.trycmd`; what needs CAs from elsewhere, file
//! modes or damaged batches is in the modules beside this one. `TRYCMD=overwrite cargo test --test cli` rewrites the
//! goldens; read what it wrote, and put `[..]` back where a value differs from run to run. trycmd
//! writes a backslash as a slash.

use certforge::engine::Choice;
use certforge::profile::KeyType;

use crate::support::Workplace;

/// Every command of the goldens has this one passphrase, so that none of them waits for an answer.
const PASSPHRASE: &str = "the passphrase of the goldens";

#[test]
fn prints_what_it_printed_before() {
    let cases = trycmd::TestCases::new();
    // Which engine is taken depends on the processor.
    let auto = Choice::Auto
        .for_keys(KeyType::P256)
        .expect("one makes them")
        .name();
    cases
        .register_bin("certforge", std::path::Path::new(env!("CARGO_BIN_EXE_certforge")))
        // git keeps no file private, and a passphrase file must be.
        .register_bin("chmod", std::path::Path::new("/bin/chmod"))
        .env("CERTFORGE_CA_PASSPHRASE", PASSPHRASE)
        .env("COLUMNS", "100")
        .insert_var("[VERSION]", env!("CARGO_PKG_VERSION"))
        .and_then(|cases| cases.insert_var("[AUTO]", format!("P-256 by engine {auto}")))
        .and_then(|cases| cases.insert_var("[KEYENGINE]", format!("\"key_engine\": \"{auto}\"")))
        .and_then(|cases| cases.insert_var("[SIGNATUREENGINE]", format!("\"signature_engine\": \"{auto}\"")))
        .expect("the names of the variables are some")
        .case("tests/cmd/*.trycmd");
    // A build that lacks commands is held to the goldens of those that it has.
    let others = match cfg!(feature = "aws") {
        true => &["without-aws"][..],
        false => &["help", "usage-errors", "jitp_*", "rehearse_errors"],
    };
    for golden in others {
        cases.skip(format!("tests/cmd/{golden}.trycmd"));
    }
    if cfg!(not(feature = "s3")) {
        cases.skip("tests/cmd/s3-errors.trycmd");
    }
}

/// A line that begins with a byte order mark is found wherever it stands and whichever column comes first.
#[test]
fn lists_every_line_that_begins_with_a_byte_order_mark() {
    let place = Workplace::new();
    for (text, lines) in [
        (
            "serial_number,site\nA1,Lyon\n\u{feff}serial_number,site\nA2,Lyon\n",
            &[3][..],
        ),
        (
            "site,serial_number\nLyon,A1\n\u{feff}site,serial_number\nLyon,A2\n\u{feff}Lyon,A3\n",
            &[3, 5],
        ),
    ] {
        std::fs::write(place.join("joined.csv"), text).expect("the manifest is written");
        let output = place.run(&["check", "joined.csv"]);
        let found = String::from_utf8_lossy(&output.stdout);
        for line in lines {
            let fault = format!("joined.csv, line {line}: the line begins with a byte order mark\n");
            assert!(found.contains(&fault), "{found}");
        }
        assert_eq!(output.status.code(), Some(3));
    }
}

#[test]
fn refuses_a_batch_name_that_begins_with_a_dash() {
    let place = Workplace::new();
    place.manifest(1);
    place.succeed(&["ca", "new", "--no-passphrase"]);
    assert_eq!(
        place.fail(&["run", "devices.csv", "--no-endpoint", "--batch=-x"], 2),
        "certforge: error: \"-x\" cannot name a batch\n\
         certforge: hint: use 1 to 100 of A-Z a-z 0-9 . _ - and neither . nor - first\n"
    );
}

/// No file of this kind is kept, for its size.
#[test]
fn lists_a_line_that_is_longer_than_any_row() {
    let place = Workplace::new();
    let text = format!(
        "serial_number,note\nA1,fine\nA2,{}\nA3,fine\nA/4,fine\n",
        "x".repeat(70_000)
    );
    std::fs::write(place.join("long.csv"), text).expect("the manifest is written");
    let output = place.run(&["check", "long.csv"]);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "long.csv, line 3: the line is longer than 65536 bytes\n\
         long.csv, line 5, column serial_number: \"A/4\" contains \"/\"\n\
         long.csv: bad rows: 2 of 4\n"
    );
}
