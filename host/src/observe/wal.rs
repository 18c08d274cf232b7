//! The write-ahead log: what came in and is not in an index yet.
//!
//! `mrecordlog` keeps the records and finds a torn end. It hands what it writes to the
//! operating system and no further, so files are synced here.

use std::{
    borrow::Cow,
    collections::HashMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use mrecordlog::{MultiRecordLog, error::ReadRecordError};

use jiff::civil::Date;

use super::{day::DayKey, record::RecordKind};
use crate::types::id::Millis;

/// The one queue.
const QUEUE: &str = "records";
/// A file shorter than this was made and never written: there is nothing in it, and it cannot be read.
const BLOCK: u64 = 32_768;

/// Whether an error says that a file is not what it was. Others pass: a disk that is full, files
/// that may not be opened, too many that are open.
fn is_damage(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput)
}

/// One record of the log.
pub(super) struct Entry {
    pub(super) seq: u64,
    /// The index it belongs to.
    pub(super) key: DayKey,
    pub(super) body: Vec<u8>,
}

/// What stands in the log, by position.
pub(super) type Bodies<'a> = HashMap<u64, Cow<'a, [u8]>>;

/// What stands before a body: the kind, and the day as year, month and day.
const HEAD: usize = 5;

fn head((kind, date): DayKey) -> [u8; HEAD] {
    let [year_low, year_high] = date.year().to_le_bytes();
    let kind = match kind {
        RecordKind::Logs => 0,
        RecordKind::Spans => 1,
    };
    [kind, year_low, year_high, date.month().unsigned_abs(), date.day().unsigned_abs()]
}

fn key_of(head: [u8; HEAD]) -> Option<DayKey> {
    let [kind, year_low, year_high, month, day] = head;
    let kind = *RecordKind::ALL.get(usize::from(kind))?;
    let year = i16::from_le_bytes([year_low, year_high]);
    Some((kind, Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?))
}

/// Returns what stands behind the head.
fn body_of(payload: Cow<'_, [u8]>) -> Option<Cow<'_, [u8]>> {
    Some(match payload {
        Cow::Borrowed(payload) => Cow::Borrowed(payload.get(HEAD..)?),
        Cow::Owned(payload) => Cow::Owned(payload.get(HEAD..)?.to_vec()),
    })
}

/// The write-ahead log.
pub(super) struct Wal {
    directory: PathBuf,
    log: MultiRecordLog,
    /// The newest file, and the bytes all files took when it was.
    newest: Option<(usize, File)>,
    /// The last position there is.
    last: Option<u64>,
}

impl Wal {
    /// Opens the log and returns what is in it. One that is damaged is set aside.
    pub(super) async fn open(directory: &Path) -> io::Result<(Self, Vec<Entry>)> {
        fs::create_dir_all(directory)?;
        remove_unwritten(directory)?;
        let log = match MultiRecordLog::open(directory).await {
            Ok(log) => log,
            Err(ReadRecordError::IoError(error)) if !is_damage(error.kind()) => return Err(error),
            Err(error) => {
                let aside = directory.with_file_name(format!("wal.damaged-{}", Millis::now().0));
                fs::rename(directory, &aside)?;
                tracing::error!(
                    %error,
                    aside = %aside.display(),
                    "the write-ahead log of logs and traces cannot be read and is set aside; \
                     the last seconds before the host stopped may be missing",
                );
                fs::create_dir_all(directory)?;
                MultiRecordLog::open(directory).await.map_err(io::Error::other)?
            }
        };
        let mut wal = Self { directory: directory.to_owned(), log, newest: None, last: None };
        if !wal.log.queue_exists(QUEUE) {
            wal.log.create_queue(QUEUE).await.map_err(io::Error::other)?;
        }
        let entries = wal.entries();
        wal.last = entries.last().map(|entry| entry.seq);
        Ok((wal, entries))
    }

    fn entries(&self) -> Vec<Entry> {
        let Ok(records) = self.log.range(QUEUE, ..) else { return Vec::new() };
        let entry = |(seq, payload): (u64, Cow<'_, [u8]>)| {
            let (head, body) = payload.split_first_chunk()?;
            Some(Entry { seq, key: key_of(*head)?, body: body.to_vec() })
        };
        records.filter_map(entry).collect()
    }

    /// Returns what stands at these positions, the last among them.
    pub(super) fn bodies(&self, first: u64, last: u64) -> Bodies<'_> {
        let Ok(records) = self.log.range(QUEUE, first..=last) else { return Bodies::new() };
        records.filter_map(|(seq, payload)| Some((seq, body_of(payload)?))).collect()
    }

    /// Appends entries, whose positions follow each other; those that are there already are left
    /// out. They are on the disk when this returns.
    pub(super) async fn append(&mut self, entries: &[Entry]) -> io::Result<()> {
        let known = entries.partition_point(|entry| self.last.is_some_and(|last| entry.seq <= last));
        let entries = &entries[known..];
        if let (Some(first), Some(last)) = (entries.first(), entries.last()) {
            let heads: Vec<_> = entries.iter().map(|entry| head(entry.key)).collect();
            let payloads = heads.iter().zip(entries).map(|(head, entry)| bytes::Buf::chain(&head[..], &*entry.body));
            self.log.append_records(QUEUE, Some(first.seq), payloads).await.map_err(io::Error::other)?;
            self.last = Some(last.seq);
        }
        self.log.sync().await?;
        self.sync()
    }

    /// Forgets everything up to a position.
    pub(super) async fn truncate(&mut self, seq: u64) -> io::Result<()> {
        self.log.truncate(QUEUE, seq).await.map_err(io::Error::other)?;
        Ok(())
    }

    /// Returns how many bytes it takes on the disk.
    pub(super) fn bytes(&self) -> u64 {
        self.log.on_disk_size() as u64
    }

    /// Writes the newest file through to the disk; one before it, when there is a newer one.
    fn sync(&mut self) -> io::Result<()> {
        let size = self.log.on_disk_size();
        if let Some((before, file)) = &self.newest {
            file.sync_data()?;
            if *before == size {
                return Ok(());
            }
        }
        let Some(path) = newest(&self.directory)? else { return Ok(()) };
        let file = File::open(path)?;
        file.sync_data()?;
        // Its name as well.
        File::open(&self.directory)?.sync_data()?;
        self.newest = Some((size, file));
        Ok(())
    }
}

/// Returns the newest file of a log: names are numbers of one length.
fn newest(directory: &Path) -> io::Result<Option<PathBuf>> {
    Ok(files(directory)?.into_iter().max())
}

fn files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("wal-")) {
            files.push(path);
        }
    }
    Ok(files)
}

fn remove_unwritten(directory: &Path) -> io::Result<()> {
    if let Some(newest) = newest(directory)?
        && fs::metadata(&newest)?.len() < BLOCK
    {
        fs::remove_file(newest)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bodies_are_found_by_their_positions() {
        let directory = tempfile::TempDir::new().unwrap();
        let (mut wal, _) = Wal::open(directory.path()).await.unwrap();
        let key = (RecordKind::Logs, Date::constant(2026, 1, 2));
        // Some are so long that they do not lie in one piece.
        let body = |seq: u64| seq.to_string().repeat(1 + 9_000 * usize::from(seq.is_multiple_of(3))).into_bytes();
        let entries: Vec<Entry> = (0..200).map(|seq| Entry { seq, key, body: body(seq) }).collect();
        wal.append(&entries).await.unwrap();
        wal.truncate(20).await.unwrap();
        let bodies = wal.bodies(10, 150);
        let mut positions: Vec<u64> = bodies.keys().copied().collect();
        positions.sort_unstable();
        assert_eq!(positions, (21..=150).collect::<Vec<_>>());
        assert!(bodies.iter().all(|(seq, found)| **found == body(*seq)));
    }

    #[test]
    fn only_what_says_that_a_file_is_another_sets_the_log_aside() {
        use io::ErrorKind::{InvalidData, NotFound, PermissionDenied, ReadOnlyFilesystem, StorageFull, UnexpectedEof};
        assert!([UnexpectedEof, InvalidData].into_iter().all(is_damage));
        let too_many_files = io::Error::from_raw_os_error(libc::EMFILE).kind();
        let passing = [NotFound, PermissionDenied, ReadOnlyFilesystem, StorageFull, too_many_files];
        assert!(!passing.into_iter().any(is_damage));
    }
}
