//! Runs that are not straight: tools of the caller beside the host's, several approvals, answers
//! that do not fit, a deadline, an agent that runs itself.

use std::sync::Arc;

use hotbay_tests::{
    TestHost, eventually,
    host::Builder,
    openai_fake::{self, OpenAiFake, Reply, delta},
    plugin_host::{SOON, build_of, put},
};
use serde_json::{Value, json};
use tokio::sync::Notify;

fn reference() -> Builder {
    TestHost::builder().plugin("hotbay-test-reference")
}

async fn post(host: &TestHost, agent: &str, action: &str, body: &Value) -> Value {
    let (status, answer) = host.post_json(&format!("/api/agents/{agent}/{action}"), body).await.unwrap();
    assert_eq!(status, 200, "{body} is answered with {answer}");
    answer
}

/// A request whose model gives these answers in turn.
fn scripted(script: Value) -> Value {
    json!({"messages": "go", "model": "mock/script", "providerOptions": {"mock": {"script": script}}})
}

fn call(id: &str, tool: &str, input: Value) -> Value {
    json!({"toolCallId": id, "toolName": tool, "input": input})
}

fn client_tools() -> Value {
    let schema = json!({"type": "object", "properties": {"question": {"type": "string"}}});
    json!({"askUser": {"description": "Asks the person", "inputSchema": schema}})
}

fn ids(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|it| it["payload"]["toolCallId"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_step_with_tools_of_both_sides_runs_the_hosts_and_hands_the_callers_over() {
    let host = reference().start().await.unwrap();
    let step = json!({"toolCalls": [
        call("c1", "askUser", json!({"question": "Where?"})),
        call("c2", "weather", json!({"city": "Oslo"})),
    ]});
    let mut body = scripted(json!([step, {"text": "never said"}]));
    body["clientTools"] = client_tools();
    let answer = post(&host, "weather-agent", "generate", &body).await;
    assert_eq!((ids(&answer["toolCalls"]), ids(&answer["toolResults"])), (vec!["c1", "c2"], vec!["c2"]));
    assert_eq!((&answer["finishReason"], &answer["text"]), (&json!("tool-calls"), &json!("")));
    assert_eq!(answer["steps"].as_array().unwrap().len(), 1, "the model waits for the caller");
    assert_eq!(answer["toolResults"][0]["payload"]["result"]["city"], "Oslo");

    // The caller goes on with everything that was said, and its own answer.
    let said = answer["response"]["messages"].as_array().unwrap().clone();
    let result = json!({"type": "tool-result", "toolCallId": "c1", "toolName": "askUser",
        "output": {"type": "text", "value": "in the north"}});
    let mut messages = vec![json!({"role": "user", "content": "go"})];
    messages.extend(said);
    messages.push(json!({"role": "tool", "content": [result]}));
    let body = json!({"messages": messages, "model": "mock/script", "clientTools": client_tools()});
    let answer = post(&host, "weather-agent", "generate", &body).await;
    let text = answer["text"].as_str().unwrap();
    assert!(text.contains("askUser answered: in the north") && text.contains("weather answered"), "{text}");
}

#[tokio::test]
async fn an_approval_beside_a_callers_tool_ends_with_the_callers_turn() {
    let host = reference().start().await.unwrap();
    let step = json!({"toolCalls": [
        call("c1", "approvalTool", json!({"target": "a"})),
        call("c2", "askUser", json!({"question": "Where?"})),
    ]});
    let mut body = scripted(json!([step, {"text": "asked without an answer"}]));
    body["clientTools"] = client_tools();
    let answer = post(&host, "weather-agent", "generate", &body).await;
    assert_eq!(answer["finishReason"], "suspended");
    let decision = json!({"runId": answer["runId"], "toolCallId": "c1"});
    let answer = post(&host, "weather-agent", "approve-tool-call-generate", &decision).await;
    assert_eq!((ids(&answer["toolResults"]), &answer["text"]), (vec!["c1"], &json!("")), "{answer}");
    assert_eq!((&answer["finishReason"], answer["steps"].as_array().unwrap().len()), (&json!("tool-calls"), 1));
}

#[tokio::test]
async fn several_approvals_of_a_step_are_asked_one_by_one_and_each_call_runs_once() {
    let host = reference().start().await.unwrap();
    let step = json!({"toolCalls": [
        call("c1", "approvalTool", json!({"target": "a"})),
        call("c2", "weather", json!({"city": "Oslo"})),
        call("c3", "approvalTool", json!({"target": "b"})),
        call("c4", "approvalTool", json!({"target": "c"})),
    ]});
    let answer = post(&host, "weather-agent", "generate", &scripted(json!([step, {"text": "done"}]))).await;
    let run = answer["runId"].clone();
    let mut waits = answer["suspendPayload"]["toolCallId"].clone();
    for (expected, action, next) in [
        ("c1", "approve-tool-call-generate", Some("c3")),
        ("c3", "decline-tool-call-generate", Some("c4")),
        ("c4", "approve-tool-call-generate", None),
    ] {
        assert_eq!(waits, expected);
        let (status, refused) = host
            .post_json(&format!("/api/agents/weather-agent/{action}"), &json!({"runId": run, "toolCallId": "c2"}))
            .await
            .unwrap();
        assert_eq!(status, 409, "c2 does not wait: {refused}");
        let answer = post(&host, "weather-agent", action, &json!({"runId": run, "toolCallId": expected})).await;
        waits = answer["suspendPayload"]["toolCallId"].clone();
        assert_eq!(waits, json!(next));
        if next.is_none() {
            assert_eq!((&answer["text"], &answer["finishReason"]), (&json!("done"), &json!("stop")));
            assert_eq!(ids(&answer["toolResults"]), ["c1", "c2", "c4"], "a declined call has no result");
            let results = answer["toolResults"].as_array().unwrap();
            assert_eq!(results[0]["payload"]["result"], json!({"deleted": "a"}));
            assert_eq!(results[2]["payload"]["result"], json!({"deleted": "c"}));
        }
    }
    let statistics = host.get_json("/api/plugins/hotbay-test-reference").await.unwrap().1;
    assert_eq!(statistics["generations"][0]["calls"], 3, "each call that ran, ran once");
}

fn form(strategy: &str) -> Value {
    let schema = json!({"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]});
    json!({"messages": "BADJSON", "structuredOutput":
        {"schema": schema, "errorStrategy": strategy, "fallbackValue": {"name": "nobody"}}})
}

#[tokio::test]
async fn an_answer_that_does_not_fit_fails_is_replaced_or_left_out_as_asked() {
    let host = reference().start().await.unwrap();
    let answer = post(&host, "structured-agent", "generate", &form("fallback")).await;
    assert_eq!(
        (&answer["object"], &answer["usedFallbackValue"], &answer["text"]),
        (&json!({"name": "nobody"}), &json!(true), &json!("not json"))
    );
    let answer = post(&host, "structured-agent", "generate", &form("warn")).await;
    assert!(answer.get("object").is_none(), "{answer}");
    assert_eq!((&answer["usedFallbackValue"], &answer["text"]), (&json!(false), &json!("not json")));
    assert_eq!(answer["finishReason"], "stop");
    let (status, body) = host.post_json("/api/agents/structured-agent/generate", &form("strict")).await.unwrap();
    assert_eq!(status, 500);
    assert!(body["error"].as_str().unwrap().contains("root: must be object"), "{body}");
    // One that fits is taken, whatever the strategy.
    let mut good = form("fallback");
    good["messages"] = "who?".into();
    let answer = post(&host, "structured-agent", "generate", &good).await;
    assert_eq!((&answer["object"]["name"], &answer["usedFallbackValue"]), (&json!("Ada"), &json!(false)));

    let mut stream = host.sse("/api/agents/structured-agent/stream", &form("fallback")).await.unwrap();
    let frames = stream.rest().await.unwrap();
    let chunks: Vec<Value> = frames.iter().filter_map(|it| it.json().ok()).collect();
    let object = chunks.iter().find(|it| it["type"] == "object-result").unwrap();
    assert_eq!(object["object"], json!({"name": "nobody"}));
}

#[tokio::test]
async fn a_run_that_takes_too_long_is_ended_and_says_so() {
    let host = reference().config_text("run_deadline = \"1100ms\"\n").start().await.unwrap();
    let slow = json!({"messages": "SLOW answer of many words, each of which takes its time"});
    let (status, body) = host.post_json("/api/agents/echo-agent/generate", &slow).await.unwrap();
    assert_eq!((status, &body["error"]), (504, &json!("the run did not finish within 1.1 s")));

    let mut stream = host.sse("/api/agents/echo-agent/stream", &slow).await.unwrap();
    let frames = stream.rest().await.unwrap();
    let (last, chunks) = frames.split_last().unwrap();
    assert_eq!(last.data.as_deref(), Some("[DONE]"));
    let chunks: Vec<Value> = chunks.iter().map(|it| it.json().unwrap()).collect();
    let types: Vec<_> = chunks.iter().map(|it| it["type"].as_str().unwrap()).collect();
    assert_eq!(types[types.len() - 3..], ["error", "step-finish", "finish"]);
    let error = &chunks[types.len() - 3]["payload"]["error"]["message"];
    assert_eq!(error, "the run did not finish within 1.1 s");
    // What was said until then has been said, and the plugin's model is left alone.
    assert!(types.contains(&"text-delta"), "{types:?}");
    let idle = || async {
        let shown = host.get_json("/api/plugins/hotbay-test-reference").await.unwrap().1;
        (shown["generations"][0]["inFlight"] == 0).then_some(())
    };
    eventually(SOON, idle).await;
    assert_eq!(post(&host, "echo-agent", "generate", &json!({"messages": "hi"})).await["text"], "Echo: hi");
}

#[tokio::test]
async fn an_agent_that_runs_itself_answers_through_the_host() {
    let host = TestHost::builder().plugin("hotbay-test-steady").start().await.unwrap();
    let answer = post(&host, "own", "generate", &json!({"messages": "sign"})).await;
    let text = answer["text"].as_str().unwrap();
    assert_eq!(text.split_whitespace().count(), 10, "its own word, the model's eight, the tool's: {text}");
    assert!(text.split_whitespace().all(|word| word == "A1"), "{text}");
    assert_eq!((&answer["finishReason"], answer["steps"].as_array().unwrap().len()), (&json!("stop"), 1));

    let mut stream = host.sse("/api/agents/own/stream", &json!({"messages": "sign"})).await.unwrap();
    let frames = stream.rest().await.unwrap();
    let chunks: Vec<Value> = frames.iter().filter_map(|it| it.json().ok()).collect();
    let deltas: Vec<_> = chunks.iter().filter(|it| it["type"] == "text-delta").collect();
    assert_eq!(deltas.len(), 10, "it comes as it is said");
    assert_eq!(chunks.last().unwrap()["payload"]["stepResult"]["reason"], "stop");
}

#[tokio::test]
async fn an_agent_that_runs_itself_is_told_all_of_its_run_and_may_answer_an_object() {
    let host = TestHost::builder().plugin("hotbay-test-steady").start().await.unwrap();
    let schema = json!({"type": "object", "required": ["run"]});
    let body = json!({
        "messages": [{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}, "three"],
        "system": "today is Friday",
        "runId": "run-7", "requestContext": {"tier": 2}, "maxSteps": 4, "toolChoice": "none",
        "modelSettings": {"temperature": 0.5}, "output": schema,
    });
    let answer = post(&host, "mirror", "generate", &body).await;
    let text = |role: &str, text: &str| json!({"role": role, "content": [{"type": "text", "text": text}]});
    assert_eq!(
        answer["object"],
        json!({
            "run": {
                "messages": [
                    {"role": "system", "content": "today is Friday"},
                    text("user", "one"), text("assistant", "two"), text("user", "three"),
                ],
                "instructions": "Show.",
                "model": "steady/words",
                "options": {
                    "maxSteps": 4, "toolChoice": {"type": "none"}, "modelSettings": {"temperature": 0.5},
                    "structuredOutput": {"schema": schema},
                },
            },
            "runId": "run-7",
            "tier": 2,
        })
    );
    assert_eq!((&answer["usage"]["promptTokens"], &answer["usage"]["outputTokens"]), (&json!(3), &json!(4)));
    let answer =
        post(&host, "mirror", "generate", &json!({"messages": "hi", "instructions": "Hide.", "output": schema})).await;
    assert_eq!(answer["object"]["run"]["instructions"], "Hide.");
}

#[tokio::test]
async fn a_run_keeps_the_tools_it_began_with_also_beyond_the_drain_of_calls() {
    let gate = Arc::new(Notify::new());
    let function = json!({"name": "sign", "arguments": "{}"});
    let call = json!({"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": function}]});
    let slow = Reply::stream().chunk(delta(json!({"content": "wait"}))).gate(&gate).chunk(delta(call));
    let slow = slow.chunk(openai_fake::finish("tool_calls")).text("data: [DONE]\n\n");
    let fake = OpenAiFake::start([slow, Reply::says("done")]).await;
    let config =
        format!("drain_deadline = \"50ms\"\n[providers.fake]\napi = \"openai\"\nbase_url = \"{}\"\n", fake.base_url());
    let host = TestHost::builder().plugin("hotbay-test-steady").config_text(config).start().await.unwrap();
    let swap = async |build: &str| {
        put(&host.plugin_dir(), "p.so", &build_of("p", build));
        let serves = || async {
            let (_, plugin) = host.get_json("/api/plugins/p").await.unwrap();
            (plugin["version"] == build && plugin["state"] == "serving").then_some(())
        };
        eventually(SOON, serves).await;
    };
    swap("A").await;
    let body = json!({"messages": "go", "model": "fake/model"});
    let mut stream = host.sse("/api/agents/borrower/stream", &body).await.unwrap();
    while stream.next().await.unwrap().expect("the run has begun").json().unwrap()["type"] != "text-delta" {}
    swap("B").await;
    // A call of B that drains for too long: when it is cut off, the same time is over for A.
    let pending = json!({"data": {"x": 1}});
    let (cut_off, ()) = tokio::join!(host.post_json("/api/tools/p:pending/execute", &pending), async {
        let under_way = || async {
            let (_, plugin) = host.get_json("/api/plugins/p").await.unwrap();
            (plugin["generations"][0]["inFlight"] == 1).then_some(())
        };
        eventually(SOON, under_way).await;
        swap("C").await;
    });
    assert_eq!(cut_off.unwrap().0, 503);
    let (_, plugin) = host.get_json("/api/plugins/p").await.unwrap();
    assert_eq!(plugin["generations"][2]["state"], "draining");

    gate.notify_one();
    let chunks: Vec<Value> = stream.rest().await.unwrap().iter().filter_map(|it| it.json().ok()).collect();
    let result = chunks.iter().find(|it| it["type"] == "tool-result").unwrap_or_else(|| panic!("{chunks:?}"));
    assert_eq!(result["payload"]["result"]["build"], "A");
    assert_eq!(chunks.last().unwrap()["payload"]["stepResult"]["reason"], "stop");
    let retired = || async {
        let (_, plugin) = host.get_json("/api/plugins/p").await.unwrap();
        (plugin["generations"][2]["state"] == "retired").then_some(())
    };
    eventually(SOON, retired).await;
}
