//! `certforge station burn`.

use std::fmt;

use certforge::batch::Layout;
use certforge::ledger::{self, Act, Deed, LedgerError};
use certforge::station::{Burned, Damaged};
use clap::Args;
use indicatif::ProgressBar;
use serde::Serialize;

use super::BatchArgs;
use super::status::list_damaged;
use crate::cli::Failure;
use crate::cli::ledger_args::{LedgerArgs, enter};
use crate::cli::report::{Ended, Outcome};
use crate::cli::text::{count, many};

#[derive(Debug, Args)]
pub struct Burn {
    /// Print a JSON document
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    batch: BatchArgs,
}

/// What was removed from the store.
#[derive(Serialize)]
#[serde(transparent)]
struct Removed {
    burned: Burned,
    #[serde(skip)]
    layout: Layout,
}

impl Burn {
    pub fn run(&self) -> Outcome {
        let (store, batch, cache) = self.batch.open()?;
        let bar = ProgressBar::new_spinner();
        let burned = batch.burn(&store, &cache, &mut |burned| {
            bar.set_message(format!("{} removed", count(burned.bundles)));
            bar.tick();
        });
        bar.finish_and_clear();
        let burned = burned?;
        let failure = Damaged::error(&burned.damaged).map(Failure::from);
        let warning = tell_history(batch.name(), &store.location(), &burned)?;
        let removed = Removed {
            burned,
            layout: batch.layout(),
        };
        let ended = Ended::with(removed).failed(failure);
        Ok(match warning {
            Some(warning) => ended.warning(warning),
            None => ended,
        })
    }
}

/// Where the ledger is that knows the batch, which a station need not have, its history tells of it.
fn tell_history(batch: &str, location: &str, burned: &Burned) -> Result<Option<String>, Failure> {
    let name = LedgerArgs::default().usual()?;
    let known = match ledger::open_read_only(&name) {
        Ok(ledger) => ledger.find_batch(batch)?,
        Err(LedgerError::Missing { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    if burned.bundles == 0 || known.is_none_or(|batch| batch.location != location) {
        return Ok(None);
    }
    let what = many(burned.bundles, "bundle");
    enter(&name, Act::new(Deed::BundlesBurned, batch, what))
}

impl fmt::Display for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bundles = count(self.burned.bundles);
        write!(f, "bundles of flashed and scrapped devices removed: {bundles}")?;
        if self.layout.is_packed() {
            let rewritten = count(self.burned.packs_rewritten);
            let removed = count(self.burned.packs_removed);
            write!(f, "; packs rewritten: {rewritten}, removed: {removed}")?;
        }
        writeln!(f)?;
        if !self.burned.damaged.is_empty() {
            writeln!(f, "what cannot be read, and keeps its bundles")?;
            list_damaged(&self.burned.damaged, self.burned.damaged.len() as u64, f)?;
        }
        Ok(())
    }
}
