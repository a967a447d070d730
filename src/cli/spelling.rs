//! One way to say where something goes: `--to` and `--out` are one option, with the names that other tools have for it.

use clap::{Arg, Command};

const NAMES: [&str; 3] = ["to", "out", "output"];

/// Gives the option the other names, in every command that has it.
pub fn in_all(command: Command) -> Command {
    let others: Vec<String> = command
        .get_arguments()
        .filter_map(|argument| argument.get_long().map(str::to_owned))
        .collect();
    let has_short = command
        .get_arguments()
        .any(|argument| argument.get_short() == Some('o'));
    let name = |argument: Arg| match argument.get_long() {
        Some(long) if NAMES.contains(&long) => {
            let free = NAMES
                .iter()
                .filter(|name| !others.iter().any(|other| other == *name))
                .copied();
            let argument = free.fold(argument, Arg::alias);
            if has_short {
                argument
            } else {
                argument.short_alias('o')
            }
        }
        _ => argument,
    };
    command.mut_args(name).mut_subcommands(in_all)
}
