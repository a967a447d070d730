//! Words of lanes: what an arithmetic in limbs of 52 bits is compiled for.
//!
//! Eight lanes of AVX-512 with IFMA, one lane that any processor has, and in the tests one that shows what is claimed
//! of limbs. All three have the same functions; a source that uses no others is compiled for each.

#[cfg(test)]
pub(super) mod checked;
#[cfg(target_arch = "x86_64")]
#[macro_use]
pub(super) mod eight;
pub(super) mod one;

/// All bits of a limb.
pub(super) const LOW52: u64 = (1 << 52) - 1;
