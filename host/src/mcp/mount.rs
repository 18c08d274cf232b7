//! What serves each id over Streamable HTTP: made when first asked for, ended when no plugin offers it.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::combinators::BoxBody;
use rmcp::transport::{
    StreamableHttpServerConfig, StreamableHttpService,
    streamable_http_server::session::local::{LocalSessionManager, SessionConfig},
};
use tokio_util::sync::CancellationToken;

use super::{Mcp, changes::locked, server::Server};

/// Serves one id to any number of clients. Cheap to clone.
#[derive(Clone)]
pub struct Service {
    http: StreamableHttpService<Server, LocalSessionManager>,
    sessions: Arc<LocalSessionManager>,
    /// Held while a session may begin, so that a flood of them is counted one by one.
    opening: Arc<tokio::sync::Mutex<()>>,
    end: CancellationToken,
}

/// The services there are.
#[derive(Default)]
pub(super) struct Mounts {
    // Held to find or make one.
    by_id: Mutex<HashMap<String, Service>>,
}

impl Mcp {
    /// Returns what serves an id; `None` if nothing is offered under it.
    #[must_use]
    pub fn service(&self, id: &str) -> Option<Service> {
        self.catalog(id)?;
        let mut by_id = locked(&self.shared.mounts.by_id);
        Some(by_id.entry(id.to_owned()).or_insert_with(|| self.mount(id)).clone())
    }

    fn mount(&self, id: &str) -> Service {
        let end = self.shared.tasks.token();
        let mut sessions = LocalSessionManager::default();
        sessions.session_config = SessionConfig::default();
        sessions.session_config.keep_alive = Some(self.shared.settings.session_idle);
        let sessions = Arc::new(sessions);
        // Who may speak is checked for all transports alike, before any of them.
        let config = StreamableHttpServerConfig::default()
            .disable_allowed_hosts()
            .with_json_response(true)
            .with_max_request_body_bytes(self.shared.body_limit)
            .with_cancellation_token(end.clone());
        let (mcp, id): (_, Arc<str>) = (self.clone(), id.into());
        let make = move || Ok(Server::new(mcp.clone(), Arc::clone(&id)));
        let http = StreamableHttpService::new(make, Arc::clone(&sessions), config);
        Service { http, sessions, opening: Arc::default(), end }
    }
}

impl Service {
    /// Answers a request.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<BoxBody<Bytes, Infallible>>
    where
        B: Body + Send + 'static,
        B::Error: std::fmt::Display,
    {
        self.http.handle(request).await
    }

    /// Answers a request that may begin a session; `None` if there are as many as there may be.
    pub async fn answer_first<B>(
        &self,
        request: Request<B>,
        max_sessions: usize,
    ) -> Option<Response<BoxBody<Bytes, Infallible>>>
    where
        B: Body + Send + 'static,
        B::Error: std::fmt::Display,
    {
        let _turn = self.opening.lock().await;
        if self.sessions.sessions.read().await.len() >= max_sessions {
            return None;
        }
        Some(self.http.handle(request).await)
    }
}

impl Mounts {
    /// Ends the others, and their sessions.
    pub(super) fn keep_only(&self, is_offered: impl Fn(&str) -> bool) {
        locked(&self.by_id).retain(|id, service| {
            let keep = is_offered(id);
            if !keep {
                service.end.cancel();
            }
            keep
        });
    }
}
