//! A filter as conditions of Qdrant, on what [`crate::terms`] says of metadata.
//!
//! Conditions hold for at least the points the filter says yes of. [`Conditions::is_exact`] tells whether for these
//! alone; if not, who reads the points weighs them with [`Filter::matches`].

use hotbay_plugin::vector_store::filter::{Comparison, Filter, Test};
use qdrant_client::qdrant::{
    self, Condition, FieldCondition, HasIdCondition, Match, Range, RepeatedStrings, condition::ConditionOneOf,
    r#match::MatchValue,
};
use serde_json::Value;

use crate::terms;

/// Where terms are in the payload.
pub(crate) const TERMS: &str = "terms";
/// Where numbers are in the payload.
pub(crate) const NUMBERS: &str = "numbers";
/// Where text that is a number is in the payload.
pub(crate) const TEXTS: &str = "texts";

/// A filter for Qdrant.
pub(crate) struct Conditions {
    pub(crate) filter: qdrant::Filter,
    /// Whether it holds for the points the filter matches and no others.
    pub(crate) is_exact: bool,
}

impl Conditions {
    pub(crate) fn of(filter: &Filter) -> Self {
        let mut translator = Translator { is_exact: true };
        let condition = translator.says(true, filter);
        Self { filter: qdrant::Filter::must([condition]), is_exact: translator.is_exact }
    }
}

struct Translator {
    is_exact: bool,
}

/// What holds for a field that is as a test says.
struct Answer {
    condition: Condition,
    /// Whether it holds for no other fields.
    is_exact: bool,
}

impl Translator {
    /// Returns what holds for metadata the filter says yes of, or no.
    fn says(&mut self, yes: bool, filter: &Filter) -> Condition {
        match (filter, yes) {
            (Filter::Not(inner), _) => self.says(!yes, inner),
            (Filter::And(parts), true) | (Filter::Or(parts), false) => {
                all(parts.iter().map(|part| self.says(yes, part)).collect())
            }
            (Filter::Or(parts), true) | (Filter::And(parts), false) => {
                any(parts.iter().map(|part| self.says(yes, part)).collect())
            }
            (Filter::Field { path, test }, _) => {
                let path = path.keys().collect::<Vec<_>>().join(".");
                self.field(yes, &path, test)
            }
            // What is not known yet is left to the evaluator.
            _ => {
                self.is_exact = false;
                all(Vec::new())
            }
        }
    }

    fn field(&mut self, yes: bool, path: &str, test: &Test) -> Condition {
        let present = || word(terms::present(path));
        match test {
            Test::Equal(Value::Null) | Test::Exists(false) if yes => return not(present()),
            Test::Exists(true) if !yes => return not(present()),
            Test::Equal(Value::Null) | Test::Exists(_) => return present(),
            Test::In(values) | Test::All(values) if values.is_empty() => {
                return if yes { any(Vec::new()) } else { all(Vec::new()) };
            }
            _ => {}
        }
        let Answer { condition, is_exact } = answer(path, test);
        self.is_exact &= is_exact;
        match (yes, is_exact) {
            (true, _) => condition,
            (false, true) => all(vec![present(), not(condition)]),
            (false, false) => present(),
        }
    }
}

fn answer(path: &str, test: &Test) -> Answer {
    let exact = |condition| Answer { condition, is_exact: true };
    let unsure = |condition| Answer { condition, is_exact: false };
    let present = || word(terms::present(path));
    match test {
        Test::Equal(wanted) => {
            Answer { condition: word(terms::equal(path, wanted)), is_exact: terms::is_certain(wanted) }
        }
        Test::In(wanted) => {
            let itself = wanted.iter().filter(|one| !one.is_array()).map(|one| terms::equal(path, one));
            let condition = words(itself.chain(wanted.iter().map(|one| terms::element(path, one))).collect());
            Answer { condition, is_exact: wanted.iter().all(terms::is_certain) }
        }
        Test::All(wanted) => {
            let condition = all(wanted.iter().map(|one| word(terms::element(path, one))).collect());
            Answer { condition, is_exact: wanted.iter().all(terms::is_certain) }
        }
        Test::Contains(Value::Array(wanted)) => {
            let condition = words(wanted.iter().map(|one| terms::element(path, one)).collect());
            Answer { condition, is_exact: wanted.iter().all(terms::is_certain) }
        }
        Test::Contains(wanted @ Value::String(_)) => {
            // Text in which text is found, whatever the case, is for the evaluator to say.
            let text = all(vec![present(), not(word(terms::array(path)))]);
            unsure(any(vec![word(terms::element(path, wanted)), text]))
        }
        Test::Contains(wanted) => {
            let condition = words(vec![terms::equal(path, wanted), terms::element(path, wanted)]);
            Answer { condition, is_exact: terms::is_certain(wanted) }
        }
        Test::Size(length) => exact(word(terms::size(path, *length))),
        Test::Element(_) => unsure(word(terms::array(path))),
        Test::Compare(comparison, Value::Number(bound)) if terms::is_plain_number(bound) => {
            match (bound.as_f64(), path.contains(['"', '\\'])) {
                (Some(bound), false) => {
                    let beside = |place: &str| range(format!("{place}.\"{path}\""), *comparison, bound);
                    exact(any(vec![beside(NUMBERS), beside(TEXTS)]))
                }
                // Qdrant has no way to name such a field.
                _ => unsure(present()),
            }
        }
        _ => unsure(present()),
    }
}

/// Says that a term is there. The client's own `Condition::matches` takes what has a space in it for a text to search in.
fn word(term: String) -> Condition {
    matches(MatchValue::Keyword(term))
}

fn words(terms: Vec<String>) -> Condition {
    if terms.is_empty() { nothing() } else { matches(MatchValue::Keywords(RepeatedStrings { strings: terms })) }
}

fn matches(value: MatchValue) -> Condition {
    let wanted = Some(Match { match_value: Some(value) });
    field(FieldCondition { key: TERMS.to_owned(), r#match: wanted, ..FieldCondition::default() })
}

fn range(key: String, comparison: Comparison, bound: f64) -> Condition {
    let mut range = Range::default();
    match comparison {
        Comparison::Greater => range.gt = Some(bound),
        Comparison::GreaterOrEqual => range.gte = Some(bound),
        Comparison::Less => range.lt = Some(bound),
        Comparison::LessOrEqual => range.lte = Some(bound),
    }
    field(FieldCondition { key, range: Some(range), ..FieldCondition::default() })
}

fn field(field: FieldCondition) -> Condition {
    Condition { condition_one_of: Some(ConditionOneOf::Field(field)) }
}

fn all(mut conditions: Vec<Condition>) -> Condition {
    match conditions.len() {
        0 => not(nothing()),
        1 => conditions.remove(0),
        _ => qdrant::Filter::must(conditions).into(),
    }
}

fn any(mut conditions: Vec<Condition>) -> Condition {
    match conditions.len() {
        0 => nothing(),
        1 => conditions.remove(0),
        _ => qdrant::Filter::should(conditions).into(),
    }
}

pub(crate) fn not(condition: Condition) -> Condition {
    qdrant::Filter::must_not([condition]).into()
}

fn nothing() -> Condition {
    Condition { condition_one_of: Some(ConditionOneOf::HasId(HasIdCondition::default())) }
}
