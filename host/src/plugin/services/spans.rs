//! Calls that plugins may refer to, and the spans they have open.

use std::{
    any::Any,
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use hotbay_plugin::abi::span_op;
use tracing::Span;

/// Spans one generation may have open; a plugin that never closes them loses the further ones.
const MAX_OPEN: usize = 4096;

/// What the host knows of running calls, by the call's id.
///
/// Only calls that have something to know are entered, so most calls never take the lock.
#[derive(Default)]
pub(crate) struct CallTable {
    calls: Mutex<HashMap<u64, Known>>,
}

struct Known {
    span: Span,
    context: Option<Arc<dyn Any + Send + Sync>>,
}

/// Forgets a call when it ends.
pub(crate) struct Entered {
    table: Arc<CallTable>,
    call: u64,
}

impl CallTable {
    /// Remembers the current span and the context for a call.
    pub(crate) fn enter(self: &Arc<Self>, call: u64, context: Option<Arc<dyn Any + Send + Sync>>) -> Option<Entered> {
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
    pub(super) fn context(&self, call: u64) -> Option<Arc<dyn Any + Send + Sync>> {
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
    open: Mutex<HashMap<u64, Span>>,
}

impl OpenSpans {
    /// Opens, annotates or closes a span and returns its id, 0 if there is none.
    #[expect(clippy::too_many_arguments, reason = "the arguments of one ABI function")]
    pub(super) fn apply(
        &self,
        op: u8,
        id: u64,
        name: &str,
        fields: &str,
        parent: Option<Span>,
        plugin: &str,
        generation: u64,
    ) -> u64 {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match op {
            span_op::OPEN if open.len() < MAX_OPEN => {
                let parent = open.get(&id).cloned().or(parent).unwrap_or_else(Span::none);
                let span = tracing::info_span!(
                    target: "plugin",
                    parent: &parent,
                    "plugin_span",
                    otel.name = name,
                    plugin.name = plugin,
                    plugin.generation = generation,
                    plugin.fields = fields,
                );
                let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
                open.insert(id, span);
                id
            }
            span_op::RECORD => open.get(&id).map_or(0, |span| {
                span.record("plugin.fields", fields);
                id
            }),
            span_op::CLOSE => open.remove(&id).map_or(0, |_| id),
            _ => 0,
        }
    }

    /// Closes what a retired generation left open.
    pub(super) fn close_all(&self) {
        let left = std::mem::take(&mut *self.open.lock().unwrap_or_else(PoisonError::into_inner));
        drop(left);
    }
}
