//! The check that comes before any certificate: every row, every fault, on all cores.
//!
//! Memory grows by 16 octets a row: the hash by which duplicates are found.

use std::collections::{BTreeSet, HashMap};

use rayon::prelude::*;

use crate::digest::{hash, repeated};
use crate::ledger::{EarlierIssues, LedgerError};
use crate::manifest::{Block, DeviceId, Manifest, ManifestError, Problem, Reason, Row};
use crate::profile::Binding;

/// Blocks that are parsed at a time.
const BLOCKS_AT_A_TIME: usize = 16;

/// What a manifest holds, and what is wrong with it.
#[derive(Debug)]
pub struct Report {
    /// Rows, the bad ones among them.
    pub rows: u64,
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
    /// In line order.
    pub problems: Vec<Problem>,
    /// A fingerprint of each chunk, by which the second reading is held to the first.
    pub fingerprints: Vec<[u8; 16]>,
    /// The first good row.
    pub specimen: Option<Row>,
}

/// A manifest without a fault.
#[derive(Debug)]
pub struct Accepted {
    pub rows: u64,
    pub sha256: [u8; 32],
    pub fingerprints: Vec<[u8; 16]>,
    pub specimen: Row,
}

impl Report {
    /// Lines with a fault or more.
    #[must_use]
    pub fn bad_lines(&self) -> usize {
        self.problems.chunk_by(|one, next| one.line == next.line).count()
    }

    /// The manifest, if nothing is wrong with it.
    ///
    /// # Errors
    ///
    /// [`ManifestError::BadLines`] otherwise.
    pub fn accept(self, manifest: &Manifest) -> Result<Accepted, ManifestError> {
        let bad_lines = self.bad_lines();
        match (self.problems.into_iter().next(), self.specimen) {
            (Some(first), _) => Err(ManifestError::BadLines {
                path: manifest.path().to_owned(),
                first,
                bad_lines,
            }),
            (None, None) => Err(ManifestError::NoRows {
                path: manifest.path().to_owned(),
            }),
            (None, Some(specimen)) => Ok(Accepted {
                rows: self.rows,
                sha256: self.sha256,
                fingerprints: self.fingerprints,
                specimen,
            }),
        }
    }
}

/// Reads the whole manifest and finds everything that keeps a row from becoming a bundle.
///
/// # Errors
///
/// When the file cannot be read or has no rows. Bad rows are no error: they are in the report.
pub fn check(manifest: &Manifest, binding: &Binding, chunk_rows: usize) -> Result<Report, ManifestError> {
    let mut blocks = manifest.blocks(chunk_rows)?;
    let mut report = Report {
        rows: 0,
        sha256: [0; 32],
        problems: Vec::new(),
        fingerprints: Vec::new(),
        specimen: None,
    };
    let mut hashes: Vec<u128> = Vec::new();
    loop {
        let window = blocks.next_blocks(BLOCKS_AT_A_TIME)?;
        if window.is_empty() {
            break;
        }
        let inspected: Vec<_> = window
            .par_iter()
            .map(|block| inspect(manifest, binding, block))
            .collect();
        for (block, inspected) in window.iter().zip(inspected) {
            report.rows += block.rows() as u64;
            report.fingerprints.push(inspected.fingerprint);
            report.problems.extend(inspected.problems);
            report.specimen = report.specimen.or(inspected.specimen);
            hashes.extend(inspected.hashes);
        }
    }
    report.sha256 = blocks.finish();
    if report.rows == 0 {
        return Err(ManifestError::NoRows {
            path: manifest.path().to_owned(),
        });
    }
    report.problems.extend(duplicates(manifest, hashes)?);
    report.problems.sort_by_key(|problem| problem.line);
    Ok(report)
}

struct Inspected {
    fingerprint: [u8; 16],
    problems: Vec<Problem>,
    specimen: Option<Row>,
    hashes: Vec<u128>,
}

fn inspect(manifest: &Manifest, binding: &Binding, block: &Block) -> Inspected {
    let (rows, mut problems) = manifest.parse(block);
    problems.extend(rows.iter().flat_map(|row| binding.problems(row)));
    Inspected {
        fingerprint: block.fingerprint(),
        problems,
        hashes: rows.iter().map(|row| hash(row.device_id.as_str())).collect(),
        specimen: rows.into_iter().next(),
    }
}

/// Every row whose id stands on an earlier line. The file is read again only when two hashes agree.
fn duplicates(manifest: &Manifest, hashes: Vec<u128>) -> Result<Vec<Problem>, ManifestError> {
    let twice = repeated(hashes);
    let mut problems = Vec::new();
    if twice.is_empty() {
        return Ok(problems);
    }
    let mut first_lines: HashMap<DeviceId, u64> = HashMap::new();
    let mut blocks = manifest.blocks(4096)?;
    while let Some(block) = blocks.next_block()? {
        let (rows, _) = manifest.parse(&block);
        for row in rows {
            if !twice.contains(&hash(row.device_id.as_str())) {
                continue;
            }
            match first_lines.get(&row.device_id) {
                None => {
                    first_lines.insert(row.device_id, row.line);
                }
                Some(&first_line) => problems.push(on_id(manifest, &row, Reason::Duplicate { first_line })),
            }
        }
    }
    Ok(problems)
}

fn on_id(manifest: &Manifest, row: &Row, reason: Reason) -> Problem {
    Problem {
        line: row.line,
        column: Some(manifest.id_column().to_owned()),
        value: Some(row.device_id.to_string()),
        reason,
    }
}

/// The rows whose device was issued before, by the same issuer, in another batch. The chunks that
/// are `done` are left out.
pub(super) fn issued_before(
    manifest: &Manifest,
    earlier: &EarlierIssues<'_>,
    chunk_rows: usize,
    done: &BTreeSet<u64>,
) -> Result<Vec<Problem>, IssuedBeforeError> {
    let mut problems = Vec::new();
    if earlier.is_empty() {
        return Ok(problems);
    }
    let mut blocks = manifest.blocks(chunk_rows)?;
    while let Some(block) = blocks.next_block()? {
        if done.contains(&block.number) {
            continue;
        }
        let (rows, _) = manifest.parse(&block);
        for row in rows {
            if let Some(batch) = earlier.of(row.device_id.as_str())? {
                problems.push(on_id(manifest, &row, Reason::Issued { batch }));
            }
        }
    }
    Ok(problems)
}

#[derive(Debug, thiserror::Error)]
pub(super) enum IssuedBeforeError {
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}
