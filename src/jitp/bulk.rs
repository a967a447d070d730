//! Bulk registration: for those who register their devices before the first connection.
//!
//! `start-thing-registration-task` takes a template and a file of parameters, one JSON object a line. The
//! template is the one for JITP with the certificate itself in place of its id.
//! <https://docs.aws.amazon.com/iot/latest/developerguide/bulk-provisioning.html>

use std::collections::BTreeSet;
use std::io::Write;

use serde_json::{Map, Value, json};

use super::declarations::Declared;
use super::parameter::{Facts, NotCertificate, Parameter};
use super::provision::Refusal;
use super::template::Template;
use crate::issuer::CaCertificate;
use crate::manifest::DeviceId;
use crate::vouched::{IssuedCertificate, Vouched, VouchedError};

/// The parameter that holds a device's certificate, PEM.
const CERTIFICATE: &str = "CertificatePem";
/// The parameter that holds the certificate id, where a template uses it for more than the certificate.
const CERTIFICATE_ID: &str = "CertificateId";

/// A batch that cannot be registered in bulk.
#[derive(Debug, thiserror::Error)]
pub enum BulkError {
    #[error("device {device_id} cannot be registered")]
    Device { device_id: DeviceId, source: BulkFault },
    #[error(transparent)]
    Batch(#[from] VouchedError),
    #[error(transparent)]
    Write(#[from] std::io::Error),
}

/// A parameter of the template's own, with the name that AWS's takes in bulk registration.
#[derive(Debug, thiserror::Error)]
#[error("the template has a parameter {name} of its own, and bulk registration has another one of this name")]
pub struct NameTaken {
    pub name: String,
}

impl NameTaken {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some("give the template's own parameter another name".to_owned())
    }
}

#[derive(Debug, thiserror::Error)]
pub enum BulkFault {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    NotCertificate(#[from] NotCertificate),
}

/// A template for bulk registration, and what it needs of each device.
#[derive(Debug)]
pub struct Bulk<'a> {
    template: &'a Template,
    /// Whether the certificate id is used for more than the certificate itself.
    uses_id: bool,
}

impl<'a> Bulk<'a> {
    /// # Errors
    ///
    /// When two of its parameters would have one name.
    pub fn new(template: &'a Template) -> Result<Self, NameTaken> {
        let uses_id = uses_id(template.text());
        let bulk = Self { template, uses_id };
        let mut names = BTreeSet::from([CERTIFICATE.to_owned()]);
        for declared in bulk.parameters() {
            let name = bulk_name(&declared.name);
            if names.contains(&name) {
                return Err(NameTaken { name });
            }
            names.insert(name);
        }
        Ok(bulk)
    }

    /// The template for `start-thing-registration-task`.
    #[must_use]
    pub fn template(&self, issuer: &CaCertificate) -> String {
        let mut document: Value = serde_json::from_str(self.template.text()).expect("it was read before");
        rename(&mut document["Resources"]);
        let resources = document["Resources"].as_object_mut().into_iter().flatten();
        for (_, resource) in resources {
            if resource["Type"] == "AWS::IoT::Certificate"
                && let Some(properties) = resource["Properties"].as_object_mut()
            {
                let status = properties.remove("Status");
                properties.clear();
                properties.insert(CERTIFICATE.to_owned(), json!({ "Ref": CERTIFICATE }));
                properties.insert("CACertificatePem".to_owned(), issuer.to_pem().into());
                properties.extend(status.map(|status| ("Status".to_owned(), status)));
            }
        }
        let declared = |default: &Option<String>| match default {
            Some(default) => json!({ "Type": "String", "Default": default }),
            None => json!({ "Type": "String" }),
        };
        let mut parameters = Map::new();
        for parameter in self.parameters() {
            parameters.insert(bulk_name(&parameter.name), declared(&parameter.default));
        }
        parameters.insert(CERTIFICATE.to_owned(), declared(&None));
        document["Parameters"] = Value::Object(parameters);
        serde_json::to_string_pretty(&document).expect("documents have only text keys") + "\n"
    }

    /// Writes the parameters of a batch, a line for each device, and returns how many there are.
    ///
    /// # Errors
    ///
    /// When the batch cannot be read, a certificate of it would not be provisioned, or nothing can be written.
    pub fn write(&self, issued: &Vouched<'_>, out: &mut impl Write) -> Result<u64, BulkError> {
        let mut written = 0;
        for chunk in 0..issued.record().shape().chunks() {
            for certificate in issued.certificates(chunk)? {
                writeln!(out, "{}", self.line(&certificate)?)?;
                written += 1;
            }
        }
        Ok(written)
    }

    /// The line of a device.
    fn line(&self, certificate: &IssuedCertificate) -> Result<String, BulkError> {
        self.values(certificate)
            .map(|values| Value::Object(values).to_string())
            .map_err(|source| BulkError::Device {
                device_id: certificate.entry.device_id.clone(),
                source,
            })
    }

    fn values(&self, certificate: &IssuedCertificate) -> Result<Map<String, Value>, BulkFault> {
        let facts = Facts::of_certificate(&certificate.der)?;
        self.template.provision(&facts)?;
        let mut values = Map::new();
        for declared in self.parameters() {
            let reading = self.template.assumptions.serial_number;
            let value = declared
                .parameter
                .and_then(|parameter| facts.given(parameter, reading));
            if let Some(value) = value {
                values.insert(bulk_name(&declared.name), value.into());
            }
        }
        values.insert(CERTIFICATE.to_owned(), certificate.to_pem().into());
        Ok(values)
    }

    /// The parameters that the template for bulk registration has, the certificate left out.
    fn parameters(&self) -> impl Iterator<Item = &'a Declared> {
        let (used, uses_id) = (&self.template.used, self.uses_id);
        let declared = self.template.parameters.iter().enumerate();
        declared
            .filter(move |(i, declared)| {
                used.contains(i) && (declared.parameter != Some(Parameter::Id) || uses_id)
            })
            .map(|(_, declared)| declared)
    }
}

fn uses_id(template: &str) -> bool {
    let mut document: Value = serde_json::from_str(template).expect("it was read before");
    let resources = document["Resources"].as_object_mut().into_iter().flatten();
    resources
        .filter(|(_, resource)| resource["Type"] != "AWS::IoT::Certificate")
        .any(|(_, resource)| resource.to_string().contains(&Parameter::Id.name()))
}

/// The name of a parameter in the bulk template: AWS:: is AWS's own.
fn bulk_name(name: &str) -> String {
    match Parameter::parse(name).filter(|_| Parameter::is_reserved(name)) {
        Some(Parameter::Id) => CERTIFICATE_ID.to_owned(),
        Some(parameter) => parameter.short_name().to_owned(),
        None => name.to_owned(),
    }
}

/// Renames parameters wherever they are referred to.
fn rename(value: &mut Value) {
    match value {
        Value::Object(object) => {
            for (key, value) in object.iter_mut() {
                match value {
                    Value::String(text) if key == "Ref" => *text = bulk_name(text),
                    Value::String(text) if key == "Fn::Sub" => *text = rename_places(text),
                    Value::Array(items) if key == "Fn::Sub" => {
                        if let Some(Value::String(text)) = items.first_mut() {
                            *text = rename_places(text);
                        }
                        items.iter_mut().for_each(rename);
                    }
                    other => rename(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(rename),
        _ => {}
    }
}

fn rename_places(text: &str) -> String {
    Parameter::ALL
        .into_iter()
        .fold(text.to_owned(), |text, parameter| {
            let name = parameter.name();
            text.replace(&format!("${{{name}}}"), &format!("${{{}}}", bulk_name(&name)))
        })
}
