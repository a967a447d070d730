//! Answers of S3: what each means for the request.

use std::error::Error;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::sdk::{causes, without_credentials};
use crate::store::request::Answer;

/// The code of a request for which there were no credentials any more.
pub(super) const NO_CREDENTIALS: &str = "no credentials";

/// Tells what an SDK error means.
#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` wants")]
pub(super) fn judge<E>(error: SdkError<E>) -> Answer
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    if let Some(error) = without_credentials(&error) {
        return Answer::Refused {
            status: 0,
            code: NO_CREDENTIALS.to_owned(),
            message: causes(error),
        };
    }
    match &error {
        SdkError::ServiceError(service) => {
            let status = service.raw().status().as_u16();
            let code = service.err().code().unwrap_or_default();
            let message = service.err().message().unwrap_or_default();
            judge_answer(status, code, message)
        }
        SdkError::TimeoutError(_) => Answer::too_late(),
        SdkError::ResponseError(_) => Answer::unheard(format!("half an answer: {}", causes(&error))),
        SdkError::DispatchFailure(failure) if failure.is_user() => Answer::Refused {
            status: 0,
            code: "request not sent".to_owned(),
            message: causes(&error),
        },
        SdkError::DispatchFailure(failure) if failure.is_timeout() => Answer::too_late(),
        SdkError::DispatchFailure(_) => Answer::unheard(causes(&error)),
        _ => Answer::Refused {
            status: 0,
            code: "request not sent".to_owned(),
            message: causes(&error),
        },
    }
}

/// The same of a HEAD, which is answered without a body, so without a code: a 404 can but be believed.
pub(super) fn judge_head<E>(error: SdkError<E>) -> Answer
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    match &error {
        SdkError::ServiceError(service) if service.raw().status().as_u16() == 404 => Answer::Missing,
        _ => judge(error),
    }
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>
pub(super) fn judge_answer(status: u16, code: &str, message: &str) -> Answer {
    let again = |is_slow_down| Answer::Again {
        why: format!("{status} {code} {message}").trim_end().to_owned(),
        is_slow_down,
        is_heard: true,
    };
    match (status, code) {
        (
            _,
            "SlowDown" | "ServiceUnavailable" | "Throttling" | "ThrottlingException" | "RequestLimitExceeded",
        )
        | (429, _) => again(true),
        // What was sent did not arrive as it was sent.
        (
            400,
            "BadDigest" | "InvalidDigest" | "IncompleteBody" | "RequestTimeout" | "XAmzContentSHA256Mismatch",
        ) => again(false),
        // The end of a multipart upload is answered with 200 before it is known how it went.
        (_, "InternalError" | "ConditionalRequestConflict" | "OperationAborted") | (408 | 409, _) => {
            again(false)
        }
        (501, _) | (404, "NoSuchBucket") => refused(status, code, message),
        (500.., _) => again(status == 503),
        (_, "PreconditionFailed") | (412, _) => Answer::Exists,
        // Such as NoSuchKey, NoSuchUpload and NoSuchVersion.
        (404, code) if code.starts_with("NoSuch") => Answer::Missing,
        // What stands before the store knows no more of the object than of the store.
        (404, _) => Answer::unheard("404 by something that is no S3".to_owned()),
        // A HEAD is answered without a body, so without a code.
        (403, "") => refused(status, "AccessDenied", message),
        _ => refused(status, code, message),
    }
}

fn refused(status: u16, code: &str, message: &str) -> Answer {
    Answer::Refused {
        status,
        code: code.to_owned(),
        message: message.trim_end_matches('.').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_answers_apart() {
        let slow = |answer| {
            matches!(
                answer,
                Answer::Again {
                    is_slow_down: true,
                    ..
                }
            )
        };
        let again = |answer| {
            matches!(
                answer,
                Answer::Again {
                    is_slow_down: false,
                    ..
                }
            )
        };
        assert!(slow(judge_answer(503, "SlowDown", "")));
        assert!(slow(judge_answer(503, "", "")));
        assert!(slow(judge_answer(429, "", "")));
        assert!(slow(Answer::too_late()));
        assert!(again(judge_answer(200, "InternalError", "")));
        assert!(matches!(
            judge_answer(200, "PreconditionFailed", ""),
            Answer::Exists
        ));
        for status in [500, 502, 504, 408, 409] {
            assert!(again(judge_answer(status, "", "")), "{status}");
        }
        assert!(again(judge_answer(400, "BadDigest", "")));
        assert!(matches!(
            judge_answer(412, "PreconditionFailed", ""),
            Answer::Exists
        ));
        for code in ["NoSuchKey", "NoSuchUpload", "NoSuchVersion"] {
            assert!(matches!(judge_answer(404, code, ""), Answer::Missing), "{code}");
        }
        // Of a proxy: without a body, which the SDK calls NotFound, and with a page.
        for code in ["NotFound", ""] {
            assert!(again(judge_answer(404, code, "")), "{code}");
        }
        for (status, code) in [
            (404, "NoSuchBucket"),
            (403, "AccessDenied"),
            (400, "InvalidRequest"),
            (501, "NotImplemented"),
            (301, "PermanentRedirect"),
        ] {
            assert!(
                matches!(judge_answer(status, code, ""), Answer::Refused { .. }),
                "{code}"
            );
        }
    }
}
