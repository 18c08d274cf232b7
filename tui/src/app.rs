//! The console's state. [`update`] is its only writer; drawing is in [`crate::screens`].

use crate::{
    action::{Action, Order, Request},
    api::{Overview, Plugin},
};

/// Whether the server answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Link {
    /// Nothing was heard yet.
    Connecting,
    /// The last look succeeded.
    Connected,
    /// The last look failed, for this reason.
    Away(String),
}

/// The line above the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Notice {
    Good(String),
    Bad(String),
}

/// What lies over the screen and takes the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Popup {
    /// "Shall this be done?"
    Confirm(Request),
}

/// Everything there is to draw.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) url: String,
    pub(crate) link: Link,
    /// The last answer; kept while the server is away.
    pub(crate) overview: Option<Overview>,
    /// When the last answer came.
    pub(crate) last_seen: Option<String>,
    /// An index into the plugins; meaningless while there are none.
    pub(crate) selected: usize,
    /// The last one is on top.
    pub(crate) popups: Vec<Popup>,
    pub(crate) notice: Option<Notice>,
    pub(crate) is_quitting: bool,
}

impl State {
    pub(crate) const fn new(url: String) -> Self {
        Self {
            url,
            link: Link::Connecting,
            overview: None,
            last_seen: None,
            selected: 0,
            popups: Vec::new(),
            notice: None,
            is_quitting: false,
        }
    }

    pub(crate) fn plugins(&self) -> &[Plugin] {
        self.overview.as_ref().map_or(&[], |overview| &overview.plugins)
    }

    pub(crate) fn selected_plugin(&self) -> Option<&Plugin> {
        self.plugins().get(self.selected)
    }

    fn order(&self, order: Order) -> Option<Request> {
        self.selected_plugin().map(|plugin| Request { order, plugin: plugin.name.clone() })
    }
}

/// Changes the state by one action. Returns what the server is to be asked for.
pub(crate) fn update(state: &mut State, action: Action) -> Option<Request> {
    match action {
        Action::Quit => state.is_quitting = true,
        Action::SelectNext => state.selected = (state.selected + 1).min(state.plugins().len().saturating_sub(1)),
        Action::SelectPrevious => state.selected = state.selected.saturating_sub(1),
        Action::Reload => return asked(state, state.order(Order::Reload)),
        Action::AskRollback => state.popups.extend(state.order(Order::Rollback).map(Popup::Confirm)),
        Action::Confirm => {
            let request = state.popups.pop().map(|Popup::Confirm(request)| request);
            return asked(state, request);
        }
        Action::Dismiss => drop(state.popups.pop()),
        Action::Loaded { overview, at } => loaded(state, overview, at),
        Action::Lost(reason) => state.link = Link::Away(reason),
        Action::Done(text) => state.notice = Some(Notice::Good(text)),
        Action::Refused(text) => state.notice = Some(Notice::Bad(text)),
    }
    None
}

fn asked(state: &mut State, request: Option<Request>) -> Option<Request> {
    if let Some(request) = &request {
        state.notice = Some(Notice::Good(format!("{} of `{}` is under way", request.order.word(), request.plugin)));
    }
    request
}

/// Takes over an answer. The selection stays on its plugin even if others came or went above it.
fn loaded(state: &mut State, overview: Overview, at: String) {
    let name = state.selected_plugin().map(|plugin| plugin.name.clone());
    let kept = overview.plugins.iter().position(|plugin| Some(&plugin.name) == name.as_ref());
    state.selected = kept.unwrap_or_else(|| state.selected.min(overview.plugins.len().saturating_sub(1)));
    state.overview = Some(overview);
    state.last_seen = Some(at);
    state.link = Link::Connected;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(state: &mut State, names: &[&str]) {
        let plugins = names.iter().map(|name| Plugin { name: (*name).into(), ..Plugin::default() }).collect();
        let overview = Overview { plugins, ..Overview::default() };
        assert_eq!(update(state, Action::Loaded { overview, at: "12:00:00".into() }), None);
    }

    fn selected(state: &State) -> Option<&str> {
        state.selected_plugin().map(|plugin| plugin.name.as_str())
    }

    #[test]
    fn the_selection_stays_within_the_list() {
        let mut state = State::new("http://host".into());
        for action in [Action::SelectPrevious, Action::SelectNext, Action::SelectNext] {
            update(&mut state, action);
        }
        assert_eq!(selected(&state), None);
        seen(&mut state, &["a", "b"]);
        for _ in 0..5 {
            update(&mut state, Action::SelectNext);
        }
        assert_eq!(selected(&state), Some("b"));
    }

    #[test]
    fn the_selection_follows_its_plugin() {
        let mut state = State::new("http://host".into());
        seen(&mut state, &["b", "c"]);
        update(&mut state, Action::SelectNext);
        seen(&mut state, &["a", "b", "c"]);
        assert_eq!(selected(&state), Some("c"));
        seen(&mut state, &["a"]);
        assert_eq!(selected(&state), Some("a"));
        seen(&mut state, &[]);
        assert_eq!(selected(&state), None);
    }

    #[test]
    fn reload_asks_the_server_for_the_selected_plugin() {
        let mut state = State::new("http://host".into());
        assert_eq!(update(&mut state, Action::Reload), None);
        seen(&mut state, &["a"]);
        let request = update(&mut state, Action::Reload).unwrap();
        assert_eq!(request, Request { order: Order::Reload, plugin: "a".into() });
        assert!(matches!(&state.notice, Some(Notice::Good(text)) if text.contains("`a`")));
    }

    #[test]
    fn rollback_needs_a_yes_and_keeps_the_plugin_it_asked_about() {
        let mut state = State::new("http://host".into());
        seen(&mut state, &["a", "b"]);
        assert_eq!(update(&mut state, Action::AskRollback), None);
        update(&mut state, Action::Dismiss);
        assert_eq!(update(&mut state, Action::Confirm), None);
        update(&mut state, Action::AskRollback);
        seen(&mut state, &["b"]);
        let request = update(&mut state, Action::Confirm).unwrap();
        assert_eq!(request, Request { order: Order::Rollback, plugin: "a".into() });
    }

    #[test]
    fn a_lost_server_leaves_the_last_answer_on_the_screen() {
        let mut state = State::new("http://host".into());
        seen(&mut state, &["a"]);
        update(&mut state, Action::Lost("refused".into()));
        assert_eq!(state.link, Link::Away("refused".into()));
        assert_eq!((selected(&state), state.last_seen.as_deref()), (Some("a"), Some("12:00:00")));
        seen(&mut state, &["a"]);
        assert_eq!(state.link, Link::Connected);
    }
}
