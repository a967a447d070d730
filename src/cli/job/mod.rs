//! `certforge job`: complete files that have Slurm, AWS Batch or Kubernetes make a batch, by the same `run` in every task. It
//! hands in nothing itself, and no secret is in what it prints.

mod aws_batch;
mod command;
mod kubernetes;
mod slurm;

use std::fmt;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::report::Outcome;

#[derive(Debug, Subcommand)]
pub enum Job {
    /// Print a batch script for Slurm: an array of tasks
    Slurm(slurm::Slurm),
    /// Print a job definition for AWS Batch, and the command that hands in an array of it
    AwsBatch(aws_batch::AwsBatch),
    /// Print an Indexed Job for Kubernetes
    Kubernetes(kubernetes::Kubernetes),
}

/// What every scheduler is told.
#[derive(Debug, Args)]
struct Array {
    /// Name of the job
    #[arg(long, value_name = "NAME", default_value = "certforge", value_parser = name)]
    name: String,
    /// Tasks: with a ledger that hosts share each takes work that nobody has; else each makes a shard
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    tasks: u32,
    /// Cores of a task
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1024))]
    cpus: u16,
    /// Memory of a task
    #[arg(long, value_name = "MIB", default_value_t = 2048, value_parser = clap::value_parser!(u32).range(128..=1_048_576))]
    memory: u32,
    /// Print a JSON document, with the file as a text
    #[arg(long)]
    json: bool,
    /// The run of every task, as it would be typed: run devices.csv --ca ca --to s3://factory-eu/batches
    #[arg(last = true, required = true, value_name = "RUN")]
    run: Vec<String>,
}

/// A file, for people as it is.
#[derive(Serialize)]
struct Printed {
    scheduler: &'static str,
    tasks: u32,
    /// Whether the tasks share a ledger, or make a shard each.
    shared_ledger: bool,
    command: Vec<String>,
    /// A name that fits.
    file: String,
    text: String,
    submit: String,
    /// What `RegisterJobDefinition` of AWS Batch takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    job_definition: Option<String>,
    /// What `SubmitJob` takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    submit_job: Option<String>,
}

impl fmt::Display for Printed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Job {
    pub fn run(&self) -> Outcome {
        match self {
            Self::Slurm(slurm) => slurm.run(),
            Self::AwsBatch(batch) => batch.run(),
            Self::Kubernetes(kubernetes) => kubernetes.run(),
        }
    }
}

/// What all schedulers take for a name.
fn name(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_letter = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase());
    let is_end = |c: Option<char>| c.is_some_and(|c| c != '-');
    let fits = (1..=40).contains(&text.len()) && text.chars().all(is_plain);
    match fits && is_letter(text.chars().next()) && is_end(text.chars().last()) {
        true => Ok(text.to_owned()),
        false => Err("use 1 to 40 of a-z 0-9 -, a letter first and - not last".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn a_name_is_one_to_every_scheduler() {
        for text in ["certforge", "line-7", "a", "a2", &"a".repeat(40)] {
            assert!(name(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "-a",
            "a-",
            "7",
            "Line",
            "a_b",
            "a.b",
            "a b",
            "ä",
            "a\nb",
            &"a".repeat(41),
        ] {
            assert!(name(text).is_err(), "{text}");
        }
    }
}
