//! The disk by itself: octets written one after the other and synced, as `dd conv=fsync` does.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// Octets of a write.
const PIECE: usize = 1 << 20;

/// Writes so many octets to a new file and makes them durable. Tells how long that took.
pub(super) fn write_plainly(path: &Path, octets: u64) -> io::Result<Duration> {
    // No two lines alike, so that a file system that compresses finds as little as in bundles.
    let mut state = 1_u64;
    let mut piece = vec![0; PIECE];
    for octets in piece.as_chunks_mut::<8>().0 {
        // Xorshift, by Marsaglia.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        *octets = state.to_le_bytes();
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    let started = Instant::now();
    let mut left = octets;
    while left > 0 {
        let some = left.min(PIECE as u64);
        file.write_all(&piece[..usize::try_from(some).expect("a piece at most")])?;
        left -= some;
    }
    file.sync_all()?;
    Ok(started.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_as_many_octets_as_were_asked_for() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("octets");
        let octets = 2 * PIECE as u64 + 3;
        write_plainly(&path, octets).unwrap();
        assert_eq!(path.metadata().unwrap().len(), octets);
        assert!(write_plainly(&path, 1).is_err(), "it is a new file");
    }
}
