//! The pictures that are drawn from pages show what these have.

use std::process::Command;

use super::pages::root;

#[test]
fn pictures_show_what_the_pages_have() {
    let output = Command::new("python3")
        .arg(root().join("docs/pictures/make"))
        .arg("--check")
        .output()
        .expect("Python is installed");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

/// Where there is a browser.
#[cfg(feature = "aws")]
#[test]
fn the_picture_of_a_rehearsal_shows_what_its_page_says() {
    let is_there = |browser| Command::new(browser).arg("--version").output().is_ok();
    if !["chromium", "chromium-browser"].into_iter().any(is_there) {
        eprintln!("LEFT OUT: there is no chromium; `tests/all` installs it");
        return;
    }
    let output = Command::new("python3")
        .arg(root().join("docs/pictures/make"))
        .args(["--check-page", env!("CARGO_BIN_EXE_certforge")])
        .output()
        .expect("Python is installed");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

#[test]
fn pictures_are_small_and_shown() {
    let pages = super::pages::all();
    for entry in std::fs::read_dir(root().join("docs/pictures")).expect("the pictures") {
        let entry = entry.expect("an entry");
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".svg") || name.ends_with(".png") {
            let size = entry.metadata().expect("it is there").len();
            assert!(size <= 100_000, "{name} has {size} octets");
            let is_shown = pages
                .iter()
                .any(|page| page.text.contains(&format!("pictures/{name})")));
            assert!(is_shown, "no page shows {name}");
        }
    }
}
