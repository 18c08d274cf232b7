//! What spans, log records and metrics are all found by: whose work they are, what they belong
//! to. Each parameter that is given must hold.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    http::error::{ApiError, FieldIssue, Invalid},
    observe::{attrs::Key, filter::Filter},
};

/// Texts longer than this, in bytes, are not looked for.
const LONGEST: usize = 4096;

/// What an entity can be.
pub(super) const ENTITY_TYPES: [&str; 15] = [
    "agent",
    "scorer",
    "rag_ingestion",
    "trajectory",
    "input_processor",
    "input_step_processor",
    "output_processor",
    "output_step_processor",
    "tool_result_processor",
    "workflow_step",
    "tool",
    "mcp_server",
    "workflow_run",
    "memory",
    PLUGIN,
];

/// The kind of entity that clients made for the reference server do not know.
pub(super) const PLUGIN: &str = "plugin";

/// What records are found by.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub(in crate::http) struct ContextQuery {
    /// The trace.
    pub(super) trace_id: Option<String>,
    /// What the entity is.
    #[schemars(schema_with = "entity_type")]
    pub(super) entity_type: Option<String>,
    /// The entity's id.
    pub(super) entity_id: Option<String>,
    /// The entity's name.
    pub(super) entity_name: Option<String>,
    /// What the entity just around it is.
    #[schemars(schema_with = "entity_type")]
    parent_entity_type: Option<String>,
    /// That entity's id.
    parent_entity_id: Option<String>,
    /// That entity's name.
    parent_entity_name: Option<String>,
    /// What the outermost entity is.
    #[schemars(schema_with = "entity_type")]
    root_entity_type: Option<String>,
    /// That entity's id.
    root_entity_id: Option<String>,
    /// That entity's name.
    root_entity_name: Option<String>,
    /// The user, as the metadata names it.
    user_id: Option<String>,
    /// The organization, as the metadata names it.
    organization_id: Option<String>,
    /// Whom it belongs to.
    resource_id: Option<String>,
    /// The run.
    run_id: Option<String>,
    /// The session, as the metadata names it.
    session_id: Option<String>,
    /// The conversation.
    thread_id: Option<String>,
    /// The request.
    request_id: Option<String>,
    /// Where the service is deployed.
    environment: Option<String>,
    /// The service.
    service_name: Option<String>,
    /// The entity's version, as the metadata names it.
    entity_version_id: Option<String>,
    /// The version of the entity around it, as the metadata names it.
    parent_entity_version_id: Option<String>,
    /// The version of the outermost entity, as the metadata names it.
    root_entity_version_id: Option<String>,
    /// The experiment, as the metadata names it.
    experiment_id: Option<String>,
    /// Where it ran, as the metadata names it.
    source: Option<String>,
    /// Where it ran, as the metadata names it.
    execution_source: Option<String>,
    /// Tags it must all have.
    pub(super) tags: Option<Vec<String>>,
    /// The plugin.
    plugin: Option<String>,
    /// Words that are in its name, message, input, output or error.
    text: Option<String>,
    /// A query in the index's own syntax, over message or name and fields.
    q: Option<String>,
}

pub(super) fn entity_type(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": ENTITY_TYPES})
}

impl ContextQuery {
    /// Returns the condition that all that is given holds, but for the entities around it:
    /// [`super::around`] knows those. Log records know no entity: ask
    /// [`ContextQuery::without_entity`] for them.
    pub(super) fn filter(&self, part: Invalid) -> Result<Filter, ApiError> {
        Ok(self.without_entity(part)?.and(self.entity().unwrap_or_default()))
    }

    /// As [`ContextQuery::filter`], but for whose work it is.
    pub(super) fn without_entity(&self, part: Invalid) -> Result<Filter, ApiError> {
        let mut all: Vec<Filter> = keys([
            (Key::TraceId, &self.trace_id),
            (Key::ResourceId, &self.resource_id),
            (Key::RunId, &self.run_id),
            (Key::ThreadId, &self.thread_id),
            (Key::RequestId, &self.request_id),
            (Key::Environment, &self.environment),
            (Key::ServiceName, &self.service_name),
            (Key::Plugin, &self.plugin),
        ])
        .collect();
        let noted = [
            ("userId", &self.user_id),
            ("organizationId", &self.organization_id),
            ("sessionId", &self.session_id),
            ("entityVersionId", &self.entity_version_id),
            ("parentEntityVersionId", &self.parent_entity_version_id),
            ("rootEntityVersionId", &self.root_entity_version_id),
            ("experimentId", &self.experiment_id),
            ("source", &self.source),
            ("executionSource", &self.execution_source),
        ];
        for (name, value) in noted {
            if let Some(value) = value {
                all.push(Filter::Field(name.to_owned(), value.as_str().into()));
            }
        }
        for tag in self.tags.iter().flatten() {
            all.push(Filter::is(Key::Tag, tag.as_str()));
        }
        for (name, text, make) in [
            ("text", &self.text, Filter::Text as fn(String) -> Filter),
            ("q", &self.q, Filter::Query as fn(String) -> Filter),
        ] {
            if let Some(text) = text.as_ref().filter(|text| !text.trim().is_empty()) {
                all.push(make(short(text, part, name)?.to_owned()));
            }
        }
        Ok(and(all))
    }

    /// Returns the condition on the entity just around it, if one is asked for.
    pub(super) fn parent_entity(&self) -> Option<Filter> {
        entity(&self.parent_entity_type, &self.parent_entity_id, &self.parent_entity_name)
    }

    /// Returns the condition on the outermost entity, if one is asked for.
    pub(super) fn root_entity(&self) -> Option<Filter> {
        entity(&self.root_entity_type, &self.root_entity_id, &self.root_entity_name)
    }

    /// Returns what is asked for by the names of the API, all but tags and free text.
    pub(super) fn named(&self) -> [(&'static str, &Option<String>); 25] {
        [
            ("traceId", &self.trace_id),
            ("entityType", &self.entity_type),
            ("entityId", &self.entity_id),
            ("entityName", &self.entity_name),
            ("parentEntityType", &self.parent_entity_type),
            ("parentEntityId", &self.parent_entity_id),
            ("parentEntityName", &self.parent_entity_name),
            ("rootEntityType", &self.root_entity_type),
            ("rootEntityId", &self.root_entity_id),
            ("rootEntityName", &self.root_entity_name),
            ("userId", &self.user_id),
            ("organizationId", &self.organization_id),
            ("resourceId", &self.resource_id),
            ("runId", &self.run_id),
            ("sessionId", &self.session_id),
            ("threadId", &self.thread_id),
            ("requestId", &self.request_id),
            ("environment", &self.environment),
            ("serviceName", &self.service_name),
            ("entityVersionId", &self.entity_version_id),
            ("parentEntityVersionId", &self.parent_entity_version_id),
            ("rootEntityVersionId", &self.root_entity_version_id),
            ("experimentId", &self.experiment_id),
            ("source", &self.source),
            ("executionSource", &self.execution_source),
        ]
    }

    /// Returns the condition on whose work it is, if that is asked for.
    pub(super) fn entity(&self) -> Option<Filter> {
        entity(&self.entity_type, &self.entity_id, &self.entity_name)
    }
}

fn entity(kind: &Option<String>, id: &Option<String>, name: &Option<String>) -> Option<Filter> {
    let all: Vec<Filter> = keys([(Key::EntityType, kind), (Key::EntityId, id), (Key::EntityName, name)]).collect();
    (!all.is_empty()).then(|| and(all))
}

/// Returns a text that is short enough to look for.
pub(in crate::http) fn short<'a>(text: &'a str, part: Invalid, field: &str) -> Result<&'a str, ApiError> {
    if text.len() <= LONGEST {
        return Ok(text);
    }
    let message = format!("Too big: expected string to have <={LONGEST} characters");
    Err(ApiError::invalid(part, [FieldIssue::new(field, message)]))
}

/// Returns the conditions on keys that are asked for.
pub(super) fn keys<'a>(wanted: impl IntoIterator<Item = (Key, &'a Option<String>)>) -> impl Iterator<Item = Filter> {
    wanted.into_iter().filter_map(|(key, value)| Some(Filter::is(key, value.as_deref()?)))
}

/// Returns the condition that all of these hold.
pub(super) fn and(all: Vec<Filter>) -> Filter {
    all.into_iter().fold(Filter::All, Filter::and)
}

/// Returns the conditions that fields have these values; objects are looked into.
pub(super) fn fields(prefix: &str, wanted: &Map<String, Value>) -> Vec<Filter> {
    let mut all = Vec::new();
    for (name, value) in wanted {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            Value::Object(inner) if inner.is_empty() => all.push(Filter::HasField(path)),
            Value::Object(inner) => all.extend(fields(&path, inner)),
            Value::Null => all.push(Filter::Not(Box::new(Filter::HasField(path)))),
            value => all.push(Filter::Field(path, value.clone())),
        }
    }
    all
}
