//! A batch goes on as it was begun, also when the endpoint of its devices was noted with the issuer since.

use super::Job;
use crate::ledger::{Ledger, LedgerError};

/// The job as its batch was begun, when that was before the profile's host was noted; `None` when it is as it is.
pub(super) fn before_note<'a>(
    job: &Job<'a>,
    ledger: &dyn Ledger,
    name: &str,
    manifest_sha256: &[u8; 32],
) -> Result<Option<Job<'a>>, LedgerError> {
    let Some(before) = job.profile.before_note() else {
        return Ok(None);
    };
    let Some(batch) = ledger.find_batch(name)? else {
        return Ok(None);
    };
    let is_that = batch.manifest_sha256 == *manifest_sha256
        && batch.issuer_certificate == job.issuer.certificate().der()
        && batch.profile == before.name()
        && batch.profile_sha256 == before.digest();
    // One of which nothing is committed does not count, and begins anew.
    let is_begun = is_that && !ledger.committed(&batch)?.is_empty();
    Ok(is_begun.then(|| Job {
        profile: before,
        engines: job.engines.clone(),
        ..*job
    }))
}
