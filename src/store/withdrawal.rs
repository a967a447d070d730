//! The withdrawal of a batch, in its store: put there once, and looked for before anything comes of the batch.

use super::{Store, StoreError};
use crate::batch::{WITHDRAWN_OBJECT, WithdrawnRecord};

/// Withdraws the batch in a store. One that was withdrawn before stays as it is.
///
/// # Errors
///
/// When the record may or may not be in place.
pub fn put_withdrawn(store: &Store, record: &WithdrawnRecord) -> Result<(), StoreError> {
    store.create(WITHDRAWN_OBJECT, &record.to_json()).map(drop)
}

/// Whether the batch in a store is withdrawn, and why. One whose record cannot be read is withdrawn.
///
/// # Errors
///
/// When nobody can tell.
pub fn read_withdrawn(store: &Store) -> Result<Option<WithdrawnRecord>, StoreError> {
    match store.read(WITHDRAWN_OBJECT, None) {
        Ok(octets) => Ok(Some(WithdrawnRecord::read(&octets))),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error @ StoreError::TooLarge { .. }) => Ok(Some(WithdrawnRecord::unreadable(&error.to_string()))),
        // To one who may list some folders only, S3 says so even of an object that is not there.
        // https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
        Err(error @ StoreError::Refused { status: 403, .. }) => {
            let mut is_there = false;
            let listed = store.list(WITHDRAWN_OBJECT, &mut |listed| {
                is_there |= listed.name == WITHDRAWN_OBJECT;
            });
            match (listed, is_there) {
                (Ok(()), false) => Ok(None),
                (_, true) => Ok(Some(WithdrawnRecord::unreadable(&error.to_string()))),
                (Err(_), false) => Err(error),
            }
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::{Fault, Memory};

    fn record(reason: &str) -> WithdrawnRecord {
        WithdrawnRecord {
            batch: "b".to_owned(),
            withdrawn_at: "2026-11-24T12:00:00Z".to_owned(),
            reason: reason.to_owned(),
        }
    }

    /// What one who may list what the names begin with, and read nothing, learns of a batch.
    fn ask(names: Option<&[&str]>) -> Result<Option<WithdrawnRecord>, StoreError> {
        let memory = Memory::default();
        for name in names.unwrap_or_default() {
            memory.store().create(name, b"{").unwrap();
        }
        let may_list = names.is_some();
        memory.fail(move |call| {
            let refused = StoreError::Refused {
                operation: call.operation,
                object: "s3://factory/b/withdrawn.json".to_owned(),
                status: 403,
                code: "AccessDenied".to_owned(),
                message: String::new(),
                hint: None,
            };
            (call.operation != "list" || !may_list).then_some(Fault::Error(refused))
        });
        read_withdrawn(&memory.store())
    }

    #[test]
    fn what_may_not_be_read_is_looked_for_in_a_listing() {
        assert_eq!(ask(Some(&["claims/x"])).unwrap(), None);
        assert_eq!(ask(Some(&["withdrawn.json.old"])).unwrap(), None);
        let found = ask(Some(&["withdrawn.json"])).unwrap().expect("it is there");
        assert!(found.reason.contains("403 AccessDenied"), "{found}");
        assert!(matches!(ask(None), Err(StoreError::Refused { status: 403, .. })));
    }

    #[test]
    fn a_batch_is_withdrawn_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::in_folder(folder.path().join("b"));
        assert_eq!(read_withdrawn(&store).unwrap(), None);
        put_withdrawn(&store, &record("stolen")).unwrap();
        put_withdrawn(&store, &record("stolen")).unwrap();
        put_withdrawn(&store, &record("lost")).unwrap();
        let found = read_withdrawn(&store).unwrap();
        assert_eq!(found, Some(record("stolen")));
        assert_eq!(found.unwrap().to_string(), "2026-11-24T12:00:00Z: stolen");
    }

    #[test]
    fn whatever_is_there_withdraws_the_batch() {
        let cases = [
            (
                "",
                "withdrawn.json is there and cannot be read: EOF while parsing",
            ),
            (
                "{\"batch\": \"b\"}",
                "withdrawn.json is there and cannot be read: missing field",
            ),
            (
                "{\"batch\": \"b\", \"withdrawn_at\": \"today\", \"reason\": \"stolen\"}",
                "stolen",
            ),
            (
                "{\"batch\": \"b\", \"withdrawn_at\": \"\", \"reason\": \"\", \"until\": 1}",
                "withdrawn.json is there and cannot be read: unknown field",
            ),
            (
                "{\"batch\": \"b\", \"withdrawn_at\": \"2026-11-24T13:00:00+01:00\", \"reason\": \"a\\u001bb\"}",
                "2026-11-24T12:00:00Z: a\u{fffd}b",
            ),
        ];
        for (text, told) in cases {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::in_folder(folder.path().join("b"));
            let object = (WITHDRAWN_OBJECT.to_owned(), text.as_bytes().to_vec());
            assert!(store.publish(&[object])[0].is_ok());
            let found = read_withdrawn(&store).unwrap().expect("it is withdrawn");
            assert!(found.to_string().starts_with(told), "{text}: {found}");
        }
    }
}
