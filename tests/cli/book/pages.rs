//! The pages: their lines, and which of these are code.

use std::path::{Path, PathBuf};

/// A page, by its path from the root of the source.
pub struct Page {
    pub path: String,
    pub text: String,
}

/// A block of code.
pub struct Block<'a> {
    /// What stands behind the fence, such as `console`.
    pub info: &'a str,
    /// Line of its first line, from 0.
    pub start: usize,
    pub lines: Vec<&'a str>,
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// README, book, and the other pages that are for people.
pub fn all() -> Vec<Page> {
    let mut paths: Vec<PathBuf> = [
        "README.md",
        "SECURITY.md",
        "CHANGELOG.md",
        "benches/README.md",
        "fuzz/README.md",
    ]
    .map(PathBuf::from)
    .into();
    for entry in std::fs::read_dir(root().join("docs")).expect("the book") {
        let name = entry.expect("an entry").file_name();
        if name.to_string_lossy().ends_with(".md") {
            paths.push(Path::new("docs").join(name));
        }
    }
    paths.sort();
    paths
        .into_iter()
        .map(|path| read(&path.to_string_lossy()))
        .collect()
}

pub fn read(path: &str) -> Page {
    Page {
        path: path.to_owned(),
        text: std::fs::read_to_string(root().join(path)).expect("the page is there"),
    }
}

impl Page {
    pub fn blocks(&self) -> Vec<Block<'_>> {
        let mut blocks: Vec<Block<'_>> = Vec::new();
        let mut is_open = false;
        for (number, line) in self.text.lines().enumerate() {
            match (line.strip_prefix("```"), is_open) {
                (Some(_), true) => is_open = false,
                (Some(info), false) => {
                    is_open = true;
                    blocks.push(Block {
                        info,
                        start: number + 1,
                        lines: Vec::new(),
                    });
                }
                (None, true) => blocks.last_mut().expect("one is open").lines.push(line),
                (None, false) => {}
            }
        }
        assert!(!is_open, "{}: a block of code is not closed", self.path);
        blocks
    }

    /// What is not code.
    pub fn prose(&self) -> impl Iterator<Item = &str> {
        let mut is_open = false;
        self.text.lines().filter(move |line| {
            let is_fence = line.starts_with("```");
            is_open ^= is_fence;
            !is_open && !is_fence
        })
    }
}

#[test]
fn the_readme_is_one_screen_or_a_few() {
    let readme = read("README.md").text;
    assert!(
        readme.len() <= 8192,
        "the README has {} octets, 8192 are allowed",
        readme.len()
    );
}
