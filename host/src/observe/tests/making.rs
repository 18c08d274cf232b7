//! Records, made up.

use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::{Map, Value, json};

use crate::{
    observe::{
        attrs::Key,
        filter::{Between, Filter},
    },
    types::{
        id::Millis,
        log::{Level, LogRecord},
        span::{Entity, Span, SpanKind},
    },
};

pub(super) fn log(id: &str, message: &str, time: Millis) -> LogRecord {
    LogRecord {
        id: id.to_owned(),
        time,
        level: Level::Info,
        transport: "host".to_owned(),
        component: String::new(),
        message: message.to_owned(),
        run_id: None,
        trace_id: None,
        span_id: None,
        request_id: None,
        thread_id: None,
        resource_id: None,
        service_name: None,
        environment: None,
        fields: Map::new(),
    }
}

const WORDS: [&str; 5] = ["timeout", "Weather", "über", "42", "plugin"];
const NAMES: [&str; 4] = ["a", "b", "A b", "c-d"];

fn text() -> impl Strategy<Value = String> {
    vec(select(&WORDS[..]), 0..4).prop_map(|words| words.join(" "))
}

fn name() -> impl Strategy<Value = String> {
    select(&NAMES[..]).prop_map(str::to_owned)
}

fn maybe() -> impl Strategy<Value = Option<String>> {
    option::of(name())
}

/// Around now, so close that many are equal, and on several days.
fn time() -> impl Strategy<Value = Millis> {
    (0i64..3, 0i64..20)
        .prop_map(|(days, ms)| Millis(Millis::now().0 / 86_400_000 * 86_400_000 - days * 86_400_000 + ms))
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        name().prop_map(Value::from),
        (-2i64..3).prop_map(Value::from),
        select(&[0.5, 2.0, -1.0][..]).prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
        vec(name(), 0..3).prop_map(Value::from),
    ]
}

fn free() -> impl Strategy<Value = Map<String, Value>> {
    (option::of(value()), option::of(value()), option::of(value())).prop_map(|(plain, dotted, inner)| {
        let mut fields = Map::new();
        if let Some(value) = plain {
            fields.insert("x".to_owned(), value);
        }
        if let Some(value) = dotted {
            fields.insert("p.q".to_owned(), value);
        }
        if let Some(value) = inner {
            fields.insert("deep".to_owned(), json!({ "er": value }));
        }
        fields
    })
}

/// Any log record.
pub(super) fn any_log() -> impl Strategy<Value = LogRecord> {
    let ids = (maybe(), maybe(), maybe(), maybe());
    (any::<u64>(), text(), time(), select(&Level::ALL[..]), name(), ids, free()).prop_map(
        |(id, message, time, level, transport, (run_id, trace_id, thread_id, component), fields)| LogRecord {
            level,
            transport,
            component: component.unwrap_or_default(),
            run_id,
            trace_id,
            thread_id,
            fields,
            ..log(&id.to_string(), &message, time)
        },
    )
}

/// Any span that has ended; those of one trace have one parent.
pub(super) fn any_span() -> impl Strategy<Value = Span> {
    let kinds = &[SpanKind::AgentRun, SpanKind::ToolCall, SpanKind::ModelInference][..];
    let texts = (text(), option::of(text()), option::of(text()));
    let times = (time(), 0i64..30);
    let ids = (name(), maybe(), maybe(), maybe());
    let free = (free(), vec(name(), 0..3), any::<bool>());
    (any::<u64>(), select(kinds), texts, times, ids, free).prop_map(
        |(id, kind, (name, input, error), (start, took), (trace, parent, thread, entity), (metadata, tags, failed))| {
            let mut span = Span::begin(kind, name, &trace, format!("{id:016x}"));
            span.started_at = start;
            span.ended_at = Some(Millis(start.0 + took));
            span.parent_id = parent;
            span.thread_id = thread;
            span.entity = entity.map(|entity| Entity::new("agent", &entity, &entity));
            span.input = input.map(|input| json!({ "text": input }));
            span.error = error.map(|message| json!({ "message": message }));
            span.metadata = metadata;
            span.tags = tags;
            span.has_child_error = failed;
            span.attributes.insert("model".to_owned(), "m".into());
            span.attributes.insert("usage".to_owned(), json!({ "inputTokens": took, "outputTokens": 1 }));
            span
        },
    )
}

fn between<T: Clone + std::fmt::Debug>(end: impl Strategy<Value = T> + Clone) -> impl Strategy<Value = Between<T>> {
    (option::of(end.clone()), option::of(end)).prop_map(|(from, to)| Between { from, to })
}

/// Any condition the meaning of which is written down.
pub(super) fn any_filter() -> impl Strategy<Value = Filter> {
    let keys = &[
        Key::RunId,
        Key::TraceId,
        Key::ThreadId,
        Key::ParentSpanId,
        Key::SpanType,
        Key::Status,
        Key::EntityId,
        Key::Transport,
        Key::Component,
        Key::Model,
        Key::Tag,
        Key::Name,
    ][..];
    let values = vec(prop_oneof![name(), Just("agent_run".to_owned()), Just("error".to_owned())], 0..3);
    let paths = &["x", "p.q", "deep.er", "deep", "none"][..];
    let took = 0u64..30;
    let leaf = prop_oneof![
        Just(Filter::All),
        (select(keys), values).prop_map(|(key, values)| Filter::Is(key, values)),
        select(keys).prop_map(Filter::Has),
        between(time().boxed()).prop_map(Filter::Time),
        between(time().boxed()).prop_map(Filter::Ended),
        between(took).prop_map(Filter::Took),
        vec(select(&Level::ALL[..]), 0..3).prop_map(Filter::Level),
        (select(paths), value()).prop_map(|(path, value)| Filter::Field(path.to_owned(), value)),
        select(paths).prop_map(|path| Filter::HasField(path.to_owned())),
        Just(Filter::Root),
        Just(Filter::HasChildError),
        text().prop_map(Filter::Text),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Filter::And),
            vec(inner.clone(), 0..3).prop_map(Filter::Or),
            inner.prop_map(|filter| Filter::Not(Box::new(filter))),
        ]
    })
}
