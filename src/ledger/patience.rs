//! How long somebody waits for a server that does not answer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Told where the ledger is, and how long it has been away. It says whether to go on waiting.
pub type Tell = dyn Fn(&str, Duration) -> bool + Send + Sync;

/// How long, and who is told. The default does not wait at all.
#[derive(Clone)]
pub struct Patience {
    pub most: Duration,
    pub tell: Arc<Tell>,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            most: Duration::ZERO,
            tell: Arc::new(|_, _| false),
        }
    }
}

impl fmt::Debug for Patience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Patience({:?})", self.most)
    }
}
