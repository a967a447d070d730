//! Files of the user's own, whose octets a batch's record does not have: they are in its bundles, or shared by all.

use std::collections::HashMap;

use zeroize::Zeroizing;

use super::{GenerationError, Newest, chunk};
use crate::batch::SHARED_OBJECT;
use crate::bundle::encryption::Identities;
use crate::bundle::{Content, Member, Opened, open_shared};
use crate::digest::sha256;
use crate::profile::Profile;

/// A profile with the octets of the files that it names: those that it was loaded with, or the batch's.
pub(super) fn filled(
    newest: &Newest,
    profile: &Profile,
    identities: Option<&Identities>,
) -> Result<Profile, GenerationError> {
    let is_missing = |member: &Member| {
        let mut contents = member.contents().iter();
        contents.any(|content| matches!(content, Content::File(file) if !file.is_read()))
    };
    if !profile.recipe().all().any(is_missing) {
        return Ok(profile.clone());
    }
    let store = newest.sight();
    let mut files: HashMap<String, Zeroizing<Vec<u8>>> = HashMap::new();
    if newest.record().shared_sha256.is_some() {
        let octets = store.read(SHARED_OBJECT, None)?;
        newest.generation().seal.check_shared(&octets)?;
        // What is sealed and cannot be opened has no files that could be missed less.
        let opened = open_shared(&octets, &sha256(&octets), newest.profile().recipe()).unwrap_or_default();
        files.extend(opened.into_iter().map(Opened::into_named));
    }
    files.extend(chunk::first_files(newest, &store, identities)?);
    let find = |name: &str| files.get(name).map(|octets| octets.to_vec());
    Ok(profile.with_files(&find)?)
}
