//! What the program tells people to type exists: commands, options, and pages, in errors, hints, findings and help; and what the
//! pages name within a sentence.

use std::collections::BTreeSet;

use regex_lite::Regex;

use super::commands::{self, Help};
use super::literals;
use super::pages::all;
use super::words::{self, has, options, typed};
use crate::support::Workplace;

/// Options of other programs, which messages name.
const OF_OTHERS: [&str; 3] = ["--age-plugin", "--collector", "--type"];

/// Files of the source that write commands of other programs, with the options of these.
const WRITES_COMMANDS: [&str; 4] = [
    "src/aws/command.rs",
    "src/cli/connect.rs",
    "src/cli/job/aws_batch.rs",
    "src/cli/job/kubernetes.rs",
];

/// What stands in texts that have a command of another program.
const OTHERS: [&str; 3] = ["aws ", "#SBATCH", "pkcs11-tool"];

/// The commands that stand in a text between backticks, as they are typed.
fn quoted(text: &str, first: &BTreeSet<String>) -> Vec<String> {
    let span = Regex::new("`([^`\n]+)`").expect("a pattern");
    span.captures_iter(text)
        .filter_map(|found| {
            let words = found[1].to_owned();
            let (head, rest) = words.split_once(' ')?;
            // Such as `station done`; `ledger = …` is a setting, and `certforge bench 1` the name of a format.
            let is_format =
                words.starts_with("certforge bench ") && !rest[6..].contains(|c: char| !c.is_ascii_digit());
            let is_command = !is_format && !rest.starts_with(['=', '{']);
            match head {
                "certforge" if is_command => Some(rest.to_owned()),
                _ if is_command && first.contains(head) => Some(words),
                _ => None,
            }
        })
        .collect()
}

/// What stands for something that the reader puts in.
fn is_for_something(word: &str) -> bool {
    let name = word.trim_matches(|c: char| !c.is_alphanumeric() && c != '{');
    word.contains(['{', '<', '…'])
        || (!name.is_empty() && name.chars().all(|c| c.is_uppercase() || c.is_ascii_digit()))
}

/// What the command line says against it; `…` may stand for a command of several.
fn wrong(place: &Workplace, commands: &[Help], typed: &str) -> Option<String> {
    let Some((group, rest)) = typed.split_once(" …") else {
        return wrong_one(place, typed);
    };
    let rest = rest.trim_start();
    let within = format!("certforge {group} ");
    let mut all = commands
        .iter()
        .filter_map(|help| help.name.strip_prefix(&within))
        .map(|name| wrong_one(place, &format!("{group} {name} {rest}")))
        .peekable();
    if all.peek().is_none() {
        return wrong_one(place, &typed.replace(" …", ""))
            .and_then(|_| wrong_one(place, &typed.replace('…', "x")));
    }
    all.min()?
}

/// It is not run: `--help` ends it once what is before is read.
fn wrong_one(place: &Workplace, typed: &str) -> Option<String> {
    let (own, _) = typed.split_once(" > ").unwrap_or((typed, ""));
    let own = own.split_once(" -- ").map_or(own, |(own, _)| own);
    let own = own.replace(['[', ']'], "");
    let words: Vec<&str> = own.split_whitespace().collect();
    let arguments: Vec<String> = words
        .iter()
        .map(|word| word.replace(['{', '}', '<', '>', '…', '"', '\''], "x"))
        .map(|word| word.trim_end_matches([',', ';', '.']).to_owned())
        .collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = place
        .command(&[&arguments[..], &["--help"]].concat())
        .output()
        .expect("the binary runs");
    if output.status.success() {
        return None;
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let first = said.lines().next().unwrap_or_default();
    // An option alone is named, not given; and what is put in for a value is none.
    let last = words.last().copied().unwrap_or_default();
    let is_named = first.contains("a value is required for") && last.starts_with("--");
    let is_value = first.contains("invalid value") && words.iter().any(|word| is_for_something(word));
    (!is_named && !is_value).then(|| format!("`{typed}`: {first}"))
}

/// The commands that stand first.
fn first(commands: &[Help]) -> BTreeSet<String> {
    let names = commands
        .iter()
        .filter_map(|help| help.name.strip_prefix("certforge "));
    names
        .filter(|name| !name.contains(' '))
        .map(str::to_owned)
        .collect()
}

#[test]
fn commands_that_people_are_told_to_type_exist() {
    if cfg!(not(feature = "aws")) {
        return;
    }
    let commands = commands::all();
    let first = first(&commands);
    let place = Workplace::new();
    let mut told: Vec<(String, String)> = Vec::new();
    for literal in literals::all() {
        told.extend(
            quoted(&literal.text, &first)
                .into_iter()
                .map(|typed| (literal.at.clone(), typed)),
        );
    }
    assert!(
        told.len() > 60,
        "only {} commands are found in the source",
        told.len()
    );
    for help in &commands {
        told.extend(
            quoted(&help.text, &first)
                .into_iter()
                .map(|typed| (help.name.clone(), typed)),
        );
    }
    for page in all().iter().filter(|page| page.path != "CHANGELOG.md") {
        let prose: Vec<&str> = page.prose().collect();
        told.extend(
            quoted(&prose.join("\n"), &first)
                .into_iter()
                .map(|typed| (page.path.clone(), typed)),
        );
    }
    let mut seen = BTreeSet::new();
    let faults: Vec<String> = told
        .iter()
        .filter(|(_, typed)| seen.insert(typed.clone()))
        .filter_map(|(at, typed)| Some(format!("{at}: {}", wrong(&place, &commands, typed)?)))
        .collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn options_that_messages_name_exist() {
    if cfg!(not(feature = "aws")) {
        return;
    }
    let any: BTreeSet<String> = options().values().flatten().cloned().collect();
    let is_others = |option: &str| OF_OTHERS.contains(&option) || words::OF_OTHERS.contains(&option);
    let mut faults = Vec::new();
    for literal in literals::all() {
        let file = literal.at.split(':').next().expect("a file");
        let is_own =
            !WRITES_COMMANDS.contains(&file) && !OTHERS.iter().any(|other| literal.text.contains(other));
        let unknown = typed(&literal.text)
            .into_iter()
            .filter(|option| !has(&any, option) && !is_others(option));
        faults.extend(
            unknown
                .filter(|_| is_own)
                .map(|option| format!("{}: {option}", literal.at)),
        );
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

/// Who has the binary has neither `docs` nor `profiles`: commands print what is needed of them.
#[test]
fn nothing_that_is_said_needs_the_source() {
    let folder = Regex::new(r"(?:^|[\s`(])(?:docs|profiles|packaging|benches)/[a-z]").expect("a pattern");
    let faults: Vec<String> = literals::all()
        .into_iter()
        .filter(|literal| folder.is_match(&literal.text))
        .map(|literal| format!("{}: {}", literal.at, literal.text))
        .collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn commands_that_are_none_are_found() {
    if cfg!(not(feature = "aws")) {
        return;
    }
    let place = Workplace::new();
    let commands = commands::all();
    let first = first(&commands);
    let told = quoted(
        "first `certforge ledger rebild {place}`; then `station scrap PUMP-1 --by-force`, `cp a b`",
        &first,
    );
    assert_eq!(told, ["ledger rebild {place}", "station scrap PUMP-1 --by-force"]);
    for typed in &told {
        assert!(wrong(&place, &commands, typed).is_some(), "{typed}");
    }
    for typed in [
        "ledger rebuild {place}",
        "ca new --key URI",
        "run --to",
        "job slurm -- run x",
        "bench --json > bench.json",
        "bundle … --parent ROOT",
    ] {
        assert_eq!(wrong(&place, &commands, typed), None);
    }
}
