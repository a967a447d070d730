//! `certforge ledger`.

mod backup;
mod copy;
mod expiring;
mod history;
mod rebuild;

use certforge::batch::{BatchRecord, INDEX_COLUMNS, IndexEntry, IndexFields, Layout};
use certforge::causes::in_one_line;
use certforge::ledger::{self, Act, Deed};
use certforge::printable;
use certforge::store::{Store, read_index, read_record, released_chunks};
use certforge::vouched::{Stated, VouchedError};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::issuer::trust;
use super::ledger_args::{LedgerArgs, enter};
use super::report::{Ended, Outcome, Printer, print, print_document};
use super::text::{count, many};
use super::{Failure, place};

/// What is left out is named one by one so often.
const WARNED: usize = 10;

#[derive(Debug, Subcommand)]
pub enum Ledger {
    /// Write every released device to standard output, as CSV
    Export(Export),
    /// List the certificates that end within a span of time, as CSV
    Expiring(expiring::Expiring),
    /// Show who did what when: CAs, batches begun, resumed, sealed and withdrawn, certificates revoked
    History(history::History),
    /// Copy a ledger's file to a safe place while a run is under way, and check the copy
    Backup(backup::Backup),
    /// Copy ledgers into another one: move a ledger, or put those of shards together
    Copy(copy::Copy),
    /// Make a ledger anew, from what is released in a store
    Rebuild(rebuild::Rebuild),
}

#[derive(Debug, Args)]
pub struct Export {
    #[command(flatten)]
    of: Which,
    /// CA that must have signed for the indexes of a batch at a place: its certificate, its folder, or the SHA-256 of the
    /// certificate
    #[arg(
        long,
        env = "CERTFORGE_ISSUER",
        hide_env_values = true,
        value_name = "FILE|DIR|SHA-256"
    )]
    issuer: Option<String>,
    /// Write a JSON document a line in place of CSV
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: place::Reach,
}

/// Batches of the ledger, or one by its place.
#[derive(Debug, Args)]
pub struct Which {
    /// Name of a batch in the ledger, or its folder or s3:// URL, which needs no ledger [default: all of the ledger's]
    batch: Option<String>,
    #[command(flatten)]
    ledger: LedgerArgs,
}

/// Where batches are looked up.
pub enum Source<'a> {
    Place(Store),
    /// The batch of that name, or all.
    Ledger(Box<dyn certforge::ledger::Ledger>, Option<&'a str>),
}

impl Which {
    pub fn open(&self, reach: &place::Reach) -> Result<Source<'_>, Failure> {
        let batch = self.batch.as_deref();
        if let Some(text) = batch.filter(|text| place::is_place(text)) {
            let place = place::parse(text, reach, None)?;
            return Ok(Source::Place(reach.open(&place)?));
        }
        Ok(Source::Ledger(
            ledger::open_read_only(self.ledger.usual()?)?,
            batch,
        ))
    }
}

/// A device of the export.
#[derive(Serialize)]
struct Row<'a> {
    device_id: &'a str,
    certificate_id: &'a str,
    certificate_serial: &'a str,
    not_after: &'a str,
    object: &'a str,
    offset: u64,
    length: u64,
    sha256: &'a str,
    batch: &'a str,
}

impl<'a> Row<'a> {
    fn of(fields: [&'a str; 8], entry: &IndexEntry, batch: &'a str) -> Self {
        let [
            device_id,
            certificate_id,
            certificate_serial,
            not_after,
            object,
            _,
            _,
            sha256,
        ] = fields;
        Self {
            device_id,
            certificate_id,
            certificate_serial,
            not_after,
            object,
            offset: entry.offset,
            length: entry.length,
            sha256,
            batch,
        }
    }
}

impl Ledger {
    pub fn run(&self, printer: Printer) -> Outcome {
        match self {
            Self::Export(export) => export.run(printer),
            Self::Expiring(expiring) => expiring.run(printer),
            Self::History(history) => history.run(),
            Self::Backup(backup) => backup.run(),
            Self::Copy(copy) => copy.run(),
            Self::Rebuild(rebuild) => rebuild.run(),
        }
    }
}

impl Export {
    fn run(&self, printer: Printer) -> Outcome {
        let mut out = Lines::new(printer);
        let ended = match (self.of.open(&self.reach)?, &self.issuer) {
            (Source::Place(store), Some(issuer)) => {
                let stated = Stated::open(&store, &trust(issuer)?)?;
                let read = |chunk| stated.entries(chunk);
                left_out(&write_place(&store, stated.record(), read, &mut out)?)
            }
            (Source::Place(store), None) => {
                let record = read_record(&store)?.record;
                let read = |chunk| Ok(read_index(&store, &record, chunk)?);
                left_out(&write_place(&store, &record, read, &mut out)?).warning(
                    "nothing here vouches for what the indexes say: --issuer holds them against what the CA has signed",
                )
            }
            (Source::Ledger(ledger, batch), _) => {
                let devices = write_ledger(&*ledger, batch, &mut out)?;
                drop(ledger);
                let of = batch.unwrap_or("all batches");
                let act = Act::new(Deed::LedgerExported, of, many(devices, "device"));
                match enter(&self.of.ledger.usual()?, act)? {
                    Some(warning) => left_out(&[]).warning(warning),
                    None => left_out(&[]),
                }
            }
        };
        out.end();
        Ok(ended)
    }
}

/// What a ledger knows; and of how many devices that is.
fn write_ledger(
    ledger: &dyn certforge::ledger::Ledger,
    batch: Option<&str>,
    out: &mut Lines,
) -> Result<u64, Failure> {
    let mut devices = 0;
    for name in ledger.status(batch)?.into_iter().map(|status| status.batch) {
        let batch = ledger.batch(&name)?;
        for (chunk, released) in ledger.committed(&batch)? {
            if !released {
                continue;
            }
            let entries = ledger.entries(&batch, chunk)?;
            devices += entries.len() as u64;
            if !out.write(&name, batch.layout, chunk, &entries) {
                return Ok(devices);
            }
        }
    }
    Ok(devices)
}

/// What the indexes of a batch say; and why some say nothing.
fn write_place(
    store: &Store,
    record: &BatchRecord,
    read: impl Fn(u64) -> Result<Vec<IndexEntry>, VouchedError>,
    out: &mut Lines,
) -> Result<Vec<VouchedError>, Failure> {
    let mut damaged = Vec::new();
    for chunk in released_chunks(store)? {
        let entries = match read(chunk) {
            Err(error) if error.is_of_one_object() => {
                damaged.push(error);
                continue;
            }
            other => other?,
        };
        if !out.write(&record.batch, record.layout, chunk, &entries) {
            break;
        }
    }
    Ok(damaged)
}

/// How an export ended that went on without some of the indexes.
fn left_out(damaged: &[VouchedError]) -> Ended {
    let Some((last, others)) = damaged.split_last() else {
        return Ended::silent();
    };
    let mut ended = Ended::silent();
    for error in others.iter().take(WARNED) {
        ended = ended.warning(format_args!(
            "the devices of a chunk are left out: {}",
            in_one_line(error)
        ));
    }
    let indexes = count(damaged.len() as u64);
    let failure = Failure::of(last);
    ended
        .warning(format_args!(
            "indexes that cannot be read, whose devices are left out: {indexes}"
        ))
        .failed(Some(failure))
}

/// Rows of an export, as CSV or as JSON: a chunk at a time. Nothing is written before the first of them, or the end.
struct Lines {
    is_json: bool,
    has_header: bool,
}

impl Lines {
    fn new(printer: Printer) -> Self {
        Self {
            is_json: printer.wants_documents(),
            has_header: false,
        }
    }

    fn header(&mut self) -> Option<csv::Writer<Vec<u8>>> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        if !std::mem::replace(&mut self.has_header, true) {
            let columns = INDEX_COLUMNS.into_iter().chain(["batch"]);
            writer.write_record(columns).expect("memory does not fail");
        }
        (!self.is_json).then_some(writer)
    }

    /// Writes entries of a chunk. Returns whether anybody still reads them.
    fn write(&mut self, batch: &str, layout: Layout, chunk: u64, entries: &[IndexEntry]) -> bool {
        let mut fields = IndexFields::new(layout, chunk);
        let Some(mut writer) = self.header() else {
            let rows = entries.iter().map(|entry| {
                let row = Row::of(fields.of(entry), entry, batch);
                serde_json::to_string(&row).expect("it has only text keys") + "\n"
            });
            return print_document(&rows.collect::<String>());
        };
        let batch = printable::cell(batch);
        for entry in entries {
            let row = fields.of(entry).into_iter().chain([&*batch]);
            writer.write_record(row).expect("memory does not fail");
        }
        print_csv(writer)
    }

    fn end(&mut self) {
        if !self.has_header {
            self.header().map(print_csv);
        }
    }
}

fn print_csv(writer: csv::Writer<Vec<u8>>) -> bool {
    let rows = writer.into_inner().expect("memory does not fail");
    print(&String::from_utf8_lossy(&rows))
}
