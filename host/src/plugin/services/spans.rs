//! Calls that plugins may refer to, and the spans they have open.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use hotbay_plugin::abi::span_op;
use serde_json::{Map, Value};
use tracing::Span;

use crate::{
    observe::tracer::{ActiveSpan, SpanContext},
    plugin::call::CallContext,
    types::{map::QuickMap, span::SpanKind},
};

/// Spans one generation may have open; a plugin that never closes them loses the further ones.
const MAX_OPEN: usize = 4096;

/// What the host knows of running calls, by the call's id.
///
/// Only calls that have something to know are entered, so most calls never take the lock.
#[derive(Default)]
pub(crate) struct CallTable {
    calls: Mutex<QuickMap<u64, Known>>,
}

struct Known {
    span: Span,
    context: Option<Arc<dyn CallContext>>,
}

/// Forgets a call when it ends.
pub(crate) struct Entered {
    table: Arc<CallTable>,
    call: u64,
}

impl CallTable {
    /// Remembers the current span and the context for a call.
    pub(crate) fn enter(self: &Arc<Self>, call: u64, context: Option<Arc<dyn CallContext>>) -> Option<Entered> {
        let span = Span::current();
        if context.is_none() && span.is_none() {
            return None;
        }
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).insert(call, Known { span, context });
        Some(Entered { table: Arc::clone(self), call })
    }

    /// Returns the span a call was made in.
    pub(super) fn span(&self, call: u64) -> Option<Span> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.get(&call).map(|known| known.span.clone())
    }

    /// Returns the context a call was given.
    pub(super) fn context(&self, call: u64) -> Option<Arc<dyn CallContext>> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.get(&call).and_then(|known| known.context.clone())
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let known = self.table.calls.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.call);
        // Dropped outside the lock: the context may be the last handle on something large.
        drop(known);
    }
}

/// Spans a plugin has open, by the id it was given.
#[derive(Default)]
pub(super) struct OpenSpans {
    next: AtomicU64,
    open: Mutex<HashMap<u64, ActiveSpan>>,
}

impl OpenSpans {
    /// Opens, annotates or closes a span and returns its id, 0 if there is none. One that is
    /// opened is below the plugin's own span `id`, else below `within`, the call's; without
    /// either it has an id and is not recorded.
    pub(super) fn apply(
        &self,
        op: u8,
        id: u64,
        name: &str,
        fields: &str,
        within: Option<&SpanContext>,
        plugin: &str,
    ) -> u64 {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match op {
            span_op::OPEN if open.len() < MAX_OPEN => {
                let span = match (open.get(&id), within) {
                    (Some(parent), _) => parent.child(SpanKind::Generic, name),
                    (None, Some(within)) => within.child(SpanKind::Generic, name),
                    (None, None) => ActiveSpan::default(),
                };
                span.entity("plugin", plugin, plugin);
                span.with(|span| span.plugin = Some(plugin.to_owned()));
                note(&span, fields);
                let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
                open.insert(id, span);
                id
            }
            span_op::RECORD => open.get(&id).map_or(0, |span| {
                note(span, fields);
                id
            }),
            span_op::CLOSE => open.remove(&id).map_or(0, |span| {
                // Not under the lock: the last span of a trace hands all of it over.
                drop(open);
                span.end();
                id
            }),
            _ => 0,
        }
    }

    /// Closes what a retired generation left open.
    pub(super) fn close_all(&self) {
        let left = std::mem::take(&mut *self.open.lock().unwrap_or_else(PoisonError::into_inner));
        drop(left);
    }
}

/// Notes on a span what its plugin says of it: an object, anything else is left out.
fn note(span: &ActiveSpan, fields: &str) {
    if !span.is_recording() || fields.is_empty() {
        return;
    }
    if let Ok(fields) = serde_json::from_str::<Map<String, Value>>(fields) {
        span.with(|span| span.attributes.extend(fields));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        observe::{Recorder, tree},
        types::span::Span,
    };

    /// Opens spans below one of the host's and returns what is open of its trace.
    fn open(recorder: &Recorder) -> Vec<Arc<Span>> {
        recorder.open().into_iter().map(Arc::new).collect()
    }

    #[tokio::test]
    async fn spans_of_a_plugin_are_below_the_call_they_are_opened_in() {
        let recorder = Recorder::of_what_goes_on();
        let call = recorder.begin(SpanKind::ToolCall, "call", &"a".repeat(32), &"b".repeat(16), None);
        let (spans, within) = (OpenSpans::default(), call.context());
        let apply = |op, id, name, fields| spans.apply(op, id, name, fields, within.as_ref(), "p");
        let outer = apply(span_op::OPEN, 0, "outer", r#"{"rows": 1}"#);
        let inner = apply(span_op::OPEN, outer, "inner", "no JSON");
        assert_eq!(apply(span_op::RECORD, outer, "", r#"{"rows": 2, "ok": true}"#), outer);
        let seen = open(&recorder);
        let tree = ["call (tool_call) running", "  outer (generic) running", "    inner (generic) running"];
        assert_eq!(tree::lines(&seen), tree);
        let span = seen.iter().find(|span| span.name == "outer").unwrap();
        assert_eq!(Value::from(span.attributes.clone()), json!({"rows": 2, "ok": true}));
        assert_eq!(span.plugin.as_deref(), Some("p"));
        assert_eq!(apply(span_op::CLOSE, inner, "", ""), inner);
        assert_eq!(apply(span_op::CLOSE, inner, "", ""), 0);
        spans.close_all();
        let seen = open(&recorder);
        let tree = ["call (tool_call) running", "  outer (generic) error", "    inner (generic)"];
        assert_eq!(tree::lines(&seen), tree);
    }

    #[test]
    fn a_span_outside_any_call_has_an_id_all_the_same() {
        let spans = OpenSpans::default();
        let id = spans.apply(span_op::OPEN, 0, "alone", "{}", None, "p");
        assert_eq!(spans.apply(span_op::RECORD, id, "", "{}", None, "p"), id);
        assert_eq!(spans.apply(span_op::CLOSE, id, "", "", None, "p"), id);
    }
}
