//! Which words the work is done in: eight lanes, aws-lc's, or one.

use super::number::Number;
use super::small::Group;
use super::{eight, library, one};

/// Kinds of words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Words {
    /// Lanes of AVX-512 with IFMA.
    Eight,
    /// Any processor's: powers are aws-lc's, all else is done on one lane.
    Library,
    /// One lane, which is too slow for powers: what the others are held against.
    #[cfg(test)]
    One,
}

/// Does a job with the words.
macro_rules! run {
    ($words:expr, $job:ident { $($field:ident),* }) => {
        match $words {
            Words::Eight => eight::run(eight::Job::$job { $($field),* }),
            _ => one::run(one::Job::$job { $($field),* }),
        }
    };
}

impl Words {
    /// Numbers that are worked on together.
    pub fn lanes(self) -> usize {
        match self == Self::Eight {
            true => eight::LANES,
            false => one::LANES,
        }
    }

    /// Numbers that are divided together.
    pub fn tile(self) -> usize {
        match self == Self::Eight {
            true => eight::TILE,
            false => one::TILE,
        }
    }

    /// See `Job::Divide`: a tile of them.
    pub fn divide<const N: usize>(self, groups: &[Group], numbers: &[Number<N>], divided: &mut [bool]) {
        run!(
            self,
            Divide {
                groups,
                numbers,
                divided
            }
        );
    }

    /// See `Job::Filter`: as many as there are lanes.
    pub fn filter<const N: usize>(self, numbers: &[Number<N>], bits: usize, passed: &mut [bool]) {
        if self == Self::Library {
            passed[0] = library::filter(&numbers[0], bits);
            return;
        }
        run!(
            self,
            Filter {
                numbers,
                bits,
                passed
            }
        );
    }

    /// See `Job::Round`: as many as there are lanes.
    pub fn round<const N: usize>(
        self,
        numbers: &[Number<N>],
        random: [&[Number<N>]; 2],
        bits: usize,
        passed: &mut [bool],
    ) {
        if self == Self::Library {
            passed[0] = library::round(&numbers[0], random.map(|numbers| &numbers[0]), bits);
            return;
        }
        run!(
            self,
            Round {
                numbers,
                random,
                bits,
                passed
            }
        );
    }

    /// Powers of bases to exponents modulo moduli, however many there are.
    pub fn powers<const N: usize>(self, items: [&[Number<N>]; 3], bits: usize, results: &mut [Number<N>]) {
        if self == Self::Library {
            return library::powers(items, bits, results);
        }
        self.in_lanes(items, results, |items, results| {
            run!(self, Power { items, bits, results });
        });
    }

    /// (a - b) c modulo moduli, which have so many bits: however many there are.
    pub fn differences<const N: usize>(
        self,
        [a, b, c, moduli]: [&[Number<N>]; 4],
        bits: usize,
        results: &mut [Number<N>],
    ) {
        self.in_lanes([a, b, c, moduli], results, |items, results| {
            run!(self, Difference { items, bits, results });
        });
    }

    /// Whether powers of bases to 65537 are results: however many there are. Nothing here is secret.
    pub fn are_powers<const N: usize>(self, items: [&[Number<N>]; 3], passed: &mut [bool]) {
        self.in_lanes(items, passed, |items, passed| match self == Self::Eight {
            true => eight::verify(items, passed),
            false => one::verify(items, passed),
        });
    }

    /// Works off items as many at a time as there are lanes; the last lanes get the first item again and again.
    fn in_lanes<const K: usize, const N: usize, T: Copy>(
        self,
        items: [&[Number<N>]; K],
        results: &mut [T],
        mut work: impl FnMut([&[Number<N>]; K], &mut [T]),
    ) {
        let lanes = self.lanes();
        let mut filled = items.map(|items| zeroize::Zeroizing::new(vec![items[0]; lanes]));
        let mut all = vec![results[0]; lanes];
        for start in (0..results.len()).step_by(lanes) {
            let count = lanes.min(results.len() - start);
            for (filled, items) in filled.iter_mut().zip(items) {
                filled[..count].copy_from_slice(&items[start..start + count]);
            }
            work(filled.each_ref().map(|items| &items[..]), &mut all);
            results[start..start + count].copy_from_slice(&all[..count]);
        }
    }
}
