//! What happened to a run: its events, as far as this console heard them, and the log of it.

use std::borrow::Cow;

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use super::OpenRun;
use crate::{
    json::{self, Json},
    parts::{
        cursor::Cursor,
        pane::{put, say},
    },
    screens::Look,
    store::Store,
};

/// One line.
pub(super) struct Line<'a> {
    time: i64,
    level: &'a str,
    kind: &'a str,
    words: Cow<'a, str>,
}

/// Returns what is known of a run's events, the oldest first.
pub(super) fn of<'a>(open: &OpenRun, store: &'a Store) -> Vec<Line<'a>> {
    let events = store.feed().iter().filter(|event| event.run.as_deref() == Some(open.run.as_str()));
    let events = events.map(|event| Line {
        time: event.time,
        level: &event.level,
        kind: &event.kind,
        words: Cow::Owned(format!("{} {}", event.what, event.text)),
    });
    let records = store.value(&open.of_log()).list("logs").iter().map(|record| Line {
        time: record.moment("timestamp").unwrap_or_default(),
        level: record.text("level"),
        kind: "log",
        words: Cow::Borrowed(record.text("message")),
    });
    let mut lines: Vec<Line<'_>> = events.chain(records).collect();
    lines.sort_by_key(|line| line.time);
    lines
}

pub(super) fn draw(open: &OpenRun, cursor: Cursor, look: &Look<'_>, area: Rect, buf: &mut Buffer) {
    let theme = look.theme;
    let lines = of(open, look.store);
    if lines.is_empty() {
        return say("nothing was written, and this console heard nothing", theme.quiet(), area, buf);
    }
    for (y, index) in (0..).zip(cursor.window(lines.len(), usize::from(area.height))) {
        let Some(line) = lines.get(index) else { break };
        let is_chosen = index == cursor.selected;
        let row = Rect { y: area.y + y, height: 1, ..area };
        let whole = is_chosen.then(|| theme.selected());
        if let Some(style) = whole {
            buf.set_style(row, style);
        }
        let style = |style: Style| whole.unwrap_or(style);
        let column = put(buf, row, 1, 0, &json::exact_clock(line.time), style(theme.quiet()));
        let column = put(buf, row, column + 1, 0, line.kind, style(theme.name()));
        put(buf, row, column + 1, 0, &line.words, style(theme.level(line.level)));
    }
}
