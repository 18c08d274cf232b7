//! What a call may ask of the host: tools, agents, keys and values, secrets.
//!
//! The ops and their documents are listed in [`crate::host_ops`].

use std::path::PathBuf;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{Ctx, ModelHandle};
use crate::{
    Error, Result,
    abi::{SinkArc, abi_stable::std_types::ROption},
    agent::AgentAnswer,
    chat::Message,
    http::Http,
    processor::MemoryMessage,
    wire,
};

impl Ctx {
    /// Asks the host for something by name, see [`crate::host_ops`].
    ///
    /// # Errors
    /// `E_UNSUPPORTED` if the host does not know the op; whatever the op fails with.
    pub async fn request<T: DeserializeOwned>(&self, op: &str, body: &(impl Serialize + ?Sized)) -> Result<T> {
        self.request_with(op, body, None).await
    }

    pub(crate) async fn request_with<T: DeserializeOwned>(
        &self,
        op: &str,
        body: &(impl Serialize + ?Sized),
        sink: Option<SinkArc>,
    ) -> Result<T> {
        let body = serde_json::to_vec(body)?;
        let sink = match sink {
            Some(sink) => ROption::RSome(sink),
            None => ROption::RNone,
        };
        let answer = self.host().request(self.call_id(), op.into(), body.into(), sink).await;
        let answer = answer.into_result().map_err(Error::from)?;
        if answer.is_empty() {
            return wire::from_slice(b"null", op);
        }
        wire::from_slice(&answer, op)
    }

    /// Names a tool of this or any other plugin.
    #[must_use]
    pub fn tool(&self, id: impl Into<String>) -> ToolHandle<'_> {
        ToolHandle { ctx: self, id: id.into() }
    }

    /// Names an agent of this or any other plugin.
    #[must_use]
    pub fn agent(&self, id: impl Into<String>) -> AgentHandle<'_> {
        AgentHandle { ctx: self, id: id.into() }
    }

    /// Names a model, `provider/model`.
    #[must_use]
    pub fn model(&self, id: impl Into<String>) -> ModelHandle<'_> {
        ModelHandle::new(self, id.into())
    }

    /// Returns the plugin's keys and values, kept by the host over restarts.
    #[must_use]
    pub fn kv(&self) -> Kv<'_> {
        Kv { ctx: self }
    }

    /// Returns the host's HTTP client.
    #[must_use]
    pub fn http(&self) -> Http<'_> {
        Http::new(self)
    }

    /// Returns the last messages of a conversation, oldest first; none if there is no such thread.
    ///
    /// # Errors
    /// `E_UNAVAILABLE` if the host cannot read them.
    pub async fn recall(&self, thread_id: &str, last: u32) -> Result<Vec<MemoryMessage>> {
        self.request("memory.recall", &json!({ "threadId": thread_id, "last": last })).await
    }

    /// Returns the directory the host keeps for this plugin, made if it was not there.
    ///
    /// It belongs to the plugin by its name and outlives its generations, of which a swap has two
    /// at work at once.
    ///
    /// # Errors
    /// `E_UNSUPPORTED` if the host keeps none; `E_UNAVAILABLE` if it cannot be made.
    pub async fn data_directory(&self) -> Result<PathBuf> {
        self.request("data.directory", &json!({})).await
    }

    /// Returns a secret the operator gave this plugin.
    ///
    /// # Errors
    /// `E_NOT_FOUND` if there is none of this name.
    pub async fn secret(&self, name: &str) -> Result<String> {
        self.request("secret.get", &json!({ "name": name })).await
    }
}

/// A tool that can be called.
#[derive(Debug)]
pub struct ToolHandle<'a> {
    ctx: &'a Ctx,
    id: String,
}

impl ToolHandle<'_> {
    /// Calls the tool.
    ///
    /// # Errors
    /// What the tool fails with; `E_NOT_FOUND` if there is no such tool.
    pub async fn call<T: DeserializeOwned>(&self, input: &(impl Serialize + ?Sized)) -> Result<T> {
        #[derive(Serialize)]
        struct ToolCall<'a, I: ?Sized> {
            id: &'a str,
            input: &'a I,
        }
        self.ctx.request("tool.call", &ToolCall { id: &self.id, input }).await
    }
}

/// An agent that can be asked.
#[derive(Debug)]
pub struct AgentHandle<'a> {
    ctx: &'a Ctx,
    id: String,
}

impl AgentHandle<'_> {
    /// Asks the agent one thing.
    ///
    /// # Errors
    /// What the run fails with; `E_NOT_FOUND` if there is no such agent.
    pub async fn ask(&self, question: impl Into<String>) -> Result<AgentAnswer> {
        self.generate(vec![Message::user(question)]).await
    }

    /// Lets the agent go on with a conversation.
    ///
    /// # Errors
    /// What the run fails with; `E_NOT_FOUND` if there is no such agent.
    pub async fn generate(&self, messages: Vec<Message>) -> Result<AgentAnswer> {
        self.generate_with(messages, &Value::Null).await
    }

    /// As [`AgentHandle::generate`], with options of the run (`maxSteps`, `memory`, ...), a JSON object.
    ///
    /// # Errors
    /// What the run fails with; `E_NOT_FOUND` if there is no such agent.
    pub async fn generate_with(&self, messages: Vec<Message>, options: &Value) -> Result<AgentAnswer> {
        let mut body = json!({ "id": self.id, "messages": messages });
        if options.is_object() {
            body["options"] = options.clone();
        }
        self.ctx.request("agent.generate", &body).await
    }
}

/// A plugin's keys and values.
#[derive(Debug)]
pub struct Kv<'a> {
    ctx: &'a Ctx,
}

impl Kv<'_> {
    /// Returns the value of `key`.
    ///
    /// # Errors
    /// `E_INPUT` if the value does not fit `T`.
    pub async fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        self.ctx.request("kv.get", &json!({ "key": key })).await
    }

    /// Sets the value of `key`.
    ///
    /// # Errors
    /// `E_UNAVAILABLE` if the host cannot store it.
    pub async fn set(&self, key: &str, value: &(impl Serialize + ?Sized)) -> Result<()> {
        let value = serde_json::to_value(value)?;
        self.ctx.request::<Value>("kv.set", &json!({ "key": key, "value": value })).await.map(drop)
    }

    /// Removes `key`; a missing key is fine.
    ///
    /// # Errors
    /// `E_UNAVAILABLE` if the host cannot store it.
    pub async fn delete(&self, key: &str) -> Result<()> {
        self.ctx.request::<Value>("kv.delete", &json!({ "key": key })).await.map(drop)
    }

    /// Returns the keys that begin with `prefix`, sorted.
    ///
    /// # Errors
    /// `E_UNAVAILABLE` if the host cannot read them.
    pub async fn list(&self, prefix: &str) -> Result<Vec<String>> {
        self.ctx.request("kv.list", &json!({ "prefix": prefix })).await
    }
}
