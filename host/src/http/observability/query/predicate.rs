//! Reads a predicate. What is wrong says where, as every issue of a request does.

use serde_json::{Map, Value};

use super::{
    fields::{self, Comparison, Field, Kind, Scope},
    said::Said,
    wrong,
};
use crate::{
    http::error::ApiError,
    observe::{attrs::Key, filter::Filter},
    store::verdicts::VerdictKind,
};

/// How deep and how large a predicate may be, and how often it may ask about spans: what it
/// costs is in proportion.
pub(super) const DEPTH: usize = 12;
pub(super) const NODES: usize = 100;
const RELATED: usize = 8;
pub(super) const SET: usize = 100;
const LONGEST: usize = 4096;

/// What must hold of a trace.
#[derive(Debug)]
pub(super) struct Predicate {
    node: Node,
    related: Vec<Related>,
}

/// A question about what belongs to a trace.
#[derive(Debug)]
pub(super) enum Related {
    /// Whether it has such a span.
    Spans(Filter),
    /// Whether this was said of it.
    Said(VerdictKind, Said),
}

#[derive(Debug)]
enum Node {
    Is(Filter),
    And(Vec<Self>),
    Or(Vec<Self>),
    Not(Box<Self>),
    /// Whether the trace is one of those that answer a question.
    Related(usize),
}

impl Predicate {
    /// Reads one, which is at `where` of the request.
    pub(super) fn read(source: &Value) -> Result<Self, ApiError> {
        let mut reader = Reader::default();
        let node = reader.node(source, Scope::Trace, "where", 1)?;
        Ok(Self { node, related: reader.related })
    }

    /// Returns the questions about what belongs to a trace.
    pub(super) fn related(&self) -> &[Related] {
        &self.related
    }

    /// Returns the condition, once the questions are answered, each by the traces it is true of.
    pub(super) fn filter(self, answers: &[Vec<String>]) -> Filter {
        self.node.filter(answers)
    }
}

impl Node {
    fn filter(self, answers: &[Vec<String>]) -> Filter {
        let all = |nodes: Vec<Self>| nodes.into_iter().map(|node| node.filter(answers)).collect();
        match self {
            Self::Is(filter) => filter,
            Self::And(nodes) => Filter::And(all(nodes)),
            Self::Or(nodes) => Filter::Or(all(nodes)),
            Self::Not(node) => Filter::Not(Box::new(node.filter(answers))),
            Self::Related(index) => Filter::Is(Key::TraceId, answers.get(index).cloned().unwrap_or_default()),
        }
    }
}

#[derive(Default)]
struct Reader {
    nodes: usize,
    related: Vec<Related>,
}

impl Reader {
    fn node(&mut self, source: &Value, scope: Scope, at: &str, depth: usize) -> Result<Node, ApiError> {
        self.nodes += 1;
        if depth > DEPTH || self.nodes > NODES {
            return Err(wrong(at, format!("Predicates are limited to {NODES} nodes and {DEPTH} levels")));
        }
        let Value::Object(source) = source else { return Err(wrong(at, "Invalid input: expected object")) };
        for collection in ["spans", "scores", "feedback"] {
            if let Some(clause) = source.get(collection) {
                return self.relation(collection, clause, scope, &format!("{at}.{collection}"), depth);
            }
        }
        let op = source.get("op").and_then(Value::as_str).unwrap_or_default();
        let node = match op {
            "and" | "or" => {
                let Some(Value::Array(args)) = source.get("args").filter(|args| args != &&Value::Array(Vec::new()))
                else {
                    return Err(wrong(format!("{at}.args"), "Invalid input: expected array of at least one predicate"));
                };
                let mut nodes = Vec::with_capacity(args.len().min(NODES));
                for (index, arg) in args.iter().enumerate() {
                    nodes.push(self.node(arg, scope, &format!("{at}.args.{index}"), depth + 1)?);
                }
                if op == "and" { Node::And(nodes) } else { Node::Or(nodes) }
            }
            "not" => {
                let arg = source.get("arg").unwrap_or(&Value::Null);
                Node::Not(Box::new(self.node(arg, scope, &format!("{at}.arg"), depth + 1)?))
            }
            _ => Node::Is(leaf(op, source, scope, at)?),
        };
        Ok(node)
    }

    /// Reads a question about what belongs to a trace.
    fn relation(
        &mut self,
        collection: &str,
        clause: &Value,
        scope: Scope,
        at: &str,
        depth: usize,
    ) -> Result<Node, ApiError> {
        if scope != Scope::Trace {
            return Err(wrong(at, "Related collections cannot be nested inside related-record predicates"));
        }
        let (quantifier, nested) = match (clause.get("some"), clause.get("none")) {
            (Some(nested), None) => ("some", nested),
            (None, Some(nested)) => ("none", nested),
            _ => return Err(wrong(at, "Invalid input: expected either some or none")),
        };
        let place = format!("{at}.{quantifier}");
        let related = match collection {
            "spans" => Related::Spans(self.node(nested, Scope::Spans, &place, depth + 1)?.filter(&[])),
            collection => {
                let kind = if collection == "scores" { VerdictKind::Score } else { VerdictKind::Feedback };
                Related::Said(kind, Said::read(nested, kind, &place, depth + 1, &mut self.nodes)?)
            }
        };
        if self.related.len() == RELATED {
            return Err(wrong(at, format!("Trace queries are limited to {RELATED} related collection clauses")));
        }
        self.related.push(related);
        let node = Node::Related(self.related.len() - 1);
        Ok(if quantifier == "some" { node } else { Node::Not(Box::new(node)) })
    }
}

fn leaf(op: &str, source: &Map<String, Value>, scope: Scope, at: &str) -> Result<Filter, ApiError> {
    let field = |from: &Value, place: &str| field(from, scope, place);
    let path = || field(source.get("path").unwrap_or(&Value::Null), &format!("{at}.path"));
    let not = |filter| Filter::Not(Box::new(filter));
    match op {
        "exists" => Ok(path()?.exists()),
        "notExists" => Ok(not(path()?.exists())),
        "includes" | "notIncludes" => {
            if path()?.kind() != Kind::List {
                return Err(wrong(format!("{at}.path"), "Only of tags it can be asked what they include"));
            }
            let place = format!("{at}.value");
            let value = source.get("value").and_then(Value::as_str);
            let value = short(value.ok_or_else(|| wrong(&*place, "Invalid input: expected string"))?, &place)?;
            let filter = Filter::is(Key::Tag, value);
            Ok(if op == "includes" { filter } else { not(filter) })
        }
        "in" | "notIn" => {
            let place = format!("{at}.value");
            let path = source.get("value").and_then(|value| value.get("path"));
            let field = field(path.unwrap_or(&Value::Null), &place)?;
            let filter = among(&field, source.get("set"), &format!("{at}.set"))?;
            Ok(if op == "in" { filter } else { field.exists().and(not(filter)) })
        }
        _ => {
            let Some(comparison) = comparison(op) else {
                return Err(wrong(format!("{at}.op"), "Invalid input: no such operator"));
            };
            compare(comparison, source, scope, at)
        }
    }
}

pub(super) fn comparison(op: &str) -> Option<Comparison> {
    Some(match op {
        "eq" => Comparison::Eq,
        "ne" => Comparison::Ne,
        "lt" => Comparison::Lt,
        "lte" => Comparison::Lte,
        "gt" => Comparison::Gt,
        "gte" => Comparison::Gte,
        _ => return None,
    })
}

/// Reads `{op, left, right}`: a path on one side, a value on the other.
fn compare(comparison: Comparison, source: &Map<String, Value>, scope: Scope, at: &str) -> Result<Filter, ApiError> {
    let side = |name: &str, part: &str| source.get(name).and_then(|side| side.get(part));
    let (path, literal, name, comparison) = match (side("left", "path"), side("right", "path")) {
        (Some(path), None) => (path, side("right", "literal"), "right", comparison),
        (None, Some(path)) => (path, side("left", "literal"), "left", turned(comparison)),
        _ => return Err(wrong(at, "Comparisons require one path and one literal")),
    };
    let literal = literal.ok_or_else(|| wrong(at, "Comparisons require one path and one literal"))?;
    let place = format!("{at}.{}", if name == "right" { "left" } else { "right" });
    let field = field(path, scope, &place)?;
    let place = format!("{at}.{name}");
    scalar(literal, &place)?;
    field.compare(comparison, literal).map_err(|message| wrong(place, format!("Invalid input: {message}")))
}

pub(super) fn turned(comparison: Comparison) -> Comparison {
    match comparison {
        Comparison::Lt => Comparison::Gt,
        Comparison::Lte => Comparison::Gte,
        Comparison::Gt => Comparison::Lt,
        Comparison::Gte => Comparison::Lte,
        same @ (Comparison::Eq | Comparison::Ne) => same,
    }
}

fn among(field: &Field, set: Option<&Value>, at: &str) -> Result<Filter, ApiError> {
    let Some(Value::Array(set)) = set else { return Err(wrong(at, "Invalid input: expected array")) };
    if set.is_empty() || set.len() > SET {
        return Err(wrong(at, format!("Invalid input: expected 1 to {SET} values")));
    }
    let mut any = Vec::with_capacity(set.len());
    for (index, value) in set.iter().enumerate() {
        let place = format!("{at}.{index}");
        scalar(value, &place)?;
        let equal = field.compare(Comparison::Eq, value);
        any.push(equal.map_err(|message| wrong(place, format!("Invalid input: {message}")))?);
    }
    Ok(Filter::Or(any))
}

fn field(path: &Value, scope: Scope, at: &str) -> Result<Field, ApiError> {
    let Some(path) = path.as_str() else { return Err(wrong(at, "Invalid input: expected the path of a field")) };
    let path = short(path, at)?;
    fields::find(scope, path).ok_or_else(|| wrong(at, format!("Field \"{path}\" is not allowed here")))
}

pub(super) fn scalar(value: &Value, at: &str) -> Result<(), ApiError> {
    match value {
        Value::Array(_) | Value::Object(_) => Err(wrong(at, "Invalid input: expected a string, a number or a boolean")),
        Value::String(text) => short(text, at).map(|_| ()),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

pub(super) fn short<'a>(text: &'a str, at: &str) -> Result<&'a str, ApiError> {
    if text.len() <= LONGEST {
        return Ok(text);
    }
    Err(wrong(at, format!("Too big: expected string to have <={LONGEST} characters")))
}
