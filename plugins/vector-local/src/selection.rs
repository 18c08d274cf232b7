//! Which rows are meant: by their ids, or by a filter.

use hotbay_plugin::vector_store::{Chosen, Filter};

use crate::rows::Rows;

/// How many rows are looked at to guess how many a filter leaves.
const SAMPLE: usize = 100;
/// If a filter leaves fewer than one row in so many, looking at all rows finds them sooner than the graph.
const SELECTIVE: usize = 5;

/// Returns the live rows that are meant, each once.
pub(crate) fn chosen_rows(chosen: &Chosen<'_>, rows: &Rows) -> Vec<u32> {
    match chosen {
        Chosen::Ids(ids) => {
            let mut chosen: Vec<u32> = ids.iter().filter_map(|id| rows.of_id(id)).collect();
            chosen.sort_unstable();
            chosen.dedup();
            chosen
        }
        Chosen::Matching(filter) => rows.iter_live().filter(|&row| rows.matches(row, Some(filter))).collect(),
    }
}

/// Guesses from a few rows whether a filter leaves many.
pub(crate) fn leaves_many(rows: &Rows, filter: &Filter) -> bool {
    let step = (rows.len() / SAMPLE).max(1);
    let (mut live, mut left) = (0, 0);
    for row in (0..rows.len()).step_by(step).filter_map(|row| u32::try_from(row).ok()) {
        if rows.row(row).is_live {
            live += 1;
            left += usize::from(rows.matches(row, Some(filter)));
        }
    }
    left * SELECTIVE >= live
}
