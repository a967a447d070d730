//! Rights: what the policies of a template let a device do, judged all together.

use super::expression::Expression;
use super::finding::Finding;
use super::json::Path;
use super::read_expression::Reader;
use super::resources::{MAX_POLICIES, Policy, Resources};

/// What the policies of a template let a device do, all together.
#[derive(Default)]
pub(super) struct Rights {
    pub policies: usize,
    /// A policy may let it connect: one says so, or is not known here, or is wrong.
    pub may_connect: bool,
    /// Where the first document stands.
    pub first: Option<Path>,
}

impl Rights {
    pub fn check(self, read: &Resources, path: &Path, reader: &mut Reader<'_>) {
        if self.policies == 0 {
            let message =
                "there is no AWS::IoT::Policy: devices would be allowed nothing, not even to connect";
            reader.findings.push(Finding::warning(path, message));
        } else if !self.may_connect {
            let (path, message) = match (self.policies, &self.first) {
                (1, Some(first)) => (
                    first,
                    "no statement allows iot:Connect, so that no device can connect",
                ),
                _ => (
                    path,
                    "no statement of any policy allows iot:Connect, so that no device can connect",
                ),
            };
            reader.findings.push(Finding::warning(path, message));
        }
        let mut distinct: Vec<&Expression> = Vec::new();
        for policy in &read.policies {
            let expression = match policy {
                Policy::Named(placed) => &placed.expression,
                Policy::Document { expression, .. } => expression,
            };
            if !distinct.contains(&expression) {
                distinct.push(expression);
            }
        }
        if distinct.len() > MAX_POLICIES {
            let message = format!(
                "the template attaches {} policies; a certificate has {MAX_POLICIES} at most (LimitExceededException of AttachPolicy, quota L-BC2638B3)",
                distinct.len()
            );
            reader
                .findings
                .push(Finding::error(path, message).with_hint("put their statements into fewer policies"));
        }
    }
}
