//! Commands as a POSIX shell takes them, for people to copy.

/// A word of a command as a shell takes it.
#[must_use]
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_what_a_shell_would_read() {
        for (word, expected) in [
            ("ca/certificate.pem", "ca/certificate.pem"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("${x}", "'${x}'"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }
}
