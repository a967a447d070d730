//! Secrets that leave nothing behind: as zeroize's own wrapper, but an array is overwritten as a whole, which is many
//! times as fast as one element after the other.

use std::ops::{Deref, DerefMut};

/// Octets below on the stack that work with secrets may have used.
const USED: usize = 64 * 1024;

/// Overwrites what work has left below on the stack: what the compiler has put there, such as the key in all lanes.
#[inline(never)]
pub fn clean_the_stack() {
    drop(Wiped::<[u64; 8], { USED / 64 }>::new());
}

pub struct Wiped<T: Copy + Default, const COUNT: usize>([T; COUNT]);

impl<T: Copy + Default, const COUNT: usize> Wiped<T, COUNT> {
    pub fn new() -> Self {
        Self([T::default(); COUNT])
    }
}

impl<T: Copy + Default, const COUNT: usize> Drop for Wiped<T, COUNT> {
    fn drop(&mut self) {
        self.0.fill(T::default());
        // Whoever looks at it afterwards, as far as the compiler knows, sees that.
        zeroize::optimization_barrier(&self.0);
    }
}

impl<T: Copy + Default, const COUNT: usize> Deref for Wiped<T, COUNT> {
    type Target = [T; COUNT];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T: Copy + Default, const COUNT: usize> DerefMut for Wiped<T, COUNT> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}
