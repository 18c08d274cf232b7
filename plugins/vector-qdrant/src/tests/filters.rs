//! Random filters on random metadata: conditions find what the evaluator says.

use fastrand::Rng;
use hotbay_plugin::{
    testing::random_filters::{filter, metadata},
    vector_store::{Entry, Filter, Metric, Query, Upsert},
};
use serde_json::{Map, Value, json};

use super::{Bed, filtered};
use crate::conditions::Conditions;

const ROWS: usize = 300;
const FILTERS: usize = 800;

#[test]
fn random_filters_find_what_the_evaluator_matches() {
    let bed = Bed::new();
    bed.store.create_index("docs", 1, Metric::Euclidean).unwrap();
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
    bed.store.upsert(&Upsert::new("docs", entries.collect())).unwrap();
    let (mut exact, mut telling) = (0, 0);
    for round in 0..FILTERS {
        let filter = filter(&mut random);
        let Ok(parsed) = Filter::parse(&filter) else { continue };
        let expected: Vec<&str> =
            rows.iter().filter(|(_, metadata)| parsed.matches(metadata)).map(|(id, _)| id.as_str()).collect();
        // A few asked for make it look at all points if they are not among the first.
        let top_k = if round % 4 == 0 { 3 } else { ROWS };
        let query = filtered(Query::new("docs", vec![1.0], top_k), filter.clone());
        let hits = bed.store.query(&query).unwrap_or_else(|error| panic!("{filter}: {error}"));
        let mut found: Vec<&str> = hits.iter().map(|hit| hit.id.as_str()).collect();
        found.sort_unstable();
        if top_k == ROWS {
            assert_eq!(found, expected, "seed {seed}: {filter}");
        } else {
            assert_eq!(found.len(), expected.len().min(top_k), "seed {seed}: {filter}");
            assert!(found.iter().all(|id| expected.contains(id)), "seed {seed}: {filter}");
        }
        exact += usize::from(Conditions::of(&parsed).is_exact);
        telling += usize::from(!expected.is_empty() && expected.len() < ROWS);
    }
    println!("{exact} of {FILTERS} filters were conditions alone, {telling} told points apart");
    assert!(exact > FILTERS / 4 && telling > FILTERS / 4, "{exact} {telling}");
    for filter in [json!({ "a": { "$gt": 0 } }), json!({ "b": { "$regex": "." } }), json!({ "c": { "$ne": "a" } })] {
        let parsed = Filter::parse(&filter).unwrap();
        let hits = bed.store.query(&Query::new("docs", vec![1.0], ROWS)).unwrap();
        let expected = hits.iter().filter(|hit| parsed.matches(&hit.metadata)).count();
        assert!(expected > 0);
        let deleted = bed.store.call("delete", &json!({ "index": "docs", "filter": filter }), vec![]).unwrap().0;
        assert_eq!(deleted, expected, "{filter}");
    }
}
