//! `certforge jitp bulk`.

use std::fmt;
use std::io::BufWriter;
use std::path::PathBuf;

use certforge::jitp::{self, BulkError};
use certforge::printable;
use certforge::whole::Unfinished;
use clap::Args;
use serde::Serialize;

use super::{BatchArgs, cannot_write, create, make_folder, template};
use crate::cli::failure::Failure;
use crate::cli::report::{Ended, Outcome};
use crate::cli::text::{Lines, devices};

#[derive(Debug, Args)]
pub struct Bulk {
    /// Template for JITP; the one for bulk registration is made of it
    #[arg(long, value_name = "FILE")]
    template: PathBuf,
    /// Folder for template.json and parameters.json
    #[arg(long, value_name = "DIR", default_value = "bulk")]
    to: PathBuf,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    batch: BatchArgs,
}

/// The files that were written.
#[derive(Serialize)]
struct Written {
    batch: String,
    devices: u64,
    template: String,
    parameters: String,
    #[serde(skip)]
    to: String,
}

impl Bulk {
    pub fn run(&self) -> Outcome {
        let template = template::load(&self.template)?;
        let batch = self.batch.open()?;
        let issued = batch.vouched()?;
        let bulk = jitp::Bulk::new(&template)?;
        make_folder(&self.to)?;
        let (parameters, body) = (self.to.join("parameters.json"), self.to.join("template.json"));
        let failed = |error: std::io::Error| cannot_write(&parameters, &error);
        let mut file = BufWriter::new(Unfinished::create(&parameters, 0o644).map_err(failed)?);
        let written = bulk.write(&issued, &mut file).map_err(|error| match error {
            BulkError::Write(error) => failed(error),
            BulkError::Batch(error) => error.into(),
            error @ BulkError::Device { .. } => Failure::aws_error(
                error,
                "`certforge jitp template check --manifest` lists every device that the template does not fit",
            ),
        })?;
        create(&body, bulk.template(issued.issuer()).as_bytes(), false)?;
        let file = file.into_inner().map_err(std::io::IntoInnerError::into_error);
        file.and_then(Unfinished::finish).map_err(failed)?;
        let to = self.to.display();
        Ok(Ended::with(Written {
            batch: issued.record().batch.clone(),
            devices: written,
            template: format!("{to}/template.json"),
            parameters: format!("{to}/parameters.json"),
            to: to.to_string(),
        }))
    }
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Lines::default();
        lines
            .line("batch", &self.batch)
            .line("devices", devices(self.devices))
            .line("template", &self.template)
            .line("parameters", &self.parameters);
        let to = printable::line(&self.to);
        writeln!(
            f,
            "{lines}\nThe CA must be registered first. Then, with a bucket and a role of yours:\n  \
             aws s3 cp {to}/parameters.json s3://BUCKET/parameters.json\n  \
             aws iot start-thing-registration-task --template-body file://{to}/template.json \
             --input-file-bucket BUCKET --input-file-key parameters.json --role-arn ROLE"
        )
    }
}
