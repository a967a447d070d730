//! Large files past the page cache: what is written there is copied once and lies in memory twice until it is
//! written out, which takes more of the processor than to make it does. Nothing reads it again so soon.
//!
//! Durable it is as any other file is: once it is synced.

use std::fs::File;
use std::io::{self, Write};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use crate::store::transport::ALIGNMENT;

/// From so many octets on it is worth the calls.
const LARGE: usize = 256 << 10;

/// Writes a new file as a whole.
pub(super) fn write(file: &mut File, body: &[u8]) -> io::Result<()> {
    let rest = match body.len() >= LARGE && body.as_ptr().addr().is_multiple_of(ALIGNMENT) {
        true => write_past_cache(file, body)?,
        false => body,
    };
    file.write_all(rest)
}

/// Writes what is whole blocks, and returns what is left to be written in the common way: the end, or all of it where
/// the file system knows no other.
fn write_past_cache<'a>(file: &mut File, body: &'a [u8]) -> io::Result<&'a [u8]> {
    let flags = fcntl_getfl(&*file)?;
    if fcntl_setfl(&*file, flags | OFlags::DIRECT).is_err() {
        return Ok(body);
    }
    let (blocks, _) = body.split_at(body.len() - body.len() % ALIGNMENT);
    let written = write_blocks(file, blocks);
    fcntl_setfl(&*file, flags)?;
    Ok(&body[written?..])
}

/// Returns how many octets it wrote.
fn write_blocks(file: &mut File, blocks: &[u8]) -> io::Result<usize> {
    let mut written = 0;
    while written < blocks.len() && written.is_multiple_of(ALIGNMENT) {
        match file.write(&blocks[written..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(more) => written += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Its blocks are larger, or it takes them from elsewhere.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => break,
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Octets that begin at a block's address, or one octet behind it.
    fn aligned(len: usize, behind: usize) -> (Vec<u8>, usize) {
        let mut octets: Vec<u8> = Vec::with_capacity(len + 2 * ALIGNMENT);
        let start = octets.as_ptr().align_offset(ALIGNMENT) + behind;
        octets.resize(start, 0);
        octets.extend((0..len).map(|i| u8::try_from(i / 7 % 251).unwrap()));
        (octets, start)
    }

    /// On a disk and in memory, which may know no way past the cache: the octets are there.
    #[test]
    fn a_file_of_any_length_is_written_whole() {
        let places = [
            Some(tempfile::tempdir().unwrap()),
            tempfile::tempdir_in("/dev/shm").ok(),
        ];
        let lengths = [
            0,
            1,
            LARGE - 1,
            LARGE,
            LARGE + 1,
            LARGE + ALIGNMENT,
            3 * LARGE + 4095,
        ];
        for place in places.iter().flatten() {
            for (len, behind) in lengths.iter().flat_map(|len| [(*len, 0), (*len, 1)]) {
                let (octets, start) = aligned(len, behind);
                let path = place.path().join(format!("{len}-{behind}"));
                let mut file = File::create_new(&path).unwrap();
                write(&mut file, &octets[start..]).unwrap();
                assert_eq!(fs::read(&path).unwrap(), octets[start..], "{len} {behind}");
                assert!(!fcntl_getfl(&file).unwrap().contains(OFlags::DIRECT));
            }
        }
    }
}
