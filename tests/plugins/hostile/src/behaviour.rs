//! What the tools do.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    thread,
    time::Duration,
};

use hotbay_plugin::{
    Error,
    abi::{
        CallCtx, Reply,
        abi_stable::std_types::{ROption, RSlice, RStr},
        push,
    },
    error::code,
};
use serde_json::{Value, json};

use crate::{Shared, fault};

/// A tool that behaves as its name says.
pub(crate) struct Behaviour {
    pub(crate) name: String,
    pub(crate) shared: Arc<Shared>,
}

type Started = Pin<Box<dyn Future<Output = Result<Reply, Error>> + Send>>;

impl Behaviour {
    pub(crate) fn start(&self, ctx: CallCtx, input: Vec<u8>) -> Result<Started, Error> {
        assert!(self.name != "panic_call", "boom in call");
        let (name, shared) = (self.name.clone(), Arc::clone(&self.shared));
        Ok(Box::pin(async move {
            let input: Value = serde_json::from_slice(&input).unwrap_or(Value::Null);
            let ms = input.get("ms").and_then(Value::as_u64).unwrap_or_default();
            let output = match name.as_str() {
                "sleep" => {
                    sleep(Duration::from_millis(ms)).await;
                    input
                }
                "sleep_long" => {
                    sleep(Duration::from_millis(ms * 20)).await;
                    input
                }
                "block" => {
                    block(Duration::from_millis(ms));
                    input
                }
                "forever" => forever(),
                "panic_poll" => panic!("boom in poll"),
                "panic_drop" => {
                    let _bomb = Bomb;
                    std::future::pending().await
                }
                "pending" => std::future::pending().await,
                "fail" => {
                    let error = Error::input("`city` is missing").retryable().detail(json!({"field": "city"}));
                    return Err(error);
                }
                "stream" => stream(&ctx, input.get("count").and_then(Value::as_u64).unwrap_or(3)).await,
                "ask" => ask(&shared, &ctx, &input).await?,
                "log" => {
                    let (target, fields) = (RStr::from_str("hostile"), RSlice::from_slice(b"{\"n\":1}"));
                    shared.host.log(ctx.call_id, 30, target, RStr::from_str("hello from the plugin"), fields);
                    Value::Null
                }
                "log_bytes" => {
                    let (target, fields) =
                        (RStr::from_str("hostile"), RSlice::from_slice(b"{\"city\":\"R\xff\xfeme\",\"n\":1}"));
                    shared.host.log(ctx.call_id, 30, target, RStr::from_str("these are no letters"), fields);
                    Value::Null
                }
                other => match fault::commit(other, ctx.call_id, &input) {
                    Some(output) => output?,
                    None => input,
                },
            };
            let kind = u32::from(name == "suspend");
            let meta = json!({"deadlineMs": ctx.deadline_ms}).to_string().into_bytes();
            let body = json!({"build": shared.build, "output": output}).to_string().into_bytes();
            Ok(Reply { kind, flags: 0, body: body.into(), meta_json: meta.into() })
        }))
    }
}

/// Behaves in `open` or `shutdown` as the configuration says.
pub(crate) fn act(place: &str, how: &str) -> Result<(), Error> {
    match how {
        "panic" => panic!("boom in {place}"),
        "fail" => Err(Error::new(format!("{place} does not want to"))),
        "config" => Err(Error::with_code(code::CONFIG, "the key is not one of ours")),
        "forever" => forever(),
        "abort" => std::process::abort(),
        _ => Ok(()),
    }
}

/// Panics when dropped, as far as its future's glue lets it: an unguarded panic in a future's
/// drop ends the process, so it is caught here as the SDK does.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        drop(std::panic::catch_unwind(|| panic!("boom in drop")));
    }
}

fn forever() -> ! {
    loop {
        thread::park();
    }
}

#[expect(clippy::disallowed_methods, reason = "blocking is what this is for")]
fn block(time: Duration) {
    thread::sleep(time);
}

/// Waits without blocking: a thread wakes the task.
async fn sleep(time: Duration) {
    let done = Arc::new(AtomicBool::new(false));
    let mut started = false;
    poll_fn(move |cx| {
        if done.load(Ordering::SeqCst) {
            return Poll::Ready(());
        }
        if !started {
            started = true;
            let (done, waker) = (Arc::clone(&done), cx.waker().clone());
            thread::spawn(move || {
                block(time);
                done.store(true, Ordering::SeqCst);
                waker.wake();
            });
        }
        Poll::Pending
    })
    .await;
}

/// Writes `count` chunks, waiting when there is no room; returns how many were taken.
async fn stream(ctx: &CallCtx, count: u64) -> Value {
    let ROption::RSome(sink) = &ctx.sink else { return json!({"sent": 0, "sink": false}) };
    for index in 0..count {
        let chunk = index.to_string().into_bytes();
        while sink.push(RSlice::from_slice(&chunk)) != push::OK {
            if !sink.ready().await {
                return json!({"sent": index, "closed": true});
            }
        }
    }
    json!({"sent": count})
}

/// Sends a request to the host: `op` and `body` of the input.
async fn ask(shared: &Shared, ctx: &CallCtx, input: &Value) -> Result<Value, Error> {
    let op = input.get("op").and_then(Value::as_str).unwrap_or("echo");
    let body = input.get("body").cloned().unwrap_or(Value::Null).to_string().into_bytes();
    let answer = shared.host.request(ctx.call_id, RStr::from_str(op), body.into(), ROption::RNone).await;
    let answer = answer.into_result().map_err(Error::from)?;
    Ok(serde_json::from_slice(&answer)?)
}
