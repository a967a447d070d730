//! The page of profiles has every field that the reader of profiles knows, and no other.

use std::collections::BTreeSet;

use certforge::profile::Profile;
use regex_lite::Regex;

use super::pages::read;

/// What a profile with this text is refused with.
fn refusal(text: &str) -> String {
    Profile::parse(text, "p", None)
        .expect_err("a field is unknown")
        .to_string()
}

/// The names in backquotes that a message expects.
fn expected(message: &str, unknown: &str) -> Option<Vec<String>> {
    let (_, expected) = message.split_once(&format!("unknown field `{unknown}`, expected "))?;
    let name = Regex::new("`([^`]+)`").expect("a pattern");
    Some(
        name.captures_iter(expected)
            .map(|found| found[1].to_owned())
            .collect(),
    )
}

/// All fields, each by its path, from what the reader itself says that it expects.
fn fields() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for section in expected(&refusal("zzz = 1"), "zzz").expect("it tells its fields") {
        let of_table = expected(&refusal(&format!("name = 'p'\n[{section}]\nzzz = 1\n")), "zzz");
        let Some(of_table) = of_table else {
            found.insert(section);
            continue;
        };
        for field in of_table {
            let path = format!("{section}.{field}");
            let of_list = expected(
                &refusal_or_none(&format!("name = 'p'\n[[{path}]]\nzzz = 1\n")),
                "zzz",
            );
            found.extend(
                of_list
                    .into_iter()
                    .flatten()
                    .map(|below| format!("{path}.{below}")),
            );
            found.insert(path);
        }
    }
    found.extend(of_files());
    let content = "name = 'p'\nbundle.files = [{ name = 'a', content = { zzz = 1 } }]\n";
    let of_file = expected(&refusal(content), "zzz").expect("it tells its fields");
    found.extend(
        of_file
            .into_iter()
            .map(|field| format!("bundle.files.content.{field}")),
    );
    found
}

/// The fields of a file: those that it does not know itself are its format's.
fn of_files() -> BTreeSet<String> {
    let text = "name = 'p'\nbundle.files = [
        { name = 'k', content = 'private-key', format = 'pem', compression = 'stored' },
        { name = 'c', content = 'certificate' },
        { name = 'i', content = 'issuer', shared = true },
    ]";
    let profile = Profile::parse(text, "p", None).expect("it has every field");
    let files = serde_json::to_value(&profile.config().bundle.files).expect("it is written");
    let files = files.as_array().expect("a list").iter();
    let names = files.flat_map(|file| file.as_object().expect("a table").keys());
    names.map(|name| format!("bundle.files.{name}")).collect()
}

fn refusal_or_none(text: &str) -> String {
    Profile::parse(text, "p", None)
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default()
}

/// The fields of the page's table.
fn documented() -> BTreeSet<String> {
    let row = Regex::new(r"^\| `([a-z0-9_.]+)` \|").expect("a pattern");
    let page = read("docs/profiles.md");
    page.prose()
        .filter_map(|line| Some(row.captures(line)?[1].to_owned()))
        .collect()
}

#[test]
fn every_field_is_documented_and_no_other() {
    let fields = fields();
    for known in [
        "name",
        "subject",
        "validity.days",
        "bundle.files.shared",
        "bundle.files.content.sha256",
    ] {
        assert!(fields.contains(known), "{fields:?}");
    }
    assert_eq!(documented(), fields);
}

/// What a field may be is in the page too, where the reader has a list of it.
#[test]
fn values_that_have_names_are_documented() {
    let (profiles, bundles) = (read("docs/profiles.md").text, read("docs/bundles.md").text);
    let name = Regex::new("`([^`]+)`").expect("a pattern");
    for (text, page) in [
        ("name = 'p'\nkey.type = 'zzz'\n", &profiles),
        ("name = 'p'\nmanifest.id_case = 'zzz'\n", &profiles),
        (
            "name = 'p'\nbundle.files = [{ name = 'a', content = 'issuer', compression = 'zzz' }]\n",
            &profiles,
        ),
        (
            "name = 'p'\nbundle.files = [{ name = 'a', content = 'issuer', format = 'zzz' }]\n",
            &bundles,
        ),
        (
            "name = 'p'\nbundle.files = [{ name = 'a', content = 'zzz' }]\n",
            &profiles,
        ),
    ] {
        let message = refusal(text);
        let names: Vec<String> = name
            .captures_iter(&message)
            .map(|found| found[1].to_owned())
            .collect();
        for value in names
            .iter()
            .filter(|value| !["zzz", "p"].contains(&value.as_str()))
        {
            let is_there = page.contains(&format!("`{value}`")) || value.starts_with("amazon-root-ca-");
            assert!(is_there, "{value}: {message}");
        }
    }
}
