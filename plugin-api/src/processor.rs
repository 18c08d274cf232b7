//! Memory processors: what a conversation's earlier messages go through before a model
//! sees them. They trim, filter and mask; what is stored stays as it is.

use std::{future::Future, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    Ctx, Error, Result,
    abi::{
        self, AbiResult, CallCtx, Reply, ServiceBox,
        abi_stable::{
            sabi_trait::TD_Opaque,
            std_types::{RString, RVec},
        },
        async_ffi::{FfiFuture, FutureExt},
    },
    chat::Part,
    error::code,
    guard::Guarded,
    manifest::ServiceManifest,
    opened::Opened,
    wire,
};

/// The kind of service a memory processor is.
pub const KIND: &str = "memory-processor";
/// Its only operation.
pub const PROCESS: &str = "process";

/// Who said a remembered message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Speaker {
    /// The operator.
    System,
    /// A person.
    #[default]
    User,
    /// The agent.
    Assistant,
    /// A tool.
    Tool,
}

/// A remembered message. An agent's whole turn is one: text, calls and what the tools answered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct MemoryMessage {
    /// Its id.
    pub id: String,
    /// Who said it.
    pub role: Speaker,
    /// When, in milliseconds since 1970.
    pub created_at_ms: i64,
    /// What was said and done, in order.
    pub content: Vec<Part>,
}

impl MemoryMessage {
    /// Returns a message that was never said, such as a summary of those it takes the place of.
    #[must_use]
    pub fn new(role: Speaker, text: impl Into<String>) -> Self {
        Self { role, content: vec![Part::Text { text: text.into() }], ..Self::default() }
    }

    /// Returns the texts of the message, joined with a space.
    #[must_use]
    pub fn text(&self) -> String {
        let texts = self.content.iter().filter_map(|part| match part {
            Part::Text { text } => Some(text.as_str()),
            _ => None,
        });
        texts.collect::<Vec<_>>().join(" ")
    }
}

/// What a processor is given.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct Remembered {
    /// The messages, oldest first.
    pub messages: Vec<MemoryMessage>,
    /// What the agent says about this processor.
    pub options: Map<String, Value>,
    /// The conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
    /// Whom it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_id: Option<String>,
}

impl Remembered {
    /// Returns what a processor is given for these messages.
    #[must_use]
    pub fn new(messages: Vec<MemoryMessage>) -> Self {
        Self { messages, ..Self::default() }
    }
}

/// What a processor answers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct Processed {
    /// The messages, oldest first.
    pub messages: Vec<MemoryMessage>,
}

/// A memory processor as `#[memory_processor]` declares it.
#[derive(Clone)]
pub struct MemoryProcessor {
    name: String,
    make: Arc<dyn Fn(Arc<Opened>) -> ServiceBox + Send + Sync>,
}

impl MemoryProcessor {
    /// Returns a processor made of its parts; `#[memory_processor]` calls this.
    #[doc(hidden)]
    pub fn new<C, F>(name: &str, code: C) -> Self
    where
        C: Fn(Ctx, Remembered) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<Vec<MemoryMessage>>> + Send + 'static,
    {
        let make = move |plugin| abi::Service_TO::from_value(Adapter { plugin, code: code.clone() }, TD_Opaque);
        Self { name: name.to_owned(), make: Arc::new(make) }
    }

    /// Returns the name agents know it by.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns what the host is told about the processor.
    #[must_use]
    pub fn manifest(&self) -> ServiceManifest {
        ServiceManifest { kind: KIND.to_owned(), name: self.name.clone() }
    }

    pub(crate) fn instantiate(&self, plugin: Arc<Opened>) -> ServiceBox {
        (self.make)(plugin)
    }
}

impl std::fmt::Debug for MemoryProcessor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryProcessor").field("name", &self.name).finish_non_exhaustive()
    }
}

struct Adapter<C> {
    plugin: Arc<Opened>,
    code: C,
}

impl<C, F> abi::Service for Adapter<C>
where
    C: Fn(Ctx, Remembered) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Vec<MemoryMessage>>> + Send + 'static,
{
    fn call(&self, ctx: CallCtx, op: RString, body: RVec<u8>) -> FfiFuture<AbiResult<Reply>> {
        let ctx = Ctx::of_call(Arc::clone(&self.plugin), ctx);
        let (code, call) = (self.code.clone(), ctx.clone());
        let future = async move {
            if op != PROCESS {
                return Err(Error::with_code(code::UNSUPPORTED, format!("a memory processor has no operation `{op}`")));
            }
            let remembered: Remembered = wire::from_slice(&body, "remembered messages")?;
            wire::reply(code(call, remembered).await.map(|messages| Processed { messages }))
        };
        Guarded::new(ctx, future).into_ffi()
    }
}
