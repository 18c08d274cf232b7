//! A place in a list that may be longer than anything: what is chosen and what is seen.

use std::ops::Range;

/// A way to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    Up,
    Down,
    Left,
    Right,
    HalfUp,
    HalfDown,
    PageUp,
    PageDown,
    Top,
    Bottom,
}

/// What is chosen of a list, and the first row that is seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// An index; meaningless while the list is empty.
    pub(crate) selected: usize,
    offset: usize,
}

impl Cursor {
    /// Goes somewhere in a list of `total` rows of which `height` are seen.
    pub(crate) fn go(&mut self, to: Move, total: usize, height: usize) {
        let page = height.max(1);
        let half = page.div_ceil(2);
        self.selected = match to {
            Move::Up => self.selected.saturating_sub(1),
            Move::Down => self.selected.saturating_add(1),
            Move::HalfUp => self.selected.saturating_sub(half),
            Move::HalfDown => self.selected.saturating_add(half),
            Move::PageUp => self.selected.saturating_sub(page),
            Move::PageDown => self.selected.saturating_add(page),
            Move::Top => 0,
            Move::Bottom => usize::MAX,
            Move::Left | Move::Right => self.selected,
        };
        self.settle(total, height);
    }

    /// Chooses a row.
    pub(crate) fn select(&mut self, row: usize, total: usize, height: usize) {
        self.selected = row;
        self.settle(total, height);
    }

    /// Scrolls by so many rows as a wheel does; the choice is taken along only where it must.
    pub(crate) fn scroll(&mut self, rows: isize, total: usize, height: usize) {
        self.settle(total, height);
        let last = total.saturating_sub(height);
        self.offset = self.offset.saturating_add_signed(rows).min(last);
        let bottom = (self.offset + height).min(total).saturating_sub(1);
        self.selected = self.selected.clamp(self.offset.min(bottom), bottom);
    }

    /// Brings both back into a list that has changed.
    pub(crate) fn settle(&mut self, total: usize, height: usize) {
        self.selected = self.selected.min(total.saturating_sub(1));
        self.offset = self.window(total, height).start;
    }

    /// Returns the rows that are seen; the chosen one is among them.
    pub(crate) fn window(&self, total: usize, height: usize) -> Range<usize> {
        if height == 0 || total == 0 {
            return 0..0;
        }
        let selected = self.selected.min(total - 1);
        let lowest = (selected + 1).saturating_sub(height);
        let start = self.offset.clamp(lowest, selected).min(total.saturating_sub(height));
        start..(start + height).min(total)
    }

    /// Returns the row at a line of the list as it is seen.
    pub(crate) fn row_at(&self, line: usize, total: usize, height: usize) -> Option<usize> {
        let window = self.window(total, height);
        let row = window.start + line;
        window.contains(&row).then_some(row)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_window_moves_only_when_the_choice_leaves_it() {
        let mut cursor = Cursor::default();
        for _ in 0..3 {
            cursor.go(Move::Down, 100, 5);
        }
        assert_eq!((cursor.selected, cursor.window(100, 5)), (3, 0..5));
        cursor.go(Move::PageDown, 100, 5);
        assert_eq!((cursor.selected, cursor.window(100, 5)), (8, 4..9));
        cursor.go(Move::Up, 100, 5);
        assert_eq!((cursor.selected, cursor.window(100, 5)), (7, 4..9));
        cursor.go(Move::Bottom, 100, 5);
        assert_eq!((cursor.selected, cursor.window(100, 5)), (99, 95..100));
        assert_eq!(cursor.row_at(2, 100, 5), Some(97));
    }

    #[test]
    fn a_wheel_scrolls_and_takes_the_choice_along_at_the_edge() {
        let mut cursor = Cursor::default();
        cursor.scroll(3, 100, 5);
        assert_eq!((cursor.selected, cursor.window(100, 5)), (3, 3..8));
        cursor.scroll(-2, 100, 5);
        assert_eq!((cursor.selected, cursor.window(100, 5)), (3, 1..6));
        cursor.scroll(-50, 3, 5);
        assert_eq!(cursor.window(3, 5), 0..3);
    }

    fn moves() -> impl Strategy<Value = (Move, usize, usize)> {
        let ways = [
            Move::Up,
            Move::Down,
            Move::Left,
            Move::Right,
            Move::HalfUp,
            Move::HalfDown,
            Move::PageUp,
            Move::PageDown,
            Move::Top,
            Move::Bottom,
        ];
        (proptest::sample::select(ways.to_vec()), 0_usize..50, 0_usize..20)
    }

    proptest! {
        #[test]
        fn the_choice_is_always_within_the_list_and_seen(steps in proptest::collection::vec(moves(), 1..40)) {
            let mut cursor = Cursor::default();
            for (to, total, height) in steps {
                cursor.go(to, total, height);
                let window = cursor.window(total, height);
                prop_assert!(window.end <= total && window.len() <= height);
                if total > 0 && height > 0 {
                    prop_assert!(window.contains(&cursor.selected));
                    prop_assert_eq!(window.len(), height.min(total));
                }
            }
        }
    }
}
