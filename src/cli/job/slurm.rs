//! `certforge job slurm`: a batch script, whose array is of tasks on any nodes that share a file system.

use certforge::shell::quoted;
use clap::Args;

use super::command::{Accounts, Command};
use super::{Array, Printed};
use crate::cli::report::{Ended, Outcome};

#[derive(Debug, Args)]
pub struct Slurm {
    #[command(flatten)]
    array: Array,
    /// Folder for the ledgers of shards, on a file system that all nodes share
    #[arg(long, value_name = "DIR", default_value = "ledgers")]
    ledgers: String,
}

impl Slurm {
    pub fn run(&self) -> Outcome {
        let command = Command::parse(&self.array.run)?;
        let words = command.of_task(&self.array, &self.ledgers);
        let file = format!("{}.sh", self.array.name);
        let submit = format!("sbatch {file}");
        Ok(Ended::with(Printed {
            scheduler: "slurm",
            tasks: self.array.tasks,
            shared_ledger: command.accounts() == Accounts::Shared,
            text: self.script(command.accounts(), &words, &submit),
            command: words,
            file,
            submit,
            job_definition: None,
            submit_job: None,
        }))
    }

    fn script(&self, accounts: Accounts, words: &[String], submit: &str) -> String {
        let Array {
            name,
            tasks,
            cpus,
            memory,
            ..
        } = &self.array;
        let last = tasks - 1;
        let ledgers = quoted(&self.ledgers);
        let (what, before) = match accounts {
            Accounts::Shared => (
                "# The tasks share the ledger: each makes what nobody has yet, and the last one seals.\n\
                 # Its password is read from the file that PGPASSFILE names, or ~/.pgpass; it is not in here.\n",
                String::new(),
            ),
            Accounts::Shards => (
                "# Each task makes a shard of the batch, with a ledger of its own in a folder that lasts and that all nodes see. When\n\
                 # all are made, seal the batch: the log of each task has the command.\n",
                format!("mkdir -p -m 700 {ledgers}\n"),
            ),
        };
        let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        format!(
            "#!/bin/bash\n\
             # Hand it in with: {submit}\n\
             {what}\
             # A task that was ended goes on where it stopped: scontrol requeue JOB_TASK\n\
             #SBATCH --job-name={name}\n\
             #SBATCH --array=0-{last}\n\
             #SBATCH --ntasks=1\n\
             #SBATCH --cpus-per-task={cpus}\n\
             #SBATCH --mem={memory}M\n\
             #SBATCH --requeue\n\
             #SBATCH --open-mode=append\n\
             #SBATCH --output={name}-%A-%a.log\n\
             set -euo pipefail\n\
             umask 077\n\
             {before}\
             exec srun --cpus-per-task={cpus} {}\n",
            words.join(" ")
        )
    }
}
