//! The server to compare with: axum routes that return recorded bytes and do nothing else.
//!
//! It reads a request's body and does not look at it. It runs as another process of this
//! same program, so that its CPU time is its own.

use std::{
    convert::Infallible,
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::Context;
use axum::{
    Router,
    body::Body,
    response::IntoResponse,
    routing::{MethodRouter, get, post},
    serve::ListenerExt,
};
use bytes::Bytes;
use futures::{Stream, stream};
use hotbay_tests::http::Address;
use hyper::header;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;
use tokio::net::TcpListener;

/// How an answer is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// In one piece.
    Whole,
    /// Each event as soon as it is there, as if a model had just said it.
    EachEvent,
}

/// What a route returns.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) path: String,
    pub(crate) is_post: bool,
    pub(crate) content_type: String,
    /// The body; a piece is on its way before the next one is made.
    pub(crate) pieces: Vec<String>,
}

/// The bare server as a child process; ends when it is dropped.
pub(crate) struct Bare {
    child: Child,
    address: Address,
    _answers: NamedTempFile,
}

impl Bare {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// When it does not say where it listens.
    pub(crate) fn start(answers: &[Answer]) -> anyhow::Result<Self> {
        let mut file = NamedTempFile::new()?;
        file.write_all(&serde_json::to_vec(answers)?)?;
        let mut child = Command::new(std::env::current_exe()?)
            .arg("--bare")
            .arg(file.path())
            .stdout(Stdio::piped())
            .spawn()
            .context("start the bare server")?;
        let output = child.stdout.take().context("its output is piped")?;
        // In a `Bare` before anything can fail, so that the child is always ended.
        let mut bare = Self { child, address: Address::parse("http://127.0.0.1:1")?, _answers: file };
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        bare.address = Address::parse(line.trim()).context("the bare server did not say where it listens")?;
        Ok(bare)
    }

    /// Returns where it listens.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Returns its process.
    pub(crate) fn process_id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill and the status is there.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Serves the answers in a file until the process is killed.
///
/// # Errors
///
/// When the file or the socket fails.
pub(crate) async fn serve(file: &Path) -> anyhow::Result<()> {
    let answers: Vec<Answer> = serde_json::from_slice(&fs::read(file)?)?;
    let router =
        answers.into_iter().fold(Router::new(), |router, answer| router.route(&answer.path.clone(), route(answer)));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    crate::report::say(format!("http://{}", listener.local_addr()?));
    let listener = listener.tap_io(|socket| {
        // Without it each event of a stream would wait for the client's acknowledgement.
        socket.set_nodelay(true).ok();
    });
    axum::serve(listener, router).await?;
    Ok(())
}

fn route(answer: Answer) -> MethodRouter {
    let content_type = answer.content_type;
    let is_stream = content_type == "text/event-stream";
    let pieces: Vec<Bytes> = answer.pieces.into_iter().map(Bytes::from).collect();
    let respond = move || {
        let headers = [(header::CONTENT_TYPE, content_type.clone())];
        match pieces.as_slice() {
            [whole] if !is_stream => (headers, whole.clone()).into_response(),
            _ => (headers, Body::from_stream(one_by_one(pieces.clone()))).into_response(),
        }
    };
    if answer.is_post {
        post(move |_: Bytes| std::future::ready(respond()))
    } else {
        get(move || std::future::ready(respond()))
    }
}

/// Gives the pieces one at a time and lets the connection write before the next.
fn one_by_one(pieces: Vec<Bytes>) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream::unfold((pieces.into_iter(), false), |(mut left, begun)| async move {
        let piece = left.next()?;
        if begun {
            tokio::task::yield_now().await;
        }
        Some((Ok(piece), (left, true)))
    })
}
