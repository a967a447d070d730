//! Containers: the documents in which a template stands as a text, and what they say around it.
//!
//! ```text
//! {"templateBody": "…", "roleArn": "…"}                        a registrationConfig, of the old form
//! {"certificateDescription": …, "registrationConfig": {…}}     aws iot describe-ca-certificate
//! {"templateName": …, "templateBody": "…", "enabled": …}       aws iot describe-provisioning-template
//! {"versionId": …, "templateBody": "…"}                        aws iot describe-provisioning-template-version
//! {"caCertificate": "…", "registrationConfig": {…}}            what aws iot register-ca-certificate takes
//! ```
//!
//! A field is looked for by its name, wherever it may stand, so that what is wrong with one is told of all of them.

use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::arn::{Arn, is_account, is_region};
use super::finding::Finding;
use super::json::Path;
use super::placeholder::placeholder;

type Object = Map<String, Value>;

/// A template within a document.
#[derive(Debug)]
pub(super) struct Contained {
    pub body: Value,
    pub path: Path,
    /// What is wrong around it: with the CA, the role, or how the template is kept.
    pub around: Vec<Finding>,
}

/// What a document turns out to be.
#[derive(Debug)]
pub(super) enum Content {
    /// A template, or nothing else that is known.
    Template,
    Within(Contained),
    /// It should hold a template, and holds none.
    None(Vec<Finding>),
}

/// Looks for a template in a document. `now`: to tell a CA that has ended.
pub(super) fn open(document: &Object, now: Option<OffsetDateTime>) -> Content {
    let root = Path::root();
    if document.contains_key("Resources") {
        return Content::Template;
    }
    let mut around = Vec::new();
    let (config, path) = match document.get("registrationConfig") {
        Some(Value::Object(config)) => {
            let path = root.key("registrationConfig");
            check_ca(document, &root, now, &mut around);
            check_role(config, "roleArn", &path, document, &mut around);
            check_keys(
                config,
                &["templateBody", "roleArn", "templateName"],
                &path,
                &mut around,
            );
            (config, path)
        }
        _ if document.contains_key("certificateDescription") || document.contains_key("caCertificate") => {
            check_ca(document, &root, now, &mut around);
            around.insert(
                0,
                Finding::error(
                    &root,
                    "this CA has no registrationConfig: no template is run for its devices",
                )
                .with_hint("`certforge jitp register` gives it one"),
            );
            return Content::None(around);
        }
        _ => {
            check_provisioning(document, &root, &mut around);
            (document, root)
        }
    };
    if config.contains_key("templateBody") && is_kept_by_name(config, &path) {
        let message = "templateBody and templateName stand together; a registrationConfig has one of them";
        around.push(Finding::error(&path, message));
    }
    match (config.get("templateBody"), config.contains_key("templateName")) {
        (Some(body), _) => Content::Within(Contained {
            body: body.clone(),
            path: path.key("templateBody"),
            around,
        }),
        (None, true) => {
            let finding = Finding::error(&path, "this names a template, and holds none");
            let hint = "give the template itself: `aws iot describe-provisioning-template` prints it";
            around.insert(0, finding.with_hint(hint));
            Content::None(around)
        }
        (None, false) if path != Path::root() => {
            around.insert(0, Finding::error(&path, "templateBody is missing"));
            Content::None(around)
        }
        (None, false) => Content::Template,
    }
}

/// A registrationConfig that names a template; what `describe-provisioning-template` prints has the name beside the body.
fn is_kept_by_name(config: &Object, path: &Path) -> bool {
    let described = [
        "templateArn",
        "enabled",
        "provisioningRoleArn",
        "versionId",
        "type",
        "defaultVersionId",
    ];
    let is_described = described.iter().any(|key| config.contains_key(*key));
    config.contains_key("templateName") && (*path != Path::root() || !is_described)
}

fn text<'a>(object: &'a Object, key: &str) -> Option<&'a str> {
    object.get(key).and_then(Value::as_str)
}

fn check_keys(object: &Object, known: &[&str], path: &Path, around: &mut Vec<Finding>) {
    for key in object.keys() {
        if !known.contains(&key.as_str()) {
            around.push(
                Finding::error(&path.key(key), format!("a registrationConfig has no {key}"))
                    .with_hint(known.join(", ")),
            );
        }
    }
}

/// What is said of a CA: its description, or what is asked of its registration.
fn check_ca(document: &Object, root: &Path, now: Option<OffsetDateTime>, around: &mut Vec<Finding>) {
    let path = root.key("certificateDescription");
    let (ca, path) = match document.get("certificateDescription") {
        Some(Value::Object(ca)) => (ca, path),
        _ => (document, root.clone()),
    };
    for (key, wanted, otherwise) in [
        ("status", "ACTIVE", "AWS IoT takes no device of this CA"),
        ("newStatus", "ACTIVE", "AWS IoT would take no device of this CA"),
        (
            "autoRegistrationStatus",
            "ENABLE",
            "no device is registered when it first connects, and its connection is refused",
        ),
        (
            "newAutoRegistrationStatus",
            "ENABLE",
            "no device would be registered when it first connects",
        ),
    ] {
        if let Some(value) = ca.get(key)
            && value != wanted
        {
            around.push(
                Finding::error(
                    &path.key(key),
                    format!("{key} is {value}, and not {wanted}: {otherwise}"),
                )
                .with_hint("`certforge jitp register --update` sets it; or `aws iot update-ca-certificate`"),
            );
        }
    }
    for (key, otherwise) in [
        (
            "setAsActive",
            "the CA would be INACTIVE, and AWS IoT takes no device of such a CA",
        ),
        (
            "allowAutoRegistration",
            "no device would be registered when it first connects",
        ),
    ] {
        if ca.get(key) == Some(&Value::Bool(false)) {
            around.push(Finding::error(
                &path.key(key),
                format!("{key} is false: {otherwise}"),
            ));
        }
    }
    let ends = ca
        .get("validity")
        .and_then(|validity| moment(validity.get("notAfter")?));
    if let (Some(ends), Some(now)) = (ends, now)
        && ends <= now
    {
        let path = path.key("validity").key("notAfter");
        let message = format!(
            "this CA has ended on {}: AWS IoT takes no device of it",
            ends.date()
        );
        around.push(Finding::error(&path, message));
    }
    let is_request = ca.contains_key("caCertificate");
    let mode = text(ca, "certificateMode");
    if is_request && mode != Some("SNI_ONLY") && !ca.contains_key("verificationCertificate") {
        around.push(
            Finding::error(
                &path,
                "verificationCertificate is missing, which certificateMode DEFAULT needs",
            )
            .with_hint("`certforge jitp proof` makes one"),
        );
    }
}

/// A moment as the AWS CLI prints it, or as the API gives it.
fn moment(value: &Value) -> Option<OffsetDateTime> {
    match value {
        Value::String(text) => OffsetDateTime::parse(text, &Rfc3339).ok(),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a fraction of a second is not of interest"
        )]
        Value::Number(number) => OffsetDateTime::from_unix_timestamp(number.as_f64()? as i64).ok(),
        _ => None,
    }
}

/// What is said of a template that AWS IoT keeps under a name.
fn check_provisioning(document: &Object, root: &Path, around: &mut Vec<Finding>) {
    if document.get("enabled") == Some(&Value::Bool(false)) {
        around.push(
            Finding::error(
                &root.key("enabled"),
                "this template is not enabled: AWS IoT does not run it",
            )
            .with_hint("aws iot update-provisioning-template --template-name NAME --enabled"),
        );
    }
    let is_described = ["templateArn", "enabled", "provisioningRoleArn"];
    let is_described = is_described.iter().any(|key| document.contains_key(*key));
    match document.get("type") {
        Some(kind) if kind == "JITP" => {}
        Some(kind) => around.push(
            Finding::error(
                &root.key("type"),
                format!("this template is of type {kind}, and not JITP: it is not run at a first connection"),
            )
            .with_hint("a template keeps its type; create another one with --type JITP"),
        ),
        None if is_described => around.push(
            Finding::warning(root, "no type is given, and AWS takes FLEET_PROVISIONING then")
                .with_hint("a template for first connections is of type JITP"),
        ),
        None => {}
    }
    if document
        .get("preProvisioningHook")
        .is_some_and(|hook| !hook.is_null())
    {
        let path = root.key("preProvisioningHook");
        let message =
            "a preProvisioningHook is for fleet provisioning; AWS IoT does not take one with type JITP";
        around.push(Finding::error(&path, message));
    }
    if document.get("isDefaultVersion") == Some(&Value::Bool(false)) {
        let path = root.key("isDefaultVersion");
        let message = "this version is not the default one, which is the one that is run";
        around.push(Finding::warning(&path, message));
    }
    let key = match is_described {
        true => "provisioningRoleArn",
        false => "roleArn",
    };
    let is_of_version = document.contains_key("versionId");
    if document.contains_key("templateBody") && !is_of_version {
        check_role(document, key, root, document, around);
    }
    if !is_described && !is_of_version && document.contains_key("templateBody") {
        check_keys(
            document,
            &["templateBody", "roleArn", "templateName"],
            root,
            around,
        );
    }
}

/// The role that AWS IoT takes to run the template.
fn check_role(object: &Object, key: &str, path: &Path, document: &Object, around: &mut Vec<Finding>) {
    if object.contains_key("templateName") && !object.contains_key("templateBody") {
        return;
    }
    let at = path.key(key);
    let Some(role) = object.get(key) else {
        let message = format!("{key} is missing: AWS IoT takes that role to run the template");
        around.push(Finding::warning(path, message));
        return;
    };
    let arn = role.as_str().and_then(Arn::parse);
    let Some(arn) = arn.filter(|arn| arn.service == "iam" && arn.resource.starts_with("role/")) else {
        around.push(
            Finding::error(&at, format!("{role} is no ARN of a role"))
                .with_hint("arn:aws:iam::ACCOUNT:role/NAME, with an account of 12 digits"),
        );
        return;
    };
    if !is_account(arn.account) {
        let message = format!("the account {:?} of the role cannot be one", arn.account);
        around.push(
            Finding::error(&at, message)
                .with_hint("an account is 12 digits; a placeholder may have been left"),
        );
    } else if let Some(left) = placeholder(arn.resource) {
        let message = format!("{left} looks like a placeholder that was left");
        around.push(Finding::warning(&at, message));
    }
    let own = home_of(document);
    if let Some((_, account)) = own
        && is_account(arn.account)
        && account != arn.account
    {
        let message = format!(
            "the role is of account {}, and this is {account}: AWS IoT cannot take it",
            arn.account
        );
        around.push(Finding::error(&at, message));
    }
}

/// The Region and account of a document that `describe` has printed.
fn home_of(document: &Object) -> Option<(&str, &str)> {
    let ca = document.get("certificateDescription").and_then(Value::as_object);
    let arn = ca
        .and_then(|ca| text(ca, "certificateArn"))
        .or_else(|| text(document, "templateArn"))?;
    let arn = Arn::parse(arn)?;
    (is_region(arn.region) && is_account(arn.account)).then_some((arn.region, arn.account))
}

#[cfg(test)]
#[path = "container_tests.rs"]
mod tests;
