//! What a run leaves behind: its entries in the thread, itself if it waits, notes, a title.

use serde_json::{Value, json};

use super::{agent_loop::Run, error::EngineError, spans, suspended, tool_call::Outcome};
use crate::{
    memory::{self, MemoryError},
    store::StoreError,
    types::event::Event,
};

impl Run {
    /// Stores what the run came to, in one step: its entries of the conversation, and the run
    /// itself if it waits. One that had waited before does no longer, unless it failed and left
    /// nothing to store.
    pub(super) async fn keep(&mut self, is_ok: bool) -> Result<(), EngineError> {
        if self.agent.manifest.memory.is_none() {
            return self.store(is_ok).await;
        }
        let save = self.spans.save(&self.turn);
        let stored = self.store(is_ok).await;
        let error = stored.as_ref().err().map(ToString::to_string);
        spans::saved(save, &self.agent.manifest, &self.turn, error);
        stored
    }

    async fn store(&mut self, is_ok: bool) -> Result<(), EngineError> {
        let turn = &mut self.turn;
        let entries = self.conversation.as_mut().and_then(|conversation| {
            let said = turn.input.iter().skip(turn.context).filter(|_| !turn.kept.input);
            let known = turn.kept.response.min(turn.response.len());
            let (changed, written) = turn.response.split_at(known);
            conversation.entries(said.chain(written), changed)
        });
        if entries.is_some() {
            turn.kept.input = true;
            turn.kept.response = turn.response.len();
        }
        let waiting = suspended::row(turn, &self.plan);
        let claim = self.claim.take();
        if entries.is_none() && waiting.is_none() && (claim.is_none() || !is_ok) {
            return Ok(());
        }
        let name = claim.as_ref().map(|claim| &claim.name);
        let store = self.engine.memory().store();
        let stored = store.messages().append(entries.as_ref(), waiting.as_ref(), name).await;
        match (stored, claim) {
            (Ok(()), Some(claim)) => claim.settle(),
            (Err(StoreError::NotFound(_)), Some(_)) => {
                let run_id = &self.turn.run_id;
                return Err(EngineError::Conflict(format!("somebody else went on with run `{run_id}` meanwhile")));
            }
            (stored, _) => stored?,
        }
        let appended = entries.as_ref().map(|entries| entries.appended.as_slice()).unwrap_or_default();
        for message in appended {
            self.engine.shared.recorder.events().publish(|| Event::stored(message, Some(&self.turn.run_id)));
        }
        Ok(())
    }

    /// Writes down what the model has learnt.
    pub(super) async fn note_down(&self, args: &Value) -> Outcome {
        let Some(working) = self.conversation.as_ref().and_then(|conversation| conversation.working.as_ref()) else {
            return Outcome::Failed("there is no working memory".to_owned());
        };
        match self.engine.memory().note(working, args).await {
            Ok(()) => Outcome::Answered(json!({"success": true})),
            Err(MemoryError::Store(error)) => {
                tracing::warn!(run.id = self.turn.run_id, %error, "working memory was not written");
                Outcome::Failed("the working memory cannot be written at the moment".to_owned())
            }
            Err(error) => Outcome::Failed(error.to_string()),
        }
    }

    /// Has the thread given a title, after its first exchange and while nobody waits for it.
    pub(super) fn entitle(&self, is_ok: bool) {
        let Some(conversation) = self.conversation.as_ref().filter(|_| is_ok) else { return };
        let said = if self.turn.input.is_empty() { &self.turn.remembered } else { &self.turn.input };
        let Some(request) =
            conversation.wanted_title().and_then(|options| memory::title_request(options, &self.turn.model, said))
        else {
            return;
        };
        let (engine, origin) = (self.engine.clone(), self.origin());
        let thread_id = conversation.thread_id().to_owned();
        self.engine.shared.tasks.spawn("thread-title", |cancel| async move {
            let work = async {
                let answer = engine.text(&origin, request).await?;
                Ok::<_, EngineError>(engine.memory().entitle(&thread_id, &answer).await?)
            };
            if let Some(Err(error)) = cancel.run_until_cancelled(work).await {
                tracing::warn!(thread.id = thread_id, %error, "a thread got no title");
            }
        });
    }
}
