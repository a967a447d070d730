//! The bucket: what is asked of S3, one object at a time, each request until it is answered.
//!
//! A write says `If-None-Match: *`, or `If-Match` with the tag of the version that it replaces. One that is
//! refused looks at what is in its way.

use std::ops::Range;
use std::sync::Arc;

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_sdk_s3::types::{ChecksumMode, ServerSideEncryption};
use bytes::Bytes;
use data_encoding::BASE64;
use zeroize::Zeroizing;

use super::answer::{NO_CREDENTIALS, judge, judge_head};
use super::client::Connection;
use super::direct::{Direct, Outcome as Sent};
use super::settings::{Settings, conditions};
use super::signing::SignedDigest;
use crate::digest::{sha256, sha256_many};
use crate::sdk::{Source, causes, hint_for, is_denied};
use crate::store::request::{Answer, Failed, Requests};
use crate::store::{Found, Got, How, Listed, Outcome, Replaced, StoreError, StoreOptions, Version, When};

/// A larger object is uploaded in parts.
const LARGEST_PUT: usize = 16 << 20;

/// Octets of a part. S3 asks for at least 5 MiB.
pub(super) const PART: usize = 8 << 20;

/// A bucket, as far as one user of it is concerned.
#[derive(Debug)]
pub(super) struct Bucket {
    pub client: Client,
    direct: Option<Direct>,
    pub name: String,
    pub requests: Requests,
    pub settings: Settings,
    /// Where the credentials come from.
    source: Source,
}

/// A body with its checksum as S3 keeps it.
pub(super) struct Body {
    pub octets: Bytes,
    sha256: [u8; 32],
    /// With more than one part: of each part.
    pub parts: Vec<[u8; 32]>,
}

impl Body {
    fn new(octets: Bytes, sha256: [u8; 32]) -> Self {
        let chunks = octets.chunks(PART);
        let parts: Vec<&[u8]> = match octets.len() {
            0..=LARGEST_PUT => Vec::new(),
            _ => chunks.collect(),
        };
        let mut digests = vec![[0; 32]; parts.len()];
        sha256_many(&parts, &mut digests);
        Self {
            parts: digests,
            octets,
            sha256,
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
    pub(super) fn new(connection: Connection, name: String, options: &StoreOptions) -> Self {
        Self {
            client: connection.client,
            direct: connection.direct,
            name,
            requests: Requests::new(
                options.uploads,
                connection.attempts,
                options.attempt_timeout,
                connection.server,
            ),
            settings: Settings::new(options),
            source: connection.source,
        }
    }

    /// Another object is in the way of this one.
    pub(super) fn conflict(&self, key: &str) -> StoreError {
        StoreError::Conflict {
            object: self.url(key),
        }
    }

    /// An object as a person finds it.
    pub(super) fn url(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.name)
    }

    /// Stores an object whose SHA-256 is known, if the condition holds.
    pub(super) async fn put(
        self: &Arc<Self>,
        key: &str,
        octets: Bytes,
        sha256: [u8; 32],
        how: &How<'_>,
    ) -> Result<Outcome, StoreError> {
        let body = Body::new(octets, sha256);
        let of_object;
        let settings = match how.when {
            // Somebody stored it with encryption, tags and all that, and it stays so.
            When::Is(_, Replaced::Shredded) => {
                of_object = self.settings_of(key).await?;
                &of_object
            }
            _ => &self.settings,
        };
        let is_large = !body.parts.is_empty();
        // Many octets are not sent only to learn that they are there.
        if is_large && how.when == When::Absent {
            let found = self.look(key, &body, how).await?;
            if found.is_some() {
                return Ok(refused(found, body));
            }
        }
        let sent = match is_large {
            false => self.put_once(key, &body, how, settings).await,
            true => self.put_in_parts(key, &body, how, settings).await,
        };
        match sent {
            Ok(()) => Ok(Outcome::Stored),
            Err(Failed::Error(error)) => Err(self.explain(error)),
            Err(Failed::Exists | Failed::Missing) => {
                let found = self.look(key, &body, how).await?;
                Ok(refused(found, body))
            }
        }
    }

    async fn put_once(
        &self,
        key: &str,
        body: &Body,
        how: &How<'_>,
        settings: &Settings,
    ) -> Result<(), Failed> {
        let checksum = body.checksum();
        let headers = settings.headers(&checksum, &how.when, how.attempt);
        let (if_none_match, if_match) = conditions(&how.when);
        let encryption = self
            .requests
            .persist(how.operation, &self.url(key), || async {
                if let Some(direct) = &self.direct {
                    match direct.put(key, &body.octets, &body.sha256, &headers).await {
                        Sent::Stored { encryption } => return Ok(encryption),
                        Sent::Answer(answer) => return Err(answer),
                        Sent::AskSdk => {}
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
                    .set_storage_class(settings.storage_class.clone())
                    .set_tagging(settings.tagging.clone())
                    .set_metadata(Some(settings.metadata(how.attempt)))
                    .set_server_side_encryption(settings.algorithm())
                    .set_ssekms_key_id(settings.kms_key())
                    .set_bucket_key_enabled(settings.bucket_key())
                    .customize()
                    .interceptor(SignedDigest::of(&body.sha256))
                    .send()
                    .await
                    .map_err(judge)?;
                Ok(output.server_side_encryption().map(|got| got.as_str().to_owned()))
            })
            .await?;
        settings.check_encryption(&self.url(key), encryption.as_deref())
    }

    /// The settings that an object was stored with.
    pub(super) async fn settings_of(&self, key: &str) -> Result<Settings, StoreError> {
        let head = self
            .requests
            .persist("look at", &self.url(key), || async {
                let head = self.client.head_object().bucket(&self.name).key(key);
                head.send().await.map_err(judge_head)
            })
            .await
            .map_err(|failed| self.error(key, failed))?;
        let tags = self
            .requests
            .persist("read the tags of", &self.url(key), || async {
                let get = self.client.get_object_tagging().bucket(&self.name).key(key);
                match get.send().await.map_err(judge) {
                    // A server that knows no tags has none.
                    Err(Answer::Refused { status: 501, .. }) => Ok(Vec::new()),
                    other => Ok(other?.tag_set),
                }
            })
            .await
            .map_err(|failed| self.error(key, failed))?;
        Ok(Settings::of(&head, &tags))
    }

    /// What is stored under a key, and whether it is the same as a body. Servers that keep no checksum
    /// are asked for the octets.
    async fn look(&self, key: &str, body: &Body, how: &How<'_>) -> Result<Option<Found>, StoreError> {
        let head = self
            .requests
            .persist(how.operation, &self.url(key), || async {
                self.client
                    .head_object()
                    .bucket(&self.name)
                    .key(key)
                    .checksum_mode(ChecksumMode::Enabled)
                    .send()
                    .await
                    .map_err(judge_head)
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
            None => match self.get(key, Some(0..body.octets.len() as u64)).await {
                Ok(got) => sha256(&got.octets) == body.sha256,
                Err(StoreError::NotFound { .. }) => return Ok(None),
                Err(error) => return Err(error),
            },
        };
        let encryption = head.server_side_encryption().map(ServerSideEncryption::as_str);
        self.settings
            .check_some_encryption(&self.url(key), encryption)
            .map_err(|failed| self.error(key, failed))?;
        Ok(Some(Found {
            attempt: Settings::writer(head.metadata()),
            version: Version(head.e_tag.unwrap_or_default()),
            is_same,
        }))
    }

    /// The octets of an object, or of a range of it, and its entity tag.
    pub(super) async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Got, StoreError> {
        let most = range
            .as_ref()
            .map_or(u64::MAX, |range| range.end.saturating_sub(range.start));
        // What a server says of the length is no more believed than that it sends no more.
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let range = match range {
            Some(range) if range.is_empty() => return Ok(nothing()),
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
                    Err(Answer::Refused { status: 416, .. }) => return Ok(nothing()),
                    other => other?,
                };
                let version = Some(Version(output.e_tag.take().unwrap_or_default()));
                let len = usize::try_from(output.content_length().unwrap_or(0))
                    .unwrap_or(0)
                    .min(most);
                // Of full size from the start, so that it never moves and leaves a copy behind.
                let mut octets = Zeroizing::new(Vec::new());
                octets
                    .try_reserve_exact(len)
                    .map_err(|error| Answer::unheard(error.to_string()))?;
                while octets.len() < len
                    && let Some(some) = output.body.next().await
                {
                    let some = some.map_err(|error| Answer::unheard(causes(&error)))?;
                    let room = len - octets.len();
                    octets.extend_from_slice(&some[..some.len().min(room)]);
                }
                match octets.len() == len {
                    true => Ok(Got { octets, version }),
                    false => Err(Answer::unheard("half an answer".to_owned())),
                }
            })
            .await
            .map_err(|failed| self.error(key, failed))
    }

    /// That a server lists without end.
    pub(super) fn endless(&self, key: &str) -> StoreError {
        StoreError::Settings {
            message: format!(
                "the server lists {} without end: a page that it has listed before, or empty ones",
                self.url(key)
            ),
            hint: "see what answers in place of the bucket, with --endpoint-url, or use another server"
                .to_owned(),
        }
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
                stamp: object.e_tag().unwrap_or_default().to_owned(),
            })
            .collect();
        Ok((listed, output.next_continuation_token))
    }

    /// The prefixes directly below one, whole, each with `/` at its end: a page of them, and where the next begins.
    pub(super) async fn prefixes(
        &self,
        prefix: &str,
        token: Option<String>,
    ) -> Result<(Vec<String>, Option<String>), StoreError> {
        let output = self
            .requests
            .persist("list", &self.url(prefix), || async {
                self.client
                    .list_objects_v2()
                    .bucket(&self.name)
                    .prefix(prefix)
                    .delimiter("/")
                    .set_continuation_token(token.clone())
                    .send()
                    .await
                    .map_err(judge)
            })
            .await
            .map_err(|failed| self.error(prefix, failed))?;
        let found = output.common_prefixes().iter();
        let found = found
            .filter_map(|prefix| prefix.prefix().map(str::to_owned))
            .collect();
        Ok((found, output.next_continuation_token))
    }

    pub(super) fn error(&self, key: &str, failed: Failed) -> StoreError {
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
            StoreError::Refused { code, message, .. } if code == NO_CREDENTIALS => StoreError::Settings {
                message: format!("there are no AWS credentials {}: {message}", self.source.label()),
                hint: self.source.renewal(),
            },
            StoreError::Refused {
                operation,
                object,
                status,
                code,
                message,
                ..
            } => {
                let is_told = !is_denied(&code) || message.contains("authorized to perform");
                let hint = hint_for(&code, &message, operation, &self.source).filter(|_| is_told);
                StoreError::Refused {
                    operation,
                    object,
                    status,
                    code,
                    message,
                    hint: hint.map(String::into_boxed_str),
                }
            }
            error => error,
        }
    }
}

fn nothing() -> Got {
    Got {
        octets: Zeroizing::default(),
        version: None,
    }
}

fn refused(found: Option<Found>, body: Body) -> Outcome {
    let body = Some(crate::store::Body(Box::new(body.octets)));
    Outcome::Refused { found, body }
}

pub(super) fn stream(octets: &Bytes) -> ByteStream {
    ByteStream::new(SdkBody::from(octets.clone()))
}
