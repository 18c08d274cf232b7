//! The steps of a trace: what people mean by "what it did", without the spans that are only
//! there to time things.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use serde_json::{Map, Value, json};

use crate::{
    observe::attrs,
    types::span::{Span, SpanKind},
};

/// Deepest step that is shown. Traces are as deep as runs nest; those of other services may be
/// anything.
const DEPTH: usize = 64;

/// Returns the steps of these spans, which stand in the order they began.
pub(super) fn of(spans: &[Arc<Span>]) -> Value {
    let tree = Tree::of(spans);
    let [root] = tree.roots.as_slice() else {
        return json!({"steps": tree.steps(&tree.roots, 0)});
    };
    let is_container = matches!(root.kind, SpanKind::WorkflowRun | SpanKind::AgentRun);
    let first = if is_container { tree.below(root) } else { &tree.roots };
    let mut trajectory = json!({"steps": tree.steps(first, 0)});
    if let Some(duration) = root.duration() {
        trajectory["totalDurationMs"] = duration.into();
    }
    trajectory
}

struct Tree<'a> {
    roots: Vec<&'a Span>,
    children: HashMap<&'a str, Vec<&'a Span>>,
}

impl<'a> Tree<'a> {
    fn of(spans: &'a [Arc<Span>]) -> Self {
        let ids: HashSet<&str> = spans.iter().map(|span| span.span_id.as_str()).collect();
        let mut tree = Self { roots: Vec::new(), children: HashMap::new() };
        for span in spans {
            match span.parent_id.as_deref().filter(|parent| ids.contains(parent)) {
                Some(parent) => tree.children.entry(parent).or_default().push(span),
                None => tree.roots.push(span),
            }
        }
        tree
    }

    fn below(&self, span: &Span) -> &[&'a Span] {
        self.children.get(span.span_id.as_str()).map_or(&[], Vec::as_slice)
    }

    fn steps(&self, spans: &[&'a Span], depth: usize) -> Vec<Value> {
        if depth > DEPTH {
            return Vec::new();
        }
        let mut steps = Vec::new();
        for span in spans {
            let children = self.steps(self.below(span), depth + 1);
            match own(span) {
                Some(own) => steps.push(step(span, children, own)),
                None => steps.extend(children),
            }
        }
        steps
    }
}

fn step(span: &Span, children: Vec<Value>, own: Vec<(&str, Option<Value>)>) -> Value {
    let mut step = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            step.insert(name.to_owned(), value);
        }
    };
    put("name", Some(name(span).into()));
    put("durationMs", span.duration().map(Value::from));
    put("metadata", Some(&span.metadata).filter(|it| !it.is_empty()).cloned().map(Value::Object));
    put("children", Some(children).filter(|it| !it.is_empty()).map(Value::Array));
    put("stepType", Some(span.kind.as_str().into()));
    for (name, value) in own {
        put(name, value);
    }
    Value::Object(step)
}

/// Returns a step's name: of a call, the tool's.
fn name(span: &Span) -> &str {
    let is_call = matches!(span.kind, SpanKind::ToolCall | SpanKind::McpToolCall);
    let tool = span.entity.as_ref().map(|entity| entity.name.as_str());
    tool.filter(|name| is_call && !name.is_empty()).unwrap_or(&span.name)
}

/// Returns what is said of a step of this kind beside what is said of all; `None` if spans of
/// this kind are no steps.
fn own(span: &Span) -> Option<Vec<(&'static str, Option<Value>)>> {
    let attribute = |name: &str| span.attributes.get(name);
    let text = |name: &str| attribute(name).filter(|value| value.is_string()).cloned();
    let success = || attribute("success").filter(|value| value.is_boolean()).cloned();
    let entity = || span.entity.as_ref().map(|entity| entity.id.as_str().into());
    Some(match span.kind {
        SpanKind::ToolCall => vec![
            ("toolArgs", record(span.input.as_ref())),
            ("toolResult", record(span.output.as_ref())),
            ("success", success()),
        ],
        SpanKind::McpToolCall => vec![
            ("toolArgs", record(span.input.as_ref())),
            ("toolResult", record(span.output.as_ref())),
            ("mcpServer", text("mcpServer")),
            ("success", success()),
        ],
        SpanKind::ModelGeneration => {
            let usage = |name: &str| attribute(attrs::span::USAGE)?.get(name).cloned();
            vec![
                ("modelId", text(attrs::span::MODEL)),
                ("promptTokens", usage("inputTokens")),
                ("completionTokens", usage("outputTokens")),
                ("finishReason", text(attrs::span::FINISH_REASON)),
            ]
        }
        SpanKind::AgentRun => vec![("agentId", entity())],
        SpanKind::WorkflowRun => vec![("workflowId", entity())],
        SpanKind::WorkflowStep => {
            vec![("stepId", Some(span.name.as_str().into())), ("output", record(span.output.as_ref()))]
        }
        SpanKind::WorkflowConditional
        | SpanKind::WorkflowParallel
        | SpanKind::WorkflowLoop
        | SpanKind::WorkflowSleep
        | SpanKind::WorkflowWaitEvent
        | SpanKind::ProcessorRun => Vec::new(),
        _ => return None,
    })
}

/// Returns a value as an object, as arguments and results are shown.
fn record(value: Option<&Value>) -> Option<Value> {
    match value? {
        Value::Null => None,
        object @ Value::Object(_) => Some(object.clone()),
        other => Some(json!({"value": other})),
    }
}
