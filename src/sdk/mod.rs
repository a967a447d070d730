//! The AWS SDK, set up as the AWS CLI would be: Region, credentials, endpoint, proxy and trusted CAs from
//! options, environment and profile, in that order; and what to do when AWS, or what is set up, says no.

mod error;
mod mfa;
mod refusal;
mod source;
mod trust;

use std::error::Error;
use std::time::Duration;

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::ProvideRegion;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{self, TlsContext};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorSettings, SharedHttpClient};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::error::metadata::ErrorMetadata;
use aws_types::service_config::ServiceConfigKey;
use time::OffsetDateTime;

pub use error::SettingsError;
#[cfg(feature = "aws")]
pub(crate) use refusal::is_of_credentials;
pub(crate) use refusal::{hint_for, is_denied};
pub(crate) use source::profiles;
pub use source::{Kind, Source};

pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Asks a person for the code that an MFA device shows; nothing, when there is no terminal.
pub type AskCode = fn(&str) -> Option<String>;

/// How to reach AWS, or a server that speaks as it does. What is left out comes from where the AWS CLI has it.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    pub credentials: Option<Credentials>,
    pub endpoint_url: Option<String>,
    pub region: Option<String>,
    /// Idle connections that are kept.
    pub connections: usize,
    /// `None`: nobody is asked for a code, and a profile that wants one is refused.
    pub ask_code: Option<AskCode>,
}

/// Settings that were found.
#[cfg_attr(
    not(feature = "s3"),
    expect(dead_code, reason = "only the store signs requests by itself")
)]
pub(crate) struct AwsSettings {
    pub config: SdkConfig,
    pub credentials: SharedCredentialsProvider,
    pub trust: TlsContext,
    pub source: Source,
}

/// Finds the settings, and sees that there are credentials.
pub(crate) async fn load(reach: &Reach) -> Result<AwsSettings, SettingsError> {
    let trust = trust::trust_store()?;
    let http = http_client(reach.connections, &trust);
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http.clone())
        // What the chain would say is read by those who have a message for nonsense.
        .retry_config(RetryConfig::standard());
    if let Some(region) = &reach.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(url) = &reach.endpoint_url {
        loader = loader.endpoint_url(url);
    }
    let source = if let Some(credentials) = &reach.credentials {
        loader = loader.credentials_provider(credentials.clone());
        Source::Given
    } else {
        let profiles = profiles().await?;
        let source = Source::find(&profiles)?;
        if let Source::Profile { .. } = &source {
            let taking = mfa::Taking {
                profiles: &profiles,
                source: &source,
                http,
                region: region_offline(reach).await.map(Region::new),
                ask: reach.ask_code,
            };
            if let Some(credentials) = taking.credentials().await? {
                loader = loader.credentials_provider(credentials);
            }
        }
        source
    };
    let config = loader.load().await;
    let credentials = config.credentials_provider().expect("the chain is always there");
    if let Err(error) = credentials.provide_credentials().await {
        return Err(source.failed(&error));
    }
    Ok(AwsSettings {
        config,
        credentials,
        trust,
        source,
    })
}

/// HTTP for the SDK's clients.
fn http_client(connections: usize, trust: &TlsContext) -> SharedHttpClient {
    let trust = trust.clone();
    aws_smithy_http_client::Builder::new().build_with_connector_fn(move |settings, _| {
        let connect_timeout = settings.and_then(HttpConnectorSettings::connect_timeout);
        connector(connections, connect_timeout.unwrap_or(CONNECT_TIMEOUT), &trust)
    })
}

/// The Region that is set, as far as no network is needed to tell.
pub async fn region_offline(reach: &Reach) -> Option<String> {
    if reach.region.is_some() {
        return reach.region.clone();
    }
    let of_environment = EnvironmentVariableRegionProvider::new().region().await;
    let region = match of_environment {
        Some(region) => Some(region),
        None => ProfileFileRegionProvider::new().region().await,
    };
    region.map(|region| region.to_string())
}

/// Where credentials come from, and whose they are: the ARN of the caller, or why nobody says so.
///
/// # Errors
///
/// When there are no credentials.
pub(crate) async fn whoami(
    reach: &Reach,
    patience: Duration,
) -> Result<(Source, Result<String, String>), SettingsError> {
    let found = load(reach).await?;
    let config = found
        .config
        .into_builder()
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::builder().operation_timeout(patience).build())
        .build();
    let asked = aws_sdk_sts::Client::new(&config)
        .get_caller_identity()
        .send()
        .await;
    let caller = match asked {
        Ok(answer) => answer.arn.ok_or_else(|| "the answer has no ARN".to_owned()),
        Err(error) => Err(causes(&error)),
    };
    Ok((found.source, caller))
}

/// The `Date` that a server answers with, whatever else it says.
pub(crate) async fn date_of(url: &str) -> Result<Option<String>, String> {
    let trust = trust::trust_store().map_err(|error| error.to_string())?;
    let mut request = HttpRequest::empty();
    request.set_uri(url).map_err(|error| error.to_string())?;
    let answer = connector(1, CONNECT_TIMEOUT, &trust).call(request).await;
    let answer = answer.map_err(|error| causes(&error))?;
    Ok(answer.headers().get("date").map(str::to_owned))
}

/// HTTP and TLS, through the proxy that the environment names, if it names one.
pub(crate) fn connector(connections: usize, connect_timeout: Duration, trust: &TlsContext) -> Connector {
    let settings = HttpConnectorSettings::builder()
        .connect_timeout(connect_timeout)
        .build();
    Connector::builder()
        .connector_settings(settings)
        .pool_max_idle_per_host(connections)
        .proxy_config(ProxyConfig::from_env())
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc))
        .tls_context(trust.clone())
        .build()
}

/// The server that the user named: by option, by environment or in a profile, for a service or for all.
pub(crate) fn endpoint(config: &SdkConfig, service: &'static str) -> Option<String> {
    // An option goes before all that is set elsewhere.
    if config.get_origin("endpoint_url").is_client_config() {
        return config.endpoint_url().map(str::to_owned);
    }
    let key = ServiceConfigKey::builder()
        .service_id(service)
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build();
    let of_service = key.ok().and_then(|key| config.service_config()?.load_config(key));
    of_service.or_else(|| config.endpoint_url().map(str::to_owned))
}

/// An error's causes, innermost ones last; the outer layers only say that something failed. What a service answered says
/// it all.
pub(crate) fn causes(error: &(dyn Error + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    let outermost = usize::from(error.source().is_some());
    for cause in crate::causes::causes(error).skip(outermost) {
        if let Some(answer) = cause.downcast_ref::<ErrorMetadata>() {
            return match (answer.message(), answer.code()) {
                (Some(message), Some(code)) => format!("{message} ({code})"),
                (Some(text), None) | (None, Some(text)) => text.to_owned(),
                (None, None) => "an answer without a word".to_owned(),
            };
        }
        let text = cause.to_string();
        if texts.last().is_none_or(|last| !last.contains(&text)) {
            texts.push(text);
        }
    }
    let inner = texts.len().saturating_sub(2);
    texts.split_off(inner).join(": ")
}

/// A server, as a person knows it, and where the credentials come from that it is shown.
#[cfg(feature = "aws")]
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub name: String,
    pub source: std::sync::Arc<Source>,
}

/// Why there were no credentials for a request, when that is why it failed.
pub(crate) fn without_credentials<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a CredentialsError> {
    crate::causes::causes(error).find_map(|cause| cause.downcast_ref::<CredentialsError>())
}

/// Whether a server could not be reached at all.
pub(crate) fn is_network(error: &(dyn Error + 'static)) -> bool {
    crate::causes::causes(error).any(|cause| {
        cause
            .downcast_ref::<ConnectorError>()
            .is_some_and(|error| error.is_io() || error.is_timeout())
    })
}

/// What this machine's clock says.
pub(crate) fn now() -> String {
    let now = OffsetDateTime::now_utc();
    let now = now.replace_nanosecond(0).unwrap_or(now);
    now.format(&time::format_description::well_known::Rfc3339)
        .unwrap_or_default()
}
