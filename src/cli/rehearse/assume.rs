//! What a rehearsal is told that AWS's documents leave open, or only the account knows.

use std::collections::BTreeSet;
use std::path::PathBuf;

use certforge::jitp::{Assumptions, SerialNumber, Template};
use clap::{Args, ValueEnum};

use super::read_text;
use crate::cli::failure::Failure;
use crate::cli::report::warn;

#[derive(Debug, Args)]
pub struct AssumeArgs {
    /// What AWS::IoT::Certificate::SerialNumber is, on which AWS's documents disagree: the subject's serialNumber, the
    /// certificate's own serial, or the one and else the other
    #[arg(long, value_enum, default_value_t = SerialNumberArg::Either)]
    serial_number: SerialNumberArg,
    /// Thing type, thing group or billing group that exists in the account; those that are not named fail as on AWS; may be
    /// given again [default: all exist]
    #[arg(long, value_name = "NAME", num_args = 1..)]
    assume_exists: Vec<String>,
    /// File with the names of those that exist, a line each, or as `aws iot list-thing-groups` and its like print them; may be
    /// given again
    #[arg(long, value_name = "FILE")]
    assume_exists_from: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SerialNumberArg {
    Either,
    Subject,
    Certificate,
}

impl AssumeArgs {
    /// Whether what templates name is held against a list.
    pub fn knows_what_exists(&self) -> bool {
        !(self.assume_exists.is_empty() && self.assume_exists_from.is_empty())
    }

    /// A template under these assumptions.
    pub fn apply(&self, template: Template) -> Result<Template, Failure> {
        if self.serial_number == SerialNumberArg::Either && template.asks_for_serial_number() {
            warn(
                "AWS's documents disagree on SerialNumber: here it is the subject's serialNumber, or else the certificate's own serial; --serial-number tries one of them",
            );
        }
        Ok(template.assuming(Assumptions {
            serial_number: match self.serial_number {
                SerialNumberArg::Either => SerialNumber::Either,
                SerialNumberArg::Subject => SerialNumber::Subject,
                SerialNumberArg::Certificate => SerialNumber::Certificate,
            },
            existing: match self.knows_what_exists() {
                true => Some(self.existing()?),
                false => None,
            },
        }))
    }

    fn existing(&self) -> Result<BTreeSet<String>, Failure> {
        let mut names: BTreeSet<String> = self.assume_exists.iter().cloned().collect();
        for path in &self.assume_exists_from {
            let text = read_text(path, "list")?;
            names.extend(Assumptions::names_in(&text).map_err(|error| {
                Failure::usage(
                    &format!("{}: {error}", path.display()),
                    "give a name on each line, or what `aws iot list-thing-groups` prints",
                )
            })?);
        }
        Ok(names)
    }
}
