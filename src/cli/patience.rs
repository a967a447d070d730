//! Waiting for the server of a ledger: what is said meanwhile, and what ends it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use certforge::forge::Cancel;
use certforge::ledger::Patience;

use super::report::tell_aside;
use super::text::count;

/// `90s`, `10min`, `2h`.
pub fn parse(text: &str) -> Result<Duration, String> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let number: Option<u64> = text[..text.len() - unit.len()].parse().ok();
    let seconds = match unit {
        "s" => Some(1),
        "min" => Some(60),
        "h" => Some(3600),
        _ => None,
    };
    match number
        .zip(seconds)
        .and_then(|(number, seconds)| number.checked_mul(seconds))
    {
        Some(seconds) => Ok(Duration::from_secs(seconds)),
        None => Err("a span of time such as 90s, 10min or 2h".to_owned()),
    }
}

/// A lease has to be renewed a few times before it ends.
pub fn parse_lease(text: &str) -> Result<Duration, String> {
    match parse(text)? {
        lease if lease < Duration::from_secs(2) => Err("at least 2s".to_owned()),
        lease => Ok(lease),
    }
}

/// How long a server is waited for that goes away.
const MOST: Duration = Duration::from_mins(10);

/// Waits as long as nobody interrupts; says so once for each time that the server is away. Who says how long also waits for one that
/// is not there yet.
pub fn of(most: Option<Duration>, lease: Duration, cancel: &'static Cancel) -> Patience {
    let is_told = AtomicBool::new(false);
    let from_the_start = most.is_some();
    let most = most.unwrap_or(MOST);
    Patience {
        most,
        from_the_start,
        lease,
        tell: Arc::new(move |ledger, waited| {
            // Whoever waits for no time yet is at the beginning of one.
            if waited < Duration::from_secs(1) {
                is_told.store(false, Ordering::Relaxed);
            } else if !is_told.swap(true, Ordering::Relaxed) {
                tell_aside(format_args!(
                    "certforge: ledger {ledger} does not answer: waiting for it up to {} s; nothing is lost",
                    count(most.as_secs())
                ));
            }
            !cancel.is_cancelled()
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read() {
        for (text, seconds) in [("0s", 0), ("90s", 90), ("10min", 600), ("2h", 7200)] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)));
        }
        for text in [
            "",
            "10",
            "min",
            "1d",
            "-1s",
            "99999999999999999999s",
            "9999999999999999h",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
