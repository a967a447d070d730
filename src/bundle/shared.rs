//! The files that are the same for every device of a batch and that no bundle has: one ZIP, which lies once in the
//! batch.
//!
//! Its files are stored, so that whoever makes it of one profile and one issuer makes the same octets: another run,
//! another shard, a certforge to come.

use super::archive::{Archive, Constant};
use super::open::examine_members;
use super::{Content, OpenError, Opened, Recipe, RecipeError, Shared};
use crate::digest::sha256;

/// The ZIP of the shared files; `None` when the recipe has none.
///
/// # Errors
///
/// When one is a file of the user's own that nobody has read.
pub fn shared_archive(recipe: &Recipe, shared: &Shared) -> Result<Option<Vec<u8>>, RecipeError> {
    recipe.check_files()?;
    if recipe.shared().is_empty() {
        return Ok(None);
    }
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    let mut archive = Archive::begin(&mut out, &mut directory);
    for member in recipe.shared() {
        let content = shared.constant(member).unwrap_or_default();
        archive.constant(member.name(), member.mode(), &Constant::stored(&content));
    }
    archive.finish();
    Ok(Some(out))
}

/// Opens the ZIP of the shared files that has this digest, and was made by this recipe.
///
/// # Errors
///
/// When the octets are another, or none.
pub fn open_shared<'a>(
    octets: &[u8],
    sha256: &[u8; 32],
    recipe: &'a Recipe,
) -> Result<Vec<Opened<'a>>, OpenError> {
    match self::sha256(octets) == *sha256 {
        true => examine_members(octets, recipe.shared(), ""),
        false => Err(OpenError::OtherDigest),
    }
}

/// Finds everything that is wrong with the ZIP of the shared files, whatever its digest; a line for each fault.
#[must_use]
pub fn judge_shared(octets: &[u8], recipe: &Recipe, shared: &Shared) -> Vec<String> {
    let files = match examine_members(octets, recipe.shared(), "") {
        Ok(files) => files,
        Err(error) => return vec![error.to_string()],
    };
    let fault = |Opened { member, octets, .. }: &Opened<'_>| {
        let name = member.name();
        match (shared.constant(member), member.contents()) {
            (Some(known), _) if known == ***octets => None,
            (_, [Content::File(file)]) if file.sha256() == Some(&sha256(octets)) => None,
            (_, [Content::File(file)]) => Some(format!(
                "{name} is not the file {} that the profile names",
                file.path()
            )),
            _ => Some(format!("{name} is not the certificate it is named for")),
        }
    };
    files.iter().filter_map(fault).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::{Member, Root};
    use data_encoding::HEXLOWER;

    fn contents(json: &str) -> Vec<Content> {
        serde_json::from_str(json).unwrap()
    }

    fn recipe() -> Recipe {
        Recipe::new(vec![
            Member::shared("issuer.pem", &contents(r#"["issuer"]"#), None, None).unwrap(),
            Member::new("key", &contents(r#"["private-key"]"#), None, None).unwrap(),
            Member::shared("root.pem", &contents(r#"["amazon-root-ca-1"]"#), None, None).unwrap(),
        ])
        .unwrap()
    }

    fn shared() -> Shared {
        Shared {
            issuer: Root::named("amazon-root-ca-3").unwrap().der().to_vec(),
            host: None,
            port: 8883,
            region: None,
        }
    }

    #[test]
    fn bundles_have_what_is_a_devices_own_and_the_rest_is_one_zip() {
        let recipe = recipe();
        assert_eq!(recipe.members().len(), 1);
        let octets = shared_archive(&recipe, &shared()).unwrap().unwrap();
        let opened = open_shared(&octets, &sha256(&octets), &recipe).unwrap();
        let names: Vec<_> = opened.iter().map(|file| file.member.name()).collect();
        assert_eq!(names, ["issuer.pem", "root.pem"]);
        assert!(judge_shared(&octets, &recipe, &shared()).is_empty());
        assert_eq!(
            open_shared(&octets, &[0; 32], &recipe).err(),
            Some(OpenError::OtherDigest)
        );
        // Batches go on where they were left, whoever goes on with them.
        let digest = HEXLOWER.encode(&sha256(&octets));
        assert_eq!(
            digest,
            "f66d928e8ae8bd795b3127cdc33bd4cbccbd761659bd2e84bce0b02793046c52"
        );
        let alone = Recipe::new(recipe.members().to_vec()).unwrap();
        assert_eq!(shared_archive(&alone, &shared()), Ok(None));
    }

    #[test]
    fn what_is_another_or_too_much_is_named() {
        let (recipe, other) = (
            recipe(),
            Shared {
                issuer: vec![7; 400],
                ..shared()
            },
        );
        let octets = shared_archive(&recipe, &other).unwrap().unwrap();
        assert_eq!(
            judge_shared(&octets, &recipe, &shared()),
            ["issuer.pem is not the certificate it is named for"]
        );
        let (mut out, mut directory) = (Vec::new(), Vec::new());
        let mut archive = Archive::begin(&mut out, &mut directory);
        for name in ["issuer.pem", "root.pem", "more.pem"] {
            archive.constant(name, 0o644, &Constant::stored(b"x"));
        }
        archive.finish();
        assert_eq!(
            judge_shared(&out, &recipe, &shared()),
            ["holds issuer.pem, root.pem, more.pem where the profile has issuer.pem, root.pem"]
        );
        assert!(judge_shared(b"no zip", &recipe, &shared())[0].starts_with("the zip is damaged: "));
    }

    #[test]
    fn what_differs_from_device_to_device_is_not_shared() {
        for (json, told) in [
            (r#"["private-key"]"#, "private-key"),
            (r#"["issuer", "certificate"]"#, "certificate"),
            (r#"["chain"]"#, "chain"),
            (r#"["endpoint"]"#, "endpoint"),
        ] {
            let error = Member::shared("x", &contents(json), None, None).unwrap_err();
            let start = format!("x: {told} differs from device to device");
            assert!(error.to_string().starts_with(&start), "{error}");
        }
    }
}
