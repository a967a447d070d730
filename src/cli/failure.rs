//! Failures: what went wrong, what to do about it, and the exit code. As a document, it is what `"error"` holds.

use certforge::causes::in_one_line;
use serde::Serialize;

use super::exit::{self, Coded};
use super::out::tell_aside;

/// A command that failed.
#[derive(Debug, Clone, Serialize)]
pub struct Failure {
    message: String,
    hint: Option<String>,
    exit_code: u8,
}

/// The document of a command that only failed.
#[derive(Serialize)]
pub struct Refusal<'a> {
    error: &'a Failure,
}

/// People are told on standard error.
impl std::fmt::Display for Refusal<'_> {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Ok(())
    }
}

impl<E: Coded> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::of(&error)
    }
}

impl Failure {
    /// The failure that an error is, which somebody else may keep.
    pub fn of(error: &impl Coded) -> Self {
        Self {
            message: in_one_line(error),
            hint: error.hint(),
            exit_code: error.code(),
        }
    }

    fn new(code: u8, message: impl Into<String>, hint: &str) -> Self {
        Self {
            message: message.into(),
            hint: Some(hint.to_owned()),
            exit_code: code,
        }
    }

    pub fn usage(message: &str, hint: &str) -> Self {
        Self::new(exit::USAGE, message, hint)
    }

    /// What people are told of a command line that is wrong: a paragraph, and below it what may have been meant.
    pub fn of_usage(text: &str) -> Self {
        let (what, below) = text.split_once("\n\n").unwrap_or((text, ""));
        let words: Vec<&str> = what.split_whitespace().collect();
        let what = words.join(" ");
        let tips: Vec<&str> = below
            .lines()
            .filter_map(|line| line.trim_start().strip_prefix("tip: "))
            .collect();
        let hint = match tips.is_empty() {
            true => "--help says how the command is used".to_owned(),
            false => tips.join("; "),
        };
        Self::usage(what.strip_prefix("error: ").unwrap_or(&what), &hint)
    }

    /// What stations did, or were to do, went wrong.
    #[cfg(any(feature = "display", feature = "aws"))]
    pub fn station(message: &str, hint: &str) -> Self {
        Self::new(exit::STATION, message, hint)
    }

    /// A ledger that cannot be what it is to be.
    pub fn ledger(message: &str, hint: &str) -> Self {
        Self::new(exit::LEDGER, message, hint)
    }

    /// The same with another hint.
    pub fn with_hint(self, hint: &str) -> Self {
        Self {
            hint: Some(hint.to_owned()),
            ..self
        }
    }

    /// The same under another exit code.
    pub fn under(self, exit_code: u8) -> Self {
        Self { exit_code, ..self }
    }

    pub fn message(&self) -> &str {
        &self.message
    }

    pub fn exit_code(&self) -> u8 {
        self.exit_code
    }

    pub fn document(&self) -> Refusal<'_> {
        Refusal { error: self }
    }

    /// Tells people: error and hint.
    pub fn tell(&self) {
        tracing::info!(error = self.message, exit_code = self.exit_code, "it fails");
        tell_aside(format_args!("certforge: error: {}", self.message));
        if let Some(hint) = &self.hint {
            tell_aside(format_args!("certforge: hint: {hint}"));
        }
    }
}

/// What only the AWS wing fails by.
#[cfg(feature = "aws")]
impl Failure {
    /// AWS refuses, or would.
    pub fn aws(message: impl Into<String>, hint: &str) -> Self {
        Self::new(exit::AWS, message, hint)
    }

    /// A store that is not what it was.
    pub fn store(message: impl Into<String>, hint: &str) -> Self {
        Self::new(exit::STORE, message, hint)
    }

    /// The same, with an error and its causes.
    pub fn aws_error(error: impl std::error::Error + 'static, hint: &str) -> Self {
        Self::new(exit::AWS, in_one_line(&error), hint)
    }

    /// A device that would not come up.
    pub fn refused(message: impl Into<String>, hint: &str) -> Self {
        Self::new(exit::SOME_FAILED, message, hint)
    }
}
