//! What every bundle of a batch begins with: the members that are the same in all of them.
//!
//! Its sums are taken once, so a bundle's own go over what follows it alone.

use super::archive::{Archive, Constant};
use crate::digest::Begun;

/// An archive that is begun, to be copied for every bundle.
pub(super) struct Beginning {
    octets: Vec<u8>,
    directory: Vec<u8>,
    members: u16,
    sha256: Begun,
    crc: crc32fast::Hasher,
}

impl std::fmt::Debug for Beginning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Beginning({} members)", self.members)
    }
}

impl Beginning {
    /// Begins with these members, named, which all have one mode.
    pub(super) fn new(members: &[(&str, Constant)], mode: u32) -> Self {
        let (mut octets, mut directory) = (Vec::new(), Vec::new());
        let mut archive = Archive::begin(&mut octets, &mut directory);
        for (name, content) in members {
            archive.constant(name, mode, content);
        }
        let members = archive.members();
        let sha256 = Begun::new(&octets);
        let mut crc = crc32fast::Hasher::new();
        crc.update(&octets);
        Self {
            octets,
            directory,
            members,
            sha256,
            crc,
        }
    }

    /// Begins an archive at the end of `out`. `directory` is scratch.
    pub(super) fn archive<'a>(&self, out: &'a mut Vec<u8>, directory: &'a mut Vec<u8>) -> Archive<'a> {
        Archive::begin_with(out, directory, &self.octets, &self.directory, self.members)
    }

    /// Octets that it takes in a bundle, at its start and in its directory.
    pub(super) fn len(&self) -> usize {
        self.octets.len() + self.directory.len()
    }

    pub(super) fn sha256_many(&self, bundles: &[&[u8]], digests: &mut [[u8; 32]]) {
        self.sha256.sha256_many(bundles, digests);
    }

    pub(super) fn crc(&self, bundle: &[u8]) -> u32 {
        let mut crc = self.crc.clone();
        crc.update(self.rest(bundle));
        crc.finalize()
    }

    /// What comes after the beginning.
    fn rest<'a>(&self, bundle: &'a [u8]) -> &'a [u8] {
        debug_assert!(bundle.starts_with(&self.octets), "the bundle is of this batch");
        &bundle[self.octets.len()..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::sha256;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_archive_goes_on_from_its_beginning_as_if_written_in_one(
            constants in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..4),
            own in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let names: Vec<String> = (0..constants.len()).map(|i| format!("constant-{i}")).collect();
            let members: Vec<_> = constants.iter().map(|content| Constant::stored(content)).collect();
            let named: Vec<_> = names.iter().map(String::as_str).zip(members.iter().cloned()).collect();
            let (mut out, mut scratch) = (b"before".to_vec(), Vec::new());
            let beginning = Beginning::new(&named, 0o644);
            let mut archive = beginning.archive(&mut out, &mut scratch);
            archive.stored("own", 0o600, |out| out.extend_from_slice(&own));
            archive.finish();

            let mut whole = b"before".to_vec();
            let mut archive = Archive::begin(&mut whole, &mut scratch);
            for (name, member) in &named {
                archive.constant(name, 0o644, member);
            }
            archive.stored("own", 0o600, |out| out.extend_from_slice(&own));
            archive.finish();
            prop_assert_eq!(&out, &whole);

            let bundle = &out[6..];
            let mut digests = [[0; 32]; 2];
            beginning.sha256_many(&[bundle, bundle], &mut digests);
            prop_assert_eq!(digests, [sha256(bundle); 2]);
            prop_assert_eq!(beginning.crc(bundle), crc32fast::hash(bundle));
        }
    }
}
