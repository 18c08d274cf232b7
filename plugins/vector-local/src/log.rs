//! The log of an index: what was done to it, in order, each record whole or not there at all.
//!
//! A record is `length u32 | CRC-32 u32 | payload`, padded to 8 bytes, so that the vectors in it can be
//! read where they lie. Its payload is a batch of entries put or of ids deleted, and a batch is one
//! record: it is kept as a whole. Numbers are little-endian.
//!
//! Any number of processes may have a log open, two generations of this plugin in one process
//! among them: writers take turns by the index's lock, readers see what is complete.

use std::{
    fs::{File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use crate::mapped::Mapping;

/// What a log begins with: the name of the format and its version.
const MAGIC: [u8; 8] = *b"HBVLOG\0\x01";
/// Where the first record is.
pub(crate) const START: u64 = 8;
/// Length and checksum.
const HEADER: usize = 8;

const NOTHING: u32 = 0;
const PUT: u32 = 1;
const DELETE: u32 = 2;

/// An entry to put.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Put<'a> {
    pub(crate) id: &'a str,
    pub(crate) vector: &'a [f32],
    /// A JSON object.
    pub(crate) metadata: &'a [u8],
}

/// A record that was read: where its parts are in the log.
pub(crate) enum Record {
    Put(Vec<PutAt>),
    Delete(Vec<Span>),
    Nothing,
}

/// Where an entry is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PutAt {
    pub(crate) vector: u64,
    pub(crate) id: Span,
    pub(crate) metadata: Span,
}

/// Bytes of a log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) at: u64,
    pub(crate) length: u32,
}

/// A log that is open.
pub(crate) struct Log {
    file: File,
    path: PathBuf,
    /// How far it is on the disk, whatever happens. Held while it is written there, so that those who
    /// wait for the same find it done.
    synced: Mutex<u64>,
    /// How far it is written.
    written: AtomicU64,
    /// The disk has refused once; what it holds since then is not known.
    has_failed: AtomicBool,
}

impl Log {
    /// Makes a log without records, which is on the disk but not yet under its name in the directory.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        file.write_all_at(&MAGIC, 0)?;
        file.sync_all()?;
        Ok(Self::of(file, path))
    }

    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let mut magic = [0; MAGIC.len()];
        file.read_exact_at(&mut magic, 0)?;
        if magic != MAGIC {
            let message = format!("{} is no log of this version", path.display());
            return Err(io::Error::new(ErrorKind::InvalidData, message));
        }
        Ok(Self::of(file, path))
    }

    fn of(file: File, path: &Path) -> Self {
        Self {
            file,
            path: path.to_owned(),
            synced: Mutex::new(0),
            written: AtomicU64::new(0),
            has_failed: AtomicBool::new(false),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns its length, or `None` if it was replaced or deleted.
    pub(crate) fn length(&self) -> io::Result<Option<u64>> {
        let metadata = self.file.metadata()?;
        Ok((metadata.nlink() > 0).then_some(metadata.len()))
    }

    /// Maps it, unless the mapping there is has room for this length.
    pub(crate) fn map(&self, length: u64) -> io::Result<Mapping> {
        Mapping::new(&self.file, length)
    }

    /// Writes a record at `end`, which is the end of the last complete one, and returns its own end. Needs the
    /// lock of the index. It is on the disk after [`Log::sync`].
    pub(crate) fn append(&self, end: u64, record: &[u8]) -> io::Result<u64> {
        if self.has_failed.load(Ordering::Acquire) {
            return Err(io::Error::other("the disk has failed before; reload the plugin once it is well"));
        }
        // What is there of a record that does not fit on the disk is skipped by the next one.
        self.file.write_all_at(record, end)?;
        let end = end + record.len() as u64;
        self.written.fetch_max(end, Ordering::AcqRel);
        Ok(end)
    }

    /// Returns when everything up to `end` is on the disk. Those who wait at once share one write.
    pub(crate) fn sync(&self, end: u64) -> io::Result<()> {
        let mut synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        if *synced >= end {
            return Ok(());
        }
        let written = self.written.load(Ordering::Acquire);
        if let Err(error) = self.file.sync_data() {
            self.has_failed.store(true, Ordering::Release);
            return Err(error);
        }
        *synced = written;
        Ok(())
    }

    /// Makes what is behind the last complete record into one that says nothing, and returns its end. A process
    /// that ended while it wrote has left it; what it was is kept beside the log. Needs the lock of the index.
    ///
    /// The log is not made shorter: somebody may be looking at what is there.
    pub(crate) fn skip(&self, end: u64, length: u64) -> io::Result<u64> {
        let mut rest = vec![0; usize::try_from(length - end).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut rest, end)?;
        std::fs::write(self.path.with_extension("torn"), &rest)?;
        let mut record = begin(NOTHING, 0, rest.len())?;
        record.resize(rest.len().max(record.len()), 0);
        self.append(end, &finish(record)?)
    }

    /// Copies records of another log to the end of this one.
    pub(crate) fn copy(&self, end: u64, from: &Self, range: std::ops::Range<u64>) -> io::Result<u64> {
        let mut bytes = vec![0; usize::try_from(range.end - range.start).map_err(io::Error::other)?];
        from.file.read_exact_at(&mut bytes, range.start)?;
        self.append(end, &bytes)
    }
}

/// Writes the record that puts entries.
pub(crate) fn put(entries: &[Put<'_>]) -> io::Result<Vec<u8>> {
    let size: usize =
        entries.iter().map(|entry| entry.vector.len() * 4 + 8 + entry.id.len() + entry.metadata.len()).sum();
    let mut record = begin(PUT, entries.len(), size)?;
    for entry in entries {
        for value in entry.vector {
            record.extend_from_slice(&value.to_le_bytes());
        }
    }
    for entry in entries {
        record.extend_from_slice(&length_of(entry.id.as_bytes())?.to_le_bytes());
        record.extend_from_slice(&length_of(entry.metadata)?.to_le_bytes());
        record.extend_from_slice(entry.id.as_bytes());
        record.extend_from_slice(entry.metadata);
    }
    finish(record)
}

/// Writes the record that deletes entries.
pub(crate) fn delete<'a>(ids: impl ExactSizeIterator<Item = &'a str>) -> io::Result<Vec<u8>> {
    let mut record = begin(DELETE, ids.len(), ids.len() * 40)?;
    for id in ids {
        record.extend_from_slice(&length_of(id.as_bytes())?.to_le_bytes());
        record.extend_from_slice(id.as_bytes());
    }
    finish(record)
}

fn length_of(bytes: &[u8]) -> io::Result<u32> {
    u32::try_from(bytes.len()).map_err(|_| too_large())
}

fn too_large() -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, "a batch must be smaller than 4 GiB")
}

fn begin(kind: u32, count: usize, size: usize) -> io::Result<Vec<u8>> {
    let mut record = Vec::with_capacity(HEADER + 16 + size);
    record.extend_from_slice(&[0; HEADER]);
    record.extend_from_slice(&kind.to_le_bytes());
    record.extend_from_slice(&u32::try_from(count).map_err(|_| too_large())?.to_le_bytes());
    Ok(record)
}

fn finish(mut record: Vec<u8>) -> io::Result<Vec<u8>> {
    record.resize(record.len().next_multiple_of(8), 0);
    let length = u32::try_from(record.len() - HEADER).map_err(|_| too_large())?;
    let checksum = crc32fast::hash(&record[HEADER..]);
    record[..4].copy_from_slice(&length.to_le_bytes());
    record[4..8].copy_from_slice(&checksum.to_le_bytes());
    Ok(record)
}

/// Reads the record at `at` of a log of this length and returns it with its end; `None` if it is not complete.
pub(crate) fn read(bytes: &Mapping, at: u64, length: u64, dimension: usize) -> Option<(Record, u64)> {
    let left = usize::try_from(length.checked_sub(at)?).ok()?;
    if left < HEADER {
        return None;
    }
    let mut header = Reader { bytes: bytes.bytes(at, HEADER), at };
    let (size, checksum) = (header.u32()? as usize, header.u32()?);
    if size < 8 || size > left - HEADER {
        return None;
    }
    let start = at + HEADER as u64;
    let payload = bytes.bytes(start, size);
    if crc32fast::hash(payload) != checksum {
        return None;
    }
    let mut reader = Reader { bytes: payload, at: start };
    let (kind, count) = (reader.u32()?, reader.u32()? as usize);
    let record = match kind {
        PUT => {
            let vectors = reader.at;
            let row = dimension * 4;
            reader.skip(count.checked_mul(row)?)?;
            let mut puts = Vec::with_capacity(count);
            for index in 0..count {
                let (id, metadata) = (reader.u32()?, reader.u32()?);
                let vector = vectors + (index * row) as u64;
                puts.push(PutAt { vector, id: reader.span(id)?, metadata: reader.span(metadata)? });
            }
            Record::Put(puts)
        }
        DELETE => {
            let mut ids = Vec::with_capacity(count.min(size));
            for _ in 0..count {
                let length = reader.u32()?;
                ids.push(reader.span(length)?);
            }
            Record::Delete(ids)
        }
        NOTHING => Record::Nothing,
        _ => return None,
    };
    Some((record, start + size as u64))
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: u64,
}

impl Reader<'_> {
    fn u32(&mut self) -> Option<u32> {
        let (number, rest) = self.bytes.split_first_chunk()?;
        self.bytes = rest;
        self.at += 4;
        Some(u32::from_le_bytes(*number))
    }

    fn skip(&mut self, length: usize) -> Option<()> {
        self.bytes = self.bytes.get(length..)?;
        self.at += length as u64;
        Some(())
    }

    fn span(&mut self, length: u32) -> Option<Span> {
        let span = Span { at: self.at, length };
        self.skip(length as usize)?;
        Some(span)
    }
}
