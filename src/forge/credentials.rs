//! Credentials: keys and certificates for a block of rows, each certificate stamped, linted and signed, in that order.
//!
//! The buffers are used again. Pure but for the signer: no disk, clock or network; randomness is drawn from its one
//! source.

use rayon::prelude::*;

use super::ForgeError;
use super::plan::Plan;
use crate::certificate::{
    CertificateSerial, Fields, Linted, SerialPrefix, Signed, encode_san, encode_subject,
};
use crate::engine::{DeviceKey, EngineError, Random};
use crate::issuer::key_identifiers;
use crate::manifest::Row;
use crate::signer::SignerError;

pub(crate) struct Credentials<'a> {
    plan: &'a Plan<'a>,
    keys: Vec<DeviceKey>,
    /// The identifiers of the keys.
    pub key_ids: Vec<[u8; 20]>,
    pub serials: Vec<CertificateSerial>,
    linted: Linted,
    signed: Signed,
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
            linted: Linted::default(),
            signed: Signed::default(),
            names: Names::default(),
        }
    }

    /// Makes keys and certificates of these rows in the place of those before, up to the signature.
    pub(super) fn prepare(&mut self, rows: &[Row], prefix: SerialPrefix) -> Result<(), ForgeError> {
        self.make_keys(rows.len())?;
        self.draw_serials(rows.len(), prefix)?;
        self.stamp(rows)
    }

    /// Has the certificates signed that were prepared.
    pub(super) fn sign(&mut self) -> Result<(), SignerError> {
        self.signed = std::mem::take(&mut self.linted).sign(self.plan.issuer)?;
        Ok(())
    }

    /// The private key of a row, PKCS#8 DER.
    pub(super) fn private_key(&self, row: usize) -> &[u8] {
        self.keys[row].pkcs8()
    }

    /// Appends the certificate of a row, DER.
    pub(crate) fn append_certificate(&self, row: usize, out: &mut Vec<u8>) {
        self.signed.append_certificate(row, out);
    }

    fn make_keys(&mut self, count: usize) -> Result<(), ForgeError> {
        let Plan {
            key_maker, key_type, ..
        } = *self.plan;
        self.keys.resize_with(count, DeviceKey::default);
        match key_type.is_rsa() {
            true => {
                let at_a_time = key_maker.at_a_time(key_type);
                make_apart(&mut self.keys, at_a_time, |keys| {
                    key_maker.make_keys(key_type, keys)
                })?;
            }
            false => key_maker.make_keys(key_type, &mut self.keys)?,
        }
        self.key_ids.clear();
        let public_keys: Vec<&[u8]> = self.keys.iter().map(DeviceKey::public_key).collect();
        key_identifiers(&public_keys, &mut self.key_ids);
        Ok(())
    }

    fn draw_serials(&mut self, count: usize, prefix: SerialPrefix) -> Result<(), EngineError> {
        let mut octets = vec![0; 8 * count];
        Random.fill(&mut octets)?;
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
        let mut linted = std::mem::take(&mut self.signed).again();
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
            linted.stamp(&self.plan.stamp, &fields).lint()?;
        }
        self.linted = linted;
        Ok(())
    }

    /// Whether the first signature is the issuer's, judged by another library than may have made it.
    pub(super) fn check_one(&self) -> Result<(), ForgeError> {
        match self.signed.sample_verifies(self.plan.issuer.certificate()) {
            true => Ok(()),
            false => Err(ForgeError::Signature),
        }
    }
}

/// Makes keys, so many at a time, on all threads of the pool that have nothing else to do. An RSA key takes as long as
/// chance hides its primes: nobody waits for one while there are others to be made, of this chunk or another.
fn make_apart(
    keys: &mut [DeviceKey],
    at_a_time: usize,
    make: impl Fn(&mut [DeviceKey]) -> Result<(), EngineError> + Sync + Send,
) -> Result<(), EngineError> {
    keys.par_chunks_mut(at_a_time).with_max_len(1).try_for_each(make)
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
            make_apart(&mut keys, 1, |_| {
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
