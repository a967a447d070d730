//! Encrypted NVS in flash: the keys by which it opens, and the certificates that are in it then.

use super::certificate_ids;
use crate::bundle::format::nvs::{Keys, KeysError, PAGE, Unread, Value, extent, opens, read, read_keys};

/// What is no keys of NVS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoKeys {
    #[error(transparent)]
    Damaged(#[from] KeysError),
    #[error(
        "it has {octets} octets: a partition with keys has 4096 or more, keys have 64, and an HMAC key has 32"
    )]
    Length { octets: usize },
}

/// The keys of NVS in octets: what was read back of the partition `nvs_keys`, the two keys as such, or the HMAC key of which a device
/// makes them.
///
/// # Errors
///
/// When they are none of these.
pub fn keys(octets: &[u8]) -> Result<Keys, NoKeys> {
    if let Some(partition) = octets.get(..PAGE) {
        return Ok(read_keys(partition)?);
    }
    if let Ok(keys) = <&[u8; 64]>::try_from(octets) {
        return Ok(Keys::new(keys)?);
    }
    match octets.try_into() {
        Ok(hmac_key) => Ok(Keys::from_hmac_key(hmac_key)),
        Err(_) => Err(NoKeys::Length { octets: octets.len() }),
    }
}

/// The keys that lie at one of these places themselves, each as a partition `nvs_keys`.
#[must_use]
pub fn keys_within(flash: &[u8], places: &[usize]) -> Vec<Keys> {
    let partition = |place: &usize| read_keys(flash.get(*place..)?.get(..PAGE)?).ok();
    places.iter().filter_map(partition).collect()
}

/// The SHA-256 of all that may be a certificate in the NVS partition that begins at a place, opened by keys.
///
/// # Errors
///
/// When there is no such partition, or the keys are others.
pub fn certificate_ids_within(flash: &[u8], place: usize, keys: &Keys) -> Result<Vec<[u8; 32]>, Unread> {
    let partition = flash.get(place..).unwrap_or_default();
    let mut ids = Vec::new();
    for value in read(&partition[..extent(partition)], Some(keys))? {
        let octets = match &value.value {
            Value::String(text) => text.as_bytes(),
            Value::Blob(octets) => octets,
            _ => continue,
        };
        ids.extend(certificate_ids(octets, &[0]));
    }
    Ok(ids)
}

/// An NVS partition in flash whose entries are encrypted.
#[derive(Clone, Copy)]
pub struct Locked<'a> {
    pub place: usize,
    partition: &'a [u8],
}

impl Locked<'_> {
    /// Whether these are its keys.
    #[must_use]
    pub fn opens_with(&self, keys: &Keys) -> bool {
        opens(self.partition, Some(keys)) == Some(true)
    }
}

/// The encrypted NVS partitions among those that begin at these places.
#[must_use]
pub fn locked<'a>(flash: &'a [u8], places: &[usize]) -> Vec<Locked<'a>> {
    let partition = |place: &usize| {
        let partition = flash.get(*place..)?;
        let partition = &partition[..extent(partition)];
        (opens(partition, None) == Some(false)).then_some(Locked {
            place: *place,
            partition,
        })
    };
    places.iter().filter_map(partition).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::format::nvs::{Kind, Plan, Slot, Writer, append_keys};
    use crate::digest::sha256;
    use crate::pem;
    use std::borrow::Cow;

    fn der() -> Vec<u8> {
        let mut der = vec![0x30, 0x82, 1, 4, 0x30, 0x82, 1, 0];
        der.resize(264, 9);
        der
    }

    /// A partition with a certificate as a string and as a blob, at the beginning of flash in which another one follows.
    fn flash(keys: &Keys) -> Vec<u8> {
        let slot = |key: &str, kind| Slot {
            namespace: "tls".to_owned(),
            key: key.to_owned(),
            kind,
            most: 4000,
        };
        let plan = Plan {
            size: 3 * PAGE,
            slots: vec![
                slot("pem", Kind::String),
                slot("der", Kind::Binary),
                slot("n", Kind::U8),
            ],
            is_encrypted: true,
        };
        let mut text = Vec::new();
        pem::append_certificate(&der(), &mut text);
        let values = [
            Value::String(Cow::Owned(String::from_utf8(text).unwrap())),
            Value::Blob(Cow::Owned(vec![7; 100])),
            Value::U8(7),
        ];
        let mut flash = Vec::new();
        let writer = Writer::new(plan).unwrap();
        for _ in 0..2 {
            writer.append(&values, Some(keys), &mut flash).unwrap();
        }
        flash
    }

    fn some_keys(fill: u8) -> Keys {
        let mut octets = [fill; 64];
        octets[0] ^= 1;
        Keys::new(&octets).unwrap()
    }

    #[test]
    fn certificates_are_found_by_the_right_keys_alone() {
        let flash = flash(&some_keys(1));
        let found = certificate_ids_within(&flash, 0, &some_keys(1)).unwrap();
        assert_eq!(found, [sha256(&der())]);
        // The second partition is one of its own.
        let found = certificate_ids_within(&flash, 3 * PAGE, &some_keys(1)).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(
            certificate_ids_within(&flash, 0, &some_keys(2)),
            Err(Unread::Entry { offset: 64 })
        );
        assert_eq!(
            certificate_ids_within(&[0x5A; PAGE], 0, &some_keys(1)),
            Err(Unread::Size { octets: 0 })
        );
        assert!(certificate_ids_within(&flash, flash.len() + 1, &some_keys(1)).is_err());
    }

    #[test]
    fn locked_partitions_open_by_their_own_keys_alone() {
        let mut flash = flash(&some_keys(1));
        // What is erased and what is no NVS is not locked.
        flash.extend_from_slice(&[0xFF; PAGE]);
        flash.extend_from_slice(&[0x5A; PAGE]);
        let places = [0, 3 * PAGE, 6 * PAGE, 7 * PAGE, 9 * PAGE];
        let found = locked(&flash, &places);
        let at: Vec<_> = found.iter().map(|partition| partition.place).collect();
        assert_eq!(at, [0, 3 * PAGE]);
        for partition in &found {
            assert!(partition.opens_with(&some_keys(1)));
            assert!(!partition.opens_with(&some_keys(2)));
        }
        // One entry that is damaged does not hide whose it is.
        flash[64] ^= 1;
        assert!(locked(&flash, &[0])[0].opens_with(&some_keys(1)));
    }

    #[test]
    fn keys_are_known_by_their_length_and_their_sum() {
        let own = some_keys(3);
        let mut partition = Vec::new();
        append_keys(&own, &mut partition);
        let mut longer = partition.clone();
        longer.extend_from_slice(&[0xFF; PAGE]);
        for octets in [&partition[..], &longer, own.octets()] {
            assert_eq!(keys(octets).unwrap().octets(), own.octets());
        }
        let made = Keys::from_hmac_key(&[5; 32]);
        assert_eq!(keys(&[5; 32]).unwrap().octets(), made.octets());
        assert_eq!(
            keys(&[5; 64]).unwrap_err(),
            NoKeys::Damaged(KeysError::SameHalves)
        );
        assert_eq!(keys(&[5; 33]).unwrap_err(), NoKeys::Length { octets: 33 });
        partition[70] ^= 1;
        assert_eq!(keys(&partition).unwrap_err(), NoKeys::Damaged(KeysError::Damaged));
        assert_eq!(keys_within(&longer, &[0, 5, PAGE, 9 * PAGE]).len(), 1);
    }
}
