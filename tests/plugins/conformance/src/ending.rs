//! What the suite does not ask: whether a call ends that nobody waits for any more.

use std::sync::atomic::{AtomicU64, Ordering};

use hotbay_plugin::{mcp::Content, prelude::*};

/// How many calls that wait for ever were ended from outside.
static ENDED: AtomicU64 = AtomicU64::new(0);

/// Counts a call that is given up: its future is dropped where it stands.
struct Counted;

impl Drop for Counted {
    fn drop(&mut self) {
        ENDED.fetch_add(1, Ordering::Relaxed);
    }
}

#[tool(description = "Says that it has begun, and never ends by itself")]
pub(crate) async fn test_waiting(ctx: &Ctx) -> Result<Content> {
    let _counted = Counted;
    ctx.progress(1.0, None, None).await?;
    std::future::pending().await
}

#[tool(description = "Says how many calls of test_waiting were ended")]
pub(crate) async fn test_ended() -> Result<Content> {
    Ok(Content::text(ENDED.load(Ordering::Relaxed).to_string()))
}
