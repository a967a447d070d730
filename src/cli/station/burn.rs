//! `certforge station burn`.

use std::process::ExitCode;

use certforge::batch::Layout;
use clap::Args;
use indicatif::ProgressBar;

use super::{BatchArgs, Outcome};
use crate::cli::text::count;
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
        let (store, batch, cache) = self.batch.open()?;
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
        let packs = match batch.layout() {
            Layout::Objects => String::new(),
            Layout::Packs => format!(
                "; packs rewritten: {}, removed: {}",
                count(burned.packs_rewritten),
                count(burned.packs_removed)
            ),
        };
        print(&format!(
            "bundles of flashed and scrapped devices removed: {}{packs}\n",
            count(burned.bundles)
        ));
        Ok(ExitCode::SUCCESS)
    }
}
