//! Every capability, declared as an author does and run through the real adapters.
//!
//! One plugin offers all of them; each has a module with what it offers and its tests.

#![expect(clippy::unwrap_used, reason = "tests")]

mod agents;
mod memory;
mod models;
mod tools;
mod vector_stores;
mod workflows;

use hotbay_plugin::{
    Error,
    error::code,
    http::HttpResponse,
    prelude::*,
    testing::{TestHost, TestPlugin},
};

use agents::{own, weather_agent};
use memory::last_only;
use models::{echo, lengths};
use tools::{length, suspend_tool, uses_everything, weather};
use vector_stores::Memories;
use workflows::numbers;

#[derive(Deserialize, JsonSchema, Default)]
#[serde(default)]
struct Settings {
    base_url: String,
}

async fn open(ctx: &Ctx, settings: &Settings) -> Result<String> {
    ctx.info("opened");
    if settings.base_url.is_empty() {
        return Err(Error::with_code(code::CONFIG, "`base_url` is empty"));
    }
    Ok(format!("client of {}", settings.base_url))
}

async fn close(ctx: &Ctx) -> Result<()> {
    ctx.info(format!("closing the {}", ctx.state::<String>()));
    Ok(())
}

fn offers() -> McpServer {
    McpServer::new("ref-mcp").name("Ref MCP").tool(weather).agent("weatherAgent", weather_agent)
}

plugin! {
    description: "Everything at once",
    tools: [weather, suspend_tool, length, uses_everything],
    agents: [weather_agent, own],
    models: [echo],
    embedders: [lengths],
    workflows: [numbers],
    vector_stores: [Memories],
    memory_processors: [last_only],
    mcp_servers: [offers],
    config: Settings,
    open: open,
    shutdown: close,
}

fn host() -> TestHost {
    TestHost::new()
        .tool("double", |input| Ok(json!(input["n"].as_u64().unwrap() * 2)))
        .model_text("p/m", "hi there")
        .agent("helper", |messages| Ok(AgentAnswer::text(messages[0].text())))
        .secret("KEY", "s3cret")
        .http(|request| {
            assert_eq!(request.url, "http://localhost/?q=a%20b");
            assert_eq!(request.headers["x-key"], "s3cret");
            Ok(HttpResponse { status: 200, body: Some("{\"n\":5}".into()), ..HttpResponse::default() })
        })
}

fn opened() -> TestPlugin {
    host().open(plugin(), &json!({ "base_url": "http://localhost/" })).unwrap()
}

#[test]
fn manifest_describes_everything() {
    let manifest = plugin().manifest();
    assert_eq!(manifest.name, "hotbay-plugin");
    assert_eq!(manifest.build.panic, "unwind");
    assert!(manifest.build.rustc.starts_with("rustc "), "{}", manifest.build.rustc);
    let tool = &manifest.tools[0];
    assert_eq!((tool.id.as_str(), tool.description.as_str()), ("weather", "Get the weather for a city"));
    assert_eq!(tool.timeout_ms, Some(5000));
    assert!(tool.idempotent && !tool.blocking);
    assert_eq!(
        tool.input_schema.to_string(),
        r#"{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","properties":{"city":{"type":"string","description":"City name"},"units":{"type":"string","enum":["C","F"]}},"required":["city"],"additionalProperties":false}"#
    );
    assert_eq!(tool.output_schema.as_ref().unwrap()["properties"]["temperature"], json!({ "type": "number" }));
    assert!(manifest.tools[1].require_approval);
    assert_eq!(manifest.tools[1].suspend_schema.as_ref().unwrap()["required"], json!(["question"]));
    assert_eq!(manifest.tools[1].resume_schema.as_ref().unwrap()["required"], json!(["answer"]));
    assert_eq!((&manifest.tools[2].output_schema, &manifest.tools[3].output_schema), (&None, &None));
    let agent = &manifest.agents[0];
    assert_eq!(agent.description, "Answers weather questions");
    let keys: Vec<_> = agent.tools.iter().map(|tool| (tool.key.as_str(), tool.id.as_str())).collect();
    assert_eq!(
        keys,
        [("weather", "weather"), ("suspendTool", "suspend-tool"), ("other-plugins-tool", "other-plugins-tool")]
    );
    assert!(!agent.custom_run && manifest.agents[1].custom_run);
    assert_eq!(manifest.embedders[0].dimension, 2);
    let service = &manifest.services[0];
    assert_eq!((service.kind.as_str(), service.name.as_str()), ("memory-processor", "last-only"));
    assert_eq!(manifest.mcp_servers[0].agents[0].key, "weatherAgent");
    assert!(manifest.config_schema.unwrap()["properties"]["base_url"].is_object());
}

#[test]
fn configuration_that_does_not_fit_refuses_to_open() {
    let error = host().open(plugin(), &json!({ "base_url": 1 })).unwrap_err();
    assert_eq!(error.code, code::CONFIG);
    assert!(error.message.contains("`base_url`"), "{}", error.message);
    assert_eq!(host().open(plugin(), &Value::Null).unwrap_err().message, "`base_url` is empty");
}
