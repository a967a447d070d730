//! What a column may hold: more than its type says, since anybody may write to a file.

use rusqlite::Row;
use rusqlite::types::Type;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::batch::Layout;
use crate::certificate::SerialPrefix;
use crate::issuer::RevocationCode;
use crate::ledger::Deed;
use crate::ledger::error::Malformed;
use crate::manifest::DeviceId;

pub(super) fn malformed(column: usize, what: &'static str, found: String) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(Malformed { what, found }))
}

pub(super) fn layout(row: &Row<'_>, column: usize) -> rusqlite::Result<Layout> {
    let text: String = row.get(column)?;
    text.parse().map_err(|_| malformed(column, "layout", text))
}

/// A number of things of which there is at least one.
pub(super) fn count(row: &Row<'_>, column: usize, what: &'static str) -> rusqlite::Result<u64> {
    match row.get(column)? {
        number if (1..=i64::MAX).contains(&number) => Ok(number.unsigned_abs()),
        number => Err(malformed(column, what, number.to_string())),
    }
}

pub(super) fn prefix(row: &Row<'_>, column: usize) -> rusqlite::Result<SerialPrefix> {
    let octets: [u8; 8] = row.get(column)?;
    let found = || format!("{octets:02x?}");
    SerialPrefix::from_octets(octets).ok_or_else(|| malformed(column, "prefix of serials", found()))
}

pub(super) fn code(row: &Row<'_>, column: usize) -> rusqlite::Result<RevocationCode> {
    let number: i64 = row.get(column)?;
    RevocationCode::of(number).ok_or_else(|| malformed(column, "reason of a revocation", number.to_string()))
}

pub(super) fn deed(row: &Row<'_>, column: usize) -> rusqlite::Result<Deed> {
    let text: String = row.get(column)?;
    text.parse()
        .map_err(|()| malformed(column, "act of the history", text))
}

pub(super) fn moment(row: &Row<'_>, column: usize) -> rusqlite::Result<OffsetDateTime> {
    let text: String = row.get(column)?;
    OffsetDateTime::parse(&text, &Rfc3339).map_err(|_| malformed(column, "time", text))
}

/// A device id becomes part of an object's name, so it is held to its alphabet.
pub(super) fn device_id(row: &Row<'_>, column: usize) -> rusqlite::Result<DeviceId> {
    let text: String = row.get(column)?;
    DeviceId::parse(&text).map_err(|_| malformed(column, "device id", text))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rusqlite::Connection;

    use crate::batch::IndexEntry;
    use crate::certificate::SerialPrefix;
    use crate::issuer::{CaRequest, create};
    use crate::ledger::{BatchIdentity, Committed, Ledger, LedgerError, SqliteLedger};
    use crate::profile::{Attribute, KeyType, NotAfter};
    use time::OffsetDateTime;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    /// A ledger with a batch of one device, which is committed.
    fn make(path: &Path) {
        let request = CaRequest {
            subject: vec![(Attribute::CommonName, "factory".to_owned())],
            key_type: KeyType::P256,
            not_after: NotAfter::Days(30),
            path_len: None,
        };
        let issuer = create(&request, None, OffsetDateTime::now_utc()).unwrap();
        let identity = BatchIdentity {
            name: "b",
            location: "/out",
            issuer: issuer.certificate(),
            manifest: "devices.csv",
            manifest_sha256: [1; 32],
            profile: "aws-iot-p256",
            profile_sha256: [2; 32],
            layout: crate::batch::Layout::Packs,
            rows: 1,
            chunk_rows: 4,
            reissue: false,
        };
        let mut ledger = SqliteLedger::open(path, [7; 16]).unwrap();
        let batch = ledger.begin_batch(&identity, NOW).unwrap();
        let prefix = SerialPrefix::from_octets([1; 8]).unwrap();
        let reservation = ledger.reserve(&batch, &[(0, prefix)], NOW).unwrap()[0];
        let entry = IndexEntry {
            device_id: "SN1".parse().unwrap(),
            certificate_id: [3; 32],
            certificate_serial: prefix.serial([4; 8]),
            not_after: 4_000_000_000,
            offset: 0,
            length: 9,
            sha256: [5; 32],
        };
        let entries = vec![entry];
        ledger
            .commit(&batch, &[Committed { reservation, entries }], &[])
            .unwrap();
    }

    /// Reads all that there is of the batch.
    fn read(path: &Path) -> Result<(), LedgerError> {
        let ledger = SqliteLedger::open_read_only(path)?;
        let batch = ledger.batch("b")?;
        ledger.status(None)?;
        ledger.attempts(&batch)?;
        ledger.prefixes()?;
        ledger.committed(&batch)?;
        ledger.entries(&batch, 0)?;
        ledger.withdrawal(&batch)?;
        Ok(())
    }

    #[test]
    fn what_no_certforge_writes_is_refused_and_nothing_is_made_up_for_it() {
        for (change, source) in [
            ("UPDATE batch SET layout = 'tar'", "\"tar\" is no layout"),
            ("UPDATE batch SET rows = 0", "\"0\" is no number of rows"),
            (
                "UPDATE batch SET chunk_rows = -4",
                "\"-4\" is no number of rows of a chunk",
            ),
            ("UPDATE batch SET manifest_sha256 = x'01'", "byte blob"),
            (
                "UPDATE reservation SET serial_prefix = zeroblob(8)",
                "is no prefix of serials",
            ),
            ("UPDATE reservation SET chunk = -1", "out of range"),
            (
                "UPDATE device SET device_id = '../../etc'",
                "\"../../etc\" is no device id",
            ),
            ("UPDATE device SET length = -1", "out of range"),
            ("UPDATE device SET certificate_id = x'01'", "byte blob"),
            (
                "INSERT INTO withdrawal VALUES (1, 'yesterday', 'stolen')",
                "\"yesterday\" is no time",
            ),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("certforge.db");
            make(&path);
            read(&path).unwrap();
            let connection = Connection::open(&path).unwrap();
            connection
                .pragma_update(None, "ignore_check_constraints", true)
                .unwrap();
            connection.execute_batch(change).unwrap();
            let error = read(&path).unwrap_err();
            let told = std::error::Error::source(&error).unwrap().to_string();
            assert!(
                matches!(error, LedgerError::Corrupt { .. }),
                "{change}: {error:?}"
            );
            assert!(told.contains(source), "{change}: {told}");
            assert!(error.hint().is_some());
        }
    }

    #[test]
    fn a_new_ledger_takes_no_layout_that_there_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("certforge.db");
        make(&path);
        let connection = Connection::open(&path).unwrap();
        for change in [
            "UPDATE batch SET layout = 'tar'",
            "UPDATE batch SET chunk_rows = 0",
            "UPDATE committed SET released = 2",
            "UPDATE reservation SET serial_prefix = x'01'",
        ] {
            let error = connection.execute_batch(change).unwrap_err();
            assert!(
                error.to_string().contains("CHECK constraint failed"),
                "{change}: {error}"
            );
        }
    }
}
