//! What a run takes care of beside its own batch, so that each device is issued once: the mark of the ledger, which is kept
//! before anything is signed, and the batches that lie beside this one, which the ledger must know.

use super::neighbours::{self, Neighbours};
use super::{ForgeError, OpenStore};
use crate::issuer::CaCertificate;
use crate::ledger::{KeepMark, Ledger, LedgerError, PassedOver};
use crate::store::Store;

/// What a run takes care of. By default nothing: of a ledger that is thrown away, nothing needs to be known.
#[derive(Debug, Clone, Copy, Default)]
pub struct Care<'a> {
    /// What remembers the ledger.
    pub mark: Option<&'a dyn KeepMark>,
    /// The batches beside this one.
    pub neighbours: Option<Neighbours<'a>>,
    /// Whether the batch was moved since it was begun, and is no copy.
    pub moved: bool,
}

impl Care<'_> {
    /// Holds the batches beside one against the ledger. Gives back those that it may be without.
    pub(super) fn look_around(
        &self,
        beside: (&dyn Ledger, &Store),
        batch: (&CaCertificate, &str),
        open_store: OpenStore<'_>,
    ) -> Result<PassedOver, ForgeError> {
        match &self.neighbours {
            Some(neighbours) => neighbours::hold(neighbours, beside, batch, open_store),
            None => Ok(PassedOver::new()),
        }
    }

    /// Keeps the mark of a ledger that has reserved what is to be signed.
    pub(super) fn keep_mark(&self, ledger: &dyn Ledger, passed_over: &PassedOver) -> Result<(), LedgerError> {
        match self.mark {
            Some(mark) => mark.keep(ledger, passed_over),
            None => Ok(()),
        }
    }
}
