//! Plays a session step by step: fills in names, sends, waits, collects, judges.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::answer::Answer;
use super::bindings::{Bindings, Unbound};
use super::client::{self, Enough, Started};
use super::judge::{Judgement, judge};
use super::mismatch::{Mismatch, shown};
use super::path::lookup;
use super::session::{Action, Expect, Request, Step};
use crate::http::{Address, Outgoing};

/// The pause before every request: times the server writes differ by a millisecond at least.
const GAP: Duration = Duration::from_millis(3);
/// How long one answer may take, unless the step says.
const LIMIT: Duration = Duration::from_secs(15);
/// How long to wait for the frames of a started request.
const FIRST_FRAMES: Duration = Duration::from_secs(10);
/// After so many answers in a row that did not come, each may take only so long:
/// a server that hangs shall not take minutes to say so.
const TIRED: [(u32, Duration); 2] = [(3, Duration::from_secs(5)), (8, Duration::from_secs(1))];

/// Plays the steps of one session in their order against one server.
#[derive(Debug)]
pub struct Player {
    address: Address,
    bindings: Bindings,
    started: HashMap<String, Started>,
    limit: Duration,
    timeouts: u32,
    polled_in_vain: bool,
}

/// A step that was played.
#[derive(Debug)]
pub struct Played {
    /// The answer.
    pub answer: Answer,
    /// How it compares with the recorded one.
    pub judgement: Judgement,
    /// How it compares with what is listed instead, when something is and the recorded one does not match.
    pub instead: Option<Judgement>,
}

impl Played {
    fn unsent(unbound: &Unbound) -> Self {
        let what = format!("a value for ${{{}}}", unbound.0);
        let judgement = Judgement::without_answer(&what, "the request that gives it failed");
        Self { answer: Answer::default(), judgement, instead: None }
    }
}

impl Player {
    /// A player of a session that has not begun.
    pub fn new(address: Address) -> Self {
        let (bindings, started) = (Bindings::default(), HashMap::new());
        Self { address, bindings, started, limit: LIMIT, timeouts: 0, polled_in_vain: false }
    }

    /// Sets how long one answer may take, unless the step says.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Plays one step. `None` means that a request was started whose answer a later step collects.
    ///
    /// `instead` is an answer the step may give in place of the recorded one.
    pub async fn play(&mut self, step: &Step, instead: Option<&Expect>) -> Option<Played> {
        sleep(step.wait.max(GAP)).await;
        match &step.action {
            Action::Send(request) => Some(self.send(step, request, instead).await),
            Action::Start { request, frames } => self.start(step, request, *frames).await,
            Action::Collect { step: name, hang_up } => {
                let Some(started) = self.started.remove(name) else {
                    let judgement =
                        Judgement::without_answer(&format!("the background request {name}"), "it was not started");
                    return Some(Played { answer: Answer::default(), judgement, instead: None });
                };
                let answer = if *hang_up { started.hang_up().await } else { started.end(self.limit).await };
                Some(self.judge(step, answer, instead))
            }
        }
    }

    /// Sends a request that takes something back.
    ///
    /// # Errors
    ///
    /// When it is not answered with a 200.
    pub async fn undo(&mut self, request: &Request) -> Result<(), String> {
        let (outgoing, limit) = self.prepare(request).map_err(|unbound| format!("no value for ${{{}}}", unbound.0))?;
        let answer = client::send(&self.address, outgoing, limit, None).await;
        if answer.status == Some(200) {
            return Ok(());
        }
        Err(format!("{} {} was answered with {:?}: {}", request.method, request.path, answer.status, answer.text()))
    }

    async fn send(&mut self, step: &Step, request: &Request, instead: Option<&Expect>) -> Played {
        let mut until = step.poll.map(|poll| {
            let limit = Duration::from_millis(poll.timeout_ms);
            // One long wait in vain is enough for a session.
            Instant::now() + if self.polled_in_vain { limit.min(Duration::from_secs(1)) } else { limit }
        });
        loop {
            let (outgoing, limit) = match self.prepare(request) {
                Ok(prepared) => prepared,
                Err(unbound) => return Played::unsent(&unbound),
            };
            let enough = step.expect.open.then(|| Enough {
                frames: step.expect.frame_count(),
                rules: step.compare.clone(),
                bindings: self.bindings.clone(),
            });
            let answer = client::send(&self.address, outgoing, limit, enough).await;
            self.count_timeout(&answer, step.expect.open);
            // What is listed instead is asked only once no better answer will come.
            let is_over = until.is_none_or(|until| Instant::now() >= until);
            let played = self.judge(step, answer, instead.filter(|_| is_over));
            if played.judgement.is_match() || is_over {
                self.polled_in_vain |= until.take().is_some() && !played.judgement.is_match();
                return played;
            }
            sleep(Duration::from_millis(step.poll.map_or(0, |poll| poll.every_ms))).await;
        }
    }

    async fn start(&mut self, step: &Step, request: &Request, frames: usize) -> Option<Played> {
        let (outgoing, limit) = match self.prepare(request) {
            Ok(prepared) => prepared,
            Err(unbound) => return Some(Played::unsent(&unbound)),
        };
        let mut started = client::start(&self.address, outgoing, limit);
        let answer = started.frames(frames, FIRST_FRAMES).await;
        self.started.insert(step.name.clone(), started);
        let mismatches = self.bind(step, &answer);
        if mismatches.is_empty() {
            return None;
        }
        Some(Played { answer, judgement: Judgement { mismatches, extra: Vec::new() }, instead: None })
    }

    fn judge(&mut self, step: &Step, answer: Answer, instead: Option<&Expect>) -> Played {
        let unbound = self.bind(step, &answer);
        let mut judgement = judge(&step.expect, &step.compare, &answer, &mut self.bindings);
        judgement.mismatches.extend(unbound);
        let instead = instead.filter(|_| !judgement.is_match());
        let instead = instead.map(|expect| judge(expect, &step.compare, &answer, &mut self.bindings));
        Played { answer, judgement, instead }
    }

    /// Takes the step's names from its answer; tells those that are not there.
    fn bind(&mut self, step: &Step, answer: &Answer) -> Vec<Mismatch> {
        if step.bind.is_empty() {
            return Vec::new();
        }
        let (whole, mut missing) = (answer.to_value(), Vec::new());
        for (name, path) in &step.bind {
            match lookup(&whole, path) {
                Some(value) => self.bindings.set(name, value),
                None => {
                    let expected = Value::from(format!("a value for ${{{name}}}"));
                    missing.push(Mismatch::new(path.as_str(), shown(Some(&expected)), shown(None)));
                }
            }
        }
        missing
    }

    fn prepare(&self, request: &Request) -> Result<(Outgoing, Duration), Unbound> {
        let request = self.bindings.fill_request(request)?;
        let raw = request.raw_body.map(String::into_bytes);
        let outgoing = Outgoing {
            method: request.method,
            path: request.path,
            headers: request.headers.into_iter().collect(),
            body: raw.or_else(|| request.body.map(|body| body.to_string().into_bytes())),
        };
        let mut limit = request.timeout_ms.map_or(self.limit, Duration::from_millis);
        for (timeouts, tired) in TIRED {
            if self.timeouts >= timeouts {
                limit = limit.min(tired);
            }
        }
        Ok((outgoing, limit))
    }

    fn count_timeout(&mut self, answer: &Answer, is_open: bool) {
        if answer.timed_out && !is_open {
            self.timeouts += 1;
        } else if answer.status.is_some() {
            self.timeouts = 0;
        }
    }
}
