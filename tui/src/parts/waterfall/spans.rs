//! The spans of a trace in the order of their tree.

use std::{borrow::Cow, collections::HashMap};

use jiff::Timestamp;
use serde_json::Value;

use crate::parts::text::clean;

/// A span as it is shown; its times are milliseconds of any clock.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Span {
    pub(crate) id: String,
    pub(crate) parent: Option<String>,
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) started_ms: f64,
    /// When a model's first chunk came.
    pub(crate) first_ms: Option<f64>,
    /// Absent while it runs.
    pub(crate) ended_ms: Option<f64>,
    pub(crate) state: String,
    /// Those it says of itself.
    pub(crate) tokens: Option<u64>,
    /// Why it failed.
    pub(crate) detail: String,
}

impl Span {
    pub(crate) fn is_error(&self) -> bool {
        matches!(self.state.as_str(), "error" | "failed" | "tripwire")
    }

    /// Whether it has a text, given in small letters, in what is seen of it.
    pub(super) fn has(&self, query: &str) -> bool {
        let has = |text: &str| text.to_lowercase().contains(query);
        !query.is_empty() && (has(&self.name) || has(&self.kind) || has(&self.detail))
    }
}

/// Spans, each before its children.
#[derive(Debug, Clone, Default)]
pub(crate) struct Spans {
    all: Vec<Placed>,
    /// The spans of each level, by when they started.
    levels: Vec<Vec<usize>>,
    start_ms: f64,
    end_ms: f64,
}

#[derive(Debug, Clone)]
struct Placed {
    span: Span,
    parent: Option<usize>,
    depth: usize,
    /// The first span after it that is none of its own.
    end: usize,
    /// Its tokens: those it says, else those of its children.
    tokens: u64,
    /// Where in its level it is.
    place: usize,
}

impl Spans {
    /// Reads the answer of a trace; what is not understood is left out.
    pub(crate) fn of(trace: &Value) -> Self {
        let spans = trace.get("spans").unwrap_or(trace).as_array().map(Vec::as_slice).unwrap_or_default();
        Self::new(spans.iter().filter_map(read).collect())
    }

    /// Puts spans in order. One whose parent is not among them is a root, and of spans that are
    /// each other's parents one is.
    pub(crate) fn new(mut given: Vec<Span>) -> Self {
        let known = given.iter().map(|span| span.started_ms).filter(|ms| ms.is_finite());
        let start_ms = known.fold(f64::INFINITY, f64::min);
        let start_ms = if start_ms.is_finite() { start_ms } else { 0.0 };
        for span in &mut given {
            for text in [&mut span.name, &mut span.kind, &mut span.state, &mut span.detail] {
                if let Cow::Owned(clean) = clean(text) {
                    *text = clean;
                }
            }
            if !span.started_ms.is_finite() {
                span.started_ms = start_ms;
            }
            span.ended_ms = span.ended_ms.filter(|ms| ms.is_finite()).map(|ms| ms.max(span.started_ms));
            span.first_ms = span.first_ms.filter(|&ms| ms > span.started_ms);
        }
        let last = |span: &Span| span.ended_ms.or(span.first_ms).unwrap_or(span.started_ms);
        let end_ms = given.iter().map(last).fold(start_ms, f64::max);
        let mut spans = Self { all: Vec::with_capacity(given.len()), levels: Vec::new(), start_ms, end_ms };
        spans.place_all(given);
        spans.sum();
        spans
    }

    fn place_all(&mut self, given: Vec<Span>) {
        let mut index: HashMap<&str, usize> = HashMap::with_capacity(given.len());
        for (at, span) in given.iter().enumerate() {
            index.entry(&span.id).or_insert(at);
        }
        let parents: Vec<Option<usize>> = given
            .iter()
            .enumerate()
            .map(|(at, span)| index.get(span.parent.as_deref()?).copied().filter(|&parent| parent != at))
            .collect();
        let mut order: Vec<usize> = (0..given.len()).collect();
        let started: Vec<f64> = given.iter().map(|span| span.started_ms).collect();
        order.sort_by(|&a, &b| match (started.get(a), started.get(b)) {
            (Some(a), Some(b)) => a.total_cmp(b),
            (a, b) => a.is_some().cmp(&b.is_some()),
        });
        let mut children: Vec<Vec<usize>> = vec![Vec::new(); given.len()];
        let mut roots = Vec::new();
        for &at in &order {
            match parents.get(at).copied().flatten().and_then(|parent| children.get_mut(parent)) {
                Some(siblings) => siblings.push(at),
                None => roots.push(at),
            }
        }
        let mut given: Vec<Option<Span>> = given.into_iter().map(Some).collect();
        // After the roots come those that no root leads to: rings of parents.
        for root in roots.into_iter().chain(order) {
            self.place(root, &mut given, &children);
        }
    }

    /// Places a span and all below it that have no place yet.
    fn place(&mut self, root: usize, given: &mut [Option<Span>], children: &[Vec<usize>]) {
        let mut open = vec![(root, None::<usize>)];
        while let Some((at, parent)) = open.pop() {
            let Some(span) = given.get_mut(at).and_then(Option::take) else { continue };
            let depth = parent.and_then(|parent| self.all.get(parent)).map_or(0, |parent| parent.depth + 1);
            let here = self.all.len();
            if self.levels.len() <= depth {
                self.levels.push(Vec::new());
            }
            if let Some(level) = self.levels.get_mut(depth) {
                level.push(here);
            }
            self.all.push(Placed { span, parent, depth, end: here + 1, tokens: 0, place: 0 });
            let below = children.get(at).map(Vec::as_slice).unwrap_or_default();
            open.extend(below.iter().rev().map(|&child| (child, Some(here))));
        }
    }

    fn sum(&mut self) {
        let mut below = vec![0_u64; self.all.len()];
        for at in (0..self.all.len()).rev() {
            let own = below.get(at).copied().unwrap_or_default();
            let Some(placed) = self.all.get_mut(at) else { continue };
            placed.tokens = placed.span.tokens.unwrap_or(own);
            let (tokens, end) = (placed.tokens, placed.end);
            let Some(parent) = placed.parent else { continue };
            if let Some(sum) = below.get_mut(parent) {
                *sum = sum.saturating_add(tokens);
            }
            if let Some(parent) = self.all.get_mut(parent) {
                parent.end = parent.end.max(end);
            }
        }
        for level in &mut self.levels {
            let all = &self.all;
            let started = |at: usize| all.get(at).map_or(0.0, |placed| placed.span.started_ms);
            level.sort_by(|&a, &b| started(a).total_cmp(&started(b)));
        }
        for level in &self.levels {
            for (place, &at) in level.iter().enumerate() {
                if let Some(placed) = self.all.get_mut(at) {
                    placed.place = place;
                }
            }
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.all.len()
    }

    /// Returns how long all of it took so far.
    pub(crate) const fn total_ms(&self) -> f64 {
        self.end_ms - self.start_ms
    }

    /// Returns the tokens of all roots.
    pub(crate) fn total_tokens(&self) -> u64 {
        let roots = self.all.iter().filter(|placed| placed.parent.is_none());
        roots.fold(0, |sum, placed| sum.saturating_add(placed.tokens))
    }

    /// Returns how many failed.
    pub(crate) fn errors(&self) -> usize {
        self.all.iter().filter(|placed| placed.span.is_error()).count()
    }

    pub(super) fn get(&self, at: usize) -> Option<&Span> {
        self.all.get(at).map(|placed| &placed.span)
    }

    pub(super) fn position(&self, id: &str) -> Option<usize> {
        self.all.iter().position(|placed| placed.span.id == id)
    }

    pub(super) fn parent(&self, at: usize) -> Option<usize> {
        self.all.get(at)?.parent
    }

    pub(super) fn root(&self, at: usize) -> usize {
        let mut at = at;
        while let Some(parent) = self.parent(at) {
            at = parent;
        }
        at
    }

    pub(super) fn depth(&self, at: usize) -> usize {
        self.all.get(at).map_or(0, |placed| placed.depth)
    }

    pub(super) fn end(&self, at: usize) -> usize {
        self.all.get(at).map_or(at + 1, |placed| placed.end)
    }

    pub(super) fn tokens(&self, at: usize) -> u64 {
        self.all.get(at).map_or(0, |placed| placed.tokens)
    }

    pub(super) fn has_children(&self, at: usize) -> bool {
        self.end(at) > at + 1
    }

    pub(super) fn level(&self, depth: usize) -> &[usize] {
        self.levels.get(depth).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) const fn depths(&self) -> usize {
        self.levels.len()
    }

    /// Returns the first span of the deepest level.
    pub(super) fn deepest(&self) -> Option<usize> {
        self.levels.last()?.first().copied()
    }

    /// Returns the neighbour in a level.
    pub(super) fn beside(&self, at: usize, step: isize) -> Option<usize> {
        let placed = self.all.get(at)?;
        self.level(placed.depth).get(placed.place.checked_add_signed(step)?).copied()
    }

    pub(super) fn longest_child(&self, at: usize) -> Option<usize> {
        let children = (at + 1..self.end(at)).filter(|&child| self.parent(child) == Some(at));
        children.max_by(|&a, &b| self.took(a).total_cmp(&self.took(b)).then(b.cmp(&a)))
    }

    /// Returns the spans after one, then those before it.
    pub(super) fn after(&self, at: usize) -> Vec<usize> {
        (at + 1..self.len()).chain(0..at).collect()
    }

    /// Returns the spans before one from the nearest on, then those after it from the last on.
    pub(super) fn before(&self, at: usize) -> Vec<usize> {
        (0..at).rev().chain((at + 1..self.len()).rev()).collect()
    }

    /// Returns how long a span took; one that runs, so far.
    pub(super) fn took(&self, at: usize) -> f64 {
        self.get(at).map_or(0.0, |span| span.ended_ms.unwrap_or(self.end_ms) - span.started_ms)
    }

    /// Returns which cells of so many a span takes: from, until its first chunk, to.
    #[expect(clippy::cast_precision_loss, reason = "a terminal has not that many cells")]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "held within the cells")]
    pub(super) fn cells(&self, at: usize, cells: usize) -> (usize, usize, usize) {
        let Some(span) = self.get(at) else { return (0, 0, 0) };
        let total = self.total_ms();
        let place = |ms: f64| {
            let share = if total > 0.0 { (ms - self.start_ms) / total } else { 0.0 };
            share.clamp(0.0, 1.0) * cells as f64
        };
        let from = (place(span.started_ms).floor() as usize).min(cells.saturating_sub(1));
        let to = (place(span.ended_ms.unwrap_or(self.end_ms)).ceil() as usize).clamp(from + 1, cells.max(from + 1));
        let first = span.first_ms.map_or(from, |ms| (place(ms).round() as usize).clamp(from, to));
        (from, first, to)
    }
}

fn read(span: &Value) -> Option<Span> {
    let word = |key: &str| span.get(key).and_then(Value::as_str).unwrap_or_default();
    let id = word("spanId");
    if id.is_empty() {
        return None;
    }
    let time = |key: &str| span.get(key).and_then(milliseconds);
    let is_event = span.get("isEvent").and_then(Value::as_bool).unwrap_or_default();
    let started = time("startedAt");
    let attribute = |key: &str| span.pointer(&format!("/attributes/{key}"));
    let error = span.pointer("/error/message").or_else(|| span.get("error")).and_then(Value::as_str);
    let waits = attribute("status").and_then(Value::as_str) == Some("suspended");
    let state = match word("status") {
        _ if waits => "suspended",
        _ if is_event && error.is_none() => "success",
        "" if error.is_some() => "error",
        "" if time("endedAt").is_some() => "success",
        "" => "running",
        state => state,
    };
    Some(Span {
        id: id.to_owned(),
        parent: span.get("parentSpanId").and_then(Value::as_str).map(str::to_owned),
        name: name(word("name")),
        kind: word("spanType").to_owned(),
        started_ms: started.unwrap_or(f64::NAN),
        first_ms: attribute("completionStartTime").and_then(milliseconds),
        ended_ms: time("endedAt").or_else(|| started.filter(|_| is_event)),
        state: state.to_owned(),
        tokens: attribute("usage").and_then(tokens),
        detail: error.unwrap_or_default().to_owned(),
    })
}

/// Returns a name without the marks around what it names: `llm: 'gpt'` is `llm gpt`.
fn name(name: &str) -> String {
    match name.split_once(": '") {
        Some((kind, rest)) => format!("{kind} {}", rest.strip_suffix('\'').unwrap_or(rest)),
        None => name.to_owned(),
    }
}

fn milliseconds(value: &Value) -> Option<f64> {
    if let Some(number) = value.as_f64() {
        return Some(number);
    }
    let at: Timestamp = value.as_str()?.parse().ok()?;
    let micros = at.as_microsecond();
    #[expect(clippy::cast_precision_loss, reason = "a microsecond is lost in 285 years")]
    Some(micros as f64 / 1000.0)
}

fn tokens(usage: &Value) -> Option<u64> {
    let number = |key: &str| usage.get(key).and_then(Value::as_u64);
    let input = number("inputTokens").or_else(|| number("promptTokens"));
    let output = number("outputTokens").or_else(|| number("completionTokens"));
    let sum = input.unwrap_or_default().saturating_add(output.unwrap_or_default());
    number("totalTokens").or_else(|| (input.is_some() || output.is_some()).then_some(sum))
}
