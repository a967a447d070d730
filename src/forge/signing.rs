//! How the stage of signing is shared by all workers of a run: blocks of so many rows, and so many requests in flight.

use std::num::NonZeroUsize;
use std::sync::{Condvar, Mutex, PoisonError};

use crate::signer::{Manner, Remote};

/// Rows whose credentials are made together where the signer is at hand: few enough that all of it stays near the
/// processor, and whole groups for every engine.
pub(super) const BLOCK: usize = 256;

/// The stage, which all workers of a run share.
pub(super) enum Signing {
    Local,
    Remote { group: NonZeroUsize, permits: Permits },
}

impl Signing {
    pub(super) fn new(manner: Manner) -> Self {
        match manner {
            Manner::Local => Self::Local,
            Manner::Remote(Remote { in_flight, group, .. }) => Self::Remote {
                group,
                permits: Permits::new(in_flight),
            },
        }
    }

    /// Rows of a block.
    pub(super) fn block(&self) -> usize {
        match self {
            Self::Local => BLOCK,
            Self::Remote { group, .. } => group.get(),
        }
    }
}

/// For so many at a time, and no more.
pub(super) struct Permits {
    free: Mutex<usize>,
    freed: Condvar,
}

impl Permits {
    fn new(count: NonZeroUsize) -> Self {
        Self {
            free: Mutex::new(count.get()),
            freed: Condvar::new(),
        }
    }

    /// Waits for a permit, and gives it back when the work is done.
    pub(super) fn with<T>(&self, work: impl FnOnce() -> T) -> T {
        struct Permit<'a>(&'a Permits);
        impl Drop for Permit<'_> {
            fn drop(&mut self) {
                *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
                self.0.freed.notify_one();
            }
        }
        let free = self.free.lock().expect("no holder panics");
        let mut free = self
            .freed
            .wait_while(free, |free| *free == 0)
            .expect("no holder panics");
        *free -= 1;
        drop(free);
        let _permit = Permit(self);
        work()
    }
}
