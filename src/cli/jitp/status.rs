//! `certforge jitp status`.

use std::process::ExitCode;

use certforge::aws::{Cloud, FoundCa, FoundRule, managed_policies, rule_name, trusts_iot};
use certforge::issuer::CaCertificate;
use certforge::jitp::{Finding, Template};
use certforge::profile::{self, Profile};
use clap::Args;
use data_encoding::HEXLOWER;
use serde_json::json;
use time::OffsetDateTime;

use super::super::issuer::IssuerArgs;
use super::super::text::Report;
use super::super::{Failure, Outcome, exit, print, print_json};
use super::reach::AwsReach;

#[derive(Debug, Args)]
pub struct Status {
    #[command(flatten)]
    issuer: IssuerArgs,
    /// Profile of the certificates, which the template must fit
    #[arg(long, value_name = "NAME|FILE", default_value = profile::DEFAULT)]
    profile: String,
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    reach: AwsReach,
}

/// What AWS IoT would run at a first connection.
struct Runs {
    template_name: Option<String>,
    body: Option<String>,
    role_arn: Option<String>,
}

/// What was found, and what is missing.
struct Seen<'a> {
    cloud: &'a Cloud,
    ca: &'a CaCertificate,
    registered: Option<FoundCa>,
    runs: Option<Runs>,
    rule: Option<FoundRule>,
    endpoint: String,
    missing: Vec<String>,
}

impl Status {
    pub fn run(&self) -> Outcome {
        let (ca, _) = self.issuer.read_public(OffsetDateTime::now_utc())?;
        let profile = Profile::load(&self.profile, None)?;
        let cloud = self.reach.open()?;
        let mut missing = Vec::new();
        let registered = cloud.ca(&ca.id())?;
        let runs = match &registered {
            None => {
                missing.push("the CA is not registered".to_owned());
                None
            }
            Some(registered) => {
                check_registration(registered, &mut missing);
                runs(&cloud, registered, &mut missing)?
            }
        };
        let rule = cloud.rule(&rule_name(&ca.id()))?;
        match &runs {
            Some(runs) => check_template(runs, &profile, &cloud, &mut missing)?,
            None if registered.is_some() => check_rule(rule.as_ref(), &mut missing),
            None => {}
        }
        let endpoint = cloud.endpoint()?;
        let noted = self.issuer.endpoint()?;
        if noted.is_some_and(|noted| noted != endpoint) {
            missing.push(format!(
                "the endpoint is {endpoint}, and another is noted with the CA"
            ));
        }
        let seen = Seen {
            cloud: &cloud,
            ca: &ca,
            registered,
            runs,
            rule,
            endpoint,
            missing,
        };
        match self.json {
            true => seen.print_json(),
            false => seen.print(),
        }
        Ok(match seen.missing.is_empty() {
            true => ExitCode::SUCCESS,
            false => exit::SOME_FAILED.into(),
        })
    }
}

/// The template of a registration; `None` when there is none, as with JITR.
fn runs(cloud: &Cloud, registered: &FoundCa, missing: &mut Vec<String>) -> Result<Option<Runs>, Failure> {
    let Some(config) = &registered.config else {
        return Ok(None);
    };
    let Some(name) = &config.template_name else {
        return Ok(Some(Runs {
            template_name: None,
            body: config.template_body.clone(),
            role_arn: config.role_arn.clone(),
        }));
    };
    let template = cloud.template(name)?;
    match &template {
        None => missing.push(format!("provisioning template {name} is not there")),
        Some(template) if !template.enabled => {
            missing.push(format!("provisioning template {name} is disabled"));
        }
        Some(template) if !template.is_jitp => {
            missing.push(format!("provisioning template {name} is not of type JITP"));
        }
        Some(_) => {}
    }
    Ok(Some(Runs {
        template_name: Some(name.clone()),
        body: template.as_ref().map(|template| template.body.clone()),
        role_arn: template.map(|template| template.role_arn),
    }))
}

impl Seen<'_> {
    fn print_json(&self) {
        let caller = self.cloud.caller();
        let runs = self.runs.as_ref();
        print_json(&json!({
            "account": caller.account,
            "region": caller.region,
            "ca_certificate_id": HEXLOWER.encode(&self.ca.id()),
            "subject": self.ca.subject_text(),
            "registration": self.registered,
            "template_name": runs.and_then(|runs| runs.template_name.as_ref()),
            "template_body": runs.and_then(|runs| runs.body.as_ref()),
            "role_arn": runs.and_then(|runs| runs.role_arn.as_ref()),
            "rule": self.rule,
            "endpoint": self.endpoint,
            "missing": self.missing,
            "ready": self.missing.is_empty(),
        }));
    }

    fn print(&self) {
        let caller = self.cloud.caller();
        let mut report = Report::default();
        report
            .line("account", format!("{}, {}", caller.account, caller.region))
            .line("CA", self.ca.subject_text())
            .line("CA id", HEXLOWER.encode(&self.ca.id()));
        if let Some(registered) = &self.registered {
            let auto = if registered.auto_registration { "on" } else { "off" };
            report
                .line("status", format!("{}, {}", registered.status, registered.mode))
                .line("auto-registration", auto);
        }
        if let Some(runs) = &self.runs {
            let name = runs.template_name.as_deref();
            report
                .line("template", name.unwrap_or("in the CA's registration"))
                .line("role", runs.role_arn.as_deref().unwrap_or("none"));
        }
        if let Some(rule) = &self.rule {
            report.line(
                "function",
                format!("{}, not looked at", rule.functions.join(", ")),
            );
        }
        report.line("endpoint", &self.endpoint);
        for missing in &self.missing {
            report.line("missing", missing);
        }
        if self.missing.is_empty() {
            report.line("ready", "devices of this CA may connect");
        }
        print(&report.to_string());
    }
}

fn check_registration(registered: &FoundCa, missing: &mut Vec<String>) {
    if registered.status != "ACTIVE" {
        missing.push(format!("the CA is {}", registered.status));
    }
    if !registered.auto_registration {
        missing.push("auto-registration is off: new devices are refused".to_owned());
    }
}

fn check_template(
    runs: &Runs,
    profile: &Profile,
    cloud: &Cloud,
    missing: &mut Vec<String>,
) -> Result<(), Failure> {
    if let Some(body) = &runs.body {
        let reading = Template::read_for(body, Some(profile));
        let errors = reading.findings.iter().filter(|finding| finding.is_error());
        missing.extend(errors.map(|finding: &Finding| format!("template: {finding}")));
        let prerequisites = reading.template.iter().flat_map(Template::prerequisites);
        for prerequisite in prerequisites {
            if !cloud.exists(&prerequisite)? {
                missing.push(format!("{prerequisite} is not there"));
            }
        }
    }
    let Some(arn) = &runs.role_arn else {
        missing.push("no role is set: AWS IoT cannot run the template".to_owned());
        return Ok(());
    };
    let name = arn.rsplit('/').next().unwrap_or(arn);
    match cloud.role(name) {
        Ok(None) => missing.push(format!("role {name} is not there")),
        // A role of somebody else may have its rights in another way.
        Ok(Some(role)) if role.policies.is_empty() => {
            let needed = managed_policies(cloud.caller().partition());
            missing.push(format!(
                "role {name} has no policy attached; it needs {}",
                needed.join(", ")
            ));
        }
        Ok(Some(role)) if !trusts_iot(&role.trust) => {
            missing.push(format!(
                "role {name} may not be taken by AWS IoT (its trust policy)"
            ));
        }
        Ok(Some(_)) => {}
        // Who may not look at roles sees the rest.
        Err(error) => missing.push(format!("role {name} cannot be looked at: {error}")),
    }
    Ok(())
}

fn check_rule(rule: Option<&FoundRule>, missing: &mut Vec<String>) {
    match rule {
        None => missing
            .push("there is neither a template (JITP) nor a rule (JITR): devices stay pending".to_owned()),
        Some(rule) if !rule.enabled => missing.push("the rule is disabled".to_owned()),
        Some(rule) if rule.functions.is_empty() => missing.push("the rule calls no function".to_owned()),
        Some(_) => {}
    }
}
