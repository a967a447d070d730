//! Assets: the role, the template, the rule, the CA and the note of its endpoint, each with what would make it as it
//! shall be.

use std::collections::BTreeSet;

use data_encoding::HEXLOWER;
use serde::Serialize;

use super::action::Action;
use super::difference::{Difference, compare_configs, compare_templates, difference};
use super::inventory::{Inventory, ProvisioningTemplate, RegisteredCa, RegistrationConfig, TopicRule};
use super::role::{IotTrust, iot_trust, managed_policies, trust_policy, with_iot};
use super::wanted::{Wanted, rule_name};
use crate::jitp::Prerequisite;

/// Something that shall be in the account or beside the CA, and how it is found.
#[derive(Debug, Clone, Serialize)]
pub struct Asset {
    pub what: String,
    #[serde(flatten)]
    pub state: AssetState,
}

#[derive(Debug, Clone, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum AssetState {
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

pub(super) fn role(name: &str, inventory: &Inventory) -> Asset {
    let attach = |policy_arn: String| Action::AttachPolicy {
        role: name.to_owned(),
        policy_arn,
    };
    let needed = managed_policies(inventory.caller.partition());
    let caller = &inventory.caller;
    let state = match &inventory.role {
        None => AssetState::Missing {
            actions: std::iter::once(Action::CreateRole {
                name: name.to_owned(),
                trust: trust_policy(caller),
            })
            .chain(needed.into_iter().map(attach))
            .collect(),
        },
        Some(role) if iot_trust(&role.trust, caller) != IotTrust::ForAccount => {
            let trust = with_iot(&role.trust, caller);
            AssetState::Differs {
                differences: vec![difference(
                    "trust policy",
                    &role.trust.to_string(),
                    &trust.to_string(),
                )],
                actions: vec![Action::SetTrust {
                    name: name.to_owned(),
                    trust,
                }],
            }
        }
        Some(role) => {
            let missing: BTreeSet<String> = needed.into_iter().collect();
            let missing: Vec<Action> = missing.difference(&role.policies).cloned().map(attach).collect();
            match missing.is_empty() {
                true => AssetState::Exists,
                false => AssetState::Missing { actions: missing },
            }
        }
    };
    Asset {
        what: format!("role {name}"),
        state,
    }
}

pub(super) fn blocked(missing: &Prerequisite) -> Asset {
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
    Asset {
        what,
        state: AssetState::Blocked { hint },
    }
}

pub(super) fn template(
    name: &str,
    body: &str,
    role_arn: &str,
    found: Option<&ProvisioningTemplate>,
) -> Asset {
    let state = match found {
        None => AssetState::Missing {
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
    Asset {
        what: format!("provisioning template {name}"),
        state,
    }
}

/// What the rule for a CA hears.
pub(super) fn sql_of(ca_id: &[u8; 32]) -> String {
    format!(
        "SELECT * FROM '$aws/events/certificates/registered/{}'",
        HEXLOWER.encode(ca_id)
    )
}

pub(super) fn rule(wanted: &Wanted, function: &str, found: Option<&TopicRule>) -> Asset {
    let name = rule_name(&wanted.ca_id);
    let sql = sql_of(&wanted.ca_id);
    let put = |replace| Action::PutRule {
        name: name.clone(),
        sql: sql.clone(),
        function: function.to_owned(),
        replace,
    };
    let state = match found {
        None => AssetState::Missing {
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
    Asset {
        what: format!("rule {name}"),
        state,
    }
}

pub(super) fn ca(wanted: &Wanted, config: Option<RegistrationConfig>, found: Option<&RegisteredCa>) -> Asset {
    let id = HEXLOWER.encode(&wanted.ca_id);
    let what = format!("CA {id}");
    let Some(found) = found else {
        let action = Action::RegisterCa {
            mode: wanted.mode,
            config,
        };
        return Asset {
            what,
            state: AssetState::Missing {
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
    Asset {
        what,
        state: same_or_differs(differences, if is_fixed { Vec::new() } else { vec![action] }),
    }
}

/// The endpoint is noted where later runs take it from.
pub(super) fn note(wanted: &Wanted, host: Option<&str>) -> Option<Asset> {
    let (path, noted) = wanted.note.as_ref()?;
    let action = Action::NoteEndpoint {
        path: path.clone(),
        host: host.map(str::to_owned),
    };
    let state = match (noted, host) {
        (Some(noted), Some(host)) if noted == host => AssetState::Exists,
        // Whether it is the right one, nobody was asked.
        (Some(_), None) => AssetState::Exists,
        (None, _) => AssetState::Missing {
            actions: vec![action],
        },
        (Some(noted), Some(host)) => same_or_differs(vec![difference("host", noted, host)], vec![action]),
    };
    let host = host.or(noted.as_deref());
    let endpoint = host.map_or_else(|| "endpoint".to_owned(), |host| format!("endpoint {host}"));
    Some(Asset {
        what: format!("{endpoint} in {}", path.display()),
        state,
    })
}

fn same_or_differs(differences: Vec<Difference>, actions: Vec<Action>) -> AssetState {
    match differences.is_empty() {
        true => AssetState::Exists,
        false => AssetState::Differs { differences, actions },
    }
}
