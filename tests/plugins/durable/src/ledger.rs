//! The ledger: one line of JSON for each beginning and each end of a body.
//!
//! `{"run", "workflow", "step", "key", "attempt", "at": "start"}`, and at the end also whether it
//! gave a value: `"at": "end", "ok": true`. A body that suspends, bails out or fails has `false`.

use std::{
    fs::{File, OpenOptions},
    future::Future,
    io::Write,
    time::Duration,
};

use hotbay_plugin::prelude::*;

/// A file that lines are added to.
pub(crate) struct Ledger(File);

impl Ledger {
    pub(crate) fn open(path: &str) -> Result<Self> {
        Ok(Self(OpenOptions::new().create(true).append(true).open(path)?))
    }

    fn add(&self, line: &Value) -> Result<()> {
        let line = format!("{line}\n");
        // One write a line: with `O_APPEND` no other process can come in between, and what the
        // kernel has taken outlives the process.
        let written = (&self.0).write(line.as_bytes())?;
        if written < line.len() {
            return Err(Error::new("the ledger has room for half a line only"));
        }
        Ok(())
    }
}

/// Runs a body between its two lines. `name` is for code that stands in no graph, `delay_ms` is
/// waited first.
pub(crate) async fn recorded<T>(
    ctx: &Ctx,
    name: &str,
    delay_ms: Option<u64>,
    body: impl Future<Output = Result<T>>,
) -> Result<T> {
    let ledger = ctx.state::<Ledger>();
    let line = |at: &str| {
        json!({
            "run": ctx.run_id(),
            "workflow": ctx.workflow_id(),
            "step": ctx.step_id().unwrap_or(name),
            "key": ctx.idempotency_key(),
            "attempt": ctx.attempt(),
            "at": at,
        })
    };
    ledger.add(&line("start"))?;
    pause(ctx, delay_ms).await;
    let result = body.await;
    let mut end = line("end");
    end["ok"] = result.is_ok().into();
    ledger.add(&end)?;
    result
}

/// Takes as long as the input asks.
pub(crate) async fn pause(ctx: &Ctx, delay_ms: Option<u64>) {
    if let Some(delay) = delay_ms {
        ctx.sleep(Duration::from_millis(delay)).await;
    }
}
