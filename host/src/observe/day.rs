//! The index of one kind of record and one day (UTC): a directory, read by many, written by one.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Instant,
};

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use tantivy::{
    Index, IndexReader, IndexSettings, IndexWriter, ReloadPolicy, Searcher, Segment, SegmentMeta, TantivyDocument,
    TantivyError,
    directory::{MmapDirectory, RamDirectory},
    indexer::{AddOperation, IndexWriterOptions, LogMergePolicy, NoMergePolicy, SegmentWriter},
    query::Query,
};

use super::{
    record::RecordKind,
    schema::{fields, tokenizers},
};
use crate::types::id::Millis;

/// What a segment may take in memory before it is written.
const SEGMENT: usize = 16 << 20;
/// What a segment takes to begin with: a table of terms, which grows if there are many records.
/// The threads of an [`IndexWriter`] begin with 8 MB whatever comes, so they are not used.
const FIRST: usize = 512 << 10;

/// Names an index.
pub(super) type DayKey = (RecordKind, Date);

/// An index of one day.
pub(super) struct Day {
    path: PathBuf,
    index: Index,
    reader: IndexReader,
    /// Has segments merged and committed.
    writer: Option<IndexWriter>,
    /// The last position of the write-ahead log it holds everything up to.
    committed: Option<u64>,
    /// When something was added last.
    used: Instant,
}

/// A segment in memory.
struct Building {
    writer: SegmentWriter,
    segment: Segment,
}

impl Building {
    fn new(index: &Index) -> Result<Self, TantivyError> {
        let segment = index.new_segment();
        Ok(Self { writer: SegmentWriter::for_segment(FIRST, segment.clone())?, segment })
    }

    /// Writes it.
    fn finish(self, index: &Index) -> Result<SegmentMeta, TantivyError> {
        let documents = self.writer.max_doc();
        self.writer.finalize()?;
        let written = index.new_segment_meta(self.segment.id(), documents);
        written.untrack_temp_docstore();
        Ok(written)
    }
}

/// Makes an index that is in memory alone, of one segment, and returns what reads it.
pub(super) fn in_memory(documents: impl Iterator<Item = TantivyDocument>) -> Result<Searcher, TantivyError> {
    let index = Index::builder().schema(fields().schema.clone()).settings(settings()).tokenizers(tokenizers());
    let mut writer = index.single_segment_index_writer(RamDirectory::create(), FIRST)?;
    for document in documents {
        writer.add_document(document)?;
    }
    let reader = writer.finalize()?.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
    Ok(IndexReader::searcher(&reader))
}

fn settings() -> IndexSettings {
    // A thread a segment is too many for segments of some records.
    IndexSettings { docstore_compress_dedicated_thread: false, ..IndexSettings::default() }
}

/// Returns the day a time is in.
pub(super) fn date_of(time: Millis) -> Date {
    // Times no calendar has are on its first day or its last.
    let clamped = time.0.clamp(Timestamp::MIN.as_millisecond() + 1, Timestamp::MAX.as_millisecond() - 1);
    let timestamp = Timestamp::from_millisecond(clamped).unwrap_or_default();
    TimeZone::UTC.to_datetime(timestamp).date()
}

fn path_of(root: &Path, (kind, date): DayKey) -> PathBuf {
    root.join(kind.as_str()).join(date.to_string())
}

/// Puts an index where it is not looked for, so that there can be another one of its day.
pub(super) fn set_aside(root: &Path, key: DayKey, reason: &str) -> io::Result<()> {
    let (kind, date) = (key.0.as_str(), key.1);
    let aside = root.join(format!("{kind}-{date}.damaged-{}", Millis::now().0));
    fs::rename(path_of(root, key), &aside)?;
    let aside = aside.display();
    tracing::error!(reason, %aside, "an index of {kind} is set aside; what is in it is not found any more");
    Ok(())
}

impl Day {
    /// Opens the index of a day in `root`, or makes it. One that cannot be read is set aside.
    pub(super) fn open(root: &Path, (kind, date): DayKey) -> Result<Self, TantivyError> {
        let path = path_of(root, (kind, date));
        match Self::try_open(&path) {
            Ok(day) => Ok(day),
            Err(TantivyError::LockFailure(error, message)) => Err(TantivyError::LockFailure(error, message)),
            Err(TantivyError::IoError(error)) => Err(TantivyError::IoError(error)),
            Err(error) => {
                set_aside(root, (kind, date), &error.to_string())?;
                Self::try_open(&path)
            }
        }
    }

    fn try_open(path: &Path) -> Result<Self, TantivyError> {
        fs::create_dir_all(path)?;
        let directory = MmapDirectory::open(path)?;
        let mut index = if Index::exists(&directory)? {
            Index::open(directory)?
        } else {
            if fs::read_dir(path)?.next().is_some() && path.join(".managed.json").exists() {
                // It died while it was made; there is nothing in it.
                fs::remove_dir_all(path)?;
                fs::create_dir_all(path)?;
            }
            Index::create(MmapDirectory::open(path)?, fields().schema.clone(), settings())?
        };
        if index.schema() != fields().schema {
            return Err(TantivyError::SchemaError("it was written by another version".to_owned()));
        }
        index.set_tokenizers(tokenizers());
        let committed = index.load_metas()?.payload.and_then(|payload| payload.parse().ok());
        // Opened with every segment, so damage shows here and not in an answer.
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        Ok(Self { path: path.to_owned(), index, reader, writer: None, committed, used: Instant::now() })
    }

    /// Returns the position up to which it holds everything.
    pub(super) fn committed(&self) -> Option<u64> {
        self.committed
    }

    /// Returns how long nothing was added.
    pub(super) fn idle(&self) -> std::time::Duration {
        self.used.elapsed()
    }

    /// Adds documents and makes them found; it then holds everything up to `seq`. Those that come
    /// together lie in one segment, in a row. Returns whether there were any. After an error it is
    /// to be opened anew: what was added may be lost.
    pub(super) fn write(
        &mut self,
        documents: impl Iterator<Item = Vec<TantivyDocument>>,
        seq: u64,
    ) -> Result<bool, TantivyError> {
        self.used = Instant::now();
        // Its lock says that nobody else writes here.
        self.writer()?;
        let mut built = Vec::new();
        let mut building = None;
        for together in documents.filter(|together| !together.is_empty()) {
            let mut segment = building.take().map_or_else(|| Building::new(&self.index), Ok)?;
            for document in together {
                segment.writer.add_document(AddOperation { opstamp: 0, document })?;
            }
            if segment.writer.mem_usage() < SEGMENT {
                building = Some(segment);
            } else {
                built.push(segment.finish(&self.index)?);
            }
        }
        if let Some(segment) = building {
            built.push(segment.finish(&self.index)?);
        }
        if built.is_empty() {
            return Ok(false);
        }
        let writer = self.writer()?;
        built.into_iter().try_for_each(|segment| writer.add_segment(segment))?;
        let mut commit = writer.prepare_commit()?;
        commit.set_payload(&seq.to_string());
        commit.commit()?;
        self.reader.reload()?;
        self.committed = Some(seq);
        Ok(true)
    }

    fn writer(&mut self) -> Result<&mut IndexWriter, TantivyError> {
        if self.writer.is_none() {
            let options = IndexWriterOptions::builder().num_worker_threads(1).num_merge_threads(1).build();
            let writer: IndexWriter = self.index.writer_with_options(options)?;
            writer.set_merge_policy(Box::new(LogMergePolicy::default()));
            self.writer = Some(writer);
        }
        self.writer.as_mut().ok_or_else(|| TantivyError::InternalError("there is no writer".to_owned()))
    }

    /// Takes out what a query finds of what is committed.
    pub(super) fn erase(&mut self, query: Box<dyn Query>) -> Result<(), TantivyError> {
        let committed = self.committed;
        let writer = self.writer()?;
        writer.delete_query(query)?;
        let mut commit = writer.prepare_commit()?;
        if let Some(seq) = committed {
            commit.set_payload(&seq.to_string());
        }
        commit.commit()?;
        self.reader.reload()
    }

    /// Lets go of what only a writer needs.
    pub(super) fn rest(&mut self) {
        self.writer = None;
    }

    /// Makes one segment of a day that is over.
    pub(super) fn merge(&mut self) -> Result<(), TantivyError> {
        let segments = self.index.searchable_segment_ids()?;
        if segments.len() < 2 {
            return Ok(());
        }
        let committed = self.committed;
        let writer = self.writer()?;
        writer.set_merge_policy(Box::new(NoMergePolicy));
        writer.merge(&segments).wait()?;
        // A merge keeps no payload, so the position is said again.
        if let Some(seq) = committed {
            let mut commit = writer.prepare_commit()?;
            commit.set_payload(&seq.to_string());
            commit.commit()?;
        }
        writer.garbage_collect_files().wait()?;
        self.reader.reload()?;
        self.writer = None;
        Ok(())
    }

    /// Returns how many segments it has.
    pub(super) fn segments(&self) -> usize {
        self.reader.searcher().segment_readers().len()
    }

    /// Returns what reads it as it is committed now.
    pub(super) fn searcher(&self) -> Searcher {
        self.reader.searcher()
    }

    /// Returns how many bytes it takes on the disk.
    pub(super) fn bytes(&self) -> u64 {
        size(&self.path).unwrap_or(0)
    }

    /// Removes it. Those who read it go on.
    pub(super) fn remove(self) -> io::Result<()> {
        let path = self.path.clone();
        drop(self);
        fs::remove_dir_all(path)
    }
}

fn size(directory: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        bytes += entry?.metadata().map_or(0, |facts| facts.len());
    }
    Ok(bytes)
}
