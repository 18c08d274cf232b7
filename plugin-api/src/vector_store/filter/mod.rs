//! What metadata must be like: the filter language of vector stores.
//!
//! A filter is JSON on the wire and is parsed once into a [`Filter`], a tree a store
//! translates into its engine's own language where it can. What an engine lacks is left to
//! [`Filter::matches`], which knows all of it. The language is `parse`, its meaning `evaluate`.
//!
//! ```
//! use hotbay_plugin::vector_store::Filter;
//! use serde_json::json;
//!
//! let filter = Filter::parse(&json!({ "kind": "note", "stars": { "$gte": 3 } }))?;
//! let metadata = json!({ "kind": "note", "stars": 4 });
//! assert!(filter.matches(metadata.as_object().unwrap()));
//! # Ok::<(), hotbay_plugin::Error>(())
//! ```
//!
//! # Operators
//!
//! | filter | matches if the field |
//! |---|---|
//! | `{field: value}`, `$eq` | is the value; `null` = is missing or null |
//! | `{field: [a, b]}`, `$in` | is one of them, or an array with one of them in it |
//! | `$ne`, `$nin` | is there, and not so |
//! | `$gt`, `$gte`, `$lt`, `$lte` | is a number, or text, on that side |
//! | `$all` | is an array with all of them in it |
//! | `$contains` | is text with the text in it (case aside), or an array with the value, or one of the values, in it |
//! | `$size` | is an array of that length |
//! | `$elemMatch` | is an array with an element that is so: operators, or an object's fields |
//! | `$exists` | is there (`true`) or is missing or null (`false`) |
//! | `$regex`, with `$options` of `i`, `m`, `s`, `x` | is text the expression is found in |
//! | `$and`, `$or`, `$nor`, `$not` | combine filters; `$not` also negates a field's operators |
//!
//! A dot in a field's name goes into an object, as nested objects do: `{"a.b": 1}` and `{"a": {"b": 1}}`
//! are the same. **A field that is missing or null is neither so nor not so**, as in SQL: `$ne`, `$nin` and
//! `$not` do not match it. Only `$exists: false` and `null` do.

mod evaluate;
mod parse;
#[cfg(test)]
mod tests;

use regex::Regex;
use serde_json::Value;

/// What metadata must be like.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Filter {
    /// All of them; none at all matches everything.
    And(Vec<Self>),
    /// One of them.
    Or(Vec<Self>),
    /// The opposite. What says neither yes nor no stays so.
    Not(Box<Self>),
    /// What a field is like.
    Field {
        /// Where it is.
        path: Path,
        /// What it must be like.
        test: Test,
    },
}

/// Where a field is: the keys that lead to it.
///
/// Empty for the value itself, which is what operators within `$elemMatch` are about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Path(Vec<Box<str>>);

impl Path {
    /// Returns the keys, from the outside in.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }

    fn join(&self, field: &str) -> Self {
        Self(self.0.iter().cloned().chain(field.split('.').map(Box::from)).collect())
    }
}

/// What a field must be like.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Test {
    /// The value, or missing if it is null.
    Equal(Value),
    /// A number or text on that side of the value.
    Compare(Comparison, Value),
    /// One of these, or an array with one of these in it.
    In(Vec<Value>),
    /// An array with all of these in it.
    All(Vec<Value>),
    /// Text with it in it, or an array with it in it.
    Contains(Value),
    /// An array of this length.
    Size(u64),
    /// There, or not.
    Exists(bool),
    /// Text in which this is found.
    Regex(Regex),
    /// An array with an element that is so.
    Element(Box<Filter>),
}

/// A side of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
}

impl Filter {
    /// Returns the filter that matches everything.
    #[must_use]
    pub fn everything() -> Self {
        Self::And(Vec::new())
    }

    /// Whether it matches everything, whatever the metadata.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        matches!(self, Self::And(parts) if parts.iter().all(Self::is_everything))
    }
}
