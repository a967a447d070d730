//! This machine's clock, where something is dated by it that cannot be taken back.

use certforge::profile::rfc3339;
use time::OffsetDateTime;

use super::Failure;

/// The day that this program was built, in seconds since 1970.
const BUILT: &str = env!("CERTFORGE_BUILT");

/// When this program was built, to the day.
pub fn built() -> OffsetDateTime {
    let seconds = BUILT.parse().unwrap_or(0);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// What time it is, to date certificates by.
pub fn now() -> Result<OffsetDateTime, Failure> {
    let now = OffsetDateTime::now_utc();
    match now < built() {
        false => Ok(now),
        true => Err(Failure::usage(
            &format!(
                "this machine's clock says {}, and this program was built on {}: certificates would be dated wrongly",
                rfc3339(now),
                built().date()
            ),
            "set the clock, and run again",
        )),
    }
}
