//! `certforge seal`.

use std::{fmt, iter};

use certforge::forge::{self, Shard};
use certforge::ledger::{self, LedgerError, LedgerName};
use certforge::store::read_record;
use clap::Args;
use serde::Serialize;

use super::Failure;
use super::issuer::IssuerArgs;
use super::ledger_args::{LedgerArgs, open_existing};
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
    #[command(flatten)]
    ledger: LedgerArgs,
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
        let found = || self.ledger.find(self.issuer.whose(None));
        let batch = place::of_batch(&self.batch, &|| Ok(found()?.name))?;
        let store = self.reach.open(&place::parse(&batch, &self.reach, None)?)?;
        let name = found()?.name;
        let now = clock::now()?;
        let issuer = self.issuer.load(now)?;
        let bar = Bar::default();
        let open_ledger = || ledger::open_read_only(&name);
        let sealed = forge::seal(&store, &issuer, (&open_ledger, self.moved), now, &|event| {
            bar.show(&event);
        });
        drop(bar);
        let forge::Sealed { statement, before } = sealed?;
        for name in self.ledgers(read_record(&store)?.record.shards)? {
            let mut ledger = open_existing(&name)?;
            let of = (statement.batch.as_str(), statement.devices);
            forge::note_sealed((&store, &mut *ledger), of, &issuer, now)?;
        }
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

impl Seal {
    /// The ledgers whose histories tell of it: the CA's, and those of the batch's shards that are here.
    fn ledgers(&self, shards: Option<u32>) -> Result<Vec<LedgerName>, Failure> {
        let shards = shards.map(Shard::all).into_iter().flatten().map(Some);
        let mut ledgers = Vec::new();
        for shard in iter::once(None).chain(shards) {
            let name = self.ledger.find(self.issuer.whose(shard))?.name;
            if ledgers.contains(&name) {
                continue;
            }
            match ledger::open_read_only(&name) {
                Ok(_) => ledgers.push(name),
                Err(LedgerError::Missing { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(ledgers)
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
