//! Spans of time as people write them: `90d`, `26w`, `2y`.

use time::Duration;

/// Reads a span of days, weeks, or years of 365 days.
pub fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no span of time such as 90d, 26w or 2y");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let days = match &text[digits.len()..] {
        "d" => 1,
        "w" => 7,
        "y" => 365,
        _ => return Err(wrong()),
    };
    let count: u32 = digits.parse().map_err(|_| wrong())?;
    Ok(Duration::days(i64::from(count) * days))
}

/// The span as people say it.
pub fn text(span: Duration) -> String {
    let days = span.whole_days();
    match (days, days % 365) {
        (365, _) => "a year".to_owned(),
        (1.., 0) => format!("{} years", days / 365),
        (1, _) => "a day".to_owned(),
        _ => format!("{days} days"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (span, days, said) in [
            ("90d", 90, "90 days"),
            ("2w", 14, "14 days"),
            ("2y", 730, "2 years"),
            ("1y", 365, "a year"),
        ] {
            let read = parse(span).unwrap();
            assert_eq!((read.whole_days(), text(read).as_str()), (days, said));
        }
        for wrong in ["", "2", "y", "2 y", "-1d", "1.5y", "2m", "99999999999d", "2年"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
