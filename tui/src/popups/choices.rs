//! One of many, found by typing some of its letters.

use std::fmt;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use nucleo_matcher::{
    Config, Matcher, Utf32Str,
    pattern::{CaseMatching, Normalization, Pattern},
};
use ratatui::{
    buffer::Buffer,
    layout::{Position, Rect},
    style::Style,
};

use super::{Outcome, cover};
use crate::{
    app::middle,
    keymap::Command,
    parts::{
        cursor::{Cursor, Move},
        pane::put,
        text,
    },
    screens::Deed,
    theme::Theme,
};

/// How many rows are shown at most.
const ROWS: u16 = 18;

/// What choosing does.
pub(crate) enum Chosen {
    Command(Command),
    Deed(Box<dyn Fn() -> Deed + Send>),
}

impl fmt::Debug for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(command) => write!(f, "{command:?}"),
            Self::Deed(deed) => write!(f, "{:?}", deed()),
        }
    }
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Choice {
    pub(crate) words: String,
    /// At the right: keys, a kind.
    pub(crate) note: String,
    /// The heading it is under, where there are headings.
    pub(crate) group: &'static str,
    pub(crate) deed: Chosen,
}

/// How they are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Under their headings.
    AsGiven,
    /// The best match first.
    ByMatch,
}

/// The list, and what is typed.
#[derive(Debug)]
pub(crate) struct Choices {
    title: &'static str,
    all: Vec<Choice>,
    order: Order,
    typed: String,
    /// Indices of those that match.
    shown: Vec<usize>,
    cursor: Cursor,
}

impl Choices {
    pub(crate) fn new(title: &'static str, all: Vec<Choice>, order: Order) -> Self {
        let shown = (0..all.len()).collect();
        Self { title, all, order, typed: String::new(), shown, cursor: Cursor::default() }
    }

    fn search(&mut self) {
        self.cursor = Cursor::default();
        if self.typed.trim().is_empty() {
            self.shown = (0..self.all.len()).collect();
            return;
        }
        let mut matcher = Matcher::new(Config::DEFAULT);
        let pattern = Pattern::parse(&self.typed, CaseMatching::Ignore, Normalization::Smart);
        let mut letters = Vec::new();
        let scored = self.all.iter().enumerate().filter_map(|(index, choice)| {
            // Keys are found as well: what does this key do?
            let text = format!("{} {}", choice.words, choice.note);
            let score = pattern.score(Utf32Str::new(&text, &mut letters), &mut matcher)?;
            Some((score, index))
        });
        let mut scored: Vec<(u32, usize)> = scored.collect();
        if self.order == Order::ByMatch {
            scored.sort_by_key(|(score, index)| (u32::MAX - score, *index));
        }
        self.shown = scored.into_iter().map(|(_, index)| index).collect();
    }

    pub(super) fn paste(&mut self, text: &str) {
        self.typed.push_str(&text::clean(text));
        self.search();
    }

    pub(super) fn wheel(&mut self, rows: isize) {
        self.cursor.scroll(rows, self.shown.len(), usize::from(ROWS));
    }

    pub(super) fn key(&mut self, key: KeyEvent, name: &str) -> Outcome {
        let total = self.shown.len();
        let mut go = |to| self.cursor.go(to, total, usize::from(ROWS));
        match name {
            "esc" | "C-c" => return Outcome::Close(Vec::new()),
            "enter" => return self.choose(),
            "down" | "C-n" | "tab" => go(Move::Down),
            "up" | "C-p" | "backtab" => go(Move::Up),
            "pagedown" | "C-d" | "C-f" => go(Move::PageDown),
            "pageup" | "C-b" => go(Move::PageUp),
            "home" => go(Move::Top),
            "end" => go(Move::Bottom),
            "C-u" => {
                self.typed.clear();
                self.search();
            }
            "backspace" => {
                self.typed.pop();
                self.search();
            }
            _ => {
                if let KeyCode::Char(character) = key.code
                    && !key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT)
                {
                    self.typed.push(character);
                    self.search();
                }
            }
        }
        Outcome::Stay(Vec::new())
    }

    fn choose(&self) -> Outcome {
        let chosen = self.shown.get(self.cursor.selected).and_then(|index| self.all.get(*index));
        match chosen.map(|choice| &choice.deed) {
            Some(Chosen::Command(command)) => Outcome::Command(*command),
            Some(Chosen::Deed(deed)) => Outcome::Close(vec![deed()]),
            None => Outcome::Stay(Vec::new()),
        }
    }

    pub(super) fn draw(&self, theme: Theme, whole: Rect, buf: &mut Buffer) -> Position {
        let area = middle(whole, 72, ROWS + 4);
        let inner = cover(self.title, theme, area, buf);
        let end = put(buf, inner, 1, 0, &format!("> {}", self.typed), Style::new());
        let list = Rect { y: inner.y.saturating_add(2), height: inner.height.saturating_sub(2), ..inner };
        let height = usize::from(list.height);
        if self.shown.is_empty() {
            put(buf, list, 1, 0, "nothing by that name", theme.quiet());
        }
        let has_headings = self.order == Order::AsGiven && self.typed.is_empty();
        let mut last = "";
        for (line, row) in (0..).zip(self.cursor.window(self.shown.len(), height)) {
            let Some(choice) = self.shown.get(row).and_then(|index| self.all.get(*index)) else { break };
            let is_selected = row == self.cursor.selected;
            let style = if is_selected { theme.selected() } else { Style::new() };
            let quiet = if is_selected { style } else { theme.quiet() };
            if is_selected {
                buf.set_style(Rect { y: list.y + line, height: 1, ..list }, style);
            }
            // A heading stands beside the first of its group that is seen.
            let group = if has_headings && choice.group != last { choice.group } else { "" };
            last = choice.group;
            let room = usize::from(list.width).saturating_sub(2);
            let side = if has_headings { 24.min(room / 3) } else { 0 };
            let note = text::fit(&choice.note, 18.min(room / 3)).into_owned();
            let words = room.saturating_sub(side + text::width(&note) + 1);
            put(buf, list, 1, line, text::fit(group, side.saturating_sub(1)).as_ref(), quiet);
            let column = u16::try_from(1 + side).unwrap_or(0);
            put(buf, list, column, line, &text::left(&text::clean(&choice.words), words), style);
            let column = u16::try_from(1 + side + words + 1).unwrap_or(0);
            put(buf, list, column, line, &note, if is_selected { style } else { theme.accent() });
        }
        Position::new(inner.x + end.min(inner.width.saturating_sub(1)), inner.y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choices(order: Order) -> Choices {
        let choice = |words: &str, note: &str| Choice {
            words: words.into(),
            note: note.into(),
            group: "",
            deed: Chosen::Command(Command::Help),
        };
        Choices::new("t", vec![choice("roll back", "b"), choice("reload", "r"), choice("quit", "q")], order)
    }

    fn typed(choices: &mut Choices, text: &str) -> Vec<String> {
        for character in text.chars() {
            let key = KeyEvent::from(KeyCode::Char(character));
            choices.key(key, &character.to_string());
        }
        choices.shown.iter().map(|index| choices.all[*index].words.clone()).collect()
    }

    #[test]
    fn some_letters_find_it_and_enter_does_it() {
        let mut found = choices(Order::ByMatch);
        assert_eq!(typed(&mut found, "rlb"), ["roll back"]);
        assert!(matches!(found.key(KeyEvent::from(KeyCode::Enter), "enter"), Outcome::Command(Command::Help)));
        assert_eq!(typed(&mut found, "zzz"), Vec::<String>::new());
        assert!(matches!(found.key(KeyEvent::from(KeyCode::Enter), "enter"), Outcome::Stay(_)));
        found.key(KeyEvent::from(KeyCode::Backspace), "C-u");
        assert_eq!(found.shown.len(), 3);
    }
}
