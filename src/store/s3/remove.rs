//! Removal: an object is gone when no version of it is left.

use aws_sdk_s3::operation::list_object_versions::ListObjectVersionsOutput;

use super::answer::judge;
use super::bucket::Bucket;
use crate::store::StoreError;
use crate::store::request::{Answer, Failed};

/// Rounds of listing and deleting. One finds everything, unless others write there too.
const ROUNDS: u32 = 5;

/// A version of an object, or the mark of a removal.
struct KeptVersion {
    id: String,
    is_current: bool,
}

impl Bucket {
    /// Removes an object, every version of it and every mark of an earlier removal. Where a server keeps
    /// no versions, there is but one.
    pub(super) async fn remove(&self, key: &str) -> Result<(), StoreError> {
        for _ in 0..ROUNDS {
            let Some(versions) = self.versions(key).await? else {
                return self.delete(key, None).await;
            };
            if versions.is_empty() {
                return Ok(());
            }
            for version in versions {
                self.delete(key, Some(version.id)).await?;
            }
        }
        Err(self.conflict(key))
    }

    /// Removes every version of an object but the one that is there now.
    pub(super) async fn remove_noncurrent(&self, key: &str) -> Result<(), StoreError> {
        let versions = self.versions(key).await?.unwrap_or_default();
        for version in versions.into_iter().filter(|version| !version.is_current) {
            self.delete(key, Some(version.id)).await?;
        }
        Ok(())
    }

    /// An object's versions; `None` from a server that knows no versions.
    async fn versions(&self, key: &str) -> Result<Option<Vec<KeptVersion>>, StoreError> {
        let mut versions = Vec::new();
        let (mut key_marker, mut version_marker) = (None, None);
        loop {
            let listed = self
                .requests
                .persist("list versions of", &self.url(key), || async {
                    let request = self.client.list_object_versions().bucket(&self.name).prefix(key);
                    let request = request.set_key_marker(key_marker.clone());
                    match request
                        .set_version_id_marker(version_marker.clone())
                        .send()
                        .await
                        .map_err(judge)
                    {
                        Err(Answer::Refused { status: 501, .. }) => Ok(None),
                        other => other.map(Some),
                    }
                })
                .await
                .map_err(|failed| self.error(key, failed))?;
            let Some(page) = listed else { return Ok(None) };
            // Keys that only begin with this one come behind it.
            versions.extend(of_key(&page, key));
            if page.is_truncated() != Some(true) || page.next_key_marker() != Some(key) {
                return Ok(Some(versions));
            }
            if (&key_marker, &version_marker) == (&page.next_key_marker, &page.next_version_id_marker) {
                return Err(self.endless(key));
            }
            key_marker = page.next_key_marker;
            version_marker = page.next_version_id_marker;
        }
    }

    async fn delete(&self, key: &str, version: Option<String>) -> Result<(), StoreError> {
        let deleted = self
            .requests
            .persist("remove", &self.url(key), || async {
                let request = self.client.delete_object().bucket(&self.name).key(key);
                let request = request.set_version_id(version.clone());
                request.send().await.map_err(judge)
            })
            .await;
        match deleted {
            Ok(_) | Err(Failed::Missing) => Ok(()),
            Err(failed) => Err(self.error(key, failed)),
        }
    }
}

fn of_key(page: &ListObjectVersionsOutput, key: &str) -> Vec<KeptVersion> {
    let versions = page.versions().iter();
    let versions = versions.map(|it| (it.key(), it.version_id(), it.is_latest()));
    let marks = page.delete_markers().iter();
    let marks = marks.map(|it| (it.key(), it.version_id(), it.is_latest()));
    let own = versions.chain(marks).filter(|(of, ..)| *of == Some(key));
    own.filter_map(|(_, id, is_latest)| {
        Some(KeptVersion {
            id: id?.to_owned(),
            is_current: is_latest == Some(true),
        })
    })
    .collect()
}
