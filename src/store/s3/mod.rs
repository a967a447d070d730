//! A bucket in S3, or on any server that speaks its language, as a store.
//!
//! Uploads are under way while the forge goes on. What waits or is under way is bounded by [`ROOM`], so memory
//! does not grow however slow the server is. Only what speaks to a network is asynchronous.

mod answer;
mod bucket;
mod client;
mod direct;
mod multipart;
mod remove;
mod settings;
mod signing;
mod writer;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use super::{Got, How, Listed, Lot, Object, Putting, StoreError, StoreOptions, Transport};
use crate::digest::sha256_many;
use bucket::Bucket;

/// KiB of the objects that wait or are under way, at most.
const ROOM: u32 = 64 * 1024;

/// What an object costs besides its octets, in KiB: a task and its place in the queue.
const OVERHEAD: usize = 1;

/// One batch in a bucket.
#[derive(Debug)]
pub(super) struct S3 {
    runtime: Arc<Runtime>,
    bucket: Arc<Bucket>,
    /// Of the batch; empty, or with `/` at its end.
    prefix: String,
    room: Arc<Semaphore>,
}

impl S3 {
    /// Opens the batch under a prefix of a bucket. Nothing is asked of the bucket yet.
    ///
    /// # Errors
    ///
    /// When there are no credentials, or no Region.
    pub(super) fn open(bucket: &str, prefix: &str, options: &StoreOptions) -> Result<Self, StoreError> {
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
            runtime: Arc::new(runtime),
            prefix: match prefix {
                "" => String::new(),
                prefix => format!("{prefix}/"),
            },
            room: Arc::new(Semaphore::new(ROOM as usize)),
        })
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Starts an upload once there is room for it.
    fn upload(
        &self,
        object: &Object<'_>,
        sha256: [u8; 32],
        how: &How<'_>,
        attempt: Option<&Arc<str>>,
    ) -> Putting {
        let kib = u32::try_from(object.body.len() / 1024 + OVERHEAD).unwrap_or(ROOM);
        let room = self.room.clone().acquire_many_owned(kib.min(ROOM));
        let room = self.runtime.block_on(room).expect("the room is never closed");
        // Bodies hold private keys: they are zeroized when the last of the requests is done with them.
        let body = Bytes::from_owner(Zeroizing::new(object.body.to_vec()));
        let (bucket, key) = (self.bucket.clone(), self.key(&object.name));
        let (operation, manner, when) = (how.operation, how.manner, how.when.clone());
        let attempt = attempt.cloned();
        let upload = self.runtime.spawn(async move {
            let how = How {
                operation,
                manner,
                when,
                attempt: attempt.as_deref(),
            };
            // Made only when the room is there, since it is large.
            let done = Box::pin(bucket.put(&key, body, sha256, &how)).await;
            drop(room);
            done
        });
        let runtime = self.runtime.clone();
        Putting::UnderWay(Box::new(move || {
            runtime.block_on(upload).expect("an upload does not panic")
        }))
    }

    /// Waits for all of what runs at once.
    fn all<T>(&self, tasks: Vec<JoinHandle<T>>) -> Vec<T> {
        tasks
            .into_iter()
            .map(|task| self.runtime.block_on(task).expect("a task does not panic"))
            .collect()
    }
}

/// The digests of objects, those of a chunk side by side where nobody knows them yet.
fn digests(objects: &[Object<'_>]) -> Vec<[u8; 32]> {
    let unknown = objects.iter().filter(|object| object.sha256.is_none());
    let bodies: Vec<&[u8]> = unknown.map(|object| object.body).collect();
    let mut made = vec![[0; 32]; bodies.len()];
    sha256_many(&bodies, &mut made);
    let mut made = made.into_iter();
    let known = objects.iter().map(|object| object.sha256);
    known
        .map(|known| known.unwrap_or_else(|| made.next().expect("each unknown one was made")))
        .collect()
}

/// Empty pages of a listing that are asked for one after the other: S3 may have some where much was removed.
const EMPTY_PAGES: u32 = 1000;

impl Transport for S3 {
    fn locate(&self, name: &str) -> String {
        let url = self.bucket.url(&self.key(name));
        match name {
            "" => url.trim_end_matches('/').to_owned(),
            _ => url,
        }
    }

    fn tells_writers(&self) -> bool {
        true
    }

    fn get(&self, names: &[&str], range: Option<Range<u64>>) -> Vec<Result<Got, StoreError>> {
        if let [name] = names {
            return vec![self.runtime.block_on(self.bucket.get(&self.key(name), range))];
        }
        let get = |name: &&str| {
            let (bucket, key, range) = (self.bucket.clone(), self.key(name), range.clone());
            self.runtime.spawn(async move { bucket.get(&key, range).await })
        };
        self.all(names.iter().map(get).collect())
    }

    fn put(&self, objects: &[Object<'_>], how: &How<'_>) -> Vec<Putting> {
        let attempt = how.attempt.map(Arc::from);
        let sums = objects.iter().zip(digests(objects));
        sums.map(|(object, sha256)| self.upload(object, sha256, how, attempt.as_ref()))
            .collect()
    }

    /// What is stored in S3 is durable.
    fn sync(&self, lots: &[Lot]) -> Vec<Result<(), StoreError>> {
        lots.iter().map(|_| Ok(())).collect()
    }

    fn delete(&self, names: &[String]) -> Vec<Result<(), StoreError>> {
        let delete = |name: &String| {
            let (bucket, key) = (self.bucket.clone(), self.key(name));
            self.runtime.spawn(async move { bucket.remove(&key).await })
        };
        self.all(names.iter().map(delete).collect())
    }

    fn purge(&self, name: &str) -> Result<(), StoreError> {
        self.runtime
            .block_on(self.bucket.remove_noncurrent(&self.key(name)))
    }

    fn writers(&self, names: &[String]) -> Vec<Result<Option<String>, StoreError>> {
        let ask = |name: &String| {
            let (bucket, key) = (self.bucket.clone(), self.key(name));
            self.runtime.spawn(async move { bucket.writer(&key).await })
        };
        self.all(names.iter().map(ask).collect())
    }

    fn list(&self, prefix: &str, visit: &mut dyn FnMut(Listed)) -> Result<(), StoreError> {
        let prefix = self.key(prefix);
        let (mut token, mut empty) = (None, 0);
        loop {
            let (page, next) = self.runtime.block_on(self.bucket.list(&prefix, token.clone()))?;
            empty = if page.is_empty() { empty + 1 } else { 0 };
            if next.is_some() && (next == token || empty > EMPTY_PAGES) {
                return Err(self.bucket.endless(&prefix));
            }
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

    fn around(&self) -> Option<Box<dyn Transport>> {
        let above = self.prefix.strip_suffix('/')?.rsplit_once('/');
        Some(Box::new(Self {
            runtime: self.runtime.clone(),
            bucket: self.bucket.clone(),
            prefix: above.map_or_else(String::new, |(above, _)| format!("{above}/")),
            room: self.room.clone(),
        }))
    }

    fn folders(&self) -> Result<Vec<String>, StoreError> {
        let (mut token, mut empty, mut names) = (None, 0, Vec::new());
        loop {
            let page = self.bucket.prefixes(&self.prefix, token.clone());
            let (page, next) = self.runtime.block_on(page)?;
            empty = if page.is_empty() { empty + 1 } else { 0 };
            if next.is_some() && (next == token || empty > EMPTY_PAGES) {
                return Err(self.bucket.endless(&self.prefix));
            }
            let name = |whole: &String| {
                let name = whole.strip_prefix(&self.prefix)?.strip_suffix('/')?;
                (!name.is_empty()).then(|| name.to_owned())
            };
            names.extend(page.iter().filter_map(name));
            if next.is_none() {
                names.sort_unstable();
                return Ok(names);
            }
            token = next;
        }
    }
}
