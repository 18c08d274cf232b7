//! A host that answers from a script and remembers what it was told.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::{Map, Value, json};

use crate::{
    AgentAnswer, Error, Level, MemoryMessage, Result,
    abi::{
        AbiResult, HostApi, HostApi_TO, HostArc, SinkArc,
        abi_stable::{
            sabi_trait::TD_Opaque,
            std_types::{RArc, ROption, RSlice, RStr, RVec},
        },
        async_ffi::{FfiFuture, FutureExt},
        push, span_op,
    },
    chat::{FinishReason, Message, StreamPart, Usage},
    error::code,
    guard::into_abi,
    http::{HttpRequest, HttpResponse},
    wire,
};

type Script<I, O> = Arc<dyn Fn(I) -> Result<O> + Send + Sync>;

/// A host for tests. Clones share everything.
#[derive(Clone, Default)]
#[must_use]
pub struct TestHost(Arc<Mutex<Scripted>>);

#[derive(Default)]
struct Scripted {
    tools: HashMap<String, Script<Value, Value>>,
    agents: HashMap<String, Script<Vec<Message>, AgentAnswer>>,
    models: HashMap<String, Vec<StreamPart>>,
    http: Option<Script<HttpRequest, HttpResponse>>,
    secrets: HashMap<String, String>,
    data_directory: Option<PathBuf>,
    threads: HashMap<String, Vec<MemoryMessage>>,
    kv: BTreeMap<String, Value>,
    step_results: HashMap<String, Value>,
    workflow_input: Option<Value>,
    workflow_state: Option<Value>,
    logs: Vec<LogRecord>,
    spans: Vec<SpanRecord>,
}

/// A log record a plugin wrote.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct LogRecord {
    /// How much it matters.
    pub level: Level,
    /// The plugin that wrote it.
    pub target: String,
    /// The sentence.
    pub message: String,
    /// The fields, a JSON object or [`Value::Null`].
    pub fields: Value,
}

/// A span a plugin opened.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SpanRecord {
    /// Its name.
    pub name: String,
    /// Its attributes.
    pub attributes: Map<String, Value>,
    /// Whether it was closed.
    pub is_closed: bool,
}

impl TestHost {
    /// Returns a host that offers nothing but keys and values, and says so when asked for more.
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers calls of a tool.
    pub fn tool(self, id: &str, answer: impl Fn(Value) -> Result<Value> + Send + Sync + 'static) -> Self {
        self.lock().tools.insert(id.to_owned(), Arc::new(answer));
        self
    }

    /// Answers questions to an agent.
    pub fn agent(self, id: &str, answer: impl Fn(Vec<Message>) -> Result<AgentAnswer> + Send + Sync + 'static) -> Self {
        self.lock().agents.insert(id.to_owned(), Arc::new(answer));
        self
    }

    /// Lets a model answer with these parts, every time.
    pub fn model(self, id: &str, parts: Vec<StreamPart>) -> Self {
        self.lock().models.insert(id.to_owned(), parts);
        self
    }

    /// Lets a model answer with this text, every time.
    pub fn model_text(self, id: &str, text: &str) -> Self {
        let delta = StreamPart::TextDelta { id: "text-1".to_owned(), delta: text.to_owned() };
        let finish = StreamPart::Finish { finish_reason: FinishReason::Stop, usage: Usage::default() };
        self.model(id, vec![delta, finish])
    }

    /// Answers HTTP requests.
    pub fn http(self, answer: impl Fn(HttpRequest) -> Result<HttpResponse> + Send + Sync + 'static) -> Self {
        self.lock().http = Some(Arc::new(answer));
        self
    }

    /// Fills a conversation, for [`crate::Ctx::recall`].
    pub fn thread(self, id: &str, messages: Vec<MemoryMessage>) -> Self {
        self.lock().threads.insert(id.to_owned(), messages);
        self
    }

    /// Gives the plugin a secret.
    pub fn secret(self, name: &str, value: &str) -> Self {
        self.lock().secrets.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Gives the plugin a directory, which is there already.
    pub fn data_directory(self, directory: impl Into<PathBuf>) -> Self {
        self.lock().data_directory = Some(directory.into());
        self
    }

    /// Sets a key of the plugin.
    pub fn kv(self, key: &str, value: Value) -> Self {
        self.lock().kv.insert(key.to_owned(), value);
        self
    }

    /// Sets the result of an earlier step of the run.
    pub fn step_result(self, step: &str, result: Value) -> Self {
        self.lock().step_results.insert(step.to_owned(), result);
        self
    }

    /// Sets the input of the workflow run.
    pub fn workflow_input(self, input: Value) -> Self {
        self.lock().workflow_input = Some(input);
        self
    }

    /// Sets the state of the workflow run.
    pub fn workflow_state(self, state: Value) -> Self {
        self.lock().workflow_state = Some(state);
        self
    }

    /// Returns the plugin's value of a key.
    #[must_use]
    pub fn kv_value(&self, key: &str) -> Option<Value> {
        self.lock().kv.get(key).cloned()
    }

    /// Returns the state of the workflow run.
    #[must_use]
    pub fn state(&self) -> Option<Value> {
        self.lock().workflow_state.clone()
    }

    /// Returns what was logged so far.
    #[must_use]
    pub fn logs(&self) -> Vec<LogRecord> {
        self.lock().logs.clone()
    }

    /// Returns the spans opened so far.
    #[must_use]
    pub fn spans(&self) -> Vec<SpanRecord> {
        self.lock().spans.clone()
    }

    /// Returns the handle a plugin gets.
    #[doc(hidden)]
    #[must_use]
    pub fn handle(&self) -> HostArc {
        HostApi_TO::from_ptr(RArc::new(self.clone()), TD_Opaque)
    }

    /// Begins a run: its input, no results yet. A nested run has results of its own, so the outer ones are returned.
    pub(super) fn begin_run(&self, input: Value) -> (Option<Value>, HashMap<String, Value>) {
        let mut scripted = self.lock();
        (scripted.workflow_input.replace(input), std::mem::take(&mut scripted.step_results))
    }

    /// Goes back to the run around a nested one.
    pub(super) fn end_run(&self, (input, results): (Option<Value>, HashMap<String, Value>)) {
        let mut scripted = self.lock();
        scripted.workflow_input = input;
        scripted.step_results = results;
    }

    pub(super) fn keep_result(&self, step: &str, result: &Value) {
        self.lock().step_results.insert(step.to_owned(), result.clone());
    }

    /// Answers what a plugin or a node of a workflow asks for.
    pub(super) fn ask(&self, op: &str, body: &Value) -> Result<Value> {
        super::block_on(self.clone().answer(op.to_owned(), serde_json::to_vec(body)?, None))?
    }

    fn lock(&self) -> MutexGuard<'_, Scripted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(self, op: String, body: Vec<u8>, sink: Option<SinkArc>) -> Result<Value> {
        let body: Value = wire::from_slice(&body, &op)?;
        let named = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
        match op.as_str() {
            "tool.call" => {
                let script = self.lock().tools.get(&named("id")).cloned();
                script.ok_or_else(|| missing("tool", &named("id")))?(body["input"].clone())
            }
            "agent.generate" => {
                let script = self.lock().agents.get(&named("id")).cloned();
                let script = script.ok_or_else(|| missing("agent", &named("id")))?;
                let messages = wire::from_value(body["messages"].clone(), "messages")?;
                Ok(serde_json::to_value(script(messages)?)?)
            }
            "model.chat" => {
                let parts = self.lock().models.get(&named("model")).cloned();
                let parts = parts.ok_or_else(|| missing("model", &named("model")))?;
                stream(&parts, sink).await?;
                Ok(Value::Null)
            }
            "http.request" => {
                let script = self.lock().http.clone();
                let script =
                    script.ok_or_else(|| Error::with_code(code::UNAVAILABLE, "the test has no HTTP answers"))?;
                Ok(serde_json::to_value(script(wire::from_value(body, "request")?)?)?)
            }
            "memory.recall" => {
                let messages = self.lock().threads.get(&named("threadId")).cloned().unwrap_or_default();
                let last = body["last"].as_u64().and_then(|last| usize::try_from(last).ok()).unwrap_or(10);
                let first = messages.len().saturating_sub(last);
                Ok(json!(messages.into_iter().skip(first).collect::<Vec<_>>()))
            }
            "secret.get" => {
                let secret = self.lock().secrets.get(&named("name")).cloned();
                secret.map(Value::String).ok_or_else(|| missing("secret", &named("name")))
            }
            "data.directory" => {
                let directory = self.lock().data_directory.clone();
                directory.map(|directory| json!(directory)).ok_or_else(|| unsupported(&op))
            }
            "kv.get" => Ok(self.lock().kv.get(&named("key")).cloned().unwrap_or_default()),
            "kv.set" => {
                self.lock().kv.insert(named("key"), body["value"].clone());
                Ok(Value::Null)
            }
            "kv.delete" => {
                self.lock().kv.remove(&named("key"));
                Ok(Value::Null)
            }
            "kv.list" => {
                let prefix = named("prefix");
                Ok(json!(self.lock().kv.keys().filter(|key| key.starts_with(&prefix)).collect::<Vec<_>>()))
            }
            "workflow.step_result" => Ok(self.lock().step_results.get(&named("step")).cloned().unwrap_or_default()),
            "workflow.input" => self.lock().workflow_input.clone().ok_or_else(|| unsupported(&op)),
            "workflow.state" => self.lock().workflow_state.clone().ok_or_else(|| unsupported(&op)),
            "workflow.set_state" => {
                self.lock().workflow_state = Some(body["state"].clone());
                Ok(Value::Null)
            }
            _ => Err(unsupported(&op)),
        }
    }
}

impl HostApi for TestHost {
    fn log(&self, _call: u64, level: u8, target: RStr<'_>, message: RStr<'_>, fields_json: RSlice<'_, u8>) {
        let level = match level {
            0..=10 => Level::Trace,
            11..=20 => Level::Debug,
            21..=30 => Level::Info,
            31..=40 => Level::Warn,
            _ => Level::Error,
        };
        let fields = serde_json::from_slice(&fields_json).unwrap_or_default();
        let record = LogRecord { level, target: target.into(), message: message.into(), fields };
        self.lock().logs.push(record);
    }

    fn span(&self, _call: u64, op: u8, span: u64, name: RStr<'_>, fields_json: RSlice<'_, u8>) -> u64 {
        let fields: Map<String, Value> = serde_json::from_slice(&fields_json).unwrap_or_default();
        let mut scripted = self.lock();
        if op == span_op::OPEN {
            scripted.spans.push(SpanRecord { name: name.into(), attributes: fields, is_closed: false });
            return scripted.spans.len() as u64;
        }
        let index = usize::try_from(span).unwrap_or_default().wrapping_sub(1);
        if let Some(record) = scripted.spans.get_mut(index) {
            record.attributes.extend(fields);
            record.is_closed |= op == span_op::CLOSE;
        }
        span
    }

    fn request(&self, _: u64, op: RStr<'_>, body: RVec<u8>, sink: ROption<SinkArc>) -> FfiFuture<AbiResult<RVec<u8>>> {
        let answer = self.clone().answer(op.to_string(), body.into_vec(), sink.into_option());
        // Answers a poll later, as a real host does, so that nothing relies on an answer being ready.
        async move {
            tokio::task::yield_now().await;
            into_abi(answer.await.and_then(|value| Ok(serde_json::to_vec(&value)?.into())))
        }
        .into_ffi()
    }
}

impl std::fmt::Debug for TestHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestHost").finish_non_exhaustive()
    }
}

async fn stream(parts: &[StreamPart], sink: Option<SinkArc>) -> Result<()> {
    let Some(sink) = sink else { return Ok(()) };
    for part in parts {
        let chunk = serde_json::to_vec(part)?;
        loop {
            match sink.push(RSlice::from_slice(&chunk)) {
                push::OK => break,
                push::FULL if sink.ready().await => {}
                _ => return Err(Error::with_code(code::CANCELLED, "the plugin has stopped reading")),
            }
        }
    }
    Ok(())
}

fn missing(what: &str, name: &str) -> Error {
    Error::with_code(code::NOT_FOUND, format!("the test host has no {what} `{name}`"))
}

fn unsupported(op: &str) -> Error {
    Error::with_code(code::UNSUPPORTED, format!("the test host does not offer `{op}`"))
}
