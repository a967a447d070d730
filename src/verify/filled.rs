//! What a row and the bundle itself say of a device's files: texts, and the secrets that one file delivers for another. A file
//! in which chance had no part is made again of it, and must come out as it is.

use std::borrow::Cow;

use zeroize::Zeroizing;

use crate::batch::IndexEntry;
use crate::bundle::format::Beside;
use crate::bundle::{Credential, Delivered, Member, Opened, Recipe, Shared};
use crate::manifest::Row;
use crate::profile::Binding;

pub(super) struct Filled<'a> {
    /// Of all files; `None`: the row is not at hand.
    texts: Option<Vec<Cow<'a, str>>>,
    names: Option<[Cow<'a, str>; 2]>,
    delivered: Delivered,
    private_key: Zeroizing<Vec<u8>>,
}

impl<'a> Filled<'a> {
    pub(super) fn of(files: &[Opened<'_>], known: Option<(&'a Binding, &'a Row)>) -> Self {
        Self {
            texts: known.map(|(binding, row)| binding.texts(row)),
            names: known.map(|(binding, row)| [binding.thing_name(row), binding.client_id(row)]),
            delivered: Delivered::by(files),
            private_key: Zeroizing::default(),
        }
    }

    /// What is known of the device when this file is read.
    pub(super) fn beside(&self, recipe: &Recipe, member: &Member) -> Beside<'_> {
        let own = recipe.texts_of(member.name());
        Beside {
            texts: self.texts.as_ref().map(|texts| &texts[own]),
            secrets: self.delivered.secrets(),
        }
    }

    pub(super) fn keep_key(&mut self, der: Zeroizing<Vec<u8>>) {
        self.private_key = der;
    }

    /// Holds files against what they are made of, where their formats have texts: the certificate is the device's. Returns what is
    /// wrong.
    pub(super) fn compare(
        &self,
        files: &[Opened<'_>],
        (recipe, shared): (&Recipe, &Shared),
        (entry, certificate): (&IndexEntry, &[u8]),
    ) -> Vec<String> {
        let mut faults = Vec::new();
        let (Some(texts), Some([thing_name, client_id])) = (&self.texts, &self.names) else {
            return faults;
        };
        for Opened { member, octets, .. } in files {
            let own = recipe.texts_of(member.name());
            if own.is_empty() {
                continue;
            }
            let credential = Credential {
                private_key: &self.private_key,
                certificate,
                thing_name,
                client_id,
                device_id: entry.device_id.as_str(),
                texts: &texts[own],
            };
            let again = shared.again(member, &credential, self.delivered.secrets());
            if again.is_some_and(|again| *again != **octets) {
                faults.push(format!(
                    "{} is not what the profile and the row give",
                    member.name()
                ));
            }
        }
        faults
    }
}
