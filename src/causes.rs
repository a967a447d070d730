//! What caused an error: the one walk along its sources.

use std::error::Error;
use std::iter;

/// The error, and what caused it, the outermost first.
pub fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |&error| error.source())
}

/// An error and its causes in one line; one that says the same as what it causes is said once.
#[must_use]
pub fn in_one_line(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in causes(error).skip(1) {
        // rusqlite's errors say all that SQLite's own says, in other words.
        if cause.is::<rusqlite::ffi::Error>() {
            break;
        }
        let cause = cause.to_string();
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[derive(Debug, thiserror::Error)]
    enum Outer {
        #[error("the file is not read")]
        Read(#[source] io::Error),
        #[error(transparent)]
        Through(#[from] Box<Outer>),
        #[error("it fails: {0}")]
        Repeats(#[source] io::Error),
    }

    #[test]
    fn says_each_cause_once() {
        let gone = || io::Error::other("gone");
        for (error, text) in [
            (Outer::Read(gone()), "the file is not read: gone"),
            (
                Outer::Through(Box::new(Outer::Read(gone()))),
                "the file is not read: gone",
            ),
            (Outer::Repeats(gone()), "it fails: gone"),
        ] {
            assert_eq!(in_one_line(&error), text);
        }
    }
}
