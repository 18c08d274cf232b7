//! Which part of what is found is asked for: a page, or what is new since the last time.
//!
//! Pages count from 0. Who wants to be told of what is new asks with `mode=delta`: first for a
//! cursor, then for all that came in after it, whatever their times say: a cursor holds a
//! position and marks of the records of that very position that were returned, so none is
//! returned twice and none is left out. Lists that are read on from where they were, newest or
//! oldest first, have cursors of the same form that hold a time.

use std::{future::Future, sync::Arc};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    http::error::{ApiError, Invalid},
    observe::{
        Found, Observe, ObserveError, Order, Window,
        filter::{Between, Filter},
    },
    types::{id::Millis, log::LogRecord, span::Span},
};

/// Records on a page if the caller does not say.
const PER_PAGE: u64 = 10;
/// The last page there can be: the largest number every client can write.
pub(in crate::http) const FURTHEST: u64 = (1 << 53) - 1;

/// Which part is asked for.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub(in crate::http) struct PageQuery {
    /// Which page, from 0.
    #[schemars(schema_with = "from_zero")]
    page: Option<u64>,
    /// Records on a page.
    #[schemars(schema_with = "a_hundred")]
    per_page: Option<u64>,
    /// `delta` for what came after a cursor.
    #[schemars(schema_with = "modes")]
    mode: Option<String>,
    /// The cursor; without one, `delta` returns the present one and no records.
    #[schemars(length(min = 1))]
    after: Option<String>,
    /// How many new records at most.
    #[schemars(schema_with = "a_hundred")]
    limit: Option<u64>,
}

impl PageQuery {
    /// Returns which page, and how many records are on one.
    pub(super) fn numbers(&self) -> (u64, u64) {
        (self.page.unwrap_or(0), self.per_page.unwrap_or(PER_PAGE))
    }

    /// Whether what is new is asked for.
    pub(super) fn is_delta(&self) -> bool {
        self.mode.as_deref() == Some("delta")
    }

    /// Returns the cursor after which things are new.
    pub(super) fn after(&self) -> Option<&str> {
        self.after.as_deref()
    }

    /// Returns how many new records at most.
    pub(super) fn limit(&self) -> u64 {
        self.limit.unwrap_or(PER_PAGE)
    }
}

fn from_zero(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "minimum": 0, "maximum": FURTHEST})
}

fn a_hundred(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "minimum": 1, "maximum": 100})
}

fn modes(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": ["page", "delta"]})
}

/// How a list is ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// When it began, or was written.
    Start,
    /// When it ended.
    End,
}

/// A record that is listed.
pub(super) trait Listed: Send + Sync + Sized {
    /// What is new of it is known by: spans are when they have ended.
    const NEWS: By;

    /// Finds records.
    fn find(
        observe: &Observe,
        filter: Filter,
        window: Window,
    ) -> impl Future<Output = Result<Found<Arc<Self>>, ObserveError>> + Send;

    /// Returns its id.
    fn id(&self) -> &str;

    /// Returns when it began or ended.
    fn time(&self, by: By) -> Millis;
}

impl Listed for Span {
    const NEWS: By = By::End;

    async fn find(observe: &Observe, filter: Filter, window: Window) -> Result<Found<Arc<Self>>, ObserveError> {
        observe.spans(filter, window).await
    }

    fn id(&self) -> &str {
        &self.span_id
    }

    fn time(&self, by: By) -> Millis {
        match by {
            By::Start => self.started_at,
            By::End => self.ended_at.unwrap_or(self.started_at),
        }
    }
}

impl Listed for LogRecord {
    const NEWS: By = By::Start;

    async fn find(observe: &Observe, filter: Filter, window: Window) -> Result<Found<Arc<Self>>, ObserveError> {
        observe.logs(filter, window).await
    }

    fn id(&self) -> &str {
        &self.id
    }

    fn time(&self, _: By) -> Millis {
        self.time
    }
}

/// Lists records, under `name` beside what is said about the page.
pub(super) async fn list<T: Listed>(
    observe: &Observe,
    query: &PageQuery,
    filter: Filter,
    order: Order,
    name: &str,
    shown: impl Fn(&T) -> Value,
) -> Result<Value, ApiError> {
    if let Some(news) = news_of::<T>(observe, query, filter.clone()).await? {
        let mut answer = news.answer();
        answer[name] = news.records.iter().map(|record| shown(record)).collect();
        return Ok(answer);
    }
    let (page, per_page) = query.numbers();
    let cursor = Arrived { position: observe.position().await, marks: Vec::new() };
    let window = Window { order, offset: page.saturating_mul(per_page), limit: per_page };
    let found = T::find(observe, filter, window).await?;
    Ok(json!({
        "pagination": pagination(found.total, page, per_page),
        "deltaCursor": cursor.text(),
        name: found.records.iter().map(|record| shown(record)).collect::<Value>(),
    }))
}

/// Returns what is said about a page.
pub(super) fn pagination(total: u64, page: u64, per_page: u64) -> Value {
    let end = page.saturating_add(1).saturating_mul(per_page);
    json!({"total": total, "page": page, "perPage": per_page, "hasMore": end < total})
}

/// What came after a cursor.
pub(super) struct News<T> {
    /// The records, in the order they came.
    pub(super) records: Vec<Arc<T>>,
    limit: u64,
    has_more: bool,
    cursor: String,
}

impl<T> News<T> {
    /// Returns what is said about it.
    pub(super) fn answer(&self) -> Value {
        json!({
            "delta": {"limit": self.limit, "hasMore": self.has_more},
            "deltaCursor": self.cursor,
        })
    }
}

/// Returns what is new, if that is what a query asks for.
pub(super) async fn news_of<T: Listed>(
    observe: &Observe,
    query: &PageQuery,
    filter: Filter,
) -> Result<Option<News<T>>, ApiError> {
    if !query.is_delta() {
        return Ok(None);
    }
    news(observe, query.after(), query.limit(), filter, Invalid::Query).await.map(Some)
}

/// Returns what came after a cursor; without one, nothing, and the present one.
pub(super) async fn news<T: Listed>(
    observe: &Observe,
    after: Option<&str>,
    limit: u64,
    filter: Filter,
    part: Invalid,
) -> Result<News<T>, ApiError> {
    let now = observe.position().await;
    let present = Arrived { position: now, marks: Vec::new() };
    let Some(after) = after else {
        return Ok(News { records: Vec::new(), limit, has_more: false, cursor: present.text() });
    };
    if let Some(after) = Cursor::read(after) {
        // From a time on, for who has no position yet.
        let (records, next) = go_on::<T>(observe, filter, T::NEWS, Direction::Forward, Some(&after), limit).await?;
        let has_more = next.is_some();
        let cursor = next.unwrap_or_else(|| after.past(T::NEWS, &records));
        return Ok(News { records, limit, has_more, cursor: cursor.text() });
    }
    let after = Arrived::read(after).ok_or_else(|| malformed(part, "after"))?;
    // Of files that are gone: what came in since then cannot be told.
    let after = if after.position > now { present } else { after };
    let ended = if T::NEWS == By::End { Filter::Ended(Between::default()) } else { Filter::All };
    let known = after.marks.len() as u64;
    let window = Window {
        order: Order::Arrival(after.position),
        offset: 0,
        limit: limit.saturating_add(known).saturating_add(1),
    };
    let found = T::find(observe, filter.and(ended), window).await?;
    let is_new = |(record, position): &(Arc<T>, u64)| {
        *position != after.position || !after.marks.iter().any(|it| it == mark(record.id()))
    };
    let mut found: Vec<(Arc<T>, u64)> = found.records.into_iter().zip(found.positions).filter(is_new).collect();
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = found.len() > most;
    found.truncate(most);
    let cursor = after.past(&found);
    let records = found.into_iter().map(|(record, _)| record).collect();
    Ok(News { records, limit, has_more, cursor: cursor.text() })
}

/// A place among what came in.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Arrived {
    position: u64,
    marks: Vec<String>,
}

impl Arrived {
    /// Returns the place behind these records, or this one if there are none.
    fn past<T: Listed>(self, found: &[(Arc<T>, u64)]) -> Self {
        let Some((_, position)) = found.last() else { return self };
        let mut marks = if *position == self.position { self.marks } else { Vec::new() };
        let here = found.iter().rev().take_while(|(_, it)| it == position);
        marks.extend(here.map(|(record, _)| mark(record.id()).to_owned()));
        Self { position: *position, marks }
    }

    fn read(text: &str) -> Option<Self> {
        let (position, marks) = read_cursor(text, 'p')?;
        Some(Self { position, marks })
    }

    fn text(&self) -> String {
        write_cursor(&format!("p{}", self.position), &self.marks)
    }
}

/// Reads a cursor: what it begins with and a number, then marks.
fn read_cursor<N: std::str::FromStr>(text: &str, kind: char) -> Option<(N, Vec<String>)> {
    let mut parts = text.split('.');
    let number = parts.next()?.strip_prefix(kind)?.parse().ok()?;
    let marks: Vec<String> = parts.map(str::to_owned).collect();
    let is_mark = |mark: &String| !mark.is_empty() && mark.bytes().all(|byte| byte.is_ascii_alphanumeric());
    marks.iter().all(is_mark).then_some((number, marks))
}

fn write_cursor(place: &str, marks: &[String]) -> String {
    let mut text = place.to_owned();
    for mark in marks {
        text.push('.');
        text.push_str(mark);
    }
    text
}

/// Which way a list is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// To what is later.
    Forward,
    /// To what is earlier.
    Backward,
}

/// Returns the records behind a cursor, and the cursor of the rest if there are more.
///
/// Ordered by its end, a record must have ended.
pub(super) async fn go_on<T: Listed>(
    observe: &Observe,
    filter: Filter,
    by: By,
    direction: Direction,
    after: Option<&Cursor>,
    limit: u64,
) -> Result<(Vec<Arc<T>>, Option<Cursor>), ApiError> {
    let between = after.map_or_else(Between::default, |cursor| match direction {
        Direction::Forward => Between { from: Some(cursor.time), to: None },
        Direction::Backward => Between { from: None, to: Some(cursor.time) },
    });
    let (range, order) = match (by, direction) {
        (By::Start, Direction::Forward) => (Filter::Time(between), Order::OldestFirst),
        (By::Start, Direction::Backward) => (Filter::Time(between), Order::NewestFirst),
        (By::End, Direction::Forward) => (Filter::Ended(between), Order::EarliestEndFirst),
        (By::End, Direction::Backward) => (Filter::Ended(between), Order::LatestEndFirst),
    };
    // Those of the cursor's own millisecond may come again, in any order among themselves.
    let known = after.map_or(0, |cursor| cursor.marks.len());
    let window = Window { order, offset: 0, limit: limit.saturating_add(known as u64).saturating_add(1) };
    let mut records = T::find(observe, filter.and(range), window).await?.records;
    if let Some(after) = after {
        records.retain(|record| record.time(by) != after.time || !after.marks.iter().any(|it| it == mark(record.id())));
    }
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = records.len() > limit;
    records.truncate(limit);
    let next = has_more.then(|| after.map_or_else(Cursor::start, Cursor::clone).past(by, &records));
    Ok((records, next))
}

/// A place in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cursor {
    time: Millis,
    marks: Vec<String>,
}

impl Cursor {
    fn start() -> Self {
        Self { time: Millis(i64::MIN), marks: Vec::new() }
    }

    /// Returns the place behind these records, or this one if there are none.
    fn past<T: Listed>(self, by: By, records: &[Arc<T>]) -> Self {
        let Some(time) = records.last().map(|record| record.time(by)) else { return self };
        let mut marks = if time == self.time { self.marks } else { Vec::new() };
        let here = records.iter().rev().take_while(|record| record.time(by) == time);
        marks.extend(here.map(|record| mark(record.id()).to_owned()));
        Self { time, marks }
    }

    /// Reads a cursor.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (time, marks) = read_cursor(text, 't')?;
        Some(Self { time: Millis(time), marks })
    }

    /// Writes it.
    pub(super) fn text(&self) -> String {
        write_cursor(&format!("t{}", self.time.0), &self.marks)
    }
}

/// Returns what tells an id from others of the same millisecond: the random part of a record's
/// id, most of a span's.
fn mark(id: &str) -> &str {
    id.get(id.len().saturating_sub(12)..).unwrap_or(id)
}

/// Returns the error of a cursor that is none.
pub(super) fn malformed(part: Invalid, field: &str) -> ApiError {
    ApiError::invalid_field(part, field, "Invalid cursor")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_read_as_they_are_written() {
        for cursor in [
            Cursor { time: Millis(1_700_000_000_000), marks: Vec::new() },
            Cursor { time: Millis(-5), marks: vec!["0af3".to_owned(), "77".to_owned()] },
        ] {
            assert_eq!(Cursor::read(&cursor.text()), Some(cursor));
        }
        for odd in ["", "t", "5", "tx", "t5.", "t5.a..b", "t5.ü", "t99999999999999999999"] {
            assert_eq!(Cursor::read(odd), None, "{odd}");
            assert_eq!(Arrived::read(&odd.replacen('t', "p", 1)), None, "{odd}");
        }
        let place = Arrived { position: 7, marks: vec!["a1".to_owned()] };
        assert_eq!(Arrived::read(&place.text()), Some(place));
        assert_eq!(Arrived::read("p-1"), None);
    }

    #[test]
    fn a_page_knows_whether_there_are_more() {
        assert_eq!(pagination(5, 0, 3), json!({"total": 5, "page": 0, "perPage": 3, "hasMore": true}));
        assert_eq!(pagination(6, 1, 3)["hasMore"], false);
        assert_eq!(pagination(6, u64::MAX, u64::MAX)["hasMore"], false);
    }
}
