//! Credentials: keys and certificates for rows, each certificate stamped, linted and signed, in that order.
//!
//! The buffers are used again. Pure: no disk, clock or network; randomness comes through the engine.

use std::ops::Range;

use rayon::prelude::*;

use super::ForgeError;
use super::plan::Plan;
use crate::certificate::{
    CertificateSerial, Fields, SerialPrefix, assemble, encode_san, encode_subject, lint_fields,
};
use crate::engine::{DeviceKey, EngineError};
use crate::issuer::key_identifier;
use crate::manifest::Row;

pub(super) struct Credentials<'a> {
    plan: &'a Plan<'a>,
    keys: Vec<DeviceKey>,
    /// The identifiers of the keys.
    pub key_ids: Vec<[u8; 20]>,
    pub serials: Vec<CertificateSerial>,
    tbs: Vec<u8>,
    tbs_ranges: Vec<Range<usize>>,
    signatures: Vec<Vec<u8>>,
    names: Names,
}

/// Where a certificate's names are encoded.
#[derive(Default)]
struct Names {
    scratch: Vec<u8>,
    subject: Vec<u8>,
    san: Vec<u8>,
}

impl<'a> Credentials<'a> {
    pub(super) fn new(plan: &'a Plan<'a>) -> Self {
        Self {
            plan,
            keys: Vec::new(),
            key_ids: Vec::new(),
            serials: Vec::new(),
            tbs: Vec::new(),
            tbs_ranges: Vec::new(),
            signatures: Vec::new(),
            names: Names::default(),
        }
    }

    /// Makes the credentials of these rows, in the place of those before.
    pub(super) fn make(&mut self, rows: &[Row], prefix: SerialPrefix) -> Result<(), ForgeError> {
        self.make_keys(rows.len())?;
        self.draw_serials(rows.len(), prefix)?;
        self.stamp(rows)?;
        self.sign()
    }

    /// The private key of a row, PKCS#8 DER.
    pub(super) fn private_key(&self, row: usize) -> &[u8] {
        self.keys[row].pkcs8()
    }

    /// Appends the certificate of a row, DER.
    pub(super) fn append_certificate(&self, row: usize, out: &mut Vec<u8>) {
        assemble(
            &self.tbs[self.tbs_ranges[row].clone()],
            self.plan.signer.algorithm(),
            &self.signatures[row],
            out,
        );
    }

    fn make_keys(&mut self, count: usize) -> Result<(), ForgeError> {
        let Plan {
            key_engine, key_type, ..
        } = *self.plan;
        self.keys.resize_with(count, DeviceKey::default);
        match key_type.is_rsa() {
            true => make_apart(&mut self.keys, |key| key_engine.make_keys(key_type, key))?,
            false => key_engine.make_keys(key_type, &mut self.keys)?,
        }
        self.key_ids.clear();
        self.key_ids
            .extend(self.keys.iter().map(|key| key_identifier(key.public_key())));
        Ok(())
    }

    fn draw_serials(&mut self, count: usize, prefix: SerialPrefix) -> Result<(), EngineError> {
        let mut octets = vec![0; 8 * count];
        self.plan.key_engine.random(&mut octets)?;
        self.serials.clear();
        let (own, _) = octets.as_chunks::<8>();
        self.serials.extend(own.iter().map(|own| prefix.serial(*own)));
        Ok(())
    }

    /// Stamps and lints every certificate.
    fn stamp(&mut self, rows: &[Row]) -> Result<(), ForgeError> {
        let Names {
            scratch,
            subject,
            san,
        } = &mut self.names;
        self.tbs.clear();
        self.tbs_ranges.clear();
        for (i, row) in rows.iter().enumerate() {
            subject.clear();
            encode_subject(self.plan.binding.subject(row), scratch, subject);
            san.clear();
            encode_san(self.plan.binding.san(row), scratch, san);
            let fields = Fields {
                serial: &self.serials[i],
                subject,
                san,
                public_key: self.keys[i].public_key(),
                key_id: &self.key_ids[i],
            };
            let start = self.tbs.len();
            self.plan.stamp.tbs(&fields, &mut self.tbs);
            lint_fields(&self.tbs[start..], &fields)?;
            self.tbs_ranges.push(start..self.tbs.len());
        }
        Ok(())
    }

    fn sign(&mut self) -> Result<(), ForgeError> {
        let messages: Vec<&[u8]> = self
            .tbs_ranges
            .iter()
            .map(|range| &self.tbs[range.clone()])
            .collect();
        self.signatures.resize_with(messages.len(), Vec::new);
        self.plan.signer.sign(&messages, &mut self.signatures)?;
        Ok(())
    }

    /// Whether the first signature is the issuer's, judged by another library than may have made it.
    pub(super) fn check_one(&self) -> Result<(), ForgeError> {
        let sample = self.tbs_ranges.first().zip(self.signatures.first());
        let verifies = |(range, signature): (&Range<usize>, &Vec<u8>)| {
            self.plan
                .issuer
                .key()
                .verifies(&self.tbs[range.clone()], signature)
        };
        match sample.is_none_or(verifies) {
            true => Ok(()),
            false => Err(ForgeError::Signature),
        }
    }
}

/// Makes keys one by one, on all threads of the pool that have nothing else to do. An RSA key takes as long as
/// chance hides its primes: nobody waits for one while there are others to be made, of this chunk or another.
fn make_apart(
    keys: &mut [DeviceKey],
    make: impl Fn(&mut [DeviceKey]) -> Result<(), EngineError> + Sync + Send,
) -> Result<(), EngineError> {
    keys.par_chunks_mut(1).with_max_len(1).try_for_each(make)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_slow_key_keeps_nobody_from_the_others() {
        let pool = super::super::pipeline::pool(2).unwrap();
        let (sender, receiver) = channel();
        let (sender, receiver) = (Mutex::new(sender), Mutex::new(receiver));
        let mut keys = vec![DeviceKey::default(); 8];
        let is_first = AtomicBool::new(true);
        let made = pool.install(|| {
            make_apart(&mut keys, |_| {
                if !is_first.swap(false, Ordering::Relaxed) {
                    return sender
                        .lock()
                        .unwrap()
                        .send(())
                        .map_err(|_| unreachable!("it is received"));
                }
                // The first key is ready when all the others are: one thread alone would wait in vain.
                for _ in 1..8 {
                    let other = receiver.lock().unwrap().recv_timeout(Duration::from_mins(1));
                    other.expect("another thread makes the other keys");
                }
                Ok(())
            })
        });
        assert!(made.is_ok());
    }
}
