//! The last things that happened, numbered: as many as there is room for.

use std::collections::VecDeque;

/// Items with consecutive numbers, the first of which is 1. What there is no room for goes, the
/// oldest first.
#[derive(Debug)]
pub(super) struct Ring<T> {
    /// The number of the oldest item that is there.
    first: u64,
    items: VecDeque<(T, usize)>,
    bytes: usize,
    most_items: usize,
    most_bytes: usize,
}

/// What was read at a place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Read<T> {
    /// Items that were asked for and are gone.
    pub(super) missed: u64,
    /// The number of the first item below.
    pub(super) first: u64,
    /// What is there, in order.
    pub(super) items: Vec<T>,
}

impl<T: Clone> Ring<T> {
    /// Returns an empty one with room for so many items and bytes.
    pub(super) fn new(most_items: usize, most_bytes: usize) -> Self {
        Self { first: 1, items: VecDeque::new(), bytes: 0, most_items, most_bytes }
    }

    /// Adds what `make` makes of its number. An item that is too large alone is still kept.
    pub(super) fn push(&mut self, size: usize, make: impl FnOnce(u64) -> T) {
        self.items.push_back((make(self.next()), size));
        self.bytes += size;
        while self.items.len() > 1 && (self.items.len() > self.most_items || self.bytes > self.most_bytes) {
            if let Some((_, size)) = self.items.pop_front() {
                self.bytes -= size;
                self.first += 1;
            }
        }
    }

    /// Takes note of so many items that were not kept; what was before them goes as well.
    pub(super) fn skip(&mut self, count: u64) {
        self.first = self.next() + count;
        self.items = VecDeque::new();
        self.bytes = 0;
    }

    /// Returns the number the next item gets.
    pub(super) fn next(&self) -> u64 {
        self.first + self.items.len() as u64
    }

    /// Returns the number of the oldest item that is there.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// Reads up to `most` items from this number on.
    pub(super) fn read(&self, from: u64, most: usize) -> Read<T> {
        let first = from.max(self.first);
        let skipped = usize::try_from(first - self.first).unwrap_or(usize::MAX);
        let items = self.items.iter().skip(skipped).take(most).map(|(item, _)| item.clone()).collect();
        Read { missed: first - from, first, items }
    }

    /// Returns how many items and bytes there are.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.items.len(), self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All there ever was, and how much of it has to be there.
    #[derive(Default)]
    struct Model {
        sizes: Vec<usize>,
    }

    impl Model {
        /// The longest end of the list that fits; the last one in any case.
        fn first(&self, most_items: usize, most_bytes: usize) -> u64 {
            let (mut first, mut bytes) = (self.sizes.len(), 0);
            while first > 0 {
                bytes += self.sizes[first - 1];
                let count = self.sizes.len() - first + 1;
                if count > 1 && (count > most_items || bytes > most_bytes) {
                    break;
                }
                first -= 1;
            }
            first as u64 + 1
        }
    }

    #[derive(Debug, Clone)]
    enum Act {
        Push(usize),
        Read { reader: usize, most: usize },
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            3 => (0..40_usize).prop_map(Act::Push),
            1 => (0..3_usize, 0..8_usize).prop_map(|(reader, most)| Act::Read { reader, most }),
        ]
    }

    proptest! {
        #[test]
        fn readers_see_everything_in_order_or_are_told_how_much_they_missed(
            acts in prop::collection::vec(act(), 0..200),
            most_items in 1..12_usize,
            most_bytes in 1..200_usize,
        ) {
            let mut ring = Ring::new(most_items, most_bytes);
            let mut model = Model::default();
            // Where three readers stand.
            let mut places = [1_u64; 3];
            for act in acts {
                match act {
                    Act::Push(size) => {
                        ring.push(size, |number| number);
                        model.sizes.push(size);
                    }
                    Act::Read { reader, most } => {
                        let (first, end) = (model.first(most_items, most_bytes), model.sizes.len() as u64 + 1);
                        let from = places[reader];
                        let read = ring.read(from, most);
                        prop_assert_eq!(read.missed, first.saturating_sub(from));
                        let expected: Vec<u64> = (from.max(first)..end).take(most).collect();
                        prop_assert_eq!(&read.items, &expected);
                        places[reader] = read.first + read.items.len() as u64;
                    }
                }
                prop_assert_eq!(ring.next(), model.sizes.len() as u64 + 1);
                prop_assert_eq!(ring.first(), model.first(most_items, most_bytes));
            }
        }
    }

    #[test]
    fn what_was_not_kept_is_missed() {
        let mut ring = Ring::new(4, 1000);
        ring.push(1, |number| number);
        ring.skip(3);
        ring.push(1, |number| number);
        assert_eq!(ring.read(1, 8), Read { missed: 4, first: 5, items: vec![5] });
    }

    #[test]
    fn what_is_not_there_yet_is_not_missed() {
        let mut ring = Ring::new(4, 1000);
        ring.push(1, |number| number);
        assert_eq!(ring.read(2, 8), Read { missed: 0, first: 2, items: vec![] });
        assert_eq!(ring.size(), (1, 1));
    }
}
