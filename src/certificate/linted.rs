//! Issuance: what is [`Stamped`] is linted, and only what is [`Linted`] is [`Signed`], once.
//!
//! The certificates of a block of devices lie one behind the other in buffers that go round: [`Signed::again`] gives
//! them back for the next block.
//!
//! ```compile_fail
//! use certforge::{certificate::Stamped, issuer::Issuer};
//! fn unlinted(stamped: Stamped<'_>, issuer: &Issuer) {
//!     let _ = stamped.sign(issuer);
//! }
//! ```
//!
//! ```compile_fail
//! use certforge::{certificate::Linted, issuer::Issuer};
//! fn twice(linted: Linted, issuer: &Issuer) {
//!     let _ = (linted.sign(issuer), linted.sign(issuer));
//! }
//! ```

use std::ops::Range;

use super::lint::{self, Expected, LintError};
use super::{Fields, Stamp, algorithm, der};
use crate::issuer::{CaCertificate, Issuer};
use crate::signer::SignerError;

/// TBSCertificates of a block, each of which has passed the lint.
#[derive(Debug, Default)]
pub struct Linted {
    tbs: Vec<u8>,
    /// Where each ends; what follows the last has passed no lint.
    ends: Vec<usize>,
    /// Room for signatures.
    signatures: Vec<Vec<u8>>,
}

/// A TBSCertificate that is not linted yet. It is in its block only once it is.
#[derive(Debug)]
pub struct Stamped<'a> {
    block: &'a mut Linted,
    start: usize,
    fields: &'a Fields<'a>,
}

/// The certificates of a block, signed by their issuer.
#[derive(Debug, Default)]
pub struct Signed {
    block: Linted,
    /// AlgorithmIdentifier, DER.
    algorithm: &'static [u8],
}

impl Linted {
    /// Stamps the next certificate.
    pub fn stamp<'a>(&'a mut self, stamp: &Stamp, fields: &'a Fields<'a>) -> Stamped<'a> {
        let start = self.ends.last().copied().unwrap_or(0);
        self.tbs.truncate(start);
        stamp.tbs(fields, &mut self.tbs);
        Stamped {
            block: self,
            start,
            fields,
        }
    }

    /// Has all of them signed. They are gone when that fails, so that nothing else is ever signed in their place.
    ///
    /// # Errors
    ///
    /// When the signer fails.
    pub fn sign(mut self, issuer: &Issuer) -> Result<Signed, SignerError> {
        let mut signatures = std::mem::take(&mut self.signatures);
        let messages: Vec<&[u8]> = (0..self.ends.len()).map(|i| self.tbs(i)).collect();
        signatures.resize_with(messages.len(), Vec::new);
        issuer.sign(&messages, &mut signatures)?;
        self.signatures = signatures;
        Ok(Signed {
            block: self,
            algorithm: algorithm::signature(issuer.algorithm()),
        })
    }

    fn tbs(&self, i: usize) -> &[u8] {
        let Range { start, end } = match i {
            0 => 0..self.ends[0],
            i => self.ends[i - 1]..self.ends[i],
        };
        &self.tbs[start..end]
    }
}

impl Stamped<'_> {
    /// The TBSCertificate, DER.
    #[must_use]
    pub fn tbs(&self) -> &[u8] {
        &self.block.tbs[self.start..]
    }

    /// Reads back what differs from device to device.
    ///
    /// # Errors
    ///
    /// The first rule that is broken.
    pub fn lint(self) -> Result<(), LintError> {
        lint::fields(self.tbs(), self.fields)?;
        self.pass();
        Ok(())
    }

    /// Reads every field back, with a parser that is not ours.
    ///
    /// # Errors
    ///
    /// The first rule that is broken.
    pub fn lint_in_full(self, expected: &Expected<'_>) -> Result<(), LintError> {
        lint::full(self.tbs(), self.fields, expected)?;
        self.pass();
        Ok(())
    }

    fn pass(self) {
        self.block.ends.push(self.block.tbs.len());
    }
}

impl Signed {
    /// Appends a Certificate (RFC 5280, 4.1), DER.
    pub fn append_certificate(&self, i: usize, out: &mut Vec<u8>) {
        let (tbs, signature) = (self.block.tbs(i), &self.block.signatures[i]);
        let bits = 1 + signature.len();
        let body = tbs.len() + self.algorithm.len() + der::element_len(bits);
        der::header(der::SEQUENCE, body, out);
        out.extend_from_slice(tbs);
        out.extend_from_slice(self.algorithm);
        der::header(der::BIT_STRING, bits, out);
        out.push(0);
        out.extend_from_slice(signature);
    }

    /// Whether the first signature, if there is one, is the issuer's; judged by aws-lc, whatever made it.
    #[must_use]
    pub fn sample_verifies(&self, issuer: &CaCertificate) -> bool {
        self.block.ends.is_empty() || issuer.has_signed(self.block.tbs(0), &self.block.signatures[0])
    }

    /// The same buffers with nothing in them.
    #[must_use]
    pub fn again(self) -> Linted {
        let mut block = self.block;
        block.tbs.clear();
        block.ends.clear();
        block
    }
}
