//! Tools: typed input and result, suspending, and all that a call may ask of the host.

use std::time::Duration;

use hotbay_plugin::{
    error::code,
    prelude::*,
    testing::{End, call_tool},
};

use crate::{Settings, host, opened, plugin};

#[derive(Deserialize, JsonSchema)]
pub(crate) struct City {
    /// City name
    city: String,
    units: Option<Units>,
}

#[derive(Deserialize, Serialize, JsonSchema)]
pub(crate) enum Units {
    C,
    F,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Weather {
    city: String,
    temperature: f64,
}

/// Get the weather for a city
#[tool(timeout = "5s", idempotent)]
pub(crate) async fn weather(ctx: &Ctx, input: City) -> Result<Weather> {
    ctx.log(Level::Info, "looking up", &json!({ "city": input.city }));
    let temperature = if matches!(input.units, Some(Units::F)) { 70.0 } else { 21.0 };
    // A binding of the tool's own name is fine.
    let weather = Weather { city: input.city, temperature };
    Ok(weather)
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Question {
    pub(crate) question: String,
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct Reply {
    answer: String,
}

/// Suspends until a human answers
#[tool(id = "suspend-tool", require_approval, suspend = Question, resume = Reply)]
pub(crate) async fn suspend_tool(ctx: &Ctx, input: Question) -> Result<Question> {
    let Some(reply) = ctx.resume_data::<Reply>()? else { return ctx.suspend(&input) };
    Ok(Question { question: reply.answer })
}

#[tool(input = "raw", untyped_output)]
pub(crate) fn length(bytes: Vec<u8>) -> Result<usize> {
    Ok(bytes.len())
}

#[derive(Deserialize)]
struct Page {
    n: u32,
}

/// Uses all the host offers.
#[tool]
pub(crate) async fn uses_everything(ctx: &Ctx) -> Result<Value> {
    let span = ctx.span("work");
    span.record(&json!({ "step": 1 }));
    let doubled: u32 = ctx.tool("double").call(&json!({ "n": 2 })).await?;
    ctx.kv().set("seen", &doubled).await?;
    let seen: Option<u32> = ctx.kv().get("seen").await?;
    let keys = ctx.kv().list("se").await?;
    ctx.kv().delete("seen").await?;
    let text = ctx.model("p/m").ask("hello").system("be kind").text().await?;
    let answer = ctx.agent("helper").ask("and you?").await?;
    let secret = ctx.secret("KEY").await?;
    let page: Page = ctx
        .http()
        .get(&ctx.config::<Settings>().base_url)
        .query("q", "a b")
        .header("x-key", secret)
        .timeout(Duration::from_secs(1))
        .send()
        .await?
        .error_for_status()?
        .json()?;
    let slow = ctx.blocking(|| Ok(std::thread::current().name().map(str::to_owned))).await?;
    Ok(json!({
        "doubled": doubled, "seen": seen, "keys": keys, "text": text, "answer": answer.text, "page": page.n,
        "thread": slow, "state": ctx.state::<String>(), "attempt": ctx.attempt(),
    }))
}

#[test]
fn tool_answers_with_its_typed_result() {
    assert_eq!(
        call_tool(weather, &json!({ "city": "Paris", "units": "F" })).unwrap(),
        json!({ "city": "Paris", "temperature": 70.0 })
    );
    assert_eq!(call_tool(length, &json!("four")).unwrap(), json!(6));
}

#[test]
fn tool_suspends_with_a_payload_and_resumes() {
    let plugin = opened();
    let input = json!({ "question": "Which one?" });
    let outcome = plugin.tool("suspend-tool").run(&input).unwrap();
    assert_eq!(outcome.end, End::Suspended(json!({ "question": "Which one?" })));
    let outcome = plugin.tool("suspend-tool").resume(json!({ "answer": "this" })).run(&input).unwrap();
    assert_eq!(outcome, json!({ "question": "this" }));
    let error = plugin.tool("suspend-tool").resume(json!({ "answer": 1 })).run(&input).unwrap_err();
    assert_eq!(error.code, code::INPUT);
}

#[test]
fn tool_reaches_everything_the_host_offers() {
    let host = host();
    let plugin = host.open(plugin(), &json!({ "base_url": "http://localhost/" })).unwrap();
    let value: Value = plugin.tool("uses_everything").run(&json!({})).unwrap().value().unwrap();
    assert_eq!(
        value,
        json!({
            "doubled": 4, "seen": 4, "keys": ["seen"], "text": "hi there", "answer": "and you?", "page": 5,
            "thread": "hotbay-plugin", "state": "client of http://localhost/", "attempt": 1,
        })
    );
    assert_eq!(host.kv_value("seen"), None);
    let spans = host.spans();
    assert_eq!((spans[0].name.as_str(), &spans[0].attributes["step"]), ("work", &json!(1)));
    assert!(spans[0].is_closed);
    plugin.shutdown().unwrap();
    assert_eq!(host.logs().last().unwrap().message, "closing the client of http://localhost/");
}
