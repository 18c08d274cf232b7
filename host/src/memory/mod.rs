//! What agents remember of a conversation, and how it is kept.
//!
//! A run that names a thread begins with [`Memory::begin`]: whose thread it is, what was
//! said before, what was noted. It ends with one batch of rows, [`Conversation::entries`],
//! which the engine writes together with the run itself if it waits. Knows no wire shape
//! but that of [`content`], which is stored as it is sent.
//!
//! Read next: `recall`, what the model sees of what was said.

pub mod content;
pub mod options;
mod processors;
mod recall;
pub mod semantic;
mod title;
pub mod working;

use std::{sync::Arc, time::Duration};

use hotbay_plugin::{MemoryMessage, manifest::MemoryOptions};
use serde_json::{Map, Value};

use crate::{
    observe::tracer::ActiveSpan,
    plugin::call::CallError,
    services::{Origin, span},
    store::{Store, StoreError},
    types::{
        id::Millis,
        message::{Message, Role},
        recall::RecallSpace,
        span::SpanKind,
        spoken,
        thread::{Thread, TurnEntries, WorkingScope},
    },
};
use options::MemoryConfig;
use semantic::{FoundEntries, Semantic, SemanticError, Whose};
pub use title::asked as title_request;
use working::Working;

/// How long a run waits for what is recalled by meaning.
const FINDING: Duration = Duration::from_secs(10);
/// How many processors an agent with a memory has before its own.
const FIRST_PROCESSOR: usize = 2;

/// What agents remember. Cheap to clone.
#[derive(Clone)]
pub struct Memory {
    store: Store,
    semantic: Semantic,
}

/// Why something is not remembered.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MemoryError {
    /// The thread is somebody else's.
    #[error("Access denied: thread belongs to a different resource")]
    Denied,
    /// The agent names a processor no plugin offers. Going on without it could show a model what
    /// the agent's author wanted kept from it.
    #[error("no plugin offers the memory processor `{0}`; load one, or take it out of the agent's memory options")]
    UnknownProcessor(String),
    /// A processor failed.
    #[error("{0}")]
    Processor(#[from] Arc<CallError>),
    /// A processor answered something else than messages.
    #[error("the memory processor `{name}` answered what are no messages: {reason}")]
    Garbled {
        /// Its name.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// What is to be noted does not fit.
    #[error("{0}")]
    Invalid(String),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The conversation a run asks for.
#[derive(Debug, Clone, Default)]
pub struct ConversationRequest {
    /// The thread.
    pub thread_id: String,
    /// Whom it belongs to.
    pub resource_id: String,
    /// Its title, if it is new.
    pub title: Option<String>,
    /// What is noted on it.
    pub metadata: Option<Map<String, Value>>,
    /// Options over those of the agent.
    pub options: Map<String, Value>,
    /// The run leaves no trace in it.
    pub read_only: bool,
}

/// The conversation of a run.
#[derive(Debug, Clone)]
pub struct Conversation {
    thread_id: String,
    resource_id: String,
    read_only: bool,
    config: MemoryConfig,
    /// Where its entries are found by their meaning, if they are.
    space: Option<RecallSpace>,
    has_title: bool,
    /// What is noted beyond it.
    pub working: Option<Working>,
    /// Remembered entries whose calls the caller has answered since.
    settled: Vec<Message>,
}

impl Memory {
    /// Returns the memory of this store.
    #[must_use]
    pub fn new(store: Store, semantic: Semantic) -> Self {
        Self { store, semantic }
    }

    /// Returns what finds messages by their meaning.
    #[must_use]
    pub fn semantic(&self) -> &Semantic {
        &self.semantic
    }

    /// Returns the store itself.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Begins a run's part of a conversation, which is made if it is new.
    ///
    /// # Errors
    /// If the thread is somebody else's, or the store cannot be used.
    pub async fn begin(
        &self,
        agent: &MemoryOptions,
        request: &ConversationRequest,
    ) -> Result<Conversation, MemoryError> {
        let threads = self.store.threads();
        let mut thread = threads.get(&request.thread_id).await?;
        if thread.is_none() && !request.read_only {
            let now = Millis::now();
            let fresh = Thread {
                id: request.thread_id.clone(),
                resource_id: request.resource_id.clone(),
                title: request.title.clone().unwrap_or_default(),
                metadata: request.metadata.clone(),
                created_at: now,
                updated_at: now,
            };
            // Somebody else may have made it since.
            thread = if threads.create(&fresh).await? { Some(fresh) } else { threads.get(&request.thread_id).await? };
        }
        if thread.as_ref().is_some_and(|thread| thread.resource_id != request.resource_id) {
            return Err(MemoryError::Denied);
        }
        if let Some(thread) = &thread
            && request.metadata.is_some()
            && thread.metadata != request.metadata
            && !request.read_only
        {
            threads.update(&thread.id, None, request.metadata.as_ref()).await?;
        }
        let has_title = thread.is_some_and(|thread| !thread.title.is_empty());
        self.conversation(agent, request, has_title).await
    }

    /// Goes on with a conversation in which a run has waited.
    ///
    /// # Errors
    /// If the store cannot be used.
    pub async fn rejoin(
        &self,
        agent: &MemoryOptions,
        request: &ConversationRequest,
    ) -> Result<Conversation, MemoryError> {
        let thread = self.store.threads().get(&request.thread_id).await?;
        self.conversation(agent, request, thread.is_none_or(|thread| !thread.title.is_empty())).await
    }

    async fn conversation(
        &self,
        agent: &MemoryOptions,
        request: &ConversationRequest,
        has_title: bool,
    ) -> Result<Conversation, MemoryError> {
        let config = MemoryConfig::new(agent, &request.options);
        let working = match &config.working {
            None => None,
            Some(options) => {
                let scope = if options.is_of_thread {
                    WorkingScope::Thread(request.thread_id.clone())
                } else {
                    WorkingScope::Owner(request.resource_id.clone())
                };
                let text = self.store.threads().working_memory(&scope).await?;
                Some(Working { scope, form: options.form.clone(), text, read_only: request.read_only })
            }
        };
        let space = config.semantic.as_ref().and_then(|_| {
            let space = self.semantic.space(agent);
            space.inspect_err(|error| tracing::warn!(%error, "an agent cannot recall by meaning")).ok()
        });
        Ok(Conversation {
            thread_id: request.thread_id.clone(),
            resource_id: request.resource_id.clone(),
            read_only: request.read_only,
            config,
            space,
            has_title,
            working,
            settled: Vec::new(),
        })
    }

    /// Returns the last entries of a thread as plugins see them, oldest first.
    ///
    /// # Errors
    /// If the store cannot be used.
    pub async fn last(&self, thread_id: &str, entries: u64) -> Result<Vec<MemoryMessage>, MemoryError> {
        let entries = recall::last(&self.store, thread_id, entries).await?;
        Ok(entries.iter().map(processors::show).collect())
    }

    /// Returns what the model sees of what was said before, oldest first. Entries of `input` that
    /// answer a remembered call are taken out of it. What is found by its meaning is recorded below `span`.
    ///
    /// # Errors
    /// If the store cannot be used.
    pub async fn recall(
        &self,
        conversation: &mut Conversation,
        input: &mut Vec<Message>,
        span: &ActiveSpan,
    ) -> Result<Vec<Message>, MemoryError> {
        let mut remembered =
            recall::last(&self.store, &conversation.thread_id, conversation.config.last_messages).await?;
        match tokio::time::timeout(FINDING, self.find(conversation, input, span)).await {
            Ok(Ok(found)) => semantic::join(found, &conversation.thread_id, &mut remembered),
            // What was said last is better than no answer.
            Ok(Err(error)) => tracing::warn!(%error, "an agent answers without what it could not recall by meaning"),
            Err(_) => tracing::warn!("an agent answers without what it could not recall by meaning in ten seconds"),
        }
        conversation.settled = recall::settle(&mut remembered, input);
        recall::leave_out(&mut remembered, input);
        Ok(remembered)
    }

    /// Returns what was said before that is nearest to what is said now, with what was said around it.
    async fn find(
        &self,
        conversation: &Conversation,
        input: &[Message],
        span: &ActiveSpan,
    ) -> Result<FoundEntries, SemanticError> {
        let mut found = FoundEntries::default();
        let (Some(options), Some(space)) = (&conversation.config.semantic, &conversation.space) else {
            return Ok(found);
        };
        let asked = input.iter().rev().find(|message| message.role == Role::User);
        let asked = asked.map(|message| spoken::words(&message.parts));
        let Some(text) = asked.filter(|text| !text.is_empty()) else { return Ok(found) };
        let whose = Whose {
            resource_id: &conversation.resource_id,
            thread_id: options.is_of_thread.then_some(conversation.thread_id.as_str()),
        };
        for hit in self.semantic.find(space, &text, whose, options, span).await? {
            let (thread, id) = (&hit.message.thread_id, &hit.message.id);
            found.entries.extend(self.store.messages().around(thread, id, options.before, options.after).await?);
            if *thread != conversation.thread_id && !found.titles.contains_key(thread) {
                let title = self.store.threads().get(thread).await?.map(|thread| thread.title);
                found.titles.insert(thread.clone(), title.unwrap_or_default());
            }
        }
        Ok(found)
    }

    /// Sends what is remembered through the processors of the conversation's agent.
    ///
    /// # Errors
    /// If one fails, or no plugin offers it.
    pub async fn process(
        &self,
        conversation: &Conversation,
        mut remembered: Vec<Message>,
        origin: &Origin,
    ) -> Result<Vec<Message>, MemoryError> {
        for (index, processor) in conversation.config.processors.iter().enumerate() {
            let name = format!("input processor: {}", processor.name);
            let span =
                origin.span.as_ref().map_or_else(ActiveSpan::default, |it| it.child(SpanKind::ProcessorRun, name));
            span.entity("input_processor", &processor.name, &processor.name);
            span.attribute("processorPhase", "input");
            // Those of every agent come first.
            span.attribute("processorIndex", index + FIRST_PROCESSOR);
            span.input(|| shown(&remembered));
            match processors::apply(&origin.within(&span), processor, conversation, remembered).await {
                Ok(processed) => remembered = processed,
                Err(error) => {
                    span.fail(span::error(&error.to_string()));
                    return Err(error);
                }
            }
            span.output(|| shown(&remembered));
            span.end();
        }
        Ok(remembered)
    }
}

fn shown(messages: &[Message]) -> Value {
    serde_json::json!({"messages": messages.iter().map(content::kept).collect::<Vec<_>>()})
}

impl Conversation {
    /// Returns what the run leaves in the thread: entries it appends, in order, and entries it has
    /// changed. `None` if it leaves nothing.
    #[must_use]
    pub fn entries<'a>(
        &mut self,
        appended: impl IntoIterator<Item = &'a Message>,
        changed: impl IntoIterator<Item = &'a Message>,
    ) -> Option<TurnEntries> {
        if self.read_only {
            return None;
        }
        let stored = |message: &Message| content::stored(message, &self.thread_id, &self.resource_id);
        let mut appended: Vec<_> = appended.into_iter().filter(|it| !it.parts.is_empty()).map(stored).collect();
        // An entry's place is its time: no two of a turn may share one.
        let mut last = Millis(i64::MIN);
        for entry in &mut appended {
            entry.created_at = entry.created_at.max(Millis(last.0.saturating_add(1)));
            last = entry.created_at;
        }
        let settled = std::mem::take(&mut self.settled);
        let changed: Vec<_> = changed.into_iter().map(stored).chain(settled.iter().map(stored)).collect();
        Some(TurnEntries { thread_id: self.thread_id.clone(), appended, changed, space: self.space.clone() })
    }

    /// Returns how the thread gets a title, if the run is to give it one.
    #[must_use]
    pub fn wanted_title(&self) -> Option<&options::TitleOptions> {
        self.config.title.as_ref().filter(|_| !self.has_title && !self.read_only)
    }

    /// Returns the thread's id.
    #[must_use]
    pub fn thread_id(&self) -> &str {
        &self.thread_id
    }
}
