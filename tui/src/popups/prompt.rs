//! One line of text that is asked for.

use crossterm::event::KeyEvent;
use ratatui::{
    buffer::Buffer,
    layout::{Position, Rect},
    style::Style,
    widgets::{Clear, Widget},
};
use ratatui_textarea::TextArea;

use super::{Outcome, cover};
use crate::{
    app::middle,
    order::Order,
    parts::{pane::put, text},
    screens::{Deed, Look},
    theme::Theme,
};

/// What the text is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PromptKind {
    /// Narrows the screen below, while it is typed.
    Filter,
    /// Shown to the server.
    Token,
    NewThread {
        resource: String,
    },
    RenameThread {
        thread: String,
    },
    CloneThread {
        thread: String,
    },
}

/// The line.
#[derive(Debug)]
pub(crate) struct Prompt {
    pub(crate) kind: PromptKind,
    title: String,
    line: TextArea<'static>,
}

impl Prompt {
    pub(crate) fn new(kind: PromptKind, title: &str, start: &str) -> Self {
        let mut line = TextArea::from([text::clean(start).into_owned()]);
        line.move_cursor(ratatui_textarea::CursorMove::End);
        Self { kind, title: title.to_owned(), line }
    }

    fn text(&self) -> String {
        self.line.lines().join(" ")
    }

    pub(super) fn paste(&mut self, text: &str) {
        self.line.insert_str(text::clean(text.trim()).as_ref());
    }

    pub(super) fn key(&mut self, key: KeyEvent, name: &str, _look: &Look<'_>) -> Outcome {
        match name {
            "esc" | "C-c" if self.kind == PromptKind::Filter => Outcome::Filter(String::new(), true),
            "esc" | "C-c" => Outcome::Close(Vec::new()),
            "enter" | "C-m" | "C-j" => self.entered(),
            _ => {
                if name == "C-u" {
                    self.line = TextArea::default();
                } else {
                    self.line.input(key);
                }
                if self.kind == PromptKind::Filter {
                    Outcome::Filter(self.text(), false)
                } else {
                    Outcome::Stay(Vec::new())
                }
            }
        }
    }

    fn entered(&self) -> Outcome {
        let entered = self.text().trim().to_owned();
        let order = match &self.kind {
            PromptKind::Filter => return Outcome::Filter(entered, true),
            PromptKind::Token if entered.is_empty() => return Outcome::Stay(Vec::new()),
            // Of the server that is watched: who reads this knows which.
            PromptKind::Token => return Outcome::Close(vec![Deed::Token(entered)]),
            PromptKind::NewThread { resource } => Order::CreateThread { resource: resource.clone(), title: entered },
            PromptKind::RenameThread { thread } => Order::RenameThread { thread: thread.clone(), title: entered },
            PromptKind::CloneThread { thread } => Order::CloneThread { thread: thread.clone(), title: entered },
        };
        Outcome::Close(vec![Deed::Carry(order)])
    }

    pub(super) fn draw(&self, theme: Theme, whole: Rect, buf: &mut Buffer) -> Position {
        let column = self.line.cursor().1;
        let text = self.text();
        let shown = if self.kind == PromptKind::Token { "*".repeat(text.chars().count()) } else { text };
        let before: String = shown.chars().take(column).collect();
        if self.kind == PromptKind::Filter {
            // In the line of keys: what is narrowed stays in view.
            let area = Rect { y: whole.bottom().saturating_sub(1), height: 1.min(whole.height), ..whole };
            Clear.render(area, buf);
            let mark = put(buf, area, 0, 0, "/", theme.accent());
            let room = usize::from(area.width.saturating_sub(mark + 1));
            let skipped = text::width(&before).saturating_sub(room);
            let seen: String = shown.chars().skip(skipped).collect();
            put(buf, area, mark, 0, &seen, Style::new());
            let cells = u16::try_from(text::width(&before).saturating_sub(skipped)).unwrap_or(0);
            return Position::new(area.x + (mark + cells).min(area.width.saturating_sub(1)), area.y);
        }
        let area = middle(whole, 60, 5);
        let inner = cover(&self.title, theme, area, buf);
        let room = usize::from(inner.width.saturating_sub(3));
        let skipped = text::width(&before).saturating_sub(room);
        let seen: String = shown.chars().skip(skipped).collect();
        put(buf, inner, 1, 0, &seen, Style::new());
        put(buf, inner, 1, 2, "Enter goes on   Esc gives up", theme.quiet());
        let cells = u16::try_from(text::width(&before).saturating_sub(skipped)).unwrap_or(0);
        Position::new(inner.x + 1 + cells.min(inner.width.saturating_sub(2)), inner.y)
    }
}
