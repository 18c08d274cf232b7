//! What happens on a server, as it tells it.

use std::collections::HashSet;

use serde_json::Value;

use crate::json::{self, Json};

/// One event of `GET /events`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LiveEvent {
    /// `run`, `step`, `message`, `span`, `log`, `plugin`, or `gap`.
    pub(crate) kind: Box<str>,
    /// What happened: `began`, `swapped`.
    pub(crate) what: Box<str>,
    /// In Unix milliseconds.
    pub(crate) time: i64,
    pub(crate) level: Box<str>,
    pub(crate) run: Option<Box<str>>,
    pub(crate) thread: Option<Box<str>>,
    pub(crate) trace: Option<Box<str>>,
    pub(crate) plugin: Option<Box<str>>,
    /// A workflow's or an agent's id.
    pub(crate) subject: Option<Box<str>>,
    /// The rest in words.
    pub(crate) text: Box<str>,
    /// The id of a log record.
    pub(crate) record: Option<Box<str>>,
}

impl LiveEvent {
    /// Reads an event. What is no object is an event of nothing.
    pub(crate) fn of(kind: &str, value: &Value) -> Self {
        let maybe = |name: &str| Some(value.text(name)).filter(|text| !text.is_empty()).map(Into::into);
        Self {
            kind: kind.into(),
            what: value.text("type").into(),
            time: value.moment("time").unwrap_or_default(),
            level: value.text("level").into(),
            run: maybe("runId"),
            thread: maybe("threadId"),
            trace: maybe("traceId"),
            plugin: maybe("plugin").or_else(|| maybe("transport")),
            subject: maybe("workflowId").or_else(|| maybe("agentId")).or_else(|| maybe("entityId")),
            text: if kind == "log" { value.text("message").into() } else { rest(value).into() },
            record: maybe("id"),
        }
    }

    /// Returns about how many bytes of memory it takes.
    pub(crate) fn size(&self) -> usize {
        let maybe = |text: &Option<Box<str>>| text.as_ref().map_or(0, |text| text.len());
        let ids = [&self.run, &self.thread, &self.trace, &self.plugin, &self.subject, &self.record];
        let ids: usize = ids.into_iter().map(maybe).sum();
        size_of::<Self>() + self.kind.len() + self.what.len() + self.level.len() + self.text.len() + ids
    }
}

/// Returns what an event says beside what every event does.
fn rest(value: &Value) -> String {
    const KNOWN: [&str; 12] = [
        "kind",
        "type",
        "time",
        "level",
        "runId",
        "threadId",
        "plugin",
        "workflowId",
        "agentId",
        "traceId",
        "spanId",
        "messageId",
    ];
    let rest = value.members("").filter(|(name, _)| !KNOWN.contains(name));
    let words = rest.map(|(name, value)| match name {
        "step" | "tool" | "name" | "status" | "message" | "reason" | "role" => json::brief(value),
        _ => format!("{name}={}", json::brief(value)),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// What events may have changed, of many at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a kind of thing")]
pub(crate) struct Touched {
    pub(crate) plugins: bool,
    /// What plugins offer.
    pub(crate) offers: bool,
    /// A run began or ended.
    pub(crate) runs: bool,
    /// A run's state is another.
    pub(crate) run_states: bool,
    pub(crate) messages: bool,
    pub(crate) traces: bool,
    pub(crate) run_ids: HashSet<String>,
    pub(crate) thread_ids: HashSet<String>,
    pub(crate) trace_ids: HashSet<String>,
}

impl Touched {
    /// Returns what these events touch.
    pub(crate) fn by(events: &[LiveEvent]) -> Self {
        let mut touched = Self::default();
        for event in events {
            touched.add(event);
        }
        touched
    }

    fn add(&mut self, event: &LiveEvent) {
        let insert = |set: &mut HashSet<String>, id: &Option<Box<str>>| {
            if let Some(id) = id
                && !set.contains(&**id)
            {
                set.insert(id.to_string());
            }
        };
        match &*event.kind {
            "run" => {
                self.runs = true;
                self.run_states |= &*event.what != "began";
                insert(&mut self.run_ids, &event.run);
            }
            "step" => insert(&mut self.run_ids, &event.run),
            "message" => {
                self.messages = true;
                insert(&mut self.thread_ids, &event.thread);
            }
            "span" => {
                self.traces = true;
                insert(&mut self.trace_ids, &event.trace);
            }
            "plugin" => {
                self.plugins = true;
                self.offers = true;
            }
            // Whatever happened in between.
            "gap" => {
                (self.plugins, self.offers, self.runs) = (true, true, true);
                (self.run_states, self.messages, self.traces) = (true, true, true);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_says_whom_it_concerns_and_the_rest_in_words() {
        let value = json!({"kind": "step", "type": "step-ended", "time": "1970-01-01T00:00:01Z", "level": "info",
            "runId": "r", "plugin": "p", "workflowId": "w", "step": "upper", "status": "success", "durationMs": 2});
        let event = LiveEvent::of("step", &value);
        assert_eq!((&*event.what, event.time, event.run.as_deref()), ("step-ended", 1000, Some("r")));
        assert_eq!((event.subject.as_deref(), &*event.text), (Some("w"), "upper success durationMs=2"));
        let touched = Touched::by(&[event]);
        assert!(touched.run_ids.contains("r") && !touched.runs && !touched.plugins);
    }

    #[test]
    fn a_gap_touches_everything_and_nonsense_nothing() {
        let touched = Touched::by(&[LiveEvent::of("gap", &json!({}))]);
        assert!(touched.plugins && touched.runs && touched.messages && touched.traces);
        assert_eq!(Touched::by(&[LiveEvent::of("new", &json!([1]))]), Touched::default());
    }
}
