//! A filter as a condition in SQL.
//!
//! A filter says yes, no or neither of metadata. A condition is true of at least the rows the
//! filter says yes of. [`Condition::is_exact`] tells whether of these alone; if not, who reads the rows
//! weighs them with [`Filter::matches`]. `NOT` never stands before something that may be unknown: what a
//! filter says no of has a condition of its own, so both meanings of "unknown" stay apart.
//!
//! What is left to the evaluator: expressions, text that is found in text whatever the case, text
//! beside a number, and numbers that a double has no room for.

use hotbay_plugin::{
    Result,
    vector_store::filter::{Comparison, Filter, Path, Test},
};
use serde_json::{Number, Value, json};

use crate::statement::Statement;

/// Below this the order of numbers is the same for whole numbers, doubles and decimals.
const PLAIN: f64 = 9_007_199_254_740_992.0;
/// For so many values the index on metadata is asked one by one.
const MAX_LOOKUPS: usize = 8;

/// A condition on rows.
pub(crate) struct Condition {
    /// Its text.
    pub(crate) sql: String,
    /// Whether it is true of the rows the filter matches and no others.
    pub(crate) is_exact: bool,
}

impl Condition {
    /// Translates a filter of the column `metadata`; values go into the statement.
    pub(crate) fn of(filter: &Filter, statement: &mut Statement) -> Result<Self> {
        let mut translator = Translator { statement, elements: 0, is_exact: true };
        let sql = translator.says(true, filter, METADATA)?;
        Ok(Self { sql, is_exact: translator.is_exact })
    }
}

const METADATA: &str = "metadata";

struct Translator<'a> {
    statement: &'a mut Statement,
    /// How many names of elements were given.
    elements: usize,
    is_exact: bool,
}

/// What can be said of a field that is there.
enum Answer {
    Sql(String),
    /// Only the evaluator can tell.
    Unsure,
}

impl Translator<'_> {
    /// Returns what is true of documents the filter says yes of, or no.
    fn says(&mut self, yes: bool, filter: &Filter, root: &str) -> Result<String> {
        match (filter, yes) {
            (Filter::Not(inner), _) => self.says(!yes, inner, root),
            (Filter::And(parts), true) | (Filter::Or(parts), false) => self.joined(yes, parts, root, "AND", "TRUE"),
            (Filter::Or(parts), true) | (Filter::And(parts), false) => self.joined(yes, parts, root, "OR", "FALSE"),
            (Filter::Field { path, test }, _) => self.field(yes, path, test, root),
            // What is not known yet is left to the evaluator.
            _ => Ok(self.unsure()),
        }
    }

    fn joined(&mut self, yes: bool, parts: &[Filter], root: &str, with: &str, none: &str) -> Result<String> {
        let parts = parts.iter().map(|part| self.says(yes, part, root)).collect::<Result<Vec<_>>>()?;
        if parts.is_empty() { Ok(none.to_owned()) } else { Ok(format!("({})", parts.join(&format!(" {with} ")))) }
    }

    fn field(&mut self, yes: bool, path: &Path, test: &Test, root: &str) -> Result<String> {
        let Some(value) = self.place(path, root)? else {
            // No text in PostgreSQL has such a key in it, so the field is missing everywhere.
            let is_so = matches!(test, Test::Equal(Value::Null) | Test::Exists(false));
            let is_not = matches!(test, Test::Exists(true)) || is_none(test);
            return Ok(truth(if yes { is_so } else { is_not }).to_owned());
        };
        let missing = format!("({value} IS NULL OR {value} = 'null'::jsonb)");
        let present = format!("({value} <> 'null'::jsonb)");
        match test {
            Test::Equal(Value::Null) => return Ok(if yes { missing } else { present }),
            Test::Exists(exists) => return Ok(if *exists == yes { present } else { missing }),
            test if is_none(test) => return Ok(truth(!yes).to_owned()),
            _ => {}
        }
        let (cases, otherwise) = self.cases(yes, test, &value)?;
        let mut sql = format!("CASE coalesce(jsonb_typeof({value}), 'null') WHEN 'null' THEN FALSE");
        for (kind, answer) in cases {
            let answer = self.answer(yes, answer);
            sql.push_str(&format!(" WHEN '{kind}' THEN {answer}"));
        }
        let otherwise = self.answer(yes, otherwise);
        sql.push_str(&format!(" ELSE {otherwise} END"));
        let lookup = if yes && root == METADATA { self.lookup(path, test)? } else { None };
        Ok(match lookup {
            Some(lookup) => format!("({lookup} AND {sql})"),
            None => format!("({sql})"),
        })
    }

    fn answer(&mut self, yes: bool, answer: Answer) -> String {
        match answer {
            Answer::Sql(sql) if yes => format!("({sql})"),
            Answer::Sql(sql) => format!("NOT ({sql})"),
            Answer::Unsure => self.unsure(),
        }
    }

    fn unsure(&mut self) -> String {
        self.is_exact = false;
        "TRUE".to_owned()
    }

    /// Returns where a field is, `None` if no stored text can have such a key.
    fn place(&mut self, path: &Path, root: &str) -> Result<Option<String>> {
        let mut place = root.to_owned();
        for key in path.keys() {
            if key.contains('\0') {
                return Ok(None);
            }
            // With text on its right side the arrow goes into objects alone, never into arrays.
            place = format!("{place} -> {}::text", self.statement.bind(key.to_owned())?);
        }
        Ok(Some(format!("({place})")))
    }

    /// Returns what decides for each kind of value, and for all others.
    fn cases(&mut self, yes: bool, test: &Test, value: &str) -> Result<(Vec<(&'static str, Answer)>, Answer)> {
        let no = || Answer::Sql("FALSE".to_owned());
        Ok(match test {
            Test::Equal(wanted) if is_plain(wanted) => {
                (vec![], Answer::Sql(format!("{value} = {}", self.json(wanted)?)))
            }
            Test::In(wanted) if wanted.iter().all(is_plain) => {
                let wanted = self.jsons(wanted)?;
                let array = exists(value, &format!("element = ANY ({wanted})"));
                (vec![("array", Answer::Sql(array))], Answer::Sql(format!("{value} = ANY ({wanted})")))
            }
            Test::All(wanted) if wanted.iter().all(is_plain) => {
                let lacks = format!("NOT {}", exists(value, "element = wanted"));
                let array =
                    format!("NOT EXISTS (SELECT FROM unnest({}) AS w (wanted) WHERE {lacks})", self.jsons(wanted)?);
                (vec![("array", Answer::Sql(array))], no())
            }
            Test::Contains(wanted) if is_plain(wanted) => match wanted {
                Value::Array(wanted) => {
                    let array = exists(value, &format!("element = ANY ({})", self.jsons(wanted)?));
                    (vec![("array", Answer::Sql(array))], no())
                }
                Value::String(_) => {
                    let array = exists(value, &format!("element = {}", self.json(wanted)?));
                    (vec![("array", Answer::Sql(array)), ("string", Answer::Unsure)], no())
                }
                wanted => {
                    let wanted = self.json(wanted)?;
                    let array = exists(value, &format!("element = {wanted}"));
                    (vec![("array", Answer::Sql(array))], Answer::Sql(format!("{value} = {wanted}")))
                }
            },
            Test::Size(length) => {
                let array = match i64::try_from(*length) {
                    Ok(length) => format!("jsonb_array_length({value}) = {}", self.statement.bind(length)?),
                    Err(_) => "FALSE".to_owned(),
                };
                (vec![("array", Answer::Sql(array))], no())
            }
            Test::Regex(_) => (vec![("string", Answer::Unsure)], no()),
            Test::Element(filter) => (vec![("array", self.element(yes, filter, value)?)], no()),
            Test::Compare(comparison, bound) => (self.compare(*comparison, bound, value)?, no()),
            _ => (vec![], Answer::Unsure),
        })
    }

    fn element(&mut self, yes: bool, filter: &Filter, value: &str) -> Result<Answer> {
        self.elements += 1;
        let name = format!("element{}", self.elements);
        let was_exact = std::mem::replace(&mut self.is_exact, true);
        let condition = self.says(true, filter, &name)?;
        let is_exact = std::mem::replace(&mut self.is_exact, was_exact);
        if !is_exact && !yes {
            // None of more than those that match says nothing of those that match.
            return Ok(Answer::Unsure);
        }
        self.is_exact &= is_exact;
        Ok(Answer::Sql(format!("EXISTS (SELECT FROM jsonb_array_elements({value}) AS e ({name}) WHERE {condition})")))
    }

    fn compare(&mut self, comparison: Comparison, bound: &Value, value: &str) -> Result<Vec<(&'static str, Answer)>> {
        let sign = match comparison {
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
        };
        let mut number = |bound: Option<String>| -> Result<Answer> {
            let Some(bound) = bound else { return Ok(Answer::Unsure) };
            let bound = self.statement.bind(bound)?;
            Ok(Answer::Sql(format!("{value}::numeric {sign} {bound}::text::numeric")))
        };
        Ok(match bound {
            Value::Number(bound) => {
                let bound = is_plain_number(bound).then(|| bound.to_string());
                // Text may be a number as well, which the evaluator reads in its own way.
                vec![("number", number(bound)?), ("string", Answer::Unsure)]
            }
            Value::String(bound) => {
                let numbers = match bound.trim().parse::<f64>() {
                    Err(_) => Answer::Sql("FALSE".to_owned()),
                    Ok(bound) if bound.is_nan() => Answer::Sql("FALSE".to_owned()),
                    Ok(bound) => number((bound.abs() < PLAIN).then(|| bound.to_string()))?,
                };
                let texts = if bound.contains('\0') {
                    Answer::Unsure
                } else {
                    let bound = self.statement.bind(bound.clone())?;
                    // By code points, as the evaluator has it, whatever the database's language is.
                    Answer::Sql(format!("({value} #>> '{{}}') COLLATE \"C\" {sign} {bound}::text COLLATE \"C\""))
                };
                vec![("number", numbers), ("string", texts)]
            }
            _ => vec![("number", Answer::Unsure), ("string", Answer::Unsure)],
        })
    }

    /// Returns what the index on metadata can look up, if that is implied.
    fn lookup(&mut self, path: &Path, test: &Test) -> Result<Option<String>> {
        let nested = |value: Value| {
            let keys: Vec<&str> = path.keys().collect();
            keys.into_iter().rev().fold(value, |inner, key| json!({ key: inner }))
        };
        let documents: Vec<Value> = match test {
            Test::Equal(wanted) if is_plain(wanted) => vec![nested(wanted.clone())],
            Test::In(wanted) if wanted.len() <= MAX_LOOKUPS && wanted.iter().all(is_plain) => {
                wanted.iter().flat_map(|one| [nested(one.clone()), nested(json!([one]))]).collect()
            }
            Test::All(wanted) if wanted.iter().all(is_plain) => vec![nested(Value::Array(wanted.clone()))],
            _ => return Ok(None),
        };
        let mut lookups = Vec::with_capacity(documents.len());
        for document in documents {
            lookups.push(format!("{METADATA} @> {}", self.json(&document)?));
        }
        Ok(Some(format!("({})", lookups.join(" OR "))))
    }

    fn json(&mut self, value: &Value) -> Result<String> {
        Ok(format!("{}::text::jsonb", self.statement.bind(value.to_string())?))
    }

    fn jsons(&mut self, values: &[Value]) -> Result<String> {
        let values: Vec<String> = values.iter().map(Value::to_string).collect();
        Ok(format!("{}::text[]::jsonb[]", self.statement.bind(values)?))
    }
}

fn exists(array: &str, condition: &str) -> String {
    format!("EXISTS (SELECT FROM jsonb_array_elements({array}) AS e (element) WHERE {condition})")
}

fn truth(is_true: bool) -> &'static str {
    if is_true { "TRUE" } else { "FALSE" }
}

/// Whether a test is about none of the values there are.
fn is_none(test: &Test) -> bool {
    matches!(test, Test::In(values) | Test::All(values) if values.is_empty())
}

/// Whether a value is the same to the evaluator and to PostgreSQL, which has decimals and no NUL.
fn is_plain(value: &Value) -> bool {
    match value {
        Value::Number(number) => is_plain_number(number),
        Value::Array(values) => values.iter().all(is_plain),
        Value::Object(fields) => fields.iter().all(|(key, value)| !key.contains('\0') && is_plain(value)),
        value => !has_nul(value),
    }
}

fn is_plain_number(number: &Number) -> bool {
    number.as_f64().is_some_and(|number| number.abs() < PLAIN)
}

/// Whether a value has text with a NUL character in it, which PostgreSQL does not keep.
pub(crate) fn has_nul(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(has_nul),
        Value::Object(fields) => fields.iter().any(|(key, value)| key.contains('\0') || has_nul(value)),
    }
}
