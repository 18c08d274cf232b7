//! Lists of scores and of feedback.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{document, filter::Filters};
use crate::{
    app::AppState,
    http::{
        error::{ApiError, Invalid},
        observability::{
            page::{self, PageQuery},
            traces::direction,
        },
    },
    store::verdicts::{Verdict, VerdictKind, VerdictOrder, VerdictQuery},
    types::id,
};

/// Which are listed, in which order.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(in crate::http) struct ListQuery {
    #[serde(flatten)]
    filters: Filters,
    #[serde(flatten)]
    page: PageQuery,
    /// By what the list is ordered; feedback by its time only.
    #[schemars(schema_with = "field")]
    field: Option<String>,
    /// Which way; the newest or largest first if absent.
    #[schemars(schema_with = "direction")]
    direction: Option<String>,
}

fn field(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": ["timestamp", "score"]})
}

impl ListQuery {
    /// Returns those of the page, or what is new, under `name` beside what is said about it.
    pub(super) async fn list(&self, app: &AppState, kind: VerdictKind, name: &str) -> Result<Value, ApiError> {
        let mut query = self.filters.query(kind, Invalid::Query)?;
        if self.page.is_delta() {
            return self.news(app, query, name).await;
        }
        let is_ascending = self.direction.as_deref() == Some("ASC");
        if is_ascending {
            query.order = VerdictOrder::Oldest;
        }
        let cursor = id::fresh();
        let (page, per_page) = self.page.numbers();
        let offset = page.saturating_mul(per_page);
        let wanted = offset..offset.saturating_add(per_page);
        let mut total = 0;
        let mut shown = Vec::new();
        let mut values = Vec::new();
        let is_by_value = kind == VerdictKind::Score && self.field.as_deref() == Some("score");
        let read = self.filters.read(&app.store, &query, |verdict, document| {
            if is_by_value {
                values.push((document.get(kind.value()).and_then(Value::as_f64).unwrap_or_default(), verdict.id));
            } else if wanted.contains(&total) {
                shown.push(document::shown(&verdict, document));
            }
            total += 1;
            true
        });
        read.await?;
        // Equal ones stay in the order of their times.
        values.sort_by(
            |(left, _), (right, _)| {
                if is_ascending { left.total_cmp(right) } else { right.total_cmp(left) }
            },
        );
        let (offset, limit) = (index(offset), index(per_page));
        for (_, id) in values.iter().skip(offset).take(limit) {
            // It may be gone since it was read.
            if let Some(verdict) = app.store.verdicts().get(kind, id).await? {
                shown.push(document::shown(&verdict, document::read(&verdict)?));
            }
        }
        Ok(json!({"pagination": page::pagination(total, page, per_page), "deltaCursor": cursor, name: shown}))
    }

    /// Returns what came in after a cursor; without one, nothing, and the present one.
    async fn news(&self, app: &AppState, query: VerdictQuery, name: &str) -> Result<Value, ApiError> {
        let limit = self.page.limit();
        let Some(after) = self.page.after() else {
            let delta = json!({"limit": limit, "hasMore": false});
            return Ok(json!({"delta": delta, "deltaCursor": id::fresh(), name: []}));
        };
        if !after.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') {
            return Err(page::malformed(Invalid::Query, "after"));
        }
        let query = VerdictQuery { order: VerdictOrder::Arrival, after: Some(after.to_owned()), ..query };
        let (mut cursor, mut has_more) = (after.to_owned(), false);
        let mut shown = Vec::new();
        let read = self.filters.read(&app.store, &query, |verdict, document| {
            has_more = shown.len() == index(limit);
            if has_more {
                return false;
            }
            cursor.clone_from(&verdict.arrival);
            shown.push(document::shown(&verdict, document));
            true
        });
        read.await?;
        Ok(json!({"delta": {"limit": limit, "hasMore": has_more}, "deltaCursor": cursor, name: shown}))
    }
}

/// Returns the scores of a span, and how many there are.
pub(super) async fn of_span(
    app: &AppState,
    trace_id: String,
    span_id: String,
    page: (u64, u64),
) -> Result<(Vec<Verdict>, u64), ApiError> {
    let query = VerdictQuery {
        trace_id: Some(trace_id),
        span_id: Some(span_id),
        ..VerdictQuery::all(VerdictKind::Score, VerdictOrder::Newest)
    };
    let wanted = page.0.saturating_mul(page.1)..page.0.saturating_add(1).saturating_mul(page.1);
    let (mut found, mut total) = (Vec::new(), 0);
    let verdicts = app.store.verdicts();
    let read = verdicts.read(&query, |verdict| {
        if wanted.contains(&total) {
            found.push(verdict);
        }
        total += 1;
        true
    });
    read.await?;
    Ok((found, total))
}

fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
