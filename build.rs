//! Says when the program is built: a clock that is before that is wrong. `SOURCE_DATE_EPOCH` says it for builds that are
//! to be the same to the octet.

use std::time::{SystemTime, UNIX_EPOCH};

const DAY: u64 = 24 * 60 * 60;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let given = std::env::var("SOURCE_DATE_EPOCH")
        .ok()
        .and_then(|text| text.parse().ok());
    let built: u64 = given.unwrap_or_else(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| since.as_secs())
    });
    // The day will do, and builds of one day are alike.
    println!("cargo::rustc-env=CERTFORGE_BUILT={}", built / DAY * DAY);
}
