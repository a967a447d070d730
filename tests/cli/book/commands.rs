//! `docs/commands.md` is what the commands say of themselves.

use std::fmt::Write as _;

use super::pages::{read, root};
use crate::support::Workplace;

/// A command and its help.
pub struct Help {
    /// Such as `certforge ca new`.
    pub name: String,
    pub text: String,
}

/// All commands.
pub fn all() -> Vec<Help> {
    let place = Workplace::new();
    let mut found = Vec::new();
    add(&place, &[], &mut found);
    found
}

fn add(place: &Workplace, command: &[&str], found: &mut Vec<Help>) {
    let output = place
        .command(&[command, &["--help"]].concat())
        .env("COLUMNS", "120")
        .output()
        .expect("the binary runs");
    let text = String::from_utf8(output.stdout).expect("help is text");
    let below = text.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names: Vec<String> = below
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| Some(line.split_whitespace().next()?.to_owned()))
        .filter(|name| name != "help")
        .collect();
    found.push(Help {
        name: [&["certforge"], command].concat().join(" "),
        text,
    });
    for name in names {
        add(place, &[command, &[name.as_str()]].concat(), found);
    }
}

/// The page.
fn page(commands: &[Help]) -> String {
    let mut page = String::from(
        "# Commands\n\nEvery command with its options, as `--help` tells it. All take `--quiet`, `--verbose` and `--log-file FILE` \
         ([settings](settings.md#how-much-is-said)).\n",
    );
    for Help { name, text } in commands {
        let own = text.split("\n\nMessages:\n").collect::<Vec<_>>();
        let first = own[0].trim_end();
        // What comes after the messages belongs to the command again.
        let rest = own
            .get(1)
            .and_then(|rest| rest.split_once("\n\n"))
            .map(|(_, rest)| rest.trim_end());
        let text = match rest {
            Some(rest) if !rest.is_empty() => format!("{first}\n\n{rest}"),
            _ => first.to_owned(),
        };
        write!(page, "\n## `{name}`\n\n```text\n{text}\n```\n").expect("text grows");
    }
    page
}

#[test]
fn the_page_of_commands_is_what_they_say() {
    if cfg!(not(feature = "aws")) {
        return;
    }
    let page = page(&all());
    if std::env::var("BOOK").is_ok_and(|book| book == "overwrite") {
        std::fs::write(root().join("docs/commands.md"), &page).expect("the page is written");
    }
    let written = read("docs/commands.md").text;
    let differs = page.lines().zip(written.lines()).find(|(now, then)| now != then);
    assert!(
        page == written,
        "docs/commands.md differs (BOOK=overwrite writes it): {differs:?}"
    );
}
