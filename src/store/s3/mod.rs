//! A bucket in S3, or on any server that speaks its language, as a store.
//!
//! Uploads are under way while the forge goes on; a ticket stands for those of one chunk. What waits or
//! is under way is bounded by [`ROOM`], so memory does not grow however slow the server is. Only here
//! is anything asynchronous.

mod bucket;
mod client;
mod direct;
mod multipart;
mod remove;
mod request;
mod settings;
mod signing;
mod throttle;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use aws_sdk_s3::config::Credentials;
use bytes::Bytes;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use super::{Attempt, Existing, Listed, Object, Replaced, Store, StoreError, Ticket, Version};
use crate::digest::sha256;
use bucket::{Bucket, Claim};

/// Requests at once, when nothing else is asked for.
pub const DEFAULT_UPLOADS: u16 = 64;

/// How long an attempt may take, when nothing else is asked for: a part of 8 MiB over a slow line.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_mins(1);

/// KiB of the objects that wait or are under way, at most.
const ROOM: u32 = 64 * 1024;

/// What an object costs besides its octets, in KiB: a task and its place in the queue.
const OVERHEAD: usize = 1;

/// How to reach S3, and how to store there. What is left out comes from the AWS SDK's own chain:
/// environment, `~/.aws`, SSO, instance metadata.
#[derive(Debug, Clone)]
pub struct S3Options {
    /// `None`: from the chain. Its `Debug` says that the secret is elided.
    pub credentials: Option<Credentials>,
    /// Of a server that is not AWS's.
    pub endpoint_url: Option<String>,
    pub region: Option<String>,
    /// Attempts at a request, the first one among them.
    pub attempts: Option<u32>,
    /// How long an attempt may take.
    pub attempt_timeout: Duration,
    /// Requests at once, at most.
    pub uploads: u16,
    pub encryption: Option<Encryption>,
    /// Such as `STANDARD_IA`.
    pub storage_class: Option<String>,
    /// Id of the ledger that accounts for the batch, kept with every object.
    pub ledger: Option<String>,
    /// Tags of every object.
    pub tags: Vec<(String, String)>,
}

impl Default for S3Options {
    fn default() -> Self {
        Self {
            credentials: None,
            endpoint_url: None,
            region: None,
            attempts: None,
            attempt_timeout: ATTEMPT_TIMEOUT,
            uploads: DEFAULT_UPLOADS,
            encryption: None,
            storage_class: None,
            ledger: None,
            tags: Vec::new(),
        }
    }
}

/// How S3 shall encrypt objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encryption {
    /// `AES256`, `aws:kms` or `aws:kms:dsse`.
    pub algorithm: String,
    /// Key of AWS KMS, by id, ARN or alias.
    pub kms_key_id: Option<String>,
}

/// One batch in a bucket.
#[derive(Debug)]
pub struct S3Store {
    runtime: Runtime,
    bucket: Arc<Bucket>,
    /// Of the batch; empty, or with `/` at its end.
    prefix: String,
    room: Arc<Semaphore>,
    under_way: Mutex<HashMap<Ticket, Vec<Upload>>>,
    next_ticket: AtomicU64,
}

type Upload = JoinHandle<Result<(), StoreError>>;

impl S3Store {
    /// Opens the batch under a prefix of a bucket. Nothing is asked of the bucket yet.
    ///
    /// # Errors
    ///
    /// When there are no credentials, or no Region.
    pub fn open(bucket: &str, prefix: &str, options: &S3Options) -> Result<Self, StoreError> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(4);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("store-s3")
            .enable_all()
            .build()
            .map_err(|source| StoreError::Io {
                operation: "start threads for",
                object: format!("s3://{bucket}"),
                source,
            })?;
        let connection = runtime.block_on(client::connect(bucket, options))?;
        Ok(Self {
            bucket: Arc::new(Bucket::new(connection, bucket.to_owned(), options)),
            runtime,
            prefix: match prefix {
                "" => String::new(),
                prefix => format!("{prefix}/"),
            },
            room: Arc::new(Semaphore::new(ROOM as usize)),
            under_way: Mutex::default(),
            next_ticket: AtomicU64::new(0),
        })
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Starts an upload once there is room for it.
    fn upload(&self, object: &Object<'_>, claim: Claim) -> Upload {
        let kib = u32::try_from(object.body.len() / 1024 + OVERHEAD).unwrap_or(ROOM);
        let room = self.room.clone().acquire_many_owned(kib.min(ROOM));
        let room = self.runtime.block_on(room).expect("the room is never closed");
        let sha256 = object.sha256.unwrap_or_else(|| sha256(object.body));
        // Bodies hold private keys: they are zeroized when the last of the requests is done with them.
        let body = Bytes::from_owner(Zeroizing::new(object.body.to_vec()));
        let (bucket, key) = (self.bucket.clone(), self.key(&object.name));
        self.runtime.spawn(async move {
            // Made only when the room is there, since it is large.
            let done = Box::pin(bucket.put("put", &key, body, sha256, &claim)).await;
            drop(room);
            match done? {
                true => Ok(()),
                false => Err(bucket.conflict(&key)),
            }
        })
    }

    fn wait(&self, uploads: impl IntoIterator<Item = Upload>) -> Result<(), StoreError> {
        let mut result = Ok(());
        for upload in uploads {
            let done = self.runtime.block_on(upload).expect("an upload does not panic");
            if result.is_ok() {
                result = done;
            }
        }
        result
    }
}

impl Store for S3Store {
    fn location(&self) -> String {
        format!(
            "s3://{}/{}",
            self.bucket.name(),
            self.prefix.trim_end_matches('/')
        )
    }

    fn put(&self, objects: &[Object<'_>], attempt: Attempt<'_>) -> Result<Ticket, StoreError> {
        let claim = Claim::OfAttempt {
            name: attempt.name.to_owned(),
            earlier: attempt.earlier.to_vec(),
        };
        let uploads = objects
            .iter()
            .map(|object| self.upload(object, claim.clone()))
            .collect();
        let number = self.next_ticket.fetch_add(1, Ordering::Relaxed);
        let mut under_way = self.under_way.lock().expect("no holder panics");
        under_way.insert(Ticket(number), uploads);
        Ok(Ticket(number))
    }

    fn create(&self, name: &str, body: &[u8]) -> Result<bool, StoreError> {
        let octets = Bytes::copy_from_slice(body);
        let key = self.key(name);
        self.runtime
            .block_on(self.bucket.put("create", &key, octets, sha256(body), &Claim::New))
    }

    fn flush(&self, tickets: Vec<Ticket>) -> Vec<Result<(), StoreError>> {
        let take = |ticket| {
            let mut under_way = self.under_way.lock().expect("no holder panics");
            under_way.remove(&ticket).unwrap_or_default()
        };
        tickets
            .into_iter()
            .map(|ticket| self.wait(take(ticket)))
            .collect()
    }

    fn publish(&self, objects: &[(String, Vec<u8>)], existing: Existing) -> Vec<Result<(), StoreError>> {
        let claim = match existing {
            Existing::Refuse => Claim::New,
            Existing::Replace => Claim::OfLedger,
        };
        let uploads: Vec<Upload> = objects
            .iter()
            .map(|(name, body)| {
                let object = Object {
                    name: name.clone(),
                    body,
                    sha256: None,
                };
                self.upload(&object, claim.clone())
            })
            .collect();
        uploads.into_iter().map(|upload| self.wait([upload])).collect()
    }

    fn read(&self, name: &str, range: Option<Range<u64>>) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        self.runtime.block_on(self.bucket.get(&self.key(name), range))
    }

    fn read_version(&self, name: &str) -> Result<(Zeroizing<Vec<u8>>, Version), StoreError> {
        let key = self.key(name);
        let (octets, tag) = self.runtime.block_on(self.bucket.get_tagged(&key, None))?;
        Ok((octets, Version(tag)))
    }

    fn replace(
        &self,
        name: &str,
        body: &[u8],
        version: &Version,
        replaced: Replaced,
    ) -> Result<bool, StoreError> {
        // A pack holds private keys: it is zeroized when the last of the requests is done with it.
        let octets = Bytes::from_owner(Zeroizing::new(body.to_vec()));
        let key = self.key(name);
        self.runtime.block_on(async {
            match replaced {
                Replaced::Forgotten => {
                    let settings = &self.bucket.settings;
                    self.bucket.replace(&key, octets, &version.0, settings).await
                }
                Replaced::Shredded => {
                    // Somebody stored it with encryption, tags and all that, and it stays so.
                    let settings = self.bucket.settings_of(&key).await?;
                    let replace = self.bucket.replace(&key, octets, &version.0, &settings);
                    let is_done = replace.await?;
                    if is_done {
                        self.bucket.remove_noncurrent(&key).await?;
                    }
                    Ok(is_done)
                }
            }
        })
    }

    fn remove(&self, name: &str) -> Result<(), StoreError> {
        self.runtime.block_on(self.bucket.remove(&self.key(name)))
    }

    fn remove_all(&self, names: &[String]) -> Vec<Result<(), StoreError>> {
        let removals: Vec<_> = names
            .iter()
            .map(|name| {
                let (bucket, key) = (self.bucket.clone(), self.key(name));
                self.runtime.spawn(async move { bucket.remove(&key).await })
            })
            .collect();
        removals
            .into_iter()
            .map(|removal| self.runtime.block_on(removal).expect("a removal does not panic"))
            .collect()
    }

    fn purge(&self, name: &str) -> Result<(), StoreError> {
        self.runtime
            .block_on(self.bucket.remove_noncurrent(&self.key(name)))
    }

    fn read_all(&self, names: &[String]) -> Vec<Result<Zeroizing<Vec<u8>>, StoreError>> {
        let reads: Vec<_> = names
            .iter()
            .map(|name| {
                let (bucket, key) = (self.bucket.clone(), self.key(name));
                self.runtime.spawn(async move { bucket.get(&key, None).await })
            })
            .collect();
        reads
            .into_iter()
            .map(|read| self.runtime.block_on(read).expect("a read does not panic"))
            .collect()
    }

    fn list(&self, prefix: &str, visit: &mut dyn FnMut(Listed)) -> Result<(), StoreError> {
        let prefix = self.key(prefix);
        let mut token = None;
        loop {
            let (page, next) = self.runtime.block_on(self.bucket.list(&prefix, token))?;
            for listed in page {
                if let Some(name) = listed.name.strip_prefix(&self.prefix) {
                    let name = name.to_owned();
                    visit(Listed { name, ..listed });
                }
            }
            match next {
                Some(next) => token = Some(next),
                None => return Ok(()),
            }
        }
    }
}
