//! What a run writes into the ledger's history beside what the ledger writes by itself.

use time::OffsetDateTime;

use super::making::Making;
use super::{ForgeError, Shard, heads};
use crate::issuer::Issuer;
use crate::ledger::{Act, Batch, Deed, Entry, HostState, HostStatus, Ledger, LedgerError};
use crate::store::Store;

/// That a batch, or a shard of it, goes on. One that is made already does not, nor does one that another host is making; nor
/// one that was begun only: the host that has begun it a moment ago is about to reserve its first chunks.
pub(super) fn resumed(
    ledger: &mut dyn Ledger,
    batch: &Batch,
    (shard, now): (Option<Shard>, OffsetDateTime),
) -> Result<(), LedgerError> {
    // First who is at work, then what is released: a host that leaves in between has released what it made.
    let status = ledger.status(Some(&batch.name))?;
    let is_at_work = |host: &HostStatus| host.state == HostState::AtWork;
    let is_being_made = status.iter().flat_map(|status| &status.hosts).any(is_at_work);
    let is_begun_only = status.iter().all(|status| status.attempts == 0);
    let has = |chunk| shard.is_none_or(|shard| shard.has(chunk));
    let released = ledger.committed(batch)?.into_iter();
    let released = released
        .filter(|(chunk, released)| *released && has(*chunk))
        .count() as u64;
    let own = (0..batch.shape().chunks()).filter(|chunk| has(*chunk)).count() as u64;
    if released == own || is_being_made || is_begun_only {
        return Ok(());
    }
    let what = format!("{released} of {own} chunks were released");
    ledger.record(Act::new(Deed::BatchResumed, &batch.name, what), now)?;
    Ok(())
}

/// That a batch is sealed, unless that is known; and signs for the history with it.
///
/// # Errors
///
/// When the ledger or the store cannot be read or written, or the history is not the one that was signed for before.
pub fn sealed(
    (store, ledger): (&Store, &mut dyn Ledger),
    (batch, devices): (&str, u64),
    issuer: &Issuer,
    now: OffsetDateTime,
) -> Result<(), ForgeError> {
    let is_known = |entry: &Entry| entry.act == Deed::BatchSealed && entry.subject == batch;
    if !ledger.history()?.iter().any(is_known) {
        ledger.record(Act::of_sealed(batch, devices, &store.location()), now)?;
    }
    heads::sign(store, ledger, batch, issuer, now)
}

/// The same of the batch that a run has made; and the ledger is remembered with it.
pub(super) fn sealed_by(making: &Making<'_>, ledger: &mut dyn Ledger) -> Result<(), ForgeError> {
    let (batch, job) = (making.batch, making.job);
    sealed(
        (making.store, &mut *ledger),
        (&batch.name, batch.rows),
        job.issuer,
        job.now,
    )?;
    making.care.keep_mark(ledger, making.passed_over)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Layout;
    use crate::certificate::SerialPrefix;
    use crate::engine::Random;
    use crate::issuer::{CaRequest, create};
    use crate::ledger::{self, BatchIdentity};
    use crate::profile::{Attribute, KeyType, NotAfter};

    #[test]
    fn what_was_begun_only_is_not_resumed() {
        let folder = tempfile::tempdir().unwrap();
        let now = OffsetDateTime::now_utc();
        let request = CaRequest {
            subject: vec![(Attribute::CommonName, "factory".to_owned())],
            key_type: KeyType::P256,
            not_after: NotAfter::Days(30),
            path_len: Some(0),
        };
        let ca = create(&request, None, now).unwrap();
        let identity = BatchIdentity {
            name: "pumps",
            location: "/out/pumps",
            issuer: ca.certificate(),
            manifest: "/pumps.csv",
            manifest_sha256: [1; 32],
            profile: "aws-iot-p256",
            profile_sha256: [2; 32],
            layout: Layout::Packs,
            rows: 20,
            chunk_rows: 10,
            reissue: false,
        };
        let mut ledger = ledger::open(&folder.path().join("ledger.db"), [1; 16]).unwrap();
        let batch = ledger.begin_batch(&identity, now).unwrap();
        let acts = |ledger: &dyn Ledger| -> Vec<Deed> {
            let history = ledger.history().unwrap();
            history.iter().map(|entry| entry.act).collect()
        };
        let begun = acts(&*ledger);
        resumed(&mut *ledger, &batch, (None, now)).unwrap();
        assert_eq!(acts(&*ledger), begun);
        let prefix = SerialPrefix::draw(Random).unwrap();
        ledger.reserve(&batch, &[(0, prefix)], now).unwrap();
        resumed(&mut *ledger, &batch, (None, now)).unwrap();
        assert_eq!(acts(&*ledger), [&begun[..], &[Deed::BatchResumed]].concat());
    }
}
