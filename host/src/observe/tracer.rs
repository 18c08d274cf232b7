//! Spans while their work goes on.
//!
//! The spans of a run are gathered in its `Trace` and handed over together when its first
//! span ends: a run of a few milliseconds has a dozen of them, and what they cost is mostly
//! what it costs to hand something over. Runs that take longer hand over what has ended
//! each second (`writer`). What is still open is seen through [`Recorder::open`].

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::{Map, Value};

use super::{recorder::Recorder, traceparent};
use crate::types::{
    id::{self, Millis},
    span::{Entity, Span, SpanKind},
    trace::TraceOptions,
};

/// The spans of one run, or of whatever else has a first span in this host.
pub(crate) struct Trace {
    recorder: Recorder,
    /// Its place among those that go on.
    number: u64,
    id: String,
    has_ended: AtomicBool,
    // Held for a push or a take.
    spans: Mutex<Spans>,
}

#[derive(Default)]
struct Spans {
    open: Vec<Arc<Mutex<Span>>>,
    /// With the place each has among all of the trace: spans are handed over in the order in
    /// which they began, which their times in milliseconds do not tell.
    closed: Vec<(u32, Span)>,
    begun: u32,
    has_failed: bool,
}

/// What spans below one have in common with it.
#[derive(Debug, Clone, Default)]
pub struct Belonging {
    /// The run.
    pub run_id: Option<String>,
    /// The conversation.
    pub thread_id: Option<String>,
    /// Whom it belongs to.
    pub resource_id: Option<String>,
    /// The request that caused it.
    pub request_id: Option<String>,
    /// What is noted on each of them.
    pub metadata: Map<String, Value>,
    /// What goes in is not recorded.
    pub hide_input: bool,
    /// What comes out is not recorded.
    pub hide_output: bool,
}

/// Where in a trace something happens: what a call hands on, so that what it causes is found
/// below it.
#[derive(Clone)]
pub struct SpanContext {
    trace: Arc<Trace>,
    span_id: Arc<str>,
    belonging: Arc<Belonging>,
}

/// A span that goes on. It ends with [`ActiveSpan::end`] or [`ActiveSpan::fail`]; one that is
/// dropped was given up, and ends with an error that says so.
///
/// Of a host that records nothing, it does nothing.
#[derive(Default)]
pub struct ActiveSpan {
    active: Option<Active>,
}

struct Active {
    trace: Arc<Trace>,
    span: Arc<Mutex<Span>>,
    span_id: Arc<str>,
    belonging: Arc<Belonging>,
    order: u32,
    is_first: bool,
    records_content: bool,
}

impl Trace {
    fn spans(&self) -> MutexGuard<'_, Spans> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what goes on, as it is now.
    pub(super) fn open(&self) -> Vec<Span> {
        let open: Vec<_> = self.spans().open.clone();
        open.iter().map(|span| lock(span).clone()).collect()
    }

    /// Returns what has ended and was not handed over.
    pub(super) fn closed(&self) -> Vec<Span> {
        self.spans().closed.iter().map(|(_, span)| span.clone()).collect()
    }

    /// Takes what has ended and was not handed over.
    pub(super) fn take_closed(&self) -> Vec<Span> {
        in_order(std::mem::take(&mut self.spans().closed))
    }

    fn begin(self: &Arc<Self>, mut span: Span, belonging: Arc<Belonging>, is_first: bool) -> ActiveSpan {
        belonging.note(&mut span);
        let span_id: Arc<str> = span.span_id.as_str().into();
        let span = Arc::new(Mutex::new(span));
        let mut spans = self.spans();
        let order = spans.begun;
        spans.begun += 1;
        spans.open.push(Arc::clone(&span));
        drop(spans);
        let records_content = self.recorder.records_content();
        let trace = Arc::clone(self);
        ActiveSpan { active: Some(Active { trace, span, span_id, belonging, order, is_first, records_content }) }
    }

    fn child(self: &Arc<Self>, parent: &str, belonging: &Arc<Belonging>, kind: SpanKind, name: String) -> ActiveSpan {
        let mut span = Span::begin(kind, name, &self.id, id::span());
        span.parent_id = Some(parent.to_owned());
        self.begin(span, Arc::clone(belonging), false)
    }

    /// Takes a span that ended; nothing is left of one that is not to be recorded.
    fn end(&self, ended: Arc<Mutex<Span>>, order: u32, is_first: bool, is_recorded: bool) {
        let mut spans = self.spans();
        if let Some(place) = spans.open.iter().rposition(|span| Arc::ptr_eq(span, &ended)) {
            spans.open.swap_remove(place);
        }
        if is_recorded {
            // Somebody may be looking at it at this moment.
            let mut span = match Arc::try_unwrap(ended) {
                Ok(span) => span.into_inner().unwrap_or_else(PoisonError::into_inner),
                Err(ended) => lock(&ended).clone(),
            };
            if is_first {
                span.has_child_error = spans.has_failed || span.error.is_some();
            } else {
                spans.has_failed |= span.error.is_some();
            }
            spans.closed.push((order, span));
        }
        let is_over = is_first || self.has_ended.load(Ordering::Acquire);
        if is_over {
            self.has_ended.store(true, Ordering::Release);
            let closed = std::mem::take(&mut spans.closed);
            let is_empty = spans.open.is_empty();
            drop(spans);
            if is_empty {
                self.recorder.forget(self.number);
            }
            self.recorder.spans(in_order(closed));
        }
    }
}

fn in_order(mut closed: Vec<(u32, Span)>) -> Vec<Span> {
    closed.sort_by_key(|(order, _)| *order);
    closed.into_iter().map(|(_, span)| span).collect()
}

impl Belonging {
    fn note(&self, span: &mut Span) {
        span.run_id.clone_from(&self.run_id);
        span.thread_id.clone_from(&self.thread_id);
        span.resource_id.clone_from(&self.resource_id);
        span.request_id.clone_from(&self.request_id);
        span.metadata.clone_from(&self.metadata);
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        self.recorder.forget(self.number);
    }
}

impl Recorder {
    /// Begins the first span of a trace in this host; `parent` is a span elsewhere that caused it.
    #[must_use]
    pub fn begin(
        &self,
        kind: SpanKind,
        name: impl Into<String>,
        trace_id: &str,
        span_id: &str,
        parent: Option<&str>,
    ) -> ActiveSpan {
        if !self.is_on() {
            return ActiveSpan::default();
        }
        let trace = self.remember(|number| Trace {
            recorder: self.clone(),
            number,
            id: trace_id.to_owned(),
            has_ended: AtomicBool::new(false),
            spans: Mutex::default(),
        });
        let mut span = Span::begin(kind, name, trace_id, span_id.to_owned());
        span.parent_id = parent.map(str::to_owned);
        span.is_entry = parent.is_some();
        trace.begin(span, Arc::default(), true)
    }

    /// Begins the first span of a trace in this host, as `cause` says: in a trace of its own if it names none.
    #[must_use]
    pub fn begin_for(&self, cause: &TraceOptions, kind: SpanKind, name: impl FnOnce() -> String) -> ActiveSpan {
        if !self.is_on() {
            return ActiveSpan::default();
        }
        let trace_id = cause.trace_id.clone().unwrap_or_else(id::trace);
        self.begin(kind, name(), &trace_id, &id::span(), cause.parent_id.as_deref())
    }
}

impl fmt::Debug for SpanContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.traceparent())
    }
}

impl SpanContext {
    /// Begins a span below this one. It belongs to what this one does.
    #[must_use]
    pub fn child(&self, kind: SpanKind, name: impl Into<String>) -> ActiveSpan {
        self.trace.child(&self.span_id, &self.belonging, kind, name.into())
    }

    /// Returns what a run is told that it causes and that has a first span of its own.
    #[must_use]
    pub fn causes(&self) -> TraceOptions {
        TraceOptions {
            hide_input: self.belonging.hide_input,
            hide_output: self.belonging.hide_output,
            ..TraceOptions::caused_by(&self.trace.id, &self.span_id)
        }
    }

    /// Returns the header that tells another service what caused a request.
    #[must_use]
    pub fn traceparent(&self) -> String {
        traceparent::write(&self.trace.id, &self.span_id)
    }

    /// Returns the trace.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        &self.trace.id
    }

    /// Returns the span.
    #[must_use]
    pub fn span_id(&self) -> &str {
        &self.span_id
    }
}

impl ActiveSpan {
    /// Returns where in the trace it is; nothing if nothing is recorded.
    #[must_use]
    pub fn context(&self) -> Option<SpanContext> {
        let active = self.active.as_ref()?;
        Some(SpanContext {
            trace: Arc::clone(&active.trace),
            span_id: Arc::clone(&active.span_id),
            belonging: Arc::clone(&active.belonging),
        })
    }

    /// Whether what is told to it goes anywhere.
    #[must_use]
    pub fn is_recording(&self) -> bool {
        self.active.is_some()
    }

    /// Begins a span below this one. It belongs to what this one does.
    #[must_use]
    pub fn child(&self, kind: SpanKind, name: impl Into<String>) -> Self {
        let Some(active) = &self.active else { return Self::default() };
        active.trace.child(&active.span_id, &active.belonging, kind, name.into())
    }

    /// Says what it belongs to, and all that will be below it. What was hidden stays so.
    pub fn belong(&mut self, mut belonging: Belonging) {
        if let Some(active) = &mut self.active {
            belonging.hide_input |= active.belonging.hide_input;
            belonging.hide_output |= active.belonging.hide_output;
            belonging.note(&mut lock(&active.span));
            active.belonging = Arc::new(belonging);
        }
    }

    /// Changes what is known of it.
    pub fn with(&self, change: impl FnOnce(&mut Span)) {
        if let Some(active) = &self.active {
            change(&mut lock(&active.span));
        }
    }

    /// Says whose work it is.
    pub fn entity(&self, kind: &str, id: &str, name: &str) {
        self.with(|span| span.entity = Some(Entity::new(kind, id, name)));
    }

    /// Adds an attribute.
    pub fn attribute(&self, name: &'static str, value: impl Into<Value>) {
        self.with(|span| {
            span.attributes.insert(name.to_owned(), value.into());
        });
    }

    /// Says what it was given, if content is recorded.
    pub fn input(&self, input: impl FnOnce() -> Value) {
        if self.records_input() {
            let input = input();
            self.with(|span| span.input = Some(input));
        }
    }

    /// Says what it came to, if content is recorded.
    pub fn output(&self, output: impl FnOnce() -> Value) {
        if self.records_output() {
            let output = output();
            self.with(|span| span.output = Some(output));
        }
    }

    /// Whether what goes in and comes out is recorded.
    #[must_use]
    pub fn records_content(&self) -> bool {
        self.active.as_ref().is_some_and(|active| active.records_content)
    }

    /// Whether what goes in is recorded.
    #[must_use]
    pub fn records_input(&self) -> bool {
        self.active.as_ref().is_some_and(|active| active.records_content && !active.belonging.hide_input)
    }

    /// Whether what comes out is recorded.
    #[must_use]
    pub fn records_output(&self) -> bool {
        self.active.as_ref().is_some_and(|active| active.records_content && !active.belonging.hide_output)
    }

    /// Ends it well.
    pub fn end(mut self) {
        self.finish(None);
    }

    /// Ends it as a moment: it has no length.
    pub fn happened(mut self) {
        self.with(|span| span.is_event = true);
        self.finish(None);
    }

    /// Forgets it, as if it had not begun: somebody else begins it again.
    pub fn forget(mut self) {
        if let Some(active) = self.active.take() {
            active.trace.end(active.span, active.order, active.is_first, false);
        }
    }

    /// Ends it with an error: an object with a `message`.
    pub fn fail(mut self, error: Value) {
        self.finish(Some(error));
    }

    fn finish(&mut self, error: Option<Value>) {
        let Some(active) = self.active.take() else { return };
        {
            let mut span = lock(&active.span);
            if !span.is_event {
                span.ended_at.get_or_insert_with(Millis::now);
            }
            if error.is_some() {
                span.error = error;
            }
        }
        active.trace.end(active.span, active.order, active.is_first, true);
    }
}

impl Drop for ActiveSpan {
    fn drop(&mut self) {
        if self.active.is_some() {
            self.finish(Some(serde_json::json!({"message": "given up before it ended", "name": "Cancelled"})));
        }
    }
}

fn lock(span: &Mutex<Span>) -> MutexGuard<'_, Span> {
    span.lock().unwrap_or_else(PoisonError::into_inner)
}
