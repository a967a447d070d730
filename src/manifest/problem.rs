//! What is wrong with a manifest row: where, which value, and why.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

/// One fault of one manifest row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Line of the file, the header being line 1.
    pub line: u64,
    /// Column or profile field that the fault is in, when it is in one.
    pub column: Option<String>,
    /// The value found there.
    pub value: Option<String>,
    #[serde(serialize_with = "as_text")]
    pub reason: Reason,
}

fn as_text<S: serde::Serializer>(reason: &Reason, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(reason)
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        if let Some(column) = &self.column {
            write!(f, ", column {column}")?;
        }
        f.write_str(": ")?;
        match &self.value {
            Some(value) if value.chars().count() > 40 => {
                let start: String = value.chars().take(40).collect();
                write!(f, "{start:?}... ")?;
            }
            Some(value) => write!(f, "{value:?} ")?,
            None => {}
        }
        write!(f, "{}", self.reason)
    }
}

/// Why a value cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    Empty,
    /// Not of `[A-Za-z0-9:_-]`.
    IdCharacter(char),
    /// Digits that a spreadsheet has rewritten, as in `1.23457E+14`.
    Rounded,
    /// Begins as what keeps a spreadsheet from rewriting it, as in `="000123"` or `'000123`.
    Guarded,
    /// A number with decimals, as in `123456.0`.
    Decimal,
    /// A number with signs between its thousands, as in `1,234,567`.
    Grouped,
    /// What a spreadsheet shows in place of a value, as in `#N/A`.
    CellError,
    /// Rows without any value, from this line to that one, and others behind them.
    EmptyRows {
        last: u64,
    },
    /// Not of the profile's `[manifest] id_pattern`.
    Pattern {
        pattern: String,
    },
    /// Not of the profile's `[manifest] id_length`.
    Length {
        characters: usize,
        wanted: usize,
    },
    /// Not in the profile's `[manifest] id_case`.
    Case {
        wanted: &'static str,
    },
    TooLong {
        characters: usize,
        limit: usize,
    },
    Duplicate {
        first_line: u64,
    },
    Ragged {
        fields: usize,
        columns: usize,
    },
    LineTooLong {
        limit: usize,
    },
    NotUtf8,
    Control(char),
    OpenQuote,
    /// Begins or ends with white space.
    OuterSpace,
    /// A byte order mark inside the file, as joining two files leaves it.
    ByteOrderMark,
    /// The header line once more.
    Header,
    /// Not a row that CSV knows.
    Unreadable,
    /// Not a DNS name (RFC 1123, 2.1).
    NotDnsName,
    /// Not a URI with a scheme (RFC 3986, 3).
    NotUri,
    /// One of `* $ + ? #`, which break AWS IoT policy variables.
    PolicyCharacter(char),
    /// Not in the PrintableString alphabet (X.680, 41.4).
    NotPrintable(char),
    NotCountry,
    /// Not of `[a-zA-Z0-9:_-]{1,128}`, as thing names and client ids must be.
    NotThingName,
    /// Not a DNS name or URI that a subjectAltName can carry (IA5String).
    NotIa5(char),
    /// Longer than a file of a bundle can have it.
    TooManyOctets {
        octets: usize,
        limit: usize,
    },
    /// A file of a bundle cannot be made of it.
    Unfit {
        /// The file, and why.
        told: Box<str>,
    },
    Issued(Box<Issued>),
}

/// Where a device was issued before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    pub batch: String,
    /// When that batch was begun.
    pub begun: String,
}

impl Reason {
    /// What the user can do about it, where that is not plain.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Rounded => Some(
                "digits are lost: export again from where the serials come, with that column as text; Excel's own file has lost them too",
            ),
            Self::Guarded => Some(
                "export again with that column as text, without the = and the quotes, or the apostrophe, before it",
            ),
            Self::Decimal | Self::Grouped => Some(
                "a program has taken serials for numbers, and leading zeros may be lost too: export again with that column as text",
            ),
            Self::CellError => Some(
                "the spreadsheet has no value there: mend the cell where the serials come from, and export again",
            ),
            Self::EmptyRows { .. } => Some(
                "delete them, or find out which devices are missing there; empty rows at the end of a manifest are passed over",
            ),
            Self::Pattern { .. } | Self::Length { .. } | Self::Case { .. } => Some(
                "ids are as [manifest] of the profile says: mend the manifest where it comes from, or the profile",
            ),
            Self::IdCharacter(_) | Self::NotThingName => Some("ids may use A-Z a-z 0-9 : _ -"),
            Self::NotUtf8 => Some("in Excel choose `CSV UTF-8 (Comma delimited)` when saving"),
            Self::ByteOrderMark | Self::Header => {
                Some("two files may have been joined; leave the second header out")
            }
            Self::OpenQuote | Self::Control('\n' | '\r') => {
                Some("one line is one row: close the quote, or take the line break out")
            }
            Self::PolicyCharacter(_) => Some(
                "the profile says that policies read the subject (policies_read_subject), and AWS IoT fills in no value with * $ + ? #",
            ),
            Self::NotCountry => Some("a country is two letters, as in ISO 3166: DE, US, CN"),
            Self::Ragged { .. } => Some("a value that holds the delimiter must be quoted"),
            _ => None,
        }
    }
}

impl Reason {
    /// What is wrong, whatever the value is: by this are counted those that are too many to be listed.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Empty => "is empty",
            Self::IdCharacter(_) => "contains a character that no id may have",
            Self::Rounded => "looks like a number that a spreadsheet has rewritten",
            Self::Guarded => "looks like text that a spreadsheet was kept from rewriting",
            Self::Decimal => "is a number with decimals",
            Self::Grouped => "is a number with signs between its thousands",
            Self::CellError => "is an error of a spreadsheet",
            Self::EmptyRows { .. } => "rows are empty",
            Self::Pattern { .. } => "does not match the profile's id_pattern",
            Self::Length { .. } => "has not the length that the profile says",
            Self::Case { .. } => "is not in the case that the profile says",
            Self::TooLong { .. } => "has too many characters",
            Self::Duplicate { .. } => "is on an earlier line already",
            Self::Ragged { .. } => "the row has not as many fields as the header has columns",
            Self::LineTooLong { .. } => "the line is too long",
            Self::NotUtf8 => "is not UTF-8",
            Self::Control(_) => "contains a control character",
            Self::OpenQuote => "a quoted field is not closed on its line",
            Self::OuterSpace => "begins or ends with white space",
            Self::ByteOrderMark => "the line begins with a byte order mark",
            Self::Header => "the line repeats the header",
            Self::Unreadable => "the line is not a CSV row",
            Self::NotDnsName => "is not a DNS name",
            Self::NotUri => "is not a URI",
            Self::PolicyCharacter(_) => "contains a character that breaks AWS IoT policy variables",
            Self::NotPrintable(_) => "contains what a PrintableString cannot hold",
            Self::NotCountry => "is not a two-letter country code",
            Self::NotThingName => "cannot name an AWS IoT thing or client",
            Self::NotIa5(_) => "contains what a subjectAltName cannot hold",
            Self::TooManyOctets { .. } => "is too long for the file that it goes into",
            Self::Unfit { .. } => "does not fit into its file",
            Self::Issued(_) => "was issued in another batch",
        }
    }
}

/// Problems that are kept in full, at most.
pub const LISTED: usize = 1000;

/// What is wrong with a manifest: the first [`LISTED`] problems in full, and how many more there are of each kind.
#[derive(Debug, Default)]
pub struct Problems {
    listed: Vec<Problem>,
    unlisted: BTreeMap<&'static str, u64>,
}

impl Problems {
    /// Adds problems, each on the line of those before it or behind it.
    pub fn extend(&mut self, problems: impl IntoIterator<Item = Problem>) {
        for problem in problems {
            match self.listed.len() < LISTED {
                true => self.listed.push(problem),
                false => *self.unlisted.entry(problem.reason.kind()).or_default() += 1,
            }
        }
    }

    /// Joins problems of one kind with those of another, which may stand on earlier lines.
    pub fn merge(&mut self, other: Self) {
        for (kind, count) in other.unlisted {
            *self.unlisted.entry(kind).or_default() += count;
        }
        let mut listed = std::mem::take(&mut self.listed);
        listed.extend(other.listed);
        listed.sort_by_key(|problem| problem.line);
        self.extend(listed);
    }

    /// In line order.
    #[must_use]
    pub fn listed(&self) -> &[Problem] {
        &self.listed
    }

    /// The kinds of those that are not listed, and how many there are of each.
    #[must_use]
    pub fn unlisted(&self) -> &BTreeMap<&'static str, u64> {
        &self.unlisted
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("is empty"),
            Self::IdCharacter(c) | Self::PolicyCharacter(c) => write!(f, "contains {:?}", c.to_string()),
            Self::Rounded | Self::Guarded | Self::Decimal | Self::Grouped | Self::CellError => {
                f.write_str(self.kind())
            }
            Self::EmptyRows { last } => write!(f, "this row is empty, and so is every one to line {last}"),
            Self::Pattern { pattern } => write!(f, "does not match id_pattern {pattern}"),
            Self::Length { characters, wanted } => {
                write!(f, "has {characters} characters, and id_length is {wanted}")
            }
            Self::Case { wanted } => write!(f, "is not in {wanted} case, as id_case has it"),
            Self::TooLong { characters, limit } => {
                write!(f, "has {characters} characters, {limit} are allowed")
            }
            Self::Duplicate { first_line } => write!(f, "is on line {first_line} already"),
            Self::Ragged { fields: 1, columns } => {
                write!(f, "the row has 1 field, the header has {columns} columns")
            }
            Self::Ragged { fields, columns } => {
                write!(f, "the row has {fields} fields, the header has {columns} columns")
            }
            Self::LineTooLong { limit } => write!(f, "the line is longer than {limit} bytes"),
            Self::NotUtf8 => f.write_str("is not UTF-8"),
            Self::Control(c) if !c.is_control() => {
                write!(f, "contains U+{:04X}, which cannot be seen", u32::from(*c))
            }
            Self::Control(c) => write!(f, "contains the control character U+{:04X}", u32::from(*c)),
            Self::OuterSpace => f.write_str("begins or ends with white space"),
            Self::ByteOrderMark => f.write_str("the line begins with a byte order mark"),
            Self::Header => f.write_str("the line repeats the header"),
            Self::Unreadable => f.write_str("the line is not a CSV row"),
            Self::NotDnsName => f.write_str("is not a DNS name"),
            Self::NotUri => f.write_str("is not a URI"),
            Self::OpenQuote => f.write_str("a quoted field is not closed on its line"),
            Self::NotPrintable(c) => write!(
                f,
                "contains {:?}, which a PrintableString cannot hold",
                c.to_string()
            ),
            Self::NotCountry => f.write_str("is not a two-letter country code"),
            Self::TooManyOctets { octets, limit } => write!(f, "has {octets} octets, {limit} are allowed"),
            Self::Unfit { told } => write!(f, "does not fit into {told}"),
            Self::NotThingName => f.write_str("cannot name an AWS IoT thing or client"),
            Self::NotIa5(c) => write!(
                f,
                "contains {:?}, which a subjectAltName cannot hold",
                c.to_string()
            ),
            Self::Issued(issued) => {
                let Issued { batch, begun } = &**issued;
                write!(f, "was issued in batch {batch}, begun {begun}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(line: u64, reason: Reason) -> Problem {
        Problem {
            line,
            column: None,
            value: None,
            reason,
        }
    }

    #[test]
    fn the_first_problems_are_listed_and_the_others_counted() {
        let mut problems = Problems::default();
        problems.extend((1..=5000).map(|line| problem(2 * line, Reason::Empty)));
        let mut duplicates = Problems::default();
        let reason = Reason::Duplicate { first_line: 2 };
        duplicates.extend((1..=3000).map(|line| problem(2 * line + 1, reason.clone())));
        problems.merge(duplicates);
        let lines: Vec<u64> = problems.listed().iter().map(|problem| problem.line).collect();
        assert!(lines.iter().copied().eq(2..1002));
        let unlisted = [("is empty", 4500), ("is on an earlier line already", 2500)];
        assert_eq!(*problems.unlisted(), BTreeMap::from(unlisted));
    }
}
