//! What is on the disk: found again, cut where it is torn, written anew where much is dead.

use std::{fs, path::PathBuf};

use hotbay_plugin::{
    error::code,
    vector_store::{Entry, Metric, Query},
};
use serde_json::json;
use tempfile::TempDir;

use super::{Bed, ids, put, vector};

fn log(directory: &TempDir, name: &str) -> PathBuf {
    directory.path().join("indexes").join(name).join("00000001.log")
}

#[test]
fn entries_are_there_after_a_restart() {
    let directory = TempDir::new().unwrap();
    let bed = Bed::open(directory.path(), 10_000);
    bed.store.create_index("docs", 2, Metric::Euclidean).unwrap();
    put(&bed.store, "docs", vec![Entry::new("a", vec![1.0, 0.0]).with("n", 1), Entry::new("b", vec![2.0, 0.0])]);
    put(&bed.store, "docs", vec![Entry::new("a", vec![3.0, 0.0]).with("n", 2)]);
    bed.store.call("delete", &json!({ "index": "docs", "ids": ["b"] }), vec![]).unwrap();
    bed.close();
    let bed = Bed::open(directory.path(), 10_000);
    assert_eq!(bed.store.list_indexes().unwrap(), ["docs"]);
    let stats = bed.store.describe_index("docs").unwrap();
    assert_eq!((stats.dimension, stats.count, stats.metric), (2, 1, Metric::Euclidean));
    let hits = bed.store.query(&Query::new("docs", vec![3.0, 0.0], 5)).unwrap();
    assert_eq!((hits.len(), hits[0].id.as_str(), hits[0].score, &hits[0].metadata["n"]), (1, "a", 1.0, &json!(2)));
}

#[test]
fn torn_record_is_skipped() {
    let directory = TempDir::new().unwrap();
    let bed = Bed::open(directory.path(), 10_000);
    bed.store.create_index("docs", 2, Metric::Cosine).unwrap();
    put(&bed.store, "docs", vec![Entry::new("a", vec![1.0, 0.0])]);
    let whole = fs::read(log(&directory, "docs")).unwrap();
    put(&bed.store, "docs", vec![Entry::new("b", vec![1.0, 0.0]), Entry::new("c", vec![1.0, 0.0])]);
    bed.close();
    let both = fs::read(log(&directory, "docs")).unwrap();
    for length in whole.len()..both.len() {
        fs::write(log(&directory, "docs"), &both[..length]).unwrap();
        let bed = Bed::open(directory.path(), 10_000);
        assert_eq!(ids(&bed.store, "docs", &[1.0, 0.0], 5), ["a"], "{length} bytes");
        put(&bed.store, "docs", vec![Entry::new("d", vec![1.0, 0.0])]);
        assert_eq!(ids(&bed.store, "docs", &[1.0, 0.0], 5), ["a", "d"], "{length} bytes");
        bed.close();
        let bed = Bed::open(directory.path(), 10_000);
        assert_eq!(ids(&bed.store, "docs", &[1.0, 0.0], 5), ["a", "d"], "{length} bytes");
    }
    // Bytes that were never written, as a disk may leave them, are no record either.
    let mut changed = both;
    let last = changed.len() - 9;
    changed[last] ^= 1;
    fs::write(log(&directory, "docs"), changed).unwrap();
    assert_eq!(ids(&Bed::open(directory.path(), 10_000).store, "docs", &[1.0, 0.0], 5), ["a"]);
}

#[test]
fn file_that_is_no_log_is_told() {
    let directory = TempDir::new().unwrap();
    let bed = Bed::open(directory.path(), 10_000);
    bed.store.create_index("docs", 2, Metric::Cosine).unwrap();
    fs::write(log(&directory, "docs"), b"something else").unwrap();
    let error = bed.store.query(&Query::new("docs", vec![1.0, 0.0], 5)).unwrap_err();
    assert!(error.code == code::UNAVAILABLE && error.message.contains("is no log of this version"), "{error}");
    bed.store.delete_index("docs").unwrap();
    assert!(bed.store.list_indexes().unwrap().is_empty());
}

#[test]
fn two_generations_see_what_each_other_does() {
    let directory = TempDir::new().unwrap();
    let (one, other) = (Bed::open(directory.path(), 10_000).store, Bed::open(directory.path(), 10_000).store);
    one.create_index("docs", 2, Metric::Cosine).unwrap();
    for round in 0..20 {
        put(&one, "docs", vec![Entry::new(format!("one-{round}"), vec![1.0, 0.0])]);
        put(&other, "docs", vec![Entry::new(format!("other-{round}"), vec![1.0, 0.0])]);
        assert_eq!(one.describe_index("docs").unwrap().count, (round + 1) * 2);
        assert_eq!(ids(&one, "docs", &[1.0, 0.0], 100), ids(&other, "docs", &[1.0, 0.0], 100));
    }
    one.delete_index("docs").unwrap();
    assert_eq!(other.describe_index("docs").unwrap_err().code, code::NOT_FOUND);
    one.create_index("docs", 3, Metric::Euclidean).unwrap();
    assert_eq!(other.describe_index("docs").unwrap().dimension, 3);
}

#[test]
fn entries_put_at_once_are_all_kept() {
    let directory = TempDir::new().unwrap();
    let beds = [Bed::open(directory.path(), 200), Bed::open(directory.path(), 200)];
    beds[0].store.create_index("docs", 8, Metric::Cosine).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..4_usize {
            let store = &beds[writer % 2].store;
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(writer as u64);
                for number in 0..100 {
                    put(store, "docs", vec![Entry::new(format!("{writer}-{number}"), vector(&mut random, 8))]);
                    assert!(!ids(store, "docs", &vector(&mut random, 8), 3).is_empty());
                }
            });
        }
    });
    for bed in beds {
        assert_eq!(bed.store.describe_index("docs").unwrap().count, 400);
        bed.close();
    }
    assert_eq!(Bed::open(directory.path(), 200).store.describe_index("docs").unwrap().count, 400);
}

#[test]
fn log_that_is_mostly_dead_is_written_anew() {
    let directory = TempDir::new().unwrap();
    let (bed, other) = (Bed::open(directory.path(), 100), Bed::open(directory.path(), 100));
    bed.store.create_index("docs", 8, Metric::Cosine).unwrap();
    let mut random = fastrand::Rng::with_seed(3);
    let mut last = Vec::new();
    for round in 0..30 {
        last = (0..300)
            .map(|number| vector(&mut random, 8).into_iter().chain([number as f32]).collect::<Vec<_>>())
            .collect();
        let entries =
            last.iter().enumerate().map(|(id, row)| Entry::new(id.to_string(), row[..8].to_vec()).with("round", round));
        put(&bed.store, "docs", entries.collect());
        assert_eq!(other.store.describe_index("docs").unwrap().count, 300);
    }
    // The builder works aside; each look lets it go on if it has stopped.
    let is_compacted = || {
        fs::read_dir(directory.path().join("indexes/docs"))
            .unwrap()
            .flatten()
            .any(|file| file.file_name().to_str().is_some_and(|name| name.ends_with(".log") && name != "00000001.log"))
    };
    let began = std::time::Instant::now();
    while !is_compacted() {
        assert!(began.elapsed().as_secs() < 30, "the log is not written anew");
        bed.store.describe_index("docs").unwrap();
        std::thread::yield_now();
    }
    for store in [&bed.store, &other.store] {
        assert_eq!(store.describe_index("docs").unwrap().count, 300);
        for (id, row) in last.iter().enumerate().step_by(50) {
            let hits = store.query(&Query::new("docs", row[..8].to_vec(), 1)).unwrap();
            assert_eq!((hits[0].id.clone(), &hits[0].metadata["round"]), (id.to_string(), &json!(29)));
        }
    }
    bed.close();
    other.close();
    assert_eq!(Bed::open(directory.path(), 100).store.describe_index("docs").unwrap().count, 300);
}

#[test]
fn graph_is_found_again_and_damage_is_noticed() {
    let directory = TempDir::new().unwrap();
    let bed = Bed::open(directory.path(), 100);
    bed.store.create_index("docs", 8, Metric::Cosine).unwrap();
    let mut random = fastrand::Rng::with_seed(3);
    let entries = (0..500).map(|id| Entry::new(id.to_string(), vector(&mut random, 8))).collect();
    put(&bed.store, "docs", entries);
    let graph = directory.path().join("indexes/docs/00000001.graph");
    let began = std::time::Instant::now();
    while !graph.exists() {
        assert!(began.elapsed().as_secs() < 30, "there is no graph");
        std::thread::yield_now();
    }
    let probe = vector(&mut random, 8);
    let found = ids(&bed.store, "docs", &probe, 5);
    bed.close();
    let mut bytes = fs::read(&graph).unwrap();
    assert_eq!(crate::graph::Graph::load(&graph, 500).unwrap().len(), 500);
    assert!(crate::graph::Graph::load(&graph, 400).is_err(), "it is of more rows than there are");
    assert_eq!(ids(&Bed::open(directory.path(), 100).store, "docs", &probe, 5), found);
    bytes[100] ^= 1;
    fs::write(&graph, bytes).unwrap();
    assert!(crate::graph::Graph::load(&graph, 500).is_err());
    assert_eq!(ids(&Bed::open(directory.path(), 100).store, "docs", &probe, 5), found);
}
