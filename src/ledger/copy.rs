//! Copies: what ledgers know is entered into another one, whatever home each has.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Fact, Ledger, LedgerError};

/// What one ledger gave to a copy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copied {
    /// Batches that were told of, those that were known before among them.
    pub batches: u64,
    /// Devices of the chunks that were told of.
    pub devices: u64,
    /// Names of batches that are not complete in the copy either, in their order.
    pub unfinished: Vec<String>,
}

/// Enters all that some ledgers know into another one: as one transaction, so that nothing is half entered. Parts of one
/// batch that ledgers of shards know become one batch. Tells of each ledger what came of it, in their order.
///
/// # Errors
///
/// As [`Ledger::restore`] and [`Ledger::facts`].
pub fn copy(from: &[Box<dyn Ledger>], to: &mut dyn Ledger) -> Result<Vec<Copied>, LedgerError> {
    let mut copied = vec![Copied::default(); from.len()];
    let order = order(from, &mut copied)?;
    to.restore(&mut |enter| {
        for (ledger, name) in &order {
            let of = &mut copied[*ledger];
            let ledger = &from[*ledger];
            ledger.facts(&ledger.batch(name)?, &mut |fact| {
                match &fact {
                    Fact::Batch(_) => of.batches += 1,
                    Fact::Chunk(chunk) => of.devices += chunk.devices.len() as u64,
                    _ => {}
                }
                enter(fact)
            })?;
        }
        Ok(())
    })?;
    // What no shard had all of, the copy may have.
    for of in &mut copied {
        let mut left = Vec::new();
        for name in std::mem::take(&mut of.unfinished) {
            let now = to.status(Some(&name))?;
            if now.iter().any(|status| status.released < status.devices) {
                left.push(name);
            }
        }
        of.unfinished = left;
    }
    Ok(copied)
}

/// Every batch of the ledgers, by the number of the ledger and its name: as they were begun. Of several ledgers, reissues
/// come last, after whatever they give a second identity to.
fn order(from: &[Box<dyn Ledger>], copied: &mut [Copied]) -> Result<Vec<(usize, String)>, LedgerError> {
    let mut batches = Vec::new();
    for (number, ledger) in from.iter().enumerate() {
        for status in ledger.status(None)? {
            if status.released < status.devices {
                copied[number].unfinished.push(status.batch.clone());
            }
            let begun = OffsetDateTime::parse(&status.created_at, &Rfc3339).ok();
            batches.push((status.reissue, begun, number, status.batch));
        }
    }
    if from.len() > 1 {
        // It keeps what is equal in its order.
        batches.sort_by_key(|(reissue, begun, ..)| (*reissue, *begun));
    }
    let named = batches.into_iter();
    Ok(named.map(|(_, _, number, name)| (number, name)).collect())
}
