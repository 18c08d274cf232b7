//! A workflow's graph with the states of a run's steps: as boxes with edges where there is room,
//! as an indented list where there is not or where the list is wanted.

mod boxes;
mod layout;
mod list;
mod read;
#[cfg(test)]
mod tests;

use ratatui::{
    buffer::Buffer,
    layout::{Position, Rect, Size},
};

use self::layout::Layout;
use crate::{parts::cursor::Move, theme::Theme};

/// The narrowest area that boxes are drawn in, and the lowest.
const NARROWEST: u16 = 60;
const LOWEST: u16 = 6;

/// A workflow's steps and how they follow each other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Graph {
    nodes: Vec<Node>,
    flow: Vec<Block>,
}

/// One step, or what stands in a step's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// As in the records of a run: `outer.inner` for a step of a workflow inside.
    pub(crate) id: String,
    pub(crate) label: String,
    pub(crate) kind: Kind,
    /// Its state by its name in the API; `pending` when there is no record of it.
    pub(crate) state: String,
    /// How long it took, how often it was tried, how far it is, why it failed.
    pub(crate) detail: String,
    /// What makes it run again, or for what it runs.
    pub(crate) repeats: Option<String>,
    /// What must hold for this arm of a branch.
    pub(crate) condition: Option<String>,
    /// The steps of a workflow inside.
    inner: Vec<Block>,
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Step,
    Tool,
    Agent,
    Map,
    Sleep,
    Loop,
    Foreach,
    Workflow,
}

/// A part of a sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Block {
    /// An index into the nodes.
    Node(usize),
    /// What runs side by side, or one or more of which run.
    Fan { is_branch: bool, arms: Vec<Self> },
}

/// What is chosen and seen of a graph.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// The id of the chosen node.
    pub(crate) selected: Option<String>,
    /// How many lines are above what is seen.
    pub(crate) scroll: usize,
    /// The list is wanted even where boxes would fit.
    pub(crate) is_list: bool,
}

/// A graph in a shape for some size.
enum Shape {
    Boxes(Layout),
    List(Vec<list::Row>),
}

impl Graph {
    /// Returns a node by its id.
    pub(crate) fn node(&self, id: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.id == id)
    }

    /// Returns all nodes, those of workflows inside after the workflow.
    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Returns the first node that failed, waits or runs, in this order: what one looks for first.
    pub(crate) fn notable(&self) -> Option<&Node> {
        ["failed", "suspended", "running"]
            .iter()
            .find_map(|state| self.nodes.iter().rev().find(|node| node.state == *state))
    }

    /// Draws what is seen of it.
    pub(crate) fn draw(&self, place: &Place, theme: Theme, area: Rect, buffer: &mut Buffer) {
        let area = area.intersection(buffer.area);
        if area.is_empty() {
            return;
        }
        let selected = place.selected.as_deref().and_then(|id| self.index(id));
        match self.shape(place.is_list, area.as_size()) {
            Shape::Boxes(layout) => boxes::draw(self, &layout, selected, place.scroll, theme, area, buffer),
            Shape::List(rows) => list::draw(self, &rows, selected, place.scroll, theme, area, buffer),
        }
    }

    /// Goes to another node, as it is drawn in an area of this size, and makes it seen.
    pub(crate) fn go(&self, place: &mut Place, to: Move, size: Size) {
        let shape = self.shape(place.is_list, size);
        let from = place.selected.as_deref().and_then(|id| self.index(id));
        let next = match (&shape, from) {
            (_, None) => self.first(&shape),
            (Shape::Boxes(layout), Some(from)) => layout.next(from, to, usize::from(size.height)),
            (Shape::List(rows), Some(from)) => list::next(rows, from, to, usize::from(size.height)),
        };
        if let Some(node) = next.and_then(|next| self.nodes.get(next)) {
            place.selected = Some(node.id.clone());
        }
        self.settle(place, size);
    }

    /// Scrolls so that the chosen node is seen and nothing is beyond the end.
    pub(crate) fn settle(&self, place: &mut Place, size: Size) {
        let shape = self.shape(place.is_list, size);
        let selected = place.selected.as_deref().and_then(|id| self.index(id));
        let height = usize::from(size.height);
        if let Some((top, bottom)) = selected.and_then(|selected| shape.lines_of(selected)) {
            place.scroll = place.scroll.max((bottom + 1).saturating_sub(height)).min(top);
        }
        place.scroll = place.scroll.min(shape.height().saturating_sub(height));
    }

    /// Scrolls by so many lines as a wheel does.
    pub(crate) fn scroll(&self, place: &mut Place, lines: isize, size: Size) {
        let last = self.shape(place.is_list, size).height().saturating_sub(usize::from(size.height));
        place.scroll = place.scroll.saturating_add_signed(lines).min(last);
    }

    /// Returns the node that is drawn somewhere in an area.
    pub(crate) fn at(&self, place: &Place, position: Position, area: Rect) -> Option<&Node> {
        if !area.contains(position) {
            return None;
        }
        let x = usize::from(position.x - area.x);
        let y = usize::from(position.y - area.y) + place.scroll;
        let node = match self.shape(place.is_list, area.as_size()) {
            Shape::Boxes(layout) => layout.at(x, y)?,
            Shape::List(rows) => rows.get(y)?.node?,
        };
        self.nodes.get(node)
    }

    fn index(&self, id: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.id == id)
    }

    fn first(&self, shape: &Shape) -> Option<usize> {
        match shape {
            Shape::Boxes(layout) => layout.boxes.first().map(|placed| placed.node),
            Shape::List(rows) => rows.iter().find_map(|row| row.node),
        }
    }

    fn shape(&self, is_list: bool, size: Size) -> Shape {
        let fits = size.width >= NARROWEST && size.height >= LOWEST;
        let layout = (fits && !is_list).then(|| Layout::of(self, usize::from(size.width))).flatten();
        layout.map_or_else(|| Shape::List(list::rows(self)), Shape::Boxes)
    }
}

impl Shape {
    fn height(&self) -> usize {
        match self {
            Self::Boxes(layout) => layout.height,
            Self::List(rows) => rows.len(),
        }
    }

    /// Returns the first and the last line of a node.
    fn lines_of(&self, node: usize) -> Option<(usize, usize)> {
        match self {
            Self::Boxes(layout) => {
                let placed = layout.boxes.iter().find(|placed| placed.node == node)?;
                Some((placed.y.saturating_sub(1), placed.y + layout::HEIGHT - 1))
            }
            Self::List(rows) => {
                let row = rows.iter().position(|row| row.node == Some(node))?;
                Some((row, row))
            }
        }
    }
}
