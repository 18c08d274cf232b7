//! The vector store, in memory: every search looks at every vector.

use std::sync::{Mutex, MutexGuard, PoisonError};

use hotbay_plugin::{
    VectorStore,
    prelude::*,
    vector_store::{
        CreateIndex, Delete, Entry, Filter, Hit, IndexStats, Query, Selection, Update, Upsert, exact::Best,
        unknown_index, wrong_dimension,
    },
};

/// All indexes, in the order they were made.
#[derive(Default)]
pub(crate) struct LibSql(Mutex<Vec<Index>>);

struct Index {
    made_as: CreateIndex,
    /// Each with its id.
    entries: Vec<(String, Entry)>,
    /// How many ids were made up.
    made_up: u64,
}

impl LibSql {
    fn lock(&self) -> MutexGuard<'_, Vec<Index>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, name: &str, act: impl FnOnce(&mut Index) -> Result<T>) -> Result<T> {
        let mut indexes = self.lock();
        let index = indexes.iter_mut().find(|index| index.made_as.name == name);
        act(index.ok_or_else(|| unknown_index(name))?)
    }
}

impl Index {
    fn check(&self, vector: &[f32]) -> Result<()> {
        let CreateIndex { name, dimension, .. } = &self.made_as;
        let is_so_long = usize::try_from(*dimension)? == vector.len();
        if is_so_long { Ok(()) } else { Err(wrong_dimension(name, *dimension, vector.len())) }
    }

    fn put(&mut self, mut entry: Entry) -> String {
        let id = entry.id.take().unwrap_or_else(|| {
            self.made_up += 1;
            format!("00000000-0000-4000-8000-{:012x}", self.made_up)
        });
        match self.entries.iter_mut().find(|(known, _)| *known == id) {
            Some((_, known)) => *known = entry,
            None => self.entries.push((id.clone(), entry)),
        }
        id
    }
}

/// What a selection means, as a test of an entry.
fn selected(selection: &Selection) -> Result<impl Fn(&(String, Entry)) -> bool + use<'_>> {
    let filter = match selection {
        Selection::Filter(filter) => Some(Filter::parse(filter)?),
        _ => None,
    };
    Ok(move |(id, entry): &(String, Entry)| match selection {
        Selection::Ids(ids) => ids.contains(id),
        _ => filter.as_ref().is_some_and(|filter| filter.matches(&entry.metadata)),
    })
}

impl VectorStore for LibSql {
    const NAME: &'static str = "libsql";
    const KIND: &'static str = "LibSQLVector";

    async fn open(_: &Ctx) -> Result<Self> {
        Ok(Self::default())
    }

    async fn create_index(&self, _: &Ctx, index: CreateIndex) -> Result<()> {
        let mut indexes = self.lock();
        if !indexes.iter().any(|known| known.made_as.name == index.name) {
            indexes.push(Index { made_as: index, entries: Vec::new(), made_up: 0 });
        }
        Ok(())
    }

    async fn list_indexes(&self, _: &Ctx) -> Result<Vec<String>> {
        Ok(self.lock().iter().map(|index| index.made_as.name.clone()).collect())
    }

    async fn describe_index(&self, _: &Ctx, name: &str) -> Result<IndexStats> {
        self.with(name, |index| {
            let CreateIndex { dimension, metric, .. } = index.made_as;
            Ok(IndexStats { dimension, count: index.entries.len() as u64, metric })
        })
    }

    async fn delete_index(&self, _: &Ctx, name: &str) -> Result<()> {
        self.lock().retain(|index| index.made_as.name != name);
        Ok(())
    }

    async fn upsert(&self, _: &Ctx, upsert: Upsert) -> Result<Vec<String>> {
        self.with(&upsert.index, |index| {
            upsert.entries.iter().try_for_each(|entry| index.check(&entry.vector))?;
            Ok(upsert.entries.into_iter().map(|entry| index.put(entry)).collect())
        })
    }

    async fn query(&self, _: &Ctx, query: Query) -> Result<Vec<Hit>> {
        let filter = Filter::parse(&query.filter)?;
        self.with(&query.index, |index| {
            index.check(&query.vector)?;
            let metric = index.made_as.metric;
            let mut best = Best::of(query.top_k);
            for (key, (_, entry)) in
                index.entries.iter().enumerate().filter(|(_, (_, entry))| filter.matches(&entry.metadata))
            {
                let scale = metric.scale(&query.vector) * metric.scale(&entry.vector);
                if let Some(score) = metric.score(&query.vector, &entry.vector, scale) {
                    best.show(score, key);
                }
            }
            let hits = best.into_sorted().into_iter().map(|found| {
                let (id, entry) = &index.entries[found.key];
                let vector = query.include_vector.then(|| entry.vector.clone());
                Hit { id: id.clone(), score: found.score, metadata: entry.metadata.clone(), vector }
            });
            Ok(hits.collect())
        })
    }

    async fn update(&self, _: &Ctx, update: Update) -> Result<u64> {
        self.with(&update.index, |index| {
            update.vector.iter().try_for_each(|vector| index.check(vector))?;
            let is_selected = selected(&update.selection)?;
            let mut changed = 0;
            for (_, entry) in index.entries.iter_mut().filter(|entry| is_selected(entry)) {
                entry.vector = update.vector.clone().unwrap_or_else(|| std::mem::take(&mut entry.vector));
                entry.metadata = update.metadata.clone().unwrap_or_else(|| std::mem::take(&mut entry.metadata));
                changed += 1;
            }
            Ok(changed)
        })
    }

    async fn delete(&self, _: &Ctx, delete: Delete) -> Result<u64> {
        self.with(&delete.index, |index| {
            let is_selected = selected(&delete.selection)?;
            let before = index.entries.len();
            index.entries.retain(|entry| !is_selected(entry));
            Ok((before - index.entries.len()) as u64)
        })
    }
}

#[test]
fn store_keeps_the_contract() {
    use hotbay_plugin::testing::{TestHost, store_contract};
    let plugin = TestHost::new().open(crate::plugin(), &json!({})).unwrap();
    store_contract::check(&plugin.vector_store("libsql").unwrap());
}
