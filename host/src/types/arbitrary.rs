//! Arbitrary data for property tests.

use proptest::prelude::*;
use serde_json::Value;

/// Any JSON document, not too large; texts are often those `words` has.
pub(crate) fn json(words: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let word = move || prop_oneof![".{0,12}", prop::sample::select(words).prop_map(str::to_owned)];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(word(), inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}
