//! How the overview is drawn.

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use super::{Overview, active, matters, runs};
use crate::{
    json::{self, Json},
    order::Role,
    parts::{
        chart,
        pane::{Pane, put, say},
        table::{Cell, Column, Table, position},
        text,
    },
    screens::Look,
    store::Known,
    theme::Theme,
    want::Want,
};

pub(super) fn draw_server(look: &Look<'_>, area: Rect, buf: &mut Buffer) {
    let theme = look.theme;
    let inner = Pane::new("Server").draw(theme, area, buf);
    if let Known::Failed(failure) = look.store.known(&Want::Plugins) {
        return say(&failure.message, theme.bad(), inner, buf);
    }
    if look.store.known(&Want::Plugins) == Known::Loading {
        return say("asking the server", theme.quiet(), inner, buf);
    }
    // What is not known is not nothing.
    let count = |want: &Want| {
        let known = look.store.known(want).value();
        known.map_or_else(|| "?".to_owned(), |value| value.members("").count().to_string())
    };
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
        (
            "runs",
            match look.store.known(&Want::RunCounts).value() {
                Some(_) => format!("{running} running  {suspended} suspended"),
                None => "?".to_owned(),
            },
        ),
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

pub(super) fn draw_tokens(look: &Look<'_>, area: Rect, buf: &mut Buffer) {
    let theme = look.theme;
    let inner = Pane::new("Tokens since the server began").draw(theme, area, buf);
    let Some(last) = look.store.metrics.last() else {
        let unknown = look.store.unknown(&[Want::Metrics]);
        return nothing(unknown, "", theme.quiet(), theme, inner, buf);
    };
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

pub(super) fn draw_latency(look: &Look<'_>, area: Rect, buf: &mut Buffer) {
    let theme = look.theme;
    let inner = Pane::new("Time of requests").draw(theme, area, buf);
    let Some(last) = look.store.metrics.last() else {
        let unknown = look.store.unknown(&[Want::Metrics]);
        return nothing(unknown, "", theme.quiet(), theme, inner, buf);
    };
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

/// Says that there is nothing, unless it is not known whether there is.
fn nothing(unknown: Option<Known<'_>>, words: &str, style: Style, theme: Theme, area: Rect, buf: &mut Buffer) {
    match unknown {
        None => say(words, style, area, buf),
        Some(Known::Failed(failure)) => say(&failure.message, theme.bad(), area, buf),
        Some(_) => say("asking the server", theme.quiet(), area, buf),
    }
}

const MATTERS: &[Column] =
    &[Column::right("AGE", 4), Column::of("KIND", 7), Column::wide("WHAT"), Column::wide("DETAIL")];
const ACTIVE: &[Column] = &[Column::wide("WORKFLOW"), Column::of("RUN", 8), Column::right("SINCE", 6)];

impl Overview {
    pub(super) fn draw_matters(&self, look: &Look<'_>, area: Rect, buf: &mut Buffer) {
        let theme = look.theme;
        let matters = matters(look.store, look.now);
        let unknown = look.store.unknown(&[Want::Plugins, runs("suspended"), runs("failed")]);
        let title = match unknown {
            None => format!("Needs attention {}", matters.len()),
            Some(Known::Failed(failure)) => format!("Needs attention, not all known: {}", failure.message),
            Some(_) => "Needs attention".to_owned(),
        };
        let is_focused = self.focus == 0;
        let inner = Pane::new(&title).focused(is_focused).note("Enter open").draw(theme, area, buf);
        if matters.is_empty() {
            return nothing(unknown, "nothing waits for anybody", theme.good(), theme, inner, buf);
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

    pub(super) fn draw_active(&self, look: &Look<'_>, area: Rect, buf: &mut Buffer) {
        let theme = look.theme;
        let runs = active(look.store);
        let is_focused = self.focus == 1;
        let unknown = look.store.unknown(&[super::runs("running")]);
        let title = if unknown.is_none() { format!("Active runs {}", runs.len()) } else { "Active runs".to_owned() };
        let pane = Pane::new(&title).focused(is_focused).note(&position(self.cursor(1), runs.len()));
        let inner = pane.draw(theme, area, buf);
        if runs.is_empty() {
            return nothing(unknown, "nothing runs", theme.quiet(), theme, inner, buf);
        }
        let table = Table { columns: ACTIVE, total: runs.len(), cursor: self.cursor(1), sort: None, is_focused };
        table.draw(theme, inner, buf, |index| {
            let Some(run) = runs.get(index) else { return Vec::new() };
            let began = run.moment("createdAt").unwrap_or(look.now);
            vec![
                run.text("workflowId").into(),
                text::tail(run.text("runId")).into(),
                text::age(look.now.saturating_sub(began).max(0).cast_unsigned()).into(),
            ]
        });
    }

    pub(super) fn draw_events(&self, look: &Look<'_>, area: Rect, buf: &mut Buffer) {
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
