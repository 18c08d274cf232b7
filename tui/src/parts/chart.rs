//! Numbers as pictures: how something went, how much of it there is, how it is spread.

use ratatui::text::{Line, Span};

use crate::{parts::text, theme::Theme};

/// Returns values as a line of so many cells, the newest at the right; of more values the newest are shown.
///
/// The highest of those shown takes the whole of its cell, and what is not nothing is never drawn as nothing.
pub(crate) fn sparkline(values: &[u64], cells: usize, theme: Theme) -> String {
    let shown = values.get(values.len().saturating_sub(cells)..).unwrap_or_default();
    let most = shown.iter().copied().max().unwrap_or(0);
    let levels = theme.glyphs().levels;
    let level = |value: &u64| {
        let last = levels.len() - 1;
        // Rounded up, so that the lowest level is for nothing alone.
        levels.get(scaled(*value, most, last)).copied().unwrap_or(" ")
    };
    let line: String = shown.iter().map(level).collect();
    format!("{}{line}", " ".repeat(cells.saturating_sub(shown.len())))
}

/// Returns a line for each of some counts: what it counts, a bar as long as its part of the highest, and the number.
pub(crate) fn histogram(counts: &[(&str, u64)], cells: usize, theme: Theme) -> Vec<Line<'static>> {
    let clean = counts.iter().map(|(label, count)| (text::clean(label), *count)).collect::<Vec<_>>();
    let label_cells = clean.iter().map(|(label, _)| text::width(label)).max().unwrap_or(0).min(cells / 2);
    let number_cells = clean.iter().map(|(_, count)| text::count(*count).len()).max().unwrap_or(0);
    let room = cells.saturating_sub(label_cells + number_cells + 2);
    let most = clean.iter().map(|(_, count)| *count).max().unwrap_or(0);
    let lines = clean.iter().map(|(label, count)| {
        let bar = theme.glyphs().bar.repeat(scaled(*count, most, room));
        let number = text::count(*count);
        let space = if bar.is_empty() { "" } else { " " };
        let used = label_cells + 1 + text::width(&bar) + space.len();
        Line::from(vec![
            Span::styled(text::left(label, label_cells), theme.quiet()),
            Span::raw(" "),
            Span::styled(bar, theme.accent()),
            Span::raw(format!("{space}{}", text::fit(&number, cells.saturating_sub(used)))),
        ])
    });
    lines.collect()
}

/// The part of `parts` that a value is of the highest one, rounded up.
fn scaled(value: u64, most: u64, parts: usize) -> usize {
    if most == 0 {
        return 0;
    }
    let part = (u128::from(value) * parts as u128).div_ceil(u128::from(most));
    usize::try_from(part).unwrap_or(parts).min(parts)
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use proptest::prelude::*;

    use super::*;
    use crate::theme::{ASCII, Depth, Palette, UNICODE};

    fn theme() -> Theme {
        Theme::new(Palette::Dark, Depth::Full, &UNICODE)
    }

    #[test]
    fn a_sparkline_ends_with_the_newest_and_reaches_its_highest() {
        assert_eq!(sparkline(&[0, 1, 4, 8, 2], 5, theme()), "▁▂▅█▃");
        assert_eq!(sparkline(&[9, 0, 1], 2, theme()), "▁█");
        assert_eq!(sparkline(&[5], 4, theme()), "   █");
        assert_eq!(sparkline(&[0, 0], 3, theme()), " ▁▁");
        assert_eq!(sparkline(&[], 2, theme()), "  ");
        assert_eq!(sparkline(&[1, u64::MAX], 2, theme()), "▂█");
        let plain = Theme::new(Palette::Dark, Depth::Plain, &ASCII);
        assert_eq!(sparkline(&[0, 8, 4], 3, plain), ".#=");
    }

    #[test]
    fn a_histogram_has_bars_in_proportion_and_their_counts() {
        let counts = [("<0.25", 120), ("<0.5", 233), ("<1", 341), ("<2", 160), (">4", 0), ("much", 12_100)];
        let lines = histogram(&counts[..5], 30, theme());
        let shown = lines.iter().map(Line::to_string).collect::<Vec<_>>().join("\n");
        assert_snapshot!(shown, @r"
        <0.25 ████████ 120
        <0.5  ██████████████ 233
        <1    ████████████████████ 341
        <2    ██████████ 160
        >4    0
        ");
        let wide = histogram(&counts, 30, theme());
        assert!(wide.last().is_some_and(|line| line.to_string().ends_with("█ 12.1k") && line.width() == 30));
    }

    proptest! {
        #[test]
        fn pictures_keep_to_their_cells(
            values in proptest::collection::vec(any::<u64>(), 0..40),
            labels in proptest::collection::vec((any::<String>(), any::<u64>()), 0..5),
            cells in 0_usize..40,
        ) {
            prop_assert_eq!(text::width(&sparkline(&values, cells, theme())), cells);
            let counts: Vec<(&str, u64)> = labels.iter().map(|(label, count)| (label.as_str(), *count)).collect();
            for line in histogram(&counts, cells, theme()) {
                prop_assert!(cells < 4 || line.width() <= cells, "{line:?}");
            }
        }
    }
}
