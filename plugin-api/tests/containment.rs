//! Panics, cancellation, slow readers and wrong input stay inside a plugin's guards.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use hotbay_plugin::{
    abi::{
        CallCtx, ChunkSink, ChunkSink_TO, SinkArc,
        abi_stable::{
            sabi_trait::TD_Opaque,
            std_types::{RArc, ROption, RSlice, RVec},
        },
        async_ffi::{FfiFuture, FutureExt},
        push,
    },
    error::code,
    manifest::Manifest,
    prelude::*,
    testing::{TestHost, call_tool},
};

#[tool(untyped_output)]
async fn panics() -> Result<()> {
    panic!("the tool is broken");
}

#[tool(untyped_output)]
async fn panics_later(ctx: &Ctx) -> Result<()> {
    ctx.sleep(Duration::from_millis(1)).await;
    let number: u32 = ctx.request_value("number")?.expect("a number");
    Err(Error::new(format!("unreachable {number}")))
}

struct PanicsOnDrop;

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        panic!("the drop is broken");
    }
}

#[tool(untyped_output)]
async fn waits_with_bad_drop() -> Result<()> {
    let _bad = PanicsOnDrop;
    std::future::pending::<()>().await;
    Ok(())
}

#[tool(untyped_output)]
async fn ends_with_bad_drop() -> Result<u32> {
    let _bad = PanicsOnDrop;
    Ok(1)
}

#[tool(untyped_output)]
async fn panics_with_a_payload_that_panics() -> Result<()> {
    std::panic::panic_any(PanicsOnDrop);
}

#[tool(blocking, untyped_output)]
fn panics_on_its_thread() -> Result<()> {
    panic!("not even asynchronous");
}

#[tool(untyped_output)]
async fn panics_in_blocking_code(ctx: &Ctx) -> Result<()> {
    ctx.blocking(|| panic!("blocking code is broken")).await
}

#[track_caller]
fn check_panic(tool: fn() -> Tool, expected: &str) {
    let error = call_tool(tool, &json!({})).unwrap_err();
    assert_eq!(error.code, code::PANIC, "{}", error.message);
    assert!(error.message.starts_with(expected), "{}", error.message);
    assert!(error.message.contains("containment.rs:"), "no location: {}", error.message);
}

#[test]
fn panic_becomes_an_error_with_its_location() {
    check_panic(panics, "the tool is broken at ");
    check_panic(panics_later, "a number at ");
    check_panic(ends_with_bad_drop, "the drop is broken at ");
    check_panic(panics_on_its_thread, "not even asynchronous at ");
    check_panic(panics_in_blocking_code, "blocking code is broken at ");
    check_panic(panics_with_a_payload_that_panics, "the panic carries no text at ");
}

#[test]
fn panic_is_logged_at_the_host() {
    let host = TestHost::new();
    let plugin = host.open(Plugin::new("broken", "0.0.0").tool(panics), &json!({})).unwrap();
    plugin.tool("panics").run(&json!({})).unwrap_err();
    let logs = host.logs();
    assert_eq!(logs.len(), 1, "{logs:?}");
    assert_eq!((logs[0].level, logs[0].target.as_str()), (Level::Error, "broken"));
    assert!(logs[0].fields["panic.message"].as_str().unwrap().contains("the tool is broken"), "{logs:?}");
}

fn ctx(sink: Option<SinkArc>) -> CallCtx {
    let sink = match sink {
        Some(sink) => ROption::RSome(sink),
        None => ROption::RNone,
    };
    CallCtx { call_id: 7, deadline_ms: 0, sink, meta_json: RVec::new() }
}

/// Polls a future once, as the host does, and says whether it is pending.
fn is_pending<T>(future: &mut FfiFuture<T>) -> bool {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    Pin::new(future).poll(&mut cx).is_pending()
}

#[test]
fn panic_in_the_drop_of_a_cancelled_call_is_contained_and_logged() {
    let host = TestHost::new();
    let boxed = Plugin::new("bad-drop", "0.0.0").tool(waits_with_bad_drop).open_in_process(&host).unwrap();
    let tool = boxed.tool("waits_with_bad_drop".into()).unwrap();
    let mut future = tool.call(ctx(None), b"{}".to_vec().into());
    assert!(is_pending(&mut future));
    drop(future);
    assert!(host.logs().iter().any(|log| log.fields.to_string().contains("the drop is broken")), "{:?}", host.logs());
}

#[derive(Clone, Default)]
struct Seen(Arc<AtomicBool>);

#[tool(untyped_output)]
async fn starts_a_task(ctx: &Ctx) -> Result<()> {
    let seen = ctx.state::<Seen>().clone();
    let ctx = ctx.clone();
    let task = tokio_spawn(async move {
        ctx.cancelled().await;
        seen.0.store(ctx.is_cancelled(), Ordering::SeqCst);
    });
    task.await?;
    Ok(())
}

/// Spawns on the plugin's runtime, which every poll enters.
#[expect(clippy::disallowed_methods, reason = "an author's plugin has no `Tasks`")]
fn tokio_spawn(future: impl Future<Output = ()> + Send + 'static) -> tokio::task::JoinHandle<()> {
    tokio::spawn(future)
}

fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(std::time::Instant::now() < deadline, "{what} did not happen");
        std::thread::yield_now();
    }
}

#[test]
fn dropping_a_call_tells_the_tasks_it_started() {
    let seen = Seen::default();
    let state = seen.clone();
    let plugin = Plugin::new("spawns", "0.0.0").tool(starts_a_task).open(move |_| {
        let state = state.clone();
        async move { Ok(state) }
    });
    let boxed = plugin.open_in_process(&TestHost::new()).unwrap();
    let tool = boxed.tool("starts_a_task".into()).unwrap();
    let mut future = tool.call(ctx(None), b"{}".to_vec().into());
    assert!(is_pending(&mut future));
    assert!(!seen.0.load(Ordering::SeqCst));
    drop(future);
    eventually("the cancellation", || seen.0.load(Ordering::SeqCst));
}

/// A reader that takes a chunk only when the test lets it.
#[derive(Clone, Default)]
struct SlowReader(Arc<Slow>);

#[derive(Default)]
struct Slow {
    room: AtomicUsize,
    is_closed: AtomicBool,
    taken: Mutex<Vec<String>>,
}

impl ChunkSink for SlowReader {
    fn push(&self, chunk: RSlice<'_, u8>) -> u8 {
        if self.0.is_closed.load(Ordering::SeqCst) {
            return push::CLOSED;
        }
        if self.0.room.load(Ordering::SeqCst) == 0 {
            return push::FULL;
        }
        self.0.room.fetch_sub(1, Ordering::SeqCst);
        self.0.taken.lock().unwrap().push(String::from_utf8(chunk.to_vec()).unwrap());
        push::OK
    }

    fn ready(&self) -> FfiFuture<bool> {
        let slow = Arc::clone(&self.0);
        poll_fn(move |_| {
            if slow.is_closed.load(Ordering::SeqCst) {
                return Poll::Ready(false);
            }
            if slow.room.load(Ordering::SeqCst) > 0 { Poll::Ready(true) } else { Poll::Pending }
        })
        .into_ffi()
    }
}

#[tool(untyped_output)]
async fn emits_three(ctx: &Ctx) -> Result<&'static str> {
    for number in 1..=3 {
        ctx.emit(&number).await?;
    }
    Ok("done")
}

#[test]
fn slow_reader_makes_the_plugin_wait_and_a_closed_one_ends_the_call() {
    let boxed = Plugin::new("emits", "0.0.0").tool(emits_three).open_in_process(&TestHost::new()).unwrap();
    let tool = boxed.tool("emits_three".into()).unwrap();
    let reader = SlowReader::default();
    let sink = || ChunkSink_TO::from_ptr(RArc::new(reader.clone()), TD_Opaque);

    let mut future = tool.call(ctx(Some(sink())), b"{}".to_vec().into());
    assert!(is_pending(&mut future), "nothing was read yet");
    reader.0.room.store(2, Ordering::SeqCst);
    assert!(is_pending(&mut future), "there was room for two of three");
    assert_eq!(*reader.0.taken.lock().unwrap(), ["1", "2"]);
    reader.0.room.store(1, Ordering::SeqCst);
    assert!(!is_pending(&mut future));

    let mut future = tool.call(ctx(Some(sink())), b"{}".to_vec().into());
    assert!(is_pending(&mut future));
    reader.0.is_closed.store(true, Ordering::SeqCst);
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let Poll::Ready(reply) = Pin::new(&mut future).poll(&mut cx) else { panic!("the call waits for a closed reader") };
    assert_eq!(reply.into_result().err().unwrap().code, code::CANCELLED);
}

#[test]
fn open_and_shutdown_that_panic_are_errors() {
    let plugin =
        Plugin::new("no-open", "0.0.0").open(|_| async { if true { panic!("open is broken") } else { Ok(()) } });
    let error = TestHost::new().open(plugin, &json!({})).unwrap_err();
    assert_eq!(error.code, code::PANIC);
    assert!(error.message.starts_with("open is broken at "), "{}", error.message);

    let plugin = Plugin::new("no-end", "0.0.0").shutdown(|_| async { panic!("shutdown is broken") });
    let error = TestHost::new().open(plugin, &json!({})).unwrap().shutdown().unwrap_err();
    assert_eq!(error.code, code::PANIC);
    assert!(error.message.starts_with("shutdown is broken at "), "{}", error.message);
}

#[test]
fn state_that_panics_on_drop_is_contained() {
    let plugin = Plugin::new("bad-state", "0.0.0").open(|_| async { Ok(PanicsOnDrop) });
    drop(TestHost::new().open(plugin, &json!({})).unwrap());
}

#[test]
fn unknown_name_is_unsupported_and_says_which() {
    let plugin = TestHost::new().open(Plugin::new("empty", "0.0.0"), &json!({})).unwrap();
    let error = plugin.tool("ghost").run(&json!({})).unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (code::UNSUPPORTED, "plugin `empty` has no tool `ghost`"));
}

#[derive(Deserialize, JsonSchema)]
struct Place {
    city: City,
}

#[derive(Deserialize, JsonSchema)]
struct City {
    name: String,
}

#[tool(untyped_output)]
async fn greet(place: Place) -> Result<String> {
    Ok(place.city.name)
}

#[test]
fn input_that_does_not_fit_names_the_field() {
    let error = call_tool(greet, &json!({ "city": { "name": 1 } })).unwrap_err();
    assert_eq!(error.code, code::INPUT);
    assert!(error.message.contains("`city.name`"), "{}", error.message);
    assert_eq!(error.detail["field"], "city.name");
    let error = call_tool(greet, &json!({ "city": {} })).unwrap_err();
    assert!(error.message.contains("missing field `name`"), "{}", error.message);
}

#[test]
fn plugin_that_cannot_describe_itself_says_why() {
    fn twice() -> Plugin {
        Plugin::new("twice", "0.0.0").tool(greet).tool(greet)
    }
    let manifest: Manifest = serde_json::from_slice(&hotbay_plugin::export::manifest(twice)).unwrap();
    let error = manifest.error.unwrap();
    assert!(error.starts_with("plugin `twice` has two tools with the id `greet`: rename one at "), "{error}");
}
