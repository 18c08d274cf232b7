//! What is known of a server: its answers, what it tells as it happens, and the log's last lines.
//!
//! Everything is bounded. An answer nobody looks at any more goes once there are too many.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use serde_json::Value;

pub(crate) use self::{lines::Lines, metrics::Metrics};
use crate::{
    json::Json,
    live::{LiveEvent, Touched},
    want::{Query, Want},
};

mod lines;
mod metrics;

/// How many answers are kept that nobody looks at, and how many bytes of them.
const KEPT: usize = 64;
const KEPT_BYTES: usize = 16 << 20;
/// How many events the feed shows; log records and spans are not among them.
const FEED: usize = 1000;
/// How long after an answer it is asked again at the earliest, in milliseconds: whatever happens.
const PAUSE: i64 = 250;
/// How long after a failure, at first and at most.
const RETRY: (i64, i64) = (1_000, 8_000);

/// Why there is no answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The status of the answer; none if there was no answer at all.
    pub(crate) status: Option<u16>,
    /// What the server said, or why it could not.
    pub(crate) message: String,
    /// What it said of fields: their paths and what is wrong.
    pub(crate) issues: Vec<(String, String)>,
}

/// An answer, and what is to be done about it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Entry {
    /// The last answer; it stays while the next one is awaited, and when there is none.
    body: Option<Arc<Value>>,
    /// About how many bytes of memory it takes.
    size: usize,
    failure: Option<Failure>,
    /// Whether it is being asked for.
    is_asked: bool,
    is_stale: bool,
    /// When it was last answered.
    heard: i64,
    /// How many answers there were.
    version: u64,
    /// How often it failed since.
    failures: u32,
    /// When it is asked again after a failure.
    retry: i64,
    /// When somebody last looked.
    used: i64,
}

impl Entry {
    /// Returns when it has to be asked again, if somebody looks.
    fn due(&self, want: &Want) -> Option<i64> {
        if self.is_asked {
            return None;
        }
        if self.failure.is_some() {
            return Some(self.retry);
        }
        if self.body.is_none() {
            return Some(i64::MIN);
        }
        if self.is_stale {
            return Some(self.heard + PAUSE);
        }
        let period = i64::try_from(want.period()?.as_millis()).ok()?;
        Some(self.heard + period)
    }
}

/// What became of a question.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Known<'a> {
    /// Not answered yet.
    Loading,
    /// Not answered, for this reason, and never before.
    Failed(&'a Failure),
    /// The last answer.
    Here(&'a Value),
}

impl<'a> Known<'a> {
    /// Returns the answer, if there is one.
    pub(crate) fn value(self) -> Option<&'a Value> {
        match self {
            Self::Here(value) => Some(value),
            Self::Loading | Self::Failed(_) => None,
        }
    }
}

/// Everything that is known.
#[derive(Debug, Default)]
pub(crate) struct Store {
    answers: BTreeMap<Want, Entry>,
    /// The newest last.
    feed: VecDeque<LiveEvent>,
    pub(crate) lines: Lines,
    pub(crate) metrics: Metrics,
    /// How many events came, ever.
    pub(crate) events: u64,
}

impl Store {
    /// Returns what is known of something.
    pub(crate) fn known(&self, want: &Want) -> Known<'_> {
        match self.answers.get(want) {
            None => Known::Loading,
            Some(Entry { body: Some(body), .. }) => Known::Here(body),
            Some(Entry { failure: Some(failure), .. }) => Known::Failed(failure),
            Some(_) => Known::Loading,
        }
    }

    /// Returns why these are not all known, if they are not: one that failed before one that is awaited.
    pub(crate) fn unknown<'a>(&'a self, wants: &[Want]) -> Option<Known<'a>> {
        let known: Vec<Known<'_>> = wants.iter().map(|want| self.known(want)).collect();
        let failed = known.iter().find(|known| matches!(known, Known::Failed(_)));
        failed.or_else(|| known.iter().find(|known| **known == Known::Loading)).copied()
    }

    /// Returns the answer, or nothing that has members.
    pub(crate) fn value(&self, want: &Want) -> &Value {
        self.known(want).value().unwrap_or(&Value::Null)
    }

    /// Returns why the last question failed, also where an older answer is still shown.
    pub(crate) fn failure(&self, want: &Want) -> Option<&Failure> {
        self.answers.get(want).and_then(|entry| entry.failure.as_ref())
    }

    /// Returns a number that is another whenever the answer is another.
    pub(crate) fn version(&self, want: &Want) -> u64 {
        self.answers.get(want).filter(|entry| entry.body.is_some()).map_or(0, |entry| entry.version)
    }

    /// Returns which of these have to be asked for now, and counts them as asked. Says when the
    /// next of them will have to be.
    pub(crate) fn ask(&mut self, wants: &[Want], now: i64) -> (Vec<Want>, Option<i64>) {
        let mut asked = Vec::new();
        let mut next: Option<i64> = None;
        for want in wants {
            let entry = self.answers.entry(want.clone()).or_default();
            entry.used = now;
            match entry.due(want) {
                Some(due) if due <= now => {
                    entry.is_asked = true;
                    entry.is_stale = false;
                    asked.push(want.clone());
                }
                Some(due) => next = Some(next.map_or(due, |next| next.min(due))),
                None => {}
            }
        }
        self.forget(wants);
        (asked, next)
    }

    /// Forgets answers that nobody looked at for the longest time.
    fn forget(&mut self, wants: &[Want]) {
        let mut bytes: usize = self.answers.values().map(|entry| entry.size).sum();
        while self.answers.len() > KEPT.max(wants.len() * 2) || bytes > KEPT_BYTES {
            let idle = self.answers.iter().filter(|(want, entry)| !entry.is_asked && !wants.contains(want));
            let Some(oldest) = idle.min_by_key(|(_, entry)| entry.used).map(|(want, _)| want.clone()) else { return };
            bytes -= self.answers.remove(&oldest).map_or(0, |entry| entry.size);
        }
    }

    /// Takes an answer.
    pub(crate) fn learn(&mut self, want: &Want, answer: Result<Value, Failure>, now: i64) {
        let entry = self.answers.entry(want.clone()).or_default();
        entry.is_asked = false;
        entry.heard = now;
        entry.version += 1;
        match answer {
            Ok(body) => {
                if *want == Want::Metrics {
                    self.metrics.learn(body.as_str().unwrap_or_default(), now);
                }
                if *want == (Want::Logs { query: Query::default(), page: 0 }) {
                    self.lines.seed(body.list("logs"));
                }
                entry.size = size(&body);
                entry.body = Some(Arc::new(body));
                entry.failure = None;
                entry.failures = 0;
            }
            Err(failure) => {
                // What is gone is not shown as if it were still there.
                if failure.status.is_some_and(|status| matches!(status, 401 | 403 | 404)) {
                    entry.body = None;
                }
                entry.failure = Some(failure);
                let (first, most) = RETRY;
                entry.retry = now.saturating_add((first << entry.failures.min(4)).min(most));
                entry.failures = entry.failures.saturating_add(1);
            }
        }
    }

    /// Takes what happened.
    pub(crate) fn happened(&mut self, events: Vec<LiveEvent>) {
        self.events = self.events.saturating_add(events.len() as u64);
        let touched = Touched::by(&events);
        if touched != Touched::default() {
            for (want, entry) in &mut self.answers {
                // One that is under way may have been answered before this happened.
                entry.is_stale |= want.is_touched(&touched);
            }
        }
        for event in events {
            match &*event.kind {
                "log" => self.lines.push(event),
                "span" => {}
                _ => {
                    if self.feed.len() == FEED {
                        self.feed.pop_front();
                    }
                    self.feed.push_back(event);
                }
            }
        }
    }

    /// Waits for no answer any more: whoever was asked is not listened to.
    pub(crate) fn abandon(&mut self) {
        self.answers.values_mut().for_each(|entry| entry.is_asked = false);
    }

    /// Has everything asked again, as after a time without a server.
    pub(crate) fn doubt(&mut self, which: impl Fn(&Want) -> bool) {
        for (want, entry) in &mut self.answers {
            if which(want) {
                entry.is_stale = true;
                // A failure is no reason to wait any longer.
                entry.retry = i64::MIN;
            }
        }
    }

    /// Returns how many answers are kept.
    #[cfg(test)]
    pub(crate) fn size(&self) -> usize {
        self.answers.len()
    }

    /// Returns what happened, the newest last.
    pub(crate) fn feed(&self) -> &VecDeque<LiveEvent> {
        &self.feed
    }
}

/// Returns about how many bytes of memory a value takes.
fn size(value: &Value) -> usize {
    let inside: usize = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(members) => members.iter().map(|(name, value)| 32 + name.len() + size(value)).sum(),
    };
    size_of::<Value>() + inside
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn failure(status: Option<u16>) -> Failure {
        Failure { status, message: "no".into(), issues: Vec::new() }
    }

    #[test]
    fn a_thing_is_asked_once_and_again_only_when_something_touched_it() {
        let mut store = Store::default();
        let wants = [Want::Agents];
        assert_eq!(store.ask(&wants, 0), (vec![Want::Agents], None));
        assert_eq!(store.ask(&wants, 10), (vec![], None));
        assert_eq!(store.known(&Want::Agents), Known::Loading);
        store.learn(&Want::Agents, Ok(json!({"a": 1})), 20);
        assert_eq!(store.ask(&wants, 10_000), (vec![], None));
        store.happened(vec![LiveEvent::of("plugin", &json!({"type": "swapped"}))]);
        assert_eq!(store.ask(&wants, 10_000), (vec![Want::Agents], None));
    }

    #[test]
    fn what_is_not_known_is_told_from_what_is_not_there() {
        let mut store = Store::default();
        let wants = [Want::Agents, Want::Tools];
        assert_eq!(store.unknown(&wants), Some(Known::Loading));
        store.learn(&Want::Agents, Ok(json!({})), 1);
        assert_eq!(store.unknown(&wants), Some(Known::Loading));
        store.learn(&Want::Tools, Err(failure(Some(503))), 2);
        assert!(matches!(store.unknown(&wants), Some(Known::Failed(_))));
        store.learn(&Want::Tools, Ok(json!({})), 3);
        assert_eq!(store.unknown(&wants), None);
    }

    #[test]
    fn a_storm_of_events_asks_a_few_times_a_second() {
        let mut store = Store::default();
        let wants = [Want::RunCounts];
        let mut asked = 0;
        for now in 0..2_000 {
            let (due, _) = store.ask(&wants, now);
            for want in due {
                asked += 1;
                store.learn(&want, Ok(json!({})), now);
            }
            store.happened(vec![LiveEvent::of("run", &json!({"type": "began", "runId": "r"}))]);
        }
        assert!((4..=9).contains(&asked), "{asked}");
    }

    #[test]
    fn what_failed_is_asked_again_later_and_later_and_the_old_answer_stays() {
        let mut store = Store::default();
        let wants = [Want::Tools];
        store.learn(&Want::Tools, Ok(json!({"t": 1})), 1);
        store.learn(&Want::Tools, Err(failure(None)), 2);
        assert_eq!(store.ask(&wants, 3), (vec![], Some(1_002)));
        assert!(matches!(store.known(&Want::Tools), Known::Here(_)));
        assert_eq!(store.failure(&Want::Tools).unwrap().message, "no");
        store.ask(&wants, 1_002);
        store.learn(&Want::Tools, Err(failure(Some(404))), 1_003);
        assert!(matches!(store.known(&Want::Tools), Known::Failed(_)));
        assert_eq!(store.ask(&wants, 1_004).1, Some(3_003));
        store.doubt(|_| true);
        assert_eq!(store.ask(&wants, 1_004).0.len(), 1);
    }

    #[test]
    fn answers_nobody_looks_at_are_forgotten() {
        let mut store = Store::default();
        for number in 0..500 {
            let want = Want::Trace(number.to_string());
            store.ask(std::slice::from_ref(&want), number);
            store.learn(&want, Ok(json!({})), number);
        }
        assert!(store.answers.len() <= KEPT + 1);
        assert!(matches!(store.known(&Want::Trace("499".into())), Known::Here(_)));
    }

    #[test]
    fn large_answers_nobody_looks_at_go_before_there_are_many() {
        let mut store = Store::default();
        for number in 0..20 {
            let want = Want::Trace(number.to_string());
            store.ask(std::slice::from_ref(&want), number);
            store.learn(&want, Ok(json!({"spans": "x".repeat(4 << 20)})), number);
        }
        let bytes: usize = store.answers.values().map(|entry| entry.size).sum();
        assert!(bytes <= KEPT_BYTES + (5 << 20), "{bytes}");
        assert!(matches!(store.known(&Want::Trace("19".into())), Known::Here(_)));
    }

    #[test]
    fn the_feed_is_bounded_and_without_logs() {
        let mut store = Store::default();
        let event = |kind: &str| LiveEvent::of(kind, &json!({"type": "x", "message": "m"}));
        store.happened((0..1500).map(|_| event("run")).chain([event("log"), event("span")]).collect());
        assert_eq!((store.feed().len(), store.lines.len(), store.events), (FEED, 1, 1502));
    }
}
