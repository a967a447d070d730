//! The account: clients of AWS IoT and IAM, and who the caller is.

use std::sync::Arc;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use serde::Serialize;
use tokio::runtime::Runtime;

use super::api::{Iam, Iot};
use super::call::{AwsError, refusal};
use crate::sdk::{self, CONNECT_TIMEOUT, Reach, Server, SettingsError};

/// Attempts at a request, the first one among them.
const ATTEMPTS: u32 = 5;

/// How long an answer is waited for.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(15);

/// What stands for the account and the Region that AWS was not asked for.
pub const UNASKED_ACCOUNT: &str = "ACCOUNT_ID";
pub const UNASKED_REGION: &str = "REGION";

/// Who asks, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Caller {
    pub account: String,
    pub arn: String,
    pub region: String,
}

impl Caller {
    /// Whoever would ask, where AWS is not asked: names stand for what it would say.
    #[must_use]
    pub fn unasked(region: Option<String>) -> Self {
        let mut caller = Self {
            account: UNASKED_ACCOUNT.to_owned(),
            arn: String::new(),
            region: region.unwrap_or_else(|| UNASKED_REGION.to_owned()),
        };
        caller.arn = format!("arn:{}:iam::{UNASKED_ACCOUNT}:user/CALLER", caller.partition());
        caller
    }

    /// Account and Region: what has certificates of its own.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{} {}", self.account, self.region)
    }

    /// `aws`, `aws-cn` or `aws-us-gov`.
    #[must_use]
    pub fn partition(&self) -> &str {
        if self.region.starts_with("cn-") {
            return "aws-cn";
        }
        if self.region.starts_with("us-gov-") {
            return "aws-us-gov";
        }
        self.arn.split(':').nth(1).unwrap_or("aws")
    }
}

/// An account of AWS, in one Region.
pub struct Cloud {
    pub(super) runtime: Runtime,
    pub(super) iot: Iot,
    pub(super) iam: Iam,
    /// The server, as a person knows it.
    pub(super) server: Server,
    caller: Caller,
}

impl Cloud {
    /// Whoever would ask, without asking; the Region is the one that is set.
    ///
    /// # Errors
    ///
    /// When no thread can be started.
    pub fn unasked(reach: &Reach) -> Result<Caller, AwsError> {
        let region = runtime()?.block_on(sdk::region_offline(reach));
        Ok(Caller::unasked(region))
    }

    /// Finds credentials and Region, and asks who the caller is.
    ///
    /// # Errors
    ///
    /// When there are none, or AWS cannot be reached.
    pub fn open(reach: &Reach) -> Result<Self, AwsError> {
        let runtime = runtime()?;
        let found = runtime.block_on(sdk::load(reach))?;
        let config = found
            .config
            .into_builder()
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(CONNECT_TIMEOUT)
                    .operation_attempt_timeout(ATTEMPT_TIMEOUT)
                    .build(),
            )
            .build();
        let region = config.region().ok_or_else(SettingsError::no_region)?.clone();
        let server = Server {
            name: match sdk::endpoint(&config, "IoT") {
                Some(url) => url,
                None => format!("AWS, {region}"),
            },
            source: Arc::new(found.source),
        };
        let sts = aws_sdk_sts::Client::new(&config);
        let identity = runtime
            .block_on(sts.get_caller_identity().send())
            .map_err(refusal(&server, "sts:GetCallerIdentity"))?;
        let lacks = |what| AwsError::Incomplete {
            operation: "sts:GetCallerIdentity",
            what,
        };
        let caller = Caller {
            account: identity.account().ok_or_else(|| lacks("an account"))?.to_owned(),
            arn: identity.arn().ok_or_else(|| lacks("an ARN"))?.to_owned(),
            region: region.to_string(),
        };
        Ok(Self {
            iot: Iot::new(&config, &region),
            iam: Iam::new(&config, &region),
            runtime,
            server,
            caller,
        })
    }

    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// What AWS answers to a request.
    pub(super) fn ask<T, E, R>(
        &self,
        operation: &'static str,
        answer: impl Future<Output = Result<T, SdkError<E, R>>>,
    ) -> Result<T, AwsError>
    where
        E: std::error::Error + ProvideErrorMetadata + 'static,
        R: std::fmt::Debug + 'static,
    {
        self.runtime
            .block_on(answer)
            .map_err(refusal(&self.server, operation))
    }
}

fn runtime() -> Result<Runtime, SettingsError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|source| {
            SettingsError::said(
                format!("no thread can be started: {source}"),
                "close other programs and try again",
            )
        })
}

impl std::fmt::Debug for Cloud {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cloud({:?})", self.caller)
    }
}
