//! The levels of a trace, each in a row of its own.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    Spans,
    draw::{axis, look},
};
use crate::{
    parts::text::{fit, width},
    theme::Theme,
};

/// Returns the first level that is seen: the chosen span's is among them.
fn top(spans: &Spans, chosen: Option<usize>, area: Rect) -> usize {
    let height = usize::from(area.height).saturating_sub(1).max(1);
    let level = chosen.map_or(0, |at| spans.depth(at));
    level.saturating_sub(height / 2).min(spans.depths().saturating_sub(height))
}

/// Returns whose each cell of a level is: of the chosen span, else of the last that started.
fn owners(spans: &Spans, chosen: Option<usize>, depth: usize, cells: usize) -> Vec<Option<usize>> {
    let mut owners = vec![None; cells];
    let chosen = chosen.filter(|&at| spans.depth(at) == depth);
    for at in spans.level(depth).iter().copied().chain(chosen) {
        let (from, _, to) = spans.cells(at, cells);
        if let Some(cells) = owners.get_mut(from..to.min(cells)) {
            cells.fill(Some(at));
        }
    }
    owners
}

/// Returns the span at a cell of a line.
pub(super) fn at(spans: &Spans, chosen: Option<usize>, line: usize, x: u16, area: Rect) -> Option<usize> {
    let depth = top(spans, chosen, area) + line;
    owners(spans, chosen, depth, usize::from(area.width)).get(usize::from(x)).copied().flatten()
}

pub(super) fn draw(spans: &Spans, chosen: Option<usize>, query: &str, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let cells = usize::from(area.width);
    buffer.set_stringn(area.x, area.y, axis(spans.total_ms(), cells), cells, theme.quiet());
    let lines = &theme.glyphs().lines;
    for (y, depth) in (area.y + 1..area.bottom()).zip(top(spans, chosen, area)..spans.depths()) {
        let mut x = area.x;
        for run in owners(spans, chosen, depth, cells).chunk_by(|a, b| a == b) {
            let room = run.len();
            let start = x;
            x = x.saturating_add(u16::try_from(room).unwrap_or(u16::MAX));
            let Some((at, span)) = run.first().copied().flatten().and_then(|at| Some((at, spans.get(at)?))) else {
                continue;
            };
            let style = if span.has(query) { theme.hit() } else { look(span, theme) };
            let style = if chosen == Some(at) { theme.selected().patch(theme.heading()) } else { style };
            // Each begins with an upright line, so that neighbours are told apart without colours.
            let name = fit(&span.name, room - 1);
            let rest = (room - 1).saturating_sub(width(&name));
            let text = format!("{}{name}{}", lines.vertical, lines.horizontal.repeat(rest));
            buffer.set_stringn(start, y, text, room, style);
        }
    }
}
