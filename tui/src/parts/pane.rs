//! The frame around a part of the screen.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::Style,
    text::{Line, Span},
    widgets::{Block, Widget},
};

use super::text;
use crate::theme::Theme;

/// A frame with a title, and a note at its bottom right.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pane {
    title: String,
    note: String,
    note_style: Style,
    is_focused: bool,
}

impl Pane {
    pub(crate) fn new(title: &str) -> Self {
        Self { title: text::clean(title).into_owned(), ..Self::default() }
    }

    /// Whether keys go there.
    pub(crate) const fn focused(mut self, is_focused: bool) -> Self {
        self.is_focused = is_focused;
        self
    }

    /// What is said at its foot.
    pub(crate) fn note(mut self, note: &str) -> Self {
        self.note = text::clean(note).into_owned();
        self
    }

    /// How that looks.
    pub(crate) const fn note_style(mut self, style: Style) -> Self {
        self.note_style = style;
        self
    }

    /// Returns what is inside the frame.
    pub(crate) const fn inner(area: Rect) -> Rect {
        Rect {
            x: area.x.saturating_add(if area.width > 1 { 1 } else { area.width }),
            y: area.y.saturating_add(if area.height > 1 { 1 } else { area.height }),
            width: area.width.saturating_sub(2),
            height: area.height.saturating_sub(2),
        }
    }

    /// Draws it, and returns what is inside.
    pub(crate) fn draw(&self, theme: Theme, area: Rect, buf: &mut Buffer) -> Rect {
        let room = usize::from(area.width).saturating_sub(4);
        let mut block = Block::bordered().border_set(theme.glyphs().border).border_style(theme.border(self.is_focused));
        if !self.title.is_empty() && room > 0 {
            let style = if self.is_focused { theme.heading().patch(theme.accent()) } else { theme.heading() };
            let title = format!(" {} ", text::fit(&self.title, room));
            block = block.title_top(Line::from(Span::styled(title, style)));
        }
        if !self.note.is_empty() && room > 0 {
            let note = format!(" {} ", text::fit(&self.note, room));
            block = block.title_bottom(Line::from(Span::styled(note, self.note_style)).right_aligned());
        }
        block.render(area, buf);
        Self::inner(area)
    }
}

/// Writes a text, made harmless, on a line of the area, as much of it as fits. Returns the column after it.
pub(crate) fn put(buf: &mut Buffer, area: Rect, column: u16, line: u16, text: &str, style: Style) -> u16 {
    if line >= area.height || column >= area.width {
        return column;
    }
    let clean = text::clean(text);
    let room = usize::from(area.width - column);
    let (end, _) = buf.set_stringn(area.x + column, area.y + line, text::fit(&clean, room), room, style);
    end.saturating_sub(area.x)
}

/// Says something in the middle of an area: why there is nothing else.
pub(crate) fn say(words: &str, style: Style, area: Rect, buf: &mut Buffer) {
    let lines = text::wrap(words, usize::from(area.width.saturating_sub(2)));
    let height = u16::try_from(lines.len()).unwrap_or(u16::MAX).min(area.height);
    let top = (area.height - height) / 3;
    for (line, text) in (top..).zip(lines.iter().take(usize::from(height))) {
        let clean = text::clean(text);
        let wide = u16::try_from(text::width(&clean)).unwrap_or(u16::MAX);
        put(buf, area, area.width.saturating_sub(wide) / 2, line, &clean, style);
    }
}
