//! Devices that were issued before: found row by row, in the chunks that have one.

use std::collections::BTreeMap;

use super::check::{Findings, check, check_and_ask, on_id};
use super::{ForgeError, batch_name};
use crate::issuer::CaCertificate;
use crate::ledger::{Ledger, LedgerError};
use crate::manifest::{Bookmark, Issued, Manifest, Problem, Problems, Reason};
use crate::profile::Binding;

/// What a check asks beside the manifest itself.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    pub ledger: &'a dyn Ledger,
    pub issuer: &'a CaCertificate,
    /// Name of the batch, whose devices have been issued by right. `None`: the one that a run gives it.
    pub batch: Option<&'a str>,
}

/// Checks a manifest, and finds every row of it whose device the issuer has issued in another batch. Returns how many
/// lines that are, which are among the bad ones.
///
/// # Errors
///
/// When manifest or ledger cannot be read.
pub fn check_against(
    manifest: &Manifest,
    binding: &Binding,
    chunk_rows: usize,
    asked: Option<Asked<'_>>,
) -> Result<(Findings, u64), ForgeError> {
    let Some(asked) = asked else {
        return Ok((check(manifest, binding, chunk_rows)?, 0));
    };
    let of = (asked.ledger, asked.issuer);
    let (mut findings, chunks) = check_and_ask(manifest, binding, chunk_rows, of)?;
    let batch = batch_name(asked.batch, manifest, &findings.sha256)?;
    let (mut problems, mut lines) = (Problems::default(), 0);
    each_issued(manifest, of, &batch, &chunks, &mut |row_is_good, problem| {
        lines += 1;
        findings.bad_lines += u64::from(row_is_good(binding));
        problems.extend([problem]);
    })?;
    findings.problems.merge(problems);
    Ok((findings, lines))
}

/// Refuses a manifest of which another ledger than the batch's own has issued a device, in a batch of another name.
///
/// # Errors
///
/// [`ForgeError::Issued`]; or when manifest or ledger cannot be read.
pub fn refuse_issued_by(
    manifest: &Manifest,
    binding: &Binding,
    chunk_rows: usize,
    asked: Asked<'_>,
) -> Result<(), ForgeError> {
    let of = (asked.ledger, asked.issuer);
    let (findings, chunks) = check_and_ask(manifest, binding, chunk_rows, of)?;
    let batch = batch_name(asked.batch, manifest, &findings.sha256)?;
    match issued_before(manifest, of, &batch, &chunks)? {
        None => Ok(()),
        Some((first, lines)) => Err(ForgeError::Issued {
            path: manifest.path().to_owned(),
            first,
            lines,
        }),
    }
}

/// The first row of these chunks whose device was issued before, by the same issuer, in a batch of another name, and how
/// many there are.
pub(super) fn issued_before(
    manifest: &Manifest,
    of: (&dyn Ledger, &CaCertificate),
    batch: &str,
    chunks: &[Bookmark],
) -> Result<Option<(Problem, usize)>, ForgeError> {
    let mut found: Option<(Problem, usize)> = None;
    each_issued(manifest, of, batch, chunks, &mut |_, problem| {
        found.get_or_insert((problem, 0)).1 += 1;
    })?;
    Ok(found)
}

/// Gets each problem, and what tells whether nothing else is wrong with its row.
type Visit<'a> = &'a mut dyn FnMut(&dyn Fn(&Binding) -> bool, Problem);

fn each_issued(
    manifest: &Manifest,
    (ledger, issuer): (&dyn Ledger, &CaCertificate),
    batch: &str,
    chunks: &[Bookmark],
    visit: Visit<'_>,
) -> Result<(), ForgeError> {
    if chunks.is_empty() {
        return Ok(());
    }
    let mut begun = BTreeMap::new();
    let mut file = manifest.reread()?;
    for bookmark in chunks {
        let (rows, _) = manifest.parse_again(&file.block(bookmark)?)?;
        let ids: Vec<&str> = rows.iter().map(|row| row.device_id.as_str()).collect();
        let issued = ledger.issued_in(issuer, &ids, batch)?;
        for (row, other) in rows.iter().zip(issued) {
            let Some(batch) = other else { continue };
            let begun = match begun.get(&batch) {
                Some(at) => at,
                None => begun.entry(batch.clone()).or_insert(begun_at(ledger, &batch)?),
            };
            let begun = begun.clone();
            visit(
                &|binding| binding.problems(row).is_empty(),
                on_id(manifest, row, Reason::Issued(Box::new(Issued { batch, begun }))),
            );
        }
    }
    Ok(())
}

fn begun_at(ledger: &dyn Ledger, batch: &str) -> Result<String, LedgerError> {
    let status = ledger.status(Some(batch))?;
    Ok(status
        .into_iter()
        .next()
        .map(|status| status.created_at)
        .unwrap_or_default())
}
