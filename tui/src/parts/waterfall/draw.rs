//! The rows of a waterfall and of a tree.

use ratatui::{
    buffer::Buffer,
    layout::{Rect, Size},
    style::Style,
};

use super::{Span, Spans, View, Waterfall};
use crate::{
    parts::text::{count, duration, fit, left, right, width},
    theme::Theme,
};

/// Below this there are names and bars only, and below the other no bars.
const NARROW: u16 = 70;
const TINY: u16 = 24;
const TOKENS: usize = 7;
const TIME: usize = 9;

/// Where the columns are.
struct Columns {
    name: usize,
    tokens: usize,
    bars: usize,
}

impl Columns {
    fn of(cells: u16) -> Self {
        let all = usize::from(cells);
        if cells < TINY {
            return Self { name: all, tokens: 0, bars: 0 };
        }
        if cells < NARROW {
            let name = all / 2;
            return Self { name, tokens: 0, bars: all - name - 1 };
        }
        let name = (all * 7 / 20).clamp(28, 56);
        Self { name, tokens: TOKENS, bars: all - name - TOKENS - 3 }
    }
}

/// Returns how many rows are seen under the heading.
pub(super) fn height(size: Size) -> usize {
    usize::from(size.height).saturating_sub(1)
}

pub(super) fn draw(waterfall: &Waterfall, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let columns = Columns::of(area.width);
    let window = waterfall.cursor.window(waterfall.rows.len(), height(area.as_size()));
    let is_tree = waterfall.view == View::Tree;
    heading(&waterfall.spans, &columns, is_tree, theme, area, buffer);
    for (y, row) in (area.y + 1..area.bottom()).zip(window) {
        let Some(&at) = waterfall.rows.get(row) else { continue };
        let Some(span) = waterfall.spans.get(at) else { continue };
        let mut pen = Pen { x: area.x, y, right: area.right(), buffer };
        let is_chosen = row == waterfall.cursor.selected;
        let room = if is_tree { (columns.name * 3 / 2).min(usize::from(area.width)) } else { columns.name };
        name(waterfall, at, span, is_chosen, room, theme, &mut pen);
        if is_tree {
            facts(&waterfall.spans, at, span, theme, &mut pen);
            continue;
        }
        if columns.tokens > 0 {
            let tokens = waterfall.spans.tokens(at);
            let text = if tokens > 0 { count(tokens) } else { String::new() };
            pen.put(&format!("{} ", right(&text, columns.tokens)), theme.quiet());
        }
        if columns.bars > 0 {
            pen.put(" ", Style::new());
            bar(&waterfall.spans, at, span, columns.bars, theme, &mut pen);
        }
    }
}

/// Writes along a row.
struct Pen<'a> {
    x: u16,
    y: u16,
    right: u16,
    buffer: &'a mut Buffer,
}

impl Pen<'_> {
    fn put(&mut self, text: &str, style: Style) {
        let room = usize::from(self.right.saturating_sub(self.x));
        if room > 0 {
            self.x = self.buffer.set_stringn(self.x, self.y, text, room, style).0;
        }
    }
}

fn heading(spans: &Spans, columns: &Columns, is_tree: bool, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let style = theme.heading();
    let mut pen = Pen { x: area.x, y: area.y, right: area.right(), buffer };
    if is_tree {
        let room = (columns.name * 3 / 2).min(usize::from(area.width));
        pen.put(&left("    SPAN", room), style);
        pen.put(&format!("{} {}  STATE", right("TIME", TIME), right("TOK", TOKENS)), style);
        return;
    }
    pen.put(&left("    SPAN", columns.name), style);
    if columns.tokens > 0 {
        pen.put(&format!("{} ", right("TOK", columns.tokens)), style);
    }
    if columns.bars > 0 {
        pen.put(" ", style);
        pen.put(&axis(spans.total_ms(), columns.bars), theme.quiet());
    }
}

/// Returns marks of time in so many cells, a round step apart, with the whole at the end.
#[expect(clippy::cast_precision_loss, reason = "a terminal has not that many cells")]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of the cells")]
pub(super) fn axis(total_ms: f64, cells: usize) -> String {
    let end = duration(total_ms);
    if cells <= width(&end) + 2 || total_ms <= 0.0 {
        return right(&end, cells);
    }
    let most = (cells / 12).max(1);
    let mut step = 10_f64.powf((total_ms / most as f64).log10().floor());
    if !step.is_normal() {
        return right(&end, cells);
    }
    while total_ms / step > most as f64 {
        step *= if total_ms / (step * 2.0) <= most as f64 { 2.0 } else { 5.0 };
    }
    let mut text = "0".to_owned();
    let mut at = step;
    let last = cells - width(&end);
    while at < total_ms {
        let place = (at / total_ms * cells as f64) as usize;
        let mark = duration(at);
        if place + width(&mark) + 1 >= last {
            break;
        }
        if place > width(&text) {
            text = left(&text, place);
            text.push_str(&mark);
        }
        at += step;
    }
    format!("{}{end}", left(&text, last))
}

fn name(waterfall: &Waterfall, at: usize, span: &Span, is_chosen: bool, room: usize, theme: Theme, pen: &mut Pen<'_>) {
    let glyphs = theme.glyphs();
    let fold = match (waterfall.spans.has_children(at), waterfall.is_folded(at)) {
        (true, true) => glyphs.folded,
        (true, false) => glyphs.unfolded,
        (false, _) => glyphs.leaf,
    };
    let (state, look) = theme.state(&span.state);
    let is_plain = matches!(span.state.as_str(), "success" | "ok");
    let indent = waterfall.spans.depth(at).min(room / 2);
    pen.put(if is_chosen { glyphs.selected } else { " " }, theme.accent());
    pen.put(if is_plain { " " } else { state }, look);
    pen.put(&format!("{}{fold} ", " ".repeat(indent)), theme.quiet());
    let room = room.saturating_sub(indent + 4);
    let style = if waterfall.folded.is_empty() || !waterfall.is_folded(at) { Style::new() } else { theme.heading() };
    let style = if span.is_error() { theme.bad() } else { style };
    let style = if span.has(&waterfall.query) { theme.hit() } else { style };
    let style = if is_chosen { theme.selected().patch(theme.heading()) } else { style };
    let text = fit(&span.name, room);
    pen.put(&text, style);
    pen.put(&" ".repeat(room.saturating_sub(width(&text))), Style::new());
}

fn facts(spans: &Spans, at: usize, span: &Span, theme: Theme, pen: &mut Pen<'_>) {
    let tokens = spans.tokens(at);
    let tokens = if tokens > 0 { count(tokens) } else { String::new() };
    let (_, look) = theme.state(&span.state);
    pen.put(&format!("{} ", right(&duration(spans.took(at)), TIME)), Style::new());
    pen.put(&format!("{}  ", right(&tokens, TOKENS)), theme.quiet());
    pen.put(&span.state, look);
    pen.put(&format!("  {}", span.kind), theme.quiet());
    if !span.detail.is_empty() {
        let room = usize::from(pen.right.saturating_sub(pen.x)).saturating_sub(2);
        pen.put(&format!("  {}", fit(&span.detail, room)), look);
    }
}

/// Returns how a span's time looks.
pub(super) fn look(span: &Span, theme: Theme) -> Style {
    match span.kind.as_str() {
        _ if span.is_error() => theme.bad(),
        _ if span.ended_ms.is_none() => theme.accent(),
        kind if kind.starts_with("model") => theme.name(),
        kind if kind.contains("tool") => theme.good(),
        _ => theme.quiet(),
    }
}

fn bar(spans: &Spans, at: usize, span: &Span, cells: usize, theme: Theme, pen: &mut Pen<'_>) {
    let glyphs = theme.glyphs();
    let (from, first, to) = spans.cells(at, cells);
    let mut label = duration(spans.took(at));
    if span.ended_ms.is_none() {
        label.push_str(" so far");
    }
    if !span.detail.is_empty() {
        label = format!("{label} {}", span.detail);
    }
    let text = if span.is_error() { theme.bad() } else { theme.quiet() };
    // What there is to say stands on the side with more room.
    let (before, after) = (from, cells - to);
    let is_after = after > width(&label) || after >= before;
    if is_after {
        pen.put(&" ".repeat(from), Style::new());
    } else {
        pen.put(&format!("{} ", right(&label, from.saturating_sub(1))), text);
    }
    pen.put(&glyphs.waiting.repeat(first - from), theme.quiet());
    pen.put(&glyphs.bar.repeat(to - first), look(span, theme));
    if is_after && after > 2 {
        pen.put(&format!(" {}", fit(&label, after - 1)), text);
    }
}
