//! The graph finds what looking at everything finds.

use std::{collections::HashSet, sync::Arc};

use hotbay_plugin::vector_store::{CreateIndex, Entry, Hit, Metric, Query, Selection};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::vector;
use crate::{index::Index, store::Store};

const DIMENSION: usize = 48;

/// An index with a graph and the same without one.
struct Twins {
    with_graph: Arc<Index>,
    exact: Arc<Index>,
    random: fastrand::Rng,
    centres: Vec<Vec<f32>>,
    _directory: TempDir,
}

fn index(directory: &std::path::Path, name: &str, metric: Metric, graph_from: usize) -> Arc<Index> {
    let path = directory.join(name);
    let mut create = CreateIndex::default();
    (create.name, create.dimension, create.metric) = (name.to_owned(), DIMENSION as u32, metric);
    Store::open(directory, graph_from).unwrap().create(&create).unwrap();
    Arc::new(Index::open(&path, name, graph_from).unwrap())
}

impl Twins {
    fn new(metric: Metric, count: usize) -> Self {
        let directory = TempDir::new().unwrap();
        let with_graph = index(directory.path(), "graph", metric, 100);
        let exact = index(directory.path(), "exact", metric, usize::MAX);
        let mut random = fastrand::Rng::with_seed(7);
        let centres = (0..20).map(|_| vector(&mut random, DIMENSION)).collect();
        let mut twins = Self { with_graph, exact, random, centres, _directory: directory };
        let mut entries = Vec::new();
        for number in 0..count {
            let entry = Entry::new(number.to_string(), twins.row());
            let entry = entry.with("tenth", number % 10).with("hundredth", number % 100);
            entries.push((number.to_string(), entry));
        }
        for index in [&twins.with_graph, &twins.exact] {
            for batch in entries.chunks(500) {
                assert!(index.upsert(batch).is_ok());
            }
        }
        twins.with_graph.build_graph().unwrap();
        assert_eq!(twins.with_graph.state.read().unwrap().graph.as_ref().unwrap().len(), count);
        twins
    }

    /// Returns a vector: those that mean something lie in groups.
    fn row(&mut self) -> Vec<f32> {
        let centre = &self.centres[self.random.usize(..self.centres.len())];
        let around = vector(&mut self.random, DIMENSION);
        centre.iter().zip(around).map(|(centre, around)| centre + around * 0.8).collect()
    }

    /// Returns the part of the ten best that the graph finds.
    fn recall(&mut self, filter: &Value) -> f64 {
        let (mut found, mut expected) = (0, 0);
        for _ in 0..50 {
            let probe = self.row();
            let query = |index: &Index| -> HashSet<String> {
                let mut query = Query::new("", probe.clone(), 10);
                query.filter = filter.clone();
                let hits: Vec<Hit> = index.query(&query).ok().unwrap();
                hits.into_iter().map(|hit| hit.id).collect()
            };
            let best = query(&self.exact);
            expected += best.len();
            found += query(&self.with_graph).intersection(&best).count();
        }
        f64::from(found as u32) / f64::from(expected as u32)
    }
}

#[track_caller]
fn check(metric: Metric, least: f64) {
    let mut twins = Twins::new(metric, 6000);
    for filter in
        [json!({}), json!({ "tenth": { "$in": [1, 3, 5, 7] } }), json!({ "tenth": 3 }), json!({ "hundredth": 17 })]
    {
        let recall = twins.recall(&filter);
        println!("{metric:?} {recall} {filter}");
        assert!(recall >= least, "recall is {recall} for {filter}");
    }
    // Half of it is deleted, a part comes back elsewhere.
    let ids: Vec<String> = (0..3000).map(|number| (number * 2).to_string()).collect();
    let mut delete = Vec::new();
    for index in [&twins.with_graph, &twins.exact] {
        delete.push(index.delete(&Selection::Ids(ids.clone())).ok().unwrap());
    }
    assert_eq!(delete, [3000, 3000]);
    let again: Vec<_> = (0..1000)
        .map(|number| {
            let id = (number * 2).to_string();
            (id.clone(), Entry::new(id, twins.row()).with("tenth", number % 10))
        })
        .collect();
    for index in [&twins.with_graph, &twins.exact] {
        assert!(index.upsert(&again).is_ok());
    }
    let recall = twins.recall(&json!({}));
    assert!(recall >= least, "recall is {recall} after deleting");
}

#[test]
fn graph_finds_what_is_near_by_angle() {
    check(Metric::Cosine, 0.97);
}

#[test]
fn graph_finds_what_is_near_by_distance() {
    check(Metric::Euclidean, 0.97);
}

#[test]
fn graph_finds_what_has_a_large_product() {
    check(Metric::DotProduct, 0.95);
}

#[test]
fn rows_behind_the_graph_are_found() {
    let twins = Twins::new(Metric::Euclidean, 1000);
    let entry = Entry::new("new", vec![9.0; DIMENSION]);
    assert!(twins.with_graph.upsert(&[("new".to_owned(), entry)]).is_ok());
    let hits = twins.with_graph.query(&Query::new("", vec![9.0; DIMENSION], 1)).ok().unwrap();
    assert_eq!((hits[0].id.as_str(), hits[0].score), ("new", 1.0));
}

#[test]
fn what_is_deleted_is_not_found() {
    let twins = Twins::new(Metric::Cosine, 1000);
    let probe = vec![0.1; DIMENSION];
    let first = twins.with_graph.query(&Query::new("", probe.clone(), 5)).ok().unwrap();
    let mut delete = Vec::new();
    for hit in &first {
        delete.push(hit.id.clone());
    }
    twins.with_graph.delete(&Selection::Ids(delete.clone())).ok().unwrap();
    let second = twins.with_graph.query(&Query::new("", probe, 5)).ok().unwrap();
    assert!(second.len() == 5 && second.iter().all(|hit| !delete.contains(&hit.id)));
}
