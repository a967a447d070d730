//! Settings: what every object of a batch is stored with.

use std::collections::HashMap;

use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::{ServerSideEncryption, StorageClass, Tag};

use crate::store::request::Failed;
use crate::store::{Encryption, StoreError, StoreOptions, When};

/// Metadata of an object: `x-amz-meta-` and this.
const LEDGER: &str = "certforge-ledger";
const ATTEMPT: &str = "certforge-attempt";

#[derive(Debug)]
pub(super) struct Settings {
    /// Id of the ledger that accounts for the objects.
    ledger: Option<String>,
    encryption: Option<Encryption>,
    pub storage_class: Option<StorageClass>,
    /// As a URL has it: `key=value&key=value`.
    pub tagging: Option<String>,
}

impl Settings {
    pub(super) fn new(options: &StoreOptions) -> Self {
        Self {
            ledger: options.ledger.clone(),
            encryption: options.encryption.clone(),
            storage_class: options.storage_class.as_deref().map(StorageClass::from),
            tagging: tagging(&options.tags),
        }
    }

    /// The settings that an object has.
    pub(super) fn of(head: &HeadObjectOutput, tags: &[Tag]) -> Self {
        let encryption = head.server_side_encryption().map(|algorithm| Encryption {
            algorithm: algorithm.as_str().to_owned(),
            kms_key_id: head.ssekms_key_id().map(str::to_owned),
        });
        let ledger = head.metadata().and_then(|metadata| metadata.get(LEDGER));
        let tags: Vec<_> = tags.iter().map(|tag| (tag.key(), tag.value())).collect();
        Self {
            ledger: ledger.cloned(),
            encryption,
            storage_class: head.storage_class().cloned(),
            tagging: tagging(&tags),
        }
    }

    /// The headers of a PUT, besides those of its signature.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html>
    pub(super) fn headers(
        &self,
        checksum: &str,
        when: &When,
        attempt: Option<&str>,
    ) -> Vec<(&'static str, String)> {
        let (if_none_match, if_match) = conditions(when);
        let class = self.storage_class.as_ref();
        let encryption = self.encryption.as_ref();
        let headers = [
            ("x-amz-checksum-sha256", Some(checksum.to_owned())),
            ("if-none-match", if_none_match),
            ("if-match", if_match),
            (
                "x-amz-storage-class",
                class.map(|class| class.as_str().to_owned()),
            ),
            ("x-amz-tagging", self.tagging.clone()),
            ("x-amz-meta-certforge-ledger", self.ledger.clone()),
            ("x-amz-meta-certforge-attempt", attempt.map(str::to_owned)),
            (
                "x-amz-server-side-encryption",
                encryption.map(|encryption| encryption.algorithm.clone()),
            ),
            ("x-amz-server-side-encryption-aws-kms-key-id", self.kms_key()),
            (
                "x-amz-server-side-encryption-bucket-key-enabled",
                self.bucket_key().map(|is_on| is_on.to_string()),
            ),
        ];
        headers
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }

    /// The metadata of an object.
    pub(super) fn metadata(&self, attempt: Option<&str>) -> HashMap<String, String> {
        let ledger = self.ledger.clone().map(|ledger| (LEDGER.to_owned(), ledger));
        let attempt = attempt.map(|attempt| (ATTEMPT.to_owned(), attempt.to_owned()));
        ledger.into_iter().chain(attempt).collect()
    }

    /// The attempt that stored an object with this metadata.
    pub(super) fn writer(metadata: Option<&HashMap<String, String>>) -> Option<String> {
        metadata?.get(ATTEMPT).cloned()
    }

    pub(super) fn algorithm(&self) -> Option<ServerSideEncryption> {
        let encryption = self.encryption.as_ref()?;
        Some(encryption.algorithm.as_str().into())
    }

    pub(super) fn kms_key(&self) -> Option<String> {
        self.encryption.as_ref()?.kms_key_id.clone()
    }

    /// A bucket key spares a request to KMS for each object. Only plain SSE-KMS knows it.
    pub(super) fn bucket_key(&self) -> Option<bool> {
        let encryption = self.encryption.as_ref()?;
        (encryption.algorithm == "aws:kms").then_some(true)
    }

    /// A server that ignores what it does not know would store keys unencrypted. What was stored by an
    /// earlier run may be encrypted in another way, though not in none.
    pub(super) fn check_some_encryption(&self, object: &str, got: Option<&str>) -> Result<(), Failed> {
        match got {
            Some(_) => Ok(()),
            None => self.check_encryption(object, None),
        }
    }

    /// A server that ignores what it does not know would store keys unencrypted.
    pub(super) fn check_encryption(&self, object: &str, got: Option<&str>) -> Result<(), Failed> {
        match &self.encryption {
            Some(wanted) if got != Some(&wanted.algorithm) => Err(Failed::Error(StoreError::Encryption {
                object: object.to_owned(),
                wanted: wanted.algorithm.clone(),
                got: got.unwrap_or("none").to_owned(),
            })),
            _ => Ok(()),
        }
    }
}

/// `If-None-Match` and `If-Match`.
pub(super) fn conditions(when: &When) -> (Option<String>, Option<String>) {
    match when {
        When::Absent => (Some("*".to_owned()), None),
        When::Is(version, _) => (None, Some(version.0.clone())),
    }
}

fn tagging<K: AsRef<str>, V: AsRef<str>>(tags: &[(K, V)]) -> Option<String> {
    (!tags.is_empty()).then(|| {
        form_urlencoded::Serializer::new(String::new())
            .extend_pairs(tags.iter().map(|(key, value)| (key.as_ref(), value.as_ref())))
            .finish()
    })
}
