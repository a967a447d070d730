//! Requests: each with its attempts, until it is answered for good.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use super::throttle::Throttle;
use crate::sdk::causes;
use crate::store::StoreError;

/// The first pause after a failed attempt, which doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// As long as nothing has ever answered, the name or the network is probably wrong.
const ATTEMPTS_UNHEARD: u32 = 4;

/// How an attempt ended that had no success.
#[derive(Debug)]
pub(super) enum Answer {
    /// There is no such object, or upload.
    Missing,
    /// A condition was not met: 412.
    Exists,
    /// The same request may succeed a little later.
    Again {
        why: String,
        is_slow_down: bool,
        /// Whether the server said so, rather than nobody.
        is_heard: bool,
    },
    /// It will not.
    Refused {
        status: u16,
        code: String,
        message: String,
    },
}

impl Answer {
    /// Nobody answered, or not to the end.
    pub(super) fn unheard(why: String) -> Self {
        Self::Again {
            why,
            is_slow_down: false,
            is_heard: false,
        }
    }

    /// Nobody answered in time. With fewer requests at once, each has more of a slow line.
    pub(super) fn too_late() -> Self {
        Self::Again {
            why: "no answer in time".to_owned(),
            is_slow_down: true,
            is_heard: false,
        }
    }
}

/// Why a request has no success, in spite of all attempts.
#[derive(Debug)]
pub(super) enum Failed {
    Missing,
    Exists,
    Error(StoreError),
}

/// What all requests share.
#[derive(Debug)]
pub(super) struct Requests {
    throttle: Throttle,
    attempts: u32,
    /// An attempt that takes longer has failed, and counts as a wish for fewer at once.
    timeout: Duration,
    /// As a person knows it.
    server: String,
    is_heard: AtomicBool,
}

impl Requests {
    pub(super) fn new(at_once: u16, attempts: u32, timeout: Duration, server: String) -> Self {
        Self {
            throttle: Throttle::new(at_once),
            attempts: attempts.max(1),
            timeout,
            server,
            is_heard: AtomicBool::new(false),
        }
    }

    /// Makes attempts until one is answered for good, with a growing and jittered pause between them.
    pub(super) async fn persist<T, F>(
        &self,
        operation: &'static str,
        object: &str,
        attempt: impl Fn() -> F,
    ) -> Result<T, Failed>
    where
        F: Future<Output = Result<T, Answer>>,
    {
        let mut made = 0;
        loop {
            let answer = {
                let _pass = self.throttle.enter().await;
                // The future of a request is large: it is made only when its turn has come.
                let attempt = Box::pin(attempt());
                tokio::time::timeout(self.timeout, attempt)
                    .await
                    .unwrap_or_else(|_| Err(Answer::too_late()))
            };
            made += 1;
            let why = match answer {
                Ok(value) => {
                    self.heard();
                    return Ok(value);
                }
                Err(Answer::Missing) => {
                    self.heard();
                    return Err(Failed::Missing);
                }
                Err(Answer::Exists) => {
                    self.heard();
                    return Err(Failed::Exists);
                }
                Err(Answer::Refused {
                    status,
                    code,
                    message,
                }) => {
                    return Err(Failed::Error(StoreError::Refused {
                        operation,
                        object: object.to_owned(),
                        status,
                        code,
                        message,
                    }));
                }
                Err(Answer::Again {
                    why,
                    is_slow_down,
                    is_heard,
                }) => {
                    self.is_heard.fetch_or(is_heard, Ordering::Relaxed);
                    if is_slow_down {
                        self.throttle.slow_down();
                    }
                    why
                }
            };
            let attempts = match self.is_heard.load(Ordering::Relaxed) {
                true => self.attempts,
                false => self.attempts.min(ATTEMPTS_UNHEARD),
            };
            if made >= attempts {
                return Err(Failed::Error(StoreError::Unanswered {
                    operation,
                    object: object.to_owned(),
                    server: self.server.clone(),
                    attempts: made,
                    why,
                }));
            }
            tokio::time::sleep(pause(made)).await;
        }
    }

    fn heard(&self) {
        self.is_heard.store(true, Ordering::Relaxed);
        self.throttle.went_well();
    }
}

/// Half of the pause is drawn, so that those who failed together do not come back together.
fn pause(made: u32) -> Duration {
    let longest = FIRST_PAUSE
        .saturating_mul(1 << (made - 1).min(16))
        .min(LONGEST_PAUSE);
    longest.mul_f64(0.5 + fastrand::f64() / 2.0)
}

/// Tells what an SDK error means.
#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` wants")]
pub(super) fn judge<E>(error: SdkError<E>) -> Answer
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
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
        (404, _) => Answer::Missing,
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
    use crate::store::s3::ATTEMPT_TIMEOUT;

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
        assert!(matches!(judge_answer(404, "NoSuchKey", ""), Answer::Missing));
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

    #[test]
    fn a_request_that_hangs_is_given_up_in_time() {
        let requests = Requests::new(4, 2, ATTEMPT_TIMEOUT, String::new());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let result: Result<(), Failed> =
            runtime.block_on(requests.persist("read", "s3://b/k", std::future::pending));
        assert!(matches!(
            result,
            Err(Failed::Error(StoreError::Unanswered { attempts: 2, .. }))
        ));
    }

    #[test]
    fn pauses_grow_up_to_a_bound() {
        for made in 1..40 {
            let pause = pause(made);
            assert!(
                pause >= FIRST_PAUSE / 2 && pause <= LONGEST_PAUSE,
                "{made}: {pause:?}"
            );
        }
        assert!(pause(8) > pause(1) * 10);
    }

    fn persist(requests: &Requests, answers: &[fn() -> Result<u8, Answer>]) -> (Result<u8, Failed>, usize) {
        let made = std::sync::atomic::AtomicUsize::new(0);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let result = runtime.block_on(requests.persist("put", "s3://b/k", || {
            let answer = answers[made.fetch_add(1, Ordering::Relaxed).min(answers.len() - 1)];
            std::future::ready(answer())
        }));
        (result, made.into_inner())
    }

    fn busy() -> Result<u8, Answer> {
        Err(judge_answer(503, "SlowDown", "Please reduce your request rate."))
    }

    #[test]
    fn goes_on_until_there_is_an_answer_and_gives_up_at_the_bound() {
        let requests = Requests::new(4, 10, ATTEMPT_TIMEOUT, String::new());
        let (result, made) = persist(&requests, &[|| Err(Answer::unheard("refused".to_owned()))]);
        assert!(matches!(
            result,
            Err(Failed::Error(StoreError::Unanswered { attempts: 4, .. }))
        ));
        assert_eq!(made, 4, "a server that never answered is given up sooner");
        let (result, made) = persist(&requests, &[busy, busy, || Ok(7)]);
        assert!(matches!(result, Ok(7)));
        assert_eq!(made, 3);
        let (result, made) = persist(&requests, &[busy]);
        assert!(matches!(
            result,
            Err(Failed::Error(StoreError::Unanswered { attempts: 10, .. }))
        ));
        assert_eq!(made, 10);
        let (result, made) = persist(&requests, &[busy, || Err(Answer::Exists)]);
        assert!(matches!(result, Err(Failed::Exists)));
        assert_eq!(made, 2);
        let (result, made) = persist(&requests, &[|| Err(judge_answer(403, "AccessDenied", ""))]);
        assert!(matches!(
            result,
            Err(Failed::Error(StoreError::Refused { status: 403, .. }))
        ));
        assert_eq!(made, 1);
    }
}
