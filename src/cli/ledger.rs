//! `certforge ledger`.

use std::io::{self, Write};
use std::path::PathBuf;

use certforge::batch::{INDEX_COLUMNS, IndexEntry, IndexFields, Layout};
use certforge::ledger;
use certforge::store::{Store, read_index, read_record, released_chunks};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::report::{Ended, Outcome, Printer, check_output};
use super::{Failure, place};

/// The ledger of a command that names none.
pub const DEFAULT_FILE: &str = "certforge.db";

#[derive(Debug, Subcommand)]
pub enum Ledger {
    /// Write every released device to standard output, as CSV
    Export(Export),
}

#[derive(Debug, Args)]
pub struct Export {
    #[command(flatten)]
    of: Which,
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
    /// Ledger to read; a run may be writing to it
    #[arg(long, value_name = "FILE", default_value = DEFAULT_FILE)]
    ledger: PathBuf,
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
        Ok(Source::Ledger(ledger::open_read_only(&self.ledger)?, batch))
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

impl Ledger {
    pub fn run(&self, printer: Printer) -> Outcome {
        let Self::Export(export) = self;
        let mut out = Lines::new(printer);
        match export.of.open(&export.reach)? {
            Source::Place(store) => write_place(&store, &mut out)?,
            Source::Ledger(ledger, batch) => write_ledger(&*ledger, batch, &mut out)?,
        }
        out.flush();
        Ok(Ended::silent())
    }
}

fn write_ledger(
    ledger: &dyn certforge::ledger::Ledger,
    batch: Option<&str>,
    out: &mut Lines,
) -> Result<(), Failure> {
    for name in ledger.status(batch)?.into_iter().map(|status| status.batch) {
        let batch = ledger.batch(&name)?;
        for (chunk, released) in ledger.committed(&batch)? {
            if released && !out.write(&name, batch.layout, chunk, &ledger.entries(&batch, chunk)?) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// What the indexes of a batch say.
fn write_place(store: &Store, out: &mut Lines) -> Result<(), Failure> {
    let record = read_record(store)?.record;
    for chunk in released_chunks(store)? {
        let entries = read_index(store, &record, chunk)?;
        if !out.write(&record.batch, record.layout, chunk, &entries) {
            break;
        }
    }
    Ok(())
}

/// Rows of an export, as CSV or as JSON. Nothing is written before the first of them, or the end.
enum Lines {
    Csv {
        writer: Box<csv::Writer<io::StdoutLock<'static>>>,
        has_header: bool,
    },
    Json(io::BufWriter<io::StdoutLock<'static>>),
}

impl Lines {
    fn new(printer: Printer) -> Self {
        let out = io::stdout().lock();
        match printer.wants_documents() {
            true => Self::Json(io::BufWriter::new(out)),
            false => Self::Csv {
                writer: Box::new(csv::Writer::from_writer(out)),
                has_header: false,
            },
        }
    }

    fn write_header(&mut self) {
        if let Self::Csv { writer, has_header } = self
            && !std::mem::replace(has_header, true)
        {
            // A reader that is gone is noticed at the first row.
            let _ = writer.write_record(INDEX_COLUMNS.into_iter().chain(["batch"]));
        }
    }

    /// Writes entries of a chunk. Returns whether anybody still reads them.
    fn write(&mut self, batch: &str, layout: Layout, chunk: u64, entries: &[IndexEntry]) -> bool {
        self.write_header();
        let written = self.try_write(batch, layout, chunk, entries);
        let is_read = written.is_ok();
        check_output(written);
        is_read
    }

    fn try_write(
        &mut self,
        batch: &str,
        layout: Layout,
        chunk: u64,
        entries: &[IndexEntry],
    ) -> io::Result<()> {
        let mut fields = IndexFields::new(layout, chunk);
        for entry in entries {
            let fields = fields.of(entry);
            match self {
                Self::Csv { writer, .. } => {
                    let row = fields.into_iter().chain([batch]);
                    writer.write_record(row)?;
                }
                Self::Json(writer) => {
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
                    let row = Row {
                        device_id,
                        certificate_id,
                        certificate_serial,
                        not_after,
                        object,
                        offset: entry.offset,
                        length: entry.length,
                        sha256,
                        batch,
                    };
                    serde_json::to_writer(&mut *writer, &row)?;
                    writeln!(writer)?;
                }
            }
        }
        Ok(())
    }

    fn flush(&mut self) {
        self.write_header();
        check_output(match self {
            Self::Csv { writer, .. } => writer.flush(),
            Self::Json(writer) => writer.flush(),
        });
    }
}
