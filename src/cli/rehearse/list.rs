//! `certforge rehearse list`.

use std::fmt::Write;
use std::process::ExitCode;

use certforge::rehearsal::Listing;
use clap::Args;

use super::StateArgs;
use super::serve::line;
use crate::cli::text::{Report, count};
use crate::cli::{Outcome, print, print_json};

#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    state: StateArgs,
    /// The newest of each kind, at most so many
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: u32,
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
}

impl List {
    pub fn run(&self) -> Outcome {
        let listing = self.state.open()?.list(self.limit)?;
        match self.json {
            true => print_json(&listing),
            false => print(&text(&listing)),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn text(listing: &Listing) -> String {
    let counts = &listing.counts;
    let mut report = Report::default();
    report
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
    let mut text = report.to_string();
    let mut section = |title: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            write!(text, "\n{title}\n{}\n", lines.join("\n")).expect("text grows");
        }
    };
    section(
        "certificates, the newest first",
        listing
            .certificates
            .iter()
            .map(|certificate| {
                let reason = certificate.reason.as_deref().map(|reason| format!(": {reason}"));
                format!(
                    "  {}  {}  {}{}",
                    certificate.certificate_id,
                    certificate.name,
                    certificate.status.as_str(),
                    reason.unwrap_or_default()
                )
            })
            .collect(),
    );
    section(
        "things",
        listing
            .things
            .iter()
            .map(|thing| {
                let attributes = thing.thing.attributes.iter();
                let attributes: Vec<String> = attributes
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                let certificates = match thing.principals.len() {
                    1 => "1 certificate".to_owned(),
                    n => format!("{n} CERTIFICATES"),
                };
                let line = format!(
                    "  {}  {certificates}  {}",
                    thing.thing.thing_name,
                    attributes.join(" ")
                );
                line.trim_end().to_owned()
            })
            .collect(),
    );
    section(
        "policies",
        listing
            .policies
            .iter()
            .map(|policy| {
                format!(
                    "  {}  attached to {}  {}",
                    policy.policy_name,
                    count(policy.targets),
                    policy.policy_document
                )
            })
            .collect(),
    );
    section(
        "events, the newest first",
        listing
            .events
            .iter()
            .map(|event| format!("  {}", line(event).trim_end()))
            .collect(),
    );
    text
}
