//! The registration of a CA as it is planned: what is wanted held against what is in the account, asset by asset.

use std::collections::BTreeSet;

use serde::Serialize;

use super::action::Action;
use super::asset::{Asset, AssetState, blocked, ca, note, role, rule, template};
use super::cloud::{Caller, UNASKED_ACCOUNT, UNASKED_REGION};
use super::inventory::{Inventory, RegistrationConfig};
use super::wanted::{Flow, Role, Wanted, rule_name};

/// What is to be done, in order.
#[derive(Debug, Clone, Serialize)]
pub struct Registration {
    /// `false`: AWS was not asked, so that this is what an empty account would need.
    pub asked: bool,
    pub caller: Caller,
    #[serde(rename = "steps")]
    pub assets: Vec<Asset>,
    /// What may not be as it was meant.
    pub warnings: Vec<String>,
}

impl Registration {
    #[must_use]
    pub fn new(wanted: &Wanted, found: &Inventory) -> Self {
        let mut assets = Vec::new();
        let caller = &found.caller;
        let role_arn = match &wanted.role {
            Role::Arn(arn) => arn.clone(),
            Role::Named(name) => match &found.role {
                Some(role) => role.arn.clone(),
                None => format!("arn:{}:iam::{}:role/{name}", caller.partition(), caller.account),
            },
        };
        if let (true, Role::Named(name)) = (wanted.needs_role(), &wanted.role) {
            assets.push(role(name, found));
        }
        for missing in &found.missing {
            assets.push(blocked(missing));
        }
        let config = match &wanted.flow {
            Flow::Jitp {
                body,
                template_name: Some(name),
                ..
            } => {
                assets.push(template(name, body, &role_arn, found.template.as_ref()));
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
            assets.push(rule(wanted, function, found.rule.as_ref()));
        }
        assets.push(ca(wanted, config, found.ca.as_ref()));
        assets.extend(note(wanted, found.endpoint.as_deref()));
        Self {
            asked: found.asked,
            caller: caller.clone(),
            assets,
            warnings: warnings(wanted, found),
        }
    }

    /// What is to be done; what differs is changed only on demand.
    pub fn actions(&self, update: bool) -> impl Iterator<Item = &Action> {
        self.assets.iter().flat_map(move |asset| match &asset.state {
            AssetState::Missing { actions } => actions.as_slice(),
            AssetState::Differs { actions, .. } if update => actions.as_slice(),
            _ => &[],
        })
    }

    /// Assets that keep the others from being done.
    pub fn obstacles(&self, update: bool) -> impl Iterator<Item = &Asset> {
        self.assets.iter().filter(move |asset| match &asset.state {
            AssetState::Blocked { .. } => true,
            AssetState::Differs { actions, .. } => !update || actions.is_empty(),
            AssetState::Exists | AssetState::Missing { .. } => false,
        })
    }
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

fn warnings(wanted: &Wanted, found: &Inventory) -> Vec<String> {
    let caller = &found.caller;
    match &wanted.flow {
        Flow::Jitp {
            policy_resources,
            prerequisites,
            warnings,
            ..
        } => {
            let mut all = warnings.clone();
            if !found.asked {
                let unasked = prerequisites.iter().map(|prerequisite| {
                    format!("{prerequisite} must be there first; whether it is, AWS was not asked")
                });
                all.extend(unasked);
            }
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
            if *found != here
                && ![UNASKED_ACCOUNT, UNASKED_REGION].contains(&here)
                && !found.contains(['*', '?', '$'])
            {
                warnings.insert(format!(
                    "{whose} is of {what} {found}, and this is {here}: it does nothing here"
                ));
            }
        }
    }
    warnings.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::command::CommandWords;
    use crate::aws::inventory::{IamRole, RegisteredCa};
    use crate::aws::role::{managed_policies, trust_policy};
    use crate::issuer::CertificateMode;

    fn wanted(flow: Flow) -> Wanted {
        Wanted {
            ca_id: [7; 32],
            mode: CertificateMode::Default,
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

    fn found(region: &str) -> Inventory {
        Inventory {
            asked: true,
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
            endpoint: Some("x-ats.iot.eu-central-1.amazonaws.com".to_owned()),
        }
    }

    fn texts(plan: &Registration) -> Vec<String> {
        let words = CommandWords {
            region: &plan.caller.region,
            ca_certificate: "ca/certificate.pem",
            ca_options: "--ca ca",
        };
        plan.actions(false).map(|action| action.command(words)).collect()
    }

    #[test]
    fn china_has_arns_of_its_own() {
        let plan = Registration::new(&wanted(jitp()), &found("cn-north-1"));
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
    fn what_aws_was_not_asked_for_has_names_that_stand_for_it() {
        for (region, partition) in [
            (None, "aws"),
            (Some("eu-central-1"), "aws"),
            (Some("cn-north-1"), "aws-cn"),
            (Some("us-gov-west-1"), "aws-us-gov"),
        ] {
            let mut wanted = wanted(jitp());
            wanted.note = Some(("ca/endpoint.json".into(), None));
            if let Flow::Jitp { prerequisites, .. } = &mut wanted.flow {
                prerequisites.push(crate::jitp::Prerequisite::ThingType("pump".to_owned()));
            }
            let caller = Caller::unasked(region.map(str::to_owned));
            let plan = Registration::new(&wanted, &Inventory::unasked(caller));
            let text = texts(&plan).join("\n");
            let role = format!("arn:{partition}:iam::ACCOUNT_ID:role/certforge-jitp");
            assert!(text.contains(&role), "{text}");
            let region = region.unwrap_or("REGION");
            assert!(text.contains(&format!("--region {region}")), "{text}");
            assert!(text.contains("aws iot describe-endpoint"), "{text}");
            assert!(
                text.contains(r#"printf '{"host":"%s"}\n' "$endpoint" > ca/endpoint.json"#),
                "{text}"
            );
            assert_eq!(plan.obstacles(false).count(), 0);
            // Nobody knows the account, so no policy is of another.
            let about = |word: &str| plan.warnings.iter().filter(|text| text.contains(word)).count();
            assert_eq!(
                (about("of account"), about("thing type pump")),
                (0, 1),
                "{:?}",
                plan.warnings
            );
        }
    }

    #[test]
    fn jitr_has_a_rule_and_no_template() {
        let function = "arn:aws-cn:lambda:cn-north-1:123456789012:function:jitr".to_owned();
        let plan = Registration::new(&wanted(Flow::Jitr { function }), &found("cn-north-1"));
        let [rule, ca] = plan.assets.as_slice() else {
            panic!("{plan:?}");
        };
        assert!(
            matches!(&rule.state, AssetState::Missing { actions } if matches!(&actions[..], [Action::PutRule { sql, .. }] if sql.ends_with(&format!("registered/{}'", "07".repeat(32)))))
        );
        assert!(
            matches!(&ca.state, AssetState::Missing { actions } if matches!(&actions[..], [Action::RegisterCa { config: None, .. }]))
        );
    }

    #[test]
    fn what_is_there_is_left_alone_and_what_differs_is_shown() {
        let mut found = found("eu-central-1");
        found.role = Some(IamRole {
            arn: "arn:aws:iam::123456789012:role/path/certforge-jitp".to_owned(),
            trust: trust_policy(&found.caller),
            policies: managed_policies("aws").into_iter().collect(),
        });
        let config = RegistrationConfig {
            template_body: Some(r#"{"b":2,"a":1}"#.to_owned()),
            role_arn: Some("arn:aws:iam::123456789012:role/path/certforge-jitp".to_owned()),
            template_name: None,
        };
        found.ca = Some(RegisteredCa {
            status: "ACTIVE".to_owned(),
            auto_registration: true,
            mode: "DEFAULT".to_owned(),
            config: Some(config),
        });
        let plan = Registration::new(&wanted(jitp()), &found);
        assert!(
            plan.assets
                .iter()
                .all(|asset| matches!(asset.state, AssetState::Exists)),
            "{plan:?}"
        );

        found.role.as_mut().unwrap().policies.pop_last();
        let ca = found.ca.as_mut().unwrap();
        ca.auto_registration = false;
        ca.config.as_mut().unwrap().template_body = Some("{}".to_owned());
        let plan = Registration::new(&wanted(jitp()), &found);
        assert_eq!(
            texts(&plan).len(),
            1,
            "one policy is attached, the CA is left alone"
        );
        assert_eq!(plan.obstacles(false).count(), 1);
        assert_eq!(plan.obstacles(true).count(), 0);
        assert_eq!(plan.actions(true).count(), 2);

        found.ca.as_mut().unwrap().mode = "SNI_ONLY".to_owned();
        let plan = Registration::new(&wanted(jitp()), &found);
        assert_eq!(plan.obstacles(true).count(), 1, "nothing changes a mode");
    }
}
