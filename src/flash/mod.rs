//! Flash that was read back from a device: which certificates are in it, and whether what lies at a place is what was released.
//!
//! Images are compared octet for octet, and nothing in them is interpreted: what a device takes for the same is another image here.
//! NVS that is encrypted is opened by its keys only to find out whose it is.
//! Pure: no disk, clock or network.

mod nvs;

pub use nvs::{Locked, NoKeys, certificate_ids_within, keys, keys_within, locked};

use crate::digest::sha256;

/// Octets that flash is erased by, and that partitions begin at multiples of.
pub const SECTOR: usize = 4096;

/// Octets of the longest certificate that is looked for.
const LONGEST: usize = 16 * 1024;

const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
const END: &[u8] = b"-----END CERTIFICATE-----";

/// A file of a bundle that is flashed as it is.
pub struct Released {
    pub name: String,
    /// Of its file.
    pub format: String,
    pub octets: zeroize::Zeroizing<Vec<u8>>,
}

/// What lies at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// This file, and erased flash behind it.
    Same { file: usize },
    /// This file to begin with, which another octet follows: the first, counted from the beginning of the flash.
    Differs { file: usize, at: usize },
    /// The flash ends within this file.
    Cut { file: usize, at: usize },
    /// Nothing that begins as any of the files.
    Other,
}

/// The SHA-256 of all that may be a certificate, PEM or DER, in the order in which it is looked for: from each of these places on, as
/// far as the flash goes.
#[must_use]
pub fn certificate_ids(flash: &[u8], places: &[usize]) -> Vec<[u8; 32]> {
    let mut ids = Vec::new();
    for place in places {
        let Some(flash) = flash.get(*place..) else {
            continue;
        };
        for at in 0..flash.len() {
            if let Some(id) = certificate_id(&flash[at..])
                && !ids.contains(&id)
            {
                ids.push(id);
            }
        }
    }
    ids
}

/// The SHA-256 of the DER of the certificate that begins here.
fn certificate_id(octets: &[u8]) -> Option<[u8; 32]> {
    match octets {
        // A SEQUENCE of 256 octets or more, which begins with another one.
        [0x30, 0x82, high, low, 0x30, 0x82, ..] => {
            let len = 4 + usize::from(u16::from_be_bytes([*high, *low]));
            (len <= LONGEST).then_some(())?;
            octets.get(..len).map(sha256)
        }
        [b'-', ..] => {
            let rest = octets.strip_prefix(BEGIN)?;
            let within = &rest[..rest.len().min(2 * LONGEST)];
            let end = within.windows(END.len()).position(|window| window == END)?;
            let is_digit = |octet: &u8| !octet.is_ascii_whitespace();
            let digits: Vec<u8> = within[..end].iter().copied().filter(is_digit).collect();
            let der = data_encoding::BASE64.decode(&digits).ok()?;
            Some(sha256(&der))
        }
        _ => None,
    }
}

/// What lies at a place. `is_partition`: the flash ends with the partition, so that all behind the file is erased; if not, no more
/// than the sector in which the file ends is known to be.
#[must_use]
pub fn compare(flash: &[u8], place: usize, is_partition: bool, files: &[Released]) -> Found {
    let octets = flash.get(place..).unwrap_or_default();
    let alike = |file: &Released| {
        let pairs = octets.iter().zip(file.octets.iter());
        pairs.take_while(|(found, released)| found == released).count()
    };
    let best = files
        .iter()
        .map(alike)
        .enumerate()
        .max_by_key(|(_, alike)| *alike);
    let Some((file, alike)) = best.filter(|(_, alike)| *alike > 0) else {
        return Found::Other;
    };
    let len = files[file].octets.len();
    let at = place + alike;
    if alike < len {
        return match octets.len() == alike {
            true => Found::Cut { file, at },
            false => Found::Differs { file, at },
        };
    }
    let end = match is_partition {
        true => octets.len(),
        false => octets.len().min(len.next_multiple_of(SECTOR)),
    };
    match octets[len..end].iter().position(|octet| *octet != 0xFF) {
        Some(more) => Found::Differs { file, at: at + more },
        None => Found::Same { file },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pem;

    fn file(name: &str, octets: &[u8]) -> Released {
        Released {
            name: name.to_owned(),
            format: "nvs".to_owned(),
            octets: octets.to_vec().into(),
        }
    }

    #[test]
    fn certificates_are_found_as_pem_and_as_der_from_each_place_on() {
        let der = |fill: u8| {
            let mut der = vec![0x30, 0x82, 1, 4, 0x30, 0x82, 1, 0];
            der.resize(264, fill);
            der
        };
        let mut flash = vec![0xFF; 300];
        flash.extend_from_slice(&der(1));
        flash.extend_from_slice(b"----------BEGIN -----BEGIN CERTIFICATE-----\n?");
        let second = flash.len();
        pem::append_certificate(&der(2), &mut flash);
        flash.extend_from_slice(&der(3)[..263]);
        let ids = [1, 2].map(|fill| sha256(&der(fill)));
        assert_eq!(certificate_ids(&flash, &[0]), ids);
        assert_eq!(certificate_ids(&flash, &[second, 0]), [ids[1], ids[0]]);
        assert!(certificate_ids(&flash, &[flash.len() + 1]).is_empty());
    }

    #[test]
    fn what_lies_at_a_place_is_the_file_that_it_is_most_like() {
        let files = [file("a", b"\xAA\xBBfirst"), file("b", b"\xAA\xBBsecond")];
        let mut flash = vec![0xFF; 2 * SECTOR];
        flash[SECTOR..SECTOR + 8].copy_from_slice(b"\xAA\xBBsecond");
        assert_eq!(compare(&flash, SECTOR, true, &files), Found::Same { file: 1 });
        assert_eq!(compare(&flash, 0, true, &files), Found::Other);
        assert_eq!(compare(&flash, 3 * SECTOR, true, &files), Found::Other);
        let cut = Found::Cut {
            file: 1,
            at: SECTOR + 5,
        };
        assert_eq!(compare(&flash[..SECTOR + 5], SECTOR, true, &files), cut);
        flash[SECTOR + 4] ^= 1;
        let differs = |file, at| Found::Differs { file, at };
        assert_eq!(compare(&flash, SECTOR, true, &files), differs(1, SECTOR + 4));
    }

    #[test]
    fn what_is_behind_a_file_is_erased_as_far_as_it_can_be_known() {
        let files = [file("a", b"\xAA\xBB")];
        let mut flash = vec![0xFF; 2 * SECTOR];
        flash[..2].copy_from_slice(b"\xAA\xBB");
        flash[SECTOR] = 0;
        assert_eq!(compare(&flash, 0, false, &files), Found::Same { file: 0 });
        let differs = |at| Found::Differs { file: 0, at };
        assert_eq!(compare(&flash, 0, true, &files), differs(SECTOR));
        flash[SECTOR - 1] = 0;
        assert_eq!(compare(&flash, 0, false, &files), differs(SECTOR - 1));
        assert_eq!(compare(&flash[..2], 0, false, &files), Found::Same { file: 0 });
    }
}
