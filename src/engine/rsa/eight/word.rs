//! Words of eight lanes, and what trial division makes of them.

pub use crate::engine::word::eight::*;

features! {
/// In each of four numbers the sum of the products of its limbs with constants: its columns of low and of high halves.
#[inline]
pub fn dots<const N: usize>(constants: &[u64; N], numbers: &[[Word; N]; 4]) -> [[Word; 2]; 4] {
    let mut sums = [[zero(); 2]; 4];
    for i in 0..N {
        let constant = splat(constants[i]);
        for j in 0..4 {
            sums[j] = [low(sums[j][0], numbers[j][i], constant), high(sums[j][1], numbers[j][i], constant)];
        }
    }
    sums
}
}
