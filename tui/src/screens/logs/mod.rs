//! The log: as it is written, and what is stored of it.

use std::{borrow::Cow, collections::VecDeque};

use ratatui::{
    Frame,
    layout::{Position, Rect},
};
use serde_json::{Value, json};

use super::{
    Deed, Look, Place, Screen,
    paged::{Paged, Source},
    plugins::{is_vertical, open_record},
};
use crate::{
    json::{self, Json},
    keymap::{Command, Scope},
    live::LiveEvent,
    parts::{
        cursor::{Cursor, Move},
        filter::{Fields, Filter},
        pane::Pane,
        table,
    },
    store::Store,
    want::{Query, Want, moment},
};

mod draw;

/// The least level that is shown, by `L`.
const LEVELS: [&str; 4] = ["", "info", "warn", "error"];
/// All levels, the least first.
const ALL_LEVELS: [&str; 5] = ["debug", "info", "warn", "error", "fatal"];
/// Since when, by `T`.
const TIMES: [&str; 5] = ["", "5m", "15m", "1h", "24h"];

/// The screen.
#[derive(Debug)]
pub(crate) struct Logs {
    text: String,
    filter: Filter,
    level: &'static str,
    since: &'static str,
    is_wrapped: bool,
    /// What is stored on the server instead of what comes.
    is_stored: bool,
    live: Live,
    stored: Paged,
}

/// The lines that come.
#[derive(Debug)]
struct Live {
    /// The numbers of those that match; none if all do.
    matching: Option<VecDeque<u64>>,
    /// The number of the first that was not looked at yet.
    seen: u64,
    /// The number of the first that was kept when last looked.
    first: u64,
    cursor: Cursor,
    /// Whether the last line is always chosen.
    is_following: bool,
    /// How many came since it is not.
    missed: usize,
    /// The number of the first line that was not cleared away.
    floor: u64,
}

impl Default for Live {
    fn default() -> Self {
        Self { matching: None, seen: 0, first: 0, cursor: Cursor::default(), is_following: true, missed: 0, floor: 0 }
    }
}

impl Live {
    fn total(&self, store: &Store) -> usize {
        self.matching.as_ref().map_or_else(|| store.lines.len(), VecDeque::len)
    }

    fn line<'a>(&self, store: &'a Store, index: usize) -> Option<&'a LiveEvent> {
        let number = match &self.matching {
            Some(matching) => *matching.get(index)?,
            None => store.lines.range().start + index as u64,
        };
        store.lines.get(number)
    }

    /// Looks at the lines that came, and forgets those that are gone.
    fn settle(&mut self, store: &Store, height: usize, matches: &dyn Fn(&LiveEvent) -> bool, has_filter: bool) {
        let range = store.lines.range();
        if self.matching.is_some() != has_filter || range.start < self.first {
            // All lines are looked at once more: older ones came before them, or the filter is another.
            self.matching = has_filter.then(VecDeque::new);
            self.seen = range.start;
            self.first = range.start;
        }
        let came = self.seen.max(range.start).max(self.floor).min(range.end)..range.end;
        let mut gone = usize::try_from(range.start - self.first).unwrap_or(usize::MAX);
        let mut new = usize::try_from(came.end - came.start).unwrap_or(usize::MAX);
        if let Some(matching) = &mut self.matching {
            let before = matching.len();
            while matching.front().is_some_and(|number| *number < range.start) {
                matching.pop_front();
            }
            gone = before - matching.len();
            let kept = matching.len();
            matching.extend(came.filter(|number| store.lines.get(*number).is_some_and(matches)));
            new = matching.len() - kept;
        }
        (self.seen, self.first) = (range.end, range.start);
        let total = self.total(store);
        if self.is_following {
            self.missed = 0;
            self.cursor.go(Move::Bottom, total, height);
        } else {
            self.missed = self.missed.saturating_add(new);
            // What is read stays where it is while lines go above it.
            if gone > 0 {
                self.cursor.selected = self.cursor.selected.saturating_sub(gone);
                self.cursor.scroll(-isize::try_from(gone).unwrap_or(isize::MAX), total, height);
            }
            self.cursor.settle(total, height);
        }
    }

    fn forget(&mut self) {
        self.matching = None;
        self.seen = 0;
        self.first = u64::MAX;
    }
}

impl Fields for LiveEvent {
    fn field(&self, name: &str) -> Option<Cow<'_, str>> {
        let maybe = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned).map(Cow::Owned);
        match name {
            "level" => Some(Cow::Borrowed(&*self.level)),
            "source" | "plugin" | "transport" => maybe(&self.plugin),
            "run" | "runid" => maybe(&self.run),
            "trace" | "traceid" => maybe(&self.trace),
            "thread" | "threadid" => maybe(&self.thread),
            "message" | "msg" => Some(Cow::Borrowed(&*self.text)),
            _ => None,
        }
    }

    fn text(&self) -> Cow<'_, str> {
        Cow::Borrowed(&*self.text)
    }

    fn time(&self) -> Option<i64> {
        Some(self.time)
    }
}

impl Default for Logs {
    fn default() -> Self {
        Self {
            text: String::new(),
            filter: Filter::default(),
            level: "",
            since: "",
            is_wrapped: false,
            is_stored: false,
            live: Live::default(),
            stored: Paged::new(Source::Logs),
        }
    }
}

impl Logs {
    /// Returns where the rows are.
    fn rows(area: Rect) -> Rect {
        Pane::inner(area)
    }

    fn height(look: &Look<'_>) -> usize {
        table::height(Self::rows(look.area))
    }

    fn has_filter(&self) -> bool {
        !self.filter.is_empty() || !self.level.is_empty() || !self.since.is_empty() || self.live.floor > 0
    }

    fn matches(&self, line: &LiveEvent, now: i64) -> bool {
        let rank = |level: &str| ALL_LEVELS.iter().position(|known| *known == level);
        let is_loud = self.level.is_empty() || rank(&line.level) >= rank(self.level);
        let is_recent = self.since_when(now).is_none_or(|since| line.time >= since);
        is_loud && is_recent && self.filter.matches(line)
    }

    fn since_when(&self, now: i64) -> Option<i64> {
        let seconds = match self.since {
            "5m" => 300,
            "15m" => 900,
            "1h" => 3600,
            "24h" => 86_400,
            _ => return None,
        };
        Some(now - seconds * 1000)
    }

    /// Returns what the filter asks the server for.
    fn query(&self, now: i64) -> Query {
        let mut query = Query::default();
        let mut words = Vec::new();
        let mut level = self.level;
        for word in self.text.split_whitespace() {
            match word.split_once(':') {
                Some(("source" | "plugin" | "transport", name)) => query = query.with("transport", name),
                Some(("run", id)) => query = query.with("runId", id),
                Some(("trace", id)) => query = query.with("traceId", id),
                Some(("thread", id)) => query = query.with("threadId", id),
                Some(("level", name)) => query = query.with("level", name),
                Some(("since" | "from" | "to", _)) => {}
                _ => match word.strip_prefix("level>=") {
                    Some(name) => level = ALL_LEVELS.iter().find(|known| **known == name).copied().unwrap_or(level),
                    None => words.push(word),
                },
            }
        }
        if let Some(at) = ALL_LEVELS.iter().position(|known| *known == level) {
            for level in ALL_LEVELS.iter().skip(at) {
                query = query.with("level", *level);
            }
        }
        let (from, to) = self.filter.times();
        let from = from.or_else(|| self.since_when(now));
        // To the minute, so that it is one question for a while.
        let whole = |time: i64| time / 60_000 * 60_000;
        query = query.within("timestamp", from.map(whole), to.map(whole));
        query.with("q", words.join(" "))
    }

    fn changed(&mut self, look: &Look<'_>) {
        self.live.forget();
        self.stored.narrow(self.query(look.now));
        self.settle(look);
    }

    /// Returns what is chosen as a value with the names of the stored record.
    fn record(&self, look: &Look<'_>) -> Option<Value> {
        if self.is_stored {
            return self.stored.selected(look.store).cloned();
        }
        self.live.line(look.store, self.live.cursor.selected).map(value_of)
    }

    fn seek(&mut self, is_forward: bool, look: &Look<'_>, is_it: &dyn Fn(&str) -> bool) -> bool {
        let (total, at) = if self.is_stored {
            (self.stored.total().min(self.stored.cursor.selected + 1000), self.stored.cursor.selected)
        } else {
            (self.live.total(look.store), self.live.cursor.selected)
        };
        let level = |index: usize| -> Option<String> {
            if self.is_stored {
                self.stored.row(look.store, index).map(|row| row.text("level").to_owned())
            } else {
                self.live.line(look.store, index).map(|line| line.level.to_string())
            }
        };
        let is_hit = |index: &usize| level(*index).is_some_and(|level| is_it(&level));
        let found = if is_forward { (at + 1..total).find(is_hit) } else { (0..at.min(total)).rev().find(is_hit) };
        let Some(index) = found else { return false };
        let height = Self::height(look);
        if self.is_stored {
            let total = self.stored.total();
            self.stored.cursor.select(index, total, height);
        } else {
            self.live.is_following = false;
            self.live.cursor.select(index, total, height);
        }
        true
    }

    fn go_on(&mut self, to: Move, look: &Look<'_>) {
        if !is_vertical(to) {
            return;
        }
        if self.is_stored {
            self.stored.go(to, look.store, Self::rows(look.area));
            return;
        }
        let (total, height) = (self.live.total(look.store), Self::height(look));
        self.live.cursor.go(to, total, height);
        self.live.is_following = to == Move::Bottom || (self.live.is_following && to == Move::Down);
        if self.live.is_following {
            self.live.missed = 0;
        }
    }

    /// Leads from a line to what it is about.
    fn lead(&self, look: &Look<'_>, path: &str, place: impl FnOnce(String) -> Place) -> Vec<Deed> {
        let record = self.record(look).unwrap_or_default();
        match record.text(path) {
            "" => vec![Deed::Complain("this line is of none".into())],
            id => vec![Deed::Go(place(id.to_owned()))],
        }
    }
}

fn value_of(line: &LiveEvent) -> Value {
    json!({
        "timestamp": moment(line.time),
        "level": &*line.level,
        "message": &*line.text,
        "data": {"transport": line.plugin.as_deref()},
        "runId": line.run.as_deref(),
        "threadId": line.thread.as_deref(),
        "traceId": line.trace.as_deref(),
        "logId": line.record.as_deref(),
    })
}

impl Screen for Logs {
    fn crumbs(&self, _look: &Look<'_>) -> Vec<String> {
        vec![if self.is_stored { "stored".into() } else { "live".into() }]
    }

    fn scopes(&self) -> Vec<Scope> {
        vec![Scope::Logs, Scope::List]
    }

    fn wants(&self, look: &Look<'_>) -> Vec<Want> {
        if self.is_stored {
            return self.stored.wants(Self::rows(look.area));
        }
        // What was written before anybody looked.
        vec![Want::Logs { query: Query::default(), page: 0 }]
    }

    fn command(&mut self, command: Command, look: &Look<'_>) -> Vec<Deed> {
        match command {
            Command::Go(to) => self.go_on(to, look),
            Command::Pause if self.is_stored => return vec![Deed::Say("v shows what comes".into())],
            Command::Pause => {
                self.live.is_following = !self.live.is_following;
                self.settle(look);
            }
            Command::View => {
                self.is_stored = !self.is_stored;
                self.changed(look);
            }
            Command::Clear if !self.is_stored => {
                self.live = Live { floor: look.store.lines.range().end, ..Live::default() };
                self.settle(look);
            }
            Command::Sort | Command::Reverse if self.is_stored => drop(self.stored.reverse()),
            Command::Sort | Command::Reverse => return vec![Deed::Say("what comes is in the order it comes".into())],
            Command::Wrap => self.is_wrapped = !self.is_wrapped,
            Command::Level => {
                let at = LEVELS.iter().position(|level| *level == self.level).unwrap_or(0);
                self.level = LEVELS.get((at + 1) % LEVELS.len()).copied().unwrap_or_default();
                self.changed(look);
            }
            Command::Time => {
                let at = TIMES.iter().position(|time| *time == self.since).unwrap_or(0);
                self.since = TIMES.get((at + 1) % TIMES.len()).copied().unwrap_or_default();
                self.changed(look);
            }
            Command::NextError | Command::PreviousError => {
                let is_bad = |level: &str| matches!(level, "error" | "fatal");
                if !self.seek(command == Command::NextError, look, &is_bad) {
                    return vec![Deed::Say("no other error that way".into())];
                }
            }
            Command::Open => return open_record(self.record(look).as_ref(), "message"),
            Command::ToRun => return self.lead(look, "runId", Place::AnyRun),
            Command::ToTrace => return self.lead(look, "traceId", Place::Trace),
            Command::ToThread => return self.lead(look, "threadId", Place::Thread),
            Command::ToPlugin => return self.lead(look, "data.transport", Place::Plugin),
            _ => {}
        }
        Vec::new()
    }

    fn settle(&mut self, look: &Look<'_>) {
        let height = Self::height(look);
        if self.is_stored {
            self.stored.settle(look.store, Self::rows(look.area));
            return;
        }
        let has_filter = self.has_filter();
        let mut live = std::mem::take(&mut self.live);
        live.settle(look.store, height, &|line| self.matches(line, look.now), has_filter);
        self.live = live;
    }

    fn filter(&mut self, text: &str, look: &Look<'_>) -> Result<(), String> {
        self.filter = Filter::parse(text, look.now)
            .map_err(|error| format!("{} (after {} characters)", error.message, error.column))?;
        if text != self.text {
            text.clone_into(&mut self.text);
            self.changed(look);
        }
        Ok(())
    }

    fn filter_text(&self) -> &str {
        &self.text
    }

    fn go(&mut self, place: &Place, look: &Look<'_>) -> Vec<Deed> {
        if let Place::Logs(text) = place {
            // What happened before is stored.
            self.is_stored = true;
            (self.level, self.since) = ("", "");
            if let Err(reason) = self.filter(text, look) {
                return vec![Deed::Complain(reason)];
            }
            self.changed(look);
        }
        Vec::new()
    }

    fn back(&mut self) -> bool {
        if !self.has_filter() && !self.is_stored {
            return false;
        }
        *self = Self { is_wrapped: self.is_wrapped, ..Self::default() };
        true
    }

    fn click(&mut self, at: Position, look: &Look<'_>) -> Vec<Deed> {
        let rows = Self::rows(look.area);
        if !rows.contains(at) {
            return Vec::new();
        }
        if self.is_stored {
            self.stored.click(at.y - rows.y, look.store, rows);
        } else if let Some(line) = usize::from(at.y - rows.y).checked_sub(1) {
            let (total, height) = (self.live.total(look.store), Self::height(look));
            if let Some(row) = self.live.cursor.row_at(line, total, height) {
                self.live.is_following = false;
                self.live.cursor.select(row, total, height);
            }
        }
        Vec::new()
    }

    fn wheel(&mut self, _at: Position, rows: isize, look: &Look<'_>) {
        if self.is_stored {
            self.stored.wheel(rows, look.store, Self::rows(look.area));
            return;
        }
        let (total, height) = (self.live.total(look.store), Self::height(look));
        self.live.cursor.scroll(rows, total, height);
        // Down to the last line is back to what comes.
        self.live.is_following = rows > 0 && self.live.cursor.window(total, height).end >= total;
        if rows < 0 {
            self.live.is_following = false;
        }
    }

    fn chosen(&self, look: &Look<'_>) -> Option<(String, Value)> {
        self.record(look).map(|record| (record.text("message").to_owned(), record))
    }

    fn export(&self, look: &Look<'_>) -> Value {
        if self.is_stored {
            return look.store.value(&self.stored.want(0)).clone();
        }
        let lines = (0..self.live.total(look.store)).filter_map(|index| self.live.line(look.store, index));
        json!({"logs": lines.map(value_of).collect::<Vec<_>>()})
    }

    fn draw(&self, look: &Look<'_>, frame: &mut Frame<'_>) {
        draw::draw(self, look, frame.buffer_mut());
    }
}

/// Returns the time of day a row shows.
fn clock(time: Option<i64>) -> String {
    time.map(json::exact_clock).unwrap_or_default()
}
