//! A ledger that is made as a whole: nothing of it is there before all of it is.

use data_encoding::HEXLOWER;
use tempfile::TempDir;
use time::OffsetDateTime;

use super::{Act, Ledger, LedgerError, LedgerName, Making, copy, open, open_read_only};

/// A ledger that is being made, where there is none, or one in which nothing was begun.
#[derive(Debug)]
pub struct Anew {
    making: Making,
    /// The server to which it is copied when it is whole, and the folder in which it is until then.
    server: Option<(LedgerName, TempDir)>,
}

impl Anew {
    /// # Errors
    ///
    /// [`LedgerError::Begun`] when there is a ledger in which something was begun; or when none can be made there.
    pub fn begin(name: &LedgerName) -> Result<Self, LedgerError> {
        if let LedgerName::File(path) = name {
            return Ok(Self {
                making: Making::begin_anew(path)?,
                server: None,
            });
        }
        match open_read_only(name) {
            Ok(ledger) => refuse_begun(&*ledger)?,
            Err(LedgerError::Missing { .. }) => {}
            Err(error) => return Err(error),
        }
        let folder = tempfile::tempdir().map_err(|source| LedgerError::Open {
            location: name.to_string(),
            source,
        })?;
        Ok(Self {
            making: Making::begin(&folder.path().join("ledger.db"))?,
            server: Some((name.clone(), folder)),
        })
    }

    /// Opens it, with an id.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn open(&self, id: [u8; 16]) -> Result<Box<dyn Ledger>, LedgerError> {
        self.making.open(id)
    }

    /// Puts it in its place; its history says that it was made anew.
    ///
    /// # Errors
    ///
    /// When something has taken the place meanwhile, or it cannot be written.
    pub fn finish(
        self,
        mut ledger: Box<dyn Ledger>,
        act: Act,
        now: OffsetDateTime,
    ) -> Result<(), LedgerError> {
        let Some((name, _folder)) = self.server else {
            ledger.record(act, now)?;
            return self.making.finish(Some(ledger));
        };
        let id = HEXLOWER.decode(ledger.id().as_bytes()).unwrap_or_default();
        let mut to = open(&name, id.try_into().unwrap_or_default())?;
        refuse_begun(&*to)?;
        if to.id() != ledger.id() {
            return Err(LedgerError::OtherId {
                location: to.location().to_owned(),
                found: to.id().to_owned(),
                wanted: ledger.id().to_owned(),
            });
        }
        copy(&[ledger], &mut *to)?;
        to.record(act, now).map(drop)
    }
}

fn refuse_begun(ledger: &dyn Ledger) -> Result<(), LedgerError> {
    match ledger.is_new()? {
        true => Ok(()),
        false => Err(LedgerError::Begun {
            location: ledger.location().to_owned(),
        }),
    }
}
