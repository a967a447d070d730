//! Links lead somewhere: to a file that is there, and a heading in it.

use std::path::{Component, Path, PathBuf};

use super::pages::{Page, all, root};

/// What a heading is called in links, as GitHub has it.
fn anchor(heading: &str) -> String {
    let heading = heading.trim_start_matches('#').trim();
    let text = regex_lite::Regex::new(r"\[([^\]]*)\]\([^)]*\)").expect("a pattern");
    let heading = text.replace_all(heading, "$1").to_lowercase();
    let is_kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
    heading
        .chars()
        .filter(is_kept)
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

fn anchors(text: &str) -> Vec<String> {
    let page = Page {
        path: String::new(),
        text: text.to_owned(),
    };
    let headings: Vec<String> = page
        .prose()
        .filter(|line| line.starts_with('#'))
        .map(anchor)
        .collect();
    headings
}

/// A path without `..`.
fn plain(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut plain, part| {
        match part {
            Component::ParentDir => _ = plain.pop(),
            part => plain.push(part),
        }
        plain
    })
}

/// The places that a page links to, each with what is wrong with it.
fn dead(page: &Page) -> Vec<String> {
    let link = regex_lite::Regex::new(r"\]\(([^)\s]+)\)").expect("a pattern");
    let targets = page.prose().flat_map(|line| link.captures_iter(line));
    let mut dead = Vec::new();
    for target in targets.map(|found| found[1].to_owned()) {
        if target.contains("://") || target.starts_with("mailto:") {
            continue;
        }
        let (file, heading) = target.split_once('#').unwrap_or((&target, ""));
        let folder = Path::new(&page.path).parent().expect("it is a file");
        let path = plain(&folder.join(file));
        let text = match file {
            "" => page.text.clone(),
            _ => match std::fs::read(root().join(&path)) {
                Ok(octets) => String::from_utf8_lossy(&octets).into_owned(),
                Err(_) if root().join(&path).is_dir() => continue,
                Err(_) => {
                    dead.push(format!("{}: {target}: no such file", page.path));
                    continue;
                }
            },
        };
        if !heading.is_empty() && !anchors(&text).iter().any(|there| there == heading) {
            dead.push(format!("{}: {target}: no such heading", page.path));
        }
    }
    dead
}

#[test]
fn links_lead_somewhere() {
    let dead: Vec<String> = all().iter().flat_map(dead).collect();
    assert!(dead.is_empty(), "{dead:#?}");
}

#[test]
fn the_book_names_every_page() {
    let contents = super::pages::read("docs/README.md").text;
    for page in all() {
        let Some(name) = page.path.strip_prefix("docs/") else {
            continue;
        };
        assert!(
            name == "README.md" || contents.contains(&format!("]({name})")),
            "{name}"
        );
    }
}

#[test]
fn dead_links_are_found() {
    let page = |text: &str| Page {
        path: "docs/a.md".to_owned(),
        text: text.to_owned(),
    };
    assert_eq!(
        dead(&page(
            "# A b: `c`\n[x](ledger.md) [y](../README.md#install) [z](#a-b-c)"
        )),
        [""; 0]
    );
    assert_eq!(dead(&page("[x](no.md)")), ["docs/a.md: no.md: no such file"]);
    assert_eq!(
        dead(&page("[x](ledger.md#no)")),
        ["docs/a.md: ledger.md#no: no such heading"]
    );
}
