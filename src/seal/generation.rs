//! The seals of a batch's generations, one after the other: each names the one before, so that none is left out, and the
//! batch's own begins.

use std::path::Path;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use super::{Seal, SealError, Statement};
use crate::batch::{GenerationFolder, NotRead, SEAL_OBJECT, generation_seal};
use crate::digest::sha256;
use crate::issuer::CaCertificate;
use crate::pem;

/// What the seal of a generation states of those before it. Digests are SHA-256 in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfGeneration {
    /// Counted from 1.
    pub number: u32,
    /// Whose attempt it is: the name of its folder.
    pub attempt: String,
    /// Of the seal before it, as it lies in the store.
    pub predecessor_sha256: String,
    /// The certificate above the issuer, PEM, if that has signed: the issuer is retired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
}

impl OfGeneration {
    /// Where the generation lies.
    #[must_use]
    pub fn folder(&self) -> Option<GenerationFolder> {
        GenerationFolder::new(self.number, &self.attempt)
    }

    /// The certificate above the issuer that has signed, if it is one; `None` when the issuer has, or must have.
    pub(super) fn signer(&self, issuer: &CaCertificate) -> Option<CaCertificate> {
        let blocks = pem::blocks(self.signed_by.as_deref()?).unwrap_or_default();
        let signer = CaCertificate::from_der(&blocks.first()?.der, Path::new(SEAL_OBJECT)).ok()?;
        issuer.is_issued_by(&signer).then_some(signer)
    }
}

/// A generation whose seal was verified, and those before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    pub seal: Seal,
    /// `None`: the batch's own.
    pub folder: Option<GenerationFolder>,
    /// Of the seal's object.
    pub sha256: [u8; 32],
}

impl Generation {
    /// The batch's own, whose seal was read so.
    ///
    /// # Errors
    ///
    /// When it is none, another issuer's, or changed.
    pub fn first(octets: &[u8], issuer: &CaCertificate) -> Result<Self, SealError> {
        Ok(Self {
            seal: Seal::open(octets, issuer)?.of(None)?,
            folder: None,
            sha256: sha256(octets),
        })
    }

    /// Counted from 0, which is the batch's own.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.folder.as_ref().map_or(0, GenerationFolder::number)
    }

    /// The object that has the seal of the generation behind this one, if there is any.
    #[must_use]
    pub fn next_object(&self) -> String {
        generation_seal(self.number() + 1)
    }

    /// The generation behind this one, whose seal was read so.
    ///
    /// # Errors
    ///
    /// When it is none, another issuer's, or changed, or does not follow this one.
    pub fn next(&self, octets: &[u8], issuer: &CaCertificate) -> Result<Self, SealError> {
        let object = self.next_object();
        let seal = Seal::open_at(octets, &object, issuer)?;
        let (before, own) = (&self.seal.0, &seal.0);
        let follows = |of: &&OfGeneration| {
            of.number == self.number() + 1
                && of.predecessor_sha256 == HEXLOWER.encode(&self.sha256)
                && is_of_same_batch(before, own)
        };
        let folder = own.generation.as_ref().filter(follows);
        let folder = folder.and_then(OfGeneration::folder).ok_or(NotRead {
            object,
            what: "seal that follows the one before it",
        })?;
        Ok(Self {
            seal,
            folder: Some(folder),
            sha256: sha256(octets),
        })
    }
}

fn is_of_same_batch(one: &Statement, other: &Statement) -> bool {
    let facts = |statement: &Statement| {
        (
            statement.batch.clone(),
            statement.shape(),
            statement.manifest_sha256.clone(),
            statement.issuer_id.clone(),
        )
    };
    facts(one) == facts(other)
}
