//! Finding records wherever they are: in the indexes of days and in memory, as of one moment.

use std::{cmp::Reverse, collections::BTreeSet, sync::Arc};

use serde::de::DeserializeOwned;
use tantivy::{DocAddress, Searcher, TantivyError, query::BooleanQuery};

use super::{
    Counted, Found, ObserveError, Order, Window,
    attrs::Key,
    day,
    filter::Filter,
    keeper::documents_of,
    metrics::Metrics,
    query::{arrived, compile},
    record::{Record, RecordKind},
    search::{Bodies, Counts, DaySearch, Place, Values, times},
    tail::Arrival,
    writer::View,
};
use crate::plugin::process;

/// What is searched, as it was at one moment.
pub(super) struct Snapshot<T> {
    filter: Filter,
    days: Vec<Searcher>,
    /// What is not in the indexes and meets the condition, with its position.
    memory: Vec<(u64, Arc<T>)>,
    /// What is not in the indexes, where only one can tell what meets the condition.
    unindexed: Vec<Arrival>,
    metrics: Arc<Metrics>,
}

/// Where a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    /// In the index of a day.
    Day(usize, DocAddress),
    /// In memory.
    Memory(usize),
}

impl<T> Snapshot<T> {
    /// Takes what there is of a kind. `memory` is what meets the condition and is in no index, as far as it
    /// can be told without one.
    pub(super) fn new(
        view: &View,
        kind: RecordKind,
        filter: Filter,
        memory: Vec<(u64, Arc<T>)>,
        metrics: &Arc<Metrics>,
    ) -> Self {
        let days = view.days.iter().filter(|((it, _), _)| *it == kind).map(|(_, day)| day.searcher.clone());
        let unindexed = match filter.needs_index() {
            true => view.tail.arrivals().filter(|it| it.key.0 == kind && !view.is_indexed(it)).cloned().collect(),
            false => Vec::new(),
        };
        Self { filter, days: days.collect(), memory, unindexed, metrics: Arc::clone(metrics) }
    }

    /// Returns what is in memory.
    pub(super) fn memory(&self) -> impl Iterator<Item = &T> {
        self.memory.iter().map(|(_, record)| &**record)
    }
}

impl<T: DeserializeOwned + Send + Sync + 'static> Snapshot<T> {
    /// Returns a window of what is found.
    pub(super) async fn find(
        self,
        window: Window,
        view: impl for<'a> Fn(&'a T) -> Record<'a> + Send + 'static,
    ) -> Result<Found<Arc<T>>, ObserveError> {
        away(Arc::clone(&self.metrics), move || self.find_now(window, view)).await
    }

    /// Returns the indexes there are, and one made of what is in none of them.
    fn indexes(&self) -> Result<Vec<Searcher>, TantivyError> {
        let mut indexes = self.days.clone();
        if !self.unindexed.is_empty() {
            indexes.push(day::in_memory(self.unindexed.iter().flat_map(|arrival| documents_of(arrival, None)))?);
        }
        Ok(indexes)
    }

    fn find_now(
        self,
        window: Window,
        view: impl for<'a> Fn(&'a T) -> Record<'a>,
    ) -> Result<Found<Arc<T>>, ObserveError> {
        let Window { order, offset, limit } = window;
        let mut query = compile(&self.filter)?;
        let wanted = match order {
            Order::Arrival(position) => {
                query = Box::new(BooleanQuery::intersection(vec![query, arrived(position)]));
                // What runs has not come in yet.
                position..=u64::MAX - 1
            }
            _ => 0..=u64::MAX,
        };
        let memory = self.memory.iter().enumerate().filter(|(_, (seq, _))| wanted.contains(seq)).map(
            |(index, (seq, record))| {
                let place = Place { at: order.time(view(record)), seq: *seq, place: index as u64 };
                (place, Source::Memory(index))
            },
        );
        let mut found: Vec<(Place, Source)> = memory.collect();
        let indexes = self.indexes().map_err(failed)?;
        let mut days = Vec::new();
        for (index, searcher) in indexes.iter().enumerate() {
            let search = DaySearch::new(searcher, &self.filter, query.box_clone(), order).map_err(failed)?;
            if search.count > 0
                && let Some(range) = times(searcher).map_err(failed)?
            {
                days.push(Candidate { index, search, range });
            }
        }
        let total = found.len() as u64 + days.iter().map(|day| day.search.count as u64).sum::<u64>();
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let limit = usize::try_from(limit.min(total)).unwrap_or(usize::MAX);
        let (found, offset) = gather(&mut found, days, order, offset, limit).map_err(failed)?;
        let mut bodies: Vec<Bodies<'_>> = indexes.iter().map(Bodies::new).collect();
        let mut records = Vec::new();
        let mut positions = Vec::new();
        for (place, source) in found.iter().skip(offset).take(limit) {
            positions.push(place.seq);
            records.push(match *source {
                Source::Memory(index) => Arc::clone(&self.memory[index].1),
                Source::Day(day, address) => {
                    let body = bodies[day].get(*place, address).map_err(failed)?;
                    Arc::new(serde_json::from_str(body.get()).map_err(|error| ObserveError::Index(error.to_string()))?)
                }
            });
        }
        Ok(Found { records, positions, total })
    }

    /// Returns the values a key has in the indexes.
    pub(super) async fn values(self, key: Key) -> Result<BTreeSet<String>, ObserveError> {
        away(Arc::clone(&self.metrics), move || {
            let query = compile(&self.filter)?;
            let indexes = self.indexes().map_err(failed)?;
            let each = indexes.iter().map(|index| index.search(&query, &Values { key }));
            Ok(each.collect::<Result<Vec<_>, _>>().map_err(failed)?.into_iter().flatten().collect())
        })
        .await
    }

    /// Returns what is counted in the indexes.
    pub(super) async fn counts(self, keys: &[Key]) -> Result<Vec<Counted>, ObserveError> {
        let keys = keys.to_vec();
        away(Arc::clone(&self.metrics), move || {
            let query = compile(&self.filter)?;
            let counts = Counts { keys };
            let indexes = self.indexes().map_err(failed)?;
            let each = indexes.iter().map(|index| index.search(&query, &counts));
            Ok(each.collect::<Result<Vec<_>, _>>().map_err(failed)?.into_iter().flatten().collect())
        })
        .await
    }
}

/// A day some records of which may be wanted.
struct Candidate<'a> {
    index: usize,
    search: DaySearch<'a>,
    /// The first and the last time in it.
    range: (i64, i64),
}

/// Returns what stands at the beginning of an order, so far as it is wanted, and how many of
/// those to leave out. Days that are left out whole are not looked into.
fn gather(
    found: &mut Vec<(Place, Source)>,
    mut days: Vec<Candidate<'_>>,
    order: Order,
    mut offset: usize,
    limit: usize,
) -> Result<(Vec<(Place, Source)>, usize), TantivyError> {
    let is_by_time = matches!(order, Order::NewestFirst | Order::OldestFirst);
    match order.is_descending() {
        true => days.sort_by_key(|day| Reverse(day.range.1)),
        false => days.sort_by_key(|day| day.range.0),
    }
    let mut has_begun = !is_by_time;
    for at in 0..days.len() {
        let day = &days[at];
        let is_alone = match order.is_descending() {
            true => {
                let before = |other: &Candidate<'_>| other.range.1 < day.range.0;
                days[at + 1..].iter().all(before) && found.iter().all(|(place, _)| place.at < day.range.0)
            }
            false => {
                let behind = |other: &Candidate<'_>| other.range.0 > day.range.1;
                days[at + 1..].iter().all(behind) && found.iter().all(|(place, _)| place.at > day.range.1)
            }
        };
        if !has_begun && is_alone && day.search.count <= offset {
            offset -= day.search.count;
            continue;
        }
        has_begun = true;
        let wanted = offset.saturating_add(limit);
        if is_by_time && found.len() >= wanted && wanted > 0 {
            sort(found, order);
            let last = found[wanted - 1].0.at;
            let is_behind = if order.is_descending() { day.range.1 < last } else { day.range.0 > last };
            if is_behind {
                break;
            }
        }
        let index = day.index;
        found.extend(day.search.first(wanted)?.into_iter().map(|(place, doc)| (place, Source::Day(index, doc))));
    }
    sort(found, order);
    Ok((std::mem::take(found), offset))
}

fn sort(found: &mut [(Place, Source)], order: Order) {
    match order.is_descending() {
        true => found.sort_unstable_by_key(|it| Reverse(*it)),
        false => found.sort_unstable(),
    }
}

fn failed(error: TantivyError) -> ObserveError {
    ObserveError::Index(error.to_string())
}

/// Does what blocks away from the async threads.
async fn away<T: Send + 'static>(
    metrics: Arc<Metrics>,
    work: impl FnOnce() -> Result<T, ObserveError> + Send + 'static,
) -> Result<T, ObserveError> {
    let done = tokio::task::spawn_blocking(move || {
        let done = metrics.index.search.time(work);
        process::tidy_memory_of_thread();
        done
    })
    .await;
    done.unwrap_or_else(|error| Err(ObserveError::Index(error.to_string())))
}
