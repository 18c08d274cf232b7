//! The steps one under another, with what is inside them.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    text::{Line, Span},
};

use super::{Block, Graph, Kind, boxes::again};
use crate::{parts::cursor::Move, theme::Theme};

/// A line: a node, or what holds those below it.
pub(super) struct Row {
    pub(super) node: Option<usize>,
    depth: usize,
    text: &'static str,
}

pub(super) fn rows(graph: &Graph) -> Vec<Row> {
    let mut rows = Vec::new();
    add(graph, &graph.flow, 0, &mut rows);
    rows
}

fn add(graph: &Graph, blocks: &[Block], depth: usize, rows: &mut Vec<Row>) {
    for block in blocks {
        match block {
            Block::Node(node) => {
                rows.push(Row { node: Some(*node), depth, text: "" });
                if let Some(node) = graph.nodes.get(*node) {
                    add(graph, &node.inner, depth + 1, rows);
                }
            }
            Block::Fan { is_branch, arms } => {
                let text = if *is_branch { "branch" } else { "in parallel" };
                rows.push(Row { node: None, depth, text });
                add(graph, arms, depth + 1, rows);
            }
        }
    }
}

/// Returns the node some rows away; rows that are none are passed over.
pub(super) fn next(rows: &[Row], from: usize, to: Move, height: usize) -> Option<usize> {
    let nodes: Vec<usize> = rows.iter().filter_map(|row| row.node).collect();
    let at = nodes.iter().position(|&node| node == from).unwrap_or_default();
    let (page, last) = (height.max(1), nodes.len().saturating_sub(1));
    let next = match to {
        Move::Up => at.saturating_sub(1),
        Move::Down => at + 1,
        Move::HalfUp => at.saturating_sub(page.div_ceil(2)),
        Move::HalfDown => at + page.div_ceil(2),
        Move::PageUp => at.saturating_sub(page),
        Move::PageDown => at + page,
        Move::Top => 0,
        Move::Bottom => last,
        Move::Left | Move::Right => at,
    };
    nodes.get(next.min(last)).copied()
}

pub(super) fn draw(
    graph: &Graph,
    rows: &[Row],
    selected: Option<usize>,
    scroll: usize,
    theme: Theme,
    area: Rect,
    buffer: &mut Buffer,
) {
    for (y, row) in (area.y..area.bottom()).zip(rows.iter().skip(scroll)) {
        let indent = " ".repeat(2 * row.depth);
        let line = match row.node.and_then(|node| graph.nodes.get(node)) {
            None => Line::from(vec![Span::raw(format!("  {indent}")), Span::styled(row.text, theme.quiet())]),
            Some(node) => {
                let is_selected = row.node == selected;
                let (glyph, look) = theme.state(&node.state);
                let mark = if is_selected { theme.glyphs().selected } else { " " };
                let label = if is_selected { theme.heading().patch(theme.selected()) } else { theme.heading() };
                let mut spans = vec![
                    Span::styled(format!("{mark} "), theme.accent()),
                    Span::raw(indent),
                    Span::styled(format!("{glyph} "), look),
                    Span::styled(node.label.clone(), label),
                    Span::styled(format!("  {}", node.state), look),
                ];
                if let Some(word) = word(node.kind) {
                    spans.push(Span::styled(format!("  {word}"), theme.quiet()));
                }
                if let Some(repeats) = &node.repeats {
                    spans.push(Span::styled(format!("  {} {repeats}", again(theme)), theme.accent()));
                }
                if let Some(condition) = &node.condition {
                    spans.push(Span::styled(format!("  if {condition}"), theme.warning()));
                }
                spans.push(Span::styled(format!("  {}", node.detail), theme.quiet()));
                Line::from(spans)
            }
        };
        buffer.set_line(area.x, y, &line, area.width);
    }
}

const fn word(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Tool => Some("tool"),
        Kind::Agent => Some("agent"),
        Kind::Workflow => Some("workflow"),
        Kind::Step | Kind::Map | Kind::Sleep | Kind::Loop | Kind::Foreach => None,
    }
}
