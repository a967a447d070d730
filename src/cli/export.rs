//! `certforge export`.

use certforge::batch::claim::State;
use certforge::printable;
use certforge::station::{Damaged, Ended as Flashed};
use clap::Args;
use data_encoding::HEXLOWER;
use serde::Serialize;
use time::OffsetDateTime;

use super::Failure;
use super::report::{Ended, Outcome, Printer, print, print_document};
use super::station::BatchArgs;

/// What is left out is named one by one so often.
const WARNED: usize = 10;

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
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
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
    /// Write a JSON document a line in place of CSV; with --pem each has its certificate
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    batch: BatchArgs,
}

impl Export {
    pub fn run(&self, printer: Printer) -> Outcome {
        let is_json = printer.wants_documents();
        let (store, batch, cache) = self.batch.open()?;
        let state = if self.scrapped {
            State::Scrapped
        } else {
            State::Flashed
        };
        if !self.pem && !is_json {
            print(&line(&COLUMNS.map(str::to_owned)));
        }
        let damaged = batch.ended(&store, &cache, state, self.pem, &mut |ended| {
            if is_json {
                print_document(&document(&ended));
                return;
            }
            print(&match &ended.certificate {
                Some(certificate) => format!("# {}\n{certificate}", ended.entry.device_id),
                None => line(&fields(&ended)),
            });
        })?;
        let mut ended = Ended::silent();
        for Damaged { object, reason } in damaged.iter().take(WARNED) {
            ended = ended.warning(match reason.contains(object) {
                true => format!("left out: {reason}"),
                false => format!("left out: {object}: {reason}"),
            });
        }
        Ok(ended.failed(Damaged::error(&damaged).map(Failure::from)))
    }
}

/// A device, as a document.
#[derive(Serialize)]
struct Row<'a> {
    device_id: String,
    certificate_id: String,
    certificate_serial: String,
    not_after: String,
    station: &'a str,
    at: String,
    reason: Option<&'a str>,
    certificate: Option<&'a str>,
}

fn document(ended: &Flashed) -> String {
    let [device_id, certificate_id, certificate_serial, not_after, _, at, _] = fields(ended);
    let row = Row {
        device_id,
        certificate_id,
        certificate_serial,
        not_after,
        station: &ended.record.station,
        at,
        reason: ended.record.reason.as_deref(),
        certificate: ended.certificate.as_deref(),
    };
    serde_json::to_string(&row).expect("it has only text keys") + "\n"
}

/// A line of a CSV.
fn line(fields: &[String; 7]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(fields).expect("memory does not fail");
    let line = writer.into_inner().expect("memory does not fail");
    String::from_utf8(line).expect("fields are text")
}

/// Ids are as they are, for whoever reads them back.
fn fields(ended: &Flashed) -> [String; 7] {
    let (entry, record) = (&ended.entry, &ended.record);
    let not_after =
        OffsetDateTime::from_unix_timestamp(entry.not_after).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    [
        entry.device_id.to_string(),
        HEXLOWER.encode(&entry.certificate_id),
        entry.certificate_serial.to_string(),
        certforge::profile::rfc3339(not_after),
        printable::cell(&record.station).into_owned(),
        certforge::profile::rfc3339(record.at),
        printable::cell(record.reason.as_deref().unwrap_or_default()).into_owned(),
    ]
}
