//! Recall by meaning: messages are found by what they say, however long ago they were said.
//!
//! Saying goes one way: whoever stores messages names the [`RecallSpace`] they are found in, and
//! the store notes in the same batch that they are due there. `keeper` embeds what is due, in the
//! background, and puts its `pieces` into the space's index. Asking goes the other way:
//! [`Semantic::find`] embeds the question and reads what the store has of the nearest messages,
//! for only the store knows whose they are now.

mod keeper;
mod pieces;
mod recalled;

use std::{collections::HashMap, sync::Arc};

use hotbay_plugin::manifest::MemoryOptions;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::options::{SemanticOptions, recalls_by_meaning};
use crate::{
    model::{ModelError, catalog::Models},
    observe::{attrs::span as attr, tracer::ActiveSpan},
    services::span,
    store::{SpaceState, Store, StoreError},
    types::{recall::RecallSpace, span::SpanKind, thread::StoredMessage},
    vector::{Search, VectorError, Vectors, operation::Operation},
};
pub(super) use recalled::join;

/// Pieces looked at for each message that is wanted: a long message may be found by several.
const PIECES_A_MESSAGE: u32 = 4;
/// The vector store of agents that name none, if it is there.
const USUAL_STORE: &str = "local";

/// Recall by meaning. Cheap to clone.
#[derive(Clone)]
pub struct Semantic {
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    models: Arc<Models>,
    vectors: Vectors,
    settings: RecallSettings,
}

/// What agents recall with that do not say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RecallSettings {
    /// The embedder, `provider/model`; if absent, the one of a plugin if there is only one.
    pub embedder: Option<String>,
    /// The vector store; if absent `local`, or the only one there is.
    pub vector_store: Option<String>,
}

/// Whose messages are looked at.
#[derive(Debug, Clone, Copy)]
pub struct Whose<'a> {
    /// Whom they belong to.
    pub resource_id: &'a str,
    /// The conversation; all of the owner's if absent.
    pub thread_id: Option<&'a str>,
}

/// A message that was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// The message.
    pub message: StoredMessage,
    /// How near it is to the question: 1 is the same.
    pub score: f32,
}

/// What was found for a run, with what was said around it.
#[derive(Debug, Default)]
pub(super) struct FoundEntries {
    /// The entries, in no order; one may be there twice.
    pub(super) entries: Vec<StoredMessage>,
    /// The titles of other conversations they are of.
    pub(super) titles: HashMap<String, String>,
}

/// Why nothing can be found by its meaning.
#[derive(Debug, thiserror::Error)]
pub enum SemanticError {
    /// There is nothing to embed with, or to find in.
    #[error("{0}")]
    NoSpace(String),
    /// The embedder failed.
    #[error("cannot embed: {0}")]
    Embedder(#[from] ModelError),
    /// The vector store failed.
    #[error("cannot look into the vector store: {0}")]
    VectorStore(#[from] VectorError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What the keeper wrote of a message, as far as it is read.
#[derive(Deserialize)]
struct PieceOf {
    message_id: String,
}

impl Semantic {
    /// Returns the recall over these.
    #[must_use]
    pub fn new(store: Store, models: Arc<Models>, vectors: Vectors, settings: RecallSettings) -> Self {
        Self { shared: Arc::new(Shared { store, models, vectors, settings }) }
    }

    /// Returns where messages are to be found that somebody stores for an agent; `None` if it does
    /// not recall by meaning. Without a space they are stored all the same, and found once they
    /// are embedded again.
    #[must_use]
    pub fn space_to_store(&self, agent: &MemoryOptions) -> Option<RecallSpace> {
        recalls_by_meaning(&agent.more).then(|| self.space(agent)).and_then(|space| {
            space.inspect_err(|error| tracing::warn!(%error, "messages are stored that are not found by meaning")).ok()
        })
    }

    /// Returns where an agent that recalls by meaning finds messages.
    ///
    /// # Errors
    /// [`SemanticError::NoSpace`] if there is nothing to embed with or to find in.
    pub fn space(&self, agent: &MemoryOptions) -> Result<RecallSpace, SemanticError> {
        let snapshot = self.shared.vectors.snapshot();
        let settings = &self.shared.settings;
        let named = |key: &str| agent.more.get(key).and_then(Value::as_str).map(str::to_owned);
        let only = |names: Vec<&str>| match names.as_slice() {
            [name] => Some((*name).to_owned()),
            _ => None,
        };
        let embedders = || snapshot.embedders.iter().map(|entry| entry.manifest.id.as_str()).collect();
        let embedder = named("embedder").or_else(|| settings.embedder.clone()).or_else(|| only(embedders()));
        let stores = || snapshot.vector_stores.iter().map(|entry| entry.manifest.name.as_str()).collect();
        let usual = || snapshot.vector_stores.get(USUAL_STORE).map(|_| USUAL_STORE.to_owned());
        let vector_store = named("vector").or_else(|| settings.vector_store.clone());
        let vector_store = vector_store.or_else(usual).or_else(|| only(stores()));
        match (embedder, vector_store) {
            (Some(embedder), Some(vector_store)) => Ok(RecallSpace { vector_store, embedder }),
            (None, _) => Err(SemanticError::NoSpace(
                "there is no embedder to recall by meaning with: set `embedder` in [memory] of hotbay.toml".to_owned(),
            )),
            (_, None) => Err(SemanticError::NoSpace(
                "there is no vector store to recall by meaning from: load its plugin, or set `vector_store` in \
                 [memory] of hotbay.toml"
                    .to_owned(),
            )),
        }
    }

    /// Returns the messages whose meaning is nearest to a text, the nearest first. What it takes is
    /// recorded below `span`.
    ///
    /// # Errors
    /// If the embedder, the vector store or the store fails.
    pub async fn find(
        &self,
        space: &RecallSpace,
        text: &str,
        whose: Whose<'_>,
        options: &SemanticOptions,
        span: &ActiveSpan,
    ) -> Result<Vec<Found>, SemanticError> {
        let Some(question) = pieces::of(text).into_iter().next().filter(|_| options.top_k > 0) else {
            return Ok(Vec::new());
        };
        let shared = &self.shared;
        let vector = self.embed_question(space, question, span).await?;
        let mut conditions = vec![json!({"resource_id": whose.resource_id})];
        conditions.extend(whose.thread_id.map(|id| json!({"thread_id": id})));
        if options.filter.as_object().is_some_and(|filter| !filter.is_empty()) {
            conditions.push(options.filter.clone());
        }
        let search = Search {
            vector,
            top_k: options.top_k.saturating_mul(PIECES_A_MESSAGE),
            filter: json!({ "$and": conditions }),
            include_vector: false,
        };
        let vector_store = shared.vectors.store(&space.vector_store)?;
        let index = space.index();
        let operation = Operation {
            name: "query",
            store: &space.vector_store,
            index: Some(&index),
            top_k: Some(search.top_k),
            dimensions: Some(search.vector.len()),
        };
        let asked = span.child(SpanKind::RagVectorOperation, operation.title());
        operation.describe(&asked);
        let hits = match vector_store.query(Some(&index), search).await {
            // It is made when the first message is embedded.
            Err(error) if error.is_not_found() => Vec::new(),
            Err(error) => {
                asked.fail(span::error(&error.to_string()));
                return Err(error.into());
            }
            Ok(hits) => hits,
        };
        asked.attribute("returned", hits.len());
        asked.end();
        let mut nearest: Vec<(String, f32)> = Vec::new();
        for hit in hits.iter().filter(|hit| options.threshold.is_none_or(|least| hit.score >= least)) {
            let piece = hit.metadata.as_ref().and_then(|text| serde_json::from_str::<PieceOf>(text.get()).ok());
            if let Some(PieceOf { message_id }) = piece
                && !nearest.iter().any(|(known, _)| *known == message_id)
            {
                nearest.push((message_id, hit.score));
            }
        }
        nearest.truncate(options.top_k as usize);
        let ids: Vec<String> = nearest.iter().map(|(id, _)| id.clone()).collect();
        let messages = shared.store.messages().get(&ids).await?;
        let mut messages: HashMap<String, StoredMessage> =
            messages.into_iter().map(|message| (message.id.clone(), message)).collect();
        let found = nearest.into_iter().filter_map(|(id, score)| {
            let message = messages.remove(&id)?;
            // The index may be behind: somebody else's by now is not told.
            let is_theirs = message.resource_id.as_deref() == Some(whose.resource_id)
                && whose.thread_id.is_none_or(|id| message.thread_id == id);
            is_theirs.then_some(Found { message, score })
        });
        Ok(found.collect())
    }

    async fn embed_question(
        &self,
        space: &RecallSpace,
        question: String,
        span: &ActiveSpan,
    ) -> Result<Vec<f32>, ModelError> {
        let (provider, model) = space.embedder.split_once('/').unwrap_or(("", &space.embedder));
        let asked = span.child(SpanKind::RagEmbedding, format!("embed: '{model}'"));
        asked.attribute("mode", "query");
        asked.attribute(attr::MODEL, model);
        asked.attribute(attr::PROVIDER, provider);
        asked.attribute("inputCount", 1);
        asked.input(|| question.as_str().into());
        let shared = &self.shared;
        let embedded = match shared.models.embedder(&shared.vectors.snapshot(), &space.embedder, None) {
            Ok(embedder) => embedder.embed(vec![question]).await,
            Err(error) => Err(error),
        };
        match embedded {
            Ok(embeddings) => {
                asked.attribute("dimensions", embeddings.dimension);
                asked.end();
                Ok(embeddings.rows)
            }
            Err(error) => {
                asked.fail(span::error(&error.to_string()));
                Err(error)
            }
        }
    }

    /// Returns how each space stands in which messages are found.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn spaces(&self) -> Result<Vec<SpaceState>, StoreError> {
        self.shared.store.embeddings().spaces().await
    }

    /// Has every message there is embedded again for a space, in the background.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub async fn renew(&self, space: &RecallSpace) -> Result<(), StoreError> {
        let embeddings = self.shared.store.embeddings();
        let mut last = String::new();
        while let Some(id) = embeddings.renew(space, &last).await? {
            last = id;
        }
        Ok(())
    }
}
