//! `certforge ledger`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use certforge::batch::{INDEX_COLUMNS, IndexEntry, IndexFields, Layout};
use certforge::ledger::Ledger as OpenLedger;
use certforge::store::{read_index, read_record, released_chunks};
use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use super::{Failure, Outcome, check_output, place};

/// The ledger of a command that names none.
pub const DEFAULT_FILE: &str = "certforge.db";

#[derive(Debug, Subcommand)]
pub enum Ledger {
    /// Write every released device to standard output, as CSV
    Export(Export),
}

#[derive(Debug, Args)]
pub struct Export {
    /// Name of a batch in the ledger, or its folder or s3:// URL, which needs no ledger [default: all of the ledger's]
    batch: Option<String>,
    /// Ledger to read; a run may be writing to it
    #[arg(long, value_name = "FILE", default_value = DEFAULT_FILE)]
    ledger: PathBuf,
    /// Write a JSON document a line in place of CSV
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: place::Reach,
}

impl Ledger {
    pub fn json(&self) -> bool {
        let Self::Export(export) = self;
        export.json
    }

    pub fn run(&self) -> Outcome {
        let Self::Export(export) = self;
        export.run()
    }
}

impl Export {
    fn run(&self) -> Outcome {
        match self.batch.as_deref().filter(|text| place::is_place(text)) {
            Some(text) => self.write_place(text)?,
            None => self.write_ledger()?,
        }
        Ok(ExitCode::SUCCESS)
    }

    fn write_ledger(&self) -> Result<(), Failure> {
        let ledger = OpenLedger::open_read_only(&self.ledger)?;
        let names: Vec<String> = ledger
            .status(self.batch.as_deref())?
            .into_iter()
            .map(|status| status.batch)
            .collect();
        let mut out = Lines::new(self.json);
        for name in names {
            let batch = ledger.batch(&name)?;
            for (chunk, released) in ledger.committed(&batch)? {
                if released && !out.write(&name, batch.layout, chunk, &ledger.entries(&batch, chunk)?) {
                    return Ok(());
                }
            }
        }
        out.flush();
        Ok(())
    }

    /// What the indexes of a batch say.
    fn write_place(&self, text: &str) -> Result<(), Failure> {
        let store = self.reach.open(&place::parse(text, &self.reach, None)?)?;
        let record = read_record(&*store)?.record;
        let mut out = Lines::new(self.json);
        for chunk in released_chunks(&*store)? {
            let entries = read_index(&*store, &record, chunk)?;
            if !out.write(&record.batch, record.layout, chunk, &entries) {
                return Ok(());
            }
        }
        out.flush();
        Ok(())
    }
}

/// Rows of an export, as CSV or as JSON.
enum Lines {
    Csv(Box<csv::Writer<io::StdoutLock<'static>>>),
    Json(io::BufWriter<io::StdoutLock<'static>>),
}

impl Lines {
    fn new(json: bool) -> Self {
        let out = io::stdout().lock();
        if json {
            return Self::Json(io::BufWriter::new(out));
        }
        let mut writer = csv::Writer::from_writer(out);
        let header = INDEX_COLUMNS.into_iter().chain(["batch"]);
        // A reader that is gone is noticed at the first row.
        let _ = writer.write_record(header);
        Self::Csv(Box::new(writer))
    }

    /// Writes entries of a chunk. Returns whether anybody still reads them.
    fn write(&mut self, batch: &str, layout: Layout, chunk: u64, entries: &[IndexEntry]) -> bool {
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
                Self::Csv(writer) => {
                    let row = fields.into_iter().chain([batch]);
                    writer.write_record(row)?;
                }
                Self::Json(writer) => {
                    let mut object: Map<String, Value> = INDEX_COLUMNS
                        .iter()
                        .zip(fields)
                        .map(|(column, field)| ((*column).to_owned(), field.into()))
                        .collect();
                    object.insert("offset".to_owned(), entry.offset.into());
                    object.insert("length".to_owned(), entry.length.into());
                    object.insert("batch".to_owned(), batch.into());
                    writeln!(writer, "{}", Value::Object(object))?;
                }
            }
        }
        Ok(())
    }

    fn flush(&mut self) {
        check_output(match self {
            Self::Csv(writer) => writer.flush(),
            Self::Json(writer) => writer.flush(),
        });
    }
}
