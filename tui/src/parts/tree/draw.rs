//! Rows of a tree as text.

use ratatui::{buffer::Buffer, layout::Rect, style::Style};
use serde_json::Value;

use super::{
    Tree, count, find,
    walk::{Key, Node, Walk},
};
use crate::{
    parts::{scrollbar, text},
    theme::Theme,
};

/// Cells that are left for a name and a value however deep they are.
const LEAST_ROOM: usize = 12;

/// From how many cells on it is said how long a text is that is cut.
const ROOM_FOR_LENGTH: usize = 32;

/// What is seen before the place where something was found in a long text.
const BEFORE_HIT: usize = 8;

impl Tree {
    /// Draws the rows that are seen.
    pub(crate) fn draw(&self, value: &Value, theme: Theme, area: Rect, buf: &mut Buffer, is_focused: bool) {
        let height = usize::from(area.height);
        let window = self.window(height);
        let area = scrollbar::draw(theme, area, buf, &window, self.rows.len());
        let hit = self.search.as_ref().map_or("", |search| search.text.as_str());
        let mut walk = Walk::starting_at(value, &self.path_to(window.start));
        for (line, number) in area.rows().zip(window) {
            let selection = (number == self.cursor.selected).then(|| selection(theme, is_focused));
            let mut pen = Pen { theme, buf: &mut *buf, area: line, x: line.x, hit, selection };
            if count(value) == 0 {
                pen.value(value);
                pen.fill();
                break;
            }
            // A row that is not where the value has it is one of a value that has changed since.
            let Some(node) = walk.next() else { break };
            if self.rows.get(number).is_none_or(|row| usize::from(row.depth) != node.depth) {
                break;
            }
            let is_open = self.is_open(number);
            pen.row(node, is_open);
            pen.fill();
            if is_open {
                walk.enter(node.value);
            }
        }
    }
}

fn selection(theme: Theme, is_focused: bool) -> Style {
    if is_focused { theme.selected() } else { theme.heading() }
}

/// Writes one row, from the left to the right.
struct Pen<'a> {
    theme: Theme,
    buf: &'a mut Buffer,
    area: Rect,
    x: u16,
    /// What is searched for.
    hit: &'a str,
    /// The look of the row if it is the chosen one; nothing in it has a colour then.
    selection: Option<Style>,
}

impl Pen<'_> {
    fn room(&self) -> usize {
        usize::from(self.area.right().saturating_sub(self.x))
    }

    /// Writes what is clean already.
    fn write(&mut self, text: &str, style: Style) {
        let style = self.selection.unwrap_or(style);
        let fitted = text::fit(text, self.room());
        (self.x, _) = self.buf.set_stringn(self.x, self.area.y, fitted, self.room(), style);
    }

    /// Writes what may have in it what is searched for.
    fn write_searched(&mut self, text: &str, style: Style) {
        let Some(range) = find(text, self.hit) else { return self.write(text, style) };
        let hit = self.selection.map_or(self.theme.hit(), |style| style.patch(Style::new().underlined()));
        let (before, rest) = text.split_at(range.start);
        let (found, after) = rest.split_at(range.len());
        self.write(before, style);
        let selection = self.selection.take();
        self.write(found, hit);
        self.selection = selection;
        self.write(after, style);
    }

    fn fill(&mut self) {
        let rest = Rect { x: self.x, width: self.area.right().saturating_sub(self.x), ..self.area };
        if let Some(style) = self.selection {
            self.buf.set_style(rest, style);
        }
    }

    fn row(&mut self, node: Node<'_>, is_open: bool) {
        self.guides(node.depth);
        let inside = count(node.value);
        let marker = match (inside, is_open) {
            (0, _) => " ",
            (_, true) => self.theme.glyphs().unfolded,
            (_, false) => self.theme.glyphs().folded,
        };
        self.write(marker, self.theme.quiet());
        self.write(" ", Style::new());
        match node.key {
            Key::Index(index) => self.write(&index.to_string(), self.theme.quiet()),
            Key::Name(name) => self.write_searched(&text::clean(beginning(name, self.room())), self.theme.name()),
        }
        self.write(" ", Style::new());
        match node.value {
            Value::Array(items) if inside > 0 => {
                self.write(&format!("[{inside}]"), self.theme.quiet());
                if !is_open && items.first().is_some_and(|first| count(first) == 0) {
                    self.write(" ", Style::new());
                    self.write(&preview(node.value, self.room()), self.theme.quiet());
                }
            }
            Value::Object(_) if is_open => {}
            Value::Object(_) if inside > 0 => self.write(&preview(node.value, self.room()), self.theme.quiet()),
            value => self.value(value),
        }
    }

    /// Lines from what this is in; where they would take all the room, only the last of them.
    fn guides(&mut self, depth: usize) {
        let most = usize::from(self.area.width).saturating_sub(LEAST_ROOM) / 2;
        let guide = self.theme.glyphs().lines.vertical;
        let mut shown = depth;
        if depth > most {
            shown = most.saturating_sub(1);
            self.write(self.theme.glyphs().ellipsis, self.theme.quiet());
            self.write(" ", Style::new());
        }
        for _ in 0..shown {
            self.write(guide, self.theme.quiet());
            self.write(" ", Style::new());
        }
    }

    /// Writes a value that has nothing in it.
    fn value(&mut self, value: &Value) {
        match value {
            Value::String(string) => self.string(string),
            Value::Null => self.write_searched("null", self.theme.quiet()),
            Value::Bool(_) => self.write_searched(&value.to_string(), self.theme.warning()),
            Value::Number(_) => self.write_searched(&value.to_string(), self.theme.accent()),
            Value::Array(_) => self.write("[]", self.theme.quiet()),
            Value::Object(_) => self.write("{}", self.theme.quiet()),
        }
    }

    fn string(&mut self, string: &str) {
        let room = self.room();
        let start = beginning(string, room);
        let mut shown = text::clean(start);
        if start.len() == string.len() && text::width(&shown) + 2 <= room {
            return self.write_searched(&format!("\"{shown}\""), Style::new());
        }
        let length = match room {
            ROOM_FOR_LENGTH.. => format!(" ({} chars)", text::count(string.chars().count() as u64)),
            _ => String::new(),
        };
        let room = room.saturating_sub(2 + length.len());
        if let Some(hit) = find(string, self.hit)
            && text::width(&text::clean(string.get(..hit.end).unwrap_or_default())) >= room
        {
            let before = string.get(..hit.start).unwrap_or_default();
            let start = before.char_indices().rev().nth(BEFORE_HIT - 1).map_or(0, |(at, _)| at);
            let around = beginning(string.get(start..).unwrap_or_default(), room);
            shown = format!("…{}", text::clean(around)).into();
        }
        let fitted = text::fit(&shown, room);
        self.write_searched(&format!("\"{fitted}\""), Style::new());
        self.write(&length, self.theme.quiet());
    }
}

/// As much of the start of a text as can be seen, and a little more; what is not seen is not looked at.
fn beginning(text: &str, cells: usize) -> &str {
    // Marks and joined characters take no cells of their own.
    let most = cells.saturating_mul(4).saturating_add(16);
    text.char_indices().nth(most).map_or(text, |(end, _)| text.get(..end).unwrap_or(text))
}

/// What is in a value, as far as there is room.
fn preview(value: &Value, cells: usize) -> String {
    let mut line = String::new();
    let mut walk = Walk::new(value);
    while let Some(node) = walk.next() {
        if text::width(&line) > cells {
            break;
        }
        if node.index > 0 {
            line.push_str(", ");
        }
        if let Key::Name(name) = node.key {
            line.push_str(&text::clean(beginning(name, cells)));
            line.push_str(": ");
        }
        match node.value {
            Value::String(string) => {
                line.push('"');
                line.push_str(&text::clean(beginning(string, cells)));
                line.push('"');
            }
            Value::Array(items) if items.is_empty() => line.push_str("[]"),
            Value::Array(items) => line.push_str(&format!("[{}]", items.len())),
            Value::Object(map) if map.is_empty() => line.push_str("{}"),
            Value::Object(_) => line.push_str("{…}"),
            scalar => line.push_str(&scalar.to_string()),
        }
    }
    match value {
        Value::Object(_) => text::fit(&format!("{{{line}}}"), cells).into_owned(),
        _ => text::fit(&line, cells).into_owned(),
    }
}
