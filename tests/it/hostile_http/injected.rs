//! Ids, filters and texts that are meant for somebody behind the host: a shell, a database, a search
//! engine, a file system.

use futures::{StreamExt, stream};
use hotbay_tests::{TestHost, http::Outgoing};
use serde_json::{Map, Value, json};

use super::{Operation, encoded, is_well, memory, memory_is_back, operations};

/// Texts that mean something elsewhere.
const TEXTS: [&str; 34] = [
    "../../../../etc/passwd",
    "..",
    ".",
    "..\\..\\windows\\win.ini",
    "/etc/passwd",
    "%2e%2e%2f",
    "x/../../hotbay.db",
    "file:///etc/passwd",
    "\0",
    "a\0b",
    "a\r\nset-cookie: a=b",
    "' OR '1'='1",
    "'; DROP TABLE threads; --",
    "\" OR \"\"=\"",
    "1) UNION SELECT * FROM sqlite_master --",
    "$1",
    "?1",
    "%",
    "_%",
    "(a+)+$",
    "[",
    "(?P<x>",
    "*",
    "\"",
    "a:b:c",
    "msg:[* TO *] OR *:*",
    "((((((((((((((((((((((((((((((((a))))))))))))))))))))))))))))))))",
    "NOT NOT NOT a AND OR",
    "a~99999^-1",
    "IN [a b",
    "${jndi:ldap://127.0.0.1/x}",
    "{{7*7}}$(id)`id`",
    "\u{202e}\u{fffd}\u{10ffff}\u{0301}",
    "1e999",
];

/// A document as a schema asks for one, with this in place of every text.
fn filled(schema: &Value, text: &str, depth: usize) -> Value {
    let kind = match &schema["type"] {
        Value::String(kind) => kind.as_str(),
        Value::Array(kinds) => kinds.first().and_then(Value::as_str).unwrap_or_default(),
        _ => "",
    };
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    for several in ["anyOf", "oneOf"] {
        if let Some(first) = schema[several].get(0) {
            return filled(first, text, depth);
        }
    }
    match kind {
        "object" if depth < 6 => {
            let fields = schema["properties"].as_object().into_iter().flatten();
            let mut document: Map<String, Value> =
                fields.map(|(name, schema)| (name.clone(), filled(schema, text, depth + 1))).collect();
            if document.is_empty() {
                document = [(text.to_owned(), json!({"$regex": text, "$in": [text]}))].into_iter().collect();
            }
            document.into()
        }
        "array" if depth < 6 => json!([filled(&schema["items"], text, depth + 1)]),
        "integer" | "number" => json!(1),
        "boolean" => json!(true),
        _ => text.into(),
    }
}

impl Operation {
    /// Requests with this in every place a text may be.
    fn injected(&self, text: &str) -> Vec<Outgoing> {
        let mut requests = Vec::new();
        // Once with one that is there, so that the rest is looked at.
        let known = match self.path.split('/').nth(2) {
            Some("agents") => Some("echo-agent"),
            Some("workflows") => Some("linear-workflow"),
            Some("vector" | "vectors") => Some("libsql"),
            Some("mcp") => Some("hotbay"),
            _ => None,
        };
        let known = known.filter(|_| self.path.contains('{')).map(str::to_owned);
        let is_known = known.is_some();
        for parameter in known.into_iter().chain([encoded(text)]) {
            let mut request = self.request(&parameter);
            let pairs: Vec<_> = self.query.iter().map(|name| format!("{}={}", encoded(name), encoded(text))).collect();
            let body = self.body.as_ref().map(|schema| filled(schema, text, 0).to_string().into_bytes());
            request.body = body;
            if !pairs.is_empty() && (parameter != encoded(text) || !is_known) {
                // One at a time: the first that is refused would hide the others.
                requests.extend(
                    pairs.iter().map(|pair| Outgoing { path: format!("{}?{pair}", request.path), ..request.clone() }),
                );
            }
            requests.push(request);
        }
        requests
    }
}

#[tokio::test]
async fn texts_for_somebody_behind_the_host_stay_texts() {
    let host = TestHost::builder()
        .plugin("hotbay-test-reference")
        .argument("--limit-request-time=20s")
        .argument("--run-deadline=5s")
        .start()
        .await
        .unwrap();
    let before = memory(&host);
    let operations = operations(&host).await;
    let mut requests = Vec::new();
    for operation in operations.iter().filter(|it| !it.may_stream()) {
        requests.extend(TEXTS.iter().flat_map(|text| operation.injected(text)));
    }
    let count = requests.len();
    let answers = stream::iter(requests).map(|request| {
        let host = &host;
        async move {
            let what = format!(
                "{} {} {}",
                request.method,
                request.path,
                String::from_utf8_lossy(request.body.as_deref().unwrap_or_default())
            );
            let answer = host.send(request).await.unwrap_or_else(|error| panic!("{what}: {error:#}"));
            (what, answer.status.unwrap(), answer.text())
        }
    });
    let wrong: Vec<_> = answers
        .buffer_unordered(16)
        .filter(|(_, status, text)| {
            let leaks = ["root:x:0", "syntax error", "no such table", "panicked", "/src/"]
                .iter()
                .any(|word| text.to_ascii_lowercase().contains(word) && *status >= 400);
            std::future::ready(*status >= 500 || leaks)
        })
        .collect()
        .await;
    println!("{count} requests");
    assert!(wrong.is_empty(), "{} of {count}, {:#?}", wrong.len(), &wrong[..wrong.len().min(20)]);
    is_well(&host).await;
    memory_is_back(&host, before + (192 << 20)).await;
}
