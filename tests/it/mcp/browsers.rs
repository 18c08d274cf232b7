//! Clients in a browser's page: what they may send, and what they may read.

use hotbay_tests::http::Outgoing;
use serde_json::json;

use super::{ALL, OLDER, host, post};

const PAGE: &str = "http://localhost:3000";

/// The words of a header's list.
fn words(list: &str) -> Vec<&str> {
    list.split(',').map(str::trim).collect()
}

#[tokio::test]
async fn a_page_may_send_what_clients_send() {
    let host = host().await;
    for path in [format!("/api/mcp/{ALL}/mcp"), format!("/api/mcp/{ALL}/sse")] {
        let asked = Outgoing { method: "OPTIONS".to_owned(), ..Outgoing::get(&path) }
            .header("origin", PAGE)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "mcp-session-id");
        let answer = host.send(asked).await.unwrap();
        let allowed = words(&answer.headers["access-control-allow-headers"]);
        for name in
            ["content-type", "mcp-session-id", "mcp-protocol-version", "last-event-id", "mcp-method", "mcp-name"]
        {
            assert!(allowed.contains(&name), "{path}: {name} of {allowed:?}");
        }
        assert!(words(&answer.headers["access-control-allow-methods"]).contains(&"DELETE"));
    }
}

#[tokio::test]
async fn a_page_reads_which_session_it_has() {
    let host = host().await;
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": OLDER,
        "capabilities": {}, "clientInfo": {"name": "page", "version": "1"}}});
    let request = post(&format!("/api/mcp/{ALL}/mcp"), &hello).header("origin", PAGE);
    let answer = host.send(request).await.unwrap();
    assert!(answer.headers.contains_key("mcp-session-id"));
    assert!(words(&answer.headers["access-control-expose-headers"]).contains(&"mcp-session-id"));
}
