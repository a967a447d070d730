//! Withdrawals, as stations heed them: a batch that must never come up gives out no device.
//!
//! That it is withdrawn is remembered for good; that it is not, for a minute.

use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::cache::Cache;
use super::{Station, StationError};
use crate::batch::{WITHDRAWN_OBJECT, WithdrawnRecord};
use crate::profile::rfc3339;
use crate::store::{Store, StoreError, read_withdrawn};

/// How long a store's answer that a batch is not withdrawn holds: a withdrawal reaches every station
/// within a minute.
const NOT_WITHDRAWN_HOLDS: Duration = Duration::MINUTE;

/// In the cache: when the store was last asked and said no.
const NOT_WITHDRAWN: &str = "not-withdrawn";

impl Station {
    /// Sees that the batch is not withdrawn, before a device of it is claimed.
    pub(super) fn refuse_withdrawn(&self) -> Result<(), StationError> {
        match find(&self.store, &self.cache, self.now())? {
            None => Ok(()),
            Some(record) => Err(StationError::Withdrawn {
                batch: self.batch.name().to_owned(),
                at: record.withdrawn_at,
                reason: record.reason,
            }),
        }
    }
}

/// Whether a batch is withdrawn, as far as the cache knows or else the store.
fn find(store: &Store, cache: &Cache, now: OffsetDateTime) -> Result<Option<WithdrawnRecord>, StoreError> {
    if let Some(octets) = cache.recall(WITHDRAWN_OBJECT) {
        return Ok(Some(WithdrawnRecord::read(&octets)));
    }
    if asked_at(cache).is_some_and(|asked_at| holds(asked_at, now)) {
        return Ok(None);
    }
    let found = read_withdrawn(store)?;
    match &found {
        // The time is that of the question: the answer may have been long in coming.
        None => cache.keep(NOT_WITHDRAWN, rfc3339(now).as_bytes()),
        Some(record) => cache.keep(WITHDRAWN_OBJECT, &record.to_json()),
    }
    Ok(found)
}

fn asked_at(cache: &Cache) -> Option<OffsetDateTime> {
    let text = String::from_utf8(cache.recall(NOT_WITHDRAWN)?).ok()?;
    OffsetDateTime::parse(&text, &Rfc3339).ok()
}

/// What was asked in the future was asked before the clock was set back: nobody knows how long ago.
fn holds(asked_at: OffsetDateTime, now: OffsetDateTime) -> bool {
    let age = now - asked_at;
    (Duration::ZERO..=NOT_WITHDRAWN_HOLDS).contains(&age)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::put_withdrawn;

    const NOON: OffsetDateTime = time::macros::datetime!(2026-11-24 12:00 UTC);

    #[test]
    fn that_a_batch_is_not_withdrawn_holds_for_a_minute() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::in_folder(folder.path().join("b"));
        let cache = Cache::new(&folder.path().join("memory"), "b");
        assert_eq!(find(&store, &cache, NOON).unwrap(), None);
        let record = WithdrawnRecord {
            batch: "b".to_owned(),
            withdrawn_at: rfc3339(NOON),
            reason: "stolen".to_owned(),
        };
        put_withdrawn(&store, &record).unwrap();
        let at = |seconds: i64| NOON + Duration::seconds(seconds);
        for (seconds, holds) in [(0, true), (60, true), (61, false), (-1, false)] {
            let cache = Cache::new(&folder.path().join(format!("memory{seconds}")), "b");
            cache.keep(NOT_WITHDRAWN, rfc3339(NOON).as_bytes());
            let found = find(&store, &cache, at(seconds)).unwrap();
            assert_eq!(found, (!holds).then(|| record.clone()), "{seconds}");
        }
        // Another memory, which cannot be read, is none.
        cache.keep(NOT_WITHDRAWN, b"yesterday");
        assert_eq!(find(&store, &cache, NOON).unwrap(), Some(record.clone()));
        // It is remembered for good.
        std::fs::remove_dir_all(folder.path().join("b")).unwrap();
        assert_eq!(find(&store, &cache, at(1_000_000)).unwrap(), Some(record.clone()));
        assert_eq!(find(&store, &cache, at(-1_000_000)).unwrap(), Some(record));
    }
}
