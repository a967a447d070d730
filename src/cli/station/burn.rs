//! `certforge station burn`.

use std::process::ExitCode;

use certforge::station::open_batch;
use certforge::store::Layout;
use clap::Args;
use indicatif::ProgressBar;

use super::{BatchArgs, Outcome};
use crate::cli::text::{count, devices};
use crate::cli::{print, print_json};

#[derive(Debug, Args)]
pub struct Burn {
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    batch: BatchArgs,
}

impl Burn {
    pub fn run(&self) -> Outcome {
        let store = self.batch.store()?;
        let (batch, cache) = open_batch(&*store, self.batch.trust()?, &self.batch.memory()?)?;
        let bar = ProgressBar::new_spinner();
        let burned = batch.burn(&*store, &cache, &mut |burned| {
            bar.set_message(format!("{} removed", count(burned.bundles)));
            bar.tick();
        });
        bar.finish_and_clear();
        let burned = burned?;
        if self.json {
            print_json(&burned);
            return Ok(ExitCode::SUCCESS);
        }
        let before = burned.retired - burned.bundles;
        let packs = match batch.layout() {
            Layout::Objects => String::new(),
            Layout::Packs => format!(
                "; packs rewritten: {}, removed: {}",
                count(burned.packs_rewritten),
                count(burned.packs_removed)
            ),
        };
        print(&format!(
            "{} flashed or scrapped: bundles removed: {}, removed before: {}{packs}\n",
            devices(burned.retired),
            count(burned.bundles),
            count(before)
        ));
        Ok(ExitCode::SUCCESS)
    }
}
