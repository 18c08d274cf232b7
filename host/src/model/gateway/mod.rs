//! Hosted providers, through `genai`.
//!
//! Owns what the provider is asked with and how its failures read; the wires are
//! genai's. The adapter is always passed: genai would guess it from the model's name.

mod answer;
mod embeddings;
mod request;

use async_trait::async_trait;
use futures::StreamExt;
use genai::{
    Client, ModelIden, ServiceTarget,
    adapter::AdapterKind,
    chat::{ChatStream, ChatStreamEvent},
    resolver::{AuthData, Endpoint},
};
use hotbay_plugin::chat::ChatRequest;
use tokio::time::{Instant, timeout_at};

use super::{
    Model, ModelError, PartStream,
    retry::{Failure, retry},
    transport::{Destination, chain},
};

/// A model behind a hosted provider.
pub(super) struct Gateway {
    /// For messages, and the limits.
    pub(super) to: Destination,
    /// The provider's wire.
    pub(super) adapter: AdapterKind,
    /// By which it is given its own options.
    pub(super) provider: String,
    /// The provider's name for the model.
    pub(super) model: String,
    /// Where it is, if not where everybody finds it.
    pub(super) base_url: Option<String>,
    /// Empty if it needs none.
    pub(super) key: String,
    /// Sent with every request.
    pub(super) headers: Vec<(String, String)>,
}

/// One question, ready to be asked more than once.
struct Question {
    client: Client,
    target: ServiceTarget,
    request: genai::chat::ChatRequest,
    options: genai::chat::ChatOptions,
}

#[async_trait]
impl Model for Gateway {
    async fn chat(&self, request: ChatRequest) -> Result<PartStream, ModelError> {
        let timeouts = self.to.timeouts;
        let deadline = Instant::now() + timeouts.overall;
        let max_retries = request.settings.max_retries.unwrap_or(self.to.max_retries);
        let (messages, warnings) = request::messages(&request);
        let options = request::options(&request, &self.provider, &self.headers)
            .with_stream_header_timeout(timeouts.first_byte)
            .with_stream_read_timeout(timeouts.idle);
        let client = Client::builder()
            .with_reqwest(self.to.client.clone())
            .build()
            .map_err(|error| self.read_error(error).error)?;
        let target = self.target(&client).await?;
        let question = Question { client, target, request: messages, options };
        let attempts = retry(&self.to.model, max_retries, deadline, || self.attempt(&question));
        let (first, events) = match timeout_at(deadline, attempts).await {
            Ok(begun) => begun?,
            Err(_) => return Err(self.to.timed_out(timeouts.overall)),
        };
        let to = self.to.clone();
        let read_error = move |error| read_error(&to, error).error;
        let parts = answer::parts(self.to.clone(), warnings, first, events, read_error);
        Ok(self.to.until(deadline, parts))
    }
}

impl Gateway {
    /// Returns whom to ask: the wire's usual address unless there is one of our own.
    async fn target(&self, client: &Client) -> Result<ServiceTarget, ModelError> {
        let model = ModelIden::new(self.adapter, self.model.clone());
        // Some wires refuse to go without a key even where none is needed.
        let key = if self.key.is_empty() { "none" } else { &self.key };
        let auth = AuthData::from_single(key);
        let endpoint = match &self.base_url {
            Some(url) => Endpoint::from_owned(format!("{}/", url.trim_end_matches('/'))),
            None => {
                let usual = client.resolve_service_target(model.clone()).await;
                usual.map_err(|error| self.read_error(error).error)?.endpoint
            }
        };
        Ok(ServiceTarget { endpoint, auth, model })
    }

    /// Asks once. Waits for the first event, because until then a failure can be
    /// cured by asking again.
    async fn attempt(&self, question: &Question) -> Result<(ChatStreamEvent, ChatStream), Failure> {
        let limit = self.to.timeouts.first_byte;
        let first_by = Instant::now() + limit;
        let asked = question.client.exec_chat_stream(
            question.target.clone(),
            question.request.clone(),
            Some(&question.options),
        );
        let mut events = asked.await.map_err(|error| self.read_error(error))?.stream;
        loop {
            match timeout_at(first_by, events.next()).await {
                Err(_) => return Err(Failure::last(self.to.timed_out(limit))),
                // genai says so before it has even connected.
                Ok(Some(Ok(ChatStreamEvent::Start))) => {}
                Ok(Some(Ok(event))) => return Ok((event, events)),
                Ok(Some(Err(error))) => return Err(self.read_error(error)),
                Ok(None) => return Err(Failure::passing(self.to.broken_off("it was empty"))),
            }
        }
    }

    fn read_error(&self, error: genai::Error) -> Failure {
        read_error(&self.to, error)
    }
}

/// Says what an error of genai means to us.
fn read_error(to: &Destination, error: genai::Error) -> Failure {
    match error {
        genai::Error::HttpError { status, body, headers, .. } => to.refused(status, &headers, &body),
        genai::Error::WebModelCall { webc_error, .. } | genai::Error::WebAdapterCall { webc_error, .. } => {
            match webc_error {
                genai::webc::Error::ResponseFailedStatus { status, body, headers } => {
                    to.refused(status, &headers, &body)
                }
                genai::webc::Error::Reqwest(error) => to.unreachable(error),
                other => Failure::last(to.garbled(format_args!("what cannot be read: {other}"))),
            }
        }
        genai::Error::ChatResponse { body, .. } => to.error_document(&body),
        genai::Error::StreamParse { serde_error, .. } => {
            Failure::last(to.garbled(format_args!("what is not JSON: {serde_error}")))
        }
        genai::Error::WebStream { error, .. } => match error.downcast::<genai::Error>() {
            Ok(error) => read_error(to, *error),
            Err(error) => match error.downcast::<reqwest::Error>() {
                Ok(error) => to.unreachable(*error),
                Err(error) if error.is::<genai::webc::StreamTimeout>() => {
                    Failure::last(to.timed_out(stream_limit(to, &*error)))
                }
                Err(error) => Failure::passing(to.broken_off(&chain(&*error))),
            },
        },
        other => Failure::last(ModelError::Refused {
            status: None,
            message: format!("model `{}` cannot be asked: {other}", to.model),
        }),
    }
}

/// Returns the limit that genai says was passed.
fn stream_limit(to: &Destination, error: &(dyn std::error::Error + 'static)) -> std::time::Duration {
    match error.downcast_ref() {
        Some(genai::webc::StreamTimeout::Headers) => to.timeouts.first_byte,
        _ => to.timeouts.idle,
    }
}
