//! `certforge config`.

use std::fmt;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::report::Ended;
use super::settings::{self, SETTINGS, Source};
use super::text::Lines;

#[derive(Debug, Subcommand)]
pub enum Config {
    /// Show what holds for options that are not given, and where each value comes from
    Show(Show),
}

impl Config {
    pub fn run(&self) -> Ended {
        let Self::Show(_) = self;
        let value = |setting: &'static settings::Setting| {
            let found = settings::all()
                .iter()
                .find(|found| found.setting.key == setting.key);
            let (value, source) = match found {
                Some(found) => (Some(found.value.clone()), Some(said(&found.source))),
                None => (
                    Some(setting.usual)
                        .filter(|usual| !usual.is_empty())
                        .map(str::to_owned),
                    None,
                ),
            };
            Held {
                setting: setting.key,
                value,
                source,
                variable: setting.variable,
            }
        };
        Ended::with(Shown(SETTINGS.iter().map(value).collect()))
    }
}

#[derive(Debug, Args)]
pub struct Show {
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

/// A setting, and where its value comes from.
#[derive(Serialize)]
struct Held {
    setting: &'static str,
    value: Option<String>,
    /// The variable or the file; `None`: nobody has set it.
    source: Option<String>,
    variable: &'static str,
}

#[derive(Serialize)]
#[serde(transparent)]
struct Shown(Vec<Held>);

fn said(source: &Source) -> String {
    match source {
        Source::Variable(name) => (*name).to_owned(),
        Source::File(path) => path.display().to_string(),
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(values) = self;
        let mut lines = Lines::default();
        for Held {
            setting,
            value,
            source,
            variable,
        } in values
        {
            let value = value.as_deref().unwrap_or("none");
            let source = source.as_ref().map_or_else(
                || format!("by default; {variable} sets it"),
                |source| format!("from {source}"),
            );
            lines.line(setting, format!("{value}  ({source})"));
        }
        lines.fmt(f)
    }
}
