//! JSON as a tree that is folded and unfolded.
//!
//! A [`Tree`] keeps what is open, what is chosen and which rows there are; the value itself is the
//! caller's and is given to whatever needs it. Rows are numbers: only those seen are made into
//! text, so a value of any size costs as much to draw as the screen has lines.

mod draw;
mod walk;

use std::{collections::HashSet, ops::Range};

use serde_json::Value;

use self::walk::{Key, Node, Path, Walk};
use super::cursor::{Cursor, Move};

/// What has more in it is closed at first.
const BIG: usize = 32;

/// Levels that are open at first.
const OPEN_LEVELS: usize = 2;

/// A tree of some JSON: what is open, chosen and searched for.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    rule: Rule,
    /// The paths of those that are not as the rule has it.
    exceptions: HashSet<String>,
    cursor: Cursor,
    rows: Vec<Row>,
    search: Option<Search>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Initial,
    AllOpen,
    AllClosed,
}

/// A row of the tree as it is folded now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Row {
    /// The row of what it is in; itself at the top.
    parent: u32,
    /// The how manyth of its siblings.
    index: u32,
    depth: u16,
}

/// What is searched for, and where it was found.
#[derive(Debug, Clone)]
struct Search {
    /// In small letters.
    text: String,
    /// Numbers of values in the order they are read.
    hits: Vec<usize>,
    at: usize,
}

impl Tree {
    /// A tree of a value with its first levels open, and what is big closed.
    pub(crate) fn new(value: &Value) -> Self {
        let mut tree = Self {
            rule: Rule::Initial,
            exceptions: HashSet::new(),
            cursor: Cursor::default(),
            rows: Vec::new(),
            search: None,
        };
        tree.rows = tree.rows_of(value);
        tree
    }

    /// Takes a value that has changed: what is open stays open, what is chosen stays chosen if it is still there.
    pub(crate) fn renew(&mut self, value: &Value) {
        let path = self.path_to(self.cursor.selected);
        self.lay_out(value, &path);
        if let Some(search) = &mut self.search {
            search.hits = hits(value, &search.text);
            search.at = search.at.min(search.hits.len().saturating_sub(1));
        }
    }

    /// Goes somewhere. To the left is what this is in, or closes it; to the right opens it, or goes into it.
    pub(crate) fn go(&mut self, value: &Value, to: Move, height: usize) {
        let row = self.cursor.selected;
        match to {
            Move::Left if self.is_open(row) => self.toggle(value),
            Move::Left => {
                let parent = self.rows.get(row).map_or(row, |row| row.parent as usize);
                self.cursor.select(parent, self.rows.len(), height);
            }
            Move::Right if self.is_open(row) => self.cursor.go(Move::Down, self.rows.len(), height),
            Move::Right => self.toggle(value),
            _ => self.cursor.go(to, self.rows.len(), height),
        }
    }

    /// Moves what is seen by so many rows, as a wheel does.
    pub(crate) fn scroll(&mut self, rows: isize, height: usize) {
        self.cursor.scroll(rows, self.rows.len(), height);
    }

    /// Opens what is chosen, or closes it.
    pub(crate) fn toggle(&mut self, value: &Value) {
        let path = self.path_to(self.cursor.selected);
        let Some((text, chosen)) = at(value, &path) else { return };
        if count(chosen) == 0 || path.is_empty() {
            return;
        }
        if !self.exceptions.remove(&text) {
            self.exceptions.insert(text);
        }
        self.lay_out(value, &path);
    }

    /// Closes everything.
    pub(crate) fn fold_all(&mut self, value: &Value) {
        self.set_rule(value, Rule::AllClosed);
    }

    /// Opens everything.
    pub(crate) fn unfold_all(&mut self, value: &Value) {
        self.set_rule(value, Rule::AllOpen);
    }

    /// Tells whether nothing is open, so that a key can do one or the other.
    pub(crate) fn is_folded(&self) -> bool {
        self.rows.iter().all(|row| row.depth == 0)
    }

    fn set_rule(&mut self, value: &Value, rule: Rule) {
        let path = self.path_to(self.cursor.selected);
        self.rule = rule;
        self.exceptions.clear();
        self.lay_out(value, &path);
    }

    /// Searches names and values without regard to case, and goes to what is found next after what is chosen.
    /// An empty text ends the search.
    ///
    /// Returns how many were found.
    pub(crate) fn search(&mut self, value: &Value, text: &str) -> usize {
        if text.is_empty() {
            self.search = None;
            return 0;
        }
        let text = text.to_lowercase();
        let hits = hits(value, &text);
        let found = hits.len();
        let here = self.number_of_chosen(value);
        let at = hits.iter().position(|hit| *hit >= here).unwrap_or(0);
        self.search = Some(Search { text, hits, at });
        self.show_hit(value);
        found
    }

    /// Goes to the next of what was found, after the last to the first.
    pub(crate) fn next_hit(&mut self, value: &Value) {
        if let Some(search) = &mut self.search {
            search.at = if search.at + 1 < search.hits.len() { search.at + 1 } else { 0 };
            self.show_hit(value);
        }
    }

    /// Goes to the one before, from the first to the last.
    pub(crate) fn previous_hit(&mut self, value: &Value) {
        if let Some(search) = &mut self.search {
            search.at = search.at.checked_sub(1).unwrap_or(search.hits.len().saturating_sub(1));
            self.show_hit(value);
        }
    }

    /// The how manyth of how many that were found, counted from one; nothing while there is no search.
    pub(crate) fn hits(&self) -> Option<(usize, usize)> {
        let search = self.search.as_ref()?;
        Some(((search.at + 1).min(search.hits.len()), search.hits.len()))
    }

    /// The how manyth row of how many, counted from one.
    pub(crate) fn position(&self) -> (usize, usize) {
        ((self.cursor.selected + 1).min(self.rows.len()), self.rows.len())
    }

    /// Returns the path of what is chosen, and what it is.
    pub(crate) fn chosen<'a>(&self, value: &'a Value) -> Option<(String, &'a Value)> {
        at(value, &self.path_to(self.cursor.selected))
    }

    /// Chooses the row at a line; the one that is chosen already is opened or closed.
    pub(crate) fn click(&mut self, value: &Value, line: usize, height: usize) {
        let Some(row) = self.cursor.row_at(line, self.rows.len(), height) else { return };
        if row == self.cursor.selected {
            self.toggle(value);
        } else {
            self.cursor.select(row, self.rows.len(), height);
        }
    }

    fn window(&self, height: usize) -> Range<usize> {
        self.cursor.window(self.rows.len(), height)
    }

    fn is_open(&self, row: usize) -> bool {
        match (self.rows.get(row), self.rows.get(row + 1)) {
            (Some(row), Some(next)) => next.depth > row.depth,
            _ => false,
        }
    }

    /// The indices that lead to a row from the top.
    fn path_to(&self, row: usize) -> Vec<usize> {
        let mut path = Vec::new();
        let mut at = row;
        while let Some(row) = self.rows.get(at) {
            path.push(row.index as usize);
            if row.depth == 0 {
                break;
            }
            at = row.parent as usize;
        }
        path.reverse();
        path
    }

    /// Makes the rows anew and chooses what is at a path, or what is nearest above it.
    fn lay_out(&mut self, value: &Value, path: &[usize]) {
        self.rows = self.rows_of(value);
        let mut chosen = None;
        let mut above = 0..self.rows.len();
        for (depth, index) in path.iter().enumerate() {
            let found = above.clone().find(|at| {
                self.rows.get(*at).is_some_and(|row| usize::from(row.depth) == depth && row.index as usize == *index)
            });
            let Some(found) = found else { break };
            chosen = Some(found);
            let inside = self.rows.iter().skip(found + 1).take_while(|row| usize::from(row.depth) > depth).count();
            above = found + 1..found + 1 + inside;
        }
        self.cursor.selected = chosen.unwrap_or(self.cursor.selected).min(self.rows.len().saturating_sub(1));
    }

    fn rows_of(&self, value: &Value) -> Vec<Row> {
        let mut rows = Vec::new();
        let mut open: Vec<u32> = Vec::new();
        let mut path = Path::root();
        let mut walk = Walk::new(value);
        while let Some(node) = walk.next() {
            open.truncate(node.depth);
            let (Ok(number), Ok(index), Ok(depth)) =
                (u32::try_from(rows.len()), u32::try_from(node.index), u16::try_from(node.depth))
            else {
                break;
            };
            rows.push(Row { parent: open.last().copied().unwrap_or(number), index, depth });
            let inside = count(node.value);
            if inside == 0 {
                continue;
            }
            let is_exception = !self.exceptions.is_empty() && {
                path.go(node.depth, node.key);
                self.exceptions.contains(path.as_str())
            };
            if self.rule.is_open(node.depth, inside) != is_exception {
                open.push(number);
                walk.enter(node.value);
            }
        }
        if rows.is_empty() {
            rows.push(Row { parent: 0, index: 0, depth: 0 });
        }
        rows
    }

    /// The number of what is chosen in the order all values are read.
    fn number_of_chosen(&self, value: &Value) -> usize {
        let wanted = self.path_to(self.cursor.selected);
        let mut path = Vec::new();
        let mut number = 0;
        let mut walk = Walk::new(value);
        while let Some(node) = walk.next() {
            path.truncate(node.depth);
            path.push(node.index);
            if path == wanted {
                break;
            }
            number += 1;
            walk.enter(node.value);
        }
        number
    }

    fn show_hit(&mut self, value: &Value) {
        let Some(hit) = self.search.as_ref().and_then(|search| search.hits.get(search.at)).copied() else { return };
        let mut above: Vec<(Node<'_>, String)> = Vec::new();
        let mut indices = Vec::new();
        let mut path = Path::root();
        let mut number = 0;
        let mut walk = Walk::new(value);
        while let Some(node) = walk.next() {
            above.truncate(node.depth);
            indices.truncate(node.depth);
            indices.push(node.index);
            if number == hit {
                break;
            }
            number += 1;
            if count(node.value) > 0 {
                path.go(node.depth, node.key);
                above.push((node, path.as_str().to_owned()));
                walk.enter(node.value);
            }
        }
        for (node, path) in above {
            if self.rule.is_open(node.depth, count(node.value)) {
                self.exceptions.remove(&path);
            } else {
                self.exceptions.insert(path);
            }
        }
        self.lay_out(value, &indices);
    }
}

impl Rule {
    fn is_open(self, depth: usize, inside: usize) -> bool {
        match self {
            Self::Initial => depth + 1 < OPEN_LEVELS && inside <= BIG,
            Self::AllOpen => true,
            Self::AllClosed => false,
        }
    }
}

/// How many values are in a value.
fn count(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.len(),
        Value::Object(map) => map.len(),
        _ => 0,
    }
}

/// The value at a path of indices, and how the path is written. The whole is at the path of a row
/// that stands for it: of a value with nothing in it.
fn at<'a>(value: &'a Value, path: &[usize]) -> Option<(String, &'a Value)> {
    let mut text = Path::root();
    if count(value) == 0 {
        return Some((text.text(), value));
    }
    let mut chosen = value;
    for (depth, index) in path.iter().enumerate() {
        let node = Walk::starting_at(chosen, &[*index]).next().filter(|node| node.index == *index)?;
        text.go(depth, node.key);
        chosen = node.value;
    }
    Some((text.text(), chosen))
}

/// The numbers of the values whose name or text has the text in it.
fn hits(value: &Value, text: &str) -> Vec<usize> {
    let has = |candidate: &str| find(candidate, text).is_some();
    let mut hits = Vec::new();
    let mut number = 0;
    let mut walk = Walk::new(value);
    while let Some(node) = walk.next() {
        let is_named = matches!(node.key, Key::Name(name) if has(name));
        let is_hit = is_named
            || match node.value {
                Value::String(string) => has(string),
                Value::Array(_) | Value::Object(_) => false,
                scalar => has(&scalar.to_string()),
            };
        if is_hit {
            hits.push(number);
        }
        number += 1;
        walk.enter(node.value);
    }
    hits
}

/// Where a text in small letters is in another, without regard to case.
fn find(text: &str, small: &str) -> Option<Range<usize>> {
    if small.is_empty() {
        return None;
    }
    text.char_indices().find_map(|(start, _)| {
        let mut rest = small;
        for (at, character) in text.get(start..)?.char_indices() {
            for letter in character.to_lowercase() {
                rest = rest.strip_prefix(letter)?;
            }
            if rest.is_empty() {
                return Some(start..start + at + character.len_utf8());
            }
        }
        None
    })
}

#[cfg(test)]
mod tests;
