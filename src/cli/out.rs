//! The one file that prints. What somebody else wrote reaches a terminal as text and nothing more
//! ([`certforge::printable`]), and whoever reads may be gone.

use std::fmt::Display;
use std::io::{ErrorKind, Result as IoResult, Write};

use certforge::printable;

use super::exit;

/// Warns people while the command works.
pub fn warn(warning: impl Display) {
    tell_aside(format_args!("certforge: warning: {warning}"));
}

/// Says a line on standard error. Whoever cannot hear it does not keep the work from going on.
pub fn tell_aside(line: impl Display) {
    let line = format!("{}\n", printable::line(&line.to_string()));
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Asks in the middle of a line, on standard error.
#[cfg(feature = "aws")]
pub fn ask_aside(question: &str) {
    let mut out = std::io::stderr();
    let _ = out.write_all(printable::line(question).as_bytes());
    let _ = out.flush();
}

/// Standard error, for lines of a log.
pub struct Aside;

impl Write for Aside {
    fn write(&mut self, octets: &[u8]) -> IoResult<usize> {
        let text = String::from_utf8_lossy(octets);
        let _ = std::io::stderr().write_all(printable::lines(&text).as_bytes());
        Ok(octets.len())
    }

    fn flush(&mut self) -> IoResult<()> {
        Ok(())
    }
}

/// Tells people how a command is used.
pub fn tell_usage(text: &str) {
    let _ = std::io::stderr().write_all(printable::lines(text).as_bytes());
}

/// Prints lines to standard output, and tells whether anybody still reads them. A line break within a value must have
/// been spelled out before ([`printable::line`]).
pub fn print(text: &str) -> bool {
    write(&printable::lines(text))
}

/// Prints JSON documents.
pub fn print_document(document: &str) -> bool {
    write(&printable::json(document))
}

/// A reader that went away wants no more; anything else must not pass for success.
fn write(text: &str) -> bool {
    let mut out = std::io::stdout().lock();
    let written: IoResult<()> = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match written {
        Ok(()) => true,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => false,
        Err(error) => {
            tell_aside(format_args!(
                "certforge: error: standard output cannot be written: {error}"
            ));
            tell_aside("certforge: hint: free some space, or print to somewhere else");
            std::process::exit(exit::STORE.into());
        }
    }
}
