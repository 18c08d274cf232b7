//! A request to any route: of a host without plugins, in one process, to be answered without a 5xx.
//!
//! The first two bytes choose the route; up to a line feed there are its parameters and its query,
//! separated by spaces; the rest is the body.
#![no_main]

use std::sync::LazyLock;

use axum::{Router, body::Body};
use hotbay::{
    app::{App, AppState},
    config::{Config, Flags},
};
use http::Request;
use http_body_util::BodyExt;
use libfuzzer_sys::fuzz_target;
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tower::ServiceExt;

/// A host, and what can be asked of it.
struct Host {
    runtime: Runtime,
    router: Router,
    /// Methods and paths.
    routes: Vec<(String, String)>,
    _app: AppState,
    _directory: TempDir,
}

static HOST: LazyLock<Host> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let directory = TempDir::new().unwrap();
    let mut config = Config::load_with(&Flags::default(), &|_| None).unwrap();
    config.data = directory.path().to_owned();
    config.plugin_dirs = Vec::new();
    config.watch = false;
    config.body_limit = 1 << 20;
    let app = runtime.block_on(App::start(config)).unwrap();
    let router = hotbay::http::router(AppState::clone(&app));
    let request = Request::get("/api/openapi.json").body(Body::empty()).unwrap();
    let description: Value = runtime.block_on(async {
        let answer = router.clone().oneshot(request).await.unwrap();
        serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap()
    });
    let mut routes = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            // It is never answered to its end.
            if path != "/api/events" {
                routes.push((method.to_uppercase(), path.clone()));
            }
        }
    }
    Host { runtime, router, routes, _app: app, _directory: directory }
});

/// Puts parameters in their places in a path, and what is left of them into a query.
fn target(path: &str, said: &[u8]) -> String {
    let mut said = said.split(|byte| *byte == b' ');
    let mut target = String::new();
    for piece in path.split_inclusive('}') {
        let (fixed, parameter) = piece.split_once('{').map_or((piece, false), |(fixed, _)| (fixed, true));
        target.push_str(fixed);
        if parameter {
            let value = said.next().filter(|value| !value.is_empty()).unwrap_or(b"x");
            target.extend(percent_encode(value, NON_ALPHANUMERIC));
        }
    }
    target.push('?');
    for pair in said {
        let (name, value) = match pair.iter().position(|byte| *byte == b'=') {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &[][..]),
        };
        target.extend(percent_encode(name, NON_ALPHANUMERIC));
        target.push('=');
        target.extend(percent_encode(value, NON_ALPHANUMERIC));
        target.push('&');
    }
    target
}

fuzz_target!(|bytes: &[u8]| {
    let Some((route, rest)) = bytes.split_first_chunk::<2>() else { return };
    let host = &*HOST;
    let (method, path) = &host.routes[usize::from(u16::from_le_bytes(*route)) % host.routes.len()];
    let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    let body = rest.get(end + 1..).unwrap_or_default().to_vec();
    let request = Request::builder().method(method.as_str()).uri(target(path, &rest[..end]));
    let Ok(request) = request.header("content-type", "application/json").body(Body::from(body)) else { return };
    let status = host.runtime.block_on(async {
        let answer = host.router.clone().oneshot(request).await.unwrap();
        let status = answer.status();
        // Some answers have no end.
        let read = answer.into_body().collect();
        drop(tokio::time::timeout(std::time::Duration::from_secs(1), read).await);
        status
    });
    assert!(!status.is_server_error(), "{method} {path} is answered with {status}");
});
