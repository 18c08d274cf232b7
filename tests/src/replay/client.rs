//! Sends requests and gathers their answers, with a time limit for each.
//!
//! An [`Answer`] grows in a watch channel, so that whoever waits for frames of a
//! stream sees them come and nobody polls.

use std::collections::BTreeMap;
use std::time::Duration;

use hyper::header::HeaderMap;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use super::answer::Answer;
use super::bindings::Bindings;
use super::judge::counted;
use super::session::Rules;
use crate::http::{self, Address, Outgoing};

/// How long a stream that is to stay open must do so after its last frame.
const STAYS_OPEN: Duration = Duration::from_millis(400);

/// When enough of a stream that stays open has been seen.
#[derive(Clone, Debug)]
pub struct Enough {
    /// Frames to wait for.
    pub frames: usize,
    /// Which frames do not count.
    pub rules: Rules,
    /// Names the rules may refer to.
    pub bindings: Bindings,
}

impl Enough {
    fn is_reached(&self, answer: &Answer) -> bool {
        counted(answer.whole_frames(), &self.rules, &self.bindings).len() >= self.frames
    }
}

/// Sends a request and reads its answer until it ends, the limit is over, or enough has come.
pub async fn send(address: &Address, request: Outgoing, limit: Duration, enough: Option<Enough>) -> Answer {
    let (answer, _) = watch::channel(Answer::default());
    exchange(address, request, limit, enough, &answer).await;
    answer.borrow().clone()
}

/// A request whose answer is still coming. Dropping it hangs up.
#[derive(Debug)]
pub struct Started {
    task: JoinSet<()>,
    answer: watch::Receiver<Answer>,
}

/// Sends a request and does not wait for its answer.
pub fn start(address: &Address, request: Outgoing, limit: Duration) -> Started {
    let (sender, answer) = watch::channel(Answer::default());
    let address = address.clone();
    let mut task = JoinSet::new();
    task.spawn(async move { exchange(&address, request, limit, None, &sender).await });
    Started { task, answer }
}

impl Started {
    /// Waits until so many frames have come, the answer ends or the time is over; gives what there is.
    pub async fn frames(&mut self, count: usize, limit: Duration) -> Answer {
        let enough = |answer: &Answer| answer.whole_frames().len() >= count;
        // Too few frames are for the judgement of the answer to tell.
        timeout(limit, self.answer.wait_for(enough)).await.ok();
        self.answer.borrow().clone()
    }

    /// Waits until the answer ends, but no longer than the limit.
    pub async fn end(mut self, limit: Duration) -> Answer {
        timeout(limit, self.task.join_next()).await.ok();
        self.answer.borrow().clone()
    }

    /// Hangs up and gives what had come.
    pub async fn hang_up(mut self) -> Answer {
        let answer = self.answer.borrow().clone();
        self.task.shutdown().await;
        Answer { data: self.answer.borrow().data.clone(), error: None, ..answer }
    }
}

async fn exchange(
    address: &Address,
    request: Outgoing,
    limit: Duration,
    enough: Option<Enough>,
    answer: &watch::Sender<Answer>,
) {
    let deadline = Instant::now() + limit;
    match timeout_at(deadline, http::send(address, request)).await {
        Err(_) => answer.send_modify(|answer| answer.timed_out = true),
        Ok(Err(error)) => answer.send_modify(|answer| answer.error = Some(format!("{error:#}"))),
        Ok(Ok(incomplete)) => read(incomplete, deadline, enough, answer).await,
    }
}

async fn read(
    mut incomplete: http::Incomplete,
    mut deadline: Instant,
    enough: Option<Enough>,
    answer: &watch::Sender<Answer>,
) {
    answer.send_modify(|answer| {
        answer.status = Some(incomplete.response.status().as_u16());
        answer.headers = joined(incomplete.response.headers());
    });
    loop {
        if enough.as_ref().is_some_and(|enough| enough.is_reached(&answer.borrow())) {
            deadline = deadline.min(Instant::now() + STAYS_OPEN);
        }
        match timeout_at(deadline, incomplete.chunk()).await {
            Err(_) => return answer.send_modify(|answer| answer.timed_out = true),
            Ok(Err(error)) => return answer.send_modify(|answer| answer.error = Some(format!("{error:#}"))),
            Ok(Ok(None)) => return answer.send_modify(|answer| answer.closed = true),
            Ok(Ok(Some(chunk))) => answer.send_modify(|answer| answer.data.extend_from_slice(&chunk)),
        }
    }
}

/// Header values may hold any byte; each is one character here.
fn joined(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut joined = BTreeMap::<String, String>::new();
    for (name, value) in headers {
        let value: String = value.as_bytes().iter().copied().map(char::from).collect();
        let text = joined.entry(name.as_str().to_owned()).or_default();
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(&value);
    }
    joined
}
