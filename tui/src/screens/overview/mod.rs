//! The server at a glance: how it does, what needs somebody, what goes on, what happened.

use ratatui::{
    Frame,
    buffer::Buffer,
    layout::{Constraint, Layout, Position, Rect},
    style::Style,
};
use serde_json::{Value, json};

use super::{Deed, Look, Place, Screen};
use crate::{
    json::{self, Json},
    keymap::{Command, Scope},
    live::LiveEvent,
    order::Role,
    parts::{
        chart,
        cursor::{Cursor, Move},
        pane::{Pane, put, say},
        table::{self, Cell, Column, Table, position},
        text,
    },
    store::{Known, Store},
    want::{Query, Want},
};

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
            Command::Resume => {
                let mut deeds = self.open(look);
                deeds.retain(|deed| matches!(deed, Deed::Go(Place::Run { .. })));
                return if deeds.is_empty() {
                    vec![Deed::Complain("no run that waits is chosen".into())]
                } else {
                    deeds
                };
            }
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
        draw_server(look, panes.server, buf);
        if panes.tokens.height > 0 {
            draw_tokens(look, panes.tokens, buf);
            draw_latency(look, panes.latency, buf);
        }
        self.draw_matters(look, panes.matters, buf);
        if panes.active.height > 0 {
            self.draw_active(look, panes.active, buf);
        }
        self.draw_events(look, panes.events, buf);
    }
}

fn draw_server(look: &Look<'_>, area: Rect, buf: &mut Buffer) {
    let theme = look.theme;
    let inner = Pane::new("Server").draw(theme, area, buf);
    if let Known::Failed(failure) = look.store.known(&Want::Plugins) {
        return say(&failure.message, theme.bad(), inner, buf);
    }
    if look.store.known(&Want::Plugins) == Known::Loading {
        return say("asking the server", theme.quiet(), inner, buf);
    }
    let count = |want: &Want| look.store.value(want).members("").count();
    let plugins = look.store.value(&Want::Plugins).list("plugins");
    let serving = plugins.iter().filter(|plugin| plugin.text("state") == "serving").count();
    let (mut running, mut suspended) = (0_u64, 0_u64);
    for (_, counts) in look.store.value(&Want::RunCounts).members("") {
        running += counts.whole("running").unwrap_or(0);
        suspended += counts.whole("suspended").unwrap_or(0);
    }
    let metrics = &look.store.metrics;
    let last = metrics.last().cloned().unwrap_or_default();
    let cells = usize::from(inner.width).saturating_sub(24);
    let minute = |rate: Option<f64>| rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1}"));
    let role = match look.role {
        Role::Admin => "admin",
        Role::Operator => "operator",
        Role::Viewer => "viewer",
    };
    let lines = [
        ("plugins", format!("{serving} of {} serve   role {role}", plugins.len())),
        (
            "offers",
            format!(
                "{} agents  {} tools  {} workflows",
                count(&Want::Agents),
                count(&Want::Tools),
                count(&Want::Workflows)
            ),
        ),
        ("runs", format!("{running} running  {suspended} suspended")),
        (
            "runs/min",
            format!(
                "{:<6} {}",
                minute(metrics.per_minute(|sample| sample.runs)),
                chart::sparkline(&metrics.rises(|sample| sample.runs), cells, theme)
            ),
        ),
        (
            "fails/min",
            format!(
                "{:<6} {}",
                minute(metrics.per_minute(|sample| sample.failures)),
                chart::sparkline(&metrics.rises(|sample| sample.failures), cells, theme)
            ),
        ),
        (
            "requests",
            format!(
                "{:<6} {}",
                minute(metrics.per_minute(|sample| sample.requests)),
                chart::sparkline(&metrics.rises(|sample| sample.requests), cells, theme)
            ),
        ),
        ("open", format!("{} connections  {} streams  queue {}", last.connections, last.streams, last.queue)),
        ("refused", format!("{} by limits  {} records dropped", last.limited, last.shed)),
    ];
    for (line, (name, words)) in (0..).zip(lines) {
        put(buf, inner, 1, line, name, theme.name());
        put(buf, inner, 12, line, &words, Style::new());
    }
}

fn draw_tokens(look: &Look<'_>, area: Rect, buf: &mut Buffer) {
    let theme = look.theme;
    let inner = Pane::new("Tokens since the server began").draw(theme, area, buf);
    let Some(last) = look.store.metrics.last() else { return };
    let whole = |number: f64| text::count(number_of(number));
    let words = format!("in {}   out {}", whole(last.input_tokens), whole(last.output_tokens));
    put(buf, inner, 1, 0, &words, theme.heading());
    let mut models: Vec<(&str, u64)> =
        last.models.iter().map(|(model, tokens)| (model.as_str(), number_of(*tokens))).collect();
    models.sort_by_key(|(_, tokens)| u64::MAX - tokens);
    models.truncate(usize::from(inner.height.saturating_sub(2)));
    if models.is_empty() {
        put(buf, inner, 1, 2, "no model was asked yet", theme.quiet());
    }
    let lines = chart::histogram(&models, usize::from(inner.width.saturating_sub(2)), theme);
    for (line, text) in (2..inner.height).zip(lines) {
        buf.set_line(inner.x + 1, inner.y + line, &text, inner.width.saturating_sub(2));
    }
}

fn draw_latency(look: &Look<'_>, area: Rect, buf: &mut Buffer) {
    let theme = look.theme;
    let inner = Pane::new("Time of requests").draw(theme, area, buf);
    let Some(last) = look.store.metrics.last() else { return };
    let quantile =
        |share| last.quantile(share).map_or_else(|| "-".to_owned(), |bound| format!("<{}", text::duration(bound)));
    let words = format!("p50 {}   p90 {}   p99 {}", quantile(0.5), quantile(0.9), quantile(0.99));
    put(buf, inner, 1, 0, &words, theme.heading());
    // Of each bucket what the one before does not have; neighbours together where there are too many.
    let mut before = 0.0;
    let mut rows: Vec<(String, u64)> = Vec::new();
    for (bound, count) in &last.latencies {
        let label = if bound.is_finite() { format!("<{}", text::duration(bound * 1000.0)) } else { "more".to_owned() };
        rows.push((label, number_of(count - before)));
        before = *count;
    }
    let room = usize::from(inner.height.saturating_sub(2)).max(1);
    let merge = rows.len().div_ceil(room).max(1);
    let merged: Vec<(String, u64)> = rows
        .chunks(merge)
        .filter_map(|chunk| Some((chunk.last()?.0.clone(), chunk.iter().map(|(_, count)| count).sum())))
        .collect();
    let shown: Vec<(&str, u64)> = merged.iter().map(|(label, count)| (label.as_str(), *count)).collect();
    let lines = chart::histogram(&shown, usize::from(inner.width.saturating_sub(2)), theme);
    for (line, text) in (2..inner.height).zip(lines) {
        buf.set_line(inner.x + 1, inner.y + line, &text, inner.width.saturating_sub(2));
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, which is what is meant")]
fn number_of(number: f64) -> u64 {
    number.max(0.0) as u64
}

const MATTERS: &[Column] =
    &[Column::right("AGE", 4), Column::of("KIND", 7), Column::wide("WHAT"), Column::wide("DETAIL")];
const ACTIVE: &[Column] = &[Column::wide("WORKFLOW"), Column::of("RUN", 8), Column::right("SINCE", 6)];

impl Overview {
    fn draw_matters(&self, look: &Look<'_>, area: Rect, buf: &mut Buffer) {
        let theme = look.theme;
        let matters = matters(look.store, look.now);
        let title = format!("Needs attention {}", matters.len());
        let is_focused = self.focus == 0;
        let inner = Pane::new(&title).focused(is_focused).note("Enter open   R resume").draw(theme, area, buf);
        if matters.is_empty() {
            return say("nothing waits for anybody", theme.good(), inner, buf);
        }
        let table = Table { columns: MATTERS, total: matters.len(), cursor: self.cursor(0), sort: None, is_focused };
        table.draw(theme, inner, buf, |index| {
            let Some(matter) = matters.get(index) else { return Vec::new() };
            let (glyph, style) = theme.state(matter.state);
            vec![
                text::age(matter.age.cast_unsigned()).into(),
                matter.kind.into(),
                matter.what.as_str().into(),
                Cell::styled(format!("{glyph} {}", matter.detail), style),
            ]
        });
    }

    fn draw_active(&self, look: &Look<'_>, area: Rect, buf: &mut Buffer) {
        let theme = look.theme;
        let runs = active(look.store);
        let is_focused = self.focus == 1;
        let pane = Pane::new(&format!("Active runs {}", runs.len())).focused(is_focused);
        let inner = pane.note(&position(self.cursor(1), runs.len())).draw(theme, area, buf);
        if runs.is_empty() {
            return say("nothing runs", theme.quiet(), inner, buf);
        }
        let table = Table { columns: ACTIVE, total: runs.len(), cursor: self.cursor(1), sort: None, is_focused };
        table.draw(theme, inner, buf, |index| {
            let Some(run) = runs.get(index) else { return Vec::new() };
            let began = run.moment("createdAt").unwrap_or(look.now);
            let id = run.text("runId");
            let tail = id.char_indices().rev().nth(7).map_or(0, |(at, _)| at);
            vec![
                run.text("workflowId").into(),
                id.get(tail..).unwrap_or(id).into(),
                text::age(look.now.saturating_sub(began).max(0).cast_unsigned()).into(),
            ]
        });
    }

    fn draw_events(&self, look: &Look<'_>, area: Rect, buf: &mut Buffer) {
        let theme = look.theme;
        let feed = look.store.feed();
        let (note, style) = if self.is_paused { ("PAUSED", theme.warning()) } else { ("FOLLOW", theme.good()) };
        let pane = Pane::new(&format!("Events {}", text::count(look.store.events)));
        let inner = pane.focused(self.focus == 2).note(note).note_style(style).draw(theme, area, buf);
        if feed.is_empty() {
            return say("nothing happened since this console looks", theme.quiet(), inner, buf);
        }
        let cursor = self.cursor(2);
        for (line, index) in (0..).zip(cursor.window(feed.len(), usize::from(inner.height))) {
            let Some(event) = feed.get(index) else { break };
            let is_chosen = self.focus == 2 && index == cursor.selected;
            let row = Rect { y: inner.y + line, height: 1, ..inner };
            let whole = is_chosen.then(|| theme.selected());
            if let Some(style) = whole {
                buf.set_style(row, style);
            }
            let style = |style: Style| whole.unwrap_or(style);
            let mut column = put(buf, row, 1, 0, &json::clock(event.time), style(theme.quiet()));
            column = put(buf, row, column + 1, 0, &event.kind, style(theme.name()));
            column = put(buf, row, column + 1, 0, &event.what, style(theme.level(&event.level)));
            let who = event.plugin.as_deref().filter(|_| &*event.kind == "plugin").or(event.subject.as_deref());
            column = put(buf, row, column + 1, 0, who.unwrap_or_default(), style(Style::new()));
            put(buf, row, column + 1, 0, &event.text, style(theme.quiet()));
        }
    }
}

#[cfg(test)]
mod tests;
