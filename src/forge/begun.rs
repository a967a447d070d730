//! A batch goes on as it was begun, also when the endpoint of its devices was noted with the issuer since.

use super::Wanted;
use crate::ledger::{Ledger, LedgerError};
use crate::profile::Profile;

/// The profile as the batch was begun with it, when that was before its host was noted; `None` when it is as it is.
pub(super) fn before_note<'a>(
    wanted: &Wanted<'a>,
    ledger: &dyn Ledger,
    name: &str,
    manifest_sha256: &[u8; 32],
) -> Result<Option<&'a Profile>, LedgerError> {
    let Some(before) = wanted.profile.before_note() else {
        return Ok(None);
    };
    let Some(batch) = ledger.find_batch(name)? else {
        return Ok(None);
    };
    let is_that = batch.manifest_sha256 == *manifest_sha256
        && batch.issuer_certificate == wanted.issuer.der()
        && batch.profile == before.name()
        && batch.profile_sha256 == before.digest();
    // One of which nothing is committed does not count, and begins anew.
    let is_begun = is_that && !ledger.committed(&batch)?.is_empty();
    Ok(is_begun.then_some(before))
}
