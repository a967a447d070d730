//! Faults, as many as a person can read.

use super::Fault;

/// Faults that are listed, at most.
const LISTED: usize = 1000;

#[derive(Debug, Default)]
pub(super) struct Faults {
    listed: Vec<Fault>,
    others: u64,
}

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        match self.listed.len() < LISTED {
            true => self.listed.push(fault),
            false => self.others += 1,
        }
    }

    /// Something about an object of a batch.
    pub(super) fn of(&mut self, batch: &str, object: &str, what: impl Into<String>) {
        self.add(Fault {
            batch: batch.to_owned(),
            object: object.to_owned(),
            device_id: None,
            what: what.into(),
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// Those that are listed, and how many more there are.
    pub(super) fn end(self) -> (Vec<Fault>, u64) {
        (self.listed, self.others)
    }
}
