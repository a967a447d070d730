//! `certforge seal`.

use std::process::ExitCode;
use std::sync::Mutex;

use certforge::forge;
use clap::Args;
use indicatif::ProgressBar;
use serde_json::json;
use time::OffsetDateTime;

use super::issuer::IssuerArgs;
use super::text::{Report, devices};
use super::{Outcome, place, print, print_json, run};

#[derive(Debug, Args)]
pub struct Seal {
    /// Batch, such as out/line-7-3f2a9c01 or s3://factory-eu/batches/line-7-3f2a9c01
    batch: String,
    #[command(flatten)]
    issuer: IssuerArgs,
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    reach: place::Reach,
}

impl Seal {
    pub fn run(&self) -> Outcome {
        let store = self.reach.open(&place::parse(&self.batch, &self.reach, None)?)?;
        let now = OffsetDateTime::now_utc();
        let issuer = self.issuer.load(now)?;
        let bar: Mutex<Option<ProgressBar>> = Mutex::new(None);
        let sealed = forge::seal(&*store, &issuer, now, &|event| {
            run::show(&bar, &event);
        });
        if let Some(bar) = bar.into_inner().expect("no holder panics") {
            bar.finish_and_clear();
        }
        let sealed = sealed?;
        let statement = &sealed.statement;
        if self.json {
            print_json(&json!({
                "batch": statement.batch,
                "devices": statement.devices,
                "sealed_at": statement.sealed_at,
                "sealed_before": sealed.before,
                "issuer": issuer.certificate().subject_text(),
                "issuer_id": statement.issuer_id,
                "merkle_root": statement.merkle_root,
            }));
            return Ok(ExitCode::SUCCESS);
        }
        let before = if sealed.before { "before, " } else { "" };
        let mut report = Report::default();
        report
            .line("batch", &statement.batch)
            .line("sealed", format!("{before}at {}", statement.sealed_at))
            .line("devices", devices(statement.devices))
            .line("issuer", issuer.certificate().subject_text())
            .line("root", &statement.merkle_root);
        print(&report.to_string());
        Ok(ExitCode::SUCCESS)
    }
}
