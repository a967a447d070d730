//! Numbers modulo an odd number as aws-lc has them, in Montgomery's form: what any processor multiplies fastest.
//!
//! All numbers have as many words as the modulus, and none is cut to what it needs: no branch and no address in aws-lc depends on what they
//! are (`BN_mod_mul_montgomery`, `BN_mod_exp_mont_consttime`). Their memory is overwritten before it is given back, that of
//! numbers here and that of aws-lc itself (`OPENSSL_free`).

#![expect(unsafe_code, reason = "aws-lc is called as C is")]

use std::ptr::{NonNull, null_mut};

use aws_lc_sys::{
    BIGNUM, BN_CTX, BN_CTX_free, BN_CTX_new, BN_MONT_CTX, BN_MONT_CTX_free, BN_MONT_CTX_new_consttime,
    BN_bn2le_padded, BN_clear_free, BN_from_montgomery, BN_le2bn, BN_mod_exp_mont_consttime,
    BN_mod_mul_montgomery, BN_to_montgomery,
};

use super::number::Natural;
use crate::wiped::Wiped;

/// Words of the longest number.
const MOST: usize = 32;

/// What aws-lc is asked for fails only where the numbers are out of range, which they are not, or where memory is at its end, of
/// which this program ends as well.
const CAN: &str = "aws-lc has memory, and numbers are in range";

/// A number of aws-lc's.
pub struct Bignum(NonNull<BIGNUM>);

/// An odd modulus, and what is worked with.
pub struct Field {
    modulus: Bignum,
    form: NonNull<BN_MONT_CTX>,
    context: NonNull<BN_CTX>,
    words: usize,
}

impl Bignum {
    /// A number of these words, the least significant first.
    pub fn new(words: &[u64]) -> Self {
        let octets = in_octets(words);
        // SAFETY: so many octets can be read; without a place, one is made.
        let number = unsafe { BN_le2bn(octets.as_ptr().cast(), 8 * words.len(), null_mut()) };
        Self(NonNull::new(number).expect(CAN))
    }

    /// Becomes a number of these words.
    pub fn set(&mut self, words: &[u64]) {
        let octets = in_octets(words);
        // SAFETY: so many octets can be read; the number is ours alone.
        let number = unsafe { BN_le2bn(octets.as_ptr().cast(), 8 * words.len(), self.0.as_ptr()) };
        assert!(!number.is_null(), "{CAN}");
    }

    /// The words of a number that has no more.
    pub fn read(&self, words: &mut [u64]) {
        // SAFETY: so many octets can be written, and are a number whatever they are.
        let done = unsafe { BN_bn2le_padded(words.as_mut_ptr().cast(), 8 * words.len(), self.0.as_ptr()) };
        assert_eq!(done, 1, "{CAN}");
        for word in words {
            *word = u64::from_le(*word);
        }
    }
}

/// Words as their octets lie in memory, the least significant first.
fn in_octets(words: &[u64]) -> Wiped<u64, MOST> {
    let mut octets = Wiped::new();
    for i in 0..words.len() {
        octets[i] = words[i].to_le();
    }
    octets
}

impl Field {
    pub fn new(modulus: &[u64]) -> Self {
        let words = modulus.len();
        let modulus = Bignum::new(modulus);
        // SAFETY: it takes nothing.
        let context = NonNull::new(unsafe { BN_CTX_new() }).expect(CAN);
        // SAFETY: both are there.
        let form = unsafe { BN_MONT_CTX_new_consttime(modulus.0.as_ptr(), context.as_ptr()) };
        Self {
            modulus,
            form: NonNull::new(form).expect(CAN),
            context,
            words,
        }
    }

    /// a b / R, where R is 2^64 for each word.
    pub fn multiply(&mut self, a: &mut Bignum, b: &Bignum) {
        let (a, b) = (a.0.as_ptr(), b.0.as_ptr());
        // SAFETY: all are there; what is written may be what is read.
        let done = unsafe { BN_mod_mul_montgomery(a, a, b, self.form.as_ptr(), self.context.as_ptr()) };
        assert_eq!(done, 1, "{CAN}");
    }

    /// a² / R, so many times.
    pub fn square(&mut self, a: &mut Bignum, times: usize) {
        let a = a.0.as_ptr();
        for _ in 0..times {
            // SAFETY: all are there; what is written may be what is read.
            let done = unsafe { BN_mod_mul_montgomery(a, a, a, self.form.as_ptr(), self.context.as_ptr()) };
            assert_eq!(done, 1, "{CAN}");
        }
    }

    /// a R.
    pub fn enter(&mut self, a: &mut Bignum) {
        let a = a.0.as_ptr();
        // SAFETY: all are there; what is written may be what is read.
        let done = unsafe { BN_to_montgomery(a, a, self.form.as_ptr(), self.context.as_ptr()) };
        assert_eq!(done, 1, "{CAN}");
    }

    /// a / R, of any number of as many words, below the modulus.
    pub fn leave(&mut self, a: &mut Bignum) {
        let a = a.0.as_ptr();
        // SAFETY: all are there; what is written may be what is read.
        let done = unsafe { BN_from_montgomery(a, a, self.form.as_ptr(), self.context.as_ptr()) };
        assert_eq!(done, 1, "{CAN}");
    }

    /// A base, which is below the modulus, to the power of an exponent of as many words. Neither is in Montgomery's form.
    pub fn power(&mut self, base: &[u64], exponent: &[u64]) -> Natural {
        let [power, exponent] = [base, exponent].map(Bignum::new);
        let (a, modulus) = (power.0.as_ptr(), self.modulus.0.as_ptr());
        let (context, form) = (self.context.as_ptr(), self.form.as_ptr());
        // SAFETY: all are there; what is written may be what is read.
        let done = unsafe { BN_mod_exp_mont_consttime(a, a, exponent.0.as_ptr(), modulus, context, form) };
        assert_eq!(done, 1, "{CAN}");
        let mut words = Natural::new(vec![0; self.words]);
        power.read(&mut words);
        words
    }
}

impl Drop for Bignum {
    fn drop(&mut self) {
        // SAFETY: it is ours, and nobody has it afterwards.
        unsafe { BN_clear_free(self.0.as_ptr()) };
    }
}

impl Drop for Field {
    fn drop(&mut self) {
        // SAFETY: both are ours, and nobody has them afterwards.
        unsafe { BN_MONT_CTX_free(self.form.as_ptr()) };
        // SAFETY: as above.
        unsafe { BN_CTX_free(self.context.as_ptr()) };
    }
}
