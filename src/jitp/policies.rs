//! Policies in files of their own, in whatever document they stand.

use serde_json::Value;

use super::finding::Finding;
use super::json::{self, Path};
use super::{authorize, cloudformation, terraform};

/// What is wrong with the policies of a file.
#[derive(Debug)]
pub struct CheckedPolicies {
    /// How many policies are in it.
    pub policies: usize,
    pub findings: Vec<Finding>,
}

/// A file that holds no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no policy of AWS IoT is in it")]
pub struct NoPolicy;

/// What is wrong with the policies in a text: a policy document alone, what `aws iot get-policy` prints or `create-policy`
/// takes, a template of CloudFormation or a configuration of Terraform.
///
/// # Errors
///
/// When it holds none.
pub fn check_policies(text: &str) -> Result<CheckedPolicies, NoPolicy> {
    let root = Path::root();
    let document = match json::read(text) {
        Ok(Value::Object(document)) => document,
        _ if terraform::looks_like(text) => {
            let (found, findings) = terraform::policies(text);
            return checked(&found, findings);
        }
        _ => {
            return Ok(CheckedPolicies {
                policies: 1,
                findings: check_policy(text),
            });
        }
    };
    if document.contains_key("Resources") {
        let (found, findings) = cloudformation::policies(&document);
        return checked(&found, findings);
    }
    for key in ["policyDocument", "PolicyDocument"] {
        match document.get(key) {
            Some(Value::String(policy)) => return checked(&[(root.key(key), policy.clone())], Vec::new()),
            Some(policy) => {
                let path = root.key(key);
                let error = Finding::error(
                    &path,
                    format!("{key} is no text; it must be the policy as a text"),
                );
                return checked(&[(path, policy.to_string())], vec![error]);
            }
            None => {}
        }
    }
    Ok(CheckedPolicies {
        policies: 1,
        findings: check_policy(text),
    })
}

fn checked(found: &[(Path, String)], mut findings: Vec<Finding>) -> Result<CheckedPolicies, NoPolicy> {
    if found.is_empty() {
        return Err(NoPolicy);
    }
    for (path, document) in found {
        let of = check_policy(document)
            .into_iter()
            .map(|finding| finding.within(path));
        findings.extend(of);
    }
    Ok(CheckedPolicies {
        policies: found.len(),
        findings,
    })
}

/// What is wrong with a policy document that stands alone.
#[must_use]
pub fn check_policy(document: &str) -> Vec<Finding> {
    let root = Path::root();
    let linted = authorize::lint(document);
    let is_silent = linted.lets_connect || linted.error().is_some();
    let mut findings: Vec<Finding> = linted
        .findings
        .into_iter()
        .map(|finding| finding.at(&root))
        .collect();
    if !is_silent {
        let message = "no statement allows iot:Connect: no device can connect unless another policy lets it";
        findings.push(Finding::warning(&root, message));
    }
    findings
}
