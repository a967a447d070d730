//! The doctor: looks at what a run would depend on, and says of each whether it is well. What it says can be handed on:
//! of secrets it tells that they are there, and nothing more.

mod authority;
#[cfg(feature = "sdk")]
mod network;
mod places;
mod program;
mod settings;

use std::path::PathBuf;

use serde::Serialize;
use time::OffsetDateTime;

use crate::ledger::LedgerName;
pub use program::features;

/// What to look at.
#[derive(Debug, Clone)]
pub struct Options {
    /// Folder of the CA.
    pub ca: PathBuf,
    pub ledger: LedgerName,
    /// Folder that batches go to.
    pub folder: Option<PathBuf>,
    /// Bucket that batches go to.
    pub bucket: Option<String>,
    #[cfg(feature = "sdk")]
    pub reach: crate::sdk::Reach,
    /// Ask nobody over the network.
    pub offline: bool,
    pub now: OffsetDateTime,
    /// When the program was built.
    pub built: OffsetDateTime,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Ok,
    /// It may be meant so, and may be in the way.
    Warn,
    /// Nothing will come of a run that depends on it.
    Bad,
}

/// What was found of one thing.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    pub area: &'static str,
    pub what: String,
    pub state: State,
    pub said: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Check {
    fn ok(area: &'static str, what: impl Into<String>, said: impl Into<String>) -> Self {
        Self {
            area,
            what: what.into(),
            state: State::Ok,
            said: said.into(),
            hint: None,
        }
    }

    fn warn(self, hint: impl Into<String>) -> Self {
        Self {
            state: State::Warn,
            hint: Some(hint.into()),
            ..self
        }
    }

    fn bad(self, hint: impl Into<String>) -> Self {
        Self {
            state: State::Bad,
            hint: Some(hint.into()),
            ..self
        }
    }
}

/// Looks at everything.
#[must_use]
pub fn examine(options: &Options) -> Vec<Check> {
    let mut checks = program::checks(options.now, options.built);
    checks.extend(settings::checks());
    checks.extend(places::checks(options));
    checks.extend(authority::checks(options));
    #[cfg(feature = "sdk")]
    checks.extend(network::checks(options));
    checks
}
