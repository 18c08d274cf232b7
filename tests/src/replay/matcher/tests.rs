use serde_json::json;

use super::*;

/// The first mismatch of a comparison, as it is printed.
fn compared(expected: &Value, actual: &Value) -> Option<String> {
    let mut matcher = Matcher::default();
    matcher.compare(expected, Some(actual), "body");
    matcher.mismatches.first().map(ToString::to_string)
}

#[track_caller]
fn accepts(expected: Value, actual: Value) {
    assert_eq!(compared(&expected, &actual), None);
}

#[track_caller]
fn refuses(expected: Value, actual: Value, told: &str) {
    assert_eq!(compared(&expected, &actual).as_deref(), Some(told));
}

/// Refused at the value itself, whose kind is wrong.
#[track_caller]
fn refuses_kind(expected: Value, actual: Value) {
    let told = format!("body: expected {} got {}", shown(Some(&expected)), shown(Some(&actual)));
    refuses(expected, actual, &told);
}

#[test]
fn plain_json_is_equal_or_not() {
    accepts(json!({"a": [1, "x", null, true]}), json!({"a": [1, "x", null, true]}));
    refuses(json!({"a": 1}), json!({"a": 2}), "body.a: expected 1 got 2");
    refuses(json!({"a": null}), json!({}), "body.a: expected null got nothing");
    refuses(json!({"a": null}), json!({"a": false}), "body.a: expected null got false");
    refuses(json!({"a": 1}), json!({"a": true}), "body.a: expected 1 got true");
    refuses(json!({"a": 1}), json!({"a": "1"}), r#"body.a: expected 1 got "1""#);
    refuses(json!({"a": {}}), json!({"a": []}), "body.a: expected {} got []");
    refuses(json!([]), json!({}), "body: expected [] got {}");
}

#[test]
fn key_order_is_free_and_element_order_counts() {
    accepts(json!({"a": 1, "b": 2}), json!({"b": 2, "a": 1}));
    refuses(json!([1, 2]), json!([2, 1]), "body[0]: expected 1 got 2");
    refuses(json!([1, 2]), json!([1]), "body[1]: expected 2 got nothing");
    refuses(json!([1]), json!([1, 2]), "body[1]: expected nothing got 2");
}

#[test]
fn numbers_may_differ_in_the_last_digits_unless_whole() {
    accepts(json!(1), json!(1.0));
    accepts(json!(0.1), json!(0.100_000_5));
    accepts(json!(1e9), json!(1_000_000_100.0));
    refuses_kind(json!(0.1), json!(0.100_01));
    refuses_kind(json!(1_000_000_000), json!(1_000_000_001));
    refuses_kind(json!(u64::MAX), json!(u64::MAX - 1));
}

#[test]
fn extra_keys_are_noted_and_do_not_fail() {
    let mut matcher = Matcher::default();
    matcher.compare(&json!({"a": {"b": 1}}), Some(&json!({"a": {"b": 1, "c": 2}, "d": 3})), "body");
    assert!(matcher.mismatches.is_empty());
    assert_eq!(matcher.extra, ["body.a.c", "body.d"]);
}

#[test]
fn uuid_is_a_whole_uuid_in_either_case() {
    accepts(json!({"$uuid": true}), json!("0199A1b2-0000-7000-8000-00000000000f"));
    refuses_kind(json!({"$uuid": true}), json!("0199a1b2-0000-7000-8000-00000000000f\n"));
    refuses_kind(json!({"$uuid": true}), json!("0199a1b2000070008000"));
    refuses_kind(json!({"$uuid": true}), json!(1));
}

#[test]
fn iso_is_a_date_and_time_with_a_zone() {
    accepts(json!({"$iso": true}), json!("2026-01-31T10:11:12.123Z"));
    accepts(json!({"$iso": true}), json!("2026-01-31T10:11:12+02:00"));
    refuses_kind(json!({"$iso": true}), json!("2026-01-31T10:11:12"));
    refuses_kind(json!({"$iso": true}), json!("2026-01-31"));
    refuses_kind(json!({"$iso": true}), json!(1_700_000_000_000_u64));
}

#[test]
fn ms_is_a_number_of_this_century() {
    accepts(json!({"$ms": true}), json!(1_700_000_000_000_u64));
    accepts(json!({"$ms": true}), json!(1_700_000_000_000.5));
    refuses_kind(json!({"$ms": true}), json!(1_700_000_000));
    refuses_kind(json!({"$ms": true}), json!("1700000000000"));
}

#[test]
fn hex_has_exactly_so_many_lower_case_digits() {
    accepts(json!({"$hex": 4}), json!("0af9"));
    refuses_kind(json!({"$hex": 4}), json!("0AF9"));
    refuses_kind(json!({"$hex": 4}), json!("0af"));
    refuses_kind(json!({"$hex": 4}), json!("0af90"));
}

#[test]
fn number_string_and_bool_stand_for_any_and_may_have_a_minimum() {
    accepts(json!({"$number": true}), json!(-0.5));
    accepts(json!({"$number": true, "$min": 2}), json!(2));
    refuses_kind(json!({"$number": true, "$min": 2}), json!(1.9));
    refuses_kind(json!({"$number": true}), json!(true));
    accepts(json!({"$string": true}), json!(""));
    accepts(json!({"$string": true, "$min": 2}), json!("éé"));
    refuses_kind(json!({"$string": true, "$min": 2}), json!("é"));
    refuses_kind(json!({"$string": true}), json!(null));
    accepts(json!({"$bool": true}), json!(false));
    refuses_kind(json!({"$bool": true}), json!(0));
}

#[test]
fn any_is_anything_but_nothing() {
    accepts(json!({"a": {"$any": true}}), json!({"a": null}));
    refuses(json!({"a": {"$any": true}}), json!({}), r#"body.a: expected {"$any": true} got nothing"#);
}

#[test]
fn pattern_is_about_the_whole_text() {
    accepts(json!({"$pattern": r"call_\d+"}), json!("call_12"));
    accepts(json!({"$pattern": r"a|b.c"}), json!("b\nc"));
    refuses_kind(json!({"$pattern": r"call_\d+"}), json!("call_12x"));
    refuses_kind(json!({"$pattern": r"a|b"}), json!("ab"));
    refuses_kind(json!({"$pattern": r"("}), json!("("));
}

#[test]
fn json_looks_inside_a_text() {
    accepts(json!({"$json": {"id": {"$uuid": true}}}), json!(r#"{"id":"0199a1b2-0000-7000-8000-00000000000f"}"#));
    refuses(json!({"$json": {"a": [1]}}), json!(r#"{"a":[2]}"#), "body<json>.a[0]: expected 1 got 2");
    refuses_kind(json!({"$json": {"a": 1}}), json!("{"));
    refuses_kind(json!({"$json": {"a": 1}}), json!({"a": 1}));
}

#[test]
fn each_is_about_every_element_and_their_number() {
    let expected = json!({"$each": {"n": {"$number": true}}, "$min": 1, "$max": 2});
    accepts(expected.clone(), json!([{"n": 1}, {"n": 2}]));
    accepts(expected.clone(), json!({"x": {"n": 1}}));
    refuses(expected.clone(), json!([{"n": 1}, {"n": "2"}]), r#"body[1].n: expected {"$number": true} got "2""#);
    refuses_kind(expected.clone(), json!([]));
    refuses_kind(expected.clone(), json!([{"n": 1}, {"n": 2}, {"n": 3}]));
    refuses_kind(expected, json!("text"));
}

#[test]
fn open_looks_at_its_own_keys_only() {
    let expected = json!({"$open": {"a": 1, "b": {"c": 2}}});
    accepts(expected.clone(), json!({"a": 1, "b": {"c": 2, "more": 3}, "more": 4}));
    refuses(expected.clone(), json!({"a": 1}), r#"body.b: expected {"c": 2} got nothing"#);
    refuses_kind(expected.clone(), json!([]));
    let mut matcher = Matcher::default();
    matcher.compare(&expected, Some(&json!({"a": 1, "b": {"c": 2, "d": 3}})), "body");
    assert!(matcher.extra.is_empty());
}

#[test]
fn one_takes_the_first_alternative_that_fits() {
    let expected = json!({"$one": [{"a": {"$uuid": true}}, {"a": {"$number": true, "$as": "n"}}]});
    let mut matcher = Matcher::default();
    matcher.compare(&expected, Some(&json!({"a": 7, "b": 1})), "body");
    assert!(matcher.mismatches.is_empty());
    assert_eq!(matcher.bindings.get("n"), Some(&json!(7)));
    assert_eq!(matcher.extra, ["body.b"]);
    refuses_kind(expected, json!({"a": "x"}));
}

#[test]
fn unordered_pairs_every_element_once() {
    let expected = json!({"$unordered": [{"$number": true}, 1]});
    accepts(json!({"$unordered": [1, 2]}), json!([2, 1]));
    refuses(expected.clone(), json!(["a", 1]), "body[1] (any order): expected 1 got [\"a\"]");
    refuses(json!({"$unordered": [1]}), json!([1, 3]), "body[1]: expected nothing got 3");
    refuses_kind(expected, json!({}));
}

#[test]
fn optional_may_be_absent_but_not_wrong() {
    accepts(json!({"a": {"$optional": 1}}), json!({}));
    accepts(json!({"a": {"$optional": 1}}), json!({"a": 1}));
    refuses(json!({"a": {"$optional": 1}}), json!({"a": 2}), "body.a: expected 1 got 2");
}

#[test]
fn as_names_a_value_that_must_stay_the_same() {
    let expected = json!([{"$string": true, "$as": "id"}, "${id}", {"$any": true, "$as": "id"}, "run ${id}!"]);
    accepts(expected.clone(), json!(["x", "x", "x", "run x!"]));
    refuses(expected.clone(), json!(["x", "y", "x", "run x!"]), r#"body[1]: expected "x" got "y""#);
    refuses(expected, json!(["x", "x", "y", ""]), r#"body[2]: expected "x (the same as before: id)" got "y""#);
    refuses(json!("${id}"), json!("x"), r#"body: expected ${id} (not bound) got "x""#);
}

#[test]
fn a_named_key_is_its_value_or_the_first_free_key() {
    let mut matcher = Matcher::default();
    let expected = json!({"${id}": {"ok": true}, "total": 1});
    matcher.compare(&expected, Some(&json!({"total": 1, "call_7": {"ok": true}})), "body");
    assert!(matcher.mismatches.is_empty());
    assert!(matcher.extra.is_empty());
    assert_eq!(matcher.bindings.get("id"), Some(&json!("call_7")));
    matcher.compare(&expected, Some(&json!({"total": 1, "call_8": {"ok": true}})), "body");
    assert_eq!(matcher.mismatches[0].to_string(), r#"body.call_7: expected {"ok": true} got nothing"#);
    refuses(expected, json!({"total": 1}), "body.${id}: expected ${id} (not bound) got nothing");
}

#[test]
fn an_object_with_other_keys_is_no_placeholder() {
    accepts(json!({"$uuid": true, "name": 1}), json!({"$uuid": true, "name": 1}));
    accepts(json!({"$schema": "s"}), json!({"$schema": "s"}));
    refuses(json!({"$min": 1}), json!(2), r#"body: expected {"$min": 1} got 2"#);
}

fn ruled(ignore: &[&str], unordered: &[&str], expected: &Value, actual: &Value) -> Matcher {
    let owned = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
    let mut matcher = Matcher::default().ignoring(&owned(ignore)).unordered(&owned(unordered));
    matcher.compare(expected, Some(actual), "body");
    matcher
}

#[test]
fn ignored_paths_are_neither_compared_nor_extra() {
    let expected = json!({"list": [{"n": 1, "x": 1}, {"n": 2, "x": 1}], "key": {"deep": 1}});
    let actual = json!({"list": [{"n": 1, "x": 9}, {"n": 2}], "key": {"deep": 9}, "more": {"m": 1}});
    let matcher = ruled(&["body.list[*].x", "body.*.deep", "body.more"], &[], &expected, &actual);
    assert!(matcher.mismatches.is_empty(), "{:?}", matcher.mismatches);
    assert!(matcher.extra.is_empty(), "{:?}", matcher.extra);
    // A name that only begins like an ignored one is compared.
    assert_eq!(ruled(&["body.ke"], &[], &expected, &actual).mismatches.len(), 3);
}

#[test]
fn unordered_paths_hold_for_that_array_alone() {
    let (expected, actual) = (json!({"a": [[1, 2], [3]]}), json!({"a": [[3], [1, 2]]}));
    assert!(ruled(&[], &["body.a"], &expected, &actual).mismatches.is_empty());
    assert!(!ruled(&[], &["body"], &expected, &actual).mismatches.is_empty());
    let inner = json!({"a": [[3], [2, 1]]});
    assert!(!ruled(&[], &["body.a"], &expected, &inner).mismatches.is_empty());
}

#[test]
fn a_failed_attempt_binds_nothing() {
    let expected = json!({"$unordered": [[{"$any": true, "$as": "x"}, 1], [{"$any": true, "$as": "y"}, 2]]});
    let mut matcher = Matcher::default();
    matcher.compare(&expected, Some(&json!([["b", 2], ["a", 1]])), "body");
    assert!(matcher.mismatches.is_empty());
    assert_eq!(matcher.bindings.get("x"), Some(&json!("a")));
    assert_eq!(matcher.bindings.get("y"), Some(&json!("b")));
}
