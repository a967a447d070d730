//! `certforge rehearse list`.

use std::fmt;

use certforge::printable;
use certforge::rehearsal::Listing;
use clap::Args;
use serde::Serialize;

use super::StateArgs;
use super::serve::line;
use crate::cli::report::{Ended, Outcome};
use crate::cli::text::{Lines, count};

#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    state: StateArgs,
    /// The newest of each kind, at most so many
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: u32,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

/// What is in the account.
#[derive(Serialize)]
struct Listed(Listing);

impl List {
    pub fn run(&self) -> Outcome {
        Ok(Ended::with(Listed(self.state.open()?.list(self.limit)?)))
    }
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(listing) = self;
        let counts = &listing.counts;
        let mut lines = Lines::default();
        lines
            .line("things", count(counts.things))
            .line("policies", count(counts.policies))
            .line(
                "certificates",
                format!(
                    "{} ACTIVE, {} PENDING_ACTIVATION, {} INACTIVE, {} REVOKED",
                    count(counts.active),
                    count(counts.pending_activation),
                    count(counts.inactive),
                    count(counts.revoked)
                ),
            );
        lines.fmt(f)?;
        section(
            f,
            "certificates, the newest first",
            &listing.certificates,
            |certificate| {
                let reason = certificate.reason.as_deref().map(|reason| format!(": {reason}"));
                format!(
                    "{}  {}  {}{}",
                    certificate.certificate_id,
                    certificate.name,
                    certificate.status.as_str(),
                    reason.unwrap_or_default()
                )
            },
        )?;
        section(f, "things", &listing.things, |thing| {
            let attributes = thing.thing.attributes.iter();
            let attributes: Vec<String> = attributes
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            let certificates = match thing.principals.len() {
                1 => "1 certificate".to_owned(),
                n => format!("{n} CERTIFICATES"),
            };
            let line = format!(
                "{}  {certificates}  {}",
                thing.thing.thing_name,
                attributes.join(" ")
            );
            line.trim_end().to_owned()
        })?;
        section(f, "policies", &listing.policies, |policy| {
            let targets = count(policy.targets);
            let (name, document) = (&policy.policy_name, &policy.policy_document);
            format!("{name}  attached to {targets}  {document}")
        })?;
        section(f, "events, the newest first", &listing.events, |event| {
            line(event).trim_end().to_owned()
        })
    }
}

/// A title and a line for each item, when there are any.
fn section<T>(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    items: &[T],
    line: impl Fn(&T) -> String,
) -> fmt::Result {
    if !items.is_empty() {
        writeln!(f, "\n{title}")?;
    }
    items
        .iter()
        .try_for_each(|item| writeln!(f, "  {}", printable::line(&line(item))))
}
