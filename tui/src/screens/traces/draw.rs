//! How traces are drawn.

use ratatui::{buffer::Buffer, layout::Rect};
use serde_json::Value;

use super::{OpenTrace, PaneKind, Traces};
use crate::{
    json::{self, Json},
    parts::{
        pane::{Pane, say},
        table::{Cell, Column, Sort, Table, position},
        text,
    },
    screens::Look,
    store::Known,
};

const COLUMNS: &[Column] = &[
    Column::of("STATE", 11),
    Column::of("WHEN", 8),
    Column::right("TOOK", 9),
    Column::wide("NAME"),
    Column::wide("INPUT").from(100),
    Column::of("TRACE", 32).from(140),
    Column::of("THREAD", 14).from(170),
];

pub(super) fn draw(screen: &Traces, look: &Look<'_>, buf: &mut Buffer) {
    let panes = screen.panes(look.area);
    if panes.list.height > 0 {
        draw_list(screen, look, panes.list, buf);
    }
    let Some(open) = &screen.open else { return };
    if panes.spans.height > 0 {
        draw_spans(screen, open, look, panes.spans, buf);
    }
    if panes.span.height > 0 {
        draw_span(screen, open, look, panes.span, buf);
    }
}

fn draw_list(screen: &Traces, look: &Look<'_>, area: Rect, buf: &mut Buffer) {
    let theme = look.theme;
    let total = screen.list.total();
    let narrowed = if screen.text.is_empty() { String::new() } else { format!("  /{}", screen.text) };
    let title = format!("Traces{}{narrowed}", screen.list.count(look.store));
    let inner = Pane::new(&title).focused(true).note(&position(screen.list.cursor, total)).draw(theme, area, buf);
    if screen.list.blank("no traces yet: they come with runs of agents, tools and workflows", look, inner, buf) {
        return;
    }
    let table = Table {
        columns: COLUMNS,
        total,
        cursor: screen.list.cursor,
        sort: screen.list.is_reversed().then_some(Sort { column: 1, is_descending: false }),
        is_focused: true,
    };
    table.draw(theme, inner, buf, |index| match screen.list.row(look.store, index) {
        Some(trace) => row(trace, look),
        None => vec![theme.glyphs().ellipsis.into()],
    });
}

fn row<'a>(trace: &'a Value, look: &Look<'_>) -> Vec<Cell<'a>> {
    let began = trace.moment("startedAt");
    let is_over = trace.moment("endedAt").is_some();
    let state = match trace.text("status") {
        "" if is_over => "success",
        "" => "running",
        state => state,
    };
    let (glyph, style) = look.theme.state(state);
    let until = trace.moment("endedAt").unwrap_or(look.now);
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit after the point")]
    let took = began.map(|began| text::duration(until.saturating_sub(began).max(0) as f64));
    vec![
        Cell::styled(format!("{glyph} {state}"), style),
        began.map(json::clock).unwrap_or_default().into(),
        took.unwrap_or_default().into(),
        trace.text("name").into(),
        Cell::styled(trace.text("inputPreview"), look.theme.quiet()),
        trace.text("traceId").into(),
        trace.text("metadata.threadId").into(),
    ]
}

fn draw_spans(screen: &Traces, open: &OpenTrace, look: &Look<'_>, area: Rect, buf: &mut Buffer) {
    let theme = look.theme;
    let (at, all) = open.waterfall.position();
    let spans = open.waterfall.spans();
    let mut title =
        format!("Trace {}  {}  {} spans", text::start(&open.id, 8), text::duration(spans.total_ms()), spans.len());
    if spans.total_tokens() > 0 {
        title = format!("{title}  {} tokens", text::count(spans.total_tokens()));
    }
    if spans.errors() > 0 {
        title = format!("{title}  {} {} failed", theme.glyphs().failed, spans.errors());
    }
    let note = format!("{}  {at}/{all}", open.waterfall.view().name());
    let inner = Pane::new(&title).focused(screen.pane == PaneKind::Spans).note(&note).draw(theme, area, buf);
    match look.store.known(&open.want()) {
        Known::Loading => say("asking the server", theme.quiet(), inner, buf),
        Known::Failed(failure) => say(&failure.message, theme.bad(), inner, buf),
        Known::Here(_) => open.waterfall.draw(theme, inner, buf),
    }
}

fn draw_span(screen: &Traces, open: &OpenTrace, look: &Look<'_>, area: Rect, buf: &mut Buffer) {
    let theme = look.theme;
    let title = open.waterfall.chosen().map_or("span", |span| span.name.as_str());
    let (at, all) = open.tree.position();
    let is_focused = screen.pane == PaneKind::Span;
    let inner = Pane::new(title).focused(is_focused).note(&format!("{at}/{all}")).draw(theme, area, buf);
    open.tree.draw(&open.span, theme, inner, buf, is_focused);
}
