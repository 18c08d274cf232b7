//! Which events somebody wants to see.

use crate::types::{
    event::{Event, EventKind},
    log::Level,
};

/// Conditions on events, all of which hold for those that are shown. What is not given holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// They are of one of these kinds; of any if there is none.
    pub kinds: Vec<EventKind>,
    /// They happened in this run.
    pub run_id: Option<String>,
    /// They happened in this conversation.
    pub thread_id: Option<String>,
    /// They are this plugin's doing.
    pub plugin: Option<String>,
    /// They matter at least so much.
    pub level: Option<Level>,
}

impl EventFilter {
    /// Whether an event is shown.
    #[must_use]
    pub fn matches(&self, event: &Event) -> bool {
        fn is(wanted: Option<&String>, value: Option<&str>) -> bool {
            wanted.is_none_or(|wanted| value == Some(wanted.as_str()))
        }
        (self.kinds.is_empty() || self.kinds.contains(&event.kind))
            && self.level.is_none_or(|least| event.level >= least)
            && is(self.run_id.as_ref(), event.run_id.as_deref())
            && is(self.thread_id.as_ref(), event.thread_id.as_deref())
            && is(self.plugin.as_ref(), event.plugin.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Event {
        Event::now(EventKind::Step, "tool-ended")
            .level(Level::Warn)
            .run(Some("r"))
            .thread(Some("t"))
            .plugin(Some("weather"))
    }

    #[track_caller]
    fn check(filter: EventFilter, shown: bool) {
        assert_eq!(filter.matches(&event()), shown, "{filter:?}");
    }

    #[test]
    fn all_conditions_that_are_given_must_hold() {
        let all = EventFilter::default;
        check(all(), true);
        check(EventFilter { kinds: vec![EventKind::Run, EventKind::Step], ..all() }, true);
        check(EventFilter { kinds: vec![EventKind::Run], ..all() }, false);
        check(EventFilter { run_id: Some("r".into()), ..all() }, true);
        check(EventFilter { run_id: Some("other".into()), ..all() }, false);
        check(EventFilter { thread_id: Some("t".into()), plugin: Some("weather".into()), ..all() }, true);
        check(EventFilter { thread_id: Some("t".into()), plugin: Some("other".into()), ..all() }, false);
        check(EventFilter { level: Some(Level::Warn), ..all() }, true);
        check(EventFilter { level: Some(Level::Error), ..all() }, false);
    }

    #[test]
    fn an_event_of_no_run_is_in_none() {
        let event = Event::now(EventKind::Plugin, "loaded");
        assert!(!EventFilter { run_id: Some(String::new()), ..EventFilter::default() }.matches(&event));
    }
}
