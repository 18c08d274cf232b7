//! Chat models and embedders: a trait each, whoever answers behind it.
//!
//! Owns the traits [`Model`] and [`embedder::Embedder`], the providers built into the host and the adapter of models that
//! plugins offer. Knows nothing of agents, runs or our own HTTP API.
//! Start reading at [`catalog`], which turns `provider/model` into a [`Model`].

mod asked;
pub mod catalog;
pub mod embedder;
mod gateway;
mod hosted;
mod of_plugin;
mod openai;
mod parts;
mod retry;
mod scripted;
mod settings;
mod transport;

pub(crate) use asked::Asked;
pub(crate) use of_plugin::{PluginModel, run_agent};
pub(crate) use transport::{chain as error_chain, client as http_client, client_trusting as http_client_trusting};

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use hotbay_plugin::chat::{ChatRequest, StreamPart, ToolOutput};

use crate::plugin::call::CallError;

/// The parts of one answer, in order; ends after `Finish` or `Error`, or with an `Err`.
///
/// Dropping it ends the request to the provider.
pub type PartStream = BoxStream<'static, Result<StreamPart, ModelError>>;

/// A chat model that can be asked.
#[async_trait]
pub trait Model: Send + Sync {
    /// Starts an answer. Returns once the provider has accepted the request.
    async fn chat(&self, request: ChatRequest) -> Result<PartStream, ModelError>;
}

/// How asking a model, or an embedder, failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ModelError {
    /// No such provider or model; the sentence names what is configured.
    #[error("{0}")]
    Unknown(String),
    /// The provider's key is not set.
    #[error("model `{model}` needs an API key: set the environment variable {variable}")]
    MissingKey {
        /// The model that was asked for.
        model: String,
        /// The variable.
        variable: String,
    },
    /// The provider refused the request; repeating it does not help.
    #[error("{message}")]
    Refused {
        /// The provider's HTTP status, if it came over HTTP.
        status: Option<u16>,
        /// The provider's sentence.
        message: String,
    },
    /// The provider cannot answer now (429, 5xx, connection lost), after all retries.
    #[error("{message}")]
    Unavailable {
        /// The provider's HTTP status, if it came over HTTP.
        status: Option<u16>,
        /// One sentence.
        message: String,
    },
    /// The provider sent something that is not its protocol.
    #[error("{0}")]
    Garbled(String),
    /// It took longer than it may.
    #[error("model `{model}` did not answer within {seconds} s")]
    TimedOut {
        /// The model.
        model: String,
        /// What it had.
        seconds: u64,
    },
    /// The plugin whose model it is failed.
    #[error("{0}")]
    Plugin(Arc<CallError>),
}

impl From<CallError> for ModelError {
    fn from(error: CallError) -> Self {
        Self::Plugin(Arc::new(error))
    }
}

/// Returns what a tool answered as the text a model reads.
fn tool_text(output: &ToolOutput) -> String {
    match output {
        ToolOutput::Text(text) | ToolOutput::ErrorText(text) => text.clone(),
        ToolOutput::Json(value) | ToolOutput::ErrorJson(value) => value.to_string(),
    }
}
