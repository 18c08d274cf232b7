//! A table of which only the rows that are seen are made.

use std::borrow::Cow;

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use super::{cursor::Cursor, text};
use crate::theme::Theme;

/// A column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    title: &'static str,
    /// Cells it needs; none for one that takes what is left.
    width: Option<u16>,
    is_right: bool,
    /// How wide the table must be for it to be shown.
    from: u16,
}

impl Column {
    /// One that takes what the others leave.
    pub(crate) const fn wide(title: &'static str) -> Self {
        Self { title, width: None, is_right: false, from: 0 }
    }

    /// One of so many cells.
    pub(crate) const fn of(title: &'static str, width: u16) -> Self {
        Self { title, width: Some(width), is_right: false, from: 0 }
    }

    /// One of numbers.
    pub(crate) const fn right(title: &'static str, width: u16) -> Self {
        Self { title, width: Some(width), is_right: true, from: 0 }
    }

    /// Left out of tables that are narrower.
    pub(crate) const fn from(mut self, width: u16) -> Self {
        self.from = width;
        self
    }
}

/// What is in one cell of a row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cell<'a> {
    text: Cow<'a, str>,
    style: Style,
}

impl<'a> Cell<'a> {
    pub(crate) fn styled(text: impl Into<Cow<'a, str>>, style: Style) -> Self {
        Self { text: text.into(), style }
    }
}

impl<'a> From<&'a str> for Cell<'a> {
    fn from(text: &'a str) -> Self {
        Self::styled(text, Style::new())
    }
}

impl From<String> for Cell<'_> {
    fn from(text: String) -> Self {
        Self::styled(text, Style::new())
    }
}

/// How the rows are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sort {
    /// An index into the columns.
    pub(crate) column: usize,
    pub(crate) is_descending: bool,
}

/// A table over an area.
#[derive(Debug)]
pub(crate) struct Table<'a> {
    pub(crate) columns: &'a [Column],
    pub(crate) total: usize,
    pub(crate) cursor: Cursor,
    pub(crate) sort: Option<Sort>,
    /// Whether keys go there.
    pub(crate) is_focused: bool,
}

/// The rows an area has room for, below the headings.
pub(crate) const fn height(area: Rect) -> usize {
    area.height.saturating_sub(1) as usize
}

impl Table<'_> {
    /// Draws the headings and the rows that are seen, which `row` makes of their numbers.
    pub(crate) fn draw<'r>(
        &self,
        theme: Theme,
        area: Rect,
        buf: &mut Buffer,
        mut row: impl FnMut(usize) -> Vec<Cell<'r>>,
    ) {
        if area.width < 3 || area.height == 0 {
            return;
        }
        let widths = self.widths(area.width);
        let column_at =
            |line: u16, buf: &mut Buffer, cells: &mut dyn FnMut(usize) -> Cell<'r>, whole: Option<Style>| {
                let mut x = area.x + 2;
                for (index, width) in widths.iter().enumerate() {
                    let Some(column) = self.columns.get(index) else { break };
                    if *width == 0 {
                        continue;
                    }
                    let cell = cells(index);
                    let clean = text::clean(&cell.text);
                    let room = usize::from(*width);
                    let text = if column.is_right { text::right(&clean, room) } else { text::left(&clean, room) };
                    buf.set_stringn(x, area.y + line, text, room, whole.unwrap_or(cell.style));
                    x += *width + 1;
                }
            };
        column_at(0, buf, &mut |index| self.heading(index, theme).into(), Some(theme.heading()));
        let window = self.cursor.window(self.total, height(area));
        for (line, index) in (1..area.height).zip(window) {
            let cells = row(index);
            let is_selected = index == self.cursor.selected;
            let whole = (is_selected && self.is_focused).then(|| theme.selected());
            if let Some(style) = whole {
                buf.set_style(Rect { y: area.y + line, height: 1, ..area }, style);
            }
            if is_selected {
                buf.set_stringn(area.x, area.y + line, theme.glyphs().selected, 1, whole.unwrap_or_default());
            }
            column_at(line, buf, &mut |index| cells.get(index).cloned().unwrap_or_default(), whole);
        }
    }

    fn heading(&self, index: usize, theme: Theme) -> String {
        let title = self.columns.get(index).map_or("", |column| column.title);
        match self.sort {
            Some(sort) if sort.column == index => {
                let arrow = if sort.is_descending { theme.glyphs().down } else { theme.glyphs().up };
                format!("{title}{arrow}")
            }
            _ => title.to_owned(),
        }
    }

    /// Returns the cells of each column; none for those that are left out.
    fn widths(&self, room: u16) -> Vec<u16> {
        let shown = |column: &&Column| room >= column.from;
        let columns = self.columns.iter().filter(shown);
        let fixed: u16 = columns.clone().map(|column| column.width.unwrap_or(0) + 1).sum();
        let wide = u16::try_from(columns.filter(|column| column.width.is_none()).count()).unwrap_or(0);
        let rest = room.saturating_sub(2).saturating_sub(fixed.saturating_sub(1));
        let mut left = room.saturating_sub(2);
        let widths = self.columns.iter().map(|column| {
            if !shown(&column) {
                return 0;
            }
            let width = column.width.unwrap_or_else(|| rest / wide.max(1)).min(left);
            left = left.saturating_sub(width + 1);
            width
        });
        widths.collect()
    }
}

/// Returns a note on where in a list one is: `3/214`.
pub(crate) fn position(cursor: Cursor, total: usize) -> String {
    if total == 0 { String::new() } else { format!("{}/{total}", cursor.selected.min(total - 1) + 1) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theme::{Depth, Palette, UNICODE};

    const COLUMNS: &[Column] = &[Column::wide("NAME"), Column::right("N", 4), Column::of("LATE", 6).from(30)];

    fn drawn(width: u16, selected: usize) -> Vec<String> {
        let area = Rect::new(0, 0, width, 4);
        let mut buf = Buffer::empty(area);
        let mut cursor = Cursor::default();
        cursor.select(selected, 100, 3);
        let sort = Some(Sort { column: 0, is_descending: false });
        let table = Table { columns: COLUMNS, total: 100, cursor, sort, is_focused: true };
        let theme = Theme::new(Palette::Dark, Depth::Plain, &UNICODE);
        table.draw(theme, area, &mut buf, |row| vec![format!("漢字 {row}").into(), row.to_string().into(), "x".into()]);
        let line = |y| (0..width).map(|x| buf[(x, y)].symbol().to_owned()).collect::<String>();
        (0..4).map(line).collect()
    }

    #[test]
    fn only_what_is_seen_is_drawn_and_columns_give_way() {
        let lines = drawn(20, 50);
        assert!(lines[0].contains("NAME▲") && !lines[0].contains("LATE"), "{lines:?}");
        assert!(lines[3].starts_with('▶') && lines[3].contains("50"), "{lines:?}");
        assert!(drawn(40, 0)[0].contains("LATE"));
    }

    #[test]
    fn any_width_is_survived() {
        for width in 0..12 {
            drawn(width.max(1), 3);
        }
    }
}
