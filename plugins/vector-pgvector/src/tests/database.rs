//! The store itself: the contract, several hosts at once, what becomes of an index somebody deletes.

use std::sync::atomic::{AtomicU32, Ordering};

use hotbay_plugin::{
    error::code,
    testing::{TestHost, TestPlugin, TestStore, store_contract},
    vector_store::{Entry, Metric, Query, Upsert},
};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::{filtered, ids, open, variable, with_vectors};

/// A schema of the test's own, which goes with it.
pub(super) struct Bed {
    pub(super) schema: String,
}

impl Bed {
    pub(super) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self { schema: format!("hotbay_test_{}_{number}", std::process::id()) }
    }

    pub(super) fn url(&self) -> String {
        variable("HOTBAY_TEST_PGVECTOR_URL")
    }

    /// Opens the store as another host does.
    pub(super) fn open(&self) -> (TestPlugin, TestStore) {
        self.open_with(json!({}))
    }

    pub(super) fn open_with(&self, mut config: Value) -> (TestPlugin, TestStore) {
        config["url"] = self.url().into();
        config["schema"] = self.schema.as_str().into();
        open(&TestHost::new(), &config)
    }

    /// Runs a statement past the plugin.
    pub(super) fn run(&self, sql: &str) {
        let work = async {
            let mut connection = PgConnection::connect(&self.url()).await.unwrap();
            connection.execute("SET client_min_messages = warning").await.unwrap();
            connection.execute(AssertSqlSafe(sql.to_owned())).await.unwrap();
            connection.close().await.unwrap();
        };
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.run(&format!("DROP SCHEMA IF EXISTS \"{}\" CASCADE", self.schema));
    }
}

fn put(store: &TestStore, index: &str, entries: Vec<Entry>) {
    store.upsert(&Upsert::new(index, entries)).unwrap();
}

#[test]
fn store_keeps_the_contract() {
    let bed = Bed::new();
    store_contract::check(&bed.open().1);
}

/// Opens the store on connections whose planner takes a graph wherever there is one.
fn open_with_graphs_alone(bed: &Bed) -> (TestPlugin, TestStore) {
    // So small a table would otherwise be looked at row by row.
    let url = format!("{}?options=-c%20enable_seqscan%3Doff%20-c%20enable_bitmapscan%3Doff", bed.url());
    open(&TestHost::new(), &json!({ "url": url, "schema": bed.schema }))
}

#[test]
fn store_keeps_the_contract_with_graphs_alone() {
    let bed = Bed::new();
    store_contract::check(&open_with_graphs_alone(&bed).1);
}

#[test]
fn entries_are_there_for_other_hosts_and_after_a_restart() {
    let bed = Bed::new();
    let (plugin, store) = bed.open();
    let (_other_plugin, other) = bed.open();
    store.create_index("Docs", 2, Metric::Euclidean).unwrap();
    put(&store, "Docs", vec![Entry::new("a", vec![1.0, 0.0]).with("n", 1), Entry::new("b", vec![2.0, 0.0])]);
    assert_eq!(ids(&other, "Docs", &[2.0, 0.0], 5), ["b", "a"]);
    drop(store);
    plugin.shutdown().unwrap();
    let (_plugin, store) = bed.open();
    let stats = store.describe_index("Docs").unwrap();
    assert_eq!((stats.dimension, stats.count, stats.metric), (2, 2, Metric::Euclidean));
    // Names that differ in case alone are two.
    store.create_index("docs", 3, Metric::Cosine).unwrap();
    assert_eq!(other.list_indexes().unwrap(), ["Docs", "docs"]);
}

#[test]
fn hosts_may_create_the_same_index_at_once() {
    let bed = Bed::new();
    let stores: Vec<_> = (0..6).map(|_| bed.open()).collect();
    std::thread::scope(|scope| {
        for (number, (_, store)) in stores.iter().enumerate() {
            scope.spawn(move || {
                for round in 0..5 {
                    let index = format!("docs_{round}");
                    store.create_index(&index, 2, Metric::Cosine).unwrap();
                    put(store, &index, vec![Entry::new(number.to_string(), vec![1.0, 0.0])]);
                }
            });
        }
    });
    for round in 0..5 {
        assert_eq!(stores[0].1.describe_index(&format!("docs_{round}")).unwrap().count, 6);
    }
}

#[test]
fn index_made_anew_by_another_host_is_the_new_one() {
    let bed = Bed::new();
    let ((_one_plugin, one), (_other_plugin, other)) = (bed.open(), bed.open());
    one.create_index("docs", 2, Metric::Cosine).unwrap();
    put(&one, "docs", vec![Entry::new("a", vec![1.0, 0.0])]);
    assert_eq!(ids(&other, "docs", &[1.0, 0.0], 1), ["a"]);
    one.delete_index("docs").unwrap();
    assert_eq!(other.describe_index("docs").unwrap_err().code, code::NOT_FOUND);
    one.create_index("docs", 3, Metric::DotProduct).unwrap();
    assert_eq!(other.describe_index("docs").unwrap().dimension, 3);
    one.delete_index("docs").unwrap();
    one.create_index("docs", 1, Metric::DotProduct).unwrap();
    put(&other, "docs", vec![Entry::new("b", vec![1.0])]);
    assert_eq!(ids(&one, "docs", &[1.0], 5), ["b"]);
}

#[test]
fn schema_that_is_dropped_is_an_empty_store() {
    let bed = Bed::new();
    let (_plugin, store) = bed.open();
    store.create_index("docs", 2, Metric::Cosine).unwrap();
    put(&store, "docs", vec![Entry::new("a", vec![1.0, 0.0])]);
    bed.run(&format!("DROP SCHEMA \"{}\" CASCADE", bed.schema));
    let put_again = || store.upsert(&Upsert::new("docs", vec![Entry::new("b", vec![1.0, 0.0])]));
    assert_eq!(put_again().unwrap_err().code, code::NOT_FOUND);
    assert!(store.list_indexes().unwrap().is_empty());
    store.delete_index("docs").unwrap();
    store.create_index("docs", 2, Metric::Cosine).unwrap();
    put_again().unwrap();
    assert_eq!(ids(&store, "docs", &[1.0, 0.0], 5), ["b"]);
}

#[test]
fn writers_of_the_same_entries_do_not_stop_each_other() {
    let bed = Bed::new();
    let (_plugin, store) = bed.open();
    store.create_index("docs", 2, Metric::Euclidean).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..4_u8 {
            let store = &store;
            scope.spawn(move || {
                for round in 0..15 {
                    let mut names: Vec<u32> = (0..40).collect();
                    if writer % 2 == 0 {
                        names.reverse();
                    }
                    let entries = names.iter().map(|name| {
                        Entry::new(name.to_string(), vec![f32::from(writer), 0.0]).with("writer", writer)
                    });
                    put(store, "docs", entries.collect());
                    let update = json!({ "index": "docs", "filter": { "writer": writer }, "metadata": { "writer": writer, "round": round } });
                    store.call("update", &update, vec![]).unwrap();
                    let ids: Vec<String> = names.iter().take(5).map(u32::to_string).collect();
                    store.call("delete", &json!({ "index": "docs", "ids": ids }), vec![]).unwrap();
                }
            });
        }
    });
    let hits = store.query(&with_vectors(Query::new("docs", vec![0.0, 0.0], 100))).unwrap();
    assert!(hits.len() >= 30, "{}", hits.len());
    for hit in hits {
        let writer = hit.metadata["writer"].as_f64().unwrap();
        assert_eq!(hit.vector.unwrap()[0], writer as f32, "an entry is of one writer");
    }
}

#[test]
fn ten_thousand_entries_are_all_there_or_none() {
    let bed = Bed::new();
    let (_plugin, store) = bed.open();
    store.create_index("docs", 2, Metric::Euclidean).unwrap();
    let entry = |number: u16| Entry::new(format!("{number:05}"), vec![f32::from(number), f32::from(number % 10)]);
    let entries: Vec<Entry> = (0..10_000).map(entry).collect();
    put(&store, "docs", entries);
    assert_eq!(store.describe_index("docs").unwrap().count, 10_000);
    let hits = store.query(&with_vectors(Query::new("docs", entry(4321).vector, 1))).unwrap();
    assert_eq!((hits[0].id.as_str(), hits[0].score, &hits[0].vector), ("04321", 1.0, &Some(entry(4321).vector)));
    // The last one does not fit, so none of the others is changed, though they went in an earlier statement.
    let trigger = format!(
        "CREATE FUNCTION \"{0}\".refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.id = '09999' THEN RAISE 'no'; END IF; \
         RETURN NEW; END $$; CREATE TRIGGER refuse BEFORE INSERT ON \"{0}\".index_1 FOR EACH ROW EXECUTE FUNCTION \"{0}\".refuse()",
        bed.schema
    );
    bed.run(&trigger);
    let entries: Vec<Entry> = (0..10_000).map(|number| entry(number).with("changed", true)).collect();
    assert!(store.upsert(&Upsert::new("docs", entries)).unwrap_err().message.contains("no"));
    let changed = filtered(Query::new("docs", vec![0.0; 2], 10), json!({ "changed": true }));
    assert!(store.query(&changed).unwrap().is_empty());
}

#[test]
fn vectors_too_long_for_a_graph_are_kept_and_found() {
    let bed = Bed::new();
    let (_plugin, store) = bed.open();
    store.create_index("docs", 2001, Metric::Cosine).unwrap();
    let vector = |at: usize| {
        let mut vector = vec![0.1; 2001];
        vector[at] = 9.0;
        vector
    };
    put(&store, "docs", (0..20).map(|at| Entry::new(at.to_string(), vector(at)).with("n", at)).collect());
    assert_eq!(ids(&store, "docs", &vector(7), 1), ["7"]);
    store.create_index("longest", 16_000, Metric::Cosine).unwrap();
    let error = store.create_index("longer", 16_001, Metric::Cosine).unwrap_err();
    assert_eq!(
        (error.code, error.message.as_str()),
        (code::INPUT, "pgvector keeps vectors of at most 16000 dimensions, not 16001")
    );
}

#[test]
fn what_postgresql_cannot_keep_is_the_callers_mistake() {
    let bed = Bed::new();
    let (_plugin, store) = bed.open();
    store.create_index("docs", 1, Metric::Euclidean).unwrap();
    for entry in [
        Entry::new("a\0b", vec![1.0]),
        Entry::new("x".repeat(2001), vec![1.0]),
        Entry::new("a", vec![f32::NAN]),
        Entry::new("a", vec![1.0]).with("text", "a\0b"),
        Entry::new("a", vec![1.0]).with("deep", json!([{ "a\0b": 1 }])),
    ] {
        let error = store.upsert(&Upsert::new("docs", vec![entry])).unwrap_err();
        assert_eq!(error.code, code::INPUT, "{error}");
    }
    assert_eq!(store.call("delete", &json!({ "index": "docs", "ids": ["a\0b"] }), vec![]).unwrap().0, 0);
    let mut random = fastrand::Rng::with_seed(1);
    let odd: String = (0..2000).map(|_| random.char('!'..='~')).collect();
    let names = ["'; DROP TABLE docs; --", "\\", "ü\u{1F600}", odd.as_str(), " "];
    put(&store, "docs", names.iter().map(|name| Entry::new(*name, vec![1.0]).with(*name, *name)).collect());
    for name in names {
        let query = filtered(Query::new("docs", vec![1.0], 10), json!({ name.replace('.', ""): name }));
        if !name.contains(['.', '$']) {
            assert_eq!(store.query(&query).unwrap()[0].metadata[name], name);
        }
        assert_eq!(store.call("delete", &json!({ "index": "docs", "ids": [name] }), vec![]).unwrap().0, 1);
    }
}

#[test]
fn connections_that_are_ended_are_made_anew() {
    let bed = Bed::new();
    let (_plugin, store) = bed.open_with(json!({ "connections": 2 }));
    store.create_index("docs", 2, Metric::Cosine).unwrap();
    put(&store, "docs", vec![Entry::new("a", vec![1.0, 0.0])]);
    bed.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%index_%' AND pid <> pg_backend_pid()");
    // At most each connection fails once, and says that another attempt is worth it.
    let mut failures = 0;
    loop {
        match store.query(&Query::new("docs", vec![1.0, 0.0], 1)) {
            Ok(hits) => break assert_eq!(hits[0].id, "a"),
            Err(error) => assert!(error.retryable && error.code == code::UNAVAILABLE, "{error}"),
        }
        failures += 1;
        assert!(failures <= 2, "it does not recover");
    }
}

#[test]
fn database_that_does_not_fit_is_told() {
    let bed = Bed::new();
    let url = bed.url();
    let place = url.rsplit_once('/').unwrap().0;
    for (url, sentence) in [
        (format!("{place}/there_is_none"), "does not have this database"),
        (format!("{url}?options=-c%20role%3Dnobody_at_all"), "PostgreSQL"),
    ] {
        let (_plugin, store) = open(&TestHost::new(), &json!({ "url": url, "schema": bed.schema }));
        let error = store.list_indexes().unwrap_err();
        assert!(error.message.contains(sentence) && !error.retryable, "{error}");
    }
}

#[test]
fn filter_keeps_recall() {
    const DIMENSION: usize = 32;
    let bed = Bed::new();
    let (_plugin, store) = open_with_graphs_alone(&bed);
    store.create_index("docs", DIMENSION as u32, Metric::Cosine).unwrap();
    let mut random = fastrand::Rng::with_seed(7);
    let mut vector = move || (0..DIMENSION).map(|_| random.f32() - 0.5).collect::<Vec<f32>>();
    let rows: Vec<Vec<f32>> = (0..4000).map(|_| vector()).collect();
    let entry = |(number, row): (usize, &Vec<f32>)| {
        let entry = Entry::new(number.to_string(), row.clone()).with("half", number % 2).with("percent", number % 100);
        entry.with("thousandth", number % 1000).with("word", format!("w{}", number % 50))
    };
    put(&store, "docs", rows.iter().enumerate().map(entry).collect());
    bed.run(&format!("ANALYZE \"{}\".index_1", bed.schema));
    for filter in [
        json!({}),
        json!({ "half": 1 }),
        json!({ "percent": { "$lt": 30 } }),
        json!({ "percent": 7 }),
        json!({ "percent": { "$gte": 98 } }),
        json!({ "thousandth": 7 }),
        json!({ "word": { "$regex": "^w1$" } }),
    ] {
        let parsed = hotbay_plugin::vector_store::Filter::parse(&filter).unwrap();
        let (mut found, mut expected) = (0, 0);
        for _ in 0..20 {
            let probe = vector();
            let mut best = hotbay_plugin::vector_store::exact::Best::of(10);
            for (number, row) in rows.iter().enumerate() {
                if parsed.matches(&entry((number, row)).metadata) {
                    let scale = Metric::Cosine.scale(row) * Metric::Cosine.scale(&probe);
                    best.show(Metric::Cosine.score(row, &probe, scale).unwrap(), number);
                }
            }
            let best: Vec<String> = best.into_sorted().iter().map(|scored| scored.key.to_string()).collect();
            let query = filtered(Query::new("docs", probe, 10), filter.clone());
            let hits = store.query(&query).unwrap();
            assert_eq!(hits.len(), best.len(), "{filter}");
            expected += best.len();
            found += hits.iter().filter(|hit| best.contains(&hit.id)).count();
        }
        let recall = found as f64 / expected as f64;
        println!("recall {recall} {filter}");
        assert!(recall >= 0.95, "recall is {recall} for {filter}");
    }
}
