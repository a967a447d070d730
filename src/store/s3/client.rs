//! The client: Region, credentials, endpoint and retries from the AWS SDK's own chain.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{
    ProvideCredentials, RequestChecksumCalculation, ResponseChecksumValidation, StalledStreamProtectionConfig,
};
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::{self, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::HttpConnectorSettings;

use super::S3Options;
use super::direct::Direct;
use crate::store::StoreError;

/// Attempts at a request, the first one among them, when nothing else is set.
const ATTEMPTS: u32 = 10;

/// An attempt that takes longer has failed. A pack of 16 MiB needs 280 kB/s to be in time.
pub(super) const ATTEMPT_TIMEOUT: Duration = Duration::from_mins(1);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A bucket, as it is reached.
pub(super) struct Connection {
    pub client: Client,
    /// The short way for PUTs, where there is one.
    pub direct: Option<Direct>,
    /// Attempts at a request.
    pub attempts: u32,
}

/// Makes a connection. Retries are ours, because a conditional write that is retried needs a look at
/// what is there.
pub(super) async fn connect(bucket: &str, options: &S3Options) -> Result<Connection, StoreError> {
    let config = load(options).await?;
    let credentials = config.credentials_provider().ok_or_else(no_credentials)?;
    if let Err(error) = credentials.provide_credentials().await {
        return Err(no_credentials_because(&error));
    }
    let mut builder = aws_sdk_s3::config::Builder::from(&config)
        .retry_config(RetryConfig::disabled())
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .operation_attempt_timeout(ATTEMPT_TIMEOUT)
                .build(),
        )
        // The attempt's own limit suffices, and costs less.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        // Every upload has a SHA-256 of its own, and every download is held against the index.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    // Few servers other than AWS's have a host name for each bucket.
    let has_endpoint = options.endpoint_url.is_some() || config.endpoint_url().is_some();
    if has_endpoint {
        builder = builder.force_path_style(true);
    }
    match config.region() {
        Some(_) => {}
        None if has_endpoint => builder = builder.region(Region::from_static("us-east-1")),
        None => {
            return Err(StoreError::NoAccount {
                message: "no AWS Region is set".to_owned(),
            });
        }
    }
    // Three is what the SDK says when nobody has said anything.
    let attempts = match config.retry_config().map(RetryConfig::max_attempts) {
        None | Some(3) => ATTEMPTS,
        Some(attempts) => attempts,
    };
    let client = Client::from_conf(builder.build());
    let direct = Direct::new(&client, bucket, connector(options)?, credentials).await;
    Ok(Connection {
        client,
        direct,
        attempts,
    })
}

/// The HTTP client of the short way.
fn connector(options: &S3Options) -> Result<Connector, StoreError> {
    let settings = HttpConnectorSettings::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .build();
    Ok(Connector::builder()
        .connector_settings(settings)
        .pool_max_idle_per_host(options.uploads.into())
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc))
        .tls_context(tls_context()?)
        .build())
}

async fn load(options: &S3Options) -> Result<SdkConfig, StoreError> {
    let http = aws_smithy_http_client::Builder::new()
        .pool_max_idle_per_host(options.uploads.into())
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc))
        .tls_context(tls_context()?)
        .build_https();
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http);
    if let Some(region) = &options.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(url) = &options.endpoint_url {
        loader = loader.endpoint_url(url);
    }
    if let Some(credentials) = &options.credentials {
        loader = loader.credentials_provider(credentials.clone());
    }
    Ok(loader.load().await)
}

/// As with the AWS CLI, `AWS_CA_BUNDLE` names the only certificates that are trusted.
fn tls_context() -> Result<TlsContext, StoreError> {
    let mut builder = TlsContext::builder();
    if let Some(path) = std::env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty()) {
        let pem = std::fs::read(&path).map_err(|source| StoreError::Io {
            operation: "read AWS_CA_BUNDLE",
            object: path.to_string_lossy().into_owned(),
            source,
        })?;
        builder = builder.with_trust_store(TrustStore::empty().with_pem_certificate(pem));
    }
    builder.build().map_err(|error| StoreError::NoAccount {
        message: format!("no TLS: {error}"),
    })
}

fn no_credentials() -> StoreError {
    StoreError::NoAccount {
        message: "no AWS credentials are set".to_owned(),
    }
}

fn no_credentials_because(error: &dyn std::error::Error) -> StoreError {
    StoreError::NoAccount {
        message: format!("there are no AWS credentials: {}", super::request::causes(error)),
    }
}
