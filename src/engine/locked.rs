//! The version of a crate that certforge was built with, by the lock file.

/// The version of a crate in `Cargo.lock`, or nothing when it is not there.
pub(super) fn version(crate_name: &str) -> &'static str {
    const LOCK: &str = include_str!("../../Cargo.lock");
    let entry = format!("name = \"{crate_name}\"\nversion = \"");
    LOCK.split_once(&entry)
        .and_then(|(_, rest)| rest.split_once('"'))
        .map_or("", |(version, _)| version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_crates_by_their_whole_name() {
        for name in ["ring", "aws-lc-rs", "aws-lc-sys"] {
            assert!(version(name).starts_with(|c: char| c.is_ascii_digit()), "{name}");
        }
        assert_eq!(version("rin"), "");
    }
}
