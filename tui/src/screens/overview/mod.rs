//! The server at a glance: how it does, what needs somebody, what goes on, what happened.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Position, Rect},
};
use serde_json::{Value, json};

use super::{Deed, Look, Place, Screen};
use crate::{
    json::Json,
    keymap::{Command, Scope},
    live::LiveEvent,
    parts::{
        cursor::{Cursor, Move},
        pane::Pane,
        table,
    },
    store::Store,
    want::{Query, Want},
};

mod draw;

/// The screen.
#[derive(Debug, Default)]
pub(crate) struct Overview {
    /// In what needs somebody, what goes on, what happened.
    cursors: [Cursor; 3],
    focus: usize,
    /// Whether the newest event is always chosen.
    is_paused: bool,
}

/// Something that needs somebody.
struct Matter {
    age: i64,
    kind: &'static str,
    what: String,
    state: &'static str,
    detail: String,
    place: Place,
}

fn runs(state: &str) -> Want {
    Want::Runs { query: Query::default().with("status", state), page: 0 }
}

/// How many failed runs are shown: they are never done with.
const FAILED: usize = 10;

/// Returns what needs somebody, the most urgent first.
fn matters(store: &Store, now: i64) -> Vec<Matter> {
    let mut matters = Vec::new();
    let age = |value: &Value, name: &str| value.moment(name).map_or(0, |at| now.saturating_sub(at).max(0));
    for plugin in store.value(&Want::Plugins).list("plugins") {
        let name = plugin.text("name");
        let mut add = |state: &'static str, detail: String| {
            matters.push(Matter {
                age: age(plugin, "lastError.at"),
                kind: "plugin",
                what: format!("{name} {}", plugin.text("version")),
                state,
                detail,
                place: Place::Plugin(name.to_owned()),
            });
        };
        let error = plugin.at("lastError");
        match plugin.text("state") {
            "serving" if error.is_null() => {}
            "serving" => add("failed", format!("the newest build was refused: {}", error.text("message"))),
            state @ ("disabled" | "draining") => add("disabled", format!("is {state}")),
            state => add("failed", format!("{state}: {}", error.text("message"))),
        }
        if plugin.is("process.breakerOpen") || plugin.text("process.state") == "broken" {
            add("failed", "crashed too often: reload starts it again".to_owned());
        }
        let canary = plugin.text("canary.state");
        if matches!(canary, "trying" | "waiting") {
            add("running", format!("a canary is {canary}"));
        }
    }
    for run in store.value(&runs("suspended")).list("runs") {
        let waits: Vec<&str> = run.list("waitingAt").iter().filter_map(Value::as_str).collect();
        matters.push(Matter {
            age: age(run, "updatedAt"),
            kind: "run",
            what: format!("{} {}", run.text("workflowId"), run.text("runId")),
            state: "suspended",
            detail: format!("waits for somebody at {}", waits.join(", ")),
            place: place_of(run),
        });
    }
    for run in store.value(&runs("failed")).list("runs").iter().take(FAILED) {
        matters.push(Matter {
            age: age(run, "updatedAt"),
            kind: "run",
            what: format!("{} {}", run.text("workflowId"), run.text("runId")),
            state: "failed",
            detail: "failed".to_owned(),
            place: place_of(run),
        });
    }
    matters
}

fn place_of(run: &Value) -> Place {
    Place::Run { workflow: run.text("workflowId").to_owned(), run: run.text("runId").to_owned() }
}

fn active(store: &Store) -> &[Value] {
    store.value(&runs("running")).list("runs")
}

/// The parts of the screen; those without height are not shown.
struct Panes {
    server: Rect,
    tokens: Rect,
    latency: Rect,
    matters: Rect,
    active: Rect,
    events: Rect,
}

fn panes(area: Rect) -> Panes {
    let none = Rect { height: 0, ..area };
    if area.width < 100 {
        let [server, matters, events] =
            Layout::vertical([Constraint::Length(8), Constraint::Fill(1), Constraint::Percentage(30)]).areas(area);
        return Panes { server, tokens: none, latency: none, matters, active: none, events };
    }
    let top = if area.height < 28 { 8 } else { 10 };
    let [top, middle, bottom] =
        Layout::vertical([Constraint::Length(top), Constraint::Fill(1), Constraint::Percentage(40)]).areas(area);
    let [server, tokens, latency] =
        Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1), Constraint::Fill(1)]).areas(top);
    let [active, events] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(bottom);
    Panes { server, tokens, latency, matters: middle, active, events }
}

impl Overview {
    fn total(which: usize, look: &Look<'_>) -> usize {
        match which {
            0 => matters(look.store, look.now).len(),
            1 => active(look.store).len(),
            _ => look.store.feed().len(),
        }
    }

    fn height(which: usize, look: &Look<'_>) -> usize {
        let panes = panes(look.area);
        match which {
            0 => table::height(Pane::inner(panes.matters)),
            1 => table::height(Pane::inner(panes.active)),
            _ => usize::from(Pane::inner(panes.events).height),
        }
    }

    fn cursor(&self, which: usize) -> Cursor {
        self.cursors.get(which).copied().unwrap_or_default()
    }

    fn event<'a>(&self, look: &Look<'a>) -> Option<&'a LiveEvent> {
        look.store.feed().get(self.cursor(2).selected)
    }

    fn open(&self, look: &Look<'_>) -> Vec<Deed> {
        let place = match self.focus {
            0 => matters(look.store, look.now).into_iter().nth(self.cursor(0).selected).map(|matter| matter.place),
            1 => active(look.store).get(self.cursor(1).selected).map(place_of),
            _ => self.event(look).and_then(lead),
        };
        place.map(Deed::Go).into_iter().collect()
    }
}

/// Returns where an event leads.
fn lead(event: &LiveEvent) -> Option<Place> {
    let (run, subject) = (event.run.as_deref(), event.subject.as_deref());
    match &*event.kind {
        "plugin" => event.plugin.as_deref().map(|name| Place::Plugin(name.to_owned())),
        "message" => event.thread.as_deref().map(|id| Place::Thread(id.to_owned())),
        _ if event.trace.is_some() => event.trace.as_deref().map(|id| Place::Trace(id.to_owned())),
        // What has a workflow's name is a workflow's.
        _ => match (subject, run) {
            (Some(workflow), Some(run)) => Some(Place::Run { workflow: workflow.to_owned(), run: run.to_owned() }),
            _ => None,
        },
    }
}

impl Screen for Overview {
    fn crumbs(&self, _look: &Look<'_>) -> Vec<String> {
        Vec::new()
    }

    fn scopes(&self) -> Vec<Scope> {
        vec![Scope::Overview]
    }

    fn wants(&self, _look: &Look<'_>) -> Vec<Want> {
        let mut wants = vec![Want::Plugins, Want::Agents, Want::Tools, Want::Workflows, Want::RunCounts, Want::Metrics];
        wants.extend(["suspended", "failed", "running"].map(runs));
        wants
    }

    fn command(&mut self, command: Command, look: &Look<'_>) -> Vec<Deed> {
        match command {
            Command::Go(to) => {
                let (total, height) = (Self::total(self.focus, look), Self::height(self.focus, look));
                if let Some(cursor) = self.cursors.get_mut(self.focus) {
                    cursor.go(to, total, height);
                }
                if self.focus == 2 {
                    self.is_paused = to != Move::Bottom;
                }
            }
            Command::NextPane => self.focus = (self.focus + 1) % 3,
            Command::PreviousPane => self.focus = (self.focus + 2) % 3,
            Command::Open => return self.open(look),
            Command::ToLogs => {
                let run = match self.focus {
                    1 => active(look.store).get(self.cursor(1).selected).map(|run| run.text("runId").to_owned()),
                    2 => self.event(look).and_then(|event| event.run.as_deref().map(str::to_owned)),
                    _ => None,
                };
                return run.map(|run| Deed::Go(Place::Logs(format!("run:{run}")))).into_iter().collect();
            }
            _ => {}
        }
        Vec::new()
    }

    fn settle(&mut self, look: &Look<'_>) {
        for which in 0..3 {
            let (total, height) = (Self::total(which, look), Self::height(which, look));
            let is_following = which == 2 && !self.is_paused;
            if let Some(cursor) = self.cursors.get_mut(which) {
                if is_following { cursor.go(Move::Bottom, total, height) } else { cursor.settle(total, height) }
            }
        }
    }

    fn back(&mut self) -> bool {
        std::mem::take(&mut self.is_paused)
    }

    fn click(&mut self, at: Position, look: &Look<'_>) -> Vec<Deed> {
        let panes = panes(look.area);
        for (which, pane) in [panes.matters, panes.active, panes.events].map(Pane::inner).into_iter().enumerate() {
            if !pane.contains(at) {
                continue;
            }
            self.focus = which;
            let (total, height) = (Self::total(which, look), Self::height(which, look));
            let line = usize::from(at.y - pane.y).checked_sub(usize::from(which < 2));
            if let (Some(cursor), Some(line)) = (self.cursors.get_mut(which), line)
                && let Some(row) = cursor.row_at(line, total, height)
            {
                cursor.select(row, total, height);
                self.is_paused |= which == 2;
            }
        }
        Vec::new()
    }

    fn wheel(&mut self, at: Position, rows: isize, look: &Look<'_>) {
        let panes = panes(look.area);
        for (which, pane) in [panes.matters, panes.active, panes.events].into_iter().enumerate() {
            if pane.contains(at) {
                let (total, height) = (Self::total(which, look), Self::height(which, look));
                if let Some(cursor) = self.cursors.get_mut(which) {
                    cursor.scroll(rows, total, height);
                }
                self.is_paused |= which == 2;
            }
        }
    }

    fn chosen(&self, look: &Look<'_>) -> Option<(String, Value)> {
        match self.focus {
            0 => {
                let matter = matters(look.store, look.now).into_iter().nth(self.cursor(0).selected)?;
                Some((matter.what.clone(), json!({"what": matter.what, "detail": matter.detail})))
            }
            1 => active(look.store).get(self.cursor(1).selected).map(|run| (run.text("runId").to_owned(), run.clone())),
            _ => self.event(look).map(|event| {
                let words = format!("{} {} {}", event.kind, event.what, event.text);
                (words, json!({"kind": &*event.kind, "type": &*event.what, "text": &*event.text}))
            }),
        }
    }

    fn export(&self, look: &Look<'_>) -> Value {
        let matters = matters(look.store, look.now);
        let matters = matters.iter().map(
            |matter| json!({"kind": matter.kind, "what": matter.what, "state": matter.state, "detail": matter.detail}),
        );
        let count = |want: &Want| look.store.value(want).members("").count();
        json!({
            "plugins": look.store.value(&Want::Plugins).list("plugins"),
            "agents": count(&Want::Agents),
            "tools": count(&Want::Tools),
            "workflows": count(&Want::Workflows),
            "runs": look.store.value(&Want::RunCounts),
            "needsAttention": matters.collect::<Vec<_>>(),
            "activeRuns": active(look.store),
        })
    }

    fn draw(&self, look: &Look<'_>, frame: &mut Frame<'_>) {
        let panes = panes(look.area);
        let buf = frame.buffer_mut();
        draw::draw_server(look, panes.server, buf);
        if panes.tokens.height > 0 {
            draw::draw_tokens(look, panes.tokens, buf);
            draw::draw_latency(look, panes.latency, buf);
        }
        self.draw_matters(look, panes.matters, buf);
        if panes.active.height > 0 {
            self.draw_active(look, panes.active, buf);
        }
        self.draw_events(look, panes.events, buf);
    }
}
