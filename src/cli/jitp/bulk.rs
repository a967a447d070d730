//! `certforge jitp bulk`.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use certforge::jitp::{self, Issued};
use clap::Args;
use serde_json::json;

use super::super::text::{Report, devices};
use super::super::{Failure, Outcome, print, print_json};
use super::{BatchArgs, cannot_write, create, make_folder, template};

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
    pub json: bool,
    #[command(flatten)]
    batch: BatchArgs,
}

impl Bulk {
    pub fn run(&self) -> Outcome {
        let template = template::load(&self.template)?;
        let store = self.batch.open()?;
        let issued = Issued::open(&*store)?;
        let bulk = jitp::Bulk::new(&template)?;
        make_folder(&self.to)?;
        let (parameters, body) = (self.to.join("parameters.json"), self.to.join("template.json"));
        let failed = |error: std::io::Error| cannot_write(&parameters, &error);
        // It appears under its name when it is whole.
        let unfinished = self.to.join("parameters.json.new");
        let mut file = BufWriter::new(File::create(&unfinished).map_err(failed)?);
        let mut written = 0;
        for chunk in 0..issued.record().shape().chunks() {
            for certificate in issued.certificates(chunk)? {
                let line = bulk.line(&certificate)?;
                writeln!(file, "{line}").map_err(failed)?;
                written += 1;
            }
        }
        file.into_inner()
            .map_err(std::io::IntoInnerError::into_error)
            .and_then(|file| file.sync_all())
            .map_err(failed)?;
        create(&body, bulk.template(issued.issuer()).as_bytes(), false)?;
        std::fs::rename(&unfinished, &parameters).map_err(failed)?;
        self.report(&issued, written);
        Ok(ExitCode::SUCCESS)
    }

    fn report(&self, issued: &Issued<'_>, written: u64) {
        let to = self.to.display();
        if self.json {
            return print_json(&json!({
                "batch": issued.record().batch,
                "devices": written,
                "template": format!("{to}/template.json"),
                "parameters": format!("{to}/parameters.json"),
            }));
        }
        let mut report = Report::default();
        report
            .line("batch", &issued.record().batch)
            .line("devices", devices(written))
            .line("template", format!("{to}/template.json"))
            .line("parameters", format!("{to}/parameters.json"));
        print(&format!(
            "{report}\nThe CA must be registered first. Then, with a bucket and a role of yours:\n  \
             aws s3 cp {to}/parameters.json s3://BUCKET/parameters.json\n  \
             aws iot start-thing-registration-task --template-body file://{to}/template.json \
             --input-file-bucket BUCKET --input-file-key parameters.json --role-arn ROLE\n"
        ));
    }
}

impl From<jitp::BulkError> for Failure {
    fn from(error: jitp::BulkError) -> Self {
        Self::aws_error(
            error,
            "`certforge jitp template check --manifest` lists every device that the template does not fit",
        )
    }
}

impl From<jitp::NameTaken> for Failure {
    fn from(error: jitp::NameTaken) -> Self {
        Self::aws_error(error, "give the template's own parameter another name")
    }
}
