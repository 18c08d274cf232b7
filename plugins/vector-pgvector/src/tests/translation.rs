//! Which filters become SQL as a whole.

use hotbay_plugin::vector_store::Filter;
use serde_json::{Value, json};

use crate::{pushdown::Condition, statement::Statement};

#[track_caller]
fn is_exact(filter: &Value) -> bool {
    Condition::of(&Filter::parse(filter).unwrap(), &mut Statement::default()).unwrap().is_exact
}

#[test]
fn what_postgresql_means_the_same_by_is_left_to_it() {
    for filter in [
        json!({}),
        json!({ "a": 1, "b.c": "x", "d": null }),
        json!({ "a": { "$ne": [1, { "b": 2 }] } }),
        json!({ "a": { "$in": ["x", 1, null, true] }, "b": { "$nin": [] } }),
        json!({ "a": { "$all": ["x"] }, "b": { "$size": 2 }, "c": { "$exists": false } }),
        json!({ "a": { "$contains": 5 }, "b": { "$contains": ["x"] } }),
        json!({ "a": { "$gt": "2025-01-01" } }),
        json!({ "a": { "$elemMatch": { "b": 1, "c": { "$in": [2] } } } }),
        json!({ "$or": [{ "a": 1 }, { "$nor": [{ "b": 2 }, { "$not": { "c": 3 } }] }] }),
    ] {
        assert!(is_exact(&filter), "{filter}");
    }
}

#[test]
fn what_it_means_something_else_by_is_weighed_again() {
    for filter in [
        json!({ "a": { "$regex": "x" } }),
        json!({ "a": { "$contains": "x" } }),
        json!({ "a": { "$gt": 1 } }),
        json!({ "a": 9_007_199_254_740_993_i64 }),
        json!({ "a": { "$in": [1, 1e300] } }),
        json!({ "a": { "$elemMatch": { "$regex": "x" } } }),
        json!({ "$not": { "a": { "$elemMatch": { "$contains": "x" } } } }),
        json!({ "a": { "$eq": "\0" } }),
    ] {
        assert!(!is_exact(&filter), "{filter}");
    }
}

#[test]
fn nothing_of_a_filter_is_in_the_text() {
    let filter = json!({ "x'y\"z": "'; DROP TABLE x; --", "$or": [{ "secret": { "$in": ["secret"] } }, { "n": { "$gt": "secret" } }] });
    let sql = Condition::of(&Filter::parse(&filter).unwrap(), &mut Statement::default()).unwrap().sql;
    for part in ["DROP", "secret", "x'y"] {
        assert!(!sql.contains(part), "{sql}");
    }
}
