//! Where one is in a list: a bar at its right edge.

use std::ops::Range;

use ratatui::{buffer::Buffer, layout::Rect};

use crate::theme::Theme;

/// Draws which part of `total` rows is seen into the last column of an area; nothing where all of them are.
///
/// Returns the area that is left.
pub(crate) fn draw(theme: Theme, area: Rect, buf: &mut Buffer, window: &Range<usize>, total: usize) -> Rect {
    if window.len() >= total || area.width < 2 || area.height == 0 {
        return area;
    }
    let height = usize::from(area.height);
    let thumb = (window.len() * height / total).clamp(1, height);
    let hidden = total - window.len();
    let top = (window.start * (height - thumb) + hidden / 2) / hidden;
    let column = area.right() - 1;
    for (line, row) in area.rows().enumerate() {
        let (symbol, style) = if (top..top + thumb).contains(&line) {
            (theme.glyphs().bar, theme.quiet())
        } else {
            (theme.glyphs().lines.vertical, theme.quiet())
        };
        buf.set_stringn(column, row.y, symbol, 1, style);
    }
    Rect { width: area.width - 1, ..area }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theme::{ASCII, Depth, Palette};

    fn bar(window: Range<usize>, total: usize) -> String {
        let theme = Theme::new(Palette::Dark, Depth::Plain, &ASCII);
        let area = Rect::new(0, 0, 3, 5);
        let mut buf = Buffer::empty(area);
        draw(theme, area, &mut buf, &window, total);
        (0..5).filter_map(|y| buf.cell((2, y))).map(ratatui::buffer::Cell::symbol).collect()
    }

    #[test]
    fn the_thumb_is_where_the_list_is() {
        assert_eq!(bar(0..5, 5), "     ");
        assert_eq!(bar(0..5, 1000), "#||||");
        assert_eq!(bar(995..1000, 1000), "||||#");
        assert_eq!(bar(500..505, 1000), "||#||");
        assert_eq!(bar(1..6, 10), "|##||");
    }
}
