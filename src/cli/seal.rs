//! `certforge seal`.

use std::fmt;
use std::path::PathBuf;

use certforge::{forge, ledger};
use clap::Args;
use serde::Serialize;

use super::issuer::IssuerArgs;
use super::ledger::DEFAULT_FILE;
use super::progress::Bar;
use super::report::{Ended, Outcome};
use super::text::{Lines, devices};
use super::{clock, place};

#[derive(Debug, Args)]
pub struct Seal {
    /// Batch, such as out/line-7-3f2a9c01 or s3://factory-eu/batches/line-7-3f2a9c01
    batch: String,
    #[command(flatten)]
    issuer: IssuerArgs,
    /// Ledger that it was made with; a batch in shards needs none
    #[arg(long, value_name = "FILE", default_value = DEFAULT_FILE)]
    ledger: PathBuf,
    /// Seal it though it is reached by another path than when it was made: it was moved, and is no copy
    #[arg(long)]
    moved: bool,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: place::Reach,
}

/// A batch that is sealed.
#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "each is a field of the document")]
struct Sealed {
    batch: String,
    devices: u64,
    sealed_at: String,
    sealed_before: bool,
    issuer: String,
    issuer_id: String,
    merkle_root: String,
}

impl Seal {
    pub fn run(&self) -> Outcome {
        let store = self.reach.open(&place::parse(
            &place::of_batch(&self.batch, &self.ledger)?,
            &self.reach,
            None,
        )?)?;
        let now = clock::now()?;
        let issuer = self.issuer.load(now)?;
        let bar = Bar::default();
        let open_ledger = || ledger::open_read_only(&self.ledger);
        let sealed = forge::seal(&store, &issuer, (&open_ledger, self.moved), now, &|event| {
            bar.show(&event);
        });
        drop(bar);
        let forge::Sealed { statement, before } = sealed?;
        Ok(Ended::done(Sealed {
            batch: statement.batch,
            devices: statement.devices,
            sealed_at: statement.sealed_at,
            sealed_before: before,
            issuer: issuer.certificate().subject_text().to_owned(),
            issuer_id: statement.issuer_id,
            merkle_root: statement.merkle_root,
        }))
    }
}

impl fmt::Display for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let before = if self.sealed_before { "before, " } else { "" };
        let mut lines = Lines::default();
        lines
            .line("batch", &self.batch)
            .line("sealed", format!("{before}at {}", self.sealed_at))
            .line("devices", devices(self.devices))
            .line("issuer", &self.issuer)
            .line("root", &self.merkle_root);
        lines.fmt(f)
    }
}
