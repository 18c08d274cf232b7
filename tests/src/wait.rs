//! Waiting for a condition instead of for a length of time.

use std::panic::Location;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

const INTERVAL: Duration = Duration::from_millis(10);

/// Asks `check` until it gives a value, which is returned.
///
/// A condition without a value is written `condition.then_some(())`.
///
/// # Panics
///
/// When there is no value at the deadline; the message names the caller's line.
#[track_caller]
pub fn eventually<T, C, F>(deadline: Duration, mut check: C) -> impl Future<Output = T>
where
    C: FnMut() -> F,
    F: Future<Output = Option<T>>,
{
    let caller = Location::caller();
    async move {
        let end = Instant::now() + deadline;
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Some(value) = check().await {
                return value;
            }
            assert!(Instant::now() < end, "the condition at {caller} did not come true within {deadline:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn eventually_gives_the_first_value() {
        let mut asked = 0;
        let value = eventually(Duration::from_secs(5), || {
            asked += 1;
            let now = asked;
            async move { (now == 3).then_some(now) }
        });
        assert_eq!(value.await, 3);
    }

    #[tokio::test]
    async fn eventually_names_the_line_that_waited_in_vain() {
        let waiting = eventually(Duration::from_millis(1), || async { None::<()> });
        let panic = tokio::task::JoinSet::from_iter([waiting]).join_next().await.unwrap().unwrap_err().into_panic();
        let message = panic.downcast::<String>().unwrap();
        assert!(message.contains(file!()), "{message}");
    }
}
