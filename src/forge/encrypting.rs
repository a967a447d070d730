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
                let peer = peer(peers, recipient, secrets.len());
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

/// What so many secrets are shared by with a recipient; `None`: one at a time.
fn peer(peers: &Peers, recipient: usize, secrets: usize) -> Option<&Peer> {
    peers[recipient].as_ref().filter(|_| secrets >= WORTHWHILE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Engine as _, Lanes};

    /// Where engine lanes is ready, it is what a run encrypts by.
    #[test]
    fn secrets_are_shared_in_lanes_where_there_are_any() {
        let recipient = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";
        let recipients = [Recipient::parse(recipient).unwrap()];
        let peers = peers(&recipients);
        assert_eq!(peers[0].is_some(), Lanes.ready().is_ok());
        assert!(peer(&peers, 0, WORTHWHILE - 1).is_none());
        let encryption = Encryption::new(&recipients);
        for bundles in [1, WORTHWHILE, 1000] {
            let (mut writer, mut in_lanes) = (encryption.writer(), Vec::new());
            writer
                .prepare(
                    bundles,
                    |octets| Random.fill(octets),
                    |recipient, secrets, public_keys, shared_secrets| {
                        let peer = peer(&peers, recipient, secrets.len());
                        let is_agreed =
                            peer.is_some_and(|peer| peer.agree(secrets, public_keys, shared_secrets));
                        in_lanes.push((secrets.len(), is_agreed));
                        is_agreed
                    },
                )
                .unwrap();
            let is_worthwhile = bundles >= WORTHWHILE && peers[0].is_some();
            assert_eq!(in_lanes, [(bundles, is_worthwhile)]);
        }
    }
}
