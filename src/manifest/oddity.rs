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
    /// So many ids of more than fifteen digits, every one with nothing but zeros behind the fifteenth.
    Zeros { ids: u64, line: u64, first: DeviceId },
    /// So many ids that read as a day of a month.
    Dates { ids: u64, line: u64, first: DeviceId },
}

/// What two ids differ in, and in nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    Case,
    LeadingZeros,
    /// The letter O and the digit 0, perhaps with the case.
    Letters,
    /// The signs between the octets of a hardware address, perhaps with the case.
    Separators,
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
                    Difference::Separators => "the signs between octets",
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
            Self::Zeros { ids, line, first } => write!(
                f,
                "{ids} ids of more than {PRECISION} digits, from {first:?} on line {line} on, all end in zeros from the {}th digit on: a spreadsheet keeps {PRECISION} digits and loses the others",
                PRECISION + 1
            ),
            Self::Dates { ids, line, first } => write!(
                f,
                "{ids} ids read as dates, from {first:?} on line {line} on: a spreadsheet may have made them of serial numbers"
            ),
        }
    }
}

/// Digits that a number has in a spreadsheet.
const PRECISION: usize = 15;

/// Whether a long number has lost what is behind the digits that a spreadsheet keeps.
fn is_cut(digits: &str) -> bool {
    digits[PRECISION..].bytes().all(|b| b == b'0')
}

/// `12-Mar`, `Mar-12` and `12-Mar-26`: what a spreadsheet makes of `12-3`, `3-12` or `MAR12`.
fn is_date(id: &str) -> bool {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    // As long as the longest, `12-Mar-26`.
    if id.len() > 9 {
        return false;
    }
    let parts: Vec<&str> = id.split('-').collect();
    let is_number = |text: &str| (1..=2).contains(&text.len()) && is_digits(text);
    match parts[..] {
        [one, two] => is_number(one) && MONTHS.contains(&two) || MONTHS.contains(&one) && is_number(two),
        [day, month, year] => is_number(day) && MONTHS.contains(&month) && is_number(year),
        _ => false,
    }
}

impl Serialize for Oddity {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What ids are taken for by those who see no difference: two that have the same are equal or twins.
pub(crate) fn folded(id: &str) -> String {
    let mut plain = id.to_ascii_lowercase();
    if plain.contains('o') {
        plain = plain.replace('o', "0");
    }
    if is_digits(&plain) {
        return plain.trim_start_matches('0').to_owned();
    }
    bare_address(&plain).unwrap_or(plain)
}

/// A MAC address or an EUI-64 without the signs between its octets.
fn bare_address(id: &str) -> Option<String> {
    // Six octets or eight, each of two characters, and a sign between them.
    if !matches!(id.len(), 17 | 23) {
        return None;
    }
    let mut octets = id.split([':', '-']);
    let count = octets.clone().count();
    let is_octet = |octet: &str| octet.len() == 2 && octet.bytes().all(|b| b.is_ascii_hexdigit());
    (matches!(count, 6 | 8) && octets.all(is_octet)).then(|| id.replace([':', '-'], ""))
}

fn is_digits(id: &str) -> bool {
    id.bytes().all(|b| b.is_ascii_digit())
}

fn difference(one: &str, other: &str) -> Difference {
    match () {
        () if one.eq_ignore_ascii_case(other) => Difference::Case,
        () if is_digits(one) && is_digits(other) => Difference::LeadingZeros,
        () if [one, other]
            .iter()
            .any(|id| bare_address(&id.to_ascii_lowercase()).is_some()) =>
        {
            Difference::Separators
        }
        () => Difference::Letters,
    }
}

/// Collects what is odd, row by row.
#[derive(Debug, Default)]
pub(crate) struct Oddities {
    lengths: BTreeMap<usize, (u64, u64, DeviceId)>,
    long: u64,
    cut: Option<(u64, u64, DeviceId)>,
    dates: Option<(u64, u64, DeviceId)>,
    twins: Vec<Oddity>,
    more: u64,
    unfillable: BTreeMap<String, (u64, String, char, u64)>,
}

/// Counts one more, and keeps the first.
fn count(found: &mut Option<(u64, u64, DeviceId)>, row: &Row) {
    let first = || (0, row.line, row.device_id.clone());
    found.get_or_insert_with(first).0 += 1;
}

/// Adds up what was counted in earlier rows and in later ones.
fn add_up(found: &mut Option<(u64, u64, DeviceId)>, later: Option<(u64, u64, DeviceId)>) {
    if let Some((ids, line, id)) = later {
        found.get_or_insert((0, line, id)).0 += ids;
    }
}

impl Oddities {
    pub(crate) fn add(&mut self, row: &Row) {
        let id = row.device_id.as_str();
        if is_digits(id) {
            let first = || (0, row.line, row.device_id.clone());
            self.lengths.entry(id.len()).or_insert_with(first).0 += 1;
            if id.len() > PRECISION {
                self.long += 1;
                if is_cut(id) {
                    count(&mut self.cut, row);
                }
            }
        } else if is_date(id) {
            count(&mut self.dates, row);
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
        self.long += later.long;
        add_up(&mut self.cut, later.cut);
        add_up(&mut self.dates, later.dates);
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

    /// What is odd; lengths are not where `knows_lengths`, since the profile says what they are.
    pub(crate) fn finish(self, knows_lengths: bool) -> Vec<Oddity> {
        let mut oddities = self.twins;
        oddities.extend((self.more > 0).then_some(Oddity::MoreTwins(self.more)));
        // One that ends so may be by chance.
        if let Some((ids, line, first)) = self.cut
            && ids == self.long
            && ids > 1
        {
            oddities.push(Oddity::Zeros { ids, line, first });
        }
        if let Some((ids, line, first)) = self.dates {
            oddities.push(Oddity::Dates { ids, line, first });
        }
        if self.lengths.len() > 1 && !knows_lengths {
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
            ("AA:BB:CC:00:11:22", "aabbcc001122", Difference::Separators),
            ("AA:BB:CC:00:11:22", "AA-BB-CC-00-11-22", Difference::Separators),
        ] {
            assert_eq!(folded(one), folded(other), "{one} {other}");
            assert_eq!(difference(one, other), by, "{one} {other}");
        }
        for (one, other) in [("SN01", "SN1"), ("A-1", "A1"), ("1", "2"), ("10", "1")] {
            assert_ne!(folded(one), folded(other), "{one} {other}");
        }
    }

    fn odd(ids: &[&str]) -> Vec<String> {
        let mut oddities = Oddities::default();
        for (line, id) in (2..).zip(ids) {
            let mut one = Oddities::default();
            one.add(&Row::new(line, DeviceId::parse(id).unwrap(), &[]));
            oddities.extend(one);
        }
        oddities.finish(false).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_a_spreadsheet_makes_of_serials_is_odd() {
        let cut = odd(&["8949123456789010000", "8949123456789020000"]);
        let text = "2 ids of more than 15 digits, from \"8949123456789010000\" on line 2 on, all end in zeros from the 16th digit on";
        assert!(cut[0].starts_with(text), "{cut:?}");
        assert!(odd(&["8949123456789010000", "8949123456789020001"]).is_empty());
        let dates = odd(&["A-1", "12-Mar", "Dec-31", "1-Jan-26"]);
        assert!(
            dates[0].starts_with("3 ids read as dates, from \"12-Mar\" on line 3 on"),
            "{dates:?}"
        );
        assert!(odd(&["12-MAR", "Mar-123", "12-3", "LN-Mar-12"]).is_empty());
        let lengths = odd(&["000999", "1000", "001001"]);
        assert!(
            lengths[0].contains("1 of 4 (such as \"1000\" on line 3), 2 of 6"),
            "{lengths:?}"
        );
    }
}
