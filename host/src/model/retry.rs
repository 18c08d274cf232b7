//! When a failed request to a provider is repeated, and after how long.
//!
//! Owns the waiting, not the judging: whoever talks to the provider says in a
//! [`Failure`] whether repeating may help. Nothing here runs once parts were emitted.

use std::{
    future::Future,
    time::{Duration, SystemTime},
};

use http::HeaderMap;
use tokio::time::Instant;

use super::ModelError;

/// The first wait; it doubles with every attempt.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// No single wait is longer, whatever the provider asks for: a person waits behind it.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A failed attempt, and what to do about it.
#[derive(Debug)]
pub(super) struct Failure {
    /// What the caller gets if nobody repeats the request.
    pub(super) error: ModelError,
    /// Whether somebody should.
    pub(super) remedy: Remedy,
}

/// Whether repeating a failed request may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    /// It will fail again.
    GiveUp,
    /// It may succeed after a while that grows with every attempt.
    BackOff,
    /// The provider said after how long.
    Wait(Duration),
}

impl Failure {
    /// Returns a failure that repeating does not cure.
    pub(super) fn last(error: ModelError) -> Self {
        Self { error, remedy: Remedy::GiveUp }
    }

    /// Returns a failure that may be gone at the next attempt.
    pub(super) fn passing(error: ModelError) -> Self {
        Self { error, remedy: Remedy::BackOff }
    }
}

/// Attempts until one succeeds, one fails for good, `max_retries` are used up or a wait
/// would pass the deadline. The error is that of the last attempt.
pub(super) async fn retry<T, F>(
    model: &str,
    max_retries: u32,
    deadline: Instant,
    mut attempt: impl FnMut() -> F,
) -> Result<T, ModelError>
where
    F: Future<Output = Result<T, Failure>>,
{
    let mut attempts = 0;
    loop {
        let failure = match attempt().await {
            Ok(value) => return Ok(value),
            Err(failure) => failure,
        };
        let wait = match failure.remedy {
            Remedy::GiveUp => return Err(failure.error),
            Remedy::BackOff => back_off(attempts, fastrand::f64()),
            Remedy::Wait(asked) => asked.min(LONGEST_WAIT),
        };
        if attempts >= max_retries || Instant::now() + wait >= deadline {
            return Err(failure.error);
        }
        attempts += 1;
        tracing::warn!(
            model,
            attempt = attempts,
            wait_ms = wait.as_millis(),
            error = %failure.error,
            "the model's provider failed, asking it again"
        );
        tokio::time::sleep(wait).await;
    }
}

/// Returns the wait after the attempt of this number, counted from 0.
///
/// The dice spread it over the upper half, so that many callers refused together do
/// not come back together.
fn back_off(attempt: u32, dice: f64) -> Duration {
    FIRST_WAIT.saturating_mul(2_u32.saturating_pow(attempt)).min(LONGEST_WAIT).mul_f64(0.5 + dice / 2.0)
}

/// Reads how long the provider asks to wait: `retry-after-ms`, or `retry-after` in
/// seconds or as a date.
pub(super) fn asked_wait(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    if let Some(ms) = text("retry-after-ms").and_then(|value| value.parse::<f64>().ok()) {
        return Duration::try_from_secs_f64(ms / 1000.0).ok();
    }
    let value = text("retry-after")?;
    if let Ok(seconds) = value.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
    Some(SystemTime::from(date).duration_since(now).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        headers
    }

    #[track_caller]
    fn check_wait(name: &'static str, value: &str, expected: Option<Duration>) {
        // 2015-10-21 07:28:00 UTC
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_445_412_480);
        assert_eq!(asked_wait(&headers(name, value), now), expected);
    }

    #[test]
    fn wait_is_read_in_every_spelling() {
        check_wait("retry-after", "7", Some(Duration::from_secs(7)));
        check_wait("retry-after", " 0.5 ", Some(Duration::from_millis(500)));
        check_wait("retry-after-ms", "250", Some(Duration::from_millis(250)));
        check_wait("retry-after", "Wed, 21 Oct 2015 07:28:30 GMT", Some(Duration::from_secs(30)));
        check_wait("retry-after", "Wed, 21 Oct 2015 07:27:00 GMT", Some(Duration::ZERO));
    }

    #[test]
    fn nonsense_wait_is_no_wait() {
        check_wait("retry-after", "soon", None);
        check_wait("retry-after", "-1", None);
        check_wait("retry-after", "NaN", None);
        check_wait("retry-after", "1e300", None);
        check_wait("x-other", "1", None);
    }

    #[test]
    fn back_off_doubles_up_to_a_limit() {
        assert_eq!(back_off(0, 1.0), FIRST_WAIT);
        assert_eq!(back_off(0, 0.0), FIRST_WAIT / 2);
        assert_eq!(back_off(2, 1.0), FIRST_WAIT * 4);
        assert_eq!(back_off(u32::MAX, 1.0), LONGEST_WAIT);
    }

    fn refused() -> ModelError {
        ModelError::Garbled("no".into())
    }

    #[tokio::test]
    async fn attempts_end_with_the_retries() {
        let asked = Cell::new(0);
        let result = retry("m", 2, Instant::now() + Duration::from_secs(60), || {
            asked.set(asked.get() + 1);
            async { Err::<(), _>(Failure { error: refused(), remedy: Remedy::Wait(Duration::ZERO) }) }
        })
        .await;
        assert!(result.is_err());
        assert_eq!(asked.get(), 3);
    }

    #[tokio::test]
    async fn wait_past_the_deadline_is_not_begun() {
        let result = retry("m", 5, Instant::now() + Duration::from_secs(5), || async {
            Err::<(), _>(Failure { error: refused(), remedy: Remedy::Wait(Duration::from_secs(30)) })
        });
        assert!(tokio::time::timeout(Duration::from_secs(2), result).await.unwrap().is_err());
    }

    #[tokio::test]
    async fn final_failure_is_not_repeated() {
        let asked = Cell::new(0);
        let result = retry("m", 5, Instant::now() + Duration::from_secs(60), || {
            asked.set(asked.get() + 1);
            async { Err::<(), _>(Failure::last(refused())) }
        })
        .await;
        assert!(result.is_err());
        assert_eq!(asked.get(), 1);
    }
}
