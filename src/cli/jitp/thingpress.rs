//! `certforge jitp thingpress`.

use std::fmt;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use certforge::jitp;
use clap::Args;
use serde::Serialize;

use super::{BatchArgs, cannot_write, make_folder};
use crate::cli::failure::Failure;
use crate::cli::report::{Ended, Outcome};
use crate::cli::text::{Lines, count, devices};

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
    json: bool,
    #[command(flatten)]
    batch: BatchArgs,
}

/// The files that were written.
#[derive(Serialize)]
struct Written {
    batch: String,
    devices: u64,
    folder: String,
    files: u64,
}

impl Thingpress {
    pub fn run(&self) -> Outcome {
        let batch = self.batch.open()?;
        let issued = batch.vouched()?;
        make_folder(&self.to)?;
        let (mut written, mut files) = (0, 0);
        let mut file: Option<(PathBuf, BufWriter<File>)> = None;
        for chunk in 0..issued.record().shape().chunks() {
            for certificate in issued.certificates(chunk)? {
                if written % self.per_file == 0 {
                    close(file.take())?;
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
        close(file)?;
        Ok(Ended::with(Written {
            batch: issued.record().batch.clone(),
            devices: written,
            folder: self.to.display().to_string(),
            files,
        }))
    }
}

fn close(file: Option<(PathBuf, BufWriter<File>)>) -> Result<(), Failure> {
    match file {
        Some((path, file)) => {
            let file = file.into_inner().map_err(std::io::IntoInnerError::into_error);
            file.and_then(|file| file.sync_all())
                .map_err(|error| cannot_write(&path, &error))
        }
        None => Ok(()),
    }
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Lines::default();
        lines
            .line("batch", &self.batch)
            .line("devices", devices(self.devices))
            .line("files", format!("{} in {}", count(self.files), self.folder))
            .line(
                "next",
                "copy them to the bucket of Thingpress whose name ends in -generated",
            );
        lines.fmt(f)
    }
}
