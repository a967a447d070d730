//! The files that all devices share, held against the record, the seal, the profile and the issuer.

use data_encoding::HEXLOWER;

use super::inputs::Inputs;
use super::seal::CHANGED;
use super::{Fault, VerifyError};
use crate::batch::SHARED_OBJECT;
use crate::bundle::judge_shared;
use crate::causes::in_one_line;
use crate::digest::sha256;
use crate::store::{Store, StoreError};

/// Finds what is wrong with the shared files of a batch, if it has such.
pub(super) fn check(
    store: &Store,
    inputs: &Inputs,
    is_sealed: bool,
    faults: &mut Vec<Fault>,
) -> Result<(), VerifyError> {
    let Some(wanted) = &inputs.record.shared_sha256 else {
        return Ok(());
    };
    let mut fault = |what: String| faults.push(Fault::of(SHARED_OBJECT, what));
    let octets = match store.read(SHARED_OBJECT, None) {
        Ok(octets) => octets,
        Err(StoreError::NotFound { .. }) => {
            fault("is missing, which has the files that all devices share".to_owned());
            return Ok(());
        }
        Err(error) if error.is_of_one_object() => {
            fault(in_one_line(&error));
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    if HEXLOWER.encode(&sha256(&octets)) != *wanted {
        // The seal was held against the record.
        fault(match is_sealed {
            true => CHANGED.to_owned(),
            false => "is not what batch.json says".to_owned(),
        });
    }
    let shared = inputs.profile.shared(inputs.issuer.der());
    judge_shared(&octets, inputs.profile.recipe(), &shared)
        .into_iter()
        .for_each(fault);
    Ok(())
}
