//! What is remembered of a registration: with the CA, so that its key is not destroyed too soon, and in the history.

use std::path::PathBuf;

use certforge::aws::{Action, Caller};
use certforge::causes::in_one_line;
use certforge::issuer::{self, CaCertificate, CertificateMode, IssuerError, REGISTRATION_FILE, Registered};
use certforge::ledger::{Act, Deed};
use certforge::profile::rfc3339;
use data_encoding::HEXLOWER;
use time::OffsetDateTime;

use crate::cli::Failure;
use crate::cli::issuer::IssuerArgs;
use crate::cli::ledger_args::LedgerArgs;
use crate::cli::report::warn;

/// The record of one registration, and where it belongs.
#[derive(Debug)]
pub struct Record<'a> {
    ca: &'a CaCertificate,
    issuer: &'a IssuerArgs,
    ledger: &'a LedgerArgs,
    /// `None`: the CA has none.
    folder: Option<PathBuf>,
    entry: Registered,
}

impl<'a> Record<'a> {
    pub fn new(
        (ca, issuer, ledger): (&'a CaCertificate, &'a IssuerArgs, &'a LedgerArgs),
        caller: &Caller,
        mode: CertificateMode,
        now: OffsetDateTime,
    ) -> Self {
        Self {
            ca,
            issuer,
            ledger,
            folder: issuer
                .endpoint_note()
                .and_then(|note| Some(note.parent()?.to_owned())),
            entry: Registered {
                ca_certificate_id: HEXLOWER.encode(&ca.id()),
                account: caller.account.clone(),
                region: caller.region.clone(),
                mode,
                begun_at: rfc3339(now),
                proof: None,
                registered_at: None,
            },
        }
    }

    /// A registration is about to begin, which may be stopped anywhere: of that alone, no key is ever destroyed.
    pub fn begin(&self) -> Result<(), IssuerError> {
        match &self.folder {
            Some(folder) => issuer::remember_registration(folder, &self.entry),
            None => Ok(()),
        }
    }

    /// AWS IoT knows the CA, and took the certificate of this id for a proof, if it did so now. What cannot be remembered of it is
    /// a warning: it is registered all the same.
    pub fn end(&self, proof: Option<[u8; 32]>, now: OffsetDateTime) {
        let Some(folder) = &self.folder else {
            return;
        };
        let known = issuer::read_registrations(folder, self.ca).unwrap_or_default();
        let known = known
            .into_iter()
            .find(|known| (&known.account, &known.region) == (&self.entry.account, &self.entry.region));
        if known
            .as_ref()
            .is_some_and(|known| known.registered_at.is_some() && known.mode == self.entry.mode)
        {
            return;
        }
        let entry = Registered {
            begun_at: known.map_or_else(|| self.entry.begun_at.clone(), |known| known.begun_at),
            proof: proof.map(|id| HEXLOWER.encode(&id)),
            registered_at: Some(rfc3339(now)),
            ..self.entry.clone()
        };
        if let Err(error) = issuer::remember_registration(folder, &entry) {
            warn(format!(
                "{} does not tell of this: {}",
                folder.join(REGISTRATION_FILE).display(),
                in_one_line(&error)
            ));
        }
        match self.enter(&entry) {
            Ok(None) => {}
            Ok(Some(warning)) => warn(warning),
            Err(failure) => warn(format!(
                "the history does not tell of this: {}",
                failure.message()
            )),
        }
    }

    /// Enters it into the history. A ledger is made for it only where there never was one.
    fn enter(&self, entry: &Registered) -> Result<Option<String>, Failure> {
        let proven = match &entry.proof {
            Some(id) => format!(", proven by certificate {id}"),
            None => String::new(),
        };
        let what = format!(
            "certificate {}: account {}, {}, mode {}{proven}",
            entry.ca_certificate_id,
            entry.account,
            entry.region,
            entry.mode.as_str(),
        );
        let found = self.ledger.find(self.issuer.whose(None))?;
        found.enter(Act::new(Deed::CaRegistered, self.ca.subject_text(), what))
    }
}

/// Whether an action is the one that AWS IoT takes the proof with.
pub fn registers(action: &Action) -> bool {
    matches!(action, Action::RegisterCa { .. })
}
