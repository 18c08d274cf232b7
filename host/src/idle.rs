//! Memory that a host needs while something goes on goes back when nothing does.
//!
//! What the start needed is given back soon after it, and what a load needed once nothing has
//! been recorded and no plugin called for a while. It costs milliseconds, and the request that
//! comes next about one.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// When a host that began to answer is done with what its start does in the background.
const STARTED: Duration = Duration::from_secs(2);
/// How often it is asked whether anything has happened.
const LOOK: Duration = Duration::from_secs(15);
/// After so many times with nothing, memory is given back. By then what was recorded is in the
/// index, and what wrote it is let go.
const QUIET: u32 = 4;

/// Gives memory back whenever nothing goes on, until it is cancelled. `activity` is a number that
/// grows when something happens; `give_back` may block.
pub(crate) async fn keep(
    activity: impl Fn() -> u64,
    give_back: impl Fn() + Clone + Send + 'static,
    cancel: CancellationToken,
) {
    let work = async {
        sleep(STARTED).await;
        away(give_back.clone()).await;
        let (mut before, mut quiet) = (activity(), 0);
        loop {
            sleep(LOOK).await;
            let now = activity();
            quiet = if now == before { quiet + 1 } else { 0 };
            before = now;
            if quiet == QUIET {
                away(give_back.clone()).await;
            }
        }
    };
    cancel.run_until_cancelled(work).await;
}

/// Does what blocks away from the async threads.
async fn away(work: impl FnOnce() + Send + 'static) {
    if let Err(error) = tokio::task::spawn_blocking(work).await {
        tracing::warn!(%error, "memory was not given back");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    };

    use super::*;
    use crate::tasks::Tasks;

    #[tokio::test(start_paused = true)]
    async fn memory_goes_back_after_the_start_and_once_after_each_load() {
        let (happened, given_back) = (Arc::new(AtomicU64::new(1)), Arc::new(AtomicU64::new(0)));
        let (asked, counted) = (Arc::clone(&happened), Arc::clone(&given_back));
        let give_back = move || {
            counted.fetch_add(1, SeqCst);
        };
        let tasks = Tasks::default();
        tasks.spawn("idle", |cancel| keep(move || asked.load(SeqCst), give_back, cancel));
        let quiet = LOOK * QUIET;
        // Times between those it wakes at.
        let moment = Duration::from_secs(1);
        let after = async |time: Duration| {
            sleep(time).await;
            given_back.load(SeqCst)
        };
        assert_eq!(after(STARTED - moment).await, 0);
        assert_eq!(after(moment * 2).await, 1);
        assert_eq!(after(quiet - moment * 2).await, 1);
        assert_eq!(after(moment * 2).await, 2, "nothing has happened since the start");
        assert_eq!(after(quiet * 10).await, 2, "nor since then");
        for load in 1..=3 {
            for _ in 0..10 {
                happened.fetch_add(1, SeqCst);
                assert_eq!(after(LOOK).await, 1 + load);
            }
            assert_eq!(after(quiet).await, 2 + load);
        }
        tasks.shut_down(moment).await;
    }
}
