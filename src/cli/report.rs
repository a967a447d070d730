//! What a command hands back, and how it is told.
//!
//! A command is made in three moves: it parses its clap struct, calls one function of the library, and returns an
//! [`Outcome`]: how it [`Ended`], or a [`Failure`]. What it has to say is a [`Report`]: `Display` for people, whole lines of it,
//! and `Serialize` for machines, a type for each document (`docs/json.md` describes them, and a test holds it to them).
//!
//! Nobody but [`Printer::of`] asks whether `--json` was given: a field `json` in a clap struct declares it, and no more. A
//! command that speaks while it works takes the [`Printer`], and says whether it speaks to all or to people alone.

use std::ffi::OsString;
use std::fmt::Display;
use std::process::ExitCode;

use certforge::printable;
use clap::ArgMatches;
use serde::Serialize;

use super::failure::Failure;
use super::log;
#[cfg(feature = "aws")]
pub use super::out::ask_aside;
pub use super::out::{print, print_document, tell_aside, warn};

/// How a command came to its end.
pub type Outcome = Result<Ended, Failure>;

/// What a command has to say.
pub trait Report: Display {
    /// The document for machines.
    fn document(&self) -> String;
}

impl<T: Display + Serialize> Report for T {
    fn document(&self) -> String {
        let text = serde_json::to_string_pretty(self).expect("documents have only text keys");
        text + "\n"
    }
}

/// How a command ended that did what it was asked to, or has more to say than its failure.
#[derive(Default)]
pub struct Ended {
    report: Option<Box<dyn Report>>,
    notes: Vec<String>,
    /// Notes that the text needs and the document does not.
    text_notes: Vec<String>,
    failure: Option<Failure>,
    code: u8,
    /// Whether the report says no more than that all went well, when it did.
    is_summary: bool,
}

impl Ended {
    /// It is done, and this is what became of it.
    pub fn with(report: impl Report + 'static) -> Self {
        Self {
            report: Some(Box::new(report)),
            ..Self::default()
        }
    }

    /// It is done, and who only wants to hear of trouble need not be told.
    pub fn done(report: impl Report + 'static) -> Self {
        Self {
            is_summary: true,
            ..Self::with(report)
        }
    }

    /// It is done, and everything is said.
    pub fn silent() -> Self {
        Self::default()
    }

    /// Its exit code, in place of 0.
    pub fn code(self, code: u8) -> Self {
        Self { code, ..self }
    }

    /// What people can do about it, told after the report.
    pub fn hint(mut self, hint: impl Display) -> Self {
        self.notes.push(format!("certforge: hint: {hint}"));
        self
    }

    /// The same, told only when the report went out as text.
    pub fn text_hint(mut self, hint: impl Display) -> Self {
        self.text_notes.push(format!("certforge: hint: {hint}"));
        self
    }

    /// What people should know, told after the report.
    pub fn warning(mut self, warning: impl Display) -> Self {
        self.notes.push(format!("certforge: warning: {warning}"));
        self
    }

    /// It failed, after all that is in the report; the report's document names the failure itself.
    pub fn failed(self, failure: Option<Failure>) -> Self {
        Self { failure, ..self }
    }
}

/// Prints: text for people, or documents for machines when `--json` asks for them.
#[derive(Debug, Clone, Copy)]
pub struct Printer {
    json: bool,
}

impl Printer {
    /// Asks the command that was chosen, however deep it lies, for `--json`; some have no such option.
    pub fn of(matches: &ArgMatches) -> Self {
        let mut command = matches;
        while let Some((_, chosen)) = command.subcommand() {
            command = chosen;
        }
        let json = command.try_get_one::<bool>("json");
        Self {
            json: json.ok().flatten() == Some(&true),
        }
    }

    /// The same of a command line that cannot be understood, as far as one can tell.
    pub fn of_line(line: impl IntoIterator<Item = OsString>) -> Self {
        let mut options = line.into_iter().skip(1).take_while(|word| word != "--");
        Self {
            json: options.any(|word| word == "--json"),
        }
    }

    /// Prints a report at once: the command goes on, or has printed part of it before.
    pub fn show(self, report: &dyn Report) {
        match self.json {
            true => print_document(&report.document()),
            false => print(&report.to_string()),
        };
    }

    /// Tells people alone, on standard output.
    #[cfg(any(feature = "aws", feature = "display"))]
    pub fn tell(self, text: impl Display) {
        if !self.json {
            print(&text.to_string());
        }
    }

    /// Says a line to whoever watches; standard output is for the document when there is one.
    pub fn say(self, line: impl Display) {
        match self.json {
            true => tell_aside(line),
            false => _ = print(&format!("{}\n", printable::line(&line.to_string()))),
        }
    }

    /// Whether standard output is for documents alone: for rows that are too many for one report, and programs that are started.
    pub fn wants_documents(self) -> bool {
        self.json
    }

    /// Prints what is left to be said, and gives the exit code.
    pub fn end(self, outcome: Outcome) -> ExitCode {
        let ended = match outcome {
            Ok(ended) => ended,
            Err(failure) => {
                if self.json {
                    self.show(&failure.document());
                }
                Ended::silent().failed(Some(failure))
            }
        };
        let went_well = ended.failure.is_none() && ended.code == 0;
        let is_spared = ended.is_summary && went_well && log::is_quiet() && !self.json;
        if let Some(report) = ended.report.as_ref().filter(|_| !is_spared) {
            self.show(&**report);
        }
        let text_notes = ended.text_notes.iter().filter(|_| !self.json);
        for note in ended.notes.iter().chain(text_notes) {
            let is_hint = note.starts_with("certforge: hint");
            if !(is_hint && log::is_quiet() && went_well) {
                tell_aside(note);
            }
        }
        match &ended.failure {
            Some(failure) => {
                failure.tell();
                failure.exit_code().into()
            }
            None => ended.code.into(),
        }
    }
}
