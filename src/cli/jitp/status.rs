//! `certforge jitp status`.

use std::fmt;

use certforge::aws::{RegisteredCa, TopicRule};
use certforge::profile::{self, Profile};
use clap::Args;
use data_encoding::HEXLOWER;
use serde::Serialize;
use time::OffsetDateTime;

use super::reach::AwsReach;
use crate::cli::exit;
use crate::cli::issuer::IssuerArgs;
use crate::cli::report::{Ended, Outcome};
use crate::cli::text::Lines;

#[derive(Debug, Args)]
pub struct Status {
    #[command(flatten)]
    issuer: IssuerArgs,
    /// Profile of the certificates, which the template must fit
    #[arg(long, value_name = "NAME|FILE", default_value = profile::DEFAULT)]
    profile: String,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: AwsReach,
}

/// What AWS IoT knows of a CA, and what is missing for a first connection.
#[derive(Serialize)]
struct Shown {
    account: String,
    region: String,
    ca_certificate_id: String,
    subject: String,
    registration: Option<RegisteredCa>,
    template_name: Option<String>,
    template_body: Option<String>,
    role_arn: Option<String>,
    rule: Option<TopicRule>,
    endpoint: String,
    missing: Vec<String>,
    ready: bool,
    #[serde(skip)]
    runs_template: bool,
}

impl Status {
    pub fn run(&self) -> Outcome {
        let (ca, _) = self.issuer.read_public(OffsetDateTime::now_utc())?;
        let profile = Profile::load(&self.profile, None)?;
        let cloud = self.reach.open()?;
        let noted = self.issuer.endpoint()?;
        let found = cloud.readiness(&ca, &profile, noted.as_deref())?;
        let caller = cloud.caller();
        let runs_template = found.runs.is_some();
        let (template_name, template_body, role_arn) = match found.runs {
            Some(runs) => (runs.template_name, runs.body, runs.role_arn),
            None => (None, None, None),
        };
        let ready = found.missing.is_empty();
        let shown = Shown {
            account: caller.account.clone(),
            region: caller.region.clone(),
            ca_certificate_id: HEXLOWER.encode(&ca.id()),
            subject: ca.subject_text().to_owned(),
            registration: found.registered,
            template_name,
            template_body,
            role_arn,
            rule: found.rule,
            endpoint: found.endpoint,
            missing: found.missing,
            ready,
            runs_template,
        };
        let code = if ready { 0 } else { exit::SOME_FAILED };
        Ok(Ended::with(shown).code(code))
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Lines::default();
        lines
            .line("account", format!("{}, {}", self.account, self.region))
            .line("CA", &self.subject)
            .line("CA id", &self.ca_certificate_id);
        if let Some(registered) = &self.registration {
            let auto = if registered.auto_registration { "on" } else { "off" };
            lines
                .line("status", format!("{}, {}", registered.status, registered.mode))
                .line("auto-registration", auto);
        }
        if self.runs_template {
            let name = self.template_name.as_deref();
            lines
                .line("template", name.unwrap_or("in the CA's registration"))
                .line("role", self.role_arn.as_deref().unwrap_or("none"));
        }
        if let Some(rule) = &self.rule {
            let functions = rule.functions.join(", ");
            lines.line("function", format!("{functions}, not looked at"));
        }
        lines.line("endpoint", &self.endpoint);
        for missing in &self.missing {
            lines.line("missing", missing);
        }
        if self.ready {
            lines.line("ready", "devices of this CA may connect");
        }
        lines.fmt(f)
    }
}
