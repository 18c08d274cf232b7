//! A client against a server of this test: what is asked, and what is made of what comes back.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc::{self, Receiver},
    task::JoinSet,
};

use super::{Client, Worker};
use crate::{
    action::{Ask, Effect, News},
    order::{Order, PluginOrder},
    want::{Query, Want},
};

/// A server that answers each connection with the next of some texts, as they are, and then hangs up.
struct Server {
    url: String,
    /// The heads and bodies it was sent.
    asked: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Server {
    async fn start(answers: Vec<Vec<String>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&asked);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            for pieces in answers {
                let (mut connection, _) = listener.accept().await.unwrap();
                let request = request(&mut connection).await;
                told.lock().unwrap_or_else(PoisonError::into_inner).push(request);
                for piece in pieces {
                    connection.write_all(piece.as_bytes()).await.unwrap();
                    connection.flush().await.unwrap();
                    // Each piece arrives by itself.
                    tokio::task::yield_now().await;
                }
            }
        });
        Self { url, asked, _tasks: tasks }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Reads a request: its head, and its body if it says how long that is.
async fn request(connection: &mut TcpStream) -> String {
    let mut text = String::new();
    let mut piece = [0; 4096];
    loop {
        let length = connection.read(&mut piece).await.unwrap();
        text.push_str(&String::from_utf8_lossy(&piece[..length]));
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            assert!(length > 0, "whoever asked hung up: {text}");
            continue;
        };
        let lower = head.to_ascii_lowercase();
        let wanted = lower.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        if length == 0 || body.len() >= wanted.unwrap_or(0) {
            return text;
        }
    }
}

fn answer(status: &str, body: &str) -> Vec<String> {
    vec![format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())]
}

fn stream(pieces: &[&str]) -> Vec<String> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    std::iter::once(head).chain(pieces.iter().copied()).map(str::to_owned).collect()
}

fn client(server: &Server, token: Option<&str>) -> Client {
    Client::new(&server.url, token.map(str::to_owned), None).unwrap()
}

#[tokio::test]
async fn what_is_wanted_is_asked_where_it_is_with_the_token() {
    let ok = || answer("200 OK", "{}");
    let server = Server::start(vec![ok(), ok(), ok(), answer("200 OK", "a 1\n")]).await;
    let client = client(&server, Some("secret"));
    let query = Query::default().with("status", "failed").with("q", "a b&c=d");
    client.fetch(&Want::Runs { query, page: 2 }).await.unwrap();
    let run = Want::Run { workflow: "../plugins?x=1#y".into(), run: "a/b".into() };
    client.fetch(&run).await.unwrap();
    client.fetch(&Want::Me).await.unwrap();
    assert_eq!(client.fetch(&Want::Metrics).await.unwrap(), json!("a 1\n"));
    let asked = server.asked();
    let line = |at: usize| asked[at].lines().next().unwrap().to_owned();
    assert_eq!(line(0), "GET /api/runs?status=failed&q=a+b%26c%3Dd&page=2&perPage=100 HTTP/1.1");
    assert_eq!(line(1), "GET /api/workflows/..%2Fplugins%3Fx=1%23y/runs/a%2Fb HTTP/1.1");
    assert_eq!(line(2), "GET /api/auth/me HTTP/1.1");
    assert_eq!(line(3), "GET /metrics HTTP/1.1");
    assert!(asked.iter().all(|request| request.to_ascii_lowercase().contains("authorization: bearer secret")));
}

#[tokio::test]
async fn what_the_server_says_is_wrong_is_told_with_its_fields() {
    let issues =
        json!({"error": "Invalid query parameters", "issues": [{"field": "q", "message": "its syntax is wrong"}]});
    let in_words = json!({"error": "Invalid resume data: \n- approved: expected boolean\n- a.b: no"});
    let server = Server::start(vec![
        answer("400 Bad Request", &issues.to_string()),
        answer("400 Bad Request", &in_words.to_string()),
        answer("502 Bad Gateway", "<html>"),
        answer("200 OK", "<html>"),
        answer("401 Unauthorized", r#"{"error":"Authentication required"}"#),
    ])
    .await;
    let client = client(&server, None);
    let failure = async || client.fetch(&Want::Tools).await.unwrap_err();
    let first = failure().await;
    assert_eq!((first.status, first.issues), (Some(400), vec![("q".into(), "its syntax is wrong".into())]));
    let issues = failure().await.issues;
    assert_eq!(issues, [("approved".into(), "expected boolean".into()), ("a.b".into(), "no".into())]);
    assert_eq!(failure().await.message, "the server answered 502 Bad Gateway");
    assert!(failure().await.message.starts_with("the answer is not JSON"));
    assert_eq!(failure().await.status, Some(401));
    // Nobody is there any more.
    let gone = failure().await;
    assert_eq!(gone.status, None);
    assert!(!gone.message.is_empty());
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_none() {
    let half = vec!["HTTP/1.1 200 OK\r\ncontent-length: 100\r\nconnection: close\r\n\r\n{\"a\":".to_owned()];
    let server = Server::start(vec![half]).await;
    assert!(client(&server, None).fetch(&Want::Agents).await.is_err());
}

#[tokio::test]
async fn an_answer_nobody_could_read_is_not_kept() {
    let head = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n\"".to_owned();
    let pieces = std::iter::once(head).chain((0..40).map(|_| "x".repeat(1 << 20))).collect();
    let server = Server::start(vec![pieces]).await;
    let failure = client(&server, None).fetch(&Want::Agents).await.unwrap_err();
    assert_eq!(failure.message, "the answer is longer than anybody could read");
}

async fn next(news: &mut Receiver<(u64, News)>) -> News {
    tokio::time::timeout(std::time::Duration::from_secs(20), news.recv()).await.unwrap().unwrap().1
}

/// Collects events until there are so many.
async fn events(news: &mut Receiver<(u64, News)>, count: usize) -> Vec<String> {
    let mut all = Vec::new();
    while all.len() < count {
        match next(news).await {
            News::Events(events) => all.extend(events.into_iter().map(|event| event.what.into_string())),
            other => panic!("there are no more events: {other:?}"),
        }
    }
    all
}

#[tokio::test]
async fn events_are_read_across_pieces_and_gone_on_with_after_the_last_one() {
    let first = stream(&[
        ": here\nid: 1-1\n\n",
        "id: 1-2\nevent: run\nda",
        "ta: {\"type\":\"began\",\"runId\":\"r\"}\n\nid: 1-3\nevent: new-kind\ndata: nonsense\n",
        "\n",
    ]);
    let second = stream(&["id: 2-1\nevent: gap\ndata: {\"type\":\"missed\"}\n\n"]);
    let third = answer("401 Unauthorized", r#"{"error":"Invalid or expired token"}"#);
    let server = Server::start(vec![first, second, third]).await;
    let (sender, mut news) = mpsc::channel(16);
    let mut worker = Worker::new(sender);
    worker.watch(client(&server, None));
    assert_eq!(next(&mut news).await, News::Connected);
    assert_eq!(events(&mut news, 2).await, ["began", ""]);
    let News::Lost { failure, retry } = next(&mut news).await else { panic!("the stream ended") };
    assert_eq!(failure.message, "the server ended the stream of events");
    assert!((500..=625).contains(&retry), "{retry}");
    assert_eq!(next(&mut news).await, News::Connected);
    assert_eq!(events(&mut news, 1).await, ["missed"]);
    assert!(matches!(next(&mut news).await, News::Lost { .. }));
    let News::Lost { failure, .. } = next(&mut news).await else { panic!("it was not let in") };
    assert_eq!(failure.status, Some(401));
    let asked = server.asked();
    assert!(asked[0].starts_with("GET /api/events?heartbeat=5 ") && !asked[0].contains("last-event-id"));
    assert!(asked[1].contains("last-event-id: 1-3") && asked[2].contains("last-event-id: 2-1"));
}

#[tokio::test]
async fn orders_and_chats_are_sent_and_their_answers_told() {
    let chunks = stream(&[
        "data: {\"type\":\"text-delta\",\"payload\":{\"text\":\"a\"}}\n\n",
        "data: {\"type\":\"finish\"}\n\ndata: [DONE]\n\n",
        "data: {\"type\":\"after\"}\n\n",
    ]);
    let server = Server::start(vec![
        answer("200 OK", r#"{"ok":true}"#),
        answer("409 Conflict", r#"{"error":"it does not wait"}"#),
        chunks,
        answer("404 Not Found", r#"{"error":"no such agent"}"#),
    ])
    .await;
    let (sender, mut news) = mpsc::channel(16);
    let mut worker = Worker::new(sender);
    worker.client = Some(client(&server, None));
    let reload = Order::Plugin { name: "a b".into(), order: PluginOrder::Reload };
    worker.perform(Effect::Carry(Box::new(reload.clone())));
    assert_eq!(next(&mut news).await, News::Done { order: Box::new(reload), answer: Ok(json!({"ok": true})) });
    let resume = Order::ResumeRun {
        workflow: "w".into(),
        run: "r 1".into(),
        step: vec!["outer".into(), "ask".into()],
        data: json!({"yes": true}),
    };
    worker.perform(Effect::Carry(Box::new(resume)));
    let News::Done { answer: Err(failure), .. } = next(&mut news).await else { panic!("it was refused") };
    assert_eq!((failure.status, failure.message.as_str()), (Some(409), "it does not wait"));
    let ask = Ask::Message { thread: "t".into(), resource: "me".into(), text: "hello".into() };
    worker.perform(Effect::Chat { chat: 7, agent: "echo".into(), ask: ask.clone() });
    assert!(matches!(next(&mut news).await, News::Chunk { chat: 7, chunk } if chunk["payload"]["text"] == "a"));
    assert!(matches!(next(&mut news).await, News::Chunk { chat: 7, chunk } if chunk["type"] == "finish"));
    assert_eq!(next(&mut news).await, News::ChatEnded { chat: 7, failure: None });
    worker.perform(Effect::Chat { chat: 8, agent: "nobody".into(), ask });
    let News::ChatEnded { chat: 8, failure: Some(failure) } = next(&mut news).await else { panic!("there is none") };
    assert_eq!(failure.message, "no such agent");
    let asked = server.asked();
    let body = |at: usize| -> Value { serde_json::from_str(asked[at].split_once("\r\n\r\n").unwrap().1).unwrap() };
    assert!(asked[0].starts_with("POST /api/plugins/a%20b/reload "));
    assert!(asked[1].starts_with("POST /api/workflows/w/resume-async?runId=r+1 "));
    assert_eq!(body(1), json!({"step": ["outer", "ask"], "resumeData": {"yes": true}}));
    assert!(asked[2].starts_with("POST /api/agents/echo/stream "));
    let memory = json!({"thread": "t", "resource": "me"});
    assert_eq!(body(2), json!({"messages": [{"role": "user", "content": "hello"}], "memory": memory}));
}

#[tokio::test]
async fn what_a_server_said_that_was_left_is_known_by_its_turn() {
    let answers = || vec![stream(&[": here\n\n"])];
    let (one, other) = (Server::start(answers()).await, Server::start(answers()).await);
    let (sender, mut news) = mpsc::channel(16);
    let mut worker = Worker::new(sender);
    worker.watch(client(&one, None));
    let (first, _) = news.recv().await.unwrap();
    assert_eq!(first, worker.turn());
    worker.watch(client(&other, None));
    assert_ne!(first, worker.turn());
    // Those of the first that wait already say so; then come those that count.
    while news.recv().await.unwrap().0 != worker.turn() {}
}

#[test]
fn a_url_names_a_server_or_the_prefix_of_its_api() {
    let base = |url: &str| Client::new(url, None, None).map(|client| client.base.to_string());
    assert_eq!(base("http://host:1").unwrap(), "http://host:1/api");
    assert_eq!(base("https://host/mastra/").unwrap(), "https://host/mastra/");
    for url in ["nonsense", "ftp://host", "mailto:a@b", "http://"] {
        assert!(base(url).is_err(), "{url}");
    }
    assert!(Client::new("https://host", None, Some("/no/such/file".as_ref())).is_err());
}
