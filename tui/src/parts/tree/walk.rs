//! Going through the values of JSON in the order they are read, one after the other and never by recursion.

use std::{fmt::Write as _, slice};

use serde_json::{Value, map};

/// What a value is called where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key<'a> {
    Index(usize),
    Name(&'a str),
}

/// A value where the walk is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node<'a> {
    /// How many values this one is in, the whole not counted.
    pub(super) depth: usize,
    /// The how manyth of its siblings.
    pub(super) index: usize,
    pub(super) key: Key<'a>,
    pub(super) value: &'a Value,
}

/// The values in a value. Goes by what it is in; into it only where told to.
#[derive(Debug, Clone)]
pub(super) struct Walk<'a>(Vec<Children<'a>>);

#[derive(Debug, Clone)]
enum Children<'a> {
    Array(std::iter::Enumerate<slice::Iter<'a, Value>>),
    Object(std::iter::Enumerate<map::Iter<'a>>),
    None,
}

impl<'a> Walk<'a> {
    pub(super) fn new(value: &'a Value) -> Self {
        Self(vec![Children::of(value)])
    }

    /// A walk whose next value is the one at a path of indices.
    pub(super) fn starting_at(value: &'a Value, path: &[usize]) -> Self {
        let mut walk = Self::new(value);
        let Some((last, above)) = path.split_last() else { return walk };
        for index in above {
            match walk.0.last_mut().and_then(|children| children.nth(*index)) {
                Some((_, _, value)) => walk.enter(value),
                None => return walk,
            }
        }
        if let (Some(children), Some(skipped)) = (walk.0.last_mut(), last.checked_sub(1)) {
            children.nth(skipped);
        }
        walk
    }

    /// Goes into a value: what is in it comes next.
    pub(super) fn enter(&mut self, value: &'a Value) {
        self.0.push(Children::of(value));
    }

    pub(super) fn next(&mut self) -> Option<Node<'a>> {
        loop {
            let depth = self.0.len().checked_sub(1)?;
            match self.0.last_mut()?.nth(0) {
                Some((index, key, value)) => return Some(Node { depth, index, key, value }),
                None => self.0.truncate(depth),
            }
        }
    }
}

impl<'a> Children<'a> {
    fn of(value: &'a Value) -> Self {
        match value {
            Value::Array(items) => Self::Array(items.iter().enumerate()),
            Value::Object(map) => Self::Object(map.iter().enumerate()),
            _ => Self::None,
        }
    }

    fn nth(&mut self, skipped: usize) -> Option<(usize, Key<'a>, &'a Value)> {
        match self {
            Self::Array(items) => items.nth(skipped).map(|(index, value)| (index, Key::Index(index), value)),
            Self::Object(map) => map.nth(skipped).map(|(index, (name, value))| (index, Key::Name(name), value)),
            Self::None => None,
        }
    }
}

/// A path as people write it: `$.messages[0].content`.
#[derive(Debug, Clone)]
pub(super) struct Path {
    text: String,
    /// Where the steps end, the `$` first.
    ends: Vec<usize>,
}

impl Path {
    pub(super) fn root() -> Self {
        Self { text: "$".to_owned(), ends: vec![1] }
    }

    pub(super) fn text(self) -> String {
        self.text
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Goes to a value at a depth, under what the path has above it.
    pub(super) fn go(&mut self, depth: usize, key: Key<'_>) {
        self.ends.truncate(depth + 1);
        self.text.truncate(self.ends.last().copied().unwrap_or(1));
        match key {
            Key::Name(name) if is_plain(name) => {
                self.text.push('.');
                self.text.push_str(name);
            }
            Key::Name(name) => {
                self.text.push('[');
                self.text.push_str(&Value::from(name).to_string());
                self.text.push(']');
            }
            Key::Index(index) => {
                // Writing into a string cannot fail.
                let _never = write!(self.text, "[{index}]");
            }
        }
        self.ends.push(self.text.len());
    }
}

fn is_plain(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|character| character.is_alphanumeric() || character == '_' || character == '$')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_walk_goes_by_what_it_is_not_told_to_enter() {
        let value = json!({"a": [1, 2], "b": {"c": 3}, "d": 4});
        let mut walk = Walk::new(&value);
        let mut seen = Vec::new();
        while let Some(node) = walk.next() {
            seen.push((node.depth, node.index));
            if node.key == Key::Name("b") {
                walk.enter(node.value);
            }
        }
        assert_eq!(seen, [(0, 0), (0, 1), (1, 0), (0, 2)]);
        let mut walk = Walk::starting_at(&value, &[0, 1]);
        assert_eq!(walk.next().map(|node| (node.depth, node.index)), Some((1, 1)));
        assert_eq!(walk.next().map(|node| (node.depth, node.index)), Some((0, 1)));
        assert!(Walk::starting_at(&value, &[7, 1]).next().is_none());
    }

    #[test]
    fn names_that_are_not_plain_are_quoted_in_a_path() {
        let mut path = Path::root();
        path.go(0, Key::Name("a b\""));
        path.go(1, Key::Index(3));
        path.go(2, Key::Name("ok"));
        assert_eq!(path.as_str(), "$[\"a b\\\"\"][3].ok");
        path.go(1, Key::Name("x"));
        assert_eq!(path.as_str(), "$[\"a b\\\"\"].x");
    }
}
