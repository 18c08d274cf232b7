//! Parts of lists.

/// Which part of a list is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// How many entries come before it.
    pub offset: u64,
    /// Most entries of it.
    pub limit: u64,
}

/// A part of a list, and how long the whole list is.
#[derive(Debug, Clone)]
pub struct Listed<T> {
    /// The entries.
    pub entries: Vec<T>,
    /// How many there are in all: no fewer than those of a part and before it, if the part has any.
    pub total: u64,
}

impl<T> Listed<T> {
    /// Makes a part that begins behind `offset` entries, of a list that was counted before it was
    /// read: what came between the two is seen, so it counts.
    pub(crate) fn counted_before(total: u64, offset: u64, entries: Vec<T>) -> Self {
        let seen = if entries.is_empty() { 0 } else { offset.saturating_add(entries.len() as u64) };
        Self { total: total.max(seen), entries }
    }
}
