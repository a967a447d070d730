//! One processor: work, and every thread that it starts, held to it.

/// Does work on one processor, in a thread of its own; threads started by it are held to the same one. `None` where
/// threads cannot be held to a processor: it is not done then.
#[cfg(target_os = "linux")]
pub(super) fn on_one_processor<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    std::thread::scope(|scope| {
        let pinned = scope.spawn(|| {
            pin().ok()?;
            Some(work())
        });
        pinned
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[cfg(not(target_os = "linux"))]
pub(super) fn on_one_processor<T: Send>(_: impl FnOnce() -> T + Send) -> Option<T> {
    None
}

/// Holds this thread to the last processor of those that it may use: the first ones serve interrupts.
#[cfg(target_os = "linux")]
fn pin() -> rustix::io::Result<()> {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let allowed = sched_getaffinity(None)?;
    let mut one = CpuSet::new();
    if let Some(last) = (0..CpuSet::MAX_CPU).rev().find(|cpu| allowed.is_set(*cpu)) {
        one.set(last);
    }
    sched_setaffinity(None, &one)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::thread::sched_getaffinity;

    use super::*;

    #[test]
    fn threads_that_it_starts_are_held_to_the_same_processor() {
        let before = sched_getaffinity(None).unwrap();
        let counts = on_one_processor(|| {
            let own = sched_getaffinity(None).unwrap().count();
            let started = std::thread::spawn(|| sched_getaffinity(None).unwrap().count());
            (own, started.join().unwrap())
        });
        assert_eq!(counts, Some((1, 1)));
        assert_eq!(sched_getaffinity(None).unwrap(), before, "this thread is free");
    }
}
