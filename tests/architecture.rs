//! Arrows between modules point one way: what flows first knows nothing of what flows later.

use std::collections::BTreeSet;
use std::path::Path;

/// Each module and the ones it may import. The library's order of flow, and the binary's `cli`.
const MAY_IMPORT: [(&str, &[&str]); 27] = [
    ("causes", &[]),
    ("digest", &[]),
    ("pem", &[]),
    ("shell", &[]),
    ("manifest", &["digest"]),
    ("bundle", &["digest", "pem"]),
    ("profile", &["digest", "manifest", "bundle"]),
    ("engine", &["profile"]),
    ("signer", &["engine"]),
    ("issuer", &["digest", "pem", "profile", "engine", "signer"]),
    ("certificate", &["profile", "engine", "signer", "issuer"]),
    ("sdk", &["causes", "pem"]),
    ("batch", &["digest", "manifest", "profile", "certificate"]),
    ("store", &["digest", "pem", "batch", "sdk"]),
    (
        "seal",
        &[
            "digest", "manifest", "profile", "engine", "signer", "issuer", "batch",
        ],
    ),
    (
        "ledger",
        &["digest", "manifest", "profile", "issuer", "certificate", "batch"],
    ),
    (
        "forge",
        &[
            "digest",
            "pem",
            "manifest",
            "profile",
            "engine",
            "signer",
            "issuer",
            "certificate",
            "bundle",
            "batch",
            "store",
            "seal",
            "ledger",
        ],
    ),
    (
        "bench",
        &[
            "digest",
            "manifest",
            "profile",
            "engine",
            "issuer",
            "certificate",
            "batch",
            "store",
            "ledger",
            "forge",
        ],
    ),
    (
        "verify",
        &[
            "digest", "pem", "manifest", "profile", "engine", "issuer", "bundle", "batch", "store", "seal",
            "ledger",
        ],
    ),
    (
        "station",
        &[
            "digest", "pem", "manifest", "profile", "engine", "issuer", "bundle", "batch", "store", "seal",
            "verify",
        ],
    ),
    (
        "jitp",
        &[
            "digest",
            "pem",
            "manifest",
            "profile",
            "engine",
            "signer",
            "issuer",
            "certificate",
            "batch",
            "store",
            "verify",
        ],
    ),
    (
        "aws",
        &["pem", "shell", "issuer", "batch", "ledger", "jitp", "sdk"],
    ),
    ("display", &[]),
    (
        "rehearsal",
        &[
            "causes", "digest", "pem", "profile", "issuer", "bundle", "batch", "store", "verify", "jitp",
            "display",
        ],
    ),
    ("cli", &[]),
    ("lib", &[]),
    ("main", &[]),
];

#[test]
fn arrows_point_one_way() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut modules = BTreeSet::new();
    for entry in std::fs::read_dir(&source).unwrap() {
        let path = entry.unwrap().path();
        let module = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let (_, may_import) = MAY_IMPORT
            .iter()
            .find(|(name, _)| *name == module)
            .unwrap_or_else(|| panic!("module {module} has no place in the order yet"));
        for (file, imported) in imports(&path) {
            let is_allowed = imported == module || may_import.contains(&imported.as_str());
            assert!(
                is_allowed,
                "{file} imports {imported}: {module} may import {may_import:?}"
            );
        }
        modules.insert(module);
    }
    let known: BTreeSet<_> = MAY_IMPORT.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(modules, known, "every module of the order exists");
}

#[test]
fn only_cli_prints_and_only_cli_knows_the_terminal() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (file, text) in files(&source) {
        if file.contains("/cli/") || file.ends_with("main.rs") {
            continue;
        }
        // Test modules stand at the foot of a file.
        let code = text.split("#[cfg(test)]").next().unwrap();
        for word in [
            "println!",
            "print!(",
            "process::exit",
            "clap",
            "indicatif",
            "rpassword",
        ] {
            let found = code
                .lines()
                .find(|line| line.contains(word) && !line.trim_start().starts_with("//"));
            assert!(found.is_none(), "{file} uses {word}");
        }
    }
}

#[test]
fn only_the_network_is_asynchronous() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (file, text) in files(&source) {
        let is_network = ["/store/s3/", "/aws/", "/sdk.rs", "/rehearsal/", "/display"]
            .iter()
            .any(|part| file.contains(part));
        let is_async = [".await", "async ", "tokio::"]
            .iter()
            .any(|word| text.contains(word));
        assert!(is_network || !is_async, "{file} is asynchronous");
    }
}

#[test]
fn one_file_alone_leaves_the_safe_language() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in ["src", "tests", "benches"] {
        for (file, text) in files(&root.join(folder)) {
            // Spelled so that this file is not found.
            let leaves = [" {", " fn", " impl", " trait", " extern", "(", "_code"]
                .iter()
                .any(|rest| text.contains(&format!("{}safe{rest}", "un")));
            if leaves {
                found.push(file);
            }
        }
    }
    let only = root.join("src/engine/multi_buffer/foreign.rs");
    assert_eq!(found, [only.display().to_string()]);
}

/// Every `crate::module` outside of tests, with the file it is in.
fn imports(path: &Path) -> Vec<(String, String)> {
    let mut imports = Vec::new();
    for (file, text) in files(path) {
        let code = text.split("#[cfg(test)]").next().unwrap();
        for (i, _) in code.match_indices("crate::") {
            let rest = &code[i + "crate::".len()..];
            let names = match rest.strip_prefix('{') {
                Some(group) => group.split('}').next().unwrap().split(',').collect(),
                None => vec![rest],
            };
            for name in names {
                let end = name.trim().find(|c: char| !c.is_alphanumeric() && c != '_');
                let name = name.trim();
                imports.push((file.clone(), name[..end.unwrap_or(name.len())].to_owned()));
            }
        }
    }
    imports
}

fn files(path: &Path) -> Vec<(String, String)> {
    if path.is_dir() {
        let entries = std::fs::read_dir(path).unwrap();
        return entries.flat_map(|entry| files(&entry.unwrap().path())).collect();
    }
    if path.extension().is_none_or(|extension| extension != "rs") {
        return Vec::new();
    }
    vec![(path.display().to_string(), std::fs::read_to_string(path).unwrap())]
}
