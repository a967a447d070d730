//! Parameters: what JITP reads from a device's certificate, and gives to a template.

use std::borrow::Cow;
use std::cmp::Reverse;

use data_encoding::HEXLOWER;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::assumptions::SerialNumber;
use crate::digest::sha256;
use crate::manifest::Row;
use crate::profile::{Attribute, Binding};

/// A parameter that JITP fills.
/// <https://docs.aws.amazon.com/iot/latest/developerguide/jit-provisioning.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Parameter {
    Country,
    Organization,
    OrganizationalUnit,
    DnQualifier,
    State,
    CommonName,
    SerialNumber,
    /// The certificate id.
    Id,
}

const PREFIX: &str = "AWS::IoT::Certificate::";

impl Parameter {
    pub const ALL: [Self; 8] = [
        Self::Country,
        Self::Organization,
        Self::OrganizationalUnit,
        Self::DnQualifier,
        Self::State,
        Self::CommonName,
        Self::SerialNumber,
        Self::Id,
    ];

    /// The last part of its name.
    #[must_use]
    pub fn short_name(self) -> &'static str {
        match self {
            Self::Country => "Country",
            Self::Organization => "Organization",
            Self::OrganizationalUnit => "OrganizationalUnit",
            Self::DnQualifier => "DistinguishedNameQualifier",
            Self::State => "StateName",
            Self::CommonName => "CommonName",
            Self::SerialNumber => "SerialNumber",
            Self::Id => "Id",
        }
    }

    /// Its name in a template.
    #[must_use]
    pub fn name(self) -> String {
        format!("{PREFIX}{}", self.short_name())
    }

    /// The parameter of that name, whole or its last part alone.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let short = name.strip_prefix(PREFIX).unwrap_or(name);
        Self::ALL
            .into_iter()
            .find(|parameter| parameter.short_name() == short)
    }

    /// The one whose last part somebody may have meant who wrote this.
    #[must_use]
    pub fn nearest(short: &str) -> Option<Self> {
        let same = |pair: &(char, char)| pair.0.eq_ignore_ascii_case(&pair.1);
        let start = |known: &str| known.chars().zip(short.chars()).take_while(same).count();
        let end = |known: &str| {
            let reversed = known.chars().rev().zip(short.chars().rev());
            reversed.take_while(same).count()
        };
        // Three letters, or all of them: two begin with C, three with O and S.
        Self::ALL
            .into_iter()
            .map(|parameter| (parameter, parameter.short_name()))
            .filter(|(_, known)| start(known) >= 3.min(known.len()))
            .max_by_key(|(_, known)| (start(known) + end(known), Reverse(known.len())))
            .map(|(parameter, _)| parameter)
    }

    /// Whether a name is one of those that only AWS IoT gives out.
    #[must_use]
    pub fn is_reserved(name: &str) -> bool {
        name.starts_with("AWS::")
    }

    /// The subject attribute that it is read from; `None` for the certificate id.
    #[must_use]
    pub fn attribute(self) -> Option<Attribute> {
        Some(match self {
            Self::Country => Attribute::Country,
            Self::Organization => Attribute::Organization,
            Self::OrganizationalUnit => Attribute::OrganizationalUnit,
            Self::DnQualifier => Attribute::DnQualifier,
            Self::State => Attribute::State,
            Self::CommonName => Attribute::CommonName,
            Self::SerialNumber => Attribute::SerialNumber,
            Self::Id => return None,
        })
    }

    /// The parameter that is filled from an attribute.
    pub(super) fn of(attribute: Attribute) -> Self {
        Self::ALL
            .into_iter()
            .find(|parameter| parameter.attribute() == Some(attribute))
            .expect("every attribute has a parameter")
    }
}

/// What JITP reads from one certificate. Of an attribute that stands in the subject twice, the first counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts<'a> {
    values: [Option<Cow<'a, str>>; 8],
    /// The certificate serial, in decimal.
    serial: Option<Cow<'a, str>>,
}

impl<'a> Facts<'a> {
    /// Those of a certificate.
    ///
    /// # Errors
    ///
    /// When the octets are no certificate.
    pub fn of_certificate(der: &[u8]) -> Result<Self, NotCertificate> {
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| NotCertificate)?;
        if !rest.is_empty() {
            return Err(NotCertificate);
        }
        let mut facts = Self::default();
        facts.set(Parameter::Id, Cow::Owned(HEXLOWER.encode(&sha256(der))));
        facts.serial = Some(Cow::Owned(certificate.serial.to_string()));
        for value in certificate.subject().iter_attributes() {
            // id-at is 2.5.4, in DER 55 04.
            let [0x55, 0x04, arc] = value.attr_type().as_bytes() else {
                continue;
            };
            let attribute = Attribute::ALL.into_iter().find(|known| known.arc() == *arc);
            if let (Some(attribute), Ok(text)) = (attribute, value.as_str()) {
                facts.set(Parameter::of(attribute), Cow::Owned(text.to_owned()));
            }
        }
        Ok(facts)
    }

    /// Those of the certificate that a row would get; its id and its serial, in decimal, are not known before it is made.
    #[must_use]
    pub fn of_row(binding: &'a Binding, row: &'a Row, id: &'a str, serial: &'a str) -> Self {
        let mut facts = Self::default();
        facts.set(Parameter::Id, Cow::Borrowed(id));
        facts.serial = Some(Cow::Borrowed(serial));
        for (attribute, value) in binding.subject(row) {
            facts.set(Parameter::of(attribute), value);
        }
        facts
    }

    fn set(&mut self, parameter: Parameter, value: Cow<'a, str>) {
        self.values[parameter as usize].get_or_insert(value);
    }

    /// The certificate serial, in decimal.
    #[must_use]
    pub fn serial(&self) -> Option<&str> {
        self.serial.as_deref()
    }

    /// What the certificate has; of [`Parameter::SerialNumber`] the subject's.
    #[must_use]
    pub fn get(&self, parameter: Parameter) -> Option<&str> {
        self.values[parameter as usize].as_deref()
    }

    /// What a template is given for a parameter.
    pub(super) fn given(&self, parameter: Parameter, reading: SerialNumber) -> Option<&str> {
        match (parameter, reading) {
            (Parameter::SerialNumber, SerialNumber::Certificate) => self.serial(),
            (Parameter::SerialNumber, SerialNumber::Either) => self.get(parameter).or_else(|| self.serial()),
            _ => self.get(parameter),
        }
    }
}

/// The octets are no certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no X.509 certificate")]
pub struct NotCertificate;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_a_misspelt_name_may_mean() {
        for (written, meant) in [
            ("commonname", Some("CommonName")),
            ("Common", Some("CommonName")),
            ("CountryName", Some("Country")),
            ("OrganizationUnit", Some("OrganizationalUnit")),
            ("Organisation", Some("Organization")),
            ("OrganizationName", Some("Organization")),
            ("State", Some("StateName")),
            ("Serial", Some("SerialNumber")),
            ("ID", Some("Id")),
            ("Locality", None),
            ("Email", None),
            ("", None),
        ] {
            let nearest = Parameter::nearest(written).map(Parameter::short_name);
            assert_eq!(nearest, meant, "{written}");
        }
    }
}
