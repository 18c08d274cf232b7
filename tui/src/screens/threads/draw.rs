//! How conversations are drawn.

use ratatui::{
    Frame,
    buffer::Buffer,
    layout::{Position, Rect},
    style::Style,
};
use serde_json::Value;

use super::{Threads, talk::Talk};
use crate::{
    json::Json,
    parts::{
        pane::{Pane, put, say},
        table::{Cell, Column, Sort, Table, position},
        text,
    },
    screens::Look,
    store::Known,
};

const NARROW: &[Column] = &[Column::wide("TITLE"), Column::right("AGE", 4)];
const COLUMNS: &[Column] =
    &[Column::wide("TITLE"), Column::wide("RESOURCE"), Column::wide("ID").from(100), Column::right("AGE", 4)];

pub(super) fn draw(screen: &Threads, look: &Look<'_>, frame: &mut Frame<'_>) {
    let panes = screen.panes(look.area);
    let buf = frame.buffer_mut();
    if panes.list.height > 0 {
        draw_list(screen, look, panes.list, buf);
    }
    let Some(talk) = &screen.open else { return };
    draw_transcript(screen, talk, look, panes.transcript, buf);
    if let Some(cursor) = draw_input(talk, look, panes.input, buf) {
        frame.set_cursor_position(cursor);
    }
}

fn draw_list(screen: &Threads, look: &Look<'_>, area: Rect, buf: &mut Buffer) {
    let theme = look.theme;
    let total = screen.list.total();
    let narrowed = if screen.text.is_empty() { String::new() } else { format!("  /{}", screen.text) };
    let is_focused = screen.is_in_list || screen.open.is_none();
    let pane = Pane::new(&format!("Threads{}{narrowed}", screen.list.count(look.store)));
    let inner = pane.focused(is_focused).note(&position(screen.list.cursor, total)).draw(theme, area, buf);
    if screen.list.blank("no conversations yet: + begins one", look, inner, buf) {
        return;
    }
    let columns = if inner.width < 60 { NARROW } else { COLUMNS };
    let table = Table {
        columns,
        total,
        cursor: screen.list.cursor,
        sort: screen.list.is_reversed().then_some(Sort { column: columns.len() - 1, is_descending: false }),
        is_focused,
    };
    table.draw(theme, inner, buf, |index| match screen.list.row(look.store, index) {
        Some(thread) => row(thread, look, columns.len() == NARROW.len()),
        None => vec![theme.glyphs().ellipsis.into()],
    });
}

fn row<'a>(thread: &'a Value, look: &Look<'_>, is_narrow: bool) -> Vec<Cell<'a>> {
    let title = match thread.text("title") {
        "" => Cell::styled(thread.text("id"), look.theme.quiet()),
        title => title.into(),
    };
    let changed = thread.moment("updatedAt").unwrap_or(look.now);
    let age = Cell::from(text::age(look.now.saturating_sub(changed).max(0).cast_unsigned()));
    if is_narrow {
        return vec![title, age];
    }
    vec![title, thread.text("resourceId").into(), Cell::styled(thread.text("id"), look.theme.quiet()), age]
}

fn draw_transcript(screen: &Threads, talk: &Talk, look: &Look<'_>, area: Rect, buf: &mut Buffer) {
    let theme = look.theme;
    let agent = talk.agent.as_deref().unwrap_or("no agent chosen");
    let resource = if talk.resource.is_empty() { String::new() } else { format!("  of {}", talk.resource) };
    let title = format!("{}  with {agent}{resource}", talk.thread);
    let pane = Pane::new(&title).focused(!screen.is_in_list && !talk.is_typing).note(&talk.transcript.status());
    let inner = pane.draw(theme, area, buf);
    if !talk.transcript.is_empty() {
        talk.transcript.draw(theme, inner, buf);
        return;
    }
    let first = talk.wants(look.store).into_iter().next();
    match first.map(|want| look.store.known(&want)) {
        None => say("write something below", theme.quiet(), inner, buf),
        Some(Known::Loading) => say("asking the server", theme.quiet(), inner, buf),
        Some(Known::Failed(failure)) => say(&failure.message, theme.bad(), inner, buf),
        Some(Known::Here(_)) => say("nothing was said yet: i writes", theme.quiet(), inner, buf),
    }
}

fn draw_input(talk: &Talk, look: &Look<'_>, area: Rect, buf: &mut Buffer) -> Option<Position> {
    let theme = look.theme;
    let agent = talk.agent.as_deref().unwrap_or("an agent");
    let title = match (&talk.waiting, talk.chat) {
        (_, Some(_)) => format!("{agent} is answering"),
        (Some(waiting), None) => format!("{} waits", waiting.tool),
        (None, None) => format!("Message to {agent}"),
    };
    let note = match (&talk.waiting, talk.chat, talk.is_typing) {
        (_, Some(_), _) => "C-c stops",
        (Some(_), None, _) => "Y approves or answers   X declines",
        (None, None, true) => "Enter sends   C-j newline   Esc leaves",
        (None, None, false) => "i writes",
    };
    let inner = Pane::new(&title).focused(talk.is_typing).note(note).draw(theme, area, buf);
    if inner.height == 0 || inner.width < 2 {
        return None;
    }
    let cursor = talk.input.cursor();
    if let (Some(waiting), None, false) = (&talk.waiting, talk.chat, talk.is_typing) {
        for (line, text) in (0..inner.height).zip(text::wrap(&text::clean(&waiting.args), usize::from(inner.width))) {
            put(buf, inner, 0, line, &text, theme.warning());
        }
        return None;
    }
    let (row, column) = (cursor.0, cursor.1);
    let height = usize::from(inner.height);
    let first = (row + 1).saturating_sub(height);
    let room = usize::from(inner.width) - 1;
    let mut cursor = None;
    for (line, (index, text)) in (0..).zip(talk.input.lines().iter().enumerate().skip(first).take(height)) {
        let before: String = text.chars().take(if index == row { column } else { 0 }).collect();
        let cells = text::width(&text::clean(&before));
        // The end of a long line is what one writes.
        let skipped = cells.saturating_sub(room);
        let mut passed = 0;
        let seen: String = text
            .chars()
            .skip_while(|character| {
                let is_passed = passed < skipped;
                passed += text::width(character.encode_utf8(&mut [0; 4]));
                is_passed
            })
            .collect();
        put(buf, inner, 0, line, &seen, Style::new());
        if index == row {
            let column = u16::try_from(cells - skipped.min(cells)).unwrap_or(0).min(inner.width - 1);
            cursor = Some(Position::new(inner.x + column, inner.y + line));
        }
    }
    cursor.filter(|_| talk.is_typing)
}
