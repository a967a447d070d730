//! The manifest: the CSV file that names the devices of a batch, one row each.
//!
//! It is streamed in [`Block`]s of consecutive rows and never loaded whole. One line is one row: a
//! field that runs over its line is refused, because an unclosed quote would otherwise swallow the
//! rows behind it. Line numbers in messages are therefore exact.

mod block;
mod device_id;
mod oddity;
mod problem;
mod row;
mod source;

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

pub use block::{Block, Blocks, Bookmark, Reread, Unproven};
pub use device_id::DeviceId;
pub use oddity::{Difference, Digits, Oddity};
pub(crate) use oddity::{Oddities, folded};
pub use problem::{Issued, LISTED, Problem, Problems, Reason};
pub use row::Row;
use source::Source;

/// The id column of a manifest when the profile names no other.
pub const DEFAULT_ID_COLUMN: &str = "serial_number";

/// A line may hold this many bytes; a longer one is no manifest row. What of a manifest is in memory at a time is bounded
/// by it.
const MAX_LINE: usize = 64 * 1024;

const UTF8_BOM: &[u8] = b"\xef\xbb\xbf";

/// What can be wrong with a manifest as a file; what is wrong with its rows is a [`Problem`].
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("manifest {path} cannot be opened")]
    Open { path: PathBuf, source: io::Error },
    #[error("manifest {path} cannot be read")]
    Read { path: PathBuf, source: io::Error },
    #[error("manifest {path} is empty")]
    Empty { path: PathBuf },
    #[error("manifest {path} has a header and no rows")]
    NoRows { path: PathBuf },
    #[error("manifest {path}, line 1: the header is blank")]
    BlankHeader { path: PathBuf },
    #[error("manifest {path} ends its lines with carriage returns alone")]
    CarriageReturns { path: PathBuf },
    #[error("manifest {path} is {what}, not a CSV")]
    Workbook { path: PathBuf, what: &'static str },
    #[error("manifest {path} is {what}, not a CSV")]
    OtherFormat { path: PathBuf, what: &'static str },
    #[error("manifest {path} cannot be put aside in {folder}, to be read a second time")]
    PutAside {
        path: PathBuf,
        folder: PathBuf,
        source: io::Error,
    },
    #[error("manifest {path} is too large to be read from a pipe or from gzip")]
    TooLarge { path: PathBuf },
    #[error("manifest {path}, line 1: the header is longer than {MAX_LINE} bytes")]
    HeaderTooLong { path: PathBuf },
    #[error("manifest {path} is UTF-16")]
    Utf16 { path: PathBuf },
    #[error("manifest {path}, line 1: the header is not UTF-8")]
    HeaderNotUtf8 { path: PathBuf },
    #[error("manifest {path}, line 1: the header ends inside a quoted field")]
    HeaderQuote { path: PathBuf },
    #[error("manifest {path}, line 1: column {column:?} appears twice")]
    DuplicateColumn { path: PathBuf, column: String },
    #[error(
        "manifest {path}, line 1: no column {column}, which {used_by} needs; the columns are {}",
        listed(found)
    )]
    MissingColumn {
        path: PathBuf,
        column: String,
        used_by: String,
        found: Vec<String>,
    },
    #[error("manifest {path}, {first}{}", more_bad_lines(*.bad_lines))]
    BadLines {
        path: PathBuf,
        first: Problem,
        bad_lines: u64,
    },
    #[error("manifest {path} changed while it was being read, near line {line}")]
    Changed { path: PathBuf, line: u64 },
}

/// A column that has the name but for case and punctuation.
fn alike<'a>(column: &str, found: &'a [String]) -> Option<&'a String> {
    let plain = |name: &str| -> String {
        name.chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|c| c.to_ascii_lowercase())
            .collect()
    };
    found.iter().find(|name| plain(name) == plain(column))
}

/// Column names, without what would move a terminal's cursor.
fn listed(columns: &[String]) -> String {
    let names: Vec<_> = columns
        .iter()
        .map(|name| name.escape_debug().to_string())
        .collect();
    names.join(", ")
}

fn more_bad_lines(bad: u64) -> String {
    match bad {
        0 | 1 => String::new(),
        2 => " (and 1 more bad line)".to_owned(),
        n => format!(" (and {} more bad lines)", n - 1),
    }
}

impl ManifestError {
    fn changed(path: &Path, line: u64) -> Self {
        Self::Changed {
            path: path.to_owned(),
            line,
        }
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Open { .. } | Self::Read { .. } => {
                "give the path of a CSV file that you can read".to_owned()
            }
            Self::CarriageReturns { .. } => "save it as `CSV UTF-8`, not as `CSV (Macintosh)`".to_owned(),
            Self::Empty { .. } | Self::NoRows { .. } | Self::BlankHeader { .. } | Self::HeaderTooLong { .. } => {
                format!("a manifest has a header line with a column {DEFAULT_ID_COLUMN}, then one row a device")
            }
            Self::Workbook { what, .. } if what.contains("LibreOffice") => {
                "in LibreOffice save it as `Text CSV`, with character set UTF-8".to_owned()
            }
            Self::Utf16 { .. } | Self::HeaderNotUtf8 { .. } | Self::Workbook { .. } => {
                "in Excel choose `CSV UTF-8 (Comma delimited)` when saving".to_owned()
            }
            Self::OtherFormat { what, .. } if what.contains("workbook") => {
                "in Excel choose `CSV UTF-8 (Comma delimited)` when saving".to_owned()
            }
            Self::OtherFormat { .. } => "a manifest is a CSV file, or one that gzip has compressed".to_owned(),
            Self::PutAside { .. } => "make room there, name another folder in TMPDIR, or give the manifest as a file".to_owned(),
            Self::TooLarge { .. } => "give it as a file that is not compressed".to_owned(),
            Self::HeaderQuote { .. } => "close the quote; one line is one row".to_owned(),
            Self::DuplicateColumn { .. } => "rename one of the two columns".to_owned(),
            Self::MissingColumn { column, found, .. } if let Some(other) = alike(column, found) => {
                format!("rename column {} to {column}", other.escape_debug())
            }
            Self::MissingColumn { .. } => {
                "add the column, or name another in the profile ([manifest] id_column, or the template that uses it)"
                    .to_owned()
            }
            Self::BadLines { path, first, .. } => {
                let list = format!("`certforge check {}`, with the same --profile, lists every bad line", path.display());
                match first.reason.hint() {
                    Some(hint) => format!("{hint}; {list}"),
                    None => list,
                }
            }
            Self::Changed { .. } => {
                "run again with a file that nobody writes to; chunks already committed are kept".to_owned()
            }
        })
    }
}

/// The header line: column names in file order.
#[derive(Debug, Clone)]
pub struct Header {
    columns: Vec<String>,
}

impl Header {
    /// A header with these columns, for what needs one without a file.
    #[must_use]
    pub fn new(columns: Vec<String>) -> Self {
        Self { columns }
    }

    /// The position of a column.
    #[must_use]
    pub fn index(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|name| name == column)
    }

    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }
}

/// A manifest whose header has been read.
#[derive(Debug, Clone)]
pub struct Manifest {
    source: Source,
    path: PathBuf,
    header: Header,
    delimiter: u8,
    id_index: usize,
    /// The header line to the octet.
    header_line: Vec<u8>,
}

impl Manifest {
    /// Reads the header line. `id_column` names the column that holds device ids.
    ///
    /// The delimiter is taken from the header: a comma, or the semicolon or tab that spreadsheets
    /// write where the comma is the decimal sign.
    ///
    /// What cannot be read twice, a pipe or what gzip has compressed, is put aside in a scratch file first.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or its header is not that of a manifest.
    pub fn open(path: &Path, id_column: &str) -> Result<Self, ManifestError> {
        let path_buf = path.to_owned();
        let read_error = |source| ManifestError::Read {
            path: path_buf.clone(),
            source,
        };
        let (mut source, mut reader, rest) = Source::open(path)?;
        let beginning = reader.fill_buf().map_err(read_error)?;
        if beginning.starts_with(b"PK\x03\x04") {
            let what = workbook(beginning);
            return Err(ManifestError::Workbook { path: path_buf, what });
        }
        let mut line = Vec::new();
        block::read_line(&mut reader, &mut line).map_err(read_error)?;
        if let Some(what) = other_format(&line) {
            return Err(ManifestError::OtherFormat { path: path_buf, what });
        }
        if line.starts_with(&[0xff, 0xfe]) || line.starts_with(&[0xfe, 0xff]) {
            return Err(ManifestError::Utf16 { path: path_buf });
        }
        if line.is_empty() {
            return Err(ManifestError::Empty { path: path_buf });
        }
        if line.len() >= MAX_LINE && !line.ends_with(b"\n") {
            return Err(ManifestError::HeaderTooLong { path: path_buf });
        }
        // Excel reads, and others write for it, which delimiter the file has: the header follows.
        let first = line.len();
        let named = named_delimiter(text_of(&line));
        if named.is_some() {
            block::read_line(&mut reader, &mut line).map_err(read_error)?;
        }
        let text = match named {
            Some(_) => text_of(&line[first..]),
            None => text_of(&line),
        };
        if text.trim_ascii().is_empty() {
            return Err(ManifestError::BlankHeader { path: path_buf });
        }
        if text.contains(&b'\r') {
            return Err(ManifestError::CarriageReturns { path: path_buf });
        }
        let text = std::str::from_utf8(text).map_err(|_| ManifestError::HeaderNotUtf8 {
            path: path_buf.clone(),
        })?;
        let delimiter = named.unwrap_or_else(|| delimiter(text));
        let columns = columns(text, delimiter).ok_or_else(|| ManifestError::HeaderQuote {
            path: path_buf.clone(),
        })?;
        let header = Header { columns };
        for (i, column) in header.columns.iter().enumerate() {
            if !column.is_empty() && header.index(column) != Some(i) {
                return Err(ManifestError::DuplicateColumn {
                    path: path_buf,
                    column: column.clone(),
                });
            }
        }
        let id_index = header
            .index(id_column)
            .ok_or_else(|| ManifestError::MissingColumn {
                path: path_buf.clone(),
                column: id_column.to_owned(),
                used_by: "every device".to_owned(),
                found: header.columns.clone(),
            })?;
        if let Some(rest) = rest {
            source.complete(rest)?;
        }
        Ok(Self {
            source,
            path: path_buf,
            header,
            delimiter,
            id_index,
            header_line: line,
        })
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file's name without what says its format; of what has no name of its own, `manifest`.
    #[must_use]
    pub fn stem(&self) -> String {
        if self.path.starts_with("/dev") || self.path.starts_with("/proc") {
            return "manifest".to_owned();
        }
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        let stem = Path::new(name).file_stem().unwrap_or_default();
        stem.to_string_lossy().into_owned()
    }

    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The column that holds device ids.
    #[must_use]
    pub fn id_column(&self) -> &str {
        &self.header.columns[self.id_index]
    }

    /// The rows from the first on, `rows` to a block, with the digest of the whole file at the end.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn blocks(&self, rows: usize) -> Result<Blocks<BufReader<File>>, ManifestError> {
        Blocks::new(self.source.reopen()?, self.path.clone(), rows, &self.header_line)
    }

    /// Opens the file for another reading, of blocks that were read before.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn reread(&self) -> Result<Reread, ManifestError> {
        Reread::new(self.source.reopen()?, self.path.clone(), &self.header_line)
    }

    /// The rows of a block, and what is wrong with those that are none.
    #[must_use]
    pub fn parse(&self, block: &Block) -> (Vec<Row>, Vec<Problem>) {
        row::parse(block, &self.header, self.delimiter, self.id_index)
    }

    /// The rows of a block that was read before, and what was wrong with others of it then.
    ///
    /// # Errors
    ///
    /// [`ManifestError::Changed`] when it is not as it was.
    pub fn parse_again(&self, unproven: &Unproven) -> Result<(Vec<Row>, Vec<Problem>), ManifestError> {
        match unproven.is_as_it_was() {
            true => Ok(self.parse(&unproven.block)),
            false => Err(ManifestError::changed(&self.path, unproven.bookmark.line())),
        }
    }

    /// Holds a whole reading against the digest that an earlier one had.
    ///
    /// # Errors
    ///
    /// [`ManifestError::Changed`] when it is another.
    pub fn prove<R: BufRead>(&self, blocks: Blocks<R>, sha256: &[u8; 32]) -> Result<(), ManifestError> {
        match blocks.finish() == *sha256 {
            true => Ok(()),
            false => Err(ManifestError::changed(&self.path, 1)),
        }
    }
}

/// A line without what begins a file and ends a line.
fn text_of(line: &[u8]) -> &[u8] {
    let text = line.strip_prefix(UTF8_BOM).unwrap_or(line);
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.strip_suffix(b"\r").unwrap_or(text)
}

/// What a ZIP is, by the names and the type that it begins with.
fn workbook(beginning: &[u8]) -> &'static str {
    let has = |text: &[u8]| beginning.windows(text.len()).any(|window| window == text);
    match () {
        () if has(b"opendocument.spreadsheet") => "a spreadsheet of LibreOffice",
        () if has(b"[Content_Types].xml") || has(b"xl/") => "an Excel workbook",
        () => "an Excel workbook or another ZIP",
    }
}

/// What a file is that is no CSV, by what it begins with.
fn other_format(line: &[u8]) -> Option<&'static str> {
    let formats: [(&[u8], &str); 7] = [
        (b"\xd0\xcf\x11\xe0", "a workbook of old versions of Excel"),
        (b"BZh", "compressed by bzip2"),
        (b"\xfd7zXZ\0", "compressed by xz"),
        (b"\x28\xb5\x2f\xfd", "compressed by zstd"),
        (b"%PDF-", "a PDF"),
        (b"{\\rtf", "a text of a word processor"),
        (b"SQLite format 3\0", "a database of SQLite"),
    ];
    let found = formats.iter().find(|(magic, _)| line.starts_with(magic));
    found.map(|(_, what)| *what)
}

/// The delimiter that a first line of `sep=;` names.
fn named_delimiter(text: &[u8]) -> Option<u8> {
    match text {
        [
            b's' | b'S',
            b'e' | b'E',
            b'p' | b'P',
            b'=',
            delimiter @ (b',' | b';' | b'\t' | b'|'),
        ] => Some(*delimiter),
        _ => None,
    }
}

/// The first of comma, semicolon and tab that the header has, quoted fields left aside.
fn delimiter(header: &str) -> u8 {
    let mut quoted = false;
    for byte in header.bytes() {
        match byte {
            b'"' => quoted = !quoted,
            b',' | b';' | b'\t' if !quoted => return byte,
            _ => {}
        }
    }
    b','
}

fn columns(header: &str, delimiter: u8) -> Option<Vec<String>> {
    if header.bytes().filter(|byte| *byte == b'"').count() % 2 == 1 {
        return None;
    }
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .delimiter(delimiter)
        .from_reader(header.as_bytes());
    let record = reader.records().next()?.ok()?;
    Some(record.iter().map(|name| name.trim().to_owned()).collect())
}

/// How often each manifest was opened, for tests that count readings, and for those that swap the file between two.
#[cfg(test)]
pub(crate) mod openings {
    use std::collections::BTreeMap;
    use std::path::{Path, PathBuf};
    use std::sync::Mutex;

    static OPENINGS: Mutex<BTreeMap<PathBuf, usize>> = Mutex::new(BTreeMap::new());
    static SWAPS: Mutex<BTreeMap<(PathBuf, usize), String>> = Mutex::new(BTreeMap::new());

    pub(super) fn note(path: &Path) {
        let mut openings = OPENINGS.lock().unwrap();
        let opening = openings.entry(path.to_owned()).or_default();
        *opening += 1;
        if let Some(text) = SWAPS.lock().unwrap().remove(&(path.to_owned(), *opening)) {
            std::fs::write(path, text).unwrap();
        }
    }

    pub(crate) fn of(path: &Path) -> usize {
        OPENINGS.lock().unwrap().get(path).copied().unwrap_or_default()
    }

    /// Writes this text over the file right before it is opened for this time, the first being 1.
    pub(crate) fn swap(path: &Path, opening: usize, text: &str) {
        let key = (path.to_owned(), opening);
        SWAPS.lock().unwrap().insert(key, text.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(bytes: &[u8]) -> (tempfile::TempDir, Result<Manifest, ManifestError>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("devices.csv");
        std::fs::write(&path, bytes).unwrap();
        let manifest = Manifest::open(&path, DEFAULT_ID_COLUMN);
        (folder, manifest)
    }

    #[test]
    fn reads_what_spreadsheets_write() {
        for bytes in [
            &b"serial_number,site\nA1,x\n"[..],
            b"\xef\xbb\xbfserial_number,site\r\nA1,x\r\n",
            b"serial_number;site\r\nA1;x\r\n",
            b"serial_number\tsite\nA1\tx",
            b"\"serial_number\",\"site\"\n\"A1\",\"x\"\n",
            b"\"site; or, place\",serial_number\n\"x, y\",A1\n",
        ] {
            let (_folder, manifest) = manifest(bytes);
            let manifest = manifest.unwrap();
            let block = manifest.blocks(10).unwrap().next_block().unwrap().unwrap();
            let (rows, problems) = manifest.parse(&block);
            assert!(problems.is_empty(), "{problems:?}");
            assert_eq!(rows.len(), 1);
            assert_eq!(rows[0].device_id.as_str(), "A1");
            assert_eq!(rows[0].line, 2);
        }
    }

    #[test]
    fn refuses_what_is_no_manifest() {
        for (bytes, message) in [
            (&b""[..], "is empty"),
            (b"\xff\xfes\0e\0", "is UTF-16"),
            (b"serial_number,n\xe9\n", "not UTF-8"),
            (b"serial_number,\"x\n", "inside a quoted field"),
            (b"serial_number,x,x\nA,1,2\n", "column \"x\" appears twice"),
            (b"serial,x\nA,1\n", "no column serial_number"),
        ] {
            let (_folder, manifest) = manifest(bytes);
            let error = manifest.unwrap_err();
            assert!(error.to_string().contains(message), "{error}");
            assert!(error.hint().is_some());
        }
    }
}
