//! What is damaged: one object that cannot be used does not keep anybody from all the others.

use std::collections::BTreeSet;

use serde::Serialize;

use super::StationError;
use crate::causes::in_one_line;
use crate::store::StoreError;

/// An object of the batch that cannot be used, and why.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Damaged {
    /// Relative to the batch.
    pub object: String,
    pub reason: String,
}

impl Damaged {
    pub(super) fn by(object: &str, error: &StationError) -> Self {
        Self {
            object: object.to_owned(),
            reason: in_one_line(error),
        }
    }

    /// What was asked of many objects and could not be done with these, as an error; `None` when it was done with all.
    #[must_use]
    pub fn error(all: &BTreeSet<Self>) -> Option<StationError> {
        let first = all.first()?;
        Some(StationError::Damaged {
            objects: all.len(),
            first: first.reason.clone(),
        })
    }
}

/// What became of one object of many. One that is damaged is noted, and there is nothing of it; an error is what
/// concerns the others too.
pub(super) fn set_aside<T>(
    object: &str,
    result: Result<T, StationError>,
    damaged: &mut BTreeSet<Damaged>,
) -> Result<Option<T>, StationError> {
    match result {
        Err(error) if error.is_of_one_object() => {
            damaged.insert(Damaged::by(object, &error));
            Ok(None)
        }
        other => other.map(Some),
    }
}

/// What became of a listing. A folder that was left out is noted; an error is what concerns the whole.
pub(super) fn set_left_out_aside(
    folder: &str,
    listed: Result<(), StoreError>,
    damaged: &mut BTreeSet<Damaged>,
) -> Result<(), StationError> {
    match listed {
        Err(error @ StoreError::Unlisted { .. }) => {
            damaged.insert(Damaged::by(folder, &error.into()));
            Ok(())
        }
        other => Ok(other?),
    }
}
