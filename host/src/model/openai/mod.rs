//! The chat-completions wire of OpenAI, as vLLM, Ollama, llama.cpp and many others speak it.
//!
//! Owns one request to one server, up to its stream of parts. What is said is in
//! [`request`], how the answer is read in [`events`] and [`answer`].

mod answer;
mod embeddings;
mod events;
mod request;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use hotbay_plugin::chat::ChatRequest;
use http::{HeaderMap, header};
use tokio::time::{Instant, timeout_at};

use self::events::{Event, Events};
use super::{
    Model, ModelError, PartStream,
    retry::{Failure, retry},
    transport::Destination,
};

/// A model behind an OpenAI-compatible server.
#[derive(Debug)]
pub(super) struct OpenAi {
    /// For messages, and the limits.
    pub(super) to: Destination,
    /// Up to and without `/chat/completions` and `/embeddings`.
    pub(super) base_url: String,
    /// The provider's name in `hotbay.toml`, by which it is given its own options.
    pub(super) provider: String,
    /// The server's name for the model.
    pub(super) model: String,
    /// The key among them.
    pub(super) headers: HeaderMap,
}

#[async_trait]
impl Model for OpenAi {
    async fn chat(&self, request: ChatRequest) -> Result<PartStream, ModelError> {
        let deadline = Instant::now() + self.to.timeouts.overall;
        let (body, warnings) = request::body(&self.provider, &self.model, &request)?;
        let body = Bytes::from(body.to_string());
        let max_retries = request.settings.max_retries.unwrap_or(self.to.max_retries);
        let attempts = retry(&self.to.model, max_retries, deadline, || self.attempt(body.clone()));
        let (first, events) = match timeout_at(deadline, attempts).await {
            Ok(begun) => begun?,
            Err(_) => return Err(self.to.timed_out(self.to.timeouts.overall)),
        };
        Ok(self.to.until(deadline, answer::parts(self.to.clone(), warnings, first, events)))
    }
}

impl OpenAi {
    /// Asks once. Waits for the first event, because until then a failure can be
    /// cured by asking again.
    async fn attempt(&self, body: Bytes) -> Result<(Event, Events), Failure> {
        let first_by = Instant::now() + self.to.timeouts.first_byte;
        let accepted = "text/event-stream, application/json";
        let response = self.send("chat/completions", accepted, body, first_by).await?;
        let mut events = events::read(self.to.clone(), self.to.chunks(response, first_by)).await?;
        match events.next().await {
            Some(Ok(first)) => Ok((first, events)),
            Some(Err(failure)) => Err(failure),
            None => Err(Failure::passing(self.to.broken_off("it was empty"))),
        }
    }

    /// Posts a body and returns an answer that says it succeeded.
    async fn send(
        &self,
        path: &str,
        accepted: &'static str,
        body: Bytes,
        first_by: Instant,
    ) -> Result<reqwest::Response, Failure> {
        let url = format!("{}/{path}", self.base_url.trim_end_matches('/'));
        let request = self
            .to
            .client
            .post(url)
            .headers(self.headers.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, accepted)
            .body(body);
        let response = match timeout_at(first_by, request.send()).await {
            Err(_) => return Err(Failure::last(self.to.timed_out(self.to.timeouts.first_byte))),
            Ok(Err(error)) => return Err(self.to.unreachable(error)),
            Ok(Ok(response)) => response,
        };
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let headers = response.headers().clone();
        let said = self.to.refusal(response).await;
        Err(self.to.refused(status, &headers, &said))
    }
}
