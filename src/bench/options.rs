//! What shall be measured, how long, and with what.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::batch::Layout;
use crate::engine::Choice;
use crate::profile::KeyType;

/// What shall be measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Engines, each of which must work here. Default: none named, which is all that work here.
    pub engines: Vec<Choice>,
    /// Types of device keys and of the CA's key. Default: none named, which is keys and signatures of P-256 and P-384,
    /// keys of RSA-2048 and RSA-3072, and everything else of P-256.
    pub key_types: Vec<KeyType>,
    /// Folder for what is written: manifests, ledgers, bundles. Default: the system's for temporary files.
    pub to: PathBuf,
    pub settings: Settings,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            engines: Vec::new(),
            key_types: Vec::new(),
            to: std::env::temp_dir(),
            settings: Settings::new(false, false),
        }
    }
}

/// What rates depend on beside the machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// What to measure. Default: all of it.
    pub parts: Vec<Part>,
    /// Threads of the second figure of each measure; the first is of one. Default: one a core.
    pub jobs: usize,
    /// Of each measure. Default: 0.3, or 0.05 for a rough answer.
    pub seconds: f64,
    /// Rows of the manifest of an end-to-end run with EC keys. Default: 20,000, or 8,000 for a rough answer.
    pub rows: u64,
    /// Of one with RSA keys. Default: 64, or 8 for a rough answer.
    pub rsa_rows: u64,
    /// Of the end-to-end runs. Default: both; packs alone for a rough answer, or where bundles are discarded.
    pub layouts: Vec<Layout>,
    /// Whether bundles go to a store that forgets them. The manifest and the ledger are written in any case.
    pub discard: bool,
}

impl Settings {
    /// The defaults, for a rough answer or a good one.
    #[must_use]
    pub fn new(quick: bool, discard: bool) -> Self {
        let (seconds, rows, rsa_rows) = if quick {
            (0.05, 8_000, 8)
        } else {
            (0.3, 20_000, 64)
        };
        let mut layouts = vec![Layout::Packs];
        // A store that forgets them makes no difference between the two; a file for each takes long.
        if !(quick || discard) {
            layouts.push(Layout::Objects);
        }
        Self {
            parts: Part::ALL.map(|(_, part)| part).to_vec(),
            jobs: std::thread::available_parallelism().map_or(1, usize::from),
            seconds,
            rows,
            rsa_rows,
            layouts,
            discard,
        }
    }

    pub(super) fn time(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    pub(super) fn rows_of(&self, key_type: KeyType) -> u64 {
        if key_type.is_rsa() {
            self.rsa_rows
        } else {
            self.rows
        }
    }

    pub(super) fn has(&self, part: Part) -> bool {
        self.parts.contains(&part)
    }

    /// Numbers of threads, one first.
    pub(super) fn threads(&self) -> Vec<usize> {
        match self.jobs {
            0 | 1 => vec![1],
            jobs => vec![1, jobs],
        }
    }
}

/// What can be measured by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Key pairs, as PKCS#8.
    Keys,
    /// Signatures over a TBSCertificate.
    Signatures,
    /// Key, and certificate: stamped, linted, signed.
    Certificates,
    /// The same, packaged: all that a run stores of a chunk.
    Bundles,
    /// Octets through SHA-256.
    Sha256,
    /// Rows committed to the ledger.
    Ledger,
    /// The whole: manifest to sealed bundles.
    Run,
}

impl Part {
    pub const ALL: [(&str, Self); 7] = [
        ("keys", Self::Keys),
        ("signatures", Self::Signatures),
        ("certificates", Self::Certificates),
        ("bundles", Self::Bundles),
        ("sha256", Self::Sha256),
        ("ledger", Self::Ledger),
        ("run", Self::Run),
    ];
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let part = Self::ALL.into_iter().find(|(name, _)| *name == text);
        part.map(|(_, part)| part).ok_or_else(|| {
            let names = Self::ALL.map(|(name, _)| name).join(", ");
            format!("there is no such part; there are {names}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_named_as_json_names_them() {
        for (name, part) in Part::ALL {
            assert_eq!(name.parse(), Ok(part));
            assert_eq!(serde_json::to_value(part).unwrap(), name);
        }
        assert!("key".parse::<Part>().unwrap_err().ends_with("ledger, run"));
    }

    #[test]
    fn one_thread_is_measured_once() {
        let with = |jobs| Settings {
            jobs,
            ..Settings::new(false, false)
        };
        assert_eq!(with(1).threads(), [1]);
        assert_eq!(with(8).threads(), [1, 8]);
    }
}
