//! What a predicate may ask about, and which values there are: for whoever offers predicates
//! to people. Values are those of the newest records of the time asked about.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    TimeRange,
    fields::{self, Field, Kind, Scope},
    wrong,
};
use crate::{
    app::AppState,
    http::{error::ApiError, extract::Body, observability::traces::roots},
    observe::{Observe, Order, Window, filter::Filter, record::Record},
    types::span::Span,
};

/// How many of the newest records are looked at.
const NEWEST: u64 = 2000;
/// Fields or values that are returned if the caller does not say.
const LIMIT: usize = 25;

const TEXT: [&str; 6] = ["eq", "ne", "in", "notIn", "exists", "notExists"];
const ORDERED: [&str; 10] = ["eq", "ne", "in", "notIn", "exists", "notExists", "lt", "lte", "gt", "gte"];
const PRESENCE: [&str; 2] = ["exists", "notExists"];
const LIST: [&str; 4] = ["includes", "notIncludes", "exists", "notExists"];

/// Which fields are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct FieldsRequest {
    /// Of records of this time.
    time_range: TimeRange,
    /// Of what.
    #[schemars(schema_with = "scopes")]
    predicate_scope: String,
    /// What their paths must hold.
    #[serde(default)]
    #[schemars(length(max = 256))]
    search: Option<String>,
    /// How many at most.
    #[serde(default)]
    #[schemars(range(min = 1, max = 100))]
    limit: Option<u64>,
}

/// Which values are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
pub(in crate::http) struct ValuesRequest {
    #[serde(flatten)]
    of: FieldsRequest,
    /// The field.
    #[schemars(length(min = 1, max = 128))]
    path: String,
}

fn scopes(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": ["trace", "spans", "scores", "feedback"]})
}

impl FieldsRequest {
    /// Returns the scope; there are no scores and no feedback here.
    fn scope(&self) -> Option<Scope> {
        match self.predicate_scope.as_str() {
            "trace" => Some(Scope::Trace),
            "spans" => Some(Scope::Spans),
            _ => None,
        }
    }

    fn search(&self) -> String {
        self.search.as_deref().unwrap_or_default().trim().to_lowercase()
    }

    fn limit(&self) -> usize {
        self.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(LIMIT)
    }

    /// Calls `each` with the newest records.
    async fn newest(&self, observe: &Observe, scope: Scope, mut each: impl FnMut(&Span)) -> Result<(), ApiError> {
        let anchors = if scope == Scope::Trace { roots() } else { Filter::All };
        let filter = anchors.and(Filter::Time(self.time_range.between()?));
        let window = Window { order: Order::NewestFirst, offset: 0, limit: NEWEST };
        observe.spans(filter, window).await?.records.iter().for_each(|span| each(span));
        Ok(())
    }
}

/// Returns what a predicate may ask about.
pub(in crate::http) async fn fields(
    State(app): State<AppState>,
    Body(request): Body<FieldsRequest>,
) -> Result<Json<Value>, ApiError> {
    request.time_range.between()?;
    let (search, limit) = (request.search(), request.limit());
    let is_wanted = |path: &str| path.to_lowercase().contains(&search);
    let Some(scope) = request.scope() else {
        return Ok(Json(json!({"canonicalFields": [], "observedFields": [], "observedFieldsTruncated": false})));
    };
    let canonical: Vec<Value> =
        fields::of(scope).into_iter().filter(|(path, _, _)| is_wanted(path)).map(described).collect();
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    request
        .newest(&app.observe, scope, |span| {
            for (name, _) in span.metadata.iter().filter(|(_, value)| value.is_string()) {
                let path = format!("metadata.{name}");
                if is_wanted(&path) {
                    *seen.entry(path).or_default() += 1;
                }
            }
        })
        .await?;
    let (seen, is_truncated) = most(seen, limit);
    let observed: Vec<Value> = seen
        .into_iter()
        .map(|(path, count)| {
            json!({"path": path, "valueKind": "string", "operators": TEXT, "valueSuggestions": true,
                "occurrences": count})
        })
        .collect();
    Ok(Json(json!({
        "canonicalFields": canonical,
        "observedFields": observed,
        "observedFieldsTruncated": is_truncated,
    })))
}

/// Returns the values of a field, those that are met most first.
pub(in crate::http) async fn values(
    State(app): State<AppState>,
    Body(request): Body<ValuesRequest>,
) -> Result<Json<Value>, ApiError> {
    let (of, path) = (&request.of, request.path.as_str());
    of.time_range.between()?;
    let Some(scope) = of.scope() else { return Ok(Json(json!({"values": [], "valuesTruncated": false}))) };
    let is_suggested = path.starts_with("metadata.")
        || fields::of(scope).iter().any(|(known, _, is_suggested)| *known == path && *is_suggested);
    let Some(field) = fields::find(scope, path).filter(|_| is_suggested) else {
        return Err(wrong("path", "Value suggestions are not available for this path"));
    };
    let search = of.search();
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    let mut add = |value: &str| {
        if value.to_lowercase().contains(&search) {
            *seen.entry(value.to_owned()).or_default() += 1;
        }
    };
    of.newest(&app.observe, scope, |span| match &field {
        Field::Key(key) => Record::Span(span).get(*key).into_iter().for_each(&mut add),
        Field::Tags => span.tags.iter().for_each(|tag| add(tag)),
        Field::Metadata(name) => span.metadata.get(name).and_then(Value::as_str).into_iter().for_each(&mut add),
        Field::Start | Field::End | Field::Duration | Field::Error | Field::Unknown => {}
    })
    .await?;
    let (seen, is_truncated) = most(seen, of.limit());
    let values: Vec<Value> = seen.into_iter().map(|(value, count)| json!({"value": value, "count": count})).collect();
    Ok(Json(json!({"values": values, "valuesTruncated": is_truncated})))
}

fn described((path, field, is_suggested): fields::Row) -> Value {
    let (kind, operators): (_, &[&str]) = match field.kind() {
        Kind::Text => ("string", &TEXT),
        Kind::Number => ("number", &ORDERED),
        Kind::Time => ("timestamp", &ORDERED),
        Kind::Presence => ("presence", &PRESENCE),
        Kind::List => ("array", &LIST),
    };
    json!({"path": path, "valueKind": kind, "operators": operators, "valueSuggestions": is_suggested})
}

/// Returns those that were met most, and whether there are more.
fn most(seen: BTreeMap<String, u64>, limit: usize) -> (Vec<(String, u64)>, bool) {
    let mut seen: Vec<(String, u64)> = seen.into_iter().collect();
    seen.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| left.0.cmp(&right.0)));
    let is_truncated = seen.len() > limit;
    seen.truncate(limit);
    (seen, is_truncated)
}
