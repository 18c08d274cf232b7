//! An identity provider whose keys are at a URL, and change.

use std::{sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hotbay_tests::{TestHost, eventually};
use ring::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::Mutex,
    task::JoinSet,
};

use super::ask;

fn key() -> Ed25519KeyPair {
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap()
}

fn encode(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn jwk(key: &Ed25519KeyPair, id: &str) -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "kid": id, "x": encode(key.public_key().as_ref())})
}

fn token(key: &Ed25519KeyPair, id: &str, role: &str) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let header = json!({"alg": "EdDSA", "kid": id}).to_string();
    let claims = json!({"sub": "ada@example.com", "aud": "hotbay", "exp": now + 600, "role": role}).to_string();
    let message = format!("{}.{}", encode(header.as_bytes()), encode(claims.as_bytes()));
    format!("{message}.{}", encode(key.sign(message.as_bytes()).as_ref()))
}

/// Answers every request with the document of keys it has.
async fn serve(listener: TcpListener, document: Arc<Mutex<Value>>) {
    let mut answers = JoinSet::new();
    loop {
        let (mut socket, _) = listener.accept().await.unwrap();
        let document = Arc::clone(&document);
        answers.spawn(async move {
            let mut request = [0; 4096];
            let read = socket.read(&mut request).await.unwrap_or(0);
            if read == 0 {
                return;
            }
            let body = document.lock().await.to_string();
            let answer =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
            // A host that is gone wants no answer.
            drop(socket.write_all(answer.as_bytes()).await);
        });
    }
}

#[tokio::test]
async fn keys_come_from_a_url_and_follow_what_the_provider_does() {
    let (old, new) = (key(), key());
    let document = Arc::new(Mutex::new(json!({"keys": [jwk(&old, "old")]})));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let mut provider = JoinSet::new();
    provider.spawn(serve(listener, Arc::clone(&document)));
    let config = format!("[auth.jwt]\nkeys = '{url}'\naudience = 'hotbay'\nrefresh_seconds = 1\n");
    let host = TestHost::builder().config_text(config).start().await.unwrap();
    let (by_old, by_new) = (token(&old, "old", "admin"), token(&new, "new", "viewer"));
    let (status, me) = ask(&host, &by_old, "GET", "/api/auth/me", None).await;
    assert_eq!((status, &me["name"], &me["role"]), (200, &json!("ada@example.com"), &json!("admin")));
    assert_eq!(ask(&host, &by_old, "GET", "/api/auth/tokens", None).await.0, 200);
    assert_eq!(ask(&host, &by_new, "GET", "/api/tools", None).await.0, 401);
    *document.lock().await = json!({"keys": [jwk(&new, "new")]});
    let soon = Duration::from_secs(20);
    eventually(soon, || async { (ask(&host, &by_new, "GET", "/api/tools", None).await.0 == 200).then_some(()) }).await;
    assert_eq!(ask(&host, &by_old, "GET", "/api/tools", None).await.0, 401, "its key is gone");
    assert_eq!(ask(&host, &by_new, "GET", "/api/auth/tokens", None).await.0, 403, "a viewer");
    provider.shutdown().await;
    assert_eq!(ask(&host, &by_new, "GET", "/api/tools", None).await.0, 200, "what was known still counts");
}

#[tokio::test]
async fn a_provider_that_is_not_there_keeps_nobody_else_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    drop(listener);
    let config = format!("[auth.jwt]\nkeys = '{url}'\naudience = 'hotbay'\n{}", super::TOKENS);
    let host = TestHost::builder().config_text(config).start().await.unwrap();
    assert_eq!(ask(&host, super::ADMIN, "GET", "/api/tools", None).await.0, 200);
    assert_eq!(ask(&host, &token(&key(), "x", "admin"), "GET", "/api/tools", None).await.0, 401);
    assert!(host.log().contains("nobody is let in by a JWT"), "{}", host.log());
}
