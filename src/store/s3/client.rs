//! The client: Region, credentials, endpoint and retries from the AWS SDK's own chain.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_runtime::env_config::file::EnvConfigFiles;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{
    ProvideCredentials, RequestChecksumCalculation, ResponseChecksumValidation, StalledStreamProtectionConfig,
};
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{self, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::HttpConnectorSettings;
use aws_types::os_shim_internal::{Env, Fs};
use aws_types::service_config::ServiceConfigKey;
use rustls_pki_types::CertificateDer;

use super::S3Options;
use super::direct::Direct;
use super::request::causes;
use crate::pem;
use crate::store::StoreError;

/// Attempts at a request, the first one among them, when nothing else is set.
const ATTEMPTS: u32 = 10;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A bucket, as it is reached.
pub(super) struct Connection {
    pub client: Client,
    /// The short way for PUTs, where there is one.
    pub direct: Option<Direct>,
    /// Attempts at a request.
    pub attempts: u32,
    /// The server, as a person knows it.
    pub server: String,
}

/// Makes a connection. Retries are ours, because a conditional write that is retried needs a look at
/// what is there.
pub(super) async fn connect(bucket: &str, options: &S3Options) -> Result<Connection, StoreError> {
    let trust = trust_store()?;
    let attempts = match options.attempts {
        Some(attempts) => attempts,
        None => attempts().await?,
    };
    let config = load(options, &trust).await;
    let credentials = config
        .credentials_provider()
        .ok_or_else(|| account("no AWS credentials are set".to_owned()))?;
    if let Err(error) = credentials.provide_credentials().await {
        let profile = match std::env::var("AWS_PROFILE") {
            Ok(profile) => format!(" for AWS_PROFILE {profile}"),
            Err(_) => String::new(),
        };
        let causes = causes(&error);
        return Err(account(format!(
            "there are no AWS credentials{profile}: {causes}"
        )));
    }
    let mut builder = aws_sdk_s3::config::Builder::from(&config)
        .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).build())
        // Every attempt has a limit of its own, which costs less.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        // Every upload has a SHA-256 of its own, and every download is held against the index.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .retry_config(RetryConfig::disabled());
    // Few servers other than AWS's have a host name for each bucket.
    let endpoint = endpoint(&config);
    if endpoint.is_some() {
        builder = builder.force_path_style(true);
    }
    let server = match (endpoint, config.region()) {
        (Some(url), Some(_)) => url,
        (Some(url), None) => {
            builder = builder.region(Region::from_static("us-east-1"));
            url
        }
        (None, Some(region)) => format!("AWS, {region}"),
        (None, None) => {
            return Err(StoreError::Settings {
                message: "no AWS Region is set".to_owned(),
                hint: "name it with --region, or set AWS_REGION or AWS_PROFILE, as for the AWS CLI",
            });
        }
    };
    let client = Client::from_conf(builder.build());
    let connector = connector(options.uploads, CONNECT_TIMEOUT, &trust);
    let direct = Direct::new(&client, bucket, connector, credentials).await;
    Ok(Connection {
        client,
        direct,
        attempts,
        server,
    })
}

async fn load(options: &S3Options, trust: &TlsContext) -> SdkConfig {
    let (uploads, trust) = (options.uploads, trust.clone());
    let http = aws_smithy_http_client::Builder::new().build_with_connector_fn(move |settings, _| {
        let connect_timeout = settings.and_then(HttpConnectorSettings::connect_timeout);
        connector(uploads, connect_timeout.unwrap_or(CONNECT_TIMEOUT), &trust)
    });
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        // What the chain would say is read by `attempts`, which has a message for nonsense.
        .retry_config(RetryConfig::standard());
    if let Some(region) = &options.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(url) = &options.endpoint_url {
        loader = loader.endpoint_url(url);
    }
    if let Some(credentials) = &options.credentials {
        loader = loader.credentials_provider(credentials.clone());
    }
    loader.load().await
}

/// HTTP and TLS, through the proxy that the environment names, if it names one.
fn connector(uploads: u16, connect_timeout: Duration, trust: &TlsContext) -> Connector {
    let settings = HttpConnectorSettings::builder()
        .connect_timeout(connect_timeout)
        .build();
    Connector::builder()
        .connector_settings(settings)
        .pool_max_idle_per_host(uploads.into())
        .proxy_config(ProxyConfig::from_env())
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc))
        .tls_context(trust.clone())
        .build()
}

/// The server that the user named: by option, by environment or in a profile, for S3 or for all services.
fn endpoint(config: &SdkConfig) -> Option<String> {
    // An option goes before all that is set elsewhere.
    if config.get_origin("endpoint_url").is_client_config() {
        return config.endpoint_url().map(str::to_owned);
    }
    let key = ServiceConfigKey::builder()
        .service_id("S3")
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build();
    let of_service = key.ok().and_then(|key| config.service_config()?.load_config(key));
    of_service.or_else(|| config.endpoint_url().map(str::to_owned))
}

/// Attempts at a request: `AWS_MAX_ATTEMPTS`, or `max_attempts` of the profile.
async fn attempts() -> Result<u32, StoreError> {
    let (fs, env) = (Fs::real(), Env::real());
    let said = match env.get("AWS_MAX_ATTEMPTS") {
        Ok(said) => Some(said),
        // A profile that cannot be read is told of by those who need it.
        Err(_) => aws_config::profile::load(&fs, &env, &EnvConfigFiles::default(), None)
            .await
            .ok()
            .and_then(|profile| profile.get("max_attempts").map(str::to_owned)),
    };
    let Some(said) = said else {
        return Ok(ATTEMPTS);
    };
    match said.trim().parse() {
        Ok(attempts @ 1..) => Ok(attempts),
        _ => Err(StoreError::Settings {
            message: format!("AWS_MAX_ATTEMPTS or max_attempts is {said:?}, which is no number of attempts"),
            hint: "set it to 1 or more, or not at all",
        }),
    }
}

/// As with the AWS CLI, `AWS_CA_BUNDLE` names the only certificates that are trusted.
fn trust_store() -> Result<TlsContext, StoreError> {
    let mut builder = TlsContext::builder();
    if let Some(path) = std::env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty()) {
        let path = path.to_string_lossy();
        let bundle = std::fs::read_to_string(&*path).map_err(|source| StoreError::Io {
            operation: "read AWS_CA_BUNDLE",
            object: path.to_string(),
            source,
        })?;
        if !has_anchors(&bundle) {
            return Err(StoreError::Settings {
                message: format!("AWS_CA_BUNDLE {path} is no PEM file of certificates"),
                hint: "name a file of CA certificates, or unset it",
            });
        }
        builder = builder.with_trust_store(TrustStore::empty().with_pem_certificate(bundle.into_bytes()));
    }
    builder.build().map_err(|error| StoreError::Settings {
        message: format!("TLS cannot be set up: {error}"),
        hint: "check AWS_CA_BUNDLE and the certificates that this machine trusts",
    })
}

/// Whether a PEM file has certificates, each of which can be an anchor of trust.
fn has_anchors(bundle: &str) -> bool {
    let is_anchor = |block: &pem::Block| {
        webpki::anchor_from_trusted_cert(&CertificateDer::from(block.der.as_slice())).is_ok()
    };
    match pem::blocks(bundle) {
        Ok(blocks) => !blocks.is_empty() && blocks.iter().all(is_anchor),
        Err(_) => false,
    }
}

fn account(message: String) -> StoreError {
    StoreError::Settings {
        message,
        hint: "set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION, or AWS_PROFILE, as for the AWS CLI",
    }
}
