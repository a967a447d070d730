//! A batch is for the recipients for whom it was begun, and for no others.

use data_encoding::HEXLOWER;

use super::agreement::read_record;
use super::{ForgeError, Wanted};
use crate::bundle::encryption::{Recipient, short_ids};
use crate::ledger::Ledger;
use crate::profile::Profile;
use crate::shell::quoted;
use crate::store::Store;

/// Refuses to go on with a batch for others than those for whom it was begun. What nothing is committed of is not begun, but by
/// a shard, whose ledger knows of no other's.
pub(super) fn refuse_others(
    (ledger, store): (&dyn Ledger, &Store),
    (name, manifest_sha256): (&str, &[u8; 32]),
    wanted: &Wanted<'_>,
) -> Result<(), ForgeError> {
    let begun = ledger.find_batch(name)?;
    let is_begun = match begun {
        Some(batch) => !ledger.committed(&batch)?.is_empty(),
        None => false,
    };
    if !is_begun && wanted.shard.is_none() {
        return Ok(());
    }
    // One that does not read is refused by whoever needs it.
    let Ok(Some(found)) = read_record(store) else {
        return Ok(());
    };
    let Ok(profile) = Profile::from_config(&found.profile) else {
        return Ok(());
    };
    let is_that = found.batch == name && found.manifest_sha256 == HEXLOWER.encode(manifest_sha256);
    match is_that && profile.recipients() != wanted.profile.recipients() {
        false => Ok(()),
        true => Err(ForgeError::OtherRecipients {
            batch: name.to_owned(),
            was: told(profile.recipients()),
            now: told(wanted.profile.recipients()),
            arguments: arguments(profile.recipients()),
        }),
    }
}

fn told(recipients: &[Recipient]) -> String {
    match recipients.is_empty() {
        true => "nobody in particular, not encrypted".to_owned(),
        false => short_ids(recipients),
    }
}

/// What names these on the command line.
fn arguments(recipients: &[Recipient]) -> String {
    let named: Vec<String> = recipients
        .iter()
        .map(|one| format!("--recipient {}", quoted(&one.to_string())))
        .collect();
    match named.is_empty() {
        true => "without --recipient".to_owned(),
        false => format!("with {}", named.join(" ")),
    }
}
