//! Words of one lane that are checked, and what trial division makes of them.

use crate::engine::word::checked::limb;
pub use crate::engine::word::checked::*;

pub fn dots<const N: usize>(constants: &[u64; N], numbers: &[[Word; N]; 4]) -> [[Word; 2]; 4] {
    numbers.map(|number| {
        let mut sum = [0; 2];
        for i in 0..N {
            sum[0] = low(sum[0], limb(number[i]), limb(constants[i]));
            sum[1] = high(sum[1], number[i], constants[i]);
        }
        sum
    })
}
