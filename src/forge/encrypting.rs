//! A worker's own part of encryption: bundles in the clear, one after the other in one buffer, that nobody else sees.

use crate::bundle::encryption::{Encryption, FileWriter, Recipient};
use crate::engine::{EngineError, Peer, Random, WORTHWHILE};
use crate::plugin::{self, PluginError};
use crate::wiped::WipedVec;

/// Why bundles were not encrypted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EncryptingError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Plugin(#[from] PluginError),
}

/// What bundles of a batch are encrypted with.
pub(crate) struct Shares {
    pub encryption: Encryption,
    /// What secrets are shared by with each point, many at a time. `None` where that cannot be: then it is one at a time.
    peers: Peers,
}

type Peers = Vec<Option<Peer>>;

impl Shares {
    /// For these recipients; `None` without any. Their plugins are tried with a key that is for no file.
    ///
    /// # Errors
    ///
    /// When a plugin is not there, makes no share for its recipients, or wants none beside them.
    pub(crate) fn new(recipients: &[Recipient]) -> Result<Option<Self>, PluginError> {
        if recipients.is_empty() {
            return Ok(None);
        }
        let encryption = Encryption::new(recipients);
        // Whose labels all must have; recipients without a plugin have none.
        let is_plain = |one: &Recipient| one.of_plugin().is_none();
        let mut first = recipients
            .iter()
            .any(is_plain)
            .then(|| (String::new(), Vec::new()));
        for of_one in encryption.plugins() {
            let plugin = of_one[0].plugin().to_owned();
            let plugin::Wrapped { labels, .. } = plugin::wrap(of_one, &[&[0; 16]])?;
            let (other, wanted) = first.get_or_insert_with(|| (plugin.clone(), labels.clone()));
            if *wanted != labels {
                let (plugin, labels) = match labels.is_empty() {
                    true => (other.clone(), &*wanted),
                    false => (plugin, &labels),
                };
                return Err(PluginError::Labels {
                    plugin,
                    labels: labels.join(" and "),
                });
            }
        }
        Ok(Some(Self {
            peers: encryption.points().map(Peer::new).collect(),
            encryption,
        }))
    }
}

pub(crate) struct Encrypting<'a> {
    writer: FileWriter<'a>,
    peers: &'a Peers,
    plain: WipedVec<u8>,
}

impl<'a> Encrypting<'a> {
    pub(crate) fn new(shares: &'a Shares) -> Self {
        Self {
            writer: shares.encryption.writer(),
            peers: &shares.peers,
            plain: WipedVec::default(),
        }
    }

    /// Draws what so many bundles are encrypted with.
    pub(crate) fn prepare(&mut self, bundles: usize, room: usize) -> Result<(), EncryptingError> {
        if self.plain.capacity() < room {
            // What is grown leaves a copy behind.
            self.plain = WipedVec::with_capacity(room);
        }
        let peers = self.peers;
        self.writer.prepare_with(
            bundles,
            |octets| Random.fill(octets).map_err(EncryptingError::from),
            |point, secrets, public_keys, shared_secrets| {
                let peer = peer(peers, point, secrets.len());
                peer.is_some_and(|peer| peer.agree(secrets, public_keys, shared_secrets))
            },
            |recipients, file_keys| Ok(plugin::wrap(recipients, file_keys)?.shares),
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

/// What so many secrets are shared by with a point; `None`: one at a time.
fn peer(peers: &Peers, point: usize, secrets: usize) -> Option<&Peer> {
    peers[point].as_ref().filter(|_| secrets >= WORTHWHILE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Engine as _, Lanes};

    /// Where engine lanes is ready, it is what a run encrypts by.
    #[test]
    fn secrets_are_shared_in_lanes_where_there_are_any() {
        let recipients = [
            "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj",
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN",
        ];
        let recipients = recipients.map(|text| Recipient::parse(text).unwrap());
        let Shares { encryption, peers } = Shares::new(&recipients).unwrap().unwrap();
        for peer in &peers {
            assert_eq!(peer.is_some(), Lanes.ready().is_ok());
        }
        assert!(peer(&peers, 0, WORTHWHILE - 1).is_none());
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
            assert_eq!(in_lanes, [(bundles, is_worthwhile); 2]);
        }
    }
}
