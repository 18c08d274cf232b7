//! What is drawn, as text: for scripts and for tests.

use ratatui::buffer::Buffer;
#[cfg(test)]
use ratatui::layout::{Position, Rect};

use super::text;

/// Returns the text of a buffer, a line a row.
pub(crate) fn text(buf: &Buffer) -> String {
    let area = buf.area;
    let rows = area.rows().map(|row| {
        let mut line = String::new();
        // A wide character leaves the cell after it unused.
        while let Ok(x) = u16::try_from(text::width(&line))
            && x < row.width
        {
            line.push_str(buf.cell((row.x + x, row.y)).map_or(" ", ratatui::buffer::Cell::symbol));
        }
        line.trim_end().to_owned()
    });
    rows.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
/// Returns the first thing that was written outside an area, and any control character in it.
pub(crate) fn misplaced(buf: &Buffer, area: Rect) -> Option<(Position, String)> {
    let cells =
        buf.content().iter().enumerate().map(|(index, cell)| (Position::from(buf.pos_of(index)), cell.symbol()));
    let is_wrong =
        |(at, symbol): &(Position, &str)| !area.contains(*at) && *symbol != " " || symbol.chars().any(char::is_control);
    cells.into_iter().find(is_wrong).map(|(at, symbol)| (at, symbol.to_owned()))
}
