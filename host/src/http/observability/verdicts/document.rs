//! What a score or feedback says: a document with the fields of the API, those that were not
//! given are null.

use schemars::{Schema, json_schema};
use serde_json::{Map, Value, json};

use crate::{
    http::{error::ApiError, observability::context::ENTITY_TYPES},
    store::{
        StoreError,
        verdicts::{Verdict, VerdictKind},
    },
    types::id::{self, Millis},
};

/// What both say of where they belong, texts all of them.
const COMMON: [&str; 28] = [
    "traceId",
    "spanId",
    "source",
    "entityType",
    "entityId",
    "entityName",
    "parentEntityType",
    "parentEntityId",
    "parentEntityName",
    "rootEntityType",
    "rootEntityId",
    "rootEntityName",
    "userId",
    "organizationId",
    "resourceId",
    "runId",
    "sessionId",
    "threadId",
    "requestId",
    "environment",
    "serviceName",
    "entityVersionId",
    "parentEntityVersionId",
    "rootEntityVersionId",
    "experimentId",
    "executionSource",
    "scope",
    "metadata",
];
const OF_SCORES: [&str; 6] = ["scorerName", "scorerVersion", "scoreSource", "reason", "scoreTraceId", "scoreId"];
const OF_FEEDBACK: [&str; 5] = ["feedbackSource", "comment", "feedbackUserId", "sourceId", "feedbackId"];

/// How feedback stands.
pub(super) const REVIEW_STATUS: &str = "reviewStatus";
pub(super) const REVIEW_STATUSES: [&str; 2] = ["needs-review", "reviewed"];

impl VerdictKind {
    /// Returns the field that names one.
    pub(super) fn id(self) -> &'static str {
        match self {
            Self::Score => "scoreId",
            Self::Feedback => "feedbackId",
        }
    }

    /// Returns the field that says what it is about.
    pub(super) fn about(self) -> &'static str {
        match self {
            Self::Score => "scorerId",
            Self::Feedback => "feedbackType",
        }
    }

    /// Returns the field that has its value.
    pub(super) fn value(self) -> &'static str {
        match self {
            Self::Score => "score",
            Self::Feedback => "value",
        }
    }

    fn fields(self) -> impl Iterator<Item = &'static str> {
        let own: &[&str] = match self {
            Self::Score => &OF_SCORES,
            Self::Feedback => &OF_FEEDBACK,
        };
        COMMON.iter().chain(own).copied()
    }
}

/// Whether a document has such a field.
pub(in crate::http::observability) fn is_field(kind: VerdictKind, name: &str) -> bool {
    let is_own = ["timestamp", "tags", kind.about(), kind.value()].contains(&name);
    is_own || kind.fields().any(|it| it == name) || (kind == VerdictKind::Feedback && name == REVIEW_STATUS)
}

/// Returns the schema of what is to be kept.
pub(super) fn schema(kind: VerdictKind) -> Schema {
    let property = |name: &'static str| {
        let schema = match name {
            "entityType" | "parentEntityType" | "rootEntityType" => {
                let known: Vec<_> = ENTITY_TYPES.iter().map(|it| json!(it)).chain([Value::Null]).collect();
                json!({"enum": known, "nullable": true})
            }
            "scope" | "metadata" => json!({"type": ["object", "null"], "nullable": true}),
            _ => json!({"type": ["string", "null"], "nullable": true}),
        };
        (name.to_owned(), schema)
    };
    let mut properties: Map<String, Value> = kind.fields().map(property).collect();
    properties
        .insert("tags".to_owned(), json!({"type": ["array", "null"], "items": {"type": "string"}, "nullable": true}));
    properties.insert(kind.about().to_owned(), json!({"type": "string"}));
    let value = match kind {
        VerdictKind::Score => json!({"type": "number"}),
        VerdictKind::Feedback => {
            properties.insert(REVIEW_STATUS.to_owned(), json!({"type": "string", "enum": REVIEW_STATUSES}));
            json!({"type": ["number", "string"]})
        }
    };
    properties.insert(kind.value().to_owned(), value);
    json_schema!({"type": "object", "required": [kind.about(), kind.value()], "properties": properties})
}

/// Returns what is kept of what a caller sent, which fits the [`schema`].
pub(super) fn made(kind: VerdictKind, mut sent: Map<String, Value>, now: Millis) -> Verdict {
    let mut document = Map::new();
    let known = [kind.about(), kind.value(), "tags"].into_iter().chain(kind.fields());
    for name in known {
        if let Some(value) = sent.remove(name).filter(|value| !value.is_null()) {
            document.insert(name.to_owned(), value);
        }
    }
    if kind == VerdictKind::Feedback {
        let status = sent.remove(REVIEW_STATUS).unwrap_or_else(|| REVIEW_STATUSES[0].into());
        document.insert(REVIEW_STATUS.to_owned(), status);
    }
    let text = |name: &str| document.get(name).and_then(Value::as_str).map(str::to_owned);
    Verdict {
        kind,
        id: text(kind.id()).filter(|id| !id.is_empty()).unwrap_or_else(id::fresh),
        about: text(kind.about()).unwrap_or_default(),
        trace_id: text("traceId"),
        span_id: text("spanId"),
        organization_id: text("organizationId"),
        resource_id: text("resourceId"),
        at: now.0,
        arrival: id::fresh(),
        document: Value::Object(document).to_string(),
    }
}

/// Returns what a verdict says.
pub(in crate::http::observability) fn read(verdict: &Verdict) -> Result<Map<String, Value>, ApiError> {
    let read = serde_json::from_str(&verdict.document);
    Ok(read.map_err(|error| StoreError::unreadable("a score or feedback", error))?)
}

/// Returns a verdict as clients see it.
pub(in crate::http::observability) fn shown(verdict: &Verdict, mut document: Map<String, Value>) -> Value {
    let kind = verdict.kind;
    document.insert(kind.id().to_owned(), verdict.id.as_str().into());
    document.insert("timestamp".to_owned(), Millis(verdict.at).iso().into());
    for name in kind.fields().chain(["tags"]) {
        if !document.contains_key(name) {
            document.insert(name.to_owned(), Value::Null);
        }
    }
    Value::Object(document)
}
