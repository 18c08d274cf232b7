//! Where boxes and edges are.
//!
//! A workflow is made of sequences and fans only, so each part is as wide and as high as its own
//! parts say, and edges never cross. Everything in a row hangs from the line its edges run along.

use super::{Block, Graph, Node};
use crate::parts::{cursor::Move, text::width};

/// A box has a border, a name and a detail.
pub(super) const HEIGHT: usize = 4;
/// The line of a box that its edges meet.
const PORT: usize = 1;
/// Room for an edge between two boxes, and between a box and a bus.
const GAP: usize = 4;
const SHORT: usize = 3;
/// Room beside a row for the edge that comes from the row above, and for the one that leaves.
const MARGIN: usize = 2;
const LEAVE: usize = 3;
const NARROWEST: usize = 8;
const WIDEST: usize = 26;

/// Boxes and edges of a graph, from its top left.
#[derive(Debug, Default)]
pub(super) struct Layout {
    pub(super) boxes: Vec<Placed>,
    pub(super) edges: Vec<Edge>,
    /// Where an edge ends at a box.
    pub(super) heads: Vec<(usize, usize)>,
    /// What must hold for an arm: where, how much room there is, and whose condition it is.
    pub(super) labels: Vec<(usize, usize, usize, usize)>,
    pub(super) height: usize,
}

/// A node's box.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed {
    pub(super) node: usize,
    pub(super) x: usize,
    pub(super) y: usize,
    pub(super) width: usize,
}

/// A straight line, from its left or its top.
#[derive(Debug, Clone, Copy)]
pub(super) enum Edge {
    Across { x: usize, y: usize, to: usize },
    Down { x: usize, y: usize, to: usize },
}

/// How large a part is, and which of its lines edges run along.
#[derive(Clone, Copy)]
struct Extent {
    width: usize,
    height: usize,
    port: usize,
}

impl Layout {
    /// Lays a graph out in rows of some width; a part that is wider than a row fits nowhere.
    pub(super) fn of(graph: &Graph, cells: usize) -> Option<Self> {
        let mut layout = Self::default();
        let room = cells.checked_sub(MARGIN + LEAVE)?;
        let mut blocks = graph.flow.as_slice();
        let mut leaves: Option<(usize, usize)> = None;
        while !blocks.is_empty() {
            let (row, rest) = blocks.split_at(fitting(graph, blocks, room)?);
            let extent = sequence(graph, row);
            let top = if leaves.is_some() { layout.height + 1 } else { 0 };
            let port = top + extent.port;
            if let Some((x, y)) = leaves {
                // Out to the right, down between the rows, back to the left and down to this one.
                let between = layout.height;
                layout.edges.push(Edge::Across { x, y, to: x + LEAVE - 1 });
                layout.edges.push(Edge::Down { x: x + LEAVE - 1, y, to: between });
                layout.edges.push(Edge::Across { x: 0, y: between, to: x + LEAVE - 1 });
                layout.edges.push(Edge::Down { x: 0, y: between, to: port });
                layout.edges.push(Edge::Across { x: 0, y: port, to: MARGIN - 1 });
                if matches!(row.first(), Some(Block::Node(_))) {
                    layout.heads.push((MARGIN - 1, port));
                } else {
                    layout.edges.push(Edge::Across { x: 0, y: port, to: MARGIN });
                }
            }
            let end = layout.place_row(graph, row, MARGIN, port);
            layout.height = top + extent.height;
            leaves = Some((end, port));
            blocks = rest;
        }
        Some(layout)
    }

    /// Places a sequence along a line and returns where it ends.
    fn place_row(&mut self, graph: &Graph, row: &[Block], x: usize, port: usize) -> usize {
        let mut x = x;
        for (at, block) in row.iter().enumerate() {
            if at > 0 {
                // A bus is met without a head: it is no step.
                let is_node = matches!(block, Block::Node(_));
                let starts_at_bus = matches!(row.get(at - 1), Some(Block::Fan { .. }));
                let start = if starts_at_bus { x - 1 } else { x };
                self.edges.push(Edge::Across { x: start, y: port, to: x + GAP - usize::from(is_node) });
                if is_node {
                    self.heads.push((x + GAP - 1, port));
                }
                x += GAP;
            }
            x = self.place(graph, block, x, port);
        }
        x
    }

    fn place(&mut self, graph: &Graph, block: &Block, x: usize, port: usize) -> usize {
        match block {
            Block::Node(node) => {
                let width = graph.nodes.get(*node).map_or(NARROWEST, box_width);
                self.boxes.push(Placed { node: *node, x, y: port - PORT, width });
                x + width
            }
            Block::Fan { is_branch, arms } => {
                let extents: Vec<Extent> = arms.iter().map(|arm| arm_extent(graph, arm, *is_branch)).collect();
                let inner = extents.iter().map(|extent| extent.width).max().unwrap_or_default();
                let start = x + 1 + SHORT;
                let bus = start + inner + SHORT;
                let mut top = port - extents.first().map_or(PORT, |extent| extent.port);
                let mut last = port;
                for (arm, extent) in arms.iter().zip(&extents) {
                    let line = top + extent.port;
                    let is_node = matches!(arm, Block::Node(_));
                    self.edges.push(Edge::Across { x, y: line, to: start - usize::from(is_node) });
                    if let Block::Node(node) = arm {
                        self.heads.push((start - 1, line));
                        if *is_branch {
                            self.labels.push((start, line - PORT - 1, inner + SHORT, *node));
                        }
                    }
                    let end = self.place(graph, arm, start, line);
                    self.edges.push(Edge::Across { x: if is_node { end } else { end - 1 }, y: line, to: bus });
                    last = line;
                    top += extent.height + usize::from(!is_branch);
                }
                self.edges.push(Edge::Down { x, y: port, to: last });
                self.edges.push(Edge::Down { x: bus, y: port, to: last });
                bus + 1
            }
        }
    }

    /// Returns the node whose box is somewhere.
    pub(super) fn at(&self, x: usize, y: usize) -> Option<usize> {
        let is_in = |placed: &&Placed| {
            (placed.x..placed.x + placed.width).contains(&x) && (placed.y..placed.y + HEIGHT).contains(&y)
        };
        self.boxes.iter().find(is_in).map(|placed| placed.node)
    }

    /// Returns the node that is next in a direction; at the end of a row, the one that follows.
    pub(super) fn next(&self, from: usize, to: Move, height: usize) -> Option<usize> {
        let Some(at) = self.boxes.iter().position(|placed| placed.node == from) else {
            return self.boxes.first().map(|placed| placed.node);
        };
        let found = match to {
            Move::Top => self.boxes.first(),
            Move::Bottom => self.boxes.last(),
            Move::Left => self.beside(at, false).or_else(|| self.boxes.get(at.checked_sub(1)?)),
            Move::Right => self.beside(at, true).or_else(|| self.boxes.get(at + 1)),
            Move::Up => self.above_or_below(at, 1, false),
            Move::Down => self.above_or_below(at, 1, true),
            Move::HalfUp => self.above_or_below(at, height / 2, false),
            Move::HalfDown => self.above_or_below(at, height / 2, true),
            Move::PageUp => self.above_or_below(at, height, false),
            Move::PageDown => self.above_or_below(at, height, true),
        };
        found.map(|placed| placed.node)
    }

    /// Returns the nearest box to one side whose lines are partly those of a box.
    fn beside(&self, at: usize, is_right: bool) -> Option<&Placed> {
        let here = self.boxes.get(at)?;
        let others = self.boxes.iter().filter(|other| {
            let is_level = other.y < here.y + HEIGHT && here.y < other.y + HEIGHT;
            is_level && if is_right { other.x > here.x } else { other.x < here.x }
        });
        others.min_by_key(|other| (other.x.abs_diff(here.x), other.y.abs_diff(here.y)))
    }

    /// Returns the box nearest to so many lines away; the last in that direction if there are not as many.
    fn above_or_below(&self, at: usize, lines: usize, is_below: bool) -> Option<&Placed> {
        let here = self.boxes.get(at)?;
        let (middle, lines) = (here.x + here.width / 2, lines.max(1));
        let others = self.boxes.iter().filter(|other| if is_below { other.y > here.y } else { other.y < here.y });
        others.min_by_key(|other| {
            let away = other.y.abs_diff(here.y);
            // What is short of the distance is taken only where nothing is beyond.
            let missing = if away < lines { lines - away + usize::MAX / 2 } else { away - lines };
            (missing, middle.abs_diff(other.x + other.width / 2))
        })
    }
}

/// Returns how wide a node's box is.
fn box_width(node: &Node) -> usize {
    let wide = |text: &Option<String>| text.as_deref().map_or(0, width);
    // The condition stands over the box, over its borders as well.
    let texts = [width(&node.label) + 3, width(&node.detail) + 3, wide(&node.repeats) + 4, wide(&node.condition) + 1];
    let inner = texts.into_iter().max().unwrap_or_default();
    inner.clamp(NARROWEST, WIDEST) + 2
}

/// Returns how many of the blocks fit into a row; none if not even the first does.
fn fitting(graph: &Graph, blocks: &[Block], room: usize) -> Option<usize> {
    let mut taken = 0;
    for (at, block) in blocks.iter().enumerate() {
        taken += extent(graph, block).width + if at > 0 { GAP } else { 0 };
        if taken > room {
            return (at > 0).then_some(at);
        }
    }
    Some(blocks.len())
}

fn sequence(graph: &Graph, row: &[Block]) -> Extent {
    let mut all = Extent { width: 0, height: 0, port: 0 };
    let mut below = 0;
    for (at, block) in row.iter().enumerate() {
        let extent = extent(graph, block);
        all.width += extent.width + if at > 0 { GAP } else { 0 };
        all.port = all.port.max(extent.port);
        below = below.max(extent.height - extent.port);
    }
    all.height = all.port + below;
    all
}

fn extent(graph: &Graph, block: &Block) -> Extent {
    match block {
        Block::Node(node) => {
            let width = graph.nodes.get(*node).map_or(NARROWEST, box_width);
            Extent { width, height: HEIGHT, port: PORT }
        }
        Block::Fan { is_branch, arms } => {
            let extents: Vec<Extent> = arms.iter().map(|arm| arm_extent(graph, arm, *is_branch)).collect();
            let inner = extents.iter().map(|extent| extent.width).max().unwrap_or_default();
            let between = if *is_branch { 0 } else { arms.len().saturating_sub(1) };
            Extent {
                width: inner + 2 * (SHORT + 1),
                height: extents.iter().map(|extent| extent.height).sum::<usize>() + between,
                port: extents.first().map_or(PORT, |extent| extent.port),
            }
        }
    }
}

/// An arm of a branch has a line for its condition.
fn arm_extent(graph: &Graph, arm: &Block, is_branch: bool) -> Extent {
    let arm = extent(graph, arm);
    let line = usize::from(is_branch);
    Extent { height: arm.height + line, port: arm.port + line, ..arm }
}
