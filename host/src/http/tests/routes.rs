//! Paths, methods, headers, and the endpoints that need nothing.

use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use serde_json::json;

use super::{Answer, Host, HttpBody, endpoints, outside};

#[track_caller]
fn not_found(answer: &Answer) {
    assert_eq!((answer.status, answer.text().as_str()), (404, "404 Not Found"));
    assert_eq!(answer.header("content-type"), "text/plain; charset=UTF-8");
}

#[tokio::test]
async fn what_is_not_there_is_text() {
    let host = Host::start().await;
    for path in ["/", "/nope", "/api", "/api/", "/api/nope", "/api/plugins/", "/health/", "/api/health", "/plugins"] {
        not_found(&host.get(path).await);
    }
}

#[tokio::test]
async fn a_wrong_method_is_not_there() {
    let host = Host::start().await;
    not_found(&host.ask("POST", "/health").await);
    not_found(&host.ask("DELETE", "/api/plugins").await);
    not_found(&host.ask("GET", "/api/plugins/x/reload").await);
    not_found(&host.ask("OPTIONS", "/api/plugins").await);
    not_found(&host.ask("BREW", "/api/plugins").await);
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let answer = Host::start().await.ask("HEAD", "/api/plugins").await;
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    assert_eq!(answer.header("content-type"), "application/json");
}

#[tokio::test]
async fn an_empty_prefix_is_none() {
    let host = Host::with(|config| config.prefix = "/".to_owned()).await;
    assert_eq!(host.get("/plugins").await.status, 200);
    assert_eq!(host.get("/health").await.status, 200);
    not_found(&host.get("/api/plugins").await);
    not_found(&host.ask("OPTIONS", "/plugins").await);
    not_found(&host.ask("DELETE", "/plugins").await);
}

#[tokio::test]
async fn a_browser_may_ask_from_anywhere_by_default() {
    let host = Host::start().await;
    let request = Request::options("/api/plugins")
        .header("origin", "https://a.example")
        .header("access-control-request-method", "POST");
    let answer = host.send(request.body(HttpBody::empty()).unwrap()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert_eq!(answer.header("access-control-allow-methods"), "GET,POST,PUT,PATCH,DELETE,OPTIONS");
    assert_eq!(
        answer.header("access-control-allow-headers"),
        "content-type,authorization,a2a-version,x-mastra-client-type,x-mastra-dev-playground,\
         last-event-id,mcp-session-id,mcp-protocol-version,mcp-method,mcp-name"
    );
    assert_eq!(answer.header("access-control-max-age"), "3600");
    let answer = host.get("/api/plugins").await;
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert_eq!(answer.header("access-control-expose-headers"), "content-length,x-requested-with,mcp-session-id");
}

#[tokio::test]
async fn configured_origins_are_echoed_and_others_are_not() {
    let host = Host::with(|config| config.cors_origins = vec!["https://a.example".to_owned()]).await;
    for (origin, allowed) in [("https://a.example", "https://a.example"), ("https://b.example", "")] {
        let request = Request::get("/api/plugins").header("origin", origin).body(HttpBody::empty()).unwrap();
        let answer = host.send(request).await;
        assert_eq!(answer.header("access-control-allow-origin"), allowed);
        assert_eq!(answer.header("access-control-allow-credentials"), "true");
    }
}

#[tokio::test]
async fn a_request_has_an_id_its_callers_or_a_fresh_one() {
    let host = Host::start().await;
    let request = Request::get("/health").header("x-request-id", "mine").body(HttpBody::empty()).unwrap();
    assert_eq!(host.send(request).await.header("x-request-id"), "mine");
    let (first, second) = (host.get("/nope").await, host.get("/nope").await);
    assert_eq!(first.header("x-request-id").len(), 36);
    assert_ne!(first.header("x-request-id"), second.header("x-request-id"));
}

#[tokio::test]
async fn a_panic_is_a_500_and_keeps_its_text() {
    let host = Host::start().await;
    let answer = host.get("/api/probe/panic").await;
    assert_eq!((answer.status, answer.json()), (500, json!({"error": "Internal server error"})));
    assert_eq!(answer.header("access-control-allow-origin"), "*", "a browser may read that it failed");
    assert_eq!(host.get("/health").await.status, 200);
}

#[tokio::test]
async fn what_needs_nothing_answers() {
    let host = Host::start().await;
    let cases = [
        ("/health", json!({"success": true})),
        ("/api/auth/capabilities", json!({"enabled": false, "login": null})),
        ("/api/auth/me", json!(null)),
        ("/api/scores/scorers", json!({})),
        ("/api/processors", json!({})),
        ("/api/plugins", json!({"plugins": []})),
    ];
    for (path, expected) in cases {
        let answer = host.get(path).await;
        assert_eq!((answer.status, answer.json()), (200, expected), "{path}");
    }
}

#[tokio::test]
async fn packages_say_what_the_configuration_says() {
    let host = Host::with(|config| config.system.storage_type = "LibSQLStore".to_owned()).await;
    let mut expected = json!({"packages": [], "isDev": false, "cmsEnabled": false,
        "liveKitConnectionRouteEnabled": false, "observabilityEnabled": true, "storageType": "LibSQLStore",
        "observabilityStorageType": "InMemoryStore", "observabilityRuntimeStrategy": "event-sourced",
        "observabilityStorageCapabilities": {"metrics": true, "logs": true, "deltaPolling": true, "traceQuery": true,
            "traceQueryRootDuration": true, "traceQueryDiscovery": true}});
    assert_eq!(host.get("/api/system/packages").await.json(), expected);
    let host = Host::with(|config| {
        config.system.storage_type = "LibSQLStore".to_owned();
        config.record.filter = "off".to_owned();
    });
    expected["observabilityEnabled"] = false.into();
    for name in ["observabilityRuntimeStrategy", "observabilityStorageCapabilities"] {
        expected.as_object_mut().unwrap().remove(name);
    }
    assert_eq!(host.await.get("/api/system/packages").await.json(), expected);
}

#[tokio::test]
async fn providers_are_listed_with_their_models() {
    let answer = Host::start().await.get("/api/agents/providers").await.json();
    let mock = answer["providers"].as_array().unwrap().iter().find(|provider| provider["id"] == "mock").unwrap();
    assert_eq!(mock["connected"], true);
}

#[tokio::test]
async fn an_unknown_plugin_is_404_whatever_is_asked_of_it() {
    let host = Host::start().await;
    assert_eq!(host.get("/api/plugins/x").await.status, 404);
    for action in ["reload", "rollback", "disable", "enable"] {
        let answer = host.ask("POST", &format!("/api/plugins/x/{action}")).await;
        assert_eq!((answer.status, answer.json()["details"].clone()), (404, json!({"code": "E_UNKNOWN_PLUGIN"})));
    }
}

#[tokio::test]
async fn the_description_lists_every_route() {
    let host = Host::start().await;
    let document = host.get("/api/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    let listed: usize = paths.values().map(|path| path.as_object().unwrap().len()).sum();
    assert_eq!(listed, outside().len() + endpoints().len() + super::probes().len());
    let mut ids = std::collections::HashSet::new();
    for (path, operations) in paths {
        for (method, operation) in operations.as_object().unwrap() {
            assert!(ids.insert(operation["operationId"].to_string()), "{method} {path}");
            assert!(!operation["summary"].as_str().unwrap().is_empty(), "{method} {path}");
            assert!(operation["responses"]["200"]["content"].is_object(), "{method} {path}");
            let parameters = operation["parameters"].as_array().map_or(0, Vec::len);
            assert!(parameters >= path.matches('{').count(), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn the_description_has_what_handlers_take() {
    let document = Host::start().await.get("/api/openapi.json").await.json();
    let order = &document["paths"]["/api/probe/both/{id}"]["post"];
    let body = &order["requestBody"];
    assert_eq!(body["required"], true);
    let schema = &body["content"]["application/json"]["schema"];
    assert_eq!(schema["required"], json!(["item"]));
    assert_eq!(schema["properties"]["size"]["enum"], json!(["small", "large"]));
    assert_eq!(schema["properties"]["count"]["type"], "integer");
    assert_eq!(
        order["parameters"][0],
        json!({"name": "id", "in": "path", "required": true, "schema": {"type": "string"}})
    );
    assert_eq!(order["parameters"][1]["name"], "page");
    assert_eq!(order["parameters"][1]["in"], "query");
    let health = &document["paths"]["/health"]["get"]["responses"]["200"]["content"]["application/json"]["schema"];
    assert_eq!(health["properties"]["success"]["type"], "boolean");
}

#[tokio::test]
async fn events_are_neither_cached_nor_held_back() {
    let frames = stream::iter([Bytes::from_static(b"data: 1\n\n"), Bytes::from_static(b"data: [DONE]\n\n")]);
    let response = crate::http::sse::events(frames);
    let headers: &HeaderMap = response.headers();
    assert_eq!(headers["content-type"], "text/event-stream");
    assert_eq!(headers["cache-control"], "no-cache");
    assert_eq!(headers["x-accel-buffering"], "no");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "data: 1\n\ndata: [DONE]\n\n");
}
