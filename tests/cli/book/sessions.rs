//! Sessions that README and book show are held: each page's commands are typed one after the other, in one shell and one
//! folder, and print what the page says.
//!
//! A block of `console` is held; one of `console needs …` says what it takes that is not here. What a command prints may be left out
//! as a whole; then it must only succeed. A line `…` stands for any lines. Where a page needs something to begin with,
//! `tests/book/PAGE.sh` makes it. Moments, random numbers and rates are taken for the same.

use std::fmt::Write as _;
use std::process::Command;

use regex_lite::Regex;

use super::pages::{Page, all, root};
use crate::support::Workplace;

const PASSPHRASE: &str = "the passphrase of the book";

/// A command, and what is shown of what it prints.
struct Step<'a> {
    typed: Vec<&'a str>,
    shown: Vec<&'a str>,
    /// Line behind it in the page.
    end: usize,
}

fn steps(page: &Page) -> Vec<Step<'_>> {
    let mut steps: Vec<Step<'_>> = Vec::new();
    for block in page.blocks().into_iter().filter(|block| block.info == "console") {
        let mut is_typed = false;
        for (i, line) in block.lines.iter().enumerate() {
            let end = block.start + i + 1;
            if let Some(typed) = line.strip_prefix("$ ") {
                steps.push(Step {
                    typed: vec![typed],
                    shown: Vec::new(),
                    end,
                });
                is_typed = typed.ends_with('\\');
                continue;
            }
            let step = steps
                .last_mut()
                .unwrap_or_else(|| panic!("{}: a block begins without a command", page.path));
            match is_typed {
                true => {
                    is_typed = line.ends_with('\\');
                    step.typed.push(line);
                }
                false => step.shown.push(line),
            }
            step.end = end;
        }
    }
    for step in &mut steps {
        while step.shown.last().is_some_and(|line| line.is_empty()) {
            step.shown.pop();
            step.end -= 1;
        }
    }
    steps
}

/// A line without what differs from one time to the next.
fn plain(line: &str) -> String {
    let rules = [
        (r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z", "MOMENT"),
        (r"[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]+Z", "MOMENT"),
        (r"\b[0-9]{8}T[0-9]{6}Z", "MOMENT"),
        (r"\b[0-9a-f]{8,64}\b", "HEX"),
        (r"\bage1[0-9a-z]+", "RECIPIENT"),
        (r"[0-9.]+ s, [0-9,]+/s", "RATE"),
        (r"by engine [a-z-]+", "by an engine"),
        (r"^engines   .*", "engines"),
    ];
    rules
        .iter()
        .fold(line.trim_end().to_owned(), |line, (pattern, with)| {
            Regex::new(pattern)
                .expect("a pattern")
                .replace_all(&line, *with)
                .into_owned()
        })
}

/// Whether lines are those that are shown, of which `…` is any number.
fn fits(shown: &[&str], said: &[String]) -> bool {
    match (shown, said) {
        ([], []) => true,
        (["…", rest @ ..], _) if fits(rest, said) => true,
        (["…", ..], [_, left @ ..]) => fits(shown, left),
        ([line, rest @ ..], [found, left @ ..]) => plain(line) == plain(found) && fits(rest, left),
        _ => false,
    }
}

/// What each command printed, and how it ended.
fn run(page: &Page, steps: &[Step<'_>]) -> Vec<(Vec<String>, i32)> {
    let place = Workplace::new();
    let stem = page
        .path
        .rsplit('/')
        .next()
        .expect("a name")
        .trim_end_matches(".md");
    let mut script = String::from("set +e\n");
    let setup = root().join(format!("tests/book/{stem}.sh"));
    if setup.exists() {
        writeln!(
            script,
            "( set -e; . {} ) > setup.log 2>&1 || {{ cat setup.log; exit 99; }}",
            setup.display()
        )
        .expect("text grows");
    }
    for step in steps {
        writeln!(script, "{}\nprintf '\\n<<<%s>>>\\n' $?", step.typed.join("\n")).expect("text grows");
    }
    std::fs::write(place.join("typed.sh"), script).expect("the script is written");
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_certforge"))
        .parent()
        .expect("a folder");
    let path = std::env::var("PATH").unwrap_or_default();
    // What waits for somebody must say that it needs him.
    let output = Command::new("timeout")
        .args(["100", "bash", "-c", ". ./typed.sh 2>&1"])
        .current_dir(place.path())
        .env_clear()
        .env("PATH", format!("{}:{path}", program.display()))
        .env("HOME", place.path())
        .env("LANG", "C.UTF-8")
        .env("COLUMNS", "120")
        .env("CERTFORGE_CA_PASSPHRASE", PASSPHRASE)
        .env("BOOK_DATA", root().join("tests/data"))
        .stdin(std::process::Stdio::null())
        .output()
        .expect("bash runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let end = Regex::new(r"\n<<<([0-9]+)>>>\n").expect("a pattern");
    let mut results = Vec::new();
    let mut from = 0;
    for found in end.captures_iter(&said) {
        let whole = found.get(0).expect("all of it");
        let text = said[from..whole.start()].trim_end_matches('\n');
        let lines = if text.is_empty() {
            Vec::new()
        } else {
            text.lines().map(str::to_owned).collect()
        };
        results.push((lines, found[1].parse().expect("a code")));
        from = whole.end();
    }
    assert_eq!(results.len(), steps.len(), "{}: {said}", page.path);
    results
}

/// Writes what was printed in the place of what is shown.
fn overwrite(page: &Page, steps: &[Step<'_>], results: &[(Vec<String>, i32)]) {
    let mut lines: Vec<String> = page.text.lines().map(str::to_owned).collect();
    for (step, (said, _)) in steps.iter().zip(results).rev() {
        if !step.shown.is_empty() && !fits(&step.shown, said) {
            lines.splice(step.end - step.shown.len()..step.end, said.iter().cloned());
        }
    }
    std::fs::write(root().join(&page.path), lines.join("\n") + "\n").expect("the page is written");
}

fn hold(page: &Page) -> Vec<String> {
    let steps = steps(page);
    if steps.is_empty() {
        return Vec::new();
    }
    let results = run(page, &steps);
    if std::env::var("BOOK").is_ok_and(|book| book == "overwrite") {
        overwrite(page, &steps, &results);
    }
    let mut faults = Vec::new();
    for (step, (said, code)) in steps.iter().zip(&results) {
        let typed = step.typed.join("\n");
        if step.shown.is_empty() {
            if *code != 0 {
                faults.push(format!(
                    "{}: {typed}: exit code {code}\n{}",
                    page.path,
                    said.join("\n")
                ));
            }
        } else if !fits(&step.shown, said) {
            faults.push(format!(
                "{}: {typed}\nshows:\n{}\nprints:\n{}",
                page.path,
                step.shown.join("\n"),
                said.join("\n")
            ));
        }
    }
    faults
}

#[test]
fn sessions_print_what_is_shown() {
    if cfg!(not(feature = "aws")) {
        return;
    }
    let faults: Vec<String> = all().iter().flat_map(hold).collect();
    assert!(
        faults.is_empty(),
        "{} faults (BOOK=overwrite writes them)\n{}",
        faults.len(),
        faults.join("\n\n")
    );
}

#[test]
fn what_is_not_held_says_what_it_needs() {
    for page in all() {
        for block in page
            .blocks()
            .iter()
            .filter(|block| block.info.starts_with("console"))
        {
            let rest = &block.info["console".len()..];
            assert!(
                rest.is_empty() || rest.starts_with(" needs "),
                "{}: {}",
                page.path,
                block.info
            );
        }
    }
}

#[test]
fn a_session_of_another_time_is_the_same_and_another_is_not() {
    let said = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let now = said("made  10 devices in 0.60 s, 16,562/s\nend 2026-01-02T03:04:05Z\nlast");
    assert!(fits(
        &[
            "made  10 devices in 0.10 s, 1/s",
            "end 2051-11-23T12:00:00Z",
            "last"
        ],
        &now
    ));
    assert!(fits(&["made  10 devices in 0.10 s, 1/s", "…"], &now));
    assert!(fits(&["…", "last"], &now));
    assert!(!fits(&["made  11 devices in 0.10 s, 1/s", "…"], &now));
    assert!(!fits(&["…", "end"], &now));
}
