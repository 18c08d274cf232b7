//! What is asked, and what it may cost.

use anyhow::ensure;
use bytes::Bytes;
use hotbay_tests::{
    TestHost,
    http::{Address, Outgoing},
};
use serde_json::{Value, json};

use crate::bare::{Answer, Pace};

/// What every request shows. Who does not ask for it does not look at it.
pub(crate) const AUTHORIZATION: &str = "Bearer load-0123456789abcdef";
/// Has the host ask for it.
pub(crate) const AUTH: &str = "[auth.tokens.load]\nrole = 'operator'\ntoken = 'load-0123456789abcdef'\n";

/// The most something may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// So many times the CPU time of the bare route.
    Ratio(f64),
    /// So many microseconds of CPU time.
    Cpu(f64),
}

/// One kind of request.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) name: &'static str,
    pub(crate) path: &'static str,
    /// The route of the bare server; another one where the same answer is sent in another way.
    pub(crate) bare_path: &'static str,
    pub(crate) body: Option<Value>,
    pub(crate) target: Option<Target>,
    /// How many requests are one round.
    pub(crate) requests: usize,
    /// How many events an answer is, 0 for documents.
    pub(crate) frames: usize,
    pace: Pace,
}

/// Twenty words, so that the model answers in twenty pieces: 27 events with those around them.
const WORDS: &str = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen \
                     sixteen seventeen eighteen nineteen";

/// Returns all jobs, in the order of the report.
pub(crate) fn all() -> Vec<Job> {
    let get = |name, path| Job {
        name,
        path,
        bare_path: path,
        body: None,
        target: Some(Target::Ratio(2.0)),
        requests: 8_000,
        frames: 0,
        pace: Pace::Whole,
    };
    let post = |name, path, body, target, requests| Job { body: Some(body), target, requests, ..get(name, path) };
    let stream = "/api/agents/echo-agent/stream";
    let prompt = || json!({ "messages": WORDS });
    vec![
        get("health", "/health"),
        get("list agents", "/api/agents"),
        get("get agent", "/api/agents/weather-agent"),
        get("list tools", "/api/tools"),
        get("get tool", "/api/tools/weather"),
        post(
            "execute tool, 1 KB",
            "/api/tools/weather/execute",
            json!({ "data": { "city": "x".repeat(960), "units": "C" } }),
            Some(Target::Ratio(3.0)),
            6_000,
        ),
        post("generate", "/api/agents/echo-agent/generate", prompt(), Some(Target::Cpu(200.0)), 2_000),
        Job {
            frames: 27,
            pace: Pace::EachEvent,
            ..post("stream, 27 events", stream, prompt(), Some(Target::Ratio(4.0)), 2_000)
        },
        // As a lower bound: nothing that streams from a model knows all events at once.
        Job { frames: 27, bare_path: "/at-once", ..post("stream, against one write", stream, prompt(), None, 2_000) },
    ]
}

impl Job {
    /// Asks the host once and keeps what it answers.
    ///
    /// # Errors
    ///
    /// When it does not answer, or not as expected.
    pub(crate) async fn record(&self, host: &TestHost) -> anyhow::Result<Answer> {
        let request = match &self.body {
            None => Outgoing::get(self.path),
            Some(body) => Outgoing::post(self.path, body),
        };
        let answer = host.send(request.header("authorization", AUTHORIZATION)).await?;
        let text = answer.text();
        ensure!(answer.status == Some(200), "{} is answered {:?}: {text}", self.path, answer.status);
        let content_type = if self.frames == 0 { "application/json" } else { "text/event-stream" };
        let pieces: Vec<String> = match self.pace {
            Pace::Whole => vec![text.clone()],
            Pace::EachEvent => text.split_inclusive("\n\n").map(str::to_owned).collect(),
        };
        let events = text.matches("\n\n").count();
        ensure!(self.frames == 0 || events == self.frames, "{events} events instead of {}: {text}", self.frames);
        Ok(Answer {
            path: self.bare_path.to_owned(),
            is_post: self.body.is_some(),
            content_type: content_type.to_owned(),
            pieces,
        })
    }

    /// Returns the request for a path of a server.
    pub(crate) fn request(&self, address: &Address, path: &str) -> crate::load::Request {
        crate::load::Request {
            url: address.url(path),
            body: self.body.as_ref().map(|body| Bytes::from(body.to_string())),
        }
    }
}
