//! Erasing traces: their spans are taken out of the indexes, and are found no longer, also after
//! a restart.
//!
//! What came in before is put into the indexes first, so that nothing of a trace is left in
//! memory or in the write-ahead log. Spans that still run are recorded when they end.

use tantivy::{
    TantivyError,
    collector::Count,
    query::{Query, TermSetQuery},
};
use tokio::sync::oneshot;

use super::{
    Observe, ObserveError, PATIENCE,
    attrs::Key,
    day::{Day, DayKey},
    filter::Filter,
    keeper::{Committed, Keeper, committed},
    query::id,
    record::RecordKind,
    schema::fields,
    tail::Arrival,
    writer::View,
};

/// How often it is tried: spans may come in between a commit and what follows it.
const TRIES: u32 = 5;

/// What is asked of the writer.
pub(super) enum Request {
    Commit(CommitRequest),
    Erase(Erasure),
}

/// Asks for a commit; it answers when everything that was there is in the indexes, or cannot be.
pub(super) type CommitRequest = oneshot::Sender<()>;

/// Asks for traces to be erased.
pub(super) struct Erasure {
    trace_ids: Vec<String>,
    answer: oneshot::Sender<Result<(), String>>,
}

/// What was erased.
pub(super) struct Erased {
    /// The indexes that changed.
    pub(super) days: Vec<(DayKey, Committed)>,
    /// Whether everything is erased.
    pub(super) result: Result<(), String>,
}

impl Erasure {
    /// Whether part of the traces is in memory and in no index.
    pub(super) fn is_waiting(&self, view: &View) -> bool {
        let filter = Filter::Is(Key::TraceId, self.trace_ids.clone());
        !view.tail.spans(&filter, |arrival: &Arrival| view.is_indexed(arrival)).is_empty()
    }

    /// Erases them, if all of them is in the indexes.
    pub(super) fn carry_out(&self, keeper: &mut Keeper, is_waiting: bool) -> Erased {
        if is_waiting {
            return Erased { days: Vec::new(), result: Err("they are not written yet".to_owned()) };
        }
        if self.answer.is_closed() {
            // Who asked was told that it failed.
            return Erased { days: Vec::new(), result: Ok(()) };
        }
        let field = fields().key(Key::TraceId);
        let terms = self.trace_ids.iter().map(|trace_id| id(field, trace_id));
        keeper.erase(RecordKind::Spans, &TermSetQuery::new(terms))
    }

    /// Says what became of it.
    pub(super) fn answer(self, result: Result<(), String>) {
        if self.answer.send(result).is_err() {
            tracing::trace!("nobody waits for the answer any more");
        }
    }
}

/// Takes out of an index what a query finds; `None` if it finds nothing.
pub(super) fn erase(day: &mut Day, query: &dyn Query) -> Result<Option<Committed>, TantivyError> {
    if day.searcher().search(query, &Count)? == 0 {
        return Ok(None);
    }
    day.erase(query.box_clone())?;
    Ok(Some(committed(day)))
}

impl Observe {
    /// Erases traces; that there are none of these ids is fine.
    ///
    /// # Errors
    /// If they cannot be erased now. They may be erased in part then.
    pub async fn erase(&self, trace_ids: &[String]) -> Result<(), ObserveError> {
        if trace_ids.is_empty() || !self.recorder.is_on() {
            return Ok(());
        }
        let mut reason = String::new();
        for _ in 0..TRIES {
            self.recorder.catch_up().await;
            if !self.commit().await {
                break;
            }
            let (answer, done) = oneshot::channel();
            let erasure = Erasure { trace_ids: trace_ids.to_vec(), answer };
            if self.requests.send(Request::Erase(erasure)).await.is_err() {
                return Err(ObserveError::Busy("the host is shutting down".to_owned()));
            }
            reason = match tokio::time::timeout(PATIENCE, done).await {
                Ok(Ok(Ok(()))) => return Ok(()),
                Ok(Ok(Err(reason))) => reason,
                Ok(Err(_)) => "writing was interrupted".to_owned(),
                Err(_) => break,
            };
        }
        tracing::warn!(reason, "traces cannot be erased");
        Err(ObserveError::Busy("traces cannot be erased now, logs and traces cannot be written; try again".to_owned()))
    }
}
