//! Vector stores: operations by name, vectors as rows.

use std::{collections::BTreeMap, sync::Mutex};

use hotbay_plugin::{
    VectorStore,
    error::code,
    prelude::*,
    vector_store::{CreateIndex, Delete, Entry, Hit, IndexStats, Metric, Query, Selection, Update, Upsert},
};

use crate::{host, opened, plugin};

/// A store that remembers one index.
pub(crate) struct Memories(Mutex<BTreeMap<String, Entry>>);

impl VectorStore for Memories {
    const NAME: &'static str = "memories";

    async fn open(ctx: &Ctx) -> Result<Self> {
        ctx.info("store opened");
        Ok(Self(Mutex::default()))
    }

    async fn create_index(&self, _: &Ctx, _: CreateIndex) -> Result<()> {
        Ok(())
    }

    async fn list_indexes(&self, _: &Ctx) -> Result<Vec<String>> {
        Ok(vec!["only".into()])
    }

    async fn describe_index(&self, _: &Ctx, name: &str) -> Result<IndexStats> {
        if name != "only" {
            return Err(Error::with_code(code::NOT_FOUND, format!("there is no index `{name}`")));
        }
        Ok(IndexStats { dimension: 2, count: self.0.lock().unwrap().len() as u64, metric: Metric::DotProduct })
    }

    async fn delete_index(&self, _: &Ctx, _: &str) -> Result<()> {
        self.0.lock().unwrap().clear();
        Ok(())
    }

    async fn upsert(&self, _: &Ctx, upsert: Upsert) -> Result<Vec<String>> {
        let mut entries = self.0.lock().unwrap();
        let added = upsert.entries.into_iter().map(|entry| {
            let id = entry.id.clone().unwrap_or_else(|| format!("made-up-{}", entries.len()));
            entries.insert(id.clone(), entry);
            id
        });
        Ok(added.collect())
    }

    async fn query(&self, _: &Ctx, query: Query) -> Result<Vec<Hit>> {
        let entries = self.0.lock().unwrap();
        let mut hits: Vec<_> = entries
            .iter()
            .map(|(id, entry)| Hit {
                id: id.clone(),
                score: entry.vector.iter().zip(&query.vector).map(|(a, b)| a * b).sum(),
                metadata: entry.metadata.clone(),
                vector: query.include_vector.then(|| entry.vector.clone()),
            })
            .collect();
        hits.sort_by(|a, b| b.score.total_cmp(&a.score));
        hits.truncate(query.top_k);
        Ok(hits)
    }

    async fn update(&self, _: &Ctx, update: Update) -> Result<u64> {
        let Selection::Ids(ids) = update.selection else { return Ok(0) };
        let mut entries = self.0.lock().unwrap();
        let mut changed = 0;
        for id in ids {
            let Some(entry) = entries.get_mut(&id) else { continue };
            if let Some(vector) = &update.vector {
                entry.vector.clone_from(vector);
            }
            changed += 1;
        }
        Ok(changed)
    }

    async fn delete(&self, _: &Ctx, delete: Delete) -> Result<u64> {
        let Selection::Ids(ids) = delete.selection else { return Ok(0) };
        let mut entries = self.0.lock().unwrap();
        Ok(ids.iter().filter(|id| entries.remove(*id).is_some()).count() as u64)
    }
}

#[test]
fn vector_store_takes_and_gives_rows() {
    let host = host();
    let plugin = host.open(plugin(), &json!({ "base_url": "x" })).unwrap();
    let store = plugin.vector_store("memories").unwrap();
    store.create_index("only", 2, Metric::DotProduct).unwrap();
    let entries = vec![Entry::new("a", vec![1.0, 0.0]).with("kind", "first"), Entry::new("b", vec![0.0, 2.0])];
    assert_eq!(store.upsert(&Upsert::new("only", entries)).unwrap(), ["a", "b"]);
    let mut query = Query::new("only", vec![0.0, 1.0], 2);
    query.include_vector = true;
    let hits = store.query(&query).unwrap();
    assert_eq!((hits[0].id.as_str(), hits[0].score, &hits[0].vector), ("b", 2.0, &Some(vec![0.0, 2.0])));
    assert_eq!(hits[1].metadata["kind"], "first");
    assert_eq!(store.describe_index("only").unwrap().count, 2);
    assert_eq!(store.call("update", &json!({ "index": "only", "ids": ["a"] }), vec![5.0, 5.0]).unwrap().0, json!(1));
    assert_eq!(store.call("delete", &json!({ "index": "only", "ids": ["a", "z"] }), vec![]).unwrap().0, json!(1));
    assert_eq!(host.logs().iter().filter(|log| log.message == "store opened").count(), 1);
}

#[test]
fn vector_store_refuses_what_does_not_add_up() {
    let plugin = opened();
    let store = plugin.vector_store("memories").unwrap();
    let refused = |op: &str, body: Value, rows: Vec<f32>| store.call(op, &body, rows).unwrap_err();
    assert_eq!(refused("upsert", json!({ "index": "only", "count": 2 }), vec![1.0; 3]).code, code::INPUT);
    assert_eq!(
        refused("upsert", json!({ "index": "only", "count": 1, "ids": ["a", "b"] }), vec![1.0]).code,
        code::INPUT
    );
    assert_eq!(refused("delete", json!({ "index": "only" }), vec![]).code, code::INPUT);
    assert_eq!(refused("create_index", json!({ "name": "x", "dimension": 0 }), vec![]).code, code::INPUT);
    assert_eq!(refused("describe_index", json!({ "name": "x" }), vec![]).code, code::NOT_FOUND);
    assert_eq!(refused("vacuum", json!({}), vec![]).code, code::UNSUPPORTED);
}
