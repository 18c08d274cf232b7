//! Streams of readers whose token lets nobody in any more.

use axum::body::{Body, BodyDataStream};
use futures::{FutureExt, StreamExt};
use http::Request;
use tower::ServiceExt;

use super::access::Closed;
use crate::{
    auth::token::TokenRequest,
    types::{caller::Role, id::Millis},
};

const LAST: &str = "event: error\ndata: {\"kind\":\"error\",\"type\":\"lapsed\",\"message\":\"the token has expired or was revoked\"}\n\n";

/// Begins to watch events with a token.
async fn watch(closed: &Closed, token: &str) -> BodyDataStream {
    let request = Request::get(format!("/api/events?kind=plugin&apiKey={token}")).body(Body::empty()).unwrap();
    let response = closed.host.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let mut body = response.into_body().into_data_stream();
    assert!(next(&mut body).await.unwrap().starts_with(": here"));
    body
}

async fn next(body: &mut BodyDataStream) -> Option<String> {
    body.next().await.map(|piece| String::from_utf8(piece.unwrap().to_vec()).unwrap())
}

#[tokio::test]
async fn a_stream_says_so_and_ends_when_its_token_is_revoked_and_others_go_on() {
    let closed = Closed::start().await;
    let mut revoked = watch(&closed, &closed.viewer).await;
    let mut stands = watch(&closed, &closed.admin).await;
    assert!(revoked.next().now_or_never().is_none(), "nothing happens yet");
    let auth = &closed.host.app.auth;
    auth.tokens().revoke("viewer", "test").await.unwrap();
    auth.read().await.unwrap();
    assert_eq!(next(&mut revoked).await.as_deref(), Some(LAST));
    assert_eq!(next(&mut revoked).await, None);
    assert!(stands.next().now_or_never().is_none(), "whose token stands reads on");
}

#[tokio::test]
async fn a_stream_ends_when_its_token_expires() {
    let closed = Closed::start().await;
    let auth = &closed.host.app.auth;
    let expires_at = Some(Millis(Millis::now().0 + 300));
    let token = TokenRequest { name: "brief".to_owned(), role: Role::Viewer, owner: None, expires_at };
    let token = token.make("test").unwrap();
    auth.tokens().put(&token.row).await.unwrap();
    auth.read().await.unwrap();
    let mut body = watch(&closed, &token.text).await;
    assert_eq!(next(&mut body).await.as_deref(), Some(LAST));
    assert!(Millis::now() >= token.row.expires_at.unwrap(), "not before its time");
    assert_eq!(next(&mut body).await, None);
}
