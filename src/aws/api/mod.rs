//! AWS IoT and IAM, as far as they are asked: requests written by hand and sent by the SDK's own machinery, which signs
//! them, tries again and gives up.
//!
//! The SDK's clients of these two services have 270 and 180 operations, and took a sixth of the time in which certforge
//! is compiled; these are twenty.

mod endpoint;
mod iam;
mod iot;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_runtime::auth::sigv4::{self, SigV4AuthScheme};
use aws_runtime::auth::{SigV4OperationSigningConfig, SigningOptions};
use aws_runtime::invocation_id::InvocationIdInterceptor;
use aws_runtime::request_info::RequestInfoInterceptor;
use aws_runtime::retries::classifiers::AwsErrorCodeClassifier;
use aws_runtime::service_clock_skew::{ServiceClockSkewClassifier, ServiceClockSkewInterceptor};
use aws_runtime::user_agent::{ApiMetadata, UserAgentInterceptor};
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime::client::retries::classifiers::{HttpStatusCodeClassifier, TransientErrorClassifier};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::auth::static_resolver::StaticAuthSchemeOptionResolver;
use aws_smithy_runtime_api::client::auth::{
    AuthSchemeOptionResolverParams, SharedAuthScheme, SharedAuthSchemeOptionResolver,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::client::retries::classifiers::SharedRetryClassifier;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponentsBuilder;
use aws_smithy_runtime_api::client::runtime_plugin::StaticRuntimePlugin;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::Layer;
use aws_smithy_types::error::metadata::ErrorMetadata;
use aws_types::SigningName;
use aws_types::region::SigningRegion;

use endpoint::Place;
pub(super) use iam::Iam;
pub(super) use iot::{CaDescription, Iot, RuleDescription, TemplateDescription};

/// What a service answers when it refuses.
pub(super) type Refusal = SdkError<ErrorMetadata, HttpResponse>;

/// What is asked.
#[derive(Debug, Clone)]
struct Request {
    /// As AWS calls it, such as `GetRole`.
    operation: &'static str,
    method: &'static str,
    /// Path and query.
    target: String,
    content_type: &'static str,
    body: String,
}

/// A client of one of the two services.
#[derive(Debug, Clone)]
struct Client {
    /// As its requests are signed for it.
    name: &'static str,
    place: Place,
    /// What an answer that is a refusal says.
    read_refusal: fn(&HttpResponse) -> ErrorMetadata,
    /// Whether a body is in the service's form.
    is_answer: fn(&[u8]) -> bool,
    config: SdkConfig,
}

/// What is answered in another form than the service's own: by a proxy, as a rule.
fn foreign(answer: &HttpResponse, said: Option<&str>) -> ErrorMetadata {
    ErrorMetadata::builder()
        .code(format!("HTTP {}", answer.status().as_u16()))
        .message(said.unwrap_or("the answer is none of AWS's"))
        .build()
}

impl Client {
    /// Asks, and returns the body of the answer.
    async fn ask(&self, request: Request) -> Result<Vec<u8>, Refusal> {
        let (read_refusal, is_answer) = (self.read_refusal, self.is_answer);
        let config = &self.config;
        let mut operation = Operation::builder()
            .service_name(self.name)
            .operation_name(request.operation)
            .behavior_version(config.behavior_version().unwrap_or_else(BehaviorVersion::latest))
            .endpoint_url(&self.place.url)
            .standard_retry(config.retry_config().unwrap_or(&RetryConfig::standard()))
            .timeout_config(
                config
                    .timeout_config()
                    .cloned()
                    .unwrap_or_else(TimeoutConfig::disabled),
            )
            .with_connection_poisoning()
            .interceptor(ServiceClockSkewInterceptor::new())
            .interceptor(RequestInfoInterceptor::new())
            .interceptor(UserAgentInterceptor::new())
            .interceptor(InvocationIdInterceptor::new())
            .retry_classifier(HttpStatusCodeClassifier::default())
            .runtime_plugin(self.signing());
        if let Some(http) = config.http_client() {
            operation = operation.http_client(http);
        }
        if let Some(sleep) = config.sleep_impl() {
            operation = operation.sleep_impl(sleep);
        }
        if let Some(time) = config.time_source() {
            operation = operation.time_source(time);
        }
        operation
            .serializer(|request: Request| request.into_http())
            .deserializer(move |answer: &HttpResponse| {
                let body = answer.body().bytes().unwrap_or_default();
                let refusal = match answer.status().is_success() {
                    true if body.is_empty() || is_answer(body) => return Ok(body.to_vec()),
                    true => foreign(answer, None),
                    false => read_refusal(answer),
                };
                Err(OrchestratorError::operation(match refusal.code() {
                    Some(_) => refusal,
                    None => foreign(answer, refusal.message()),
                }))
            })
            .build()
            .invoke(request)
            .await
    }

    /// Whose requests they are, how they are signed, and which refusals pass by themselves.
    fn signing(&self) -> StaticRuntimePlugin {
        let mut options = SigningOptions::default();
        options.double_uri_encode = true;
        options.normalize_uri_path = true;
        let signing = SigV4OperationSigningConfig {
            signing_options: options,
            region: Some(SigningRegion::from(self.place.region.clone())),
            name: Some(SigningName::from_static(self.name)),
            ..SigV4OperationSigningConfig::default()
        };
        let mut layer = Layer::new(self.name);
        layer.store_put(signing);
        layer.store_put(self.place.region.clone());
        layer.store_put(AuthSchemeOptionResolverParams::new(()));
        layer.store_put(ApiMetadata::new(self.name, env!("CARGO_PKG_VERSION")));
        let mut components = RuntimeComponentsBuilder::new(self.name)
            .with_auth_scheme(SharedAuthScheme::new(SigV4AuthScheme::new()))
            .with_auth_scheme_option_resolver(Some(SharedAuthSchemeOptionResolver::new(
                StaticAuthSchemeOptionResolver::new(vec![sigv4::SCHEME_ID]),
            )))
            .with_identity_cache(self.config.identity_cache());
        let passing = [
            SharedRetryClassifier::new(TransientErrorClassifier::<ErrorMetadata>::new()),
            SharedRetryClassifier::new(AwsErrorCodeClassifier::<ErrorMetadata>::new()),
            SharedRetryClassifier::new(ServiceClockSkewClassifier::<ErrorMetadata>::new()),
        ];
        for classifier in passing {
            components = components.with_retry_classifier(classifier);
        }
        if let Some(credentials) = self.config.credentials_provider() {
            components = components.with_identity_resolver(sigv4::SCHEME_ID, credentials);
        }
        StaticRuntimePlugin::new()
            .with_config(layer.freeze())
            .with_runtime_components(components)
    }
}

impl Request {
    fn into_http(self) -> Result<HttpRequest, BoxError> {
        let has_body = !self.body.is_empty();
        let mut http = HttpRequest::new(SdkBody::from(self.body));
        http.set_method(self.method)?;
        http.set_uri(self.target)?;
        if has_body {
            http.headers_mut().try_insert("content-type", self.content_type)?;
        }
        Ok(http)
    }
}
