//! Options that come from the environment: whoever is told that an option is wrong may never have typed it.

use std::ffi::{OsStr, OsString};

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

use super::settings::{self, Source};

/// A variable that gives a value to an option.
pub struct Given {
    variable: String,
    value: String,
    option: String,
}

impl Given {
    fn read(arg: &Arg) -> Option<Self> {
        let (variable, value) = own_variable(arg).or_else(|| setting(arg))?;
        Some(Self {
            variable,
            value,
            option: format!("--{}", arg.get_long()?),
        })
    }
}

/// The variable of an option itself.
fn own_variable(arg: &Arg) -> Option<(String, String)> {
    let variable = arg.get_env()?;
    let value = std::env::var_os(variable)?;
    let text = |text: &OsStr| text.to_string_lossy().into_owned();
    Some((text(variable), text(&value)))
}

/// One that is the default of an option, as a setting.
fn setting(arg: &Arg) -> Option<(String, String)> {
    let found = settings::all().iter().find(|found| {
        let defaults = arg.get_default_values();
        arg.get_id().as_str() == found.setting.key && defaults == [found.value.as_str()]
    })?;
    match found.source {
        Source::Variable(variable) => Some((variable.to_owned(), found.value.clone())),
        Source::File(_) => None,
    }
}

/// What the environment gave to the command that was chosen.
pub fn of_matches(command: &Command, matches: &ArgMatches) -> Vec<Given> {
    let (mut command, mut matches) = (command, matches);
    while let Some((name, chosen)) = matches.subcommand() {
        let Some(below) = command.find_subcommand(name) else {
            break;
        };
        (command, matches) = (below, chosen);
    }
    let is_given = |arg: &&Arg| {
        let source = matches.value_source(arg.get_id().as_str());
        matches!(source, Some(ValueSource::EnvVariable | ValueSource::DefaultValue))
    };
    command
        .get_arguments()
        .filter(is_given)
        .filter_map(Given::read)
        .collect()
}

/// What the environment gave to a command line that cannot be understood, as far as one can tell.
pub fn of_line(command: &Command, line: impl IntoIterator<Item = OsString>) -> Vec<Given> {
    let mut command = command;
    let words: Vec<String> = line
        .into_iter()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    for word in &words {
        match command.find_subcommand(word) {
            Some(below) => command = below,
            None => break,
        }
    }
    let is_typed = |given: &Given| {
        let assigned = format!("{}=", given.option);
        words
            .iter()
            .any(|word| *word == given.option || word.starts_with(&assigned))
    };
    let given = command.get_arguments().filter_map(Given::read);
    given.filter(|given| !is_typed(given)).collect()
}

/// A hint for people: who gave what.
pub fn hint(given: &[Given]) -> Option<String> {
    let told: Vec<String> = given
        .iter()
        .map(|given| format!("{}={:?} ({})", given.variable, given.value, given.option))
        .collect();
    (!told.is_empty()).then(|| format!("certforge: hint: from the environment: {}", told.join(", ")))
}

/// Those whose value a message speaks of as such, and not as the beginning of something else.
pub fn named_in(given: Vec<Given>, message: &str) -> Vec<Given> {
    let is_part = |c: char| c.is_alphanumeric() || "/-_.".contains(c);
    let is_named = |given: &Given| {
        let mut after = message.split(given.value.as_str()).skip(1);
        given.value.len() > 1 && after.any(|rest| !rest.starts_with(is_part))
    };
    given.into_iter().filter(is_named).collect()
}
