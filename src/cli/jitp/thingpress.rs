//! `certforge jitp thingpress`.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use certforge::jitp::{self, Issued};
use clap::Args;
use serde_json::json;

use super::super::text::{Report, count, devices};
use super::super::{Failure, Outcome, print, print_json};
use super::{BatchArgs, cannot_write, make_folder};

#[derive(Debug, Args)]
pub struct Thingpress {
    /// Folder for the files
    #[arg(long, value_name = "DIR", default_value = "thingpress")]
    to: PathBuf,
    /// Certificates of a file, at most
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    per_file: u64,
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    batch: BatchArgs,
}

impl Thingpress {
    pub fn run(&self) -> Outcome {
        let store = self.batch.open()?;
        let issued = Issued::open(&*store)?;
        make_folder(&self.to)?;
        let (mut written, mut files) = (0, 0);
        let mut file: Option<(PathBuf, BufWriter<File>)> = None;
        for chunk in 0..issued.record().shape().chunks() {
            for certificate in issued.certificates(chunk)? {
                if written % self.per_file == 0 {
                    finish(file.take())?;
                    files += 1;
                    let path = self.to.join(format!("certificates-{files:06}.txt"));
                    let new = File::create_new(&path).map_err(|error| cannot_write(&path, &error))?;
                    file = Some((path, BufWriter::new(new)));
                }
                let Some(line) = jitp::thingpress::line(&certificate) else {
                    return Err(Failure::refused(
                        format!(
                            "the certificate of device {} has no CN",
                            certificate.entry.device_id
                        ),
                        "Thingpress names things after it; make the batch with a profile that has CN",
                    ));
                };
                let (path, file) = file.as_mut().expect("the first row opens one");
                writeln!(file, "{line}").map_err(|error| cannot_write(path, &error))?;
                written += 1;
            }
        }
        finish(file)?;
        if self.json {
            print_json(&json!({
                "batch": issued.record().batch,
                "devices": written,
                "folder": self.to.display().to_string(),
                "files": files,
            }));
            return Ok(ExitCode::SUCCESS);
        }
        let mut report = Report::default();
        report
            .line("batch", &issued.record().batch)
            .line("devices", devices(written))
            .line("files", format!("{} in {}", count(files), self.to.display()))
            .line(
                "next",
                "copy them to the bucket of Thingpress whose name ends in -generated",
            );
        print(&report.to_string());
        Ok(ExitCode::SUCCESS)
    }
}

fn finish(file: Option<(PathBuf, BufWriter<File>)>) -> Result<(), Failure> {
    let Some((path, file)) = file else {
        return Ok(());
    };
    file.into_inner()
        .map_err(std::io::IntoInnerError::into_error)
        .and_then(|file| file.sync_all())
        .map_err(|error| cannot_write(&path, &error))
}
