//! Random filters on random metadata: SQL finds what the evaluator says.

use fastrand::Rng;
use hotbay_plugin::{
    testing::random_filters::{filter, metadata},
    vector_store::{Entry, Filter, Metric, Query, Upsert},
};
use serde_json::{Map, Value, json};

use super::{database::Bed, filtered};
use crate::{pushdown::Condition, statement::Statement};

const ROWS: usize = 300;
const FILTERS: usize = 1500;

#[test]
fn random_filters_find_what_the_evaluator_matches() {
    let bed = Bed::new();
    let (_plugin, store) = bed.open();
    store.create_index("docs", 1, Metric::Euclidean).unwrap();
    let seed = 11;
    let mut numbers = Rng::with_seed(seed);
    let mut random = |below| numbers.usize(..below);
    let rows: Vec<(String, Map<String, Value>)> =
        (0..ROWS).map(|number| (format!("{number:03}"), metadata(&mut random))).collect();
    let entries = rows.iter().map(|(id, metadata)| {
        let mut entry = Entry::new(id, vec![1.0]);
        entry.metadata = metadata.clone();
        entry
    });
    store.upsert(&Upsert::new("docs", entries.collect())).unwrap();
    let (mut exact, mut telling) = (0, 0);
    for _ in 0..FILTERS {
        let filter = filter(&mut random);
        let Ok(parsed) = Filter::parse(&filter) else { continue };
        let expected: Vec<&str> =
            rows.iter().filter(|(_, metadata)| parsed.matches(metadata)).map(|(id, _)| id.as_str()).collect();
        let query = filtered(Query::new("docs", vec![1.0], ROWS), filter.clone());
        let hits = store.query(&query).unwrap_or_else(|error| panic!("{filter}: {error}"));
        let mut found: Vec<&str> = hits.iter().map(|hit| hit.id.as_str()).collect();
        found.sort_unstable();
        assert_eq!(found, expected, "seed {seed}: {filter}");
        exact += usize::from(Condition::of(&parsed, &mut Statement::default()).unwrap().is_exact);
        telling += usize::from(!expected.is_empty() && expected.len() < ROWS);
    }
    println!("{exact} of {FILTERS} filters were SQL alone, {telling} told rows apart");
    assert!(exact > FILTERS / 4 && telling > FILTERS / 4, "{exact} {telling}");
    // Changes by filter go the same way.
    for filter in [json!({ "a": { "$gt": 0 } }), json!({ "b": { "$exists": true } }), json!({ "c": { "$ne": "a" } })] {
        let parsed = Filter::parse(&filter).unwrap();
        let hits = store.query(&Query::new("docs", vec![1.0], ROWS)).unwrap();
        let expected = hits.iter().filter(|hit| parsed.matches(&hit.metadata)).count();
        assert!(expected > 0);
        let deleted = store.call("delete", &json!({ "index": "docs", "filter": filter }), vec![]).unwrap().0;
        assert_eq!(deleted, expected, "{filter}");
    }
}
