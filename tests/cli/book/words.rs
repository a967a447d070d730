//! What the pages name exists: options, variables and exit codes; and what exists of these is named.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use regex_lite::Regex;

use super::commands;
use super::pages::{Page, all, read, root};

/// Options of other programs, which the pages name where they tell of those.
pub const OF_OTHERS: [&str; 24] = [
    "--all-targets",
    "--array",
    "--bench",
    "--bucket",
    "--card",
    "--coverage",
    "--crypto-mb",
    "--faults",
    "--features",
    "--inputkey",
    "--install",
    "--kills",
    "--lib",
    "--no-default-features",
    "--open",
    "--page",
    "--range",
    "--release",
    "--rounds",
    "--secure_cert_type",
    "--seed",
    "--skip_flash",
    "--test",
    "--time",
];

/// The options of each command.
pub fn options() -> BTreeMap<String, BTreeSet<String>> {
    let option = Regex::new(r"(?m)^ +(?:-[a-zA-Z], )?(--[a-z0-9-]+)").expect("a pattern");
    let of = |text: &str| {
        option
            .captures_iter(text)
            .map(|found| found[1].to_owned())
            .collect()
    };
    commands::all()
        .iter()
        .map(|command| (command.name.clone(), of(&command.text)))
        .collect()
}

/// Whether a command has an option, under one of its names.
pub fn has(options: &BTreeSet<String>, option: &str) -> bool {
    let same = ["--to", "--out", "--output"];
    options.contains(option)
        || (same.contains(&option) && same.iter().any(|same| options.contains(*same)))
        || ["--help", "--version", "--quiet", "--verbose", "--log-file"].contains(&option)
}

pub fn typed(text: &str) -> Vec<String> {
    let option = Regex::new(r"(?:^|[\s`(\[])(--[a-z][a-z0-9_-]+)").expect("a pattern");
    option
        .captures_iter(text)
        .map(|found| found[1].to_owned())
        .collect()
}

/// What is wrong with the options of a command line of the pages.
fn wrong(line: &str, options: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut wrong = Vec::new();
    let Some((_, rest)) = line.split_once("certforge ") else {
        return wrong;
    };
    let (own, inner) = rest.split_once(" -- ").unwrap_or((rest, ""));
    for arguments in [own, inner] {
        let mut name = "certforge".to_owned();
        for word in arguments.split_whitespace() {
            let longer = format!("{name} {word}");
            if !options.contains_key(&longer) {
                break;
            }
            name = longer;
        }
        if name == "certforge" {
            continue;
        }
        // What follows is of another command, or said in words.
        let end = arguments.find([';', '|', '#', '>']).unwrap_or(arguments.len());
        let is_batch = |option: &str| option == "--batch";
        for option in typed(&arguments[..end]) {
            if !has(&options[&name], &option) && !is_batch(&option) {
                wrong.push(format!("{name} has no {option}"));
            }
        }
    }
    wrong
}

/// Command lines in blocks of code, each in one line.
fn lines(page: &Page) -> Vec<String> {
    let mut lines = Vec::new();
    for block in page.blocks() {
        let text = block.lines.join("\n").replace("\\\n", " ");
        let typed = text.lines().filter_map(|line| line.strip_prefix("$ "));
        lines.extend(typed.map(str::to_owned));
    }
    lines
}

#[test]
fn options_that_are_shown_exist() {
    if cfg!(not(feature = "aws")) {
        return;
    }
    let options = options();
    let any: BTreeSet<String> = options.values().flatten().cloned().collect();
    let mut wrong_ones = Vec::new();
    for page in all() {
        let at = |what: String| format!("{}: {what}", page.path);
        wrong_ones.extend(lines(&page).iter().flat_map(|line| wrong(line, &options)).map(at));
        for line in page.prose() {
            let unknown = typed(line)
                .into_iter()
                .filter(|option| !has(&any, option) && !OF_OTHERS.contains(&option.as_str()));
            wrong_ones.extend(unknown.map(|option| at(format!("no command has {option}: {line}"))));
        }
    }
    assert!(wrong_ones.is_empty(), "{wrong_ones:#?}");
}

/// The list has no more than it needs.
#[test]
fn options_of_others_are_used() {
    let options = options();
    let any: BTreeSet<String> = options.values().flatten().cloned().collect();
    let pages = all();
    let used: Vec<String> = pages.iter().flat_map(Page::prose).flat_map(typed).collect();
    for option in OF_OTHERS {
        assert!(used.iter().any(|used| used == option), "no page has {option}");
        assert!(
            !any.contains(option) || cfg!(not(feature = "aws")),
            "{option} is certforge's own"
        );
    }
}

#[test]
fn options_that_are_none_are_found() {
    if cfg!(not(feature = "aws")) {
        return;
    }
    let options = options();
    assert_eq!(
        wrong("certforge run m.csv --cb x", &options),
        ["certforge run has no --cb"]
    );
    assert_eq!(
        wrong("certforge job slurm --tasks 2 -- run m.csv --tasks 2", &options),
        ["certforge run has no --tasks"]
    );
    assert_eq!(
        wrong("certforge run m.csv -o x --out y --log-file z", &options),
        [""; 0]
    );
}

/// `CERTFORGE_…` in all files of a folder.
fn variables(folder: &Path, found: &mut BTreeSet<String>) {
    let variable = Regex::new("CERTFORGE_[A-Z0-9_]*[A-Z0-9]").expect("a pattern");
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            variables(&path, found);
            continue;
        }
        let text = std::fs::read(&path).expect("a file");
        let text = String::from_utf8_lossy(&text);
        found.extend(variable.find_iter(&text).map(|found| found.as_str().to_owned()));
    }
}

#[test]
fn variables_are_documented_and_exist() {
    // What is settled when it is built, and what tests alone read.
    let inner = [
        "CERTFORGE_BUILT",
        "CERTFORGE_COMMIT",
        "CERTFORGE_TEST_PYTHON",
        "CERTFORGE_TEST_RSA",
        "CERTFORGE_TEST_RSA_ENGINE",
    ];
    let mut in_source = BTreeSet::new();
    variables(&root().join("src"), &mut in_source);
    let settings = read("docs/settings.md").text;
    for variable in &in_source {
        let is_named = settings.contains(&format!("`{variable}`"));
        assert!(
            is_named || inner.contains(&variable.as_str()),
            "docs/settings.md says nothing of {variable}"
        );
    }
    for folder in ["tests", "benches"] {
        variables(&root().join(folder), &mut in_source);
    }
    let variable = Regex::new("CERTFORGE_[A-Z0-9_]*[A-Z0-9]").expect("a pattern");
    // Of what was there once, the changelog tells.
    for page in all().iter().filter(|page| page.path != "CHANGELOG.md") {
        for found in variable.find_iter(&page.text) {
            assert!(
                in_source.contains(found.as_str()),
                "{}: {}",
                page.path,
                found.as_str()
            );
        }
    }
}

#[test]
fn exit_codes_are_documented_and_exist() {
    let source = std::fs::read_to_string(root().join("src/cli/exit.rs")).expect("the table");
    let code = Regex::new(r"pub const [A-Z_]+: u8 = ([0-9]+);").expect("a pattern");
    let mut codes: BTreeSet<String> = code
        .captures_iter(&source)
        .map(|found| found[1].to_owned())
        .collect();
    codes.insert("0".to_owned());
    let row = Regex::new(r"(?m)^\| ([0-9]+) \|").expect("a pattern");
    let page = read("docs/exit-codes.md").text;
    let documented: BTreeSet<String> = row
        .captures_iter(&page)
        .map(|found| found[1].to_owned())
        .collect();
    assert_eq!(documented, codes);
}
