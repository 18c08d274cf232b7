//! The last lines of the log, as many as a budget of memory has room for.

use std::collections::VecDeque;

use crate::live::LiveEvent;

/// The bytes that lines may take.
const BUDGET: usize = 16 << 20;

/// The log's last lines. A line has a number that stays its own while others come and go.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    lines: VecDeque<LiveEvent>,
    /// The number of the first that is kept.
    first: u64,
    bytes: usize,
}

impl Lines {
    /// Adds a line; the oldest go if there is no room.
    pub(crate) fn push(&mut self, line: LiveEvent) {
        self.bytes += line.size();
        self.lines.push_back(line);
        while self.bytes > BUDGET
            && let Some(oldest) = self.lines.pop_front()
        {
            self.bytes -= oldest.size();
            self.first += 1;
        }
    }

    /// Returns how many are kept.
    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    /// Returns the bytes they take.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the numbers of the first that is kept and of the next that comes.
    pub(crate) fn range(&self) -> std::ops::Range<u64> {
        self.first..self.first + self.lines.len() as u64
    }

    /// Returns the line of this number, unless it is gone.
    pub(crate) fn get(&self, number: u64) -> Option<&LiveEvent> {
        let index = number.checked_sub(self.first)?;
        self.lines.get(usize::try_from(index).ok()?)
    }

    /// Forgets all of them.
    pub(crate) fn clear(&mut self) {
        self.first += self.lines.len() as u64;
        self.lines.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_million_lines_take_their_budget_and_no_more() {
        let mut lines = Lines::default();
        let line = LiveEvent::of("log", &json!({"message": "x".repeat(160), "level": "info", "transport": "host"}));
        for _ in 0..1_000_000 {
            lines.push(line.clone());
        }
        assert!(lines.bytes() <= BUDGET && lines.bytes() > BUDGET / 2);
        let range = lines.range();
        assert_eq!(range.end, 1_000_000);
        assert!(lines.get(range.start).is_some() && lines.get(range.start - 1).is_none());
        assert!(lines.get(range.end).is_none());
        lines.clear();
        assert_eq!((lines.len(), lines.range()), (0, 1_000_000..1_000_000));
    }
}
