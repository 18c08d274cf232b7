//! A list a server has more of than anybody can hold: pages are asked for as they come into view.

use ratatui::{buffer::Buffer, layout::Rect};
use serde_json::Value;

use crate::{
    json::Json,
    parts::{
        cursor::{Cursor, Move},
        pane::say,
        table, text,
    },
    screens::Look,
    store::{Known, Store},
    want::{PAGE, Query, Want},
};

/// Which list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Runs,
    Traces,
    Threads,
    Logs,
}

impl Source {
    fn want(self, query: Query, page: usize) -> Want {
        match self {
            Self::Runs => Want::Runs { query, page },
            Self::Traces => Want::Traces { query, page },
            Self::Threads => Want::Threads { query, page },
            Self::Logs => Want::Logs { query, page },
        }
    }

    /// Where an answer has its rows, how many there are in all, and what tells rows apart.
    const fn paths(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Runs => ("runs", "total", "runId"),
            Self::Traces => ("spans", "pagination.total", "traceId"),
            Self::Threads => ("threads", "total", "id"),
            Self::Logs => ("logs", "pagination.total", "logId"),
        }
    }
}

/// A place in such a list. What is chosen stays chosen while rows come and go above it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Paged {
    source: Source,
    pub(crate) query: Query,
    pub(crate) cursor: Cursor,
    /// The id of what is chosen.
    chosen: Option<String>,
    /// How long the list was last.
    total: usize,
    /// Whether the oldest come first.
    is_reversed: bool,
}

impl Paged {
    pub(crate) fn new(source: Source) -> Self {
        Self { source, query: Query::default(), cursor: Cursor::default(), chosen: None, total: 0, is_reversed: false }
    }

    /// Shows another selection of the list, from its top.
    pub(crate) fn narrow(&mut self, query: Query) {
        if query != self.query {
            *self = Self { query, is_reversed: self.is_reversed, ..Self::new(self.source) };
        }
    }

    /// Turns the list round. Returns whether the server can.
    pub(crate) fn reverse(&mut self) -> bool {
        let can = self.source != Source::Runs;
        if can {
            *self = Self { query: self.query.clone(), is_reversed: !self.is_reversed, ..Self::new(self.source) };
        }
        can
    }

    /// Whether the oldest come first.
    pub(crate) const fn is_reversed(&self) -> bool {
        self.is_reversed
    }

    pub(crate) fn want(&self, page: usize) -> Want {
        let query = self.query.clone();
        let query = match (self.is_reversed, self.source) {
            (false, _) | (true, Source::Runs) => query,
            (true, Source::Traces) => query.with("field", "startedAt").with("direction", "ASC"),
            (true, Source::Logs) => query.with("field", "timestamp").with("direction", "ASC"),
            (true, Source::Threads) => query.with("orderBy", r#"{"field":"updatedAt","direction":"ASC"}"#),
        };
        self.source.want(query, page)
    }

    /// Returns how many there are, in words; nothing while that is not known.
    pub(crate) fn count(&self, store: &Store) -> String {
        let is_known = store.known(&self.want(0)).value().is_some();
        if is_known { format!(" {}", text::count(self.total as u64)) } else { String::new() }
    }

    pub(crate) const fn total(&self) -> usize {
        self.total
    }

    /// Returns the pages that are seen in an area; the first one also says how many rows there are.
    pub(crate) fn wants(&self, area: Rect) -> Vec<Want> {
        let window = self.cursor.window(self.total, table::height(area));
        let pages = window.start / PAGE..=window.end.saturating_sub(1) / PAGE;
        let mut wants = vec![self.want(0)];
        wants.extend(pages.filter(|page| *page > 0).map(|page| self.want(page)));
        wants
    }

    /// Says why there are no rows, if there are none: `nothing` where nothing narrows the list. Returns whether it did.
    pub(crate) fn blank(&self, nothing: &str, look: &Look<'_>, area: Rect, buf: &mut Buffer) -> bool {
        let (words, style) = match look.store.known(&self.want(0)) {
            Known::Loading => ("asking the server", look.theme.quiet()),
            Known::Failed(failure) => (failure.message.as_str(), look.theme.bad()),
            Known::Here(_) if self.total > 0 => return false,
            Known::Here(_) if self.query == Query::default() => (nothing, look.theme.quiet()),
            Known::Here(_) => ("none of them is so", look.theme.quiet()),
        };
        say(words, style, area, buf);
        true
    }

    /// Returns a row, if its page is here.
    pub(crate) fn row<'a>(&self, store: &'a Store, index: usize) -> Option<&'a Value> {
        let (rows, _, _) = self.source.paths();
        store.value(&self.want(index / PAGE)).list(rows).get(index % PAGE)
    }

    /// Returns what is chosen.
    pub(crate) fn selected<'a>(&self, store: &'a Store) -> Option<&'a Value> {
        (self.total > 0).then(|| self.row(store, self.cursor.selected)).flatten()
    }

    /// Chooses the row of this id, if it is among those that are here.
    pub(crate) fn choose(&mut self, store: &Store, id: &str, height: usize) -> bool {
        let found = self.find(store, id);
        if let Some(index) = found {
            self.cursor.select(index, self.total, height);
            self.chosen = Some(id.to_owned());
        }
        found.is_some()
    }

    fn find(&self, store: &Store, id: &str) -> Option<usize> {
        let (_, _, key) = self.source.paths();
        let near = self.cursor.selected / PAGE;
        let pages = [near, near + 1, near.saturating_sub(1), 0];
        pages.into_iter().find_map(|page| {
            let start = page * PAGE;
            let matches = |index: &usize| self.row(store, *index).is_some_and(|row| row.text(key) == id);
            (start..start + PAGE).find(matches)
        })
    }

    /// Comes to terms with what is known now.
    pub(crate) fn settle(&mut self, store: &Store, area: Rect) {
        let height = table::height(area);
        let (_, total, key) = self.source.paths();
        if let Some(known) = store.known(&self.want(0)).value() {
            let known = known.whole(total).and_then(|total| usize::try_from(total).ok()).unwrap_or_default();
            self.total = known;
        }
        // One who is at the top sees what is new; one who reads on stays where they are.
        if self.cursor.selected > 0
            && let Some(id) = self.chosen.clone()
            && let Some(index) = self.find(store, &id)
            && index != self.cursor.selected
        {
            let rows = index.cast_signed() - self.cursor.selected.cast_signed();
            self.cursor.selected = index;
            self.cursor.scroll(rows, self.total, height);
            self.cursor.selected = index;
        }
        self.cursor.settle(self.total, height);
        self.chosen = self.selected(store).map(|row| row.text(key).to_owned());
    }

    pub(crate) fn go(&mut self, to: Move, store: &Store, area: Rect) {
        self.cursor.go(to, self.total, table::height(area));
        self.note(store);
    }

    pub(crate) fn wheel(&mut self, rows: isize, store: &Store, area: Rect) {
        self.cursor.scroll(rows, self.total, table::height(area));
        self.note(store);
    }

    /// Chooses the row at a line of the area, the headings being the first. Returns whether there is one.
    pub(crate) fn click(&mut self, line: u16, store: &Store, area: Rect) -> bool {
        let height = table::height(area);
        let row = usize::from(line).checked_sub(1).and_then(|line| self.cursor.row_at(line, self.total, height));
        let Some(row) = row else { return false };
        self.cursor.select(row, self.total, height);
        self.note(store);
        true
    }

    fn note(&mut self, store: &Store) {
        let (_, _, key) = self.source.paths();
        self.chosen = self.selected(store).map(|row| row.text(key).to_owned());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const AREA: Rect = Rect::new(0, 0, 80, 11);

    fn page(store: &mut Store, paged: &Paged, page: usize, first: usize, total: usize) {
        let ids = (0..PAGE).map(|row| page * PAGE + row).filter(|row| *row < total);
        let rows: Vec<Value> = ids.map(|row| json!({"runId": format!("r{}", first - row)})).collect();
        store.learn(&paged.want(page), Ok(json!({"runs": rows, "total": total})), 1);
    }

    #[test]
    fn pages_are_wanted_as_they_come_into_view() {
        let mut store = Store::default();
        let mut paged = Paged::new(Source::Runs);
        assert_eq!(paged.wants(AREA), [paged.want(0)]);
        page(&mut store, &paged, 0, 100_000, 100_000);
        paged.settle(&store, AREA);
        assert_eq!(paged.total(), 100_000);
        paged.go(Move::Bottom, &store, AREA);
        assert_eq!(paged.wants(AREA), [paged.want(0), paged.want(999)]);
        assert_eq!(paged.selected(&store), None);
        page(&mut store, &paged, 999, 100_000, 100_000);
        paged.settle(&store, AREA);
        assert_eq!(paged.selected(&store).unwrap().text("runId"), "r1");
    }

    #[test]
    fn what_is_chosen_stays_chosen_when_rows_come_above_it() {
        let mut store = Store::default();
        let mut paged = Paged::new(Source::Runs);
        page(&mut store, &paged, 0, 300, 300);
        paged.settle(&store, AREA);
        for _ in 0..5 {
            paged.go(Move::Down, &store, AREA);
        }
        let line = paged.cursor.selected - paged.cursor.window(300, 10).start;
        page(&mut store, &paged, 0, 302, 302);
        paged.settle(&store, AREA);
        assert_eq!((paged.cursor.selected, paged.selected(&store).unwrap().text("runId")), (7, "r295"));
        assert_eq!(paged.cursor.selected - paged.cursor.window(302, 10).start, line);
        paged.go(Move::Top, &store, AREA);
        page(&mut store, &paged, 0, 303, 303);
        paged.settle(&store, AREA);
        assert_eq!(paged.selected(&store).unwrap().text("runId"), "r303");
    }
}
