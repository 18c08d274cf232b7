use std::slice::from_ref;

use serde_json::{Value, json};

use super::*;
use crate::error::code;

#[track_caller]
fn check(filter: &Value, matching: &[Value], others: &[Value]) {
    let parsed = Filter::parse(filter).unwrap();
    for metadata in matching {
        assert!(parsed.matches(metadata.as_object().unwrap()), "{filter} does not match {metadata}");
    }
    for metadata in others {
        assert!(!parsed.matches(metadata.as_object().unwrap()), "{filter} matches {metadata}");
    }
}

#[track_caller]
fn refused(filter: &Value, sentence: &str) {
    let error = Filter::parse(filter).unwrap_err();
    assert_eq!((error.message.as_str(), error.code), (sentence, code::INPUT), "{filter}");
}

#[test]
fn nothing_asked_matches_everything() {
    for filter in [json!({}), json!(null), json!({ "$and": [] }), json!({ "$nor": [] }), json!({ "n": { "$nin": [] } })]
    {
        check(&filter, &[json!({}), json!({ "n": 1 })], &[]);
    }
    assert!(Filter::parse(&json!({})).unwrap().is_everything());
    check(&json!({ "$or": [] }), &[], &[json!({}), json!({ "n": 1 })]);
    check(&json!({ "n": { "$in": [] } }), &[], &[json!({}), json!({ "n": 1 })]);
    check(&json!({ "n": { "$all": [] } }), &[], &[json!({}), json!({ "n": [] })]);
}

#[test]
fn equality_is_of_values() {
    check(&json!({ "n": 1 }), &[json!({ "n": 1 }), json!({ "n": 1.0 })], &[json!({ "n": "1" }), json!({ "n": true })]);
    check(&json!({ "n": { "$eq": "x" } }), &[json!({ "n": "x" })], &[json!({ "n": ["x"] }), json!({ "n": "X" })]);
    check(&json!({ "n": { "$eq": ["a", "b"] } }), &[json!({ "n": ["a", "b"] })], &[json!({ "n": ["b", "a"] })]);
    check(&json!({ "n": {} }), &[json!({ "n": {} })], &[json!({ "n": { "a": 1 } }), json!({})]);
    check(
        &json!({ "n": 9_007_199_254_740_993_i64 }),
        &[json!({ "n": 9_007_199_254_740_993_i64 })],
        &[json!({ "n": 9_007_199_254_740_992_i64 })],
    );
    check(&json!({ "a": 1, "b": 2 }), &[json!({ "a": 1, "b": 2, "c": 3 })], &[json!({ "a": 1 }), json!({ "b": 2 })]);
}

#[test]
fn what_is_missing_is_neither_so_nor_not() {
    let missing = [json!({}), json!({ "t": null })];
    for filter in [
        json!({ "t": { "$ne": "x" } }),
        json!({ "t": { "$nin": ["x"] } }),
        json!({ "$not": { "t": "x" } }),
        json!({ "t": { "$not": { "$eq": "x" } } }),
        json!({ "$nor": [{ "t": "x" }] }),
    ] {
        let others = [&missing[..], &[json!({ "t": "x" })]].concat();
        check(&filter, &[json!({ "t": "y" })], &others);
    }
    for filter in [
        json!({ "t": { "$gt": 0 } }),
        json!({ "t": { "$contains": "" } }),
        json!({ "$not": { "t": { "$all": ["a"] } } }),
        json!({ "t": { "$regex": "" } }),
        json!({ "t": { "$exists": true } }),
    ] {
        check(&filter, &[], &missing);
    }
    for filter in [json!({ "t": null }), json!({ "t": { "$eq": null } }), json!({ "t": { "$exists": false } })] {
        check(&filter, &missing, &[json!({ "t": "x" }), json!({ "t": 0 })]);
    }
    check(&json!({ "t": { "$ne": null } }), &[json!({ "t": "x" })], &missing);
    // Another condition may still decide.
    check(&json!({ "$or": [{ "t": { "$ne": "x" } }, { "n": 1 }] }), &[json!({ "n": 1 })], &[json!({ "n": 2 })]);
    check(&json!({ "$not": { "t": "x", "n": 1 } }), &[json!({ "n": 2 })], &[json!({ "n": 1 })]);
}

#[test]
fn sides_are_of_numbers_and_of_text() {
    check(
        &json!({ "n": { "$gt": 1 } }),
        &[json!({ "n": 1.5 }), json!({ "n": "2" })],
        &[json!({ "n": 1 }), json!({ "n": "x" })],
    );
    check(&json!({ "n": { "$gte": 1, "$lt": 4 } }), &[json!({ "n": 1 }), json!({ "n": 3 })], &[json!({ "n": 4 })]);
    check(&json!({ "n": { "$lte": "3" } }), &[json!({ "n": 3 })], &[json!({ "n": 4 })]);
    check(
        &json!({ "at": { "$gt": "2025-01-01" } }),
        &[json!({ "at": "2025-06-01T00:00:00Z" })],
        &[json!({ "at": "2024-12-31" }), json!({ "at": true })],
    );
}

#[test]
fn arrays_have_operators_of_their_own() {
    let (ab, b, text) = (json!({ "tags": ["a", "b"] }), json!({ "tags": ["b"] }), json!({ "tags": "a" }));
    check(&json!({ "tags": ["a", "c"] }), &[ab.clone(), text.clone()], from_ref(&b));
    check(&json!({ "tags": { "$in": ["a"] } }), &[ab.clone(), text.clone()], from_ref(&b));
    check(&json!({ "tags": { "$in": "a" } }), &[ab.clone(), text.clone()], from_ref(&b));
    check(&json!({ "tags": { "$nin": ["a"] } }), from_ref(&b), &[ab.clone(), text.clone(), json!({})]);
    check(&json!({ "tags": { "$all": ["a", "b"] } }), from_ref(&ab), &[b.clone(), text.clone(), json!({})]);
    check(&json!({ "tags": { "$size": 1 } }), from_ref(&b), &[ab.clone(), text.clone(), json!({})]);
    check(&json!({ "tags": { "$contains": "a" } }), &[ab.clone(), text.clone()], from_ref(&b));
    check(&json!({ "tags": { "$contains": ["a", "z"] } }), from_ref(&ab), from_ref(&b));
    check(&json!({ "tags": { "$elemMatch": { "$in": ["a"] } } }), from_ref(&ab), &[b, text]);
    check(
        &json!({ "lines": { "$elemMatch": { "sku": "x", "count": { "$gt": 2 } } } }),
        &[json!({ "lines": [{ "sku": "x", "count": 1 }, { "sku": "x", "count": 3 }] })],
        &[
            json!({ "lines": [{ "sku": "x", "count": 1 }, { "sku": "y", "count": 3 }] }),
            json!({ "lines": { "sku": "x" } }),
        ],
    );
    check(
        &json!({ "n": { "$elemMatch": { "$gt": 1, "$lt": 3 } } }),
        &[json!({ "n": [0, 2] })],
        &[json!({ "n": [0, 4] })],
    );
    check(
        &json!({ "text": { "$contains": "WORLD" } }),
        &[json!({ "text": "hello world" })],
        &[json!({ "text": "word" })],
    );
}

#[test]
fn dots_and_nested_objects_lead_into_objects() {
    for filter in [json!({ "a.b": 1 }), json!({ "a": { "b": 1 } }), json!({ "a": { "b": { "$lt": 2 } } })] {
        check(
            &filter,
            &[json!({ "a": { "b": 1 } })],
            &[json!({ "a": 1 }), json!({ "b": 1 }), json!({ "a": [{ "b": 1 }] })],
        );
    }
    check(&json!({ "a.b.c": null }), &[json!({ "a": { "b": 1 } }), json!({})], &[json!({ "a": { "b": { "c": 0 } } })]);
}

#[test]
fn logic_is_nested() {
    let filter =
        json!({ "$or": [{ "$and": [{ "a": 1 }, { "b": 2 }] }, { "$not": { "$or": [{ "a": { "$lt": 5 } }] } }] });
    check(&filter, &[json!({ "a": 1, "b": 2 }), json!({ "a": 6 })], &[json!({ "a": 1, "b": 3 }), json!({ "a": 2 })]);
    check(&json!({ "$nor": [{ "a": 1 }, { "b": 2 }] }), &[json!({ "a": 2, "b": 1 })], &[json!({ "a": 1, "b": 1 })]);
}

#[test]
fn expressions_are_found_in_text() {
    check(
        &json!({ "t": { "$regex": "^he" } }),
        &[json!({ "t": "hello" })],
        &[json!({ "t": "the" }), json!({ "t": 1 })],
    );
    check(&json!({ "t": { "$regex": "^WORLD$", "$options": "im" } }), &[json!({ "t": "hello\nworld" })], &[]);
    let bomb = json!({ "t": { "$regex": "^(a+)+$" } });
    check(&bomb, &[json!({ "t": "a".repeat(10_000) })], &[json!({ "t": format!("{}b", "a".repeat(10_000)) })]);
}

#[test]
fn what_is_no_filter_is_told() {
    refused(&json!([]), "a filter must be an object");
    refused(&json!({ "n": { "$bogus": 1 } }), "Unsupported operator: $bogus");
    refused(&json!({ "$bogus": 1 }), "Unsupported operator: $bogus");
    refused(&json!({ "text": { "$like": "he%" } }), "Unsupported operator: $like");
    refused(&json!({ "$gt": 1 }), "Invalid top-level operator: $gt");
    refused(&json!({ "$not": 1 }), "$not operator requires an object");
    refused(&json!({ "$not": {} }), "$not operator cannot be empty");
    refused(&json!({ "n": { "$not": [] } }), "$not operator requires an object");
    refused(&json!({ "n": { "$and": [] } }), "Logical operator $and cannot be used at field level: n.$and");
    refused(&json!({ "n": { "m": { "$or": [] } } }), "Logical operator $or cannot be used at field level: n.m.$or");
    let direct = "Logical operators must contain field conditions, not direct operators: $and";
    refused(&json!({ "$and": [{ "$gt": 1 }] }), direct);
    refused(&json!({ "$and": { "n": 1 } }), "$and operator requires an array");
    refused(&json!({ "$or": [1] }), "$or operator requires an array of objects");
    refused(&json!({ "n": { "$elemMatch": [] } }), "$elemMatch requires an object with conditions");
    refused(&json!({ "n": { "$gt": null } }), "$gt requires a number or text");
    refused(&json!({ "n": { "$size": -1 } }), "$size requires a whole number, at least 0");
    refused(&json!({ "a..b": 1 }), "`a..b` is no name of a field");
    refused(&json!({ "n": { "$options": "i" } }), "$options is about $regex, which is missing");
    refused(&json!({ "n": { "$regex": "(" } }), "$regex is no regular expression: unclosed group");
    refused(&json!({ "n": { "$regex": "a", "$options": "g" } }), "$options knows i, m, s and x, not `g`");
}

#[test]
fn what_costs_too_much_is_refused() {
    let deep = (0..200).fold(json!({ "n": 1 }), |inner, _| json!({ "$not": inner }));
    refused(&deep, "the filter is nested more than 32 levels deep");
    let deep = (0..200).fold(json!(1), |inner, _| json!({ "n": inner }));
    refused(&json!({ "n": deep }), "the filter is nested more than 32 levels deep");
    let wide: Vec<Value> = (0..2000).map(|n| json!({ "n": n })).collect();
    refused(&json!({ "$or": wide }), "the filter has more than 1024 conditions");
    let many: Vec<Value> = (0..2000).map(Value::from).collect();
    refused(&json!({ "n": { "$in": many } }), "the filter has more than 1024 conditions");
    refused(&json!({ "n": { "$regex": "a".repeat(2000) } }), "$regex takes 1024 bytes at most");
    refused(&json!({ "n": { "$regex": r"(\w{50}){50}" } }), "$regex is too large when it is compiled");
}
