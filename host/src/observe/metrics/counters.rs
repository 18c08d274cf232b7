//! Counters of one name, one for each set of label values.

use std::sync::{
    PoisonError, RwLock,
    atomic::{AtomicU64, Ordering},
};

use crate::types::map::QuickMap;

/// The most sets of values; what comes with others is counted together.
const MOST: usize = 1000;
/// The value that stands for all there is no room for.
const OTHER: &str = "other";
/// Stands between values, none of which has it.
const SEPARATOR: char = '\u{1f}';

/// Counters with `N` labels.
#[derive(Debug)]
pub struct Counters<const N: usize> {
    labels: [&'static str; N],
    // Written when a set of values is new; else read, and held for an addition.
    series: RwLock<QuickMap<String, AtomicU64>>,
}

impl<const N: usize> Counters<N> {
    /// Returns counters with these labels.
    #[must_use]
    pub fn new(labels: [&'static str; N]) -> Self {
        Self { labels, series: RwLock::default() }
    }

    /// Adds to the counter of these values.
    pub fn add(&self, values: [&str; N], number: u64) {
        let key = key(values);
        let found = {
            let series = self.series.read().unwrap_or_else(PoisonError::into_inner);
            series.get(&key).map(|counter| counter.fetch_add(number, Ordering::Relaxed)).is_some()
        };
        if found {
            return;
        }
        let mut series = self.series.write().unwrap_or_else(PoisonError::into_inner);
        let is_full = series.len() >= MOST && !series.contains_key(&key);
        let key = if is_full { self::key([OTHER; N]) } else { key };
        series.entry(key).or_default().fetch_add(number, Ordering::Relaxed);
    }

    /// Returns all of them in the order of their values.
    pub(super) fn all(&self) -> Vec<(Vec<(&'static str, String)>, u64)> {
        let series = self.series.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = series.iter().map(|(key, n)| (key.clone(), n.load(Ordering::Relaxed))).collect();
        drop(series);
        all.sort();
        let labelled = |key: &str| {
            let values = key.split(SEPARATOR).map(str::to_owned);
            self.labels.into_iter().zip(values).collect()
        };
        all.iter().map(|(key, n)| (labelled(key), *n)).collect()
    }
}

fn key<const N: usize>(values: [&str; N]) -> String {
    let length: usize = values.iter().map(|value| value.len() + 1).sum();
    let mut key = String::with_capacity(length);
    for (index, value) in values.into_iter().enumerate() {
        if index > 0 {
            key.push(SEPARATOR);
        }
        key.extend(value.split(SEPARATOR));
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_set_of_values_has_its_counter() {
        let counters = Counters::new(["tool", "outcome"]);
        counters.add(["weather", "success"], 2);
        counters.add(["weather", "failed"], 1);
        counters.add(["weather", "success"], 3);
        let of = |outcome: &str| vec![("tool", "weather".to_owned()), ("outcome", outcome.to_owned())];
        assert_eq!(counters.all(), [(of("failed"), 1), (of("success"), 5)]);
    }

    #[test]
    fn names_without_end_take_no_memory_without_end() {
        let counters = Counters::new(["model"]);
        for n in 0..2 * MOST {
            counters.add([&format!("made-up/{n}")], 1);
        }
        let all = counters.all();
        assert_eq!(all.len(), MOST + 1);
        assert_eq!(all.iter().map(|(_, n)| n).sum::<u64>(), 2 * MOST as u64);
        assert!(all.contains(&(vec![("model", OTHER.to_owned())], MOST as u64)));
    }

    #[test]
    fn a_value_cannot_pass_for_two() {
        let counters = Counters::new(["a", "b"]);
        counters.add(["x\u{1f}y", "z"], 1);
        assert_eq!(counters.all(), [(vec![("a", "xy".to_owned()), ("b", "z".to_owned())], 1)]);
    }
}
