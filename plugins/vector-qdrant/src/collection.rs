//! One index: a collection of Qdrant, read and written.

use std::collections::HashMap;

use hotbay_plugin::{
    Error, Result,
    error::code,
    vector_store::{
        Chosen, Entry, Filter, Hit, IndexStats, Metric, Query, exact::Best, unknown_index, wrong_dimension,
    },
};
use qdrant_client::{
    Qdrant,
    qdrant::{
        self, Condition, CountPoints, DeletePoints, DenseVector, GetPoints, HasIdCondition, ListValue, PointId,
        PointStruct, PointVectors, PointsSelector, QueryPoints, ScrollPoints, SetPayloadPoints, Struct,
        UpdatePointVectors, UpsertPoints, VectorsOutput, WithPayloadSelector, condition::ConditionOneOf, value::Kind,
        vector_output, vectors_output,
    },
};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{
    conditions::{Conditions, NUMBERS, TERMS, TEXTS, not},
    failure::failed,
    terms::Terms,
};

/// Ids of points are made from ids of entries, for Qdrant takes numbers and UUIDs alone.
const IDS: Uuid = Uuid::from_u128(0x5f4a_1d5e_3c0b_4f0e_9d0c_6f1b_8a52_7e31);
/// How many bytes of vectors and metadata go with one call, and how many points: messages have a limit.
const BATCH_BYTES: usize = 8 << 20;
const BATCH_POINTS: usize = 1000;
/// How many more are looked at when some may not match.
const MARGIN: usize = 4;

/// Where the id is in the payload.
const ID: &str = "id";
/// Where the metadata is in the payload, as JSON text: Qdrant's values have not all of JSON's numbers, and no order.
const METADATA: &str = "metadata";
/// How long the vector was that Qdrant has made one long, for cosine.
const LENGTH: &str = "length";
/// Whether the vector has no direction, for cosine.
const ZERO: &str = "zero";

/// The collection of an index.
pub(crate) struct Collection<'a> {
    pub(crate) client: &'a Qdrant,
    /// The index.
    pub(crate) index: &'a str,
    /// The collection's name.
    pub(crate) name: String,
    pub(crate) dimension: u32,
    pub(crate) metric: Metric,
}

impl Collection<'_> {
    fn failed(&self, error: qdrant_client::QdrantError) -> Error {
        let error = failed(error);
        // It was there a moment ago.
        if error.code == code::NOT_FOUND { unknown_index(self.index) } else { error }
    }

    fn check(&self, vector: &[f32]) -> Result<()> {
        if vector.len() != self.dimension as usize {
            return Err(wrong_dimension(self.index, self.dimension, vector.len()));
        }
        if vector.iter().any(|value| !value.is_finite()) {
            return Err(Error::input("a vector must hold numbers a 32-bit float has room for"));
        }
        Ok(())
    }

    pub(crate) async fn describe(&self) -> Result<IndexStats> {
        let count = CountPoints { collection_name: self.name.clone(), exact: Some(true), ..CountPoints::default() };
        let counted = self.client.count(count).await.map_err(|error| self.failed(error))?;
        let count = counted.result.map(|result| result.count).unwrap_or_default();
        Ok(IndexStats { dimension: self.dimension, count, metric: self.metric })
    }

    /// Writes entries; of one id the last counts.
    pub(crate) async fn upsert(&self, ids: &[String], entries: &[Entry]) -> Result<()> {
        let mut last: HashMap<&str, &Entry> = HashMap::with_capacity(entries.len());
        for (id, entry) in ids.iter().zip(entries) {
            self.check(&entry.vector)?;
            last.insert(id, entry);
        }
        let (mut batch, mut bytes) = (Vec::new(), 0);
        for (id, entry) in last {
            let mut payload = payload_of(&entry.metadata)?;
            // Metadata is there twice: as it is, and in terms.
            let size = entry.vector.len() * size_of::<f32>() + 2 * text_in(&payload, METADATA)?.len();
            if !batch.is_empty() && (batch.len() >= BATCH_POINTS || bytes + size > BATCH_BYTES) {
                self.put(std::mem::take(&mut batch)).await?;
                bytes = 0;
            }
            bytes += size;
            payload.insert(ID.to_owned(), text(id));
            self.note(&entry.vector, &mut payload);
            batch.push(PointStruct { id: Some(point(id)), payload, vectors: Some(self.sent(&entry.vector).into()) });
        }
        self.put(batch).await
    }

    async fn put(&self, points: Vec<PointStruct>) -> Result<()> {
        let upsert =
            UpsertPoints { collection_name: self.name.clone(), wait: Some(true), points, ..UpsertPoints::default() };
        self.client.upsert_points(upsert).await.map(drop).map_err(|error| self.failed(error))
    }

    /// Returns a vector as it is sent: one long for cosine. Qdrant does that itself, but takes short vectors for
    /// none and finds no length of very long ones.
    fn sent(&self, vector: &[f32]) -> Vec<f32> {
        let length = length_of(vector);
        if self.metric != Metric::Cosine || length == 0.0 {
            return vector.to_vec();
        }
        scaled(vector, 1.0 / length)
    }

    /// Notes of a vector what Qdrant does not keep.
    fn note(&self, vector: &[f32], payload: &mut HashMap<String, qdrant::Value>) {
        if self.metric == Metric::Cosine {
            payload.insert(LENGTH.to_owned(), Kind::DoubleValue(length_of(vector)).into());
            payload.insert(ZERO.to_owned(), Kind::BoolValue(self.metric.scale(vector) <= 0.0).into());
        }
    }

    /// Returns the entries nearest to a vector.
    pub(crate) async fn query(&self, query: &Query, filter: &Filter) -> Result<Vec<Hit>> {
        self.check(&query.vector)?;
        if query.top_k == 0 || self.metric.scale(&query.vector) <= 0.0 {
            // Nothing is near a vector without direction.
            return Ok(Vec::new());
        }
        let Conditions { filter: conditions, is_exact } = Conditions::of(filter);
        if is_exact {
            return self.nearest(query, conditions, query.top_k).await;
        }
        let limit = query.top_k.saturating_mul(MARGIN);
        let mut hits = self.nearest(query, conditions.clone(), limit).await?;
        let is_all = hits.len() < limit;
        hits.retain(|hit| filter.matches(&hit.metadata));
        if is_all || hits.len() >= query.top_k {
            hits.truncate(query.top_k);
            return Ok(hits);
        }
        // Few match: those that do are found by looking at all that may, and then the best of them.
        let matching = self.matching(filter, conditions, is_exact).await?;
        let mut best = Best::of(query.top_k);
        let mut found: HashMap<String, Hit> = HashMap::new();
        for chunk in matching.chunks(BATCH_POINTS) {
            let these = HasIdCondition { has_id: chunk.to_vec() };
            let these = qdrant::Filter::must([Condition { condition_one_of: Some(ConditionOneOf::HasId(these)) }]);
            for hit in self.nearest(query, these, query.top_k.min(chunk.len())).await? {
                best.show(hit.score, hit.id.clone());
                found.insert(hit.id.clone(), hit);
            }
        }
        Ok(best.into_sorted().into_iter().filter_map(|scored| found.remove(&scored.key)).collect())
    }

    async fn nearest(&self, query: &Query, mut conditions: qdrant::Filter, limit: usize) -> Result<Vec<Hit>> {
        if self.metric == Metric::Cosine {
            conditions.must.push(not(Condition::matches(ZERO, true)));
        }
        let mut wanted = vec![ID, METADATA];
        if query.include_vector {
            wanted.push(LENGTH);
        }
        let search = QueryPoints {
            collection_name: self.name.clone(),
            query: Some(self.sent(&query.vector).into()),
            filter: Some(conditions),
            limit: Some(limit as u64),
            with_payload: Some(only(&wanted)),
            with_vectors: Some(query.include_vector.into()),
            ..QueryPoints::default()
        };
        let answer = self.client.query(search).await.map_err(|error| self.failed(error))?;
        let mut hits = Vec::with_capacity(answer.result.len());
        for found in answer.result {
            let Some(score) = self.score(found.score) else { continue };
            let vector = if query.include_vector { Some(self.vector(found.vectors, &found.payload)?) } else { None };
            let (id, metadata) = (text_in(&found.payload, ID)?.to_owned(), metadata_in(&found.payload)?);
            hits.push(Hit { id, score, metadata, vector });
        }
        hits.sort_by(|one, other| other.score.total_cmp(&one.score).then_with(|| one.id.cmp(&other.id)));
        Ok(hits)
    }

    /// Returns the score of what Qdrant has, `None` if that is not defined or the vectors are opposite.
    fn score(&self, score: f32) -> Option<f32> {
        match self.metric {
            Metric::Cosine => (score > -1.0).then(|| score.min(1.0)),
            Metric::Euclidean => Some(1.0 / (1.0 + score)),
            Metric::DotProduct => (!score.is_nan()).then_some(score),
        }
    }

    /// Returns a vector as it was given, to within what a float rounds.
    fn vector(&self, vectors: Option<VectorsOutput>, payload: &HashMap<String, qdrant::Value>) -> Result<Vec<f32>> {
        let vector = match vectors.and_then(|vectors| vectors.vectors_options) {
            Some(vectors_output::VectorsOptions::Vector(vector)) => vector.into_vector(),
            _ => return Err(Error::new("a point in Qdrant has no vector of its own")),
        };
        let vector_output::Vector::Dense(DenseVector { data }) = vector else {
            return Err(Error::new("a point in Qdrant has a vector of another kind"));
        };
        match payload.get(LENGTH).and_then(|value| value.kind.as_ref()) {
            Some(Kind::DoubleValue(length)) if self.metric == Metric::Cosine && length_of(&data) > 0.0 => {
                Ok(scaled(&data, length / length_of(&data)))
            }
            _ => Ok(data),
        }
    }

    /// Returns the points a filter matches, by looking at all that may.
    async fn matching(&self, filter: &Filter, conditions: qdrant::Filter, is_exact: bool) -> Result<Vec<PointId>> {
        let mut matching = Vec::new();
        let mut offset = None;
        loop {
            let scroll = ScrollPoints {
                collection_name: self.name.clone(),
                filter: Some(conditions.clone()),
                offset,
                limit: Some(BATCH_POINTS as u32),
                with_payload: Some(if is_exact { false.into() } else { only(&[METADATA]) }),
                ..ScrollPoints::default()
            };
            let page = self.client.scroll(scroll).await.map_err(|error| self.failed(error))?;
            for found in page.result {
                if is_exact || filter.matches(&metadata_in(&found.payload)?) {
                    matching.extend(found.id);
                }
            }
            if page.next_page_offset.is_none() {
                return Ok(matching);
            }
            offset = page.next_page_offset;
        }
    }

    /// Returns the points that are meant and are there, each once.
    async fn chosen(&self, chosen: &Chosen<'_>) -> Result<Vec<PointId>> {
        let ids = match chosen {
            Chosen::Matching(filter) => {
                let Conditions { filter: conditions, is_exact } = Conditions::of(filter);
                return self.matching(filter, conditions, is_exact).await;
            }
            Chosen::Ids(ids) => ids,
        };
        let mut points: Vec<Uuid> = ids.iter().map(|id| uuid(id)).collect();
        points.sort_unstable();
        points.dedup();
        let mut there = Vec::with_capacity(points.len());
        for chunk in points.chunks(BATCH_POINTS) {
            let get = GetPoints {
                collection_name: self.name.clone(),
                ids: chunk.iter().map(|id| id.to_string().into()).collect(),
                with_payload: Some(false.into()),
                ..GetPoints::default()
            };
            let found = self.client.get_points(get).await.map_err(|error| self.failed(error))?;
            there.extend(found.result.into_iter().filter_map(|point| point.id));
        }
        Ok(there)
    }

    /// Changes entries and returns how many.
    pub(crate) async fn update(
        &self,
        chosen: &Chosen<'_>,
        vector: Option<&[f32]>,
        metadata: Option<&Map<String, Value>>,
    ) -> Result<u64> {
        let mut payload = match metadata {
            Some(metadata) => payload_of(metadata)?,
            None => HashMap::new(),
        };
        if let Some(vector) = vector {
            self.check(vector)?;
            self.note(vector, &mut payload);
        }
        let sent = vector.map(|vector| self.sent(vector));
        let points = self.chosen(chosen).await?;
        let length = BATCH_BYTES / (size_of::<f32>() * self.dimension.max(1) as usize);
        for chunk in points.chunks(length.clamp(1, BATCH_POINTS)) {
            if let Some(sent) = &sent {
                let moved = |id: &PointId| PointVectors { id: Some(id.clone()), vectors: Some(sent.clone().into()) };
                let update = UpdatePointVectors {
                    collection_name: self.name.clone(),
                    wait: Some(true),
                    points: chunk.iter().map(moved).collect(),
                    ..UpdatePointVectors::default()
                };
                self.client.update_vectors(update).await.map_err(|error| self.failed(error))?;
            }
            if !payload.is_empty() {
                let set = SetPayloadPoints {
                    collection_name: self.name.clone(),
                    wait: Some(true),
                    payload: payload.clone(),
                    points_selector: Some(these(chunk)),
                    ..SetPayloadPoints::default()
                };
                self.client.set_payload(set).await.map_err(|error| self.failed(error))?;
            }
        }
        Ok(points.len() as u64)
    }

    /// Deletes entries and returns how many.
    pub(crate) async fn delete(&self, chosen: &Chosen<'_>) -> Result<u64> {
        let points = self.chosen(chosen).await?;
        for chunk in points.chunks(BATCH_POINTS) {
            let delete = DeletePoints {
                collection_name: self.name.clone(),
                wait: Some(true),
                points: Some(these(chunk)),
                ..DeletePoints::default()
            };
            self.client.delete_points(delete).await.map_err(|error| self.failed(error))?;
        }
        Ok(points.len() as u64)
    }
}

fn length_of(vector: &[f32]) -> f64 {
    vector.iter().map(|value| f64::from(*value) * f64::from(*value)).sum::<f64>().sqrt()
}

#[expect(clippy::cast_possible_truncation, reason = "vectors are floats")]
fn scaled(vector: &[f32], by: f64) -> Vec<f32> {
    vector.iter().map(|value| (f64::from(*value) * by) as f32).collect()
}

fn uuid(id: &str) -> Uuid {
    Uuid::new_v5(&IDS, id.as_bytes())
}

fn point(id: &str) -> PointId {
    uuid(id).to_string().into()
}

fn these(points: &[PointId]) -> PointsSelector {
    points.to_vec().into()
}

fn only(keys: &[&str]) -> WithPayloadSelector {
    keys.to_vec().into()
}

fn text(text: &str) -> qdrant::Value {
    Kind::StringValue(text.to_owned()).into()
}

/// Returns the part of a payload that is about metadata.
fn payload_of(metadata: &Map<String, Value>) -> Result<HashMap<String, qdrant::Value>> {
    let Terms { words, numbers, texts } = Terms::of(metadata);
    let words = ListValue { values: words.iter().map(|word| text(word)).collect() };
    let map = |numbers: HashMap<String, f64>| {
        let fields = numbers.into_iter().map(|(path, number)| (path, Kind::DoubleValue(number).into())).collect();
        qdrant::Value::from(Kind::StructValue(Struct { fields }))
    };
    Ok(HashMap::from([
        (METADATA.to_owned(), text(&serde_json::to_string(metadata)?)),
        (TERMS.to_owned(), Kind::ListValue(words).into()),
        (NUMBERS.to_owned(), map(numbers)),
        (TEXTS.to_owned(), map(texts)),
    ]))
}

fn text_in<'a>(payload: &'a HashMap<String, qdrant::Value>, key: &str) -> Result<&'a str> {
    match payload.get(key).and_then(|value| value.kind.as_ref()) {
        Some(Kind::StringValue(text)) => Ok(text),
        _ => Err(Error::new(format!("a point in Qdrant has no `{key}`: it was written by somebody else"))),
    }
}

fn metadata_in(payload: &HashMap<String, qdrant::Value>) -> Result<Map<String, Value>> {
    serde_json::from_str(text_in(payload, METADATA)?)
        .map_err(|error| Error::new(format!("metadata in Qdrant cannot be read: {error}")))
}
