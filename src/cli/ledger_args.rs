//! The ledger on the command line: the one that is named, or the CA's own, which every command finds at the same place.
//!
//! It is where the CA's folder says, or `ledger.db` in there. One that an earlier certforge made, `certforge.db` in the
//! working folder or beside the CA's, is taken over when it knows the CA. A CA that has no folder to write to has its ledger
//! in the working folder.

use std::path::{Path, PathBuf};

use certforge::engine::Random;
use certforge::forge::Shard;
use certforge::issuer;
use certforge::ledger::{self, Act, CaFolder, Deed, Ledger, LedgerError, LedgerName, Patience};
use clap::Args;

use super::issuer::{DEFAULT_FOLDER, Whose, files_at};
use super::report::tell_aside;
use super::settings;
use super::{Failure, clock};

/// Where ledgers were before they belonged to a CA, and are where that has no folder.
const IN_WORKING_FOLDER: &str = "certforge";

#[derive(Debug, Clone, Default, Args)]
pub struct LedgerArgs {
    /// Ledger, which knows what was issued: a file, or postgres://user@host/database [default: ledger.db in the CA's folder,
    /// or what ledger.toml there says]
    #[arg(long, value_name = "FILE|URL")]
    ledger: Option<String>,
}

/// A ledger that was found, and what remembers it.
#[derive(Debug)]
pub struct Found {
    pub name: LedgerName,
    /// `None`: the CA has no folder.
    pub folder: Option<CaFolder>,
    /// It was made before ledgers belonged to a CA.
    is_taken_over: bool,
}

impl LedgerArgs {
    /// The ledger for a command that names no CA: that of the usual one.
    pub fn usual(&self) -> Result<LedgerName, Failure> {
        Ok(self.usual_found()?.name)
    }

    /// The same, and what remembers it.
    pub fn usual_found(&self) -> Result<Found, Failure> {
        let folder = settings::of("ca").map_or_else(|| PathBuf::from(DEFAULT_FOLDER), PathBuf::from);
        self.find(Whose {
            folder: Some(&folder),
            shard: None,
        })
    }

    /// The ledger of the CA in a folder.
    pub fn of_folder(&self, folder: &Path) -> Result<LedgerName, Failure> {
        let whose = Whose {
            folder: Some(folder),
            shard: None,
        };
        Ok(self.find(whose)?.name)
    }

    /// Whether it was named.
    pub fn is_named(&self) -> bool {
        self.ledger.is_some()
    }

    /// The ledger of a CA, or of a shard of it.
    pub fn find(&self, whose: Whose<'_>) -> Result<Found, Failure> {
        let shard = whose.shard.map(|shard| (shard.number(), shard.of()));
        let folder = whose
            .folder
            .map(|folder| CaFolder::new(&ca_folder(folder), shard));
        if let Some(text) = &self.ledger {
            return Ok(Found {
                name: named(parse(text)?, whose.shard),
                folder,
                is_taken_over: false,
            });
        }
        let (name, is_found_before) = match (&folder, whose.folder) {
            (Some(own), Some(ca)) => find_in(own, ca, whose.shard)?,
            _ => (LedgerName::File(in_working_folder(whose.shard)), false),
        };
        Ok(Found {
            name,
            folder,
            // A shard's is found by its name alone.
            is_taken_over: is_found_before && whose.shard.is_none(),
        })
    }
}

/// Reads what names a ledger. What is wrong with it is not repeated: it may be a password.
pub fn parse(text: &str) -> Result<LedgerName, Failure> {
    text.parse().map_err(|error| {
        Failure::usage(
            &format!("--ledger: {error}"),
            "name a file, such as ca/ledger.db, or postgres://user@host/database",
        )
    })
}

/// A CA may be named by its certificate, beside which the rest is.
fn ca_folder(named: &Path) -> PathBuf {
    match named.parent() {
        Some(parent) if named.is_file() => parent.to_owned(),
        _ => named.to_owned(),
    }
}

/// A folder that is named for shards has a ledger for each.
fn named(name: LedgerName, shard: Option<Shard>) -> LedgerName {
    match name {
        LedgerName::File(folder) if shard.is_some() && folder.is_dir() => {
            LedgerName::File(folder.join(in_working_folder(shard)))
        }
        name => name,
    }
}

fn in_working_folder(shard: Option<Shard>) -> PathBuf {
    let shard = shard.map_or_else(String::new, |shard| {
        format!("-{}-of-{}", shard.number(), shard.of())
    });
    PathBuf::from(format!("{IN_WORKING_FOLDER}{shard}.db"))
}

/// Finds the ledger that a CA's folder has or names; and whether it is one that was made before ledgers belonged to a CA.
fn find_in(own: &CaFolder, ca: &Path, shard: Option<Shard>) -> Result<(LedgerName, bool), Failure> {
    if let Some(name) = own.noted()? {
        return Ok((name, false));
    }
    let usual = own.usual();
    if usual.exists() {
        return Ok((LedgerName::File(usual), false));
    }
    let before = in_working_folder(shard);
    let beside = ca_folder(ca).parent().map(|folder| folder.join(&before));
    for file in [Some(before.clone()), beside].into_iter().flatten() {
        if file.exists() && knows(&file, ca)? {
            return Ok((LedgerName::File(file), true));
        }
    }
    Ok(match own.is_writable() {
        true => (LedgerName::File(usual), false),
        false => (LedgerName::File(before), false),
    })
}

/// Whether a ledger knows the CA in a folder; where there is none, it is anybody's.
fn knows(ledger: &Path, ca: &Path) -> Result<bool, Failure> {
    let Ok((certificate, _)) = issuer::read_public(&files_at(ca)) else {
        return Ok(true);
    };
    let ledger = ledger::open_read_only(ledger)?;
    Ok(!ledger.batches_of(&certificate)?.is_empty())
}

impl Found {
    /// Opens the ledger to write to it, and makes it when there never was one. `as_new`: whatever is remembered.
    pub fn open(&self, as_new: bool, patience: &Patience) -> Result<Box<dyn Ledger>, Failure> {
        let folder = self.folder.as_ref().filter(|_| !as_new);
        if let Some(folder) = folder {
            folder.check_before(&self.name, patience)?;
        }
        let mut ledger = open_to_write(&self.name, patience)?;
        if let Some(folder) = folder {
            folder.check(&*ledger)?;
        } else if let Some(folder) = &self.folder
            && let Err(error) = folder.check(&*ledger)
        {
            // It is said in the history that this was meant.
            let id = ledger.id().to_owned();
            ledger.record(Act::new(Deed::LedgerTaken, &id, error.to_string()), clock::now()?)?;
        }
        self.take_over()?;
        Ok(ledger)
    }

    /// Enters an act into its history; a ledger is made for that only where there never was one. Gives a warning when it is in use.
    #[cfg(feature = "aws")]
    pub fn enter(&self, act: Act) -> Result<Option<String>, Failure> {
        if let Some(folder) = &self.folder {
            folder.check_before(&self.name, &Patience::default())?;
        }
        let never_had_one = self.folder.as_ref().map_or(Ok(false), CaFolder::never_had_one)?;
        if !never_had_one {
            ledger::open_read_only(self.name.clone())?;
        }
        enter(&self.name, act)
    }

    /// Notes a ledger that was made before where every command looks.
    fn take_over(&self) -> Result<(), Failure> {
        let folder = self.folder.as_ref().filter(|folder| folder.is_writable());
        if let Some(folder) = folder.filter(|_| self.is_taken_over) {
            let note = folder.note(&self.name)?;
            tell_aside(format_args!(
                "certforge: ledger {} knows this CA, and belongs to it from now on: {} says so",
                self.name,
                note.display()
            ));
        }
        Ok(())
    }

    /// What remembers how far the ledger has come, if anything can.
    pub fn keeper(&self) -> Option<&CaFolder> {
        self.folder.as_ref().filter(|folder| folder.is_writable())
    }
}

/// Opens a ledger to write to it; waits for whoever does now.
fn open_to_write(name: &LedgerName, patience: &Patience) -> Result<Box<dyn Ledger>, Failure> {
    loop {
        match ledger::open_patiently(name, Random.octets()?, patience.clone()) {
            Err(LedgerError::Locked { location, by }) => {
                let by = by.map_or_else(String::new, |by| format!(" (process {by})"));
                tell_aside(format_args!(
                    "certforge: ledger {location} is in use by another certforge{by}: waiting until it has ended; Ctrl-C gives up"
                ));
                ledger::wait(name)?;
            }
            other => return Ok(other?),
        }
    }
}

/// The same; one that is not there is not made.
pub fn open_existing(name: &LedgerName) -> Result<Box<dyn Ledger>, Failure> {
    match ledger::open_read_only(name) {
        Ok(_) => open_to_write(name, &Patience::default()),
        Err(error @ LedgerError::Missing { .. }) => {
            Err(Failure::from(error).with_hint("name its ledger with --ledger"))
        }
        Err(error) => Err(error.into()),
    }
}

/// Enters an act into the history of a ledger that is there. Gives a warning when that cannot be: what was done does not
/// wait for whoever writes there now, nor does it need the right to write.
pub fn enter(name: &LedgerName, act: Act) -> Result<Option<String>, Failure> {
    let now = clock::now()?;
    let entered = ledger::open(name.clone(), Random.octets()?)
        .and_then(|mut ledger| ledger.record(act, now).map(|_| ()));
    Ok(entered.err().map(|error| {
        let why = certforge::causes::in_one_line(&error);
        format!("the history of ledger {name} does not tell of this: {why}")
    }))
}
