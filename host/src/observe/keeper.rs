//! Files of logs and traces: the write-ahead log and an index for each day, in one directory.
//!
//! Everything here blocks; `writer` calls it away from the async threads, one call at a time.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::{ToSpan, civil::Date};
use tantivy::{Searcher, TantivyDocument, TantivyError, query::Query};
use tokio::runtime::Handle;

use super::{
    day::{Day, DayKey, date_of, set_aside},
    erase::{Erased, erase},
    record::{Record, RecordKind},
    schema::fields,
    tail::{Arrival, Arrived},
    wal::{Bodies, Entry, Wal},
};
use crate::{
    config::RecordSettings,
    types::{id::Millis, log::LogRecord, span::Span},
};

/// A day nothing was added to for so long needs no writer.
const REST: Duration = Duration::from_secs(20);
/// An index that cannot be committed so often is set aside.
const TRIES: u32 = 5;

/// What is read of an index: as it was committed, and up to where that is.
#[derive(Clone)]
pub(super) struct Committed {
    pub(super) searcher: Searcher,
    pub(super) seq: Option<u64>,
}

/// The files.
pub(super) struct Keeper {
    root: PathBuf,
    days: BTreeMap<DayKey, Day>,
    failures: BTreeMap<DayKey, u32>,
    /// Absent while it cannot be used.
    wal: Option<Wal>,
    retention: Retention,
    runtime: Handle,
}

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Retention {
    pub(super) days: i64,
    pub(super) bytes: u64,
}

impl Retention {
    pub(super) fn new(settings: &RecordSettings) -> Self {
        Self { days: i64::try_from(settings.days).unwrap_or(i64::MAX), bytes: settings.bytes }
    }

    /// Returns the oldest day that is kept.
    fn oldest(self) -> Date {
        date_of(Millis::now()).saturating_sub(self.days.days())
    }

    /// Returns the index what arrived belongs to. Times beyond what is kept are not given indexes
    /// of their own, for there would be no end of them.
    pub(super) fn key(self, arrived: &Arrived) -> DayKey {
        let (kind, time) = arrived.dated();
        let newest = date_of(Millis::now()).saturating_add(1.day());
        (kind, date_of(time).clamp(self.oldest().min(newest), newest))
    }
}

/// What a commit changed.
pub(super) struct Commit {
    /// The indexes that were committed.
    pub(super) days: Vec<(DayKey, Committed)>,
    /// Whether everything is in an index now.
    pub(super) is_complete: bool,
}

/// What became of what was to be saved.
pub(super) enum Saved {
    /// It is on the disk.
    Yes,
    /// It is not, and was not lost: it is to be given again.
    No(String),
}

impl Keeper {
    /// Opens all there is. Returns what the write-ahead log has, and the next position.
    pub(super) fn open(root: &Path, retention: Retention) -> io::Result<(Self, Vec<Arrival>, u64)> {
        std::fs::create_dir_all(root)?;
        let runtime = Handle::current();
        let (wal, entries) = runtime.block_on(Wal::open(&root.join("wal")))?;
        let mut keeper = Self {
            root: root.to_owned(),
            days: BTreeMap::new(),
            failures: BTreeMap::new(),
            wal: Some(wal),
            retention,
            runtime,
        };
        for kind in RecordKind::ALL {
            for date in dates(&root.join(kind.as_str())) {
                keeper.day((kind, date)).map_err(io::Error::other)?;
            }
        }
        let committed = keeper.days.values().filter_map(Day::committed).max();
        let last = entries.last().map(|entry| entry.seq);
        let next = committed.max(last).map_or(0, |last| last + 1);
        let mut arrivals = Vec::with_capacity(entries.len());
        for Entry { seq, key, body } in entries {
            match read(key.0, &body) {
                Ok(what) => arrivals.push(Arrival::new(seq, key, what)),
                Err(error) => tracing::warn!(%error, seq, "a record of the write-ahead log is no record"),
            }
        }
        Ok((keeper, arrivals, next))
    }

    fn day(&mut self, key: DayKey) -> Result<&mut Day, TantivyError> {
        match self.days.entry(key) {
            std::collections::btree_map::Entry::Occupied(day) => Ok(day.into_mut()),
            std::collections::btree_map::Entry::Vacant(place) => Ok(place.insert(Day::open(&self.root, key)?)),
        }
    }

    /// Returns what can be read.
    pub(super) fn committed(&self) -> BTreeMap<DayKey, Committed> {
        self.days.iter().map(|(key, day)| (*key, committed(day))).collect()
    }

    /// Puts what arrived on the disk. What could not be saved is given again.
    pub(super) fn save(&mut self, arrivals: &[Arrival]) -> Saved {
        let entry = |arrival: &Arrival| Entry { seq: arrival.seq, key: arrival.key, body: write(&arrival.what) };
        let entries: Vec<Entry> = arrivals.iter().map(entry).collect();
        if let Err(error) = self.append(&entries) {
            // Its own state and the file's may differ now.
            self.wal = None;
            return Saved::No(error.to_string());
        }
        Saved::Yes
    }

    fn append(&mut self, entries: &[Entry]) -> io::Result<()> {
        if self.wal.is_none() {
            let (wal, _) = self.runtime.block_on(Wal::open(&self.root.join("wal")))?;
            self.wal = Some(wal);
        }
        let Some(wal) = &mut self.wal else { return Ok(()) };
        // Part of them may be there, if the last try failed half way.
        self.runtime.block_on(wal.append(entries))
    }

    /// Puts what arrived into its indexes, unless it is there. Everything up to `seq` is given, but
    /// what an earlier commit has put into all of them.
    pub(super) fn commit(&mut self, seq: u64, arrivals: &[Arrival]) -> Commit {
        let mut by_day: BTreeMap<DayKey, Vec<&Arrival>> = BTreeMap::new();
        for arrival in arrivals {
            by_day.entry(arrival.key).or_default().push(arrival);
        }
        let mut commit = Commit { days: Vec::new(), is_complete: true };
        let wal = self.wal.take();
        // What was written once need not be written again.
        let bodies = wal.as_ref().zip(arrivals.first()).map(|(wal, first)| wal.bodies(first.seq, seq));
        let bodies = bodies.unwrap_or_default();
        for (key, arrivals) in by_day {
            let committed = self.day(key).and_then(|day| guarded(|| index(day, seq, &arrivals, &bodies)));
            match committed {
                Ok(None) => {}
                Ok(Some(committed)) => {
                    self.failures.remove(&key);
                    commit.days.push((key, committed));
                }
                Err(error) => {
                    commit.is_complete = false;
                    self.fail(key, &error);
                }
            }
        }
        drop(bodies);
        self.wal = wal;
        if commit.is_complete
            && let Some(wal) = &mut self.wal
        {
            let truncated = self.runtime.block_on(wal.truncate(seq));
            if let Err(error) = truncated {
                tracing::warn!(%error, "the write-ahead log cannot be cut");
                self.wal = None;
            }
        }
        commit
    }

    /// Takes out of the indexes of a kind what a query finds. Returns those that changed, and
    /// whether all did that had to.
    pub(super) fn erase(&mut self, kind: RecordKind, query: &dyn Query) -> Erased {
        let keys: Vec<DayKey> = self.days.keys().filter(|key| key.0 == kind).copied().collect();
        let mut erased = Erased { days: Vec::new(), result: Ok(()) };
        for key in keys {
            let Some(day) = self.days.get_mut(&key) else { continue };
            match guarded(|| erase(day, query)) {
                Ok(None) => {}
                Ok(Some(committed)) => erased.days.push((key, committed)),
                Err(error) => {
                    erased.result = Err(error.to_string());
                    self.fail(key, &error);
                }
            }
        }
        erased
    }

    /// Lets go of an index that cannot be written, so that the next commit opens it anew, and puts
    /// it away if that does not help.
    fn fail(&mut self, key: DayKey, error: &TantivyError) {
        let failures = self.failures.entry(key).or_default();
        if *failures == 0 {
            tracing::error!(%error, "the index of {} of {} cannot be written", key.0.as_str(), key.1);
        }
        *failures += 1;
        self.days.remove(&key);
        if *failures >= TRIES {
            *failures = 0;
            if let Err(error) = set_aside(&self.root, key, "it cannot be written") {
                tracing::error!(%error, "an index cannot be set aside");
            }
        }
    }

    /// Removes days that are too old or too many, and tidies those that are over. Returns the
    /// names of those that are gone, and what of the others changed.
    pub(super) fn tidy(&mut self) -> (Vec<DayKey>, Vec<(DayKey, Committed)>) {
        let (today, oldest) = (date_of(Millis::now()), self.retention.oldest());
        let mut gone: Vec<DayKey> = self.days.keys().filter(|(_, date)| *date < oldest).copied().collect();
        let mut by_age: Vec<(Date, RecordKind, u64)> = self
            .days
            .iter()
            .filter(|(key, _)| !gone.contains(key))
            .map(|((kind, date), day)| (*date, *kind, day.bytes()))
            .collect();
        by_age.sort_unstable();
        let mut bytes: u64 = by_age.iter().map(|(.., bytes)| bytes).sum();
        for (date, kind, size) in by_age {
            // The day that is written stays, whatever it takes.
            if bytes <= self.retention.bytes || date >= today {
                break;
            }
            bytes -= size;
            gone.push((kind, date));
        }
        for key in &gone {
            if let Some(day) = self.days.remove(key)
                && let Err(error) = day.remove()
            {
                tracing::warn!(%error, "{} of {} cannot be removed", key.0.as_str(), key.1);
            }
        }
        let mut changed = Vec::new();
        for (key, day) in &mut self.days {
            if day.idle() > REST {
                day.rest();
            }
            // What comes late has it written, and merged, again.
            let is_over = key.1 < today && day.idle() > REST;
            if is_over && day.segments() > 1 {
                match day.merge() {
                    Ok(()) => changed.push((*key, committed(day))),
                    Err(error) => tracing::warn!(%error, "{} of {} cannot be merged", key.0.as_str(), key.1),
                }
            }
        }
        (gone, changed)
    }

    /// Returns how many bytes the write-ahead log and the indexes take.
    pub(super) fn bytes(&self) -> (u64, u64) {
        (self.wal.as_ref().map_or(0, Wal::bytes), self.days.values().map(Day::bytes).sum())
    }
}

/// Makes an error of a panic: the index is opened anew then.
fn guarded<T>(work: impl FnOnce() -> Result<T, TantivyError>) -> Result<T, TantivyError> {
    let failed = |_| Err(TantivyError::InternalError("writing the index panicked".to_owned()));
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(failed)
}

/// Puts what arrived into its index, unless it is there. Returns the index if that changed it.
fn index(
    day: &mut Day,
    seq: u64,
    arrivals: &[&Arrival],
    bodies: &Bodies<'_>,
) -> Result<Option<Committed>, TantivyError> {
    let held = day.committed();
    let missing = arrivals.iter().filter(|arrival| held.is_none_or(|held| arrival.seq > held));
    let documents = missing.map(|arrival| documents_of(arrival, bodies.get(&arrival.seq).map(|body| &**body)));
    Ok(day.write(documents, seq)?.then(|| committed(day)))
}

pub(super) fn committed(day: &Day) -> Committed {
    Committed { searcher: day.searcher(), seq: day.committed() }
}

/// Returns the days there are indexes of.
fn dates(directory: &Path) -> Vec<Date> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter_map(|name| name.parse().ok()).collect()
}

/// As [`documents`]. One record must not keep all others from the index: there are none if it panics.
pub(super) fn documents_of(arrival: &Arrival, body: Option<&[u8]>) -> Vec<TantivyDocument> {
    catch_unwind(AssertUnwindSafe(|| documents(arrival, body))).unwrap_or_else(|_| {
        tracing::error!(seq = arrival.seq, "a record cannot be put into an index and is found no longer");
        Vec::new()
    })
}

/// Returns the documents of what arrived. The body is kept with the first; it is made unless it is there.
fn documents(arrival: &Arrival, body: Option<&[u8]>) -> Vec<TantivyDocument> {
    let body = body.map_or_else(|| Cow::Owned(write(&arrival.what)), Cow::Borrowed);
    let body = &*body;
    match &arrival.what {
        Arrived::Log(log) => vec![fields().document(Record::Log(log), arrival.seq, 0, Some(body))],
        Arrived::Spans(spans) => {
            let document = |(span, place): (&Arc<Span>, u64)| {
                fields().document(Record::Span(span), arrival.seq, place, (place == 0).then_some(body))
            };
            spans.iter().zip(0..).map(document).collect()
        }
    }
}

fn write(arrived: &Arrived) -> Vec<u8> {
    let body = match arrived {
        Arrived::Log(log) => serde_json::to_vec(&**log),
        Arrived::Spans(spans) => serde_json::to_vec(&spans.iter().map(|span| &**span).collect::<Vec<_>>()),
    };
    // Every key in a record is a text, so it can be written.
    body.unwrap_or_default()
}

/// Returns what a body says.
pub(super) fn read(kind: RecordKind, body: &[u8]) -> serde_json::Result<Arrived> {
    Ok(match kind {
        RecordKind::Logs => Arrived::Log(Arc::new(serde_json::from_slice::<LogRecord>(body)?)),
        RecordKind::Spans => {
            let spans: Vec<Span> = serde_json::from_slice(body)?;
            Arrived::Spans(spans.into_iter().map(Arc::new).collect())
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::arbitrary;

    /// What records are made of.
    const WORDS: &[&str] = &[
        "log_id",
        "level",
        "info",
        "at",
        "message",
        "fields",
        "component",
        "span_id",
        "trace_id",
        "kind",
        "name",
        "agent_run",
        "started_at",
        "ended_at",
        "attributes",
        "0123456789abcdef",
    ];

    proptest! {
        /// What a log on the disk holds is read, or told to be none; it never ends the host.
        #[test]
        fn records_of_anything_are_judged(record in arbitrary::json(WORDS), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for body in [record.to_string().into_bytes(), bytes] {
                drop(read(RecordKind::Logs, &body));
                drop(read(RecordKind::Spans, &body));
            }
        }
    }
}
