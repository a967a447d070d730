//! A released chunk: its index, held against its certificates and what the issuer has signed of it.

use super::certificate::Standard;
use super::{Fault, RebuildError};
use crate::batch::{self, BatchRecord, ChunkCertificates, IndexEntry, certificates_object, index_object};
use crate::causes::in_one_line;
use crate::certificate::SerialPrefix;
use crate::store::{Store, StoreError};
use crate::vouched::{Stated, VouchedError};

/// Rows that are named one by one in a chunk, at most.
const NAMED: usize = 10;

/// A chunk whose rows are all proven.
pub(super) struct Proven {
    pub chunk: u64,
    pub prefix: SerialPrefix,
    pub entries: Vec<IndexEntry>,
}

/// A batch as its chunks are judged by.
pub(super) struct Reading<'a> {
    pub store: &'a Store,
    pub stated: &'a Stated<'a>,
    pub record: &'a BatchRecord,
    pub standard: &'a Standard<'a>,
}

impl Reading<'_> {
    /// What is proven of a chunk, or what is wrong with it.
    ///
    /// # Errors
    ///
    /// When the store fails for a reason that is not the chunk's own.
    pub(super) fn judge(&self, chunk: u64) -> Result<Result<Proven, Vec<Fault>>, RebuildError> {
        let wrong = |object: String, what: String| Ok(Err(vec![self.fault(object, what)]));
        let index = match self.read(&index_object(chunk))? {
            Ok(octets) => octets,
            Err(what) => return wrong(index_object(chunk), what),
        };
        let is_stated = match self.stated.has_signed(chunk, &index) {
            Ok(is_stated) => is_stated,
            Err(VouchedError::Store(error)) if !error.is_of_one_object() => return Err(error.into()),
            Err(error) => return wrong(index_object(chunk), in_one_line(&error)),
        };
        let (shape, layout) = (self.record.shape(), self.record.layout);
        let entries = match batch::read_index(&index, chunk, shape, layout) {
            Ok(entries) => entries,
            Err(error) => {
                return wrong(
                    index_object(chunk),
                    format!("is no index of this chunk: {}", in_one_line(&error)),
                );
            }
        };
        let object = certificates_object(chunk);
        let certificates = match self.read(&object)? {
            Ok(octets) => ChunkCertificates::read(&octets),
            Err(what) => return wrong(object, what),
        };
        let found = certificates.found();
        if found.len() != entries.len() {
            let what = format!(
                "certificates in it: {}, rows in the index: {}",
                found.len(),
                entries.len()
            );
            return wrong(object, what);
        }
        let faults = self.rows(
            &index_object(chunk),
            &entries,
            &self.standard.hold(found, &entries, is_stated),
        );
        if !faults.is_empty() {
            return Ok(Err(faults));
        }
        match prefix(&entries) {
            Some(prefix) => Ok(Ok(Proven {
                chunk,
                prefix,
                entries,
            })),
            None => wrong(
                object,
                "its certificates are not those of one attempt at a chunk".to_owned(),
            ),
        }
    }

    /// The octets of an object, or why there are none.
    fn read(&self, name: &str) -> Result<Result<Vec<u8>, String>, RebuildError> {
        match self.store.read(name, None) {
            // They are public.
            Ok(mut octets) => Ok(Ok(std::mem::take(&mut *octets))),
            Err(StoreError::NotFound { .. }) => Ok(Err("it is missing".to_owned())),
            Err(error) if error.is_of_one_object() => Ok(Err(in_one_line(&error))),
            Err(error) => Err(error.into()),
        }
    }

    /// What is wrong with rows: the first of them by name, and how many more.
    fn rows(&self, object: &str, entries: &[IndexEntry], found: &[Option<String>]) -> Vec<Fault> {
        let wrong = entries.iter().zip(found);
        let wrong: Vec<_> = wrong
            .filter_map(|(entry, what)| Some((entry, what.as_ref()?)))
            .collect();
        let named = wrong.iter().take(NAMED).map(|(entry, what)| Fault {
            device_id: Some(entry.device_id.to_string()),
            ..self.fault(object.to_owned(), (*what).clone())
        });
        let mut faults: Vec<Fault> = named.collect();
        if let Some(more @ 1..) = wrong.len().checked_sub(NAMED) {
            faults.push(self.fault(
                object.to_owned(),
                format!("rows of it that are wrong as well: {more}"),
            ));
        }
        faults
    }

    fn fault(&self, object: String, what: String) -> Fault {
        Fault {
            batch: self.record.batch.clone(),
            object,
            device_id: None,
            what,
        }
    }
}

/// The prefix that all serials of a chunk have.
fn prefix(entries: &[IndexEntry]) -> Option<SerialPrefix> {
    let mut prefixes = entries.iter().map(|entry| entry.certificate_serial.prefix());
    let first = prefixes.next()?;
    match prefixes.all(|prefix| prefix == first) {
        true => SerialPrefix::from_octets(first),
        false => None,
    }
}
