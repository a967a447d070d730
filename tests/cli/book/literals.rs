//! The texts in the source: what the program can say.

use std::path::Path;

use regex_lite::Regex;

use super::pages::root;

/// A text, and where it stands.
pub struct Literal {
    pub at: String,
    pub text: String,
}

/// All string literals of `src`, but for those of tests.
pub fn all() -> Vec<Literal> {
    let mut found = Vec::new();
    walk(&root().join("src"), &mut found);
    found
}

fn walk(folder: &Path, found: &mut Vec<Literal>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if name.contains("tests") {
            continue;
        }
        if path.is_dir() {
            walk(&path, found);
        } else if name.ends_with(".rs") {
            let source = std::fs::read_to_string(&path).expect("a file");
            let own = source.split("#[cfg(test)]\nmod ").next().expect("a first part");
            let path = path.strip_prefix(root()).expect("it is in the root");
            let at = |(line, text)| Literal {
                at: format!("{}:{line}", path.display()),
                text,
            };
            found.extend(of(own).into_iter().map(at));
        }
    }
}

/// The string literals of a source, each with its line.
fn of(source: &str) -> Vec<(usize, String)> {
    let character = Regex::new(r"^'(?:\\[^']*'|[^'\\]')").expect("a pattern");
    let mut found = Vec::new();
    let mut rest = source;
    let mut line = 1;
    while let Some(c) = rest.chars().next() {
        let before = rest;
        rest = if rest.starts_with("//") {
            &rest[rest.find('\n').unwrap_or(rest.len())..]
        } else if let Some(hashes) = raw(rest) {
            let start = 2 + hashes;
            let end = format!("\"{}", "#".repeat(hashes));
            let length = rest[start..].find(&end).expect("a raw text ends");
            found.push((line, rest[start..start + length].to_owned()));
            &rest[start + length + end.len()..]
        } else if let Some(inner) = rest.strip_prefix('"') {
            let length = end(inner);
            found.push((line, unescaped(&inner[..length])));
            &inner[length + 1..]
        } else if c.is_alphanumeric() || c == '_' {
            // A name whole, so that the r of `for"` begins nothing.
            rest.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_')
        } else if let Some(inner) = rest.strip_prefix("'\\''") {
            inner
        } else {
            // A character is none, and a lifetime no character.
            let length = if c == '\'' {
                character.find(rest).map(|found| found.end())
            } else {
                None
            };
            &rest[length.unwrap_or(c.len_utf8())..]
        };
        line += before[..before.len() - rest.len()].matches('\n').count();
    }
    found
}

/// The hashes of a raw text that begins here.
fn raw(rest: &str) -> Option<usize> {
    let rest = rest.strip_prefix('r')?;
    let inner = rest.trim_start_matches('#');
    inner.starts_with('"').then(|| rest.len() - inner.len())
}

/// Where a text ends whose first quote is behind us.
fn end(inner: &str) -> usize {
    let mut is_escaped = false;
    for (i, c) in inner.char_indices() {
        match c {
            '"' if !is_escaped => return i,
            '\\' => is_escaped = !is_escaped,
            _ => is_escaped = false,
        }
    }
    panic!("a text does not end: {inner:.40}");
}

fn unescaped(text: &str) -> String {
    let mut lines = text.split("\\\n");
    let first = lines.next().unwrap_or_default().to_owned();
    lines
        .fold(first, |joined, line| joined + line.trim_start())
        .replace("\\\"", "\"")
        .replace("\\n", "\n")
        .replace("\\\\", "\\")
}

#[test]
fn texts_are_found_and_comments_and_characters_are_none() {
    let source = "fn a<'a>(x: &'a str) { // \"no\"\n  b('\"', \"one \\\"1\\\"\", r#\"two \" 2\"#, '\\'', \"long \\\n     text\") }";
    let texts: Vec<String> = of(source).into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["one \"1\"", "two \" 2", "long text"]);
}
