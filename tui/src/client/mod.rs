//! The only code that talks to a server: asks it, carries out orders, listens to what happens and to
//! agents' answers.
//!
//! Runs in tasks of its own; what it learns it sends as [`News`].

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use reqwest::{Certificate, Method, RequestBuilder, Response, Url};
use serde_json::Value;
use tokio::{
    sync::mpsc::Sender,
    task::{AbortHandle, JoinSet},
};

use crate::{
    action::{Ask, Effect, News},
    config::Server,
    json::Json,
    order::Request,
    store::Failure,
    want::{Address, Want},
};

mod chat;
mod events;

/// How long the way to a server may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// An answer is given up after this.
const FETCH_TIMEOUT: Duration = Duration::from_secs(20);
/// The longest answer that is read: nobody can look at more.
const LONGEST: usize = 32 << 20;

/// A server, as a client sees it.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    /// The prefix of every endpoint.
    base: Url,
    token: Option<String>,
}

impl Client {
    /// Makes a client of the server at `url`. A URL with a path names the API's prefix, one
    /// without means the default, `/api`.
    ///
    /// # Errors
    ///
    /// If that is no http or https URL, or the certificates cannot be read.
    pub(crate) fn new(url: &str, token: Option<String>, ca: Option<&Path>) -> anyhow::Result<Self> {
        let mut base = Url::parse(url).with_context(|| format!("`{url}` is not a URL"))?;
        if !matches!(base.scheme(), "http" | "https") || base.cannot_be_a_base() {
            bail!("`{url}` is not an http or https URL");
        }
        if base.path() == "/" {
            base.set_path("/api");
        }
        // The process's provider is set once; whoever came first is as good.
        let _installed = rustls::crypto::ring::default_provider().install_default().is_ok();
        let builder = || reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).tcp_nodelay(true);
        let http = match ca {
            Some(file) => builder().tls_certs_merge(certificates(file)?).build(),
            // A machine without certificates can still watch a server on its own network.
            None => builder().build().or_else(|_| builder().tls_certs_only([]).build()),
        };
        Ok(Self { http: http.context("cannot make an HTTP client")?, base, token })
    }

    /// Makes a client of a server, with its token or this one. Reads files, and may run a command.
    ///
    /// # Errors
    ///
    /// As [`Client::new`], and if there is no token where one should be.
    pub(crate) fn of(server: &Server, token: Option<String>) -> anyhow::Result<Self> {
        let token = match token {
            Some(token) => Some(token),
            None => server.token.read()?,
        };
        Self::new(&server.url, token, server.ca.as_deref())
    }

    /// Asks for something.
    pub(crate) async fn fetch(&self, want: &Want) -> Result<Value, Failure> {
        let address = want.address();
        let request = self.http.get(self.url(&address)?).timeout(FETCH_TIMEOUT);
        let response = self.send(request).await?;
        let body = body(response).await?;
        if *want == Want::Metrics {
            return Ok(Value::String(String::from_utf8_lossy(&body).into_owned()));
        }
        serde_json::from_slice(&body).map_err(|error| failure(format!("the answer is not JSON: {error}")))
    }

    /// Has something changed.
    async fn carry(&self, request: &Request) -> Result<Value, Failure> {
        let method = Method::from_bytes(request.method.as_bytes()).map_err(|error| failure(error.to_string()))?;
        let mut builder = self.http.request(method, self.url(&request.address)?);
        if let Some(body) = &request.body {
            builder = builder.json(body);
        }
        // A run may go on for as long as it likes.
        let body = body(self.send(builder).await?).await?;
        Ok(serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    /// Segments are encoded, so no name can lead elsewhere.
    fn url(&self, address: &Address) -> Result<Url, Failure> {
        let mut url = self.base.clone();
        {
            let Ok(mut path) = url.path_segments_mut() else { return Err(failure("the URL has no path".into())) };
            if !address.is_below_prefix {
                path.clear();
            }
            path.pop_if_empty().extend(&address.segments);
        }
        if !address.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&address.query);
        }
        Ok(url)
    }

    async fn send(&self, mut request: RequestBuilder) -> Result<Response, Failure> {
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.map_err(|error| failure(root_cause(&error)))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let said = body(response).await.ok().and_then(|body| serde_json::from_slice::<Value>(&body).ok());
        let said = said.unwrap_or_default();
        let message = match said.text("error") {
            "" => format!("the server answered {status}"),
            text => text.to_owned(),
        };
        let issues = said.list("issues").iter().map(|issue| (issue.text("field").into(), issue.text("message").into()));
        Err(Failure {
            status: Some(status.as_u16()),
            message,
            issues: issues.chain(issues_in(said.text("error"))).collect(),
        })
    }
}

/// Finds what is said of fields in a text: lines of `- path: what is wrong`.
fn issues_in(message: &str) -> Vec<(String, String)> {
    let lines = message.lines().filter_map(|line| line.trim().strip_prefix("- ")?.split_once(": "));
    lines.map(|(path, words)| (path.to_owned(), words.to_owned())).collect()
}

fn certificates(file: &Path) -> anyhow::Result<Vec<Certificate>> {
    let pem = std::fs::read(file).with_context(|| format!("cannot read the certificates in {}", file.display()))?;
    Certificate::from_pem_bundle(&pem).with_context(|| format!("{} has no certificates", file.display()))
}

async fn body(mut response: Response) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > LONGEST => {
                return Err(failure("the answer is longer than anybody could read".into()));
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(error) => return Err(failure(root_cause(&error))),
        }
    }
}

fn failure(message: String) -> Failure {
    Failure { message, ..Failure::default() }
}

/// The innermost error says "connection refused", the outer ones repeat the URL.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    if error.is_timeout() { "the server does not answer in time".into() } else { cause.to_string() }
}

/// Tells what is learned of the server that is watched in this turn.
#[derive(Debug, Clone)]
struct Teller {
    turn: u64,
    news: Sender<(u64, News)>,
}

impl Teller {
    /// Returns whether anybody listens.
    async fn tell(&self, news: News) -> bool {
        self.news.send((self.turn, news)).await.is_ok()
    }
}

/// Carries out what the state wants of servers.
///
/// Dropping it ends whatever it has under way.
#[derive(Debug)]
pub(crate) struct Worker {
    client: Option<Client>,
    teller: Teller,
    /// Of this server.
    tasks: JoinSet<()>,
    chats: Vec<(u64, AbortHandle)>,
}

impl Worker {
    /// Makes one that tells `news`. It has no server yet.
    pub(crate) fn new(news: Sender<(u64, News)>) -> Self {
        Self { client: None, teller: Teller { turn: 0, news }, tasks: JoinSet::new(), chats: Vec::new() }
    }

    /// Returns the turn whose news count: those of servers that were left come too late.
    pub(crate) const fn turn(&self) -> u64 {
        self.teller.turn
    }

    /// Leaves the server that is watched.
    fn leave(&mut self) {
        self.tasks.abort_all();
        self.chats.clear();
        self.client = None;
        self.teller.turn += 1;
    }

    /// Turns to a server, and leaves the one before.
    pub(crate) fn watch(&mut self, client: Client) {
        self.leave();
        let (events, teller) = (client.clone(), self.teller.clone());
        self.tasks.spawn(async move { events::watch(&events, &teller).await });
        self.client = Some(client);
    }

    /// Does it, if it is about servers or files; else gives it back.
    pub(crate) fn perform(&mut self, effect: Effect) -> Option<Effect> {
        while self.tasks.try_join_next().is_some() {}
        let teller = self.teller.clone();
        match effect {
            Effect::Watch { server, token } => match Client::of(&server, token) {
                Ok(client) => self.watch(client),
                Err(error) => {
                    let failure = failure(format!("{error:#}"));
                    self.leave();
                    let teller = self.teller.clone();
                    self.tasks.spawn(async move {
                        // Nobody comes back to what cannot be read.
                        let _told = teller.tell(News::Lost { failure, retry: 3_600_000 }).await;
                    });
                }
            },
            Effect::Export { name, text } => {
                self.tasks.spawn(async move {
                    let written = tokio::task::spawn_blocking(move || export(&name, &text)).await;
                    let outcome = written.unwrap_or_else(|error| Err(error.to_string()));
                    let _told = teller.tell(News::Exported(outcome)).await;
                });
            }
            Effect::StopChat(chat) => {
                self.chats.retain(|(number, handle)| {
                    if *number == chat {
                        handle.abort();
                    }
                    *number != chat
                });
            }
            effect @ (Effect::Fetch(_) | Effect::Carry(_) | Effect::Chat { .. }) => {
                if let Some(client) = self.client.clone() {
                    self.ask(client, effect);
                }
            }
            effect @ (Effect::Copy(_) | Effect::Mouse(_) | Effect::Redraw) => return Some(effect),
        }
        None
    }

    fn ask(&mut self, client: Client, effect: Effect) {
        let teller = self.teller.clone();
        match effect {
            Effect::Fetch(want) => {
                self.tasks.spawn(async move {
                    let answer = client.fetch(&want).await;
                    let _told = teller.tell(News::Answer { want, answer }).await;
                });
            }
            Effect::Carry(order) => {
                self.tasks.spawn(async move {
                    let answer = client.carry(&order.request()).await;
                    let _told = teller.tell(News::Done { order, answer }).await;
                });
            }
            Effect::Chat { chat, agent, ask } => {
                let handle = self.tasks.spawn(async move { chat::answer(&client, &teller, chat, &agent, &ask).await });
                self.chats.push((chat, handle));
            }
            _ => {}
        }
    }
}

/// Writes a file of this name that was not there before, in the working directory. Returns its path.
fn export(name: &str, text: &str) -> Result<String, String> {
    let stamp = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S");
    for number in 0..100 {
        let suffix = if number == 0 { String::new() } else { format!("-{number}") };
        let file = PathBuf::from(format!("hotbay-{name}-{stamp}{suffix}.json"));
        match std::fs::File::create_new(&file) {
            Ok(mut open) => {
                let written = std::io::Write::write_all(&mut open, format!("{text}\n").as_bytes());
                let path = std::path::absolute(&file).unwrap_or(file);
                return written.map(|()| path.display().to_string()).map_err(|error| error.to_string());
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    Err("there are too many files of this name".into())
}

/// Returns where an agent answers, and with what it is asked.
fn asked(agent: &str, ask: &Ask) -> (Address, Value) {
    use serde_json::json;
    let path = |last: &str| Address::new(&["agents", agent, last]);
    match ask {
        Ask::Message { thread, resource, text } => (
            path("stream"),
            json!({"messages": [{"role": "user", "content": text}], "memory": {"thread": thread, "resource": resource}}),
        ),
        Ask::Verdict { run, call, is_approved } => {
            let last = if *is_approved { "approve-tool-call" } else { "decline-tool-call" };
            (path(last), json!({"runId": run, "toolCallId": call}))
        }
        Ask::Resume { run, call, data } => {
            (path("resume-stream"), json!({"runId": run, "toolCallId": call, "resumeData": data}))
        }
    }
}

#[cfg(test)]
mod tests;
