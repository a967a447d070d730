//! The history: who did what when to a CA and its batches. Human acts only, a few a batch; what stations do stays in the
//! store's records.
//!
//! It only grows. Each entry has the SHA-256 over the one before it and over its own words, so none can be changed, or taken out
//! from between others, unseen. Public facts only: no secret is in it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use nix::unistd::{User, geteuid};
use rustix::system::uname;
use serde::Serialize;
use time::OffsetDateTime;

use super::{Batch, BatchIdentity, Issued};
use crate::digest::sha256;
use crate::profile::rfc3339;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deed {
    /// A CA signs under this ledger for the first time.
    CaNew,
    /// A CA signs with another certificate than before.
    CaChanged,
    /// AWS IoT knows a CA.
    CaRegistered,
    /// The key of a CA was destroyed: it signs no more.
    CaRetired,
    BatchBegun,
    /// A batch whose devices may have been issued before was begun.
    ReissueBegun,
    /// A batch that is not made yet goes on.
    BatchResumed,
    BatchSealed,
    BatchWithdrawn,
    CertificatesRevoked,
    /// Bundles of devices that were flashed or scrapped were removed.
    BundlesBurned,
    /// The bundles of a batch were made anew, around the same keys and certificates.
    BundlesRemade,
    /// What it knows was written out.
    LedgerExported,
    /// Another ledger than the one that the CA had was taken, on purpose.
    LedgerTaken,
    /// What another ledger knew was entered.
    LedgerCopied,
    /// It was made anew from what a store has released.
    LedgerRebuilt,
}

/// Each deed, and what it is called.
const DEEDS: [(Deed, &str); 16] = [
    (Deed::CaNew, "ca-new"),
    (Deed::CaChanged, "ca-changed"),
    (Deed::CaRegistered, "ca-registered"),
    (Deed::CaRetired, "ca-retired"),
    (Deed::BatchBegun, "batch-begun"),
    (Deed::ReissueBegun, "reissue-begun"),
    (Deed::BatchResumed, "batch-resumed"),
    (Deed::BatchSealed, "batch-sealed"),
    (Deed::BatchWithdrawn, "batch-withdrawn"),
    (Deed::CertificatesRevoked, "certificates-revoked"),
    (Deed::BundlesBurned, "bundles-burned"),
    (Deed::BundlesRemade, "bundles-remade"),
    (Deed::LedgerExported, "ledger-exported"),
    (Deed::LedgerTaken, "ledger-taken"),
    (Deed::LedgerCopied, "ledger-copied"),
    (Deed::LedgerRebuilt, "ledger-rebuilt"),
];

/// An act, before it has its place in the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    deed: Deed,
    /// The batch, the CA or the ledger that it was done to.
    subject: String,
    /// What it changed, in words.
    what: String,
}

/// An act in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// From 1.
    pub number: u64,
    /// RFC 3339.
    pub at: String,
    /// `user@host`.
    pub who: String,
    /// The version of certforge.
    pub version: String,
    pub act: Deed,
    pub subject: String,
    pub what: String,
    /// Of this entry and all before it.
    #[serde(serialize_with = "hexadecimal")]
    pub hash: [u8; 32],
}

/// The last entry, from which all before it follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub number: u64,
    pub hash: [u8; 32],
}

/// Before the first entry.
const NOTHING: Head = Head {
    number: 0,
    hash: [0; 32],
};

/// An entry that does not follow from those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("entry {number} of the history is not what was written, or one before it is gone")]
pub struct Broken {
    pub number: u64,
}

/// A history that is not the one for which an issuer has signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAsSigned {
    /// Of the entry that was the last when it signed.
    pub number: u64,
    /// How many the history has.
    pub entries: u64,
    /// The batch that was sealed then.
    pub batch: String,
    /// RFC 3339.
    pub signed_at: String,
}

impl fmt::Display for NotAsSigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            number,
            entries,
            batch,
            signed_at,
        } = self;
        match entries < number {
            true => write!(
                f,
                "its history ends with entry {entries}, and had {number} when its issuer signed for it, as batch {batch} was sealed ({signed_at}): the end was taken out"
            ),
            false => write!(
                f,
                "entry {number} of its history is not the one for which its issuer signed when batch {batch} was sealed ({signed_at})"
            ),
        }
    }
}

impl Deed {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        let found = DEEDS.iter().find(|(deed, _)| *deed == self);
        found.map_or("", |(_, name)| name)
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Deed {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let found = DEEDS.iter().find(|(_, name)| *name == text);
        found.map(|(deed, _)| *deed).ok_or(())
    }
}

impl Act {
    #[must_use]
    pub fn new(deed: Deed, subject: &str, what: impl Into<String>) -> Self {
        Self {
            deed,
            subject: subject.to_owned(),
            what: what.into(),
        }
    }

    /// What begins with a batch. `before`: the certificate that its issuer's last batch was begun with, if it has one.
    pub(super) fn of_begun(identity: &BatchIdentity<'_>, before: Option<&[u8]>) -> Vec<Self> {
        let issuer = identity.issuer;
        let certificate = format!("certificate {}", HEXLOWER.encode(&issuer.id()));
        let ca = match before {
            None => Some(Self::new(Deed::CaNew, issuer.subject_text(), certificate)),
            Some(before) if before != issuer.der() => {
                Some(Self::new(Deed::CaChanged, issuer.subject_text(), certificate))
            }
            Some(_) => None,
        };
        let deed = match identity.reissue {
            true => Deed::ReissueBegun,
            false => Deed::BatchBegun,
        };
        let what = format!(
            "{} of {}, profile {}, at {}",
            many(identity.rows, "row"),
            identity.manifest,
            identity.profile,
            identity.location
        );
        ca.into_iter()
            .chain([Self::new(deed, identity.name, what)])
            .collect()
    }

    /// A batch has its seal.
    #[must_use]
    pub fn of_sealed(batch: &str, devices: u64, location: &str) -> Self {
        let what = format!("{}, at {location}", many(devices, "device"));
        Self::new(Deed::BatchSealed, batch, what)
    }

    pub(super) fn of_withdrawn(batch: &Batch, reason: &str) -> Self {
        Self::new(Deed::BatchWithdrawn, &batch.name, reason)
    }

    /// One for each batch.
    pub(super) fn of_revoked(certificates: &[Issued], reason: &str) -> Vec<Self> {
        let mut batches: BTreeMap<&str, u64> = BTreeMap::new();
        for certificate in certificates {
            *batches.entry(&certificate.batch).or_default() += 1;
        }
        let acts = batches.into_iter().map(|(batch, certificates)| {
            let what = format!("{}: {reason}", many(certificates, "certificate"));
            Self::new(Deed::CertificatesRevoked, batch, what)
        });
        acts.collect()
    }

    /// The entry that it is after the last one, by whoever runs this program.
    pub(super) fn after(self, last: Option<Head>, now: OffsetDateTime) -> Entry {
        let last = last.unwrap_or(NOTHING);
        let mut entry = Entry {
            number: last.number + 1,
            at: rfc3339(now),
            who: who(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            act: self.deed,
            subject: self.subject,
            what: self.what,
            hash: [0; 32],
        };
        entry.hash = entry.hash_after(&last.hash);
        entry
    }
}

impl Entry {
    #[must_use]
    pub fn head(&self) -> Head {
        Head {
            number: self.number,
            hash: self.hash,
        }
    }

    /// Whether it tells of the same act by the same person at the same time.
    #[cfg(feature = "postgres")]
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        let other = Self {
            number: self.number,
            hash: self.hash,
            ..other.clone()
        };
        *self == other
    }

    /// SHA-256 over the hash before, 32 octets, and the other fields as a list in JSON, without spaces.
    fn hash_after(&self, before: &[u8; 32]) -> [u8; 32] {
        let fields = (
            self.number,
            &self.at,
            &self.who,
            &self.version,
            self.act,
            &self.subject,
            &self.what,
        );
        let text = serde_json::to_string(&fields).expect("texts and a number can be written");
        sha256(&[before, text.as_bytes()].concat())
    }
}

/// Sees whether a whole history is as it was written. Gives its head; `None`: there is no entry.
///
/// # Errors
///
/// The first entry that does not follow from those before it.
pub fn check(history: &[Entry]) -> Result<Option<Head>, Broken> {
    let mut last = NOTHING;
    for entry in history {
        if entry.number != last.number + 1 || entry.hash != entry.hash_after(&last.hash) {
            return Err(Broken {
                number: last.number + 1,
            });
        }
        last = entry.head();
    }
    Ok((last != NOTHING).then_some(last))
}

/// Whether another history was begun on purpose after a moment (RFC 3339): the ledger was copied, made anew, or taken in place
/// of another, as an entry says.
#[must_use]
pub fn is_begun_anew(history: &[Entry], since: &str) -> bool {
    history.iter().any(|entry| {
        let begins = [Deed::LedgerTaken, Deed::LedgerCopied, Deed::LedgerRebuilt].contains(&entry.act);
        begins && *entry.at >= *since
    })
}

/// Who runs this program, and where. In a container a user may have no name.
fn who() -> String {
    let uid = geteuid();
    let name = User::from_uid(uid).ok().flatten();
    let name = name.map_or_else(|| uid.to_string(), |user| user.name);
    format!("{name}@{}", uname().nodename().to_string_lossy())
}

fn many(n: u64, word: &str) -> String {
    let end = if n == 1 { "" } else { "s" };
    format!("{n} {word}{end}")
}

fn hexadecimal<S: serde::Serializer>(hash: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&HEXLOWER.encode(hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history() -> Vec<Entry> {
        let acts = [
            (Deed::CaNew, "CN=factory", ""),
            (Deed::BatchBegun, "b", "9 devices, \"as\" they are"),
            (Deed::BatchSealed, "b", ""),
        ];
        let mut history: Vec<Entry> = Vec::new();
        for (deed, subject, what) in acts {
            let last = history.last().map(Entry::head);
            history.push(Act::new(deed, subject, what).after(last, OffsetDateTime::UNIX_EPOCH));
        }
        history
    }

    #[test]
    fn what_was_written_follows_from_what_was_before() {
        let history = history();
        assert_eq!(check(&[]), Ok(None));
        assert_eq!(check(&history), Ok(Some(history[2].head())));
        assert_eq!(history[2].number, 3);
        assert!(history[0].who.contains('@'), "{}", history[0].who);
    }

    type Change = fn(&mut Vec<Entry>);

    #[test]
    fn no_entry_is_changed_or_taken_out_unseen() {
        let whole = history();
        let changes: [(Change, u64); 9] = [
            (|history| history[1].what.push('0'), 2),
            (|history| history[1].subject = "c".to_owned(), 2),
            (|history| history[1].who = "nobody@nowhere".to_owned(), 2),
            (|history| history[1].at = "2026-01-01T00:00:00Z".to_owned(), 2),
            (|history| history[1].act = Deed::BatchWithdrawn, 2),
            (|history| history[0].version.push('1'), 1),
            (|history| _ = history.remove(0), 1),
            (|history| _ = history.remove(1), 2),
            (|history| history.swap(1, 2), 2),
        ];
        for (i, (change, number)) in changes.into_iter().enumerate() {
            let mut history = whole.clone();
            change(&mut history);
            assert_eq!(check(&history), Err(Broken { number }), "change {i}");
        }
    }

    /// By Python's hashlib: anybody can tell.
    #[test]
    fn the_hash_is_what_the_page_says() {
        let mut entry =
            Act::new(Deed::BatchBegun, "b", "9 devices é").after(None, OffsetDateTime::UNIX_EPOCH);
        entry.who = "forge@line-7".to_owned();
        entry.version = "0.1.0".to_owned();
        let hash = HEXLOWER.encode(&entry.hash_after(&[0; 32]));
        assert_eq!(
            hash,
            "3c933bb10ee947a3b9869ec111e462bf426ee778d51072a288e9fcfdc89d8922"
        );
    }

    #[test]
    fn deeds_are_read_as_they_are_written() {
        for (deed, name) in DEEDS {
            assert_eq!(name.parse(), Ok(deed));
            assert_eq!(deed.as_str(), name);
            assert_eq!(serde_json::to_value(deed).unwrap(), name);
        }
    }
}
