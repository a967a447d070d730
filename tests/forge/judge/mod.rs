//! Judges that are not ours: openssl, unzip, and Python's `cryptography` by way of `judge.py`.

use std::path::Path;
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
