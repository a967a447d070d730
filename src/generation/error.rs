//! Why no generation was made.

use crate::bundle::RecipeError;
use crate::engine::EngineError;
use crate::forge::encrypting::EncryptingError;
use crate::manifest::DeviceId;
use crate::plugin::PluginError;
use crate::profile::ProfileError;
use crate::seal::SealError;
use crate::store::{ReadError, StoreError};

/// Why no generation was made; the one before holds.
#[derive(Debug, thiserror::Error)]
pub enum GenerationError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("bundles were not encrypted")]
    Plugin(#[from] PluginError),
    #[error(transparent)]
    Profile(#[from] ProfileError),
    #[error("the profile's bundles cannot be made")]
    Recipe(#[from] RecipeError),
    #[error("batch {location} is not sealed: only what is complete has generations")]
    NotSealed { location: String },
    #[error("batch {location} was sealed at {sealed}: this is a copy of it, or it was moved")]
    Moved { location: String, sealed: String },
    #[error("batch {batch} was withdrawn at {at}: nothing of it may come up")]
    Withdrawn { batch: String, at: String },
    #[error("{signer} is neither {issuer}, which made the batch, nor the CA above it")]
    OtherSigner { signer: String, issuer: String },
    #[error(
        "profile {profile} says otherwise what certificates, keys or ids are like, and those stay as they are"
    )]
    OtherCertificates { profile: String },
    #[error("the bundles are encrypted for {recipients}, and no identity is given")]
    NoIdentity { recipients: String },
    #[error("the bundles are encrypted for {recipients}, and this identity is {own}")]
    SomebodyElse { recipients: String, own: String },
    #[error("device {device_id}, {object}: {what}")]
    Bundle {
        device_id: DeviceId,
        object: String,
        what: String,
    },
    #[error("{object} was read back, and is not what was written")]
    ReadBack { object: String },
    #[error(
        "the bundle of device {device_id} says no {what}, and the profile makes it of other columns than the id"
    )]
    NoName { device_id: DeviceId, what: &'static str },
    #[error(
        "{field} of the profile takes columns of the manifest for device {device_id}, and its bundle has none but the id"
    )]
    NoText { device_id: DeviceId, field: String },
    #[error("device {device_id}: {what}")]
    Unfit { device_id: DeviceId, what: String },
    #[error("somebody else has made generation {generation} of {location} meanwhile")]
    Faster { location: String, generation: u32 },
    #[error("it was stopped before the generation was complete")]
    Interrupted,
}

impl GenerationError {
    /// Whether something was not in the store, or not as it was.
    pub(super) fn is_of_store(&self) -> bool {
        matches!(
            self,
            Self::Store(_) | Self::Read(_) | Self::Seal(_) | Self::Bundle { .. } | Self::ReadBack { .. }
        )
    }
}

impl From<EncryptingError> for GenerationError {
    fn from(error: EncryptingError) -> Self {
        match error {
            EncryptingError::Engine(error) => error.into(),
            EncryptingError::Plugin(error) => error.into(),
        }
    }
}

impl GenerationError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(
            match self {
                Self::Store(error) => return error.hint(),
                Self::Read(error) => return error.hint(),
                Self::Seal(error) => return error.hint(),
                Self::Engine(_) => return None,
                Self::Plugin(error) => return error.hint(),
                Self::Profile(error) => return error.hint(),
                Self::Recipe(_) => {
                    "give the profile that the batch was made with, by --profile, with the files that it names beside it"
                }
                Self::NotSealed { .. } => "run it to its end first: `certforge run`, or `certforge seal` for one in shards",
                Self::Moved { .. } => "say --moved if it was moved, and is no copy: two copies would give each device out twice",
                Self::Withdrawn { .. } => "make a new batch; --reissue gives devices another identity",
                Self::OtherSigner { .. } => {
                    "name the CA that made the batch with --ca or, once it is retired, the CA above it with --parent"
                }
                Self::OtherCertificates { .. } => {
                    "only [bundle], [endpoint] and [delivery] may differ; for other certificates make a new batch with --reissue"
                }
                Self::NoIdentity { .. } => {
                    "give an identity by which they can be read with --identity, or in CERTFORGE_IDENTITY"
                }
                Self::SomebodyElse { .. } => "give the identity of one of these with --identity",
                Self::Bundle { .. } => {
                    "nothing was changed; put back what is missing or damaged: `certforge verify` tells more"
                }
                Self::ReadBack { .. } => "nothing of what was there is removed; look at the store, and run the command again",
                Self::NoName { .. } => {
                    "leave thing_name and client_id as the batch has them, or make them of the id alone"
                }
                Self::NoText { .. } => "leave [bundle] as the batch has it, or make its texts of the id alone",
                Self::Unfit { .. } => "change what the profile makes of the id; nothing was changed in the store",
                Self::Faster { .. } => "look at what it is with `certforge verify`; the same command makes another one behind it",
                Self::Interrupted => "nothing was changed; the same command begins again",
            }
            .to_owned(),
        )
    }
}
