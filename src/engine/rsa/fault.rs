//! A fault on purpose, for tests: one bit flips, once, in one of the powers that prove a key.

use std::cell::Cell;

use super::number::Number;

thread_local! {
    static NEXT: Cell<Option<(usize, usize, u64)>> = const { Cell::new(None) };
}

/// Flips a bit of a limb of the power at a place, of those that are made next on this thread.
pub fn strike_next(place: usize, limb: usize, bit: usize) {
    NEXT.set(Some((place, limb, 1 << bit)));
}

pub fn strike<const N: usize>(powers: &mut [Number<N>]) {
    if let Some((place, limb, bit)) = NEXT.take() {
        powers[place][limb] ^= bit;
    }
}
