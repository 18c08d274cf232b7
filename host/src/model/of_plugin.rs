//! Models, embedders and self-running agents of plugins, as the [`Model`] or [`Embedder`] everything
//! else is.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, future::BoxFuture, stream};
use hotbay_plugin::{
    AgentAnswer, AgentRun,
    chat::{ChatRequest, StreamPart},
    manifest::CallMeta,
};
use serde::Serialize;
use tokio::sync::mpsc;

use super::{
    Model, ModelError, PartStream,
    embedder::{Embedder, Embeddings},
};
use crate::plugin::{
    call::{Call, CallContext, CallError, Reply, Target},
    generation::GenerationPin,
    registry::{AgentEntry, EmbedderEntry, ModelEntry},
};

/// Parts on their way from a plugin. Small: a slow reader is to slow the plugin down.
const PARTS: usize = 64;

/// A model whose code is in a plugin.
pub(crate) struct PluginModel {
    target: Target,
    generation: GenerationPin,
    context: Option<Arc<dyn CallContext>>,
}

impl PluginModel {
    /// Returns a plugin's model; `context` goes with its requests to the host.
    pub(super) fn of_model(entry: &ModelEntry, context: Option<Arc<dyn CallContext>>) -> Self {
        let target = Target::Model(entry.manifest.id.as_str().into());
        Self { target, generation: entry.generation.clone(), context }
    }
}

#[async_trait]
impl Model for PluginModel {
    async fn chat(&self, request: ChatRequest) -> Result<PartStream, ModelError> {
        let call = Call { body: written(&request)?, context: self.context.clone(), ..Call::default() };
        Ok(parts(&self.generation, self.target.clone(), call))
    }
}

/// An embedder whose code is in a plugin.
pub(super) struct PluginEmbedder {
    id: Arc<str>,
    dimension: usize,
    generation: GenerationPin,
    context: Option<Arc<dyn CallContext>>,
}

impl PluginEmbedder {
    /// Returns a plugin's embedder; `context` goes with its requests to the host.
    pub(super) fn new(entry: &EmbedderEntry, context: Option<Arc<dyn CallContext>>) -> Self {
        Self {
            id: entry.manifest.id.as_str().into(),
            dimension: entry.manifest.dimension as usize,
            generation: entry.generation.clone(),
            context,
        }
    }
}

#[async_trait]
impl Embedder for PluginEmbedder {
    async fn embed(&self, texts: Vec<String>) -> Result<Embeddings, ModelError> {
        let call = Call { body: written(&texts)?, context: self.context.clone(), ..Call::default() };
        let reply = self.generation.call(Target::Embedder(Arc::clone(&self.id)), call).await?;
        let embeddings = Embeddings::checked(&self.id, reply.vectors, texts.len())?;
        if embeddings.dimension != self.dimension {
            return Err(ModelError::Garbled(format!(
                "embedder `{}` answered vectors of {} numbers, not of {} as its plugin says",
                self.id, embeddings.dimension, self.dimension
            )));
        }
        Ok(embeddings)
    }
}

/// Has an agent that runs itself take a turn. Its answer reads like a model's; `context` goes with
/// its requests to the host.
pub(crate) fn run_agent(
    agent: &AgentEntry,
    run: &AgentRun,
    meta: &CallMeta,
    context: Option<Arc<dyn CallContext>>,
) -> Result<PartStream, ModelError> {
    let call = Call { body: written(run)?, meta: written(meta)?, context, ..Call::default() };
    Ok(parts(&agent.generation, Target::Agent(agent.manifest.id.as_str().into()), call))
}

fn written(value: &impl Serialize) -> Result<Vec<u8>, ModelError> {
    serde_json::to_vec(value).map_err(|error| ModelError::Garbled(error.to_string()))
}

fn parts(generation: &GenerationPin, target: Target, call: Call) -> PartStream {
    let (sink, chunks) = mpsc::channel(PARTS);
    let call = generation.call(target, Call { sink: Some(sink), ..call });
    let state = Reading {
        chunks,
        call: Some(Box::pin(call)),
        reply: None,
        has_text: false,
        is_over: false,
        _pin: generation.pin_stream(),
    };
    stream::unfold(state, |mut state| async move { Some((state.next().await?, state)) }).boxed()
}

struct Reading {
    chunks: mpsc::Receiver<Bytes>,
    call: Option<BoxFuture<'static, Result<Reply, CallError>>>,
    reply: Option<Result<Reply, CallError>>,
    has_text: bool,
    is_over: bool,
    _pin: Option<GenerationPin>,
}

impl Reading {
    async fn next(&mut self) -> Option<Result<StreamPart, ModelError>> {
        if self.is_over {
            return None;
        }
        loop {
            let Some(call) = self.call.as_mut() else {
                // What the plugin sent before it ended comes first.
                return match self.chunks.recv().await {
                    Some(chunk) => Some(self.part(&chunk)),
                    None => self.end(),
                };
            };
            tokio::select! {
                biased;
                chunk = self.chunks.recv() => if let Some(chunk) = chunk { return Some(self.part(&chunk)) } else {
                    // The sink is gone before the call is over: only its end is left.
                    self.reply = Some(call.await);
                    self.call = None;
                },
                reply = &mut *call => {
                    self.reply = Some(reply);
                    self.call = None;
                }
            }
        }
    }

    fn part(&mut self, chunk: &[u8]) -> Result<StreamPart, ModelError> {
        let part = serde_json::from_slice(chunk)
            .map_err(|error| ModelError::Garbled(format!("the plugin's model sent a part that is none: {error}")))?;
        match &part {
            StreamPart::TextDelta { .. } => self.has_text = true,
            StreamPart::Finish { .. } | StreamPart::Error { .. } => self.is_over = true,
            _ => {}
        }
        Ok(part)
    }

    /// Makes of the call's end what the parts did not say.
    fn end(&mut self) -> Option<Result<StreamPart, ModelError>> {
        let reply = match self.reply.take()? {
            Ok(reply) => reply,
            Err(error) => {
                self.is_over = true;
                return Some(Err(error.into()));
            }
        };
        let answer = serde_json::from_slice::<Option<AgentAnswer>>(&reply.body).ok().flatten().unwrap_or_default();
        // An agent need not stream; one that was asked for an object may have nothing to say but that.
        let text = match (&answer.object, answer.text.as_str()) {
            (Some(object), "") => object.to_string(),
            (_, text) => text.to_owned(),
        };
        if !self.has_text && !text.is_empty() {
            self.has_text = true;
            self.reply = Some(Ok(reply));
            return Some(Ok(StreamPart::TextDelta { id: "text-1".to_owned(), delta: text }));
        }
        self.is_over = true;
        Some(Ok(StreamPart::Finish { finish_reason: answer.finish_reason, usage: answer.usage }))
    }
}
