//! A value to look at, as a tree.

use ratatui::{buffer::Buffer, layout::Rect};
use serde_json::Value;

use super::{Outcome, cover};
use crate::{
    action::Effect,
    app::middle,
    json,
    keymap::{self, Command, Match, Scope},
    parts::{cursor::Move, pane::put, tree::Tree},
    screens::{Deed, Look},
    theme::Theme,
};

/// Rows it has before it is drawn for the first time; close enough for a page.
const HEIGHT: usize = 20;

/// The value.
#[derive(Debug)]
pub(crate) struct Record {
    title: String,
    value: Value,
    tree: Tree,
    /// What is searched, and whether it is still typed.
    search: Option<(String, bool)>,
}

impl Record {
    pub(crate) fn new(title: String, value: Value) -> Self {
        let tree = Tree::new(&value);
        Self { title, value, tree, search: None }
    }

    pub(super) fn wheel(&mut self, rows: isize) {
        self.tree.scroll(rows, HEIGHT);
    }

    pub(super) fn key(&mut self, name: &str, _look: &Look<'_>) -> Outcome {
        if let Some((text, is_typed @ true)) = &mut self.search {
            match name {
                "enter" => *is_typed = false,
                "esc" | "C-c" => {
                    self.search = None;
                    self.tree.search(&self.value, "");
                }
                "backspace" => {
                    text.pop();
                    self.tree.search(&self.value, text);
                }
                "space" => text.push(' '),
                _ if name.chars().count() == 1 => {
                    text.push_str(name);
                    self.tree.search(&self.value, text);
                }
                _ => {}
            }
            return Outcome::Stay(Vec::new());
        }
        let copy = |text: String| Outcome::Stay(vec![Deed::Effect(Effect::Copy(text))]);
        match name {
            "esc" | "q" | "C-c" => return Outcome::Close(Vec::new()),
            "g" => self.tree.go(&self.value, Move::Top, HEIGHT),
            "/" => self.search = Some((String::new(), true)),
            "n" => self.tree.next_hit(&self.value),
            "N" => self.tree.previous_hit(&self.value),
            _ => {}
        }
        match keymap::find(&[Scope::Tree], "", name) {
            Match::Command(Command::Go(to)) => self.tree.go(&self.value, to, HEIGHT),
            Match::Command(Command::Fold | Command::Open) => self.tree.toggle(&self.value),
            Match::Command(Command::FoldAll) if self.tree.is_folded() => self.tree.unfold_all(&self.value),
            Match::Command(Command::FoldAll) => self.tree.fold_all(&self.value),
            Match::Command(Command::Copy) => {
                return match self.tree.chosen(&self.value) {
                    Some((_, value)) => copy(json::brief(value)),
                    None => Outcome::Stay(Vec::new()),
                };
            }
            Match::Command(Command::CopyRecord) => {
                return copy(serde_json::to_string_pretty(&self.value).unwrap_or_default());
            }
            _ => {}
        }
        Outcome::Stay(Vec::new())
    }

    pub(super) fn draw(&self, theme: Theme, whole: Rect, buf: &mut Buffer) {
        let rows = u16::try_from(self.tree.position().1).unwrap_or(u16::MAX);
        let height = rows.saturating_add(2).max(8).min(whole.height.saturating_sub(4).max(5));
        let area = middle(whole, whole.width.saturating_sub(8).max(20), height);
        let inner = cover(&self.title, theme, area, buf);
        let foot = Rect { y: area.bottom().saturating_sub(1), height: 1.min(area.height), ..area };
        let hits = self.tree.hits().map(|(at, all)| format!("  {at}/{all}")).unwrap_or_default();
        let words = match &self.search {
            Some((text, _)) => format!(" /{text}{hits} "),
            None => " o fold  / search  y copy  C-y copy all  Esc close ".to_owned(),
        };
        put(buf, foot, 2, 0, &words, theme.accent());
        self.tree.draw(&self.value, theme, inner, buf, true);
    }
}
