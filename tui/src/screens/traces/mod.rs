//! Traces: the list, and one trace with its spans in time.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Position, Rect},
};
use serde_json::Value;

use super::{
    Deed, Look, Place, Screen,
    paged::{Paged, Source},
    plugins::open_record,
};
use crate::{
    json::{self, Json},
    keymap::{Command, Scope},
    parts::{
        cursor::Move,
        filter::Filter,
        pane::Pane,
        tree::Tree,
        waterfall::{Spans, Waterfall},
    },
    store::Store,
    want::{Query, Want},
};

mod draw;

/// The screen.
#[derive(Debug)]
pub(crate) struct Traces {
    list: Paged,
    text: String,
    open: Option<OpenTrace>,
    pane: PaneKind,
    is_zoomed: bool,
}

/// The part that takes the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PaneKind {
    List,
    Spans,
    Span,
}

/// A trace that is looked at.
#[derive(Debug)]
struct OpenTrace {
    id: String,
    waterfall: Waterfall,
    /// What is known of the chosen span.
    span: Value,
    tree: Tree,
    version: u64,
    shown: Option<String>,
    /// What is searched among its spans.
    search: String,
}

impl OpenTrace {
    fn new(id: String) -> Self {
        Self {
            id,
            waterfall: Waterfall::default(),
            span: Value::Null,
            tree: Tree::new(&Value::Null),
            version: 0,
            shown: None,
            search: String::new(),
        }
    }

    fn want(&self) -> Want {
        Want::Trace(self.id.clone())
    }

    fn settle(&mut self, store: &Store) {
        let want = self.want();
        let version = store.version(&want);
        let is_new = version != self.version;
        if is_new {
            self.waterfall.set(Spans::of(store.value(&want)));
            self.version = version;
        }
        let chosen = self.waterfall.chosen().map(|span| span.id.clone());
        if chosen != self.shown || is_new {
            let spans = store.value(&want).list("spans");
            let span = spans.iter().find(|span| Some(span.text("spanId")) == chosen.as_deref());
            self.span = span.map(brief).unwrap_or_default();
            if chosen == self.shown {
                self.tree.renew(&self.span);
            } else {
                self.tree = Tree::new(&self.span);
            }
            self.shown = chosen;
        }
    }
}

/// Returns a span without what is said of it by nothing.
fn brief(span: &Value) -> Value {
    let first = ["name", "spanType", "status", "error", "input", "output", "attributes", "metadata"];
    let mut members = serde_json::Map::new();
    for name in first {
        if let Some(value) = span.get(name).filter(|value| !value.is_null()) {
            members.insert(name.to_owned(), value.clone());
        }
    }
    for (name, value) in span.members("") {
        if !value.is_null() && !members.contains_key(name) {
            members.insert(name.to_owned(), value.clone());
        }
    }
    Value::Object(members)
}

impl Default for Traces {
    fn default() -> Self {
        Self {
            list: Paged::new(Source::Traces),
            text: String::new(),
            open: None,
            pane: PaneKind::List,
            is_zoomed: false,
        }
    }
}

/// The parts of the screen; those without height are not shown.
struct Panes {
    list: Rect,
    spans: Rect,
    span: Rect,
}

impl Traces {
    fn panes(&self, area: Rect) -> Panes {
        let none = Rect { height: 0, ..area };
        if self.open.is_none() {
            return Panes { list: area, spans: none, span: none };
        }
        if self.is_zoomed {
            return match self.pane {
                PaneKind::List => Panes { list: area, spans: none, span: none },
                PaneKind::Spans => Panes { list: none, spans: area, span: none },
                PaneKind::Span => Panes { list: none, spans: none, span: area },
            };
        }
        let [spans, span] = Layout::vertical([Constraint::Percentage(55), Constraint::Fill(1)]).areas(area);
        Panes { list: none, spans, span }
    }

    fn open(&mut self, id: String, look: &Look<'_>) {
        if self.open.as_ref().is_none_or(|open| open.id != id) {
            self.open = Some(OpenTrace::new(id));
        }
        self.pane = PaneKind::Spans;
        self.settle(look);
    }

    fn go_on(&mut self, to: Move, look: &Look<'_>) {
        let panes = self.panes(look.area);
        match (self.pane, &mut self.open) {
            (PaneKind::Spans, Some(open)) => open.waterfall.go(to, Pane::inner(panes.spans).as_size()),
            (PaneKind::Span, Some(open)) => {
                open.tree.go(&open.span, to, usize::from(Pane::inner(panes.span).height));
            }
            _ => self.list.go(to, look.store, Pane::inner(panes.list)),
        }
        self.settle(look);
    }

    /// Returns what the filter asks the server for.
    fn query(&self, now: i64) -> Result<Query, String> {
        let mut query = Query::default();
        let (mut times, mut words) = (String::new(), Vec::new());
        for word in self.text.split_whitespace() {
            match word.split_once(':') {
                Some(("status" | "state", state)) => query = query.with("status", state),
                Some(("agent" | "workflow" | "entity", id)) => query = query.with("entityId", id),
                Some(("run", id)) => query = query.with("runId", id),
                Some(("thread", id)) => query = query.with("threadId", id),
                Some(("resource", id)) => query = query.with("resourceId", id),
                Some(("plugin", name)) => query = query.with("plugin", name),
                Some(("since" | "from" | "to", _)) => times = format!("{times} {word}"),
                _ => words.push(word),
            }
        }
        let filter = Filter::parse(&times, now).map_err(|error| error.message)?;
        let (from, to) = filter.times();
        query = query.within("startedAt", from, to);
        Ok(query.with("q", words.join(" ")))
    }

    /// Returns an id of what is chosen: of the span, or of the row.
    fn id_of(&self, look: &Look<'_>, name: &str) -> String {
        let value = match &self.open {
            Some(open) => Some(&open.span),
            None => self.list.selected(look.store),
        };
        let Some(value) = value else { return String::new() };
        [value.text(name), value.text(&format!("metadata.{name}"))]
            .into_iter()
            .find(|id| !id.is_empty())
            .unwrap_or_default()
            .to_owned()
    }

    fn trace_id(&self, look: &Look<'_>) -> String {
        match &self.open {
            Some(open) => open.id.clone(),
            None => self.list.selected(look.store).map(|row| row.text("traceId").to_owned()).unwrap_or_default(),
        }
    }
}

impl Screen for Traces {
    fn crumbs(&self, _look: &Look<'_>) -> Vec<String> {
        let Some(open) = &self.open else { return Vec::new() };
        let mut crumbs = vec![open.id.clone()];
        crumbs.extend(open.waterfall.chosen().map(|span| span.name.clone()));
        crumbs
    }

    fn scopes(&self) -> Vec<Scope> {
        match self.pane {
            PaneKind::List => vec![Scope::Traces, Scope::List],
            PaneKind::Spans => vec![Scope::Trace, Scope::Tree, Scope::Traces, Scope::List],
            PaneKind::Span => vec![Scope::Trace, Scope::Tree, Scope::List],
        }
    }

    fn wants(&self, look: &Look<'_>) -> Vec<Want> {
        match &self.open {
            Some(open) => vec![open.want()],
            None => self.list.wants(Pane::inner(self.panes(look.area).list)),
        }
    }

    fn command(&mut self, command: Command, look: &Look<'_>) -> Vec<Deed> {
        match (command, &mut self.open) {
            (Command::Go(to), _) => self.go_on(to, look),
            (Command::Open, None) => {
                if let Some(row) = self.list.selected(look.store) {
                    self.open(row.text("traceId").to_owned(), look);
                }
            }
            (Command::Open, Some(open)) => match self.pane {
                PaneKind::Span => return open_record(Some(&open.span), "name"),
                _ => self.pane = PaneKind::Span,
            },
            (Command::NextPane | Command::PreviousPane, Some(_)) => {
                self.pane = if self.pane == PaneKind::Spans { PaneKind::Span } else { PaneKind::Spans };
            }
            (Command::Zoom, Some(_)) => self.is_zoomed = !self.is_zoomed,
            (Command::View, Some(open)) => open.waterfall.show(open.waterfall.view().next()),
            (Command::Fold, Some(open)) => match self.pane {
                PaneKind::Span => open.tree.toggle(&open.span),
                _ => open.waterfall.toggle(),
            },
            (Command::FoldAll, Some(open)) => match self.pane {
                PaneKind::Span if open.tree.is_folded() => open.tree.unfold_all(&open.span),
                PaneKind::Span => open.tree.fold_all(&open.span),
                _ => open.waterfall.toggle_all(),
            },
            (Command::NextError, Some(open)) => {
                let is_found = open.waterfall.next_error();
                self.settle(look);
                let words = || Deed::Say("nothing failed in this trace".into());
                return (!is_found).then(words).into_iter().collect();
            }
            (Command::PreviousError, Some(open)) => drop(open.waterfall.previous_error()),
            (Command::NextHit, Some(open)) => match self.pane {
                PaneKind::Span => open.tree.next_hit(&open.span),
                _ => drop(open.waterfall.next_hit()),
            },
            (Command::PreviousHit, Some(open)) => match self.pane {
                PaneKind::Span => open.tree.previous_hit(&open.span),
                _ => drop(open.waterfall.previous_hit()),
            },
            (Command::Sort | Command::Reverse, None) => drop(self.list.reverse()),
            (Command::ToRun, _) => {
                let run = self.id_of(look, "runId");
                return if run.is_empty() { Vec::new() } else { vec![Deed::Go(Place::AnyRun(run))] };
            }
            (Command::ToThread, _) => {
                let thread = self.id_of(look, "threadId");
                return if thread.is_empty() {
                    vec![Deed::Complain("this was in no thread".into())]
                } else {
                    vec![Deed::Go(Place::Thread(thread))]
                };
            }
            (Command::ToLogs, _) => {
                let id = self.trace_id(look);
                return if id.is_empty() { Vec::new() } else { vec![Deed::Go(Place::Logs(format!("trace:{id}")))] };
            }
            _ => {}
        }
        self.settle(look);
        Vec::new()
    }

    fn settle(&mut self, look: &Look<'_>) {
        let panes = self.panes(look.area);
        match &mut self.open {
            Some(open) => open.settle(look.store),
            None => self.list.settle(look.store, Pane::inner(panes.list)),
        }
    }

    fn filter(&mut self, text: &str, look: &Look<'_>) -> Result<(), String> {
        if let Some(open) = &mut self.open {
            text.clone_into(&mut open.search);
            if self.pane == PaneKind::Span {
                open.tree.search(&open.span, text);
            } else {
                open.waterfall.search(text);
                open.settle(look.store);
            }
            return Ok(());
        }
        let before = std::mem::replace(&mut self.text, text.to_owned());
        match self.query(look.now) {
            Ok(query) => {
                self.list.narrow(query);
                Ok(())
            }
            Err(reason) => {
                self.text = before;
                Err(reason)
            }
        }
    }

    fn filter_text(&self) -> &str {
        self.open.as_ref().map_or(&self.text, |open| &open.search)
    }

    fn go(&mut self, place: &Place, look: &Look<'_>) -> Vec<Deed> {
        if let Place::Trace(id) = place {
            if id.starts_with("run:") {
                // Which trace it is, the list tells.
                self.open = None;
                self.pane = PaneKind::List;
                return match self.filter(id, look) {
                    Ok(()) => Vec::new(),
                    Err(reason) => vec![Deed::Complain(reason)],
                };
            }
            self.open(id.clone(), look);
        }
        Vec::new()
    }

    fn back(&mut self) -> bool {
        if self.is_zoomed {
            self.is_zoomed = false;
        } else if self.pane == PaneKind::Span {
            self.pane = PaneKind::Spans;
        } else if self.open.is_some() {
            self.open = None;
            self.pane = PaneKind::List;
        } else if !self.text.is_empty() {
            self.text.clear();
            self.list.narrow(Query::default());
        } else {
            return false;
        }
        true
    }

    fn click(&mut self, at: Position, look: &Look<'_>) -> Vec<Deed> {
        let panes = self.panes(look.area);
        let (list, spans, span) = (Pane::inner(panes.list), Pane::inner(panes.spans), Pane::inner(panes.span));
        match &mut self.open {
            None if list.contains(at) => drop(self.list.click(at.y - list.y, look.store, list)),
            Some(open) if spans.contains(at) => {
                self.pane = PaneKind::Spans;
                open.waterfall.click(at, spans);
            }
            Some(open) if span.contains(at) => {
                self.pane = PaneKind::Span;
                open.tree.click(&open.span, usize::from(at.y - span.y), usize::from(span.height));
            }
            _ => {}
        }
        self.settle(look);
        Vec::new()
    }

    fn wheel(&mut self, at: Position, rows: isize, look: &Look<'_>) {
        let panes = self.panes(look.area);
        match &mut self.open {
            None => self.list.wheel(rows, look.store, Pane::inner(panes.list)),
            Some(open) if panes.span.contains(at) => {
                open.tree.scroll(rows, usize::from(Pane::inner(panes.span).height));
            }
            Some(open) => open.waterfall.scroll(rows, Pane::inner(panes.spans).as_size()),
        }
    }

    fn chosen(&self, look: &Look<'_>) -> Option<(String, Value)> {
        match (&self.open, self.pane) {
            (Some(open), PaneKind::Span) => {
                open.tree.chosen(&open.span).map(|(_, value)| (json::brief(value), open.span.clone()))
            }
            (Some(open), _) => Some((open.id.clone(), look.store.value(&open.want()).clone())),
            (None, _) => self.list.selected(look.store).map(|row| (row.text("traceId").to_owned(), row.clone())),
        }
    }

    fn export(&self, look: &Look<'_>) -> Value {
        match &self.open {
            Some(open) => look.store.value(&open.want()).clone(),
            None => look.store.value(&self.list.want(0)).clone(),
        }
    }

    fn draw(&self, look: &Look<'_>, frame: &mut Frame<'_>) {
        draw::draw(self, look, frame.buffer_mut());
    }
}
