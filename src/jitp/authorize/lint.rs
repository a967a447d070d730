//! Lint: what a policy that is well formed says and cannot mean, told before a device is refused for it.
//!
//! It asks the same lists of variables, keys, operators and actions by which [`super::Policies`] decides.

use super::super::action::{self, meant, meets};
use super::super::arn::{Arn, may_be_account, may_be_partition, may_be_region, partition_of};
use super::super::placeholder::{filler, placeholder};
use super::super::policy::{self, PolicyFinding, Statement};
use super::condition::Condition;
use super::greeting::Greeted;
use super::statement::read_conditions;
use super::text::Text;
use super::variable::{Variable, Which};

/// What was found in a policy document.
#[derive(Debug, Default)]
pub(in super::super) struct Linted {
    pub findings: Vec<PolicyFinding>,
    /// Whether a statement may let a device connect.
    pub lets_connect: bool,
}

impl Linted {
    /// The first error.
    pub fn error(&self) -> Option<&PolicyFinding> {
        self.findings.iter().find(|finding| finding.is_error())
    }
}

/// Looks at a policy document: its form, and what it says.
pub(in super::super) fn lint(document: &str) -> Linted {
    let (statements, findings) = policy::read(document);
    let mut linted = Linted {
        findings,
        lets_connect: false,
    };
    for statement in &statements {
        let mut linter = Linter {
            statement,
            findings: Vec::new(),
        };
        linter.resources();
        linter.actions();
        linter.meetings();
        let conditions = linter.conditions();
        linter.literals();
        linted.lets_connect |= linter.lets_connect(&conditions);
        linted.findings.append(&mut linter.findings);
        if linter.denies_all_connections() {
            let message = format!(
                "Statement[{}] denies iot:Connect on every client, so that no device can connect",
                statement.index
            );
            linted.findings.push(PolicyFinding::warning(message));
        }
    }
    linted
}

pub(super) struct Linter<'a> {
    pub statement: &'a Statement,
    pub findings: Vec<PolicyFinding>,
}

impl Linter<'_> {
    fn error(&mut self, text: String) -> &mut PolicyFinding {
        self.add(PolicyFinding::error(text))
    }

    pub fn warn(&mut self, text: String) -> &mut PolicyFinding {
        self.add(PolicyFinding::warning(text))
    }

    /// Adds a finding, with the statement that it is of.
    fn add(&mut self, finding: PolicyFinding) -> &mut PolicyFinding {
        let message = format!("Statement[{}] {}", self.statement.index, finding.message);
        let finding = PolicyFinding { message, ..finding };
        // Of several resources with one fault, one is told.
        let known = self.findings.iter().position(|known| *known == finding);
        let at = known.unwrap_or_else(|| {
            self.findings.push(finding);
            self.findings.len() - 1
        });
        &mut self.findings[at]
    }

    /// `Resource`, or `NotResource`.
    pub fn resource_word(&self) -> &'static str {
        match self.statement.resources.is_negated {
            true => "NotResource",
            false => "Resource",
        }
    }

    fn resources(&mut self) {
        let statement = self.statement;
        let word = self.resource_word();
        for resource in &statement.resources.texts {
            let before = self.findings.len();
            self.variables(resource, word);
            if resource == "*" || self.findings[before..].iter().any(PolicyFinding::is_error) {
                continue;
            }
            let Some(arn) = Arn::parse(resource) else {
                self.error(format!("has {word} {resource:?}, which is no ARN")).hint = Some(
                    "AWS IoT answers \"Policy document is Malformed: The following resources are invalid\"; an ARN is arn:aws:iot:REGION:ACCOUNT:topic/NAME"
                        .to_owned(),
                );
                continue;
            };
            self.arn(resource, &arn);
        }
    }

    /// The parts of an ARN before its resource, and what is left to be filled in behind.
    fn arn(&mut self, written: &str, arn: &Arn<'_>) {
        let word = self.resource_word();
        for (part, what, may_be, needed) in [
            (
                arn.partition,
                "partition",
                may_be_partition as fn(&str) -> bool,
                "aws, aws-cn or aws-us-gov",
            ),
            (arn.region, "Region", may_be_region, "eu-central-1, or *"),
            (arn.account, "account", may_be_account, "12 digits, or *"),
        ] {
            if !may_be(part) && !is_filled_in(part) {
                let is = match part {
                    "" => "is empty",
                    _ => "cannot be one",
                };
                self.error(format!("has {word} {written:?}, whose {what} {part:?} {is}"))
                    .hint = Some(format!("write {needed}; a placeholder may have been left"));
            }
        }
        let is_plain = |part: &str| !part.contains(['*', '?', '$']);
        if is_plain(arn.region) && is_plain(arn.partition) && may_be_region(arn.region) {
            let right = partition_of(arn.region);
            let is_isolated = arn.partition.starts_with("aws-iso") || arn.partition.starts_with("aws-eusc");
            if right != arn.partition && may_be_partition(arn.partition) && !is_isolated {
                let region = arn.region;
                let wrong = arn.partition;
                self.warn(format!(
                    "has {word} {written:?}: Region {region} is of partition {right}, and not {wrong}, so that it matches nothing"
                ));
            }
        }
        if let Some(left) = placeholder(arn.resource) {
            self.warn(format!(
                "has {word} {written:?}, in which {left} looks like a placeholder that was left"
            ));
        }
    }

    /// The `${…}` of a text.
    fn variables(&mut self, written: &str, whose: &str) {
        let text = Text::parse(written);
        let found: Vec<(String, bool, bool)> = text
            .variables()
            .map(|(name, variable)| {
                let is_list = matches!(
                    variable,
                    Some(
                        Variable::Certificate {
                            which: Which::All,
                            ..
                        } | Variable::ConnectAttributes
                            | Variable::LastWillTopic
                    )
                );
                (name.to_owned(), variable.is_some(), is_list)
            })
            .collect();
        for (name, is_known, is_list) in found {
            match filler(&name) {
                Some(who) => {
                    self.error(format!(
                        "has {whose} {written:?}: ${{{name}}} is {who}'s, and AWS IoT does not fill it in"
                    ))
                    .hint = Some(format!("let {who} fill it in first, or write what it stands for"));
                }
                None if !is_known => {
                    let hint = Variable::nearest(&name).map(|known| format!("did you mean ${{{known}}}?"));
                    self.warn(format!(
                        "has {whose} {written:?}: AWS IoT documents no variable ${{{name}}}, so that it matches nothing"
                    ))
                    .hint = hint;
                }
                None if is_list => {
                    self.warn(format!(
                        "has {whose} {written:?}: ${{{name}}} is for conditions alone, so that it matches nothing"
                    ));
                }
                None => {}
            }
        }
        // What the last place opens is closed nowhere.
        if written.rfind("${").is_some_and(|at| !written[at..].contains('}')) {
            self.warn(format!(
                "has {whose} {written:?}, in which ${{ opens a variable that no }} closes"
            ));
        }
    }

    fn actions(&mut self) {
        let statement = self.statement;
        let word = if statement.actions.is_negated {
            "NotAction"
        } else {
            "Action"
        };
        for action in &statement.actions.texts {
            if meant(action).next().is_none() && !action::is_of_another_service(action) {
                let lower = action.to_ascii_lowercase();
                let hint = (!lower.contains(':') && meant(&format!("iot:{action}")).next().is_some())
                    .then(|| format!("did you mean iot:{action}?"));
                self.warn(format!(
                    "has {word} {action:?}, which no policy of a device needs"
                ))
                .hint = hint;
            }
        }
    }

    /// The conditions; empty when one of them is none.
    fn conditions(&mut self) -> Vec<Condition> {
        let conditions = match read_conditions(&self.statement.condition) {
            Ok(conditions) => conditions,
            Err(error) => {
                let hint = error.hint().map(str::to_owned);
                self.error(format!("has a Condition in which {error}")).hint = hint;
                return Vec::new();
            }
        };
        let keys = self
            .statement
            .condition
            .values()
            .filter_map(|keys| keys.as_object());
        let keys: Vec<&String> = keys.flat_map(|keys| keys.keys()).collect();
        for (condition, key) in conditions.iter().zip(keys) {
            for wanted in condition.wanted() {
                if condition.texts().next().is_some() {
                    self.variables(wanted, "a Condition with");
                }
                if let Some(arn) = Arn::parse(wanted) {
                    self.condition_arn(wanted, &arn);
                }
            }
            match condition.variable() {
                None => {
                    let hint = Variable::nearest(key).map(|known| format!("did you mean {known}?"));
                    self.warn(format!(
                        "has a Condition on {key}, a key that AWS IoT does not document: an Allow with it is not relied on, a Deny with it counts"
                    ))
                    .hint = hint;
                }
                Some(Variable::ConnectAttributes) => {
                    let known = Greeted::ATTRIBUTES;
                    for wanted in condition.wanted() {
                        if !known.contains(&wanted.as_str()) && !wanted.contains(['*', '?', '$']) {
                            self.warn(format!(
                                "has a Condition on {key} with {wanted:?}, which is none of its values"
                            ))
                            .hint = Some(known.join(", "));
                        }
                    }
                }
                Some(_) => {}
            }
        }
        conditions
    }

    fn condition_arn(&mut self, written: &str, arn: &Arn<'_>) {
        for (part, what, may_be) in [
            (arn.region, "Region", may_be_region as fn(&str) -> bool),
            (arn.account, "account", may_be_account),
        ] {
            if !may_be(part) && !is_filled_in(part) {
                self.warn(format!(
                    "has a Condition with {written:?}, whose {what} {part:?} cannot be one: a placeholder may have been left"
                ));
            }
        }
    }

    /// The wildcards of MQTT, which policies take as they are written.
    fn literals(&mut self) {
        let statement = self.statement;
        let word = self.resource_word();
        for resource in &statement.resources.texts {
            let Some(arn) = Arn::parse(resource) else { continue };
            let has_wildcard = arn
                .resource
                .split('/')
                .skip(1)
                .any(|level| ["+", "#"].contains(&level));
            if !has_wildcard {
                continue;
            }
            if action::may_be_of_type(arn.resource, "topic") && !arn.resource.starts_with('*') {
                self.warn(format!(
                    "has {word} {resource:?}: + and # are no wildcards in a policy, and no topic has them, so that it matches nothing"
                ))
                .hint = Some("write * for any text".to_owned());
            } else if !statement.allows && action::may_be_of_type(arn.resource, "topicfilter") {
                self.warn(format!(
                    "denies {resource:?}: + and # are no wildcards in a policy, so that it denies this one filter, and none that it covers"
                ))
                .hint = Some("write * for any text".to_owned());
            }
        }
    }

    /// Whether it may let a device connect.
    fn lets_connect(&self, conditions: &[Condition]) -> bool {
        let statement = self.statement;
        let is_named = statement
            .actions
            .means(|pattern| action::matches(pattern, "iot:Connect"));
        let is_known = |text: &str| {
            Text::parse(text)
                .variables()
                .all(|(_, variable)| variable.is_some())
        };
        let mut resources = statement.resources.texts.iter();
        let is_met = statement.resources.is_negated
            || resources.any(|resource| meets(resource, Some("client")) && is_known(resource));
        let mut keys = conditions.iter().map(Condition::variable);
        statement.allows && is_named && is_met && keys.all(|variable| variable.is_some())
    }

    fn denies_all_connections(&self) -> bool {
        let statement = self.statement;
        let is_all = |resource: &String| match Arn::parse(resource) {
            Some(arn) => {
                ["*", "client/*", "client*"].contains(&arn.resource)
                    && [arn.region, arn.account].iter().all(|part| *part == "*")
            }
            None => resource == "*",
        };
        !statement.allows
            && statement.condition.is_empty()
            && statement
                .actions
                .means(|pattern| action::matches(pattern, "iot:Connect"))
            && !statement.resources.is_negated
            && statement.resources.texts.iter().any(is_all)
    }
}

/// Whether a part of an ARN has a variable, and none that AWS IoT does not document.
fn is_filled_in(part: &str) -> bool {
    let text = Text::parse(part);
    let mut variables = text.variables().peekable();
    variables.peek().is_some() && variables.all(|(_, variable)| variable.is_some())
}

#[cfg(test)]
#[path = "lint_tests.rs"]
mod tests;
