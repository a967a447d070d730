//! The run that is handed out: checked as `run` itself is, before anything is printed, and seen to be what many hosts can do.

use std::path::{Path, PathBuf};

use certforge::ledger::LedgerName;
use certforge::store::Place;
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches};

use super::Array;
use crate::cli::run::Run;
use crate::cli::{Cli, Failure, settings, spelling};

/// As long as this a task waits for the ledger's server.
const LEDGER_WAIT: &str = "10min";

/// A run that every task does.
pub struct Command {
    /// What was typed, without `certforge` and `run`.
    words: Vec<String>,
    /// What clap made of it.
    pub run: Run,
    matches: ArgMatches,
}

/// How tasks account for what they make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accounts {
    /// In one ledger, on a server.
    Shared,
    /// In a shard and a ledger for each.
    Shards,
}

impl Command {
    /// Reads the words behind `--`.
    pub fn parse(words: &[String]) -> Result<Self, Failure> {
        let words = match words.split_first() {
            Some((first, rest)) if first == "certforge" => rest,
            _ => words,
        };
        let Some(("run", rest)) = words.split_first().map(|(first, rest)| (first.as_str(), rest)) else {
            return Err(Failure::usage(
                "a job hands out a `run`, and behind -- there is another command",
                "such as: certforge job slurm -- run devices.csv --ca ca --to s3://factory-eu/batches",
            ));
        };
        let ledger = settings::of("ledger");
        if let Some(word) = rest.iter().chain(&ledger).find(|word| holds_password(word)) {
            return Err(Failure::usage(
                &format!(
                    "{} has a password, which everybody could read in the file",
                    without_password(word)
                ),
                "leave it out: the ledger's is read from the file of PGPASSFILE, or from PGPASSWORD, which come from a secret of the scheduler",
            ));
        }
        let line = ["certforge", "run"]
            .into_iter()
            .chain(rest.iter().map(String::as_str));
        let matches = spelling::in_all(Cli::command())
            .try_get_matches_from(line)
            .map_err(|error| not_a_run(&error))?;
        let matches = matches.subcommand_matches("run").expect("it is `run`").clone();
        let command = Self {
            words: rest.to_vec(),
            run: Run::from_arg_matches(&matches).map_err(|error| not_a_run(&error))?,
            matches,
        };
        command.refuse_what_tasks_cannot()?;
        command.run.to()?;
        Ok(command)
    }

    /// What one task can and many cannot.
    fn refuse_what_tasks_cannot(&self) -> Result<(), Failure> {
        if self.run.manifest == Path::new("-") {
            return Err(Failure::usage(
                "standard input is read once, and every task reads the manifest",
                "give a file",
            ));
        }
        if self.is_given("shard") {
            return Err(Failure::usage(
                "every task would make the shard that --shard names",
                "leave it out: each task takes its own",
            ));
        }
        if self.is_given("ledger") && self.accounts() == Accounts::Shards {
            return Err(Failure::usage(
                "--ledger names a file, and a ledger that many hosts share is on a server",
                "name one, as in postgres://forge@db.factory/certforge; or leave it out: each task makes a shard, with a ledger of its own",
            ));
        }
        Ok(())
    }

    pub fn accounts(&self) -> Accounts {
        match self.server() {
            Some(_) => Accounts::Shared,
            None => Accounts::Shards,
        }
    }

    /// The server that has the ledger: as it was typed, or as the settings of this machine or the CA's folder have it, which a
    /// task need not have.
    fn server(&self) -> Option<String> {
        let ledger = match self.is_given("ledger") {
            true => self.value("ledger"),
            false => settings::of("ledger"),
        };
        let name = match ledger {
            Some(ledger) => ledger.parse().ok()?,
            None => self.run.ledger.find(self.run.issuer.whose(None)).ok()?.name,
        };
        match name {
            LedgerName::Server(url) => Some(url.as_str().to_owned()),
            LedgerName::File(_) => None,
        }
    }

    /// Whether an option was typed.
    pub fn is_given(&self, option: &str) -> bool {
        self.matches.value_source(option) == Some(ValueSource::CommandLine)
    }

    /// What was typed for an option.
    fn value(&self, option: &str) -> Option<String> {
        let mut raw = self.matches.get_raw(option).filter(|_| self.is_given(option))?;
        Some(raw.next()?.to_string_lossy().into_owned())
    }

    /// Refuses a folder for bundles, where the hosts of the tasks have none in common.
    pub fn refuse_local_place(&self) -> Result<(), Failure> {
        match self.run.to()? {
            Place::S3 { .. } => Ok(()),
            place @ Place::Folder(_) => Err(Failure::usage(
                &format!(
                    "{place} is {} of the host that a task runs on, and is gone with it",
                    place.kind()
                ),
                "name a bucket, as in --to s3://factory-eu/batches",
            )),
        }
    }

    /// The folder of the CA, which may be named by its certificate in there.
    pub fn ca_folder(&self) -> PathBuf {
        let named = self.run.issuer.folder();
        let is_file = named.is_file() || named.extension().is_some_and(|extension| extension == "pem");
        match named.parent() {
            Some(folder) if is_file => folder.to_owned(),
            _ => named.to_owned(),
        }
    }

    /// Files of recipients.
    pub fn recipients(&self) -> Vec<PathBuf> {
        certforge::profile::recipient_files(&self.run.recipients)
            .map(PathBuf::from)
            .collect()
    }

    /// A profile that is a file.
    pub fn profile(&self) -> Option<PathBuf> {
        let profile = &self.run.profile;
        let is_built_in = certforge::profile::BUILT_IN
            .iter()
            .any(|(name, _)| name == profile);
        (!is_built_in).then(|| PathBuf::from(profile))
    }

    /// The command of a task: what was typed, and what makes it one of many. `ledgers` is the folder for those of shards.
    pub fn of_task(&self, array: &Array, ledgers: &str) -> Vec<String> {
        let mut words = vec!["certforge".to_owned(), "run".to_owned()];
        words.extend(self.words.iter().cloned());
        if !self.is_given("jobs") {
            words.extend(["--jobs".to_owned(), array.cpus.to_string()]);
        }
        match self.server() {
            Some(_) if self.is_given("ledger") => {}
            Some(server) => words.extend(["--ledger".to_owned(), server]),
            None => {
                words.extend(["--shard".to_owned(), format!("auto/{}", array.tasks)]);
                words.extend(["--ledger".to_owned(), ledgers.to_owned()]);
            }
        }
        // A task that a scheduler starts again while the server is away waits for it.
        if self.server().is_some() && !self.is_given("ledger_wait") {
            words.extend(["--ledger-wait", LEDGER_WAIT].map(str::to_owned));
        }
        words
    }
}

/// What clap says of a line that it does not take, in one line.
fn not_a_run(error: &clap::Error) -> Failure {
    let said = error.to_string();
    let paragraphs = said
        .split("\n\n")
        .map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
    let told: Vec<String> = paragraphs
        .filter(|text| !text.starts_with("Usage:") && !text.starts_with("For more information"))
        .collect();
    let what = match error.use_stderr() {
        true => told.join("; ").replacen("error: ", "", 1),
        false => "it asks for help, and makes nothing".to_owned(),
    };
    Failure::usage(
        &format!("the run that the job hands out is none: {what}"),
        "`certforge run --help` lists what it takes",
    )
}

/// Whether a word is, or has in it, a URL with a password: between the user and the host, or behind a question mark.
fn holds_password(word: &str) -> bool {
    without_password(word) != *word
}

/// The word with `…` in place of passwords.
fn without_password(word: &str) -> String {
    let Some((before, rest)) = word.split_once("://") else {
        return word.to_owned();
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, after) = rest.split_at(end);
    let authority = match authority.rsplit_once('@') {
        Some((user, host)) => match user.split_once(':') {
            Some((user, _)) => format!("{user}:…@{host}"),
            None => authority.to_owned(),
        },
        None => authority.to_owned(),
    };
    let after = match after.split_once('?') {
        Some((path, query)) => {
            let pairs = query.split('&').map(|pair| match pair.split_once('=') {
                Some((name, _)) if name.to_ascii_lowercase().contains("password") => format!("{name}=…"),
                _ => pair.to_owned(),
            });
            format!("{path}?{}", pairs.collect::<Vec<_>>().join("&"))
        }
        None => after.to_owned(),
    };
    format!("{before}://{authority}{after}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_found_and_not_said() {
        for (word, shown) in [
            (
                "postgres://forge:geheim@db/certforge",
                "postgres://forge:…@db/certforge",
            ),
            (
                "--ledger=postgresql://forge:a@b@db:5432",
                "--ledger=postgresql://forge:…@db:5432",
            ),
            ("postgres://forge:@db", "postgres://forge:…@db"),
            (
                "postgres://db/x?user=f&password=geheim",
                "postgres://db/x?user=f&password=…",
            ),
            (
                "postgres://db?sslpassword=geheim&a=b",
                "postgres://db?sslpassword=…&a=b",
            ),
            ("http://key:secret@localhost:9000", "http://key:…@localhost:9000"),
        ] {
            assert_eq!(without_password(word), shown);
            assert!(holds_password(word), "{word}");
            assert!(!shown.contains("geheim"));
        }
        for word in [
            "postgres://forge@db.factory/certforge",
            "postgres://db:5432/certforge?sslmode=verify-full",
            "s3://factory-eu/a:b@c",
            "devices.csv",
            "a:b@c",
        ] {
            assert!(!holds_password(word), "{word}");
        }
    }
}
