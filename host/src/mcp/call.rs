//! One call of a client, over as many rounds as it takes: run, ask the client what it waits for, go on.
//!
//! In the newer protocol a round is a request: what the call waits for travels through the client,
//! signed. In the older one the client is asked while its request is open.

use std::future::Future;

use bytes::Bytes;
use hotbay_plugin::mcp::{Notice, Severity};
use rmcp::{
    ErrorData, RoleServer,
    model::{
        ClientCapabilities, InputRequest, InputRequiredResult, InputResponses, ProgressNotificationParam,
        ProtocolVersion, ServerRequest,
    },
    service::{PeerRequestOptions, RequestContext},
};
use serde_json::Value;
use tokio::sync::mpsc;

use super::{
    Mcp,
    asked::{self, Answered},
    changes::Changed,
    messages,
};
use crate::engine::direct::Wait;

/// Chunks of a call that are not sent yet. Few: a client that reads slowly slows the tool down.
const CHUNKS: usize = 32;
/// How often one request of the older protocol may ask before it is over.
const ROUNDS: usize = 16;
/// How long a client's user may take to answer while the request is open.
const USER: std::time::Duration = std::time::Duration::from_secs(15 * 60);

/// How one round ended.
pub(super) enum Round<T> {
    /// The call is over.
    Done(T),
    /// It waits.
    Waits(Wait),
}

/// How a whole call ended.
pub(super) enum Ended<T> {
    /// With this.
    Done(T),
    /// The client is to answer and to call again.
    Asks(InputRequiredResult),
    /// Without an answer of the client, for this reason.
    Unanswered(String),
}

/// What a client gave back with a call that is the rest of an earlier one.
pub(super) struct Given {
    pub(super) state: Option<String>,
    pub(super) responses: Option<InputResponses>,
}

/// What a call has to know of its client.
pub(super) struct CallingClient<'a> {
    pub(super) mcp: &'a Mcp,
    pub(super) server: &'a str,
    pub(super) context: &'a RequestContext<RoleServer>,
    /// Messages below it are not sent.
    pub(super) level: Option<Severity>,
}

impl CallingClient<'_> {
    /// Drives a call to its end. `name` is what is called: what is signed for one call is of no use to another.
    pub(super) async fn rounds<T, F>(
        &self,
        name: &str,
        given: Given,
        mut round: impl FnMut(Option<(Wait, Value)>, mpsc::Sender<Bytes>) -> F,
    ) -> Result<Ended<T>, ErrorData>
    where
        F: Future<Output = Result<Round<T>, ErrorData>>,
    {
        let purpose = format!("{}/{name}", self.server);
        let client = self.context.client_capabilities().unwrap_or_default();
        let mut answer = None;
        if let Some(state) = given.state {
            let wait: Wait = self.mcp.shared.seal.open_sealed(&state, &purpose).ok_or_else(|| {
                ErrorData::invalid_params("requestState is not what this server gave out, or is too old", None)
            })?;
            match asked::answer(&wait, given.responses.unwrap_or_default()) {
                Answered::Resume(data) => answer = Some((wait, data)),
                Answered::Again => return self.asks(&wait, &client, &purpose),
                Answered::Declined => return Ok(Ended::Unanswered(declined())),
            }
        }
        for _ in 0..ROUNDS {
            let (sender, chunks) = mpsc::channel(CHUNKS);
            let wait = match self.told(round(answer.take(), sender), chunks).await? {
                Round::Done(result) => return Ok(Ended::Done(result)),
                Round::Waits(wait) => wait,
            };
            if self.is_stateless() {
                return self.asks(&wait, &client, &purpose);
            }
            let Some(responses) = self.ask_now(&wait, &client).await? else {
                return Ok(Ended::Unanswered("this client cannot be asked what the call waits for".to_owned()));
            };
            match asked::answer(&wait, responses) {
                Answered::Resume(data) => answer = Some((wait, data)),
                Answered::Again => return Ok(Ended::Unanswered("the client's answer is none".to_owned())),
                Answered::Declined => return Ok(Ended::Unanswered(declined())),
            }
        }
        Ok(Ended::Unanswered(format!("the call asked {ROUNDS} times and was still not over")))
    }

    /// Whether each round is a request of its own.
    fn is_stateless(&self) -> bool {
        let version = self.context.protocol_version();
        version.is_some_and(|version| version.as_str() >= ProtocolVersion::V_2026_07_28.as_str())
    }

    fn asks<T>(&self, wait: &Wait, client: &ClientCapabilities, purpose: &str) -> Result<Ended<T>, ErrorData> {
        let asked = asked::ask(wait, client);
        if let Some(needed) = asked.beyond {
            return Err(ErrorData::missing_required_client_capability(needed));
        }
        let sealed = self.mcp.shared.seal.seal(wait, purpose);
        let requests = (!asked.requests.is_empty()).then_some(asked.requests);
        Ok(Ended::Asks(InputRequiredResult::new(requests, sealed)))
    }

    /// Asks while the request is open; `None` if the client cannot be asked any of it.
    async fn ask_now(&self, wait: &Wait, client: &ClientCapabilities) -> Result<Option<InputResponses>, ErrorData> {
        let asked = asked::ask(wait, client);
        if asked.beyond.is_some() {
            return Ok(None);
        }
        let mut responses = InputResponses::new();
        for (name, request) in asked.requests {
            let request = match request {
                InputRequest::CreateMessage(request) => ServerRequest::CreateMessageRequest(request),
                InputRequest::Elicitation(request) => ServerRequest::ElicitRequest(request),
                InputRequest::ListRoots(request) => ServerRequest::ListRootsRequest(request),
                _ => continue,
            };
            let options = PeerRequestOptions::with_timeout(USER);
            let sent =
                async { self.context.peer.send_request_with_option(request, options).await?.await_response().await };
            let response = tokio::select! {
                response = sent => response,
                () = self.context.ct.cancelled() => return Err(cancelled()),
            };
            // A client that answers with an error has not answered; the call learns that from what is missing.
            if let Ok(response) = response {
                responses.insert(name, serde_json::to_value(response).unwrap_or(Value::Null));
            }
        }
        Ok(Some(responses))
    }

    /// Runs one round and tells the client what it says meanwhile.
    async fn told<T>(
        &self,
        round: impl Future<Output = Result<Round<T>, ErrorData>>,
        mut chunks: mpsc::Receiver<Bytes>,
    ) -> Result<Round<T>, ErrorData> {
        let mut round = std::pin::pin!(round);
        let ended = loop {
            tokio::select! {
                biased;
                () = self.context.ct.cancelled() => return Err(cancelled()),
                Some(chunk) = chunks.recv() => self.tell(&chunk).await,
                ended = &mut round => break ended,
            }
        };
        while let Ok(chunk) = chunks.try_recv() {
            self.tell(&chunk).await;
        }
        ended
    }

    /// Tells the client what a chunk says; one it cannot be told is nothing to fail for.
    async fn tell(&self, chunk: &[u8]) {
        let peer = &self.context.peer;
        match serde_json::from_slice(chunk) {
            Ok(Notice::Progress { progress, total, message }) => {
                let Some(token) = self.context.meta.get_progress_token() else { return };
                let mut told = ProgressNotificationParam::new(token, progress);
                (told.total, told.message) = (total, message);
                drop(peer.notify_progress(told).await);
            }
            Ok(Notice::Message { level, data }) => self.say(level, data).await,
            Ok(Notice::Updated { uri }) => {
                let changed = Changed { resource: Some(uri), ..Changed::default() };
                self.mcp.shared.watchers.tell(self.server, &changed).await;
            }
            // What a tool streams to others is a message here.
            _ => {
                if let Ok(data) = serde_json::from_slice(chunk) {
                    self.say(Severity::Info, data).await;
                }
            }
        }
    }

    async fn say(&self, level: Severity, data: Value) {
        if self.level.is_some_and(|least| level >= least) {
            messages::send(&self.context.peer, level, data).await;
        }
    }
}

fn cancelled() -> ErrorData {
    ErrorData::internal_error("the client has cancelled the request", None)
}

fn declined() -> String {
    "the client's user declined to answer".to_owned()
}
