//! End to end: `forge::run` of a generated manifest, from the check of its rows to the seal; and beside each run the
//! same octets written one after the other and synced, as `dd conv=fsync` does, if the bundles are kept.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::discard::Discard;
use super::fixture::make;
use super::meter::{Lap, Pace, Task};
use super::step::{MadeBy, Step};
use super::{Bench, BenchError, Event, Fixture, Quantity, Timer, pin};
use crate::batch::Layout;
use crate::forge::{self, ForgeError, Job};
use crate::store::Store;

/// Prepares the tasks of a step; none where a run cannot be held to one processor and should be.
pub(super) fn each(
    bench: Bench<'_>,
    step: &Step,
    made_by: MadeBy,
    layout: Layout,
    timer: Timer<'_>,
) -> Result<(), BenchError> {
    // One thread that works has others beside it that commit, and all of these share its processor.
    if step.threads == 1 && !pin::is_possible() {
        return timer(step, &[]);
    }
    let scratch = &bench.scratch.folder()?;
    let fixture = Fixture::new(
        scratch.path(),
        made_by.key_type,
        bench.settings.rows_of(made_by.key_type),
        made_by.choice(),
    )?;
    let job = &fixture.job(layout, step.threads);
    let octets = &AtomicU64::new(0);
    let mut run = Task::new(Quantity::Devices, Pace::Whole, || {
        Ok(Box::new(|| run(bench, job, scratch.folder()?.path(), octets)))
    });
    run.octets = Some(octets);
    let mut plain = Task::new(Quantity::PlainOctets, Pace::Whole, || {
        Ok(Box::new(|| {
            let place = scratch.folder()?;
            let path = place.path().join("octets");
            write_plainly(&path, octets.load(Ordering::Relaxed))
                .map_err(|source| BenchError::Write { path, source })
        }))
    });
    plain.octets = Some(octets);
    match bench.settings.discard {
        true => timer(step, &[run]),
        false => timer(step, &[run, plain]),
    }
}

/// One run, in a folder that it may fill, and the octets of its batch.
fn run(bench: Bench<'_>, job: &Job<'_>, place: &Path, octets: &AtomicU64) -> Result<Lap, BenchError> {
    let of = bench.settings.rows_of(job.profile.key_type());
    let done = AtomicU64::new(0);
    let observe = |event| {
        if let forge::Event::Released { devices } = event {
            let devices = done.fetch_add(devices, Ordering::Relaxed) + devices;
            (bench.observe)(Event::Made { devices, of });
        }
    };
    let discard = Discard::default();
    let batch = place.join("batch");
    let open = || -> Store {
        match bench.settings.discard {
            true => Store::over(discard.clone()),
            false => Store::in_folder(batch.clone()),
        }
    };
    let summary = make(job, &place.join("ledger.db"), &open, &observe, bench.cancel)?;
    let mut all = discard.octets();
    if !bench.settings.discard {
        open()
            .list("", &mut |listed| all += listed.size)
            .map_err(ForgeError::from)?;
    }
    octets.store(all, Ordering::Relaxed);
    Ok(Lap {
        made: summary.made,
        time: summary.elapsed,
    })
}

/// Writes so many octets to a new file and makes them durable.
fn write_plainly(path: &Path, octets: u64) -> io::Result<Lap> {
    /// Octets of a write.
    const PIECE: usize = 1 << 20;
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
    Lap::of(|| {
        let mut left = octets;
        while left > 0 {
            let some = left.min(PIECE as u64);
            file.write_all(&piece[..usize::try_from(some).expect("a piece at most")])?;
            left -= some;
        }
        file.sync_all()?;
        Ok(octets)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_as_many_octets_as_were_asked_for() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("octets");
        let octets = (2 << 20) + 3;
        assert_eq!(write_plainly(&path, octets).unwrap().made, octets);
        assert_eq!(path.metadata().unwrap().len(), octets);
        assert!(write_plainly(&path, 1).is_err(), "it is a new file");
    }
}
