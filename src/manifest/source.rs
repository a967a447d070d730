//! Where a manifest is read from, twice and from any place: a file; or a scratch file, into which goes first what can be
//! read once only (a pipe) or only from its beginning (gzip).

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;
use tempfile::NamedTempFile;

use super::{MAX_LINE, ManifestError};

/// Octets that are put aside before the header is looked at: what is no manifest fills no disk.
const BEGINNING: u64 = 2 * MAX_LINE as u64;

/// Octets that are put aside, at most.
const MOST: u64 = 16 * 1024 * 1024 * 1024;

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// A manifest's file, or the scratch file that holds what was read.
#[derive(Debug, Clone)]
pub(super) struct Source {
    path: PathBuf,
    scratch: Option<Arc<NamedTempFile>>,
}

/// What is still to be put aside.
pub(super) struct Rest(Box<dyn Read>);

impl Source {
    /// Opens it for the first reading, of its header. What is left behind that goes to [`Source::complete`].
    pub(super) fn open(path: &Path) -> Result<(Self, BufReader<File>, Option<Rest>), ManifestError> {
        let mut source = Self {
            path: path.to_owned(),
            scratch: None,
        };
        let file = source.file()?;
        let is_file = file
            .metadata()
            .is_ok_and(|metadata| metadata.is_file() || metadata.is_dir());
        let mut reader = reader(file);
        let beginning = reader.fill_buf().map_err(|error| source.cannot_read(error))?;
        let mut rest: Box<dyn Read> = match beginning.starts_with(&GZIP) {
            true => Box::new(MultiGzDecoder::new(reader)),
            false if is_file => return Ok((source, reader, None)),
            false => Box::new(reader),
        };
        let mut scratch = NamedTempFile::new().map_err(|error| source.cannot_put_aside(error))?;
        source.copy(&mut rest, &mut scratch, BEGINNING)?;
        source.scratch = Some(Arc::new(scratch));
        Ok((source.clone(), source.reopen()?, Some(Rest(rest))))
    }

    /// Puts aside what is left.
    pub(super) fn complete(&mut self, mut rest: Rest) -> Result<(), ManifestError> {
        let Some(scratch) = self.scratch.clone() else {
            return Ok(());
        };
        let mut file = scratch.as_file();
        self.copy(&mut rest.0, &mut file, MOST)?;
        let mut more = [0];
        match rest.0.read(&mut more).map_err(|error| self.cannot_read(error))? {
            0 => Ok(()),
            _ => Err(ManifestError::TooLarge {
                path: self.path.clone(),
            }),
        }
    }

    /// Opens it for a further reading.
    pub(super) fn reopen(&self) -> Result<BufReader<File>, ManifestError> {
        let file = match &self.scratch {
            Some(scratch) => scratch.reopen().map_err(|error| self.cannot_put_aside(error)),
            None => self.file(),
        };
        file.map(reader)
    }

    fn file(&self) -> Result<File, ManifestError> {
        #[cfg(test)]
        super::openings::note(&self.path);
        File::open(&self.path).map_err(|source| ManifestError::Open {
            path: self.path.clone(),
            source,
        })
    }

    /// Copies up to so many octets.
    fn copy(&self, from: &mut dyn Read, to: &mut impl Write, most: u64) -> Result<(), ManifestError> {
        let mut octets = vec![0; 64 * 1024];
        let mut left = most;
        while left > 0 {
            let room = octets.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let read = match from.read(&mut octets[..room]) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.cannot_read(error)),
            };
            to.write_all(&octets[..read])
                .map_err(|error| self.cannot_put_aside(error))?;
            left -= read as u64;
        }
        Ok(())
    }

    fn cannot_read(&self, source: io::Error) -> ManifestError {
        ManifestError::Read {
            path: self.path.clone(),
            source,
        }
    }

    fn cannot_put_aside(&self, source: io::Error) -> ManifestError {
        ManifestError::PutAside {
            path: self.path.clone(),
            folder: std::env::temp_dir(),
            source,
        }
    }
}

fn reader(file: File) -> BufReader<File> {
    BufReader::with_capacity(256 * 1024, file)
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;
    use crate::manifest::{DEFAULT_ID_COLUMN, Manifest};

    fn gzip(octets: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(octets).unwrap();
        encoder.finish().unwrap()
    }

    fn text() -> String {
        let rows: String = (0..40_000).map(|row| format!("SN{row:06}\n")).collect();
        format!("serial_number\n{rows}")
    }

    fn ids(manifest: &Manifest) -> Vec<String> {
        let mut blocks = manifest.blocks(1000).unwrap();
        let mut ids = Vec::new();
        while let Some(block) = blocks.next_block().unwrap() {
            let (rows, problems) = manifest.parse(&block);
            assert!(problems.is_empty(), "{problems:?}");
            ids.extend(rows.iter().map(|row| row.device_id.to_string()));
        }
        ids
    }

    #[test]
    fn what_is_compressed_is_read_as_what_it_holds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("line 7.csv.gz");
        let (first, second) = (text(), "SN900000\n");
        // gzip knows members one after the other.
        std::fs::write(&path, [gzip(first.as_bytes()), gzip(second.as_bytes())].concat()).unwrap();
        let manifest = Manifest::open(&path, DEFAULT_ID_COLUMN).unwrap();
        for _ in 0..2 {
            let ids = ids(&manifest);
            assert_eq!((ids.len(), ids[40_000].as_str()), (40_001, "SN900000"));
        }
        assert_eq!(manifest.stem(), "line 7");
        let whole = gzip(first.as_bytes());
        std::fs::write(&path, &whole[..whole.len() - 9]).unwrap();
        let error = Manifest::open(&path, DEFAULT_ID_COLUMN).unwrap_err();
        assert!(matches!(error, ManifestError::Read { .. }), "{error}");
    }

    #[test]
    fn a_pipe_is_read_twice() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        let writer = std::thread::spawn({
            let path = path.clone();
            move || std::fs::write(path, text())
        });
        let manifest = Manifest::open(&path, DEFAULT_ID_COLUMN).unwrap();
        writer.join().unwrap().unwrap();
        for _ in 0..2 {
            assert_eq!(ids(&manifest).len(), 40_000);
        }
    }

    #[test]
    fn what_is_no_manifest_is_not_put_aside_to_its_end() {
        let error = Manifest::open(Path::new("/dev/zero"), DEFAULT_ID_COLUMN).unwrap_err();
        assert!(matches!(error, ManifestError::HeaderTooLong { .. }), "{error}");
        assert!(Manifest::open(Path::new("/dev/urandom"), DEFAULT_ID_COLUMN).is_err());
    }
}
