//! `model.chat`: any model, a plugin's or a provider's.

use bytes::Bytes;
use futures::StreamExt;
use hotbay_plugin::{
    Error,
    chat::{ChatRequest, FinishReason, StreamPart, Usage},
    error::code,
};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::mpsc;

use super::{Services, answer, call_failed, parse};
use crate::{
    model::ModelError,
    plugin::{
        call::{Call, ChunkSender, Target},
        registry::ModelEntry,
        services::Caller,
    },
};

/// Parts of a plugin's model on their way to be put together; a fast model waits.
const PARTS: usize = 32;

/// The whole answer, for those who do not listen to its parts.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Completion {
    text: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    reasoning: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<RequestedCall>,
    finish_reason: FinishReason,
    usage: Usage,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestedCall {
    id: String,
    name: String,
    input: Value,
}

impl Completion {
    fn add(&mut self, part: StreamPart) -> Result<(), Error> {
        match part {
            StreamPart::TextDelta { delta, .. } => self.text.push_str(&delta),
            StreamPart::ReasoningDelta { delta, .. } => self.reasoning.push_str(&delta),
            StreamPart::ToolCall { tool_call_id, tool_name, input } => {
                // A model's arguments may be no JSON; the plugin decides what that means.
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

impl Services {
    pub(super) async fn chat(
        &self,
        caller: &Caller,
        body: Vec<u8>,
        sink: Option<ChunkSender>,
    ) -> Result<Vec<u8>, Error> {
        let request: ChatRequest = parse(&body)?;
        // Models of providers can be asked already while plugins open.
        let offered = self.snapshot().ok().and_then(|snapshot| snapshot.models.get(request.model.as_str()).cloned());
        match offered {
            Some(model) => chat_plugin(&model, caller, body, sink).await,
            None => self.chat_provider(request, sink).await,
        }
    }

    async fn chat_provider(&self, request: ChatRequest, sink: Option<ChunkSender>) -> Result<Vec<u8>, Error> {
        let model = self.models.resolve(&request.model).map_err(model_failed)?;
        let mut parts = model.chat(request).await.map_err(model_failed)?;
        let mut completion = Completion::default();
        while let Some(part) = parts.next().await {
            let part = part.map_err(model_failed)?;
            match &sink {
                // Nobody listens any more: the rest is not worth asking the provider for.
                Some(sink) => {
                    if sink.send(Bytes::from(answer(&part)?)).await.is_err() {
                        break;
                    }
                }
                None => completion.add(part)?,
            }
        }
        if sink.is_some() { Ok(b"null".to_vec()) } else { answer(&completion) }
    }
}

async fn chat_plugin(
    model: &ModelEntry,
    caller: &Caller,
    body: Vec<u8>,
    sink: Option<ChunkSender>,
) -> Result<Vec<u8>, Error> {
    let target = Target::Model(model.manifest.id.as_str().into());
    let context = caller.context.clone();
    if sink.is_some() {
        let call = Call { body, sink, context, ..Call::default() };
        model.generation.call(target, call).await.map_err(call_failed)?;
        return Ok(b"null".to_vec());
    }
    let (sender, mut parts) = mpsc::channel::<Bytes>(PARTS);
    let call = Call { body, sink: Some(sender), context, ..Call::default() };
    let collect = async {
        let mut completion = Completion::default();
        while let Some(part) = parts.recv().await {
            completion.add(parse(&part)?)?;
        }
        Ok::<_, Error>(completion)
    };
    let call = async { model.generation.call(target, call).await.map_err(call_failed) };
    let (_, completion) = futures::future::try_join(call, collect).await?;
    answer(&completion)
}

fn model_failed(error: ModelError) -> Error {
    let message = error.to_string();
    match error {
        ModelError::Unknown(_) => Error::with_code(code::NOT_FOUND, message),
        ModelError::MissingKey { .. } => Error::with_code(code::CONFIG, message),
        ModelError::Refused { .. } | ModelError::Garbled(_) => Error::new(message),
        ModelError::Unavailable { .. } => Error::with_code(code::UNAVAILABLE, message).retryable(),
        ModelError::TimedOut { .. } => Error::with_code(code::DEADLINE, message),
    }
}
