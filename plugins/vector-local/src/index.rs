//! One index: its directory, its rows, its graph, and what may be asked of it.
//!
//! | file | what it is |
//! |---|---|
//! | `index.json` | dimension, metric, when it was made |
//! | `lock`, `builder` | held by whoever writes, by whoever builds |
//! | `NNNNNNNN.log` | the entries; the only file that cannot be made again. A compacted one has the next number |
//! | `NNNNNNNN.graph` | the graph over that log's rows |
//!
//! Locks, in the order they are taken: `writer`, then the file `lock`, then `state`. Searches
//! take `state` alone, to read; it is written to only while rows or a graph are put in place.

use std::{
    fs::{File, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use hotbay_plugin::{
    Error, Result,
    vector_store::{
        Chosen, Entry, Filter, Hit, IndexStats, Metric, Query, Selection, Update,
        exact::{Best, Scored},
        unknown_index, wrong_dimension,
    },
};
use serde::{Deserialize, Serialize};

use crate::{
    graph::{Graph, nearness},
    log::{self, Log, Put},
    rows::{Rows, disk},
    selection::{chosen_rows, leaves_many},
};

/// How broad a search of the graph is at least.
const BREADTH: usize = 128;
/// Rows the graph does not cover yet before it is extended: they are looked at one by one.
const TAIL: usize = 2048;
/// Dead rows before a log is compacted, if they are also a third of all.
const DEAD: usize = 4096;

/// What an index was made for.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) dimension: u32,
    pub(crate) metric: Metric,
    /// Nanoseconds since 1970.
    pub(crate) created: u64,
}

/// An index that is open.
pub(crate) struct Index {
    pub(crate) name: String,
    directory: PathBuf,
    settings: Settings,
    /// From how many rows on there is a graph.
    graph_from: usize,
    /// Writers of this process take turns.
    writer: Mutex<File>,
    pub(crate) state: RwLock<State>,
    /// Whether the builder knows that there is something to do.
    pub(crate) is_queued: AtomicBool,
    /// Nobody needs it any more: the builder stops.
    pub(crate) is_closed: AtomicBool,
}

/// What searches look at.
pub(crate) struct State {
    pub(crate) rows: Rows,
    pub(crate) graph: Option<Arc<Graph>>,
    /// The number of the log.
    pub(crate) number: u32,
}

/// Why an operation did not happen.
pub(crate) enum Refusal {
    /// The index was compacted or deleted by somebody else: open it again, if it is there.
    Stale,
    Error(Error),
}

impl<E: Into<Error>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

/// The lock on an index's files, given back when it is dropped.
pub(crate) struct Held<'a>(MutexGuard<'a, File>);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // Closing the file gives it back, too.
        drop(self.0.unlock());
    }
}

impl Index {
    /// Writes the files of a new index into a directory that is there.
    pub(crate) fn create(directory: &Path, settings: Settings) -> io::Result<()> {
        File::create(directory.join("lock"))?;
        Log::create(&log_path(directory, 1))?;
        let mut file = File::create(directory.join("index.json"))?;
        serde_json::to_writer(&mut file, &settings)?;
        file.sync_all()?;
        File::open(directory)?.sync_all()
    }

    /// Reads what an index was made for; `None` if there is none.
    pub(crate) fn settings_of(directory: &Path) -> io::Result<Option<Settings>> {
        match std::fs::read(directory.join("index.json")) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens an index: reads its log, and the graph if there is one.
    pub(crate) fn open(directory: &Path, name: &str, graph_from: usize) -> Result<Self> {
        let settings =
            Self::settings_of(directory).map_err(|error| disk(&error))?.ok_or_else(|| unknown_index(name))?;
        let opened = Self::open_files(directory, settings, graph_from);
        let (lock, state) = opened.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => unknown_index(name),
            _ => disk(&error),
        })?;
        Ok(Self {
            name: name.to_owned(),
            directory: directory.to_owned(),
            settings,
            graph_from,
            writer: Mutex::new(lock),
            state: RwLock::new(state),
            is_queued: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
        })
    }

    fn open_files(directory: &Path, settings: Settings, graph_from: usize) -> io::Result<(File, State)> {
        let lock = OpenOptions::new().read(true).write(true).open(directory.join("lock"))?;
        // A log may be compacted between being found and being opened; then there is a newer one.
        let (number, log) = loop {
            let number = latest_log(directory)?;
            match Log::open(&log_path(directory, number)) {
                Ok(log) => break (number, Arc::new(log)),
                Err(error) if error.kind() == io::ErrorKind::NotFound && latest_log(directory)? != number => {}
                Err(error) => return Err(error),
            }
        };
        for former in 1..number {
            // Left by a compaction that ended half-way: the newer log has all of it.
            if let Err(error) = std::fs::remove_file(log_path(directory, former))
                && error.kind() != io::ErrorKind::NotFound
            {
                return Err(error);
            }
        }
        let rows = Rows::read(log, settings.dimension as usize, settings.metric)?;
        let graph = if rows.len() >= graph_from {
            Graph::load(&graph_path(directory, number), rows.len()).ok().map(Arc::new)
        } else {
            None
        };
        Ok((lock, State { rows, graph, number }))
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the lock on the files and reads what others have written before.
    pub(crate) fn hold(&self) -> Result<Held<'_>, Refusal> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.lock().map_err(|error| disk(&error))?;
        let held = Held(writer);
        let state = self.read()?;
        let length = state.rows.log.length().map_err(|error| disk(&error))?.ok_or(Refusal::Stale)?;
        // Whoever compacted it may have ended before it was gone.
        if log_path(&self.directory, state.number + 1).exists() {
            return Err(Refusal::Stale);
        }
        let (log, end) = (Arc::clone(&state.rows.log), state.rows.end);
        drop(state);
        if end < length {
            let end = log.skip(end, length).map_err(|error| disk(&error))?;
            self.follow(end)?;
        }
        Ok(held)
    }

    /// Returns the state with all that is written by anybody.
    fn read(&self) -> Result<RwLockReadGuard<'_, State>, Refusal> {
        let state = self.state();
        let length = state.rows.log.length().map_err(|error| disk(&error))?.ok_or(Refusal::Stale)?;
        if length <= state.rows.end {
            return Ok(state);
        }
        drop(state);
        self.follow(length)?;
        Ok(self.state())
    }

    /// Reads the log on up to a length of it.
    fn follow(&self, length: u64) -> Result<()> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.rows.follow(length).map_err(|error| disk(&error))
    }

    pub(crate) fn describe(&self) -> Result<IndexStats, Refusal> {
        let count = self.read()?.rows.live() as u64;
        Ok(IndexStats { dimension: self.settings.dimension, count, metric: self.settings.metric })
    }

    /// Puts entries and returns when they are on the disk.
    pub(crate) fn upsert(&self, entries: &[(String, Entry)]) -> Result<(), Refusal> {
        let dimension = self.settings.dimension;
        let mut metadata = Vec::with_capacity(entries.len());
        for (_, entry) in entries {
            if entry.vector.len() != dimension as usize {
                return Err(wrong_dimension(&self.name, dimension, entry.vector.len()).into());
            }
            metadata.push(serde_json::to_vec(&entry.metadata)?);
        }
        let puts = entries.iter().zip(&metadata);
        let puts: Vec<Put<'_>> =
            puts.map(|((id, entry), metadata)| Put { id, vector: &entry.vector, metadata }).collect();
        // Made before anybody waits for the lock.
        let record = log::put(&puts)?;
        let held = self.hold()?;
        self.commit(held, &record)
    }

    /// Changes entries and returns how many.
    pub(crate) fn update(&self, update: &Update) -> Result<u64, Refusal> {
        let dimension = self.settings.dimension;
        if let Some(vector) = update.vector.as_ref().filter(|vector| vector.len() != dimension as usize) {
            return Err(wrong_dimension(&self.name, dimension, vector.len()).into());
        }
        let metadata = update.metadata.as_ref().map(serde_json::to_vec).transpose()?;
        let chosen = Chosen::of(&update.selection)?;
        let held = self.hold()?;
        let state = self.state();
        let selected = chosen_rows(&chosen, &state.rows);
        let puts: Vec<Put<'_>> = selected
            .iter()
            .map(|&row| {
                let mut put = state.rows.as_put(row);
                put.vector = update.vector.as_deref().unwrap_or(put.vector);
                put.metadata = metadata.as_deref().unwrap_or(put.metadata);
                put
            })
            .collect();
        if puts.is_empty() {
            return Ok(0);
        }
        let record = log::put(&puts)?;
        drop(state);
        self.commit(held, &record)?;
        Ok(selected.len() as u64)
    }

    /// Deletes entries and returns how many.
    pub(crate) fn delete(&self, selection: &Selection) -> Result<u64, Refusal> {
        let chosen = Chosen::of(selection)?;
        let held = self.hold()?;
        let state = self.state();
        let selected = chosen_rows(&chosen, &state.rows);
        if selected.is_empty() {
            return Ok(0);
        }
        let record = log::delete(selected.iter().map(|&row| state.rows.id(row)))?;
        drop(state);
        self.commit(held, &record)?;
        Ok(selected.len() as u64)
    }

    /// Writes a record, shows what it says to everybody, and returns when it is on the disk.
    fn commit(&self, held: Held<'_>, record: &[u8]) -> Result<(), Refusal> {
        let (log, end) = {
            let state = self.state();
            (Arc::clone(&state.rows.log), state.rows.end)
        };
        let end = log.append(end, record).map_err(|error| disk(&error))?;
        self.follow(end)?;
        // The disk is waited for together with others who have written meanwhile.
        drop(held);
        log.sync(end).map_err(|error| disk(&error))?;
        Ok(())
    }

    pub(crate) fn query(&self, query: &Query) -> Result<Vec<Hit>, Refusal> {
        let dimension = self.settings.dimension;
        if query.vector.len() != dimension as usize {
            return Err(wrong_dimension(&self.name, dimension, query.vector.len()).into());
        }
        let filter = Filter::parse(&query.filter)?;
        let filter = Some(&filter).filter(|filter| !filter.is_everything());
        let state = self.read()?;
        let hits = self.nearest(&state, &query.vector, query.top_k, filter).into_iter().map(|found| {
            let rows = &state.rows;
            Ok(Hit {
                id: rows.id(found.key).to_owned(),
                score: found.score,
                metadata: rows.metadata(found.key)?,
                vector: query.include_vector.then(|| rows.vector(found.key).to_vec()),
            })
        });
        Ok(hits.collect::<Result<_>>()?)
    }

    fn nearest(&self, state: &State, vector: &[f32], top_k: usize, filter: Option<&Filter>) -> Vec<Scored<u32>> {
        let (rows, metric) = (&state.rows, self.settings.metric);
        let scale = metric.scale(vector);
        if rows.live() == 0 || scale <= 0.0 {
            return Vec::new();
        }
        let mut best = Best::of(top_k);
        let mut weigh = |row: u32| {
            let score = metric.score(vector, rows.vector(row), scale * rows.row(row).scale);
            // Metadata is read of what would be among the best, not of all.
            if let Some(score) = score.filter(|score| best.bar().is_none_or(|bar| *score > bar))
                && rows.matches(row, filter)
            {
                best.show(score, row);
            }
        };
        let graph = state.graph.as_ref().filter(|_| top_k < rows.live() / 4);
        let graph = graph.filter(|_| filter.is_none_or(|filter| leaves_many(rows, filter)));
        let covered = graph.map_or(0, |graph| {
            let near = |row: u32| nearness(metric, vector, rows.vector(row), scale * rows.row(row).scale);
            for found in graph.search((top_k * 2).max(BREADTH), near, |row| rows.matches(row, filter)) {
                weigh(found.key);
            }
            graph.len()
        });
        for row in u32::try_from(covered).unwrap_or(u32::MAX)..u32::try_from(rows.len()).unwrap_or(u32::MAX) {
            if rows.row(row).is_live {
                weigh(row);
            }
        }
        best.into_sorted()
    }

    /// Whether there is something to do for the builder.
    pub(crate) fn needs_builder(&self) -> bool {
        let state = self.state();
        self.needs_graph(&state) || needs_compaction(&state.rows)
    }

    fn needs_graph(&self, state: &State) -> bool {
        let covered = state.graph.as_ref().map_or(0, |graph| graph.len());
        let tail = state.rows.len() - covered;
        state.rows.live() >= self.graph_from && tail > if covered == 0 { 0 } else { TAIL.max(covered / 32) }
    }

    /// Takes the builders' lock: of two generations, or processes, one builds at a time.
    pub(crate) fn hold_building(&self) -> io::Result<File> {
        let file = File::create(self.directory.join("builder"))?;
        file.lock()?;
        Ok(file)
    }

    /// Extends the graph, or makes one, aside; then puts it in place. Needs the builders' lock.
    pub(crate) fn build_graph(&self) -> io::Result<()> {
        let (vectors, graph, number) = {
            let state = self.state();
            if !self.needs_graph(&state) {
                return Ok(());
            }
            (state.rows.vectors(), state.graph.clone(), state.number)
        };
        let covered = graph.as_ref().map_or(0, |graph| graph.len());
        // Somebody else may have built it meanwhile.
        let saved = Graph::load(&graph_path(&self.directory, number), vectors.len()).ok();
        let mut graph = match (saved.filter(|saved| saved.len() > covered), graph) {
            (Some(saved), _) => saved,
            (None, Some(graph)) => Graph::clone(&graph),
            (None, None) => Graph::default(),
        };
        graph.extend(&vectors, || !self.is_closed.load(Ordering::Relaxed));
        if self.is_closed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let graph = Arc::new(graph);
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if state.number != number {
            return Ok(());
        }
        state.graph = Some(Arc::clone(&graph));
        drop(state);
        graph.save(&graph_path(&self.directory, number))
    }

    /// Writes what is live into a new log and puts that in place. Others write on meanwhile; what they
    /// write is copied at the end. Needs the builders' lock.
    pub(crate) fn compact(&self) -> Result<(), Refusal> {
        let settings = self.settings;
        let path = self.directory.join("compacted.new");
        let (live, copied, number) = {
            let state = self.state();
            if !needs_compaction(&state.rows) {
                return Ok(());
            }
            (state.rows.snapshot(), state.rows.end, state.number)
        };
        let compacted = Arc::new(Log::create(&path).map_err(|error| disk(&error))?);
        let mut end = log::START;
        for puts in live.batches(256) {
            end = compacted.append(end, &log::put(&puts)?).map_err(|error| disk(&error))?;
        }
        let read = Rows::read(Arc::clone(&compacted), settings.dimension as usize, settings.metric);
        let mut rows = read.map_err(|error| disk(&error))?;
        let mut graph = None;
        if rows.len() >= self.graph_from {
            let mut made = Graph::default();
            made.extend(&rows.vectors(), || !self.is_closed.load(Ordering::Relaxed));
            graph = Some(Arc::new(made));
        }
        if self.is_closed.load(Ordering::Relaxed) {
            return Ok(());
        }
        compacted.sync(rows.end).map_err(|error| disk(&error))?;
        let held = self.hold()?;
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let former = Arc::clone(&state.rows.log);
        if state.rows.end > copied {
            let end = compacted.copy(rows.end, &former, copied..state.rows.end).map_err(|error| disk(&error))?;
            rows.follow(end).map_err(|error| disk(&error))?;
            compacted.sync(end).map_err(|error| disk(&error))?;
        }
        let next = number + 1;
        let replaced = || -> io::Result<()> {
            std::fs::rename(&path, log_path(&self.directory, next))?;
            File::open(&self.directory)?.sync_all()?;
            std::fs::remove_file(former.path())
        };
        replaced().map_err(|error| disk(&error))?;
        rows.log = Arc::new(Log::open(&log_path(&self.directory, next)).map_err(|error| disk(&error))?);
        *state = State { rows, graph: graph.clone(), number: next };
        drop(state);
        drop(held);
        // Both can be made again, or be left.
        let _gone = std::fs::remove_file(graph_path(&self.directory, number));
        if let Some(graph) = graph {
            graph.save(&graph_path(&self.directory, next)).map_err(|error| disk(&error))?;
        }
        Ok(())
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        self.is_closed.store(true, Ordering::Relaxed);
    }
}

fn needs_compaction(rows: &Rows) -> bool {
    let dead = rows.len() - rows.live();
    dead >= DEAD && dead > rows.len() / 3
}

fn log_path(directory: &Path, number: u32) -> PathBuf {
    directory.join(format!("{number:08}.log"))
}

fn graph_path(directory: &Path, number: u32) -> PathBuf {
    directory.join(format!("{number:08}.graph"))
}

/// Returns the highest number there is a log of. Between a compacted log's coming and its predecessor's
/// going there are two.
fn latest_log(directory: &Path) -> io::Result<u32> {
    let mut latest = None;
    for entry in std::fs::read_dir(directory)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".log")).and_then(|number| number.parse().ok());
        latest = latest.max(number);
    }
    latest.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "there is no log"))
}
