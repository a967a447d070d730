//! What is odd about the ids of a manifest as a whole, though each of them may be one: what spreadsheets and people make of
//! serial numbers on the way. It is told, and refused by nobody.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::{DeviceId, Row};

/// Pairs that are kept, at most.
const LISTED: usize = 100;

/// Something odd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Oddity {
    /// Two ids that a person, or a system that knows no case, takes for one.
    Twins {
        first: (u64, DeviceId),
        second: (u64, DeviceId),
        by: Difference,
    },
    /// How many more such pairs there are.
    MoreTwins(u64),
    /// Ids of nothing but digits, of several lengths: how many of each, and the line and id of the first.
    Lengths(Vec<Digits>),
    /// Values of a field that AWS IoT fills in nowhere in a policy: the first, and on how many rows there are such.
    Unfillable {
        field: String,
        line: u64,
        value: String,
        sign: char,
        rows: u64,
    },
}

/// What two ids differ in, and in nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    Case,
    LeadingZeros,
    /// The letter O and the digit 0, perhaps with the case.
    Letters,
}

/// Ids of so many digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digits {
    pub length: usize,
    pub ids: u64,
    pub line: u64,
    pub first: DeviceId,
}

impl fmt::Display for Oddity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Twins { first, second, by } => {
                let by = match by {
                    Difference::Case => "case",
                    Difference::LeadingZeros => "leading zeros",
                    Difference::Letters => "O and 0",
                };
                let ((line, one), (other_line, other)) = (second, first);
                write!(
                    f,
                    "line {line}: {one:?} differs from {other:?} on line {other_line} in {by} alone: one device with two identities?"
                )
            }
            Self::MoreTwins(more) => write!(f, "and {more} more pairs like these"),
            Self::Unfillable {
                field,
                line,
                value,
                sign,
                rows,
            } => {
                let more = match rows {
                    1 => String::new(),
                    2 => ", as 1 more row has".to_owned(),
                    rows => format!(", as {} more rows have", rows - 1),
                };
                write!(
                    f,
                    "line {line}, column {field}: {value:?} has {sign:?}{more}: AWS IoT takes such a certificate, and no policy can read the value"
                )
            }
            Self::Lengths(lengths) => {
                let all: Vec<String> = lengths
                    .iter()
                    .map(|digits| {
                        let Digits {
                            length,
                            ids,
                            line,
                            first,
                        } = digits;
                        format!("{ids} of {length} (such as {first:?} on line {line})")
                    })
                    .collect();
                write!(
                    f,
                    "ids of digits alone have different lengths: {}: a spreadsheet may have taken leading zeros away",
                    all.join(", ")
                )
            }
        }
    }
}

impl Serialize for Oddity {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What ids are taken for by those who see no difference: two that have the same are equal or twins.
pub(crate) fn folded(id: &str) -> String {
    let plain: String = id
        .chars()
        .map(|c| match c.to_ascii_lowercase() {
            'o' => '0',
            c => c,
        })
        .collect();
    match is_digits(&plain) {
        true => plain.trim_start_matches('0').to_owned(),
        false => plain,
    }
}

fn is_digits(id: &str) -> bool {
    id.bytes().all(|b| b.is_ascii_digit())
}

fn difference(one: &str, other: &str) -> Difference {
    match () {
        () if one.eq_ignore_ascii_case(other) => Difference::Case,
        () if is_digits(one) && is_digits(other) => Difference::LeadingZeros,
        () => Difference::Letters,
    }
}

/// Collects what is odd, row by row.
#[derive(Debug, Default)]
pub(crate) struct Oddities {
    lengths: BTreeMap<usize, (u64, u64, DeviceId)>,
    twins: Vec<Oddity>,
    more: u64,
    unfillable: BTreeMap<String, (u64, String, char, u64)>,
}

impl Oddities {
    pub(crate) fn add(&mut self, row: &Row) {
        let id = row.device_id.as_str();
        if is_digits(id) {
            let first = || (0, row.line, row.device_id.clone());
            self.lengths.entry(id.len()).or_insert_with(first).0 += 1;
        }
    }

    /// Those of later rows.
    pub(crate) fn extend(&mut self, later: Self) {
        for (length, (ids, line, id)) in later.lengths {
            self.lengths.entry(length).or_insert((0, line, id)).0 += ids;
        }
        for (field, (line, value, sign, rows)) in later.unfillable {
            self.unfillable.entry(field).or_insert((line, value, sign, 0)).3 += rows;
        }
    }

    /// A value with a character for which AWS IoT fills it in nowhere in a policy.
    pub(crate) fn unfillable(&mut self, row: &Row, field: String, value: &str, sign: char) {
        let first = || (row.line, value.chars().take(40).collect(), sign, 0);
        self.unfillable.entry(field).or_insert_with(first).3 += 1;
    }

    /// A row whose id differs from an earlier one's, and is the same when both are folded.
    pub(crate) fn twins(&mut self, first: &(u64, DeviceId), row: &Row) {
        match self.twins.len() < LISTED {
            true => self.twins.push(Oddity::Twins {
                first: first.clone(),
                second: (row.line, row.device_id.clone()),
                by: difference(first.1.as_str(), row.device_id.as_str()),
            }),
            false => self.more += 1,
        }
    }

    pub(crate) fn finish(self) -> Vec<Oddity> {
        let mut oddities = self.twins;
        oddities.extend((self.more > 0).then_some(Oddity::MoreTwins(self.more)));
        if self.lengths.len() > 1 {
            let of = |(length, (ids, line, first))| Digits {
                length,
                ids,
                line,
                first,
            };
            oddities.push(Oddity::Lengths(self.lengths.into_iter().map(of).collect()));
        }
        let unfillable = self.unfillable.into_iter();
        oddities.extend(
            unfillable.map(|(field, (line, value, sign, rows))| Oddity::Unfillable {
                field,
                line,
                value,
                sign,
                rows,
            }),
        );
        oddities
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_take_for_one_is_folded_to_one() {
        for (one, other, by) in [
            ("AA:01", "aa:01", Difference::Case),
            ("000123", "123", Difference::LeadingZeros),
            ("SN00O1", "sn0001", Difference::Letters),
            ("00O1", "1", Difference::Letters),
        ] {
            assert_eq!(folded(one), folded(other), "{one} {other}");
            assert_eq!(difference(one, other), by, "{one} {other}");
        }
        for (one, other) in [("SN01", "SN1"), ("A-1", "A1"), ("1", "2"), ("10", "1")] {
            assert_ne!(folded(one), folded(other), "{one} {other}");
        }
    }
}
