//! What is on the wire: raw requests in, raw answers out.

mod access;
mod arbitrary;
mod bodies;
mod captured;
mod errors;
mod lapse;
mod limits;
mod logs;
mod metrics;
mod otlp;
mod queries;
mod routes;
mod runs;
mod trace_queries;
mod traces;
mod verdicts;

use axum::{Json, Router, body::Body as HttpBody, response::Response};
use http::Request;
use http_body_util::BodyExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;

use super::{
    endpoint::{Endpoint, get, post, tagged},
    endpoints,
    error::ApiError,
    extract::{Body, PathId, Query},
    outside, serve,
};
use crate::{
    app::{App, AppState},
    config::{Config, Flags},
};

const LIMIT: usize = 256;

/// A host, its router, and the directory it lives in.
struct Host {
    app: AppState,
    router: Router,
    _directory: TempDir,
}

/// An answer, read whole.
struct Answer {
    status: u16,
    headers: http::HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    #[track_caller]
    fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), "application/json", "{}", self.text());
        serde_json::from_slice(&self.body).unwrap()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Host {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let directory = TempDir::new().unwrap();
        let app = app(&directory, change).await;
        let router = serve(AppState::clone(&app), outside(), [endpoints(), probes()].concat());
        Self { app, router, _directory: directory }
    }

    async fn send(&self, request: Request<HttpBody>) -> Answer {
        let response: Response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    async fn ask(&self, method: &str, path: &str) -> Answer {
        self.send(Request::builder().method(method).uri(path).body(HttpBody::empty()).unwrap()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path).await
    }

    async fn post(&self, path: &str, body: &str) -> Answer {
        let request = Request::builder().method("POST").uri(path).header("content-type", "application/json");
        self.send(request.body(HttpBody::from(body.to_owned())).unwrap()).await
    }
}

async fn app(directory: &TempDir, change: impl FnOnce(&mut Config)) -> AppState {
    let mut config = Config::load_with(&Flags::default(), &|_| None).unwrap();
    config.data = directory.path().to_owned();
    config.plugin_dirs = Vec::new();
    config.watch = false;
    config.body_limit = LIMIT;
    change(&mut config);
    App::start(config).await.unwrap()
}

/// Endpoints that read everything a request can hold.
fn probes() -> Vec<Endpoint> {
    let endpoints = [
        post("/probe/order", order).says("Reads a body"),
        post("/probe/all-optional", all_optional).says("Reads a body of which nothing is required"),
        post("/probe/both/:id", both).says("Reads everything"),
        get("/probe/query", query).says("Reads a query"),
        get("/probe/panic", panics).says("Panics"),
        get("/probe/never", never).says("Is never answered"),
    ];
    tagged("probe", endpoints)
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Order {
    /// What.
    item: String,
    /// How many.
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<Size>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent_to: Option<Address>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Size {
    /// Fits a pocket.
    Small,
    /// Does not.
    Large,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Address {
    city: String,
    /// Which house.
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u32>,
}

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
struct Optional {
    name: Option<String>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Search {
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<Size>,
    #[serde(skip_serializing_if = "Option::is_none")]
    partial: Option<bool>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_by: Option<OrderBy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    since: Option<String>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct OrderBy {
    field: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u32>,
}

async fn order(Body(body): Body<Order>) -> Json<Order> {
    Json(body)
}

async fn all_optional(Body(body): Body<Optional>) -> Json<Optional> {
    Json(body)
}

async fn query(Query(query): Query<Search>) -> Json<Search> {
    Json(query)
}

async fn both(PathId(id): PathId, Query(_): Query<Search>, Body(body): Body<Order>) -> Result<Json<Order>, ApiError> {
    if id == "known" { Ok(Json(body)) } else { Err(ApiError::not_found(format!("Thing with id {id} not found"))) }
}

async fn panics() -> Json<Value> {
    panic!("a secret of the host")
}

async fn never() -> Json<Value> {
    std::future::pending().await
}
