//! The bundle recipe, from what a profile says of it.
//!
//! By default: `private.pem.key`, `certificate.pem.crt`, `chain.pem.crt`, `AmazonRootCA1.pem`,
//! `AmazonRootCA3.pem`, `endpoint.json`.

use std::fmt::Display;

use super::config::{Archive, BundleConfig, FileConfig};
use super::{KeyType, ProfileError};
use crate::bundle::{Content, Member, Recipe, RecipeError, Root};

pub(super) fn read(config: &BundleConfig) -> Result<Recipe, ProfileError> {
    let member = |file: &FileConfig| {
        let make = match file.shared {
            true => Member::shared_with_settings,
            false => Member::with_settings,
        };
        let form = (file.format, &file.settings);
        make(&file.name, &file.content.0, form, file.compression)
    };
    let members: Result<_, RecipeError> = match &config.files {
        None => default_files().collect(),
        Some(files) => files.iter().map(member).collect(),
    };
    let recipe = members.and_then(Recipe::new);
    let recipe = match config.archive {
        Archive::Zip => recipe,
        Archive::None => recipe.and_then(Recipe::without_archive),
    };
    recipe.map_err(|error| match error {
        error @ (RecipeError::NotForAll { .. } | RecipeError::SharedCompression { .. }) => {
            ProfileError::Shared(error)
        }
        error => invalid(&error),
    })
}

/// The files with the shared ones behind the others: in which order both stand together is nothing to a batch.
pub(super) fn in_order(mut config: BundleConfig) -> BundleConfig {
    if let Some(files) = &mut config.files {
        files.sort_by_key(|file| file.shared);
    }
    config
}

/// Sees that each format can hold the keys of the profile.
pub(super) fn check_keys(recipe: &Recipe, key_type: KeyType) -> Result<(), ProfileError> {
    for member in recipe.all() {
        let format = member.format();
        if format
            .is_for_rsa()
            .is_some_and(|is_rsa| is_rsa != key_type.is_rsa())
        {
            let (name, format) = (member.name(), format.name());
            return Err(invalid(&format!(
                "{name}: {format} cannot hold a key of type {key_type}"
            )));
        }
        if let (Some(most), Some(bits)) = (format.most_rsa_bits(), key_type.rsa_bits())
            && bits > most
        {
            let name = member.name();
            return Err(invalid(&format!(
                "{name}: the chip signs with RSA keys of up to {most} bits, and {key_type} has more"
            )));
        }
    }
    Ok(())
}

pub(super) fn invalid(reason: &dyn Display) -> ProfileError {
    ProfileError::Field {
        field: "bundle.files".to_owned(),
        reason: reason.to_string(),
    }
}

fn default_files() -> impl Iterator<Item = Result<Member, RecipeError>> {
    let root = |name| Root::named(name).map(Content::Root);
    [
        ("private.pem.key", Some(Content::PrivateKey)),
        ("certificate.pem.crt", Some(Content::Certificate)),
        ("chain.pem.crt", Some(Content::Chain)),
        ("AmazonRootCA1.pem", root("amazon-root-ca-1")),
        ("AmazonRootCA3.pem", root("amazon-root-ca-3")),
        ("endpoint.json", Some(Content::Endpoint)),
    ]
    .into_iter()
    .filter_map(|(name, content)| Some(Member::new(name, &[content?], None, None)))
}
