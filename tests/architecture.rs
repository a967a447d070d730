//! Arrows between modules point one way: what flows first knows nothing of what flows later.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Each module and the ones it may import. The library's order of flow, and the binary's `cli`.
const MAY_IMPORT: [(&str, &[&str]); 39] = [
    ("bounded", &[]),
    ("causes", &[]),
    ("digest", &[]),
    ("metrics", &[]),
    ("pem", &[]),
    ("printable", &[]),
    ("shell", &[]),
    ("exposure", &["shell"]),
    ("whole", &[]),
    ("wiped", &[]),
    ("manifest", &["digest", "shell"]),
    ("bundle", &["digest", "pem", "printable", "wiped"]),
    ("flash", &["digest", "bundle"]),
    ("plugin", &["bundle"]),
    (
        "profile",
        &["bounded", "digest", "exposure", "printable", "manifest", "bundle"],
    ),
    ("engine", &["digest", "profile", "wiped"]),
    (
        "signer",
        &[
            "bounded", "digest", "exposure", "shell", "profile", "engine", "sdk",
        ],
    ),
    (
        "issuer",
        &[
            "bounded", "whole", "digest", "pem", "exposure", "profile", "engine", "signer",
        ],
    ),
    ("certificate", &["profile", "engine", "signer", "issuer"]),
    ("sdk", &["bounded", "causes", "pem"]),
    (
        "batch",
        &[
            "digest",
            "pem",
            "manifest",
            "bundle",
            "profile",
            "issuer",
            "certificate",
        ],
    ),
    ("store", &["digest", "pem", "exposure", "batch", "sdk"]),
    (
        "seal",
        &[
            "digest", "pem", "manifest", "profile", "engine", "signer", "issuer", "batch",
        ],
    ),
    (
        "ledger",
        &[
            "bounded",
            "whole",
            "digest",
            "exposure",
            "manifest",
            "profile",
            "issuer",
            "certificate",
            "batch",
        ],
    ),
    (
        "vouched",
        &[
            "digest", "pem", "manifest", "issuer", "batch", "store", "seal", "ledger",
        ],
    ),
    (
        "rebuild",
        &[
            "causes",
            "digest",
            "manifest",
            "profile",
            "engine",
            "issuer",
            "certificate",
            "batch",
            "store",
            "seal",
            "ledger",
            "vouched",
        ],
    ),
    (
        "forge",
        &[
            "wiped",
            "digest",
            "pem",
            "shell",
            "manifest",
            "profile",
            "engine",
            "signer",
            "issuer",
            "certificate",
            "bundle",
            "plugin",
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
            "signer",
            "issuer",
            "certificate",
            "batch",
            "store",
            "ledger",
            "forge",
        ],
    ),
    (
        "doctor",
        &[
            "bounded", "causes", "exposure", "pem", "profile", "engine", "issuer", "ledger", "bench", "sdk",
        ],
    ),
    (
        "verify",
        &[
            "causes", "digest", "pem", "manifest", "profile", "engine", "issuer", "bundle", "batch", "store",
            "seal", "ledger",
        ],
    ),
    (
        "generation",
        &[
            "digest", "manifest", "profile", "engine", "issuer", "bundle", "plugin", "batch", "store",
            "seal", "forge", "verify",
        ],
    ),
    (
        "station",
        &[
            "bounded", "causes", "digest", "metrics", "pem", "exposure", "manifest", "profile", "engine",
            "issuer", "bundle", "plugin", "batch", "store", "seal", "verify",
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
            "vouched",
        ],
    ),
    (
        "aws",
        &[
            "causes", "pem", "shell", "manifest", "profile", "issuer", "batch", "store", "seal", "ledger",
            "vouched", "jitp", "sdk", "whole",
        ],
    ),
    ("display", &["metrics"]),
    (
        "rehearsal",
        &[
            "causes",
            "digest",
            "metrics",
            "pem",
            "printable",
            "profile",
            "issuer",
            "bundle",
            "batch",
            "store",
            "vouched",
            "jitp",
            "display",
        ],
    ),
    ("cli", &[]),
    ("lib", &[]),
    ("main", &[]),
];

/// The AWS wing: it can be left out, so nobody but its own commands knows it.
const WING: [&str; 3] = ["jitp", "aws", "rehearsal"];

/// Where the wing's commands and their exit codes are.
const WING_OF_CLI: [&str; 4] = ["/cli/jitp/", "/cli/rehearse/", "/cli/connect.rs", "/cli/exit.rs"];

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
fn nothing_but_its_own_commands_knows_the_aws_wing() {
    for (module, may_import) in MAY_IMPORT {
        let is_core = !WING.contains(&module);
        let wing = may_import.iter().find(|other| WING.contains(other));
        assert!(!is_core || wing.is_none(), "{module} may import {wing:?}");
        let beside = may_import
            .iter()
            .find(|other| ["forge", "station", "bench"].contains(other));
        assert!(is_core || beside.is_none(), "{module} may import {beside:?}");
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (file, text) in files(&source.join("cli")) {
        if WING_OF_CLI.iter().any(|part| file.contains(part)) {
            continue;
        }
        for room in WING {
            assert!(
                !text.contains(&format!("certforge::{room}")),
                "{file} knows {room}"
            );
        }
    }
}

/// Among the files and folders of one folder, nobody imports whom it is imported by, however long the way round.
/// A `mod.rs` stands for its folder.
#[test]
fn files_form_no_circles() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut modules = BTreeMap::new();
    for (file, text) in files(&source) {
        let relative = Path::new(&file).strip_prefix(&source).unwrap().with_extension("");
        let mut path: Vec<String> = relative
            .iter()
            .map(|part| part.to_str().unwrap().to_owned())
            .collect();
        path.pop_if(|last| last == "mod");
        modules.insert(path, text);
    }
    // Who imports whom, by the folder in which both are.
    let mut imports: BTreeMap<Vec<String>, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for (path, text) in &modules {
        for target in references(path, text, &modules) {
            let common = path.iter().zip(&target).take_while(|(a, b)| a == b).count();
            if common > 0
                && let (Some(from), Some(to)) = (path.get(common), target.get(common))
            {
                let folder = imports.entry(path[..common].to_vec()).or_default();
                folder.entry(from.clone()).or_default().insert(to.clone());
            }
        }
    }
    for (folder, imports) in imports {
        let folder = folder.join("/");
        for from in imports.keys() {
            let mut reached = BTreeSet::new();
            let mut next: Vec<&String> = imports[from].iter().collect();
            while let Some(file) = next.pop() {
                if reached.insert(file) {
                    next.extend(imports.get(file).into_iter().flatten());
                }
            }
            assert!(
                !reached.contains(from),
                "{folder}: {from} imports itself, by way of {reached:?}"
            );
        }
    }
}

/// The modules that a file names by `super::` or `crate::`, outside of tests.
fn references(path: &[String], text: &str, modules: &BTreeMap<Vec<String>, String>) -> Vec<Vec<String>> {
    let code = text.split("#[cfg(test)]").next().unwrap();
    let mut found = Vec::new();
    for word in code.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':') {
        let mut parts: Vec<&str> = word.split("::").collect();
        let supers = parts.iter().take_while(|part| **part == "super").count();
        let mut target = match parts[0] {
            "crate" => Vec::new(),
            "super" => path[..path.len().saturating_sub(supers)].to_vec(),
            _ => continue,
        };
        target.extend(parts.drain(supers.max(1)..).map(str::to_owned));
        while !target.is_empty() && !modules.contains_key(&target) {
            target.pop();
        }
        found.push(target);
    }
    found
}

#[test]
fn only_cli_prints_and_only_cli_knows_the_terminal() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (file, text) in files(&source) {
        if file.contains("/cli/") || file.ends_with("main.rs") {
            continue;
        }
        let Some(code) = code(&file, &text) else { continue };
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

/// What is printed passes through one file, which makes it fit for a terminal and survives a terminal that is gone.
#[test]
fn only_the_printer_prints() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (file, text) in files(&source) {
        // What a flashing script says goes to standard error, as it would without certforge.
        if file.ends_with("/cli/out.rs") || file.ends_with("/station/said.rs") {
            continue;
        }
        let Some(code) = code(&file, &text) else { continue };
        for word in [
            "println!",
            "print!(",
            "stdout().lock",
            "stderr().lock",
            "io::stdout()",
            "io::stderr()",
        ] {
            let found = code.lines().find(|line| {
                let line = line.trim_start();
                // Whether it is a terminal may be asked.
                line.contains(word) && !line.starts_with("//") && !line.contains("is_terminal")
            });
            assert!(found.is_none(), "{file} uses {word}");
        }
    }
}

#[test]
fn only_the_network_is_asynchronous() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (file, text) in files(&source) {
        // Each folder of the store but one reaches a server.
        let is_remote = file
            .split_once("/store/")
            .is_some_and(|(_, rest)| rest.contains('/') && !rest.starts_with("dir/"));
        let is_network = [
            "/aws/",
            "/sdk/",
            "/signer/kms.rs",
            "/doctor/network.rs",
            "/rehearsal/",
            "/display",
        ]
        .iter()
        .any(|part| file.contains(part))
            || is_remote;
        let is_async = [".await", "async ", "tokio::"]
            .iter()
            .any(|word| text.contains(word));
        assert!(is_network || !is_async, "{file} is asynchronous");
    }
}

/// Whoever reads the program's proofs of safety finds them all in these files, and one more in its tests.
#[test]
fn few_files_leave_the_safe_language() {
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
    found.sort();
    // One call each into what a processor must have, after it was asked; loads and stores; calls of aws-lc; and, of a process that the
    // tests trace, the vector registers, which no library reads.
    let only = [
        "src/digest/streams.rs",
        "src/engine/curve25519/eight/mod.rs",
        "src/engine/lanes/eight/mod.rs",
        "src/engine/rsa/eight/mod.rs",
        "src/engine/rsa/montgomery.rs",
        "src/engine/word/eight.rs",
        "tests/forge/constant_time/vectors.rs",
    ];
    assert_eq!(found, only.map(|file| root.join(file).display().to_string()));
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

/// What of a file is no test. Test modules stand at the foot of a file, or in a folder of their own.
fn code<'a>(file: &str, text: &'a str) -> Option<&'a str> {
    let is_test = file.contains("/tests/");
    (!is_test).then(|| text.split("#[cfg(test)]").next().unwrap())
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
