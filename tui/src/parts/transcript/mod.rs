//! A conversation: what was said, thought and called, and what is still coming.
//!
//! Lines are made in [`Transcript::layout`], once for each item until it changes; drawing copies
//! those that are seen. While it follows, the last line is seen; else nothing that comes moves
//! what is read.

mod chunk;
pub(crate) mod item;
mod lines;
mod message;
#[cfg(test)]
mod tests;

use ratatui::{
    buffer::Buffer,
    layout::{Rect, Size},
    text::Line,
};

use self::{item::Item, lines::Entry};
use crate::{
    parts::cursor::{Cursor, Move},
    theme::Theme,
};

/// The column of the cursor, and one between.
const GUTTER: u16 = 2;

/// A conversation and what is seen of it.
#[derive(Debug, Default)]
pub(crate) struct Transcript {
    /// What the assistant is called.
    agent: String,
    entries: Vec<Entry>,
    /// The first line of each entry, and behind them how many lines there are.
    starts: Vec<usize>,
    cursor: Cursor,
    look: Option<(Size, Theme)>,
    /// The first entry whose lines may be others.
    changed: usize,
    is_paused: bool,
    /// How many lines have come since it was paused.
    unseen: usize,
    is_streaming: bool,
    /// The next chunk belongs to a new answer.
    is_new_answer: bool,
    query: String,
}

/// A line by its entry, so that it is found again when there are others before it.
#[derive(Debug, Clone, Copy, Default)]
struct Anchor {
    entry: usize,
    line: usize,
}

/// What stays when both cannot: what is seen first, or what is chosen.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hold {
    Top,
    Choice,
}

impl Transcript {
    /// Returns an empty conversation with an agent.
    pub(crate) fn new(agent: &str) -> Self {
        Self { agent: crate::parts::text::clean(agent).into_owned(), ..Self::default() }
    }

    /// Adds what came after all there is.
    pub(crate) fn push(&mut self, item: Item) {
        self.touch(self.entries.len());
        self.entries.push(Entry::new(item));
    }

    /// Adds what came before all there is; what is read stays where it is.
    pub(crate) fn prepend(&mut self, items: Vec<Item>) {
        let count = items.len();
        let (mut top, mut line) = (self.anchor(self.top()), self.anchor(self.cursor.selected));
        self.entries.splice(0..0, items.into_iter().map(Entry::new));
        top.entry += count;
        line.entry += count;
        self.changed = 0;
        self.settle(top, line, Hold::Top);
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether an answer is coming.
    #[cfg(test)]
    const fn is_streaming(&self) -> bool {
        self.is_streaming
    }

    /// Makes the lines of what has changed, for an area of this size.
    pub(crate) fn layout(&mut self, size: Size, theme: Theme) {
        let before = self.total();
        let (top, line) = (self.anchor(self.top()), self.anchor(self.cursor.selected));
        let is_same = self.look.is_some_and(|(old, look)| old.width == size.width && look == theme);
        let hold = if self.look == Some((size, theme)) { Hold::Top } else { Hold::Choice };
        if !is_same {
            self.changed = 0;
        }
        self.look = Some((size, theme));
        self.settle(top, line, hold);
        if self.is_paused && is_same {
            self.unseen += self.total().saturating_sub(before);
        }
    }

    /// Goes somewhere; at the last line it follows again.
    pub(crate) fn go(&mut self, to: Move) {
        match to {
            Move::Left if self.chosen_entry().is_some_and(|entry| entry.is_open) => return self.toggle(),
            Move::Right if self.chosen_entry().is_some_and(|entry| !entry.is_open) => return self.toggle(),
            Move::Left | Move::Right => return,
            _ => {}
        }
        self.cursor.go(to, self.total(), self.height());
        let is_down = matches!(to, Move::Down | Move::HalfDown | Move::PageDown | Move::Bottom);
        self.pause_unless(is_down && self.cursor.selected + 1 >= self.total());
    }

    /// Scrolls by so many lines as a wheel does; at the end it follows again.
    pub(crate) fn scroll(&mut self, lines: isize) {
        let (total, height) = (self.total(), self.height());
        if lines == 0 {
            return;
        }
        self.cursor.scroll(lines, total, height);
        self.pause_unless(lines > 0 && self.cursor.window(total, height).end == total);
    }

    /// Chooses a line of those that are seen, and unfolds or folds what is headed by it.
    pub(crate) fn click(&mut self, line: u16) -> bool {
        let (total, height) = (self.total(), self.height());
        let Some(row) = self.cursor.row_at(usize::from(line), total, height) else { return false };
        self.cursor.select(row, total, height);
        self.pause_unless(row + 1 == total);
        let anchor = self.anchor(row);
        if self.entries.get(anchor.entry).is_some_and(|entry| entry.is_head(anchor.line)) {
            self.toggle();
        }
        true
    }

    /// Shows the last line from now on.
    pub(crate) fn follow(&mut self) {
        self.go(Move::Bottom);
    }

    /// Says whether it follows: `FOLLOW`, `PAUSED`, `PAUSED +12`.
    pub(crate) fn status(&self) -> String {
        match (self.is_paused, self.unseen) {
            (false, _) => "FOLLOW".to_owned(),
            (true, 0) => "PAUSED".to_owned(),
            (true, lines) => format!("PAUSED +{lines}"),
        }
    }

    /// Whether the first line is chosen: nothing older is here.
    pub(crate) const fn is_at_top(&self) -> bool {
        self.cursor.selected == 0
    }

    /// Returns the item of the chosen line.
    pub(crate) fn chosen(&self) -> Option<&Item> {
        self.chosen_entry().map(|entry| &entry.item)
    }

    /// Folds or unfolds the call or the thought of the chosen line.
    pub(crate) fn toggle(&mut self) {
        let mut line = self.anchor(self.cursor.selected);
        let top = self.anchor(self.top());
        let Some(entry) = self.entries.get_mut(line.entry).filter(|entry| entry.item.is_foldable()) else { return };
        entry.is_open = !entry.is_open;
        entry.look = None;
        line.line = entry.head();
        self.is_paused = true;
        self.touch(line.entry);
        self.settle(top, line, Hold::Choice);
    }

    /// Unfolds everything, or folds everything if something is unfolded.
    pub(crate) fn toggle_all(&mut self) {
        let (top, line) = (self.anchor(self.top()), self.anchor(self.cursor.selected));
        let is_open = self.entries.iter().any(|entry| entry.is_open);
        for entry in self.entries.iter_mut().filter(|entry| entry.item.is_foldable()) {
            entry.is_open = !is_open;
            entry.look = None;
        }
        self.changed = 0;
        self.settle(top, line, Hold::Choice);
    }

    /// Marks the lines with this text, and goes to the next one.
    pub(crate) fn search(&mut self, query: &str) -> bool {
        self.query = query.to_lowercase();
        self.next_hit()
    }

    /// Goes to the next line with the text that is searched, around the end if need be.
    pub(crate) fn next_hit(&mut self) -> bool {
        let (at, total) = (self.cursor.selected, self.total());
        self.seek((at + 1..total).chain(0..total.min(at + 1)))
    }

    /// Goes to the last one before.
    pub(crate) fn previous_hit(&mut self) -> bool {
        let (at, total) = (self.cursor.selected, self.total());
        self.seek((0..at.min(total)).rev().chain((at..total).rev()))
    }

    /// Draws the lines that are seen, as of the last layout.
    pub(crate) fn draw(&self, theme: Theme, area: Rect, buffer: &mut Buffer) {
        let area = area.intersection(buffer.area);
        let gutter = GUTTER.min(area.width.saturating_sub(1));
        let window = self.cursor.window(self.total(), usize::from(area.height));
        let anchor = self.anchor(window.start);
        let entries = self.entries.iter().skip(anchor.entry);
        let lines = entries.flat_map(Entry::lines).skip(anchor.line);
        for ((y, row), line) in (area.y..area.bottom()).zip(window).zip(lines) {
            if row == self.cursor.selected && gutter > 0 {
                buffer.set_stringn(area.x, y, theme.glyphs().selected, 1, theme.accent());
            }
            buffer.set_line(area.x + gutter, y, line, area.width - gutter);
            if is_hit(line, &self.query) {
                buffer.set_style(Rect::new(area.x + gutter, y, area.width - gutter, 1), theme.hit());
            }
        }
    }

    fn seek(&mut self, rows: impl Iterator<Item = usize>) -> bool {
        let lines: Vec<&Line<'static>> = self.entries.iter().flat_map(Entry::lines).collect();
        let mut rows = rows.into_iter();
        let Some(row) = rows.find(|&row| lines.get(row).is_some_and(|line| is_hit(line, &self.query))) else {
            return false;
        };
        self.cursor.select(row, self.total(), self.height());
        self.pause_unless(false);
        true
    }

    fn total(&self) -> usize {
        self.starts.last().copied().unwrap_or_default()
    }

    fn height(&self) -> usize {
        self.look.map_or(1, |(size, _)| usize::from(size.height))
    }

    fn top(&self) -> usize {
        self.cursor.window(self.total(), self.height()).start
    }

    fn chosen_entry(&self) -> Option<&Entry> {
        self.entries.get(self.anchor(self.cursor.selected).entry)
    }

    fn pause_unless(&mut self, follows: bool) {
        self.is_paused = !follows;
        if follows {
            self.unseen = 0;
        }
    }

    fn touch(&mut self, entry: usize) {
        self.changed = self.changed.min(entry);
    }

    fn anchor(&self, line: usize) -> Anchor {
        let entry = self.starts.partition_point(|&start| start <= line).saturating_sub(1);
        let entry = entry.min(self.entries.len().saturating_sub(1));
        Anchor { entry, line: line.saturating_sub(self.starts.get(entry).copied().unwrap_or_default()) }
    }

    fn line_of(&self, anchor: Anchor) -> usize {
        let start = self.starts.get(anchor.entry).copied().unwrap_or_default();
        let lines = self.entries.get(anchor.entry).map_or(0, Entry::len);
        start + anchor.line.min(lines.saturating_sub(1))
    }

    /// Makes lines from the first changed entry on, and sees and chooses again what was seen and chosen.
    fn settle(&mut self, top: Anchor, line: Anchor, hold: Hold) {
        let Some((size, theme)) = self.look else { return };
        let height = usize::from(size.height);
        let width = usize::from(size.width.saturating_sub(GUTTER)).max(1);
        let from = self.changed.min(self.starts.len().saturating_sub(1)).min(self.entries.len());
        self.starts.truncate(from);
        let mut start = match from.checked_sub(1) {
            Some(last) => {
                self.starts.get(last).copied().unwrap_or_default() + self.entries.get(last).map_or(0, Entry::len)
            }
            None => 0,
        };
        let mut before = from.checked_sub(1).and_then(|last| self.entries.get(last)).map(|entry| entry.item.class());
        for entry in self.entries.iter_mut().skip(from) {
            entry.layout(before, &self.agent, width, theme);
            before = Some(entry.item.class());
            self.starts.push(start);
            start += entry.len();
        }
        self.starts.push(start);
        self.changed = self.entries.len();
        if !self.is_paused {
            self.cursor.go(Move::Bottom, start, height);
            return;
        }
        let (top, line) = (self.line_of(top), self.line_of(line));
        self.cursor.select(line, start, height);
        let moved = isize::try_from(top).unwrap_or(isize::MAX) - isize::try_from(self.top()).unwrap_or(isize::MAX);
        self.cursor.scroll(moved, start, height);
        if hold == Hold::Choice {
            self.cursor.select(line, start, height);
        }
    }
}

fn is_hit(line: &Line<'_>, query: &str) -> bool {
    !query.is_empty() && line.to_string().to_lowercase().contains(query)
}
