//! `model.chat`: any model, a plugin's or a provider's.
//!
//! A step that is repeated gets the parts of the answer again that it got before, once the whole
//! of it was there.

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, stream};
use hotbay_plugin::{
    Completion, Error,
    chat::{ChatRequest, StreamPart},
    error::code,
};

use super::{Origin, Services, StepServices, answer, call_failed, parse};
use crate::{
    model::{Asked, ModelError, PartStream},
    plugin::{call::ChunkSender, services::Requester},
};

impl Services {
    pub(super) async fn chat(
        &self,
        caller: &Requester,
        body: &[u8],
        sink: Option<ChunkSender>,
        step: Option<&Arc<dyn StepServices>>,
    ) -> Result<Vec<u8>, Error> {
        let Some(step) = step else {
            let told = Told::new(sink, false);
            return told.all(self.ask_model(caller, body).await?).await?.answer();
        };
        let (key, known) = step.recall("model.chat", body).await;
        if let Some(known) = known {
            let parts: Vec<StreamPart> = parse(&known)?;
            return Told::new(sink, false).all(stream::iter(parts).map(Ok).boxed()).await?.answer();
        }
        let told = Told::new(sink, true).all(self.ask_model(caller, body).await?).await?;
        if told.is_whole {
            step.remember(&key, &answer(&told.parts)?).await?;
        }
        told.answer()
    }

    async fn ask_model(&self, caller: &Requester, body: &[u8]) -> Result<PartStream, Error> {
        let request: ChatRequest = parse(body)?;
        let origin = Origin::of(caller);
        let asked = Asked::begin(origin.and_then(|origin| origin.span.as_ref()), &request);
        let context = match origin {
            Some(origin) if asked.span().is_recording() => Some(Arc::new(origin.within(asked.span())) as _),
            _ => caller.context.clone(),
        };
        let model = match self.snapshot(caller) {
            Ok(snapshot) => self.models.find(&snapshot, &request.model, context),
            // Models of providers can be asked already while plugins open.
            Err(_) => self.models.resolve(&request.model),
        };
        let answer = match model {
            Ok(model) => model.chat(request).await,
            Err(error) => Err(error),
        };
        asked.follow(answer).map_err(model_failed)
    }
}

/// What a caller is told of an answer: each part, or the whole if it does not listen to parts.
struct Told {
    sink: Option<ChunkSender>,
    completion: Completion,
    /// All parts, if they are to be kept.
    parts: Vec<StreamPart>,
    keeps: bool,
    is_whole: bool,
}

impl Told {
    fn new(sink: Option<ChunkSender>, keeps: bool) -> Self {
        Self { sink, completion: Completion::default(), parts: Vec::new(), keeps, is_whole: false }
    }

    async fn all(mut self, mut parts: PartStream) -> Result<Self, Error> {
        while let Some(part) = parts.next().await {
            let part = part.map_err(model_failed)?;
            self.is_whole = matches!(part, StreamPart::Finish { .. });
            if self.keeps {
                self.parts.push(part.clone());
            }
            match &self.sink {
                // Nobody listens any more: the rest is not worth asking the model for.
                Some(sink) => {
                    if sink.send(Bytes::from(answer(&part)?)).await.is_err() {
                        self.is_whole = false;
                        break;
                    }
                }
                None => self.completion.add(part)?,
            }
        }
        Ok(self)
    }

    fn answer(&self) -> Result<Vec<u8>, Error> {
        if self.sink.is_some() { Ok(b"null".to_vec()) } else { answer(&self.completion) }
    }
}

fn model_failed(error: ModelError) -> Error {
    let message = error.to_string();
    match error {
        ModelError::Unknown(_) => Error::with_code(code::NOT_FOUND, message),
        ModelError::MissingKey { .. } => Error::with_code(code::CONFIG, message),
        ModelError::Refused { .. } | ModelError::Garbled(_) => Error::new(message),
        ModelError::Unavailable { .. } => Error::with_code(code::UNAVAILABLE, message).retryable(),
        ModelError::TimedOut { .. } => Error::with_code(code::DEADLINE, message),
        ModelError::Plugin(error) => call_failed(&error),
    }
}
