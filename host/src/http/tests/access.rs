//! Who may call what: every endpoint, asked by everybody.

use std::fmt::Write;

use axum::{body::Body as HttpBody, response::Response};
use http::Request;
use tower::ServiceExt;

use super::{Answer, Host};
use crate::{
    auth::token::TokenRequest,
    http::{
        access::{Access, Reach},
        endpoint::Endpoint,
        endpoints, outside,
    },
    types::{caller::Role, id::Millis},
};

/// A host that asks callers who they are, and the tokens it knows.
pub(super) struct Closed {
    pub(super) host: Host,
    expired: String,
    pub(super) viewer: String,
    operator: String,
    pub(super) admin: String,
    /// An operator bound to `ann`.
    bound: String,
}

impl Closed {
    pub(super) async fn start() -> Self {
        let host = Host::with(|config| config.auth.required = true).await;
        let token = async |name: &str, role, owner: Option<&str>| {
            let wanted =
                TokenRequest { name: name.to_owned(), role, owner: owner.map(str::to_owned), expires_at: None };
            let mut made = wanted.make("test").unwrap();
            if name == "expired" {
                made.row.expires_at = Some(Millis(Millis::now().0 - 1));
            }
            host.app.auth.tokens().put(&made.row).await.unwrap();
            made.text
        };
        let expired = token("expired", Role::Admin, None).await;
        let viewer = token("viewer", Role::Viewer, None).await;
        let operator = token("operator", Role::Operator, None).await;
        let admin = token("admin", Role::Admin, None).await;
        let bound = token("bound", Role::Operator, Some("ann")).await;
        host.app.auth.read().await.unwrap();
        Self { host, expired, viewer, operator, admin, bound }
    }

    /// Asks and reads the head; what is refused is read whole.
    async fn ask(&self, method: &str, path: &str, token: Option<&str>, body: &str) -> (u16, String) {
        let mut request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(HttpBody::from(body.to_owned())).unwrap();
        let response: Response = self.host.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        if !matches!(status, 401 | 403) {
            // Streams have no end.
            return (status, String::new());
        }
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }
}

/// Every endpoint, and where it is.
fn all() -> Vec<(String, Endpoint)> {
    let outside = outside().into_iter().map(|endpoint| (endpoint.path.to_owned(), endpoint));
    let inside = endpoints().into_iter().map(|endpoint| (format!("/api{}", endpoint.path), endpoint));
    outside.chain(inside).collect()
}

/// The table operators read. When an endpoint comes or changes, what it says here is to be decided.
#[test]
fn who_may_call_what_is_decided_for_every_endpoint() {
    let mut table = String::new();
    for (path, Endpoint { method, access, .. }) in all() {
        writeln!(table, "{:16} {:6} {path}", access.to_string(), method.as_str()).unwrap();
    }
    let decided = include_str!("access.txt");
    assert!(table == decided, "the table of who may call what has changed; decide, and write access.txt:\n{table}");
}

#[tokio::test]
async fn every_endpoint_lets_in_whom_it_should_and_nobody_else() {
    let closed = Closed::start().await;
    let roles = [(&closed.viewer, Role::Viewer), (&closed.operator, Role::Operator), (&closed.admin, Role::Admin)];
    for (path, Endpoint { method, access, .. }) in all() {
        let (method, path) = (method.as_str(), path.replace(':', "x-"));
        let what = format!("{method} {path}");
        let ask = async |token: Option<&str>| closed.ask(method, &path, token, "{}").await;
        for (who, token) in [
            ("nobody", None),
            ("a stranger", Some("hotbay_bad")),
            ("another stranger", Some("eyJhbGciOiJub25lIn0.e30.")),
            ("one who was let in before", Some(closed.expired.as_str())),
        ] {
            let (status, body) = ask(token).await;
            match access.role {
                Some(_) => {
                    assert_eq!((status, &*body), (401, r#"{"error":"Invalid or expired token"}"#), "{what}: {who}");
                }
                None => assert!(!matches!(status, 401 | 403), "{what}: {who} got {status} {body}"),
            }
        }
        for (token, role) in roles {
            let (status, body) = ask(Some(token)).await;
            match access.role.filter(|needed| role < *needed) {
                Some(needed) => {
                    assert_eq!(status, 403, "{what}: a {role}");
                    assert!(body.contains(&format!("needs the role `{needed}`")), "{what}: a {role} is told {body}");
                }
                None => assert!(!matches!(status, 401 | 403), "{what}: a {role} got {status} {body}"),
            }
        }
        let (status, body) = ask(Some(&closed.bound)).await;
        match access {
            Access { role: Some(Role::Admin), .. } => assert_eq!(status, 403, "{what}: an operator who is bound"),
            Access { reach: Reach::All, .. } => {
                assert_eq!(status, 403, "{what}: who is bound");
                assert!(body.contains("bound to the resource `ann`"), "{what}: who is bound is told {body}");
            }
            _ => assert!(!matches!(status, 401 | 403), "{what}: who is bound got {status} {body}"),
        }
    }
}

#[tokio::test]
async fn a_token_is_shown_in_any_of_three_ways_and_never_by_another_scheme() {
    let closed = Closed::start().await;
    let show = async |header: Option<String>, query: &str| -> Answer {
        let mut request = Request::builder().uri(format!("/api/vectors{query}"));
        if let Some(header) = header {
            request = request.header("authorization", header);
        }
        closed.host.send(request.body(HttpBody::empty()).unwrap()).await
    };
    let token = &closed.viewer;
    for (header, query, expected) in [
        (Some(format!("Bearer {token}")), String::new(), 200),
        (Some(token.clone()), String::new(), 200),
        (None, format!("?apiKey={token}"), 200),
        (None, format!("?x=1&apiKey={}", token.replace('_', "%5F")), 200),
        (Some(format!("bearer {token}")), String::new(), 401),
        (Some(format!("Basic {token}")), String::new(), 401),
        (Some("Bearer bad".to_owned()), format!("?apiKey={token}"), 401),
        (None, "?apiKey=".to_owned(), 401),
        (None, "?apiKey".to_owned(), 401),
    ] {
        let answer = show(header.clone(), &query).await;
        assert_eq!(answer.status, expected, "{header:?} {query}");
        assert_eq!(answer.header("www-authenticate"), if expected == 401 { "Bearer" } else { "" });
    }
}

#[tokio::test]
async fn who_asks_is_told_and_strangers_are_told_that_they_must_say_so() {
    let closed = Closed::start().await;
    let get = async |path: &str, token: Option<&str>| {
        let mut request = Request::builder().uri(path);
        if let Some(token) = token {
            request = request.header("authorization", token);
        }
        closed.host.send(request.body(HttpBody::empty()).unwrap()).await
    };
    let answer = get("/api/auth/capabilities", None).await;
    assert_eq!(answer.text(), r#"{"enabled":true,"login":{"type":"credentials","signUpEnabled":false}}"#);
    assert_eq!(get("/api/auth/me", None).await.text(), "null");
    assert_eq!(get("/api/auth/me", Some("bad")).await.text(), "null");
    let me = get("/api/auth/me", Some(&closed.bound)).await.json();
    assert_eq!((&me["name"], &me["role"], &me["resourceId"]), (&"bound".into(), &"operator".into(), &"ann".into()));
    assert_eq!(get("/api/nope", None).await.text(), "404 Not Found", "unknown paths still are");
    let described = get("/api/openapi.json", Some(&closed.viewer)).await.json();
    let reload = &described["paths"]["/api/plugins/{name}/reload"]["post"];
    assert_eq!((&reload["x-role"], &reload["security"][0]), (&"admin".into(), &serde_json::json!({"token": []})));
    assert_eq!(described["paths"]["/health"]["get"]["security"], serde_json::Value::Null);
    let open = Host::start().await;
    assert_eq!(open.get("/api/openapi.json").await.json()["components"]["securitySchemes"], serde_json::Value::Null);
    assert_eq!(open.get("/api/auth/capabilities").await.text(), r#"{"enabled":false,"login":null}"#);
}

#[tokio::test]
async fn tokens_are_made_listed_and_revoked_by_admins() {
    let closed = Closed::start().await;
    let ask = async |method: &str, path: &str, body: &str| {
        let request = Request::builder().method(method).uri(path).header("authorization", &closed.admin);
        let request = request.header("content-type", "application/json");
        closed.host.send(request.body(HttpBody::from(body.to_owned())).unwrap()).await
    };
    let made = ask("POST", "/api/auth/tokens", r#"{"name":"ci","role":"operator","expiresAt":"2999-01-01"}"#).await;
    let made = made.json();
    let token = made["token"].as_str().unwrap();
    assert_eq!((&made["createdBy"], &made["expiresAt"]), (&"admin".into(), &"2999-01-01T00:00:00.000Z".into()));
    assert_eq!(closed.ask("GET", "/api/vectors", Some(token), "").await.0, 200, "it counts at once");
    let again = ask("POST", "/api/auth/tokens", r#"{"name":"ci","role":"viewer"}"#).await;
    assert_eq!(again.status, 409, "{}", again.text());
    for (body, sentence) in [
        (r#"{"name":"a b","role":"viewer"}"#, "1 to 64 letters"),
        (r#"{"name":"x","role":"admin","resourceId":"ann"}"#, "cannot be bound"),
        (r#"{"name":"x","role":"viewer","expiresAt":"2001-01-01"}"#, "expired already"),
        (r#"{"name":"x","role":"root"}"#, "Invalid request body"),
        (r#"{"name":"x"}"#, "Invalid request body"),
    ] {
        let answer = ask("POST", "/api/auth/tokens", body).await;
        assert!(answer.status == 400 && answer.text().contains(sentence), "{body}: {}", answer.text());
    }
    let listed = ask("GET", "/api/auth/tokens", "").await;
    assert!(!listed.text().contains(token), "its text is told once");
    assert_eq!(listed.json()["tokens"][0]["name"], "ci");
    assert_eq!(ask("DELETE", "/api/auth/tokens/ci", "").await.status, 200);
    assert_eq!(closed.ask("GET", "/api/vectors", Some(token), "").await.0, 401, "it counts no more");
    assert_eq!(ask("DELETE", "/api/auth/tokens/ci", "").await.status, 404);
    let open = Host::start().await;
    let refused = open.post("/api/auth/tokens", r#"{"name":"x","role":"admin"}"#).await;
    assert_eq!(refused.status, 409, "no key is left behind before the door is closed: {}", refused.text());
}
