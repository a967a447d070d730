//! Numbers and times as conditions compare them.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html>

use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime};

/// What values are read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    Number,
    /// ISO 8601, or seconds since 1970.
    Time,
}

/// How a value stands to the one that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Relation {
    /// By what follows `Numeric` or `Date` in an operator; and whether it is the opposite that is wanted.
    pub fn parse(name: &str) -> Option<(Self, bool)> {
        Some(match name {
            "Equals" => (Self::Equal, false),
            "NotEquals" => (Self::Equal, true),
            "LessThan" => (Self::Less, false),
            "LessThanEquals" => (Self::LessOrEqual, false),
            "GreaterThan" => (Self::Greater, false),
            "GreaterThanEquals" => (Self::GreaterOrEqual, false),
            _ => return None,
        })
    }

    pub fn holds(self, value: f64, wanted: f64) -> bool {
        match self {
            Self::Equal => (value - wanted).abs() < f64::EPSILON,
            Self::Less => value < wanted,
            Self::LessOrEqual => value <= wanted,
            Self::Greater => value > wanted,
            Self::GreaterOrEqual => value >= wanted,
        }
    }
}

impl Scale {
    pub fn read(self, text: &str) -> Option<f64> {
        let number = || text.trim().parse().ok().filter(|number: &f64| number.is_finite());
        match self {
            Self::Number => number(),
            Self::Time => time(text).or_else(number),
        }
    }
}

/// The Julian day of 1970-01-01.
const EPOCH: i32 = 2_440_588;

fn time(text: &str) -> Option<f64> {
    let day = format_description!("[year]-[month]-[day]");
    let moment = OffsetDateTime::parse(text, &Rfc3339).ok();
    let moment = moment.or_else(|| Some(Date::parse(text, &day).ok()?.midnight().assume_utc()));
    let moment = moment?.to_offset(time::UtcOffset::UTC);
    let days = moment.to_julian_day() - EPOCH;
    let milliseconds = u32::from(moment.hour()) * 3_600_000
        + u32::from(moment.minute()) * 60_000
        + u32::from(moment.second()) * 1_000
        + u32::from(moment.millisecond());
    Some(f64::from(days) * 86_400.0 + f64::from(milliseconds) / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_and_times() {
        for (scale, text, expected) in [
            (Scale::Number, "7", Some(7.0)),
            (Scale::Number, "-0.5", Some(-0.5)),
            (Scale::Number, "seven", None),
            (Scale::Number, "NaN", None),
            (Scale::Time, "1970-01-02", Some(86_400.0)),
            (Scale::Time, "1970-01-01T00:00:01.5Z", Some(1.5)),
            (Scale::Time, "1970-01-01T01:00:00+01:00", Some(0.0)),
            (Scale::Time, "2099-01-01T00:00:00Z", Some(4_070_908_800.0)),
            (Scale::Time, "60", Some(60.0)),
            (Scale::Time, "tomorrow", None),
        ] {
            assert_eq!(scale.read(text), expected, "{text}");
        }
    }
}
