//! `certforge job aws-batch`: a job definition, and the command that hands in an array of it.
//!
//! CA and manifest lie in a file system of Amazon EFS, which the tasks only read; secrets come from AWS Secrets Manager.

use std::path::Path;

use certforge::shell::quoted;
use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};

use super::command::{Accounts, Command};
use super::{Array, Printed};
use crate::cli::Failure;
use crate::cli::report::{Ended, Outcome};

/// Where the file system is.
const FACTORY: &str = "/factory";

/// Where the folder for ledgers is, which alone is written to.
const LEDGERS: &str = "/ledgers";

/// Who a task is: nobody in particular, and not root.
const USER: &str = "65532:65532";

#[derive(Debug, Args)]
pub struct AwsBatch {
    #[command(flatten)]
    array: Array,
    /// Image that has certforge, such as 123456789012.dkr.ecr.eu-central-1.amazonaws.com/certforge:0.1.0
    #[arg(long, value_name = "IMAGE")]
    image: String,
    /// Job queue
    #[arg(long, value_name = "NAME")]
    queue: String,
    /// File system of Amazon EFS with the CA and the manifest, which tasks have at /factory
    #[arg(long, value_name = "fs-ID", value_parser = super::name)]
    efs: String,
    /// ARN of the IAM role of the tasks: it writes to the bucket, and mounts the file system
    #[arg(long, value_name = "ARN")]
    job_role: String,
    /// ARN of the IAM role that starts tasks: it reads the secrets, and pulls the image
    #[arg(long, value_name = "ARN")]
    execution_role: String,
    /// Variable of a task, and the ARN of the secret that it is, as in PGPASSWORD=arn:aws:secretsmanager:…; may be given again
    #[arg(long = "secret", value_name = "NAME=ARN")]
    secrets: Vec<String>,
}

/// A variable that Batch fills in.
#[derive(Serialize)]
struct Secret {
    name: String,
    #[serde(rename = "valueFrom")]
    arn: String,
}

impl AwsBatch {
    pub fn run(&self) -> Outcome {
        let command = Command::parse(&self.array.run)?;
        let accounts = command.accounts();
        self.refuse_what_batch_cannot(&command)?;
        let words = command.of_task(&self.array, LEDGERS);
        let definition = pretty(&self.definition(accounts, &words, &secrets(&self.secrets)?));
        let file = format!("{}.sh", self.array.name);
        Ok(Ended::with(Printed {
            scheduler: "aws-batch",
            tasks: self.array.tasks,
            shared_ledger: accounts == Accounts::Shared,
            command: words,
            text: self.script(accounts, &definition),
            submit: format!("sh {file}"),
            file,
            job_definition: Some(definition),
            submit_job: Some(pretty(&self.submission())),
        }))
    }

    fn refuse_what_batch_cannot(&self, command: &Command) -> Result<(), Failure> {
        command.refuse_local_place()?;
        if self.array.tasks == 1 && command.accounts() == Accounts::Shards {
            return Err(Failure::usage(
                "an array of AWS Batch has 2 tasks at least",
                "give --tasks 2 or more, or a ledger on a server",
            ));
        }
        if command.is_given("ca_certificate") {
            return Err(Failure::usage(
                "on AWS Batch the CA is a folder in the file system",
                "name it with --ca, as in --ca /factory/ca",
            ));
        }
        let named = [
            ("the manifest", Some(command.run.manifest.clone())),
            ("the CA", Some(command.ca_folder())),
            (
                "the passphrase file",
                command.run.issuer.passphrase_file().map(Path::to_owned),
            ),
            ("the profile", command.profile()),
        ];
        let recipients = command.recipients().into_iter();
        let recipients = recipients.map(|path| ("the file of recipients", Some(path)));
        for (what, path) in named.into_iter().chain(recipients) {
            if let Some(path) = path.filter(|path| !path.starts_with(FACTORY)) {
                return Err(Failure::usage(
                    &format!(
                        "{what} is {} on this machine, and tasks of AWS Batch have their files in {FACTORY}",
                        path.display()
                    ),
                    "put it into the file system that --efs names, and give its path there, as in /factory/devices.csv and --ca /factory/ca",
                ));
            }
        }
        Ok(())
    }

    fn definition(&self, accounts: Accounts, words: &[String], secrets: &[Secret]) -> Value {
        let volume = |name: &str, root: &str| {
            json!({
                "name": name,
                "efsVolumeConfiguration": {
                    "fileSystemId": self.efs,
                    "rootDirectory": root,
                    "transitEncryption": "ENABLED",
                    "authorizationConfig": { "iam": "ENABLED" },
                },
            })
        };
        let mount = |name: &str, path: &str, read_only: bool| json!({ "sourceVolume": name, "containerPath": path, "readOnly": read_only });
        let mut volumes = vec![volume("factory", "/")];
        let mut mounts = vec![mount("factory", FACTORY, true)];
        if accounts == Accounts::Shards {
            volumes.push(volume("ledgers", LEDGERS));
            mounts.push(mount("ledgers", LEDGERS, false));
        }
        json!({
            "jobDefinitionName": self.array.name,
            "type": "container",
            "platformCapabilities": ["EC2"],
            // What another attempt cannot mend is not tried again: usage, manifest, profile, issuer.
            "retryStrategy": {
                "attempts": 10,
                "evaluateOnExit": [
                    { "onExitCode": "2", "action": "EXIT" },
                    { "onExitCode": "3", "action": "EXIT" },
                    { "onExitCode": "4", "action": "EXIT" },
                    { "onExitCode": "5", "action": "EXIT" },
                    { "onReason": "*", "action": "RETRY" },
                ],
            },
            "containerProperties": {
                "image": self.image,
                "command": words,
                "jobRoleArn": self.job_role,
                "executionRoleArn": self.execution_role,
                "resourceRequirements": [
                    { "type": "VCPU", "value": self.array.cpus.to_string() },
                    { "type": "MEMORY", "value": self.array.memory.to_string() },
                ],
                "secrets": secrets,
                "volumes": volumes,
                "mountPoints": mounts,
                "user": USER,
                "privileged": false,
                "readonlyRootFilesystem": true,
                "linuxParameters": {
                    "initProcessEnabled": true,
                    "tmpfs": [{ "containerPath": "/tmp", "size": 256, "mountOptions": ["noexec", "nosuid", "nodev"] }],
                },
            },
        })
    }

    fn submission(&self) -> Value {
        let mut job = json!({
            "jobName": self.array.name,
            "jobQueue": self.queue,
            "jobDefinition": self.array.name,
        });
        if self.array.tasks > 1 {
            job["arrayProperties"] = json!({ "size": self.array.tasks });
        }
        job
    }

    /// Does both.
    fn script(&self, accounts: Accounts, definition: &str) -> String {
        let efs = &self.efs;
        let about = match accounts {
            Accounts::Shared => format!(
                "# The tasks share the ledger: each makes what nobody has yet, and the last one seals. CA and manifest lie in\n\
                 # {efs}, and are user 65532's.\n"
            ),
            Accounts::Shards => format!(
                "# Each task makes a shard of the batch, with a ledger of its own in the folder {LEDGERS} of {efs}, which must be\n\
                 # there, and lasts; it, the CA and the manifest are user 65532's. When all are made, seal the batch: the log of\n\
                 # each task has the command.\n"
            ),
        };
        let Array { name, tasks, .. } = &self.array;
        let array = match tasks {
            1 => String::new(),
            tasks => format!(" --array-properties size={tasks}"),
        };
        format!(
            "#!/bin/sh\n\
             # Registers the job, and hands it in.\n\
             {about}\
             set -eu\n\
             aws batch register-job-definition --cli-input-json file:///dev/stdin <<'JSON'\n\
             {definition}\n\
             JSON\n\
             aws batch submit-job --job-name {name} --job-queue {} --job-definition {name}{array}\n",
            quoted(&self.queue)
        )
    }
}

/// The secrets that are given. What is no ARN may be the secret itself, so it is not said again.
fn secrets(given: &[String]) -> Result<Vec<Secret>, Failure> {
    let parse = |text: &String| {
        let (name, arn) = text.split_once('=')?;
        let is_first = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let is_name = is_first && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        (is_name && arn.starts_with("arn:")).then(|| Secret {
            name: name.to_owned(),
            arn: arn.to_owned(),
        })
    };
    let secrets: Option<Vec<Secret>> = given.iter().map(parse).collect();
    secrets.ok_or_else(|| {
        Failure::usage(
            "--secret is a variable and the ARN of a secret, and one that is given is not",
            "as in --secret PGPASSWORD=arn:aws:secretsmanager:eu-central-1:123456789012:secret:forge",
        )
    })
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).expect("it has only text keys")
}
