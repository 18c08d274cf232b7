//! Plugins written with the SDK, as real libraries: what they say of themselves and how they answer.

use std::{fs, path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use hotbay::{
    plugin::{
        call::{Call, CallError, ChunkSender, ReplyKind, Target},
        services::{HostServices, Requester},
        settings::{Isolation, PluginOptions, PluginSettings},
    },
    types::plugin::PluginState,
};
use hotbay_plugin::{
    Error,
    chat::{ChatRequest, Message},
    error::code,
};
use hotbay_tests::plugin_host::{PluginHost, SOON, isolate, library, put};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::modes::in_both_modes;

const REFERENCE: &str = "hotbay-test-reference";
const EXAMPLE: &str = "hotbay-example-weather";

async fn reference(isolation: Isolation) -> PluginHost {
    let host = PluginHost::start_with(|directory, settings| {
        isolate(isolation, directory, settings);
        add(REFERENCE, directory, settings);
    })
    .await;
    assert_eq!(host.plugins.get(REFERENCE).map(|status| status.state), Some(PluginState::Serving));
    host
}

/// Puts a crate's library into the plugin directory. A debug build is large, so its probe gets time.
fn add(krate: &str, directory: &Path, settings: &mut PluginSettings) {
    settings.probe_deadline = SOON;
    settings.open_deadline = SOON;
    put(directory, &format!("{krate}.so"), &fs::read(library(krate)).unwrap());
}

fn call(body: &Value, meta: &Value) -> Call {
    Call { body: body.to_string().into_bytes(), meta: meta.to_string().into_bytes(), ..Call::default() }
}

/// Asks a model and returns its parts, and the error it ended with.
async fn ask(host: &PluginHost, model: &str, text: &str) -> (Vec<Value>, Option<CallError>) {
    let request = ChatRequest { messages: vec![Message::user(text)], ..ChatRequest::default() };
    let snapshot = host.plugins.registry().snapshot();
    let entry = snapshot.models.get(model).expect("the model is offered");
    let (sink, mut chunks) = mpsc::channel(1);
    let call = Call { body: serde_json::to_vec(&request).unwrap(), sink: Some(sink), ..Call::default() };
    let reader = async {
        let mut parts = Vec::new();
        while let Some(chunk) = chunks.recv().await {
            parts.push(serde_json::from_slice(&chunk).unwrap());
        }
        parts
    };
    let answer = async { tokio::join!(entry.generation.call(Target::Model(model.into()), call), reader) };
    let (reply, parts) = tokio::time::timeout(SOON, answer).await.expect("it hangs");
    (parts, reply.err())
}

async fn tools_answer_as_the_recorded_ones(isolation: Isolation) {
    let host = reference(isolation).await;
    let answer = host.raw("weather", call(&json!({ "city": "Rome", "units": "C" }), &json!({}))).await.unwrap();
    // The text, since a client may compare it: the order of keys, and whole numbers without a fraction.
    assert_eq!(String::from_utf8(answer.body).unwrap(), r#"{"city":"Rome","temperature":21,"conditions":"sunny"}"#);
    let calculate = |op: &str, a: i32, b: i32| host.tool("calculator", json!({ "op": op, "a": a, "b": b }));
    assert_eq!(calculate("mul", 6, 7).await.unwrap().to_string(), r#"{"result":42}"#);
    assert_eq!(calculate("div", 1, 4).await.unwrap().to_string(), r#"{"result":0.25}"#);
    assert_eq!(calculate("div", 1, 0).await.unwrap().to_string(), r#"{"result":null}"#);
}

async fn tool_errors_are_the_authors_sentence_and_input_errors_name_the_field(isolation: Isolation) {
    let host = reference(isolation).await;
    let error = host.tool("failing", json!({})).await.unwrap_err();
    assert_eq!((error.to_string().as_str(), error.code()), ("tool exploded", "E_FAILED"));
    let error = host.tool("failing", json!({ "reason": "kaput" })).await.unwrap_err();
    assert_eq!(error.to_string(), "kaput");
    let error = host.tool("weather", json!({ "city": 5 })).await.unwrap_err();
    assert_eq!(error.code(), "E_INPUT");
    assert!(error.to_string().contains("`city`"), "{error}");
}

async fn tool_suspends_and_resumes(isolation: Isolation) {
    let host = reference(isolation).await;
    let question = json!({ "question": "Which one?" });
    let reply = host.raw("suspend-tool", call(&question, &json!({}))).await.unwrap();
    assert_eq!(reply.kind, ReplyKind::Suspended);
    assert_eq!(serde_json::from_slice::<Value>(&reply.body).unwrap(), question);

    let meta = json!({ "resumeData": { "answer": "the left one" }, "suspendPayload": question });
    let reply = host.raw("suspend-tool", call(&question, &meta)).await.unwrap();
    assert_eq!(reply.kind, ReplyKind::Value);
    assert_eq!(String::from_utf8(reply.body).unwrap(), r#"{"answer":"the left one"}"#);

    let wrong = json!({ "resumeData": { "answer": 7 } });
    let error = host.raw("suspend-tool", call(&question, &wrong)).await.unwrap_err();
    assert!(error.code() == "E_INPUT" && error.to_string().contains("`answer`"), "{error}");
}

async fn manifest_reaches_the_registry_in_the_authors_order(isolation: Isolation) {
    let host = reference(isolation).await;
    let snapshot = host.plugins.registry().snapshot();
    let approvals: Vec<_> =
        snapshot.tools.iter().map(|tool| (tool.manifest.id.as_str(), tool.manifest.require_approval)).collect();
    let expected = [
        ("weather", false),
        ("calculator", false),
        ("failing", false),
        ("approval-tool", true),
        ("suspend-tool", false),
    ];
    assert_eq!(approvals, expected);
    let agents: Vec<_> = snapshot.agents.iter().map(|agent| agent.manifest.id.as_str()).collect();
    assert_eq!(agents, ["echo-agent", "weather-agent", "structured-agent"]);
    let weather = serde_json::to_value(&*snapshot.tools.get("weather").unwrap().manifest).unwrap();
    assert_eq!(
        weather["inputSchema"].to_string(),
        concat!(
            r#"{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","#,
            r#""properties":{"city":{"type":"string","description":"City name"},"#,
            r#""units":{"type":"string","enum":["C","F"]}},"required":["city"],"additionalProperties":false}"#,
        )
    );
}

async fn model_streams_its_parts_through_a_narrow_channel(isolation: Isolation) {
    let host = reference(isolation).await;
    let (parts, error) = ask(&host, "mock-provider/mock-echo", "REASON on").await;
    assert!(error.is_none(), "{error:?}");
    let usage = json!({ "inputTokens": 10, "outputTokens": 3, "totalTokens": 13 });
    let id = "resp_1";
    assert_eq!(
        json!(parts),
        json!([
            { "type": "stream-start" },
            { "type": "response-metadata", "id": id, "timestampMs": 0, "modelId": "mock-echo" },
            { "type": "reasoning-start", "id": "reasoning-1" },
            { "type": "reasoning-delta", "id": "reasoning-1", "delta": "thinking hard" },
            { "type": "reasoning-end", "id": "reasoning-1" },
            { "type": "text-start", "id": "text-1" },
            { "type": "text-delta", "id": "text-1", "delta": "Echo: " },
            { "type": "text-delta", "id": "text-1", "delta": "REASON " },
            { "type": "text-delta", "id": "text-1", "delta": "on" },
            { "type": "text-end", "id": "text-1" },
            { "type": "finish", "finishReason": "stop", "usage": usage },
        ])
    );
    let (parts, _) = ask(&host, "mock-provider/mock-weather", "weather in Oslo").await;
    assert_eq!(parts[1]["id"], "resp_3", "a call takes a number too: {parts:?}");
    assert_eq!(parts[5]["toolCallId"], "call_2");
    assert_eq!(parts[5]["input"], r#"{"city":"Oslo"}"#);
}

async fn model_fails_before_or_within_its_answer(isolation: Isolation) {
    let host = reference(isolation).await;
    let (parts, error) = ask(&host, "mock-provider/mock-echo", "FAIL now").await;
    assert!(parts.is_empty(), "{parts:?}");
    assert_eq!(error.unwrap().to_string(), "mock model failure");
    let (parts, error) = ask(&host, "mock-provider/mock-echo", "STREAMERR now").await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(parts.last().unwrap(), &json!({ "type": "error", "message": "mock stream error" }));
}

async fn model_stops_when_its_reader_goes(isolation: Isolation) {
    let host = reference(isolation).await;
    let request = ChatRequest { messages: vec![Message::user("SLOW")], ..ChatRequest::default() };
    let snapshot = host.plugins.registry().snapshot();
    let entry = snapshot.models.get("mock-provider/mock-echo").expect("offered");
    let (sink, chunks) = mpsc::channel(1);
    drop(chunks);
    let call = Call { body: serde_json::to_vec(&request).unwrap(), sink: Some(sink), ..Call::default() };
    let error = entry.generation.call(Target::Model("mock-provider/mock-echo".into()), call).await.unwrap_err();
    assert_eq!(error.code(), "E_CANCELLED");
}

/// Answers HTTP requests in Open-Meteo's place, and echoes the addresses it was asked.
struct OpenMeteo;

#[async_trait]
impl HostServices for OpenMeteo {
    async fn request(&self, _: Requester, op: &str, body: Vec<u8>, _: Option<ChunkSender>) -> Result<Vec<u8>, Error> {
        if op != "http.request" {
            return Err(Error::with_code(code::UNSUPPORTED, format!("no op `{op}`")));
        }
        let request: Value = serde_json::from_slice(&body)?;
        let (status, body) = match request["url"].as_str().unwrap_or_default() {
            "http://cities.test/?name=S%C3%A3o%20Paulo&count=1" => {
                let city = json!({ "name": "São Paulo", "country": "Brazil", "latitude": -23.5, "longitude": -46.5 });
                (200, json!({ "results": [city], "generationtime_ms": 0.5 }))
            }
            "http://cities.test/?name=Down&count=1" => (503, json!({})),
            url if url.starts_with("http://cities.test/") => (200, json!({ "generationtime_ms": 0.5 })),
            "http://weather.test/?latitude=-23.5&longitude=-46.5&current=temperature_2m%2Cwind_speed_10m%2Cweather_code" => {
                (200, json!({ "current": { "temperature_2m": 24.5, "wind_speed_10m": 7.2, "weather_code": 61 } }))
            }
            url => (404, json!({ "asked": url })),
        };
        Ok(json!({ "status": status, "headers": {}, "body": body.to_string() }).to_string().into_bytes())
    }
}

async fn example(isolation: Isolation, config: Value) -> PluginHost {
    PluginHost::start_serving(Arc::new(OpenMeteo), |directory, settings| {
        isolate(isolation, directory, settings);
        settings.plugins.insert(EXAMPLE.to_owned(), PluginOptions { config, ..PluginOptions::default() });
        add(EXAMPLE, directory, settings);
    })
    .await
}

async fn example_asks_the_addresses_of_its_configuration(isolation: Isolation) {
    let config = json!({ "geocoding_url": "http://cities.test/", "forecast_url": "http://weather.test/" });
    let host = example(isolation, config).await;
    let weather = host.tool("get-weather", json!({ "city": "São Paulo" })).await.unwrap();
    assert_eq!(
        weather,
        json!({ "place": "São Paulo, Brazil", "temperatureCelsius": 24.5, "windKmh": 7.2, "sky": "rain" })
    );
    let error = host.tool("get-weather", json!({ "city": "Atlantis" })).await.unwrap_err();
    assert!(error.to_string().contains("`Atlantis`"), "{error}");
    let error = host.tool("get-weather", json!({ "city": "Down" })).await.unwrap_err();
    assert!(error.code() == "E_UNAVAILABLE" && error.is_retryable(), "{error:?}");
}

async fn example_refuses_a_setting_it_does_not_have(isolation: Isolation) {
    let host = example(isolation, json!({ "geocoding": "http://cities.test/" })).await;
    let error = host.plugins.get(EXAMPLE).unwrap().last_error.expect("it cannot open");
    assert!(error.message.contains("geocoding"), "{}", error.message);
}

async fn example_and_reference_serve_side_by_side(isolation: Isolation) {
    let host = PluginHost::start_with(|directory, settings| {
        isolate(isolation, directory, settings);
        add(REFERENCE, directory, settings);
        add(EXAMPLE, directory, settings);
    })
    .await;
    for plugin in [REFERENCE, EXAMPLE] {
        let status = host.plugins.get(plugin).unwrap();
        assert_eq!(status.state, PluginState::Serving, "{status:?}");
    }
    host.plugins.shutdown(Duration::from_secs(5)).await;
}

async fn vectors_of_a_store_go_both_ways_unrounded(isolation: Isolation) {
    let host = reference(isolation).await;
    let snapshot = host.plugins.registry().snapshot();
    let store = snapshot.vector_stores.get("libsql").expect("offered");
    let ask = async |op: &str, body: Value, vectors: Vec<f32>| {
        let target = Target::VectorStore { name: "libsql".into(), op: op.into() };
        let call = Call { body: body.to_string().into_bytes(), vectors, ..Call::default() };
        store.generation.call(target, call).await.unwrap()
    };
    ask("create_index", json!({ "name": "numbers", "dimension": 3, "metric": "dotproduct" }), Vec::new()).await;
    let odd = vec![0.1, f32::MIN_POSITIVE, -3.402_823e38, 1.0, 1.0, 1.0];
    let rows = json!({ "index": "numbers", "count": 2, "ids": ["a", "b"] });
    ask("upsert", rows, odd.clone()).await;
    let query = json!({ "index": "numbers", "topK": 1, "includeVector": true });
    let reply = ask("query", query, vec![0.0, 0.0, -1.0]).await;
    let hits: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(hits[0]["id"], "a", "{hits}");
    assert_eq!(reply.vectors, odd[..3]);
}

async fn agents_embedders_and_services_answer(isolation: Isolation) {
    let host = PluginHost::start_with(|directory, settings| {
        isolate(isolation, directory, settings);
        add("hotbay-test-memory", directory, settings);
        add("hotbay-test-steady", directory, settings);
    })
    .await;
    let snapshot = host.plugins.registry().snapshot();
    let agent = snapshot.agents.get("mirror").expect("offered");
    let run = json!({ "messages": [{ "role": "user", "content": [{ "type": "text", "text": "look" }] }] });
    let meta = json!({ "runId": "run-9", "requestContext": { "tier": 3 } });
    let reply = agent.generation.call(Target::Agent("mirror".into()), call(&run, &meta)).await.unwrap();
    let shown: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!((&shown["object"]["runId"], &shown["object"]["tier"]), (&json!("run-9"), &json!(3)), "{shown}");

    let embedder = snapshot.embedders.get("test-memory/picky").expect("offered");
    let embed = async |texts: Value| {
        let target = Target::Embedder("test-memory/picky".into());
        embedder.generation.call(target, call(&texts, &json!({}))).await
    };
    let reply = embed(json!(["abc", "de"])).await.unwrap();
    assert_eq!(
        (reply.body.as_slice(), reply.vectors.as_slice()),
        (&br#"{"dimension":2}"#[..], &[1.0, 3.0, 1.0, 2.0][..])
    );
    assert_eq!(embed(json!(["poison"])).await.unwrap_err().code(), "E_INPUT");

    let key = (Arc::from("memory-processor"), Arc::from("mask"));
    let service = snapshot.services.get(&key).expect("offered");
    let target = Target::Service { kind: key.0.clone(), name: key.1.clone(), op: "no-such-op".into() };
    let error = service.generation.call(target, call(&json!({}), &json!({}))).await.unwrap_err();
    assert_eq!(error.code(), "E_UNSUPPORTED");
}

in_both_modes! {
    tools_answer_as_the_recorded_ones,
    tool_errors_are_the_authors_sentence_and_input_errors_name_the_field,
    tool_suspends_and_resumes,
    manifest_reaches_the_registry_in_the_authors_order,
    model_streams_its_parts_through_a_narrow_channel,
    model_fails_before_or_within_its_answer,
    model_stops_when_its_reader_goes,
    example_asks_the_addresses_of_its_configuration,
    example_refuses_a_setting_it_does_not_have,
    example_and_reference_serve_side_by_side,
    vectors_of_a_store_go_both_ways_unrounded,
    agents_embedders_and_services_answer,
}
