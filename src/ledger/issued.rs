//! Certificates of the ledger, one by one: what was issued, and what became of it since.

use std::collections::BTreeSet;

use time::OffsetDateTime;

use crate::batch::IndexEntry;

/// Which certificates somebody asks for.
#[derive(Debug, Clone, Copy)]
pub enum Selection<'a> {
    /// All of these devices, of every issuer and batch.
    Devices(&'a BTreeSet<String>),
    /// Those with these certificate ids.
    Certificates(&'a BTreeSet<[u8; 32]>),
    /// Those whose validity ends before a time, in seconds since 1970.
    EndingBefore(i64),
}

/// A certificate that was issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    pub entry: IndexEntry,
    /// Name of its batch.
    pub batch: String,
    /// Its row in the batch, from 0.
    pub row: u64,
    /// Whether the issuer has issued the device a later one.
    pub superseded: bool,
    /// Since when its batch is withdrawn.
    pub withdrawn: Option<OffsetDateTime>,
    /// Since when it is revoked by itself.
    pub revoked: Option<OffsetDateTime>,
}

impl Issued {
    /// What became of it, in a word: the worst first.
    #[must_use]
    pub fn state(&self) -> &'static str {
        match (self.revoked, self.withdrawn, self.superseded) {
            (Some(_), _, _) => "revoked",
            (_, Some(_), _) => "withdrawn",
            (_, _, true) => "superseded",
            _ => "issued",
        }
    }
}
