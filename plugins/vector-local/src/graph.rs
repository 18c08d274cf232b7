//! The graph over an index's rows (HNSW): each row is linked to rows near it, some rows also on
//! levels above, sparser ones, where a search begins.
//!
//! A graph covers the rows up to [`Graph::len`]. It grows by copies: the builder adds rows to a copy
//! and puts that in place, so whoever searches is never in the way. Rows that have died stay in it as
//! ways to others until the log is compacted. It can always be made anew from the log.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    fs::File,
    io::{self, ErrorKind, Write},
    path::Path,
    sync::{Mutex, PoisonError},
};

use hotbay_plugin::vector_store::{
    Metric,
    exact::{Best, Scored, dot, squared_distance},
};
use zerocopy::{FromBytes, IntoBytes};

use crate::rows::Vectors;

/// Links of a row on levels above the lowest.
const LINKS: usize = 16;
/// Links of a row on the lowest level.
const BASE_LINKS: usize = 2 * LINKS;
/// How many rows near a new one are looked at before its links are chosen.
const CANDIDATES: usize = 100;
/// No row.
const FREE: u32 = u32::MAX;
/// What the file of a graph begins with.
const MAGIC: [u8; 8] = *b"HBVGRA\0\x01";

/// A graph over rows.
#[derive(Default)]
pub(crate) struct Graph {
    /// Where searches begin: a row on the highest level, and that level.
    entry: Option<(u32, usize)>,
    /// The links of each row on the lowest level.
    base: Vec<[u32; BASE_LINKS]>,
    /// The links of rows that have levels above.
    upper: HashMap<u32, Vec<[u32; LINKS]>>,
    /// What searches mark rows in, when nobody searches.
    idle: Mutex<Vec<Marks>>,
}

impl Clone for Graph {
    fn clone(&self) -> Self {
        Self { entry: self.entry, base: self.base.clone(), upper: self.upper.clone(), idle: Mutex::default() }
    }
}

/// Which rows a search has seen. To see none again takes no time.
#[derive(Default)]
struct Marks {
    seen_in: Vec<u32>,
    search: u32,
}

impl Marks {
    fn begin(&mut self, rows: usize) {
        self.seen_in.resize(rows.max(self.seen_in.len()), 0);
        self.search = self.search.wrapping_add(1);
        if self.search == 0 {
            self.seen_in.fill(0);
            self.search = 1;
        }
    }

    /// Returns whether it is seen for the first time.
    fn see(&mut self, row: u32) -> bool {
        let seen_in = &mut self.seen_in[row as usize];
        let is_new = *seen_in != self.search;
        *seen_in = self.search;
        is_new
    }
}

/// Returns how near two vectors are; more is nearer. Orders rows as [`Metric::score`] does, for less.
#[inline]
pub(crate) fn nearness(metric: Metric, one: &[f32], other: &[f32], scale: f32) -> f32 {
    match metric {
        Metric::Cosine => dot(one, other) * scale,
        Metric::Euclidean => -squared_distance(one, other),
        Metric::DotProduct => dot(one, other),
    }
}

impl Graph {
    /// Returns how many rows it covers.
    pub(crate) fn len(&self) -> usize {
        self.base.len()
    }

    /// Returns the rows nearest to something, best first, among those that are accepted: about the best `breadth`.
    /// `near` says how near a row is.
    pub(crate) fn search(
        &self,
        breadth: usize,
        near: impl Fn(u32) -> f32,
        accepts: impl FnMut(u32) -> bool,
    ) -> Vec<Scored<u32>> {
        let Some((entry, top)) = self.entry else { return Vec::new() };
        let mut marks = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        let mut begin = Scored { score: near(entry), key: entry };
        for level in (1..=top).rev() {
            begin = self.descend(begin, level, &near);
        }
        let found = self.explore(&[begin], breadth, 0, &mut marks, &near, accepts);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(marks);
        found
    }

    /// Adds rows up to the end of `vectors`, until `goes_on` says no.
    pub(crate) fn extend(&mut self, vectors: &Vectors, mut goes_on: impl FnMut() -> bool) {
        let mut marks = Marks::default();
        while self.len() < vectors.len() && goes_on() {
            let row = u32::try_from(self.len()).expect("there are fewer than 4 billion rows");
            self.base.push([FREE; BASE_LINKS]);
            // What has died, or has no direction, is not looked for.
            if vectors.scale(row) > 0.0 {
                self.insert(row, vectors, &mut marks);
            }
        }
    }

    fn insert(&mut self, row: u32, vectors: &Vectors, marks: &mut Marks) {
        let level = level_of(row);
        if level > 0 {
            self.upper.insert(row, vec![[FREE; LINKS]; level]);
        }
        let Some((entry, top)) = self.entry else {
            self.entry = Some((row, level));
            return;
        };
        let (vector, scale) = (vectors.get(row), vectors.scale(row));
        let near = |other: u32| nearness(vectors.metric, vector, vectors.get(other), scale * scale_of(vectors, other));
        let mut begin = Scored { score: near(entry), key: entry };
        for level in (level + 1..=top).rev() {
            begin = self.descend(begin, level, &near);
        }
        let mut entries = vec![begin];
        for level in (0..=level.min(top)).rev() {
            let found = self.explore(&entries, CANDIDATES, level, marks, &near, |_| true);
            let chosen = choose(&found, LINKS, vectors);
            self.links_mut(row, level)[..chosen.len()].copy_from_slice(&chosen);
            for other in chosen {
                self.link_back(other, row, level, vectors);
            }
            entries = found;
        }
        if level > top {
            self.entry = Some((row, level));
        }
    }

    /// Links a row to a new one; if it has no link left, the best of all are chosen anew.
    fn link_back(&mut self, row: u32, new: u32, level: usize, vectors: &Vectors) {
        let links = self.links_mut(row, level);
        if let Some(free) = links.iter_mut().find(|link| **link == FREE) {
            *free = new;
            return;
        }
        let limit = links.len();
        let (vector, scale) = (vectors.get(row), scale_of(vectors, row));
        let mut all: Vec<Scored<u32>> = links
            .iter()
            .copied()
            .chain([new])
            .map(|key| {
                let score = nearness(vectors.metric, vector, vectors.get(key), scale * scale_of(vectors, key));
                Scored { score, key }
            })
            .collect();
        all.sort_unstable();
        let chosen = choose(&all, limit, vectors);
        let links = self.links_mut(row, level);
        links.fill(FREE);
        links[..chosen.len()].copy_from_slice(&chosen);
    }

    fn links(&self, row: u32, level: usize) -> &[u32] {
        match level {
            0 => &self.base[row as usize],
            level => self.upper.get(&row).and_then(|levels| levels.get(level - 1)).map_or(&[], |links| links),
        }
    }

    fn links_mut(&mut self, row: u32, level: usize) -> &mut [u32] {
        match level {
            0 => &mut self.base[row as usize],
            level => {
                let levels = self.upper.get_mut(&row).expect("rows are linked on levels they have");
                &mut levels[level - 1]
            }
        }
    }

    /// Walks to the nearest row of a level.
    fn descend(&self, begin: Scored<u32>, level: usize, near: &impl Fn(u32) -> f32) -> Scored<u32> {
        let mut best = begin;
        loop {
            let from = best.key;
            for &key in self.links(from, level).iter().take_while(|link| **link != FREE) {
                let there = Scored { score: near(key), key };
                best = best.min(there);
            }
            if best.key == from {
                return best;
            }
        }
    }

    /// Walks over a level from row to row, the nearest first, while there may be better ones.
    fn explore(
        &self,
        entries: &[Scored<u32>],
        breadth: usize,
        level: usize,
        marks: &mut Marks,
        near: &impl Fn(u32) -> f32,
        mut accepts: impl FnMut(u32) -> bool,
    ) -> Vec<Scored<u32>> {
        marks.begin(self.len());
        let mut best = Best::of(breadth);
        let mut ahead = BinaryHeap::new();
        for entry in entries {
            if marks.see(entry.key) {
                ahead.push(Reverse(*entry));
                if accepts(entry.key) {
                    best.show(entry.score, entry.key);
                }
            }
        }
        while let Some(Reverse(here)) = ahead.pop() {
            if best.bar().is_some_and(|bar| here.score < bar) {
                break;
            }
            for &key in self.links(here.key, level).iter().take_while(|link| **link != FREE) {
                if !marks.see(key) {
                    continue;
                }
                let score = near(key);
                if best.bar().is_none_or(|bar| score > bar) {
                    ahead.push(Reverse(Scored { score, key }));
                    if accepts(key) {
                        best.show(score, key);
                    }
                }
            }
        }
        best.into_sorted()
    }

    /// Writes it beside its log.
    pub(crate) fn save(&self, path: &Path) -> io::Result<()> {
        let mut words: Vec<u32> = Vec::with_capacity(4 + self.base.len() * BASE_LINKS);
        let (entry, top) = self.entry.unwrap_or((FREE, 0));
        words.extend([count(self.len())?, entry, count(top)?, count(self.upper.len())?]);
        words.extend(self.base.as_flattened());
        for (row, levels) in &self.upper {
            words.extend([*row, count(levels.len())?]);
            words.extend(levels.as_flattened());
        }
        let bytes = words.as_bytes();
        let temporary = path.with_extension("graph.new");
        let mut file = File::create(&temporary)?;
        file.write_all(&MAGIC)?;
        file.write_all(&crc32fast::hash(bytes).to_le_bytes())?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    }

    /// Reads it; it must be of these rows.
    pub(crate) fn load(path: &Path, rows: usize) -> io::Result<Self> {
        let bytes = std::fs::read(path)?;
        Self::parse(&bytes, rows).ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "the graph is damaged"))
    }

    fn parse(bytes: &[u8], rows: usize) -> Option<Self> {
        let (checksum, bytes) = bytes.strip_prefix(&MAGIC)?.split_first_chunk()?;
        if crc32fast::hash(bytes) != u32::from_le_bytes(*checksum) || !bytes.len().is_multiple_of(4) {
            return None;
        }
        let mut words = Words(bytes);
        let [length, entry, top, upper_count] = words.take()?;
        let length = length as usize;
        if length > rows || bytes.len() / 4 < 4 + length.checked_mul(BASE_LINKS)? {
            return None;
        }
        let mut graph = Self { base: Vec::with_capacity(length), ..Self::default() };
        for _ in 0..length {
            graph.base.push(words.take()?);
        }
        for _ in 0..upper_count {
            let [row, levels] = words.take()?;
            let levels = (0..levels).map(|_| words.take()).collect::<Option<Vec<_>>>()?;
            graph.upper.insert(row, levels);
        }
        graph.entry = (entry != FREE).then_some((entry, top as usize));
        graph.is_sound().then_some(graph)
    }

    /// Whether every link leads to a row.
    fn is_sound(&self) -> bool {
        let is_row = |row: &u32| *row == FREE || (*row as usize) < self.len();
        let has_levels = |(row, top): (u32, usize)| is_row(&row) && self.upper.get(&row).map_or(0, Vec::len) >= top;
        self.base.as_flattened().iter().all(is_row)
            && self.upper.values().all(|levels| levels.as_flattened().iter().all(is_row))
            && self.entry.is_none_or(has_levels)
    }
}

/// A row that has died since was near to others all the same.
fn scale_of(vectors: &Vectors, row: u32) -> f32 {
    let scale = vectors.scale(row);
    if scale > 0.0 { scale } else { vectors.metric.scale(vectors.get(row)) }
}

/// Chooses rows to link to: near ones, but none that is nearer to one chosen already, for that one leads
/// there. What is left goes to the nearest of the others.
fn choose(sorted: &[Scored<u32>], limit: usize, vectors: &Vectors) -> Vec<u32> {
    let mut chosen: Vec<u32> = Vec::with_capacity(limit);
    let mut others = Vec::new();
    for candidate in sorted {
        if chosen.len() == limit {
            break;
        }
        let (vector, scale) = (vectors.get(candidate.key), scale_of(vectors, candidate.key));
        let is_behind = chosen.iter().any(|&one| {
            nearness(vectors.metric, vector, vectors.get(one), scale * scale_of(vectors, one)) > candidate.score
        });
        if is_behind { others.push(candidate.key) } else { chosen.push(candidate.key) }
    }
    let left = limit - chosen.len();
    chosen.extend(others.into_iter().take(left));
    chosen
}

/// Returns the highest level of a row: of `LINKS` rows on a level one is also on the next. The same for
/// a row each time, so that a graph can be made again.
fn level_of(row: u32) -> usize {
    let mut mixed = u64::from(row).wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^= mixed >> 31;
    // Each four bits that are zero are one time in sixteen.
    (mixed.trailing_zeros() / LINKS.ilog2()).min(12) as usize
}

fn count(number: usize) -> io::Result<u32> {
    u32::try_from(number).map_err(io::Error::other)
}

struct Words<'a>(&'a [u8]);

impl Words<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u32; N]> {
        let (words, rest) = <[u32; N]>::read_from_prefix(self.0).ok()?;
        self.0 = rest;
        Some(words)
    }
}
