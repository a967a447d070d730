//! The certforge command: parse, run, print error and hint, exit code.

#![warn(clippy::unwrap_used)]

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
