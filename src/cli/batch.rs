//! Batches on the command line: by a place or by a name in the ledger, and who vouches for what lies there.

use std::path::Path;
use std::sync::Mutex;

use certforge::digest::sha256;
use certforge::forge::{self, ForgeError};
use certforge::generation::{GenerationError, Newest};
use certforge::ledger::{self, Batch, Ledger, LedgerError, LedgerName};
use certforge::profile::rfc3339;
use certforge::seal::Trust;
use certforge::store::Store;
use certforge::vouched::{Vouched, VouchedError, Voucher};
use clap::Args;

use super::failure::Failure;
use super::issuer::trust;
use super::ledger_args::LedgerArgs;
use super::place;

/// The CA of a first try, where there is one.
const DEFAULT_CA: &str = "ca";

/// Who vouches for a batch, and how to reach it.
#[derive(Debug, Clone, Args)]
pub struct VoucherArgs {
    #[command(flatten)]
    ledger: LedgerArgs,
    /// CA that must have sealed the batch: its certificate, its folder, or the SHA-256 of the certificate [default: what
    /// the ledger says, or else the folder ca]
    #[arg(
        long,
        env = "CERTFORGE_ISSUER",
        hide_env_values = true,
        value_name = "FILE|DIR|SHA-256"
    )]
    pub issuer: Option<String>,
    #[command(flatten)]
    pub reach: place::Reach,
}

/// A batch in its store, which is not withdrawn, and who vouches for it.
pub struct OpenBatch {
    store: Store,
    voucher: Known,
}

/// A batch as a ledger has it.
type InLedger = (Box<dyn Ledger>, Batch);

enum Known {
    Ledger(Mutex<Box<dyn Ledger>>, Box<Batch>),
    /// And the name that it must have.
    Issuer(Trust, String),
}

impl VoucherArgs {
    /// Opens a batch, by its place or by its name in the ledger, unless it is withdrawn.
    pub fn open(&self, batch: &str) -> Result<OpenBatch, Failure> {
        let batch = &place::of_batch(batch, &|| self.ledger.usual())?;
        let ledger = self.ledger.usual()?;
        let known = known(batch, &ledger)?;
        let place = match (&known, place::is_place(batch)) {
            (Some((_, known)), false) => &known.location,
            _ => batch,
        };
        let store = self.reach.open(&place::parse(place, &self.reach, None)?)?;
        forge::refuse_withdrawn(&store, batch)?;
        if let Some((ledger, known)) = &known
            && let Some(withdrawal) = ledger.withdrawal(known)?
        {
            return Err(Failure::from(ForgeError::Withdrawn {
                batch: batch.to_owned(),
                at: rfc3339(withdrawal.at),
                reason: withdrawal.reason,
            }));
        }
        let is_there = |name: &&str| Path::new(name).exists();
        let named = self.issuer.as_deref();
        let issuer = named.or(Some(DEFAULT_CA).filter(|ca| known.is_none() && is_there(ca)));
        let trusted = issuer.map(trust).transpose()?;
        let voucher = match (known, trusted) {
            // A batch of the ledger is that batch and no other of its CA; when it is not of the CA that is named, the ledger
            // is of something else.
            (Some((ledger, known)), None) => Known::Ledger(Mutex::new(ledger), Box::new(known)),
            (Some((ledger, known)), Some(trusted)) if trusted.id() == sha256(&known.issuer_certificate) => {
                Known::Ledger(Mutex::new(ledger), Box::new(known))
            }
            (_, Some(trusted)) => Known::Issuer(trusted, place::name_of(batch).to_owned()),
            (None, None) => return Err(unvouched(&store, &ledger)),
        };
        Ok(OpenBatch { store, voucher })
    }
}

/// The batch as the ledger has it. A place need not be in any ledger; a batch is named as its folder is.
fn known(batch: &str, ledger: &LedgerName) -> Result<Option<InLedger>, Failure> {
    let is_place = place::is_place(batch);
    let ledger = match ledger::open_read_only(ledger) {
        Err(LedgerError::Missing { .. }) if is_place => return Ok(None),
        other => other?,
    };
    let found = match is_place {
        true => ledger.find_batch(place::name_of(batch))?,
        false => Some(ledger.batch(batch)?),
    };
    Ok(found.map(|found| (ledger, found)))
}

fn unvouched(store: &Store, ledger: &LedgerName) -> Failure {
    Failure::usage(
        &format!(
            "nothing vouches for batch {}: ledger {ledger} does not know it, and no --issuer says whose it is",
            store.location(),
        ),
        "name the ledger that it was made with, with --ledger, or its CA, with --issuer",
    )
}

impl OpenBatch {
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The same as the newest generation of its bundles has it, which its issuer vouches for.
    pub fn newest(self) -> Result<Self, Failure> {
        let vouched = self.vouched()?;
        let (issuer, name) = (vouched.issuer().clone(), vouched.record().batch.clone());
        match Newest::open(self.store.clone(), &issuer, true) {
            Ok(newest) if newest.number() > 0 => Ok(Self {
                store: newest.sight(),
                voucher: Known::Issuer(Trust::Certificate(Box::new(issuer)), name),
            }),
            Ok(_) | Err(GenerationError::NotSealed { .. }) => Ok(self),
            Err(error) => Err(error.into()),
        }
    }

    /// The batch, once it is seen to be the one that is vouched for.
    pub fn vouched(&self) -> Result<Vouched<'_>, VouchedError> {
        let voucher = match &self.voucher {
            Known::Ledger(ledger, batch) => Voucher::Ledger(ledger, batch),
            Known::Issuer(trust, name) => Voucher::Issuer(trust, name),
        };
        Vouched::open(&self.store, voucher)
    }
}
