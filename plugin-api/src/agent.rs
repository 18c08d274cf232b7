//! Agents: described by a plugin and run by the host, or run by the plugin itself.

use std::{future::Future, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    Ctx, Result, Tool, Workflow,
    abi::{
        self, AbiResult, AgentBox, CallCtx, Reply,
        abi_stable::{sabi_trait::TD_Opaque, std_types::RVec},
        async_ffi::{FfiFuture, FutureExt},
    },
    chat::{FinishReason, Message, ToolSpec, Usage},
    guard::Guarded,
    manifest::{AgentManifest, MemoryOptions, ToolRef},
    opened::Opened,
};

type Make = Arc<dyn Fn(Arc<Opened>) -> AgentBox + Send + Sync>;

/// An agent, built step by step in a function marked `#[agent]`.
#[derive(Clone)]
#[must_use]
pub struct Agent {
    manifest: AgentManifest,
    make: Option<Make>,
}

impl Agent {
    /// Returns an agent with this id and nothing else.
    pub fn new(id: impl Into<String>) -> Self {
        let id = id.into();
        Self { manifest: AgentManifest { name: id.clone(), id, ..AgentManifest::default() }, make: None }
    }

    /// Sets the name for people; the id if not set.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.manifest.name = name.into();
        self
    }

    /// Says what the agent is for; the function's doc comment if not set.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.manifest.description = description.into();
        self
    }

    /// Sets the description unless there is one; `#[agent]` calls this with the doc comment.
    #[doc(hidden)]
    pub fn or_description(mut self, description: &str) -> Self {
        if self.manifest.description.is_empty() {
            description.clone_into(&mut self.manifest.description);
        }
        self
    }

    /// Sets the system prompt.
    pub fn instructions(mut self, instructions: impl Into<String>) -> Self {
        self.manifest.instructions = instructions.into();
        self
    }

    /// Sets the model, `provider/model`.
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.manifest.model = model.into();
        self
    }

    /// Gives it a tool of this plugin, under the tool's id.
    pub fn tool(self, tool: impl Fn() -> Tool) -> Self {
        self.tool_id(tool().id())
    }

    /// Gives it a tool of this plugin, under a name of its own.
    pub fn tool_as(self, key: impl Into<String>, tool: impl Fn() -> Tool) -> Self {
        self.tool_id_as(key, tool().id())
    }

    /// Gives it a tool of any plugin.
    pub fn tool_id(self, id: impl Into<String>) -> Self {
        let id = id.into();
        self.tool_id_as(id.clone(), id)
    }

    /// Gives it a tool of any plugin, under a name of its own.
    pub fn tool_id_as(mut self, key: impl Into<String>, id: impl Into<String>) -> Self {
        self.manifest.tools.push(ToolRef { key: key.into(), id: id.into() });
        self
    }

    /// Lets it run a workflow of this plugin as a tool, `workflow-<id>`. The model gives it `inputData`,
    /// and `initialState` if it has a state, and gets `{"result", "runId"}`.
    pub fn workflow(self, workflow: impl Fn() -> Workflow) -> Self {
        let workflow = workflow();
        self.workflow_id(workflow.id())
    }

    /// Lets it run a workflow of any plugin as a tool, see [`Agent::workflow`].
    pub fn workflow_id(mut self, id: impl Into<String>) -> Self {
        self.manifest.workflows.push(id.into());
        self
    }

    /// Lets it ask an agent of this plugin as a tool.
    pub fn agent(self, agent: impl Fn() -> Self) -> Self {
        let agent = agent();
        self.agent_id(agent.id())
    }

    /// Lets it ask an agent of any plugin as a tool.
    pub fn agent_id(mut self, id: impl Into<String>) -> Self {
        self.manifest.agents.push(id.into());
        self
    }

    /// Lets it remember the conversation.
    pub fn memory(mut self, memory: Memory) -> Self {
        self.manifest.memory = Some(memory.0);
        self
    }

    /// Sets default options of a run (`maxSteps`, `modelSettings`, ...), a JSON object; the request's win.
    ///
    /// # Panics
    /// If `options` is not a JSON object.
    pub fn default_options(mut self, options: Value) -> Self {
        let Value::Object(options) = options else {
            panic!("the default options of agent `{}` are no JSON object", self.manifest.id);
        };
        self.manifest.default_options = options;
        self
    }

    /// Lets the plugin run each turn itself; `#[agent]` on an `async fn` calls this.
    #[doc(hidden)]
    pub fn custom<C, F>(mut self, code: C) -> Self
    where
        C: Fn(Ctx, RVec<u8>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<Reply>> + Send + 'static,
    {
        self.manifest.custom_run = true;
        self.make =
            Some(Arc::new(move |plugin| abi::Agent_TO::from_value(Adapter { plugin, code: code.clone() }, TD_Opaque)));
        self
    }

    /// Returns the agent's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.manifest.id
    }

    /// Returns what the host is told about the agent.
    #[must_use]
    pub fn manifest(&self) -> &AgentManifest {
        &self.manifest
    }

    pub(crate) fn instantiate(&self, plugin: Arc<Opened>) -> Option<AgentBox> {
        self.make.as_ref().map(|make| make(plugin))
    }
}

impl std::fmt::Debug for Agent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Agent").field("manifest", &self.manifest).finish_non_exhaustive()
    }
}

/// How an agent remembers.
#[derive(Debug, Clone)]
#[must_use]
pub struct Memory(MemoryOptions);

impl Memory {
    /// Shows the model the last `messages` messages of the conversation.
    pub fn last(messages: u32) -> Self {
        Self(MemoryOptions { last_messages: messages, more: Map::new() })
    }

    /// Sends what is remembered through a memory processor of any plugin, after those named before.
    pub fn processor(self, name: impl Into<String>) -> Self {
        self.processor_with(name, Value::Object(Map::new()))
    }

    /// Sends what is remembered through a memory processor, which is told `options`, a JSON object.
    pub fn processor_with(mut self, name: impl Into<String>, options: Value) -> Self {
        let processor = serde_json::json!({ "name": name.into(), "options": options });
        match self.0.more.get_mut("processors") {
            Some(Value::Array(processors)) => processors.push(processor),
            _ => {
                self.0.more.insert("processors".to_owned(), vec![processor].into());
            }
        }
        self
    }

    /// Lets the agent note what it learns about a person, in a text that begins as `template`.
    pub fn working_memory(self, template: impl Into<String>) -> Self {
        self.option("workingMemory", serde_json::json!({ "enabled": true, "template": template.into() }))
    }

    /// Lets a model give each conversation a title after its first exchange.
    pub fn generate_title(self) -> Self {
        self.option("generateTitle", Value::Bool(true))
    }

    /// Lets the agent find messages by their meaning, however long ago they were said, with the server's
    /// embedder and vector store unless [`Memory::embedder`] and [`Memory::vector_store`] name others.
    pub fn semantic_recall(self, recall: SemanticRecall) -> Self {
        self.option("semanticRecall", Value::Object(recall.0))
    }

    /// Names the embedder messages are found with, `provider/model`.
    pub fn embedder(self, id: impl Into<String>) -> Self {
        self.option("embedder", Value::String(id.into()))
    }

    /// Names the vector store messages are found in.
    pub fn vector_store(self, name: impl Into<String>) -> Self {
        self.option("vector", Value::String(name.into()))
    }

    /// Sets a further option (`workingMemory`, ...).
    pub fn option(mut self, name: impl Into<String>, value: Value) -> Self {
        self.0.more.insert(name.into(), value);
        self
    }
}

/// How an agent finds messages by their meaning. By default the four nearest of all its user's
/// conversations, each with the message before and the one after it.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct SemanticRecall(Map<String, Value>);

impl SemanticRecall {
    /// Finds so many messages.
    pub fn top_k(self, messages: u32) -> Self {
        self.set("topK", messages.into())
    }

    /// Shows so many messages before and after each that was found.
    pub fn around(self, before: u32, after: u32) -> Self {
        self.set("messageRange", serde_json::json!({ "before": before, "after": after }))
    }

    /// Looks only into the conversation itself.
    pub fn in_thread(self) -> Self {
        self.set("scope", "thread".into())
    }

    /// Finds only messages whose metadata is like this, in the language of vector stores' filters.
    pub fn filter(self, filter: Value) -> Self {
        self.set("filter", filter)
    }

    /// Finds only messages that are at least so near to the question; 1 is the same.
    pub fn threshold(self, score: f32) -> Self {
        self.set("threshold", score.into())
    }

    fn set(mut self, key: &str, value: Value) -> Self {
        self.0.insert(key.to_owned(), value);
        self
    }
}

/// What an agent that runs itself is asked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct AgentRun {
    /// The conversation, remembered messages first.
    pub messages: Vec<Message>,
    /// The agent's own system prompt, or what the request puts in its place. Not among the messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// `provider/model` of this run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The tools it may use; call them by [`Ctx::tool`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ToolSpec>,
    /// The other options of the run: `maxSteps`, `toolChoice` and, if the request has them,
    /// `modelSettings`, `providerOptions` and `structuredOutput.schema`.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub options: Map<String, Value>,
}

/// What an agent answers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct AgentAnswer {
    /// Its text.
    pub text: String,
    /// The structured output, if the run asked for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<Value>,
    /// Why it stopped.
    pub finish_reason: FinishReason,
    /// At what cost, over all steps.
    pub usage: Usage,
}

impl AgentAnswer {
    /// Returns an answer of text that stopped because it was done.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), finish_reason: FinishReason::Stop, ..Self::default() }
    }
}

impl From<crate::Completion> for AgentAnswer {
    fn from(completion: crate::Completion) -> Self {
        Self { text: completion.text, object: None, finish_reason: completion.finish_reason, usage: completion.usage }
    }
}

struct Adapter<C> {
    plugin: Arc<Opened>,
    code: C,
}

impl<C, F> abi::Agent for Adapter<C>
where
    C: Fn(Ctx, RVec<u8>) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Reply>> + Send + 'static,
{
    fn run(&self, ctx: CallCtx, input: RVec<u8>) -> FfiFuture<AbiResult<Reply>> {
        let ctx = Ctx::of_call(Arc::clone(&self.plugin), ctx);
        let future = (self.code)(ctx.clone(), input);
        Guarded::new(ctx, future).into_ffi()
    }
}
