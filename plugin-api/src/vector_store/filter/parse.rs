//! From JSON to [`Filter`], with the sentences callers of the reference server know.

use regex::{Regex, RegexBuilder};
use serde_json::{Map, Value};

use super::{Comparison, Filter, Path, Test};
use crate::{Error, Result};

/// How deep filters may be nested: what is deeper is no filter a person wrote.
const MAX_DEPTH: usize = 32;
/// How many conditions a filter may have. Every one may be weighed against every entry.
const MAX_CONDITIONS: usize = 1024;
/// The longest regular expression, in bytes.
const MAX_PATTERN: usize = 1024;
/// How large a regular expression may become when it is compiled, in bytes.
const MAX_REGEX: usize = 1 << 18;

impl Filter {
    /// Reads a filter; `null` and `{}` match everything.
    ///
    /// # Errors
    /// [`crate::error::code::INPUT`] and a sentence for the caller if it is none.
    pub fn parse(filter: &Value) -> Result<Self> {
        match filter {
            Value::Null => Ok(Self::everything()),
            Value::Object(fields) => Parser { conditions: 0 }.fields(fields, Scope::Top, &Path::default(), 0),
            _ => Err(Error::input("a filter must be an object")),
        }
    }
}

/// Where an object stands, which decides what it may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// In the filter itself, or in a logical operator.
    Top,
    /// Under a field.
    Field,
    /// In `$elemMatch`.
    Element,
}

struct Parser {
    conditions: usize,
}

impl Parser {
    fn fields(&mut self, fields: &Map<String, Value>, scope: Scope, path: &Path, depth: usize) -> Result<Filter> {
        if depth > MAX_DEPTH {
            return Err(Error::input(format!("the filter is nested more than {MAX_DEPTH} levels deep")));
        }
        let mut parts = Vec::with_capacity(fields.len());
        for (key, value) in fields {
            self.conditions += 1;
            if self.conditions > MAX_CONDITIONS {
                return Err(Error::input(format!("the filter has more than {MAX_CONDITIONS} conditions")));
            }
            match key.as_str() {
                "$and" | "$or" | "$nor" if scope == Scope::Top => parts.push(self.logical(key, value, depth)?),
                "$and" | "$or" | "$nor" => {
                    let place = shown(path, key);
                    let message = format!("Logical operator {key} cannot be used at field level: {place}");
                    return Err(Error::input(message));
                }
                "$not" => parts.push(self.not(value, scope, path, depth)?),
                "$options" if fields.contains_key("$regex") => {}
                "$options" => return Err(Error::input("$options is about $regex, which is missing")),
                _ if key.starts_with('$') => parts.push(self.operator(key, value, fields, scope, path, depth)?),
                _ => parts.push(self.field(key, value, path, depth)?),
            }
        }
        Ok(all(parts))
    }

    fn logical(&mut self, key: &str, value: &Value, depth: usize) -> Result<Filter> {
        let Value::Array(items) = value else {
            return Err(Error::input(format!("{key} operator requires an array")));
        };
        let mut parts = Vec::with_capacity(items.len());
        for item in items {
            let Value::Object(fields) = item else {
                return Err(Error::input(format!("{key} operator requires an array of objects")));
            };
            if fields.keys().any(|field| is_operator(field) && !is_logical(field)) {
                let message = format!("Logical operators must contain field conditions, not direct operators: {key}");
                return Err(Error::input(message));
            }
            parts.push(self.fields(fields, Scope::Top, &Path::default(), depth + 1)?);
        }
        Ok(match key {
            "$and" => all(parts),
            "$or" => Filter::Or(parts),
            _ => Filter::Not(Box::new(Filter::Or(parts))),
        })
    }

    fn not(&mut self, value: &Value, scope: Scope, path: &Path, depth: usize) -> Result<Filter> {
        let Value::Object(fields) = value else {
            return Err(Error::input("$not operator requires an object"));
        };
        if fields.is_empty() {
            return Err(Error::input("$not operator cannot be empty"));
        }
        let inner = self.fields(fields, scope, path, depth + 1)?;
        Ok(Filter::Not(Box::new(inner)))
    }

    fn field(&mut self, field: &str, value: &Value, path: &Path, depth: usize) -> Result<Filter> {
        if field.is_empty() || field.split('.').any(str::is_empty) {
            return Err(Error::input(format!("`{field}` is no name of a field")));
        }
        let path = path.join(field);
        Ok(match value {
            Value::Object(fields) if !fields.is_empty() => self.fields(fields, Scope::Field, &path, depth + 1)?,
            Value::Array(values) => Filter::Field { path, test: Test::In(self.values(values)?) },
            value => Filter::Field { path, test: Test::Equal(value.clone()) },
        })
    }

    fn operator(
        &mut self,
        key: &str,
        value: &Value,
        fields: &Map<String, Value>,
        scope: Scope,
        path: &Path,
        depth: usize,
    ) -> Result<Filter> {
        if !is_known(key) {
            return Err(Error::input(format!("Unsupported operator: {key}")));
        }
        if scope == Scope::Top {
            return Err(Error::input(format!("Invalid top-level operator: {key}")));
        }
        let is = |test| Filter::Field { path: path.clone(), test };
        let is_not = |test| Filter::Not(Box::new(is(test)));
        Ok(match key {
            "$eq" => is(Test::Equal(value.clone())),
            "$ne" => is_not(Test::Equal(value.clone())),
            "$gt" => is(compare(key, Comparison::Greater, value)?),
            "$gte" => is(compare(key, Comparison::GreaterOrEqual, value)?),
            "$lt" => is(compare(key, Comparison::Less, value)?),
            "$lte" => is(compare(key, Comparison::LessOrEqual, value)?),
            "$in" => is(Test::In(self.listed(value)?)),
            "$nin" => match self.listed(value)? {
                // Not one of none: everything, also what is missing.
                values if values.is_empty() => Filter::everything(),
                values => is_not(Test::In(values)),
            },
            "$all" => is(Test::All(self.listed(value)?)),
            "$contains" => is(Test::Contains(value.clone())),
            "$size" => match value.as_u64() {
                Some(length) => is(Test::Size(length)),
                None => return Err(Error::input("$size requires a whole number, at least 0")),
            },
            // Whatever is not `false` asks for the field, as it does there.
            "$exists" => is(Test::Exists(value != &Value::Bool(false))),
            "$elemMatch" => match value {
                Value::Object(fields) => {
                    let element = self.fields(fields, Scope::Element, &Path::default(), depth + 1)?;
                    is(Test::Element(Box::new(element)))
                }
                _ => return Err(Error::input("$elemMatch requires an object with conditions")),
            },
            _ => is(Test::Regex(regex(value, fields.get("$options"))?)),
        })
    }

    /// One value, or several.
    fn listed(&mut self, value: &Value) -> Result<Vec<Value>> {
        match value {
            Value::Array(values) => self.values(values),
            value => Ok(vec![value.clone()]),
        }
    }

    fn values(&mut self, values: &[Value]) -> Result<Vec<Value>> {
        self.conditions += values.len();
        if self.conditions > MAX_CONDITIONS {
            return Err(Error::input(format!("the filter has more than {MAX_CONDITIONS} conditions")));
        }
        Ok(values.to_vec())
    }
}

/// Joins parts, without a level for one alone.
fn all(mut parts: Vec<Filter>) -> Filter {
    if parts.len() == 1
        && let Some(only) = parts.pop()
    {
        return only;
    }
    Filter::And(parts)
}

fn is_operator(key: &str) -> bool {
    key.starts_with('$')
}

fn is_logical(key: &str) -> bool {
    matches!(key, "$and" | "$or" | "$nor" | "$not")
}

fn is_known(key: &str) -> bool {
    const FIELD_OPERATORS: [&str; 14] = [
        "$eq",
        "$ne",
        "$gt",
        "$gte",
        "$lt",
        "$lte",
        "$in",
        "$nin",
        "$all",
        "$contains",
        "$size",
        "$exists",
        "$elemMatch",
        "$regex",
    ];
    FIELD_OPERATORS.contains(&key)
}

fn shown(path: &Path, key: &str) -> String {
    path.keys().chain([key]).collect::<Vec<_>>().join(".")
}

fn compare(key: &str, comparison: Comparison, value: &Value) -> Result<Test> {
    match value {
        Value::Number(_) | Value::String(_) => Ok(Test::Compare(comparison, value.clone())),
        _ => Err(Error::input(format!("{key} requires a number or text"))),
    }
}

/// Compiles an expression. It is found in time that grows with the text alone, whatever the expression is.
fn regex(pattern: &Value, options: Option<&Value>) -> Result<Regex> {
    let Value::String(pattern) = pattern else { return Err(Error::input("$regex requires text")) };
    if pattern.len() > MAX_PATTERN {
        return Err(Error::input(format!("$regex takes {MAX_PATTERN} bytes at most")));
    }
    let mut builder = RegexBuilder::new(pattern);
    builder.size_limit(MAX_REGEX).dfa_size_limit(MAX_REGEX).nest_limit(50);
    match options {
        None => {}
        Some(Value::String(options)) => {
            for option in options.chars() {
                match option {
                    'i' => builder.case_insensitive(true),
                    'm' => builder.multi_line(true),
                    's' => builder.dot_matches_new_line(true),
                    'x' => builder.ignore_whitespace(true),
                    _ => return Err(Error::input(format!("$options knows i, m, s and x, not `{option}`"))),
                };
            }
        }
        Some(_) => return Err(Error::input("$options requires text")),
    }
    builder.build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => Error::input("$regex is too large when it is compiled"),
        error => {
            // The last line says what is wrong, the others draw where.
            let text = error.to_string();
            let what = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            Error::input(format!("$regex is no regular expression: {what}"))
        }
    })
}
