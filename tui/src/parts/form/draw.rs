//! A form as text: lines are made of all fields, and those around the focus are shown.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::Style,
    text::{Line, Span},
    widgets::{Block, Widget},
};
use serde_json::Value;
use unicode_segmentation::UnicodeSegmentation;

use super::{
    Focus, Form,
    field::{Editor, Entry, Field, Language},
};
use crate::{
    parts::{scrollbar, text},
    theme::Theme,
};

/// Lines of a text that has many.
const TALL: usize = 6;

/// Cells of a number.
const NUMBER: usize = 14;

/// Lines of what is wrong with one field, and with no field in particular.
const PROBLEM_LINES: usize = 3;

impl Form {
    /// Draws the form so that what has the focus is seen. Returns where the cursor is.
    pub(crate) fn draw(&self, theme: Theme, area: Rect, buf: &mut Buffer) -> Option<(u16, u16)> {
        let title = text::clean(&self.title);
        let title = text::fit(&title, usize::from(area.width.saturating_sub(6)));
        let frame = Block::bordered().border_set(theme.glyphs().border).border_style(theme.border(true)).title(
            Line::from(vec![
                Span::styled(theme.glyphs().border.horizontal_top, theme.border(true)),
                Span::styled(format!(" {title} "), theme.heading()),
            ]),
        );
        let mut rest = area;
        if area.width > 6 && area.height > 4 {
            rest = frame.inner(area);
            frame.render(area, buf);
        }
        let (body, foot) = self.divide(rest);
        self.draw_foot(theme, foot, buf);
        self.draw_body(theme, body, buf)
    }

    /// The part for the fields, and that for what is below them whatever is scrolled.
    fn divide(&self, area: Rect) -> (Rect, Rect) {
        let remarks = self.remark_lines(usize::from(area.width)).len();
        let wanted = 1 + u16::from(area.height > 5) + u16::try_from(remarks).unwrap_or(u16::MAX);
        let height = wanted.min(area.height.saturating_sub(1).max(area.height / 2));
        let (above, below) = (area.height - height, Rect { y: area.bottom() - height, height, ..area });
        (Rect { height: above, ..area }, below)
    }

    fn remark_lines(&self, cells: usize) -> Vec<String> {
        let marked = self.remarks.iter().map(|remark| format!("! {}", text::clean(remark)));
        let mut lines: Vec<String> = marked.flat_map(|remark| text::wrap(&remark, cells)).collect();
        lines.truncate(PROBLEM_LINES);
        lines
    }

    fn draw_foot(&self, theme: Theme, area: Rect, buf: &mut Buffer) {
        let cells = usize::from(area.width);
        let mut lines = vec![Line::styled(text::fit(&self.hint(), cells).into_owned(), theme.quiet())];
        lines.extend(self.remark_lines(cells).into_iter().map(|line| Line::styled(line, theme.bad())));
        lines.push(self.buttons(theme));
        // Nearest to the edge is what is needed most.
        let hidden = lines.len().saturating_sub(usize::from(area.height));
        for (row, line) in area.rows().zip(lines.into_iter().skip(hidden)) {
            line.render(row, buf);
        }
    }

    fn buttons(&self, theme: Theme) -> Line<'static> {
        let look = |focus| if self.focus == focus { theme.selected() } else { Style::new() };
        let switch = if self.text.is_some() { "[ Edit as fields ]" } else { "[ Edit as JSON ]" };
        let submit = Span::styled("[ Submit ]", look(Focus::Submit));
        Line::from(vec![submit, Span::raw(" "), Span::styled(switch, look(Focus::Switch))])
    }

    /// What is said about the field that has the focus.
    fn hint(&self) -> String {
        match self.focus {
            Focus::Field(_) if self.text.is_some() => "all of it as JSON".to_owned(),
            Focus::Field(number) => self.fields.get(number).map(hint_of).unwrap_or_default(),
            Focus::Submit => "Enter or C-s sends it".to_owned(),
            Focus::Switch => "Enter or C-e".to_owned(),
        }
    }

    fn draw_body(&self, theme: Theme, area: Rect, buf: &mut Buffer) -> Option<(u16, u16)> {
        let height = usize::from(area.height);
        if height == 0 || area.width == 0 {
            return None;
        }
        if let Some(editor) = &self.text {
            let cursor = (self.focus == Focus::Field(0)).then(|| editor.cursor());
            let (lines, cursor) = editor_lines(editor, cursor.is_some(), usize::from(area.width), height);
            for (row, line) in area.rows().zip(lines) {
                Line::raw(line).render(row, buf);
            }
            return cursor.map(|(x, line)| at(area, x, line));
        }
        // One column is the bar's, whether there is one or not, so that nothing jumps.
        let page = self.page(theme, usize::from(area.width - 1));
        let total = page.lines.len();
        let middle = page.focus.start + page.focus.len().min(height) / 2;
        let start = middle.saturating_sub(height / 2).min(total.saturating_sub(height));
        let window = start..(start + height).min(total);
        let inner = scrollbar::draw(theme, area, buf, &window, total);
        for (row, line) in inner.rows().zip(page.lines.get(window.clone()).unwrap_or_default()) {
            line.render(Rect { width: area.width - 1, ..row }, buf);
        }
        let (x, line) = page.cursor?;
        window.contains(&line).then(|| at(area, x, line - window.start))
    }

    fn page(&self, theme: Theme, cells: usize) -> Page {
        let widest = self.fields.iter().map(|field| 2 + text::width(&label_of(field, cells)) + 1).max();
        let label = widest.unwrap_or(0).min((cells / 2).max(6));
        let mut page = Page { theme, cells, label, lines: Vec::new(), focus: 0..0, cursor: None };
        for (number, field) in self.fields.iter().enumerate() {
            page.add(field, self.focus == Focus::Field(number));
        }
        if !matches!(self.focus, Focus::Field(_)) {
            page.focus = page.lines.len()..page.lines.len();
        }
        page
    }
}

/// All fields as lines.
struct Page {
    theme: Theme,
    cells: usize,
    /// Cells of what fields are called.
    label: usize,
    lines: Vec<Line<'static>>,
    /// The lines of what has the focus, and the cursor in them.
    focus: std::ops::Range<usize>,
    cursor: Option<(usize, usize)>,
}

impl Page {
    fn add(&mut self, field: &Field, is_focused: bool) {
        let start = self.lines.len();
        let (mark, look) = if is_focused {
            (self.theme.glyphs().selected, self.theme.accent().patch(self.theme.heading()))
        } else {
            (" ", self.theme.name())
        };
        let label = label_of(field, self.label.saturating_sub(3));
        let label = text::left(&format!("{mark} {label}"), self.label);
        let room = self.cells.saturating_sub(self.label + 1);
        let entry = self.entry(field, is_focused, room);
        for (number, mut line) in entry.into_iter().enumerate() {
            let label = if number == 0 { label.clone() } else { " ".repeat(self.label) };
            line.spans.insert(0, Span::styled(label + " ", look));
            self.lines.push(line);
        }
        if let Some(problem) = &field.problem {
            let said = format!("! {}: {}", text::clean(field.name()), text::clean(problem));
            let indent = " ".repeat(2.min(self.cells));
            let wrapped = text::wrap(&said, self.cells.saturating_sub(indent.len()));
            let lines = wrapped.into_iter().take(PROBLEM_LINES);
            self.lines.extend(lines.map(|line| Line::styled(format!("{indent}{line}"), self.theme.bad())));
        }
        if is_focused {
            self.focus = start..self.lines.len();
        }
    }

    fn entry(&mut self, field: &Field, is_focused: bool, room: usize) -> Vec<Line<'static>> {
        let look = if is_focused { self.theme.selected() } else { Style::new() };
        match &field.entry {
            Entry::Group => {
                let said = text::clean(&field.description);
                vec![Line::styled(text::fit(&said, room).into_owned(), self.theme.quiet())]
            }
            Entry::Const(value) => vec![Line::styled(text::fit(&shown(value), room).into_owned(), self.theme.quiet())],
            Entry::Boolean(chosen) => {
                let mark = |value| if *chosen == Some(value) { self.theme.glyphs().running } else { " " };
                let mut choice = format!("({}) yes  ({}) no", mark(true), mark(false));
                if text::width(&choice) > room {
                    choice = format!("({})yes ({})no", mark(true), mark(false));
                }
                vec![Line::styled(text::fit(&choice, room).into_owned(), look)]
            }
            Entry::Choice { options, chosen } => {
                let widest = options.iter().map(|option| text::width(&shown(option))).max().unwrap_or(0);
                let name = chosen.and_then(|at| options.get(at)).map(shown).unwrap_or_default();
                let name = text::left(&name, widest.min(room.saturating_sub(6)));
                let choice = format!("[ {name} {} ]", self.theme.glyphs().unfolded);
                let place = chosen.map_or(0, |at| at + 1);
                let mut line = Line::from(Span::styled(text::fit(&choice, room).into_owned(), look));
                self.beside(&mut line, &format!("{place}/{}", options.len()), room);
                vec![line]
            }
            Entry::Written { editor, language, .. } => self.written(field, editor, *language, is_focused, room),
        }
    }

    fn written(
        &mut self,
        field: &Field,
        editor: &Editor,
        language: Language,
        is_focused: bool,
        room: usize,
    ) -> Vec<Line<'static>> {
        let first = self.lines.len();
        let left = self.label + 1;
        if field.is_tall() {
            let bar = self.theme.glyphs().lines.vertical;
            let height = editor.lines().len().clamp(1, TALL);
            let (lines, cursor) = editor_lines(editor, is_focused, room.saturating_sub(2), height);
            self.cursor = cursor.map(|(x, line)| (left + 2 + x, first + line)).or(self.cursor);
            let look = if is_focused { self.theme.accent() } else { self.theme.quiet() };
            let lines = lines.into_iter();
            return lines
                .map(|line| Line::from(vec![Span::styled(format!("{bar} "), look), Span::raw(line)]))
                .collect();
        }
        let most = room.saturating_sub(4);
        let cells = if language == Language::Number { most.min(NUMBER) } else { most };
        let (lines, cursor) = editor_lines(editor, is_focused, cells, 1);
        self.cursor = cursor.map(|(x, line)| (left + 2 + x, first + line)).or(self.cursor);
        let line = lines.into_iter().next().unwrap_or_default();
        let empty = "_".repeat(cells.saturating_sub(text::width(&line)));
        let quiet = self.theme.quiet();
        let spans = [Span::raw("[ "), Span::raw(line), Span::styled(empty, quiet), Span::raw(" ]")];
        let mut line = Line::from(spans.to_vec());
        if language == Language::Number {
            self.beside(&mut line, &field.limits, room);
        }
        vec![line]
    }

    /// Puts something quiet after what is entered, if there is room for it.
    fn beside(&self, line: &mut Line<'static>, said: &str, room: usize) {
        let said = text::clean(said);
        if line.width() + 2 + text::width(&said) <= room {
            line.spans.push(Span::styled(format!("  {said}"), self.theme.quiet()));
        }
    }
}

/// What is seen of a text in a space around its cursor, and where the cursor is in there.
fn editor_lines(
    editor: &Editor,
    is_focused: bool,
    cells: usize,
    height: usize,
) -> (Vec<String>, Option<(usize, usize)>) {
    let cursor = editor.cursor();
    let (row, column) = if is_focused { (cursor.0, cursor.1) } else { (0, 0) };
    let total = editor.lines().len();
    let start = (row + 1).saturating_sub(height).max(row.saturating_sub(height / 2)).min(total.saturating_sub(height));
    let mut lines = Vec::new();
    let mut place = None;
    // All lines are moved to the left by as much as the one with the cursor.
    let hidden = editor.lines().get(row).map_or(0, |line| {
        let before: String = line.chars().take(column).collect();
        (text::width(&text::clean(&before)) + 1).saturating_sub(cells)
    });
    for (number, line) in editor.lines().iter().enumerate().skip(start).take(height) {
        if number == row && is_focused {
            let before: String = line.chars().take(column).collect();
            let x = text::width(&text::clean(&before)).saturating_sub(hidden);
            place = (cells > 0).then_some((x.min(cells.saturating_sub(1)), number - start));
        }
        // Neither what is to the left of the space nor what is far to the right of it is looked at.
        let near: String = line.chars().take((hidden + cells) * 2 + 16).collect();
        lines.push(between(&text::clean(&near), hidden, cells));
    }
    (lines, place)
}

/// The part of a text from a cell on; half of a wide character is a space.
fn between(text: &str, hidden: usize, cells: usize) -> String {
    let mut x = 0;
    let mut part = String::new();
    for grapheme in text.graphemes(true) {
        let wide = text::width(grapheme);
        if x >= hidden {
            part.push_str(grapheme);
        } else if x + wide > hidden {
            part.push_str(&" ".repeat(x + wide - hidden));
        }
        x += wide;
        if x >= hidden + cells {
            break;
        }
    }
    text::start(&part, cells).to_owned()
}

/// What a field is called, and whether something must be entered.
fn label_of(field: &Field, cells: usize) -> String {
    let indent = "  ".repeat(field.path.len().saturating_sub(1));
    let required = if field.is_required { " *" } else { "" };
    let name = format!("{indent}{}", text::clean(field.name()));
    format!("{}{required}", text::fit(&name, cells.saturating_sub(required.len())))
}

fn hint_of(field: &Field) -> String {
    let mut said = text::clean(&field.description).into_owned();
    let limits = match &field.entry {
        Entry::Choice { .. } => "Left and Right choose".to_owned(),
        Entry::Boolean(_) => "Space changes it".to_owned(),
        Entry::Written { language: Language::Text, editor, .. } if field.limits.ends_with("characters") => {
            let entered = editor.lines().iter().map(|line| line.chars().count() + 1).sum::<usize>().saturating_sub(1);
            format!("{entered} of {}", text::clean(&field.limits))
        }
        Entry::Written { .. } | Entry::Group | Entry::Const(_) => text::clean(&field.limits).into_owned(),
    };
    if !said.is_empty() && !limits.is_empty() {
        said.push_str("  ");
    }
    if limits.is_empty() { said } else { format!("{said}({limits})") }
}

/// A value as an option is called.
fn shown(value: &Value) -> String {
    match value {
        Value::String(name) => text::clean(name).into_owned(),
        value => text::clean(&value.to_string()).into_owned(),
    }
}

fn at(area: Rect, x: usize, line: usize) -> (u16, u16) {
    let x = u16::try_from(x).unwrap_or(u16::MAX).min(area.width.saturating_sub(1));
    let y = u16::try_from(line).unwrap_or(u16::MAX).min(area.height.saturating_sub(1));
    (area.x + x, area.y + y)
}
