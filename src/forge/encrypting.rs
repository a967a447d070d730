//! A worker's own part of encryption: bundles in the clear, one after the other in one buffer, that nobody else sees.

use zeroize::Zeroizing;

use crate::bundle::encryption::{Encryption, FileWriter};
use crate::engine::{EngineError, Random};

pub(super) struct Encrypting<'a> {
    writer: FileWriter<'a>,
    plain: Zeroizing<Vec<u8>>,
}

impl<'a> Encrypting<'a> {
    pub(super) fn new(encryption: &'a Encryption) -> Self {
        Self {
            writer: encryption.writer(),
            plain: Zeroizing::new(Vec::new()),
        }
    }

    /// Draws what so many bundles are encrypted with.
    pub(super) fn prepare(&mut self, bundles: usize, room: usize) -> Result<(), EngineError> {
        if self.plain.capacity() < room {
            // What is grown leaves a copy behind.
            *self.plain = Vec::with_capacity(room);
        }
        self.writer.prepare(bundles, |octets| Random.fill(octets))
    }

    /// Appends the bundle of this number, which `write` writes in the clear.
    pub(super) fn append(&mut self, number: usize, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        // What was there is written over, or zeroized in the end.
        self.plain.clear();
        write(&mut self.plain);
        self.writer.append(number, &self.plain, out);
    }
}
