//! The device that keys of NVS belong to: found by what the batch's bundles deliver, where nothing else in its flash can be read.

use std::collections::HashSet;

use rayon::prelude::*;
use zeroize::Zeroizing;

use super::bundles::{Bundles, Sight};
use super::{Cache, Device, SealedBatch, StationError};
use crate::batch::IndexEntry;
use crate::bundle::encryption::{Identities, decrypt};
use crate::bundle::format::nvs::Keys;
use crate::bundle::{self, Content, Delivered, Drawn, Recipe};
use crate::digest::sha256;
use crate::manifest::DeviceId;
use crate::store::{Store, StoreError};

/// What came of trying the keys of a batch.
#[derive(Debug, Default)]
pub struct Keyed {
    pub device: Option<Device>,
    /// Bundles whose keys were tried. Once the device is found, the others are not.
    pub tried: u64,
    /// Bundles that could not be read, or are not what the seal says: removed, perhaps, since their devices were flashed.
    pub unread: u64,
}

/// What came of trying the keys of a bundle.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tried {
    Opens,
    Other,
    Unread,
}

/// The octets of a bundle; `None`: they cannot be read.
type Read = Option<Zeroizing<Vec<u8>>>;

impl SealedBatch {
    /// Tries the keys of NVS that bundles deliver, device after device, until some open what there is. Where no bundle
    /// delivers any, none is tried.
    ///
    /// # Errors
    ///
    /// When an index cannot be read, or is not the sealed one; the store fails; or bundles are encrypted, and no identity is
    /// given that reads them.
    pub fn keyed(
        &self,
        (store, cache): (&Store, &Cache),
        identities: Option<&Identities>,
        opens: &(dyn Fn(&Keys) -> bool + Sync),
    ) -> Result<Keyed, StationError> {
        let mut keyed = Keyed::default();
        for chunk in 0..self.shape().chunks() {
            // Devices whose bundles an older generation has; `None`: any.
            let mut wanted: Option<HashSet<DeviceId>> = None;
            for bundles in self.all() {
                let rows = bundles.index(store, cache, chunk)?;
                let is_wanted =
                    |row: &&IndexEntry| wanted.as_ref().is_none_or(|ids| ids.contains(&row.device_id));
                let (here, older): (Vec<_>, Vec<_>) = rows
                    .iter()
                    .filter(is_wanted)
                    .cloned()
                    .partition(|row| row.length > 0);
                if delivers_keys(bundles.profile.recipe()) {
                    let identities = self.identities_of(bundles, identities)?;
                    let sight = bundles.sight(store, cache);
                    let tried = tried(bundles, &sight, (chunk, &here), identities, opens)?;
                    let of = |what| tried.iter().filter(|tried| **tried == what).count() as u64;
                    keyed.tried += of(Tried::Opens) + of(Tried::Other);
                    keyed.unread += of(Tried::Unread);
                    if let Some(found) = tried.iter().position(|tried| *tried == Tried::Opens) {
                        let entry = here[found].clone();
                        keyed.device = Some(Device { chunk, entry });
                        return Ok(keyed);
                    }
                }
                if older.is_empty() {
                    break;
                }
                wanted = Some(older.into_iter().map(|row| row.device_id).collect());
            }
        }
        Ok(keyed)
    }
}

fn delivers_keys(recipe: &Recipe) -> bool {
    let are_keys = |content: &Content| matches!(content, Content::Drawn(Drawn::NvsKeys | Drawn::NvsHmacKey));
    recipe
        .members()
        .iter()
        .any(|member| member.contents().iter().any(are_keys))
}

/// Tries the keys of each of these devices.
fn tried(
    bundles: &Bundles,
    sight: &Sight<'_>,
    (chunk, rows): (u64, &[IndexEntry]),
    identities: Option<&Identities>,
    opens: &(dyn Fn(&Keys) -> bool + Sync),
) -> Result<Vec<Tried>, StationError> {
    let layout = bundles.record.layout;
    let recipe = bundles.profile.recipe();
    let objects = match (layout.is_packed(), rows) {
        (_, []) => return Ok(Vec::new()),
        (true, [first, ..]) => vec![layout.object(chunk, &first.device_id)],
        (false, rows) => rows
            .iter()
            .map(|row| layout.object(chunk, &row.device_id))
            .collect(),
    };
    let read: Vec<Read> = sight
        .store
        .read_all(&objects)
        .into_iter()
        .map(|read| match read {
            Err(StoreError::NotFound { .. }) => Ok(None),
            other => other.map(Some),
        })
        .collect::<Result<_, _>>()?;
    let octets = |number: usize| -> Option<&[u8]> {
        let row = &rows[number];
        if !layout.is_packed() {
            return read[number].as_ref().map(|octets| octets.as_slice());
        }
        let start = usize::try_from(row.offset).ok()?;
        let end = start.checked_add(usize::try_from(row.length).ok()?)?;
        read[0].as_ref()?.get(start..end)
    };
    let of = |number: usize| {
        let row = &rows[number];
        let octets = octets(number).filter(|octets| sha256(octets) == row.sha256)?;
        let decrypted = identities.map(|own| decrypt(octets, own)).transpose().ok()?;
        let octets = decrypted.as_deref().map_or(octets, Vec::as_slice);
        let files = bundle::examine(octets, recipe, row.device_id.as_str()).ok()?;
        let delivered = Delivered::by(&files);
        let keys = keys_of(&delivered);
        Some(keys.iter().any(opens))
    };
    let each = (0..rows.len()).into_par_iter().map(|number| match of(number) {
        Some(true) => Tried::Opens,
        Some(false) => Tried::Other,
        None => Tried::Unread,
    });
    Ok(each.collect())
}

/// The keys of NVS among what a bundle delivers.
fn keys_of(delivered: &Delivered) -> Vec<Keys> {
    let secrets = delivered.secrets();
    let keys = secrets
        .of(Drawn::NvsKeys)
        .and_then(|octets| Keys::new(octets.try_into().ok()?).ok());
    let made = secrets
        .of(Drawn::NvsHmacKey)
        .and_then(|octets| Some(Keys::from_hmac_key(octets.try_into().ok()?)));
    keys.into_iter().chain(made).collect()
}
