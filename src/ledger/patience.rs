//! How a server is dealt with that several hosts share: how long somebody waits for it, and for how long it lends.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Told where the ledger is, and how long it has been away. It says whether to go on waiting.
pub type Tell = dyn Fn(&str, Duration) -> bool + Send + Sync;

/// How long a chunk is lent to a host that is not heard of.
pub const LEASE: Duration = Duration::from_mins(1);

/// How long, and who is told. The default does not wait at all.
#[derive(Clone)]
pub struct Patience {
    /// As long as this for a server that does not answer.
    pub most: Duration,
    /// Also for one that is not there when it is first asked, which may be the wrong one.
    pub from_the_start: bool,
    pub tell: Arc<Tell>,
    /// How long a lease of a chunk holds without renewal.
    pub lease: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            most: Duration::ZERO,
            from_the_start: false,
            tell: Arc::new(|_, _| false),
            lease: LEASE,
        }
    }
}

impl fmt::Debug for Patience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Patience({:?})", self.most)
    }
}
