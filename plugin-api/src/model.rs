//! Chat models offered by a plugin.

use std::{future::Future, sync::Arc};

use serde::Serialize;

use crate::{
    Ctx, Error, Result,
    abi::{
        self, AbiResult, CallCtx, ModelBox, Reply,
        abi_stable::{sabi_trait::TD_Opaque, std_types::RVec},
        async_ffi::{FfiFuture, FutureExt},
    },
    chat::{ChatRequest, FinishReason, StreamPart, Usage},
    guard::Guarded,
    manifest::ModelManifest,
    opened::Opened,
    wire,
};

/// A model as `#[model]` declares it.
#[derive(Clone)]
pub struct Model {
    manifest: ModelManifest,
    make: Arc<dyn Fn(Arc<Opened>) -> ModelBox + Send + Sync>,
}

impl Model {
    /// Returns a model made of its parts; `#[model]` calls this.
    #[doc(hidden)]
    pub fn new<C, F>(id: &str, description: &str, code: C) -> Self
    where
        C: Fn(Ctx, RVec<u8>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<Reply>> + Send + 'static,
    {
        let make = move |plugin| abi::Model_TO::from_value(Adapter { plugin, code: code.clone() }, TD_Opaque);
        let manifest = ModelManifest { id: id.to_owned(), description: description.to_owned() };
        Self { manifest, make: Arc::new(make) }
    }

    /// Returns the model's id, `provider/model`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.manifest.id
    }

    /// Returns what the host is told about the model.
    #[must_use]
    pub fn manifest(&self) -> &ModelManifest {
        &self.manifest
    }

    pub(crate) fn instantiate(&self, plugin: Arc<Opened>) -> ModelBox {
        (self.make)(plugin)
    }
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model").field("manifest", &self.manifest).finish_non_exhaustive()
    }
}

/// Where a model, or an agent that runs itself, writes its answer piece by piece.
///
/// Every method waits while the reader is slow and fails with `E_CANCELLED` once the
/// reader has gone. Texts and reasonings are opened and closed as needed.
#[derive(Debug)]
pub struct Answer {
    ctx: Ctx,
    open: Option<Open>,
    texts: u32,
    reasonings: u32,
    is_started: bool,
    is_finished: bool,
}

#[derive(Debug)]
enum Open {
    Text(String),
    Reasoning(String),
}

impl Answer {
    /// Returns an answer that goes to the caller of `ctx`.
    #[must_use]
    pub fn new(ctx: &Ctx) -> Self {
        Self { ctx: ctx.clone(), open: None, texts: 0, reasonings: 0, is_started: false, is_finished: false }
    }

    /// Begins the answer; the first piece does so by itself.
    ///
    /// # Errors
    /// `E_CANCELLED` if the reader has gone.
    pub async fn start(&mut self) -> Result<()> {
        if self.is_started {
            return Ok(());
        }
        self.is_started = true;
        self.ctx.emit(&StreamPart::StreamStart { warnings: Vec::new() }).await
    }

    /// Names the answer the way the provider does.
    ///
    /// # Errors
    /// `E_CANCELLED` if the reader has gone.
    pub async fn metadata(
        &mut self,
        id: Option<String>,
        timestamp_ms: Option<i64>,
        model_id: Option<String>,
    ) -> Result<()> {
        self.start().await?;
        self.ctx.emit(&StreamPart::ResponseMetadata { id, timestamp_ms, model_id }).await
    }

    /// Adds a piece of text.
    ///
    /// # Errors
    /// `E_CANCELLED` if the reader has gone.
    pub async fn text(&mut self, delta: impl Into<String>) -> Result<()> {
        if let Some(Open::Text(id)) = &self.open {
            let part = StreamPart::TextDelta { id: id.clone(), delta: delta.into() };
            return self.ctx.emit(&part).await;
        }
        self.close().await?;
        self.texts += 1;
        let id = format!("text-{}", self.texts);
        self.ctx.emit(&StreamPart::TextStart { id: id.clone() }).await?;
        self.open = Some(Open::Text(id.clone()));
        self.ctx.emit(&StreamPart::TextDelta { id, delta: delta.into() }).await
    }

    /// Adds a piece of reasoning.
    ///
    /// # Errors
    /// `E_CANCELLED` if the reader has gone.
    pub async fn reasoning(&mut self, delta: impl Into<String>) -> Result<()> {
        if let Some(Open::Reasoning(id)) = &self.open {
            let part = StreamPart::ReasoningDelta { id: id.clone(), delta: delta.into() };
            return self.ctx.emit(&part).await;
        }
        self.close().await?;
        self.reasonings += 1;
        let id = format!("reasoning-{}", self.reasonings);
        self.ctx.emit(&StreamPart::ReasoningStart { id: id.clone() }).await?;
        self.open = Some(Open::Reasoning(id.clone()));
        self.ctx.emit(&StreamPart::ReasoningDelta { id, delta: delta.into() }).await
    }

    /// Asks for a tool call, all at once.
    ///
    /// # Errors
    /// `E_CANCELLED` if the reader has gone.
    pub async fn tool_call(
        &mut self,
        id: impl Into<String>,
        tool_name: impl Into<String>,
        input: &(impl Serialize + ?Sized),
    ) -> Result<()> {
        self.close().await?;
        let (id, tool_name) = (id.into(), tool_name.into());
        let input = serde_json::to_string(input)?;
        for part in [
            StreamPart::ToolInputStart { id: id.clone(), tool_name: tool_name.clone() },
            StreamPart::ToolInputDelta { id: id.clone(), delta: input.clone() },
            StreamPart::ToolInputEnd { id: id.clone() },
            StreamPart::ToolCall { tool_call_id: id, tool_name, input },
        ] {
            self.ctx.emit(&part).await?;
        }
        Ok(())
    }

    /// Sends a part as it is; for what the other methods do not cover.
    ///
    /// # Errors
    /// `E_CANCELLED` if the reader has gone.
    pub async fn part(&mut self, part: &StreamPart) -> Result<()> {
        self.is_started = true;
        self.is_finished |= matches!(part, StreamPart::Finish { .. } | StreamPart::Error { .. });
        self.ctx.emit(part).await
    }

    /// Ends the answer.
    ///
    /// # Errors
    /// `E_CANCELLED` if the reader has gone.
    pub async fn finish(&mut self, finish_reason: FinishReason, usage: Usage) -> Result<()> {
        self.close().await?;
        self.part(&StreamPart::Finish { finish_reason, usage }).await
    }

    /// Says that the answer broke off; what was sent stays sent.
    ///
    /// # Errors
    /// `E_CANCELLED` if the reader has gone.
    pub async fn error(&mut self, message: impl Into<String>) -> Result<()> {
        self.close().await?;
        self.part(&StreamPart::Error { message: message.into() }).await
    }

    /// Closes the text or reasoning that is open and makes sure the answer has begun.
    async fn close(&mut self) -> Result<()> {
        self.start().await?;
        match self.open.take() {
            None => Ok(()),
            Some(Open::Text(id)) => self.ctx.emit(&StreamPart::TextEnd { id }).await,
            Some(Open::Reasoning(id)) => self.ctx.emit(&StreamPart::ReasoningEnd { id }).await,
        }
    }
}

/// Parses the request, lets `code` answer it and ends the answer if the code did not.
#[doc(hidden)]
pub async fn answer<F>(ctx: Ctx, request: RVec<u8>, code: impl FnOnce(ChatRequest, Answer) -> F) -> Result<Reply>
where
    F: Future<Output = (Result<()>, Answer)>,
{
    let request = wire::from_slice(&request, "chat request")?;
    let (result, mut answer) = code(request, Answer::new(&ctx)).await;
    result?;
    if !answer.is_finished {
        answer.finish(FinishReason::Stop, Usage::default()).await?;
    }
    Ok(Reply { kind: 0, flags: 0, body: b"null".to_vec().into(), meta_json: RVec::new() })
}

/// Converts what a model's function returns.
#[doc(hidden)]
pub fn model_result<E: Into<Error>>(result: Result<(), E>) -> Result<()> {
    result.map_err(Into::into)
}

struct Adapter<C> {
    plugin: Arc<Opened>,
    code: C,
}

impl<C, F> abi::Model for Adapter<C>
where
    C: Fn(Ctx, RVec<u8>) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Reply>> + Send + 'static,
{
    fn chat(&self, ctx: CallCtx, request: RVec<u8>) -> FfiFuture<AbiResult<Reply>> {
        let ctx = Ctx::of_call(Arc::clone(&self.plugin), ctx);
        let future = (self.code)(ctx.clone(), request);
        Guarded::new(ctx, future).into_ffi()
    }
}
