//! Readiness: whether devices of a CA may connect for the first time, and what is missing for it.

use super::call::AwsError;
use super::cloud::Cloud;
use super::inventory::{RegisteredCa, TopicRule};
use super::role::{IotTrust, iot_trust, managed_policies};
use super::wanted::rule_name;
use crate::issuer::CaCertificate;
use crate::jitp::{Finding, Template};
use crate::profile::Profile;

/// What AWS IoT knows of a CA, and what is missing.
#[derive(Debug, Clone)]
pub struct Readiness {
    pub registered: Option<RegisteredCa>,
    pub runs: Option<Runs>,
    pub rule: Option<TopicRule>,
    pub endpoint: String,
    /// For people; nothing, when devices may connect.
    pub missing: Vec<String>,
}

/// What AWS IoT would run at a first connection.
#[derive(Debug, Clone)]
pub struct Runs {
    /// `None`: the template stands in the CA's registration.
    pub template_name: Option<String>,
    pub body: Option<String>,
    pub role_arn: Option<String>,
}

impl Cloud {
    /// Looks at what is there for the devices of a CA. `noted`: the endpoint that is noted with the CA.
    ///
    /// # Errors
    ///
    /// When AWS refuses or cannot be reached.
    pub fn readiness(
        &self,
        ca: &CaCertificate,
        profile: &Profile,
        noted: Option<&str>,
    ) -> Result<Readiness, AwsError> {
        let mut missing = Vec::new();
        let registered = self.ca(&ca.id())?;
        let runs = match &registered {
            None => {
                missing.push("the CA is not registered".to_owned());
                None
            }
            Some(registered) => {
                check_registration(registered, &mut missing);
                self.runs(registered, &mut missing)?
            }
        };
        let rule = self.rule(&rule_name(&ca.id()))?;
        match &runs {
            Some(runs) => self.check_template(runs, profile, &mut missing)?,
            None if registered.is_some() => check_rule(rule.as_ref(), &mut missing),
            None => {}
        }
        let endpoint = self.endpoint()?;
        if noted.is_some_and(|noted| noted != endpoint) {
            missing.push(format!(
                "the endpoint is {endpoint}, and another is noted with the CA"
            ));
        }
        Ok(Readiness {
            registered,
            runs,
            rule,
            endpoint,
            missing,
        })
    }

    /// The template of a registration; `None` when there is none, as with JITR.
    fn runs(&self, registered: &RegisteredCa, missing: &mut Vec<String>) -> Result<Option<Runs>, AwsError> {
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
        let template = self.template(name)?;
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

    fn check_template(
        &self,
        runs: &Runs,
        profile: &Profile,
        missing: &mut Vec<String>,
    ) -> Result<(), AwsError> {
        if let Some(body) = &runs.body {
            let reading = Template::read_for(body, Some(profile), None);
            let errors = reading.findings.iter().filter(|finding| finding.is_error());
            missing.extend(errors.map(|finding: &Finding| format!("template: {finding}")));
            let prerequisites = reading.template.iter().flat_map(Template::prerequisites);
            for prerequisite in prerequisites {
                if !self.exists(&prerequisite)? {
                    missing.push(format!("{prerequisite} is not there"));
                }
            }
        }
        let Some(arn) = &runs.role_arn else {
            missing.push("no role is set: AWS IoT cannot run the template".to_owned());
            return Ok(());
        };
        let name = arn.rsplit('/').next().unwrap_or(arn);
        match self.role(name) {
            Ok(None) => missing.push(format!("role {name} is not there")),
            // A role of somebody else may have its rights in another way.
            Ok(Some(role)) if role.policies.is_empty() => {
                let needed = managed_policies(self.caller().partition());
                missing.push(format!(
                    "role {name} has no policy attached; it needs {}",
                    needed.join(", ")
                ));
            }
            Ok(Some(role)) if iot_trust(&role.trust, self.caller()) == IotTrust::Refused => {
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
}

fn check_registration(registered: &RegisteredCa, missing: &mut Vec<String>) {
    if registered.status != "ACTIVE" {
        missing.push(format!("the CA is {}", registered.status));
    }
    if !registered.auto_registration {
        missing.push("auto-registration is off: new devices are refused".to_owned());
    }
}

fn check_rule(rule: Option<&TopicRule>, missing: &mut Vec<String>) {
    match rule {
        None => missing
            .push("there is neither a template (JITP) nor a rule (JITR): devices stay pending".to_owned()),
        Some(rule) if !rule.enabled => missing.push("the rule is disabled".to_owned()),
        Some(rule) if rule.functions.is_empty() => missing.push("the rule calls no function".to_owned()),
        Some(_) => {}
    }
}
