//! Tables, in frames where they fit and as lists of fields where they do not.

use ratatui::text::{Line, Span};

use super::flow::{Flow, cells_of};
use crate::theme::Theme;

/// The narrowest a column may be.
const NARROWEST: usize = 4;

/// A table while it is read.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) head: Vec<Flow>,
    pub(super) rows: Vec<Vec<Flow>>,
}

impl Table {
    pub(super) fn lines(&self, cells: usize, theme: Theme) -> Vec<Line<'static>> {
        match self.widths(cells) {
            Some(widths) => self.framed(&widths, theme),
            None => self.listed(cells, theme),
        }
    }

    /// Returns how wide each column is, if the table fits.
    fn widths(&self, cells: usize) -> Option<Vec<usize>> {
        let columns = self.rows.iter().map(Vec::len).chain([self.head.len()]).max().filter(|&columns| columns > 0)?;
        let room = cells.checked_sub(3 * columns + 1)?;
        let mut widths = vec![1; columns];
        for row in self.rows.iter().chain([&self.head]) {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.width().max(*width);
            }
        }
        let total: usize = widths.iter().sum();
        let mut excess = total.saturating_sub(room);
        // What is too much is taken from the widest, down to the next widest, again and again.
        while excess > 0 {
            let widest = widths.iter().copied().max().filter(|&widest| widest > NARROWEST)?;
            let next = widths.iter().copied().filter(|&width| width < widest).max().unwrap_or(NARROWEST);
            let share = widths.iter().filter(|&&width| width == widest).count();
            let step = (excess.div_ceil(share)).min(widest - next.max(NARROWEST));
            for width in widths.iter_mut().filter(|width| **width == widest) {
                let cut = step.min(excess);
                *width -= cut;
                excess -= cut;
            }
        }
        Some(widths)
    }

    fn framed(&self, widths: &[usize], theme: Theme) -> Vec<Line<'static>> {
        let lines = &theme.glyphs().lines;
        let rule = |left: &str, middle: &str, right: &str| {
            let bars: Vec<String> = widths.iter().map(|&width| lines.horizontal.repeat(width + 2)).collect();
            Line::from(Span::styled(format!("{left}{}{right}", bars.join(middle)), theme.quiet()))
        };
        let mut all = vec![rule(lines.top_left, lines.below, lines.top_right)];
        all.extend(row(&self.head, widths, theme));
        all.push(rule(lines.right, lines.cross, lines.left));
        for cells in &self.rows {
            all.extend(row(cells, widths, theme));
        }
        all.push(rule(lines.bottom_left, lines.above, lines.bottom_right));
        all
    }

    fn listed(&self, cells: usize, theme: Theme) -> Vec<Line<'static>> {
        let mut all = Vec::new();
        for row in &self.rows {
            if !all.is_empty() {
                all.push(Line::default());
            }
            for (at, cell) in row.iter().enumerate() {
                let mut field = Flow::default();
                if let Some(name) = self.head.get(at) {
                    field.push(&format!("{}: ", name.text()), theme.heading());
                }
                cell.add_to(&mut field);
                all.extend(field.lines(cells));
            }
        }
        if all.is_empty() {
            for cell in &self.head {
                all.extend(cell.lines(cells));
            }
        }
        all
    }
}

fn row(cells: &[Flow], widths: &[usize], theme: Theme) -> Vec<Line<'static>> {
    let empty = Flow::default();
    let columns: Vec<Vec<Line<'static>>> =
        widths.iter().enumerate().map(|(at, &width)| cells.get(at).unwrap_or(&empty).lines(width)).collect();
    let height = columns.iter().map(Vec::len).max().unwrap_or(1);
    let bar = theme.glyphs().lines.vertical;
    let mut all = Vec::with_capacity(height);
    for at in 0..height {
        let mut spans = Vec::new();
        for (column, &width) in columns.iter().zip(widths) {
            spans.push(Span::styled(format!("{bar} "), theme.quiet()));
            let line = column.get(at).cloned().unwrap_or_default();
            let taken: usize = line.spans.iter().map(|span| cells_of(&span.content)).sum();
            spans.extend(line.spans);
            spans.push(Span::raw(" ".repeat(width.saturating_sub(taken) + 1)));
        }
        spans.push(Span::styled(bar, theme.quiet()));
        all.push(Line::from(spans));
    }
    all
}
