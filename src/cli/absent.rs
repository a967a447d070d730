//! Commands that this build is without: whoever types one is told so.

use std::ffi::OsString;

use clap::{Args, Subcommand};

use super::failure::Failure;

#[derive(Debug, Subcommand)]
pub enum Absent {
    #[command(hide = true, disable_help_flag = true, disable_help_subcommand = true)]
    Jitp(Anything),
    #[command(hide = true, disable_help_flag = true, disable_help_subcommand = true)]
    Rehearse(Anything),
    #[command(hide = true, disable_help_flag = true, disable_help_subcommand = true)]
    Connect(Anything),
}

/// What is not read.
#[derive(Debug, Args)]
pub struct Anything {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<OsString>,
}

impl Absent {
    pub fn failure(&self) -> Failure {
        let name = match self {
            Self::Jitp(_) => "jitp",
            Self::Rehearse(_) => "rehearse",
            Self::Connect(_) => "connect",
        };
        Failure::usage(
            &format!("there is no `certforge {name}` here: this certforge was built without the feature aws"),
            "build it with that feature, as `cargo build --release` does",
        )
    }
}
