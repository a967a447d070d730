//! The AWS SDK, set up as the AWS CLI would be: Region, credentials, endpoint, proxy and trusted CAs from
//! options, environment and profile, in that order.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::ProvideRegion;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{self, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::HttpConnectorSettings;
use aws_types::service_config::ServiceConfigKey;
use rustls_pki_types::CertificateDer;

use crate::bounded;
use crate::pem;

pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

const SET_UP: &str =
    "set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION, or AWS_PROFILE, as for the AWS CLI";

/// Settings that cannot be.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("{message}")]
    Said { message: String, hint: String },
    /// Nobody has set any up, where the AWS CLI would look for them.
    #[error("no AWS credentials are set up: {looked}")]
    NoCredentials { looked: String },
    #[error("AWS_CA_BUNDLE {path} cannot be read")]
    TrustFile { path: PathBuf, source: io::Error },
}

impl SettingsError {
    pub(crate) fn no_region() -> Self {
        Self::Said {
            message: "no AWS Region is set".to_owned(),
            hint: "name it with --region, or set AWS_REGION or AWS_PROFILE, as for the AWS CLI".to_owned(),
        }
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> &str {
        match self {
            Self::Said { hint, .. } => hint,
            Self::NoCredentials { .. } => SET_UP,
            Self::TrustFile { .. } => "check the path and who may use it",
        }
    }
}

/// How to reach AWS, or a server that speaks as it does. What is left out comes from where the AWS CLI has it.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    pub credentials: Option<Credentials>,
    pub endpoint_url: Option<String>,
    pub region: Option<String>,
    /// Idle connections that are kept.
    pub connections: usize,
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
}

/// Finds the settings, and sees that there are credentials.
pub(crate) async fn load(reach: &Reach) -> Result<AwsSettings, SettingsError> {
    let trust = trust_store()?;
    let (connections, context) = (reach.connections, trust.clone());
    let http = aws_smithy_http_client::Builder::new().build_with_connector_fn(move |settings, _| {
        let connect_timeout = settings.and_then(HttpConnectorSettings::connect_timeout);
        connector(connections, connect_timeout.unwrap_or(CONNECT_TIMEOUT), &context)
    });
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        // What the chain would say is read by those who have a message for nonsense.
        .retry_config(RetryConfig::standard());
    if let Some(region) = &reach.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(url) = &reach.endpoint_url {
        loader = loader.endpoint_url(url);
    }
    if let Some(credentials) = &reach.credentials {
        loader = loader.credentials_provider(credentials.clone());
    }
    let config = loader.load().await;
    let credentials = config
        .credentials_provider()
        .ok_or_else(|| account("no AWS credentials are set".to_owned()))?;
    if let Err(error) = credentials.provide_credentials().await {
        let profile = match std::env::var("AWS_PROFILE") {
            Ok(profile) => format!(" for AWS_PROFILE {profile}"),
            Err(_) => String::new(),
        };
        let causes = causes(&error);
        if matches!(error, CredentialsError::CredentialsNotLoaded(_)) {
            return Err(SettingsError::NoCredentials { looked: causes });
        }
        return Err(account(format!(
            "there are no AWS credentials{profile}: {causes}"
        )));
    }
    Ok(AwsSettings {
        config,
        credentials,
        trust,
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

/// An error's causes, innermost ones last; the outer layers only say that something failed.
pub(crate) fn causes(error: &(dyn Error + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    let outermost = usize::from(error.source().is_some());
    for cause in crate::causes::causes(error).skip(outermost) {
        let text = cause.to_string();
        if texts.last().is_none_or(|last| !last.contains(&text)) {
            texts.push(text);
        }
    }
    let inner = texts.len().saturating_sub(2);
    texts.split_off(inner).join(": ")
}

/// As with the AWS CLI, `AWS_CA_BUNDLE` names the only certificates that are trusted.
fn trust_store() -> Result<TlsContext, SettingsError> {
    let mut builder = TlsContext::builder();
    if let Some(path) = std::env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty()) {
        let path = PathBuf::from(path);
        let bundle = bounded::read_text(&path).map_err(|source| SettingsError::TrustFile {
            path: path.clone(),
            source,
        })?;
        if !has_anchors(&bundle) {
            return Err(SettingsError::Said {
                message: format!("AWS_CA_BUNDLE {} is no PEM file of certificates", path.display()),
                hint: "name a file of CA certificates, or unset it".to_owned(),
            });
        }
        builder = builder.with_trust_store(TrustStore::empty().with_pem_certificate(bundle.into_bytes()));
    }
    builder.build().map_err(|error| SettingsError::Said {
        message: format!("TLS cannot be set up: {error}"),
        hint: "check AWS_CA_BUNDLE and the certificates that this machine trusts".to_owned(),
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

fn account(message: String) -> SettingsError {
    SettingsError::Said {
        message,
        hint: SET_UP.to_owned(),
    }
}
