//! How runs are drawn.

use ratatui::{buffer::Buffer, layout::Rect};
use serde_json::Value;

use super::{OpenRun, PaneKind, Runs, events};
use crate::{
    json::{self, Json},
    parts::{
        pane::{Pane, say},
        table::{Cell, Column, Table, position},
        text,
    },
    screens::Look,
    store::Known,
    theme::Theme,
};

const NARROW: &[Column] = &[Column::of("", 1), Column::wide("WORKFLOW"), Column::of("RUN", 8), Column::right("AGE", 4)];
const MIDDLE: &[Column] = &[
    Column::of("STATE", 12),
    Column::wide("WORKFLOW"),
    Column::of("RUN", 8),
    Column::right("AGE", 4),
    Column::right("TOOK", 9),
    Column::wide("WAITS AT"),
];
const COLUMNS: &[Column] = &[
    Column::of("STATE", 12),
    Column::wide("WORKFLOW"),
    Column::of("RUN", 36),
    Column::right("AGE", 4),
    Column::right("TOOK", 9),
    Column::of("WAITS AT", 20).from(110),
    Column::of("RESOURCE", 14).from(130),
    Column::of("BEGAN", 19).from(150),
];

pub(super) fn draw(screen: &Runs, look: &Look<'_>, buf: &mut Buffer) {
    let panes = screen.panes(look.area);
    if panes.list.height > 0 {
        draw_list(screen, look, panes.list, buf);
    }
    let Some(open) = &screen.open else { return };
    if panes.graph.height > 0 {
        draw_graph(screen, open, look, panes.graph, buf);
    }
    if panes.step.height > 0 {
        draw_step(screen, open, look, panes.step, buf);
    }
}

fn draw_list(screen: &Runs, look: &Look<'_>, area: Rect, buf: &mut Buffer) {
    let theme = look.theme;
    let total = screen.list.total();
    let mut title = format!("Runs{}", screen.list.count(look.store));
    if !screen.state.is_empty() {
        title = format!("{title}  {}", screen.state);
    }
    if !screen.filter.is_empty() {
        title = format!("{title}  /{}", screen.filter);
    }
    let is_focused = screen.pane == PaneKind::List;
    let pane = Pane::new(&title).focused(is_focused).note(&position(screen.list.cursor, total));
    let inner = pane.draw(theme, area, buf);
    if screen.list.blank("no runs yet: start a workflow on the screen Agents (3)", look, inner, buf) {
        return;
    }
    let columns = match inner.width {
        0..70 => NARROW,
        70..110 => MIDDLE,
        _ => COLUMNS,
    };
    let table = Table { columns, total, cursor: screen.list.cursor, sort: None, is_focused };
    table.draw(theme, inner, buf, |index| match screen.list.row(look.store, index) {
        Some(run) => row(run, look, columns),
        None => vec![theme.glyphs().ellipsis.into()],
    });
}

fn row<'a>(run: &'a Value, look: &Look<'_>, columns: &[Column]) -> Vec<Cell<'a>> {
    let state = run.text("status");
    let (glyph, style) = look.theme.state(state);
    let began = run.moment("createdAt").unwrap_or(look.now);
    let age = text::age(look.now.saturating_sub(began).max(0).cast_unsigned());
    let id = run.text("runId");
    if columns.len() == NARROW.len() {
        return vec![Cell::styled(glyph, style), run.text("workflowId").into(), text::tail(id).into(), age.into()];
    }
    let state = Cell::styled(format!("{glyph} {state}"), style);
    let waits: Vec<&str> = run.list("waitingAt").iter().filter_map(Value::as_str).collect();
    vec![
        state,
        run.text("workflowId").into(),
        (if columns.len() == MIDDLE.len() { text::tail(id) } else { id }).into(),
        age.into(),
        took(run, look).into(),
        Cell::styled(waits.join(" "), look.theme.warning()),
        run.text("resourceId").into(),
        json::date(began).into(),
    ]
}

/// Returns how long a run took, or takes by now.
fn took(run: &Value, look: &Look<'_>) -> String {
    let Some(began) = run.moment("createdAt") else { return String::new() };
    let until = match run.text("status") {
        "running" | "waiting" => Some(look.now),
        _ => run.moment("updatedAt"),
    };
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit after the point")]
    until.map(|until| text::duration(until.saturating_sub(began).max(0) as f64)).unwrap_or_default()
}

fn draw_graph(screen: &Runs, open: &OpenRun, look: &Look<'_>, area: Rect, buf: &mut Buffer) {
    let theme = look.theme;
    let record = look.store.value(&open.want());
    let state = record.text("status");
    let (glyph, style) = theme.state(state);
    let title = if state.is_empty() {
        format!("{} {}", open.workflow, text::tail(&open.run))
    } else {
        format!("{} {}  {glyph} {state}  {}", open.workflow, text::tail(&open.run), took(record, look))
    };
    let nodes = open.graph.nodes();
    let over = nodes.iter().filter(|node| matches!(node.state.as_str(), "success" | "failed" | "canceled")).count();
    let title = if nodes.is_empty() { title } else { format!("{title}  {over}/{} steps", nodes.len()) };
    let hint = if state == "suspended" { "R resume" } else { state };
    let pane = Pane::new(&title).focused(screen.pane == PaneKind::Graph).note(hint).note_style(style);
    let inner = pane.draw(theme, area, buf);
    match look.store.known(&open.want()) {
        Known::Loading => say("asking the server", theme.quiet(), inner, buf),
        Known::Failed(failure) => say(&failure.message, theme.bad(), inner, buf),
        Known::Here(_) if let Some(cursor) = open.events => events::draw(open, cursor, look, inner, buf),
        Known::Here(_) if open.graph.is_empty() => {
            say("the server knows no steps of this run", theme.quiet(), inner, buf);
        }
        Known::Here(_) => open.graph.draw(&open.place, theme, inner, buf),
    }
}

fn draw_step(screen: &Runs, open: &OpenRun, look: &Look<'_>, area: Rect, buf: &mut Buffer) {
    let theme: Theme = look.theme;
    let title = open.place.selected.as_deref().unwrap_or("run");
    let (at, all) = open.tree.position();
    let is_focused = screen.pane == PaneKind::Step;
    let inner = Pane::new(title).focused(is_focused).note(&format!("{at}/{all}")).draw(theme, area, buf);
    open.tree.draw(&open.step, theme, inner, buf, is_focused);
}
