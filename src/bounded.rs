//! Files that people name and that are read whole: none is larger than a bound, so that a device file, a pipe without end or
//! the wrong file ends in a message and not in all memory.

use std::fs::File;
use std::io::{self, Read};
use std::mem;
use std::path::Path;

use zeroize::Zeroizing;

/// So many octets of such a file are read at most: 4 MiB. The largest that is of use, a system's bundle of roots, has a tenth.
pub const MOST_OCTETS: usize = 4 << 20;

/// The octets of the file at a path.
///
/// # Errors
///
/// When it cannot be read; [`io::ErrorKind::FileTooLarge`] when it has more than [`MOST_OCTETS`].
pub fn read(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    read_file(File::open(path)?)
}

/// The text of the file at a path.
///
/// # Errors
///
/// As [`read`], and [`io::ErrorKind::InvalidData`] when it is not UTF-8.
pub fn read_text(path: &Path) -> io::Result<String> {
    let mut text = read_file_text(File::open(path)?)?;
    Ok(mem::take(&mut *text))
}

/// The text of a document at a path, as programs of other systems write it too: with a byte order mark, which is left out, and
/// behind one in UTF-16.
///
/// # Errors
///
/// As [`read_text`].
pub fn read_document(path: &Path) -> io::Result<String> {
    document(&read(path)?)
}

/// The text of such a document.
///
/// # Errors
///
/// [`io::ErrorKind::InvalidData`] when it is none.
pub fn document(octets: &[u8]) -> io::Result<String> {
    let wide = |from: fn([u8; 2]) -> u16| {
        let pairs = octets[2..].chunks(2);
        let units: Vec<u16> = pairs
            .map(|pair| from([pair[0], *pair.get(1).unwrap_or(&0)]))
            .collect();
        String::from_utf16(&units).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    };
    match octets {
        [0xFF, 0xFE, ..] => wide(u16::from_le_bytes),
        [0xFE, 0xFF, ..] => wide(u16::from_be_bytes),
        plain => {
            let text = std::str::from_utf8(plain);
            let text = text.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            Ok(text.strip_prefix('\u{feff}').unwrap_or(text).to_owned())
        }
    }
}

/// The octets of an open file, which may be a key's: they are zeroized.
///
/// # Errors
///
/// As [`read`].
pub fn read_file(file: File) -> io::Result<Zeroizing<Vec<u8>>> {
    // Of full size from the start, so that it never moves and leaves a copy behind.
    let size = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    let mut octets = Zeroizing::new(Vec::with_capacity(size.min(MOST_OCTETS) + 1));
    file.take(MOST_OCTETS as u64 + 1).read_to_end(&mut octets)?;
    match octets.len() <= MOST_OCTETS {
        true => Ok(octets),
        false => Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it has more than {} MiB", MOST_OCTETS >> 20),
        )),
    }
}

/// The text of an open file, zeroized likewise.
///
/// # Errors
///
/// As [`read_text`].
pub fn read_file_text(file: File) -> io::Result<Zeroizing<String>> {
    let mut octets = read_file(file)?;
    match String::from_utf8(mem::take(&mut *octets)) {
        Ok(text) => Ok(Zeroizing::new(text)),
        Err(error) => {
            drop(Zeroizing::new(error.into_bytes()));
            Err(io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_has_no_end_is_read_up_to_the_bound() {
        let endless = read(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(endless.kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(endless.to_string(), "it has more than 4 MiB");
        let file = tempfile::NamedTempFile::new().unwrap();
        for (len, is_read) in [(0, true), (MOST_OCTETS, true), (MOST_OCTETS + 1, false)] {
            fs::write(file.path(), vec![b'a'; len]).unwrap();
            assert_eq!(
                read_text(file.path()).ok().map(|text| text.len()),
                is_read.then_some(len)
            );
        }
        fs::write(file.path(), [0xff]).unwrap();
        assert_eq!(
            read_text(file.path()).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
    }

    #[test]
    fn reads_documents_with_a_byte_order_mark() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("document");
        let wide = |from: fn(u16) -> [u8; 2]| {
            "\u{feff}{\"ü\": 1}"
                .encode_utf16()
                .flat_map(from)
                .collect::<Vec<u8>>()
        };
        for octets in [
            "{\"ü\": 1}".as_bytes().to_vec(),
            "\u{feff}{\"ü\": 1}".as_bytes().to_vec(),
            wide(u16::to_le_bytes),
            wide(u16::to_be_bytes),
        ] {
            std::fs::write(&path, &octets).unwrap();
            assert_eq!(read_document(&path).unwrap(), "{\"ü\": 1}", "{octets:?}");
        }
        std::fs::write(&path, b"\xff\xfe\0\xd8").unwrap();
        assert_eq!(
            read_document(&path).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
    }
}
