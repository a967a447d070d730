//! The workbench: the pure stages of the forge by themselves, for whoever measures them.
//!
//! It is the very code that a run goes through. What comes out is thrown away: it is in no ledger, so nothing
//! of it may ever be used.

use super::plan::Plan;
use super::workshop::Workshop;
use super::{ForgeError, Job, check};
use crate::certificate::SerialPrefix;
use crate::manifest::Row;

/// What the workers of a batch share, without a batch.
pub struct Workbench<'a> {
    plan: Plan<'a>,
    prefix: SerialPrefix,
}

impl<'a> Workbench<'a> {
    /// Compiles what a run of this job would compile, and checks its manifest.
    ///
    /// # Errors
    ///
    /// What a run would find wrong so far.
    pub fn new(job: &Job<'a>) -> Result<Self, ForgeError> {
        let mut plan = Plan::new(job)?;
        let report = check(job.manifest, &plan.binding, job.chunk_rows())?;
        plan.lint_specimen(&report.accept(job.manifest)?.specimen)?;
        let prefix = SerialPrefix::draw(plan.key_engine)?;
        Ok(Self { plan, prefix })
    }

    /// A worker, for one thread.
    #[must_use]
    pub fn worker(&self) -> Worker<'_> {
        Worker {
            workshop: Workshop::new(&self.plan),
            prefix: self.prefix,
        }
    }
}

/// A worker's buffers, used again from call to call.
pub struct Worker<'a> {
    workshop: Workshop<'a>,
    prefix: SerialPrefix,
}

impl Worker<'_> {
    /// Makes keys and certificates for rows: stamped, linted, signed, and put together as DER.
    ///
    /// # Errors
    ///
    /// When an engine fails.
    pub fn issue(&mut self, rows: &[Row]) -> Result<(), ForgeError> {
        self.workshop.issue(rows, self.prefix)
    }

    /// Makes all that a run stores of a chunk: bundles and certificates, and what is recorded of them. Returns
    /// the octets of bundles.
    ///
    /// # Errors
    ///
    /// When an engine fails.
    pub fn make(&mut self, rows: &[Row]) -> Result<u64, ForgeError> {
        self.workshop.make(rows, self.prefix)?;
        Ok(self.workshop.bundles.len() as u64)
    }
}
