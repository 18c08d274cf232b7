//! A trace as a picture, for tests: a line a span, what is below it further in.

use std::sync::Arc;

use crate::types::span::{Span, SpanStatus};

/// Returns the lines of a trace, spans in the order they stand in: the name, the kind, and how
/// the span stands unless it ended well. A span whose parent is not there is a root.
pub(crate) fn lines(spans: &[Arc<Span>]) -> Vec<String> {
    let is_root = |span: &Span| !spans.iter().any(|it| span.parent_id.as_ref() == Some(&it.span_id));
    let mut lines = Vec::new();
    for span in spans.iter().filter(|span| is_root(span)) {
        draw(spans, span, 0, &mut lines);
    }
    lines
}

fn draw(spans: &[Arc<Span>], span: &Span, depth: usize, lines: &mut Vec<String>) {
    let status = match span.status() {
        SpanStatus::Success => String::new(),
        // It has no end.
        SpanStatus::Running if span.is_event => String::new(),
        status => format!(" {}", status.as_str()),
    };
    lines.push(format!("{}{} ({}){status}", "  ".repeat(depth), span.name, span.kind.as_str()));
    for child in spans.iter().filter(|it| it.parent_id.as_ref() == Some(&span.span_id)) {
        draw(spans, child, depth + 1, lines);
    }
}
