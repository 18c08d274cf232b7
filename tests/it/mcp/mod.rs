//! MCP clients of a real host: what each generation of the protocol is offered, told and refused.

mod browsers;
mod conformance;
mod interop;
mod limits;
mod offered;
mod sources;
mod spans;
mod swaps;

use hotbay_tests::{
    TestHost,
    http::{self, Outgoing},
    sse::SseReader,
};
use serde_json::{Value, json};

const REFERENCE: &str = "hotbay-test-reference";
const STEADY: &str = "hotbay-test-steady";
const CONFORMANCE: &str = "hotbay-test-conformance";
/// The server that offers everything.
const ALL: &str = "hotbay";

const NEWER: &str = "2026-07-28";
const OLDER: &str = "2025-11-25";

async fn host() -> TestHost {
    TestHost::builder().plugin(REFERENCE).plugin(CONFORMANCE).start().await.unwrap()
}

/// A request as both generations want it.
fn post(path: &str, body: &Value) -> Outgoing {
    Outgoing::post(path, body).header("accept", "application/json, text/event-stream")
}

/// A request of the newer protocol, whose client can be asked everything.
fn newer(server: &str, method: &str, mut params: Value) -> Outgoing {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": NEWER,
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}, "sampling": {}, "roots": {}},
    });
    match (&mut params["_meta"], meta) {
        (Value::Object(own), Value::Object(meta)) => own.extend(meta),
        (own, meta) => *own = meta,
    }
    let request = post(
        &format!("/api/mcp/{server}/mcp"),
        &json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}),
    );
    let request = request.header("mcp-protocol-version", NEWER).header("mcp-method", method);
    match params["name"].as_str() {
        Some(name) => request.header("mcp-name", name),
        None => request,
    }
}

/// Sends a request and returns the status and the text of the answer.
async fn send(host: &TestHost, request: Outgoing) -> (u16, String) {
    let answer = host.send(request).await.unwrap();
    (answer.status.unwrap(), answer.text())
}

/// Asks in the newer protocol and returns the whole answer.
async fn ask(host: &TestHost, server: &str, method: &str, params: Value) -> Value {
    let (status, answer) = send(host, newer(server, method, params)).await;
    serde_json::from_str(&answer).unwrap_or_else(|_| panic!("{method}: {status} {answer}"))
}

/// Calls a tool in the newer protocol and returns the result.
async fn call(host: &TestHost, server: &str, name: &str, arguments: Value) -> Value {
    let answer = ask(host, server, "tools/call", json!({"name": name, "arguments": arguments})).await;
    answer.get("result").cloned().unwrap_or_else(|| panic!("{name}: {answer}"))
}

/// A session of the older protocol.
struct Session {
    path: String,
    id: String,
}

impl Session {
    /// Says hello, or returns the status of the refusal.
    async fn try_open(host: &TestHost, server: &str) -> Result<Self, u16> {
        let path = format!("/api/mcp/{server}");
        let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": OLDER,
            "capabilities": {"elicitation": {}}, "clientInfo": {"name": "test", "version": "1"}}});
        let answer = host.send(post(&path, &hello)).await.unwrap();
        if answer.status != Some(200) {
            return Err(answer.status.unwrap());
        }
        let session = Self { path, id: answer.headers["mcp-session-id"].clone() };
        let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        assert_eq!(send(host, session.post(&ready)).await.0, 202);
        Ok(session)
    }

    async fn open(host: &TestHost, server: &str) -> Self {
        Self::try_open(host, server).await.unwrap()
    }

    fn post(&self, body: &Value) -> Outgoing {
        post(&self.path, body).header("mcp-session-id", &self.id).header("mcp-protocol-version", OLDER)
    }

    fn request(&self, method: &str) -> Outgoing {
        Outgoing { method: method.to_owned(), body: None, ..self.post(&Value::Null) }
    }

    /// Listens to what the server says by itself.
    async fn listen(&self, host: &TestHost) -> SseReader {
        listen(host, self.request("GET")).await
    }
}

async fn listen(host: &TestHost, request: Outgoing) -> SseReader {
    SseReader::new(http::send(host.address(), request).await.unwrap()).unwrap()
}

/// Reads messages until one is what is looked for.
async fn until(reader: &mut SseReader, is_it: impl Fn(&Value) -> bool) -> Value {
    loop {
        let frame = reader.next().await.unwrap().expect("the stream goes on");
        let message = frame.json().unwrap_or_default();
        if is_it(&message) {
            return message;
        }
    }
}

async fn until_method(reader: &mut SseReader, method: &str) -> Value {
    until(reader, |message| message["method"] == method).await
}
