//! HTTP as no client speaks it: on purpose slow, too much, malformed, or out to be taken for something
//! else. Whatever comes, nobody gets a 5xx, the host answers others meanwhile, and its memory comes back.

mod injected;
mod many;
mod smuggled;

use std::time::Duration;

use hotbay_tests::{TestHost, eventually, http::Outgoing, process};
use regex::Regex;
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(30);

/// One endpoint of the API's description.
struct Operation {
    method: String,
    /// With parameters as `{name}`.
    path: String,
    query: Vec<String>,
    body: Option<Value>,
}

/// Everything the host says that it answers.
async fn operations(host: &TestHost) -> Vec<Operation> {
    let (_, description) = host.get_json("/api/openapi.json").await.unwrap();
    let mut operations = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let query = parameters.filter(|it| it["in"] == "query").map(|it| it["name"].as_str().unwrap().to_owned());
            operations.push(Operation {
                method: method.to_ascii_uppercase(),
                path: path.clone(),
                query: query.collect(),
                body: operation["requestBody"]["content"]["application/json"].get("schema").cloned(),
            });
        }
    }
    assert!(operations.len() > 100, "only {}", operations.len());
    operations
}

impl Operation {
    /// The request with this in place of each parameter of the path, percent-encoded already.
    fn request(&self, parameter: &str) -> Outgoing {
        let path = self.path.split('/').map(|part| if part.starts_with('{') { parameter } else { part });
        let path = path.collect::<Vec<_>>().join("/");
        Outgoing { method: self.method.clone(), path, ..Outgoing::default() }
    }

    /// Whether its answer may go on for ever once it is fine.
    fn may_stream(&self) -> bool {
        ["/events", "/sse", "/observe"].iter().any(|end| self.path.ends_with(end)) || self.path.contains("/mcp/")
    }
}

/// What is asked with a body of JSON.
async fn posts(host: &TestHost) -> Vec<Operation> {
    operations(host).await.into_iter().filter(|it| it.method != "GET" && it.method != "DELETE").collect()
}

/// The host's memory that is no page of a file, in bytes.
fn memory(host: &TestHost) -> u64 {
    process::anonymous(host.process_id()).unwrap()
}

/// The value of what is counted under a name.
async fn metric(host: &TestHost, name: &str) -> u64 {
    let text = host.send(Outgoing::get("/metrics")).await.unwrap().text();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap().parse().unwrap()
}

/// Waits until the host has no more memory than this.
async fn memory_is_back(host: &TestHost, most: u64) {
    eventually(SOON, async || (memory(host) <= most).then_some(())).await;
}

async fn is_well(host: &TestHost) {
    assert_eq!(host.get_json("/health").await.unwrap().0, 200);
    assert_eq!(host.get_json("/ready").await.unwrap().0, 200);
}

#[tokio::test]
async fn deep_json_is_refused_everywhere() {
    let host = TestHost::builder().plugin("hotbay-test-reference").start().await.unwrap();
    let before = memory(&host);
    let open = |depth: usize| ("[".repeat(depth), "{\"a\":".repeat(depth));
    let closed = |depth: usize| {
        let (lists, objects) = open(depth);
        [format!("{lists}{}", "]".repeat(depth)), format!("{objects}1{}", "}".repeat(depth))]
    };
    let (lists, objects) = open(200_000);
    let [deep_lists, deep_objects] = closed(50_000);
    let [fine_lists, fine_objects] = closed(120);
    for operation in posts(&host).await {
        for (body, is_too_deep) in [
            (&lists, true),
            (&objects, true),
            (&deep_lists, true),
            (&deep_objects, true),
            (&fine_lists, false),
            (&fine_objects, false),
        ] {
            let request = Outgoing { body: Some(body.clone().into_bytes()), ..operation.request("x") };
            let answer = host.send(request.header("accept", "application/json, text/event-stream")).await.unwrap();
            let (status, text) = (answer.status.unwrap(), answer.text());
            let what = format!("{} {}: {status} {text}", operation.method, operation.path);
            assert!((200..500).contains(&status), "{what}");
            if is_too_deep && operation.body.is_some() {
                assert_eq!((status, text.contains("nested 127 levels deep at most")), (400, true), "{what}");
            }
        }
    }
    is_well(&host).await;
    memory_is_back(&host, before + (64 << 20)).await;
}

#[tokio::test]
async fn a_giant_body_is_refused_everywhere() {
    let host = TestHost::builder().argument("--body-limit=64KiB").start().await.unwrap();
    let body = vec![b' '; 1 << 20];
    for operation in posts(&host).await {
        let request = Outgoing { body: Some(body.clone()), ..operation.request("x") };
        let answer = host.send(request).await.unwrap();
        let what = format!("{} {}: {}", operation.method, operation.path, answer.text());
        if operation.body.is_some() {
            assert_eq!(
                (answer.status, &*answer.text()),
                (Some(413), r#"{"error":"Request body too large"}"#),
                "{what}"
            );
        } else {
            assert!(answer.status.is_some_and(|status| status < 500), "{what}");
        }
    }
    is_well(&host).await;
}

/// Only the receivers of OTLP unpack what they are sent; elsewhere a packed body is no JSON.
#[tokio::test]
async fn a_body_that_is_much_more_unpacked_is_refused() {
    use std::io::Write;
    let host = TestHost::builder().start().await.unwrap();
    let before = memory(&host);
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![0; 1 << 20];
    for _ in 0..256 {
        packer.write_all(&zeros).unwrap();
    }
    let packed = packer.finish().unwrap();
    assert!(packed.len() < 1 << 20);
    for path in ["/v1/traces", "/v1/logs"] {
        for kind in ["application/json", "application/x-protobuf"] {
            let request = Outgoing {
                method: "POST".into(),
                path: path.into(),
                body: Some(packed.clone()),
                ..Outgoing::default()
            };
            let request = request.header("content-type", kind).header("content-encoding", "gzip");
            assert_eq!(host.send(request).await.unwrap().status, Some(413), "{path} {kind}");
        }
    }
    let request = Outgoing {
        method: "POST".into(),
        path: "/api/memory/threads".into(),
        body: Some(packed),
        ..Outgoing::default()
    };
    assert_eq!(host.send(request.header("content-encoding", "gzip")).await.unwrap().status, Some(400));
    is_well(&host).await;
    memory_is_back(&host, before + (64 << 20)).await;
}

/// Whoever chooses the ids of runs, threads and owners writes no lines into the log.
#[tokio::test]
async fn ids_make_no_lines_in_the_log() {
    let host = TestHost::builder().plugin("hotbay-test-reference").argument("--log=debug").start().await.unwrap();
    let forged =
        "x\n2026-01-01T00:00:00.000000Z ERROR hotbay: forged\r\n\u{1b}[2J\u{1b}[31mforged\u{9b}31m\u{2028}forged";
    let memory = json!({"thread": forged, "resource": forged});
    for agent in ["echo-agent", "weather-agent", forged] {
        let agent = encoded(agent);
        for body in [
            json!({"messages": forged, "model": "mock/echo", "runId": forged, "memory": memory}),
            json!({"messages": forged, "model": forged}),
            json!({"messages": [{"role": forged, "content": forged}]}),
        ] {
            host.send(Outgoing::post(&format!("/api/agents/{agent}/generate"), &body)).await.unwrap();
        }
    }
    for path in ["create-run", "start-async", "resume", "time-travel-async"] {
        for workflow in ["linear-workflow", forged] {
            let path = format!("/api/workflows/{}/{path}?runId={}", encoded(workflow), encoded(forged));
            host.send(Outgoing::post(&path, &json!({"step": forged, "inputData": forged}))).await.unwrap();
        }
    }
    for path in ["/api/tools/{}/execute", "/api/plugins/{}/reload", "/api/mcp/{}"] {
        let path = path.replace("{}", &encoded(forged));
        host.send(Outgoing::post(&path, &json!({"data": forged}))).await.unwrap();
    }
    let log = eventually(SOON, async || Some(host.log()).filter(|log| log.contains("forged"))).await;
    let begins = Regex::new(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z +(ERROR|WARN|INFO|DEBUG) ").unwrap();
    for line in log.split(['\n', '\r', '\u{2028}', '\u{85}']).filter(|line| !line.is_empty()) {
        assert!(begins.is_match(line), "{line:?}");
        assert!(!line.starts_with("2026-01-01T00:00:00.000000Z"), "{line:?}");
    }
    assert!(!log.contains(['\u{1b}', '\u{9b}']), "escapes for terminals");
    is_well(&host).await;
}

/// Percent-encodes all but letters and digits.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
