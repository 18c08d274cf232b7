use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
};

use super::*;
use crate::model::catalog::Secret;

fn services(home: &Path) -> Services {
    let secrets = [("key".to_owned(), SecretSource::Value(Secret("hush".into())))].into();
    Services::with(Arc::new(Models::new(BTreeMap::new(), |_| None)), home, secrets)
}

fn connected(home: &Path) -> Services {
    let services = services(home);
    let ask: AskAgent = Arc::new(|id, request, _| {
        Box::pin(async move { Ok(json!({ "text": format!("{id}: {}", request["messages"]) })) })
    });
    let recall: Recall =
        Arc::new(|thread, last| Box::pin(async move { Ok(json!([{ "id": format!("{thread}-{last}") }])) }));
    services.connect(Arc::default(), ask, recall);
    services
}

async fn ask(services: &Services, op: &str, body: Value) -> Result<Value, Error> {
    let caller = Requester { plugin: "tester".into(), generation: 1, call: 0, context: None };
    let answer = services.request(caller, op, body.to_string().into_bytes(), None).await?;
    Ok(serde_json::from_slice(&answer).unwrap())
}

#[tokio::test]
async fn unknown_request_is_unsupported() {
    let home = tempfile::tempdir().unwrap();
    let error = ask(&services(home.path()), "time.travel", json!({})).await.unwrap_err();
    assert_eq!(error.code, code::UNSUPPORTED);
}

#[tokio::test]
async fn secret_is_given_and_a_missing_one_names_the_setting() {
    let home = tempfile::tempdir().unwrap();
    let services = services(home.path());
    assert_eq!(ask(&services, "secret.get", json!({"name": "key"})).await.unwrap(), "hush");
    let error = ask(&services, "secret.get", json!({"name": "other"})).await.unwrap_err();
    assert_eq!(error.code, code::NOT_FOUND);
    assert!(error.message.contains("[secrets]") && error.message.contains("other"), "{error}");
}

#[tokio::test]
async fn directory_is_the_plugins_own() {
    let home = tempfile::tempdir().unwrap();
    let services = services(home.path());
    let directory = ask(&services, "data.directory", json!({})).await.unwrap();
    let directory = PathBuf::from(directory.as_str().unwrap());
    assert!(directory.is_absolute() && directory.is_dir());
    assert_eq!(directory, home.path().join("plugin-data").join("tester"));
    let caller = Requester { plugin: "..".into(), generation: 1, call: 0, context: None };
    let error = services.request(caller, "data.directory", b"{}".to_vec(), None).await.unwrap_err();
    assert_eq!(error.code, code::UNSUPPORTED, "it would be the host's own");
}

#[tokio::test]
async fn tools_and_agents_wait_for_the_start() {
    let home = tempfile::tempdir().unwrap();
    let starting = services(home.path());
    let error = ask(&starting, "tool.call", json!({"id": "x", "input": {}})).await.unwrap_err();
    assert!(error.code == code::UNAVAILABLE && error.retryable);
    let started = connected(home.path());
    let error = ask(&started, "tool.call", json!({"id": "x", "input": {}})).await.unwrap_err();
    assert_eq!(error.code, code::NOT_FOUND);
    let remembered = ask(&started, "memory.recall", json!({"threadId": "t", "last": 3})).await.unwrap();
    assert_eq!(remembered[0]["id"], "t-3");
    let answer = ask(&started, "agent.generate", json!({"id": "chef", "messages": ["hi"]})).await.unwrap();
    assert_eq!(answer["text"], "chef: [\"hi\"]");
}

#[tokio::test]
async fn model_answers_at_once_or_in_parts() {
    let home = tempfile::tempdir().unwrap();
    let services = services(home.path());
    let body =
        json!({"model": "mock/echo", "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]});
    let whole = ask(&services, "model.chat", body.clone()).await.unwrap();
    assert!(whole["text"].as_str().unwrap().contains("hi"), "{whole}");
    assert_eq!(whole["finishReason"], "stop");
    let (sink, mut chunks) = mpsc::channel(32);
    let caller = Requester { plugin: "tester".into(), generation: 1, call: 0, context: None };
    let request = services.request(caller, "model.chat", body.to_string().into_bytes(), Some(sink));
    let collect = async {
        let mut types = Vec::new();
        while let Some(chunk) = chunks.recv().await {
            let part: Value = serde_json::from_slice(&chunk).unwrap();
            types.push(part["type"].as_str().unwrap().to_owned());
        }
        types
    };
    let (answer, types) = tokio::join!(request, collect);
    assert_eq!(answer.unwrap(), b"null");
    assert_eq!(types.last().map(String::as_str), Some("finish"));
    assert!(types.iter().any(|it| it == "text-delta"), "{types:?}");
    let error = ask(&services, "model.chat", json!({"model": "nobody/x"})).await.unwrap_err();
    assert_eq!(error.code, code::NOT_FOUND);
}

/// Answers one connection with these bytes; returns its address and what it was sent.
async fn server(answer: &'static [u8]) -> (String, tokio::sync::oneshot::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, receiver) = tokio::sync::oneshot::channel();
    crate::tasks::Tasks::default().spawn("server", |_| async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 4096];
        let length = socket.read(&mut request).await.unwrap();
        sender.send(String::from_utf8_lossy(&request[..length]).into_owned()).unwrap();
        socket.write_all(answer).await.unwrap();
    });
    (format!("http://{address}/x?y=1"), receiver)
}

#[tokio::test]
async fn http_request_goes_out_and_any_status_is_an_answer() {
    let home = tempfile::tempdir().unwrap();
    let services = services(home.path());
    let (url, sent) = server(b"HTTP/1.1 404 Not Found\r\nX-Two: a\r\nX-Two: b\r\ncontent-length: 3\r\n\r\nno!").await;
    let body = json!({"method": "get", "url": url, "headers": {"X-One": "1"}});
    let answer = ask(&services, "http.request", body).await.unwrap();
    assert_eq!(answer["status"], 404);
    assert_eq!(answer["body"], "no!");
    assert_eq!(answer["headers"]["x-two"], "a, b");
    let sent = sent.await.unwrap();
    assert!(sent.starts_with("GET /x?y=1 ") && sent.contains("x-one: 1"), "{sent}");
}

#[tokio::test]
async fn http_request_says_which_span_it_is_part_of() {
    let home = tempfile::tempdir().unwrap();
    let services = services(home.path());
    let recorder = crate::observe::Recorder::of_what_goes_on();
    let (trace, name) = ("a".repeat(32), "b".repeat(16));
    let kind = crate::types::span::SpanKind::ToolCall;
    let span = recorder.begin(kind, "call", &trace, &name, None);
    let origin = Origin { snapshot: Arc::default(), depth: 0, step: None, span: span.context() };
    let context: Arc<dyn CallContext> = Arc::new(origin);
    let sent = async |headers: Value| {
        let (url, sent) = server(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        let context = Some(Arc::clone(&context));
        let caller = Requester { plugin: "tester".into(), generation: 1, call: 0, context };
        let body = json!({"url": url, "headers": headers}).to_string().into_bytes();
        services.request(caller, "http.request", body, None).await.unwrap();
        sent.await.unwrap()
    };
    let told = sent(json!({})).await;
    assert!(told.contains(&format!("traceparent: 00-{trace}-{name}-01\r\n")), "{told}");
    let told = sent(json!({"TraceParent": "own"})).await;
    assert!(told.contains("traceparent: own\r\n") && !told.contains(&trace), "{told}");
}

#[tokio::test]
async fn http_bodies_that_are_no_text_are_base64() {
    let home = tempfile::tempdir().unwrap();
    let services = services(home.path());
    let (url, sent) = server(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n\xff\xfe").await;
    let answer = ask(&services, "http.request", json!({"method": "POST", "url": url, "bodyBase64": "aGk="})).await;
    assert_eq!(answer.unwrap()["bodyBase64"], "//4=");
    assert!(sent.await.unwrap().ends_with("\r\n\r\nhi"));
}

#[tokio::test]
async fn http_failures_are_told_apart() {
    let home = tempfile::tempdir().unwrap();
    let services = services(home.path());
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", closed.local_addr().unwrap());
    let slow = ask(&services, "http.request", json!({"url": url, "timeoutMs": 20})).await.unwrap_err();
    assert_eq!(slow.code, code::DEADLINE);
    drop(closed);
    let gone = ask(&services, "http.request", json!({"url": url})).await.unwrap_err();
    assert!(gone.code == code::UNAVAILABLE && gone.retryable, "{gone}");
    let odd = ask(&services, "http.request", json!({"url": "not a url"})).await.unwrap_err();
    assert_eq!(odd.code, code::INPUT);
}
