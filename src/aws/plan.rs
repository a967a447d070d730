//! The plan: what is wanted held against what was found, step by step.

use std::collections::BTreeSet;
use std::path::PathBuf;

use data_encoding::HEXLOWER;
use serde::Serialize;
use serde_json::{Value, json};

use super::action::Action;
use super::cloud::Caller;
use super::difference::{Difference, compare_configs, compare_templates, difference};
use super::find::{Found, FoundCa, FoundRule, FoundTemplate, RegistrationConfig};
use crate::jitp::Prerequisite;

/// Who may take the role: AWS IoT itself.
const SERVICE: &str = "iot.amazonaws.com";

/// The policies of AWS that JITP's role needs, under `service-role/`.
const POLICIES: [&str; 3] = ["AWSIoTThingsRegistration", "AWSIoTLogging", "AWSIoTRuleActions"];

/// What shall be in the account.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// SHA-256 of the CA's certificate.
    pub ca_id: [u8; 32],
    pub mode: Mode,
    pub flow: Flow,
    pub role: Role,
    /// Where the endpoint is noted for later runs, and what is noted there now.
    pub note: Option<(PathBuf, Option<String>)>,
}

/// How AWS IoT tells whose a device is (`certificateMode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// By its CA, which is registered in one account of a Region and needs a proof of possession.
    Default,
    /// By the host name that it asks for (SNI), so that several accounts may share a CA.
    SniOnly,
}

impl Mode {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default => "DEFAULT",
            Self::SniOnly => "SNI_ONLY",
        }
    }
}

/// What happens when a device connects for the first time.
#[derive(Debug, Clone)]
pub enum Flow {
    /// AWS IoT runs a template (JITP).
    Jitp {
        body: String,
        /// The template is kept under this name, with versions; `None`: in the CA's registration.
        template_name: Option<String>,
        prerequisites: Vec<Prerequisite>,
        /// ARNs in the template's policies.
        policy_resources: Vec<String>,
        /// What may be wrong with the template.
        warnings: Vec<String>,
    },
    /// A rule calls a function, which decides (JITR).
    Jitr { function: String },
}

/// The role that AWS IoT takes to run a template.
#[derive(Debug, Clone)]
pub enum Role {
    /// One that certforge makes, or finds.
    Named(String),
    /// Somebody else's, taken as it is.
    Arn(String),
}

impl Wanted {
    /// JITR needs no role: the function has its own.
    pub(super) fn needs_role(&self) -> bool {
        matches!(self.flow, Flow::Jitp { .. })
    }
}

/// What is to be done, in order.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    pub caller: Caller,
    pub steps: Vec<Step>,
    /// What may not be as it was meant.
    pub warnings: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Step {
    pub what: String,
    #[serde(flatten)]
    pub state: State,
}

#[derive(Debug, Clone, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum State {
    /// It is as it shall be.
    Exists,
    /// It is not there, or not whole.
    Missing { actions: Vec<Action> },
    /// It is otherwise; `actions` would change it, if anything can.
    Differs {
        differences: Vec<Difference>,
        actions: Vec<Action>,
    },
    /// It must be made by somebody else.
    Blocked { hint: String },
}

impl Plan {
    #[must_use]
    pub fn new(wanted: &Wanted, found: &Found) -> Self {
        let mut steps = Vec::new();
        let caller = &found.caller;
        let role_arn = match &wanted.role {
            Role::Arn(arn) => arn.clone(),
            Role::Named(name) => match &found.role {
                Some(role) => role.arn.clone(),
                None => format!("arn:{}:iam::{}:role/{name}", caller.partition(), caller.account),
            },
        };
        if let (true, Role::Named(name)) = (wanted.needs_role(), &wanted.role) {
            steps.push(role(name, found));
        }
        for missing in &found.missing {
            steps.push(blocked(missing));
        }
        let config = match &wanted.flow {
            Flow::Jitp {
                body,
                template_name: Some(name),
                ..
            } => {
                steps.push(template(name, body, &role_arn, found.template.as_ref()));
                Some(RegistrationConfig {
                    template_name: Some(name.clone()),
                    ..RegistrationConfig::default()
                })
            }
            Flow::Jitp { body, .. } => Some(RegistrationConfig {
                template_body: Some(body.clone()),
                role_arn: Some(role_arn.clone()),
                template_name: None,
            }),
            Flow::Jitr { .. } => None,
        };
        // The rule first: an event that nobody hears is lost.
        if let Flow::Jitr { function } = &wanted.flow {
            steps.push(rule(wanted, function, found.rule.as_ref()));
        }
        steps.push(ca(wanted, config, found.ca.as_ref()));
        steps.extend(note(wanted, &found.endpoint));
        Self {
            caller: caller.clone(),
            steps,
            warnings: warnings(wanted, found),
        }
    }

    /// What is to be done; what differs is changed only on demand.
    pub fn actions(&self, update: bool) -> impl Iterator<Item = &Action> {
        self.steps.iter().flat_map(move |step| match &step.state {
            State::Missing { actions } => actions.as_slice(),
            State::Differs { actions, .. } if update => actions.as_slice(),
            _ => &[],
        })
    }

    /// Steps that keep the others from being done.
    pub fn obstacles(&self, update: bool) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(move |step| match &step.state {
            State::Blocked { .. } => true,
            State::Differs { actions, .. } => !update || actions.is_empty(),
            State::Exists | State::Missing { .. } => false,
        })
    }
}

/// The trust policy of the role.
#[must_use]
pub fn trust_policy() -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": { "Service": SERVICE },
            "Action": "sts:AssumeRole"
        }]
    })
}

/// ARNs of the policies of AWS that the role needs.
#[must_use]
pub fn managed_policies(partition: &str) -> Vec<String> {
    let arn = |name| format!("arn:{partition}:iam::aws:policy/service-role/{name}");
    POLICIES.into_iter().map(arn).collect()
}

/// The name of the rule for a CA.
#[must_use]
pub fn rule_name(ca_id: &[u8; 32]) -> String {
    format!("certforge_jitr_{}", HEXLOWER.encode(&ca_id[..8]))
}

fn role(name: &str, found: &Found) -> Step {
    let attach = |policy_arn: String| Action::AttachPolicy {
        role: name.to_owned(),
        policy_arn,
    };
    let needed = managed_policies(found.caller.partition());
    let trust = trust_policy();
    let state = match &found.role {
        None => State::Missing {
            actions: std::iter::once(Action::CreateRole {
                name: name.to_owned(),
                trust,
            })
            .chain(needed.into_iter().map(attach))
            .collect(),
        },
        Some(role) if !trusts_iot(&role.trust) => State::Differs {
            differences: vec![Difference {
                what: "trust policy".to_owned(),
                is: role.trust.to_string(),
                wanted: trust.to_string(),
            }],
            actions: vec![Action::SetTrust {
                name: name.to_owned(),
                trust,
            }],
        },
        Some(role) => {
            let missing: BTreeSet<String> = needed.into_iter().collect();
            let missing: Vec<Action> = missing.difference(&role.policies).cloned().map(attach).collect();
            match missing.is_empty() {
                true => State::Exists,
                false => State::Missing { actions: missing },
            }
        }
    };
    Step {
        what: format!("role {name}"),
        state,
    }
}

/// Whether AWS IoT may take a role, whatever else its trust policy says.
#[must_use]
pub fn trusts_iot(trust: &Value) -> bool {
    let has = |value: &Value, text: &str| match value {
        Value::String(found) => found == text,
        Value::Array(items) => items.iter().any(|item| item == text),
        _ => false,
    };
    let statements = match &trust["Statement"] {
        Value::Array(statements) => statements.iter().collect(),
        statement => vec![statement],
    };
    statements.into_iter().any(|statement| {
        statement["Effect"] == "Allow"
            && has(&statement["Principal"]["Service"], SERVICE)
            && has(&statement["Action"], "sts:AssumeRole")
            && statement.get("Condition").is_none()
    })
}

fn blocked(missing: &Prerequisite) -> Step {
    let (what, hint) = match missing {
        Prerequisite::ThingType(name) => (
            format!("thing type {name}"),
            format!("aws iot create-thing-type --thing-type-name {name}"),
        ),
        Prerequisite::ThingGroup(name) => (
            format!("thing group {name}"),
            format!("aws iot create-thing-group --thing-group-name {name}"),
        ),
        Prerequisite::BillingGroup(name) => (
            format!("billing group {name}"),
            format!("aws iot create-billing-group --billing-group-name {name}"),
        ),
        Prerequisite::Policy(name) => (
            format!("policy {name}"),
            format!("aws iot create-policy --policy-name {name} --policy-document file://policy.json"),
        ),
    };
    Step {
        what,
        state: State::Blocked { hint },
    }
}

fn template(name: &str, body: &str, role_arn: &str, found: Option<&FoundTemplate>) -> Step {
    let state = match found {
        None => State::Missing {
            actions: vec![Action::CreateTemplate {
                name: name.to_owned(),
                body: body.to_owned(),
                role_arn: role_arn.to_owned(),
            }],
        },
        Some(found) => {
            let (mut differences, mut actions) = (Vec::new(), Vec::new());
            if !found.is_jitp {
                differences.push(difference("type", "FLEET_PROVISIONING", "JITP"));
            }
            let of_body = compare_templates(&found.body, body);
            if !of_body.is_empty() {
                differences.extend(of_body);
                actions.push(Action::AddTemplateVersion {
                    name: name.to_owned(),
                    body: body.to_owned(),
                });
            }
            if found.role_arn != role_arn || !found.enabled {
                if found.role_arn != role_arn {
                    differences.push(difference("role", &found.role_arn, role_arn));
                }
                if !found.enabled {
                    differences.push(difference("enabled", "no", "yes"));
                }
                actions.push(Action::UpdateTemplate {
                    name: name.to_owned(),
                    role_arn: role_arn.to_owned(),
                });
            }
            if !found.is_jitp {
                // A template keeps its type.
                actions.clear();
            }
            same_or_differs(differences, actions)
        }
    };
    Step {
        what: format!("provisioning template {name}"),
        state,
    }
}

fn rule(wanted: &Wanted, function: &str, found: Option<&FoundRule>) -> Step {
    let name = rule_name(&wanted.ca_id);
    let sql = format!(
        "SELECT * FROM '$aws/events/certificates/registered/{}'",
        HEXLOWER.encode(&wanted.ca_id)
    );
    let put = |replace| Action::PutRule {
        name: name.clone(),
        sql: sql.clone(),
        function: function.to_owned(),
        replace,
    };
    let state = match found {
        None => State::Missing {
            actions: vec![put(false)],
        },
        Some(found) => {
            let mut differences = Vec::new();
            if found.sql != sql {
                differences.push(difference("SQL", &found.sql, &sql));
            }
            if found.functions != [function] {
                differences.push(difference("function", &found.functions.join(", "), function));
            }
            if !found.enabled {
                differences.push(difference("enabled", "no", "yes"));
            }
            same_or_differs(differences, vec![put(true)])
        }
    };
    Step {
        what: format!("rule {name}"),
        state,
    }
}

fn ca(wanted: &Wanted, config: Option<RegistrationConfig>, found: Option<&FoundCa>) -> Step {
    let id = HEXLOWER.encode(&wanted.ca_id);
    let what = format!("CA {id}");
    let Some(found) = found else {
        let action = Action::RegisterCa {
            mode: wanted.mode.as_str(),
            config,
        };
        return Step {
            what,
            state: State::Missing {
                actions: vec![action],
            },
        };
    };
    let mut differences = Vec::new();
    let mut is_fixed = false;
    if found.mode != wanted.mode.as_str() {
        differences.push(difference("mode", &found.mode, wanted.mode.as_str()));
        // A CA keeps its mode.
        is_fixed = true;
    }
    let activate = found.status != "ACTIVE";
    if activate {
        differences.push(difference("status", &found.status, "ACTIVE"));
    }
    if !found.auto_registration {
        differences.push(difference("auto-registration", "DISABLE", "ENABLE"));
    }
    let found_config = found.config.clone().unwrap_or_default();
    let of_config = compare_configs(&found_config, &config.clone().unwrap_or_default());
    let mut new_config = None;
    if !of_config.is_empty() {
        differences.extend(of_config);
        // What was registered with a template cannot be without one.
        is_fixed |= config.is_none();
        new_config = config;
    }
    let action = Action::UpdateCa {
        id: id.clone(),
        activate,
        enable_registration: !found.auto_registration,
        config: new_config,
    };
    Step {
        what,
        state: same_or_differs(differences, if is_fixed { Vec::new() } else { vec![action] }),
    }
}

/// The endpoint is noted where later runs take it from.
fn note(wanted: &Wanted, host: &str) -> Option<Step> {
    let (path, noted) = wanted.note.as_ref()?;
    let action = Action::NoteEndpoint {
        path: path.clone(),
        host: host.to_owned(),
    };
    let state = match noted {
        Some(noted) if noted == host => State::Exists,
        None => State::Missing {
            actions: vec![action],
        },
        Some(noted) => same_or_differs(vec![difference("host", noted, host)], vec![action]),
    };
    Some(Step {
        what: format!("endpoint {host} in {}", path.display()),
        state,
    })
}

/// The command that lets the rule for a CA call a function: its policy is not ours to change.
#[must_use]
pub fn permission(caller: &Caller, ca_id: &[u8; 32], function: &str) -> String {
    let (region, account, rule) = (&caller.region, &caller.account, rule_name(ca_id));
    format!(
        "aws lambda add-permission --region {region} --function-name {function} --statement-id {rule} \
         --action lambda:InvokeFunction --principal iot.amazonaws.com --source-arn arn:{}:iot:{region}:{account}:rule/{rule}",
        caller.partition()
    )
}

fn warnings(wanted: &Wanted, found: &Found) -> Vec<String> {
    let caller = &found.caller;
    match &wanted.flow {
        Flow::Jitp {
            policy_resources,
            warnings,
            ..
        } => {
            let mut all = warnings.clone();
            all.extend(misplaced("a policy of the template", policy_resources, caller));
            if found.rule.as_ref().is_some_and(|rule| rule.enabled) {
                all.push(format!(
                    "rule {} (JITR) is there too: its function makes INACTIVE what it does not know",
                    rule_name(&wanted.ca_id)
                ));
            }
            all
        }
        Flow::Jitr { function } => {
            let mut all = misplaced("the function", std::slice::from_ref(function), caller);
            all.push(format!(
                "no device comes up before the function lets the rule call it: {}",
                permission(caller, &wanted.ca_id, function)
            ));
            all
        }
    }
}

/// What names another partition, Region or account than this one does nothing here.
fn misplaced(whose: &str, arns: &[String], caller: &Caller) -> Vec<String> {
    let mut warnings = BTreeSet::new();
    for arn in arns {
        let parts: Vec<&str> = arn.split(':').collect();
        let [_, partition, _, region, account, ..] = parts.as_slice() else {
            continue;
        };
        for (what, found, here) in [
            ("partition", partition, caller.partition()),
            ("Region", region, caller.region.as_str()),
            ("account", account, caller.account.as_str()),
        ] {
            if *found != here && !found.contains(['*', '?', '$']) {
                warnings.insert(format!(
                    "{whose} is of {what} {found}, and this is {here}: it does nothing here"
                ));
            }
        }
    }
    warnings.into_iter().collect()
}

fn same_or_differs(differences: Vec<Difference>, actions: Vec<Action>) -> State {
    match differences.is_empty() {
        true => State::Exists,
        false => State::Differs { differences, actions },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::command::Place;
    use crate::aws::find::FoundRole;

    fn wanted(flow: Flow) -> Wanted {
        Wanted {
            ca_id: [7; 32],
            mode: Mode::Default,
            flow,
            role: Role::Named("certforge-jitp".to_owned()),
            note: None,
        }
    }

    fn jitp() -> Flow {
        Flow::Jitp {
            body: r#"{"a": 1, "b": 2}"#.to_owned(),
            template_name: None,
            prerequisites: Vec::new(),
            policy_resources: vec!["arn:aws:iot:us-east-1:1:topic/x".to_owned(), "*".to_owned()],
            warnings: Vec::new(),
        }
    }

    fn found(region: &str) -> Found {
        Found {
            caller: Caller {
                account: "123456789012".to_owned(),
                arn: "arn:aws:iam::123456789012:user/x".to_owned(),
                region: region.to_owned(),
            },
            role: None,
            template: None,
            ca: None,
            rule: None,
            missing: Vec::new(),
            endpoint: "x-ats.iot.eu-central-1.amazonaws.com".to_owned(),
        }
    }

    fn texts(plan: &Plan) -> Vec<String> {
        let place = Place {
            region: &plan.caller.region,
            ca_certificate: "ca/certificate.pem",
            ca_options: "--ca ca",
        };
        plan.actions(false).map(|action| action.command(place)).collect()
    }

    #[test]
    fn china_has_arns_of_its_own() {
        let plan = Plan::new(&wanted(jitp()), &found("cn-north-1"));
        let text = texts(&plan).join("\n");
        assert!(
            text.contains("arn:aws-cn:iam::aws:policy/service-role/AWSIoTThingsRegistration"),
            "{text}"
        );
        assert!(
            text.contains("arn:aws-cn:iam::123456789012:role/certforge-jitp"),
            "{text}"
        );
        assert!(!text.contains("arn:aws:"), "{text}");
        assert!(text.contains("--region cn-north-1"), "{text}");
        // The policy of the template is for another partition, Region and account.
        assert_eq!(plan.warnings.len(), 3, "{:?}", plan.warnings);
    }

    #[test]
    fn jitr_has_a_rule_and_no_template() {
        let function = "arn:aws-cn:lambda:cn-north-1:123456789012:function:jitr".to_owned();
        let plan = Plan::new(&wanted(Flow::Jitr { function }), &found("cn-north-1"));
        let [rule, ca] = plan.steps.as_slice() else {
            panic!("{plan:?}");
        };
        assert!(
            matches!(&rule.state, State::Missing { actions } if matches!(&actions[..], [Action::PutRule { sql, .. }] if sql.ends_with(&format!("registered/{}'", "07".repeat(32)))))
        );
        assert!(
            matches!(&ca.state, State::Missing { actions } if matches!(&actions[..], [Action::RegisterCa { config: None, .. }]))
        );
    }

    #[test]
    fn what_is_there_is_left_alone_and_what_differs_is_shown() {
        let mut found = found("eu-central-1");
        found.role = Some(FoundRole {
            arn: "arn:aws:iam::123456789012:role/path/certforge-jitp".to_owned(),
            trust: trust_policy(),
            policies: managed_policies("aws").into_iter().collect(),
        });
        let config = RegistrationConfig {
            template_body: Some(r#"{"b":2,"a":1}"#.to_owned()),
            role_arn: Some("arn:aws:iam::123456789012:role/path/certforge-jitp".to_owned()),
            template_name: None,
        };
        found.ca = Some(FoundCa {
            status: "ACTIVE".to_owned(),
            auto_registration: true,
            mode: "DEFAULT".to_owned(),
            config: Some(config),
        });
        let plan = Plan::new(&wanted(jitp()), &found);
        assert!(
            plan.steps.iter().all(|step| matches!(step.state, State::Exists)),
            "{plan:?}"
        );

        found.role.as_mut().unwrap().policies.pop_last();
        let ca = found.ca.as_mut().unwrap();
        ca.auto_registration = false;
        ca.config.as_mut().unwrap().template_body = Some("{}".to_owned());
        let plan = Plan::new(&wanted(jitp()), &found);
        assert_eq!(
            texts(&plan).len(),
            1,
            "one policy is attached, the CA is left alone"
        );
        assert_eq!(plan.obstacles(false).count(), 1);
        assert_eq!(plan.obstacles(true).count(), 0);
        assert_eq!(plan.actions(true).count(), 2);

        found.ca.as_mut().unwrap().mode = "SNI_ONLY".to_owned();
        let plan = Plan::new(&wanted(jitp()), &found);
        assert_eq!(plan.obstacles(true).count(), 1, "nothing changes a mode");
    }

    #[test]
    fn a_role_that_others_may_take_too_is_a_role() {
        let mut trust = trust_policy();
        trust["Statement"][0]["Principal"]["Service"] = json!(["ec2.amazonaws.com", SERVICE]);
        assert!(trusts_iot(&trust));
        trust["Statement"][0]["Effect"] = "Deny".into();
        assert!(!trusts_iot(&trust));
        assert!(!trusts_iot(&Value::Null));
    }
}
