//! What the host logs, made into records.
//!
//! A `tracing` layer. What a record belongs to, a run, a trace, a plugin, is read off its own
//! fields and those of the spans it was written in; the names are [`attrs::field`]'s.

use std::{fmt, sync::OnceLock};

use serde_json::{Map, Value};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

use super::{attrs, file::LogFile, recorder::Recorder};
use crate::types::{
    id::{self, Millis},
    log::{Level, LogRecord},
};

/// Where records go, once the host has started. There is one subscriber in a process, so there
/// is one of these.
static RECORDER: OnceLock<Recorder> = OnceLock::new();

/// Lets what is logged be recorded; the first to call it in a process gets it all.
pub fn connect(recorder: &Recorder) {
    drop(RECORDER.set(recorder.clone()));
}

/// The layer.
#[derive(Default)]
pub struct RecordLayer {
    /// Where records go; where the process's host has them go if absent. A process may have
    /// several hosts, in tests, and then each says which is its.
    pub recorder: Option<Recorder>,
    /// Where records go as well, one on a line.
    pub file: Option<LogFile>,
}

/// Has a layer hear what the calling thread logs, for as long as what is returned is kept.
///
/// While a process has one subscriber, `tracing` asks that of the thread which comes to a place
/// that logs first whether anybody wants what is logged there, and goes by it from then on; if
/// that thread is another test's, it has none. While there are two it asks both.
#[cfg(test)]
pub(crate) fn hear(layer: RecordLayer) -> tracing::subscriber::DefaultGuard {
    use tracing::{Dispatch, subscriber::NoSubscriber};
    use tracing_subscriber::layer::SubscriberExt;

    static ANOTHER: OnceLock<Dispatch> = OnceLock::new();
    ANOTHER.get_or_init(|| Dispatch::new(NoSubscriber::new()));
    tracing::subscriber::set_default(tracing_subscriber::registry().with(layer))
}

/// What a `tracing` span says of all that happens in it.
#[derive(Default)]
struct Known(Vec<(&'static str, Value)>);

/// Whether a field of a `tracing` span is for the records in it.
fn is_kept(name: &str) -> bool {
    use attrs::field;
    matches!(
        name,
        field::RUN_ID
            | field::TRACE_ID
            | field::SPAN_ID
            | field::REQUEST_ID
            | field::THREAD_ID
            | field::RESOURCE_ID
            | field::PLUGIN_NAME
    )
}

impl Visit for Known {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, || format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, || value.into());
    }
}

impl Known {
    fn put(&mut self, field: &Field, value: impl FnOnce() -> Value) {
        let name = field.name();
        if !is_kept(name) {
            return;
        }
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value(),
            None => self.0.push((name, value())),
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for RecordLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if !attributes.metadata().fields().iter().any(|field| is_kept(field.name())) {
            return;
        }
        let Some(span) = context.span(id) else { return };
        let mut known = Known::default();
        attributes.record(&mut known);
        span.extensions_mut().insert(known);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut extensions = span.extensions_mut();
        if let Some(known) = extensions.get_mut::<Known>() {
            values.record(known);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let recorder = self.recorder.as_ref().or_else(|| RECORDER.get()).filter(|recorder| recorder.is_on());
        if recorder.is_none() && self.file.is_none() {
            return;
        }
        let mut fields = Map::new();
        let mut message = None;
        event.record(&mut Reader { fields: &mut fields, message: Some(&mut message) });
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(known) = span.extensions().get::<Known>() {
                for (name, value) in &known.0 {
                    if !fields.contains_key(*name) {
                        fields.insert((*name).to_owned(), value.clone());
                    }
                }
            }
        }
        let record = record(event.metadata(), message.unwrap_or_default(), fields);
        if let Some(file) = &self.file {
            file.write(&record);
        }
        if let Some(recorder) = recorder {
            recorder.log(record);
        }
    }
}

fn record(metadata: &Metadata<'_>, message: String, mut fields: Map<String, Value>) -> LogRecord {
    use attrs::field;
    let mut take = |name: &str| match fields.shift_remove(name)? {
        Value::String(text) => Some(text).filter(|text| !text.is_empty()),
        other => Some(other.to_string()),
    };
    let (run_id, trace_id, span_id) = (take(field::RUN_ID), take(field::TRACE_ID), take(field::SPAN_ID));
    let (request_id, thread_id, resource_id) =
        (take(field::REQUEST_ID), take(field::THREAD_ID), take(field::RESOURCE_ID));
    let is_plugins = metadata.target() == "plugin";
    let target = take(if is_plugins { field::PLUGIN_TARGET } else { field::COMPONENT });
    let own = if is_plugins { take(field::PLUGIN_FIELDS) } else { None };
    if let Some(Value::Object(own)) = own.and_then(|own| serde_json::from_str(&own).ok()) {
        fields.extend(own);
    }
    let transport = match fields.get(field::PLUGIN_NAME).and_then(Value::as_str) {
        Some(plugin) if is_plugins => plugin.to_owned(),
        _ => "host".to_owned(),
    };
    LogRecord {
        id: id::fresh(),
        time: Millis::now(),
        level: match *metadata.level() {
            tracing::Level::ERROR => Level::Error,
            tracing::Level::WARN => Level::Warn,
            tracing::Level::INFO => Level::Info,
            tracing::Level::DEBUG | tracing::Level::TRACE => Level::Debug,
        },
        transport,
        component: target.unwrap_or_else(|| metadata.target().to_owned()),
        message,
        run_id,
        trace_id,
        span_id,
        request_id,
        thread_id,
        resource_id,
        service_name: None,
        environment: None,
        fields,
    }
}

/// Reads fields into JSON.
struct Reader<'a> {
    fields: &'a mut Map<String, Value>,
    message: Option<&'a mut Option<String>>,
}

impl Reader<'_> {
    fn put(&mut self, field: &Field, value: Value) {
        self.fields.insert(field.name().to_owned(), value);
    }
}

impl Visit for Reader<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        match &mut self.message {
            Some(message) if field.name() == "message" => **message = Some(text),
            _ => self.put(field, text.into()),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match &mut self.message {
            Some(message) if field.name() == "message" => **message = Some(value.to_owned()),
            _ => self.put(field, value.into()),
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
}
