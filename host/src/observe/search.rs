//! Finding records in the indexes of days.
//!
//! Nothing here orders all that is found: a page of a day is looked for in a window of time
//! that should have about as many as are wanted, next to where the page begins, and only
//! wider if it had fewer.

use std::{
    cmp::Reverse,
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use serde_json::value::RawValue;
use tantivy::{
    DateTime, DocAddress, DocId, Score, Searcher, SegmentOrdinal, SegmentReader, TantivyDocument, TantivyError,
    collector::{Collector, Count, SegmentCollector},
    columnar::{Column, StrColumn},
    query::{BooleanQuery, Query},
    schema::Value,
};

use super::{
    Counted, Order,
    attrs::Key,
    filter::{Between, Filter},
    query::during,
    schema::{Kept, column, fields, kept},
};
use crate::types::id::Millis;

/// Above so many, a page is looked for in windows of time.
const FEW: usize = 20_000;

/// Where a record stands in an order: its time, its position in the write-ahead log, and where it
/// is among those that share one. The time of what has not ended is the last there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) at: i64,
    pub(super) seq: u64,
    pub(super) place: u64,
}

/// The index of a day, and what is asked of it.
pub(super) struct DaySearch<'a> {
    searcher: &'a Searcher,
    filter: &'a Filter,
    query: Box<dyn Query>,
    order: Order,
    /// How many meet the condition.
    pub(super) count: usize,
}

impl<'a> DaySearch<'a> {
    /// Asks how many records of a day meet a condition.
    pub(super) fn new(
        searcher: &'a Searcher,
        filter: &'a Filter,
        query: Box<dyn Query>,
        order: Order,
    ) -> Result<Self, TantivyError> {
        let count = match filter {
            Filter::All if !matches!(order, Order::Arrival(_)) => {
                usize::try_from(searcher.num_docs()).unwrap_or(usize::MAX)
            }
            _ => searcher.search(&query, &Count)?,
        };
        Ok(Self { searcher, filter, query, order, count })
    }

    /// Returns the first `limit` records in the order asked for.
    pub(super) fn first(&self, limit: usize) -> Result<Vec<(Place, DocAddress)>, TantivyError> {
        let is_by_time = matches!(self.order, Order::NewestFirst | Order::OldestFirst);
        if self.count <= FEW || limit >= self.count || !is_by_time {
            return self.searcher.search(&self.query, &First { order: self.order, limit });
        }
        let Some((least, most)) = times(self.searcher)? else { return Ok(Vec::new()) };
        let span = u128::from(most.abs_diff(least)) + 1;
        let mut width = (span * (limit as u128) * 2 / self.count as u128).max(1);
        let mut found: Vec<(Place, DocAddress)> = Vec::new();
        let mut done: u128 = 0;
        while found.len() < limit && done < span {
            width = width.min(span - done);
            let offset = |by: u128| i64::try_from(by).unwrap_or(i64::MAX);
            let (from, to) = match self.order {
                Order::OldestFirst => {
                    (least.saturating_add(offset(done)), least.saturating_add(offset(done + width - 1)))
                }
                _ => (most.saturating_sub(offset(done + width - 1)), most.saturating_sub(offset(done))),
            };
            let window = during(&Between { from: Some(Millis(from)), to: Some(Millis(to)) });
            let query: Box<dyn Query> = match self.filter {
                Filter::All => window,
                _ => Box::new(BooleanQuery::intersection(vec![self.query.box_clone(), window])),
            };
            let left = limit - found.len();
            found.extend(self.searcher.search(&query, &First { order: self.order, limit: left })?);
            done += width;
            width = width.saturating_mul(8);
        }
        Ok(found)
    }
}

fn internal(error: impl ToString) -> TantivyError {
    TantivyError::InternalError(error.to_string())
}

/// Returns the first and the last time there is.
pub(super) fn times(searcher: &Searcher) -> Result<Option<(i64, i64)>, TantivyError> {
    let mut times: Option<(i64, i64)> = None;
    for segment in searcher.segment_readers() {
        let column = segment.fast_fields().date(column::TIME)?;
        if column.num_docs() == 0 {
            continue;
        }
        let (least, most) = (column.min_value().into_timestamp_millis(), column.max_value().into_timestamp_millis());
        times = Some(times.map_or((least, most), |(first, last)| (first.min(least), last.max(most))));
    }
    Ok(times)
}

/// Collects the first records in an order.
struct First {
    order: Order,
    limit: usize,
}

struct FirstOfSegment {
    segment: SegmentOrdinal,
    time: Column<DateTime>,
    seq: Column<u64>,
    place: Option<Column<u64>>,
    is_descending: bool,
    is_by_arrival: bool,
    limit: usize,
    kept: Vec<(Place, DocId)>,
    /// What stands behind it is not wanted.
    bound: Option<Place>,
}

impl Collector for First {
    type Fruit = Vec<(Place, DocAddress)>;
    type Child = FirstOfSegment;

    fn for_segment(&self, segment: SegmentOrdinal, reader: &SegmentReader) -> tantivy::Result<FirstOfSegment> {
        let columns = reader.fast_fields();
        let (name, is_descending) = match self.order {
            Order::NewestFirst => (column::TIME, true),
            Order::OldestFirst => (column::TIME, false),
            Order::LatestEndFirst => (column::ENDED, true),
            Order::EarliestEndFirst => (column::ENDED, false),
            // Whatever the time, it is not looked at.
            Order::Arrival(_) => (column::TIME, false),
        };
        Ok(FirstOfSegment {
            segment,
            time: columns.date(name)?,
            seq: columns.u64(column::SEQ)?,
            place: columns.column_opt(column::PLACE)?,
            is_descending,
            is_by_arrival: matches!(self.order, Order::Arrival(_)),
            limit: self.limit,
            kept: Vec::new(),
            bound: None,
        })
    }

    fn requires_scoring(&self) -> bool {
        false
    }

    fn merge_fruits(&self, fruits: Vec<Vec<(Place, DocAddress)>>) -> tantivy::Result<Self::Fruit> {
        let mut all: Vec<_> = fruits.into_iter().flatten().collect();
        if self.order.is_descending() {
            all.sort_unstable_by_key(|it| Reverse(*it));
        } else {
            all.sort_unstable();
        }
        all.truncate(self.limit);
        Ok(all)
    }
}

impl FirstOfSegment {
    fn is_behind(&self, place: Place, bound: Place) -> bool {
        if self.is_descending { place < bound } else { place > bound }
    }

    fn shrink(&mut self) {
        if self.kept.len() > self.limit && self.limit > 0 {
            let last = self.limit - 1;
            let is_descending = self.is_descending;
            self.kept.select_nth_unstable_by(last, |a, b| if is_descending { b.cmp(a) } else { a.cmp(b) });
            self.bound = Some(self.kept[last].0);
            self.kept.truncate(self.limit);
        }
    }
}

impl SegmentCollector for FirstOfSegment {
    type Fruit = Vec<(Place, DocAddress)>;

    fn collect(&mut self, doc: DocId, _: Score) {
        let at = match self.is_by_arrival {
            true => 0,
            false => self.time.first(doc).map_or(i64::MAX, DateTime::into_timestamp_millis),
        };
        if let Some(bound) = self.bound
            && self.is_behind(Place { at, ..bound }, bound)
        {
            return;
        }
        let place = self.place.as_ref().and_then(|column| column.first(doc)).unwrap_or_default();
        let place = Place { at, seq: self.seq.first(doc).unwrap_or_default(), place };
        if self.bound.is_some_and(|bound| self.is_behind(place, bound)) || self.limit == 0 {
            return;
        }
        self.kept.push((place, doc));
        if self.kept.len() >= self.limit.saturating_mul(2).max(1024) {
            self.shrink();
        }
    }

    fn harvest(mut self) -> Self::Fruit {
        self.shrink();
        let segment = self.segment;
        self.kept.into_iter().map(|(place, doc)| (place, DocAddress::new(segment, doc))).collect()
    }
}

/// Reads records.
pub(super) struct Bodies<'a> {
    searcher: &'a Searcher,
    /// What was read already, by its position in the write-ahead log: several records may share it.
    read: HashMap<u64, Vec<Box<RawValue>>>,
}

impl<'a> Bodies<'a> {
    pub(super) fn new(searcher: &'a Searcher) -> Self {
        Self { searcher, read: HashMap::new() }
    }

    /// Returns a record as it was written.
    pub(super) fn get(&mut self, place: Place, address: DocAddress) -> Result<&RawValue, TantivyError> {
        let missing = || internal(format!("record {} has no body", place.seq));
        let records = match self.read.entry(place.seq) {
            Entry::Occupied(read) => read.into_mut(),
            Entry::Vacant(vacant) => {
                let body = match place.place {
                    0 => body(self.searcher, address)?,
                    _ => first(self.searcher, place.seq, address)?.map_or(Ok(None), |it| body(self.searcher, it))?,
                };
                let body = body.ok_or_else(missing)?;
                let records = if body.starts_with('[') {
                    serde_json::from_str(&body)
                } else {
                    serde_json::from_str(&body).map(|record| vec![record])
                };
                vacant.insert(records.map_err(internal)?)
            }
        };
        let place = usize::try_from(place.place).unwrap_or(usize::MAX);
        records.get(place).map(|record| &**record).ok_or_else(missing)
    }
}

fn body(searcher: &Searcher, address: DocAddress) -> Result<Option<String>, TantivyError> {
    let document: TantivyDocument = searcher.doc(address)?;
    Ok(document.get_first(fields().body).and_then(|value| value.as_str().map(str::to_owned)))
}

/// Finds the first of those that share a body with a record, which has it: they were written into
/// one segment in a row ([`Day::write`](super::day::Day::write)), and merges keep the order.
fn first(searcher: &Searcher, seq: u64, address: DocAddress) -> Result<Option<DocAddress>, TantivyError> {
    let columns = searcher.segment_reader(address.segment_ord).fast_fields();
    let (seqs, places) = (columns.u64(column::SEQ)?, columns.column_opt::<u64>(column::PLACE)?);
    let row = (0..=address.doc_id).rev().take_while(|doc| seqs.first(*doc) == Some(seq));
    let is_first = |doc: &DocId| places.as_ref().is_none_or(|places| places.first(*doc).is_none());
    Ok(row.into_iter().find(is_first).map(|doc| DocAddress::new(address.segment_ord, doc)))
}

/// Collects the values of a key.
pub(super) struct Values {
    pub(super) key: Key,
}

/// The values of a key in one segment.
pub(super) struct ValuesOfSegment {
    column: Option<StrColumn>,
    seen: Vec<bool>,
}

impl Collector for Values {
    type Fruit = Vec<String>;
    type Child = ValuesOfSegment;

    fn for_segment(&self, _: SegmentOrdinal, reader: &SegmentReader) -> tantivy::Result<ValuesOfSegment> {
        let column = if kept(self.key) == Kept::Column { reader.fast_fields().str(self.key.as_str())? } else { None };
        let seen = vec![false; column.as_ref().map_or(0, |column| column.num_terms())];
        Ok(ValuesOfSegment { column, seen })
    }

    fn requires_scoring(&self) -> bool {
        false
    }

    fn merge_fruits(&self, fruits: Vec<Vec<String>>) -> tantivy::Result<Vec<String>> {
        Ok(fruits.into_iter().flatten().collect())
    }
}

impl SegmentCollector for ValuesOfSegment {
    type Fruit = Vec<String>;

    fn collect(&mut self, doc: DocId, _: Score) {
        let Some(column) = &self.column else { return };
        for ordinal in column.ords().values_for_doc(doc) {
            if let Some(seen) = usize::try_from(ordinal).ok().and_then(|ordinal| self.seen.get_mut(ordinal)) {
                *seen = true;
            }
        }
    }

    fn harvest(self) -> Vec<String> {
        let Some(column) = self.column else { return Vec::new() };
        let mut values = Vec::new();
        for (ordinal, _) in (0u64..).zip(&self.seen).filter(|(_, seen)| **seen) {
            let mut value = String::new();
            if column.ord_to_str(ordinal, &mut value).is_ok_and(|found| found) {
                values.push(value);
            }
        }
        values
    }
}

/// Collects what is counted of spans.
pub(super) struct Counts {
    pub(super) keys: Vec<Key>,
}

/// A key's column, and the values of it that were read.
type KeyColumn = (StrColumn, HashMap<u64, Arc<str>>);

/// What is counted of the spans of one segment.
pub(super) struct CountsOfSegment {
    time: Column<DateTime>,
    took: Option<Column<u64>>,
    input_tokens: Option<Column<u64>>,
    output_tokens: Option<Column<u64>>,
    keys: Vec<Option<KeyColumn>>,
    counted: Vec<Counted>,
}

impl Collector for Counts {
    type Fruit = Vec<Counted>;
    type Child = CountsOfSegment;

    fn for_segment(&self, _: SegmentOrdinal, reader: &SegmentReader) -> tantivy::Result<CountsOfSegment> {
        let columns = reader.fast_fields();
        let key = |key: &Key| -> tantivy::Result<_> {
            let column = if kept(*key) == Kept::Column { columns.str(key.as_str())? } else { None };
            Ok(column.map(|column| (column, HashMap::new())))
        };
        Ok(CountsOfSegment {
            time: columns.date(column::TIME)?,
            took: columns.column_opt(column::TOOK)?,
            input_tokens: columns.column_opt(column::INPUT_TOKENS)?,
            output_tokens: columns.column_opt(column::OUTPUT_TOKENS)?,
            keys: self.keys.iter().map(key).collect::<Result<_, _>>()?,
            counted: Vec::new(),
        })
    }

    fn requires_scoring(&self) -> bool {
        false
    }

    fn merge_fruits(&self, fruits: Vec<Vec<Counted>>) -> tantivy::Result<Vec<Counted>> {
        Ok(fruits.into_iter().flatten().collect())
    }
}

impl SegmentCollector for CountsOfSegment {
    type Fruit = Vec<Counted>;

    fn collect(&mut self, doc: DocId, _: Score) {
        let number = |column: &Option<Column<u64>>| column.as_ref().and_then(|column| column.first(doc));
        let keys = self.keys.iter_mut().map(|key| {
            let (column, known) = key.as_mut()?;
            let ordinal = column.ords().first(doc)?;
            if let Some(value) = known.get(&ordinal) {
                return Some(Arc::clone(value));
            }
            let mut value = String::new();
            if !column.ord_to_str(ordinal, &mut value).is_ok_and(|found| found) {
                return None;
            }
            let value: Arc<str> = value.into();
            known.insert(ordinal, Arc::clone(&value));
            Some(value)
        });
        let keys = keys.collect();
        self.counted.push(Counted {
            started_at: Millis(self.time.first(doc).map_or(0, DateTime::into_timestamp_millis)),
            duration: number(&self.took),
            input_tokens: number(&self.input_tokens),
            output_tokens: number(&self.output_tokens),
            keys,
        });
    }

    fn harvest(self) -> Vec<Counted> {
        self.counted
    }
}
