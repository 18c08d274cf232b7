//! `model.chat`: any model, a plugin's or a provider's.

use bytes::Bytes;
use futures::StreamExt;
use hotbay_plugin::{Completion, Error, chat::ChatRequest, error::code};

use super::{Services, answer, call_failed, parse};
use crate::{
    model::ModelError,
    plugin::{call::ChunkSender, services::Caller},
};

impl Services {
    pub(super) async fn chat(&self, caller: &Caller, body: &[u8], sink: Option<ChunkSender>) -> Result<Vec<u8>, Error> {
        let request: ChatRequest = parse(body)?;
        let model = match self.snapshot(caller) {
            Ok(snapshot) => self.models.find(&snapshot, &request.model, caller.context.clone()),
            // Models of providers can be asked already while plugins open.
            Err(_) => self.models.resolve(&request.model),
        };
        let mut parts = model.map_err(model_failed)?.chat(request).await.map_err(model_failed)?;
        let mut completion = Completion::default();
        while let Some(part) = parts.next().await {
            let part = part.map_err(model_failed)?;
            match &sink {
                // Nobody listens any more: the rest is not worth asking the model for.
                Some(sink) => {
                    if sink.send(Bytes::from(answer(&part)?)).await.is_err() {
                        break;
                    }
                }
                // For those who do not listen to its parts: the whole answer.
                None => completion.add(part)?,
            }
        }
        if sink.is_some() { Ok(b"null".to_vec()) } else { answer(&completion) }
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
