//! One way to say things: `--to` and `--out` are one option, with the names that other tools have for it; and a batch may be
//! named by `--batch`, and a CA by `--ca`, by whoever knows these from other commands.

use std::ffi::OsString;

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
        // Where a CA is only to be trusted, its folder is as good as its certificate.
        Some("issuer") if !others.iter().any(|other| other == "ca") => argument.alias("ca"),
        _ => argument,
    };
    command.mut_args(name).mut_subcommands(in_all)
}

/// What was typed, with a batch that is named by `--batch` where the command takes it as it is.
pub fn typed(root: &Command, words: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut words: Vec<OsString> = words.collect();
    let (mut command, mut rest) = (root, 1);
    for (i, word) in words.iter().enumerate().skip(1) {
        let Some(sub) = word.to_str().and_then(|word| command.find_subcommand(word)) else {
            continue;
        };
        (command, rest) = (sub, i + 1);
    }
    let is_positional = command
        .get_positionals()
        .any(|argument| argument.get_id() == "batch");
    if !is_positional
        || command
            .get_arguments()
            .any(|argument| argument.get_long() == Some("batch"))
    {
        return words;
    }
    if let Some(i) = (rest..words.len()).find(|i| words[*i] == "--batch") {
        words.remove(i);
    } else if let Some(word) = words[rest..]
        .iter_mut()
        .find(|word| word.to_str().is_some_and(|word| word.starts_with("--batch=")))
    {
        *word = word.to_string_lossy()["--batch=".len()..].into();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_may_be_named_by_its_option_everywhere() {
        let root = <super::super::Cli as clap::CommandFactory>::command();
        let typed = |line: &str| {
            let words = typed(&root, line.split(' ').map(OsString::from));
            words
                .iter()
                .map(|word| word.to_string_lossy().into_owned())
                .collect::<Vec<_>>()
                .join(" ")
        };
        for (line, same) in [
            ("certforge verify --batch b", "certforge verify b"),
            (
                "certforge -q verify --json --batch=out/b",
                "certforge -q verify --json out/b",
            ),
            ("certforge ledger export --batch b", "certforge ledger export b"),
            ("certforge run m.csv --batch b", "certforge run m.csv --batch b"),
            (
                "certforge export --flashed --batch b",
                "certforge export --flashed --batch b",
            ),
        ] {
            assert_eq!(typed(line), same);
        }
    }

    #[test]
    fn a_ca_may_be_named_by_its_option_where_it_is_only_trusted() {
        let root = in_all(<super::super::Cli as clap::CommandFactory>::command());
        for line in [
            "certforge verify out/b --ca ca",
            "certforge station status --batch out/b --ca ca",
        ] {
            let read = root.clone().try_get_matches_from(line.split(' '));
            assert!(read.is_ok(), "{line}: {read:?}");
        }
    }
}
