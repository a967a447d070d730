//! The report: what was measured, where, and with what.

use std::error::Error;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::plan::Plan;
use super::{BenchError, Machine, Options, Part, Rate, Scratch, bare};
use crate::batch::Layout;
use crate::profile::{KeyType, rfc3339};

/// What a report says of itself, so that nothing else is taken for one.
const FORMAT: &str = "certforge bench 1";

/// All that was measured in one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Always `certforge bench 1`.
    pub format: String,
    /// Version of certforge.
    pub certforge: String,
    /// Whether the compiler optimised it.
    pub optimised: bool,
    /// When it began, RFC 3339.
    pub date: String,
    pub machine: Machine,
    pub engines: Vec<EngineReport>,
    pub settings: Settings,
    pub place: Place,
    pub measures: Vec<Measure>,
    /// Whether runs of one thread were left out, because no thread can be held to one processor here.
    #[serde(default)]
    pub has_left_out_runs: bool,
    /// The most memory that was resident, up to the end of the last end-to-end run.
    pub peak_memory_octets: Option<u64>,
}

/// An engine on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineReport {
    pub engine: String,
    /// The library beneath, by name and version.
    pub library: String,
    /// Why it was left out; `None` when it was measured.
    pub left_out: Option<String>,
}

/// What rates depend on beside the machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    pub parts: Vec<Part>,
    /// Threads of the second figure of each measure.
    pub jobs: usize,
    /// Of each measure.
    pub seconds: f64,
    /// Of an end-to-end run with EC keys.
    pub rows: u64,
    /// Of one with RSA keys.
    pub rsa_rows: u64,
    pub layouts: Vec<Layout>,
    pub discard: bool,
}

/// Where manifests, ledgers and bundles were written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub folder: PathBuf,
    /// Such as `tmpfs`; `None` where nobody tells.
    pub file_system: Option<String>,
}

/// What a rate is one of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// Key pairs by the bare library, neither encoded nor kept.
    LibraryKeys,
    /// Signatures by the bare library.
    LibrarySignatures,
    /// Key pairs by an engine, as PKCS#8.
    Keys,
    /// Signatures by an engine.
    Signatures,
    /// Keys with certificates: stamped, linted, signed.
    Certificates,
    /// Bundles, and all else that is stored of a chunk.
    Bundles,
    /// Octets through SHA-256, in pieces of 4 KiB.
    Sha256,
    /// Rows committed to the ledger.
    LedgerRows,
    /// Devices from manifest to sealed bundles.
    Devices,
    /// Octets of such a batch, written plainly and synced.
    PlainOctets,
}

/// A rate, and what it is held against.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    pub quantity: Quantity,
    pub engine: Option<String>,
    pub key_type: Option<KeyType>,
    pub layout: Option<Layout>,
    /// Threads that worked. A run with one was held to one processor, its other threads too.
    pub threads: usize,
    #[serde(flatten)]
    pub rate: Rate,
    /// The limit: what the library's own functions do with as many threads, in the same run; of certificates, bundles
    /// and devices, which need a key and a signature each, 1/(1/keys + 1/signatures). An engine may pass it, when it
    /// does itself, and faster, what a function of the library does around its arithmetic.
    pub limit_per_second: Option<f64>,
    /// The rate as a part of the limit.
    pub share_of_limit: Option<f64>,
    /// Octets of the batch of an end-to-end run.
    pub octets: Option<u64>,
    /// How long its octets alone take to be written, as a part of how long the run took.
    pub share_of_plain_writes: Option<f64>,
}

impl Measure {
    /// A rate that is held against nothing yet.
    pub(super) fn new(quantity: Quantity, threads: usize, rate: Rate) -> Self {
        Self {
            quantity,
            engine: None,
            key_type: None,
            layout: None,
            threads,
            rate,
            limit_per_second: None,
            share_of_limit: None,
            octets: None,
            share_of_plain_writes: None,
        }
    }

    /// Whether both are rates of the same, on whatever machine.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.quantity == other.quantity && self.layout == other.layout && self.is_beside(other)
    }

    /// Whether both are of one engine, with one key type and as many threads.
    fn is_beside(&self, other: &Self) -> bool {
        self.engine == other.engine && self.key_type == other.key_type && self.threads == other.threads
    }
}

impl Report {
    pub(super) fn new(options: &Options, plan: &Plan, scratch: &Scratch) -> Self {
        let measured = plan.engines.iter().map(|engine| EngineReport {
            engine: engine.name().to_owned(),
            library: bare::library(*engine),
            left_out: None,
        });
        let left_out = plan.left_out.iter().map(|(engine, error)| EngineReport {
            engine: engine.name().to_owned(),
            library: bare::library(*engine),
            left_out: Some(
                error
                    .source()
                    .map_or_else(|| error.to_string(), ToString::to_string),
            ),
        });
        Self {
            format: FORMAT.to_owned(),
            certforge: env!("CARGO_PKG_VERSION").to_owned(),
            optimised: !cfg!(debug_assertions),
            date: rfc3339(OffsetDateTime::now_utc()),
            machine: Machine::this(),
            engines: measured.chain(left_out).collect(),
            settings: Settings {
                parts: options.parts.clone(),
                jobs: options.jobs,
                seconds: options.time().as_secs_f64(),
                rows: options.rows(KeyType::P256),
                rsa_rows: options.rows(KeyType::Rsa2048),
                layouts: options.layouts(),
                discard: options.discard,
            },
            place: Place {
                folder: options.to.clone(),
                file_system: scratch.file_system(),
            },
            measures: Vec::new(),
            has_left_out_runs: false,
            peak_memory_octets: None,
        }
    }

    /// Takes the measures of a step, and holds each against what was measured with it or before.
    pub(super) fn add(&mut self, measures: Vec<Measure>) {
        let first = self.measures.len();
        self.measures.extend(measures);
        for i in first..self.measures.len() {
            let measure = &self.measures[i];
            let limit = self.limit(measure);
            let plain = self.plain_seconds(measure);
            let measure = &mut self.measures[i];
            measure.limit_per_second = limit;
            measure.share_of_limit = limit.map(|limit| measure.rate.per_second / limit);
            measure.share_of_plain_writes = plain;
        }
    }

    fn beside(&self, measure: &Measure, quantity: Quantity) -> Option<f64> {
        let is_it = |other: &&Measure| other.quantity == quantity && other.is_beside(measure);
        self.measures
            .iter()
            .find(is_it)
            .map(|other| other.rate.per_second)
    }

    fn limit(&self, measure: &Measure) -> Option<f64> {
        let keys = || self.beside(measure, Quantity::LibraryKeys);
        let signatures = || self.beside(measure, Quantity::LibrarySignatures);
        match measure.quantity {
            Quantity::Keys => keys(),
            Quantity::Signatures => signatures(),
            Quantity::Certificates | Quantity::Bundles | Quantity::Devices => {
                Some(1.0 / (1.0 / keys()? + 1.0 / signatures()?))
            }
            _ => None,
        }
    }

    /// The seconds that a run's octets take when they are written plainly, as a part of the run's own.
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    fn plain_seconds(&self, run: &Measure) -> Option<f64> {
        let is_its = |other: &&Measure| {
            other.quantity == Quantity::PlainOctets && other.layout == run.layout && other.is_beside(run)
        };
        let plain = self.measures.iter().find(is_its)?;
        if run.quantity != Quantity::Devices {
            return None;
        }
        let devices = run.rate.made as f64 / run.rate.rounds as f64;
        let run_seconds = devices / run.rate.per_second;
        Some(plain.octets? as f64 / plain.rate.per_second / run_seconds)
    }

    /// Reads a report that `certforge bench --json` wrote.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or is none.
    pub fn read(path: &Path) -> Result<Self, BenchError> {
        let text = std::fs::read(path).map_err(|source| BenchError::ReadReport {
            path: path.to_owned(),
            source,
        })?;
        let not_report = |source| BenchError::NotReport {
            path: path.to_owned(),
            source,
        };
        // The format first: what another version wrote may differ in anything else.
        let stated: Stated = serde_json::from_slice(&text).map_err(not_report)?;
        if stated.format != FORMAT {
            return Err(BenchError::Format {
                path: path.to_owned(),
                found: stated.format,
                known: FORMAT,
            });
        }
        serde_json::from_slice(&text).map_err(not_report)
    }
}

#[derive(Deserialize)]
struct Stated {
    format: String,
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn rate(per_second: f64) -> Rate {
        Rate {
            per_second,
            lowest_per_second: per_second,
            highest_per_second: per_second,
            rounds: 1,
            made: 1000,
        }
    }

    pub fn measure(quantity: Quantity, threads: usize, per_second: f64) -> Measure {
        Measure {
            engine: Some("ring".to_owned()),
            key_type: Some(KeyType::P256),
            ..Measure::new(quantity, threads, rate(per_second))
        }
    }

    pub fn report() -> Report {
        let place = tempfile::tempdir().unwrap();
        let options = Options::default();
        let plan = Plan::new(&options).unwrap();
        Report::new(&options, &plan, &Scratch::new(place.path()).unwrap())
    }

    #[test]
    fn certificates_are_held_against_a_key_and_a_signature() {
        let mut report = report();
        report.add(vec![
            measure(Quantity::LibraryKeys, 1, 300.0),
            measure(Quantity::LibrarySignatures, 1, 600.0),
            measure(Quantity::Keys, 1, 150.0),
            measure(Quantity::Certificates, 1, 100.0),
            measure(Quantity::Certificates, 2, 100.0),
        ]);
        let share = |i: usize| report.measures[i].share_of_limit;
        let is = |share: Option<f64>| share.is_some_and(|share| (share - 0.5).abs() < 1e-9);
        assert!(is(share(2)) && is(share(3)), "{:?}", report.measures);
        assert_eq!(share(4), None, "nothing was measured with two threads");
        assert_eq!(share(0), None);
    }

    #[test]
    fn a_run_is_held_against_its_octets_written_plainly() {
        let mut report = report();
        // 1000 devices of 4 octets: 10 s, and 2 s for their octets alone.
        let run = Measure {
            octets: Some(4000),
            ..measure(Quantity::Devices, 2, 100.0)
        };
        let plain = Measure {
            octets: Some(4000),
            ..measure(Quantity::PlainOctets, 2, 2000.0)
        };
        report.add(vec![run, plain]);
        let share = report.measures[0].share_of_plain_writes.unwrap();
        assert!((share - 0.2).abs() < 1e-9);
        assert_eq!(report.measures[1].share_of_plain_writes, None);
    }

    #[test]
    fn reads_what_it_wrote_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("bench.json");
        assert!(matches!(Report::read(&path), Err(BenchError::ReadReport { .. })));
        let mut report = report();
        report.add(vec![measure(Quantity::Keys, 1, 0.5)]);
        std::fs::write(&path, serde_json::to_vec(&report).unwrap()).unwrap();
        assert_eq!(Report::read(&path).unwrap(), report);
        for (text, is_format) in [
            ("{}", false),
            ("rate,1", false),
            (r#"{"format": "certforge bench 2"}"#, true),
            (r#"{"format": "certforge bench 1"}"#, false),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Report::read(&path).unwrap_err();
            assert_eq!(matches!(error, BenchError::Format { .. }), is_format, "{text}");
            assert_eq!(
                matches!(error, BenchError::NotReport { .. }),
                !is_format,
                "{text}"
            );
        }
    }
}
