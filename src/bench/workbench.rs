//! The workbench: the pure stages of the forge by themselves.
//!
//! It is the very code that a run goes through. What comes out is thrown away: it is in no ledger, so nothing
//! of it may ever be used.

use crate::certificate::SerialPrefix;
use crate::engine::Random;
use crate::forge::{ForgeError, Issuance, Job, Plan, Workshop, check};
use crate::manifest::Row;

/// What all threads share.
pub(super) struct Workbench<'a> {
    plan: Plan<'a>,
    prefix: SerialPrefix,
    rows: Vec<Row>,
}

impl<'a> Workbench<'a> {
    /// Compiles what a run of this job would compile, and checks its manifest; the work is on these rows.
    ///
    /// # Errors
    ///
    /// What a run would find wrong so far.
    pub(super) fn new(job: &Job<'a>, rows: Vec<Row>) -> Result<Self, ForgeError> {
        let mut plan = Plan::new(job)?;
        let report = check(job.manifest, &plan.binding, rows.len())?;
        let accepted = report.accept(job.manifest)?;
        plan.lint_specimen(&accepted.specimen, &accepted.longest)?;
        let prefix = SerialPrefix::draw(Random)?;
        Ok(Self { plan, prefix, rows })
    }

    /// Makes keys and certificates of all rows: stamped, linted, signed, and put together as DER. For one thread, which
    /// uses its buffers from call to call.
    pub(super) fn certificates(&self) -> impl FnMut() -> Result<u64, ForgeError> {
        let mut issuance = Issuance::new(&self.plan);
        let (mut certificate, mut key_ids) = (Vec::new(), Vec::new());
        move || {
            key_ids.clear();
            issuance.issue(&self.rows, self.prefix, |rows, credentials| {
                key_ids.extend_from_slice(&credentials.key_ids);
                for i in 0..rows.len() {
                    certificate.clear();
                    credentials.append_certificate(i, &mut certificate);
                    std::hint::black_box(&certificate);
                }
            })?;
            self.plan.keys.add(&key_ids)?;
            Ok(self.rows.len() as u64)
        }
    }

    /// Makes all that a run stores of a chunk: bundles and certificates, and what is recorded of them. For one thread.
    pub(super) fn bundles(&self) -> impl FnMut() -> Result<u64, ForgeError> {
        let mut workshop = Workshop::new(&self.plan);
        move || {
            let made = workshop.make(&self.rows, self.prefix)?;
            Ok(made.len() as u64)
        }
    }
}
