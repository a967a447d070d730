//! Requests over a network: each with its attempts, until it is answered for good, and all of them under one
//! throttle.

mod throttle;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::StoreError;
use throttle::Throttle;

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
                        hint: None,
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
            tracing::info!(operation, object, made, why = %why, "the server is asked again");
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ATTEMPT_TIMEOUT;

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
        Err(Answer::Again {
            why: "503 SlowDown".to_owned(),
            is_slow_down: true,
            is_heard: true,
        })
    }

    fn denied() -> Result<u8, Answer> {
        Err(Answer::Refused {
            status: 403,
            code: "AccessDenied".to_owned(),
            message: String::new(),
        })
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
        let (result, made) = persist(&requests, &[denied]);
        assert!(matches!(
            result,
            Err(Failed::Error(StoreError::Refused { status: 403, .. }))
        ));
        assert_eq!(made, 1);
    }
}
