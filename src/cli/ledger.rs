//! `certforge ledger`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use certforge::ledger::{Batch, Ledger as OpenLedger};
use certforge::store::{INDEX_COLUMNS, IndexEntry};
use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use super::run::DEFAULT_LEDGER;
use super::{Outcome, check_output};

#[derive(Debug, Subcommand)]
pub enum Ledger {
    /// Write every released device to standard output, as CSV
    Export(Export),
}

#[derive(Debug, Args)]
pub struct Export {
    /// Name of a batch [default: all of them]
    batch: Option<String>,
    /// Ledger to read; a run may be writing to it
    #[arg(long, value_name = "FILE", default_value = DEFAULT_LEDGER)]
    ledger: PathBuf,
    /// Write a JSON document a line in place of CSV
    #[arg(long)]
    json: bool,
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
                if !released {
                    continue;
                }
                let entries = ledger.entries(&batch, chunk)?;
                if let Err(error) = out.write(&batch, chunk, &entries) {
                    check_output(Err(error));
                    return Ok(ExitCode::SUCCESS);
                }
            }
        }
        check_output(out.flush());
        Ok(ExitCode::SUCCESS)
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

    fn write(&mut self, batch: &Batch, chunk: u64, entries: &[IndexEntry]) -> io::Result<()> {
        for entry in entries {
            let fields = entry.fields(batch.layout, chunk);
            match self {
                Self::Csv(writer) => {
                    let row = fields.iter().map(String::as_str).chain([batch.name.as_str()]);
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
                    object.insert("batch".to_owned(), batch.name.as_str().into());
                    writeln!(writer, "{}", Value::Object(object))?;
                }
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Csv(writer) => writer.flush(),
            Self::Json(writer) => writer.flush(),
        }
    }
}
