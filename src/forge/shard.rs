//! Shards: one batch made by several processes, each with a ledger of its own, on machines that know
//! nothing of each other. Chunk numbers are global, so they write disjoint chunks under one prefix.

use std::fmt;
use std::str::FromStr;

use crate::batch::Shape;

/// One of several shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shard {
    /// From 1.
    number: u32,
    of: u32,
}

impl Shard {
    /// Every shard of so many.
    pub fn all(of: u32) -> impl Iterator<Item = Self> {
        (1..=of).map(move |number| Self { number, of })
    }

    /// The shard with this index, counted from 0, of so many; `None`: there is none.
    #[must_use]
    pub fn of_index(index: u64, of: u32) -> Option<Self> {
        let index = u32::try_from(index).ok().filter(|index| *index < of)?;
        Some(Self {
            number: index + 1,
            of,
        })
    }

    /// From 1.
    #[must_use]
    pub fn number(self) -> u32 {
        self.number
    }

    /// How many shards there are.
    #[must_use]
    pub fn of(self) -> u32 {
        self.of
    }

    /// Its chunks of a batch, in order.
    pub(super) fn chunks(self, shape: Shape) -> impl Iterator<Item = u64> {
        (u64::from(self.number - 1)..shape.chunks()).step_by(self.of as usize)
    }

    /// Whether this shard makes the chunk: every so many-th one, so that all shards end at about the
    /// same time.
    #[must_use]
    pub fn has(self, chunk: u64) -> bool {
        chunk % u64::from(self.of) == u64::from(self.number - 1)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (number, of) = text.split_once('/')?;
            Some((number.parse().ok()?, of.parse().ok()?))
        };
        match parse() {
            Some((number, of)) if (1..=of).contains(&number) => Ok(Self { number, of }),
            _ => Err("shards are 1/N to N/N".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chunk_is_of_one_shard() {
        for of in 1..7 {
            let shards: Vec<Shard> = (1..=of)
                .map(|number| format!("{number}/{of}").parse().unwrap())
                .collect();
            for chunk in 0..50 {
                assert_eq!(shards.iter().filter(|shard| shard.has(chunk)).count(), 1);
            }
            let shape = Shape {
                rows: 50,
                chunk_rows: 1,
            };
            for shard in shards {
                assert!(shard.chunks(shape).eq((0..50).filter(|chunk| shard.has(*chunk))));
            }
        }
    }

    #[test]
    fn refuses_what_is_no_shard() {
        for text in ["", "1", "0/4", "5/4", "1/0", "-1/4", "a/b", "1/4/2"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_index_counts_from_0() {
        let text = |index, of| Shard::of_index(index, of).map(|shard| shard.to_string());
        assert_eq!(text(0, 4).as_deref(), Some("1/4"));
        assert_eq!(text(3, 4).as_deref(), Some("4/4"));
        for (index, of) in [(4, 4), (0, 0), (u64::from(u32::MAX) + 1, u32::MAX), (u64::MAX, 4)] {
            assert_eq!(text(index, of), None, "{index} of {of}");
        }
    }
}
