//! Text for people: numbers with thousands, and lines in two columns.

use certforge::printable;
use certforge::profile::Host;

/// 1234567 as `1,234,567`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A rate without what comes behind the point.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate for people"
)]
pub fn whole(rate: f64) -> u64 {
    rate as u64
}

/// `1 device`, `2 devices`.
pub fn devices(n: u64) -> String {
    format!("{} {}", count(n), if n == 1 { "device" } else { "devices" })
}

/// The host that bundles name, and what it needs if it is none of AWS's.
pub fn endpoint(host: &str) -> String {
    match Host::of(host) {
        Host::Other => format!(
            "{host}, none of AWS's own names: as a custom domain it needs a certificate under the roots in the bundles"
        ),
        _ => host.to_owned(),
    }
}

/// `1 thread`, `2 threads`.
pub fn threads(n: usize) -> String {
    match n {
        1 => "1 thread".to_owned(),
        n => format!("{} threads", count(n as u64)),
    }
}

/// `1 thing`, `2 things`; `1 policy`, `2 policies`; `1 batch`, `2 batches`.
pub fn many(n: u64, word: &str) -> String {
    let word = match (n, word.strip_suffix('y'), word.ends_with("ch")) {
        (1, ..) => word.to_owned(),
        (_, Some(stem), _) => format!("{stem}ies"),
        (_, None, true) => format!("{word}es"),
        (_, None, false) => format!("{word}s"),
    };
    format!("{} {word}", count(n))
}

/// Lines with a label and a value each, which is one line whoever wrote it.
#[derive(Debug, Default)]
pub struct Lines(Vec<(&'static str, String)>);

impl Lines {
    pub fn line(&mut self, label: &'static str, value: impl Into<String>) -> &mut Self {
        self.0.push((label, printable::line(&value.into()).into_owned()));
        self
    }
}

impl std::fmt::Display for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let width = self.0.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
        for (label, value) in &self.0 {
            writeln!(f, "{label:width$}  {value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_thousands() {
        for (n, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(n), text);
        }
    }

    #[cfg(feature = "aws")]
    #[test]
    fn counts_in_words() {
        for (n, word, text) in [
            (1, "policy", "1 policy"),
            (0, "policy", "0 policies"),
            (2, "thing", "2 things"),
        ] {
            assert_eq!(many(n, word), text);
        }
    }
}
