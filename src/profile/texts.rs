//! The texts of a bundle's files, which each device fills: by columns of its row, and by what else the profile says of it.

use super::endpoint::Endpoint;
use super::{ProfileError, Template, template};
use crate::bundle::Recipe;
use crate::bundle::format::Form;

/// What stands for a device in the texts of its files, beside the columns of the manifest.
pub(super) const NAMES: [&str; 6] = [
    "device_id",
    "endpoint.host",
    "endpoint.port",
    "endpoint.region",
    "endpoint.client_id",
    "endpoint.thing_name",
];

/// A file whose format has texts.
#[derive(Debug, Clone)]
pub(super) struct FileTexts<T> {
    pub name: String,
    pub form: Form,
    pub texts: Vec<FileText<T>>,
    /// Whether one of them names the endpoint's host or Region.
    pub names_host: bool,
}

#[derive(Debug, Clone)]
pub(super) struct FileText<T> {
    /// The setting that has it.
    pub field: String,
    pub template: T,
    /// Octets of what a device gives for it, at most.
    pub most: usize,
}

/// The texts of all files of a recipe, in their order.
pub(super) fn read(
    recipe: &Recipe,
    endpoint: &Endpoint,
    id_column: &str,
) -> Result<Vec<FileTexts<Template>>, ProfileError> {
    let mut files = Vec::new();
    for member in recipe.members() {
        let (mut texts, mut names_host) = (Vec::new(), false);
        for text in member.texts() {
            let field = format!("bundle.files: {}: {}", member.name(), text.field);
            let template = template(&field, &text.template)?;
            let unknown = template
                .columns()
                .find(|name| name.starts_with("endpoint.") && !NAMES.contains(name));
            if let Some(name) = unknown {
                let reason = format!("there is no {{{name}}}; there are {}", NAMES[1..].join(", "));
                return Err(ProfileError::Field { field, reason });
            }
            names_host |= template
                .columns()
                .any(|name| ["endpoint.host", "endpoint.region"].contains(&name));
            texts.push(FileText {
                template: template.expanded(|name| stands_for(name, endpoint, id_column)),
                field,
                most: text.most,
            });
        }
        if !texts.is_empty() {
            files.push(FileTexts {
                name: member.name().to_owned(),
                form: member.form().clone(),
                texts,
                names_host,
            });
        }
    }
    Ok(files)
}

fn stands_for(name: &str, endpoint: &Endpoint, id_column: &str) -> Option<Template> {
    Some(match name {
        "device_id" => Template::column(id_column),
        "endpoint.host" => Template::literal(endpoint.host.as_deref().unwrap_or_default()),
        "endpoint.port" => Template::literal(&endpoint.port.to_string()),
        "endpoint.region" => Template::literal(endpoint.region.as_deref().unwrap_or_default()),
        "endpoint.client_id" => endpoint.client_id.clone(),
        "endpoint.thing_name" => endpoint.thing_name.clone(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
