//! What is drawn for each device beside its key: secrets that one file is locked with, and another one delivers.

/// A secret of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Drawn {
    /// The password of a PKCS#12 file: letters and digits.
    Pkcs12Password,
    /// The two keys by which an NVS partition is encrypted (XTS-AES-256).
    NvsKeys,
    /// The HMAC key in a device's eFuses, of which it makes those two keys itself.
    NvsHmacKey,
    /// The HMAC key in the eFuses of a chip with the DS peripheral.
    HmacKey,
}

impl Drawn {
    pub const ALL: [Self; 4] = [
        Self::Pkcs12Password,
        Self::NvsKeys,
        Self::NvsHmacKey,
        Self::HmacKey,
    ];

    /// What profiles call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pkcs12Password => "pkcs12-password",
            Self::NvsKeys => "nvs-keys",
            Self::NvsHmacKey => "nvs-hmac-key",
            Self::HmacKey => "hmac-key",
        }
    }

    /// Octets of it.
    #[must_use]
    pub fn octets(self) -> usize {
        match self {
            // 120 bits.
            Self::Pkcs12Password => 24,
            Self::NvsKeys => 64,
            Self::NvsHmacKey | Self::HmacKey => 32,
        }
    }

    /// Makes random octets such a secret, in their place.
    pub(super) fn shape(self, octets: &mut [u8]) {
        /// None is taken for another, whoever types them.
        const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
        if self == Self::Pkcs12Password {
            for octet in octets {
                *octet = LETTERS[usize::from(*octet & 31)];
            }
        }
    }
}

/// The secrets of one device, as far as they are known.
#[derive(Clone, Copy, Default)]
pub struct Secrets<'a>([Option<&'a [u8]>; Drawn::ALL.len()]);

impl<'a> Secrets<'a> {
    #[must_use]
    pub fn of(&self, drawn: Drawn) -> Option<&'a [u8]> {
        self.0[drawn as usize]
    }

    /// Takes one that was found.
    pub fn set(&mut self, drawn: Drawn, octets: &'a [u8]) {
        self.0[drawn as usize] = Some(octets);
    }
}

impl std::fmt::Debug for Secrets<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(elided)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_letters_and_digits_and_each_is_as_likely() {
        let mut octets: Vec<u8> = (0..=255).collect();
        Drawn::Pkcs12Password.shape(&mut octets);
        assert!(octets.iter().all(u8::is_ascii_alphanumeric));
        let mut counts = std::collections::BTreeMap::new();
        for octet in octets {
            *counts.entry(octet).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 32);
        assert!(counts.values().all(|count| *count == 8));
    }

    #[test]
    fn each_has_a_place_of_its_own() {
        let mut secrets = Secrets::default();
        for (i, drawn) in Drawn::ALL.into_iter().enumerate() {
            assert_eq!(drawn as usize, i);
            assert!(secrets.of(drawn).is_none());
            secrets.set(drawn, &[7]);
            assert_eq!(secrets.of(drawn), Some(&[7][..]));
        }
    }
}
