//! `certforge export`.

use std::io::Write;
use std::process::ExitCode;

use certforge::station::{Ended, open_batch};
use certforge::store::{FLASHED, SCRAPPED};
use clap::Args;
use data_encoding::HEXLOWER;
use time::OffsetDateTime;

use super::station::BatchArgs;
use super::{Outcome, print};

const COLUMNS: [&str; 7] = [
    "device_id",
    "certificate_id",
    "certificate_serial",
    "not_after",
    "station",
    "at",
    "reason",
];

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("which").required(true))]
pub struct Export {
    /// Devices that were scrapped, whose certificates are to be revoked
    #[arg(long, group = "which")]
    scrapped: bool,
    /// Devices that were flashed
    #[arg(long, group = "which")]
    flashed: bool,
    /// Their certificates, PEM, in place of a CSV
    #[arg(long)]
    pem: bool,
    #[command(flatten)]
    batch: BatchArgs,
}

impl Export {
    pub fn run(&self) -> Outcome {
        let store = self.batch.store()?;
        let (batch, cache) = open_batch(&*store, self.batch.trust()?, &self.batch.memory()?)?;
        let folder = if self.scrapped { SCRAPPED } else { FLASHED };
        let mut out = Vec::new();
        let mut csv = csv::Writer::from_writer(Vec::new());
        csv.write_record(COLUMNS).expect("memory does not fail");
        batch.ended(&*store, &cache, folder, self.pem, &mut |ended| match self.pem {
            true => {
                let certificate = ended.certificate.unwrap_or_default();
                write!(out, "# {}\n{certificate}", ended.entry.device_id).expect("memory does not fail");
            }
            false => csv.write_record(fields(&ended)).expect("memory does not fail"),
        })?;
        if !self.pem {
            out = csv.into_inner().expect("memory does not fail");
        }
        print(&String::from_utf8_lossy(&out));
        Ok(ExitCode::SUCCESS)
    }
}

fn fields(ended: &Ended) -> [String; 7] {
    let (entry, record) = (&ended.entry, &ended.record);
    let not_after =
        OffsetDateTime::from_unix_timestamp(entry.not_after).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    [
        entry.device_id.clone(),
        HEXLOWER.encode(&entry.certificate_id),
        entry.certificate_serial.to_string(),
        certforge::profile::rfc3339(not_after),
        record.station.clone(),
        certforge::profile::rfc3339(record.at),
        record.reason.clone().unwrap_or_default(),
    ]
}
