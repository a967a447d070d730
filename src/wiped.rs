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

/// Overwrites secrets.
pub fn wipe<T: Copy + Default>(secrets: &mut [T]) {
    secrets.fill(T::default());
    // Whoever looks at it afterwards, as far as the compiler knows, sees that.
    zeroize::optimization_barrier(secrets);
}

/// An array of secrets.
pub struct Wiped<T: Copy + Default, const COUNT: usize>([T; COUNT]);

impl<T: Copy + Default, const COUNT: usize> Wiped<T, COUNT> {
    pub fn new() -> Self {
        Self([T::default(); COUNT])
    }
}

impl<T: Copy + Default, const COUNT: usize> Drop for Wiped<T, COUNT> {
    fn drop(&mut self) {
        wipe(&mut self.0);
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

/// A vector of secrets. What it grows out of is left behind: make it with room for all.
#[derive(Default)]
pub struct WipedVec<T: Copy + Default>(Vec<T>);

impl<T: Copy + Default> WipedVec<T> {
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    /// Empties it, and overwrites all that it has room for.
    pub fn wipe(&mut self) {
        self.0.clear();
        self.0.resize(self.0.capacity(), T::default());
        zeroize::optimization_barrier(&self.0[..]);
        self.0.clear();
    }

    /// Empties it, and fills it with so many zeros.
    pub fn renew(&mut self, len: usize) {
        self.wipe();
        if self.0.capacity() < len {
            self.0 = Vec::with_capacity(len);
        }
        self.0.resize(len, T::default());
    }
}

impl<T: Copy + Default> Drop for WipedVec<T> {
    fn drop(&mut self) {
        self.wipe();
    }
}

impl<T: Copy + Default> Deref for WipedVec<T> {
    type Target = Vec<T>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T: Copy + Default> DerefMut for WipedVec<T> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_a_vector_has_room_for_is_overwritten() {
        let mut secrets = WipedVec::with_capacity(100);
        secrets.resize(100, 7u8);
        secrets.truncate(3);
        let (start, capacity) = (secrets.as_ptr(), secrets.capacity());
        secrets.wipe();
        assert!(secrets.is_empty());
        secrets.renew(capacity);
        assert_eq!(
            (secrets.as_ptr(), secrets.capacity()),
            (start, capacity),
            "it never moved"
        );
        assert!(secrets.iter().all(|octet| *octet == 0));
    }
}
