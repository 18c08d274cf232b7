//! Styled text broken into lines by the cells it takes.

use std::ops::Range;

use ratatui::{
    style::Style,
    text::{Line, Span},
};
use unicode_segmentation::UnicodeSegmentation;

use crate::parts::text::width;

/// Text of several looks, one after another.
#[derive(Debug, Clone, Default)]
pub(super) struct Flow {
    text: String,
    /// Where in the text each look ends.
    looks: Vec<(usize, Style)>,
}

impl Flow {
    /// Adds text that has been made harmless; a line feed ends a line.
    pub(super) fn push(&mut self, text: &str, style: Style) {
        if text.is_empty() {
            return;
        }
        self.text.push_str(text);
        match self.looks.last_mut() {
            Some((end, last)) if *last == style => *end = self.text.len(),
            _ => self.looks.push((self.text.len(), style)),
        }
    }

    /// Adds all of this to another.
    pub(super) fn add_to(&self, other: &mut Self) {
        let mut start = 0;
        for &(end, style) in &self.looks {
            other.push(self.text.get(start..end).unwrap_or_default(), style);
            start = end;
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Returns how many cells its longest line takes when nothing breaks it.
    pub(super) fn width(&self) -> usize {
        self.text.lines().map(cells_of).max().unwrap_or_default()
    }

    /// Returns its lines, none wider than so many cells where two are given.
    pub(super) fn lines(&self, cells: usize) -> Vec<Line<'static>> {
        lines_of(&self.text, cells).into_iter().map(|range| self.cut(range)).collect()
    }

    fn cut(&self, range: Range<usize>) -> Line<'static> {
        let mut spans = Vec::new();
        let mut start = 0;
        for &(end, style) in &self.looks {
            let piece = start.max(range.start)..end.min(range.end);
            if piece.start < piece.end {
                let text = self.text.get(piece).unwrap_or_default();
                spans.push(Span::styled(text.to_owned(), style));
            }
            start = end;
        }
        Line::from(spans)
    }
}

/// Returns how many cells a text takes as a terminal places it, one grapheme after another.
pub(super) fn cells_of(text: &str) -> usize {
    text.graphemes(true).map(width).sum()
}

/// Returns where each line of a text is, without the spaces around it that a break leaves.
///
/// A line may end after a space and at a wide character; a word that is longer than a line is cut.
fn lines_of(text: &str, cells: usize) -> Vec<Range<usize>> {
    let cells = cells.max(1);
    let mut lines = Vec::new();
    let mut start = 0;
    let mut taken = 0;
    let mut chance = 0;
    let mut is_broken = false;
    for (at, grapheme) in text.grapheme_indices(true) {
        let end = at + grapheme.len();
        if grapheme.ends_with('\n') {
            lines.push(trimmed(text, start..at));
            (start, taken, chance, is_broken) = (end, 0, end, false);
            continue;
        }
        let wide = width(grapheme);
        let is_space = grapheme.trim().is_empty();
        if is_space && is_broken && taken == 0 {
            (start, chance) = (end, end);
            continue;
        }
        if wide > 1 {
            chance = at;
        }
        while taken + wide > cells && taken > 0 {
            let next = match (is_space, chance > start) {
                (true, _) => end,
                (false, true) => chance,
                (false, false) => at,
            };
            lines.push(trimmed(text, start..next.min(at)));
            start = next;
            taken = text.get(start.min(at)..at).map_or(0, cells_of);
            is_broken = true;
            if is_space {
                taken = 0;
                break;
            }
        }
        if start < end {
            taken += wide;
        }
        if is_space || wide > 1 || start >= end {
            chance = end;
        }
    }
    lines.push(trimmed(text, start.min(text.len())..text.len()));
    lines
}

fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let kept = text.get(range.clone()).unwrap_or_default().trim_end().len();
    range.start..range.start + kept
}
