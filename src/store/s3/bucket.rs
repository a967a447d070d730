//! The bucket: what is asked of S3, one object at a time, each request until it is answered.
//!
//! No object is ever written over blindly. A write says `If-None-Match: *`, or, where an earlier attempt
//! left something behind, `If-Match` with the tag of just that. A write that is refused because
//! something is there looks at what it is: an answer that was lost looks exactly so.

use std::ops::Range;
use std::sync::Arc;

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumMode, CompletedMultipartUpload, CompletedPart, ServerSideEncryption,
    StorageClass,
};
use bytes::Bytes;
use data_encoding::BASE64;
use tokio::task::JoinSet;
use zeroize::Zeroizing;

use super::client::Connection;
use super::direct::{Direct, Outcome};
use super::request::{Answer, Failed, Requests, judge};
use super::signing::SignedDigest;
use super::{Encryption, S3Options};
use crate::digest::sha256;
use crate::store::{Existing, Listed, StoreError};

/// A larger object is uploaded in parts.
const LARGEST_PUT: usize = 16 << 20;

/// Octets of a part. S3 asks for at least 5 MiB.
const PART: usize = 8 << 20;

/// Times that a write looks at what is in its way. Twice is enough unless others write there too.
const LOOKS: u32 = 5;

/// A bucket, as far as one user of it is concerned.
#[derive(Debug)]
pub(super) struct Bucket {
    client: Client,
    direct: Option<Direct>,
    name: String,
    requests: Requests,
    settings: Settings,
}

/// What every object is stored with.
#[derive(Debug)]
struct Settings {
    encryption: Option<Encryption>,
    storage_class: Option<StorageClass>,
    tagging: Option<String>,
}

/// The condition of a write.
#[derive(Debug, Clone)]
enum Condition {
    Absent,
    /// The object there has this entity tag.
    Is(String),
}

impl Condition {
    fn headers(&self) -> (Option<String>, Option<String>) {
        match self {
            Self::Absent => (Some("*".to_owned()), None),
            Self::Is(tag) => (None, Some(tag.clone())),
        }
    }
}

/// An object as it is stored.
struct Stored {
    tag: String,
    is_same: bool,
}

/// A body with its checksum as S3 keeps it.
struct Body {
    octets: Bytes,
    sha256: [u8; 32],
    /// With more than one part: of each part.
    parts: Vec<[u8; 32]>,
}

impl Body {
    fn new(octets: Bytes, sha256: [u8; 32]) -> Self {
        let parts = match octets.len() {
            0..=LARGEST_PUT => Vec::new(),
            _ => octets.chunks(PART).map(self::sha256).collect(),
        };
        Self {
            octets,
            sha256,
            parts,
        }
    }

    /// The `x-amz-checksum-sha256` of the whole object; of a multipart one it is that of its parts'
    /// digests, and their number.
    fn checksum(&self) -> String {
        match self.parts.len() {
            0 => BASE64.encode(&self.sha256),
            n => format!("{}-{n}", BASE64.encode(&sha256(self.parts.as_flattened()))),
        }
    }
}

impl Bucket {
    pub(super) fn new(connection: Connection, name: String, options: &S3Options) -> Self {
        let tagging = (!options.tags.is_empty()).then(|| {
            form_urlencoded::Serializer::new(String::new())
                .extend_pairs(&options.tags)
                .finish()
        });
        Self {
            client: connection.client,
            direct: connection.direct,
            name,
            requests: Requests::new(options.uploads, connection.attempts),
            settings: Settings {
                encryption: options.encryption.clone(),
                storage_class: options.storage_class.as_deref().map(StorageClass::from),
                tagging,
            },
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Another object is in the way of this one.
    pub(super) fn conflict(&self, key: &str) -> StoreError {
        StoreError::Conflict {
            object: self.url(key),
        }
    }

    /// An object as a person finds it.
    fn url(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.name)
    }

    /// Stores an object whose SHA-256 is known. Returns whether it is there now: `false` when another
    /// one is, and it shall stay.
    pub(super) async fn put(
        self: &Arc<Self>,
        operation: &'static str,
        key: &str,
        octets: Bytes,
        sha256: [u8; 32],
        existing: Existing,
    ) -> Result<bool, StoreError> {
        let body = Body::new(octets, sha256);
        let mut condition = Condition::Absent;
        for _ in 0..LOOKS {
            let sent = match body.parts.len() {
                0 => self.put_once(operation, key, &body, &condition).await,
                // Many octets are not sent only to learn that they are there.
                _ if matches!(condition, Condition::Absent)
                    && self.stored(operation, key, &body).await?.is_some() =>
                {
                    Err(Failed::Exists)
                }
                _ => self.put_in_parts(operation, key, &body, &condition).await,
            };
            match sent {
                Ok(()) => return Ok(true),
                Err(Failed::Error(error)) => return Err(self.explain(error)),
                Err(Failed::Exists | Failed::Missing) => {}
            }
            condition = match (self.stored(operation, key, &body).await?, existing) {
                (None, _) => Condition::Absent,
                (Some(Stored { is_same: true, .. }), _) => return Ok(true),
                (Some(_), Existing::Refuse) => return Ok(false),
                (Some(Stored { tag, .. }), Existing::Replace) => Condition::Is(tag),
            };
        }
        Err(self.conflict(key))
    }

    async fn put_once(
        &self,
        operation: &'static str,
        key: &str,
        body: &Body,
        condition: &Condition,
    ) -> Result<(), Failed> {
        let checksum = body.checksum();
        let headers = self.headers(&checksum, condition);
        let (if_none_match, if_match) = condition.headers();
        let encryption = self
            .requests
            .persist(operation, &self.url(key), || async {
                if let Some(direct) = &self.direct {
                    match direct.put(key, &body.octets, &body.sha256, &headers).await {
                        Outcome::Stored { encryption } => return Ok(encryption),
                        Outcome::Answer(answer) => return Err(answer),
                        Outcome::AskSdk => {}
                    }
                }
                let output = self
                    .client
                    .put_object()
                    .bucket(&self.name)
                    .key(key)
                    .body(stream(&body.octets))
                    .checksum_sha256(&checksum)
                    .set_if_none_match(if_none_match.clone())
                    .set_if_match(if_match.clone())
                    .set_storage_class(self.settings.storage_class.clone())
                    .set_tagging(self.settings.tagging.clone())
                    .set_server_side_encryption(self.encryption())
                    .set_ssekms_key_id(self.kms_key())
                    .set_bucket_key_enabled(self.bucket_key())
                    .customize()
                    .interceptor(SignedDigest::of(&body.sha256))
                    .send()
                    .await
                    .map_err(judge)?;
                Ok(output.server_side_encryption().map(|got| got.as_str().to_owned()))
            })
            .await?;
        self.check_encryption(key, encryption.as_deref())
    }

    /// The headers of a PUT, besides those of its signature.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html>
    fn headers(&self, checksum: &str, condition: &Condition) -> Vec<(&'static str, String)> {
        let (if_none_match, if_match) = condition.headers();
        let class = self.settings.storage_class.as_ref();
        let encryption = self.settings.encryption.as_ref();
        let headers = [
            ("x-amz-checksum-sha256", Some(checksum.to_owned())),
            ("if-none-match", if_none_match),
            ("if-match", if_match),
            (
                "x-amz-storage-class",
                class.map(|class| class.as_str().to_owned()),
            ),
            ("x-amz-tagging", self.settings.tagging.clone()),
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

    async fn put_in_parts(
        self: &Arc<Self>,
        operation: &'static str,
        key: &str,
        body: &Body,
        condition: &Condition,
    ) -> Result<(), Failed> {
        let created = self
            .requests
            .persist(operation, &self.url(key), || async {
                self.client
                    .create_multipart_upload()
                    .bucket(&self.name)
                    .key(key)
                    .checksum_algorithm(ChecksumAlgorithm::Sha256)
                    .set_storage_class(self.settings.storage_class.clone())
                    .set_tagging(self.settings.tagging.clone())
                    .set_server_side_encryption(self.encryption())
                    .set_ssekms_key_id(self.kms_key())
                    .set_bucket_key_enabled(self.bucket_key())
                    .send()
                    .await
                    .map_err(judge)
            })
            .await?;
        let upload = created.upload_id().unwrap_or_default();
        let result = match self.put_parts(operation, key, upload, body).await {
            Ok(parts) => self.complete(operation, key, upload, parts, condition).await,
            Err(failed) => Err(failed),
        };
        if result.is_err() {
            // Parts of an upload that is not completed cost money until they are removed.
            let _ = self
                .client
                .abort_multipart_upload()
                .bucket(&self.name)
                .key(key)
                .upload_id(upload)
                .send()
                .await;
        }
        self.check_encryption(
            key,
            created.server_side_encryption().map(ServerSideEncryption::as_str),
        )?;
        result
    }

    async fn put_parts(
        self: &Arc<Self>,
        operation: &'static str,
        key: &str,
        upload: &str,
        body: &Body,
    ) -> Result<Vec<CompletedPart>, Failed> {
        let mut under_way = JoinSet::new();
        for (i, digest) in body.parts.iter().enumerate() {
            let start = i * PART;
            let octets = body.octets.slice(start..(start + PART).min(body.octets.len()));
            let (this, key, upload, digest) = (self.clone(), key.to_owned(), upload.to_owned(), *digest);
            under_way.spawn(async move { this.put_part(operation, &key, &upload, i, octets, digest).await });
        }
        let mut parts = Vec::with_capacity(body.parts.len());
        while let Some(part) = under_way.join_next().await {
            parts.push(part.expect("a part does not panic")?);
        }
        parts.sort_by_key(CompletedPart::part_number);
        Ok(parts)
    }

    async fn put_part(
        &self,
        operation: &'static str,
        key: &str,
        upload: &str,
        i: usize,
        octets: Bytes,
        digest: [u8; 32],
    ) -> Result<CompletedPart, Failed> {
        let number = i32::try_from(i + 1).expect("a chunk has few parts");
        let checksum = BASE64.encode(&digest);
        let output = self
            .requests
            .persist(operation, &self.url(key), || async {
                self.client
                    .upload_part()
                    .bucket(&self.name)
                    .key(key)
                    .upload_id(upload)
                    .part_number(number)
                    .body(stream(&octets))
                    .checksum_sha256(&checksum)
                    .customize()
                    .interceptor(SignedDigest::of(&digest))
                    .send()
                    .await
                    .map_err(judge)
            })
            .await?;
        Ok(CompletedPart::builder()
            .part_number(number)
            .set_e_tag(output.e_tag)
            .checksum_sha256(checksum)
            .build())
    }

    async fn complete(
        &self,
        operation: &'static str,
        key: &str,
        upload: &str,
        parts: Vec<CompletedPart>,
        condition: &Condition,
    ) -> Result<(), Failed> {
        let (if_none_match, if_match) = condition.headers();
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        self.requests
            .persist(operation, &self.url(key), || async {
                self.client
                    .complete_multipart_upload()
                    .bucket(&self.name)
                    .key(key)
                    .upload_id(upload)
                    .multipart_upload(parts.clone())
                    .set_if_none_match(if_none_match.clone())
                    .set_if_match(if_match.clone())
                    .send()
                    .await
                    .map_err(judge)
            })
            .await?;
        Ok(())
    }

    /// What is stored under a key, and whether it is the same as a body. Servers that keep no checksum
    /// are asked for the octets.
    async fn stored(
        &self,
        operation: &'static str,
        key: &str,
        body: &Body,
    ) -> Result<Option<Stored>, StoreError> {
        let head = self
            .requests
            .persist(operation, &self.url(key), || async {
                self.client
                    .head_object()
                    .bucket(&self.name)
                    .key(key)
                    .checksum_mode(ChecksumMode::Enabled)
                    .send()
                    .await
                    .map_err(judge)
            })
            .await;
        let head = match head {
            Ok(head) => head,
            Err(Failed::Missing) => return Ok(None),
            Err(failed) => return Err(self.error(key, failed)),
        };
        let is_size = usize::try_from(head.content_length().unwrap_or(-1)) == Ok(body.octets.len());
        let is_same = match head.checksum_sha256() {
            _ if !is_size => false,
            Some(checksum) => checksum == body.checksum(),
            None => self
                .get(key, None)
                .await
                .is_ok_and(|octets| sha256(&octets) == body.sha256),
        };
        Ok(Some(Stored {
            tag: head.e_tag.unwrap_or_default(),
            is_same,
        }))
    }

    /// The octets of an object, or of a range of it.
    pub(super) async fn get(
        &self,
        key: &str,
        range: Option<Range<u64>>,
    ) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let range = match range {
            Some(range) if range.is_empty() => return Ok(Zeroizing::default()),
            Some(range) => Some(format!("bytes={}-{}", range.start, range.end - 1)),
            None => None,
        };
        self.requests
            .persist("read", &self.url(key), || async {
                let got = self
                    .client
                    .get_object()
                    .bucket(&self.name)
                    .key(key)
                    .set_range(range.clone())
                    .send()
                    .await;
                let mut output = match got.map_err(judge) {
                    // The range lies beyond the end.
                    Err(Answer::Refused { status: 416, .. }) => return Ok(Zeroizing::default()),
                    other => other?,
                };
                let again = |why: String| Answer::Again {
                    why,
                    is_slow_down: false,
                };
                let len = usize::try_from(output.content_length().unwrap_or(0)).unwrap_or(0);
                // Of full size from the start, so that it never moves and leaves a copy behind.
                let mut octets = Zeroizing::new(Vec::with_capacity(len));
                while let Some(some) = output.body.next().await {
                    octets.extend_from_slice(&some.map_err(|error| again(super::request::causes(&error)))?);
                }
                match octets.len() == len {
                    true => Ok(octets),
                    false => Err(again("half an answer".to_owned())),
                }
            })
            .await
            .map_err(|failed| self.error(key, failed))
    }

    /// One page of the objects whose key begins with a prefix, and the token of the next page.
    pub(super) async fn list(
        &self,
        prefix: &str,
        token: Option<String>,
    ) -> Result<(Vec<Listed>, Option<String>), StoreError> {
        let output = self
            .requests
            .persist("list", &self.url(prefix), || async {
                self.client
                    .list_objects_v2()
                    .bucket(&self.name)
                    .prefix(prefix)
                    .set_continuation_token(token.clone())
                    .send()
                    .await
                    .map_err(judge)
            })
            .await
            .map_err(|failed| self.error(prefix, failed))?;
        let listed = output
            .contents()
            .iter()
            .map(|object| Listed {
                name: object.key().unwrap_or_default().to_owned(),
                size: object
                    .size()
                    .and_then(|size| u64::try_from(size).ok())
                    .unwrap_or(0),
            })
            .collect();
        Ok((listed, output.next_continuation_token))
    }

    fn error(&self, key: &str, failed: Failed) -> StoreError {
        match failed {
            Failed::Missing => StoreError::NotFound {
                object: self.url(key),
            },
            Failed::Exists => self.conflict(key),
            Failed::Error(error) => self.explain(error),
        }
    }

    /// Says plainly what a server says in codes.
    fn explain(&self, error: StoreError) -> StoreError {
        match error {
            StoreError::Refused { code, .. } if code == "NoSuchBucket" => StoreError::NoBucket {
                bucket: self.name.clone(),
            },
            error => error,
        }
    }

    fn encryption(&self) -> Option<ServerSideEncryption> {
        let encryption = self.settings.encryption.as_ref()?;
        Some(encryption.algorithm.as_str().into())
    }

    fn kms_key(&self) -> Option<String> {
        self.settings.encryption.as_ref()?.kms_key_id.clone()
    }

    /// A bucket key spares a request to KMS for each object. Only plain SSE-KMS knows it.
    fn bucket_key(&self) -> Option<bool> {
        let encryption = self.settings.encryption.as_ref()?;
        (encryption.algorithm == "aws:kms").then_some(true)
    }

    /// A server that ignores what it does not know would store keys unencrypted.
    fn check_encryption(&self, key: &str, got: Option<&str>) -> Result<(), Failed> {
        match &self.settings.encryption {
            Some(wanted) if got != Some(&wanted.algorithm) => Err(Failed::Error(StoreError::Encryption {
                object: self.url(key),
                wanted: wanted.algorithm.clone(),
                got: got.unwrap_or("none").to_owned(),
            })),
            _ => Ok(()),
        }
    }
}

fn stream(octets: &Bytes) -> ByteStream {
    ByteStream::new(SdkBody::from(octets.clone()))
}
