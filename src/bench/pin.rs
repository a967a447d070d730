//! One processor: a thread, and every thread that it starts from then on, held to it.

/// Holds this thread to the last processor of those that it may use: the first ones serve interrupts. Where the
/// system does not do that, as [`is_possible`] tells, it is free.
pub(super) fn to_one_processor() {
    let _ = pin();
}

/// Whether threads can be held to a processor here.
pub(super) fn is_possible() -> bool {
    std::thread::spawn(pin)
        .join()
        .is_ok_and(|pinned| pinned.is_some())
}

#[cfg(target_os = "linux")]
fn pin() -> Option<()> {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let allowed = sched_getaffinity(None).ok()?;
    let mut one = CpuSet::new();
    one.set((0..CpuSet::MAX_CPU).rev().find(|cpu| allowed.is_set(*cpu))?);
    sched_setaffinity(None, &one).ok()
}

#[cfg(not(target_os = "linux"))]
fn pin() -> Option<()> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::thread::sched_getaffinity;

    use super::*;

    #[test]
    fn threads_that_it_starts_are_held_to_the_same_processor() {
        let count = || sched_getaffinity(None).unwrap().count();
        let before = sched_getaffinity(None).unwrap();
        assert!(is_possible());
        let pinned = std::thread::spawn(move || {
            to_one_processor();
            (count(), std::thread::spawn(count).join().unwrap())
        });
        assert_eq!(pinned.join().unwrap(), (1, 1));
        assert_eq!(sched_getaffinity(None).unwrap(), before, "this thread is free");
    }
}
