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
}
