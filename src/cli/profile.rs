//! `certforge profile`: the built-in profiles, and what is wrong with one's own.

use std::fmt;

use certforge::printable;
use certforge::profile::{BUILT_IN, Profile};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::report::{Ended, Outcome};
use super::text::Lines;

#[derive(Debug, Subcommand)]
pub enum ProfileCommand {
    /// List the built-in profiles
    List(List),
    /// Print a profile, with its comments, to begin one's own with
    Show(Show),
    /// Check a profile of one's own
    Check(Check),
}

impl ProfileCommand {
    pub fn run(&self) -> Outcome {
        match self {
            Self::List(_) => Ok(Ended::with(Listed(
                BUILT_IN.map(|(name, _)| name).map(Described::built_in).into(),
            ))),
            Self::Show(command) => command.run(),
            Self::Check(command) => command.run(),
        }
    }
}

#[derive(Debug, Args)]
pub struct List {
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub struct Show {
    /// Built-in profile
    #[arg(value_name = "NAME")]
    profile: String,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub struct Check {
    /// Built-in profile or TOML file
    #[arg(value_name = "NAME|FILE")]
    profile: String,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

/// What a profile makes.
#[derive(Serialize)]
struct Described {
    profile: String,
    description: String,
    key_type: String,
    /// In DN order, as the profile writes it.
    subject: Vec<String>,
    /// DNS names and URIs, as the profile writes them.
    alternative_names: Vec<String>,
    /// How long certificates hold.
    validity: String,
    members: Vec<String>,
    endpoint: Option<String>,
    /// What is an example's, and would be in every certificate.
    examples: Vec<String>,
}

#[derive(Serialize)]
#[serde(transparent)]
struct Listed(Vec<Described>);

/// The text of a profile.
#[derive(Serialize)]
struct Shown {
    profile: String,
    toml: &'static str,
}

impl Described {
    fn of(profile: &Profile) -> Self {
        Self {
            profile: profile.name().to_owned(),
            description: profile.description().to_owned(),
            key_type: profile.key_type().to_string(),
            subject: profile
                .subject_filled("")
                .map(|(attribute, _, written)| format!("{attribute}={written}"))
                .collect(),
            alternative_names: profile.alternative_names().map(str::to_owned).collect(),
            validity: profile.validity().not_after.to_string(),
            members: profile
                .recipe()
                .all()
                .map(|member| member.name().to_owned())
                .collect(),
            endpoint: profile.endpoint().host.clone(),
            examples: profile.examples().map(str::to_owned).collect(),
        }
    }

    fn built_in(name: &str) -> Self {
        Self::of(&Profile::load(name, None).expect("a test loads them all"))
    }
}

impl Show {
    fn run(&self) -> Outcome {
        // What is not built in is refused with the names of those that are.
        let profile = Profile::load(&self.profile, None)?;
        let found = BUILT_IN.iter().find(|(name, _)| *name == self.profile);
        match found {
            Some((_, toml)) => Ok(Ended::with(Shown {
                profile: self.profile.clone(),
                toml,
            })),
            None => Ok(Ended::with(Described::of(&profile))),
        }
    }
}

impl Check {
    fn run(&self) -> Outcome {
        let profile = Profile::load(&self.profile, None)?;
        let ended = Ended::with(Described::of(&profile));
        let examples: Vec<&str> = profile.examples().collect();
        if examples.is_empty() {
            return Ok(ended);
        }
        Ok(ended.warning(format_args!(
            "this is an example's, and would be in every certificate: {}",
            printable::line(&examples.join(", "))
        )))
    }
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(profiles) = self;
        profiles
            .iter()
            .try_for_each(|profile| writeln!(f, "{:19}  {}", profile.profile, profile.description))
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.toml)
    }
}

impl fmt::Display for Described {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Lines::default();
        lines.line("profile", &self.profile);
        if !self.description.is_empty() {
            lines.line("description", &self.description);
        }
        lines
            .line("keys", &self.key_type)
            .line("subject", self.subject.join(", "));
        if !self.alternative_names.is_empty() {
            lines.line("also named", self.alternative_names.join(", "));
        }
        lines
            .line("valid", &self.validity)
            .line("bundle", self.members.join(", "))
            .line("endpoint", self.endpoint.as_deref().unwrap_or("none"));
        lines.fmt(f)
    }
}
