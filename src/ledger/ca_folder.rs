//! The folder of a CA, as far as it has to do with its ledger: it is where the ledger lies, or says where that is, and it
//! remembers which it is and how far it had come.
//!
//! ```text
//!   ca/ledger.db      the ledger; of a shard ledger-1-of-4.db
//!   ca/ledger.toml    where it is instead: ledger = "../factory.db", or "postgres://forge@db.factory/certforge"
//!   ca/ledger.json    its mark; of a shard ledger-1-of-4.json
//! ```

use std::fs::File;
use std::io;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Access, access};
use serde::Deserialize;

use super::{KeepMark, Ledger, LedgerError, LedgerName, Mark, PassedOver, Patience, read_patiently};
use crate::bounded;
use crate::exposure;
use crate::whole;

/// Who else may read what the folder says of the ledger: nobody.
const MODE: u32 = 0o600;

/// The note, in which one line may be.
const NOTE: &str = "ledger.toml";

/// What the folder of a CA has to do with its ledger, or with that of a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaFolder {
    folder: PathBuf,
    /// How files are called: `ledger`, or `ledger-1-of-4`.
    stem: String,
}

/// What a note says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    ledger: String,
}

impl CaFolder {
    /// `shard`: its number, and how many there are.
    #[must_use]
    pub fn new(folder: &Path, shard: Option<(u32, u32)>) -> Self {
        Self {
            folder: folder.to_owned(),
            stem: match shard {
                None => "ledger".to_owned(),
                Some((number, of)) => format!("ledger-{number}-of-{of}"),
            },
        }
    }

    /// Where the ledger lies when nothing else is said.
    #[must_use]
    pub fn usual(&self) -> PathBuf {
        self.folder.join(format!("{}.db", self.stem))
    }

    fn note_file(&self) -> PathBuf {
        self.folder.join(NOTE)
    }

    fn mark_file(&self) -> PathBuf {
        self.folder.join(format!("{}.json", self.stem))
    }

    /// Whether anything can be remembered there. A folder that is still to be made will do.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        match access(&self.folder, Access::WRITE_OK) {
            Err(error) => error == rustix::io::Errno::NOENT,
            Ok(()) => true,
        }
    }

    /// Where the ledger is, if the folder says so. Of shards, each has a file of its own.
    ///
    /// # Errors
    ///
    /// When the note cannot be read, others may write to it, or it names no ledger.
    pub fn noted(&self) -> Result<Option<LedgerName>, LedgerError> {
        let path = self.note_file();
        let Some(text) = read(&path)? else {
            return Ok(None);
        };
        let refused = |reason: String| LedgerError::Note {
            path: path.clone(),
            reason,
        };
        let note: Note = toml::from_str(&text).map_err(|error| refused(error.message().to_owned()))?;
        let name = note.ledger.parse().map_err(|error| refused(format!("{error}")))?;
        Ok(match name {
            LedgerName::File(_) if self.stem != "ledger" => None,
            LedgerName::File(file) => Some(LedgerName::File(beyond(&self.folder, &file))),
            server @ LedgerName::Server(_) => Some(server),
        })
    }

    /// Says where the ledger is.
    ///
    /// # Errors
    ///
    /// When that cannot be written.
    pub fn note(&self, name: &LedgerName) -> Result<PathBuf, LedgerError> {
        let path = self.note_file();
        let ledger = match name {
            LedgerName::File(file) => seen_from(&self.folder, file)
                .map_err(cannot_keep(&path))?
                .display()
                .to_string(),
            LedgerName::Server(url) => url.as_str().to_owned(),
        };
        // As JSON has it, a text is one of TOML too.
        let text = format!("ledger = {}\n", serde_json::Value::from(ledger));
        whole::write(&path, text.as_bytes(), MODE).map_err(cannot_keep(&path))?;
        Ok(path)
    }

    /// What the folder remembers; `None`: nothing, as one that an earlier certforge made.
    ///
    /// # Errors
    ///
    /// When it cannot be read, others may write to it, or it is no mark.
    pub fn mark(&self) -> Result<Option<Mark>, LedgerError> {
        let path = self.mark_file();
        let Some(text) = read(&path)? else {
            return Ok(None);
        };
        let mark = serde_json::from_str(&text).map_err(|error| LedgerError::Note {
            path,
            reason: error.to_string(),
        })?;
        Ok(Some(mark))
    }

    /// Whether there never was a ledger, as far as the folder says.
    ///
    /// # Errors
    ///
    /// As [`CaFolder::mark`].
    pub fn never_had_one(&self) -> Result<bool, LedgerError> {
        let mark = match self.mark()? {
            // A shard's is none, where the CA itself has none.
            None => Self::new(&self.folder, None).mark()?,
            mark => mark,
        };
        Ok(mark.is_some_and(|mark| mark.ledger.is_none()))
    }

    /// Remembers that there never was a ledger: of a CA that is new.
    ///
    /// # Errors
    ///
    /// When that cannot be written.
    pub fn begin(&self) -> Result<(), LedgerError> {
        self.write(&Mark::default())
    }

    /// Refuses a ledger that is not the one which is remembered.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Unlike`]; or when ledger or mark cannot be read.
    pub fn check(&self, ledger: &dyn Ledger) -> Result<(), LedgerError> {
        match self.mark()? {
            Some(mark) => mark.check(ledger, &self.mark_file()),
            None => Ok(()),
        }
    }

    /// The same of a ledger that is not open yet: one that is gone is not made anew.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Unlike`]; or when ledger or mark cannot be read.
    pub fn check_before(&self, name: &LedgerName, patience: &Patience) -> Result<(), LedgerError> {
        let Some(mark) = self.mark()?.filter(|mark| mark.ledger.is_some()) else {
            return Ok(());
        };
        match read_patiently(name, patience.clone()) {
            Ok(ledger) => mark.check(&*ledger, &self.mark_file()),
            Err(LedgerError::Missing { location }) => Err(mark.gone(location, &self.mark_file())),
            Err(error) => Err(error),
        }
    }

    fn write(&self, mark: &Mark) -> Result<(), LedgerError> {
        let path = self.mark_file();
        let mut json = serde_json::to_vec_pretty(mark).expect("a mark has only text keys");
        json.push(b'\n');
        whole::write(&path, &json, MODE).map_err(cannot_keep(&path))
    }
}

impl KeepMark for CaFolder {
    fn keep(&self, ledger: &dyn Ledger, passed_over: &PassedOver) -> Result<(), LedgerError> {
        let mark = Mark::of(ledger, passed_over)?;
        match self.mark()? == Some(mark.clone()) {
            true => Ok(()),
            false => self.write(&mark),
        }
    }
}

fn cannot_keep(path: &Path) -> impl FnOnce(io::Error) -> LedgerError {
    let path = path.to_owned();
    move |source| LedgerError::Keep { path, source }
}

/// The text of a file that nobody else may write to; `None`: there is none.
fn read(path: &Path) -> Result<Option<String>, LedgerError> {
    let open = || {
        let file = File::open(path)?;
        let exposure = exposure::of_file(&file.metadata()?);
        Ok((exposure, bounded::read_file_text(file)?))
    };
    match open() {
        Ok((None, text)) => Ok(Some(text.as_str().to_owned())),
        Ok((Some(exposure), _)) => Err(LedgerError::Exposed {
            location: path.display().to_string(),
            place: path.to_owned(),
            exposure,
        }),
        Err(error) if io::Error::kind(&error) == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(LedgerError::Keep {
            path: path.to_owned(),
            source,
        }),
    }
}

/// A path that is counted from a folder. `ca` and `../x.db` are `x.db`, unless `ca` is a link to elsewhere.
fn beyond(folder: &Path, path: &Path) -> PathBuf {
    let mut here = folder.to_owned();
    let mut parts = path.components().peekable();
    while parts.peek() == Some(&Component::ParentDir)
        && !here.is_symlink()
        && matches!(here.components().next_back(), Some(Component::Normal(_)))
    {
        parts.next();
        here.pop();
    }
    here.join(parts.collect::<PathBuf>())
}

/// A file as it is seen from a folder: relative where both lie side by side, so that they can be moved together.
fn seen_from(folder: &Path, file: &Path) -> io::Result<PathBuf> {
    let folder = folder.canonicalize()?;
    let whole = file.canonicalize()?;
    let (Some(above), Some(name)) = (whole.parent(), whole.file_name()) else {
        return Ok(whole);
    };
    Ok(if above == folder {
        PathBuf::from(name)
    } else if Some(above) == folder.parent() {
        Path::new("..").join(name)
    } else {
        whole
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::ledger::SqliteLedger;

    #[test]
    fn a_note_is_counted_from_the_folder() {
        let place = tempfile::tempdir().unwrap();
        let ca = place.path().join("ca");
        fs::create_dir(&ca).unwrap();
        let folder = CaFolder::new(&ca, None);
        assert_eq!(folder.noted().unwrap(), None);
        assert_eq!(folder.usual(), ca.join("ledger.db"));
        for (file, said) in [
            (
                place.path().join("certforge.db"),
                "ledger = \"../certforge.db\"\n",
            ),
            (ca.join("x.db"), "ledger = \"x.db\"\n"),
        ] {
            fs::write(&file, "").unwrap();
            let note = folder.note(&LedgerName::File(file.clone())).unwrap();
            assert_eq!(fs::read_to_string(note).unwrap(), said);
            assert_eq!(folder.noted().unwrap(), Some(LedgerName::File(file)));
        }
        let shard = CaFolder::new(&ca, Some((1, 4)));
        assert_eq!(shard.noted().unwrap(), None);
        assert_eq!(shard.usual(), ca.join("ledger-1-of-4.db"));
        let server = "postgres://forge@db.factory/certforge".parse().unwrap();
        folder.note(&server).unwrap();
        assert_eq!(folder.noted().unwrap().as_ref(), Some(&server));
        assert_eq!(shard.noted().unwrap(), Some(server));
        fs::write(ca.join(NOTE), "ledger = \"postgres://u:s3cret@h/d\"\n").unwrap();
        let told = folder.noted().unwrap_err().to_string();
        assert!(
            told.contains("ledger.toml: ") && !told.contains("s3cret"),
            "{told}"
        );
    }

    #[test]
    fn a_ledger_that_is_gone_is_not_made_anew() {
        let place = tempfile::tempdir().unwrap();
        let folder = CaFolder::new(place.path(), None);
        let name = LedgerName::File(folder.usual());
        folder.check_before(&name, &Patience::default()).unwrap();
        folder.begin().unwrap();
        folder.check_before(&name, &Patience::default()).unwrap();
        let ledger = SqliteLedger::open(&folder.usual(), [7; 16]).unwrap();
        folder.keep(&ledger, &PassedOver::new()).unwrap();
        folder.check(&ledger).unwrap();
        drop(ledger);
        folder.check_before(&name, &Patience::default()).unwrap();
        fs::remove_file(folder.usual()).unwrap();
        let told = folder
            .check_before(&name, &Patience::default())
            .unwrap_err()
            .to_string();
        assert!(
            told.contains(" is not there, and ") && told.contains(" remembers 07070707 with 0 "),
            "{told}"
        );
        assert!(!folder.usual().exists());
    }
}
