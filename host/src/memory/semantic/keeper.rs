//! The task that brings vector stores up to date with what was said.
//!
//! It takes messages that are due in a space, some at a time, so that nobody else does, and puts
//! what they say now into the space's index, or takes them out of it if they are gone. Whoever
//! dies meanwhile leaves them due; doing it twice does no harm. A space whose embedder or vector
//! store fails is left alone for a while that grows.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use futures::future::join_all;
use hotbay_plugin::{error::code, vector_store::Metric};
use serde_json::{Map, Value};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Semantic, SemanticError, pieces};
use crate::{
    memory::content,
    model::{
        ModelError,
        embedder::{Embedder, Embeddings},
    },
    plugin::call::CallError,
    store::{DueEmbedding, Mark},
    types::{id::Millis, recall::RecallSpace, thread::StoredMessage},
    vector::{Entries, StoreHandle, VectorError, Which},
};

/// How often it is looked for what is due.
const LOOK: Duration = Duration::from_secs(1);
/// Messages taken at once.
const MESSAGES: u64 = 64;
/// Pieces embedded at once.
const PIECES: usize = 64;
/// For how long they are not taken again. Longer than that takes a slow embedder; twice does no harm.
const LEASE: i64 = 120_000;
/// Rounds of a space before the others are looked at again.
const ROUNDS: usize = 16;
/// How long a space is left alone after its first failure; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest it is left alone.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// A space that failed.
#[derive(Debug, Clone, Copy)]
struct Failing {
    times: u32,
    until: Instant,
}

/// What is known of a message that is brought up to date.
struct Message<'a> {
    row: DueEmbedding,
    /// As it is now; nothing if it is gone.
    stored: Option<&'a StoredMessage>,
    pieces: Vec<String>,
}

impl Semantic {
    /// Keeps vector stores up to date until it is told to end.
    pub async fn keep(self, cancel: CancellationToken) {
        let embeddings = self.shared.store.embeddings();
        if let Err(error) = embeddings.take_over().await {
            tracing::warn!(%error, "messages another process was embedding wait for its time to pass");
        }
        let mut failing: HashMap<RecallSpace, Failing> = HashMap::new();
        let mut mark = Mark::default();
        while cancel.run_until_cancelled(mark.wait(LOOK, None)).await.is_some() {
            let stands = self.shared.store.mark();
            let due = match embeddings.due_spaces().await {
                Ok(due) => due,
                Err(error) => {
                    // The store tells itself that it cannot be read.
                    tracing::debug!(%error, "cannot see which messages are to be embedded");
                    mark = Mark::default();
                    continue;
                }
            };
            // What is due later, or fails, is looked at again although nothing was written.
            mark = if due.is_empty() { stands } else { Mark::default() };
            let (now, at) = (Millis::now(), Instant::now());
            let is_to_do = |space: &RecallSpace| failing.get(space).is_none_or(|failing| failing.until <= at);
            let spaces: Vec<RecallSpace> =
                due.into_iter().filter(|(space, due)| *due <= now && is_to_do(space)).map(|(space, _)| space).collect();
            let done = join_all(spaces.iter().map(|space| self.work(space, &cancel))).await;
            for (space, done) in spaces.into_iter().zip(done) {
                match done {
                    Ok(()) => {
                        failing.remove(&space);
                    }
                    Err(error) => {
                        let times = failing.get(&space).map_or(0, |failing| failing.times);
                        let wait = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(times)).min(LONGEST_WAIT);
                        tracing::warn!(embedder = space.embedder, vector_store = space.vector_store, %error,
                            wait_s = wait.as_secs(), "messages wait to be found by their meaning");
                        failing.insert(space, Failing { times: times + 1, until: Instant::now() + wait });
                    }
                }
            }
        }
    }

    async fn work(&self, space: &RecallSpace, cancel: &CancellationToken) -> Result<(), SemanticError> {
        let embeddings = self.shared.store.embeddings();
        for _ in 0..ROUNDS {
            let rows = embeddings.take(space, MESSAGES, Millis(Millis::now().0 + LEASE)).await?;
            if rows.is_empty() {
                return Ok(());
            }
            let done = cancel.run_until_cancelled(self.bring_up_to_date(space, &rows)).await;
            if !matches!(done, Some(Ok(()))) {
                embeddings.give_back(space, &rows).await?;
            }
            match done {
                None => return Ok(()),
                Some(done) => done?,
            }
        }
        Ok(())
    }

    async fn bring_up_to_date(&self, space: &RecallSpace, rows: &[DueEmbedding]) -> Result<(), SemanticError> {
        let ids: Vec<String> = rows.iter().map(|row| row.message_id.clone()).collect();
        let stored = self.shared.store.messages().get(&ids).await?;
        let stored: HashMap<&str, &StoredMessage> = stored.iter().map(|it| (it.id.as_str(), it)).collect();
        let mut messages: Vec<Message<'_>> = rows
            .iter()
            .map(|row| {
                let stored = stored.get(row.message_id.as_str()).copied();
                let pieces = stored.map(|message| pieces::of(&content::words(message))).unwrap_or_default();
                Message { row: row.clone(), stored, pieces }
            })
            .collect();
        let embedded = self.embed(space, &mut messages).await?;
        let store = self.shared.vectors.store(&space.vector_store)?;
        // Of most there is one, and of one nobody need know: it is taken to be there.
        let many = messages.iter().map(|message| (&message.row, message.pieces.len() as u64));
        let many: Vec<_> = many.filter(|(row, pieces)| *pieces > 1 && *pieces > row.pieces).collect();
        if !many.is_empty() {
            self.shared.store.embeddings().expect(space, &many).await?;
        }
        if let Some(embeddings) = embedded
            && put(&store, &space.index(), &messages, embeddings).await?
        {
            let embedder = &space.embedder;
            tracing::warn!(embedder, "vectors are of another length than before: every message is embedded again");
            self.renew(space).await?;
        }
        // What there was more of than there is now.
        let surplus = messages.iter().flat_map(|message| {
            let kept = message.pieces.len() as u64;
            (kept..message.row.pieces.max(1)).map(|n| pieces::id(&message.row.message_id, n))
        });
        let surplus: Vec<String> = surplus.collect();
        if !surplus.is_empty() {
            match store.delete(Some(&space.index()), Which::Ids(surplus)).await {
                Err(error) if error.is_not_found() => {}
                deleted => {
                    deleted?;
                }
            }
        }
        let (there, gone): (Vec<_>, Vec<_>) = messages.into_iter().partition(|message| message.stored.is_some());
        let there: Vec<(DueEmbedding, u64)> =
            there.into_iter().map(|message| (message.row, message.pieces.len() as u64)).collect();
        let gone: Vec<DueEmbedding> = gone.into_iter().map(|message| message.row).collect();
        let embeddings = self.shared.store.embeddings();
        embeddings.settle(space, &there).await?;
        embeddings.forget(space, &gone).await?;
        Ok(())
    }

    /// Embeds all pieces, in order. A message the embedder cannot embed though it can others loses its
    /// pieces, so that it holds up nobody.
    async fn embed(
        &self,
        space: &RecallSpace,
        messages: &mut [Message<'_>],
    ) -> Result<Option<Embeddings>, SemanticError> {
        let shared = &self.shared;
        let all: Vec<String> = messages.iter().flat_map(|message| message.pieces.iter().cloned()).collect();
        if all.is_empty() {
            return Ok(None);
        }
        let embedder = shared.models.embedder(&shared.vectors.snapshot(), &space.embedder, None)?;
        let error = match embed_pieces(&*embedder, &all).await {
            Ok(embedded) => return Ok(embedded),
            Err(error) if is_of_all(&error) => return Err(error.into()),
            Err(error) => error,
        };
        // Which of them it is, they say one at a time.
        let (mut embedded, mut refused) = (None, Vec::new());
        for (index, message) in messages.iter().enumerate() {
            match embed_pieces(&*embedder, &message.pieces).await {
                Ok(None) => {}
                Ok(Some(more)) => add(&mut embedded, more)?,
                Err(error) if is_of_all(&error) => return Err(error.into()),
                Err(error) => refused.push((index, error)),
            }
        }
        if embedded.is_none() && !is_of_text(&error) {
            return Err(error.into());
        }
        for (index, error) in refused {
            let message = &mut messages[index];
            let id = &message.row.message_id;
            tracing::warn!(message.id = id, embedder = space.embedder, %error, "a message cannot be embedded");
            message.pieces.clear();
        }
        Ok(embedded)
    }
}

async fn embed_pieces(embedder: &dyn Embedder, pieces: &[String]) -> Result<Option<Embeddings>, ModelError> {
    let mut embedded = None;
    for some in pieces.chunks(PIECES) {
        add(&mut embedded, embedder.embed(some.to_vec()).await?)?;
    }
    Ok(embedded)
}

/// Whether a failure is the embedder's, whatever it is asked.
fn is_of_all(error: &ModelError) -> bool {
    match error {
        ModelError::Unknown(_)
        | ModelError::MissingKey { .. }
        | ModelError::Unavailable { .. }
        | ModelError::TimedOut { .. } => true,
        ModelError::Refused { .. } => !is_of_text(error),
        ModelError::Garbled(_) | ModelError::Plugin(_) => false,
    }
}

/// Whether a failure is that of what was to be embedded: it will fail again.
fn is_of_text(error: &ModelError) -> bool {
    match error {
        ModelError::Refused { status, .. } => matches!(status, Some(400 | 413 | 422)),
        ModelError::Plugin(error) => matches!(&**error, CallError::Failed { code: code::INPUT, .. }),
        _ => false,
    }
}

fn add(embedded: &mut Option<Embeddings>, more: Embeddings) -> Result<(), ModelError> {
    match embedded {
        None => *embedded = Some(more),
        Some(embedded) if embedded.dimension == more.dimension => embedded.rows.extend(more.rows),
        Some(_) => return Err(ModelError::Garbled("the embedder changed the length of its vectors".to_owned())),
    }
    Ok(())
}

/// Puts the pieces of messages into an index, which is made if it is not there. One for vectors of
/// another length is of an embedder that has changed since, and begun anew. Returns whether it was.
async fn put(
    store: &StoreHandle,
    index: &str,
    messages: &[Message<'_>],
    embeddings: Embeddings,
) -> Result<bool, VectorError> {
    let Embeddings { rows, dimension } = embeddings;
    let mut entries = Entries { rows, ..Entries::default() };
    for message in messages {
        for n in 0..message.pieces.len() as u64 {
            entries.count += 1;
            entries.ids.push(Some(pieces::id(&message.row.message_id, n)));
            entries.metadata.push(message.stored.map(found_by));
        }
    }
    let dimension = u32::try_from(dimension).unwrap_or(u32::MAX);
    let there = match store.describe_index(index).await {
        Ok(there) => Some(there.dimension),
        Err(error) if error.is_not_found() => None,
        Err(error) => return Err(error),
    };
    let is_anew = there.is_some_and(|there| there != dimension);
    if is_anew {
        store.delete_index(index).await?;
    }
    if there != Some(dimension) {
        store.create_index(index, dimension, Metric::Cosine).await?;
    }
    store.upsert(Some(index), entries).await?;
    Ok(is_anew)
}

/// Returns what a message's pieces can be filtered by: what is noted on it, and whose it is.
fn found_by(message: &StoredMessage) -> Map<String, Value> {
    let content: Value = serde_json::from_str(message.content.get()).unwrap_or_default();
    let mut metadata = content.get("metadata").and_then(Value::as_object).cloned().unwrap_or_default();
    let own: BTreeMap<&str, Value> = [
        ("message_id", message.id.as_str().into()),
        ("thread_id", message.thread_id.as_str().into()),
        ("resource_id", message.resource_id.as_deref().into()),
        ("role", message.role.as_str().into()),
        ("created_at", message.created_at.0.into()),
    ]
    .into();
    metadata.extend(own.into_iter().map(|(key, value)| (key.to_owned(), value)));
    metadata
}
