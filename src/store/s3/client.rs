//! The client: settings from the AWS SDK's own chain, retries and checksums as the store needs them.

use aws_config::Region;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_runtime::env_config::file::EnvConfigFiles;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{
    RequestChecksumCalculation, ResponseChecksumValidation, StalledStreamProtectionConfig,
};
use aws_types::os_shim_internal::{Env, Fs};

use super::direct::Direct;
use crate::sdk::{self, AwsSettings, CONNECT_TIMEOUT, Reach, SettingsError, Source};
use crate::store::{StoreError, StoreOptions};

/// Attempts at a request, the first one among them, when nothing else is set.
const ATTEMPTS: u32 = 10;

/// A bucket, as it is reached.
pub(super) struct Connection {
    pub client: Client,
    /// The short way for PUTs, where there is one.
    pub direct: Option<Direct>,
    /// Attempts at a request.
    pub attempts: u32,
    /// The server, as a person knows it.
    pub server: String,
    /// Where the credentials come from.
    pub source: Source,
}

/// Makes a connection. Retries are ours, because a conditional write that is retried needs a look at
/// what is there.
pub(super) async fn connect(bucket: &str, options: &StoreOptions) -> Result<Connection, StoreError> {
    let attempts = match options.attempts {
        Some(attempts) => attempts,
        None => attempts().await?,
    };
    let reach = Reach {
        credentials: options.credentials.clone(),
        endpoint_url: options.endpoint_url.clone(),
        region: options.region.clone(),
        connections: options.uploads.into(),
        ask_code: options.ask_code,
    };
    let AwsSettings {
        config,
        credentials,
        trust,
        source,
    } = sdk::load(&reach).await?;
    let mut builder = aws_sdk_s3::config::Builder::from(&config)
        .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).build())
        // Every attempt has a limit of its own, which costs less.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        // Every upload has a SHA-256 of its own, and every download is held against the index.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .retry_config(RetryConfig::disabled());
    // Few servers other than AWS's have a host name for each bucket.
    let endpoint = sdk::endpoint(&config, "S3");
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
            return Err(SettingsError::no_region().into());
        }
    };
    let client = Client::from_conf(builder.build());
    let connector = sdk::connector(options.uploads.into(), CONNECT_TIMEOUT, &trust);
    let direct = Direct::new(&client, bucket, connector, credentials).await;
    Ok(Connection {
        client,
        direct,
        attempts,
        server,
        source,
    })
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
            hint: "set it to 1 or more, or not at all".to_owned(),
        }),
    }
}

impl From<SettingsError> for StoreError {
    fn from(error: SettingsError) -> Self {
        match error {
            SettingsError::TrustFile { path, source } => Self::Io {
                operation: "read AWS_CA_BUNDLE",
                object: path.display().to_string(),
                source,
            },
            other => Self::Settings {
                message: other.to_string(),
                hint: other.hint().to_owned(),
            },
        }
    }
}
