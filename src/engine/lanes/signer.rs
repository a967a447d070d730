//! Signatures with one issuer's key.

use std::sync::atomic::{AtomicUsize, Ordering};

use zeroize::Zeroizing;

use super::eight::{BLINDS, Job, run};
use super::number::Number;
use super::verifier::{Verifier, WORTHWHILE};
use super::{GROUP, TRIES, comb, der, draw, failed, whole};
use crate::digest::sha256_many;
use crate::engine::{EngineError, KeySigner, verifies};
use crate::profile::KeyType;
use crate::wiped::{Wiped, clean_the_stack};

/// One of so many signatures is held against aws-lc: an odd number, so that it is another place of a group each time.
const SAMPLE: usize = 1021;

/// Nonces are drawn for each group anew.
pub struct LanesSigner {
    /// In a place of its own, so that a signer that moves leaves no copy behind.
    key: Box<Zeroizing<Number>>,
    public_key: Vec<u8>,
    verifier: Option<Verifier>,
    /// Signatures made: one of [`SAMPLE`] is held against aws-lc.
    made: AtomicUsize,
}

impl LanesSigner {
    pub fn new(scalar: &[u8], public_key: &[u8]) -> Self {
        let mut key = Box::new(Zeroizing::new(Number::ZERO));
        **key = Number::of_octets(scalar.as_array().expect("it has 32 octets"));
        Self {
            key,
            public_key: public_key.to_vec(),
            verifier: Verifier::new(public_key),
            made: AtomicUsize::new(0),
        }
    }

    /// Signs [`GROUP`] messages at most, and proves the signatures.
    fn sign_group(&self, messages: &[&[u8]], signatures: &mut [Vec<u8>]) -> Result<(), EngineError> {
        let mut digests = [[0; 32]; GROUP];
        let digests = &mut digests[..messages.len()];
        sha256_many(messages, digests);
        self.sign_digests(digests, signatures)?;
        let before = self.made.fetch_add(messages.len(), Ordering::Relaxed);
        let sample = Some(before.next_multiple_of(SAMPLE) - before).filter(|i| *i < messages.len());
        let is_valid = |i: usize| verifies(KeyType::P256, &self.public_key, messages[i], &signatures[i]);
        match self.all_verify(digests, signatures, is_valid) && sample.is_none_or(is_valid) {
            true => Ok(()),
            false => Err(failed("make signatures that are valid")),
        }
    }

    /// Signs digests.
    fn sign_digests(&self, digests: &[[u8; 32]], signatures: &mut [Vec<u8>]) -> Result<(), EngineError> {
        let count = whole(digests.len());
        let mut numbers = [Number::ONE; GROUP];
        for (number, digest) in numbers.iter_mut().zip(digests) {
            *number = Number::of_octets(digest);
        }
        let (mut r, mut s) = ([Number::ZERO; GROUP], [Number::ZERO; GROUP]);
        for _ in 0..TRIES {
            if self.sign_numbers(&numbers[..count], &mut r[..count], &mut s[..count])? {
                for (signature, (r, s)) in signatures.iter_mut().zip(r.iter().zip(&s)) {
                    der::write(r, s, signature);
                }
                return Ok(());
            }
        }
        Err(failed("sign"))
    }

    /// Signs numbers (FIPS 186-5, 6.4.1), each with a nonce that is drawn for it: r is the x of the base point times
    /// the nonce, modulo the order. False, when chance has it that there is no result.
    #[inline(never)]
    fn sign_numbers(
        &self,
        digests: &[Number],
        r: &mut [Number],
        s: &mut [Number],
    ) -> Result<bool, EngineError> {
        let mut nonces = Wiped::<Number, GROUP>::new();
        let nonces = &mut nonces[..digests.len()];
        let mut blinds = Wiped::<Number, { BLINDS + 1 }>::new();
        draw(nonces)?;
        draw(&mut blinds[..])?;
        let is_done = run(Job::Sign {
            comb: comb(),
            key: &self.key,
            nonces,
            digests,
            blinds: &blinds,
            r,
            s,
        });
        clean_the_stack();
        Ok(is_done)
    }

    /// Whether every signature is valid: by the verifier where there are enough, else one by one.
    fn all_verify(
        &self,
        digests: &[[u8; 32]],
        signatures: &[Vec<u8>],
        is_valid: impl Fn(usize) -> bool,
    ) -> bool {
        if digests.len() >= WORTHWHILE
            && let Some(verifier) = &self.verifier
        {
            let mut valid = [false; GROUP];
            let valid = &mut valid[..digests.len()];
            let mut own: [&[u8]; GROUP] = [&[]; GROUP];
            for (own, signature) in own.iter_mut().zip(signatures) {
                *own = signature;
            }
            if verifier.verify(digests, &own[..digests.len()], valid) {
                return valid.iter().all(|valid| *valid);
            }
        }
        (0..digests.len()).all(is_valid)
    }
}

impl KeySigner for LanesSigner {
    fn sign(&self, messages: &[&[u8]], signatures: &mut [Vec<u8>]) -> Result<(), EngineError> {
        let signed = messages
            .chunks(GROUP)
            .zip(signatures.chunks_mut(GROUP))
            .try_for_each(|(messages, signatures)| self.sign_group(messages, signatures));
        if signed.is_err() {
            signatures.iter_mut().for_each(Vec::clear);
        }
        signed
    }
}
