//! How the log is drawn.

use std::borrow::Cow;

use ratatui::{buffer::Buffer, layout::Rect, style::Style};
use serde_json::Value;

use super::{Logs, clock};
use crate::{
    json::Json,
    live::LiveEvent,
    parts::{
        pane::{Pane, put, say},
        table::{Cell, Column, Table},
        text,
    },
    screens::Look,
    store::Known,
    theme::Theme,
};

const COLUMNS: &[Column] = &[
    Column::of("TIME", 12),
    Column::of("LEVEL", 5),
    Column::of("SOURCE", 18).from(70),
    Column::wide("MESSAGE"),
    Column::of("RUN", 8).from(110),
    Column::of("TRACE", 8).from(130),
];
/// The cells before the message.
const BEFORE: (usize, usize) = (40, 21);

pub(super) fn draw(screen: &Logs, look: &Look<'_>, buf: &mut Buffer) {
    let theme = look.theme;
    let pane =
        Pane::new(&title(screen, look)).focused(true).note(&note(screen, look)).note_style(note_style(screen, theme));
    let inner = pane.draw(theme, look.area, buf);
    let store = look.store;
    if screen.is_stored {
        match store.known(&screen.stored.want(0)) {
            Known::Loading => return say("asking the server", theme.quiet(), inner, buf),
            Known::Failed(failure) => return say(&failure_words(failure), theme.bad(), inner, buf),
            Known::Here(_) if screen.stored.total() == 0 => {
                return say("nothing of that is stored", theme.quiet(), inner, buf);
            }
            Known::Here(_) => {}
        }
    } else if screen.live.total(store) == 0 {
        let words = if screen.has_filter() {
            "no line like that among those that came; v looks at what is stored"
        } else {
            "nothing was written yet"
        };
        return say(words, theme.quiet(), inner, buf);
    }
    let (total, cursor) = if screen.is_stored {
        (screen.stored.total(), screen.stored.cursor)
    } else {
        (screen.live.total(store), screen.live.cursor)
    };
    let row = |index: usize| -> Vec<Cell<'_>> {
        if screen.is_stored {
            screen
                .stored
                .row(store, index)
                .map_or_else(|| vec![theme.glyphs().ellipsis.into()], |row| stored(row, theme))
        } else {
            screen.live.line(store, index).map(|line| live(line, theme)).unwrap_or_default()
        }
    };
    let table = Table { columns: COLUMNS, total, cursor, sort: None, is_focused: true };
    if !screen.is_wrapped {
        table.draw(theme, inner, buf, row);
        return;
    }
    // Lines of different heights: the chosen one and what is above it, then what is below.
    let text = |index: usize| -> Cow<'_, str> {
        if screen.is_stored {
            screen.stored.row(store, index).map_or(Cow::Borrowed(""), |row| Cow::Borrowed(row.text("message")))
        } else {
            screen.live.line(store, index).map_or(Cow::Borrowed(""), |line| Cow::Borrowed(&*line.text))
        }
    };
    draw_wrapped(&table, theme, inner, buf, &row, &text);
}

fn draw_wrapped<'a>(
    table: &Table<'_>,
    theme: Theme,
    area: Rect,
    buf: &mut Buffer,
    row: &dyn Fn(usize) -> Vec<Cell<'a>>,
    text: &dyn Fn(usize) -> Cow<'a, str>,
) {
    let before = if area.width >= 70 { BEFORE.0 } else { BEFORE.1 };
    let room = usize::from(area.width).saturating_sub(before).max(10);
    let lines_of = |index: usize| text::wrap(&text::clean(&text(index)), room);
    let height = usize::from(area.height.saturating_sub(1));
    let window = table.cursor.window(table.total, height);
    // As many from the chosen one upwards as fit; then what fits below.
    let mut first = table.cursor.selected.min(table.total.saturating_sub(1));
    let mut used = lines_of(first).len();
    while first > window.start && used + lines_of(first - 1).len() <= height {
        first -= 1;
        used += lines_of(first).len();
    }
    let mut y = 1;
    for index in first..table.total {
        if y >= area.height {
            break;
        }
        let lines = lines_of(index);
        let one = Rect { y: area.y + y - 1, height: 2.min(area.height - y + 1), ..area };
        let narrowed = Table { total: 1, cursor: crate::parts::cursor::Cursor::default(), ..*table };
        let is_chosen = index == table.cursor.selected;
        let shown =
            Table { is_focused: is_chosen, columns: &COLUMNS[..if area.width >= 70 { 3 } else { 2 }], ..narrowed };
        shown.draw(theme, one, buf, |_| row(index));
        if !is_chosen {
            put(buf, one, 0, 1, " ", Style::new());
        }
        let style = if is_chosen { theme.heading() } else { Style::new() };
        let column = u16::try_from(before).unwrap_or(0);
        for line in &lines {
            if y >= area.height {
                break;
            }
            put(buf, area, column, y, line, style);
            y += 1;
        }
    }
    let heading = Table { total: 0, columns: COLUMNS, ..*table };
    heading.draw(theme, Rect { height: 1, ..area }, buf, |_| Vec::new());
}

fn failure_words(failure: &crate::store::Failure) -> String {
    let issues = failure.issues.iter().map(|(field, words)| format!("{field}: {words}"));
    std::iter::once(failure.message.clone()).chain(issues).collect::<Vec<_>>().join("; ")
}

fn title(screen: &Logs, look: &Look<'_>) -> String {
    let mut title = if screen.is_stored {
        format!("Stored {}", text::count(screen.stored.total() as u64))
    } else {
        format!("Log {}", text::count(screen.live.total(look.store) as u64))
    };
    if !screen.level.is_empty() {
        title = format!("{title}  level>={}", screen.level);
    }
    if !screen.since.is_empty() {
        title = format!("{title}  since:{}", screen.since);
    }
    if !screen.text.is_empty() {
        title = format!("{title}  /{}", screen.text);
    }
    title
}

fn note(screen: &Logs, look: &Look<'_>) -> String {
    if screen.is_stored {
        return crate::parts::table::position(screen.stored.cursor, screen.stored.total());
    }
    let kept = format!(
        "{} lines, {}",
        text::count(look.store.lines.len() as u64),
        text::bytes(look.store.lines.bytes() as u64)
    );
    match (screen.live.is_following, screen.live.missed) {
        (true, _) => format!("FOLLOW  {kept}"),
        (false, 0) => format!("PAUSED  {kept}"),
        (false, missed) => format!("PAUSED +{missed}  {kept}"),
    }
}

fn note_style(screen: &Logs, theme: Theme) -> Style {
    if screen.is_stored {
        theme.quiet()
    } else if screen.live.is_following {
        theme.good()
    } else {
        theme.warning()
    }
}

fn live(line: &LiveEvent, theme: Theme) -> Vec<Cell<'_>> {
    vec![
        Cell::styled(clock(Some(line.time)), theme.quiet()),
        Cell::styled(&*line.level, theme.level(&line.level)),
        line.plugin.as_deref().unwrap_or_default().into(),
        Cell::styled(&*line.text, theme.level(&line.level)),
        text::tail(line.run.as_deref().unwrap_or_default()).into(),
        text::tail(line.trace.as_deref().unwrap_or_default()).into(),
    ]
}

fn stored(row: &Value, theme: Theme) -> Vec<Cell<'_>> {
    let level = row.text("level");
    vec![
        Cell::styled(clock(row.moment("timestamp")), theme.quiet()),
        Cell::styled(level, theme.level(level)),
        row.text("data.transport").into(),
        Cell::styled(row.text("message"), theme.level(level)),
        text::tail(row.text("runId")).into(),
        text::tail(row.text("traceId")).into(),
    ]
}
