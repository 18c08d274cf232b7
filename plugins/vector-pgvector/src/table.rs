//! One index: a table, read and written.

use std::collections::HashMap;

use futures::TryStreamExt;
use hotbay_plugin::{
    Error, Result,
    vector_store::{Chosen, Entry, Filter, Hit, IndexStats, Metric, Query, exact::Best, wrong_dimension},
};
use serde_json::{Map, Value};
use sqlx::{Executor, PgPool, Postgres, Row, postgres::PgRow};

use crate::{
    failure::Failure,
    pushdown::{Condition, has_nul},
    statement::Statement,
};

/// How many bytes of vectors and metadata go with one statement, and how many entries.
const BATCH_BYTES: usize = 8 << 20;
const BATCH_ENTRIES: usize = 5000;
/// The longest id; an entry of PostgreSQL's index on ids has no room for more.
const MAX_ID: usize = 2000;
/// How many more are looked at when some may not match.
const MARGIN: usize = 4;

/// The table of an index.
pub(crate) struct Table {
    /// The index.
    pub(crate) index: String,
    /// The table's name, quoted.
    pub(crate) name: String,
    /// The schema of the extension, quoted.
    pub(crate) extension: String,
    pub(crate) dimension: u32,
    pub(crate) metric: Metric,
    pub(crate) has_graph: bool,
}

/// Entries that can be written: each id once, in the order of ids.
pub(crate) struct Rows<'a> {
    entries: Vec<(&'a str, &'a Entry, String)>,
}

/// How a search looks at the table.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// As PostgreSQL thinks best, which may be the graph.
    Any,
    /// At all rows.
    Exact,
}

impl<'a> Rows<'a> {
    /// Checks entries. Of one id the last counts; the order keeps two writers from waiting for each other.
    pub(crate) fn of(ids: &'a [String], entries: &'a [Entry]) -> Result<Self> {
        let mut last: HashMap<&str, &Entry> = HashMap::with_capacity(entries.len());
        for (id, entry) in ids.iter().zip(entries) {
            if id.len() > MAX_ID || id.contains('\0') {
                let shown: String = id.chars().take(40).collect();
                let message =
                    format!("the id `{shown}` cannot be kept: {MAX_ID} bytes are the most, and none may be NUL");
                return Err(Error::input(message));
            }
            check_numbers(&entry.vector)?;
            last.insert(id, entry);
        }
        let mut rows = Vec::with_capacity(last.len());
        for (id, entry) in last {
            rows.push((id, entry, text_of(&entry.metadata)?));
        }
        rows.sort_unstable_by_key(|(id, _, _)| *id);
        Ok(Self { entries: rows })
    }
}

impl Table {
    /// Refuses a vector of another length.
    fn check(&self, vector: &[f32]) -> Result<(), Failure> {
        if vector.len() != self.dimension as usize {
            return Err(Failure::Misfit(wrong_dimension(&self.index, self.dimension, vector.len())));
        }
        Ok(check_numbers(vector)?)
    }

    pub(crate) async fn describe(&self, pool: &PgPool) -> Result<IndexStats, Failure> {
        let statement = Statement::of(format!("SELECT count(*) FROM {}", self.name));
        let count: i64 = statement.query().fetch_one(pool).await?.try_get(0)?;
        Ok(IndexStats {
            dimension: self.dimension,
            count: u64::try_from(count).unwrap_or_default(),
            metric: self.metric,
        })
    }

    /// Writes entries, all or none.
    pub(crate) async fn upsert(&self, pool: &PgPool, rows: &Rows<'_>) -> Result<(), Failure> {
        for (_, entry, _) in &rows.entries {
            self.check(&entry.vector)?;
        }
        let mut transaction = None;
        let mut rest = rows.entries.as_slice();
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = rest.iter().take(BATCH_ENTRIES).take_while(|(_, entry, metadata)| {
                bytes += entry.vector.len() * size_of::<f32>() + metadata.len();
                bytes <= BATCH_BYTES
            });
            let (batch, more) = rest.split_at(fits.count().max(1));
            if transaction.is_none() && more.is_empty() {
                return self.put(pool, batch).await;
            }
            let transaction = match &mut transaction {
                Some(transaction) => transaction,
                none => none.insert(pool.begin().await?),
            };
            self.put(&mut **transaction, batch).await?;
            rest = more;
        }
        if let Some(transaction) = transaction {
            transaction.commit().await?;
        }
        Ok(())
    }

    async fn put(
        &self,
        to: impl Executor<'_, Database = Postgres>,
        rows: &[(&str, &Entry, String)],
    ) -> Result<(), Failure> {
        let mut statement = Statement::default();
        let ids = statement.bind(rows.iter().map(|(id, _, _)| *id).collect::<Vec<_>>())?;
        let metadata = statement.bind(rows.iter().map(|(_, _, metadata)| metadata.as_str()).collect::<Vec<_>>())?;
        let numbers: Vec<f32> = rows.iter().flat_map(|(_, entry, _)| entry.vector.iter().copied()).collect();
        let numbers = statement.bind(numbers)?;
        let (dimension, extension) = (self.dimension, &self.extension);
        // All vectors come as one array, for PostgreSQL's arrays of arrays lose their rows when they are unnested.
        statement.sql = format!(
            "INSERT INTO {} AS kept (id, embedding, metadata) \
             SELECT id, ({numbers}::real[])[(at::int - 1) * {dimension} + 1 : at::int * {dimension}]::{extension}.vector, \
             metadata::jsonb FROM unnest({ids}::text[], {metadata}::text[]) WITH ORDINALITY AS given (id, metadata, at) \
             ON CONFLICT (id) DO UPDATE SET embedding = excluded.embedding, metadata = excluded.metadata",
            self.name
        );
        statement.query().execute(to).await?;
        Ok(())
    }

    /// Returns the entries nearest to a vector.
    pub(crate) async fn query(&self, pool: &PgPool, query: &Query, filter: &Filter) -> Result<Vec<Hit>, Failure> {
        self.check(&query.vector)?;
        if query.top_k == 0 || self.metric.scale(&query.vector) <= 0.0 {
            // Nothing is near a vector without direction.
            return Ok(Vec::new());
        }
        let is_exact = Condition::of(filter, &mut Statement::default())?.is_exact;
        if self.has_graph {
            let limit = if is_exact { query.top_k } else { query.top_k.saturating_mul(MARGIN) };
            let found = self.nearest(pool, query, filter, Way::Any, limit).await?;
            let hits = self.weigh(found, query, filter, is_exact)?;
            if hits.len() >= query.top_k {
                return Ok(hits);
            }
        }
        // Either there is no graph, or its scan came to an end before it had found enough: a filter that leaves few.
        if is_exact {
            let found = self.nearest(pool, query, filter, Way::Exact, query.top_k).await?;
            return self.weigh(found, query, filter, is_exact);
        }
        self.look_at_all(pool, query, filter).await
    }

    async fn nearest(
        &self,
        pool: &PgPool,
        query: &Query,
        filter: &Filter,
        way: Way,
        limit: usize,
    ) -> Result<Vec<PgRow>, Failure> {
        let mut statement = Statement::default();
        let distance = self.distance(&mut statement, query)?;
        let condition = Condition::of(filter, &mut statement)?.sql;
        let order = match way {
            Way::Any => distance.clone(),
            // An index has no order of a sum, so this looks at all rows.
            Way::Exact => format!("({distance}) + 0, id"),
        };
        let limit = statement.bind(i64::try_from(limit).unwrap_or(i64::MAX))?;
        // Metadata is turned into text for those alone that were found.
        statement.sql = format!(
            "SELECT id, distance, metadata::text{vectors} FROM (SELECT id, {distance} AS distance FROM {table} \
             WHERE {condition} ORDER BY {order} LIMIT {limit}) AS near JOIN {table} AS kept USING (id)",
            vectors = vectors(query),
            table = self.name,
        );
        Ok(statement.query().fetch_all(pool).await?)
    }

    /// Looks at all rows that may match, keeping the best of those that do.
    async fn look_at_all(&self, pool: &PgPool, query: &Query, filter: &Filter) -> Result<Vec<Hit>, Failure> {
        let mut statement = Statement::default();
        let distance = self.distance(&mut statement, query)?;
        let condition = Condition::of(filter, &mut statement)?.sql;
        statement.sql = format!(
            "SELECT id, {distance} AS distance, metadata::text{} FROM {} WHERE {condition}",
            vectors(query),
            self.name
        );
        let mut best: Best<String> = Best::of(query.top_k);
        let mut kept: HashMap<String, Hit> = HashMap::new();
        let mut rows = statement.query().fetch(pool);
        while let Some(row) = rows.try_next().await? {
            let Some(score) = self.score(row.try_get(1)?) else { continue };
            if best.bar().is_some_and(|bar| score < bar) {
                continue;
            }
            let hit = hit(&row, score, query.include_vector)?;
            if filter.matches(&hit.metadata) {
                best.show(score, hit.id.clone());
                kept.insert(hit.id.clone(), hit);
            }
            if kept.len() > query.top_k.saturating_mul(2).saturating_add(64)
                && let Some(bar) = best.bar()
            {
                kept.retain(|_, hit| hit.score >= bar);
            }
        }
        Ok(best.into_sorted().into_iter().filter_map(|scored| kept.remove(&scored.key)).collect())
    }

    fn distance(&self, statement: &mut Statement, query: &Query) -> Result<String> {
        let extension = &self.extension;
        let vector = statement.bind(query.vector.clone())?;
        let operator = match self.metric {
            Metric::Cosine => "<=>",
            Metric::Euclidean => "<->",
            Metric::DotProduct => "<#>",
        };
        Ok(format!("embedding OPERATOR({extension}.{operator}) {vector}::real[]::{extension}.vector"))
    }

    /// Turns rows into hits, best first, without those that do not match or have no score.
    fn weigh(&self, rows: Vec<PgRow>, query: &Query, filter: &Filter, is_exact: bool) -> Result<Vec<Hit>, Failure> {
        let mut hits = Vec::with_capacity(rows.len().min(query.top_k));
        for row in rows {
            let Some(score) = self.score(row.try_get(1)?) else { continue };
            let hit = hit(&row, score, query.include_vector)?;
            if is_exact || filter.matches(&hit.metadata) {
                hits.push(hit);
            }
        }
        hits.sort_by(|one, other| other.score.total_cmp(&one.score).then_with(|| one.id.cmp(&other.id)));
        hits.truncate(query.top_k);
        Ok(hits)
    }

    /// Returns the score of a distance, `None` if that is not defined or the vectors are opposite.
    fn score(&self, distance: f64) -> Option<f32> {
        let score = match self.metric {
            Metric::Cosine => 1.0 - distance,
            Metric::Euclidean => 1.0 / (1.0 + distance),
            Metric::DotProduct => -distance,
        };
        #[expect(clippy::cast_possible_truncation, reason = "scores are floats")]
        let score = score.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32;
        match self.metric {
            Metric::Cosine => (score > -1.0).then(|| score.min(1.0)),
            Metric::Euclidean | Metric::DotProduct => (!score.is_nan()).then_some(score),
        }
    }

    /// Changes entries and returns how many.
    pub(crate) async fn update(
        &self,
        pool: &PgPool,
        chosen: &Chosen<'_>,
        vector: Option<&[f32]>,
        metadata: Option<&Map<String, Value>>,
    ) -> Result<u64, Failure> {
        let mut statement = Statement::default();
        let mut changes = Vec::new();
        if let Some(vector) = vector {
            self.check(vector)?;
            let vector = statement.bind(vector.to_vec())?;
            changes.push(format!("embedding = {vector}::real[]::{}.vector", self.extension));
        }
        if let Some(metadata) = metadata {
            let metadata = statement.bind(text_of(metadata)?)?;
            changes.push(format!("metadata = {metadata}::text::jsonb"));
        }
        if changes.is_empty() {
            return Ok(0);
        }
        statement.sql = format!("UPDATE {} SET {}", self.name, changes.join(", "));
        self.change(pool, chosen, statement).await
    }

    /// Deletes entries and returns how many.
    pub(crate) async fn delete(&self, pool: &PgPool, chosen: &Chosen<'_>) -> Result<u64, Failure> {
        let statement = Statement::of(format!("DELETE FROM {}", self.name));
        self.change(pool, chosen, statement).await
    }

    /// Runs a statement, which has no condition yet, on the chosen rows.
    async fn change(&self, pool: &PgPool, chosen: &Chosen<'_>, mut statement: Statement) -> Result<u64, Failure> {
        let filter = match chosen {
            Chosen::Ids(ids) => return self.only(statement, ids, pool).await,
            Chosen::Matching(filter) => filter,
        };
        if Condition::of(filter, &mut Statement::default())?.is_exact {
            let condition = Condition::of(filter, &mut statement)?.sql;
            self.restrict(&mut statement, &condition);
            return Ok(statement.query().execute(pool).await?.rows_affected());
        }
        // Weighed here and locked meanwhile, so that what is changed is what was weighed.
        let mut transaction = pool.begin().await?;
        let mut select = Statement::default();
        let condition = Condition::of(filter, &mut select)?.sql;
        select.sql = format!("SELECT id, metadata::text FROM {} WHERE {condition} ORDER BY id FOR UPDATE", self.name);
        let mut ids: Vec<String> = Vec::new();
        let mut rows = select.query().fetch(&mut *transaction);
        while let Some(row) = rows.try_next().await? {
            if filter.matches(&metadata_of(&row, 1)?) {
                ids.push(row.try_get(0)?);
            }
        }
        drop(rows);
        let changed = self.only(statement, &ids, &mut *transaction).await?;
        transaction.commit().await?;
        Ok(changed)
    }

    async fn only(
        &self,
        mut statement: Statement,
        ids: &[String],
        on: impl Executor<'_, Database = Postgres>,
    ) -> Result<u64, Failure> {
        // No id has a NUL in it, and text with one cannot be asked for.
        let ids: Vec<&str> = ids.iter().map(String::as_str).filter(|id| !id.contains('\0')).collect();
        let ids = statement.bind(ids)?;
        self.restrict(&mut statement, &format!("id = ANY ({ids}::text[])"));
        Ok(statement.query().execute(on).await?.rows_affected())
    }

    /// Adds the condition to a statement. Rows are locked in the order of their ids, as an upsert does: writers of the
    /// same entries wait for each other, and none for one that waits for it.
    fn restrict(&self, statement: &mut Statement, condition: &str) {
        let of_these = format!(" WHERE id IN (SELECT id FROM {} WHERE {condition} ORDER BY id FOR UPDATE)", self.name);
        statement.sql.push_str(&of_these);
    }
}

fn vectors(query: &Query) -> &'static str {
    if query.include_vector { ", embedding::real[]" } else { "" }
}

fn hit(row: &PgRow, score: f32, with_vector: bool) -> Result<Hit, Failure> {
    let vector = if with_vector { Some(row.try_get(3)?) } else { None };
    Ok(Hit { id: row.try_get(0)?, score, metadata: metadata_of(row, 2)?, vector })
}

fn metadata_of(row: &PgRow, column: usize) -> Result<Map<String, Value>, Failure> {
    let text: &str = row.try_get(column)?;
    Ok(serde_json::from_str(text)
        .map_err(|error| Error::new(format!("metadata in PostgreSQL cannot be read: {error}")))?)
}

/// Returns metadata as PostgreSQL takes it.
fn text_of(metadata: &Map<String, Value>) -> Result<String> {
    if metadata.iter().any(|(key, value)| key.contains('\0') || has_nul(value)) {
        return Err(Error::input("metadata cannot be kept: PostgreSQL has no text with a NUL character in it"));
    }
    Ok(serde_json::to_string(metadata)?)
}

fn check_numbers(vector: &[f32]) -> Result<()> {
    if vector.iter().all(|value| value.is_finite()) {
        return Ok(());
    }
    Err(Error::input("a vector must hold numbers a 32-bit float has room for"))
}
