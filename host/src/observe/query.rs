//! Conditions, as the index answers them.

use std::ops::Bound;

use serde_json::Value;
use tantivy::{
    Term,
    query::{
        AllQuery, BooleanQuery, EmptyQuery, ExistsQuery, Occur, Query, QueryParser, RangeQuery, TermQuery, TermSetQuery,
    },
    query_grammar::{self, UserInputAst, UserInputBound, UserInputLeaf},
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
        Filter::Is(key, values) => is(*key, values),
        Filter::Has(key) if kept(*key) == Kept::Postings => from(Term::from_field_text(known.key(*key), "")),
        Filter::Has(key) if kept(*key) == Kept::NumberPostings => from(Term::from_field_u64(known.key(*key), 0)),
        Filter::Has(key) => exists(key.as_str()),
        Filter::Time(between) => during(between),
        Filter::Ended(between) if is_open(between) => exists(schema::column::ENDED),
        Filter::Ended(between) => range(between, |time| Term::from_field_date(known.ended, date(time))),
        Filter::Took(between) if is_open(between) => exists(schema::column::TOOK),
        Filter::Took(between) => range(between, |took| Term::from_field_u64(known.took, took)),
        Filter::Level(levels) => {
            any_of(levels.iter().map(|level| Term::from_field_text(known.level, schema::level(*level))))
        }
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
    from(Term::from_field_u64(fields().seq, position))
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
        UserInputAst::Leaf(leaf) => match *leaf {
            UserInputLeaf::Literal(literal) if has_numbers(literal.field_name.as_deref()) => {
                numbered_id(literal.field_name, &literal.phrase)
            }
            UserInputLeaf::Set { field, elements } if has_numbers(field.as_deref()) => {
                let ids = elements.iter().map(|id| (Some(Occur::Should), numbered_id(field.clone(), id)));
                UserInputAst::Clause(ids.collect())
            }
            other => UserInputAst::Leaf(Box::new(other)),
        },
    }
}

/// A range of one: that is found in postings and in columns.
fn numbered_id(field: Option<String>, id: &str) -> UserInputAst {
    let end = || UserInputBound::Inclusive(number(id).to_string());
    UserInputAst::Leaf(Box::new(UserInputLeaf::Range { field, lower: end(), upper: end() }))
}

fn has_numbers(field: Option<&str>) -> bool {
    let is_kept = |key: Key| matches!(kept(key), Kept::NumberPostings | Kept::NumberColumn);
    Key::ALL.into_iter().any(|key| field == Some(key.as_str()) && is_kept(key))
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

/// Finds records by a value of a key.
fn is(key: Key, values: &[String]) -> Box<dyn Query> {
    let field = fields().key(key);
    match kept(key) {
        Kept::Column | Kept::Postings => any_of(values.iter().map(|value| Term::from_field_text(field, value))),
        Kept::NumberPostings => any_of(values.iter().map(|value| id(field, value))),
        Kept::NumberColumn => {
            Box::new(BooleanQuery::union(values.iter().map(|value| only(id(field, value))).collect()))
        }
    }
}

/// Returns the term an id is found by, of a key that is kept as a number.
pub(super) fn id(field: Field, value: &str) -> Term {
    Term::from_field_u64(field, number(value))
}

/// Finds one value in a column.
fn only(term: Term) -> Box<dyn Query> {
    Box::new(RangeQuery::new(Bound::Included(term.clone()), Bound::Included(term)))
}

/// Finds a value and all behind it.
fn from(term: Term) -> Box<dyn Query> {
    Box::new(RangeQuery::new(Bound::Included(term), Bound::Unbounded))
}

fn any_of(terms: impl Iterator<Item = Term>) -> Box<dyn Query> {
    let mut terms: Vec<Term> = terms.collect();
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
