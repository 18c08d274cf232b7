//! Requests nobody would send: bodies, queries and paths made of whatever the endpoints say they take,
//! and of everything else. A caller's mistake is the caller's: none is answered with a 5xx.
//!
//! The sequence is the same in each run. What fails is printed and can be sent again.

use std::fmt::Write;

use axum::{body::Body as HttpBody, response::Response};
use fastrand::Rng;
use http::Request;
use serde_json::{Map, Value, json};
use tower::ServiceExt;

use super::Host;
use crate::http::{endpoint::Endpoint, endpoints, outside};

/// Requests to each endpoint.
const ROUNDS: usize = 24;
/// Objects and lists in each other.
const DEPTH: usize = 4;

/// Texts that mean something to somebody: paths, SQL, regular expressions, queries, logs, numbers.
const TEXTS: [&str; 20] = [
    "",
    "a",
    "..",
    "../../etc/passwd",
    "'; DROP TABLE threads; --",
    "\" OR 1=1 --",
    "(((((((a+)+)+)+)+)+)$",
    "[",
    "*:* AND NOT (level:",
    "a\nb\r\nINFO forged",
    "\u{0}",
    "\u{202e}\u{1f980}\u{fdfd}",
    "%00%2e%2e%2f",
    "{{7*7}}",
    "1e999",
    "-1",
    "18446744073709551616",
    "1970-01-01T00:00:00Z",
    "+275760-09-13T00:00:00.001Z",
    "__proto__",
];

fn text(rng: &mut Rng) -> String {
    if rng.u8(..20) == 0 {
        return "x".repeat(rng.usize(..5000));
    }
    TEXTS[rng.usize(..TEXTS.len())].to_owned()
}

fn number(rng: &mut Rng) -> Value {
    match rng.u8(..7) {
        0 => json!(0),
        1 => json!(-1),
        2 => json!(u64::MAX),
        3 => json!(i64::MIN),
        4 => json!(1e308),
        5 => json!(0.5),
        _ => json!(rng.u32(..50)),
    }
}

/// Anything.
fn any(rng: &mut Rng, depth: usize) -> Value {
    match rng.u8(..if depth == 0 { 5 } else { 7 }) {
        0 => Value::Null,
        1 => json!(rng.bool()),
        2 => number(rng),
        3 | 4 => text(rng).into(),
        5 => (0..rng.usize(..4)).map(|_| any(rng, depth - 1)).collect(),
        _ => (0..rng.usize(..4)).map(|_| (text(rng), any(rng, depth - 1))).collect::<Map<_, _>>().into(),
    }
}

/// Mostly what a schema asks for.
fn fitting(schema: &Value, rng: &mut Rng, depth: usize) -> Value {
    if depth == 0 || rng.u8(..6) == 0 {
        return any(rng, depth);
    }
    for choices in ["anyOf", "oneOf", "enum"] {
        if let Some(choices @ [_, ..]) = schema.get(choices).and_then(Value::as_array).map(Vec::as_slice) {
            let choice = &choices[rng.usize(..choices.len())];
            return if choice.is_object() { fitting(choice, rng, depth) } else { choice.clone() };
        }
    }
    let kind = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str),
        Some(kind) => kind.as_str(),
        None if schema.get("properties").is_some() => Some("object"),
        None => None,
    };
    match kind {
        Some("object") => {
            let mut object = Map::new();
            for (name, schema) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
                if rng.u8(..4) > 0 {
                    object.insert(name.clone(), fitting(schema, rng, depth - 1));
                }
            }
            if rng.u8(..4) == 0 {
                object.insert(text(rng), any(rng, depth - 1));
            }
            object.into()
        }
        Some("array") => {
            let items = schema.get("items").unwrap_or(&Value::Null);
            (0..rng.usize(..4)).map(|_| fitting(items, rng, depth - 1)).collect()
        }
        Some("string") => text(rng).into(),
        Some("integer" | "number") => number(rng),
        Some("boolean") => json!(rng.bool()),
        _ => any(rng, depth - 1),
    }
}

fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut all, byte| {
        write!(all, "%{byte:02X}").expect("a text takes everything");
        all
    })
}

/// A path, its parameters filled with texts, and a query.
fn target(prefix: &str, endpoint: &Endpoint, rng: &mut Rng) -> String {
    let filled: Vec<String> = endpoint
        .path
        .split('/')
        .map(|segment| match segment.strip_prefix(':') {
            // An empty one is another path.
            Some(_) => encoded(Some(text(rng)).filter(|text| !text.is_empty()).as_deref().unwrap_or("x")),
            None => segment.to_owned(),
        })
        .collect();
    let mut target = format!("{prefix}{}?", filled.join("/"));
    let query = endpoint.takes.query.and_then(|query| query.source().get("properties")?.as_object());
    for (name, schema) in query.into_iter().flatten() {
        if rng.u8(..3) > 0 {
            let value = match fitting(schema, rng, DEPTH) {
                Value::String(text) => text,
                other => other.to_string(),
            };
            let brackets = if rng.u8(..8) == 0 { "[x][]" } else { "" };
            write!(target, "{}{brackets}={}&", encoded(name), encoded(&value)).expect("a text takes everything");
        }
    }
    target
}

#[tokio::test]
async fn whatever_is_asked_is_no_mistake_of_the_server() {
    let host = Host::with(|config| config.body_limit = 1 << 20).await;
    let outside = outside().into_iter().map(|endpoint| ("", endpoint));
    let mut rng = Rng::with_seed(6);
    let mut failed = Vec::new();
    for (prefix, endpoint) in outside.chain(endpoints().into_iter().map(|endpoint| ("/api", endpoint))) {
        for _ in 0..ROUNDS {
            let target = target(prefix, &endpoint, &mut rng);
            let body = match endpoint.takes.body {
                Some(shape) => fitting(shape.source(), &mut rng, DEPTH).to_string(),
                None => any(&mut rng, DEPTH).to_string(),
            };
            let request = Request::builder().method(&endpoint.method).uri(&target);
            let request = request.header("content-type", "application/json").body(HttpBody::from(body.clone()));
            // What is no URL is not let in.
            let Ok(request) = request else { continue };
            let response: Response = host.router.clone().oneshot(request).await.unwrap();
            if response.status().is_server_error() {
                let status = response.status();
                let answer = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
                failed.push(format!(
                    "{} {target}\n  {body}\n  {status} {}",
                    endpoint.method,
                    String::from_utf8_lossy(&answer)
                ));
            }
        }
    }
    assert!(failed.is_empty(), "{} requests failed:\n{}", failed.len(), failed.join("\n"));
    assert_eq!(host.get("/health").await.status, 200);
}
