//! The endpoint's clock, which may be wrong on purpose.

use time::{Duration, OffsetDateTime};

/// A clock that differs from this machine's.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock {
    /// What it is ahead; negative: behind.
    pub skew: Duration,
}

impl Clock {
    #[must_use]
    pub fn now(self) -> OffsetDateTime {
        OffsetDateTime::now_utc().saturating_add(self.skew)
    }

    /// Milliseconds since 1970, by this machine's own clock: for events.
    #[must_use]
    pub fn milliseconds() -> i64 {
        let now = OffsetDateTime::now_utc();
        now.unix_timestamp() * 1_000 + i64::from(now.millisecond())
    }
}
