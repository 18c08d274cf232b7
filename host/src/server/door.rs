//! The door: takes connections, as many as may be, and speaks HTTP on each.
//!
//! There is HTTP/1.1 alone, so that nobody changes the protocol in the middle of a connection.

use std::{convert::Infallible, future::Future, io, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use axum::Router;
use http::Request;
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;

use super::line::{Line, Pulse, Served};
use crate::{
    app::AppState,
    limits::{Limit, Limits, Peer, Refused, Slot},
    tasks::Tasks,
};

/// How long nobody is let in when the system has no room for another connection.
const NO_ROOM: Duration = Duration::from_millis(100);
/// Takes connections.
pub(super) struct Door {
    shared: Arc<Shared>,
    connections: Tasks,
}

struct Shared {
    limits: Arc<Limits>,
    router: TowerToHyperService<Router>,
    http1: http1::Builder,
}

impl Door {
    /// Returns the door of a host. What is said on a connection is a task of `connections`.
    pub(super) fn new(app: &AppState, connections: Tasks) -> Self {
        let limits = Arc::clone(&app.limits);
        let settings = limits.settings();
        let mut http1 = http1::Builder::new();
        // What is late is known to the line, which tells what is waited for.
        http1.header_read_timeout(None).max_header_size(settings.header_bytes);
        if settings.headers != HEADERS {
            http1.max_headers(settings.headers);
        }
        let router = TowerToHyperService::new(crate::http::router(AppState::clone(app)));
        Self { shared: Arc::new(Shared { limits, router, http1 }), connections }
    }

    /// Takes connections for as long as it is polled.
    pub(super) async fn accept(&self, listener: &TcpListener) {
        loop {
            match listener.accept().await {
                Ok((socket, address)) => self.admit(socket, address),
                Err(error) if is_of_one_connection(&error) => tracing::debug!(%error, "a connection went away"),
                Err(error) => {
                    tracing::warn!(%error, "cannot take connections for a moment");
                    tokio::time::sleep(NO_ROOM).await;
                }
            }
        }
    }

    fn admit(&self, socket: TcpStream, address: SocketAddr) {
        let (slot, peer) = match self.shared.limits.connection(address.ip()) {
            Ok(admitted) => admitted,
            Err(refused) => return refuse(&socket, refused),
        };
        // Small pieces of streams must not wait for each other.
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        let shared = Arc::clone(&self.shared);
        self.connections.spawn("connection", |cancel| shared.serve(socket, peer, slot, cancel));
    }
}

/// As many headers have room without asking for memory.
const HEADERS: usize = 100;

impl Shared {
    async fn serve(self: Arc<Self>, socket: TcpStream, peer: Peer, slot: Slot, cancel: CancellationToken) {
        self.speak_http1(socket, peer, &cancel).await;
        drop(slot);
    }

    async fn speak_http1<S>(&self, socket: S, peer: Peer, cancel: &CancellationToken)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let pulse = Arc::new(Pulse::default());
        let line = Line::new(socket, Arc::clone(&pulse), Arc::clone(&self.limits));
        let service = service(self.router.clone(), Arc::clone(&pulse), peer);
        let mut connection = self.http1.serve_connection(TokioIo::new(line), service);
        let mut connection = Pin::new(&mut connection);
        let ended = tokio::select! {
            ended = &mut connection => ended,
            () = cancel.cancelled() => {
                pulse.hurry();
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        self.ended(ended);
    }

    fn ended(&self, ended: hyper::Result<()>) {
        let Err(error) = ended else { return };
        // hyper answers these by itself.
        if error.is_parse_too_large() {
            self.limits.hit(Limit::Headers);
        }
        tracing::debug!(%error, "a connection failed");
    }
}

/// Returns what answers the requests of one connection.
fn service(
    router: TowerToHyperService<Router>,
    pulse: Arc<Pulse>,
    peer: Peer,
) -> impl Service<
    Request<Incoming>,
    Response = http::Response<Served>,
    Error = Infallible,
    Future = impl Future<Output = Result<http::Response<Served>, Infallible>> + Send + 'static,
> {
    service_fn(move |mut request: Request<Incoming>| {
        let serving = pulse.begin();
        request.extensions_mut().insert(peer.clone());
        let answer = router.call(request);
        async move { Ok(answer.await?.map(|body| Served::new(body, serving))) }
    })
}

/// Whether an error is about the connection that was to be taken, not about taking them.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Says why a connection is not taken, as far as that can be said without waiting for anybody.
fn refuse(socket: &TcpStream, refused: Refused) {
    let after = format!("retry-after: {}\r\n", refused.retry_after.as_secs().max(1));
    let answer = super::answer("503 Service Unavailable", &after, "there are too many connections; try again later");
    // The buffer of a new socket is empty, so all of it fits.
    if let Err(error) = socket.try_write(answer.as_bytes()) {
        tracing::debug!(%error, "who is not let in is not told why");
    }
}
