//! Scores and feedback: there are none here, and clients that ask read that.

use axum::Json;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::page::{self, PageQuery};
use crate::http::extract::{Path, Query};

/// Which part is asked for.
#[derive(Debug, Deserialize, JsonSchema)]
pub(in crate::http) struct ListQuery {
    #[serde(flatten)]
    page: PageQuery,
}

fn empty(query: &PageQuery, name: &str) -> Value {
    let pagination = page::pagination(0, query.page.unwrap_or(0), query.per_page.unwrap_or(10));
    json!({"pagination": pagination, name: []})
}

/// Lists no scores.
pub(in crate::http) async fn scores(Query(query): Query<ListQuery>) -> Json<Value> {
    let mut answer = empty(&query.page, "scores");
    answer["deltaCursor"] = "0".into();
    Json(answer)
}

/// Lists no scores of a span.
pub(in crate::http) async fn scores_of_span(
    Path(_): Path<(String, String)>,
    Query(query): Query<ListQuery>,
) -> Json<Value> {
    Json(empty(&query.page, "scores"))
}

/// Lists no feedback.
pub(in crate::http) async fn feedback(Query(query): Query<ListQuery>) -> Json<Value> {
    let mut answer = empty(&query.page, "feedback");
    answer["deltaCursor"] = "0".into();
    Json(answer)
}
