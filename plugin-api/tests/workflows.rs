//! Workflows: what a graph says to the host, how a node's code ends, whole runs in process.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use hotbay_plugin::{
    RetryHint,
    manifest::WorkflowManifest,
    prelude::*,
    testing::{End, TestHost, TestPlugin},
};

#[derive(Serialize, Deserialize, JsonSchema)]
struct Num {
    value: i64,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Count {
    count: u32,
}

#[step(id = "add-one", on_recover = "fail")]
async fn add_one(num: Num) -> Result<Num> {
    Ok(Num { value: num.value + 1 })
}

#[step(state = Count, untyped_output)]
async fn count(ctx: &Ctx, input: Value) -> Result<Value> {
    let Count { count } = ctx.workflow_state().await?;
    ctx.set_workflow_state(&Count { count: count + 1 }).await?;
    Ok(input)
}

#[step(id = "ask", suspend = Num, resume = Num)]
async fn ask(ctx: &Ctx, num: Num) -> Result<Num> {
    match ctx.resume_data::<Num>()? {
        Some(more) => {
            let asked: Option<Num> = ctx.suspend_payload()?;
            Ok(Num { value: asked.unwrap_or(num).value + more.value })
        }
        None if num.value > 100 => ctx.suspend_with_labels(["big", "huge"], &num),
        None if num.value > 10 => ctx.suspend_labelled("middle", &num),
        None => ctx.suspend(&num),
    }
}

#[step]
async fn guard(ctx: &Ctx, num: Num) -> Result<Num> {
    match num.value {
        0.. => Ok(num),
        -9..0 => ctx.tripwire("negative"),
        _ => {
            let options = TripwireOptions { retry: true, metadata: Some(json!({ "value": num.value })) };
            ctx.tripwire_with("far too negative", options)
        }
    }
}

#[step]
async fn leave(ctx: &Ctx, _: Num) -> Result<Num> {
    ctx.bail(&json!({ "value": 7 }))
}

#[step]
async fn third_time(ctx: &Ctx, num: Num) -> Result<Num> {
    match (num.value, ctx.attempt()) {
        (0, _) => Err(Error::new("never").permanent()),
        (_, 1) => Err(Error::new("the first attempt")),
        (_, 2) => Err(Error::new("the second attempt").retry_after(Duration::from_secs(3))),
        _ => Ok(num),
    }
}

#[step(untyped_output)]
async fn who(ctx: &Ctx, _: Value) -> Result<Value> {
    Ok(json!([ctx.workflow_id(), ctx.step_id(), ctx.idempotency_key()]))
}

#[step]
async fn writes(ctx: &Ctx, num: Num) -> Result<Num> {
    ctx.emit(&json!({ "type": "progress", "value": 50 })).await?;
    ctx.emit(&json!({ "type": "data-progress", "data": { "value": 75 } })).await?;
    Ok(num)
}

/// Writes from a tool.
#[tool(id = "writing-tool")]
async fn writing_tool(ctx: &Ctx, num: Num) -> Result<Num> {
    assert_eq!(ctx.step_id(), None, "a tool does not know who calls it");
    ctx.emit(&json!({ "type": "data-tool", "data": num.value })).await?;
    Ok(num)
}

#[workflow]
fn policies() -> Workflow {
    Workflow::new("policies")
        .retries(Retry::times(3).delay(Duration::from_millis(10)).max_delay(Duration::from_secs(1)))
        .schedule(Schedule::cron("0 9 * * *").timezone("Europe/Paris").input(&Num { value: 1 }))
        .concurrency(Concurrency::max(10).per_key("resourceId", 2).queue(100))
        .then(add_one)
        .then(add_one().id("again").on_recover(Recover::Suspend))
        .then(Node::tool("elsewhere").on_recover(Recover::Retry).timeout(Duration::from_secs(1)))
        .then(count)
}

#[workflow]
fn plain() -> Workflow {
    Workflow::new("plain").then(guard)
}

#[workflow]
fn asking() -> Workflow {
    Workflow::new("asking").then(ask).then(add_one)
}

#[workflow]
fn flaky() -> Workflow {
    Workflow::new("flaky").retries(Retry::times(1)).then(third_time().retries(Retry::times(2)))
}

#[workflow]
fn flaky_by_default() -> Workflow {
    Workflow::new("flaky-by-default").retries(Retry::times(1)).then(third_time)
}

#[workflow]
fn inner() -> Workflow {
    Workflow::new("inner").internal().then(who().id("me")).map(|_: Value| Ok(Num { value: 5 })).then(leave).then(ask)
}

#[workflow]
fn everything() -> Workflow {
    Workflow::new("everything")
        .state::<Count>()
        .then(add_one)
        .then(count)
        .parallel(Parallel::new().and(writes).and(writing_tool).and(Node::tool("elsewhere")))
        .map_async(|ctx: Ctx, both: Value| async move {
            let input: Num = ctx.workflow_input().await?;
            let first: Option<Num> = ctx.step_result("add-one").await?;
            assert_eq!(both["elsewhere"], json!("from elsewhere"));
            Ok(Num { value: input.value + first.map_or(0, |first| first.value) })
        })
        .branch(
            Branch::new()
                .when(|num: Num| num.value > 2, add_one().id("big"))
                .when(|num: Num| num.value <= 2, add_one().id("small")),
        )
        .map(|taken: Value| Ok(taken["big"].clone()))
        .dountil(add_one().id("up"), |num: Num| num.value >= 8)
        .dowhile(add_one().id("further"), |num: Num| num.value < 10)
        .then(inner)
        .map(|num: Num| Ok((0..num.value).map(|value| Num { value }).collect::<Vec<_>>()))
        .sleep(Duration::from_secs(3600))
        .foreach(add_one().id("each"), 2)
        .map(|nums: Vec<Num>| Ok(json!({ "prompt": nums.len().to_string() })))
        .then(Node::agent("critic"))
}

fn opened(host: &TestHost) -> TestPlugin {
    let plugin = Plugin::new("flows", "0.0.0")
        .tool(writing_tool)
        .workflow(plain)
        .workflow(asking)
        .workflow(flaky)
        .workflow(flaky_by_default)
        .workflow(inner)
        .workflow(everything)
        .workflow(|| Workflow::new("who").then(who).then(who().id("who-else")).then(who().id("who-else")))
        .workflow(|| Workflow::new("writes").then(writes).then(writing_tool));
    host.open(plugin, &json!({})).unwrap()
}

#[test]
fn policies_are_written_where_a_host_looks() {
    let manifest = serde_json::to_value(policies().manifest()).unwrap();
    assert_eq!(
        manifest["retries"],
        json!({ "attempts": 3, "delayMs": 10, "factor": 1.0, "maxDelayMs": 1000, "jitter": false })
    );
    assert_eq!(
        manifest["schedule"],
        json!({ "cron": "0 9 * * *", "timezone": "Europe/Paris", "input": { "value": 1 } })
    );
    assert_eq!(manifest["concurrency"], json!({ "max": 10, "key": "resourceId", "maxPerKey": 2, "queue": 100 }));
    let nodes = &manifest["graph"]["nodes"];
    assert_eq!(nodes[0]["onRecover"], "fail");
    assert_eq!(nodes[1]["onRecover"], "suspend");
    let tool = json!({
        "type": "tool", "id": "elsewhere", "tool": "elsewhere", "onRecover": "retry", "timeoutMs": 1000,
    });
    assert_eq!(nodes[2], tool);
    assert_eq!(nodes[3]["stateSchema"]["properties"]["count"]["type"], "integer");
    let again: WorkflowManifest = serde_json::from_value(manifest).unwrap();
    assert_eq!(again, policies().manifest());
}

#[test]
fn what_is_not_said_is_not_written() {
    let manifest = serde_json::to_value(plain().manifest()).unwrap();
    for key in ["retries", "schedule", "concurrency", "internal"] {
        assert!(manifest.get(key).is_none(), "{key}: {manifest}");
    }
    for key in ["onRecover", "stateSchema", "retries"] {
        assert!(manifest["graph"]["nodes"][0].get(key).is_none(), "{key}: {manifest}");
    }
    assert_eq!(serde_json::to_value(inner().manifest()).unwrap()["internal"], true);
    // What an older plugin wrote.
    let older: WorkflowManifest = serde_json::from_value(json!({ "id": "old", "graph": { "nodes": [] } })).unwrap();
    assert_eq!((older.retries, older.schedule, older.concurrency, older.internal), (None, None, None, false));
}

#[test]
fn schedule_and_limits_may_say_little() {
    let little = Workflow::new("w")
        .schedule(Schedule::cron("* * * * *"))
        .concurrency(Concurrency::unlimited().per_key("a.b", 1));
    let manifest = serde_json::to_value(little.manifest()).unwrap();
    assert_eq!(manifest["schedule"], json!({ "cron": "* * * * *" }));
    assert_eq!(manifest["concurrency"], json!({ "key": "a.b", "maxPerKey": 1 }));
}

#[test]
fn step_suspends_under_its_labels() {
    let plugin = opened(&TestHost::new());
    let suspended = |value: i64| {
        let outcome = plugin.workflow_node("asking", "ask").run(&Num { value }).unwrap();
        assert_eq!(outcome.end, End::Suspended(json!({ "value": value })));
        outcome.resume_labels
    };
    assert!(suspended(1).is_empty());
    assert_eq!(suspended(11), ["middle"]);
    assert_eq!(suspended(101), ["big", "huge"]);
    let call = plugin.workflow_node("asking", "ask").resume(json!({ "value": 1 }));
    let resumed = call.suspend_payload(json!({ "value": 50 })).run(&Num { value: 11 }).unwrap();
    assert_eq!(resumed, json!({ "value": 51 }));
}

#[test]
fn tripwire_says_why() {
    let plugin = opened(&TestHost::new());
    let run = |value: i64| plugin.workflow("plain").run(&Num { value }).unwrap().end;
    assert_eq!(run(1), End::Value(json!({ "value": 1 })));
    assert_eq!(run(-1), End::Tripped(json!({ "reason": "negative" })));
    assert_eq!(
        run(-10),
        End::Tripped(json!({ "reason": "far too negative", "retry": true, "metadata": { "value": -10 } }))
    );
    let error = plugin.workflow_node("plain", "guard").run(&Num { value: -1 }).unwrap().value::<Value>().unwrap_err();
    assert!(error.message.contains("negative"), "{error}");
}

#[test]
fn errors_say_whether_to_repeat() {
    let plugin = opened(&TestHost::new());
    let attempt = |attempt: u32, value: i64| {
        plugin.workflow_node("flaky", "third_time").attempt(attempt).run(&Num { value }).unwrap_err()
    };
    assert_eq!(attempt(1, 0).retry_hint(), RetryHint::Never);
    assert_eq!(attempt(1, 1).retry_hint(), RetryHint::Policy);
    assert_eq!(attempt(2, 1).retry_hint(), RetryHint::After(Duration::from_secs(3)));

    let run = |workflow: &str, value: i64| plugin.workflow(workflow).run(&Num { value });
    assert_eq!(run("flaky", 1).unwrap().end, End::Value(json!({ "value": 1 })));
    assert_eq!(run("flaky", 0).unwrap_err().message, "never");
    assert_eq!(run("flaky-by-default", 1).unwrap_err().message, "the second attempt");
}

#[test]
fn code_knows_under_which_id_it_runs() {
    let plugin = opened(&TestHost::new());
    let results = plugin.workflow("who").run(&json!({})).unwrap().results;
    assert_eq!(results["who"], json!(["who", "who", "test-run/who/1"]));
    assert_eq!(results["who-else"], json!(["who", "who-else", "test-run/who-else/2"]));
}

#[test]
fn steps_and_tool_nodes_stream_chunks() {
    let outcome = opened(&TestHost::new()).workflow("writes").run(&Num { value: 3 }).unwrap();
    assert_eq!(
        outcome.chunks,
        [
            json!({ "type": "progress", "value": 50 }),
            json!({ "type": "data-progress", "data": { "value": 75 } }),
            json!({ "type": "data-tool", "data": 3 }),
        ]
    );
}

#[test]
fn run_suspends_until_it_has_an_answer() {
    let plugin = opened(&TestHost::new());
    let waiting = plugin.workflow("asking").run(&Num { value: 11 }).unwrap();
    assert_eq!(waiting.end, End::Suspended(json!({ "value": 11 })));
    assert_eq!((waiting.resume_labels, waiting.results.len()), (vec!["middle".to_owned()], 0));
    let ended = plugin.workflow("asking").resume("ask", json!({ "value": 5 })).run(&Num { value: 11 }).unwrap();
    assert_eq!(ended.end, End::Value(json!({ "value": 17 })));
}

#[test]
fn whole_run_walks_every_kind_of_node() {
    let host = TestHost::new()
        .workflow_state(json!({ "count": 1 }))
        .tool("elsewhere", |_| Ok(json!("from elsewhere")))
        .agent("critic", |messages| Ok(AgentAnswer::text(format!("{} is enough", messages[0].text()))));
    let outcome = opened(&host).workflow("everything").run(&Num { value: 1 }).unwrap();
    assert_eq!(outcome.end, End::Value(json!({ "text": "7 is enough" })));
    assert_eq!(host.state(), Some(json!({ "count": 2 })));
    let results = outcome.results;
    assert_eq!(results["big"], json!({ "value": 4 }));
    assert!(!results.contains_key("small"));
    assert_eq!((&results["up"], &results["further"]), (&json!({ "value": 8 }), &json!({ "value": 10 })));
    assert_eq!(results["inner.me"], json!(["inner", "me", "test-run/inner.me/1"]));
    assert_eq!(results["inner"], json!({ "value": 7 }), "bailing ends the inner run only");
    assert!(!results.contains_key("inner.ask"));
    assert_eq!(results["each"].as_array().unwrap().len(), 7);
}

#[test]
fn run_that_cannot_go_on_says_why() {
    let plugin = Plugin::new("loops", "0.0.0").workflow(|| Workflow::new("for-ever").foreach(add_one, 1));
    let plugin = TestHost::new().open(plugin, &json!({})).unwrap();
    let error = plugin.workflow("for-ever").run(&json!({})).unwrap_err();
    assert!(error.message.contains("goes over an array"), "{error}");
    let error = plugin.workflow("nowhere").run(&json!({})).unwrap_err();
    assert_eq!(error.message, "the plugin has no workflow `nowhere`");
}
