//! Which values there are to look for: the menus of whoever shows traces and logs.

use std::collections::BTreeSet;

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::context::{ENTITY_TYPES, entity_type};
use crate::{
    app::AppState,
    http::{error::ApiError, extract::Query},
    observe::{Observe, attrs::Key, filter::Filter, record::RecordKind},
};

/// Whose values are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct EntityQuery {
    /// Those of such entities only.
    #[serde(default)]
    #[schemars(schema_with = "entity_type")]
    entity_type: Option<String>,
}

impl EntityQuery {
    fn filter(&self) -> Filter {
        self.entity_type.as_deref().map_or(Filter::All, |kind| Filter::is(Key::EntityType, kind))
    }
}

/// What entities there are.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct EntityTypes {
    /// In order.
    entity_types: Vec<String>,
}

/// Names.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::http) struct Names {
    /// In order.
    pub(super) names: Vec<String>,
}

/// Services.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct ServiceNames {
    /// In order.
    service_names: Vec<String>,
}

/// Environments.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::http) struct Environments {
    /// In order.
    environments: Vec<String>,
}

/// Tags.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::http) struct Tags {
    /// In order.
    tags: Vec<String>,
}

/// Returns what entities there are spans of.
pub(in crate::http) async fn entity_types(State(app): State<AppState>) -> Result<Json<EntityTypes>, ApiError> {
    let mut entity_types = app.observe.values(RecordKind::Spans, Key::EntityType, Filter::All).await?;
    // Clients know these only.
    entity_types.retain(|kind| ENTITY_TYPES.contains(&kind.as_str()));
    Ok(Json(EntityTypes { entity_types }))
}

/// Returns the names of entities.
pub(in crate::http) async fn entity_names(
    State(app): State<AppState>,
    Query(query): Query<EntityQuery>,
) -> Result<Json<Names>, ApiError> {
    let names = app.observe.values(RecordKind::Spans, Key::EntityName, query.filter()).await?;
    Ok(Json(Names { names }))
}

/// Returns the services that sent spans or log records.
pub(in crate::http) async fn service_names(State(app): State<AppState>) -> Result<Json<ServiceNames>, ApiError> {
    Ok(Json(ServiceNames { service_names: of_both(&app.observe, Key::ServiceName).await? }))
}

/// Returns where they are deployed.
pub(in crate::http) async fn environments(State(app): State<AppState>) -> Result<Json<Environments>, ApiError> {
    Ok(Json(Environments { environments: of_both(&app.observe, Key::Environment).await? }))
}

/// Returns the tags of spans.
pub(in crate::http) async fn tags(
    State(app): State<AppState>,
    Query(query): Query<EntityQuery>,
) -> Result<Json<Tags>, ApiError> {
    let tags = app.observe.values(RecordKind::Spans, Key::Tag, query.filter()).await?;
    Ok(Json(Tags { tags }))
}

async fn of_both(observe: &Observe, key: Key) -> Result<Vec<String>, ApiError> {
    let mut values = BTreeSet::new();
    for kind in RecordKind::ALL {
        values.extend(observe.values(kind, key, Filter::All).await?);
    }
    Ok(values.into_iter().collect())
}
