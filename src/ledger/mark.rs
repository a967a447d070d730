//! The mark: which ledger a CA has, and how far it had come. It lies with the CA, so that another ledger, or an older copy
//! of it, is seen before anything is made with it.
//!
//! Invariant: a mark is never ahead of its ledger, which reserves first.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use super::{Entry, Ledger, LedgerError, is_begun_anew};

/// Digits of an id that tell two ledgers apart.
const SHOWN: usize = 8;

/// What is remembered of a ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// Its id; `None`: there never was one.
    pub ledger: Option<String>,
    /// Reservations that it had.
    pub reservations: u64,
    /// The last entry of its history; `None`: it had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<MarkedHead>,
    /// Where it was, for people.
    #[serde(default)]
    pub location: String,
    /// Batches that lie beside others and are unknown to it on purpose: how many released chunks of each.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub passed_over: PassedOver,
}

/// The last entry of a history, as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MarkedHead {
    pub number: u64,
    /// RFC 3339.
    pub at: String,
    /// Of that entry and all before it: SHA-256 in hexadecimal.
    pub hash: String,
}

/// Names of batches, and how many released chunks of each a ledger does not know.
pub type PassedOver = BTreeMap<String, u64>;

/// What remembers how far a ledger has come.
pub trait KeepMark: fmt::Debug {
    /// Remembers a ledger as it is now, durably, and the batches that it may be without.
    ///
    /// # Errors
    ///
    /// When that cannot be written.
    fn keep(&self, ledger: &dyn Ledger, passed_over: &PassedOver) -> Result<(), LedgerError>;
}

/// Why a ledger is not the one that is remembered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unlike {
    #[error("is not the one of this CA: its id is {found}, and {remembered}")]
    Other { found: String, remembered: Remembered },
    #[error("is an older copy: it has {found} reservations, and {remembered}")]
    Behind { found: u64, remembered: Remembered },
    #[error("is not what it was: entry {number} of its history was changed or taken out, and {remembered}")]
    Rewritten { number: u64, remembered: Remembered },
    #[error("is not there, and {remembered}")]
    Gone { remembered: Remembered },
}

/// A mark, and the file that it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    pub file: PathBuf,
    pub mark: Mark,
}

impl fmt::Display for Remembered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, mark } = self;
        let id = mark.ledger.as_deref().map_or("none", short);
        write!(
            f,
            "{} remembers {id} with {} reservations, which was {}",
            file.display(),
            mark.reservations,
            mark.location
        )
    }
}

/// Enough of an id.
fn short(id: &str) -> &str {
    id.get(..SHOWN).unwrap_or(id)
}

impl Mark {
    /// The mark of a ledger as it is now.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    pub fn of(ledger: &dyn Ledger, passed_over: &PassedOver) -> Result<Self, LedgerError> {
        Ok(Self {
            ledger: Some(ledger.id().to_owned()),
            reservations: ledger.reservations()?,
            history: ledger.history()?.last().map(|entry| MarkedHead {
                number: entry.number,
                at: entry.at.clone(),
                hash: HEXLOWER.encode(&entry.hash),
            }),
            location: ledger.location().to_owned(),
            passed_over: passed_over.clone(),
        })
    }

    /// Refuses a ledger that is another, or an older copy. `file`: where the mark lies.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Unlike`]; or when the ledger cannot be read.
    pub fn check(&self, ledger: &dyn Ledger, file: &Path) -> Result<(), LedgerError> {
        let Some(id) = &self.ledger else { return Ok(()) };
        let found = ledger.reservations()?;
        let what = if ledger.id() != id {
            Unlike::Other {
                found: short(ledger.id()).to_owned(),
                remembered: self.remembered(file),
            }
        } else if found < self.reservations {
            Unlike::Behind {
                found,
                remembered: self.remembered(file),
            }
        } else if let Some(number) = self.missed_entry(ledger)? {
            Unlike::Rewritten {
                number,
                remembered: self.remembered(file),
            }
        } else {
            return Ok(());
        };
        Err(LedgerError::Unlike {
            location: ledger.location().to_owned(),
            what: Box::new(what),
        })
    }

    /// The entry of the history that is remembered, if the ledger has it no more, or as another.
    fn missed_entry(&self, ledger: &dyn Ledger) -> Result<Option<u64>, LedgerError> {
        let Some(head) = &self.history else {
            return Ok(None);
        };
        let history = ledger.history()?;
        let is_it = |entry: &Entry| entry.number == head.number && HEXLOWER.encode(&entry.hash) == head.hash;
        let is_there = history.iter().any(is_it) || is_begun_anew(&history, &head.at);
        Ok((!is_there).then_some(head.number))
    }

    /// That the ledger is not there any more.
    #[must_use]
    pub fn gone(&self, location: String, file: &Path) -> LedgerError {
        LedgerError::Unlike {
            location,
            what: Box::new(Unlike::Gone {
                remembered: self.remembered(file),
            }),
        }
    }

    fn remembered(&self, file: &Path) -> Remembered {
        Remembered {
            file: file.to_owned(),
            mark: self.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::SqliteLedger;

    #[test]
    fn a_mark_knows_its_ledger_and_no_older_copy_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let open = |name: &str, id| SqliteLedger::open(&folder.path().join(name), [id; 16]).unwrap();
        let (own, other) = (open("own.db", 7), open("other.db", 8));
        let file = Path::new("ca/ledger.json");
        let mark = Mark::of(&own, &PassedOver::new()).unwrap();
        assert_eq!((mark.ledger.as_deref(), mark.reservations), (Some(own.id()), 0));
        mark.check(&own, file).unwrap();
        Mark::default().check(&other, file).unwrap();
        let told = mark.check(&other, file).unwrap_err().to_string();
        let is_other = " is not the one of this CA: its id is 08080808, and ca/ledger.json remembers 07070707 with \
                        0 reservations, which was ";
        assert!(told.contains(is_other), "{told}");
        let ahead = Mark {
            reservations: 3,
            ..mark.clone()
        };
        let told = ahead.check(&own, file).unwrap_err().to_string();
        assert!(
            told.contains(" is an older copy: it has 0 reservations, and "),
            "{told}"
        );
        let cut = Mark {
            history: Some(MarkedHead {
                number: 2,
                at: "2026-01-01T00:00:00Z".to_owned(),
                hash: "07".repeat(32),
            }),
            ..mark
        };
        let told = cut.check(&own, file).unwrap_err().to_string();
        assert!(
            told.contains(" is not what it was: entry 2 of its history was changed or taken out, and "),
            "{told}"
        );
    }
}
