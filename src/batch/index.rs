//! The index of a chunk: a CSV with a row for each device, which releases the chunk's bundles.
//!
//! `device_id,certificate_id,certificate_serial,not_after,object,offset,length,sha256`

use data_encoding::HEXLOWER;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Layout, Shape, most_octets, pack_object};
use crate::certificate::CertificateSerial;
use crate::manifest::DeviceId;
use crate::profile::rfc3339;

/// What is recorded of one device's certificate and bundle: public facts only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexEntry {
    pub device_id: DeviceId,
    /// SHA-256 of the certificate's DER: what AWS IoT calls certificateId.
    pub certificate_id: [u8; 32],
    pub certificate_serial: CertificateSerial,
    /// Seconds since 1970.
    pub not_after: i64,
    /// Where the bundle begins in its object.
    pub offset: u64,
    /// Octets of the bundle.
    pub length: u64,
    /// SHA-256 of the bundle.
    pub sha256: [u8; 32],
}

/// Octets that the pack of these entries has at most: its bundles, and its directory.
#[must_use]
pub fn pack_octets<'a>(entries: impl Iterator<Item = &'a IndexEntry>) -> u64 {
    // A header in the directory, before it an id and what the name ends in; and the end of the directory.
    const IN_DIRECTORY: u64 = 46 + 128 + 8;
    const END: u64 = 22;
    let (bundles, directory) = entries.fold((0, END), |(bundles, directory), entry| {
        let end = entry.offset.saturating_add(entry.length);
        (end.max(bundles), directory + IN_DIRECTORY)
    });
    most_octets(&pack_object(0)).min(bundles.saturating_add(directory))
}

/// An entry and the object it points to, as the index states it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexRow {
    pub entry: IndexEntry,
    pub object: String,
}

/// A device of a batch, and the chunk that it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    pub chunk: u64,
    pub entry: IndexEntry,
}

/// Why octets are no index.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    #[error("the header is not that of an index")]
    Header,
    #[error("the index cannot be read")]
    Csv(#[from] csv::Error),
    #[error("row {row}: {field} is malformed")]
    Field { row: usize, field: &'static str },
    #[error("row {row}: the object is not that of the device")]
    Object { row: usize },
    #[error("it has {found} rows, the batch has {wanted} there")]
    Rows { found: u64, wanted: u64 },
    #[error("its lines are not its rows, one by one")]
    Lines,
}

/// The columns of an index, and of a ledger export before `batch`.
pub const COLUMNS: [&str; 8] = [
    "device_id",
    "certificate_id",
    "certificate_serial",
    "not_after",
    "object",
    "offset",
    "length",
    "sha256",
];

/// Writes entries of a chunk as the index has them, each over the one before.
pub struct IndexFields {
    layout: Layout,
    chunk: u64,
    certificate_id: [u8; 64],
    certificate_serial: [u8; 32],
    /// In seconds since 1970, and as text.
    not_after: (i64, String),
    object: String,
    offset: itoa::Buffer,
    length: itoa::Buffer,
    sha256: [u8; 64],
}

impl std::fmt::Debug for IndexFields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IndexFields({}, chunk {})", self.layout, self.chunk)
    }
}

impl IndexFields {
    #[must_use]
    pub fn new(layout: Layout, chunk: u64) -> Self {
        Self {
            layout,
            chunk,
            certificate_id: [0; 64],
            certificate_serial: [0; 32],
            not_after: (0, rfc3339(OffsetDateTime::UNIX_EPOCH)),
            object: pack_object(chunk),
            offset: itoa::Buffer::new(),
            length: itoa::Buffer::new(),
            sha256: [0; 64],
        }
    }

    /// The fields of one entry, in the order of [`COLUMNS`].
    pub fn of<'a>(&'a mut self, entry: &'a IndexEntry) -> [&'a str; 8] {
        if self.not_after.0 != entry.not_after {
            let moment = OffsetDateTime::from_unix_timestamp(entry.not_after);
            self.not_after = (
                entry.not_after,
                rfc3339(moment.unwrap_or(OffsetDateTime::UNIX_EPOCH)),
            );
        }
        // All bundles of a pack are in one object.
        if !self.layout.is_packed() {
            self.object = self.layout.object(self.chunk, &entry.device_id);
        }
        [
            entry.device_id.as_str(),
            HEXLOWER.encode_mut_str(&entry.certificate_id, &mut self.certificate_id),
            HEXLOWER.encode_mut_str(entry.certificate_serial.octets(), &mut self.certificate_serial),
            &self.not_after.1,
            &self.object,
            self.offset.format(entry.offset),
            self.length.format(entry.length),
            HEXLOWER.encode_mut_str(&entry.sha256, &mut self.sha256),
        ]
    }
}

/// The index of a chunk. No field needs quotes: ids, objects and numbers have neither commas nor quotes in them.
#[must_use]
pub fn write_index(layout: Layout, chunk: u64, entries: &[IndexEntry]) -> Vec<u8> {
    let mut index = Vec::with_capacity(128 + entries.len() * 320);
    append_line(COLUMNS, &mut index);
    let mut fields = IndexFields::new(layout, chunk);
    for entry in entries {
        append_line(fields.of(entry), &mut index);
    }
    index
}

fn append_line(fields: [&str; 8], out: &mut Vec<u8>) {
    for field in fields {
        out.extend_from_slice(field.as_bytes());
        out.push(b',');
    }
    if let Some(last) = out.last_mut() {
        *last = b'\n';
    }
}

/// Reads the index of a chunk of a batch, as a forge writes it: with so many rows, a line each, each of a
/// device and of the object that this device has.
///
/// # Errors
///
/// When it is not.
pub fn read_index(
    octets: &[u8],
    chunk: u64,
    shape: Shape,
    layout: Layout,
) -> Result<Vec<IndexEntry>, IndexError> {
    let rows = parse_index(octets)?;
    check_index(&rows, octets, chunk, shape, layout)?;
    Ok(rows.into_iter().map(|row| row.entry).collect())
}

/// Sees that the rows of an index, which were read from these octets, are such as a forge writes.
///
/// # Errors
///
/// When they are not.
pub(crate) fn check_index(
    rows: &[IndexRow],
    octets: &[u8],
    chunk: u64,
    shape: Shape,
    layout: Layout,
) -> Result<(), IndexError> {
    let is_sound = |row: &IndexRow| layout.is_object(&row.object, chunk, &row.entry.device_id);
    if let Some(unsound) = rows.iter().position(|row| !is_sound(row)) {
        return Err(IndexError::Object { row: unsound + 1 });
    }
    let (found, wanted) = (rows.len() as u64, shape.rows_of(chunk));
    if found != index_lines(octets).count() as u64 {
        return Err(IndexError::Lines);
    }
    match found == wanted {
        true => Ok(()),
        false => Err(IndexError::Rows { found, wanted }),
    }
}

/// The lines of an index behind its header.
pub(crate) fn index_lines(index: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    let ends = memchr::memchr_iter(b'\n', index).chain(std::iter::once(index.len()));
    ends.map(move |end| {
        let line = &index[start..end];
        start = end + 1;
        line
    })
    .skip(1)
    .filter(|line| !line.is_empty())
}

/// Reads an index of which nothing is known, for whoever names all that is wrong with it.
///
/// # Errors
///
/// When the octets are not an index.
pub fn parse_index(octets: &[u8]) -> Result<Vec<IndexRow>, IndexError> {
    match parse_written(octets) {
        Some(rows) => Ok(rows),
        None => parse_csv(octets),
    }
}

/// Reads an index that needs no reader of CSV, since nothing in it is quoted. `None` when another is asked what it is.
fn parse_written(octets: &[u8]) -> Option<Vec<IndexRow>> {
    let text = std::str::from_utf8(octets).ok()?;
    let (header, lines) = text.strip_suffix('\n')?.split_once('\n')?;
    if !header.split(',').eq(COLUMNS) || memchr::memchr2(b'"', b'\r', octets).is_some() {
        return None;
    }
    let mut moments = Moments::default();
    let mut row = |line: &str| {
        let mut fields = line.split(',');
        let fields = [(); 8].map(|()| fields.next().unwrap_or_default());
        let commas = fields.iter().map(|field| field.len()).sum::<usize>() + fields.len() - 1;
        // A ninth field, or one that is missing, changes the sum; an empty one is malformed.
        (commas == line.len()).then(|| parse_row(&fields, &mut moments).ok())?
    };
    lines.split('\n').map(&mut row).collect()
}

fn parse_csv(octets: &[u8]) -> Result<Vec<IndexRow>, IndexError> {
    let mut moments = Moments::default();
    let mut reader = csv::Reader::from_reader(octets);
    if reader.headers()?.iter().ne(COLUMNS) {
        return Err(IndexError::Header);
    }
    reader
        .records()
        .enumerate()
        .map(|(row, record)| {
            let record = record?;
            let fields = std::array::from_fn(|i| record.get(i).unwrap_or_default());
            parse_row(&fields, &mut moments).map_err(|field| IndexError::Field { row: row + 1, field })
        })
        .collect()
}

/// Reads moments, of which most are the one before.
#[derive(Default)]
struct Moments {
    text: String,
    seconds: i64,
}

impl Moments {
    /// Seconds since 1970.
    fn read(&mut self, text: &str) -> Option<i64> {
        if self.text != text || text.is_empty() {
            self.seconds = OffsetDateTime::parse(text, &Rfc3339).ok()?.unix_timestamp();
            text.clone_into(&mut self.text);
        }
        Some(self.seconds)
    }
}

fn parse_row(fields: &[&str; 8], moments: &mut Moments) -> Result<IndexRow, &'static str> {
    let field = |i: usize| (COLUMNS[i], fields[i]);
    let entry = IndexEntry {
        device_id: DeviceId::parse(field(0).1).map_err(|_| COLUMNS[0])?,
        certificate_id: hex(field(1))?,
        certificate_serial: hex::<16>(field(2))?.into(),
        not_after: moments.read(field(3).1).ok_or(COLUMNS[3])?,
        offset: field(5).1.parse().map_err(|_| COLUMNS[5])?,
        length: field(6).1.parse().map_err(|_| COLUMNS[6])?,
        sha256: hex(field(7))?,
    };
    Ok(IndexRow {
        entry,
        object: field(4).1.to_owned(),
    })
}

fn hex<const N: usize>((name, text): (&'static str, &str)) -> Result<[u8; N], &'static str> {
    let mut octets = [0; N];
    match text.len() == 2 * N {
        true => HEXLOWER
            .decode_mut(text.as_bytes(), &mut octets)
            .map_err(|_| name)?,
        false => return Err(name),
    };
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry() -> impl Strategy<Value = IndexEntry> {
        let ids = ("[A-Za-z0-9:_-]{1,64}", any::<[u8; 32]>(), any::<[u8; 16]>());
        let rest = (
            0i64..=crate::profile::NO_EXPIRY,
            any::<u64>(),
            any::<u64>(),
            any::<[u8; 32]>(),
        );
        (ids, rest).prop_map(
            |((device_id, certificate_id, serial), (not_after, offset, length, sha256))| IndexEntry {
                device_id: DeviceId::parse(&device_id).unwrap(),
                certificate_id,
                certificate_serial: serial.into(),
                not_after,
                offset,
                length,
                sha256,
            },
        )
    }

    proptest! {
        #[test]
        fn reads_what_it_wrote(entries in prop::collection::vec(entry(), 0..5), chunk in 0u64..2_000_000) {
            for layout in [Layout::Objects, Layout::Packs] {
                let rows = parse_index(&write_index(layout, chunk, &entries)).unwrap();
                for (row, entry) in rows.iter().zip(&entries) {
                    prop_assert_eq!(&row.entry, entry);
                    prop_assert_eq!(&row.object, &layout.object(chunk, &entry.device_id));
                }
                prop_assert_eq!(rows.len(), entries.len());
            }
        }

        #[test]
        fn an_index_that_is_read_quickly_is_read_as_any_csv_is(
            entries in prop::collection::vec(entry(), 1..4),
            at in any::<prop::sample::Index>(),
            octet in prop_oneof![any::<u8>(), Just(b'\n'), Just(b','), Just(b'"'), Just(b'\r'), Just(b'0')],
        ) {
            let mut index = write_index(Layout::Packs, 3, &entries);
            let told = |rows: Result<Vec<IndexRow>, IndexError>| rows.map_err(|error| error.to_string());
            prop_assert!(parse_written(&index).is_some());
            let at = at.index(index.len());
            index[at] = octet;
            if let Some(rows) = parse_written(&index) {
                prop_assert_eq!(told(Ok(rows)), told(parse_csv(&index)));
            }
        }

        #[test]
        fn never_panics_on_what_is_no_index(octets in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse_index(&octets);
        }
    }
}
