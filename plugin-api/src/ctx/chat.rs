//! Asking models.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll},
};

use serde::Serialize;
use serde_json::Value;
use tokio::sync::mpsc;

use super::{Ctx, stream};
use crate::{
    Error, Result,
    abi::{
        AbiResult,
        abi_stable::std_types::{ROption, RVec},
        async_ffi::FfiFuture,
    },
    chat::{ChatRequest, FinishReason, Message, Settings, StreamPart, ToolSpec, Usage},
    wire,
};

/// A model that can be asked.
#[derive(Debug)]
pub struct ModelHandle<'a> {
    ctx: &'a Ctx,
    id: String,
}

impl<'a> ModelHandle<'a> {
    pub(super) fn new(ctx: &'a Ctx, id: String) -> Self {
        Self { ctx, id }
    }

    /// Begins a question from a conversation.
    pub fn chat(&self, messages: Vec<Message>) -> ChatCall<'a> {
        self.request(ChatRequest { messages, ..ChatRequest::default() })
    }

    /// Begins a question from one sentence.
    pub fn ask(&self, question: impl Into<String>) -> ChatCall<'a> {
        self.chat(vec![Message::user(question)])
    }

    /// Begins a question from a whole request; its model is replaced by this one.
    pub fn request(&self, request: ChatRequest) -> ChatCall<'a> {
        ChatCall { ctx: self.ctx, request: ChatRequest { model: self.id.clone(), ..request } }
    }
}

/// A question that has not been asked yet.
#[derive(Debug)]
#[must_use = "the model is asked by `stream` or `text`"]
pub struct ChatCall<'a> {
    ctx: &'a Ctx,
    request: ChatRequest,
}

impl ChatCall<'_> {
    /// Puts instructions before the conversation.
    pub fn system(mut self, instructions: impl Into<String>) -> Self {
        self.request.messages.insert(0, Message::System(instructions.into()));
        self
    }

    /// Lets the model call tools.
    pub fn tools(mut self, tools: Vec<ToolSpec>) -> Self {
        self.request.tools = tools;
        self
    }

    /// Sets sampling and limits.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.request.settings = settings;
        self
    }

    /// Asks, and returns the answer piece by piece.
    ///
    /// # Errors
    /// If the request cannot be written as JSON.
    pub fn stream(self) -> Result<ChatStream> {
        let body = serde_json::to_vec(&self.request)?;
        let (sink, parts) = stream::channel();
        let host = self.ctx.host();
        let request = host.request(self.ctx.call_id(), "model.chat".into(), body.into(), ROption::RSome(sink));
        Ok(ChatStream { parts, request: Some(request), failure: None, is_finished: false })
    }

    /// Asks, and returns the whole text of the answer.
    ///
    /// # Errors
    /// What the model fails with.
    pub async fn text(self) -> Result<String> {
        Ok(self.complete().await?.text)
    }

    /// Asks, and returns the whole answer.
    ///
    /// # Errors
    /// What the model fails with.
    pub async fn complete(self) -> Result<Completion> {
        let mut stream = self.stream()?;
        let mut completion = Completion::default();
        while let Some(part) = stream.next().await? {
            completion.add(part)?;
        }
        Ok(completion)
    }
}

/// A model's whole answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Completion {
    /// Its text.
    pub text: String,
    /// Its reasoning.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reasoning: String,
    /// The tools it wants called.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<RequestedCall>,
    /// Why it stopped.
    pub finish_reason: FinishReason,
    /// At what cost.
    pub usage: Usage,
}

/// A tool call a model asked for.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RequestedCall {
    /// The model's id for the call.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// The arguments; a string if the model's text is no JSON.
    pub input: Value,
}

impl Completion {
    /// Adds one part of the stream.
    ///
    /// # Errors
    /// If the part says that the answer broke off.
    pub fn add(&mut self, part: StreamPart) -> Result<()> {
        match part {
            StreamPart::TextDelta { delta, .. } => self.text.push_str(&delta),
            StreamPart::ReasoningDelta { delta, .. } => self.reasoning.push_str(&delta),
            StreamPart::ToolCall { tool_call_id, tool_name, input } => {
                // A model's arguments may be no JSON; who asked decides what that means.
                let input = serde_json::from_str(&input).unwrap_or(Value::String(input));
                self.tool_calls.push(RequestedCall { id: tool_call_id, name: tool_name, input });
            }
            StreamPart::Finish { finish_reason, usage } => {
                self.finish_reason = finish_reason;
                self.usage = usage;
            }
            StreamPart::Error { message } => return Err(Error::new(message)),
            _ => {}
        }
        Ok(())
    }
}

/// A model's answer on its way. Dropping it ends the request to the model.
pub struct ChatStream {
    parts: mpsc::Receiver<Vec<u8>>,
    request: Option<FfiFuture<AbiResult<RVec<u8>>>>,
    failure: Option<Error>,
    is_finished: bool,
}

impl ChatStream {
    /// Returns the next part, `None` at the end.
    ///
    /// # Errors
    /// What the model fails with; the stream then ends.
    pub async fn next(&mut self) -> Result<Option<StreamPart>> {
        if self.is_finished {
            return Ok(None);
        }
        let polled = poll_fn(|cx| self.poll_chunk(cx)).await;
        let part = polled.and_then(|chunk| chunk.map(|chunk| wire::from_slice(&chunk, "stream part")).transpose());
        self.is_finished = !matches!(part, Ok(Some(_)));
        part
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Vec<u8>>>> {
        // The request fills the channel only while it is polled, so it goes first.
        if let Some(request) = self.request.as_mut()
            && let Poll::Ready(answer) = Pin::new(request).poll(cx)
        {
            self.request = None;
            self.failure = answer.into_result().err().map(Error::from);
            self.parts.close();
        }
        // What was sent before the request ended, or failed, still counts.
        match self.parts.poll_recv(cx) {
            Poll::Ready(Some(chunk)) => Poll::Ready(Ok(Some(chunk))),
            Poll::Ready(None) if self.request.is_none() => Poll::Ready(match self.failure.take() {
                Some(failure) => Err(failure),
                None => Ok(None),
            }),
            // The host let go of the sink before it answered: the answer wakes the task.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

impl std::fmt::Debug for ChatStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChatStream").field("is_finished", &self.is_finished).finish_non_exhaustive()
    }
}
