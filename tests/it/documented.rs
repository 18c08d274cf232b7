//! The bodies the documentation of agents and tools promises, as raw JSON: what is asked, what the
//! model is told, what comes back.

use hotbay_tests::{
    TestHost,
    http::Outgoing,
    openai_fake::{self, OpenAiFake, Recorded, Reply, delta},
};
use serde_json::{Value, json};

/// A host with the reference plugin, and a model `fake/model` that gives these replies.
async fn host(replies: impl IntoIterator<Item = Reply>) -> (TestHost, OpenAiFake) {
    let fake = OpenAiFake::start(replies).await;
    let config = format!("[providers.fake]\napi = \"openai\"\nbase_url = \"{}\"\n", fake.base_url());
    let host = TestHost::builder().plugin("hotbay-test-reference").config_text(config).start().await.unwrap();
    (host, fake)
}

async fn plain_host() -> TestHost {
    TestHost::builder().plugin("hotbay-test-reference").start().await.unwrap()
}

/// Asks an agent and returns an answer that succeeded.
async fn generate(host: &TestHost, agent: &str, body: Value) -> Value {
    let (status, answer) = host.post_json(&format!("/api/agents/{agent}/generate"), &body).await.unwrap();
    assert_eq!(status, 200, "{body} is answered with {answer}");
    answer
}

/// Asks `weather-agent` on the fake model and returns what the model was told.
async fn told(mut body: Value) -> Recorded {
    let (host, fake) = host([Reply::says("fine")]).await;
    body["model"] = "fake/model".into();
    assert_eq!(generate(&host, "weather-agent", body).await["text"], "fine");
    fake.requests().remove(0)
}

fn names(tools: &Value) -> Vec<&str> {
    let tools = tools.as_array().map(Vec::as_slice).unwrap_or_default();
    tools.iter().map(|tool| tool["function"]["name"].as_str().unwrap()).collect()
}

/// A reply that calls the tool `weather`.
fn calls_weather() -> Reply {
    let function = json!({"name": "weather", "arguments": "{\"city\":\"Oslo\"}"});
    let call = json!({"tool_calls": [{"index": 0, "id": "call-1", "type": "function", "function": function}]});
    Reply::chunks([delta(call), openai_fake::finish("tool_calls")])
}

#[tokio::test]
async fn an_answer_has_text_calls_reason_and_usage_in_both_spellings() {
    let host = plain_host().await;
    let answer = generate(&host, "weather-agent", json!({"messages": "weather in Oslo"})).await;
    assert_eq!(answer["text"], r#"Tool said: {"city":"Oslo","temperature":21,"conditions":"sunny"}"#);
    assert_eq!(answer["finishReason"], "stop");
    let call = &answer["toolCalls"][0]["payload"];
    assert_eq!((&call["toolName"], &call["args"]), (&json!("weather"), &json!({"city": "Oslo"})));
    let usage = &answer["usage"];
    assert_eq!((&usage["inputTokens"], &usage["outputTokens"]), (&json!(20), &json!(8)), "{usage}");
    assert_eq!((&usage["promptTokens"], &usage["completionTokens"]), (&usage["inputTokens"], &usage["outputTokens"]));
}

#[tokio::test]
async fn usage_that_the_provider_does_not_tell_is_left_out() {
    let (host, _fake) = host([Reply::says("fine")]).await;
    let answer = generate(&host, "echo-agent", json!({"messages": "hi", "model": "fake/model"})).await;
    let usage = answer["usage"].as_object().unwrap();
    assert!(["promptTokens", "completionTokens", "inputTokens"].iter().all(|it| !usage.contains_key(*it)), "{usage:?}");
}

#[tokio::test]
async fn instructions_system_context_and_messages_reach_the_model_in_this_order() {
    let body = json!({
        "instructions": "be brief",
        "system": "today is Friday",
        "context": [{"role": "user", "content": "earlier"}, {"role": "assistant", "content": "said"}],
        "messages": "hello",
    });
    let expected = json!([
        {"role": "system", "content": "be brief"},
        {"role": "system", "content": "today is Friday"},
        {"role": "user", "content": "earlier"},
        {"role": "assistant", "content": "said"},
        {"role": "user", "content": "hello"},
    ]);
    assert_eq!(told(body).await.body["messages"], expected);
    let own = told(json!({"messages": "hello"})).await;
    assert_eq!(own.body["messages"][0], json!({"role": "system", "content": "Use the weather tool."}));
}

#[tokio::test]
async fn messages_may_be_a_list_of_core_messages() {
    let call = json!({"type": "tool-call", "toolCallId": "c1", "toolName": "weather", "input": {"city": "Rome"}});
    let result = json!({"type": "tool-result", "toolCallId": "c1", "toolName": "weather",
        "output": {"type": "json", "value": {"temperature": 9}}});
    let body = json!({"messages": [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": [{"type": "text", "text": "and in Rome?"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "a moment"}, call]},
        {"role": "tool", "content": [result]},
        {"role": "user", "content": "well?"},
    ]});
    let function = json!({"name": "weather", "arguments": "{\"city\":\"Rome\"}"});
    let expected = json!([
        {"role": "system", "content": "Use the weather tool."},
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": "and in Rome?"},
        {"role": "assistant", "content": "a moment", "tool_calls": [{"id": "c1", "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": "c1", "content": "{\"temperature\":9}"},
        {"role": "user", "content": "well?"},
    ]);
    assert_eq!(told(body).await.body["messages"], expected);
}

#[tokio::test]
async fn active_tools_and_tool_choice_bound_what_the_model_may_call() {
    let all = ["weather", "calculator", "failing", "approvalTool", "suspendTool"];
    let plain = told(json!({"messages": "hi"})).await.body;
    assert_eq!((names(&plain["tools"]), &plain["tool_choice"]), (all.to_vec(), &Value::Null));
    let some = told(json!({"messages": "hi", "activeTools": ["calculator", "weather"]})).await.body;
    assert_eq!(names(&some["tools"]), ["weather", "calculator"]);
    let none = told(json!({"messages": "hi", "activeTools": []})).await.body;
    assert_eq!(none["tools"], Value::Null);
    for word in ["none", "required"] {
        assert_eq!(told(json!({"messages": "hi", "toolChoice": word})).await.body["tool_choice"], word);
    }
    let one = told(json!({"messages": "hi", "toolChoice": {"type": "tool", "toolName": "weather"}})).await.body;
    assert_eq!(one["tool_choice"], json!({"type": "function", "function": {"name": "weather"}}));
    let auto = told(json!({"messages": "hi", "toolChoice": "auto"})).await.body;
    assert_eq!(auto["tool_choice"], Value::Null);
}

#[tokio::test]
async fn max_steps_bounds_how_often_the_model_is_asked() {
    for (steps, text, reason) in [(1, "", "tool-calls"), (2, "warm", "stop")] {
        let (host, fake) = host([calls_weather(), Reply::says("warm")]).await;
        let body = json!({"messages": "hi", "model": "fake/model", "maxSteps": steps});
        let answer = generate(&host, "weather-agent", body).await;
        assert_eq!((&answer["text"], &answer["finishReason"]), (&json!(text), &json!(reason)), "{steps} steps");
        assert_eq!((fake.requests().len(), answer["steps"].as_array().unwrap().len()), (steps, steps));
        // The tool is run also when the model is not asked again.
        assert_eq!(answer["toolResults"][0]["payload"]["result"]["city"], "Oslo");
    }
}

#[tokio::test]
async fn output_is_the_schema_of_a_structured_answer() {
    let schema = json!({"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]});
    let (host, fake) = host([Reply::says(r#"{"name":"Ada"}"#)]).await;
    let body = json!({"messages": "who?", "model": "fake/model", "output": schema});
    assert_eq!(generate(&host, "echo-agent", body).await["object"], json!({"name": "Ada"}));
    assert_eq!(fake.requests()[0].body["response_format"]["json_schema"]["schema"], schema);
    let (status, body) =
        host.post_json("/api/agents/echo-agent/generate", &json!({"messages": "hi", "output": schema})).await.unwrap();
    assert_eq!(status, 500, "{body}");
    assert!(body["error"].as_str().unwrap().contains("must be object"), "{body}");
}

#[tokio::test]
async fn a_conversation_is_named_at_the_top_or_in_memory() {
    let host = plain_host().await;
    let of = async |extra: Value| {
        let mut body = json!({"messages": "hi"});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let answer = generate(&host, "echo-agent", body).await;
        let messages = answer["messages"].as_array().unwrap().clone();
        let named = |key: &str| messages.iter().map(|it| it[key].clone()).collect::<Vec<_>>();
        let (threads, resources) = (named("threadId"), named("resourceId"));
        assert!(threads.iter().all(|it| *it == threads[0]) && resources.iter().all(|it| *it == resources[0]));
        (threads[0].clone(), resources[0].clone())
    };
    let nobody = (Value::Null, Value::Null);
    assert_eq!(of(json!({})).await, nobody);
    assert_eq!(of(json!({"memory": true})).await, nobody);
    assert_eq!(of(json!({"memory": false, "threadId": "t0", "resourceId": "r"})).await, nobody);
    assert_eq!(of(json!({"threadId": "t1", "resourceId": "r"})).await, (json!("t1"), json!("r")));
    assert_eq!(of(json!({"memory": true, "threadId": "t2", "resourceId": "r"})).await, (json!("t2"), json!("r")));
    assert_eq!(of(json!({"memory": {"key": "t3"}, "resourceId": "r"})).await, (json!("t3"), json!("r")));
    assert_eq!(
        of(json!({"memory": {"key": "k"}, "threadId": "t4", "resourceId": "r"})).await,
        (json!("t4"), json!("r")),
        "the thread's own name goes first"
    );
    let (status, body) =
        host.post_json("/api/agents/echo-agent/generate", &json!({"messages": "hi", "threadId": "t5"})).await.unwrap();
    assert_eq!(status, 400, "a thread belongs to somebody");
    assert!(body["error"].as_str().unwrap().contains("resource"), "{body}");
    let (status, body) =
        host.post_json("/api/agents/echo-agent/generate", &json!({"messages": "hi", "memory": "yes"})).await.unwrap();
    assert_eq!((status, &body["issues"][0]["field"]), (400, &json!("memory")), "{body}");
}

#[tokio::test]
async fn run_id_names_the_run_and_unknown_keys_are_ignored() {
    let host = plain_host().await;
    let body = json!({"messages": "hi", "runId": "run-1", "requestContext": {"tier": 1}, "somethingNewer": [1]});
    assert_eq!(generate(&host, "echo-agent", body).await["runId"], "run-1");
}

#[tokio::test]
async fn a_stream_is_events_that_end_with_done() {
    let host = plain_host().await;
    let body = json!({"messages": "hello there", "runId": "run-2"});
    let mut stream = host.sse("/api/agents/echo-agent/stream", &body).await.unwrap();
    let frames = stream.rest().await.unwrap();
    let (last, chunks) = frames.split_last().unwrap();
    assert_eq!(last.data.as_deref(), Some("[DONE]"));
    let chunks: Vec<Value> = chunks.iter().map(|it| it.json().unwrap()).collect();
    assert!(chunks.iter().all(|it| it["runId"] == "run-2"));
    let text: String = chunks.iter().filter_map(|it| it["payload"]["text"].as_str()).collect();
    assert_eq!(text, "Echo: hello there");
    let types: Vec<_> = chunks.iter().map(|it| it["type"].as_str().unwrap()).collect();
    assert_eq!((types[0], types[types.len() - 1]), ("start", "finish"));
}

#[tokio::test]
async fn tools_of_an_agent_are_listed_by_key_and_executed_by_id_or_key() {
    let host = plain_host().await;
    let (status, tools) = host.get_json("/api/agents/weather-agent/tools").await.unwrap();
    let keys: Vec<_> = tools.as_object().unwrap().keys().collect();
    assert_eq!((status, keys.len(), keys[0].as_str(), keys[3].as_str()), (200, 5, "weather", "approvalTool"));
    assert_eq!(tools["approvalTool"]["id"], "approval-tool");
    assert_eq!(host.get_json("/api/agents/weather-agent").await.unwrap().1["tools"], tools);
    assert_eq!(host.get_json("/api/agents/echo-agent/tools").await.unwrap(), (200, json!({})));

    let data = json!({"data": {"city": "Oslo"}, "requestContext": {"tier": 1}});
    let weather = json!({"city": "Oslo", "temperature": 21, "conditions": "sunny"});
    for path in ["/api/tools/weather/execute", "/api/agents/weather-agent/tools/weather/execute"] {
        assert_eq!(host.post_json(path, &data).await.unwrap(), (200, weather.clone()), "{path}");
    }
    let data = json!({"data": {"target": "x"}});
    for tool in ["approval-tool", "approvalTool"] {
        let path = format!("/api/agents/weather-agent/tools/{tool}/execute");
        assert_eq!(host.post_json(&path, &data).await.unwrap(), (200, json!({"deleted": "x"})), "{path}");
    }
    let (_, all) = host.get_json("/api/tools").await.unwrap();
    assert_eq!(all.as_object().unwrap().len(), 5);
    assert_eq!(host.get_json("/api/tools/weather").await.unwrap(), (200, all["weather"].clone()));
    assert_eq!(all["weather"], tools["weather"]);
}

/// Checks that a request is refused with this status and a body of `error` and, maybe, `details`.
async fn check_refused(host: &TestHost, request: Outgoing, status: u16, sentence: &str, fields: &[&str]) {
    let what = format!("{} {}", request.method, request.path);
    let answer = host.send(request).await.unwrap();
    let body: Value = serde_json::from_str(&answer.text()).unwrap();
    assert_eq!((answer.status, &body["error"]), (Some(status), &json!(sentence)), "{what}: {body}");
    let details = body["details"].as_array().cloned().unwrap_or_default();
    let named: Vec<_> = details.iter().map(|it| it["field"].as_str().unwrap()).collect();
    assert_eq!(named, fields, "{what}: {body}");
    assert_eq!(body["details"], body["issues"], "both spellings");
    let known = |key: &String| ["error", "details", "issues"].contains(&key.as_str());
    assert!(body.as_object().unwrap().keys().all(known), "{what}: {body}");
}

#[tokio::test]
async fn errors_are_a_sentence_and_details() {
    let host = plain_host().await;
    let hi = json!({"messages": "hi"});
    let nobody = "Agent with id nobody not found";
    for path in ["/api/agents/nobody/generate", "/api/agents/nobody/stream"] {
        check_refused(&host, Outgoing::post(path, &hi), 404, nobody, &[]).await;
    }
    for path in ["/api/agents/nobody", "/api/agents/nobody/tools"] {
        check_refused(&host, Outgoing::get(path), 404, nobody, &[]).await;
    }
    let data = json!({"data": {"city": "Oslo"}});
    check_refused(&host, Outgoing::get("/api/tools/none"), 404, "Tool not found", &[]).await;
    for path in ["/api/tools/none/execute", "/api/agents/weather-agent/tools/none/execute"] {
        check_refused(&host, Outgoing::post(path, &data), 404, "Tool not found", &[]).await;
    }
    let invalid = "Invalid request body";
    let generate = "/api/agents/echo-agent/generate";
    check_refused(&host, Outgoing::post(generate, &json!({})), 400, invalid, &["messages"]).await;
    let wrong = json!({"messages": 1, "maxSteps": "two"});
    check_refused(&host, Outgoing::post(generate, &wrong), 400, invalid, &["messages", "maxSteps"]).await;
    let fails = Outgoing::post(generate, &json!({"messages": "FAIL"}));
    check_refused(&host, fails, 500, "mock model failure", &[]).await;
}

/// The routes of agents, workflows, tools and memory that the documentation names.
const ROUTES: &str = "
GET /api/agents
GET /api/agents/{agentId}
POST /api/agents/{agentId}/generate
POST /api/agents/{agentId}/stream
GET /api/agents/{agentId}/tools
POST /api/agents/{agentId}/tools/{toolId}/execute
GET /api/workflows
GET /api/workflows/{workflowId}
POST /api/workflows/{workflowId}/create-run
POST /api/workflows/{workflowId}/start-async
POST /api/workflows/{workflowId}/stream
POST /api/workflows/{workflowId}/resume
POST /api/workflows/{workflowId}/resume-async
GET /api/workflows/{workflowId}/runs
GET /api/workflows/{workflowId}/runs/{runId}
GET /api/tools
GET /api/tools/{toolId}
POST /api/tools/{toolId}/execute
GET /api/memory/threads
GET /api/memory/threads/{threadId}
POST /api/memory/threads
DELETE /api/memory/threads/{threadId}
POST /api/memory/threads/{threadId}/clone
GET /api/memory/threads/{threadId}/messages
POST /api/memory/threads/{threadId}/messages
GET /api/logs
GET /api/logs/{runId}
GET /api/telemetry/traces
GET /api/telemetry/traces/{traceId}
GET /api/telemetry/traces/{traceId}/spans
GET /api/mcp/servers
GET /api/mcp/servers/{serverId}/tools
POST /api/mcp/{serverId}
GET /api/mcp/{serverId}/sse
";

#[tokio::test]
async fn every_documented_route_is_described_and_served() {
    let host = plain_host().await;
    let (_, description) = host.get_json("/api/openapi.json").await.unwrap();
    let unserved = host.send(Outgoing::get("/api/no-such-route")).await.unwrap();
    for route in ROUTES.lines().filter(|line| !line.is_empty()) {
        let (method, path) = route.split_once(' ').unwrap();
        let described = &description["paths"][path][method.to_lowercase()];
        assert!(described["summary"].is_string(), "{route}: {described}");
        let mut request = Outgoing::get(&path.replace(['{', '}'], "_"));
        request.method = method.to_owned();
        let answer = host.send(request).await.unwrap();
        assert!(
            answer.status != unserved.status || answer.text() != unserved.text(),
            "{route} is answered as a route that is not there: {}",
            answer.text()
        );
    }
}
