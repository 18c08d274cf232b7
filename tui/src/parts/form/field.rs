//! One thing that is entered: what may be, what was, and how it is read.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui_textarea::{CursorMove, TextArea};
use serde_json::{Number, Value};

/// JSON of so many characters is written on one line.
const SHORT_JSON: usize = 40;

/// Text that is edited.
pub(super) type Editor = TextArea<'static>;

/// A field of a form, or the heading of those in it.
#[derive(Debug, Clone)]
pub(super) struct Field {
    /// The names that lead to it; none if it is all there is.
    pub(super) path: Vec<String>,
    /// What it is for, in the words of whoever made the schema.
    pub(super) description: String,
    /// What may be entered, shortly.
    pub(super) limits: String,
    pub(super) is_required: bool,
    pub(super) is_nullable: bool,
    pub(super) entry: Entry,
    /// What it starts with.
    pub(super) default: Option<Value>,
    /// What is sent if nothing is entered.
    empty: Option<Value>,
    pub(super) problem: Option<String>,
}

/// What is entered.
#[derive(Debug, Clone)]
pub(super) enum Entry {
    /// Nothing: the fields that follow are in it.
    Group,
    /// Nothing else can be.
    Const(Value),
    Written {
        language: Language,
        /// Whether it has many lines from the start.
        is_tall: bool,
        editor: Box<Editor>,
    },
    Choice {
        options: Vec<Value>,
        chosen: Option<usize>,
    },
    Boolean(Option<bool>),
}

/// How what is written is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    Text,
    Number,
    Json,
}

impl Entry {
    pub(super) fn written(language: Language, is_tall: bool) -> Self {
        Self::Written { language, is_tall, editor: Box::new(editor("")) }
    }
}

/// An editor of a text, at its end.
pub(super) fn editor(text: &str) -> Editor {
    let mut editor = TextArea::new(text.split('\n').map(str::to_owned).collect());
    editor.move_cursor(CursorMove::Bottom);
    editor.move_cursor(CursorMove::End);
    editor
}

/// What is in an editor.
pub(super) fn text_of(editor: &Editor) -> String {
    editor.lines().join("\n")
}

/// Puts a text where the cursor is, without what no keyboard writes.
pub(super) fn paste_into(editor: &mut Editor, text: &str, is_one_line: bool) -> bool {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let text: String = text.chars().filter(|it| matches!(it, '\n' | '\t') || !it.is_control()).collect();
    let text = if is_one_line { text.trim().replace('\n', " ") } else { text };
    !text.is_empty() && editor.insert_str(text)
}

/// Gives a key to an editor; up and down leave it at its ends, Enter ends a line only where there may be more.
///
/// Returns whether something changed; nothing if the key was not for it.
pub(super) fn edit(editor: &mut Editor, key: KeyEvent, is_one_line: bool, is_tall: bool) -> Option<bool> {
    let has_control = key.modifiers.contains(KeyModifiers::CONTROL);
    let row = editor.cursor().0;
    match key.code {
        KeyCode::Tab | KeyCode::BackTab | KeyCode::Esc => None,
        KeyCode::Up if row == 0 => None,
        KeyCode::Down if row + 1 == editor.lines().len() => None,
        KeyCode::Char('j') if has_control && !is_one_line => {
            editor.insert_newline();
            Some(true)
        }
        KeyCode::Enter if !is_one_line && (is_tall || !key.modifiers.is_empty()) => {
            editor.insert_newline();
            Some(true)
        }
        KeyCode::Enter | KeyCode::Char('\n' | '\r') => None,
        KeyCode::Char('m' | 'j') if has_control => None,
        _ => Some(editor.input(key)),
    }
}

impl Field {
    pub(super) fn new(path: Vec<String>, entry: Entry, is_required: bool, is_nullable: bool) -> Self {
        let empty = (is_required && is_nullable).then_some(Value::Null);
        let (description, limits) = (String::new(), String::new());
        Self { path, description, limits, is_required, is_nullable, entry, default: None, empty, problem: None }
    }

    pub(super) fn name(&self) -> &str {
        self.path.last().map_or("value", String::as_str)
    }

    pub(super) const fn is_focusable(&self) -> bool {
        !matches!(self.entry, Entry::Group | Entry::Const(_))
    }

    /// Whether what is written has more than one line, or is meant to.
    pub(super) fn is_tall(&self) -> bool {
        matches!(&self.entry, Entry::Written { is_tall, editor, .. } if *is_tall || editor.lines().len() > 1)
    }

    /// Reads what was entered; nothing is sent of a field that is empty.
    pub(super) fn read(&self) -> Result<Option<Value>, String> {
        match &self.entry {
            Entry::Group => Ok(self.empty.clone()),
            Entry::Const(value) => Ok(Some(value.clone())),
            Entry::Choice { options, chosen } => {
                Ok(chosen.and_then(|at| options.get(at)).or(self.empty.as_ref()).cloned())
            }
            Entry::Boolean(chosen) => Ok(chosen.map(Value::from).or_else(|| self.empty.clone())),
            Entry::Written { language, editor, .. } => {
                let text = text_of(editor);
                let is_empty = if *language == Language::Text { text.is_empty() } else { text.trim().is_empty() };
                if is_empty {
                    return Ok(self.empty.clone());
                }
                match language {
                    Language::Text => Ok(Some(Value::from(text))),
                    Language::Number => text
                        .trim()
                        .parse::<Number>()
                        .map(|number| Some(Value::Number(number)))
                        .map_err(|_not_one| "must be a number".to_owned()),
                    Language::Json => {
                        serde_json::from_str(&text).map(Some).map_err(|error| format!("must be JSON: {error}"))
                    }
                }
            }
        }
    }

    /// Reads what was entered; what cannot be read is a text.
    pub(super) fn read_anyhow(&self) -> Option<Value> {
        self.read().unwrap_or_else(|_unreadable| match &self.entry {
            Entry::Written { editor, .. } => Some(Value::from(text_of(editor))),
            _ => None,
        })
    }

    /// Tells whether a value is what was entered.
    pub(super) fn holds(&self, value: &Value) -> bool {
        match self.entry {
            Entry::Group => value.is_object() || self.empty.as_ref() == Some(value),
            _ => self.read_anyhow().as_ref() == Some(value),
        }
    }

    /// Enters a value, or nothing.
    pub(super) fn fill(&mut self, value: Option<&Value>) {
        self.problem = None;
        self.empty = match value {
            Some(Value::Null) if self.is_nullable => Some(Value::Null),
            Some(Value::String(text)) if text.is_empty() => Some(Value::from("")),
            _ => (self.is_required && self.is_nullable).then_some(Value::Null),
        };
        let value = value.filter(|value| !(self.is_nullable && value.is_null()));
        match &mut self.entry {
            Entry::Group | Entry::Const(_) => {}
            Entry::Choice { options, chosen } => {
                *chosen = value.and_then(|value| options.iter().position(|option| option == value));
            }
            Entry::Boolean(chosen) => *chosen = value.and_then(Value::as_bool),
            Entry::Written { language, editor: written, .. } => {
                let text = value.map(|value| as_written(*language, value)).unwrap_or_default();
                **written = editor(&text);
            }
        }
    }

    /// Gives a key to it. Returns whether something changed; nothing if the key was not for it.
    pub(super) fn key(&mut self, key: KeyEvent) -> Option<bool> {
        let is_tall = self.is_tall();
        let is_plain = (key.modifiers - KeyModifiers::SHIFT).is_empty();
        match &mut self.entry {
            Entry::Group | Entry::Const(_) => None,
            Entry::Boolean(_) | Entry::Choice { .. } if !is_plain => None,
            Entry::Written { language, editor, .. } => edit(editor, key, *language == Language::Number, is_tall),
            Entry::Boolean(chosen) => {
                let before = *chosen;
                *chosen = match (key.code, *chosen) {
                    (KeyCode::Left | KeyCode::Char('y'), _) => Some(true),
                    (KeyCode::Right | KeyCode::Char('n'), _) => Some(false),
                    (KeyCode::Char(' '), Some(false)) if !self.is_required || self.is_nullable => None,
                    (KeyCode::Char(' '), chosen) => Some(chosen != Some(true)),
                    (KeyCode::Backspace | KeyCode::Delete, _) => None,
                    _ => return None,
                };
                Some(*chosen != before)
            }
            Entry::Choice { options, chosen } => {
                let before = *chosen;
                let may_be_empty = !self.is_required || self.is_nullable;
                *chosen = match key.code {
                    KeyCode::Right | KeyCode::Char(' ') => turn(*chosen, options.len(), may_be_empty, true),
                    KeyCode::Left => turn(*chosen, options.len(), may_be_empty, false),
                    KeyCode::Backspace | KeyCode::Delete => None,
                    KeyCode::Char(letter) => starting_with(letter, options, *chosen),
                    _ => return None,
                };
                Some(*chosen != before)
            }
        }
    }

    /// Puts a text in. Returns whether something changed.
    pub(super) fn paste(&mut self, text: &str) -> bool {
        match &mut self.entry {
            Entry::Written { language, editor, .. } => paste_into(editor, text, *language == Language::Number),
            Entry::Group | Entry::Const(_) | Entry::Choice { .. } | Entry::Boolean(_) => false,
        }
    }
}

/// How a value is written where it is entered.
fn as_written(language: Language, value: &Value) -> String {
    match value {
        Value::String(text) if language != Language::Json => text.clone(),
        // Lists and objects that were never finished.
        Value::String(text) if text.starts_with(['[', '{']) && serde_json::from_str::<Value>(text).is_err() => {
            text.clone()
        }
        value => {
            let line = value.to_string();
            if line.chars().count() > SHORT_JSON { format!("{value:#}") } else { line }
        }
    }
}

/// The next of the options or the one before, round and round; with nothing chosen among them if that may be.
fn turn(chosen: Option<usize>, options: usize, may_be_empty: bool, is_forward: bool) -> Option<usize> {
    let last = options.checked_sub(1)?;
    match (chosen, is_forward) {
        (None, true) => Some(0),
        (None, false) => Some(last),
        (Some(at), true) if at < last => Some(at + 1),
        (Some(at), false) if at > 0 => Some(at - 1),
        (Some(_), is_forward) => (!may_be_empty).then_some(if is_forward { 0 } else { last }),
    }
}

/// The next option that starts with a letter; what is chosen if there is none.
fn starting_with(letter: char, options: &[Value], chosen: Option<usize>) -> Option<usize> {
    let small: String = letter.to_lowercase().collect();
    let starts = |at: &usize| {
        options.get(*at).is_some_and(|option| as_written(Language::Text, option).to_lowercase().starts_with(&small))
    };
    let after = chosen.map_or(0, |at| at + 1);
    (after..options.len()).chain(0..after).find(starts).or(chosen)
}
