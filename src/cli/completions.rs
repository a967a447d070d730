//! `certforge completions`: what a shell completes, from the same types that the command line is read with.

use std::fmt;

use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::shells::{Bash, Fish, Zsh};
use clap_complete::{Generator, generate};
use serde::Serialize;

use super::Cli;
use super::report::Ended;

#[derive(Debug, Args)]
pub struct Completions {
    /// Shell that reads it
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// A script, as the shell reads it.
#[derive(Serialize)]
#[serde(transparent)]
struct Script(String);

impl Completions {
    pub fn run(&self) -> Ended {
        Ended::with(Script(match self.shell {
            Shell::Bash => script(Bash),
            Shell::Zsh => script(Zsh),
            Shell::Fish => script(Fish),
        }))
    }
}

fn script(shell: impl Generator) -> String {
    let mut script = Vec::new();
    generate(shell, &mut Cli::command(), "certforge", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
