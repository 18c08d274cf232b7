//! The last lines of the log, as many as a budget of memory has room for.

use std::collections::VecDeque;

use serde_json::Value;

use crate::{json::Json, live::LiveEvent};

/// Returns a stored record as the line it was.
fn stored(record: &Value) -> LiveEvent {
    let maybe = |path: &str| Some(record.text(path)).filter(|text| !text.is_empty()).map(Into::into);
    LiveEvent {
        kind: "log".into(),
        what: "written".into(),
        time: record.moment("timestamp").unwrap_or_default(),
        level: record.text("level").into(),
        run: maybe("runId"),
        thread: maybe("threadId"),
        trace: maybe("traceId"),
        plugin: maybe("data.transport"),
        subject: None,
        text: record.text("message").into(),
        record: maybe("logId"),
    }
}

/// The bytes that lines may take.
const BUDGET: usize = 16 << 20;

/// The number of the first line that came live: older ones are put before it.
const FIRST: u64 = 1 << 32;

/// The log's last lines. A line has a number that stays its own while others come and go.
#[derive(Debug)]
pub(crate) struct Lines {
    lines: VecDeque<LiveEvent>,
    /// The number of the first that is kept.
    first: u64,
    bytes: usize,
    /// Whether those from before are here.
    is_seeded: bool,
}

impl Default for Lines {
    fn default() -> Self {
        Self { lines: VecDeque::new(), first: FIRST, bytes: 0, is_seeded: false }
    }
}

impl Lines {
    /// Puts stored records before the lines that came live, once. They are the newest first.
    pub(crate) fn seed(&mut self, records: &[Value]) {
        if self.is_seeded {
            return;
        }
        self.is_seeded = true;
        let first = self.lines.front().map(|line| (line.time, line.record.clone()));
        for record in records {
            let line = stored(record);
            let is_here = self.lines.iter().any(|other| other.record.is_some() && other.record == line.record);
            let is_older = first.as_ref().is_none_or(|(time, _)| line.time <= *time);
            if is_here || !is_older || self.bytes + line.size() > BUDGET {
                continue;
            }
            self.bytes += line.size();
            self.first -= 1;
            self.lines.push_front(line);
        }
    }

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
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn any_number_of_lines_takes_its_budget_and_no_more() {
        let mut lines = Lines::default();
        let line = LiveEvent::of("log", &json!({"message": "x".repeat(160), "level": "info", "transport": "host"}));
        for _ in 0..200_000 {
            lines.push(line.clone());
        }
        assert!(lines.bytes() <= BUDGET && lines.bytes() > BUDGET / 2);
        let range = lines.range();
        assert_eq!(range.end, FIRST + 200_000);
        assert!(lines.get(range.start).is_some() && lines.get(range.start - 1).is_none());
        assert!(lines.get(range.end).is_none());
    }

    #[test]
    fn stored_records_come_before_live_ones_once_and_none_twice() {
        let mut lines = Lines::default();
        let live = json!({"id": "c", "time": "1970-01-01T00:00:03Z", "message": "three"});
        lines.push(LiveEvent::of("log", &live));
        let record = |id: &str, second: u8| json!({"logId": id, "timestamp": format!("1970-01-01T00:00:0{second}Z"), "message": id});
        lines.seed(&[record("c", 3), record("b", 2), record("a", 1)]);
        lines.seed(&[record("x", 0)]);
        let texts: Vec<String> = lines.range().filter_map(|number| Some(lines.get(number)?.text.to_string())).collect();
        assert_eq!(texts, ["a", "b", "three"]);
    }
}
