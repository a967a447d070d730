//! Files that commands read whole: by their path, or `-` for standard input.

use std::io::{self, Read};
use std::path::Path;

use certforge::bounded::{self, MOST_OCTETS};
use zeroize::Zeroizing;

/// What stands for standard input.
const STDIN: &str = "-";

/// The octets of a file, or of standard input.
pub fn octets(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    if path != Path::new(STDIN) {
        return bounded::read(path);
    }
    let mut octets = Zeroizing::new(Vec::new());
    let some = &mut io::stdin().lock().take(MOST_OCTETS as u64 + 1);
    some.read_to_end(&mut octets)?;
    match octets.len() <= MOST_OCTETS {
        true => Ok(octets),
        false => Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it has more than {} MiB", MOST_OCTETS >> 20),
        )),
    }
}

/// The text of a file, or of standard input.
pub fn text(path: &Path) -> io::Result<String> {
    bounded::document(&octets(path)?)
}

/// A path as messages name it.
pub fn name(path: &Path) -> String {
    match path == Path::new(STDIN) {
        true => "standard input".to_owned(),
        false => path.display().to_string(),
    }
}
