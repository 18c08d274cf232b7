//! Predicates on scores and feedback: read as those on spans are, and held against one document
//! at a time.

use std::{cmp::Ordering, collections::BTreeSet};

use serde_json::{Map, Value};

use super::{
    super::verdicts::document,
    fields::Comparison,
    predicate::{DEPTH, NODES, SET, comparison, scalar, short, turned},
    wrong,
};
use crate::{
    http::error::ApiError,
    store::{
        Store,
        verdicts::{VerdictKind, VerdictOrder, VerdictQuery},
    },
    types::id::Millis,
};

/// What must hold of a score, or of feedback.
#[derive(Debug)]
pub(super) enum Said {
    And(Vec<Self>),
    Or(Vec<Self>),
    Not(Box<Self>),
    /// There is a value.
    Exists(String),
    /// One of its tags is this.
    HasTag(String),
    /// A value stands so to this one.
    Is(String, Comparison, Value),
}

impl Said {
    /// Reads one, which is at `at` of the request. `nodes` counts all of a predicate.
    pub(super) fn read(
        source: &Value,
        kind: VerdictKind,
        at: &str,
        depth: usize,
        nodes: &mut usize,
    ) -> Result<Self, ApiError> {
        *nodes += 1;
        if depth > DEPTH || *nodes > NODES {
            return Err(wrong(at, format!("Predicates are limited to {NODES} nodes and {DEPTH} levels")));
        }
        let Value::Object(source) = source else { return Err(wrong(at, "Invalid input: expected object")) };
        let not = |said| Self::Not(Box::new(said));
        let path = |from: Option<&Value>, place: &str| path(from, kind, &format!("{at}.{place}"));
        Ok(match source.get("op").and_then(Value::as_str).unwrap_or_default() {
            op @ ("and" | "or") => {
                let args = source.get("args").and_then(Value::as_array).filter(|args| !args.is_empty());
                let Some(args) = args else {
                    return Err(wrong(format!("{at}.args"), "Invalid input: expected array of at least one predicate"));
                };
                let mut all = Vec::new();
                for (index, arg) in args.iter().enumerate() {
                    all.push(Self::read(arg, kind, &format!("{at}.args.{index}"), depth + 1, nodes)?);
                }
                if op == "and" { Self::And(all) } else { Self::Or(all) }
            }
            "not" => {
                let arg = source.get("arg").unwrap_or(&Value::Null);
                not(Self::read(arg, kind, &format!("{at}.arg"), depth + 1, nodes)?)
            }
            "exists" => Self::Exists(path(source.get("path"), "path")?),
            "notExists" => not(Self::Exists(path(source.get("path"), "path")?)),
            op @ ("includes" | "notIncludes") => {
                if path(source.get("path"), "path")? != "tags" {
                    return Err(wrong(format!("{at}.path"), "Only of tags it can be asked what they include"));
                }
                let place = format!("{at}.value");
                let value = source.get("value").and_then(Value::as_str);
                let value = short(value.ok_or_else(|| wrong(&*place, "Invalid input: expected string"))?, &place)?;
                let has = Self::HasTag(value.to_owned());
                if op == "includes" { has } else { not(has) }
            }
            op @ ("in" | "notIn") => {
                let path = path(source.get("value").and_then(|value| value.get("path")), "value")?;
                let place = format!("{at}.set");
                let set = source.get("set").and_then(Value::as_array).filter(|set| (1..=SET).contains(&set.len()));
                let Some(set) = set else {
                    return Err(wrong(place, format!("Invalid input: expected 1 to {SET} values")));
                };
                let mut any = Vec::new();
                for (index, value) in set.iter().enumerate() {
                    scalar(value, &format!("{place}.{index}"))?;
                    any.push(Self::Is(path.clone(), Comparison::Eq, value.clone()));
                }
                let any = Self::Or(any);
                if op == "in" { any } else { Self::And(vec![Self::Exists(path), not(any)]) }
            }
            op => {
                let Some(comparison) = comparison(op) else {
                    return Err(wrong(format!("{at}.op"), "Invalid input: no such operator"));
                };
                let side = |name: &str, part: &str| source.get(name).and_then(|side| side.get(part));
                let (from, literal, names, comparison) = match (side("left", "path"), side("right", "path")) {
                    (from @ Some(_), None) => (from, side("right", "literal"), ["left", "right"], comparison),
                    (None, from @ Some(_)) => (from, side("left", "literal"), ["right", "left"], turned(comparison)),
                    _ => return Err(wrong(at, "Comparisons require one path and one literal")),
                };
                let literal = literal.ok_or_else(|| wrong(at, "Comparisons require one path and one literal"))?;
                scalar(literal, &format!("{at}.{}", names[1]))?;
                let path = path(from, names[0])?;
                if path == "timestamp" && literal.as_str().and_then(Millis::parse).is_none() {
                    return Err(wrong(format!("{at}.{}", names[1]), "Invalid input: expected a date"));
                }
                Self::Is(path, comparison, literal.clone())
            }
        })
    }

    /// Returns the traces it was said of, `None` if there are more than `most`.
    pub(super) async fn traces(
        &self,
        store: &Store,
        kind: VerdictKind,
        most: usize,
    ) -> Result<Option<BTreeSet<String>>, ApiError> {
        let mut traces = BTreeSet::new();
        let mut failed = None;
        let verdicts = store.verdicts();
        let query = VerdictQuery::all(kind, VerdictOrder::Newest);
        let read = verdicts.read(&query, |verdict| {
            let Some(trace_id) = verdict.trace_id.clone() else { return true };
            match document::read(&verdict) {
                Ok(document) => {
                    if let Value::Object(document) = document::shown(&verdict, document)
                        && self.holds(&document)
                    {
                        traces.insert(trace_id);
                    }
                    traces.len() <= most
                }
                Err(error) => {
                    failed = Some(error);
                    false
                }
            }
        });
        read.await?;
        failed.map_or(Ok(()), Err)?;
        Ok((traces.len() <= most).then_some(traces))
    }

    fn holds(&self, document: &Map<String, Value>) -> bool {
        match self {
            Self::And(all) => all.iter().all(|said| said.holds(document)),
            Self::Or(any) => any.iter().any(|said| said.holds(document)),
            Self::Not(said) => !said.holds(document),
            Self::Exists(path) => value(document, path).is_some(),
            Self::HasTag(wanted) => {
                let tags = value(document, "tags").and_then(Value::as_array);
                tags.is_some_and(|tags| tags.iter().any(|tag| tag == wanted))
            }
            Self::Is(path, comparison, literal) => {
                let Some(value) = value(document, path) else { return false };
                let order = order(value, literal);
                match comparison {
                    Comparison::Eq => order == Some(Ordering::Equal),
                    Comparison::Ne => order != Some(Ordering::Equal),
                    Comparison::Lt => order == Some(Ordering::Less),
                    Comparison::Lte => matches!(order, Some(Ordering::Less | Ordering::Equal)),
                    Comparison::Gt => order == Some(Ordering::Greater),
                    Comparison::Gte => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
                }
            }
        }
    }
}

fn path(from: Option<&Value>, kind: VerdictKind, at: &str) -> Result<String, ApiError> {
    let path = from.and_then(Value::as_str).ok_or_else(|| wrong(at, "Invalid input: expected the path of a field"))?;
    let path = short(path, at)?;
    if path.starts_with("metadata.") || document::is_field(kind, path) {
        return Ok(path.to_owned());
    }
    Err(wrong(at, format!("Field \"{path}\" is not allowed here")))
}

fn value<'a>(document: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    let value = match path.strip_prefix("metadata.") {
        Some(name) => document.get("metadata")?.get(name)?,
        None => document.get(path)?,
    };
    Some(value).filter(|value| !value.is_null())
}

/// Returns how two values stand to each other; those of different kinds do not.
fn order(value: &Value, literal: &Value) -> Option<Ordering> {
    match (value, literal) {
        (Value::Number(value), Value::Number(literal)) => value.as_f64()?.partial_cmp(&literal.as_f64()?),
        (Value::String(value), Value::String(literal)) => match (Millis::parse(value), Millis::parse(literal)) {
            (Some(value), Some(literal)) => Some(value.cmp(&literal)),
            _ => Some(value.cmp(literal)),
        },
        (Value::Bool(value), Value::Bool(literal)) => Some(value.cmp(literal)),
        _ => None,
    }
}
