//! `docs/messages.md` has each error that the goldens hold, with its hint, under its exit code.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::pages::{read, root};

/// What a command said when it failed.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Said {
    error: String,
    hint: String,
}

/// The errors of a golden, by exit code.
fn of(golden: &str) -> Vec<(u8, Said)> {
    let mut found = Vec::new();
    let mut code = 0;
    let mut lines = golden.lines().peekable();
    while let Some(line) = lines.next() {
        if line.starts_with("$ ") {
            code = 0;
        } else if let Some(number) = line.strip_prefix("? ") {
            code = number.parse().unwrap_or(0);
        } else if let Some(error) = line.strip_prefix("certforge: error: ") {
            let hint = lines
                .peek()
                .and_then(|next| next.strip_prefix("certforge: hint: "));
            let said = Said {
                error: plain(error),
                hint: plain(hint.unwrap_or_default()),
            };
            found.push((code, said));
        }
    }
    found
}

/// Without what stands for something in goldens.
fn plain(text: &str) -> String {
    text.replace("[CWD]/", "")
        .replace("[..]", "…")
        .replace("[VERSION]", "…")
}

/// The errors of all goldens; of those that differ only by a number or a name in quotes, the first.
fn all() -> BTreeMap<u8, BTreeSet<Said>> {
    let alike = regex_lite::Regex::new(r#""[^"]*"|[0-9]+"#).expect("a pattern");
    let mut files: Vec<_> = std::fs::read_dir(root().join("tests/cmd"))
        .expect("the goldens")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "trycmd"))
        .filter(|path| path.file_stem().is_some_and(|name| name != "without-aws"))
        .collect();
    files.sort();
    let mut seen = BTreeSet::new();
    let mut all: BTreeMap<u8, BTreeSet<Said>> = BTreeMap::new();
    for file in files {
        for (code, said) in of(&std::fs::read_to_string(file).expect("a golden")) {
            if seen.insert(alike.replace_all(&said.error, "_").into_owned()) {
                all.entry(code).or_default().insert(said);
            }
        }
    }
    all
}

fn page(all: &BTreeMap<u8, BTreeSet<Said>>) -> String {
    let mut page = String::from(
        "# Messages\n\nWhat certforge says when it cannot do something, and what to do then. Search this page for a part of the message that has no name or number of\n\
         yours in it. The numbers are [exit codes](exit-codes.md). What happened at the line is easier to find in\n\
         [I made a mistake: what now?](mistakes.md). The file names and numbers are examples.\n",
    );
    for (code, said) in all {
        write!(page, "\n## Exit code {code}\n\n```text\n").expect("text grows");
        for (i, Said { error, hint }) in said.iter().enumerate() {
            let gap = if i == 0 { "" } else { "\n" };
            writeln!(page, "{gap}error: {error}").expect("text grows");
            if !hint.is_empty() {
                writeln!(page, "hint: {hint}").expect("text grows");
            }
        }
        page.push_str("```\n");
    }
    page
}

#[test]
fn the_page_of_messages_is_what_the_goldens_hold() {
    let page = page(&all());
    if std::env::var("BOOK").is_ok_and(|book| book == "overwrite") {
        std::fs::write(root().join("docs/messages.md"), &page).expect("the page is written");
    }
    let written = read("docs/messages.md").text;
    let differs = page.lines().zip(written.lines()).find(|(now, then)| now != then);
    assert!(
        page == written,
        "docs/messages.md differs (BOOK=overwrite writes it): {differs:?}"
    );
}

#[test]
fn an_error_is_read_with_its_hint_and_code() {
    let found = of(
        "$ certforge x\n? 3\ncertforge: error: bad [CWD]/a\ncertforge: hint: mend it\n\n$ certforge y\nfine\n",
    );
    let [(3, said)] = &found[..] else {
        panic!("{} are found", found.len());
    };
    assert_eq!((said.error.as_str(), said.hint.as_str()), ("bad a", "mend it"));
}
