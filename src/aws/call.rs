//! Calls: what AWS answers, and what to do about a refusal.

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::sdk::{
    Server, SettingsError, causes, hint_for, is_denied, is_of_credentials, without_credentials,
};

/// What may have answered in AWS's place.
const ANOTHER_ANSWERED: &str = "a proxy, or a server that is none of AWS's, has answered: see HTTPS_PROXY, AWS_ENDPOINT_URL and --endpoint-url";

/// AWS refused, or could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum AwsError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("{server} cannot be reached for {operation}: {cause}")]
    Unreachable {
        server: String,
        operation: &'static str,
        cause: String,
    },
    /// AWS answered, and not as was hoped.
    #[error("AWS refuses {operation}: {message} ({code})")]
    Refused {
        operation: &'static str,
        code: String,
        message: String,
        /// What to do about it, where it is about credentials or rights.
        hint: Option<String>,
    },
    #[error(
        "AWS does not know the certificate, and it is not in the store, so that it cannot be registered as revoked"
    )]
    NoCertificate,
    #[error("the answer to {operation} lacks {what}")]
    Incomplete {
        operation: &'static str,
        what: &'static str,
    },
}

impl AwsError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Settings(error) => error.hint().to_owned(),
            Self::Unreachable { .. } => "check the network, the Region and --endpoint-url".to_owned(),
            Self::Refused {
                operation,
                code,
                message,
                hint,
            } => match code.as_str() {
                _ if message.contains("iam:PassRole") => {
                    "the account that runs certforge must be allowed iam:PassRole for the role".to_owned()
                }
                "VersionsLimitExceededException" => {
                    "a template keeps 5 versions: `aws iot delete-provisioning-template-version` removes one that is not the default"
                        .to_owned()
                }
                "ThrottlingException" | "Throttling" | "TooManyRequestsException" => {
                    "run the same command again in a while".to_owned()
                }
                "LimitExceededException" if *operation == "iot:RegisterCACertificate" => {
                    "an account has at most 10 CAs of one subject in a Region; make the next CA with a subject of its own"
                        .to_owned()
                }
                "RegistrationCodeValidationException" => {
                    "the registration code was changed meanwhile; run the same command again".to_owned()
                }
                "InvalidRequestException" if message.to_lowercase().contains("role") => {
                    "a new role takes some seconds to be known; run the same command again".to_owned()
                }
                _ if code.starts_with("HTTP ") => ANOTHER_ANSWERED.to_owned(),
                _ => return hint.clone(),
            },
            Self::NoCertificate => "`certforge verify` names what is missing from the batch".to_owned(),
            Self::Incomplete { .. } => ANOTHER_ANSWERED.to_owned(),
        })
    }

    /// Whether AWS never heard of it: no credentials are set up, or it cannot be reached.
    #[must_use]
    pub fn is_unheard(&self) -> bool {
        matches!(
            self,
            Self::Settings(SettingsError::NoCredentials { .. }) | Self::Unreachable { .. }
        )
    }

    /// Whether AWS says that it is not there.
    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code == "ResourceNotFoundException" || code == "NoSuchEntity")
    }

    /// Whether AWS asks for patience.
    pub(super) fn is_throttled(&self) -> bool {
        matches!(
            self,
            Self::Refused { code, .. } if matches!(
                code.as_str(),
                "ThrottlingException" | "Throttling" | "TooManyRequestsException" | "ServiceUnavailableException"
                    | "InternalFailureException" | "InternalException"
                    | "HTTP 429" | "HTTP 500" | "HTTP 502" | "HTTP 503" | "HTTP 504"
            )
        )
    }

    /// Whether every other request would be refused alike.
    #[must_use]
    pub(super) fn is_general(&self) -> bool {
        match self {
            Self::Settings(_) => true,
            Self::Refused { code, .. } => {
                is_denied(code) || is_of_credentials(code) || code == "CertificateStateException"
            }
            _ => false,
        }
    }

    /// Whether the request may be made once more.
    pub(super) fn is_passing(&self) -> bool {
        self.is_throttled() || matches!(self, Self::Unreachable { .. })
    }
}

/// What an error of the SDK says.
pub(super) fn refusal<E, R>(
    server: &Server,
    operation: &'static str,
) -> impl FnOnce(SdkError<E, R>) -> AwsError
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
    R: std::fmt::Debug + 'static,
{
    let server = server.clone();
    move |error| {
        if let Some(said) = error.as_service_error() {
            let code = said.code().unwrap_or("no code").to_owned();
            let message = said.message().unwrap_or("no message").to_owned();
            return AwsError::Refused {
                hint: hint_for(&code, &message, operation, &server.source),
                operation,
                code,
                message,
            };
        }
        match without_credentials(&error) {
            Some(error) => server.source.failed(error).into(),
            None => AwsError::Unreachable {
                server: server.name,
                operation,
                cause: causes(&error),
            },
        }
    }
}

/// Something, or nothing when AWS says that it is not there.
pub(super) fn if_found<T>(answer: Result<T, AwsError>) -> Result<Option<T>, AwsError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
