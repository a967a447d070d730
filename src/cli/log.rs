//! How much is told: less for those who only want to hear of trouble, more for those who look for its cause. What is told
//! is what the library says of its work; no event has a secret.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::{Failure, out};

static IS_QUIET: AtomicBool = AtomicBool::new(false);

#[derive(Debug, Args)]
#[command(next_help_heading = "Messages")]
pub struct Volume {
    /// Say nothing of what went well: no progress, no hints, no summary
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Say what is being done, on standard error
    #[arg(long, short, global = true)]
    verbose: bool,
    /// File to which it is added what is being done, in detail
    #[arg(long, global = true, value_name = "FILE")]
    log_file: Option<PathBuf>,
}

/// Whether nothing is to be said of what went well.
pub fn is_quiet() -> bool {
    IS_QUIET.load(Ordering::Relaxed)
}

impl Volume {
    /// From here on it is told as much.
    pub fn begin(&self) -> Result<(), Failure> {
        IS_QUIET.store(self.quiet, Ordering::Relaxed);
        if !self.verbose && self.log_file.is_none() {
            return Ok(());
        }
        // Other crates know less of what is a secret.
        let only = |level| Targets::new().with_target("certforge", level);
        let aside = self.verbose.then(|| {
            tracing_subscriber::fmt::layer()
                .with_ansi(false)
                .with_target(false)
                .with_writer(|| out::Aside)
                .with_filter(only(Level::INFO))
        });
        let file = self.log_file.as_ref().map(|path| {
            let file = File::options().append(true).create(true).mode(0o600).open(path);
            file.map_err(|error| {
                Failure::usage(
                    &format!("log file {} cannot be written: {error}", path.display()),
                    "name a file in a folder that is there, and that you may write to",
                )
            })
        });
        let file = file.transpose()?.map(|file| {
            tracing_subscriber::fmt::layer()
                .with_ansi(false)
                .with_writer(Mutex::new(file))
                .with_filter(only(Level::DEBUG))
        });
        let registry = tracing_subscriber::registry()
            .with(LevelFilter::DEBUG)
            .with(aside)
            .with(file);
        // Nobody else in this process sets one.
        let _ = registry.try_init();
        tracing::info!(version = env!("CARGO_PKG_VERSION"), command = ?std::env::args_os().nth(1).unwrap_or_default(), "certforge begins");
        Ok(())
    }
}
