//! `certforge ledger history`.

use std::collections::BTreeMap;
use std::fmt;

use certforge::batch::HISTORY_OBJECT;
use certforge::forge::heads;
use certforge::ledger::{self, Deed, Entry, Ledger, LedgerError, check_history};
use certforge::printable;
use clap::Args;
use data_encoding::HEXLOWER;
use serde::Serialize;

use crate::cli::Failure;
use crate::cli::ledger_args::{Found, LedgerArgs};
use crate::cli::place::{self, Reach};
use crate::cli::report::{Ended, Outcome};
use crate::cli::text::many;

#[derive(Debug, Args)]
pub struct History {
    /// Fail when an entry is not what was written, or is gone: also by what the CA remembers of the ledger, and what its issuer
    /// signed when it sealed batches
    #[arg(long)]
    verify: bool,
    #[command(flatten)]
    ledger: LedgerArgs,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

/// The acts that a ledger remembers.
#[derive(Serialize)]
struct Told {
    ledger: String,
    ledger_id: String,
    entries: Vec<Entry>,
    /// Of the last entry; `None`: there is none, or one is not what was written.
    head: Option<String>,
    /// The first entry that is not what was written.
    broken_at: Option<u64>,
    /// Signatures of the issuer that the history was held against, with --verify.
    signed: Option<usize>,
}

/// What a history was held against.
#[derive(Debug, Default)]
struct Held {
    signed: usize,
    before: usize,
    /// Where batches are that were sealed, with nothing to hold it against.
    bare: Vec<String>,
}

impl History {
    pub fn run(&self) -> Outcome {
        let found = self.ledger.usual_found()?;
        let ledger = ledger::open_read_only(&found.name)?;
        let entries = ledger.history()?;
        let checked = check_history(&entries);
        let held = match (self.verify, checked) {
            (true, Ok(_)) => Some(self.hold(&*ledger, &entries, &found)),
            _ => None,
        };
        let told = Told {
            ledger: ledger.location().to_owned(),
            ledger_id: ledger.id().to_owned(),
            entries,
            head: checked.ok().flatten().map(|head| HEXLOWER.encode(&head.hash)),
            broken_at: checked.err().map(|broken| broken.number),
            signed: match &held {
                Some(Ok(held)) => Some(held.signed),
                _ => None,
            },
        };
        let ended = Ended::with(told);
        if let Err(source) = checked {
            let error = LedgerError::History {
                location: ledger.location().to_owned(),
                source,
            };
            return Ok(match self.verify {
                true => ended.failed(Some(Failure::from(error))),
                false => ended.warning(certforge::causes::in_one_line(&error)),
            });
        }
        Ok(match held.transpose() {
            Ok(held) => {
                let held = held.unwrap_or_default();
                let ended = match held.before {
                    0 => ended,
                    before => ended.warning(format!(
                        "{} of the issuer: of another history, before this ledger was copied, made anew or taken on purpose, as its entries tell",
                        many(before as u64, "signature")
                    )),
                };
                match held.bare.split_first() {
                    None => ended,
                    Some((first, others)) => ended.warning(format!(
                        "{first} was sealed and has no {HISTORY_OBJECT}{}: whether the history was cut off after that cannot be told",
                        match others.len() {
                            0 => String::new(),
                            others => format!(", as {} more", many(others as u64, "batch")),
                        }
                    )),
                }
            }
            Err(failure) => ended.failed(Some(failure)),
        })
    }

    /// Holds a history that is whole against what is known of it elsewhere.
    fn hold(&self, ledger: &dyn Ledger, entries: &[Entry], found: &Found) -> Result<Held, Failure> {
        if let Some(folder) = &found.folder {
            // A ledger that was named may be another CA's.
            let mark = folder.mark()?.and_then(|mark| mark.ledger);
            if !self.ledger.is_named() || mark.as_deref() == Some(ledger.id()) {
                folder.check(ledger)?;
            }
        }
        let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for status in ledger.status(None)? {
            if let Some((place, _)) = status.location.rsplit_once('/') {
                places.entry(place.to_owned()).or_default().push(status.location);
            }
        }
        let is_sealed = |batch: &str| {
            let of = |entry: &Entry| entry.act == Deed::BatchSealed && entry.subject == batch;
            entries.iter().any(of)
        };
        let mut held = Held::default();
        for batches in places.into_values() {
            let store = self.reach.open(&place::parse(&batches[0], &self.reach, None)?)?;
            let Some(around) = store.around() else { continue };
            let signed = heads::check(&around, (ledger, entries))?;
            held.signed += signed.held.len();
            held.before += signed.before.len();
            held.bare.extend(batches.into_iter().filter(|batch| {
                let name = place::name_of(batch);
                is_sealed(name) && !signed.held.contains(name) && !signed.before.contains(name)
            }));
        }
        Ok(held)
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.entries.is_empty() {
            let ledger = printable::line(&self.ledger);
            return writeln!(f, "ledger {ledger} has no history yet");
        }
        for entry in &self.entries {
            let Entry {
                number,
                at,
                who,
                act,
                subject,
                what,
                ..
            } = entry;
            let line = format!("{number:>4}  {at}  {who}  {act}  {subject}: {what}");
            writeln!(f, "{}", printable::line(&line))?;
        }
        match &self.head {
            Some(head) => writeln!(f, "head  {head}")?,
            None => return Ok(()),
        }
        match self.signed {
            Some(1) => writeln!(f, "      1 signature of the issuer holds"),
            Some(signed) if signed > 0 => writeln!(f, "      {signed} signatures of the issuer hold"),
            _ => Ok(()),
        }
    }
}
