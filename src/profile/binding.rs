//! A profile bound to a manifest's header: renders what one row's certificate and bundle say.

use std::borrow::Cow;

use super::texts::{FileText, FileTexts};
use super::{Attribute, BoundTemplate, IdRules, Profile, policy_character};
use crate::bundle::{Member, Recipe};
use crate::manifest::{DeviceId, Header, ManifestError, Problem, Reason, Row};

/// Templates of a profile, each with its columns found.
#[derive(Debug, Clone)]
pub struct Binding {
    subject: Vec<(Attribute, BoundTemplate)>,
    san: Vec<(San, BoundTemplate)>,
    thing_name: BoundTemplate,
    client_id: BoundTemplate,
    files: Vec<FileTexts<BoundTemplate>>,
    /// If files are named after their devices.
    recipe: Option<Recipe>,
    policies_read_subject: bool,
    id_column: String,
    id_rules: IdRules,
}

/// Kinds of subjectAltName that a profile may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum San {
    Dns,
    Uri,
}

impl San {
    /// The profile field that holds these.
    fn field(self) -> &'static str {
        match self {
            Self::Dns => "san.dns",
            Self::Uri => "san.uri",
        }
    }
}

impl Binding {
    /// # Errors
    ///
    /// [`ManifestError::MissingColumn`] when a template names a column that the header lacks.
    pub fn new(profile: &Profile, header: &Header, path: &std::path::Path) -> Result<Self, ManifestError> {
        let missing = |field: String| {
            move |column| ManifestError::MissingColumn {
                path: path.to_owned(),
                column,
                used_by: format!("{field} of profile {}", profile.name()),
                found: header.columns().to_vec(),
            }
        };
        let mut subject = Vec::with_capacity(profile.subject.len());
        for (attribute, template) in &profile.subject {
            let bound = template
                .bind(header)
                .map_err(missing(format!("subject.{attribute}")))?;
            subject.push((*attribute, bound));
        }
        let mut san = Vec::new();
        for (kind, templates) in [(San::Dns, &profile.san_dns), (San::Uri, &profile.san_uri)] {
            for template in templates {
                let bound = template.bind(header).map_err(missing(kind.field().to_owned()))?;
                san.push((kind, bound));
            }
        }
        let mut files = Vec::new();
        for file in &profile.texts {
            let mut texts = Vec::new();
            for text in &file.texts {
                texts.push(FileText {
                    template: text.template.bind(header).map_err(missing(text.field.clone()))?,
                    field: text.field.clone(),
                    most: text.most,
                });
            }
            files.push(FileTexts {
                name: file.name.clone(),
                form: file.form.clone(),
                texts,
                names_host: file.names_host,
            });
        }
        let endpoint = profile.endpoint();
        Ok(Self {
            files,
            recipe: Some(profile.recipe())
                .filter(|recipe| recipe.members().iter().any(Member::is_named_by_device))
                .cloned(),
            subject,
            san,
            policies_read_subject: profile.policies_read_subject,
            thing_name: endpoint
                .thing_name
                .bind(header)
                .map_err(missing("endpoint.thing_name".to_owned()))?,
            client_id: endpoint
                .client_id
                .bind(header)
                .map_err(missing("endpoint.client_id".to_owned()))?,
            id_column: profile.id_column.clone(),
            id_rules: profile.id_rules.clone(),
        })
    }

    /// The subject of a row's certificate, in DN order.
    pub fn subject<'a>(&'a self, row: &'a Row) -> impl Iterator<Item = (Attribute, Cow<'a, str>)> {
        self.subject
            .iter()
            .map(|(attribute, template)| (*attribute, template.render(row)))
    }

    /// The subjectAltNames of a row's certificate.
    pub fn san<'a>(&'a self, row: &'a Row) -> impl Iterator<Item = (San, Cow<'a, str>)> {
        self.san
            .iter()
            .map(|(kind, template)| (*kind, template.render(row)))
    }

    /// All names in a row's certificate.
    pub(crate) fn names<'a>(&'a self, row: &'a Row) -> impl Iterator<Item = Cow<'a, str>> {
        let subject = self.subject(row).map(|(_, value)| value);
        subject.chain(self.san(row).map(|(_, value)| value))
    }

    /// Whether certificates have a subjectAltName extension.
    #[must_use]
    pub fn has_san(&self) -> bool {
        !self.san.is_empty()
    }

    #[must_use]
    pub fn thing_name<'a>(&'a self, row: &'a Row) -> Cow<'a, str> {
        self.thing_name.render(row)
    }

    #[must_use]
    pub fn client_id<'a>(&'a self, row: &'a Row) -> Cow<'a, str> {
        self.client_id.render(row)
    }

    /// What a row gives for the texts of all files, in their order; as a rule there are none.
    #[must_use]
    pub fn texts<'a>(&'a self, row: &'a Row) -> Vec<Cow<'a, str>> {
        let texts = self.files.iter().flat_map(|file| &file.texts);
        texts.map(|text| text.template.render(row)).collect()
    }

    /// The values of a row's subject that AWS IoT fills in nowhere in a policy, each with the character for which it does not.
    pub fn unfillable<'a>(&'a self, row: &'a Row) -> impl Iterator<Item = (Attribute, Cow<'a, str>, char)> {
        self.subject(row).filter_map(|(attribute, value)| {
            let sign = policy_character(&value)?;
            Some((attribute, value, sign))
        })
    }

    /// What the profile says of ids.
    pub(crate) fn id_rules(&self) -> &IdRules {
        &self.id_rules
    }

    /// Everything that keeps this row from becoming a certificate and a bundle.
    #[must_use]
    pub fn problems(&self, row: &Row) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut add = |field: String, value: Cow<'_, str>, reason| {
            problems.push(Problem {
                line: row.line,
                column: Some(field),
                value: (!value.is_empty()).then(|| value.into_owned()),
                reason,
            });
        };
        let id = row.device_id.as_str();
        if let Some(reason) = self.id_rules.check(id) {
            add(self.id_column.clone(), Cow::Borrowed(id), reason);
        }
        for (attribute, value) in self.subject(row) {
            let sign = policy_character(&value).filter(|_| self.policies_read_subject);
            let checked = attribute.check(&value);
            if let Err(reason) =
                checked.and_then(|()| sign.map_or(Ok(()), |c| Err(Reason::PolicyCharacter(c))))
            {
                add(format!("subject.{attribute}"), value, reason);
            }
        }
        for (kind, value) in self.san(row) {
            if let Err(reason) = check_san(kind, &value) {
                add(kind.field().to_owned(), value, reason);
            }
        }
        for (field, value) in [
            ("endpoint.thing_name", self.thing_name(row)),
            ("endpoint.client_id", self.client_id(row)),
        ] {
            // Thing names and client ids obey the rules of device ids (AWS IoT API, `ThingName`).
            if DeviceId::check(&value).is_err() {
                add(field.to_owned(), value, Reason::NotThingName);
            }
        }
        if let Some((member, name)) = self.recipe.as_ref().and_then(|recipe| recipe.misnamed(id)) {
            let told = format!("{}: {name} cannot name a file beside the others", member.name());
            add(
                self.id_column.clone(),
                Cow::Borrowed(id),
                Reason::Unfit { told: told.into() },
            );
        }
        for file in &self.files {
            let texts: Vec<_> = file.texts.iter().map(|text| text.template.render(row)).collect();
            if let Some((text, reason)) = misfit(file, &texts) {
                add(file.texts[text].field.clone(), texts[text].clone(), reason);
            }
        }
        problems
    }
}

/// The first text of a row of which the file cannot be made, and why.
fn misfit(file: &FileTexts<BoundTemplate>, texts: &[Cow<'_, str>]) -> Option<(usize, Reason)> {
    for (i, (text, wanted)) in texts.iter().zip(&file.texts).enumerate() {
        if text.len() > wanted.most {
            let (octets, limit) = (text.len(), wanted.most);
            return Some((i, Reason::TooManyOctets { octets, limit }));
        }
    }
    let misfit = file.form.judge(texts).err()?;
    let told = format!("{}: {}", file.name, misfit.reason);
    Some((misfit.text, Reason::Unfit { told: told.into() }))
}

fn check_san(kind: San, value: &str) -> Result<(), Reason> {
    if value.is_empty() {
        return Err(Reason::Empty);
    }
    if let Some(c) = value.chars().find(|c| !c.is_ascii_graphic()) {
        return Err(Reason::NotIa5(c));
    }
    // A DNS name has at most 253 octets (RFC 1123, 2.1); a URI longer than that is a mistake.
    if value.len() > 253 {
        return Err(Reason::TooLong {
            characters: value.len(),
            limit: 253,
        });
    }
    match kind {
        San::Dns if !is_dns_name(value) => Err(Reason::NotDnsName),
        San::Uri if !is_uri(value) => Err(Reason::NotUri),
        San::Dns | San::Uri => Ok(()),
    }
}

fn is_dns_name(value: &str) -> bool {
    value.split('.').all(|label| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    })
}

fn is_uri(value: &str) -> bool {
    let scheme = value.split_once(':').map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
    })
}
