//! Sessions of the transport before Streamable HTTP: a stream of messages to the client, and
//! messages of the client by the session's id.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use futures::{Stream, stream};
use rmcp::{
    model::{ClientJsonRpcMessage, ServerJsonRpcMessage},
    service::serve_server_with_ct,
};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, PollSender};

use super::{Mcp, changes::locked, server::Server};

/// Messages of one direction that are not read yet. A client that sends more waits; the server waits for
/// one that reads slowly.
const MESSAGES: usize = 32;

/// The sessions there are.
#[derive(Default)]
pub(super) struct LegacySessions {
    // Held to find, add and remove one.
    by_id: Arc<Mutex<HashMap<String, Session>>>,
}

struct Session {
    server: String,
    sender: mpsc::Sender<ClientJsonRpcMessage>,
    end: CancellationToken,
}

/// Takes the session out, and ends it, when the client's stream is gone.
struct Open {
    id: String,
    by_id: Arc<Mutex<HashMap<String, Session>>>,
}

impl Drop for Open {
    fn drop(&mut self) {
        let gone = locked(&self.by_id).remove(&self.id);
        if let Some(session) = gone {
            session.end.cancel();
        }
    }
}

impl LegacySessions {
    /// Ends the sessions of other servers.
    pub(super) fn keep_only(&self, is_offered: impl Fn(&str) -> bool) {
        for session in locked(&self.by_id).values().filter(|session| !is_offered(&session.server)) {
            session.end.cancel();
        }
    }
}

impl Mcp {
    /// Begins a session and returns its id and what it tells the client; `None` if there are too many.
    /// It ends when the stream is dropped.
    pub fn open_legacy(
        &self,
        server: &str,
    ) -> Option<(String, impl Stream<Item = ServerJsonRpcMessage> + Send + 'static)> {
        let sessions = &self.shared.legacy.by_id;
        let (id, end) = (uuid::Uuid::new_v4().to_string(), self.shared.tasks.token());
        let (to_server, mut from_client) = mpsc::channel(MESSAGES);
        let (to_client, from_server) = mpsc::channel(MESSAGES);
        {
            let mut sessions = locked(sessions);
            if sessions.values().filter(|it| it.server == server).count() >= self.shared.settings.max_sessions {
                return None;
            }
            let session = Session { server: server.to_owned(), sender: to_server, end: end.clone() };
            sessions.insert(id.clone(), session);
        }
        let open = Open { id: id.clone(), by_id: Arc::clone(sessions) };
        let handler = Server::new(self.clone(), server.into());
        self.shared.tasks.spawn("mcp-sse-session", |_| async move {
            let ended = end.clone();
            let client = stream::poll_fn(move |context| from_client.poll_recv(context));
            let transport = (PollSender::new(to_client), Box::pin(client));
            let served = async {
                match Box::pin(serve_server_with_ct(handler, transport, ended.clone())).await {
                    Ok(running) => drop(running.waiting().await),
                    Err(error) => tracing::debug!(%error, "an MCP client said something else than hello"),
                }
            };
            // One that does not even say hello is not waited for.
            tokio::select! {
                () = served => {}
                () = ended.cancelled() => {}
            }
        });
        Some((id, told(open, from_server)))
    }

    /// Gives a session a message of its client; `false` if there is no such session.
    pub async fn tell_legacy(&self, server: &str, session: &str, message: ClientJsonRpcMessage) -> bool {
        let sender = {
            let sessions = locked(&self.shared.legacy.by_id);
            sessions.get(session).filter(|it| it.server == server).map(|it| it.sender.clone())
        };
        match sender {
            Some(sender) => sender.send(message).await.is_ok(),
            None => false,
        }
    }

    /// Whether there is such a session.
    #[must_use]
    pub fn has_legacy(&self, server: &str, session: &str) -> bool {
        locked(&self.shared.legacy.by_id).get(session).is_some_and(|it| it.server == server)
    }
}

fn told(
    open: Open,
    from_server: mpsc::Receiver<ServerJsonRpcMessage>,
) -> impl Stream<Item = ServerJsonRpcMessage> + Send + 'static {
    stream::unfold((open, from_server), |(open, mut from_server)| async {
        let message = from_server.recv().await?;
        Some((message, (open, from_server)))
    })
}
