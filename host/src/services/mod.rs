//! What plugins may ask of the host, by op.
//!
//! Owns the list of ops and who answers them; each answer is a document the SDK's `Ctx`
//! reads. What a plugin asks for during a run is looked up where the run looks, see [`Origin`].
//! Who may ask at all, and that a retired generation may not, is [`crate::plugin::services`]'s.

mod chat;
mod directory;
mod http;
mod kv;
mod secret;
pub mod span;
mod tool;

use std::{
    any::Any,
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use async_trait::async_trait;
use futures::future::BoxFuture;
use hotbay_plugin::{Error, error::code, manifest::CallMeta};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    config::{Config, SecretSource},
    model::catalog::Models,
    observe::tracer::{ActiveSpan, SpanContext},
    plugin::{
        call::{CallContext, CallError, ChunkSender},
        registry::{Registry, Snapshot},
        services::{HostServices, Requester},
    },
};
use http::HttpClient;
use kv::KeyValues;

/// Runs an agent for a plugin: the agent's id, the whole request, `{id, messages, options?}`, and
/// what the plugin was called for.
pub type AskAgent =
    Arc<dyn Fn(String, Value, Option<Origin>) -> BoxFuture<'static, Result<Value, Error>> + Send + Sync>;

/// What a plugin is called for: the context of calls the engine makes.
///
/// A swap between a call and what the plugin asks for during it does not show: both are answered
/// from the same snapshot.
#[derive(Clone)]
pub struct Origin {
    /// What the run sees of all plugins.
    pub snapshot: Arc<Snapshot>,
    /// How many agents have asked agents to get there.
    pub depth: u32,
    /// The step of a workflow that is called.
    pub step: Option<Arc<dyn StepServices>>,
    /// The span it is part of, if that is recorded.
    pub span: Option<SpanContext>,
}

impl CallContext for Origin {
    fn span(&self) -> Option<&SpanContext> {
        self.span.as_ref()
    }
}

impl Origin {
    /// Returns what an agent is called for that this one asks.
    #[must_use]
    pub fn deeper(&self) -> Self {
        Self { depth: self.depth + 1, ..self.clone() }
    }

    /// Returns what is called from within a span for the same.
    #[must_use]
    pub fn within(&self, span: &ActiveSpan) -> Self {
        Self { span: span.context().or_else(|| self.span.clone()), ..self.clone() }
    }

    fn of(caller: &Requester) -> Option<&Self> {
        let context: &dyn Any = &**caller.context.as_ref()?;
        context.downcast_ref()
    }
}

/// The run a step of a workflow belongs to, as far as its requests are concerned.
#[async_trait]
pub trait StepServices: Send + Sync {
    /// Names a request of the step and returns what it was answered before, if it was.
    async fn recall(&self, op: &str, body: &[u8]) -> (String, Option<Vec<u8>>);
    /// Says to a tool what its call under such a name belongs to.
    fn meta(&self, key: &str) -> CallMeta;
    /// Keeps an answer under the name [`StepServices::recall`] gave.
    async fn remember(&self, key: &str, answer: &[u8]) -> Result<(), Error>;
    /// Answers what is asked about the run itself: the ops `workflow.*`.
    async fn ask_run(&self, op: &str, body: &Value) -> Result<Value, Error>;
}

/// Requests whose answer a repeated step gets again, beside those to models.
const REMEMBERED: [&str; 3] = ["tool.call", "agent.generate", "http.request"];

/// Reads the last messages of a thread for a plugin: the thread's id and how many.
pub type Recall = Arc<dyn Fn(String, u64) -> BoxFuture<'static, Result<Value, Error>> + Send + Sync>;

/// Answers plugins' requests.
pub struct Services {
    models: Arc<Models>,
    secrets: BTreeMap<String, SecretSource>,
    key_values: KeyValues,
    /// Where plugins have their directories.
    plugin_data: PathBuf,
    http: HttpClient,
    /// What there is only once plugins are loaded. Plugins may ask while they open, which is before.
    connected: OnceLock<Connected>,
}

struct Connected {
    registry: Arc<Registry>,
    ask_agent: AskAgent,
    recall: Recall,
}

/// What of a conversation is asked for.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RecallRequest {
    thread_id: String,
    #[serde(default = "few")]
    last: u64,
}

fn few() -> u64 {
    10
}

impl Services {
    /// Makes the services; tools and agents cannot be asked before [`Services::connect`].
    #[must_use]
    pub fn new(config: &Config, models: Arc<Models>) -> Self {
        Self::with(models, &config.data, config.secrets.clone())
    }

    pub(crate) fn with(models: Arc<Models>, data: &Path, secrets: BTreeMap<String, SecretSource>) -> Self {
        Self {
            models,
            secrets,
            key_values: KeyValues::new(data.join("kv")),
            plugin_data: data.join("plugin-data"),
            http: HttpClient::default(),
            connected: OnceLock::new(),
        }
    }

    /// Says where capabilities are, who runs agents and who remembers. Only the first time counts.
    pub fn connect(&self, registry: Arc<Registry>, ask_agent: AskAgent, recall: Recall) {
        if self.connected.set(Connected { registry, ask_agent, recall }).is_err() {
            tracing::debug!("the services are connected already");
        }
    }

    fn connected(&self) -> Result<&Connected, Error> {
        self.connected.get().ok_or_else(|| {
            Error::with_code(code::UNAVAILABLE, "the host is still loading plugins; ask after `open` has returned")
                .retryable()
        })
    }

    fn snapshot(&self, caller: &Requester) -> Result<Arc<Snapshot>, Error> {
        match Origin::of(caller) {
            Some(origin) => Ok(Arc::clone(&origin.snapshot)),
            None => Ok(self.connected()?.registry.snapshot()),
        }
    }

    async fn generate(&self, caller: &Requester, body: &[u8]) -> Result<Vec<u8>, Error> {
        let request: Value = parse(body)?;
        let Some(id) = request.get("id").and_then(Value::as_str) else {
            return Err(Error::input("`id` must be the id of an agent"));
        };
        let ask = Arc::clone(&self.connected()?.ask_agent);
        answer(&ask(id.to_owned(), request, Origin::of(caller).cloned()).await?)
    }
}

#[async_trait]
impl HostServices for Services {
    async fn request(
        &self,
        caller: Requester,
        op: &str,
        body: Vec<u8>,
        sink: Option<ChunkSender>,
    ) -> Result<Vec<u8>, Error> {
        let step = Origin::of(&caller).and_then(|origin| origin.step.clone());
        if op.starts_with("workflow.") {
            let Some(step) = step else {
                let message = format!("`{op}` is answered only within a step of a workflow");
                return Err(Error::with_code(code::UNSUPPORTED, message));
            };
            return answer(&step.ask_run(op, &parse(&body)?).await?);
        }
        if op == "model.chat" {
            return self.chat(&caller, &body, sink, step.as_ref()).await;
        }
        let Some(step) = step.filter(|_| REMEMBERED.contains(&op)) else {
            return self.perform(&caller, op, body, None).await;
        };
        let (key, known) = step.recall(op, &body).await;
        if let Some(known) = known {
            return Ok(known);
        }
        let answer = self.perform(&caller, op, body, Some(step.meta(&key))).await?;
        step.remember(&key, &answer).await?;
        Ok(answer)
    }
}

impl Services {
    async fn perform(
        &self,
        caller: &Requester,
        op: &str,
        body: Vec<u8>,
        meta: Option<CallMeta>,
    ) -> Result<Vec<u8>, Error> {
        match op {
            "tool.call" => self.call_tool(caller, &body, meta).await,
            "agent.generate" => self.generate(caller, &body).await,
            "memory.recall" => {
                let RecallRequest { thread_id, last } = parse(&body)?;
                let recall = Arc::clone(&self.connected()?.recall);
                answer(&recall(thread_id, last).await?)
            }
            "http.request" => {
                let within = Origin::of(caller).and_then(|origin| origin.span.as_ref());
                answer(&self.http.send(parse(&body)?, within).await?)
            }
            "data.directory" => answer(&directory::of(&self.plugin_data, &caller.plugin).await?),
            "secret.get" => self.secret(&body),
            "kv.get" | "kv.set" | "kv.delete" | "kv.list" => self.key_values.request(&caller.plugin, op, &body).await,
            _ => Err(Error::with_code(
                code::UNSUPPORTED,
                format!("this host does not know the request `{op}`; a newer one may"),
            )),
        }
    }
}

/// Reads the body of a request.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| Error::input(format!("the request does not fit: {error}")))
}

/// Writes an answer.
fn answer(value: &impl Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(|error| Error::new(format!("the answer cannot be written as JSON: {error}")))
}

/// Turns a failed call of a plugin into what another plugin is told.
fn call_failed(error: &CallError) -> Error {
    let message = error.to_string();
    let mut told = match error {
        CallError::Failed { code, detail, .. } => Error::with_code(*code, message).detail(detail.clone()),
        CallError::Panicked { .. } => Error::with_code(code::PANIC, message),
        CallError::TimedOut { .. } => Error::with_code(code::DEADLINE, message),
        CallError::Cancelled { .. } => Error::with_code(code::CANCELLED, message),
        CallError::Unavailable { .. } => Error::with_code(code::UNAVAILABLE, message),
        CallError::Crashed { .. } => Error::new(message),
        CallError::Unsupported { .. } => Error::with_code(code::NOT_FOUND, message),
    };
    told.retryable = error.is_retryable();
    told
}

#[cfg(test)]
mod tests;
