//! Every capability, declared as an author does and run through the real adapters.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use hotbay_plugin::{
    Error, VectorStore,
    error::code,
    http::HttpResponse,
    prelude::*,
    processor::Speaker,
    testing::{End, TestHost, TestPlugin, call_tool},
    vector_store::{CreateIndex, Delete, Entry, Hit, IndexStats, Metric, Query, Selection, Update, Upsert},
};

#[derive(Deserialize, JsonSchema)]
struct City {
    /// City name
    city: String,
    units: Option<Units>,
}

#[derive(Deserialize, Serialize, JsonSchema)]
enum Units {
    C,
    F,
}

#[derive(Serialize, JsonSchema)]
struct Weather {
    city: String,
    temperature: f64,
}

/// Get the weather for a city
#[tool(timeout = "5s", idempotent)]
async fn weather(ctx: &Ctx, input: City) -> Result<Weather> {
    ctx.log(Level::Info, "looking up", &json!({ "city": input.city }));
    let temperature = if matches!(input.units, Some(Units::F)) { 70.0 } else { 21.0 };
    // A binding of the tool's own name is fine.
    let weather = Weather { city: input.city, temperature };
    Ok(weather)
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Question {
    question: String,
}

#[derive(Deserialize, JsonSchema)]
struct Reply {
    answer: String,
}

/// Suspends until a human answers
#[tool(id = "suspend-tool", require_approval, suspend = Question, resume = Reply)]
async fn suspend_tool(ctx: &Ctx, input: Question) -> Result<Question> {
    let Some(reply) = ctx.resume_data::<Reply>()? else { return ctx.suspend(&input) };
    Ok(Question { question: reply.answer })
}

#[tool(input = "raw", untyped_output)]
fn length(bytes: Vec<u8>) -> Result<usize> {
    Ok(bytes.len())
}

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

#[derive(Deserialize)]
struct Page {
    n: u32,
}

/// Uses all the host offers.
#[tool]
async fn uses_everything(ctx: &Ctx) -> Result<Value> {
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

/// Answers weather questions
#[agent]
fn weather_agent() -> Agent {
    Agent::new("weather-agent")
        .name("Weather Agent")
        .instructions("Use the weather tool.")
        .model("mock-provider/mock-echo")
        .tool(weather)
        .tool_as("suspendTool", suspend_tool)
        .tool_id("other-plugins-tool")
        .memory(Memory::last(10))
        .default_options(json!({ "maxSteps": 3 }))
}

/// Runs its own loop.
#[agent(id = "own", model = "p/m")]
async fn own(ctx: &Ctx, run: AgentRun) -> Result<AgentAnswer> {
    let mut answer = Answer::new(ctx);
    let mut stream = ctx.model("p/m").chat(run.messages).stream()?;
    let mut text = String::new();
    while let Some(part) = stream.next().await? {
        if let StreamPart::TextDelta { delta, .. } = part {
            text.push_str(&delta);
            answer.text(delta).await?;
        }
    }
    answer.finish(FinishReason::Stop, Usage::default()).await?;
    Ok(AgentAnswer::text(text))
}

/// Echoes.
#[model(id = "mock-provider/mock-echo")]
async fn echo(_ctx: &Ctx, request: ChatRequest, answer: &mut Answer) -> Result<()> {
    let text = request.messages.last().map(Message::text).unwrap_or_default();
    if text == "FAIL" {
        return Err(Error::new("mock model failure"));
    }
    answer.reasoning("hm").await?;
    for word in text.split_inclusive(' ') {
        answer.text(word).await?;
    }
    answer.tool_call("call_1", "weather", &json!({ "city": "Paris" })).await?;
    answer.finish(FinishReason::ToolCalls, Usage { input_tokens: Some(10), ..Usage::default() }).await
}

#[embedder(id = "mock-provider/lengths", dimension = 2)]
async fn lengths(texts: Vec<String>) -> Result<Vec<Vec<f32>>> {
    #[expect(clippy::cast_precision_loss, reason = "short texts")]
    Ok(texts.iter().map(|text| vec![text.len() as f32, 1.0]).collect())
}

/// Keeps the last messages.
#[memory_processor(name = "last-only")]
async fn last_only(ctx: &Ctx, remembered: Remembered) -> Result<Vec<MemoryMessage>> {
    let keep = remembered.options["keep"].as_u64().unwrap_or(1);
    let mut messages = remembered.messages;
    messages.drain(..messages.len() - usize::try_from(keep)?);
    messages.extend(ctx.recall("t-1", 1).await?);
    Ok(messages)
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
    assert_eq!(
        (manifest.services[0].kind.as_str(), manifest.services[0].name.as_str()),
        ("memory-processor", "last-only")
    );
    assert_eq!(manifest.mcp_servers[0].agents[0].key, "weatherAgent");
    assert!(manifest.config_schema.unwrap()["properties"]["base_url"].is_object());
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

#[test]
fn configuration_that_does_not_fit_refuses_to_open() {
    let error = host().open(plugin(), &json!({ "base_url": 1 })).unwrap_err();
    assert_eq!(error.code, code::CONFIG);
    assert!(error.message.contains("`base_url`"), "{}", error.message);
    assert_eq!(host().open(plugin(), &Value::Null).unwrap_err().message, "`base_url` is empty");
}

#[test]
fn model_streams_an_answer_part_by_part() {
    let plugin = opened();
    let request = ChatRequest { messages: vec![Message::user("good day")], ..ChatRequest::default() };
    let outcome = plugin.model("mock-provider/mock-echo").run(&request).unwrap();
    let kinds: Vec<_> = outcome.chunks.iter().map(|chunk| chunk["type"].as_str().unwrap()).collect();
    assert_eq!(
        kinds,
        [
            "stream-start",
            "reasoning-start",
            "reasoning-delta",
            "reasoning-end",
            "text-start",
            "text-delta",
            "text-delta",
            "text-end",
            "tool-input-start",
            "tool-input-delta",
            "tool-input-end",
            "tool-call",
            "finish"
        ]
    );
    let completion = plugin.chat("mock-provider/mock-echo", &request).unwrap();
    assert_eq!((completion.text.as_str(), completion.reasoning.as_str()), ("good day", "hm"));
    assert_eq!(completion.tool_calls[0].input, json!({ "city": "Paris" }));
    let request = ChatRequest { messages: vec![Message::user("FAIL")], ..ChatRequest::default() };
    assert_eq!(plugin.chat("mock-provider/mock-echo", &request).unwrap_err().message, "mock model failure");
}

#[test]
fn agent_that_runs_itself_streams_and_answers() {
    let input = json!({ "messages": [{ "role": "user", "content": [{ "type": "text", "text": "hi" }] }] });
    let outcome = opened().agent("own").run(&input).unwrap();
    assert!(outcome.chunks.iter().any(|chunk| chunk["delta"] == "hi there"), "{:?}", outcome.chunks);
    assert_eq!(outcome.value::<AgentAnswer>().unwrap().text, "hi there");
    let error = opened().agent("weather-agent").run(&input).unwrap_err();
    assert_eq!(error.code, code::UNSUPPORTED);
}

#[test]
fn long_answer_of_a_model_outlasts_the_buffer() {
    #[tool(untyped_output)]
    async fn count(ctx: &Ctx) -> Result<usize> {
        let mut stream = ctx.model("p/long").ask("go").stream()?;
        let mut parts = 0;
        while stream.next().await?.is_some() {
            parts += 1;
        }
        Ok(parts)
    }
    let parts = vec![StreamPart::TextDelta { id: "text-1".into(), delta: "x".into() }; 1000];
    let host = TestHost::new().model("p/long", parts);
    let plugin = host.open(Plugin::new("counts", "0.0.0").tool(count), &json!({})).unwrap();
    assert_eq!(plugin.tool("count").run(&json!({})).unwrap(), json!(1000));
}

#[test]
fn embedder_gives_a_row_for_each_text() {
    assert_eq!(opened().embed("mock-provider/lengths", &["a", "abc"]).unwrap(), [[1.0, 1.0], [3.0, 1.0]]);
}

#[test]
fn memory_processor_gives_back_what_the_model_is_to_see() {
    let message = |text: &str| MemoryMessage::new(Speaker::User, text);
    let host = host().thread("t-1", vec![message("older"), message("remembered")]);
    let plugin = host.open(plugin(), &json!({ "base_url": "http://localhost/" })).unwrap();
    let mut remembered = Remembered::new(vec![message("one"), message("two"), message("three")]);
    remembered.options.insert("keep".into(), json!(2));
    let kept = plugin.memory_processor("last-only", &remembered).unwrap();
    let texts: Vec<_> = kept.iter().map(MemoryMessage::text).collect();
    assert_eq!(texts, ["two", "three", "remembered"]);
    let error = plugin.memory_processor("nowhere", &remembered).unwrap_err();
    assert_eq!(error.code, code::UNSUPPORTED);
}

#[test]
fn an_agents_memory_names_its_options() {
    let memory =
        Memory::last(3).working_memory("# T").generate_title().processor("a").processor_with("b", json!({ "n": 1 }));
    let manifest = serde_json::to_value(Agent::new("x").memory(memory).manifest()).unwrap();
    assert_eq!(
        manifest["memory"],
        json!({
            "lastMessages": 3,
            "workingMemory": { "enabled": true, "template": "# T" },
            "generateTitle": true,
            "processors": [{ "name": "a", "options": {} }, { "name": "b", "options": { "n": 1 } }],
        })
    );
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Num {
    value: i64,
}

/// Adds one
#[step(id = "add-one", retries = 2, timeout = "3s")]
async fn add_one(input: Num) -> Result<Num> {
    Ok(Num { value: input.value + 1 })
}

#[step(suspend = Question, resume = Num)]
async fn ask(ctx: &Ctx, input: Num) -> Result<Num> {
    if input.value > 100 {
        return ctx.bail(&json!({ "value": 100 }));
    }
    let Some(more) = ctx.resume_data::<Num>()? else { return ctx.suspend(&Question { question: "how many?".into() }) };
    let count: Num = ctx.workflow_state().await?;
    ctx.set_workflow_state(&Num { value: count.value + 1 }).await?;
    Ok(Num { value: input.value + more.value })
}

#[workflow]
fn inner() -> Workflow {
    Workflow::new("inner").then(add_one)
}

/// Does things to numbers.
#[workflow]
fn numbers() -> Workflow {
    Workflow::new("numbers")
        .input::<Num>()
        .output::<Num>()
        .state::<Num>()
        .then(add_one)
        .parallel(Parallel::new().and(ask).and(weather).and(weather_agent))
        .map_async(|ctx: Ctx, _both: Value| async move {
            let first: Option<Num> = ctx.step_result("add-one").await?;
            Ok(first.unwrap_or(Num { value: 0 }))
        })
        .branch(
            Branch::new().when(|num: Num| num.value > 10, add_one().id("big")).when(|num: Num| num.value <= 10, inner),
        )
        .dountil(add_one, |num: Num| num.value >= 3)
        .dowhile(
            add_one().id("again").retries(Retry::times(3).delay(Duration::from_millis(100)).factor(2.0).jitter()),
            |num: Num| num.value < 3,
        )
        .map(|num: Num| Ok(vec![num]))
        .foreach(add_one, 2)
        .sleep(Duration::from_millis(50))
        .sleep_for(|nums: Vec<Num>| Duration::from_secs(nums.len() as u64))
        .sleep_until("2030-01-01T00:00:00Z")
}

#[test]
fn workflow_graph_names_every_node() {
    let manifest = numbers().manifest();
    assert_eq!(manifest.description, "Does things to numbers.");
    let nodes = manifest.graph["nodes"].as_array().unwrap();
    let kinds: Vec<_> = nodes.iter().map(|node| node["type"].as_str().unwrap()).collect();
    assert_eq!(
        kinds,
        ["step", "parallel", "map", "branch", "dountil", "dowhile", "map", "foreach", "sleep", "sleep", "sleepUntil"]
    );
    assert_eq!(nodes[0]["retries"]["attempts"], 2);
    assert_eq!(nodes[0]["timeoutMs"], 3000);
    assert_eq!(nodes[1]["nodes"][1], json!({ "type": "tool", "id": "weather", "tool": "weather" }));
    assert_eq!(nodes[3]["arms"][1]["node"]["workflow"], "inner");
    assert_eq!(nodes[5]["node"]["retries"], json!({ "attempts": 3, "delayMs": 100, "factor": 2.0, "jitter": true }));
    assert_eq!(nodes[7]["concurrency"], 2);
    assert_eq!(nodes[9]["computed"], true);
}

#[test]
fn workflow_nodes_run_by_their_ids() {
    let host = host().step_result("add-one", json!({ "value": 7 })).workflow_state(json!({ "value": 0 }));
    let plugin = host.open(plugin(), &json!({ "base_url": "x" })).unwrap();
    let run = |node: &str, input: Value| plugin.workflow_node("numbers", node).run(&input);
    let graph = numbers().manifest().graph;

    assert_eq!(run("add-one", json!({ "value": 1 })).unwrap(), json!({ "value": 2 }));
    assert_eq!(run("big", json!({ "value": 1 })).unwrap(), json!({ "value": 2 }));
    let condition = graph["nodes"][3]["arms"][0]["condition"].as_str().unwrap();
    assert_eq!(run(condition, json!({ "value": 11 })).unwrap(), json!(true));
    assert_eq!(run(condition, json!({ "value": 10 })).unwrap(), json!(false));
    assert_eq!(run(graph["nodes"][2]["id"].as_str().unwrap(), json!({})).unwrap(), json!({ "value": 7 }));
    assert_eq!(run(graph["nodes"][9]["id"].as_str().unwrap(), json!([{ "value": 1 }])).unwrap(), json!(1000));

    assert_eq!(run("ask", json!({ "value": 1 })).unwrap().end, End::Suspended(json!({ "question": "how many?" })));
    let resumed = plugin.workflow_node("numbers", "ask").resume(json!({ "value": 5 })).run(&json!({ "value": 1 }));
    assert_eq!(resumed.unwrap(), json!({ "value": 6 }));
    assert_eq!(host.state(), Some(json!({ "value": 1 })));
    assert_eq!(run("ask", json!({ "value": 101 })).unwrap().end, End::Bailed(json!({ "value": 100 })));
    let error = run("nowhere", json!({})).unwrap_err();
    assert_eq!(
        (error.code, error.message.as_str()),
        (code::UNSUPPORTED, "workflow `numbers` has no code for node `nowhere`")
    );
}

#[test]
fn two_steps_with_one_id_refuse_the_plugin() {
    fn clash() -> Workflow {
        Workflow::new("clash").then(add_one).then(ask().id("add-one"))
    }
    let error = std::panic::catch_unwind(clash).err().unwrap();
    let message = error.downcast_ref::<String>().unwrap();
    assert_eq!(message, "workflow `clash` has two nodes with the id `add-one`: give one of them another id");
}

/// A store that remembers one index.
struct Memories(Mutex<BTreeMap<String, Entry>>);

impl VectorStore for Memories {
    const NAME: &'static str = "memories";

    async fn open(ctx: &Ctx) -> Result<Self> {
        ctx.info("store opened");
        Ok(Self(Mutex::default()))
    }

    async fn create_index(&self, _: &Ctx, _: CreateIndex) -> Result<()> {
        Ok(())
    }

    async fn list_indexes(&self, _: &Ctx) -> Result<Vec<String>> {
        Ok(vec!["only".into()])
    }

    async fn describe_index(&self, _: &Ctx, name: &str) -> Result<IndexStats> {
        if name != "only" {
            return Err(Error::with_code(code::NOT_FOUND, format!("there is no index `{name}`")));
        }
        Ok(IndexStats { dimension: 2, count: self.0.lock().unwrap().len() as u64, metric: Metric::DotProduct })
    }

    async fn delete_index(&self, _: &Ctx, _: &str) -> Result<()> {
        self.0.lock().unwrap().clear();
        Ok(())
    }

    async fn upsert(&self, _: &Ctx, upsert: Upsert) -> Result<Vec<String>> {
        let mut entries = self.0.lock().unwrap();
        let added = upsert.entries.into_iter().map(|entry| {
            let id = entry.id.clone().unwrap_or_else(|| format!("made-up-{}", entries.len()));
            entries.insert(id.clone(), entry);
            id
        });
        Ok(added.collect())
    }

    async fn query(&self, _: &Ctx, query: Query) -> Result<Vec<Hit>> {
        let entries = self.0.lock().unwrap();
        let mut hits: Vec<_> = entries
            .iter()
            .map(|(id, entry)| Hit {
                id: id.clone(),
                score: entry.vector.iter().zip(&query.vector).map(|(a, b)| a * b).sum(),
                metadata: entry.metadata.clone(),
                vector: query.include_vector.then(|| entry.vector.clone()),
            })
            .collect();
        hits.sort_by(|a, b| b.score.total_cmp(&a.score));
        hits.truncate(query.top_k);
        Ok(hits)
    }

    async fn update(&self, _: &Ctx, update: Update) -> Result<u64> {
        let Selection::Ids(ids) = update.selection else { return Ok(0) };
        let mut entries = self.0.lock().unwrap();
        let mut changed = 0;
        for id in ids {
            let Some(entry) = entries.get_mut(&id) else { continue };
            if let Some(vector) = &update.vector {
                entry.vector.clone_from(vector);
            }
            changed += 1;
        }
        Ok(changed)
    }

    async fn delete(&self, _: &Ctx, delete: Delete) -> Result<u64> {
        let Selection::Ids(ids) = delete.selection else { return Ok(0) };
        let mut entries = self.0.lock().unwrap();
        Ok(ids.iter().filter(|id| entries.remove(*id).is_some()).count() as u64)
    }
}

#[test]
fn vector_store_takes_and_gives_rows() {
    let host = host();
    let plugin = host.open(plugin(), &json!({ "base_url": "x" })).unwrap();
    let store = plugin.vector_store("memories").unwrap();
    store.create_index("only", 2, Metric::DotProduct).unwrap();
    let entries = vec![Entry::new("a", vec![1.0, 0.0]).with("kind", "first"), Entry::new("b", vec![0.0, 2.0])];
    assert_eq!(store.upsert(&Upsert::new("only", entries)).unwrap(), ["a", "b"]);
    let mut query = Query::new("only", vec![0.0, 1.0], 2);
    query.include_vector = true;
    let hits = store.query(&query).unwrap();
    assert_eq!((hits[0].id.as_str(), hits[0].score, &hits[0].vector), ("b", 2.0, &Some(vec![0.0, 2.0])));
    assert_eq!(hits[1].metadata["kind"], "first");
    assert_eq!(store.describe_index("only").unwrap().count, 2);
    assert_eq!(store.call("update", &json!({ "index": "only", "ids": ["a"] }), vec![5.0, 5.0]).unwrap().0, json!(1));
    assert_eq!(store.call("delete", &json!({ "index": "only", "ids": ["a", "z"] }), vec![]).unwrap().0, json!(1));
    assert_eq!(host.logs().iter().filter(|log| log.message == "store opened").count(), 1);
}

#[test]
fn vector_store_refuses_what_does_not_add_up() {
    let plugin = opened();
    let store = plugin.vector_store("memories").unwrap();
    let refused = |op: &str, body: Value, rows: Vec<f32>| store.call(op, &body, rows).unwrap_err();
    assert_eq!(refused("upsert", json!({ "index": "only", "count": 2 }), vec![1.0; 3]).code, code::INPUT);
    assert_eq!(
        refused("upsert", json!({ "index": "only", "count": 1, "ids": ["a", "b"] }), vec![1.0]).code,
        code::INPUT
    );
    assert_eq!(refused("delete", json!({ "index": "only" }), vec![]).code, code::INPUT);
    assert_eq!(refused("create_index", json!({ "name": "x", "dimension": 0 }), vec![]).code, code::INPUT);
    assert_eq!(refused("describe_index", json!({ "name": "x" }), vec![]).code, code::NOT_FOUND);
    assert_eq!(refused("vacuum", json!({}), vec![]).code, code::UNSUPPORTED);
}
