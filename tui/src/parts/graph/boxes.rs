//! Draws what is seen of a layout.

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use super::{
    Graph, Node,
    layout::{Edge, HEIGHT, Layout, Placed},
};
use crate::{
    parts::text::fit,
    theme::{ASCII, Lines, Theme},
};

const UP: u8 = 1;
const DOWN: u8 = 2;
const LEFT: u8 = 4;
const RIGHT: u8 = 8;

/// A window of a layout on a buffer: everything is placed by where it is in the layout.
struct Window<'a> {
    top: usize,
    area: Rect,
    buffer: &'a mut Buffer,
}

pub(super) fn draw(
    graph: &Graph,
    layout: &Layout,
    selected: Option<usize>,
    scroll: usize,
    theme: Theme,
    area: Rect,
    buffer: &mut Buffer,
) {
    let mut window = Window { top: scroll, area, buffer };
    window.edges(layout, theme);
    let glyphs = theme.glyphs();
    for &(x, y) in &layout.heads {
        window.put(x, y, glyphs.arrow, 1, theme.quiet());
    }
    for &(x, y, room, node) in &layout.labels {
        let condition = graph.nodes.get(node).and_then(|node| node.condition.as_deref());
        if let Some(condition) = condition {
            let text = format!("if {condition}");
            window.put(x, y, &fit(&text, room), room, theme.warning());
        }
    }
    for placed in &layout.boxes {
        if window.sees(placed)
            && let Some(node) = graph.nodes.get(placed.node)
        {
            window.node(*placed, node, selected == Some(placed.node), theme);
        }
    }
}

impl Window<'_> {
    fn sees(&self, placed: &Placed) -> bool {
        placed.y < self.top + usize::from(self.area.height) && self.top < placed.y + HEIGHT
    }

    /// Returns where a place of the layout is on the buffer, if it is seen.
    fn cell(&self, x: usize, y: usize) -> Option<(u16, u16)> {
        let x = u16::try_from(x).ok().filter(|&x| x < self.area.width)?;
        let y = u16::try_from(y.checked_sub(self.top)?).ok().filter(|&y| y < self.area.height)?;
        Some((self.area.x + x, self.area.y + y))
    }

    fn put(&mut self, x: usize, y: usize, text: &str, room: usize, style: Style) {
        if let Some((x, y)) = self.cell(x, y) {
            let left = usize::from(self.area.right() - x);
            self.buffer.set_stringn(x, y, text, room.min(left), style);
        }
    }

    /// Joins the edges where they meet.
    fn edges(&mut self, layout: &Layout, theme: Theme) {
        let (width, height) = (usize::from(self.area.width), usize::from(self.area.height));
        let mut ways = vec![0_u8; width * height];
        let mut mark = |x: usize, y: usize, way: u8| {
            let y = y.checked_sub(self.top).filter(|&y| y < height && x < width);
            if let Some(cell) = y.and_then(|y| ways.get_mut(y * width + x)) {
                *cell |= way;
            }
        };
        let bottom = self.top + height;
        for edge in &layout.edges {
            match *edge {
                Edge::Across { x, y, to } if (self.top..bottom).contains(&y) => {
                    for at in x..=to {
                        mark(at, y, if at > x { LEFT } else { 0 } | if at < to { RIGHT } else { 0 });
                    }
                }
                Edge::Across { .. } => {}
                Edge::Down { x, y, to } => {
                    for at in y.max(self.top)..=to.min(bottom) {
                        mark(x, at, if at > y { UP } else { 0 } | if at < to { DOWN } else { 0 });
                    }
                }
            }
        }
        for (at, &way) in ways.iter().enumerate().filter(|&(_, &way)| way != 0) {
            let glyph = joint(way, &theme.glyphs().lines);
            self.put(at % width, self.top + at / width, glyph, 1, theme.quiet());
        }
    }

    fn node(&mut self, placed: Placed, node: &Node, is_selected: bool, theme: Theme) {
        let Placed { x, y, width, .. } = placed;
        let lines = &theme.glyphs().lines;
        let inner = width - 2;
        let (glyph, look) = theme.state(&node.state);
        let border = if is_selected { theme.accent().patch(theme.heading()) } else { look };
        let bar = lines.horizontal.repeat(inner);
        self.put(x, y, &format!("{}{bar}{}", lines.top_left, lines.top_right), width, border);
        self.put(x, y + 3, &format!("{}{bar}{}", lines.bottom_left, lines.bottom_right), width, border);
        for row in [y + 1, y + 2] {
            self.put(x, row, lines.vertical, 1, border);
            self.put(x + 1, row, &" ".repeat(inner), inner, Style::new());
            self.put(x + width - 1, row, lines.vertical, 1, border);
        }
        self.put(x + 1, y + 1, glyph, 1, look);
        let label = if is_selected { theme.heading().patch(theme.selected()) } else { theme.heading() };
        self.put(x + 3, y + 1, &fit(&node.label, inner - 2), inner - 2, label);
        self.put(x + 3, y + 2, &fit(&node.detail, inner - 2), inner - 2, theme.quiet());
        if let Some(repeats) = &node.repeats {
            let text = format!(" {} {repeats} ", again(theme));
            self.put(x + 1, y + 3, &fit(&text, inner), inner, theme.accent());
        }
    }
}

/// What stands for going round.
pub(super) fn again(theme: Theme) -> &'static str {
    if *theme.glyphs() == ASCII { "@" } else { "↻" }
}

const fn joint(ways: u8, lines: &Lines) -> &'static str {
    const TOP_LEFT: u8 = DOWN | RIGHT;
    const TOP_RIGHT: u8 = DOWN | LEFT;
    const BOTTOM_LEFT: u8 = UP | RIGHT;
    const BOTTOM_RIGHT: u8 = UP | LEFT;
    const TO_RIGHT: u8 = UP | DOWN | RIGHT;
    const TO_LEFT: u8 = UP | DOWN | LEFT;
    const BELOW: u8 = LEFT | RIGHT | DOWN;
    const ABOVE: u8 = LEFT | RIGHT | UP;
    const ALL: u8 = UP | DOWN | LEFT | RIGHT;
    const UPRIGHT: u8 = UP | DOWN;
    match ways {
        UP | DOWN | UPRIGHT => lines.vertical,
        TOP_LEFT => lines.top_left,
        TOP_RIGHT => lines.top_right,
        BOTTOM_LEFT => lines.bottom_left,
        BOTTOM_RIGHT => lines.bottom_right,
        TO_RIGHT => lines.right,
        TO_LEFT => lines.left,
        BELOW => lines.below,
        ABOVE => lines.above,
        ALL => lines.cross,
        _ => lines.horizontal,
    }
}
