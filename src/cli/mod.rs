//! The command line. Only here is anything printed, and only here does the process end.

#[cfg(not(feature = "aws"))]
mod absent;
#[cfg(feature = "aws")]
mod batch;
mod bench;
mod bucket_policy;
mod bundle;
mod ca;
mod check;
mod clock;
mod completions;
mod config;
#[cfg(feature = "aws")]
mod connect;
mod crl;
mod doctor;
mod environment;
mod exit;
mod export;
mod failure;
mod flash;
mod identity;
#[cfg(feature = "aws")]
mod input;
mod interrupt;
mod issuer;
#[cfg(feature = "aws")]
mod jitp;
mod job;
mod ledger;
mod ledger_args;
#[cfg(target_os = "linux")]
mod locked;
mod log;
mod man;
mod mfa;
mod out;
mod passphrase;
mod passwords;
mod patience;
mod place;
mod profile;
mod progress;
#[cfg(feature = "aws")]
mod rehearse;
mod report;
mod retire;
mod run;
mod run_metrics;
mod seal;
mod settings;
mod shard;
mod span;
mod spelling;
mod station;
mod status;
mod text;
mod verify;
mod version;

use std::process::ExitCode;

use clap::error::{ContextValue, ErrorKind};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use failure::Failure;
use report::Printer;

/// Makes a key, a CA-signed certificate and a bundle for every device of a manifest.
///
/// Exit codes: 0 all made; 1 some devices failed, or verify found faults; 2 usage; 3 manifest;
/// 4 profile; 5 issuer; 6 store; 7 ledger; 8 AWS; 9 a station cannot
/// have the device; 130 interrupted.
#[derive(Debug, Parser)]
#[command(name = "certforge", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    volume: log::Volume,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make and show certificate authorities (CAs)
    #[command(subcommand)]
    Ca(ca::Ca),
    /// List every bad line of a manifest; makes nothing
    Check(Box<check::Check>),
    /// Show the settings that hold: of the environment, and of certforge.toml
    #[command(subcommand)]
    Config(config::Config),
    /// Show the built-in profiles, and check one of your own
    #[command(subcommand)]
    Profile(profile::ProfileCommand),
    /// Make a bundle for every device of a manifest, or go on where an earlier run stopped
    Run(Box<run::Run>),
    /// Print files that have Slurm, AWS Batch or Kubernetes make a batch on many machines
    #[command(subcommand)]
    Job(Box<job::Job>),
    /// Sign the statement that a batch is complete; `run` does it, but for a batch that was made in shards
    Seal(seal::Seal),
    /// Make the bundles of a batch anew, for other stations or another endpoint; no device gets a second identity
    #[command(subcommand)]
    Bundle(Box<bundle::Bundle>),
    /// Read a whole batch back and prove one good bundle for each row of its manifest
    Verify(verify::Verify),
    /// Show how far each batch is
    Status(status::Status),
    /// Read the ledger, copy it, make it anew from a store
    #[command(subcommand)]
    Ledger(ledger::Ledger),
    /// Claim bundles at a flashing station, flash them, report; see how the line is doing
    #[command(subcommand)]
    Station(Box<station::Station>),
    /// Hold a device's flash, read back, against what was released for it
    #[command(subcommand)]
    Flash(Box<flash::Flash>),
    /// Just-In-Time Provisioning: check templates, register the CA with AWS IoT, withdraw a batch
    #[cfg(feature = "aws")]
    #[command(subcommand)]
    Jitp(Box<jitp::Jitp>),
    /// Rehearse first connections: a local endpoint treats the devices of a batch as AWS IoT Core does
    #[cfg(feature = "aws")]
    Rehearse(Box<rehearse::Rehearse>),
    /// Connect as a device to its endpoint, with what its bundle holds, and time each step
    #[cfg(feature = "aws")]
    Connect(connect::Connect),
    #[cfg(not(feature = "aws"))]
    #[command(flatten)]
    Absent(absent::Absent),
    /// List the devices of a batch that were flashed, or scrapped, with their certificates
    Export(export::Export),
    /// Print a policy for a bucket that holds bundles: TLS only, nothing written over blindly, read by stations only
    BucketPolicy(bucket_policy::BucketPolicy),
    /// Look at all that a run depends on, and say what is not well; for a report to others, without secrets
    Doctor(doctor::Doctor),
    /// Measure this machine: keys, signatures, certificates and bundles a second, and whole runs
    ///
    /// By engine, key type and number of threads, each held against what the bare library does in the same run. What
    /// is made is thrown away. All of it takes about a minute.
    Bench(Box<bench::Bench>),
    /// Print the manual page, or write a page for each command to a folder
    Man(man::ManPages),
    /// Print what bash, zsh or fish completes commands with
    Completions(completions::Completions),
}

pub fn main() -> ExitCode {
    forbid_core_dumps();
    outlive_file_limits();
    let settings = settings::load();
    let command = spelling::in_all(settings::in_all(Cli::command()));
    let typed = spelling::typed(&command, std::env::args_os());
    let matches = match command.clone().try_get_matches_from(typed) {
        Ok(matches) => matches,
        Err(error) if error.kind() == ErrorKind::DisplayVersion && is_long_version() => {
            out::print(&version::long());
            return ExitCode::SUCCESS;
        }
        Err(error) if error.use_stderr() => {
            let text = printable_error(error).to_string();
            Printer::of_line(std::env::args_os()).show(&Failure::of_usage(&text).document());
            out::tell_usage(&text);
            let given = environment::of_line(&command, std::env::args_os());
            environment::hint(&given).into_iter().for_each(out::tell_aside);
            return exit::USAGE.into();
        }
        Err(error) => error.exit(),
    };
    let printer = Printer::of(&matches);
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    if let Err(failure) = settings.and_then(|()| cli.volume.begin()) {
        return printer.end(Err(failure));
    }
    let outcome = match &cli.command {
        Command::Ca(command) => command.run(),
        Command::Check(command) => command.run(),
        Command::Config(command) => Ok(command.run()),
        Command::Profile(command) => command.run(),
        Command::Run(command) => command.run(),
        Command::Job(command) => command.run(),
        Command::Seal(command) => command.run(),
        Command::Bundle(command) => command.run(),
        Command::Verify(command) => command.run(),
        Command::Status(command) => command.run(),
        Command::Ledger(command) => command.run(printer),
        Command::Station(command) => command.run(printer),
        Command::Flash(command) => command.run(),
        #[cfg(feature = "aws")]
        Command::Jitp(command) => command.run(printer),
        #[cfg(feature = "aws")]
        Command::Rehearse(command) => command.run(printer),
        #[cfg(feature = "aws")]
        Command::Connect(command) => command.run(printer),
        #[cfg(not(feature = "aws"))]
        Command::Absent(command) => Err(command.failure()),
        Command::Export(command) => command.run(printer),
        Command::BucketPolicy(command) => command.run(),
        Command::Doctor(command) => command.run(),
        Command::Bench(command) => command.run(),
        Command::Man(command) => command.run(),
        Command::Completions(command) => Ok(command.run()),
    };
    let from_environment = outcome.as_ref().err().and_then(|failure| {
        // What stations say of each other names them anyhow.
        let is_told = failure.exit_code() != exit::STATION;
        let given = is_told.then(|| environment::of_matches(&command, &matches))?;
        environment::hint(&environment::named_in(given, failure.message()))
    });
    let code = printer.end(outcome);
    from_environment.into_iter().for_each(out::tell_aside);
    code
}

/// `-V` prints a line, `--version` all that there is to tell.
fn is_long_version() -> bool {
    std::env::args_os().any(|word| word == "--version")
}

/// What was typed may be names of files that somebody else gave.
fn printable_error(mut error: clap::Error) -> clap::Error {
    use certforge::printable::line;
    let printable = error.context().filter_map(|(kind, value)| match value {
        ContextValue::String(text) => Some((kind, ContextValue::String(line(text).into_owned()))),
        ContextValue::Strings(texts) => {
            let texts = texts.iter().map(|text| line(text).into_owned());
            Some((kind, ContextValue::Strings(texts.collect())))
        }
        _ => None,
    });
    for (kind, value) in printable.collect::<Vec<_>>() {
        error.insert(kind, value);
    }
    error
}

/// A file that grows beyond what the user may write (`ulimit -f`) is an error of the ledger or the store, which say what
/// to do; not the end of the process by SIGXFSZ. Threads to come have the mask too; scripts that are started have not.
fn outlive_file_limits() {
    use nix::sys::signal::{SigSet, Signal};
    let mut blocked = SigSet::empty();
    blocked.add(Signal::SIGXFSZ);
    let _ = blocked.thread_block();
}

/// Private keys are in memory; a core dump would put them on disk.
fn forbid_core_dumps() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    // Failing to lower a limit is no reason not to work.
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let _ = setrlimit(Resource::Core, none);
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Commands without `--json`, and why.
    const WITHOUT: [(&str, &str); 4] = [
        ("certforge man", "what it prints is a page"),
        ("certforge completions", "what it prints is a script"),
        ("certforge station serve", "it serves until it is stopped"),
        ("certforge jitp template new", "what it prints is a document"),
    ];

    fn leaves(command: &clap::Command, name: &str, found: &mut Vec<(String, bool)>) {
        let subcommands: Vec<_> = command
            .get_subcommands()
            .filter(|command| command.get_name() != "help" && !command.is_hide_set())
            .collect();
        if subcommands.is_empty() {
            let has_json = command
                .get_arguments()
                .any(|argument| argument.get_id() == "json");
            found.push((name.to_owned(), has_json));
        }
        for subcommand in subcommands {
            leaves(subcommand, &format!("{name} {}", subcommand.get_name()), found);
        }
    }

    #[test]
    fn every_command_that_reports_has_documents() {
        let mut found = Vec::new();
        leaves(&Cli::command(), "certforge", &mut found);
        assert!(found.len() > 10, "{found:?}");
        for (name, has_json) in found {
            let is_without = WITHOUT.iter().any(|(without, _)| *without == name);
            assert_eq!(has_json, !is_without, "{name}");
        }
    }
}
