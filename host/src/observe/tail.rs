//! What came in and is not in an index yet, in memory.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use super::{
    day::DayKey,
    filter::Filter,
    record::{Record, RecordKind},
    weight,
};
use crate::types::{id::Millis, log::LogRecord, span::Span};

/// What came in together.
#[derive(Debug, Clone)]
pub(super) enum Arrived {
    Log(Arc<LogRecord>),
    /// Not empty.
    Spans(Arc<[Arc<Span>]>),
}

/// What came in, with its place.
#[derive(Debug, Clone)]
pub(super) struct Arrival {
    /// Its position in the write-ahead log.
    pub(super) seq: u64,
    /// The index it belongs to.
    pub(super) key: DayKey,
    pub(super) what: Arrived,
    /// About how many bytes of memory it takes.
    weight: usize,
}

impl Arrival {
    pub(super) fn new(seq: u64, key: DayKey, what: Arrived) -> Self {
        Self { seq, key, weight: what.weight(), what }
    }
}

impl Arrived {
    /// Returns how many records it is.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Log(_) => 1,
            Self::Spans(spans) => spans.len(),
        }
    }

    /// Returns about how many bytes of memory it takes.
    fn weight(&self) -> usize {
        match self {
            Self::Log(log) => weight::log(log),
            Self::Spans(spans) => weight::spans(spans.iter().map(|span| &**span)),
        }
    }

    /// Returns its kind, and the time its day is known by.
    pub(super) fn dated(&self) -> (RecordKind, Millis) {
        match self {
            Self::Log(log) => (RecordKind::Logs, log.time),
            Self::Spans(spans) => {
                (RecordKind::Spans, spans.first().map_or(Millis::default(), |first| first.started_at))
            }
        }
    }
}

/// What is not in an index yet, oldest first.
#[derive(Debug, Default)]
pub(super) struct Tail {
    arrivals: VecDeque<Arrival>,
    records: usize,
    weight: usize,
}

impl Tail {
    /// Adds what came in.
    pub(super) fn push(&mut self, arrival: Arrival) {
        self.records += arrival.what.len();
        self.weight += arrival.weight;
        self.arrivals.push_back(arrival);
    }

    /// Moves everything to later positions: the first ones turned out to be taken.
    pub(super) fn shift(&mut self, by: u64) {
        self.arrivals.iter_mut().for_each(|arrival| arrival.seq += by);
    }

    /// Forgets everything up to a position: it is found in an index.
    pub(super) fn forget(&mut self, seq: u64) {
        while let Some(first) = self.arrivals.front()
            && first.seq <= seq
        {
            self.records -= first.what.len();
            self.weight -= first.weight;
            self.arrivals.pop_front();
        }
        if self.arrivals.is_empty() && self.arrivals.capacity() > 1024 {
            self.arrivals = VecDeque::new();
        }
    }

    /// Returns the position of what came in last.
    pub(super) fn last(&self) -> Option<u64> {
        self.arrivals.back().map(|last| last.seq)
    }

    /// Returns how many records there are.
    pub(super) fn len(&self) -> usize {
        self.records
    }

    /// Returns about how many bytes of memory they take.
    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    /// Returns everything, oldest first.
    pub(super) fn arrivals(&self) -> impl Iterator<Item = &Arrival> {
        self.arrivals.iter()
    }

    /// Returns the log records that meet a condition and are in no index, and their positions; none if only
    /// an index can tell what meets it.
    pub(super) fn logs(&self, filter: &Filter, is_indexed: impl Fn(&Arrival) -> bool) -> Vec<(u64, Arc<LogRecord>)> {
        let mut found = Vec::new();
        if filter.needs_index() {
            return found;
        }
        for arrival in &self.arrivals {
            if let Arrived::Log(log) = &arrival.what
                && !is_indexed(arrival)
                && filter.matches(Record::Log(log))
            {
                found.push((arrival.seq, Arc::clone(log)));
            }
        }
        found
    }

    /// Returns the spans that meet a condition and are in no index, and their positions; none if only an
    /// index can tell what meets it.
    pub(super) fn spans(&self, filter: &Filter, is_indexed: impl Fn(&Arrival) -> bool) -> Vec<(u64, Arc<Span>)> {
        let mut found = Vec::new();
        if filter.needs_index() {
            return found;
        }
        for arrival in &self.arrivals {
            if let Arrived::Spans(spans) = &arrival.what
                && !is_indexed(arrival)
            {
                let met = spans.iter().filter(|span| filter.matches(Record::Span(span)));
                found.extend(met.map(|span| (arrival.seq, Arc::clone(span))));
            }
        }
        found
    }

    /// Returns the ids of all spans there are.
    pub(super) fn span_ids(&self) -> BTreeSet<&str> {
        let spans = self.arrivals.iter().flat_map(|arrival| match &arrival.what {
            Arrived::Spans(spans) => &**spans,
            Arrived::Log(_) => &[],
        });
        spans.map(|span| span.span_id.as_str()).collect()
    }
}
