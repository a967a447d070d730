//! Generations: the bundles of a batch made anew around the same keys and certificates, for another endpoint or other
//! recipients.
//!
//! ```text
//!   generations/<N>/seal.json              its seal, which names its predecessor's; only one can ever be put there
//!   generations/<N>/<attempt>/             batch.json, shared.zip, packs/ or bundles/, index/, lookup/: as those of the batch
//! ```
//!
//! Whoever makes a generation has a folder of his own, by the name of his attempt; the seal says whose counts. Claims,
//! reports, certificates and withdrawal stay where they are, and count for all generations.

use std::fmt;

use super::{BATCH_OBJECT, INDEXES, SEAL_OBJECT, SHARED_OBJECT};

/// Folder of the generations of a batch but for the first, which is the batch's own.
pub const GENERATIONS: &str = "generations/";

/// Where a generation lies in its batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenerationFolder {
    number: u32,
    attempt: String,
}

impl GenerationFolder {
    /// Of a generation, counted from 1, that an attempt makes: 1 to 32 hexadecimal digits. `None` when it is no such name.
    #[must_use]
    pub fn new(number: u32, attempt: &str) -> Option<Self> {
        let is_digit = |octet: u8| octet.is_ascii_digit() || (b'a'..=b'f').contains(&octet);
        let is_name = (1..=32).contains(&attempt.len()) && attempt.bytes().all(is_digit);
        (number > 0 && is_name).then(|| Self {
            number,
            attempt: attempt.to_owned(),
        })
    }

    /// Counted from 1; the batch's own bundles are generation 0.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Whose attempt it is.
    #[must_use]
    pub fn attempt(&self) -> &str {
        &self.attempt
    }

    /// The object of the batch that stands for one that the generation has of its own: others are the batch's.
    #[must_use]
    pub fn object(&self, name: &str) -> String {
        if name == SEAL_OBJECT {
            return generation_seal(self.number);
        }
        match is_own(name) {
            true => format!("{self}{name}"),
            false => name.to_owned(),
        }
    }

    /// What an object of the batch is called in the generation; `None` when it belongs to another one.
    #[must_use]
    pub fn name_of<'a>(&self, object: &'a str) -> Option<&'a str> {
        if object == generation_seal(self.number) {
            return Some(SEAL_OBJECT);
        }
        match object.strip_prefix(&self.to_string()) {
            Some(name) => is_own(name).then_some(name),
            None if object.starts_with(GENERATIONS) || object == SEAL_OBJECT || is_own(object) => None,
            None => Some(object),
        }
    }
}

/// The folder, with `/` at its end.
impl fmt::Display for GenerationFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{GENERATIONS}{}/{}/", self.number, self.attempt)
    }
}

/// The seal of a generation, counted from 1.
#[must_use]
pub fn generation_seal(number: u32) -> String {
    format!("{GENERATIONS}{number}/{SEAL_OBJECT}")
}

/// Whether a generation has an object of its own under this name, or a folder of such.
fn is_own(name: &str) -> bool {
    let is_of_own_folder = || {
        let folders = [INDEXES, "lookup/"];
        let bundles = super::BUNDLE_FOLDERS.into_iter();
        bundles.chain(folders).any(|folder| name.starts_with(folder))
    };
    name == BATCH_OBJECT || name == SHARED_OBJECT || is_of_own_folder()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_generations_own_lies_in_its_folder_and_the_rest_is_the_batchs() {
        let folder = GenerationFolder::new(2, "0badcafe").unwrap();
        for (name, object) in [
            ("seal.json", "generations/2/seal.json"),
            ("batch.json", "generations/2/0badcafe/batch.json"),
            ("packs/000000.zip", "generations/2/0badcafe/packs/000000.zip"),
            ("bundles/", "generations/2/0badcafe/bundles/"),
            ("index/000001.csv", "generations/2/0badcafe/index/000001.csv"),
            ("lookup/000000.csv", "generations/2/0badcafe/lookup/000000.csv"),
            ("claims/000000/SN1.json", "claims/000000/SN1.json"),
            ("certificates/000000.pem", "certificates/000000.pem"),
            ("withdrawn.json", "withdrawn.json"),
            ("flashed/", "flashed/"),
        ] {
            assert_eq!(folder.object(name), object);
            assert_eq!(folder.name_of(object), Some(name), "{object}");
        }
        for others in [
            "seal.json",
            "batch.json",
            "packs/000000.zip",
            "index/000000.csv",
            "generations/1/seal.json",
            "generations/2/0badcaff/batch.json",
            "generations/2/0badcafe/claims/000000/SN1.json",
        ] {
            assert_eq!(folder.name_of(others), None, "{others}");
        }
    }

    #[test]
    fn an_attempt_is_named_by_digits_alone() {
        for attempt in ["", "..", "a/b", "A", "g", &"0".repeat(33)] {
            assert_eq!(GenerationFolder::new(1, attempt), None, "{attempt}");
        }
        assert_eq!(GenerationFolder::new(0, "a"), None);
    }
}
