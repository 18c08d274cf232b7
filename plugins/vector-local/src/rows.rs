//! The rows of an index: what its log comes to. A row is an entry that was put, numbered in the order
//! of the log; when it is put again or deleted, the row is dead and another one may follow.

use std::{collections::HashMap, io, sync::Arc};

use hotbay_plugin::{
    Error, Result,
    vector_store::{Filter, Metric},
};
use serde_json::{Map, Value};
use zerocopy::FromBytes;

use crate::{
    log::{self, Log, Put, PutAt, Record, Span},
    mapped::Mapping,
};

#[cfg(target_endian = "big")]
compile_error!("vectors are read where they lie in the log, which is little-endian");

/// A row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    vector: u64,
    id: Span,
    metadata: Span,
    /// Its part of a score, see [`Metric::scale`].
    pub(crate) scale: f32,
    pub(crate) is_live: bool,
}

/// What a log comes to, as far as it was read.
pub(crate) struct Rows {
    pub(crate) dimension: usize,
    pub(crate) metric: Metric,
    pub(crate) log: Arc<Log>,
    bytes: Arc<Mapping>,
    rows: Vec<Row>,
    /// The live row of each id.
    by_id: HashMap<Box<str>, u32>,
    /// Where the last complete record ends.
    pub(crate) end: u64,
}

/// Vectors of rows, for those who look at them while the rows go on.
#[derive(Clone)]
pub(crate) struct Vectors {
    bytes: Arc<Mapping>,
    dimension: usize,
    /// Where each vector is, and its part of a score: 0 if no score is defined.
    places: Arc<Vec<(u64, f32)>>,
    pub(crate) metric: Metric,
}

/// Rows that were live, for who copies them while the rows go on.
pub(crate) struct Live {
    bytes: Arc<Mapping>,
    dimension: usize,
    rows: Vec<Row>,
}

impl Live {
    /// Returns them as they are put, in batches.
    pub(crate) fn batches(&self, size: usize) -> impl Iterator<Item = Vec<Put<'_>>> {
        self.rows.chunks(size).map(|rows| rows.iter().map(|row| as_put(&self.bytes, row, self.dimension)).collect())
    }
}

impl Rows {
    /// Reads a log from its beginning.
    pub(crate) fn read(log: Arc<Log>, dimension: usize, metric: Metric) -> io::Result<Self> {
        let length = log.length()?.unwrap_or(log::START);
        let bytes = Arc::new(log.map(length)?);
        let mut rows = Self { dimension, metric, log, bytes, rows: Vec::new(), by_id: HashMap::new(), end: log::START };
        rows.follow(length)?;
        Ok(rows)
    }

    /// Reads on, up to the last complete record.
    pub(crate) fn follow(&mut self, length: u64) -> io::Result<()> {
        if !self.bytes.covers(length) {
            self.bytes = Arc::new(self.log.map(length)?);
        }
        let bytes = Arc::clone(&self.bytes);
        while let Some((record, end)) = log::read(&bytes, self.end, length, self.dimension) {
            match record {
                Record::Put(entries) => entries.iter().for_each(|entry| self.put(entry)),
                Record::Delete(ids) => ids.iter().for_each(|id| self.delete(*id)),
                Record::Nothing => {}
            }
            self.end = end;
        }
        Ok(())
    }

    fn put(&mut self, entry: &PutAt) {
        // There is one row for each entry in a log, and a log that long would not fit on a disk.
        let number = u32::try_from(self.rows.len()).expect("there are fewer than 4 billion rows");
        let scale = self.metric.scale(floats(&self.bytes, entry.vector, self.dimension));
        let PutAt { vector, id, metadata } = *entry;
        self.rows.push(Row { vector, id, metadata, scale, is_live: true });
        let id = Box::from(text(&self.bytes, id));
        if let Some(former) = self.by_id.insert(id, number) {
            self.rows[former as usize].is_live = false;
        }
    }

    fn delete(&mut self, id: Span) {
        if let Some(former) = self.by_id.remove(text(&self.bytes, id)) {
            self.rows[former as usize].is_live = false;
        }
    }

    /// Returns how many rows there are, dead ones among them.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns how many are live.
    pub(crate) fn live(&self) -> usize {
        self.by_id.len()
    }

    pub(crate) fn row(&self, number: u32) -> &Row {
        &self.rows[number as usize]
    }

    pub(crate) fn of_id(&self, id: &str) -> Option<u32> {
        self.by_id.get(id).copied()
    }

    /// Returns the live rows in order.
    pub(crate) fn iter_live(&self) -> impl Iterator<Item = u32> {
        (0..).zip(&self.rows).filter(|(_, row)| row.is_live).map(|(number, _)| number)
    }

    pub(crate) fn vector(&self, number: u32) -> &[f32] {
        floats(&self.bytes, self.row(number).vector, self.dimension)
    }

    pub(crate) fn id(&self, number: u32) -> &str {
        text(&self.bytes, self.row(number).id)
    }

    pub(crate) fn metadata(&self, number: u32) -> Result<Map<String, Value>> {
        let Span { at, length } = self.row(number).metadata;
        Ok(serde_json::from_slice(self.bytes.bytes(at, length as usize))?)
    }

    /// Whether a row is live and its metadata is so.
    pub(crate) fn matches(&self, number: u32, filter: Option<&Filter>) -> bool {
        let is_so = |filter: &Filter| self.metadata(number).is_ok_and(|metadata| filter.matches(&metadata));
        self.row(number).is_live && filter.is_none_or(is_so)
    }

    /// Returns a row as it is put.
    pub(crate) fn as_put(&self, number: u32) -> Put<'_> {
        as_put(&self.bytes, self.row(number), self.dimension)
    }

    /// Returns the live rows there are now.
    pub(crate) fn snapshot(&self) -> Live {
        let rows = self.rows.iter().filter(|row| row.is_live).copied().collect();
        Live { bytes: Arc::clone(&self.bytes), dimension: self.dimension, rows }
    }

    /// Returns the vectors of all rows there are now.
    pub(crate) fn vectors(&self) -> Vectors {
        let places = self.rows.iter().map(|row| (row.vector, if row.is_live { row.scale } else { 0.0 }));
        Vectors {
            bytes: Arc::clone(&self.bytes),
            dimension: self.dimension,
            places: Arc::new(places.collect()),
            metric: self.metric,
        }
    }
}

impl Vectors {
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    pub(crate) fn get(&self, number: u32) -> &[f32] {
        floats(&self.bytes, self.places[number as usize].0, self.dimension)
    }

    /// 0 for those that need not be found.
    pub(crate) fn scale(&self, number: u32) -> f32 {
        self.places[number as usize].1
    }
}

fn as_put<'a>(bytes: &'a Mapping, row: &Row, dimension: usize) -> Put<'a> {
    let Span { at, length } = row.metadata;
    let metadata = bytes.bytes(at, length as usize);
    Put { id: text(bytes, row.id), vector: floats(bytes, row.vector, dimension), metadata }
}

fn floats(bytes: &Mapping, at: u64, dimension: usize) -> &[f32] {
    // Mappings begin at a page, and records at multiples of 8.
    <[f32]>::ref_from_bytes(bytes.bytes(at, dimension * 4)).expect("vectors are aligned in the log")
}

fn text(bytes: &Mapping, Span { at, length }: Span) -> &str {
    std::str::from_utf8(bytes.bytes(at, length as usize)).unwrap_or_default()
}

/// Says to a caller that the disk does not do its part.
pub(crate) fn disk(error: &io::Error) -> Error {
    Error::with_code(hotbay_plugin::error::code::UNAVAILABLE, format!("the vector store's disk: {error}")).retryable()
}
