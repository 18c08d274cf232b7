//! The description of the API as an `OpenAPI` 3.1 document, made from the route table.

use std::sync::{Arc, OnceLock};

use axum::{Extension, response::IntoResponse};
use bytes::Bytes;
use http::{Method, header};
use serde_json::{Map, Value, json};

use super::{
    access::PARAMETER,
    endpoint::{Answers, Endpoint},
    limited::Work,
};

/// The document, serialised at the first request.
#[derive(Debug)]
pub(super) struct Description {
    /// Rows with the prefix their paths have.
    rows: Vec<(String, Arc<[Endpoint]>)>,
    /// Whether callers are asked who they are.
    asks_who: bool,
    document: OnceLock<Bytes>,
}

impl Description {
    /// Describes these endpoints.
    pub(super) fn new(prefix: &str, outside: &Arc<[Endpoint]>, inside: &Arc<[Endpoint]>, asks_who: bool) -> Self {
        let rows = vec![(String::new(), Arc::clone(outside)), (prefix.to_owned(), Arc::clone(inside))];
        Self { rows, asks_who, document: OnceLock::new() }
    }

    fn bytes(&self) -> Bytes {
        self.document.get_or_init(|| Bytes::from(self.build().to_string())).clone()
    }

    fn build(&self) -> Value {
        let mut paths = Map::new();
        for (prefix, endpoints) in &self.rows {
            for endpoint in endpoints.iter() {
                let path = paths.entry(format!("{prefix}{}", endpoint.template())).or_insert_with(|| json!({}));
                path[endpoint.method.as_str().to_ascii_lowercase()] = self.operation(endpoint);
            }
        }
        let mut components = json!({"schemas": {"Error": error()}});
        if self.asks_who {
            components["securitySchemes"] = json!({
                "token": {"type": "http", "scheme": "bearer"},
                "apiKey": {"type": "apiKey", "in": "query", "name": PARAMETER},
            });
        }
        json!({
            "openapi": "3.1.0",
            "info": {"title": "Hotbay", "version": env!("CARGO_PKG_VERSION")},
            "paths": paths,
            "components": components,
        })
    }

    fn operation(&self, endpoint: &Endpoint) -> Value {
        let mut operation = operation(endpoint);
        if let Some(role) = endpoint.access.role.filter(|_| self.asks_who) {
            operation["security"] = json!([{"token": []}, {"apiKey": []}]);
            operation["x-role"] = role.as_str().into();
        }
        operation
    }
}

/// Where the description is.
pub(super) const PATH: &str = "/openapi.json";

/// Returns the description.
pub(super) async fn document(Extension(description): Extension<Arc<Description>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], description.bytes())
}

fn operation(endpoint: &Endpoint) -> Value {
    let mut parameters: Vec<Value> = endpoint
        .parameters()
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
        .collect();
    if let Some(query) = endpoint.takes.query {
        let required = query.source().get("required").and_then(Value::as_array);
        for (name, schema) in query.source().get("properties").and_then(Value::as_object).into_iter().flatten() {
            let is_required = required.is_some_and(|required| required.iter().any(|field| field == name));
            parameters.push(json!({"name": name, "in": "query", "required": is_required, "schema": schema}));
        }
    }
    let schema = match endpoint.answers {
        Answers::AnyJson => json!({}),
        Answers::Json(shape) => shape.source().clone(),
        Answers::Events | Answers::Chunks | Answers::Text => json!({"type": "string"}),
    };
    let mut operation = json!({
        "operationId": operation_id(endpoint),
        "summary": endpoint.summary,
        "tags": [endpoint.tag],
        "responses": {"200": {"description": "Success", "content": {endpoint.content_type(): {"schema": schema}}}},
    });
    for (status, description) in failures(endpoint) {
        operation["responses"][status] = failure(description);
    }
    if !parameters.is_empty() {
        operation["parameters"] = Value::Array(parameters);
    }
    if let Some(body) = endpoint.takes.body {
        let required = body.source().get("required").and_then(Value::as_array).is_some_and(|fields| !fields.is_empty());
        operation["requestBody"] =
            json!({"required": required, "content": {"application/json": {"schema": body.source()}}});
    }
    operation
}

/// Returns what may go wrong with any endpoint that takes the same things.
fn failures(endpoint: &Endpoint) -> Vec<(&'static str, &'static str)> {
    let takes = &endpoint.takes;
    let has_parameters = endpoint.parameters().next().is_some();
    let changes = endpoint.method != Method::GET;
    let limited = endpoint.work != Work::Vital;
    let known = [
        ("400", "The request makes no sense", true),
        ("401", "The caller does not say who they are", endpoint.access.role.is_some()),
        ("403", "It is not for this caller", true),
        ("404", "There is no such thing", has_parameters || takes.body.is_some() || takes.query.is_some()),
        ("408", "The body did not come in time", changes),
        ("409", "It is not in a state that allows this", changes),
        ("413", "The body is too long", changes),
        ("414", "The URL is too long", true),
        ("415", "The content type is not one that is read", changes),
        ("422", "It was understood, but cannot be done", changes),
        ("429", "There is too much of this now; try again later", limited),
        ("500", "It failed", true),
        ("501", "Nothing here does this", changes),
        ("502", "A plugin, or who it asked, failed", changes || has_parameters),
        ("503", "There is too much to do, or something is not there now; try again later", true),
        ("504", "It took too long", limited),
    ];
    known.into_iter().filter(|(.., applies)| *applies).map(|(status, description, _)| (status, description)).collect()
}

fn failure(description: &str) -> Value {
    json!({
        "description": description,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    })
}

/// Names an operation after its method and path: `get_agents_agentId`.
fn operation_id(endpoint: &Endpoint) -> String {
    let words = endpoint.path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let mut id = endpoint.method.as_str().to_ascii_lowercase();
    for word in words {
        id.push('_');
        id.push_str(word);
    }
    id
}

fn error() -> Value {
    json!({
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {"type": "string", "description": "A sentence for people"},
            "issues": {
                "type": "array",
                "description": "What is wrong with the request, and where",
                "items": {
                    "type": "object",
                    "required": ["field", "message"],
                    "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
                },
            },
            "details": {"description": "The same as issues, or what programs may want to know"},
        },
    })
}
