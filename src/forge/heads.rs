//! The signed heads of a ledger's history: one is signed whenever a batch is sealed, and lies in the batch. A history that does not
//! have all of them was cut off or written anew. A ledger that was copied, made anew or replaced on purpose begins another
//! history, which says so: what was signed before that is excused by it, and told of.

use std::collections::BTreeSet;
use std::path::Path;

use data_encoding::HEXLOWER;
use time::OffsetDateTime;

use super::ForgeError;
use crate::batch::HISTORY_OBJECT;
use crate::issuer::{CaCertificate, Issuer};
use crate::ledger::{Entry, Ledger, LedgerError, NotAsSigned, check_history, is_begun_anew};
use crate::seal::{HistoryHead, SealError, ledger_of_head};
use crate::store::{Store, StoreError};

/// Heads that are read at a time.
const READ_AT_A_TIME: usize = 64;

/// What was signed for of a history, at one place of batches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signed {
    /// Batches whose heads it has.
    pub held: BTreeSet<String>,
    /// Batches whose heads are those of another history, from before the ledger was copied, made anew or replaced.
    pub before: BTreeSet<String>,
}

/// Signs for the history as it is, now that a batch is sealed; once.
///
/// # Errors
///
/// When the history is not whole, or does not have what was signed for before; or when signer, ledger or store fail.
pub fn sign(
    store: &Store,
    ledger: &dyn Ledger,
    batch: &str,
    issuer: &Issuer,
    now: OffsetDateTime,
) -> Result<(), ForgeError> {
    let history = ledger.history()?;
    let head = check_history(&history).map_err(|source| LedgerError::History {
        location: ledger.location().to_owned(),
        source,
    })?;
    let Some(head) = head else { return Ok(()) };
    let object = format!("{}/{HISTORY_OBJECT}", store.location());
    let certificate = issuer.certificate();
    match store.read(HISTORY_OBJECT, None) {
        Ok(octets) if ledger_of_head(&octets).is_none_or(|found| found == ledger.id()) => {
            let issuers = std::slice::from_ref(certificate);
            hold((&octets, &object, batch), (ledger, &history), issuers)?;
            return Ok(());
        }
        // It was sealed under another ledger: of shards, each has its own.
        Ok(_) => return Ok(()),
        Err(StoreError::NotFound { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let head = HistoryHead::new(ledger.id(), (head.number, &head.hash), batch, certificate, now);
    let octets = head.sign(issuer)?;
    // A signature that is not sound goes no further.
    HistoryHead::open(&octets, &object, certificate)?;
    // When it is there by now, another host of this batch was faster.
    store.create(HISTORY_OBJECT, &octets)?;
    Ok(())
}

/// Holds a history against every head that was signed of it at a place of batches, whether the ledger knows the batch or not.
///
/// # Errors
///
/// The first that the history does not have, or that no issuer of the ledger signed; or when the place cannot be read.
pub fn check(place: &Store, of: (&dyn Ledger, &[Entry])) -> Result<Signed, ForgeError> {
    let issuers = issuers(of.0)?;
    let mut signed = Signed::default();
    for some in place.folders()?.chunks(READ_AT_A_TIME) {
        let object = |batch: &String| format!("{batch}/{HISTORY_OBJECT}");
        let objects: Vec<String> = some.iter().map(object).collect();
        for (batch, octets) in some.iter().zip(place.read_all(&objects)) {
            let octets = match octets {
                Ok(octets) => octets,
                // Whoever asks sees that there is none.
                Err(error) if error.is_of_one_object() => continue,
                Err(error) => return Err(error.into()),
            };
            if ledger_of_head(&octets).is_some_and(|found| found != of.0.id()) {
                continue;
            }
            let object = format!("{}/{batch}/{HISTORY_OBJECT}", place.location());
            match hold((&octets, &object, batch), of, &issuers)? {
                true => signed.held.insert(batch.clone()),
                false => signed.before.insert(batch.clone()),
            };
        }
    }
    Ok(signed)
}

/// Whether a history has a head; when not, another history was begun on purpose.
fn hold(
    (octets, object, batch): (&[u8], &str, &str),
    (ledger, history): (&dyn Ledger, &[Entry]),
    issuers: &[CaCertificate],
) -> Result<bool, ForgeError> {
    let head = open(octets, object, issuers)?;
    // That of another batch, which may have been sealed earlier, says nothing of this one.
    if head.batch != batch {
        return Err(SealError::Changed {
            object: object.to_owned(),
        }
        .into());
    }
    let place = head
        .number
        .checked_sub(1)
        .and_then(|place| usize::try_from(place).ok());
    let entry = place.and_then(|place| history.get(place));
    if entry.is_some_and(|entry| HEXLOWER.encode(&entry.hash) == head.hash) {
        return Ok(true);
    }
    if is_begun_anew(history, &head.signed_at) {
        return Ok(false);
    }
    let why = NotAsSigned {
        number: head.number,
        entries: history.len() as u64,
        batch: head.batch,
        signed_at: head.signed_at,
    };
    Err(LedgerError::NotAsSigned {
        location: ledger.location().to_owned(),
        why: Box::new(why),
    }
    .into())
}

/// The certificates of all issuers that the ledger has batches of.
fn issuers(ledger: &dyn Ledger) -> Result<Vec<CaCertificate>, ForgeError> {
    let mut issuers = Vec::new();
    for status in ledger.status(None)? {
        let der = ledger.batch(&status.batch)?.issuer_certificate;
        let issuer = CaCertificate::from_der(&der, Path::new(ledger.location()))?;
        if !issuers.contains(&issuer) {
            issuers.push(issuer);
        }
    }
    Ok(issuers)
}

fn open(octets: &[u8], object: &str, issuers: &[CaCertificate]) -> Result<HistoryHead, SealError> {
    let mut opened = Err(SealError::Signature {
        object: object.to_owned(),
        issuer: "any CA that the ledger knows".to_owned(),
    });
    for issuer in issuers {
        opened = HistoryHead::open(octets, object, issuer);
        if !matches!(opened, Err(SealError::OtherIssuer { .. })) {
            break;
        }
    }
    opened
}
