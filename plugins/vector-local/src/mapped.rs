//! A file's bytes in memory, read where they lie. The one place that is not checked by the compiler.

use std::{fs::File, io};

use memmap2::{Mmap, MmapOptions};

/// The smallest mapping: room to grow before there has to be another.
const SMALLEST: u64 = 1 << 20;

/// The bytes of a log, also those that are appended later.
pub(crate) struct Mapping(Mmap);

impl Mapping {
    /// Maps a file of this length, with room for as much again.
    ///
    /// What is beyond the file's end becomes readable as the file grows; until then nobody asks for it,
    /// since offsets come from records that have been read.
    #[expect(unsafe_code, reason = "mapping a file is")]
    pub(crate) fn new(file: &File, length: u64) -> io::Result<Self> {
        let room = length.saturating_mul(2).max(SMALLEST).next_power_of_two();
        let room = usize::try_from(room).map_err(io::Error::other)?;
        // SAFETY: the mapping is read only. A log is appended to and never made shorter, and what is before
        // the end of its last complete record is never changed; a log that is replaced is unlinked, which
        // leaves its bytes as they are. What is behind that end is looked at as bytes with a checksum.
        let map = unsafe { MmapOptions::new().len(room).map(file) }?;
        Ok(Self(map))
    }

    /// Whether there is room for a file of this length.
    pub(crate) fn covers(&self, length: u64) -> bool {
        length <= self.0.len() as u64
    }

    /// Returns bytes that are within the file.
    pub(crate) fn bytes(&self, at: u64, length: usize) -> &[u8] {
        let at = usize::try_from(at).expect("offsets are within the mapping");
        &self.0[at..at + length]
    }
}
