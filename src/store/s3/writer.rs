//! Who wrote an object.

use super::answer::judge_head;
use super::bucket::Bucket;
use super::settings::Settings;
use crate::store::StoreError;
use crate::store::request::Failed;

impl Bucket {
    /// The attempt that stored an object, if that is told and it is there.
    pub(super) async fn writer(&self, key: &str) -> Result<Option<String>, StoreError> {
        let head = self
            .requests
            .persist("look at", &self.url(key), || async {
                let head = self.client.head_object().bucket(&self.name).key(key);
                head.send().await.map_err(judge_head)
            })
            .await;
        match head {
            Ok(head) => Ok(Settings::writer(head.metadata())),
            Err(Failed::Missing) => Ok(None),
            Err(failed) => Err(self.error(key, failed)),
        }
    }
}
