//! Provisioning: what AWS IoT would create for one certificate, or why it would not.

use std::collections::BTreeSet;

use super::authorize;
use super::expression::{NoValue, Scope};
use super::made::{CertificateMade, PolicyMade, Provisioned, ThingMade};
use super::parameter::{Facts, Parameter};
use super::prerequisite::Prerequisite;
use super::resources::{MAX_POLICIES, Placed, Policy};
use super::template::Template;

/// Why a certificate would stay pending.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the certificate has no {}, and parameter {name} has no Default; AWS IoT logs \"Cannot resolve reference value: {{Ref={name}}}\"", .parameter.attribute().map_or("id", crate::profile::Attribute::name))]
    Missing { name: String, parameter: Parameter },
    #[error("{0} does not exist (ResourceNotFoundException)")]
    NotThere(Prerequisite),
    #[error(
        "the template attaches {count} policies; a certificate has {MAX_POLICIES} at most (LimitExceededException of AttachPolicy)"
    )]
    Policies { count: usize },
    #[error("{path}: {source}")]
    NoValue { path: String, source: NoValue },
    #[error("{path}: {reason}")]
    Value { path: String, reason: String },
}

impl Template {
    /// Evaluates the template as AWS IoT does at a device's first connection.
    ///
    /// # Errors
    ///
    /// Why AWS IoT would leave the certificate pending.
    pub fn provision(&self, facts: &Facts<'_>) -> Result<Provisioned, Refusal> {
        let mut values = Vec::with_capacity(self.parameters.len());
        for declared in &self.parameters {
            let reading = self.assumptions.serial_number;
            let value = declared
                .parameter
                .and_then(|parameter| facts.given(parameter, reading));
            match (value.or(declared.default.as_deref()), declared.parameter) {
                (Some(value), _) => values.push(value),
                (None, Some(parameter)) => {
                    return Err(Refusal::Missing {
                        name: declared.name.clone(),
                        parameter,
                    });
                }
                (None, None) => unreachable!("a parameter that nothing fills has a default"),
            }
        }
        let scope = Scope {
            parameters: &values,
            mappings: &self.mappings,
        };
        let thing = match &self.thing {
            None => None,
            Some(thing) => Some(ThingMade {
                thing_name: thing.name.value(scope)?,
                attributes: thing
                    .attributes
                    .iter()
                    .map(|(name, placed)| Ok((name.clone(), placed.value(scope)?)))
                    .collect::<Result<_, Refusal>>()?,
                thing_type_name: thing
                    .type_name
                    .as_ref()
                    .map(|placed| placed.value(scope))
                    .transpose()?,
                thing_groups: thing
                    .groups
                    .iter()
                    .map(|placed| placed.value(scope))
                    .collect::<Result<_, _>>()?,
                billing_group: thing
                    .billing_group
                    .as_ref()
                    .map(|placed| placed.value(scope))
                    .transpose()?,
            }),
        };
        let path = || self.certificate.path.to_string();
        let id = self.certificate.id.evaluate(scope);
        let certificate_id = id.map_err(|source| Refusal::NoValue { path: path(), source })?;
        let policies = self.policies.iter().map(|policy| self.policy(policy, scope));
        let policies = policies.collect::<Result<Vec<_>, _>>()?;
        let distinct: BTreeSet<&PolicyMade> = policies.iter().collect();
        if distinct.len() > MAX_POLICIES {
            return Err(Refusal::Policies {
                count: distinct.len(),
            });
        }
        let made = Provisioned {
            thing,
            certificate: CertificateMade {
                certificate_id: certificate_id.into_owned(),
                status: self.certificate.status.value(scope)?.to_ascii_uppercase(),
            },
            policies,
        };
        if let Some(existing) = &self.assumptions.existing {
            let mut needed = made.thing.iter().flat_map(ThingMade::prerequisites);
            if let Some(missing) = needed.find(|needed| !existing.contains(needed.name())) {
                return Err(Refusal::NotThere(missing));
            }
        }
        Ok(made)
    }

    fn policy(&self, policy: &Policy, scope: Scope<'_>) -> Result<PolicyMade, Refusal> {
        let (expression, path) = match policy {
            Policy::Named(placed) => return placed.value(scope).map(PolicyMade::PolicyName),
            Policy::Document { expression, path } => (expression, path),
        };
        let document = expression.evaluate(scope).map_err(|source| Refusal::NoValue {
            path: path.to_string(),
            source,
        })?;
        // One that is the same for every device was looked at when the template was read.
        let is_constant = expression.constant(&self.mappings).is_some();
        if !is_constant && let Some(error) = authorize::lint(&document).error() {
            return Err(Refusal::Value {
                path: path.to_string(),
                reason: error.message.clone(),
            });
        }
        Ok(PolicyMade::PolicyDocument(document.into_owned()))
    }
}

impl Placed {
    fn value(&self, scope: Scope<'_>) -> Result<String, Refusal> {
        let value = self
            .expression
            .evaluate(scope)
            .map_err(|source| Refusal::NoValue {
                path: self.path.to_string(),
                source,
            })?;
        match self.kind.refusal(&value) {
            None => Ok(value.into_owned()),
            Some(reason) => Err(Refusal::Value {
                path: self.path.to_string(),
                reason,
            }),
        }
    }
}
