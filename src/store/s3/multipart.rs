//! Large objects, in parts: each part is a request of its own, and the object is there when the last says so.

use std::sync::Arc;

use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart, ServerSideEncryption};
use bytes::Bytes;
use data_encoding::BASE64;
use tokio::task::JoinSet;

use super::answer::judge;
use super::bucket::{Body, Bucket, PART, stream};
use super::settings::{Settings, conditions};
use super::signing::SignedDigest;
use crate::store::request::Failed;
use crate::store::{How, When};

impl Bucket {
    pub(super) async fn put_in_parts(
        self: &Arc<Self>,
        key: &str,
        body: &Body,
        how: &How<'_>,
        settings: &Settings,
    ) -> Result<(), Failed> {
        let operation = how.operation;
        let created = self
            .requests
            .persist(operation, &self.url(key), || async {
                self.client
                    .create_multipart_upload()
                    .bucket(&self.name)
                    .key(key)
                    .checksum_algorithm(ChecksumAlgorithm::Sha256)
                    .set_storage_class(settings.storage_class.clone())
                    .set_tagging(settings.tagging.clone())
                    .set_metadata(Some(settings.metadata(how.attempt)))
                    .set_server_side_encryption(settings.algorithm())
                    .set_ssekms_key_id(settings.kms_key())
                    .set_bucket_key_enabled(settings.bucket_key())
                    .send()
                    .await
                    .map_err(judge)
            })
            .await?;
        let upload = created.upload_id().unwrap_or_default();
        let encryption = created.server_side_encryption().map(ServerSideEncryption::as_str);
        let done = async {
            settings.check_encryption(&self.url(key), encryption)?;
            let parts = self.put_parts(operation, key, upload, body).await?;
            self.complete(operation, key, upload, parts, &how.when).await
        };
        let result = done.await;
        if result.is_err() {
            // Parts of an upload that is not completed cost money until they are removed.
            let abort = self.client.abort_multipart_upload();
            let _ = abort.bucket(&self.name).key(key).upload_id(upload).send().await;
        }
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
        when: &When,
    ) -> Result<(), Failed> {
        let (if_none_match, if_match) = conditions(when);
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
}
