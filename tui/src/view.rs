//! How the state is drawn: tabs, where one is, the screen, what it says, the keys, and popups over all.

use ratatui::{
    Frame,
    buffer::Buffer,
    layout::{Position, Rect},
    style::Style,
    widgets::{Clear, Widget},
};

use crate::{
    app::{Link, State},
    json, keymap,
    order::Role,
    parts::{pane::put, text},
    screens::ScreenKind,
};

/// What a terminal must have at least.
const LEAST: (u16, u16) = (60, 16);

/// Returns the part of the terminal that screens have: without the two lines above and the one below.
pub(crate) const fn screen_area((columns, rows): (u16, u16)) -> Rect {
    Rect::new(0, if rows > 3 { 2 } else { 0 }, columns, rows.saturating_sub(3))
}

/// Draws the state.
pub(crate) fn draw(state: &State, frame: &mut Frame<'_>) {
    let whole = frame.area();
    let (columns, rows) = LEAST;
    if whole.width < columns || whole.height < rows {
        let words = format!("too small: {columns}x{rows} at least, this is {}x{}", whole.width, whole.height);
        put(frame.buffer_mut(), whole, 0, 0, &words, state.theme.warning());
        return;
    }
    let buf = frame.buffer_mut();
    draw_tabs(state, whole, buf);
    draw_crumbs(state, whole, buf);
    draw_hints(state, whole, buf);
    let look = state.look();
    state.screens.get(state.current).draw(&look, frame);
    draw_notice(state, whole, frame.buffer_mut());
    let mut cursor = None;
    for popup in &state.popups {
        cursor = popup.draw(&look, whole, frame.buffer_mut());
    }
    if let Some(cursor) = cursor {
        frame.set_cursor_position(cursor);
    }
}

/// Returns each tab's first column, its text and its screen.
fn tabs(state: &State, columns: u16) -> Vec<(u16, String, ScreenKind)> {
    let room = columns.saturating_sub(u16::try_from(text::width(&corner(state))).unwrap_or(0) + 2);
    let label = |index: usize, kind: ScreenKind, is_long: bool| match (kind == state.current, is_long) {
        (true, _) => format!("[{} {}]", index + 1, kind.title()),
        (false, true) => format!(" {} {} ", index + 1, kind.title()),
        (false, false) => format!(" {} ", index + 1),
    };
    for is_long in [true, false] {
        let mut column = 1;
        let mut tabs = Vec::new();
        for (index, kind) in ScreenKind::ALL.into_iter().enumerate() {
            let text = label(index, kind, is_long);
            let start = column;
            column += u16::try_from(text::width(&text)).unwrap_or(0);
            tabs.push((start, text, kind));
        }
        if column <= room || !is_long {
            return tabs;
        }
    }
    Vec::new()
}

/// Returns the screen whose tab is there.
pub(crate) fn tab_at(state: &State, at: Position) -> Option<ScreenKind> {
    if at.y != 0 {
        return None;
    }
    let tabs = tabs(state, state.size.0);
    let hit = tabs.iter().rev().find(|(start, _, _)| *start <= at.x)?;
    (usize::from(at.x - hit.0) < text::width(&hit.1)).then_some(hit.2)
}

/// Returns what stands in the upper right corner.
fn corner(state: &State) -> String {
    let glyphs = state.theme.glyphs();
    let (glyph, word) = match &state.link {
        Link::Connecting => (glyphs.idle, "connecting"),
        Link::Live => (glyphs.running, "live"),
        Link::Lost { .. } => (glyphs.failed, "away"),
    };
    let role = match (state.server.is_read_only, state.role) {
        (true, _) => " read only",
        (false, Some(Role::Viewer)) => " viewer",
        (false, Some(Role::Operator)) => " operator",
        (false, Some(Role::Admin) | None) => "",
    };
    format!("@{}{role}  {glyph} {word}", text::fit(&text::clean(&state.server.name), 20))
}

fn draw_tabs(state: &State, whole: Rect, buf: &mut Buffer) {
    let theme = state.theme;
    for (column, text, kind) in tabs(state, whole.width) {
        let style = if kind == state.current { theme.heading().patch(theme.accent()) } else { Style::new() };
        put(buf, whole, column, 0, &text, style);
    }
    let corner = corner(state);
    let style = match state.link {
        Link::Connecting => theme.warning(),
        Link::Live => theme.good(),
        Link::Lost { .. } => theme.bad(),
    };
    let column = whole.width.saturating_sub(u16::try_from(text::width(&corner)).unwrap_or(0) + 1);
    put(buf, whole, column, 0, &corner, style);
}

fn draw_crumbs(state: &State, whole: Rect, buf: &mut Buffer) {
    let theme = state.theme;
    let mut crumbs = vec![state.current.title().to_owned()];
    crumbs.extend(state.screens.get(state.current).crumbs(&state.look()));
    let away = away(state).map(|text| text::clean(&text).into_owned());
    let room = usize::from(whole.width).saturating_sub(away.as_deref().map_or(0, text::width).min(60) + 3);
    let crumbs = text::clean(&crumbs.join(" > ")).into_owned();
    put(buf, whole, 1, 1, &text::fit(&crumbs, room), theme.quiet());
    if let Some(text) = away {
        let text = text::fit(&text, usize::from(whole.width).saturating_sub(20)).into_owned();
        let column = whole.width.saturating_sub(u16::try_from(text::width(&text)).unwrap_or(0) + 1);
        put(buf, whole, column, 1, &text, theme.bad());
    }
}

/// Returns what is said while the server does not tell what happens.
fn away(state: &State) -> Option<String> {
    let Link::Lost { failure, retry } = &state.link else {
        // What is shown is older than it looks.
        let wants = state.wants();
        let failed = wants.iter().filter(|want| state.store.known(want).value().is_some());
        let failure = failed.filter_map(|want| state.store.failure(want)).next()?;
        return Some(format!("not up to date: {}", failure.message));
    };
    let seconds = (retry - state.now).max(0).cast_unsigned().div_ceil(1000);
    let seen = state.last_seen.map_or_else(|| "never seen".to_owned(), |at| format!("last seen {}", json::clock(at)));
    Some(format!("reconnecting in {seconds} s, {seen}: {}", failure.message))
}

fn draw_hints(state: &State, whole: Rect, buf: &mut Buffer) {
    let theme = state.theme;
    let line = whole.height - 1;
    let mut column = 1;
    if !state.pending.is_empty() {
        put(buf, whole, column, line, &format!("{} -", state.pending), theme.accent());
        return;
    }
    let screen = state.screens.get(state.current);
    let scopes = screen.scopes();
    // Those of everywhere are the last and must fit; the screen's own give way.
    let hints: Vec<(&str, &str)> = keymap::hints(&scopes).collect();
    let cells = |(key, words): &(&str, &str)| text::width(key) + text::width(words) + 3;
    let own = keymap::hints(&[]).count();
    let (first, last) = hints.split_at(hints.len().saturating_sub(own));
    let mut room = usize::from(whole.width).saturating_sub(1 + last.iter().map(cells).sum::<usize>());
    let mut shown: Vec<(&str, &str)> = Vec::new();
    for hint in first {
        let Some(left) = room.checked_sub(cells(hint)) else { break };
        room = left;
        shown.push(*hint);
    }
    shown.extend(last);
    for (key, words) in shown {
        column = put(buf, whole, column, line, key, theme.accent()) + 1;
        column = put(buf, whole, column, line, words, theme.quiet()) + 2;
    }
}

/// Says what is to be said, over the screen's lower edge.
fn draw_notice(state: &State, whole: Rect, buf: &mut Buffer) {
    let Some(notice) = &state.notice else { return };
    let theme = state.theme;
    let lines = text::wrap(&notice.text, usize::from(whole.width.saturating_sub(8)));
    let lines: Vec<String> = lines.iter().map(|line| text::clean(line).into_owned()).take(4).collect();
    let wide = lines.iter().map(|line| text::width(line)).max().unwrap_or(0);
    let (width, height) = (u16::try_from(wide).unwrap_or(0) + 5, u16::try_from(lines.len()).unwrap_or(0));
    let bottom = whole.height - 1;
    let area = Rect { x: whole.width.saturating_sub(width + 1), y: bottom - height.min(bottom), width, height };
    Clear.render(area, buf);
    let (glyph, style) =
        if notice.is_bad { (theme.glyphs().failed, theme.bad()) } else { (theme.glyphs().good, theme.good()) };
    for (line, text) in (0..).zip(&lines) {
        let column = put(buf, area, 1, line, if line == 0 { glyph } else { " " }, style);
        put(buf, area, column + 1, line, text, style);
    }
}
