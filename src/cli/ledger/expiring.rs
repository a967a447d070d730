//! `certforge ledger expiring`.

use certforge::ledger::{self, Issued, Selection};
use certforge::printable;
use certforge::profile::rfc3339;
use clap::Args;
use data_encoding::HEXLOWER;
use serde::Serialize;
use time::{Duration, OffsetDateTime};

use crate::cli::ledger_args::LedgerArgs;
use crate::cli::report::{Ended, Outcome, Printer, print, print_document};
use crate::cli::span;

/// Rows that are printed at a time.
const AT_A_TIME: usize = 1000;

const COLUMNS: [&str; 6] = [
    "device_id",
    "certificate_id",
    "certificate_serial",
    "not_after",
    "batch",
    "state",
];

#[derive(Debug, Args)]
pub struct Expiring {
    /// How far ahead, such as 90d, 12w or 2y (a year is 365 days); what has ended already is listed too
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    within: Duration,
    /// Name of a batch [default: all of the ledger's]
    batch: Option<String>,
    #[command(flatten)]
    ledger: LedgerArgs,
    /// Write a JSON document a line in place of CSV
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Row<'a> {
    device_id: &'a str,
    certificate_id: String,
    certificate_serial: String,
    not_after: String,
    batch: &'a str,
    state: &'static str,
}

impl<'a> Row<'a> {
    fn of(issued: &'a Issued) -> Self {
        let entry = &issued.entry;
        let end = OffsetDateTime::from_unix_timestamp(entry.not_after).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        Self {
            device_id: entry.device_id.as_str(),
            certificate_id: HEXLOWER.encode(&entry.certificate_id),
            certificate_serial: entry.certificate_serial.to_string(),
            not_after: rfc3339(end),
            batch: &issued.batch,
            state: issued.state(),
        }
    }

    fn document(&self) -> String {
        serde_json::to_string(self).expect("it has only text keys") + "\n"
    }

    fn line(&self) -> String {
        csv_line(&[
            self.device_id,
            &self.certificate_id,
            &self.certificate_serial,
            &self.not_after,
            &printable::cell(self.batch),
            self.state,
        ])
    }
}

fn csv_line(fields: &[&str; 6]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(fields).expect("memory does not fail");
    let line = writer.into_inner().expect("memory does not fail");
    String::from_utf8(line).expect("fields are text")
}

impl Expiring {
    pub fn run(&self, printer: Printer) -> Outcome {
        let ledger = ledger::open_read_only(self.ledger.usual()?)?;
        if let Some(name) = &self.batch {
            ledger.batch(name)?;
        }
        let end = OffsetDateTime::now_utc().saturating_add(self.within);
        let is_json = printer.wants_documents();
        let mut text = match is_json {
            true => String::new(),
            false => csv_line(&COLUMNS),
        };
        let (mut rows, mut is_read) = (0, true);
        let write = |text: &str| match is_json {
            true => print_document(text),
            false => print(text),
        };
        let before = Selection::EndingBefore(end.unix_timestamp());
        ledger.select(before, &mut |issued| {
            if self.batch.as_ref().is_some_and(|name| *name != issued.batch) {
                return true;
            }
            let row = Row::of(&issued);
            text.push_str(&if is_json { row.document() } else { row.line() });
            rows += 1;
            if rows % AT_A_TIME == 0 {
                is_read = write(&text);
                text.clear();
            }
            is_read
        })?;
        if is_read {
            write(&text);
        }
        Ok(Ended::silent())
    }
}
