//! Conditions, as the index answers them.

use std::ops::Bound;

use serde_json::Value;
use tantivy::{
    Term,
    query::{
        AllQuery, BooleanQuery, EmptyQuery, ExistsQuery, Occur, Query, QueryParser, RangeQuery, TermQuery, TermSetQuery,
    },
    query_grammar::{self, UserInputAst, UserInputBound, UserInputLeaf, UserInputLiteral},
    schema::{Field, IndexRecordOption},
};

use super::{
    ObserveError,
    attrs::Key,
    filter::{Between, Filter},
    schema::{self, Kept, date, fields, kept, number, tokenizers},
    words,
};
use crate::types::id::Millis;

/// The longest query that is read.
const LONGEST: usize = 4096;

/// Returns the query that finds what meets a condition.
pub(super) fn compile(filter: &Filter) -> Result<Box<dyn Query>, ObserveError> {
    let known = fields();
    Ok(match filter {
        Filter::All => Box::new(AllQuery),
        Filter::And(all) => and(all)?,
        Filter::Or(any) => Box::new(BooleanQuery::union(any.iter().map(compile).collect::<Result<_, _>>()?)),
        Filter::Not(filter) => not(compile(filter)?),
        Filter::Is(key, values) if kept(*key) == Kept::Number => {
            let numbers = values.iter().map(|value| Term::from_field_u64(known.key(*key), number(value)));
            let one = |term: Term| -> Box<dyn Query> {
                Box::new(RangeQuery::new(Bound::Included(term.clone()), Bound::Included(term)))
            };
            Box::new(BooleanQuery::union(numbers.map(one).collect()))
        }
        Filter::Is(key, values) => any_of(known.key(*key), values.iter().map(String::as_str)),
        Filter::Has(key) if kept(*key) == Kept::Postings => {
            let least = Term::from_field_text(known.key(*key), "");
            Box::new(RangeQuery::new(Bound::Included(least), Bound::Unbounded))
        }
        Filter::Has(key) => exists(key.as_str()),
        Filter::Time(between) => during(between),
        Filter::Ended(between) if is_open(between) => exists(schema::column::ENDED),
        Filter::Ended(between) => range(between, |time| Term::from_field_date(known.ended, date(time))),
        Filter::Took(between) if is_open(between) => exists(schema::column::TOOK),
        Filter::Took(between) => range(between, |took| Term::from_field_u64(known.took, took)),
        Filter::Level(levels) => any_of(known.level, levels.iter().map(|level| schema::level(*level))),
        Filter::Field(path, value) => field(path, value),
        Filter::HasField(path) => term(Term::from_field_text(known.has, path)),
        Filter::Root => term(Term::from_field_text(known.facts, schema::ROOT)),
        Filter::HasChildError => term(Term::from_field_text(known.facts, schema::CHILD_ERROR)),
        Filter::Text(text) => {
            let words = words::of(text).into_iter().map(|word| term(Term::from_field_text(known.text, &word)));
            let words: Vec<_> = words.collect();
            if words.is_empty() { Box::new(AllQuery) } else { Box::new(BooleanQuery::intersection(words)) }
        }
        Filter::Query(query) => parse(query)?,
    })
}

/// Returns the query that finds what began, or was written, within a time.
pub(super) fn during(between: &Between<Millis>) -> Box<dyn Query> {
    range(between, |time| Term::from_field_date(fields().time, date(time)))
}

/// Returns the query that finds what came in at a position or later.
pub(super) fn arrived(position: u64) -> Box<dyn Query> {
    Box::new(RangeQuery::new(Bound::Included(Term::from_field_u64(fields().seq, position)), Bound::Unbounded))
}

fn and(all: &[Filter]) -> Result<Box<dyn Query>, ObserveError> {
    let parts = all.iter().filter(|filter| **filter != Filter::All).map(compile);
    let parts: Vec<_> = parts.collect::<Result<_, _>>()?;
    Ok(if parts.is_empty() { Box::new(AllQuery) } else { Box::new(BooleanQuery::intersection(parts)) })
}

/// Reads a query of people: words of the message, `key:value`, `fields.name:value`, `AND`, `OR`, `NOT`, ranges.
fn parse(query: &str) -> Result<Box<dyn Query>, ObserveError> {
    if query.len() > LONGEST {
        return Err(ObserveError::Query(format!("a query may have {LONGEST} bytes, this one has {}", query.len())));
    }
    // Two of them end the parts of a field's name in the index, which then panics.
    if query.chars().any(|c| c.is_control() && !c.is_whitespace()) {
        return Err(ObserveError::Query("a query may not have control characters".to_owned()));
    }
    let known = fields();
    let mut parser = QueryParser::new(known.schema.clone(), vec![known.text, known.fields], tokenizers());
    parser.set_conjunction_by_default();
    let unreadable = |reason: String| ObserveError::Query(format!("the query cannot be read: {reason}"));
    let ast = query_grammar::parse_query(query).map_err(|_| unreadable("its syntax is wrong".to_owned()))?;
    parser.build_query_from_user_input_ast(numbered(negated(ast))).map_err(|error| unreadable(error.to_string()))
}

/// Lets what only says what is not wanted find everything else; the library has it find nothing.
fn negated(ast: UserInputAst) -> UserInputAst {
    match ast {
        UserInputAst::Clause(clauses) => {
            let is_negative = clauses.iter().all(|(occur, _)| *occur == Some(Occur::MustNot));
            let mut clauses: Vec<_> = clauses.into_iter().map(|(occur, ast)| (occur, negated(ast))).collect();
            if is_negative && !clauses.is_empty() {
                let all = UserInputAst::Leaf(Box::new(UserInputLeaf::All));
                clauses.push((Some(Occur::Must), all));
            }
            UserInputAst::Clause(clauses)
        }
        UserInputAst::Boost(ast, boost) => UserInputAst::Boost(Box::new(negated(*ast)), boost),
        leaf @ UserInputAst::Leaf(_) => leaf,
    }
}

/// Has ids that are kept as numbers looked for as such.
fn numbered(ast: UserInputAst) -> UserInputAst {
    match ast {
        UserInputAst::Clause(clauses) => {
            UserInputAst::Clause(clauses.into_iter().map(|(occur, ast)| (occur, numbered(ast))).collect())
        }
        UserInputAst::Boost(ast, boost) => UserInputAst::Boost(Box::new(numbered(*ast)), boost),
        UserInputAst::Leaf(leaf) => UserInputAst::Leaf(Box::new(match *leaf {
            UserInputLeaf::Literal(UserInputLiteral { field_name: Some(field), phrase, .. }) if is_number(&field) => {
                let end = || UserInputBound::Inclusive(number(&phrase).to_string());
                UserInputLeaf::Range { field: Some(field), lower: end(), upper: end() }
            }
            other => other,
        })),
    }
}

fn is_number(field: &str) -> bool {
    Key::ALL.into_iter().any(|key| key.as_str() == field && kept(key) == Kept::Number)
}

fn term(term: Term) -> Box<dyn Query> {
    Box::new(TermQuery::new(term, IndexRecordOption::Basic))
}

fn exists(column: &str) -> Box<dyn Query> {
    Box::new(ExistsQuery::new(column.to_owned(), false))
}

fn not(query: Box<dyn Query>) -> Box<dyn Query> {
    Box::new(BooleanQuery::new(vec![(Occur::Must, Box::new(AllQuery)), (Occur::MustNot, query)]))
}

fn any_of<'a>(field: Field, values: impl Iterator<Item = &'a str>) -> Box<dyn Query> {
    let mut terms: Vec<Term> = values.map(|value| Term::from_field_text(field, value)).collect();
    match (terms.pop(), terms.is_empty()) {
        (None, _) => Box::new(EmptyQuery),
        (Some(only), true) => term(only),
        (Some(last), false) => {
            terms.push(last);
            Box::new(TermSetQuery::new(terms))
        }
    }
}

fn is_open<T>(between: &Between<T>) -> bool {
    between.from.is_none() && between.to.is_none()
}

fn range<T: Copy>(between: &Between<T>, term: impl Fn(T) -> Term) -> Box<dyn Query> {
    let bound = |end: Option<T>| end.map_or(Bound::Unbounded, |end| Bound::Included(term(end)));
    match (bound(between.from), bound(between.to)) {
        (Bound::Unbounded, Bound::Unbounded) => Box::new(AllQuery),
        (from, to) => Box::new(RangeQuery::new(from, to)),
    }
}

/// Finds a free field by its value: texts, numbers and booleans each by their own kind.
fn field(path: &str, value: &Value) -> Box<dyn Query> {
    let mut path = Term::from_field_json_path(fields().fields, path, true);
    match value {
        Value::Bool(value) => path.append_type_and_fast_value(*value),
        Value::String(text) => path.append_type_and_str(text),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), _, _) => path.append_type_and_fast_value(number),
            (None, Some(number), _) => path.append_type_and_fast_value(number),
            // The index keeps whole numbers as such, however they were written.
            (None, None, Some(number)) if number.fract() == 0.0 && number.abs() < 9e15 => {
                #[expect(clippy::cast_possible_truncation, reason = "it is whole and small enough")]
                path.append_type_and_fast_value(number as i64);
            }
            (None, None, Some(number)) => path.append_type_and_fast_value(number),
            (None, None, None) => return Box::new(EmptyQuery),
        },
        Value::Null | Value::Array(_) | Value::Object(_) => return Box::new(EmptyQuery),
    }
    term(path)
}
