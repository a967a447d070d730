//! A worker's own part of encryption: bundles in the clear, one after the other in one buffer, that nobody else sees.

use zeroize::Zeroizing;

use crate::bundle::encryption::{Encryption, FileWriter, Recipient};
use crate::engine::{EngineError, Peer, Random, WORTHWHILE};

/// What secrets are shared by with each recipient, many at a time. `None` where that cannot be: then it is one at a time.
pub(crate) type Peers = Vec<Option<Peer>>;

pub(crate) fn peers(recipients: &[Recipient]) -> Peers {
    recipients
        .iter()
        .map(|recipient| Peer::new(recipient.point()))
        .collect()
}

pub(crate) struct Encrypting<'a> {
    writer: FileWriter<'a>,
    peers: &'a Peers,
    plain: Zeroizing<Vec<u8>>,
}

impl<'a> Encrypting<'a> {
    pub(crate) fn new(encryption: &'a Encryption, peers: &'a Peers) -> Self {
        Self {
            writer: encryption.writer(),
            peers,
            plain: Zeroizing::new(Vec::new()),
        }
    }

    /// Draws what so many bundles are encrypted with.
    pub(crate) fn prepare(&mut self, bundles: usize, room: usize) -> Result<(), EngineError> {
        if self.plain.capacity() < room {
            // What is grown leaves a copy behind.
            self.plain = Zeroizing::new(Vec::with_capacity(room));
        }
        let peers = self.peers;
        self.writer.prepare(
            bundles,
            |octets| Random.fill(octets),
            |recipient, secrets, public_keys, shared_secrets| {
                let peer = peers[recipient].as_ref();
                let peer = peer.filter(|_| secrets.len() >= WORTHWHILE);
                peer.is_some_and(|peer| peer.agree(secrets, public_keys, shared_secrets))
            },
        )
    }

    /// Appends the bundle of this number, which `write` writes in the clear.
    pub(crate) fn append(&mut self, number: usize, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        // What was there is written over, or zeroized in the end.
        self.plain.clear();
        write(&mut self.plain);
        self.writer.append(number, &self.plain, out);
    }
}
