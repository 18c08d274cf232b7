//! What a run of an agent does: ask the model, run the tools it calls, ask again, until
//! it stops, has taken all its steps, fails, or waits for somebody.
//!
//! Everything is written into the [`Turn`]; the observer is told as it happens. A step's
//! tools (`calls`) run side by side and answer in the order they were called. What is remembered is
//! read where a run is prepared, and written in `keep`, before anybody is told of its end.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use hotbay_plugin::{
    AgentRun,
    chat::{ChatRequest, FinishReason, ResponseFormat, Settings, ToolChoice},
    manifest::CallMeta,
};
use serde_json::{Value, json};
use tracing::Instrument;

use super::{
    Decision, Engine, Plan,
    answer::Answer,
    calls::Tools,
    claim::Claim,
    error::EngineError,
    event::{Observer, RunEvent},
    live::Told,
    log_span,
    options::{Mismatch, Structured},
    prompt,
    spans::{Question, RunSpans},
    structured,
    suspended::Resumed,
    toolbox::Toolbox,
    turn::{Step, Suspension, Turn},
};
use crate::{
    memory::Conversation,
    model::{self, Model},
    plugin::{generation::GenerationPin, registry::AgentEntry, registry::Snapshot},
    services::Origin,
    types::{
        id::{self, Millis},
        message::Part,
    },
};

/// Most model steps of a run that does not say.
const DEFAULT_MAX_STEPS: u32 = 5;

/// What clients look for in the log to find what agents did.
const COMPONENT: &str = "AGENT";
/// The same, for the name of the logger.
const LOGGER: &str = "Mastra";

/// A prepared run.
pub struct Run {
    /// What it has seen and done.
    pub turn: Turn,
    pub(super) engine: Engine,
    // Pins what the run needs, so a swap cannot change it halfway.
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) agent: Arc<AgentEntry>,
    // Beside the snapshot, which pins for the drain's deadline only: a run may take longer.
    _pins: Vec<GenerationPin>,
    pub(super) plan: Plan,
    pub(super) toolbox: Toolbox,
    /// What the run has of a conversation, if its agent remembers it.
    pub(super) conversation: Option<Conversation>,
    decision: Option<(Suspension, Decision)>,
    /// On the run's row, if it waited before.
    pub(super) claim: Option<Claim>,
    pub(super) spans: RunSpans,
}

impl Run {
    #[expect(clippy::too_many_arguments, reason = "all a run is made of, gathered by those who prepare it")]
    pub(super) fn new(
        engine: Engine,
        snapshot: Arc<Snapshot>,
        agent: Arc<AgentEntry>,
        plan: Plan,
        turn: Turn,
        conversation: Option<Conversation>,
        resumed: Option<Resumed>,
        spans: RunSpans,
    ) -> Self {
        let notes = conversation.as_ref().and_then(|conversation| conversation.working.as_ref()?.tool());
        let toolbox = Toolbox::new(&snapshot, engine.shared.sources.get(), &agent, &plan.options, notes);
        spans.equip(plan.instructions_of(&agent.manifest), &toolbox);
        let model = snapshot.models.get(turn.model.as_str()).map(|entry| &entry.generation);
        let used = toolbox.generations().chain(model).chain([&agent.generation]);
        let pins = used.filter_map(|generation| generation.pin_stream()).collect();
        let (decision, claim) = match resumed {
            Some(Resumed { suspension, decision, claim }) => (Some((suspension, decision)), Some(claim)),
            None => (None, None),
        };
        Self { turn, engine, snapshot, agent, _pins: pins, plan, toolbox, conversation, decision, claim, spans }
    }

    /// Drives the run to its end, or until it waits: then `turn.suspension` says for what. Whoever
    /// reads the end of its events reads what is stored.
    ///
    /// Dropping the future ends the run and whatever it has started, but for runs of workflows,
    /// which go on by themselves.
    ///
    /// # Errors
    /// If the run fails; the observer has been told by then.
    pub async fn drive<O: Observer>(&mut self, observer: &mut O) -> Result<(), EngineError> {
        let log = self.spans.log.clone().unwrap_or_else(|| log_span(&self.turn, &self.spans));
        self.go(observer).instrument(log).await
    }

    async fn go<O: Observer>(&mut self, observer: &mut O) -> Result<(), EngineError> {
        let began = Instant::now();
        let observer = &mut Told::begin(self, self.agent.generation.plugin(), observer);
        tracing::debug!(component = COMPONENT, name = LOGGER, agent.id = self.turn.agent_id, "an agent's run begins");
        let mut result = match self.plan.options.deadline {
            None => self.steps(observer).await,
            Some(deadline) => match tokio::time::timeout(deadline, self.steps(observer)).await {
                Ok(result) => result,
                Err(_) => Err(self.time_out(deadline, observer)),
            },
        };
        self.spans.end_generation(&self.turn);
        if let Err(error) = self.keep(result.is_ok()).await {
            self.turn.suspension = None;
            tracing::warn!(run.id = self.turn.run_id, %error, "what a run came to was not stored");
            if result.is_ok() {
                observer.on(&self.turn, RunEvent::Error(&error));
                result = Err(error);
            }
        }
        self.spans.end(&self.turn, result.as_ref().err());
        self.tell(began, &result);
        match &self.turn.suspension {
            Some(suspension) => observer.on(&self.turn, RunEvent::Suspended(suspension)),
            None => {
                observer.on(&self.turn, RunEvent::Finish);
                self.entitle(result.is_ok());
            }
        }
        result
    }

    /// Tells the log how the run ended.
    fn tell(&self, began: Instant, result: &Result<(), EngineError>) {
        let turn = &self.turn;
        let status = match (result, &turn.suspension) {
            (Err(_), _) => "failed",
            (Ok(()), Some(_)) => "suspended",
            (Ok(()), None) => "success",
        };
        let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(
            component = COMPONENT,
            name = LOGGER,
            agent.id = turn.agent_id,
            model = turn.model,
            status,
            steps = turn.steps.len(),
            duration_ms = took,
            "an agent's run ended"
        );
    }

    async fn steps<O: Observer>(&mut self, observer: &mut O) -> Result<(), EngineError> {
        match self.decision.take() {
            None => observer.on(&self.turn, RunEvent::Start),
            Some((suspension, decision)) => {
                if !self.finish_suspended(suspension, decision, observer).await {
                    return Ok(());
                }
            }
        }
        loop {
            let mut step = self.begin_step(observer);
            let asked = self.ask(&mut step, observer).await;
            step.end = self.turn.mark();
            self.turn.steps.push(step);
            if let Err(error) = asked {
                return Err(self.fail(error, observer));
            }
            let continued = match self.run_tools(observer).await {
                Tools::None => false,
                Tools::Answered => self.turn.steps.len() < self.max_steps(),
                Tools::Waiting => {
                    self.spans.end_step(&self.turn, false);
                    return Ok(());
                }
            };
            if !continued && let Err(error) = self.conclude(observer).await {
                return Err(error);
            }
            self.spans.end_step(&self.turn, continued);
            observer.on(&self.turn, RunEvent::StepFinish { continued, resumed: false });
            observer.ready().await;
            if !continued {
                return Ok(());
            }
        }
    }

    /// Returns what plugins are called for in this run.
    pub(super) fn origin(&self) -> Origin {
        let span = self.spans.context();
        Origin { snapshot: Arc::clone(&self.snapshot), depth: self.plan.depth, step: None, span }
    }

    fn model(&self, name: &str) -> Result<Arc<dyn Model>, EngineError> {
        Ok(self.engine.shared.models.find(&self.snapshot, name, Some(Arc::new(self.asking())))?)
    }

    /// Returns what plugins are called for that answer the model's question.
    fn asking(&self) -> Origin {
        Origin { span: self.spans.question(), ..self.origin() }
    }

    pub(super) fn max_steps(&self) -> usize {
        self.plan.options.max_steps.unwrap_or(DEFAULT_MAX_STEPS).max(1) as usize
    }

    fn begin_step<O: Observer>(&mut self, observer: &mut O) -> Step {
        let goes_on = self.turn.response.last().is_some_and(|message| message.id == self.turn.message_id);
        if goes_on {
            let part = Part::StepStart { model: self.turn.model.clone(), created_at: Millis::now() };
            self.turn.current().parts.push(part);
        }
        let mut step = Step { start: self.turn.mark(), end: self.turn.mark(), ..Step::default() };
        step.response.id = id::fresh();
        step.response.timestamp = Millis::now();
        observer.on(&self.turn, RunEvent::StepStart { at: Millis::now() });
        step
    }

    async fn ask<O: Observer>(&mut self, step: &mut Step, observer: &mut O) -> Result<(), EngineError> {
        let form = self.plan.options.structured.clone();
        let parts = if self.agent.manifest.custom_run {
            let run = self.agent_run();
            self.asked(&run.messages);
            model::run_agent(&self.agent, &run, &self.meta(), Some(Arc::new(self.asking())))?
        } else {
            let request = self.request(form.as_deref());
            self.asked(&request.messages);
            self.model(&self.turn.model)?.chat(request).await?
        };
        // A form another model is to give the answer is not looked for in this one's.
        let form = form.as_deref().filter(|form| form.model.is_none());
        let chunks = &mut self.spans.chunks;
        Answer { turn: &mut self.turn, step, toolbox: &self.toolbox, form, chunks, observer }.read(parts).await
    }

    /// Notes what is about to be asked.
    fn asked(&mut self, messages: &[hotbay_plugin::chat::Message]) {
        let options = &self.plan.options;
        let tool_choice = options.tool_choice.clone().unwrap_or(ToolChoice::Auto);
        let (settings, toolbox) = (&options.settings, &self.toolbox);
        let question = Question { messages, settings, tool_choice: &tool_choice, toolbox };
        self.spans.ask(&self.turn, &self.agent.manifest, &question);
    }

    fn request(&self, form: Option<&Structured>) -> ChatRequest {
        let options = &self.plan.options;
        let mut messages = prompt::messages(&self.turn, &self.plan, self.instructions(), self.noted());
        let mut response_format = None;
        if let Some(form) = form.filter(|form| form.model.is_none()) {
            if form.in_prompt {
                messages.insert(0, hotbay_plugin::chat::Message::System(structured::instruction(form)));
            } else {
                response_format = Some(ResponseFormat::Json { schema: Some(form.schema.source.clone()) });
            }
        }
        ChatRequest {
            model: self.turn.model.clone(),
            messages,
            tools: self.toolbox.specs(),
            tool_choice: options.tool_choice.clone().unwrap_or(ToolChoice::Auto),
            settings: options.settings.clone(),
            response_format,
            provider_options: options.provider_options.clone(),
        }
    }

    /// Returns what the agent has noted in its working memory, as its model is told.
    fn noted(&self) -> Option<String> {
        Some(self.conversation.as_ref()?.working.as_ref()?.instructions())
    }

    fn instructions(&self) -> &str {
        self.plan.instructions_of(&self.agent.manifest)
    }

    /// Returns what an agent that runs itself is asked.
    fn agent_run(&self) -> AgentRun {
        let options = &self.plan.options;
        let mut run = AgentRun::default();
        run.messages = prompt::messages(&self.turn, &self.plan, "", self.noted());
        run.instructions = Some(self.instructions().to_owned()).filter(|text| !text.is_empty());
        run.model = Some(self.turn.model.clone());
        run.tools = self.toolbox.specs();
        let mut put = |key: &str, value: Value| run.options.insert(key.to_owned(), value);
        put("maxSteps", self.max_steps().into());
        put("toolChoice", json!(options.tool_choice.clone().unwrap_or(ToolChoice::Auto)));
        if options.settings != Settings::default() {
            put("modelSettings", json!(options.settings));
        }
        if !options.provider_options.is_empty() {
            put("providerOptions", options.provider_options.clone().into());
        }
        if let Some(form) = &options.structured {
            put("structuredOutput", json!({"schema": form.schema.source}));
        }
        run
    }

    /// Returns what plugins are told about the run they are called in.
    pub(super) fn meta(&self) -> CallMeta {
        CallMeta {
            run_id: Some(self.turn.run_id.clone()),
            agent_id: Some(self.turn.agent_id.clone()),
            thread_id: self.turn.thread_id.clone(),
            resource_id: self.turn.resource_id.clone(),
            request_context: self.plan.options.request_context.clone(),
            ..CallMeta::default()
        }
    }

    /// Gives the answer its form, if it is to have one.
    async fn conclude<O: Observer>(&mut self, observer: &mut O) -> Result<(), EngineError> {
        let Some(form) = self.plan.options.structured.clone() else { return Ok(()) };
        let Some(step) = self.turn.steps.last() else { return Ok(()) };
        if !step.calls.is_empty() {
            return Ok(());
        }
        let text = match &form.model {
            None => step.text.clone(),
            Some(model) => match self.formed(model, &form, &step.text).await {
                Ok(text) => text,
                Err(error) => return Err(self.fail(error, observer)),
            },
        };
        let object = match structured::check(&form, &text) {
            Ok(object) => Some(object),
            Err(problems) => match &form.on_mismatch {
                Mismatch::Fail => {
                    return Err(self.fail(EngineError::Structured { problems, value: text }, observer));
                }
                Mismatch::Warn => {
                    tracing::warn!(run.id = self.turn.run_id, problems, "the structured answer does not fit");
                    None
                }
                Mismatch::Fallback(value) => {
                    self.turn.used_fallback = true;
                    Some(value.clone())
                }
            },
        };
        if let Some(object) = object {
            self.turn.current().metadata.insert("structuredOutput".to_owned(), object.clone());
            observer.on(&self.turn, RunEvent::ObjectResult(&object));
            self.turn.object = Some(object);
        }
        Ok(())
    }

    /// Has another model put an answer into its form.
    async fn formed(&self, model: &str, form: &Structured, text: &str) -> Result<String, EngineError> {
        let request = ChatRequest {
            model: model.to_owned(),
            messages: vec![
                hotbay_plugin::chat::Message::System(structured::instruction(form)),
                hotbay_plugin::chat::Message::User(vec![hotbay_plugin::chat::Part::Text { text: text.to_owned() }]),
            ],
            response_format: Some(ResponseFormat::Json { schema: Some(form.schema.source.clone()) }),
            ..ChatRequest::default()
        };
        self.engine.text(&self.origin(), request).await
    }

    fn time_out<O: Observer>(&mut self, deadline: Duration, observer: &mut O) -> EngineError {
        self.turn.suspension = None;
        if self.turn.steps.is_empty() {
            let mut step = Step { start: self.turn.mark(), end: self.turn.mark(), ..Step::default() };
            step.response.id = id::fresh();
            step.response.timestamp = Millis::now();
            self.turn.steps.push(step);
        }
        self.fail(EngineError::TimedOut(deadline), observer)
    }

    /// Breaks the run off with an error.
    fn fail<O: Observer>(&mut self, error: EngineError, observer: &mut O) -> EngineError {
        if let Some(step) = self.turn.steps.last_mut() {
            step.finish = FinishReason::Error;
        }
        self.spans.fail(&self.turn, &error);
        observer.on(&self.turn, RunEvent::Error(&error));
        if !matches!(error, EngineError::Structured { .. }) {
            let part = Part::Error { message: error.to_string(), created_at: Millis::now() };
            self.turn.current().parts.push(part);
        }
        observer.on(&self.turn, RunEvent::StepFinish { continued: false, resumed: false });
        error
    }
}
