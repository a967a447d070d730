//! What a new CA is when little is said of it: a root, an intermediate, or the lab CA of a first try.

use data_encoding::HEXLOWER;

use super::{CaCertificate, CaRequest, IssuerError};
use crate::engine::Random;
use crate::profile::{Attribute, KeyType, NotAfter};

/// 25 years.
const ROOT_DAYS: u32 = 9125;

/// Begins the common name of every lab CA.
const LAB_NAME: &str = "certforge lab CA";

impl CaRequest {
    /// A root with a name of its own, which any CAs may stand below.
    ///
    /// # Errors
    ///
    /// When there is no randomness for its name.
    pub fn root() -> Result<Self, IssuerError> {
        Ok(Self {
            subject: vec![(Attribute::CommonName, unique("certforge device CA")?)],
            key_type: KeyType::P256,
            not_after: NotAfter::Days(ROOT_DAYS),
            path_len: None,
        })
    }

    /// A CA under another, valid as long as that, which no CA may stand below.
    ///
    /// # Errors
    ///
    /// When there is no randomness for its name.
    pub fn intermediate() -> Result<Self, IssuerError> {
        Ok(Self {
            not_after: NotAfter::Issuer,
            path_len: Some(0),
            ..Self::root()?
        })
    }

    /// A CA for one batch, under another.
    ///
    /// # Errors
    ///
    /// When there is no randomness for its name.
    pub fn for_batch() -> Result<Self, IssuerError> {
        Ok(Self {
            subject: vec![(Attribute::CommonName, unique("certforge batch CA")?)],
            ..Self::intermediate()?
        })
    }

    /// The CA of a first try, named so that nobody takes it for a real one.
    ///
    /// # Errors
    ///
    /// When there is no randomness for its name.
    pub fn lab() -> Result<Self, IssuerError> {
        Ok(Self {
            subject: vec![(Attribute::CommonName, unique(LAB_NAME)?)],
            path_len: Some(0),
            ..Self::root()?
        })
    }
}

impl CaCertificate {
    /// Whether it is that of a lab CA.
    #[must_use]
    pub fn is_lab(&self) -> bool {
        self.subject_text().contains(LAB_NAME)
    }
}

/// AWS IoT takes at most ten CAs with one subject in an account and Region.
fn unique(name: &str) -> Result<String, IssuerError> {
    let digits: [u8; 4] = Random.octets()?;
    Ok(format!("{name} {}", HEXLOWER.encode(&digits)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::issuer::create;
    use time::OffsetDateTime;

    #[test]
    fn only_a_lab_ca_is_one() {
        let now = OffsetDateTime::now_utc();
        let is_lab = |request: CaRequest| create(&request, None, now).unwrap().certificate().is_lab();
        assert!(is_lab(CaRequest::lab().unwrap()));
        assert!(!is_lab(CaRequest::root().unwrap()));
    }
}
