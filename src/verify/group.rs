//! Groups: what has to be computed of bundles that are alike, many at a time.

use zeroize::{Zeroize, Zeroizing};

use super::pattern::Parts;
use crate::batch::IndexEntry;
use crate::digest::sha256_many;
use crate::engine::{Judge, scalars_match};

/// Bundles of a group: enough for eight lanes to be busy for long.
const BUNDLES: usize = 256;

/// A bundle of which nothing is left to be found out but what is computed.
pub(super) struct Candidate<'a> {
    /// Its row in the chunk.
    pub number: usize,
    /// As it lies in the store.
    pub bundle: &'a [u8],
    /// DER.
    pub certificate: &'a [u8],
    pub entry: &'a IndexEntry,
    pub parts: Parts<'a>,
    /// What the certificate says is its key's identifier, if it says so.
    pub key_id: Option<&'a [u8; 20]>,
}

/// What is known of a private key and the public key of a certificate.
pub(super) enum Pair<'a> {
    /// They are a pair.
    Proven,
    /// A P-256 scalar, and the point that it must make.
    ToProve(&'a [u8; 32], &'a [u8; 65]),
}

/// Candidates that are judged together.
pub(super) struct Group<'a> {
    candidates: Vec<Candidate<'a>>,
    /// Of each candidate whose key is P-256: all of them, or none.
    scalars: Zeroizing<Vec<[u8; 32]>>,
    points: Vec<[u8; 65]>,
    digests: Vec<[u8; 32]>,
}

impl Default for Group<'_> {
    fn default() -> Self {
        Self {
            candidates: Vec::with_capacity(BUNDLES),
            // It never moves.
            scalars: Zeroizing::new(Vec::with_capacity(BUNDLES)),
            points: Vec::with_capacity(BUNDLES),
            digests: vec![[0; 32]; BUNDLES],
        }
    }
}

impl<'a> Group<'a> {
    pub(super) fn is_full(&self) -> bool {
        self.candidates.len() == BUNDLES
    }

    /// Adds a candidate to a group that is not full, and its keys.
    pub(super) fn add(&mut self, candidate: Candidate<'a>, pair: &Pair<'_>) {
        self.candidates.push(candidate);
        if let Pair::ToProve(scalar, point) = *pair {
            self.scalars.push(*scalar);
            self.points.push(*point);
        }
    }

    /// Judges the candidates, and is empty again. `keys` has a place for each row of the chunk: that of one that is good
    /// gets its public key's identifier.
    pub(super) fn judge(&mut self, issuer: &Judge, keys: &mut [Option<[u8; 20]>]) {
        let count = self.candidates.len();
        let mut good = [true; BUNDLES];
        let mut results = [false; BUNDLES];
        let (good, results) = (&mut good[..count], &mut results[..count]);

        let bundles = |candidate: &Candidate<'a>| candidate.bundle;
        self.digest(bundles, good, |candidate| Some(&candidate.entry.sha256));
        let certificates = |candidate: &Candidate<'a>| candidate.certificate;
        self.digest(certificates, good, |candidate| {
            Some(&candidate.entry.certificate_id)
        });

        let messages: Vec<&[u8]> = self.candidates.iter().map(|own| own.parts.tbs).collect();
        let signatures: Vec<&[u8]> = self.candidates.iter().map(|own| own.parts.signature).collect();
        issuer.verify(&messages, &signatures, results);
        both(good, results);

        if !self.scalars.is_empty() {
            results.fill(false);
            scalars_match(&self.scalars, &self.points, results);
            both(good, results);
        }
        self.scalars.zeroize();
        self.points.clear();

        // The identifier is the first 160 bits of the SHA-256 of the key (RFC 7093, method 1).
        let public_keys = |candidate: &Candidate<'a>| candidate.parts.public_key;
        self.digest(public_keys, good, |candidate| candidate.key_id);
        for ((candidate, digest), good) in self.candidates.drain(..).zip(&self.digests).zip(good) {
            keys[candidate.number] = digest.first_chunk().copied().filter(|_| *good);
        }
    }

    /// Digests something of each candidate, of which it must begin with what is expected, if anything is.
    fn digest<const N: usize>(
        &mut self,
        octets: impl Fn(&Candidate<'a>) -> &'a [u8],
        good: &mut [bool],
        expected: impl Fn(&Candidate<'a>) -> Option<&'a [u8; N]>,
    ) {
        let octets: Vec<&[u8]> = self.candidates.iter().map(octets).collect();
        let digests = &mut self.digests[..octets.len()];
        sha256_many(&octets, digests);
        for ((candidate, digest), good) in self.candidates.iter().zip(digests).zip(good) {
            *good &= expected(candidate).is_none_or(|expected| digest.starts_with(expected));
        }
    }
}

fn both(good: &mut [bool], results: &[bool]) {
    for (good, result) in good.iter_mut().zip(results) {
        *good &= *result;
    }
}
