//! The spans of a trace: as a waterfall, as a flame, as a tree.

mod draw;
mod flame;
mod spans;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use ratatui::{
    buffer::Buffer,
    layout::{Position, Rect, Size},
};

pub(crate) use self::spans::{Span, Spans};
use crate::{
    parts::cursor::{Cursor, Move},
    theme::Theme,
};

/// How spans are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum View {
    /// A span a row, in time.
    #[default]
    Waterfall,
    /// A level a row, in time.
    Flame,
    /// A span a row, with what there is to say of it.
    Tree,
}

impl View {
    /// Returns the view that follows.
    pub(crate) const fn next(self) -> Self {
        match self {
            Self::Waterfall => Self::Flame,
            Self::Flame => Self::Tree,
            Self::Tree => Self::Waterfall,
        }
    }

    /// Returns what it is called.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Waterfall => "waterfall",
            Self::Flame => "flame",
            Self::Tree => "tree",
        }
    }
}

/// Spans, what is chosen and folded of them, and how they are shown.
#[derive(Debug, Clone, Default)]
pub(crate) struct Waterfall {
    spans: Spans,
    folded: HashSet<String>,
    /// The spans that no fold hides, in order.
    rows: Vec<usize>,
    cursor: Cursor,
    view: View,
    query: String,
}

impl Waterfall {
    /// Shows other spans, or more of the same: what is chosen and folded stays so where it still is.
    pub(crate) fn set(&mut self, spans: Spans) {
        let chosen = self.chosen().map(|span| span.id.clone());
        self.spans = spans;
        self.fold();
        if let Some(at) = chosen.and_then(|id| self.spans.position(&id)) {
            self.reveal(at);
        }
    }

    /// Returns the chosen span.
    pub(crate) fn chosen(&self) -> Option<&Span> {
        self.spans.get(self.chosen_at()?)
    }

    /// Returns the spans.
    pub(crate) const fn spans(&self) -> &Spans {
        &self.spans
    }

    /// Returns the row that is chosen, counted from one, and how many there are.
    pub(crate) fn position(&self) -> (usize, usize) {
        let total = self.rows.len();
        ((self.cursor.selected + 1).min(total), total)
    }

    pub(crate) const fn view(&self) -> View {
        self.view
    }

    pub(crate) const fn show(&mut self, view: View) {
        self.view = view;
    }

    /// Goes somewhere, as it is drawn in an area of this size.
    ///
    /// To the left is a fold or the parent, to the right what a fold hides or the first child; in
    /// a flame they are the neighbours of the level, and up and down are parent and child.
    pub(crate) fn go(&mut self, to: Move, size: Size) {
        let Some(at) = self.chosen_at() else { return };
        if self.view == View::Flame {
            let next = match to {
                Move::Up | Move::HalfUp | Move::PageUp => self.spans.parent(at),
                Move::Down | Move::HalfDown | Move::PageDown => self.spans.longest_child(at),
                Move::Left => self.spans.beside(at, -1),
                Move::Right => self.spans.beside(at, 1),
                Move::Top => Some(0),
                Move::Bottom => self.spans.deepest(),
            };
            if let Some(next) = next {
                self.reveal(next);
            }
            return;
        }
        let is_folded = self.is_folded(at);
        match to {
            Move::Left if self.spans.has_children(at) && !is_folded => self.toggle(),
            Move::Left => {
                if let Some(parent) = self.spans.parent(at) {
                    self.reveal(parent);
                }
            }
            Move::Right if is_folded => self.toggle(),
            Move::Right if self.spans.has_children(at) => self.reveal(at + 1),
            _ => {}
        }
        self.cursor.go(to, self.rows.len(), draw::height(size));
    }

    /// Scrolls by so many rows as a wheel does.
    pub(crate) fn scroll(&mut self, rows: isize, size: Size) {
        if self.view != View::Flame {
            self.cursor.scroll(rows, self.rows.len(), draw::height(size));
        }
    }

    /// Chooses what is drawn somewhere in an area, and says whether there is anything.
    pub(crate) fn click(&mut self, position: Position, area: Rect) -> bool {
        if !area.contains(position) || position.y == area.y {
            return false;
        }
        let line = usize::from(position.y - area.y - 1);
        if self.view == View::Flame {
            let chosen = self.chosen_at();
            let Some(at) = flame::at(&self.spans, chosen, line, position.x - area.x, area) else { return false };
            self.reveal(at);
            return true;
        }
        let height = draw::height(area.as_size());
        let Some(row) = self.cursor.row_at(line, self.rows.len(), height) else { return false };
        self.cursor.select(row, self.rows.len(), height);
        true
    }

    /// Folds or unfolds the chosen span.
    pub(crate) fn toggle(&mut self) {
        let Some(at) = self.chosen_at().filter(|&at| self.spans.has_children(at)) else { return };
        let Some(id) = self.spans.get(at).map(|span| span.id.clone()) else { return };
        if !self.folded.remove(&id) {
            self.folded.insert(id);
        }
        self.fold();
        self.reveal(at);
    }

    /// Folds everything below the roots, or unfolds everything if something is folded.
    pub(crate) fn toggle_all(&mut self) {
        let at = self.chosen_at();
        if self.folded.is_empty() {
            let with_children = (0..self.spans.len()).filter(|&at| self.spans.has_children(at));
            self.folded = with_children.filter_map(|at| Some(self.spans.get(at)?.id.clone())).collect();
            self.fold();
            let root = at.map(|at| self.spans.root(at));
            if let Some(row) = root.and_then(|root| self.rows.binary_search(&root).ok()) {
                self.cursor.selected = row;
            }
        } else {
            self.folded.clear();
            self.fold();
            if let Some(at) = at {
                self.reveal(at);
            }
        }
    }

    /// Goes to the next span that failed, around the end if need be, and says whether there is one.
    pub(crate) fn next_error(&mut self) -> bool {
        self.seek(Span::is_error, Spans::after)
    }

    /// Goes to the last one before.
    pub(crate) fn previous_error(&mut self) -> bool {
        self.seek(Span::is_error, Spans::before)
    }

    /// Marks what has this text in it, and goes to the first such span from the chosen one on.
    pub(crate) fn search(&mut self, query: &str) -> bool {
        self.query = query.to_lowercase();
        let is_hit = self.chosen().is_some_and(|span| span.has(&self.query));
        is_hit || self.next_hit()
    }

    /// Goes to the next span with the text that is searched.
    pub(crate) fn next_hit(&mut self) -> bool {
        let query = self.query.clone();
        self.seek(|span| span.has(&query), Spans::after)
    }

    /// Goes to the last one before.
    pub(crate) fn previous_hit(&mut self) -> bool {
        let query = self.query.clone();
        self.seek(|span| span.has(&query), Spans::before)
    }

    /// Draws what is seen.
    pub(crate) fn draw(&self, theme: Theme, area: Rect, buffer: &mut Buffer) {
        let area = area.intersection(buffer.area);
        if area.is_empty() {
            return;
        }
        match self.view {
            View::Flame => flame::draw(&self.spans, self.chosen_at(), &self.query, theme, area, buffer),
            View::Waterfall | View::Tree => draw::draw(self, theme, area, buffer),
        }
    }

    fn chosen_at(&self) -> Option<usize> {
        self.rows.get(self.cursor.selected.min(self.rows.len().saturating_sub(1))).copied()
    }

    fn is_folded(&self, at: usize) -> bool {
        !self.folded.is_empty() && self.spans.get(at).is_some_and(|span| self.folded.contains(&span.id))
    }

    /// Finds the rows again.
    fn fold(&mut self) {
        self.rows.clear();
        let mut at = 0;
        while at < self.spans.len() {
            self.rows.push(at);
            at = if self.is_folded(at) { self.spans.end(at) } else { at + 1 };
        }
        self.cursor.selected = self.cursor.selected.min(self.rows.len().saturating_sub(1));
    }

    /// Chooses a span, and unfolds what hides it.
    fn reveal(&mut self, at: usize) {
        if self.rows.binary_search(&at).is_err() {
            let mut above = self.spans.parent(at);
            while let Some(parent) = above {
                if let Some(span) = self.spans.get(parent) {
                    self.folded.remove(&span.id);
                }
                above = self.spans.parent(parent);
            }
            self.fold();
        }
        if let Ok(row) = self.rows.binary_search(&at) {
            self.cursor.selected = row;
        }
    }

    fn seek(&mut self, is_it: impl Fn(&Span) -> bool, order: fn(&Spans, usize) -> Vec<usize>) -> bool {
        let Some(at) = self.chosen_at() else { return false };
        let others = order(&self.spans, at);
        let found = others.into_iter().find(|&other| self.spans.get(other).is_some_and(&is_it));
        if let Some(found) = found {
            self.reveal(found);
        }
        found.is_some()
    }
}
