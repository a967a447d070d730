//! The short way for the one request that a batch makes by the million: PUT of a small object.
//!
//! It is the SDK's own signer and HTTP client without the layers between them, which cost four times as
//! much as both. It is for the good case alone: whatever is not a plain answer is left to the SDK.

use std::time::{Duration, SystemTime};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_http_client::Connector;
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use data_encoding::HEXLOWER;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::sync::Mutex;

use super::answer::judge_answer;
use crate::sdk::causes;
use crate::store::request::Answer;

/// All but the unreserved characters of RFC 3986, 2.3, and the `/` between the parts of a key.
const KEY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// Credentials are asked for anew so long before they expire.
const EARLY: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(super) struct Direct {
    connector: Connector,
    /// What a key is appended to, as the SDK resolves it.
    base: String,
    region: String,
    credentials: SharedCredentialsProvider,
    identity: Mutex<Option<Identity>>,
}

/// How an attempt went.
pub(super) enum Outcome {
    /// The object is stored, with this server-side encryption.
    Stored { encryption: Option<String> },
    /// It is not, for a reason that needs no other opinion.
    Answer(Answer),
    /// The SDK must ask once more: it knows of redirects, clocks that are wrong, and much else.
    AskSdk,
}

impl Direct {
    /// Finds out from the SDK where objects of a bucket go. `None` when they need more than a plain
    /// SigV4 signature.
    pub(super) async fn new(
        client: &Client,
        bucket: &str,
        connector: Connector,
        credentials: SharedCredentialsProvider,
    ) -> Option<Self> {
        const PROBE: &str = "probe";
        let expiry = PresigningConfig::expires_in(Duration::from_mins(1)).ok()?;
        let probe = client.put_object().bucket(bucket).key(PROBE);
        // Nothing is sent: the SDK only says what it would send.
        let probe = probe.presigned(expiry).await.ok()?;
        let (address, query) = probe.uri().split_once('?')?;
        let parameter = |name: &str| {
            let pairs = form_urlencoded::parse(query.as_bytes());
            pairs
                .into_iter()
                .find_map(|(key, value)| (key == name).then(|| value.into_owned()))
        };
        if parameter("X-Amz-Algorithm")? != "AWS4-HMAC-SHA256" || query.contains("X-Amz-S3session-Token") {
            return None;
        }
        // The scope: access key, date, Region, service, aws4_request.
        let region = parameter("X-Amz-Credential")?.rsplit('/').nth(2)?.to_owned();
        Some(Self {
            connector,
            base: address.strip_suffix(PROBE)?.to_owned(),
            region,
            credentials,
            identity: Mutex::new(None),
        })
    }

    /// Makes one attempt to store an object, with these headers besides those of the signature.
    pub(super) async fn put(
        &self,
        key: &str,
        octets: &Bytes,
        sha256: &[u8; 32],
        headers: &[(&'static str, String)],
    ) -> Outcome {
        let Some(request) = self.request(key, octets, sha256, headers).await else {
            return Outcome::AskSdk;
        };
        let answer = match self.connector.call(request).await {
            Ok(answer) => answer,
            Err(error) if error.is_timeout() => return Outcome::Answer(Answer::too_late()),
            Err(error) => return Outcome::Answer(Answer::unheard(causes(&error))),
        };
        let status = answer.status().as_u16();
        let encryption = answer
            .headers()
            .get("x-amz-server-side-encryption")
            .map(str::to_owned);
        // A connection whose answer was not read to its end cannot be used again.
        let body = match ByteStream::new(answer.into_body()).collect().await {
            Ok(body) => body.into_bytes(),
            Err(error) => return Outcome::Answer(Answer::unheard(causes(&error))),
        };
        match status {
            200 => Outcome::Stored { encryption },
            409 | 412 | 429 | 500 | 502..=504 => {
                Outcome::Answer(judge_answer(status, code(&String::from_utf8_lossy(&body)), ""))
            }
            _ => Outcome::AskSdk,
        }
    }

    async fn request(
        &self,
        key: &str,
        octets: &Bytes,
        sha256: &[u8; 32],
        headers: &[(&'static str, String)],
    ) -> Option<HttpRequest> {
        let identity = self.identity().await?;
        let url = format!("{}{}", self.base, utf8_percent_encode(key, KEY));
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("s3")
            .time(SystemTime::now())
            .settings(settings)
            .build()
            .ok()?;
        let signed = headers.iter().map(|(name, value)| (*name, value.as_str()));
        let digest = SignableBody::Precomputed(HEXLOWER.encode(sha256));
        let signable = SignableRequest::new("PUT", url.as_str(), signed, digest).ok()?;
        let (instructions, _) = sign(signable, &parameters.into()).ok()?.into_parts();
        let mut request = HttpRequest::new(SdkBody::from(octets.clone()));
        request.set_method("PUT").ok()?;
        request.set_uri(url).ok()?;
        let into = request.headers_mut();
        for (name, value) in headers {
            into.try_insert(*name, value.clone()).ok()?;
        }
        let (signature, _) = instructions.into_parts();
        for header in signature {
            into.try_insert(header.name(), header.value().to_owned()).ok()?;
        }
        into.try_insert("content-length", octets.len().to_string()).ok()?;
        Some(request)
    }

    /// Credentials that are good for a while yet.
    async fn identity(&self) -> Option<Identity> {
        let mut cached = self.identity.lock().await;
        let is_fresh = |identity: &Identity| {
            identity
                .expiration()
                .is_none_or(|at| at > SystemTime::now() + EARLY)
        };
        if let Some(identity) = cached.as_ref().filter(|identity| is_fresh(identity)) {
            return Some(identity.clone());
        }
        let identity: Identity = self.credentials.provide_credentials().await.ok()?.into();
        *cached = Some(identity.clone());
        Some(identity)
    }
}

/// The word for an error in S3's XML.
fn code(xml: &str) -> &str {
    let inner = xml.split_once("<Code>").map_or("", |(_, rest)| rest);
    inner.split_once("</Code>").map_or("", |(code, _)| code)
}
